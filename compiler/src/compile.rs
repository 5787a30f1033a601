//! The whole compilation of one or more plans: every phase in its order, every file's mistakes in one list.
//!
//! Does not know what a phase does, nor where files come from.

use camino::{Utf8Path, Utf8PathBuf};

use crate::check::unused::Tally;
use crate::check::{CheckedPlan, judge};
use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::names::duplicate_features;
use crate::plan::{Input, lower, settle};
use crate::source::{SourceMap, Sources, Spanned};

/// What came out.
#[derive(Debug)]
pub struct Compilation {
    /// Every file that was read.
    pub map: SourceMap,
    /// By path and place; what several plans say alike about a file that they share is there once.
    pub diagnostics: Vec<Diagnostic>,
    /// What rules found that must be asked for, and were not: about sound plans too, in the same order.
    pub unasked: Vec<Diagnostic>,
    /// The plans in the order in which they were given; `None` where a plan has errors, or is no feature's.
    pub plans: Vec<(Utf8PathBuf, Option<CheckedPlan>)>,
}

impl Compilation {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Asks for every rule: what those that are off found goes to the other findings, each in its place.
    pub fn add_unasked(&mut self) {
        self.diagnostics.append(&mut self.unasked);
        sort(&mut self.diagnostics, &self.map);
    }
}

/// Plans that share a project file. Without plans, the project file alone is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `loop.kdl`, from the repository's root.
    pub project: Option<Utf8PathBuf>,
    pub plans: Vec<Utf8PathBuf>,
    /// Are these all the plans that the project has? Only then can it be said that none of them uses something.
    pub whole: bool,
}

/// Compiles plans of one project. Paths count from the repository's root.
pub fn compile(project: Option<&Utf8Path>, plans: &[Utf8PathBuf], sources: &dyn Sources) -> Compilation {
    let group = Group { project: project.map(Utf8Path::to_owned), plans: plans.to_vec(), whole: false };
    compile_groups(&[group], sources)
}

/// Compiles plans of several projects in one repository.
pub fn compile_groups(groups: &[Group], sources: &dyn Sources) -> Compilation {
    let mut map = SourceMap::default();
    let mut diagnostics = Vec::new();
    let mut unasked = Vec::new();
    let mut plans = Vec::new();
    let mut features: Vec<Spanned<String>> = Vec::new();
    for group in groups {
        let project = group.project.as_deref();
        let mut tally = Tally::default();
        let first = plans.len();
        let alone = group.plans.is_empty().then_some(None);
        for path in group.plans.iter().map(Some).chain(alone) {
            let lowered = lower(&Input { project, plan: path.map(|path| path.as_path()) }, sources, &mut map);
            features.extend(lowered.plan.feature.as_ref().map(|feature| feature.id.clone()));
            let judged = judge(lowered.plan, sources, &map, &lowered.diagnostics, &mut tally);
            let all = lowered.diagnostics.into_iter().chain(judged.diagnostics).collect();
            diagnostics.extend(settle(all, &map));
            unasked.extend(settle(judged.unasked, &map));
            plans.extend(path.map(|path| (path.clone(), judged.checked)));
        }
        let (found, more) = tally.finish(group.whole, &map);
        if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            plans[first..].iter_mut().for_each(|(_, checked)| *checked = None);
        }
        diagnostics.extend(found);
        unasked.extend(more);
    }
    // By path, so that the order in which plans are given decides nothing.
    features.sort_by_cached_key(|id| (map.file(id.span.file).path.clone(), id.span));
    features.dedup_by_key(|id| id.span);
    diagnostics.extend(duplicate_features(&features));
    sort(&mut diagnostics, &map);
    sort(&mut unasked, &map);
    Compilation { map, diagnostics, unasked, plans }
}

/// By path, place, rule and message, without repetitions.
fn sort(diagnostics: &mut Vec<Diagnostic>, map: &SourceMap) {
    let key = |diagnostic: &Diagnostic| {
        let span = diagnostic.primary.span;
        (
            map.file(span.file).path.clone(),
            span.start,
            span.end,
            diagnostic.rule.code,
            diagnostic.message.clone(),
        )
    };
    diagnostics.sort_by_cached_key(key);
    // Equal ones are neighbours now, or have only others of the same key between them.
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics.drain(..) {
        let alike = |other: &&Diagnostic| other.primary.span == diagnostic.primary.span;
        if !kept.iter().rev().take_while(alike).any(|other| *other == diagnostic) {
            kept.push(diagnostic);
        }
    }
    *diagnostics = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render::short;
    use crate::source::memory::MemorySources;

    const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    \
                           verifier test { run make; }\n}\n";

    fn plan(feature: &str, unit: &str) -> String {
        format!("feature {feature} {{\n    unit {unit} {{ goal \"g\"; creates \"{feature}\"; }}\n}}\n")
    }

    fn paths(names: &[&str]) -> Vec<Utf8PathBuf> {
        names.iter().map(Utf8PathBuf::from).collect()
    }

    #[test]
    fn a_mistake_in_the_shared_file_is_told_once_and_hides_no_plan() {
        let sources = MemorySources::new([
            ("loop.kdl", PROJECT.replace("agent=w", "agent=x")),
            ("a.loop.kdl", plan("A", "u")),
            ("b.loop.kdl", plan("B", "u").replace("goal", "gaol")),
        ]);
        let plans = paths(&["b.loop.kdl", "a.loop.kdl"]);
        let compiled = compile(Some(Utf8Path::new("loop.kdl")), &plans, &sources);
        let told = short(&compiled.diagnostics, &compiled.map);
        let places: Vec<&str> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(places.iter().filter(|place| **place == "loop.kdl:3:20").count(), 1, "{told}");
        assert!(places.contains(&"b.loop.kdl:2:14"), "{told}");
        let mut files: Vec<&str> = places.iter().filter_map(|place| place.split(':').next()).collect();
        assert!(files.is_sorted(), "{told}");
        files.dedup();
        assert_eq!(files, ["b.loop.kdl", "loop.kdl"], "{told}");
        let order: Vec<&str> = compiled.plans.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(order, ["b.loop.kdl", "a.loop.kdl"], "plans stay as they were given");
        assert!(compiled.plans.iter().all(|(_, checked)| checked.is_none()), "neither can be built");
    }

    #[test]
    fn the_order_of_plans_changes_no_report() {
        let sources = MemorySources::new([
            ("loop.kdl", PROJECT.to_owned()),
            ("a.loop.kdl", plan("F", "u")),
            ("b.loop.kdl", plan("f", "v")),
        ]);
        let told = |names: &[&str]| {
            let compiled = compile(Some(Utf8Path::new("loop.kdl")), &paths(names), &sources);
            short(&compiled.diagnostics, &compiled.map)
        };
        let once = told(&["a.loop.kdl", "b.loop.kdl"]);
        assert!(once.starts_with("b.loop.kdl:1:9: error[L0201/duplicate-id]"), "{once}");
        assert_eq!(once.lines().count(), 1, "{once}");
        assert_eq!(told(&["b.loop.kdl", "a.loop.kdl"]), once);
        assert_eq!(told(&["a.loop.kdl", "a.loop.kdl"]), "", "a plan does not clash with itself");
    }

    #[test]
    fn a_project_alone_is_judged_and_groups_do_not_see_each_other() {
        let sources = MemorySources::new([
            ("loop.kdl", PROJECT.to_owned()),
            ("sub/loop.kdl", PROJECT.replace("test", "quick")),
            ("sub/a.loop.kdl", plan("A", "u { verify test; }\n    unit v")),
            ("b.loop.kdl", plan("B", "u")),
        ]);
        let alone = compile(Some(Utf8Path::new("loop.kdl")), &[], &sources);
        assert!(alone.diagnostics.is_empty() && alone.plans.is_empty());
        let groups = [
            Group { project: Some("loop.kdl".into()), plans: paths(&["b.loop.kdl"]), whole: true },
            Group { project: Some("sub/loop.kdl".into()), plans: paths(&["sub/a.loop.kdl"]), whole: true },
        ];
        let compiled = compile_groups(&groups, &sources);
        let told = short(&compiled.diagnostics, &compiled.map);
        assert!(told.contains("sub/a.loop.kdl:2:21: error[L0204/unknown-verifier]"), "{told}");
        assert!(!told.contains("\nb.loop.kdl") && !told.starts_with("b.loop.kdl"), "{told}");
        assert!(compiled.plans[0].1.is_some() && compiled.plans[1].1.is_none(), "{told}");
    }
}
