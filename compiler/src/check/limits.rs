//! Budgets and time limits: one that can never be kept, or that lets nothing start, is no limit.
//!
//! Does not know what work costs.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use crate::diagnostic::Diagnostic;
use crate::plan::{Agent, Approve, Budget, Gate, Role, Unit};
use crate::source::Span;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    without_costs(context, diagnostics);
    nothing_to_spend(context, diagnostics);
    larger_than_around(context, diagnostics);
    longer_than_allowed(context, diagnostics);
    overcommitted(context, diagnostics);
}

/// Amounts as people write them: `12.5`.
fn dollars(micro: u64) -> String {
    let (whole, part) = (micro / 1_000_000, micro % 1_000_000);
    if part == 0 {
        return format!("${whole}");
    }
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    format!("${whole}.{part:0<2}")
}

/// `3h20m`.
pub(super) fn time(ms: u64) -> String {
    let mut out = String::new();
    let mut rest = ms;
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if rest >= unit {
            out.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    out
}

/// Words for one further unit, or for `N`.
fn others(count: usize, words: [&str; 2]) -> String {
    match count {
        0 => String::new(),
        1 => format!(", {}", words[0]),
        count => format!(", {}", words[1].replace('N', &count.to_string())),
    }
}

fn work<'p>(context: &Context<'p>) -> impl Iterator<Item = &'p Unit> {
    context.plan.units.iter().filter(|unit| unit.role == Role::Work)
}

/// Around a unit: whose budget it is, and the budget.
fn around<'p>(context: &Context<'p>, gate: &'p Gate) -> Vec<(String, &'p Budget)> {
    let of_gate = [(format!("gate `{}`", gate.id.value), &gate.budget)];
    let feature = context.plan.feature.iter().map(|feature| ("the feature".to_owned(), &feature.budget));
    let project = context.plan.project.iter().map(|project| ("the project".to_owned(), &project.budget));
    of_gate.into_iter().chain(feature).chain(project).collect()
}

/// A money budget can be kept only if the agent tells what it spent.
fn without_costs(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let mut reported: BTreeSet<Span> = BTreeSet::new();
    let mut report = |budget: &Budget, unit: &Unit, agent: &Agent| {
        let (Some(_), Some(span)) = (budget.micro_usd.or(budget.retry_micro_usd), budget.span) else {
            return;
        };
        if reported.insert(span) {
            let message = format!(
                "the budget in money holds for `{}`, whose agent `{}` reports no cost",
                unit.id.value, agent.id.value
            );
            diagnostics.push(
                Diagnostic::new("budget-impossible", span, message)
                    .label(
                        agent.id.span,
                        format!("`via={}` does not say what a session costs", agent.via.word()),
                    )
                    .help("limit its time instead: `budget time=\"1h\"`, or `timeout`")
                    .help("or give the unit an agent that reports its cost"),
            );
        }
    };
    for unit in work(context) {
        // What a reviewer spends is counted if it is told; what the work costs has to be.
        let Some(agent) = &unit.agent else { continue };
        let agent = &plan.agents[agent.value.0 as usize];
        if agent.via.reports_cost() {
            continue;
        }
        let gate = &plan.gates[unit.gate.0 as usize].budget;
        let project = plan.project.iter().map(|project| &project.budget);
        let feature = plan.feature.iter().map(|feature| &feature.budget);
        for budget in [&unit.budget, gate].into_iter().chain(feature).chain(project) {
            report(budget, unit, agent);
        }
        if let Approve::Auto(bounds) = plan.gates[unit.gate.0 as usize].approve {
            let bound = Budget { micro_usd: bounds.micro_usd, span: bounds.span, ..Budget::default() };
            report(&bound, unit, agent);
        }
    }
}

/// `usd=0`: no attempt can be paid, so no unit under it ever starts.
fn nothing_to_spend(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let of_units = work(context).map(|unit| (format!("`{}`", unit.id.value), &unit.budget));
    let of_others = context.plan.gates.iter().flat_map(|gate| around(context, gate));
    let mut seen: BTreeSet<Span> = BTreeSet::new();
    for (whose, budget) in of_units.chain(of_others) {
        let Some(span) = budget.span.filter(|_| budget.micro_usd == Some(0)) else { continue };
        if seen.insert(span) && !reported(diagnostics, span) {
            let message = format!("{whose} has nothing to spend: no attempt can be paid");
            diagnostics.push(
                Diagnostic::new("budget-impossible", span, message)
                    .at("no agent starts")
                    .help("give it an amount, or leave `usd=` out for no limit"),
            );
        }
    }
}

fn reported(diagnostics: &[Diagnostic], span: Span) -> bool {
    // Budgets are few, and their findings fewer.
    diagnostics.iter().any(|found| found.rule.name == "budget-impossible" && found.primary.span == span)
}

/// A budget of units that is larger than one around them.
struct TooLarge<'p> {
    /// The first of the units, and how many more there are.
    unit: &'p Unit,
    more: usize,
    own: u64,
    whose: &'p str,
    limit: u64,
}

/// Before an attempt starts, all that it may cost is taken out of the budgets around it: a unit that may cost more
/// than there is never starts.
fn larger_than_around(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let outer: Vec<Vec<(String, &Budget)>> = plan.gates.iter().map(|gate| around(context, gate)).collect();
    // By the two places: a budget of `defaults` is in many units.
    let mut found: BTreeMap<(Span, Span), TooLarge<'_>> = BTreeMap::new();
    for unit in work(context) {
        let (Some(own), Some(span)) = (unit.budget.micro_usd, unit.budget.span) else { continue };
        let smallest = outer[unit.gate.0 as usize]
            .iter()
            .filter_map(|(whose, budget)| Some((budget.micro_usd?, whose, budget.span?)))
            .filter(|(limit, ..)| *limit < own && *limit > 0)
            .min_by_key(|(limit, ..)| *limit);
        if let Some((limit, whose, outer)) = smallest {
            let new = TooLarge { unit, more: 0, own, whose, limit };
            found.entry((span, outer)).and_modify(|known| known.more += 1).or_insert(new);
        }
    }
    for ((span, outer), TooLarge { unit, more, own, whose, limit }) in found {
        let id = &unit.id.value;
        let message = format!(
            "an attempt of `{id}` may cost {}{}, and {whose} has {} in all: it never starts",
            dollars(own),
            others(more, ["like one of another unit", "like one of N others"]),
            dollars(limit)
        );
        diagnostics.push(
            Diagnostic::new("budget-impossible", span, message)
                .at(format!("{} for each attempt", dollars(own)))
                .label(outer, format!("{} for all of them", dollars(limit)))
                .help("lower the one or raise the other: what an attempt may cost is set aside before it starts"),
        );
    }
    for gate in &plan.gates {
        let Some(repair) = &gate.repair else { continue };
        let Some(own) = repair.micro_usd else { continue };
        let smallest = around(context, gate)
            .into_iter()
            .filter_map(|(whose, budget)| Some((budget.micro_usd?, whose, budget.span?)))
            .filter(|(limit, ..)| *limit < own && *limit > 0)
            .min_by_key(|(limit, ..)| *limit);
        if let Some((limit, whose, outer)) = smallest {
            let message = format!(
                "the repair of gate `{}` may cost {}, and {whose} has {} in all",
                gate.id.value,
                dollars(own),
                dollars(limit)
            );
            diagnostics.push(
                Diagnostic::new("budget-impossible", repair.span, message)
                    .label(outer, format!("{} for all of it", dollars(limit)))
                    .help("lower the one or raise the other"),
            );
        }
    }
    for (_, budget) in plan.gates.iter().flat_map(|gate| around(context, gate)) {
        let (Some(retry), Some(all), Some(span)) = (budget.retry_micro_usd, budget.micro_usd, budget.span)
        else {
            continue;
        };
        if retry > all && all > 0 && !reported(diagnostics, span) {
            let message =
                format!("{} are for further attempts, and {} for all of them", dollars(retry), dollars(all));
            diagnostics.push(
                Diagnostic::new("budget-impossible", span, message)
                    .at("`retry-usd=` is the larger one")
                    .help("make `retry-usd=` a part of `usd=`"),
            );
        }
    }
}

/// What is estimated is the author's own word: it cannot take longer than it may.
fn longer_than_allowed(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    // By the two lengths: estimate and limit may both come from `defaults`.
    let mut found: BTreeMap<(u64, u64), (&Unit, usize)> = BTreeMap::new();
    for unit in work(context) {
        if let (Some(estimate), Some(total)) = (unit.estimate_ms, unit.timeout.total_ms)
            && estimate > total
        {
            found.entry((estimate, total)).and_modify(|(_, more)| *more += 1).or_insert((unit, 0));
        }
    }
    for ((estimate, total), (unit, more)) in found {
        let message = format!(
            "`{}` is estimated at {}, and ends after {}{}",
            unit.id.value,
            time(estimate),
            time(total),
            others(more, ["and so does another unit", "and so do N others"])
        );
        diagnostics.push(
            Diagnostic::new("timeout-impossible", unit.id.span, message)
                .at("its attempts end before they are done")
                .help("raise `timeout total=`, or cut the unit into smaller ones"),
        );
    }
    let plan = context.plan;
    let sum = |units: &mut dyn Iterator<Item = &Unit>| units.filter_map(|unit| unit.estimate_ms).sum::<u64>();
    let mut report = |whose: String, budget: &Budget, estimated: u64| {
        let (Some(limit), Some(span)) = (budget.time_ms, budget.span) else { return false };
        if estimated > limit {
            let message = format!(
                "the units of {whose} are estimated at {} together, and its budget is {} of agents' time",
                time(estimated),
                time(limit)
            );
            diagnostics.push(
                Diagnostic::new("timeout-impossible", span, message)
                    .at("not enough for all of them")
                    .help("raise `budget time=`, or plan less"),
            );
        }
        estimated > limit
    };
    let mut by_gate = vec![0; plan.gates.len()];
    for unit in work(context) {
        by_gate[unit.gate.0 as usize] += unit.estimate_ms.unwrap_or(0);
    }
    let mut short = false;
    for (gate, estimated) in plan.gates.iter().zip(by_gate) {
        short |= report(format!("gate `{}`", gate.id.value), &gate.budget, estimated);
    }
    if let Some(feature) = plan.feature.as_ref().filter(|_| !short) {
        report("the feature".to_owned(), &feature.budget, sum(&mut work(context)));
    }
}

/// More is handed out than there is: the last units may find nothing left. Often meant so, hence said on request.
fn overcommitted(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let mut by_gate: Vec<(u64, u64)> = vec![(0, 0); plan.gates.len()];
    for unit in work(context) {
        let (first, all) = &mut by_gate[unit.gate.0 as usize];
        let own = unit.budget.micro_usd.unwrap_or(0);
        *first = first.saturating_add(own);
        *all = all.saturating_add(own.saturating_mul(u64::from(unit.retry.attempts)));
    }
    let total = by_gate
        .iter()
        .fold((0u64, 0u64), |(first, all), gate| (first.saturating_add(gate.0), all.saturating_add(gate.1)));
    let gates = plan
        .gates
        .iter()
        .zip(&by_gate)
        .map(|(gate, sums)| (format!("gate `{}`", gate.id.value), &gate.budget, *sums));
    let feature = plan.feature.iter().map(|feature| ("the feature".to_owned(), &feature.budget, total));
    let project = plan.project.iter().map(|project| ("the plan".to_owned(), &project.budget, total));
    for (whose, budget, (first, all)) in gates.chain(feature).chain(project) {
        let (Some(limit), Some(span)) = (budget.micro_usd, budget.span) else { continue };
        if all > limit {
            let message = format!(
                "the units of {whose} may spend {} on first attempts and {} on all, out of {}",
                dollars(first),
                dollars(all),
                dollars(limit)
            );
            diagnostics.push(
                Diagnostic::new("budget-overcommitted", span, message)
                    .at("handed out more than once")
                    .help("the run stops when it is spent; what is left then waits for a larger budget"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{compiled, project, told};
    use crate::diagnostic::render::short;

    #[test]
    fn amounts_and_times_are_written_as_in_a_plan() {
        for (micro, text) in
            [(0, "$0"), (2_000_000, "$2"), (2_500_000, "$2.50"), (2_123_450, "$2.12345"), (1, "$0.000001")]
        {
            assert_eq!(dollars(micro), text);
        }
        for (ms, text) in
            [(5_400_000, "1h30m"), (90_061_001, "1d1h1m1s1ms"), (2_700_000, "45m"), (500, "500ms")]
        {
            assert_eq!(time(ms), text);
        }
    }

    fn with(project_line: &str, lines: &str) -> Vec<String> {
        let plan = format!("feature f {{\n{lines}\n}}\n");
        let project = project(&format!("    {project_line}\n"));
        let project = project.replace("defaults agent=w", "defaults agent=w { verify test; }");
        told(&[("loop.kdl", &project), ("p.loop.kdl", &plan)])
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn an_attempt_must_fit_into_what_is_around_it() {
        let unit =
            |id: &str, usd: &str| format!("unit {id} {{ goal \"g\"; writes {id}; budget usd={usd}; }}\n");
        let gate = |budget: &str, units: &str| format!("gate g {{ {budget}\n{units} }}");
        let two = unit("a", "3") + &unit("b", "2.5");
        assert_eq!(with("", &gate("budget usd=3;", &two)), NOTHING, "each of them fits");
        assert_eq!(
            with("", &gate("budget usd=2.5;", &two)),
            [
                "p.loop.kdl:3:30: error[L0604/budget-impossible]: an attempt of `a` may cost $3, and gate `g` has $2.50 in all: it never starts"
            ]
        );
        assert_eq!(
            with("budget usd=1", &gate("budget usd=2;", &unit("a", "3"))),
            [
                "p.loop.kdl:3:30: error[L0604/budget-impossible]: an attempt of `a` may cost $3, and the project has $1 in all: it never starts"
            ]
        );
        let defaults = gate(
            "budget usd=2; defaults { budget usd=3; }",
            "unit a { goal \"g\"; writes a; }\nunit b { goal \"g\"; writes b; }",
        );
        let told = with("", &defaults);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("may cost $3, like one of another unit, and gate"), "{told:#?}");
    }

    #[test]
    fn nothing_is_not_enough() {
        let unit = "unit a { goal \"g\"; writes a; }";
        for (project, lines, expected) in [
            ("", format!("budget usd=0\n{unit}"), "the feature has nothing to spend"),
            ("budget usd=0", unit.to_owned(), "the project has nothing to spend"),
            ("", format!("gate g {{ budget usd=0.0; {unit}; }}"), "gate `g` has nothing to spend"),
            ("", "unit a { goal \"g\"; writes a; budget usd=0; }".to_owned(), "`a` has nothing to spend"),
        ] {
            let told = with(project, &lines);
            assert_eq!(told.len(), 1, "{told:#?}");
            assert!(told[0].contains(expected), "{told:#?}");
        }
        assert_eq!(with("", &format!("budget usd=0.000001\n{unit}")), NOTHING);
        let command = "agent c via=command { run \"./c\"; }";
        let told = with(command, "unit a agent=c { goal \"g\"; writes a; budget usd=0; }");
        assert_eq!(told.len(), 1, "the agent reports no cost, and that is enough: {told:#?}");
    }

    #[test]
    fn estimates_must_fit_into_limits() {
        let unit = |id: &str, estimate: &str, total: &str| {
            format!(
                "unit {id} estimate=\"{estimate}\" {{ goal \"g\"; writes {id}; timeout total=\"{total}\"; }}\n"
            )
        };
        assert_eq!(with("", &unit("a", "45m", "45m")), NOTHING);
        let told = with("", &(unit("a", "2h", "45m") + &unit("b", "2h", "45m")));
        assert_eq!(
            told,
            [
                "p.loop.kdl:2:6: error[L0612/timeout-impossible]: `a` is estimated at 2h, and ends after 45m, and so does another unit"
            ]
        );
        let sum = |limit: &str| {
            format!("budget time=\"{limit}\"\n{}{}", unit("a", "40m", "1h"), unit("b", "50m", "1h"))
        };
        assert_eq!(with("", &sum("90m")), NOTHING);
        assert_eq!(
            with("", &sum("89m")),
            [
                "p.loop.kdl:2:1: error[L0612/timeout-impossible]: the units of the feature are estimated at 1h30m together, and its budget is 1h29m of agents' time"
            ]
        );
        let idle =
            |timeout: &str| with("", &format!("unit a {{ goal \"g\"; writes a; timeout {timeout}; }}"));
        assert_eq!(idle("total=\"10m\" idle=\"9m\""), NOTHING);
        assert_eq!(idle("idle=\"9m\""), NOTHING);
        assert!(idle("total=\"10m\" idle=\"10m\"")[0].contains("error[L0612/timeout-impossible]"));
    }

    #[test]
    fn what_is_handed_out_twice_is_told_on_request() {
        let plan = "feature f {\nbudget usd=5\nunit a { goal \"g\"; writes a; budget usd=3; verify test; retry attempts=2; }\n\
                    unit b { goal \"g\"; writes b; budget usd=1; verify test; retry attempts=1; }\n}\n";
        let compiled = compiled(&[("loop.kdl", &project("")), ("p.loop.kdl", plan)]);
        assert_eq!(compiled.diagnostics, []);
        let told = short(&compiled.unasked, &compiled.map);
        assert!(
            told.contains("p.loop.kdl:2:1: note[L0624/budget-overcommitted]: the units of the feature may spend $4 on first attempts and $7 on all, out of $5"),
            "{told}"
        );
    }
}
