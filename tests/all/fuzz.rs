//! The bodies of the fuzz targets over their seeds, over every plan of the repository, and over small changes of both.
//!
//! Does not look for new paths through the code; `cargo fuzz` does, see `spec/contributing.md`.

use std::path::Path;

use loop_tests::workspace_root;
use proptest::prelude::*;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use it as a crate")]
mod bodies;

type Body = fn(&[u8]);

/// The targets; `tests/fuzz/Cargo.toml` has a binary for each.
const TARGETS: [(&str, Body); 5] = [
    ("syntax", bodies::syntax),
    ("layout", bodies::layout),
    ("check", bodies::check),
    ("glob", bodies::glob),
    ("fixes", bodies::fixes),
];

/// What mutations put in: the pieces of which KDL, plans and patterns are made.
const PIECES: [&str; 64] = [
    "\"",
    "\"\"\"",
    "#\"",
    "\"#",
    "{",
    "}",
    ";",
    "\n",
    "\r\n",
    "\r",
    " ",
    "\t",
    "=",
    "(",
    ")",
    "/-",
    "//",
    "/*",
    "*/",
    "\\",
    "\\u{D800}",
    "\\u{",
    "\u{FEFF}",
    "\0",
    "\u{2028}",
    "\u{200E}",
    "é",
    "0x",
    "1e",
    "-1",
    ".5",
    "99999999999999999999",
    "#true",
    "true",
    "[",
    "]",
    ",",
    ":",
    "**",
    "*",
    "!",
    "../",
    "./",
    "${x}",
    "unit a ",
    "needs b",
    "after c",
    "gate g {",
    "feature F",
    "import \"./x\" y",
    "verify test",
    "accept \"x\"",
    "by=",
    "writes \"a/**\"",
    "creates a",
    "template t {",
    "use t as=u",
    "param p type=list",
    "lint x level=allow",
    "\n=== loop.kdl\n",
    "\n=== x.loop.kdl\n",
    "reason=\"\"",
    "budget usd=1.5",
    "timeout total=\"1m\"",
];

fn files_below(directory: &Path, found: &mut Vec<Vec<u8>>, wanted: fn(&str) -> bool) {
    let mut entries: Vec<_> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("its entries are readable").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_below(&path, found, wanted);
        } else if path.is_file() && path.to_str().is_some_and(wanted) {
            found.push(std::fs::read(&path).expect("it can be read"));
        }
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    files_below(&workspace_root().join("tests/fuzz/seeds").join(target), &mut found, |_| true);
    assert!(!found.is_empty(), "{target} has no seeds");
    found
}

/// Every KDL file of the repository.
fn plans() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for directory in ["compiler/src/diagnostic/pages", "stdlib", "tests/fixtures/check"] {
        files_below(&workspace_root().join(directory), &mut found, |path| path.ends_with(".kdl"));
    }
    assert!(found.len() > 100);
    found
}

#[test]
fn every_seed_holds() {
    for (target, body) in TARGETS {
        seeds(target).iter().for_each(|seed| body(seed));
    }
}

#[test]
fn every_plan_of_the_repository_holds() {
    for plan in plans() {
        for (_, body) in TARGETS {
            body(&plan);
        }
    }
}

#[test]
fn every_target_has_its_binary_and_its_seeds() {
    let fuzz = workspace_root().join("tests/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("it is readable");
    let binaries: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""))
        .collect();
    assert_eq!(binaries, TARGETS.map(|(target, _)| target));
    let mut directories: Vec<String> = std::fs::read_dir(fuzz.join("seeds"))
        .expect("it can be listed")
        .map(|entry| entry.expect("its entries are readable").file_name().into_string().expect("UTF-8"))
        .collect();
    directories.sort();
    let mut names = TARGETS.map(|(target, _)| target.to_owned());
    names.sort();
    assert_eq!(directories, names);
}

/// One change of some bytes: where, how many go, what comes.
type Change = (prop::sample::Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => Just(Vec::new()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece), 1..5)
}

fn changed(seeds: &[Vec<u8>], seed: &prop::sample::Index, changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.get(seeds).clone();
    for (at, gone, piece) in changes {
        let at = at.index(bytes.len() + 1);
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, piece.iter().copied());
    }
    bytes
}

/// Small changes of the seeds and of the plans, as many as `cases`.
fn hold(target: &'static str, body: Body, cases: u32) {
    let mut all = seeds(target);
    if target != "glob" {
        all.extend(plans());
    }
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        ..Default::default()
    });
    let strategy = (any::<prop::sample::Index>(), changes());
    let outcome = runner.run(&strategy, |(seed, changes)| {
        body(&changed(&all, &seed, &changes));
        Ok(())
    });
    if let Err(proptest::test_runner::TestError::Fail(reason, (seed, changes))) = &outcome {
        let input = changed(&all, seed, changes);
        panic!(
            "{target}: {reason}\nput this into tests/fuzz/seeds/{target}:\n{:?}",
            String::from_utf8_lossy(&input)
        );
    }
    outcome.expect("nothing else stops a run");
}

#[test]
fn changed_text_is_read() {
    hold("syntax", bodies::syntax, 3_000);
}

#[test]
fn changed_text_is_laid_out() {
    hold("layout", bodies::layout, 1_500);
}

#[test]
fn changed_plans_are_checked() {
    hold("check", bodies::check, 400);
}

#[test]
fn changed_patterns_are_compared() {
    hold("glob", bodies::glob, 1_500);
}

#[test]
fn changed_plans_are_mended() {
    hold("fixes", bodies::fixes, 150);
}
