//! What was seen on the base tree, as findings about the plan.
//!
//! Does not run anything.

use loop_compiler::check::CheckedPlan;
use loop_compiler::diagnostic::Diagnostic;
use loop_compiler::graph;
use loop_compiler::plan::{By, Command, Criterion, PredicateKind, Verification, Verifier, VerifierIx};
use loop_compiler::source::Span;

use super::{Observed, Seen};
use crate::record::Verdict;
use crate::work::verify::Judged;

/// Paths that one finding names.
const NAMED: usize = 5;

/// Everything that the plan's author should know before the first paid call; sorted by place.
pub fn findings(plan: &CheckedPlan, seen: &Seen) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (verifier, command, why) in &seen.tools {
        if let Some((_, verifier)) = verifier_of(plan, verifier) {
            let message = format!("the tool `{}` {why}", command.join(" "));
            found.push(
                Diagnostic::new("missing-tool", verifier.id.span, message)
                    .at("a verdict's key names it")
                    .help("install it, or correct the `tool` line"),
            );
        }
    }
    for observed in &seen.checks {
        match verifier_of(plan, &observed.verifier) {
            Some((ix, verifier)) => of_verifier(plan, ix, verifier, observed, &mut found),
            None => of_condition(plan, observed, &mut found),
        }
    }
    for (unit, text) in &seen.held {
        let unit = plan.units.iter().find(|known| known.id.value == *unit);
        let criteria = unit.into_iter().flat_map(|unit| &unit.accept);
        found.extend(criteria.filter(|criterion| criterion.text == *text).map(|criterion| {
            Diagnostic::new("already-green", criterion.span, "the criterion holds before any work".to_owned())
                .at("each of its conditions holds on the base")
                .help("ask for what the work will change: a text that is not there yet, a file that does not exist")
        }));
    }
    found.sort_by(|a, b| {
        let key = |one: &Diagnostic| (one.primary.span, one.rule.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    found.dedup();
    found
}

fn verifier_of<'p>(plan: &'p CheckedPlan, id: &str) -> Option<(VerifierIx, &'p Verifier)> {
    let at = plan.verifiers.iter().position(|verifier| verifier.id.value == id)?;
    Some((VerifierIx(at as u32), &plan.verifiers[at]))
}

/// One use of a check.
struct Use<'p> {
    span: Span,
    /// It has values of its own for the verifier's parameters.
    narrowed: bool,
    expect_fail: bool,
    /// The criteria that name it.
    criteria: Vec<&'p Criterion>,
    /// A gate's criterion, which is judged on what all units have landed.
    of_gate: bool,
}

fn same(written: &Command, run: &graph::Command) -> bool {
    match (written, run) {
        (Command::Run(a), graph::Command::Run(b)) => a == b,
        (Command::Shell(a), graph::Command::Shell(b)) => a == b,
        _ => false,
    }
}

fn uses<'p>(plan: &'p CheckedPlan, ix: VerifierIx, verifier: &Verifier, observed: &Observed) -> Vec<Use<'p>> {
    fn named_by(accept: &[Criterion], ix: VerifierIx) -> Vec<&Criterion> {
        accept.iter().filter(|criterion| criterion.by.contains(&By::Verifier(ix))).collect()
    }
    let mine = |verification: &&Verification| {
        verification.verifier == ix
            && same(&verifier.expand(&verification.arguments).command, &observed.check.command)
    };
    let mut uses = Vec::new();
    for unit in &plan.units {
        uses.extend(unit.verify.iter().filter(mine).map(|verification| Use {
            span: verification.span,
            narrowed: !verification.arguments.is_empty(),
            expect_fail: verification.expect_fail,
            criteria: named_by(&unit.accept, ix),
            of_gate: false,
        }));
    }
    for gate in &plan.gates {
        uses.extend(gate.verify.iter().filter(mine).map(|verification| Use {
            span: verification.span,
            narrowed: !verification.arguments.is_empty(),
            expect_fail: verification.expect_fail,
            criteria: named_by(&gate.accept, ix),
            of_gate: true,
        }));
        let criteria = named_by(&gate.accept, ix);
        if let Some(first) = criteria.first() {
            let span = first.span;
            uses.push(Use { span, narrowed: false, expect_fail: false, criteria, of_gate: true });
        }
    }
    uses
}

fn of_verifier(
    plan: &CheckedPlan,
    ix: VerifierIx,
    verifier: &Verifier,
    observed: &Observed,
    found: &mut Vec<Diagnostic>,
) {
    let id = &verifier.id.value;
    let uses = uses(plan, ix, verifier, observed);
    let place = uses.first().map_or(verifier.id.span, |user| user.span);
    writes(verifier, observed, found);
    if let Some(again) = observed.again.as_ref().filter(|again| differs(&observed.judged, again)) {
        let message =
            format!("`{id}` says different things about one tree: {}", both(&observed.judged, again));
        found.push(
            Diagnostic::new("flaky-at-base", verifier.id.span, message)
                .label(place, "used here")
                .help("mend the check, or what it tests; until then its word is chance")
                .help("or let it be tried again: `flaky retries=2`, which is recorded"),
        );
        return;
    }
    match observed.judged.verdict {
        Verdict::Errored if observed.judged.environment => found.push(
            Diagnostic::new("missing-tool", verifier.id.span, format!("`{id}` {}", observed.judged.message))
                .label(place, "used here")
                .help("install the program, or correct the command"),
        ),
        Verdict::Errored => found.push(with_output(
            Diagnostic::new(
                "unclassified-failure",
                verifier.id.span,
                format!("`{id}` cannot be judged on the base: it {}", observed.judged.message),
            )
            .label(place, "used here"),
            observed,
        )),
        Verdict::Failed => {
            let explained = |user: &Use<'_>| user.expect_fail || user.narrowed || !user.criteria.is_empty();
            if uses.iter().any(explained) || !verifier.known_failures.is_empty() {
                return;
            }
            let message = format!("`{id}` fails before any work: it {}", observed.judged.message);
            found.push(with_output(
                Diagnostic::new("unclassified-failure", verifier.id.span, message)
                    .label(place, "used here, and no criterion names it")
                    .help(format!(
                        "mend what it finds before the run, or let a unit do so: `accept \"...\" by={id}`"
                    ))
                    .help("or say which failures are known: `known-failure ID reason=`"),
                observed,
            ));
        }
        Verdict::Passed => {
            for user in &uses {
                already_green(user, id, found);
            }
        }
    }
}

/// A check that passes before the work proves the work only if it would have failed without it.
fn already_green(user: &Use<'_>, id: &str, found: &mut Vec<Diagnostic>) {
    for criterion in &user.criteria {
        let (span, what) = match criterion.red_before {
            Some(span) => (span, "it was prepared to fail before the work"),
            None if user.narrowed => (criterion.span, "it checks this criterion alone"),
            None if user.of_gate => (criterion.span, "it stands for what the gate brings about"),
            // A whole suite that is green before is as it should be: the work will add to it.
            None => continue,
        };
        found.push(
            Diagnostic::new(
                "already-green",
                span,
                format!("`{id}` passes before any work: it proves nothing here"),
            )
            .at(what)
            .help("let it check what is not there yet, and see it fail once"),
        );
    }
}

/// A command of a criterion, which has no name.
fn of_condition(plan: &CheckedPlan, observed: &Observed, found: &mut Vec<Diagnostic>) {
    let is_it = |criterion: &&Criterion| {
        criterion.predicates.iter().any(|predicate| match &predicate.kind {
            PredicateKind::Command(check) => same(&check.command, &observed.check.command),
            _ => false,
        })
    };
    let units = plan.units.iter().flat_map(|unit| &unit.accept);
    let gates = plan.gates.iter().flat_map(|gate| &gate.accept);
    for criterion in units.chain(gates).filter(is_it) {
        let diagnostic = match observed.judged.verdict {
            Verdict::Errored if observed.judged.environment => {
                let message = format!("the criterion's command {}", observed.judged.message);
                Diagnostic::new("missing-tool", criterion.span, message)
                    .help("install the program, or correct the command")
            }
            Verdict::Passed if criterion.predicates.len() == 1 => Diagnostic::new(
                "already-green",
                criterion.span,
                "the criterion holds before any work".to_owned(),
            )
            .at("its command succeeds on the base")
            .help("let it check what is not there yet, and see it fail once"),
            _ => continue,
        };
        found.push(diagnostic);
    }
}

fn writes(verifier: &Verifier, observed: &Observed, found: &mut Vec<Diagnostic>) {
    if observed.touched.is_empty() {
        return;
    }
    let quoted: Vec<String> = observed.touched.iter().take(NAMED).map(|path| format!("{path:?}")).collect();
    let more = observed.touched.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("`{}` changes files: {}{more}", verifier.id.value, quoted.join(", "));
    found.push(
        Diagnostic::new("verifier-writes-outside-scope", verifier.id.span, message)
            .help("let git ignore them, if they are by-products")
            .help(format!("or say so in the verifier: `writes {}`", quoted.join(" "))),
    );
}

fn differs(one: &Judged, other: &Judged) -> bool {
    (one.verdict, &one.failures) != (other.verdict, &other.failures)
}

fn both(one: &Judged, other: &Judged) -> String {
    let word = |judged: &Judged| match judged.verdict {
        Verdict::Passed => "it passed".to_owned(),
        _ => format!("it {}", judged.message),
    };
    format!("first {}, then {}", word(one), word(other))
}

fn with_output(diagnostic: Diagnostic, observed: &Observed) -> Diagnostic {
    match observed.output.is_empty() {
        true => diagnostic,
        false => diagnostic.help(format!("it printed: {}", observed.output)),
    }
}
