//! The real `loopc fmt`: which files it takes, what it writes, and that a plan laid out is the same plan.
//!
//! Does not know what the layout looks like; the compiler's own tests do.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use camino::Utf8Path;
use loop_compiler::compile::compile;
use loop_compiler::diagnostic::{RULES, pages};
use loop_compiler::graph;
use loop_compiler::source::FileId;
use loop_compiler::source::memory::MemorySources;
use loop_compiler::syntax::format::{Formatted, format};
use loop_tests::{Place, fixture, output_of, text, workspace_root};

mod made_up;

const UGLY: &str = "feature F-1{ unit a{goal \"a\";creates \"a\"} }\n";
const LAID_OUT: &str = "feature F-1 { unit a { goal \"a\"; creates \"a\"; }; }\n";
const PROJECT: &str = "project shop {\n  agent w via=command { run \"./a.sh\" }\n    defaults agent=w { verify test; }\n    verifier test { run make; }\n}\n";
const BROKEN: &str = "feature F-2 {\n    unit a {\n";

/// Exit code, standard output and standard error.
fn run(place: &Place, arguments: &[&str]) -> (i32, String, String) {
    run_in(&place.root(), arguments, b"")
}

fn run_in(directory: &Path, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let output = output_of(directory, arguments, input);
    (output.status.code().expect("it is not killed"), text(&output.stdout), text(&output.stderr))
}

fn place() -> Place {
    Place::new(&[
        (".gitignore", "/target\n"),
        ("loop.kdl", PROJECT),
        ("plan.loop.kdl", UGLY),
        ("sub/fine.loop.kdl", &LAID_OUT.replace("F-1", "F-3")),
        ("sub/other.kdl", UGLY),
        ("sub/loop.kdl", "project  p"),
        ("target/built.loop.kdl", UGLY),
        (".hidden/h.loop.kdl", UGLY),
        ("sub/.git/HEAD", ""),
    ])
}

#[test]
fn plans_and_projects_are_found_and_laid_out_in_place() {
    let place = place();
    std::fs::remove_dir_all(place.root().join("sub/.git")).expect("it is there");
    let (code, out, err) = run(&place, &["fmt"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (
            0,
            "formatted loop.kdl\nformatted plan.loop.kdl\nformatted sub/loop.kdl\n",
            "3 files formatted, 1 was formatted already\n"
        )
    );
    assert_eq!(place.read("plan.loop.kdl"), LAID_OUT);
    assert_eq!(place.read("sub/loop.kdl"), "project p\n");
    for untouched in ["sub/other.kdl", "target/built.loop.kdl", ".hidden/h.loop.kdl"] {
        assert_eq!(place.read(untouched), UGLY, "{untouched}");
    }
    assert_eq!(
        run(&place, &["fmt"]),
        (0, String::new(), "4 files were formatted already\n".to_owned()),
        "nothing is left to do"
    );
    let (code, out, _) = run(&place, &["fmt", "sub/other.kdl"]);
    assert_eq!((code, out.as_str()), (0, "formatted sub/other.kdl\n"), "any KDL file that is named");
    assert_eq!(place.read("sub/other.kdl"), LAID_OUT);
}

#[test]
fn other_repositories_inside_are_left_to_themselves() {
    let place = place();
    let (code, out, _) = run(&place, &["fmt", "--check"]);
    assert_eq!((code, out.as_str()), (1, "loop.kdl\nplan.loop.kdl\n"));
    let (_, out, _) = run(&place, &["fmt", "--check", "sub"]);
    assert_eq!(out, "sub/loop.kdl\n", "a directory that is asked for is searched");
}

#[test]
fn asking_writes_nothing() {
    let place = place();
    for arguments in [&["fmt", "--check"][..], &["fmt", "--diff"], &["fmt", "--check", "--diff"]] {
        let (code, out, err) = run(&place, arguments);
        assert_eq!((code, err.as_str()), (1, "2 files would be formatted\n"), "{arguments:?}: {out}");
        assert_eq!((place.read("plan.loop.kdl").as_str(), place.read("loop.kdl").as_str()), (UGLY, PROJECT));
    }
    let inside = run_in(&place.root().join("sub"), &["fmt", "--check", "../plan.loop.kdl"], b"");
    assert_eq!((inside.0, inside.1.as_str()), (1, "../plan.loop.kdl\n"), "paths count from where one stands");
    let (code, out, _) = run(&place, &["fmt", "--check", "sub/fine.loop.kdl"]);
    assert_eq!((code, out.as_str()), (0, ""));
}

#[test]
fn the_difference_is_what_git_would_apply() {
    let place = place();
    place.write("plan.loop.kdl", format!("// a\n{UGLY}\n\n\n// z"));
    let (_, diff, _) = run(&place, &["fmt", "--diff"]);
    std::fs::write(place.root().join("x.patch"), &diff).expect("it can be written");
    let applied = Command::new("git")
        .args(["apply", "--verbose", "x.patch"])
        .env("GIT_CEILING_DIRECTORIES", place.root().parent().expect("it has one"))
        .current_dir(place.root())
        .output()
        .expect("git runs");
    assert!(applied.status.success(), "{}\n{diff}", text(&applied.stderr));
    assert_eq!(run(&place, &["fmt", "--check"]).0, 0, "{}", place.read("plan.loop.kdl"));
}

#[test]
fn standard_input_goes_to_standard_output() {
    let place = place();
    for arguments in [&["fmt", "-"][..], &["fmt", "--stdin"]] {
        let answer = run_in(&place.root(), arguments, UGLY.as_bytes());
        assert_eq!(answer, (0, LAID_OUT.to_owned(), String::new()));
    }
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let answer = run_in(nowhere.path(), &["fmt", "-"], UGLY.as_bytes());
    assert_eq!(answer, (0, LAID_OUT.to_owned(), String::new()), "it needs no repository");
    let (code, out, err) = run_in(&place.root(), &["fmt", "-"], BROKEN.as_bytes());
    assert_eq!((code, out.as_str()), (1, ""), "an editor keeps what it has");
    assert!(err.contains("--> <stdin>:2:12"), "{err}");
    let (code, out, _) = run_in(&place.root(), &["fmt", "--check", "-"], UGLY.as_bytes());
    assert_eq!((code, out.as_str()), (1, "<stdin>\n"));
    let (code, out, _) = run_in(&place.root(), &["fmt", "--diff", "-"], UGLY.as_bytes());
    assert!(code == 1 && out.contains("\n-feature F-1{"), "{out}");
    assert_eq!(run_in(&place.root(), &["fmt", "--check", "-"], LAID_OUT.as_bytes()).0, 0);
}

#[test]
fn mistakes_of_syntax_leave_a_file_alone_and_no_others() {
    let place = place();
    place.write("broken.loop.kdl", BROKEN);
    place.write("latin.loop.kdl", b"// \xE9\n".as_slice());
    place.write("wrong.loop.kdl", "feature F-9{  unt a }");
    let (code, out, err) = run(&place, &["fmt"]);
    assert_eq!(code, 1);
    assert_eq!(out, "formatted loop.kdl\nformatted plan.loop.kdl\nformatted wrong.loop.kdl\n");
    assert!(err.contains("broken.loop.kdl:2:12") && err.contains("latin.loop.kdl:1:4"), "{err}");
    assert!(err.ends_with("3 files formatted, 2 files have syntax errors and stay as they are\n"), "{err}");
    assert_eq!(place.read("broken.loop.kdl"), BROKEN);
    assert_eq!(place.read("wrong.loop.kdl"), "feature F-9 { unt a; }\n", "a wrong plan has a layout, too");
    assert_eq!(run(&place, &["fmt", "--check"]).0, 1, "what cannot be laid out is not laid out");
}

#[test]
fn a_file_keeps_its_permissions_and_a_link_stays_a_link() {
    let place = place();
    let plan = place.root().join("plan.loop.kdl");
    std::fs::set_permissions(&plan, PermissionsExt::from_mode(0o640)).expect("it is ours");
    symlink("../plan.loop.kdl", place.root().join("target/link.kdl")).expect("it can be made");
    let (code, out, err) = run(&place, &["fmt", "target/link.kdl", "plan.loop.kdl"]);
    assert_eq!((code, out.as_str()), (0, "formatted target/link.kdl\n"), "one file, two names: {err}");
    assert!(place.root().join("target/link.kdl").is_symlink());
    assert_eq!(place.read("plan.loop.kdl"), LAID_OUT);
    assert_eq!(plan.metadata().expect("it is there").mode() & 0o7777, 0o640);
    let left: Vec<_> = std::fs::read_dir(place.root()).expect("it can be listed").collect();
    assert_eq!(left.len(), 7, "nothing is left beside it: {left:?}");
}

#[test]
fn nothing_outside_is_written_through_a_link() {
    let place = place();
    let outside = place.root().join("../out.loop.kdl");
    std::fs::write(&outside, UGLY).expect("it can be written");
    std::fs::create_dir(place.root().join("../dir")).expect("it can be made");
    symlink("../out.loop.kdl", place.root().join("link.loop.kdl")).expect("it can be made");
    symlink("../dir", place.root().join("way")).expect("it can be made");
    std::fs::write(place.root().join("../dir/d.loop.kdl"), UGLY).expect("it can be written");
    for path in ["link.loop.kdl", "way/d.loop.kdl", "../out.loop.kdl", "plan.loop.kdl"] {
        let (code, out, err) = run(&place, &["fmt", path, "link.loop.kdl"]);
        assert_eq!((code, out.as_str()), (2, ""), "{path}: {err}");
        assert_eq!(err.lines().count(), 1, "{path}: {err}");
    }
    assert_eq!(std::fs::read_to_string(&outside).expect("it is there"), UGLY);
    assert_eq!(place.read("../dir/d.loop.kdl"), UGLY);
    assert_eq!(place.read("plan.loop.kdl"), UGLY, "what was asked for cannot be done, so nothing is");
}

#[test]
fn a_file_in_no_repository_is_laid_out_when_it_is_named() {
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let file = nowhere.path().join("a.kdl");
    std::fs::write(&file, UGLY).expect("it can be written");
    symlink("/etc/hostname", nowhere.path().join("b.kdl")).expect("it can be made");
    let (code, out, err) = run_in(nowhere.path(), &["fmt", "a.kdl"], b"");
    assert_eq!((code, out.as_str()), (0, "formatted a.kdl\n"), "{err}");
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), LAID_OUT);
    let (code, _, err) = run_in(nowhere.path(), &["fmt", "b.kdl"], b"");
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    let (code, _, err) = run_in(nowhere.path(), &["fmt"], b"");
    assert!(code == 2 && err.contains("not in a git repository"), "{err}");
}

#[test]
fn what_cannot_be_laid_out_says_why() {
    let place = place();
    place.write("empty/readme.md", "");
    for (arguments, says) in [
        (vec!["fmt", "nowhere.kdl"], "no such file or directory"),
        (vec!["fmt", "empty/readme.md"], "does not end in `.kdl`"),
        (vec!["fmt", "empty"], "nothing to format"),
        (vec!["fmt", "-", "plan.loop.kdl"], "laid out alone"),
        (vec!["fmt", "--stdin", "plan.loop.kdl"], "cannot be used with"),
    ] {
        let (code, out, err) = run(&place, &arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}

// ---- the same plan ----

/// What a compilation says, without places, and the digests of the plans.
fn meaning(
    project: Option<&str>,
    plans: &[&str],
    sources: &MemorySources,
) -> (Vec<String>, Vec<Option<String>>) {
    let plans: Vec<_> = plans.iter().map(|plan| (*plan).into()).collect();
    let compiled = compile(project.map(Utf8Path::new), &plans, sources);
    let mut found: Vec<String> =
        compiled.diagnostics.iter().map(|found| format!("{} {}", found.rule.code, found.message)).collect();
    found.sort();
    let digests =
        compiled.plans.iter().map(|(_, plan)| Some(graph::build(plan.as_ref()?).digest.to_string()));
    (found, digests.collect())
}

fn laid_out(path: &str, text: &[u8]) -> Option<String> {
    match format(FileId(0), std::str::from_utf8(text).ok()?) {
        Formatted::Text(text) => Some(text),
        Formatted::Syntax(_) => None,
        Formatted::Unsound => panic!("{path} would change"),
    }
}

/// Compares a repository before and after; how many files changed.
fn stays_the_same(name: &str, project: Option<&str>, files: &BTreeMap<String, Vec<u8>>) -> usize {
    let before = MemorySources::new(files.clone());
    let mut after = before.clone();
    let mut changed = 0;
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".kdl")) {
        if let Some(new) = laid_out(path, text).filter(|new| new.as_bytes() != text) {
            after.insert(path.clone(), new);
            changed += 1;
        }
    }
    let plans: Vec<&str> =
        files.keys().filter(|path| path.ends_with(".loop.kdl")).map(String::as_str).collect();
    assert_eq!(meaning(project, &plans, &before), meaning(project, &plans, &after), "{name}");
    changed
}

fn read_all(directory: &Path, below: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).expect("it can be listed") {
        let path = entry.expect("its entries are readable").path();
        if path.is_dir() {
            read_all(&path, below, files);
        } else if path.is_file() {
            // Not a link that leads nowhere: some fixtures have one.
            let name = path.strip_prefix(below).expect("it is below").to_str().expect("UTF-8").to_owned();
            files.insert(name, std::fs::read(&path).expect("it can be read"));
        }
    }
}

fn repositories() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(fixture("check"))
        .expect("fixtures are readable")
        .map(|entry| entry.expect("entries are readable").path().join("repo"))
        .collect();
    found.sort();
    found
}

#[test]
fn every_fixture_and_every_example_means_the_same_in_its_layout() {
    let mut changed = 0;
    for repository in repositories() {
        let mut files = BTreeMap::new();
        read_all(&repository, &repository, &mut files);
        changed += stays_the_same(&repository.display().to_string(), Some("loop.kdl"), &files);
    }
    for rule in RULES {
        for text in [rule.bad, rule.good] {
            let (project, plan) =
                if pages::is_project(text) { (text, pages::PLAN) } else { (pages::PROJECT, text) };
            let mut files = BTreeMap::from([
                ("loop.kdl".to_owned(), project.as_bytes().to_vec()),
                ("plan.loop.kdl".to_owned(), plan.as_bytes().to_vec()),
            ]);
            files.extend(pages::files(rule).map(|(path, text)| (path.to_owned(), text.to_vec())));
            changed += stays_the_same(rule.name, Some("loop.kdl"), &files);
        }
    }
    assert!(changed > 5, "only {changed} files had another layout: that proves little");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 100, ..Default::default() })]

    #[test]
    fn a_made_up_plan_means_the_same_in_its_layout(plan in made_up::plan()) {
        let sources = |text: &str| {
            let files = BTreeMap::from([("loop.kdl", made_up::PROJECT), ("p.loop.kdl", text)]);
            MemorySources::new(files.into_iter().map(|(path, text)| (path, text.to_owned())))
        };
        let new = laid_out("a made-up plan", plan.as_bytes()).expect("it is KDL");
        let before = meaning(Some("loop.kdl"), &["p.loop.kdl"], &sources(&plan));
        proptest::prop_assert!(before.1[0].is_some(), "{:#?}\n{}", before.0, plan);
        proptest::prop_assert_eq!(before, meaning(Some("loop.kdl"), &["p.loop.kdl"], &sources(&new)));
    }
}

// ---- our own files ----

/// What people copy from is laid out. The bad plans of rules and fixtures are about places, and stay as they are.
#[test]
fn plans_to_copy_from_are_laid_out() {
    let root = workspace_root();
    let mut files = BTreeMap::new();
    for directory in [
        "compiler/src/diagnostic/pages",
        "stdlib",
        "runtime/src/cli",
        "tests/fixtures/real-crate",
        "tests/fixtures/check/clean",
    ] {
        read_all(&root.join(directory), root, &mut files);
    }
    let is_bad = |path: &str| path.ends_with("/bad.loop.kdl") || path.contains("/files/");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".kdl") && !is_bad(path)) {
        seen += 1;
        if laid_out(path, text).map(String::into_bytes).as_ref() != Some(text) {
            wrong.push(path.as_str());
        }
    }
    assert!(seen > 40, "only {seen} files");
    assert!(wrong.is_empty(), "run `loopc fmt {}`", wrong.join(" "));
}

#[test]
fn a_plan_in_the_specification_is_laid_out() {
    let mut seen = 0;
    let text = std::fs::read_to_string(workspace_root().join("spec/language.md")).expect("it is readable");
    for block in text.split("\n```kdl ").skip(1) {
        let (_, rest) = block.split_once('\n').expect("the fence ends its line");
        let (plan, _) = rest.split_once("```").expect("the block ends");
        seen += 1;
        assert_eq!(laid_out("spec/language.md", plan.as_bytes()).as_deref(), Some(plan));
    }
    assert!(seen > 2, "only {seen} plans");
}
