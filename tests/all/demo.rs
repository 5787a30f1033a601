//! `loop demo` as a stranger meets it: it runs, it says what it does, and it touches nothing else.
//!
//! Does not check again what the demo checks itself; its exit code says that.

use std::collections::BTreeSet;
use std::fs;

use loop_tests::{Lane, Repo, git_at, lane};

/// The demo's own journal, from its repository.
fn dispatched(repo: &Repo, directory: &str) -> Vec<String> {
    let root = repo.outside().join(directory).join("notes");
    let mut command = repo.command(loop_tests::loop_binary());
    let output = command.current_dir(root).args(["log", "--json"]).output().expect("loop runs");
    let text = String::from_utf8(output.stdout).expect("records are UTF-8");
    let records =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a record is JSON"));
    records
        .map(|line| line["rec"].clone())
        .filter(|record| record["kind"] == "attempt.started")
        .map(|record| record["data"]["unit"].as_str().expect("an attempt has a unit").to_owned())
        .collect()
}

fn shows_everything(repo: &Repo, directory: &str) {
    let place = repo.outside().join(directory);
    let shown = repo.run_loop(&["demo", place.to_str().expect("temporary paths are UTF-8")]).expect(0);
    assert_eq!(shown.stderr, "");
    let text = &shown.stdout;
    for part in [
        "$ loopc check notes.loop.kdl",
        "1 plan checked: nothing to report",
        "$ loop exec notes.loop.kdl --jobs 2",
        "The gate waits for you.",
        "All done. search is complete",
        "FAIL search ignores case",
        "$ loop approve find notes.loop.kdl",
        "7 tested, 0 failed",
        "no agent and no verifier was started",
        "count: run (prompt changed)",
        "NOT SOUND",
        "sound; anchored",
        "loop status",
    ] {
        assert!(text.contains(part), "{part:?} is not shown:\n{text}");
    }
    assert!(!text.contains('\x1b'), "no colours in a pipe:\n{text}");
    let mut units = dispatched(repo, directory);
    units.sort();
    assert_eq!(units, ["count", "count", "export", "guide", "help", "remove", "search", "search"]);
    let root = place.join("notes");
    assert_eq!(git_at(&root, repo.outside(), &["rev-list", "--count", "main..loop/notes"]), "7");
    assert_eq!(git_at(&root, repo.outside(), &["status", "--short"]), " M notes.loop.kdl");
}

/// Names below a directory.
fn names(directory: &std::path::Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("the directory is readable");
    entries
        .map(|entry| entry.expect("its entries are readable").file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_whole_run_is_shown_and_nothing_else_is_touched() {
    let mut repo = Repo::bare_directory();
    let temporary = repo.outside().join("tmp");
    fs::create_dir(&temporary).expect("a directory in the temporary directory");
    repo.set_env("TMPDIR", temporary.to_str().expect("temporary paths are UTF-8"));
    repo.set_env("LOOP_CONTAINMENT", "off");
    // What git's hooks set must not lead into another repository.
    repo.set_env("GIT_DIR", "/nowhere");
    shows_everything(&repo, "a demo");
    for untouched in ["home", "cache", "tmp", "repo"] {
        assert_eq!(names(&repo.outside().join(untouched)), BTreeSet::new(), "{untouched}");
    }
    assert_eq!(
        names(&repo.outside().join("a demo")),
        ["cache", "copy", "notes", "result"].map(str::to_owned).into()
    );
}

#[test]
fn it_runs_inside_a_sandbox_as_well() {
    if lane(Lane::Bubblewrap, "it_runs_inside_a_sandbox_as_well").is_none() {
        return;
    }
    let mut repo = Repo::bare_directory();
    repo.set_env("LOOP_CONTAINMENT", "bwrap");
    shows_everything(&repo, "demo");
}

#[test]
fn without_a_directory_it_says_where_it_made_one() {
    let mut repo = Repo::bare_directory();
    let temporary = repo.outside().join("tmp");
    fs::create_dir(&temporary).expect("a directory in the temporary directory");
    repo.set_env("TMPDIR", temporary.to_str().expect("temporary paths are UTF-8"));
    let shown = repo.run_loop(&["demo"]).expect(0);
    let made = names(&temporary);
    assert_eq!(made.len(), 1, "{made:?}");
    let name = made.first().expect("there is one");
    assert!(name.starts_with("loop-demo-") && shown.stdout.contains(name.as_str()), "{name}");
}

#[test]
fn a_directory_that_holds_something_is_refused_and_left_alone() {
    let repo = Repo::bare_directory();
    repo.write("mine.txt", "mine\n");
    let root = repo.root();
    let refused = repo.run_loop(&["demo", root.to_str().expect("temporary paths are UTF-8")]).expect(2);
    assert!(refused.stderr.contains("is not empty"), "{}", refused.stderr);
    assert_eq!(names(&root), ["mine.txt".to_owned()].into());
}

#[test]
fn without_git_it_says_what_is_missing() {
    let mut repo = Repo::bare_directory();
    let bin = repo.outside().join("bin");
    repo.set_env("PATH", bin.to_str().expect("temporary paths are UTF-8"));
    let refused = repo.run_loop(&["demo"]).expect(6);
    assert!(refused.stderr.contains("`git`") && refused.stderr.contains("install"), "{}", refused.stderr);
}

#[test]
fn a_claim_that_does_not_hold_ends_it_with_a_message() {
    // A git that says nothing about the branch's commits.
    let mut repo = Repo::bare_directory();
    let script = "#!/bin/sh\nif [ \"$1\" = log ]; then exit 0; fi\nPATH=${PATH#*:} exec git \"$@\"\n";
    let bin = repo.outside().join("bin");
    fs::write(bin.join("git"), script).expect("the script is written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bin.join("git"), mode).expect("the mode is set");
    repo.add_path(bin);
    let place = repo.outside().join("demo");
    let ended = repo.run_loop(&["demo", place.to_str().expect("temporary paths are UTF-8")]).expect(1);
    assert!(ended.stderr.contains("Expected: three commits on the branch"), "{}", ended.stderr);
    assert!(ended.stderr.contains("is still in"), "{}", ended.stderr);
}
