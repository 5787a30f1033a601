//! The real `loopc` over small repositories, and its manners: exit codes, formats, pipes, odd files.
//!
//! Does not know how the compiler works; expectations are files beside each repository, written anew by
//! `UPDATE_EXPECT=1`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Output;

use loop_compiler::diagnostic::RULES;
use loop_compiler::diagnostic::render::Format;
use loop_tests::{Place, fixture, loopc_command, output_of, text};

/// What was printed, with the way it ended.
fn told(output: &Output, root: &Path) -> String {
    let code = output.status.code().expect("loopc is not killed");
    let mut told = format!("{}exit {code}\n", text(&output.stdout));
    if !output.stderr.is_empty() {
        told.push_str(&format!("stderr:\n{}", text(&output.stderr)));
    }
    told.replace(&root.display().to_string(), "[ROOT]")
}

/// Every repository below `tests/fixtures/check`, in each format of which it has an expectation (short and JSON
/// always).
#[test]
fn every_repository_is_reported_as_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let cases = fixture("check");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&cases)
        .expect("fixtures are readable")
        .map(|entry| entry.expect("entries are readable").path())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let mut wrong = Vec::new();
    for case in names {
        let place = Place::new(&[]);
        place.copy(&case.join("repo"));
        for (_, format, _) in Format::ALL {
            let expected = case.join(format!("expected.{format}"));
            if !["short", "json"].contains(format) && !expected.exists() {
                continue;
            }
            let found = told(&place.loopc(&["check", "--format", format]), &place.root());
            if update {
                std::fs::write(&expected, &found).expect("the expectation can be written");
            }
            let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
            if wanted != found {
                wrong.push(format!("{}:\n{}", expected.display(), difference(&wanted, &found)));
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

/// The lines between the first and the last that differ: `-` expected, `+` found.
fn difference(wanted: &str, found: &str) -> String {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), found.lines().collect());
    let front = wanted.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let most = wanted.len().min(found.len()) - front;
    let back = wanted.iter().rev().zip(found.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let minus = wanted[front..wanted.len() - back].iter().map(|line| format!("- {line}\n"));
    let plus = found[front..found.len() - back].iter().map(|line| format!("+ {line}\n"));
    minus.chain(plus).collect()
}

const PROJECT: &str = "project shop base=main {\n    agent writer via=command { run \"./agent.sh\"; }\n    defaults agent=writer { verify test; }\n    verifier test { run cargo test; }\n}\n";
const PLAN: &str = "feature F-1 {\n    unit a { goal \"a\"; creates \"a\"; }\n}\n";
const BROKEN: &str = "feature F-2 {\n    unit a { goal \"a\"; creates \"a\"; needs b; }\n}\n";

fn place() -> Place {
    Place::new(&[
        ("loop.kdl", PROJECT),
        ("plan.loop.kdl", PLAN),
        ("sub/broken.loop.kdl", BROKEN),
        ("notes.md", "x\n"),
    ])
}

#[test]
fn paths_say_what_is_checked() {
    let place = place();
    for (arguments, code, says) in [
        (vec!["check"], 1, "sub/broken.loop.kdl:2:"),
        (vec!["check", "plan.loop.kdl"], 0, "1 plan checked"),
        (vec!["check", "loop.kdl"], 0, "loop.kdl: nothing to report"),
        (vec!["check", "sub"], 1, "error[L0203/unknown-unit]"),
        (vec!["check", "plan.loop.kdl", "sub/broken.loop.kdl"], 1, "1 error in 1 file"),
        (vec!["check", "./plan.loop.kdl", "plan.loop.kdl"], 0, "1 plan checked"),
    ] {
        let output = place.loopc(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output, &place.root()));
        assert!(text(&output.stdout).contains(says), "{arguments:?}: {}", told(&output, &place.root()));
    }
    let inside = output_of(&place.root().join("sub"), &["check", "--format", "short"], b"");
    assert!(
        text(&inside.stdout).starts_with("broken.loop.kdl:2:"),
        "paths for people count from where they stand"
    );
    let inside = output_of(&place.root().join("sub"), &["check", "--format", "json"], b"");
    assert!(
        text(&inside.stdout).contains(r#""file": "sub/broken.loop.kdl""#),
        "paths for programs count from the root, wherever one stands"
    );
}

#[test]
fn what_cannot_be_judged_is_exit_two_and_says_why() {
    let place = place();
    std::fs::create_dir(place.root().join("empty")).expect("it can be made");
    let fifo = place.root().join("pipe.loop.kdl");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).expect("it can be made");
    std::os::unix::fs::symlink("../out.loop.kdl", place.root().join("out.loop.kdl")).expect("it can be made");
    std::os::unix::fs::symlink("me.loop.kdl", place.root().join("me.loop.kdl")).expect("it can be made");
    let big = std::fs::File::create(place.root().join("big.loop.kdl")).expect("it can be made");
    big.set_len((16 << 20) + 1).expect("a sparse file");
    for (arguments, says) in [
        (vec!["check", "nowhere.loop.kdl"], "cannot read"),
        (vec!["check", "notes.md"], "plans are files that end in `.loop.kdl`"),
        (vec!["check", "empty"], "no `*.loop.kdl` in empty"),
        (vec!["check", "pipe.loop.kdl"], "it is not a file"),
        (vec!["check", "out.loop.kdl"], "cannot read"),
        (vec!["check", "me.loop.kdl"], "symbolic links"),
        (vec!["check", "big.loop.kdl"], "larger than 16 MiB"),
        (vec!["check", "plan.loop.kdl", ".."], "outside the repository"),
        (vec!["check", "--format", "xml"], "invalid value"),
        (vec!["build"], "Usage"),
        (vec!["build", "loop.kdl"], "not one plan"),
        (vec!["build", "plan.loop.kdl", "-o", "plan.loop.kdl"], "would be a plan"),
        (vec!["explain", "write-conflct"], "did you mean `write-conflict`"),
        (vec!["frobnicate"], "unrecognized subcommand"),
    ] {
        let output = place.loopc(&arguments);
        let told = told(&output, &place.root());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(text(&output.stderr).contains(says), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {told}");
    }
}

#[test]
fn outside_a_repository_it_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join("plan.loop.kdl"), PLAN).expect("it can be written");
    for arguments in
        [vec!["check"], vec!["check", "plan.loop.kdl"], vec!["check", "-"], vec!["graph", "plan.loop.kdl"]]
    {
        let output = output_of(directory.path(), &arguments, PLAN.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("not in a git repository"), "{}", text(&output.stderr));
    }
    let empty = Place::new(&[]);
    let output = empty.loopc(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nothing to check"), "{}", text(&output.stderr));
}

#[test]
fn a_plan_on_standard_input_belongs_to_the_repository() {
    let place = place();
    let output = output_of(&place.root(), &["check", "-", "--format", "short"], BROKEN.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).starts_with("<stdin>:2:43: error[L0203/unknown-unit]"),
        "{}",
        text(&output.stdout)
    );
    let output = output_of(&place.root(), &["check", "-"], PLAN.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output, &place.root()));
    let piped = output_of(&place.root(), &["build", "-", "--digest"], PLAN.as_bytes());
    assert_eq!(text(&piped.stdout).trim().len(), 64, "{}", told(&piped, &place.root()));
}

#[test]
fn a_graph_is_the_same_twice_and_its_digest_alone_is_the_one_inside() {
    let place = place();
    let build = |arguments: &[&str]| {
        let output = place.loopc(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output, &place.root()));
        text(&output.stdout)
    };
    let graph = build(&["build", "plan.loop.kdl"]);
    assert_eq!(graph, build(&["build", "plan.loop.kdl"]));
    let value: serde_json::Value = serde_json::from_str(&graph).expect("the graph is JSON");
    assert_eq!(value["format_version"], 1);
    let digest = build(&["build", "plan.loop.kdl", "--digest"]);
    assert_eq!(value["digest"].as_str(), Some(digest.trim()));
    assert_eq!(build(&["build", "plan.loop.kdl", "-o", "graph.json"]), "");
    assert_eq!(std::fs::read_to_string(place.root().join("graph.json")).ok(), Some(graph));
    // Comments and layout are no part of it.
    let commented = PLAN.replace("unit a {", "// words\n    unit a   {").replace("creates", "\n creates");
    std::fs::write(place.root().join("plan.loop.kdl"), commented).expect("it can be written");
    assert_eq!(build(&["build", "plan.loop.kdl", "--digest"]), digest);
    let nowhere = place.loopc(&["build", "plan.loop.kdl", "-o", "nowhere/graph.json"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("cannot write nowhere/graph.json"));
}

#[test]
fn a_plan_with_errors_is_neither_built_nor_drawn() {
    let place = place();
    for command in ["build", "graph"] {
        let output = place
            .loopc(&[command, "sub/broken.loop.kdl", "-o", "x"][..if command == "build" { 4 } else { 2 }]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).contains("error[L0203/unknown-unit]"), "{}", text(&output.stderr));
        assert!(!place.root().join("x").exists());
    }
}

#[test]
fn the_drawn_graph_is_as_expected() {
    let case = fixture("check/clean");
    let place = Place::new(&[]);
    place.copy(&case.join("repo"));
    let output = place.loopc(&["graph", "plans/orders.loop.kdl"]);
    let found = text(&output.stdout);
    let digest = text(&place.loopc(&["build", "plans/orders.loop.kdl", "--digest"]).stdout);
    // The digest has vectors of its own; here it would only make every new field rewrite this file.
    let found = found.replace(digest.trim(), "[DIGEST]");
    let expected = case.join("expected.graph");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&expected, &found).expect("the expectation can be written");
    }
    assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), found, "UPDATE_EXPECT=1 rewrites it");
}

#[test]
fn every_rule_is_explained_by_code_and_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let list = output_of(directory.path(), &["explain"], b"");
    assert_eq!(list.status.code(), Some(0));
    let rules: Vec<(String, String)> = text(&list.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let code = words.next().filter(|code| code.starts_with('L') && line.starts_with("  "))?;
            Some((code.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    assert!(rules.len() >= 39, "{}", text(&list.stdout));
    for (code, name) in rules {
        let by_name = output_of(directory.path(), &["explain", &name], b"");
        let by_code = output_of(directory.path(), &["explain", &code.to_lowercase()], b"");
        assert_eq!(by_name.status.code(), Some(0), "{name}");
        assert_eq!(by_name.stdout, by_code.stdout, "{name}");
        let page = text(&by_name.stdout);
        assert!(page.starts_with(&format!("{code}/{name} (")), "{page}");
        // What only a probe or a run finds is shown by its example alone.
        let rule = RULES.iter().find(|rule| rule.name == name).expect("only rules are listed");
        assert_eq!(
            page.contains(&format!("[{code}/{name}]: ")),
            rule.is_of_the_compiler(),
            "the example's own diagnostics, which only the compiler can make:\n{page}"
        );
        assert!(page.contains("that breaks it:\n\n    "), "the example is missing:\n{page}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let place = place();
    let plain = place.loopc(&["check"]);
    assert!(!plain.stdout.contains(&0x1b), "piped output is plain");
    let forced =
        loopc_command(&place.root(), &["check"]).env("CLICOLOR_FORCE", "1").output().expect("loopc runs");
    assert!(forced.stdout.contains(&0x1b));
    let both =
        loopc_command(&place.root(), &["check"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output();
    assert_eq!(both.expect("loopc runs").stdout, plain.stdout);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let units: String = (0..3000).map(|at| format!("    unit u{at} {{ nonsense; }}\n")).collect();
    let place =
        Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", &format!("feature F-1 {{\n{units}}}\n"))]);
    let mut child =
        loopc_command(&place.root(), &["check", "--max-diagnostics", "all"]).spawn().expect("loopc starts");
    let mut first = [0; 20];
    child.stdout.take().expect("it is piped").read_exact(&mut first).expect("it prints");
    let output = child.wait_with_output().expect("loopc ends");
    assert_eq!(output.status.code(), Some(1), "the verdict stands");
    assert_eq!(text(&output.stderr), "", "and nothing is said about the pipe");
}

#[test]
fn help_and_version_are_answers_and_no_failures() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for arguments in [
        vec!["--help"],
        vec!["check", "--help"],
        vec!["build", "--help"],
        vec!["graph", "--help"],
        vec!["explain", "--help"],
    ] {
        let output = output_of(directory.path(), &arguments, b"");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let help = text(&output.stdout);
        assert!(help.contains("Exit codes:") && help.contains("Usage: loopc"), "{help}");
    }
    let version = output_of(directory.path(), &["--version"], b"");
    assert_eq!(version.status.code(), Some(0));
    assert!(text(&version.stdout).starts_with("loopc "));
    assert_eq!(
        output_of(directory.path(), &[], b"").status.code(),
        Some(2),
        "nothing asked for is wrong usage"
    );
}
