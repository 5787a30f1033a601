//! The rules about paths and named lines, over small repositories: what must be found, and what must not.
//!
//! Does not know a disk: the real ignore rules are tested where they are read.

use camino::Utf8Path;

use crate::compile::compile;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::SourceMap;
use crate::source::memory::MemorySources;

const PROJECT: &str = "project p {\n    agent a via=command { run \"./agent.sh\"; }\n    defaults agent=a { verify v; }\n    \
                       verifier v { run cargo build; }\n}\n";

fn repository(body: &str, files: &[(&str, &str)]) -> MemorySources {
    let mut sources = MemorySources::new([
        ("loop.kdl", PROJECT.to_owned()),
        ("f.loop.kdl", format!("feature F {{\n{body}\n}}\n")),
    ]);
    for (path, text) in files {
        sources.insert(*path, *text);
    }
    sources
}

fn found(sources: &MemorySources) -> (Vec<Diagnostic>, SourceMap) {
    let compiled = compile(Some(Utf8Path::new("loop.kdl")), &["f.loop.kdl".into()], sources);
    (compiled.diagnostics, compiled.map)
}

/// Rule and message of each finding.
fn told(body: &str, files: &[(&str, &str)]) -> Vec<String> {
    let (found, _) = found(&repository(body, files).whole());
    found.iter().map(|found| format!("{}: {}", found.rule.name, found.message)).collect()
}

/// The plan's line with `u` in it after the only finding's first fix.
fn mended(unit: &str, files: &[(&str, &str)]) -> Option<String> {
    let (found, map) = found(&repository(&format!("unit u {{ goal \"g\"; {unit}; }}"), files).whole());
    let [only] = found.as_slice() else { panic!("one finding: {found:#?}") };
    let edit = only.fixes.first()?.edits.first()?;
    let mut text = map.file(edit.span.file).text.clone();
    text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    let line = text.lines().find(|line| line.contains("unit u"))?;
    Some(line.trim_start_matches("unit u { goal \"g\"; ").trim_end_matches("; }").to_owned())
}

#[test]
fn a_written_path_must_be_there_or_be_made_before() {
    let files = [("src/router.rs", "x"), ("docs/guide.md", "x"), ("src/deep/only.rs", "x")];
    assert_eq!(
        told("unit u { goal \"g\"; writes \"src/none.rs\"; }", &files),
        ["unknown-path: `u` may change `src/none.rs`, which does not exist and which no earlier unit makes"]
    );
    for (written, meant) in [
        ("writes \"src/ruoter.rs\"", "writes \"src/router.rs\""),
        ("writes \"src/Router.rs\"", "writes \"src/router.rs\""),
        ("writes \"src/router.ts\"", "writes \"src/router.rs\""),
        ("writes \"lib/only.rs\"", "writes \"src/deep/only.rs\""),
        ("writes \"SRC/deep/only.rs\"", "writes \"src/deep/only.rs\""),
    ] {
        assert_eq!(mended(written, &files).as_deref(), Some(meant), "{written}");
    }
    assert_eq!(mended("writes \"src/nothing-like-it.rs\"", &files), None);
    for body in [
        "unit u { goal \"g\"; writes \"src/router.rs\"; }",
        "unit u { goal \"g\"; writes \"src\"; }",
        "unit u { goal \"g\"; writes \"src/new/**\"; }",
        "unit u { goal \"g\"; creates \"src/none.rs\"; }",
        "unit u { goal \"g\"; writes \"src/none.rs\"; creates \"src/none.rs\"; }",
        "unit m { goal \"g\"; creates \"src/none.rs\"; }\nunit u { needs m; goal \"g\"; writes \"src/none.rs\"; }",
        "unit m { goal \"g\"; writes \"new/**\"; }\nunit u { after m; goal \"g\"; writes \"new/none.rs\"; }",
    ] {
        assert_eq!(told(body, &files), [""; 0], "{body}");
    }
    let later = "unit u { goal \"g\"; writes \"a.rs\"; }\nunit m { after u; goal \"g\"; creates \"a.rs\"; }";
    assert_eq!(told(later, &files).len(), 1, "made too late");
    let (silent, _) = found(&repository("unit u { goal \"g\"; writes \"src/none.rs\"; }", &files));
    assert!(silent.is_empty(), "nobody knows the other files");
}

#[test]
fn what_git_ignores_is_told_before_the_work() {
    let weigh = |scope: &str| -> Vec<(Severity, &'static str)> {
        let body = format!("unit u {{ goal \"g\"; {scope}; }}");
        let files = [("dist/kept/old.js", "x"), ("src/a.rs", "x")];
        let sources = repository(&body, &files).whole().ignoring("dist").ignoring("src/made.rs");
        found(&sources).0.iter().map(|found| (found.severity, found.rule.name)).collect()
    };
    let error = [(Severity::Error, "ignored-path")];
    let warning = [(Severity::Warning, "ignored-path")];
    assert_eq!(weigh("creates \"dist/**\""), error);
    assert_eq!(weigh("writes \"dist/js/*.js\""), error);
    assert_eq!(weigh("creates \"dist/a.js\""), warning, "a file that is named is taken");
    assert_eq!(weigh("creates \"src/made.rs\""), warning);
    for scope in
        ["creates \"src/b.rs\"", "writes \"**/*.rs\"", "writes \"distant/**\"; creates \"distant/x\""]
    {
        assert_eq!(weigh(scope), [], "{scope}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_is_told_with_one_that_does() {
    let files = [("docs/a/tone.md", "x"), ("specs/one.yaml", "x"), ("tests/acceptance/a.rs", "x")];
    for (written, meant) in [
        ("inputs \"docs/**/*.markdown\"", "inputs \"docs/**/*.md\""),
        ("inputs \"docs/*.md\"", "inputs \"docs/**/*.md\""),
        ("inputs \"doc/**\"", "inputs \"docs/**\""),
        ("inputs \"Docs/a/*\"", "inputs \"docs/a/*\""),
        ("inputs \"specs/*.yml\"", "inputs \"specs/*.yaml\""),
    ] {
        let mended = mended(&format!("writes; {written}"), &files);
        assert_eq!(mended.as_deref(), Some(format!("writes; {meant}").as_str()), "{written}");
    }
    let unit = |inputs: &str| format!("unit u {{ goal \"g\"; writes; {inputs}; }}");
    assert_eq!(
        told(&unit("inputs \"assets/**\""), &files),
        ["empty-glob: `assets/**` in `inputs` matches no file"]
    );
    for body in [
        unit("inputs \"docs/**\" \"!docs/drafts/**\""),
        unit("inputs \"**/*.md\""),
        unit("inputs \"{specs,docs}/**\""),
        "unit m { goal \"g\"; creates \"assets/a.svg\"; }\nunit u { needs m; goal \"g\"; writes; inputs \"assets/**\"; }".to_owned(),
        "protect \"tests/acceptance/**\" \".github/**\" \"oracle.sh\"\nunit u { goal \"g\"; writes; }".to_owned(),
    ] {
        assert_eq!(told(&body, &files), [""; 0], "{body}");
    }
    assert_eq!(
        told("protect \"test/acceptance/**\"\nunit u { goal \"g\"; writes; }", &files),
        ["empty-glob: `test/acceptance/**` in `protect` matches no file"],
        "a slip for what is there protects nothing"
    );
}

#[test]
fn the_inputs_of_a_verifier_are_told_when_none_of_them_matches() {
    let verifier = |inputs: &str| {
        let mut sources = repository("unit u { goal \"g\"; writes; }", &[("src/a.rs", "x")]);
        sources.insert(
            "loop.kdl",
            PROJECT.replace("run cargo build;", &format!("run cargo build; inputs {inputs};")),
        );
        let (found, _) = found(&sources.whole());
        found
            .into_iter()
            .map(|found| found.rule.name)
            .filter(|name| *name != "whole-tree-key")
            .collect::<Vec<_>>()
    };
    assert_eq!(verifier("\"source/**\" \"lib/**\""), ["empty-glob"]);
    assert_eq!(verifier("\"src/**\" \"tests/**\""), [""; 0]);
}

#[test]
fn a_missing_file_and_a_line_in_place_of_a_heading_are_told_with_what_was_meant() {
    let files = [
        ("docs/api.md", "# API\n\n## Health\n\nIt answers.\n\n## Health check\n\nTwice.\n"),
        ("docs/b.md", "# A\n# A\n"),
    ];
    for (written, meant) in [
        ("ref \"docs/apy.md#Health\"", Some("ref \"docs/api.md#Health\"")),
        ("ref \"Docs/api.md\"", Some("ref \"docs/api.md\"")),
        ("ref \"docs/api.md:5\"", Some("ref \"docs/api.md#Health\"")),
        ("ref \"docs/api.md:3-5\"", Some("ref \"docs/api.md#Health\"")),
        ("ref \"docs/api.md#Helth\"", Some("ref \"docs/api.md#Health\"")),
        ("ref \"docs/b.md:2\"", None),
    ] {
        let mended = mended(&format!("writes; {written}"), &files);
        assert_eq!(mended.as_deref(), meant.map(|meant| format!("writes; {meant}")).as_deref(), "{written}");
    }
    let ambiguous =
        |reference: &str| told(&format!("unit u {{ goal \"g\"; writes; ref \"{reference}\"; }}"), &files);
    assert_eq!(
        ambiguous("docs/b.md#A"),
        ["ambiguous-heading: 2 headings of `docs/b.md` are \"A\", or begin with it"]
    );
    assert_eq!(ambiguous("docs/api.md#Health"), [""; 0], "the exact text is enough");
    let prompt = |reference: &str| {
        told(&format!("unit u {{ goal \"g\"; writes; prompt file=\"{reference}\"; }}"), &files)
    };
    assert_eq!(prompt("docs/b.md#A").len(), 1);
}

#[test]
fn a_line_that_is_not_there_or_will_move_is_told() {
    let files = [("src/a.rs", "1\n2\n3\n"), ("src/b.rs", "1"), ("notes", "x")];
    let unit = |text: &str| told(&format!("unit u {{ goal \"g\"; writes; step \"{text}\"; }}"), &files);
    for text in [
        "See src/a.rs:4.",
        "Mind `src/a.rs:2-9`.",
        "(src/a.rs:9:1)",
        "src/b.rs:2",
        "src/a.rs#L7",
        "src/a.rs:3-1",
    ] {
        let told = unit(text);
        assert!(matches!(told.as_slice(), [only] if only.starts_with("line-drift")), "{text}: {told:?}");
    }
    for text in [
        "See src/a.rs:3.",
        "src/a.rs:1-3",
        "src/b.rs:1",
        "src/none.rs:9",
        "localhost:8080",
        "at 12:30",
        "notes:9",
        "http://x.org/a.rs:90",
        "/src/a.rs:9",
        "../src/a.rs:9",
        "a::b:9",
        "src/a.rs: 9 times",
        "src/a.rs:0",
    ] {
        assert_eq!(unit(text), [""; 0], "{text}");
    }
    let body = "unit first { goal \"g\"; writes \"src/a.rs\"; }\nunit u { after first; goal \"Mend src/a.rs:2.\"; writes; }";
    assert_eq!(
        told(body, &files),
        [
            "line-drift: the lines of `src/a.rs:2` may have moved when `u` reads this: `first` changes the file before"
        ]
    );
    let own = "unit u { goal \"Mend src/a.rs:2.\"; writes \"src/a.rs\"; }";
    assert_eq!(told(own, &files), [""; 0], "its own change comes after it has read the number");
}
