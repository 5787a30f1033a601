//! What stands beside the examples on the rules' pages: the project they belong to, and further files.
//!
//! Does not know what the files say.

use super::Rule;

/// The `loop.kdl` of every example that is a plan.
pub const PROJECT: &str = include_str!("pages/common/loop.kdl");

/// The plan of every example that is itself a `loop.kdl`.
pub const PLAN: &str = include_str!("pages/common/plan.loop.kdl");

/// Rule, path, content.
const FILES: &[(&str, &str, &[u8])] = &[
    ("import-cycle", "checks.loop.kdl", include_bytes!("pages/import-cycle/files/checks.loop.kdl")),
    ("import-cycle", "more.loop.kdl", include_bytes!("pages/import-cycle/files/more.loop.kdl")),
    ("import-cycle", "plain.loop.kdl", include_bytes!("pages/import-cycle/files/plain.loop.kdl")),
    ("missing-file", "docs/tone.md", include_bytes!("pages/missing-file/files/docs/tone.md")),
    ("missing-heading", "docs/tone.md", include_bytes!("pages/missing-heading/files/docs/tone.md")),
    ("unknown-import", "checks.loop.kdl", include_bytes!("pages/unknown-import/files/checks.loop.kdl")),
    ("unused-import", "checks.loop.kdl", include_bytes!("pages/unused-import/files/checks.loop.kdl")),
    ("unreadable-text", "umlauts.loop.kdl", include_bytes!("pages/unreadable-text/files/umlauts.loop.kdl")),
];

/// Path and content of the files that a rule's examples need besides.
pub fn files(rule: &Rule) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter(|(name, ..)| *name == rule.name).map(|(_, path, content)| (*path, *content))
}

/// An example that begins with `project` is a `loop.kdl`, any other a plan.
pub fn is_project(example: &str) -> bool {
    example.starts_with("project ")
}
