//! What the compiler accepts and a run does not act on yet: it is refused before anything is paid, never ignored.
//!
//! Does not know how a run goes. A row of the table goes away when the executor learns what it names.

use loop_compiler::diagnostic::Diagnostic;
use loop_compiler::plan::{
    Agent, Isolation, Network, Plan, Review, Role, Sandbox, SandboxMode, Verifier, Via,
};
use loop_compiler::source::Span;

/// One thing that a plan can say and that a run does not do.
struct Row {
    /// As it is written in a plan.
    what: &'static str,
    /// An imperative.
    meanwhile: &'static str,
    /// Where the plan says it.
    places: fn(&Plan) -> Vec<Span>,
}

const ROWS: &[Row] = &[
    Row {
        what: "`repair`",
        meanwhile: "leave it out; a red gate stops the run, and `loop exec --redo UNIT` runs the unit at fault again",
        places: |plan| plan.gates.iter().filter_map(|gate| Some(gate.repair?.span)).collect(),
    },
    Row {
        what: "`review`",
        meanwhile: "check the result with a verifier, or ask a person with `manual`",
        places: |plan| reviews(plan).map(|review| review.span).collect(),
    },
    Row {
        what: "`shared`",
        meanwhile: "put the units that write the file in order with `after`, or let a first unit make the skeleton",
        places: |plan| plan.shared.iter().map(|pattern| pattern.span).collect(),
    },
    Row {
        what: "`derived`",
        meanwhile: "let one unit write the file, and put the others in order with `after`",
        places: |plan| plan.derived.iter().map(|derived| derived.span).collect(),
    },
    Row {
        what: "`isolation=observe`",
        meanwhile: "hold the inputs with `isolation=enforce`, or leave it out: then the whole tree is the key",
        places: |plan| {
            let observed = |verifier: &&Verifier| {
                verifier.isolation.as_ref().is_some_and(|isolation| isolation.value == Isolation::Observe)
            };
            let observed = verifiers(plan).into_iter().filter(observed);
            observed.filter_map(|verifier| Some(verifier.isolation.as_ref()?.span)).collect()
        },
    },
    Row {
        what: "`known-failure`",
        meanwhile: "leave that test out in the verifier's command",
        places: |plan| {
            let known = verifiers(plan).into_iter().flat_map(|verifier| &verifier.known_failures);
            known.map(|known| known.id.span).collect()
        },
    },
    Row {
        what: "`via=codex`",
        meanwhile: "start it from a script of yours, with `via=command`",
        places: |plan| agents(plan, Via::Codex),
    },
    Row {
        what: "`via=opencode`",
        meanwhile: "start it from a script of yours, with `via=command`",
        places: |plan| agents(plan, Via::Opencode),
    },
    Row {
        what: "`via=gemini`",
        meanwhile: "start it from a script of yours, with `via=command`",
        places: |plan| agents(plan, Via::Gemini),
    },
    Row {
        what: "`sandbox mode=off`",
        meanwhile: "leave it out; agents and verifiers are confined as far as the machine allows",
        places: |plan| sandboxes(plan, |sandbox| sandbox.mode == Some(SandboxMode::Off)),
    },
    Row {
        what: "`network=hosts`",
        meanwhile: "write `network=deny`, or leave it out",
        places: |plan| sandboxes(plan, |sandbox| sandbox.network == Some(Network::Hosts)),
    },
    Row {
        what: "`read` and `write` of `sandbox verifier`",
        meanwhile: "let `prepare` bring what is needed into the worktree",
        places: |plan| {
            let opens = |sandbox: &&Sandbox| !sandbox.read.is_empty() || !sandbox.write.is_empty();
            plan.sandbox.verifier.iter().filter(opens).map(|sandbox| sandbox.span).collect()
        },
    },
];

fn reviews(plan: &Plan) -> impl Iterator<Item = &Review> {
    let of_units = plan.units.iter().flat_map(|unit| &unit.review);
    of_units.chain(plan.gates.iter().flat_map(|gate| &gate.review))
}

/// Those that a unit or a gate uses.
fn verifiers(plan: &Plan) -> Vec<&Verifier> {
    let of_units = plan.units.iter().flat_map(|unit| &unit.verify);
    let of_gates = plan.gates.iter().flat_map(|gate| &gate.verify);
    let used: std::collections::BTreeSet<_> =
        of_units.chain(of_gates).map(|verify| verify.verifier).collect();
    used.into_iter().map(|verifier| &plan.verifiers[verifier.0 as usize]).collect()
}

/// Where the agents of this kind are defined that a unit uses.
fn agents(plan: &Plan, via: Via) -> Vec<Span> {
    let working = plan.units.iter().filter(|unit| unit.role == Role::Work);
    let used = working.filter_map(|unit| unit.agent.as_ref());
    let used = used.map(|agent| &plan.agents[agent.value.0 as usize]);
    used.filter(|agent: &&Agent| agent.via == via).map(|agent| agent.id.span).collect()
}

fn sandboxes(plan: &Plan, wanted: fn(&Sandbox) -> bool) -> Vec<Span> {
    let all = plan.sandbox.agent.iter().chain(&plan.sandbox.verifier);
    all.filter(|sandbox| wanted(sandbox)).map(|sandbox| sandbox.span).collect()
}

/// Everything in the plan that a run would not act on, by place; each place once.
pub fn unsupported(plan: &Plan) -> Vec<Diagnostic> {
    let mut found: Vec<(Span, &Row)> = Vec::new();
    for row in ROWS {
        found.extend((row.places)(plan).into_iter().map(|place| (place, row)));
    }
    // What stands in `defaults` holds for many units and is said once.
    found.sort_by_key(|(place, row)| (*place, row.what));
    found.dedup_by_key(|(place, row)| (*place, row.what));
    found.into_iter().map(|(place, row)| refused(place, row)).collect()
}

fn refused(place: Span, row: &Row) -> Diagnostic {
    let message = format!("{} is sound, but a run does not act on it yet", row.what);
    Diagnostic::new("not-yet", place, message).at("not yet").help(format!("meanwhile: {}", row.meanwhile))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People read the list at the end of the language's text, which is this table's.
    #[test]
    fn the_specification_lists_every_row() {
        let text = include_str!("../../../spec/language.md");
        let section = text.split("## 13. Not yet").nth(1).expect("the section is there");
        let listed: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("- ")).collect();
        let rows: Vec<&str> = ROWS.iter().map(|row| row.what).collect();
        assert_eq!(listed, rows);
    }
}
