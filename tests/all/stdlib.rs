//! The standard library at work: each file's example is checked, and run with the real tools where they can be had.
//!
//! Does not know any agent: a script lays recorded files over the tree.

use std::path::PathBuf;
use std::process::Command;

use loop_tests::{Lane, Repo, lane, workspace_root};
use serde_json::json;

const LIBRARY: &[&str] = &["agents", "close", "docs", "go", "node", "python", "review", "rust", "web"];

fn library() -> PathBuf {
    workspace_root().join("stdlib")
}

/// The example of a file, with the script that stands in for an agent, committed.
fn example(name: &str) -> Repo {
    let repo = Repo::empty();
    let from = library().join("examples").join(name);
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(from.join(&directory)).expect("every file has an example") {
            let entry = entry.expect("entries are readable");
            let path = directory.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(entry.path()).expect("files are readable");
                repo.write(path.to_str().expect("UTF-8"), bytes);
            }
        }
    }
    let script = std::fs::read(library().join("examples/apply.sh")).expect("it is readable");
    repo.write("work/apply.sh", script);
    repo
}

/// `prepare npm ci` asks the registry that npm is set up for here; a home directory of its own does not say which.
fn with_registry(repo: &Repo) {
    let output = Command::new("npm").args(["config", "get", "registry"]).output().expect("npm runs");
    let registry = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    repo.write(".npmrc", format!("registry={registry}\n"));
}

/// Runs the example to its end, as somebody who approves of everything.
fn run(repo: &Repo, feature: &str, units: &[&str]) {
    repo.commit("The example");
    repo.run_loop(&["exec", "plan.loop.kdl"]).expect(0);
    assert_eq!(repo.landed(&format!("loop/{feature}")), units);
    let verdicts = repo.journal();
    let verdicts = verdicts.of("verify.done");
    assert!(!verdicts.is_empty());
    for verdict in verdicts {
        assert_eq!(verdict["verdict"], "passed", "{verdict}");
    }
}

#[test]
fn every_file_has_a_page_that_names_what_it_offers_and_an_example_that_checks_clean() {
    let mut files: Vec<String> = std::fs::read_dir(library())
        .expect("it is readable")
        .filter_map(|entry| {
            entry.expect("entries are readable").path().file_name()?.to_str().map(str::to_owned)
        })
        .filter_map(|name| name.strip_suffix(".kdl").map(str::to_owned))
        .collect();
    files.sort();
    assert_eq!(files, LIBRARY);
    for name in LIBRARY {
        let text = std::fs::read_to_string(library().join(format!("{name}.kdl"))).expect("it is readable");
        let page = std::fs::read_to_string(library().join(format!("{name}.md"))).expect("it has a page");
        assert!(page.contains(&format!("import \"std/{name}\"")), "{name}.md shows no import");
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let exported = match words.next() {
                Some("verifier" | "agent" | "reviewer" | "template") => words.next().expect("a name"),
                _ => continue,
            };
            assert!(page.contains(&format!("`{exported}`")), "{name}.md does not tell of `{exported}`");
        }
        let checked = example(name).run_loopc(&["check", "--format", "json"]).expect(0);
        assert_eq!(checked.json()["diagnostics"], json!([]), "{name}: {}", checked.stdout);
    }
}

#[test]
fn rust_runs_with_the_real_cargo() {
    run(&example("rust"), "greeting", &["greeting"]);
}

#[test]
fn a_gate_is_closed() {
    run(&example("close"), "pages", &["page", "end/retrospective", "end/lessons", "end/changelog"]);
}

#[test]
fn python_runs_with_the_real_tools() {
    let Some(bin) = lane(Lane::Python, "stdlib::python_runs_with_the_real_tools") else { return };
    let mut repo = example("python");
    repo.add_path(bin);
    run(&repo, "greeting", &["greeting"]);
}

#[test]
fn go_runs_with_the_real_go() {
    let Some(_) = lane(Lane::Go, "stdlib::go_runs_with_the_real_go") else { return };
    run(&example("go"), "greeting", &["greeting"]);
}

#[test]
fn node_runs_with_the_real_npm() {
    let Some(_) = lane(Lane::Npm, "stdlib::node_runs_with_the_real_npm") else { return };
    let repo = example("node");
    with_registry(&repo);
    run(&repo, "greeting", &["greeting"]);
}

#[test]
fn web_runs_with_the_real_npm() {
    let Some(_) = lane(Lane::Npm, "stdlib::web_runs_with_the_real_npm") else { return };
    let repo = example("web");
    with_registry(&repo);
    run(&repo, "page", &["page"]);
}

#[test]
fn docs_run_with_the_real_tools() {
    let Some(_) = lane(Lane::Npm, "stdlib::docs_run_with_the_real_tools") else { return };
    let Some(bin) = lane(Lane::Python, "stdlib::docs_run_with_the_real_tools") else { return };
    let mut repo = example("docs");
    repo.add_path(bin);
    with_registry(&repo);
    run(&repo, "guide", &["guide"]);
}
