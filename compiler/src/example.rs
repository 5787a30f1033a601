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

/// The plan beside an example that is itself a `loop.kdl`.
const COMMON_PLAN: &str = include_str!("diagnostic/pages/common/plan.loop.kdl");

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
];

/// Compiles the plan that breaks the rule.
pub fn bad(rule: &Rule) -> Compilation {
    example(rule, rule.bad)
}

/// Compiles the plan that keeps the rule.
pub fn good(rule: &Rule) -> Compilation {
    example(rule, rule.good)
}

/// An example that begins with `project` is a `loop.kdl`, any other a plan.
fn example(rule: &Rule, text: &str) -> Compilation {
    let mut sources = MemorySources::default();
    let (project, plan) = if text.starts_with("project ") { (text, COMMON_PLAN) } else { (PROJECT, text) };
    sources.insert("loop.kdl", project);
    for (_, path, content) in FILES.iter().filter(|(name, ..)| *name == rule.name) {
        sources.insert(path, *content);
    }
    sources.insert(PLAN, plan);
    compile(Some(Utf8Path::new("loop.kdl")), &[PLAN.into()], &sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render::{Style, human};
    use crate::diagnostic::{RULES, Severity};

    /// Each rule's page, its bad and its good plan: the corpus and the documentation are the same files.
    #[test]
    fn every_rule_is_broken_by_its_bad_plan_and_kept_by_its_good_one() {
        let mut wrong = Vec::new();
        for rule in RULES {
            let broken = bad(rule);
            let shown = human(&broken.diagnostics, &broken.map, Style::PLAIN);
            if !broken.diagnostics.iter().any(|found| found.rule == rule) {
                wrong.push(format!("bad plan of {} does not break it:\n{shown}", rule.name));
            } else if broken
                .diagnostics
                .iter()
                .any(|found| found.rule != rule && found.severity == Severity::Error)
            {
                wrong.push(format!("bad plan of {} breaks other rules too:\n{shown}", rule.name));
            }
            let kept = good(rule);
            let shown = human(&kept.diagnostics, &kept.map, Style::PLAIN);
            if kept.has_errors() || kept.diagnostics.iter().any(|found| found.rule == rule) {
                wrong.push(format!("good plan of {} is not good:\n{shown}", rule.name));
            } else if !kept.plans.iter().all(|(_, checked)| checked.is_some()) {
                wrong.push(format!("good plan of {} has no errors and cannot be built", rule.name));
            }
        }
        assert!(wrong.is_empty(), "{} of {} rules:\n\n{}", wrong.len(), RULES.len(), wrong.join("\n"));
    }

    /// A file that stands in a rule's directory and in no list would be read by nobody.
    #[test]
    fn every_file_of_an_example_is_listed() {
        let pages = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/diagnostic/pages"));
        let mut waiting = vec![pages.to_owned()];
        let mut found = Vec::new();
        while let Some(directory) = waiting.pop() {
            for entry in directory.read_dir_utf8().expect("the pages are readable") {
                let path = entry.expect("entries are readable").into_path();
                if path.is_dir() { waiting.push(path) } else { found.push(path) }
            }
        }
        for path in found {
            let inside = path.strip_prefix(pages).expect("it was found there").as_str();
            let (rule, rest) = inside.split_once('/').expect("files stand in a rule's directory");
            let known = match rest.strip_prefix("files/") {
                Some(file) => FILES.iter().any(|(name, listed, _)| *name == rule && *listed == file),
                None if rule == "common" => ["loop.kdl", "plan.loop.kdl"].contains(&rest),
                None => {
                    RULES.iter().any(|known| known.name == rule)
                        && ["page.md", "bad.loop.kdl", "good.loop.kdl"].contains(&rest)
                }
            };
            assert!(known, "{inside} belongs to no rule, or is missing from the list of files");
        }
    }
}
