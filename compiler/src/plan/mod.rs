//! Documents become a [`Plan`]: nodes read against the schema table, names resolved, defaults applied.
//!
//! Does not know KDL's grammar (that is `syntax`) nor whether the plan is sound (that is `check`).

mod expected;
mod gate_file;
pub(crate) mod headings;
mod import;
mod lower;
mod mistakes;
pub mod model;
pub mod names;
mod params;
mod read;
pub mod schema;
pub mod stdlib;
mod substitute;
mod template;
pub mod values;

use camino::Utf8Path;

pub use lower::IMPLIED_GATE;
pub use model::*;

pub(crate) use template::settle;

use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, Sources};

/// What to compile: paths relative to the repository's root.
#[derive(Clone, Copy, Debug, Default)]
pub struct Input<'a> {
    /// `loop.kdl`.
    pub project: Option<&'a Utf8Path>,
    /// A `*.loop.kdl` file: a feature's plan, or one that only holds verifiers and agents for others to import.
    pub plan: Option<&'a Utf8Path>,
}

/// A plan and what was wrong with its text, sorted by place. Mistakes of syntax are among the diagnostics.
#[derive(Clone, Debug)]
pub struct Lowered {
    pub plan: Plan,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads `input` and what it imports, and says what the plan means. Files go into `map`; one that is there
/// already is not read again.
pub fn lower(input: &Input, sources: &dyn Sources, map: &mut SourceMap) -> Lowered {
    let mut diagnostics = Vec::new();
    let mut loaded = import::load(input.project, input.plan, sources, map, &mut diagnostics);
    let expanded = template::expand(&mut loaded, map, &mut diagnostics);
    let (plan, found) = lower::lower(&loaded, expanded, sources, map);
    diagnostics.extend(found);
    // A stable sort: findings about one place stay in the order in which they were made.
    diagnostics.sort_by_key(|found| (found.primary.span, found.rule.code));
    Lowered { plan, diagnostics }
}

#[cfg(test)]
mod tests;
