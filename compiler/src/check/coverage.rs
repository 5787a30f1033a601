//! Requirements and the units that serve them: none without a unit, and no unit that serves none.
//!
//! Does not know whether a unit does what it says.

use std::collections::BTreeSet;

use super::ownership::scope;
use super::{Context, edit};
use crate::diagnostic::{Applicability, Diagnostic};
use crate::glob::Pattern;
use crate::plan::schema::DEFAULT_KIND;
use crate::plan::{Role, Unit};

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    // A name that could not be resolved may be the one that is missing.
    let lost = ["unknown-requirement", "duplicate-id", "syntax-error", "not-yet"];
    if plan.requirements.is_empty() || context.earlier.iter().any(|found| lost.contains(&found.rule.name)) {
        return;
    }
    let mut covered = vec![false; plan.requirements.len()];
    for requirement in plan.units.iter().flat_map(|unit| &unit.covers) {
        covered[requirement.value.0 as usize] = true;
    }
    uncovered(context, &covered, diagnostics);
    orphans(context, diagnostics);
}

fn uncovered(context: &Context<'_>, covered: &[bool], diagnostics: &mut Vec<Diagnostic>) {
    let requirements = &context.plan.requirements;
    let units: Vec<&Unit> = context.plan.units.iter().filter(|unit| unit.role == Role::Work).collect();
    let open = || requirements.iter().zip(covered).filter(|(_, covered)| !**covered).map(|(open, _)| open);
    if covered.iter().all(|covered| !covered) && requirements.len() > 1 {
        // One omission, not as many as there are requirements.
        let message = format!("no unit covers any of the {} requirements", requirements.len());
        let mut found = Diagnostic::new("uncovered-requirement", requirements[0].id.span, message)
            .at("covered by nothing")
            .help("say in each unit which of them it serves: `covers ID`");
        for requirement in requirements[1..].iter().take(3) {
            found = found.label(requirement.id.span, "nor this one");
        }
        diagnostics.push(found);
        return;
    }
    for requirement in open() {
        let id = &requirement.id.value;
        let message = format!("no unit covers the requirement `{id}`");
        let mut found = Diagnostic::new("uncovered-requirement", requirement.id.span, message)
            .at("covered by nothing")
            .help(format!("add `covers {}` to the unit that does it", edit::name(id)))
            .help("or plan a unit for it; the feature would be done without it");
        if let [only] = units.as_slice()
            && let Some(edit) = edit::add_line(only, &format!("covers {}", edit::name(id)), context.map)
        {
            let title = format!("let `{}` cover it", only.id.value);
            found = found.fix(title, Applicability::Unsafe, vec![edit]);
        }
        diagnostics.push(found);
    }
}

/// Units of the main work that serve no requirement and on which nothing builds.
///
/// Only where the plan traces its work, that is where most units of this kind do name a requirement: in a plan
/// that lists a few requirements beside other work, a unit without one is no news. Docs, tests and other kinds serve
/// the feature as a whole; a unit of a gate is built upon by the gates behind it; and one that goes on with a file of
/// a unit that serves a requirement serves it too.
fn orphans(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let main = |unit: &Unit| unit.role == Role::Work && unit.kind == DEFAULT_KIND && !unit.broken;
    let all = plan.units.iter().filter(|unit| main(unit)).count();
    let tracing = plan.units.iter().filter(|unit| main(unit) && !unit.covers.is_empty()).count();
    if tracing * 2 <= all {
        return;
    }
    let mut built_on = vec![false; plan.units.len()];
    for before in plan.units.iter().flat_map(|unit| unit.needs.iter().chain(&unit.after)) {
        built_on[before.value.0 as usize] = true;
    }
    let mut followed = vec![false; plan.gates.len()];
    for before in super::gate_predecessors(plan).into_iter().flatten() {
        followed[before.0 as usize] = true;
    }
    let alone = |(at, unit): &(usize, &Unit)| {
        main(unit) && unit.covers.is_empty() && !built_on[*at] && !followed[unit.gate.0 as usize]
    };
    let alone: Vec<&Unit> = plan.units.iter().enumerate().filter(alone).map(|(_, unit)| unit).collect();
    if alone.is_empty() {
        return;
    }
    let of_covering = plan.units.iter().filter(|unit| !unit.covers.is_empty()).flat_map(scope);
    let touched: BTreeSet<&Pattern> = of_covering.map(|pattern| &pattern.value).collect();
    let goes_on = |unit: &Unit| scope(unit).any(|pattern| touched.contains(&pattern.value));
    for unit in alone.into_iter().filter(|unit| !goes_on(unit)) {
        let id = &unit.id.value;
        let message = format!("`{id}` covers no requirement, and nothing builds on it");
        let mut found = Diagnostic::new("orphan-unit", unit.id.span, message)
            .at("what is it for?")
            .help("name the requirement that it serves: `covers ID`")
            .help("or leave it out: the feature's requirements are met without it");
        if let [only] = plan.requirements.as_slice()
            && let Some(edit) =
                edit::add_line(unit, &format!("covers {}", edit::name(&only.id.value)), context.map)
        {
            found = found.fix(format!("let it cover `{}`", only.id.value), Applicability::Unsafe, vec![edit]);
        }
        diagnostics.push(found);
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{project, told};

    fn with(lines: &str) -> Vec<String> {
        let plan = format!("feature f {{\n{lines}\n}}\n");
        let defaults = project("").replace("defaults agent=w", "defaults agent=w { verify test; }");
        let all = told(&[("loop.kdl", &defaults), ("p.loop.kdl", &plan)]);
        all.iter().filter_map(|line| Some(line.split_once("]: ")?.1.to_owned())).collect()
    }

    #[test]
    fn each_requirement_wants_a_unit_or_a_manual() {
        let units = "unit a { goal \"g\"; writes \"a\"; covers R1; }\nmanual m { step \"s\"; covers R2; }";
        let all = "requirement R1 \"one\"\nrequirement R2 \"two\"";
        assert_eq!(with(&format!("{all}\n{units}")), [] as [&str; 0]);
        assert_eq!(
            with(&format!("{all}\nrequirement \"3\" \"three\"\n{units}")),
            ["no unit covers the requirement `3`"]
        );
        let none = "unit a { goal \"g\"; writes \"a\"; }";
        assert_eq!(with(&format!("{all}\n{none}")), ["no unit covers any of the 2 requirements"]);
        assert_eq!(with(&format!("requirement R \"one\"\n{none}")), ["no unit covers the requirement `R`"]);
        assert_eq!(with(none), [] as [&str; 0], "no requirements, no duty to name one");
        let misspelt = format!("{all}\n{}", units.replace("covers R2", "covers R3"));
        assert_eq!(with(&misspelt), ["no requirement is called `R3`"], "one mistake, one finding");
    }

    #[test]
    fn a_unit_that_nothing_asked_for_is_told() {
        let traced = "requirement R \"one\"\nunit a { goal \"g\"; writes \"a\"; covers R; }\nunit b { goal \"g\"; writes \"b\"; covers R; }\n";
        let and = |more: &str| with(&format!("{traced}{more}"));
        assert_eq!(
            and("unit c { goal \"g\"; writes \"c\"; }"),
            ["`c` covers no requirement, and nothing builds on it"]
        );
        for fine in [
            "unit c kind=docs { goal \"g\"; writes \"c\"; }",
            "unit c { goal \"g\"; writes \"c\"; }\nunit d { needs c; goal \"g\"; writes \"d\"; covers R; }",
            "unit c { goal \"g\"; after a; writes \"a\"; }",
            "unit c { goal \"g\"; writes \"c\"; }\nmanual d { after c; step \"s\"; }",
        ] {
            assert_eq!(and(fine), [] as [&str; 0], "{fine}");
        }
        let few = "requirement R \"one\"\nunit a { goal \"g\"; writes \"a\"; covers R; }\nunit c { goal \"g\"; writes \"c\"; }";
        assert_eq!(
            with(few),
            [] as [&str; 0],
            "half of the units name none: the plan does not trace its work"
        );
        let gates = "requirement R \"one\"\ngate one { unit c { goal \"g\"; writes \"c\"; }; }\n\
                     gate two { unit a { goal \"g\"; writes \"a\"; covers R; }; unit b { goal \"g\"; writes \"b\"; covers R; }; }";
        assert_eq!(with(gates), [] as [&str; 0], "the next gate builds on it");
    }
}
