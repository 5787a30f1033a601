//! The examples on the rules' pages, as small repositories that can be compiled.
//!
//! Does not know what is wrong with them: whoever asks finds out by compiling.

use camino::Utf8Path;

use crate::compile::{Compilation, compile};
use crate::diagnostic::Rule;
use crate::source::memory::MemorySources;

/// The path of an example's plan.
pub const PLAN: &str = "plan.loop.kdl";

/// The `loop.kdl` of every example that has none of its own.
pub const PROJECT: &str = include_str!("diagnostic/pages/common/loop.kdl");

/// Further files of some rules' examples: rule, path, content.
const FILES: &[(&str, &str, &[u8])] = &[
    (
        "import-cycle",
        "checks.loop.kdl",
        include_bytes!("diagnostic/pages/import-cycle/files/checks.loop.kdl"),
    ),
    ("import-cycle", "more.loop.kdl", include_bytes!("diagnostic/pages/import-cycle/files/more.loop.kdl")),
    ("import-cycle", "plain.loop.kdl", include_bytes!("diagnostic/pages/import-cycle/files/plain.loop.kdl")),
    ("missing-file", "docs/tone.md", include_bytes!("diagnostic/pages/missing-file/files/docs/tone.md")),
    (
        "missing-heading",
        "docs/tone.md",
        include_bytes!("diagnostic/pages/missing-heading/files/docs/tone.md"),
    ),
    (
        "unknown-import",
        "checks.loop.kdl",
        include_bytes!("diagnostic/pages/unknown-import/files/checks.loop.kdl"),
    ),
    (
        "unreadable-text",
        "umlauts.loop.kdl",
        include_bytes!("diagnostic/pages/unreadable-text/files/umlauts.loop.kdl"),
    ),
    ("whole-tree-key", "loop.kdl", include_bytes!("diagnostic/pages/whole-tree-key/files/loop.kdl")),
];

/// Compiles the plan that breaks the rule.
pub fn bad(rule: &Rule) -> Compilation {
    example(rule, rule.bad)
}

/// Compiles the plan that keeps the rule.
pub fn good(rule: &Rule) -> Compilation {
    example(rule, rule.good)
}

fn example(rule: &Rule, plan: &str) -> Compilation {
    let mut sources = MemorySources::default();
    sources.insert("loop.kdl", PROJECT);
    for (_, path, content) in FILES.iter().filter(|(name, ..)| *name == rule.name) {
        sources.insert(path, *content);
    }
    sources.insert(PLAN, plan);
    compile(Some(Utf8Path::new("loop.kdl")), &[PLAN.into()], &sources)
}
