//! How a plan runs at best: its longest chain, and how many units can run side by side.
//!
//! Does not know how long anything takes, beyond what `estimate=` says. These are notes about sound plans, told on
//! request.

use super::Context;
use super::limits::time;
use crate::diagnostic::Diagnostic;
use crate::plan::Role;

/// Of a longer chain the beginning and the end are named.
const NAMED: usize = 8;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let Some(feature) = &plan.feature else { return };
    let work = plan.units.iter().filter(|unit| unit.role == Role::Work).count();
    if work < 2 {
        return;
    }
    let estimated = plan.units.iter().filter(|unit| unit.estimate_ms.is_some()).count();
    // Without estimates each unit counts as one step.
    let weight = |item: u32| -> (u64, u64) {
        match plan.units.get(item as usize) {
            Some(unit) => (unit.estimate_ms.unwrap_or(0), 1),
            None => (0, 0),
        }
    };
    let items = plan.units.len() + plan.gates.len();
    let mut longest: Vec<(u64, u64)> = vec![(0, 0); items];
    let mut from: Vec<Option<u32>> = vec![None; items];
    let mut depth: Vec<u32> = vec![0; items];
    for (item, waits) in context.order.with_waits() {
        let best =
            waits.iter().copied().max_by_key(|wait| (longest[*wait as usize], std::cmp::Reverse(*wait)));
        let before = best.map_or((0, 0), |wait| longest[wait as usize]);
        let own = weight(item);
        longest[item as usize] = (before.0.saturating_add(own.0), before.1 + own.1);
        from[item as usize] = best;
        // A gate is no step of its own.
        let step = |wait: &u32| depth[*wait as usize] + u32::from((*wait as usize) < plan.units.len());
        depth[item as usize] = waits.iter().map(step).max().unwrap_or(0);
    }
    let Some(last) =
        (0..plan.units.len() as u32).max_by_key(|unit| (longest[*unit as usize], std::cmp::Reverse(*unit)))
    else {
        return;
    };
    let chain: Vec<u32> = std::iter::successors(Some(last), |item| from[*item as usize]).collect();
    let mut names: Vec<&str> = chain
        .iter()
        .rev()
        .filter_map(|item| Some(plan.units.get(*item as usize)?.id.value.as_str()))
        .collect();
    let (duration, steps) = longest[last as usize];
    if names.len() > NAMED {
        names.splice(NAMED / 2..names.len() - NAMED / 2, ["..."]);
    }
    let names = names.join(" -> ");
    let takes = match estimated {
        0 => String::new(),
        all if all == plan.units.len() => format!(", estimated at {}", time(duration)),
        some => {
            format!(", estimated at {} ({some} of {} units say how long)", time(duration), plan.units.len())
        }
    };
    let message = format!("the longest chain has {steps} of {} units{takes}: {names}", plan.units.len());
    diagnostics.push(
        Diagnostic::new("critical-path", feature.id.span, message)
            .help("the run takes at least as long as these, however much runs side by side"),
    );
    let mut by_depth: std::collections::BTreeMap<u32, Vec<usize>> = std::collections::BTreeMap::new();
    for (at, _) in
        plan.units.iter().enumerate().filter(|(at, unit)| unit.role == Role::Work && from_order(context, *at))
    {
        by_depth.entry(depth[at]).or_default().push(at);
    }
    let Some(widest) = by_depth.values().max_by_key(|units| (units.len(), std::cmp::Reverse(units[0])))
    else {
        return;
    };
    let mut names: Vec<&str> =
        widest.iter().take(NAMED).map(|at| plan.units[*at].id.value.as_str()).collect();
    if widest.len() > NAMED {
        names.push("...");
    }
    let message = match widest.len() {
        1 => "no two units run side by side".to_owned(),
        many => format!("{many} units can run side by side: {}", names.join(", ")),
    };
    diagnostics.push(
        Diagnostic::new("width", feature.id.span, message)
            .help("`--jobs` beyond that brings little; `after` and shared files make it smaller"),
    );
}

/// Units in a cycle have no place.
fn from_order(context: &Context<'_>, unit: usize) -> bool {
    context.order.position(crate::plan::UnitIx(unit as u32)).is_some()
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{compiled, project};

    fn notes(lines: &str) -> Vec<String> {
        let plan = format!("feature f {{\n{lines}\n}}\n");
        let project = project("").replace("defaults agent=w", "defaults agent=w { verify test; }");
        let compiled = compiled(&[("loop.kdl", &project), ("p.loop.kdl", &plan)]);
        assert_eq!(compiled.diagnostics, [], "nothing unless asked");
        let of_shape = compiled.unasked.iter().filter(|found| found.rule.code.starts_with("L03"));
        of_shape.map(|found| found.message.clone()).collect()
    }

    fn unit(id: &str, head: &str, needs: &str) -> String {
        let needs = if needs.is_empty() { String::new() } else { format!("needs {needs}; ") };
        format!("unit {id} {head} {{ goal \"g\"; {needs}writes \"{id}\"; }}\n")
    }

    #[test]
    fn the_longest_chain_and_the_widest_place() {
        let diamond = unit("a", "", "") + &unit("b", "", "a") + &unit("c", "", "a") + &unit("d", "", "b c");
        assert_eq!(
            notes(&diamond),
            ["the longest chain has 3 of 4 units: a -> b -> d", "2 units can run side by side: b, c"]
        );
        let timed = unit("a", "estimate=\"1h\"", "")
            + &unit("b", "estimate=\"10m\"", "a")
            + &unit("c", "estimate=\"2h\"", "");
        assert_eq!(notes(&timed)[0], "the longest chain has 1 of 3 units, estimated at 2h: c");
        let partly = unit("a", "estimate=\"1h\"", "") + &unit("b", "", "a");
        assert_eq!(
            notes(&partly)[0],
            "the longest chain has 2 of 2 units, estimated at 1h (1 of 2 units say how long): a -> b"
        );
        let chain = unit("a", "", "") + &unit("b", "", "a");
        assert_eq!(notes(&chain)[1], "no two units run side by side");
        assert_eq!(notes(&unit("a", "", "")), [] as [&str; 0], "one unit has no shape");
    }

    #[test]
    fn gates_are_part_of_the_order_and_no_steps() {
        let gates = format!(
            "gate g {{ {}{} }}\ngate h {{ {} }}",
            unit("a", "", ""),
            unit("b", "", ""),
            unit("c", "", "")
        );
        assert_eq!(
            notes(&gates),
            ["the longest chain has 2 of 3 units: a -> c", "2 units can run side by side: a, b"]
        );
    }

    #[test]
    fn a_long_chain_is_cut_in_words_and_costs_no_stack() {
        let mut text = unit("u0", "", "");
        for at in 1..5_000 {
            text.push_str(&unit(&format!("u{at}"), "", &format!("u{}", at - 1)));
        }
        let told = notes(&text);
        assert_eq!(
            told[0],
            "the longest chain has 5000 of 5000 units: u0 -> u1 -> u2 -> u3 -> ... -> u4996 -> u4997 -> u4998 -> u4999"
        );
    }
}
