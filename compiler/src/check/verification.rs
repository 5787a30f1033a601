//! Verification: something must check each criterion and each unit, and someone must do the work.
//!
//! Does not know how a verifier runs.

use std::collections::BTreeSet;

use super::Context;
use crate::diagnostic::{Applicability, Diagnostic, Edit};
use crate::plan::stdlib::is_path as is_stdlib;
use crate::plan::{Blocks, By, Criterion, Isolation, ReviewPolicy, Role, Tier, Unit, VerifierIx};
use crate::source::Span;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    unverified_criteria(context, diagnostics);
    for unit in context.plan.units.iter().filter(|unit| unit.role == Role::Work && !unit.broken) {
        unverified_unit(context, unit, diagnostics);
    }
    whole_tree_keys(context, diagnostics);
    agentless_units(context, diagnostics);
}

fn unverified_criteria(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let of_units = plan.units.iter().filter(|unit| !unit.broken).flat_map(|unit| &unit.accept);
    let of_gates = plan.gates.iter().flat_map(|gate| &gate.accept);
    let narrow: Vec<&str> = plan
        .verifiers
        .iter()
        .filter(|verifier| verifier.tier == Tier::Narrow)
        .map(|verifier| verifier.id.value.as_str())
        .collect();
    for criterion in of_units.chain(of_gates) {
        if !criterion.by.is_empty() || !criterion.predicates.is_empty() || criterion.check_stated {
            continue;
        }
        let message = format!("nothing checks the criterion \"{}\"", criterion.text);
        let mut diagnostic = Diagnostic::new("unverified-criterion", criterion.span, message)
            .help("name what checks it: `by=` with a verifier or a manual")
            .help("or give it a block of predicates: `exists`, `missing`, `matches`, `changed`, `unchanged`, `run`");
        if let Some(first) = narrow.first() {
            let end = Span { start: criterion.span.end, ..criterion.span };
            let applicability =
                if narrow.len() == 1 { Applicability::Unsafe } else { Applicability::Display };
            let edit = Edit { span: end, text: format!(" by={}", super::edit::name(first)) };
            diagnostic = diagnostic.fix(format!("let `{first}` check it"), applicability, vec![edit]);
        }
        diagnostics.push(diagnostic);
    }
}

fn unverified_unit(context: &Context<'_>, unit: &Unit, diagnostics: &mut Vec<Diagnostic>) {
    let judged = |criterion: &Criterion| {
        let by_person = criterion.by.iter().any(|by| matches!(by, By::Manual(_)));
        by_person || !criterion.predicates.is_empty()
    };
    if unit.accept.iter().any(judged) || can_reject(context, unit) {
        return;
    }
    let id = &unit.id.value;
    if unit.verify.is_empty() {
        let named = || unit.accept.iter().any(|criterion| criterion.check_stated);
        // What checks it by default is taken away on purpose: the reason is recorded, and stands on the gate's page.
        let skipped = !unit.skip.is_empty() && unit.skip.iter().all(|skip| skip.reason.is_some());
        if skipped || named() || context.found_earlier(&["unknown-verifier", "unknown-reviewer"], unit.span) {
            return;
        }
        let message = format!("nothing checks what `{id}` does");
        let mut diagnostic = Diagnostic::new("no-verification", unit.id.span, message)
            .help("name a verifier: `verify NAME` here, or in `defaults` for every unit")
            .help("or give an `accept` a block of predicates, which need no verifier");
        let only = context.plan.verifiers.first().filter(|_| context.plan.verifiers.len() == 1);
        let line = only.map(|verifier| format!("verify {}", super::edit::name(&verifier.id.value)));
        if let Some(edit) = line.and_then(|line| super::edit::add_line(unit, &line, context.map)) {
            diagnostic =
                diagnostic.fix("let the plan's verifier check it", Applicability::Unsafe, vec![edit]);
        }
        diagnostics.push(diagnostic);
    } else if unit.verify.iter().all(|verification| verification.expect_fail) {
        let message =
            format!("all that checks `{id}` is expected to fail, so that doing nothing well passes too");
        let place = unit.verify[0].span;
        diagnostics.push(
            Diagnostic::new("expect-fail-only", place, message).help(
                "add a verifier that must pass, such as one that compiles or lints what the unit wrote",
            ),
        );
    }
}

/// Is there a review that may reject what the unit does?
fn can_reject(context: &Context<'_>, unit: &Unit) -> bool {
    let reviews = unit.review.iter().filter(|review| review.policy != ReviewPolicy::Advisory);
    let mut reviewers = reviews.flat_map(|review| &review.reviewers);
    reviewers.any(|one| context.plan.reviewers[one.value.0 as usize].blocks != Blocks::Never)
}

fn whole_tree_keys(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let of_units = plan.units.iter().flat_map(|unit| &unit.verify);
    let used: BTreeSet<VerifierIx> = of_units
        .chain(plan.gates.iter().flat_map(|gate| &gate.verify))
        .map(|verify| verify.verifier)
        .collect();
    for verifier in used.into_iter().map(|verifier| &plan.verifiers[verifier.0 as usize]) {
        let Some(inputs) = verifier.inputs.first() else { continue };
        let held = verifier.isolation.as_ref().map(|isolation| isolation.value);
        // Nobody who imports a verifier can edit it.
        let imported = is_stdlib(&context.map.file(inputs.span.file).path);
        if imported || matches!(held, Some(Isolation::Enforce | Isolation::Observe)) {
            continue;
        }
        let id = &verifier.id.value;
        let message =
            format!("a change anywhere in the tree runs `{id}` again, not one in its `inputs` alone");
        diagnostics.push(
            Diagnostic::new("whole-tree-key", inputs.span, message)
                .help("let the verifier see its inputs alone, and they are its key: `isolation=enforce`"),
        );
    }
}

fn agentless_units(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    if context.earlier.iter().any(|diagnostic| diagnostic.rule.name == "unknown-agent") {
        return;
    }
    let agentless = |unit: &&Unit| unit.role == Role::Work && unit.agent.is_none() && !unit.broken;
    let units: Vec<&Unit> = context.plan.units.iter().filter(agentless).collect();
    let Some(first) = units.first() else { return };
    let message = match units.len() {
        1 => format!("no agent does `{}`", first.id.value),
        count => format!("no agent does `{}`, nor {} other units", first.id.value, count - 1),
    };
    let mut diagnostic = Diagnostic::new("unknown-agent", first.id.span, message);
    diagnostic = match context.plan.agents.first() {
        Some(agent) => diagnostic.help(format!(
            "add `defaults agent={}` to `project` in loop.kdl, or `agent=` to the unit",
            super::edit::name(&agent.id.value)
        )),
        None => diagnostic
            .help("add `agent implementer via=claude` to `project` in loop.kdl (or `via=command` with `run`)")
            .help("and beside it `defaults agent=implementer`"),
    };
    diagnostics.push(diagnostic);
}
