//! `lint` nodes: what the plan says about the weight of rules, as a whole and in parts of it.
//!
//! Does not know what the rules find.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Level, Severity};
use crate::plan::Lint;
use crate::source::{SourceMap, Span};

/// The `lint` nodes of a plan, each rule's by place.
pub(super) struct Levels<'p> {
    lints: &'p [Lint],
    map: &'p SourceMap,
    by_rule: BTreeMap<&'p str, OfRule>,
    /// The nodes that made less of a finding.
    pub(super) used: BTreeSet<Span>,
}

/// The nodes about one rule.
#[derive(Default)]
struct OfRule {
    /// Numbers of those that hold for the whole plan.
    everywhere: Vec<usize>,
    /// Where a node holds, and its number; sorted, an outer place before those in it.
    places: Vec<(Span, usize)>,
    /// For each place, the one that it directly lies in.
    outer: Vec<Option<usize>>,
}

impl OfRule {
    /// Places come from the nodes of a document, so that any two of them are apart or one lies in the other.
    fn nest(&mut self) {
        self.places.sort_by_key(|(span, lint)| (span.file, span.start, std::cmp::Reverse(span.end), *lint));
        self.places.dedup();
        let mut open: Vec<usize> = Vec::new();
        for (at, (span, _)) in self.places.iter().enumerate() {
            while open.last().is_some_and(|outer| !self.places[*outer].0.contains(*span)) {
                open.pop();
            }
            self.outer.push(open.last().copied());
            open.push(at);
        }
    }

    /// Numbers of the nodes that hold at the place.
    fn at(&self, place: Span) -> impl Iterator<Item = usize> {
        let behind =
            self.places.partition_point(|(span, _)| (span.file, span.start) <= (place.file, place.start));
        let last = behind.checked_sub(1);
        let outwards = std::iter::successors(last, |at| self.outer[*at]);
        outwards.filter(move |at| self.places[*at].0.contains(place)).map(|at| self.places[at].1)
    }
}

/// A place in an expansion as the place in the template.
pub(super) fn written(span: Span, map: &SourceMap) -> Span {
    Span { file: map.written(span.file), ..span }
}

impl<'p> Levels<'p> {
    pub(super) fn new(lints: &'p [Lint], map: &'p SourceMap) -> Levels<'p> {
        let mut by_rule: BTreeMap<&str, OfRule> = BTreeMap::new();
        // A node that several expansions or plans brought along is one node.
        let mut first: BTreeMap<Span, usize> = BTreeMap::new();
        for (at, lint) in lints.iter().enumerate() {
            let at = *first.entry(written(lint.span, map)).or_insert(at);
            let of_rule = by_rule.entry(lint.rule.value.as_str()).or_default();
            match &lint.within {
                None if of_rule.everywhere.contains(&at) => {}
                None => of_rule.everywhere.push(at),
                Some(spans) => of_rule.places.extend(spans.iter().map(|span| (*span, at))),
            }
        }
        by_rule.values_mut().for_each(OfRule::nest);
        Levels { lints, map, by_rule, used: BTreeSet::new() }
    }

    /// The node that counts for a finding: the nearest that holds at one of its places.
    fn nearest(&self, found: &Diagnostic) -> Option<usize> {
        let of_rule = self.by_rule.get(found.rule.name)?;
        let places = std::iter::once(found.primary.span).chain(found.labels.iter().map(|label| label.span));
        // What a template made lies in the template, and where it is used.
        let uses = |place: &Span| Some(self.map.expansion(place.file)?.at);
        let places = places.flat_map(|place| std::iter::successors(Some(place), uses));
        let near = places.flat_map(|place| of_rule.at(place));
        near.chain(of_rule.everywhere.iter().copied()).min_by_key(|at| (self.lints[*at].reach, *at))
    }

    /// Does a node say anything about the finding?
    pub(super) fn sets(&self, found: &Diagnostic) -> bool {
        self.nearest(found).is_some()
    }

    /// Gives each finding the weight that the plan wants. What is allowed is dropped; what comes of rules that must be
    /// asked for, and were not, is given back.
    ///
    /// A rule that may not be lowered keeps its weight; that the plan tries is reported where names are resolved.
    pub(super) fn apply(&mut self, diagnostics: &mut Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut unasked = Vec::new();
        let all = std::mem::take(diagnostics);
        for mut found in all {
            let Some(at) = self.nearest(&found) else {
                if found.rule.on {
                    diagnostics.push(found)
                } else {
                    unasked.push(found)
                }
                continue;
            };
            let level = self.lints[at].level;
            if found.rule.lowered_by(level, None) && !found.rule.lowerable {
                diagnostics.push(found);
                continue;
            }
            if self.lints[at].lowers {
                self.used.insert(written(self.lints[at].span, self.map));
            }
            match level {
                Level::Allow => continue,
                Level::Warn => found.severity = Severity::Warning,
                Level::Deny => found.severity = Severity::Error,
            }
            diagnostics.push(found);
        }
        unasked
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{project, told};

    /// What `no-verification` weighs in a unit `u` of gate `g` and in another one beside the gate, with `lint` nodes at
    /// these places: project, feature, gate, unit, and inside `defaults` of project, feature and gate.
    fn weights(at: [&str; 7]) -> Vec<String> {
        let node = |level: &str| match level {
            "" => String::new(),
            level => format!("lint no-verification level={level} reason=\"r\"; "),
        };
        let [of_project, feature, gate, unit, in_project, in_feature, in_gate] = at.map(node);
        let project = project(&format!(
            "    {of_project}\n    defaults kind=code {{ retry attempts=2; {in_project} }}\n"
        ));
        let plan = format!(
            "feature f {{\n{feature}defaults {{ retry attempts=2; {in_feature} }}\ngate g {{\n{gate}defaults {{ retry attempts=2; {in_gate} }}\n\
             unit u {{ goal \"g\"; writes \"a\"; {unit} }}\n}}\ngate h {{\nunit v {{ goal \"g\"; writes \"b\"; }}\n}}\n}}\n"
        );
        let all = told(&[("loop.kdl", &project), ("p.loop.kdl", &plan)]);
        let of = |unit: &str| {
            let line = all.iter().find(|line| line.contains(&format!("checks what `{unit}`")));
            let word = |line: &String| line.split([' ', '[']).nth(1).map(str::to_owned);
            line.and_then(word).unwrap_or_else(|| "nothing".to_owned())
        };
        vec![of("u"), of("v")]
    }

    #[test]
    fn the_nearest_node_counts() {
        for (at, expected) in [
            (["", "", "", "", "", "", ""], ["error", "error"]),
            (["warn", "", "", "", "", "", ""], ["warning", "warning"]),
            (["warn", "allow", "", "", "", "", ""], ["nothing", "nothing"]),
            (["allow", "deny", "warn", "", "", "", ""], ["warning", "error"]),
            (["", "", "warn", "allow", "", "", ""], ["nothing", "error"]),
            (["", "", "allow", "deny", "", "", ""], ["error", "error"]),
            (["", "", "", "", "warn", "", ""], ["warning", "warning"]),
            (["allow", "", "", "", "warn", "", ""], ["warning", "warning"]),
            (["", "warn", "", "", "allow", "", ""], ["warning", "warning"]),
            (["", "", "", "", "allow", "warn", ""], ["warning", "warning"]),
            (["", "", "allow", "", "", "", "warn"], ["warning", "error"]),
            (["", "", "", "deny", "", "", "warn"], ["error", "error"]),
        ] {
            assert_eq!(weights(at), expected, "{at:?}");
        }
    }

    #[test]
    fn lowering_what_was_raised_around_needs_a_reason() {
        let plan = |unit: &str| {
            format!(
                "feature f {{\nunit u {{\ngoal \"g\"\nwrites \"a\"\nverify test\n{unit}\n}}\n}}\nverifier idle {{ run idle; }}\n"
            )
        };
        let of = |project_line: &str, unit: &str| {
            let project = project(&format!("    {project_line}\n"));
            let all = told(&[("loop.kdl", &project), ("p.loop.kdl", &plan(unit))]);
            all.iter().filter(|line| line.contains("lowered-without-reason")).count()
        };
        assert_eq!(of("", "lint unused-verifier level=warn"), 0, "it is a warning anyway");
        assert_eq!(of("lint unused-verifier level=deny", "lint unused-verifier level=warn"), 1);
        assert_eq!(of("lint unused-verifier level=deny", "lint unused-verifier level=warn reason=\"r\""), 0);
        let allowed = "lint no-verification level=allow reason=\"r\"";
        assert_eq!(of("", "lint no-verification level=warn"), 1);
        assert_eq!(
            of(allowed, "lint no-verification level=warn"),
            0,
            "it makes more of it than the project does"
        );
    }

    #[test]
    fn one_rule_once_in_a_node_and_no_rule_that_runs_lean_on() {
        let plan = "feature f {\nunit u {\ngoal \"g\"\nwrites \"a\"\nlint no-verification level=allow reason=\"r\"\n\
                    lint L0502 level=warn reason=\"r\"\nlint missing-scope level=allow reason=\"r\"\nlint nonsense level=deny\n}\n}\n";
        let told = told(&[("loop.kdl", &project("")), ("p.loop.kdl", plan)]);
        let rules: Vec<&str> = told.iter().filter_map(|line| line.split(['/', ']']).nth(1)).collect();
        assert_eq!(
            rules,
            ["duplicate-node", "deprecated-name", "unlowerable-rule", "unknown-rule"],
            "{told:#?}"
        );
    }

    /// Ten thousand findings under ten thousand nodes: as many steps, not their product.
    #[test]
    fn many_nodes_are_quick() {
        let mut plan = "feature f {\n".to_owned();
        for at in 0..10_000 {
            plan.push_str(&format!(
                "unit u{at} {{ goal \"g\"; writes \"a{at}\"; lint no-verification level=allow reason=\"r\"; }}\n"
            ));
        }
        plan.push_str("}\n");
        assert_eq!(told(&[("loop.kdl", &project("")), ("p.loop.kdl", &plan)]), [] as [&str; 0]);
    }
}
