//! The whole compilation of one or more plans: every phase in its order, every file's mistakes in one list.
//!
//! Does not know what a phase does, nor where files come from.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use crate::check::{CheckedPlan, check};
use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::names::duplicate_features;
use crate::plan::{Input, lower};
use crate::source::{SourceMap, Sources, Span, Spanned};

/// What came out.
#[derive(Debug)]
pub struct Compilation {
    /// Every file that was read.
    pub map: SourceMap,
    /// By path and place; what several plans say alike about a file that they share is there once.
    pub diagnostics: Vec<Diagnostic>,
    /// The plans in the order in which they were given; `None` where a plan has errors, or is no feature's.
    pub plans: Vec<(Utf8PathBuf, Option<CheckedPlan>)>,
}

impl Compilation {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Plans that share a project file. Without plans, the project file alone is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `loop.kdl`, from the repository's root.
    pub project: Option<Utf8PathBuf>,
    pub plans: Vec<Utf8PathBuf>,
}

/// Compiles plans of one project. Paths count from the repository's root.
pub fn compile(project: Option<&Utf8Path>, plans: &[Utf8PathBuf], sources: &dyn Sources) -> Compilation {
    compile_groups(&[Group { project: project.map(Utf8Path::to_owned), plans: plans.to_vec() }], sources)
}

/// Compiles plans of several projects in one repository.
pub fn compile_groups(groups: &[Group], sources: &dyn Sources) -> Compilation {
    let mut map = SourceMap::default();
    let mut diagnostics = Vec::new();
    let mut plans = Vec::new();
    let mut features: Vec<Spanned<String>> = Vec::new();
    for group in groups {
        let project = group.project.as_deref();
        if group.plans.is_empty() {
            let lowered = lower(&Input { project, plan: None }, sources, &mut map);
            let (_, found) = check(lowered.plan, sources, &map, &lowered.diagnostics);
            diagnostics.extend(lowered.diagnostics);
            diagnostics.extend(found);
        }
        for path in &group.plans {
            let lowered = lower(&Input { project, plan: Some(path) }, sources, &mut map);
            features.extend(lowered.plan.feature.as_ref().map(|feature| feature.id.clone()));
            let (checked, found) = check(lowered.plan, sources, &map, &lowered.diagnostics);
            diagnostics.extend(lowered.diagnostics);
            diagnostics.extend(found);
            plans.push((path.clone(), checked));
        }
    }
    features.sort_by_key(|id| id.span);
    features.dedup_by_key(|id| id.span);
    diagnostics.extend(duplicate_features(&features));
    sort(&mut diagnostics, &map);
    Compilation { map, diagnostics, plans }
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
    let mut circles: BTreeSet<Vec<Span>> = BTreeSet::new();
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics.drain(..) {
        let alike = |other: &&Diagnostic| other.primary.span == diagnostic.primary.span;
        // A circle of files is found once from each plan in it, every time with another beginning.
        if diagnostic.rule.name == "import-cycle" && !circles.insert(places(&diagnostic)) {
            continue;
        }
        if !kept.iter().rev().take_while(alike).any(|other| *other == diagnostic) {
            kept.push(diagnostic);
        }
    }
    *diagnostics = kept;
}

/// Every place that a diagnostic points at, sorted.
fn places(diagnostic: &Diagnostic) -> Vec<Span> {
    let labels = diagnostic.labels.iter().map(|label| label.span);
    let mut places: Vec<Span> = labels.chain([diagnostic.primary.span]).collect();
    places.sort();
    places
}
