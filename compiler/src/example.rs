//! The examples on the rules' pages, as small repositories that can be compiled.
//!
//! Does not know what is wrong with them: whoever asks finds out by compiling.

use crate::compile::{Compilation, Group, compile_groups};
use crate::diagnostic::{Applicability, Rule, pages};
use crate::source::memory::MemorySources;

/// The path of an example's plan.
pub const PLAN: &str = "plan.loop.kdl";

/// Compiles the plan that breaks the rule.
pub fn bad(rule: &Rule) -> Compilation {
    example(rule, rule.bad)
}

/// Compiles the plan that keeps the rule.
pub fn good(rule: &Rule) -> Compilation {
    example(rule, rule.good)
}

/// How far the readiest fix of the rule's own example may be trusted; `None` if there is no fix.
pub fn readiest_fix(rule: &Rule) -> Option<Applicability> {
    let compiled = bad(rule);
    let own = compiled.diagnostics.iter().filter(|found| found.rule == rule);
    let fixes: Vec<Applicability> = own.flat_map(|found| &found.fixes).map(|fix| fix.applicability).collect();
    [Applicability::Safe, Applicability::Unsafe, Applicability::Display]
        .into_iter()
        .find(|wanted| fixes.contains(wanted))
}

/// The repository in which an example of the rule stands.
pub fn repository(rule: &Rule, text: &str) -> MemorySources {
    let mut sources = MemorySources::default();
    let (project, plan) = if pages::is_project(text) { (text, pages::PLAN) } else { (pages::PROJECT, text) };
    sources.insert("loop.kdl", project);
    sources.insert(PLAN, plan);
    for (path, content) in pages::files(rule) {
        sources.insert(path, content);
        // A script that names its interpreter is meant to be started.
        if content.starts_with(b"#!") {
            sources = sources.program(path);
        }
    }
    if let Some((path, content)) = pages::made(rule) {
        sources.insert(path, content);
    }
    if pages::is_whole(rule) {
        sources = sources.whole();
    }
    for (_, content) in pages::files(rule).filter(|(path, _)| *path == ".gitignore") {
        let lines = std::str::from_utf8(content).unwrap_or_default().lines();
        sources = lines.fold(sources, |sources, line| sources.ignoring(line.trim_matches('/')));
    }
    // What expires in an example has or has not by now, on any day.
    sources.today = crate::source::Date::parse("2026-01-01");
    sources
}

fn example(rule: &Rule, text: &str) -> Compilation {
    // What is said about a project's plans as a whole is for examples that show a project.
    let whole = pages::is_project(text);
    let group = Group { project: Some("loop.kdl".into()), plans: vec![PLAN.into()], whole };
    compile_groups(&[group], &repository(rule, text))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::compile::compile;
    use crate::diagnostic::render::{Style, human};
    use crate::diagnostic::{RULES, Severity};

    /// Each rule's page, its bad and its good plan: the corpus and the documentation are the same files.
    #[test]
    fn every_rule_is_broken_by_its_bad_plan_and_kept_by_its_good_one() {
        let mut wrong = Vec::new();
        for rule in RULES {
            let broken = bad(rule);
            let shown = human(&broken.diagnostics, &broken.map, Style::PLAIN);
            if !rule.is_of_the_compiler() {
                if !broken.plans.iter().all(|(_, checked)| checked.is_some()) {
                    wrong.push(format!("the plan of {} is not sound:\n{shown}", rule.name));
                }
            } else if !broken.diagnostics.iter().chain(&broken.unasked).any(|found| found.rule == rule) {
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
            let again = kept.diagnostics.iter().chain(&kept.unasked).any(|found| found.rule == rule);
            if kept.has_errors() || again {
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
                Some(file) => RULES
                    .iter()
                    .any(|known| known.name == rule && pages::files(known).any(|(listed, _)| listed == file)),
                None if rule == "common" => ["loop.kdl", "plan.loop.kdl"].contains(&rest),
                None => {
                    RULES.iter().any(|known| known.name == rule)
                        && ["page.md", "bad.loop.kdl", "good.loop.kdl"].contains(&rest)
                }
            };
            assert!(known, "{inside} belongs to no rule, or is missing from the list of files");
        }
    }

    const LANGUAGE: &str = include_str!("../../spec/language.md");

    /// Code blocks of `spec/language.md` with this info string.
    fn blocks(info: &str) -> Vec<&'static str> {
        let fence = format!("```{info}\n");
        LANGUAGE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
    }

    /// Whole files in the language's specification compile; what they refer to is made up here.
    #[test]
    fn every_whole_plan_of_the_specification_compiles() {
        let projects = blocks("kdl loop.kdl");
        let plans = blocks("kdl plan");
        assert!(projects.len() == 1 && plans.len() >= 2, "the blocks are marked as before");
        for plan in plans {
            let sources = MemorySources::new([
                ("loop.kdl", projects[0]),
                (PLAN, plan),
                ("AGENTS.md", "# Agents\n"),
                ("docs/api.md", "# API\n\n## Health\n\nIt answers.\n"),
                ("src/router.rs", "\n"),
            ]);
            let compiled = compile(Some(Utf8Path::new("loop.kdl")), &[PLAN.into()], &sources);
            let shown = human(&compiled.diagnostics, &compiled.map, Style::PLAIN);
            assert!(compiled.diagnostics.is_empty(), "{plan}\n{shown}");
            assert!(compiled.plans.iter().all(|(_, checked)| checked.is_some()), "{plan}");
        }
    }

    /// What the table refuses as too early, the last section of the specification names.
    #[test]
    fn the_specification_lists_what_is_not_yet() {
        use crate::plan::schema::{Since, places};
        let section = LANGUAGE.split("## 13. Not yet").nth(1).expect("the section is there");
        for (_, node) in places() {
            let properties = node.properties.iter().filter(|property| property.since != Since::Now);
            let later = properties.map(|property| format!("`{}=`", property.name));
            let own = (node.since != Since::Now).then(|| format!("`{}`", node.name));
            for name in later.chain(own) {
                assert!(section.contains(&name), "{name} is not listed");
            }
        }
    }
}
