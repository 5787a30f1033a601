//! A plan of seven units in two gates on the source of a real crate, with the crate's own tests as verifier.
//!
//! Does not know how the recorded changes were made: they are patches in `fixtures/real-crate`, and one of them is wrong at
//! the first attempt (its example misses the `extern crate` that the crate's edition wants).

use std::path::{Path, PathBuf};
use std::process::Command;

use loop_tests::{Repo, fixture, workspace_root};
use serde_json::Value;

const PLAN: &str = "plans/score.loop.kdl";
const BRANCH: &str = "loop/osa-score";
const UNITS: [&str; 7] =
    ["normalized-osa", "hamming-tests", "common-prefix", "symmetry-tests", "example", "readme", "changelog"];

/// The crate's source as cargo fetched it from the registry, at the version that `Cargo.lock` pins.
fn source() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace_root())
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let package =
        packages.iter().find(|package| package["name"] == "strsim").expect("strsim is a dependency");
    assert_eq!(package["version"], "0.11.1", "the recorded changes fit this version");
    let manifest = package["manifest_path"].as_str().expect("a package has a manifest");
    Path::new(manifest).parent().expect("a manifest has a directory").to_owned()
}

fn copy(from: &Path, repo: &Repo, to: &str) {
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a directory's entry is readable");
        let name = entry.file_name().into_string().expect("the crate's names are UTF-8");
        let to = if to.is_empty() { name.clone() } else { format!("{to}/{name}") };
        if entry.path().is_dir() {
            copy(&entry.path(), repo, &to);
        } else if name != ".cargo-ok" {
            repo.write(&to, std::fs::read(entry.path()).expect("a source file is readable"));
        }
    }
}

fn repository() -> Repo {
    let repo = Repo::empty();
    copy(&source(), &repo, "");
    repo.commit("The crate as it was published");
    let files = fixture("real-crate");
    copy(&files.join("changes"), &repo, "agents/changes");
    for (from, to) in [(files.join("loop.kdl"), "loop.kdl"), (files.join("score.loop.kdl"), PLAN)] {
        repo.write(to, std::fs::read(from).expect("the fixture is readable"));
    }
    repo.write(
        "agents/apply.sh",
        std::fs::read(fixture("agents/apply.sh")).expect("the fixture is readable"),
    );
    repo.commit("A plan, and the recorded changes");
    repo
}

/// The tree that all recorded changes together make, without any run.
fn expected_tree(repo: &Repo) -> String {
    let clone = repo.outside().join("by-hand");
    repo.git(&["clone", "--quiet", ".", &clone.display().to_string()]);
    let git = |arguments: &[&str]| loop_tests::git_at(&clone, repo.outside(), arguments);
    for unit in UNITS {
        git(&["apply", "--whitespace=nowarn", &format!("agents/changes/{unit}.patch")]);
    }
    git(&["add", "--all"]);
    git(&["write-tree"])
}

#[test]
fn the_recorded_plan_checks_clean() {
    let repo = repository();
    let checked = repo.run_loopc(&["check", "--format", "json"]).expect(0);
    assert_eq!(checked.json()["diagnostics"], serde_json::json!([]), "{}", checked.stdout);
}

#[test]
fn seven_units_land_on_a_real_crate_and_a_second_run_does_nothing() {
    let repo = repository();
    let before = repo.snapshot();
    let first = repo.run_loop(&["exec", PLAN, "--jobs", "2"]).expect(3);
    assert!(first.all().contains("metrics"), "it says which gate waits:\n{}", first.all());
    assert_eq!(repo.landed(BRANCH), UNITS[..3], "plan order, whoever finished first");

    repo.run_loop(&["approve", "metrics", PLAN, "--reason", "read the diff"]).expect(0);
    repo.run_loop(&["exec", PLAN, "--jobs", "2"]).expect(3);
    assert_eq!(repo.landed(BRANCH), UNITS);
    assert_eq!(repo.journal().failures("example"), ["verify-failed"], "the first attempt does not compile");
    let dispatched = repo.journal().dispatched();
    assert_eq!(dispatched.len(), 8, "one call a unit and one more for the example: {dispatched:?}");

    repo.run_loop(&["approve", "words", PLAN]).expect(0);
    repo.run_loop(&["exec", PLAN]).expect(0);
    assert_eq!(repo.git(&["rev-parse", &format!("{BRANCH}^{{tree}}")]), expected_tree(&repo));

    let records = repo.journal().records.len();
    let head = repo.git(&["rev-parse", BRANCH]);
    repo.run_loop(&["exec", PLAN]).expect(0);
    assert_eq!(repo.journal().records.len(), records, "nothing to do writes nothing");
    assert_eq!(repo.git(&["rev-parse", BRANCH]), head);
    repo.run_loop(&["audit", "verify"]).expect(0);
    before.assert_same(&repo.snapshot());
}
