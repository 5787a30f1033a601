//! Keeps `spec/` true where a program can: its plans, its links, its names of events, its table of rooms, its script.
//!
//! Does not know whether the prose is.

use std::fs;
use std::path::{Path, PathBuf};

use loop_tests::{PLAN, Repo, creates, workspace_root};

fn read(path: &str) -> String {
    fs::read_to_string(workspace_root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The README and every text of `spec/`, as workspace-relative paths.
fn texts() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("README.md")];
    for directory in ["spec", "spec/decisions", "spec/conformance"] {
        let entries = fs::read_dir(workspace_root().join(directory)).expect("the directory is readable");
        for entry in entries {
            let name = entry.expect("its entries are readable").file_name();
            let path = Path::new(directory).join(name);
            if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The blocks with exactly this info string.
fn blocks<'t>(text: &'t str, info: &str) -> Vec<&'t str> {
    let fence = format!("```{info}\n");
    text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn whole_plans_in_the_texts_check_clean() {
    let mut plans = 0;
    for path in texts() {
        let text = read(path.to_str().expect("names are UTF-8"));
        let projects = blocks(&text, "kdl loop.kdl");
        for plan in blocks(&text, "kdl plan") {
            plans += 1;
            let repo = Repo::empty();
            // What the plans of the language's text refer to.
            repo.write("AGENTS.md", "# Agents\n");
            repo.write("docs/api.md", "# API\n\n## Health\n\nIt answers.\n");
            repo.write("src/router.rs", "\n");
            for script in ["start-server", "e2e.sh"] {
                repo.write_executable(script, "#!/bin/sh\n");
            }
            if let Some(project) = projects.first() {
                repo.write("loop.kdl", project);
            }
            repo.write("x.loop.kdl", plan);
            let checked = repo.run_loopc(&["check"]);
            assert_eq!(checked.code, 0, "{}\n{plan}\n{}", path.display(), checked.all());
        }
    }
    assert!(plans >= 3, "the plans are marked as before: {plans}");
}

#[test]
fn links_between_the_texts_lead_somewhere() {
    let mut broken = Vec::new();
    for path in texts() {
        let text = read(path.to_str().expect("names are UTF-8"));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains(':') || file.contains(char::is_whitespace) {
                continue;
            }
            let directory = path.parent().unwrap_or(Path::new(""));
            if !workspace_root().join(directory).join(file).exists() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_journals_text_names_every_event() {
    let code = read("runtime/src/record.rs");
    let events = code.split("pub enum Event {").nth(1).expect("the events are there");
    let events = events.split("\n}\n").next().expect("the enum ends");
    let names: Vec<&str> =
        events.split("rename = \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() >= 18, "{names:?}");
    let text = read("spec/journal.md");
    let missing: Vec<&&str> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "spec/journal.md does not name {missing:?}");
}

/// Every class of failure has its row in the protocol.
#[test]
fn the_protocol_answers_every_class_of_failure() {
    let code = read("runtime/src/record.rs");
    let classes = code.split("pub enum FailureClass {").nth(1).expect("the classes are there");
    let classes = classes.split("\n}\n").next().expect("the enum ends");
    let text = read("spec/protocol.md");
    for class in classes.lines().map(str::trim).filter(|line| line.ends_with(',') && !line.starts_with("//"))
    {
        let kebab: String = class
            .trim_end_matches(',')
            .chars()
            .enumerate()
            .flat_map(|(at, c)| {
                let dash = (c.is_ascii_uppercase() && at > 0).then_some('-');
                dash.into_iter().chain([c.to_ascii_lowercase()])
            })
            .collect();
        assert!(text.contains(&format!("| `{kebab}`")), "no row for {kebab}");
    }
}

/// People read the table in the architecture, the test in `tidy.rs` enforces its own: they are the same.
#[test]
fn the_table_of_rooms_is_the_one_that_is_enforced() {
    let code = read("tests/all/tidy.rs");
    let enforced = code.split("const ROOMS: &str = \"\n").nth(1).and_then(|rest| rest.split("\n\";").next());
    let text = read("spec/architecture.md");
    let told = blocks(&text, "text rooms");
    assert_eq!(told.first().map(|told| told.trim_end()), enforced, "copy the table of tests/all/tidy.rs");
}

#[test]
fn the_shell_script_checks_a_real_journal() {
    let body = r#"unit one { goal "Make one."; creates "out.txt"; accept "it is checked" by=check; }"#;
    let repo = Repo::scripted(body, &[("one", &creates("out.txt", "one"))]);
    repo.run_loop(&["exec", PLAN]).expect(0);
    let directory = repo.root().join(".git/loop/journal/feat");
    let check = || {
        let script = workspace_root().join("spec/verify.sh");
        let output = repo.command("sh").arg(script).arg(&directory).output().expect("a shell runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let records = repo.journal().records.len();
    let (code, said) = check();
    assert!(code == Some(0) && said.starts_with(&format!("{records} records")), "{code:?} {said}");

    let file = repo.journal_files().pop().expect("the run has a file");
    let text = fs::read_to_string(&file).expect("the journal is text");
    assert!(text.contains("\"number\":1"), "{text}");
    fs::write(&file, text.replacen("\"number\":1", "\"number\":2", 1)).expect("the journal is writable here");
    let (code, said) = check();
    assert!(code == Some(1) && said.starts_with("record "), "{code:?} {said}");
}

/// The vectors of the specification are made again by a script that shares no line with the code under test.
#[test]
fn the_vectors_of_hashing_are_those_of_an_independent_script() {
    let run = |text: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("hashing.md");
        fs::write(&path, text).expect("written");
        let script = workspace_root().join("tests/fixtures/hashing/vectors.py");
        let output =
            std::process::Command::new("python3").arg(script).arg(&path).output().expect("python3 runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let text = read("spec/hashing.md");
    let (code, said) = run(&text);
    assert_eq!(code, Some(0), "{said}");
    let at = text.rfind("\"digest\": \"").expect("there is a vector") + "\"digest\": \"".len();
    let other = if &text[at..=at] == "0" { "1" } else { "0" };
    let (code, said) = run(&format!("{}{other}{}", &text[..at], &text[at + 1..]));
    assert_eq!(code, Some(1), "a wrong digest is noticed: {said}");
}
