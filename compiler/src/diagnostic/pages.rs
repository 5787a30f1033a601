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
    ("already-green", "notes.md", include_bytes!("pages/already-green/files/notes.md")),
    ("unclassified-failure", "report.txt", include_bytes!("pages/unclassified-failure/files/report.txt")),
    ("ambiguous-heading", "docs/tone.md", include_bytes!("pages/ambiguous-heading/files/docs/tone.md")),
    ("empty-glob", "docs/tone.md", include_bytes!("pages/empty-glob/files/docs/tone.md")),
    ("forwarded-arguments", "package.json", include_bytes!("pages/forwarded-arguments/files/package.json")),
    ("gate-file", "speed.loop.kdl", include_bytes!("pages/gate-file/files/speed.loop.kdl")),
    ("ignored-path", ".gitignore", include_bytes!("pages/ignored-path/files/.gitignore")),
    ("import-cycle", "checks.loop.kdl", include_bytes!("pages/import-cycle/files/checks.loop.kdl")),
    ("import-cycle", "more.loop.kdl", include_bytes!("pages/import-cycle/files/more.loop.kdl")),
    ("import-cycle", "plain.loop.kdl", include_bytes!("pages/import-cycle/files/plain.loop.kdl")),
    ("line-drift", "site/style.css", include_bytes!("pages/line-drift/files/site/style.css")),
    ("missing-file", "docs/tone.md", include_bytes!("pages/missing-file/files/docs/tone.md")),
    ("missing-heading", "docs/tone.md", include_bytes!("pages/missing-heading/files/docs/tone.md")),
    ("missing-program", "scripts/links.sh", include_bytes!("pages/missing-program/files/scripts/links.sh")),
    ("missing-script", "Makefile", include_bytes!("pages/missing-script/files/Makefile")),
    ("unknown-import", "checks.loop.kdl", include_bytes!("pages/unknown-import/files/checks.loop.kdl")),
    ("unknown-path", "site/style.css", include_bytes!("pages/unknown-path/files/site/style.css")),
    ("unused-import", "checks.loop.kdl", include_bytes!("pages/unused-import/files/checks.loop.kdl")),
    ("unreadable-text", "umlauts.loop.kdl", include_bytes!("pages/unreadable-text/files/umlauts.loop.kdl")),
    (
        "verifier-config-writable",
        "rustfmt.toml",
        include_bytes!("pages/verifier-config-writable/files/rustfmt.toml"),
    ),
    (
        "verifier-writable",
        "scripts/links.sh",
        include_bytes!("pages/verifier-writable/files/scripts/links.sh"),
    ),
];

/// Path and content of the files that a rule's examples need besides.
pub fn files(rule: &Rule) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter(|(name, ..)| *name == rule.name).map(|(_, path, content)| (*path, *content))
}

/// A file of an example that is too long to be kept: `docs/guide.md`, of which one section is short.
pub fn made(rule: &Rule) -> Option<(&'static str, String)> {
    let long = "What could be said in few words is said in many, and then again.\n".repeat(4_000);
    (rule.name == "prompt-too-large")
        .then(|| ("docs/guide.md", format!("# Guide\n\n{long}\n# Tone\n\nPlain words.\n")))
}

/// Rules that hold a plan against all files of its repository: their examples are whole repositories. Others leave open
/// what else there is.
const WHOLE: &[&str] = &[
    "ignored-path",
    "unknown-path",
    "empty-glob",
    "missing-script",
    "missing-program",
    "forwarded-arguments",
    "verifier-writable",
    "verifier-config-writable",
];

/// Are the example's files all that there is?
pub fn is_whole(rule: &Rule) -> bool {
    WHOLE.contains(&rule.name)
}

/// An example that begins with `project` is a `loop.kdl`, any other a plan.
pub fn is_project(example: &str) -> bool {
    example.starts_with("project ")
}
