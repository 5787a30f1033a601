//! The corpus in `spec/conformance`: whether the real `loopc` keeps to it, and whether its runner notices one that does not.
//!
//! Does not know the language. `UPDATE_EXPECT=1` writes the rules' cases from their pages and all expectations from what
//! `loopc` says; whoever does that reads the difference.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use loop_compiler::diagnostic::{RULES, Rule, pages};
use loop_tests::{Place, loopc_binary, loopc_command, text, workspace_root};
use serde_json::{Value, json};

/// The day on which every case is judged, as in the runner.
const DAY: &str = "1767225600";

/// Families of rules that no compiler finds: by running the plan's commands, and by what an executor acts on.
const ELSEWHERE: [char; 2] = ['7', '9'];

/// Rule, and an empty file or script without which a rule that reads the repository would speak as well. The pages leave
/// open what else there is, and a case cannot.
const BESIDES: &[(&str, &str)] = &[
    ("derived-input", "Cargo.toml"),
    ("derived-write", "Cargo.toml"),
    ("derived-write", "Cargo.lock"),
    ("expect-fail-only", "tests/links.rs"),
    ("needs-broad-verifier", "e2e.sh"),
    ("protected-write", "site/index.md"),
    ("two-owners", "docs/news.txt"),
    ("unmergeable-shared", "package.json"),
    ("unused-shared", "CHANGELOG.md"),
    ("whole-tree-key", "src/lib.rs"),
];

/// Files by path below the corpus' directory of cases.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

fn corpus() -> PathBuf {
    workspace_root().join("spec/conformance")
}

/// The cases, after they were written anew if that was asked for: once, however many tests begin.
fn cases() -> &'static Path {
    static CASES: OnceLock<PathBuf> = OnceLock::new();
    CASES.get_or_init(|| {
        let cases = corpus().join("cases");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            for (path, _) in tree(&cases.join("rules")) {
                fs::remove_file(cases.join("rules").join(path)).expect("cases can be written anew");
            }
            for (path, bytes) in rules() {
                write(&cases.join("rules").join(path), &bytes);
            }
            for case in directories(&cases) {
                let (diagnostics, digests) = found(&case);
                write(&case.join("expected.json"), diagnostics.as_bytes());
                match digests.as_str() {
                    "" => drop(fs::remove_file(case.join("expected.digest"))),
                    _ => write(&case.join("expected.digest"), digests.as_bytes()),
                }
            }
        }
        cases
    })
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("files have a directory")).expect("it can be made");
    fs::write(path, bytes).expect("it can be written");
    let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Every file below a directory.
fn tree(directory: &Path) -> Tree {
    let mut waiting = vec![directory.to_owned()];
    let mut found = Tree::new();
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.expect("entries are readable").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(directory).expect("it was found there").to_owned();
                found.insert(name, fs::read(&path).expect("cases are readable"));
            }
        }
    }
    found
}

/// Every directory that holds a `repo`, sorted.
fn directories(cases: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = tree(cases)
        .into_keys()
        .filter_map(|path| {
            path.ancestors().find(|above| above.ends_with("repo")).map(|repo| cases.join(repo))
        })
        .map(|repo| repo.parent().expect("it stands in a case").to_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The examples on the rules' pages as cases: a bad and a good one of each.
fn rules() -> Tree {
    let mut all = Tree::new();
    for rule in RULES.iter().filter(|rule| !ELSEWHERE.contains(&rule.family())) {
        for (kind, says, text) in [("bad", "breaks", rule.bad), ("good", "keeps", rule.good)] {
            let case = PathBuf::from(format!("{}-{kind}", rule.name));
            let about = format!("The plan on the rule's page that {says} {} {}.\n", rule.code, rule.name);
            all.insert(case.join("about.txt"), about.into_bytes());
            for (path, bytes) in example(rule, text) {
                all.insert(case.join("repo").join(path), bytes);
            }
        }
    }
    all
}

/// The files that stand around an example in its case. A rule that is off is turned on.
fn example(rule: &Rule, text: &str) -> Tree {
    let (project, plan) = if pages::is_project(text) { (text, pages::PLAN) } else { (pages::PROJECT, text) };
    let project = match rule.on {
        true => project.to_owned(),
        false => {
            let (before, after) = project.rsplit_once('}').expect("a project is a block");
            format!("{before}    lint {} level=warn\n}}{after}", rule.name)
        }
    };
    let mut files = Tree::new();
    files.insert("loop.kdl".into(), project.into_bytes());
    files.insert("plan.loop.kdl".into(), plan.as_bytes().to_vec());
    for (path, bytes) in pages::files(rule) {
        // In a repository every plan is checked: one that the good example has nothing to do with would be in its way.
        if text == rule.good && path.ends_with(".loop.kdl") && !text.contains(path) {
            continue;
        }
        files.insert(path.into(), bytes.to_vec());
    }
    if let Some((path, text)) = pages::made(rule) {
        files.insert(path.into(), text.into_bytes());
    }
    for (_, path) in BESIDES.iter().filter(|(name, _)| *name == rule.name) {
        let content: &[u8] = if path.ends_with(".sh") { b"#!/bin/sh\n" } else { b"" };
        files.insert(path.into(), content.to_vec());
    }
    files
}

/// What `loopc` says of a case: the normative members of its findings, and the digests of what compiles.
fn found(case: &Path) -> (String, String) {
    let place = Place::new(&[]);
    place.copy(&case.join("repo"));
    let run = |arguments: &[&str]| -> Output {
        loopc_command(&place.root(), arguments).env("SOURCE_DATE_EPOCH", DAY).output().expect("loopc ends")
    };
    let output = run(&["check", "--format", "json"]);
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{}: {error}: {}", case.display(), text(&output.stderr)));
    let mut lines: Vec<String> = Vec::new();
    let mut code = 0;
    for finding in printed["diagnostics"].as_array().expect("a list") {
        if finding["severity"] == "error" {
            code = 1;
        }
        let members = ["code", "name", "severity", "file", "range"];
        let members: Vec<String> = members.map(|name| format!("{}: {}", json!(name), finding[name])).into();
        lines.push(format!("    {{{}}}", members.join(", ")));
    }
    assert_eq!(output.status.code(), Some(code), "{}", case.display());
    let list = if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n  ]", lines.join(",\n")) };
    let diagnostics = format!("{{\n  \"format_version\": 1,\n  \"diagnostics\": {list}\n}}\n");

    let mut digests = String::new();
    for plan in tree(&place.root()).into_keys() {
        let plan = plan.to_str().expect("names in the corpus are UTF-8");
        if !plan.ends_with(".loop.kdl") {
            continue;
        }
        let digest = run(&["build", plan, "--digest"]);
        if digest.status.success() {
            digests.push_str(&format!("{plan} graph {}\n", text(&digest.stdout).trim()));
            let graph: Value =
                serde_json::from_slice(&run(&["build", plan]).stdout).expect("a graph is JSON");
            for node in
                graph["nodes"].as_array().expect("a list").iter().filter(|it| it["kind"] == "dispatch")
            {
                let (id, ask) = (node["id"].as_str(), node["ask_digest"].as_str());
                let (id, ask) = (id.expect("a text"), ask.expect("a text"));
                digests.push_str(&format!("{plan} ask {id} {ask}\n"));
            }
        }
    }
    (diagnostics, digests)
}

#[test]
fn loopc_says_of_each_case_what_is_expected() {
    let cases = directories(cases());
    let mut wrong = Vec::new();
    for case in &cases {
        let (diagnostics, digests) = found(case);
        for (name, found) in [("expected.json", diagnostics), ("expected.digest", digests)] {
            let path = case.join(name);
            let wanted = fs::read_to_string(&path).unwrap_or_default();
            if wanted != found {
                wrong.push(format!("{}\n--- expected\n{wanted}\n--- found\n{found}", path.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ; UPDATE_EXPECT=1 rewrites them\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn each_rule_has_a_case_that_breaks_it_and_one_that_keeps_it() {
    let mut expected = rules();
    let directory = cases().join("rules");
    let mut stands = tree(&directory);
    let inputs = |path: &PathBuf| !path.ends_with("expected.json") && !path.ends_with("expected.digest");
    stands.retain(|path, _| inputs(path));
    expected.retain(|path, _| inputs(path));
    let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&stands), names(&expected), "UPDATE_EXPECT=1 writes the cases from the rules' pages");
    assert!(stands == expected, "a page changed; UPDATE_EXPECT=1 writes the cases from the rules' pages");

    for rule in RULES.iter().filter(|rule| !ELSEWHERE.contains(&rule.family())) {
        let names = |kind: &str| -> Vec<(String, String)> {
            let path = directory.join(format!("{}-{kind}/expected.json", rule.name));
            let expected = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let expected: Value = serde_json::from_slice(&expected).expect("it is JSON");
            let list = expected["diagnostics"].as_array().expect("a list").iter();
            let word = |value: &Value| value.as_str().expect("a text").to_owned();
            list.map(|finding| (word(&finding["name"]), word(&finding["severity"]))).collect()
        };
        let bad = names("bad");
        assert!(bad.iter().any(|(name, _)| name == rule.name), "{}: {bad:?}", rule.name);
        assert!(
            bad.iter().all(|(name, level)| name == rule.name || level != "error"),
            "{}: {bad:?}",
            rule.name
        );
        let good = names("good");
        assert!(
            good.iter().all(|(name, level)| name != rule.name && level != "error"),
            "{}: {good:?}",
            rule.name
        );
    }
}

/// Their sense is that several spellings come to one meaning, which expectations written by a program do not see to.
#[test]
fn plans_of_one_meaning_have_one_digest() {
    for case in [
        "bytes/marks-and-line-ends",
        "strings/spellings-of-one-text",
        "syntax/layouts-of-one-plan",
        "syntax/order-of-nodes",
        "templates/use",
    ] {
        let expected =
            fs::read_to_string(cases().join(case).join("expected.digest")).expect("its plans compile");
        let mut asks: Vec<&str> = expected
            .lines()
            .filter(|line| line.contains(" ask "))
            .filter_map(|line| Some(line.rsplit_once(' ')?.1))
            .collect();
        assert!(asks.len() > 1, "{case}");
        asks.dedup();
        assert_eq!(asks.len(), 1, "{case}: {expected}");
    }
}

#[test]
fn the_corpus_is_small_and_says_nothing_of_a_machine() {
    let all = tree(cases());
    let directories = directories(cases());
    let written = directories.iter().filter(|case| !case.starts_with(cases().join("rules"))).count();
    assert!((60..=90).contains(&written), "{written} cases were written by hand");
    let size: usize = all.values().map(Vec::len).sum();
    assert!(size < 1 << 20, "{size} bytes");
    for case in &directories {
        let about = fs::read_to_string(case.join("about.txt")).unwrap_or_default();
        let sentences = about.ends_with(".\n") && about.lines().all(|line| line.ends_with('.'));
        assert!(sentences, "{}: what is it about?", case.display());
    }
    for (path, bytes) in &all {
        let text = String::from_utf8_lossy(bytes);
        for word in ["/home/", "/tmp/", "/Users/", env!("CARGO_MANIFEST_DIR")] {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
        let first = path.components().nth(1).expect("a case stands in a group");
        let third = path.components().nth(2).expect("a file stands in a case").as_os_str();
        let known = ["repo", "about.txt", "expected.json", "expected.digest"];
        assert!(
            known.iter().any(|known| third == *known),
            "{} belongs to nothing in {first:?}",
            path.display()
        );
    }
}

/// Runs the corpus' own runner, which shares nothing with this file.
fn runner(cases: &Path, command: &[&str]) -> (i32, String) {
    let loopc = loopc_binary();
    let mut run = Command::new("python3");
    run.arg(corpus().join("run.py")).arg("--cases").arg(cases).args(command);
    if command.is_empty() {
        run.arg(loopc);
    }
    let output = run.output().expect("python3 runs");
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    (output.status.code().expect("it is not killed"), told)
}

#[test]
fn the_corpus_own_runner_finds_every_case_passed() {
    let (code, told) = runner(cases(), &[]);
    assert_eq!(code, 0, "{told}");
    let count = directories(cases()).len();
    assert!(told.ends_with(&format!("{count} of {count} passed\n")), "{told}");
}

/// A case of its own with one expectation that was altered, as the runner sees it.
fn altered(name: &str, file: &str, change: impl Fn(String) -> String) -> (i32, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (path, bytes) in tree(&cases().join("rules").join(name)) {
        write(&directory.path().join("case").join(path), &bytes);
    }
    let (code, told) = runner(directory.path(), &[]);
    assert_eq!(code, 0, "before anything was altered: {told}");
    let file = directory.path().join("case").join(file);
    let before = fs::read_to_string(&file).expect("it stands there");
    let after = change(before.clone());
    assert_ne!(before, after, "something was altered");
    fs::write(&file, after).expect("it can be written");
    runner(directory.path(), &[])
}

#[test]
fn the_runner_notices_whatever_is_altered() {
    let json = |from: &'static str, to: &'static str| {
        altered("write-conflict-bad", "expected.json", move |text| text.replacen(from, to, 1))
    };
    for (from, to) in [
        ("\"code\": \"L0401\"", "\"code\": \"L0402\""),
        ("\"name\": \"write-conflict\"", "\"name\": \"write-conflicts\""),
        ("\"severity\": \"error\"", "\"severity\": \"warning\""),
        ("\"file\": \"plan.loop.kdl\"", "\"file\": \"plans.loop.kdl\""),
        ("\"line\":", "\"line\":1"),
        ("\"column\":", "\"column\":1"),
        ("\"offset\":", "\"offset\":1"),
        ("\"format_version\": 1", "\"format_version\": 2"),
    ] {
        let (code, told) = json(from, to);
        assert_eq!(code, 1, "{to}: {told}");
        assert!(told.contains("FAIL case\n"), "{to}: {told}");
    }
    let line = |text: String| text.lines().next().expect("a finding or a digest").to_owned();
    for (name, file, change) in [
        (
            "write-conflict-bad",
            "expected.json",
            (|_| "{\"format_version\": 1, \"diagnostics\": []}".into()) as fn(String) -> String,
        ),
        ("write-conflict-good", "expected.digest", |text| text.replace(" graph ", " graph 0")),
        ("write-conflict-good", "expected.digest", |text| text.replacen(" ask ", " ask x", 1)),
        ("write-conflict-good", "expected.digest", |_| String::new()),
        ("write-conflict-good", "repo/plan.loop.kdl", |text| text.replacen("goal \"", "goal \"Now: ", 1)),
        ("write-conflict-bad", "repo/plan.loop.kdl", |text| format!("\n{text}")),
    ] {
        let (code, told) = altered(name, file, change);
        assert_eq!(code, 1, "{name} {file}: {told}");
    }
    let (code, told) = altered("write-conflict-good", "expected.digest", line);
    assert_eq!((code, told.contains("unexpected: plan.loop.kdl ask ")), (1, true), "{told}");
}

#[test]
fn the_runner_is_not_fooled_by_a_program_that_says_nothing() {
    for (command, code) in [(vec!["true"], 1), (vec!["false"], 1), (vec!["echo", "{\"diagnostics\": []}"], 1)]
    {
        let (found, told) = runner(&cases().join("rules"), &command);
        assert_eq!(found, code, "{command:?}: {told}");
    }
    assert_eq!(runner(&cases().join("rules"), &["no-such-program-anywhere"]).0, 2);
    let nothing = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(runner(nothing.path(), &[]).0, 2);
}
