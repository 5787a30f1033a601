//! `loop probe`: the checks of a plan on the base, before any work. Each rule's own example is probed for real.
//!
//! Does not know how a check is run.

use std::time::Duration;

use loop_compiler::diagnostic::{PROBED, RULES, Rule, pages};
use loop_tests::{Repo, wait_until};

fn example(rule: &Rule, text: &str) -> Repo {
    let (project, plan) = if pages::is_project(text) { (text, pages::PLAN) } else { (pages::PROJECT, text) };
    let repo = Repo::new(&[("loop.kdl", project), ("plan.loop.kdl", plan)]);
    for (path, content) in pages::files(rule) {
        repo.write(path, content);
    }
    repo.write_executable("agent.sh", "#!/bin/sh\nexit 1\n");
    repo.commit("The example");
    repo
}

#[test]
fn each_rule_is_found_in_its_bad_example_and_not_in_its_good_one() {
    let mut probed = 0;
    for rule in RULES.iter().filter(|rule| rule.family() == PROBED) {
        let told = |text: &str| {
            let repo = example(rule, text);
            // A byte of chance is the same twice once in a while.
            let tries = if rule.name == "flaky-at-base" { 8 } else { 1 };
            let runs = (0..tries).map(|_| repo.run_loop(&["probe", "--format", "short"]).all());
            runs.collect::<Vec<_>>().concat()
        };
        let tag = format!("[{}/{}]", rule.code, rule.name);
        let bad = told(rule.bad);
        assert!(bad.contains(&tag), "{}: {bad}", rule.name);
        let good = told(rule.good);
        assert!(!good.contains(&tag), "{}: {good}", rule.name);
        probed += 1;
    }
    assert_eq!(probed, 5);
}

const PROJECT: &str = "project p base=main {
    agent w via=command { run \"./agent.sh\"; }
    defaults agent=w { verify suite; }
    verifier suite { run sh \"check.sh\"; }
    verifier narrow { param words type=text; run grep -q \"${words}\" \"notes.md\"; }
    verifier slow { shell \"sleep 60; grep -q x notes.md\"; }
}
";

fn repository(unit: &str, script: &str) -> Repo {
    let plan = format!("feature f {{\n    unit u {{ goal \"g\"; writes \"notes.md\"; {unit} }}\n}}\n");
    let repo = Repo::new(&[
        ("loop.kdl", PROJECT),
        ("plan.loop.kdl", &plan),
        ("check.sh", script),
        ("notes.md", "one\n"),
    ]);
    repo.write_executable("agent.sh", "#!/bin/sh\nexit 1\n");
    repo.commit("A plan");
    repo
}

#[test]
fn a_sound_plan_is_told_in_a_line_and_leaves_nothing_behind() {
    let repo = repository("accept \"two\" by=narrow; verify narrow words=two;", "exit 0\n");
    let before = repo.snapshot();
    let outcome = repo.run_loop(&["probe", "--quiet"]).expect(0);
    assert!(outcome.stdout.starts_with("2 checks probed on main at "), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with(": nothing to report\n"), "{}", outcome.stdout);
    assert_eq!(outcome.stderr, "");
    before.assert_same(&repo.snapshot());
    assert!(repo.journal_files().is_empty(), "nothing is recorded");
    assert_eq!(repo.git(&["branch", "--list", "loop/*"]), "", "no branch is made");
}

#[test]
fn what_is_green_already_is_told_at_the_criterion_with_every_format() {
    let repo = repository("accept \"one\" by=narrow; verify narrow words=one;", "exit 0\n");
    let short = repo.run_loop(&["probe", "-q", "--format", "short"]).expect(0);
    assert!(
        short
            .stdout
            .starts_with("plan.loop.kdl:2:43: warning[L0702/already-green]: `narrow` passes before any work"),
        "{}",
        short.stdout
    );
    let json = repo.run_loop(&["probe", "-q", "--format", "json"]).expect(0).json();
    assert_eq!(json["diagnostics"][0]["name"], "already-green");
    assert_eq!(json["diagnostics"][0]["file"], "plan.loop.kdl");
    for format in ["human", "plain", "jsonl", "sarif", "github", "gitlab", "junit"] {
        let outcome = repo.run_loop(&["probe", "-q", "--format", format]).expect(0);
        assert!(outcome.stdout.contains("already-green"), "{format}: {}", outcome.stdout);
    }
}

#[test]
fn a_red_suite_is_told_with_what_it_printed_and_levels_hold() {
    let script = "echo oh no; exit 3\n";
    let repo = repository("accept \"it is there\" { matches \"notes.md\" two; };", script);
    let outcome = repo.run_loop(&["probe", "-q"]).expect(0);
    for words in
        ["`suite` fails before any work: it exited with 3", "it printed: oh no", "accept \"...\" by=suite"]
    {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    repo.write(
        "loop.kdl",
        PROJECT.replace("    verifier slow", "    lint unclassified-failure level=deny\n    verifier slow"),
    );
    repo.run_loop(&["probe", "-q"]).expect(1);
    let allowed = PROJECT.replace(
        "    verifier slow",
        "    lint unclassified-failure level=allow reason=\"known\"\n    verifier slow",
    );
    repo.write("loop.kdl", &allowed);
    assert!(repo.run_loop(&["probe", "-q"]).expect(0).stdout.contains("nothing to report"));
    let checked = repo.run_loopc(&["check", "--format", "short"]);
    assert!(!checked.stdout.contains("unused-allow"), "{}", checked.stdout);
}

#[test]
fn a_criterion_that_names_the_red_suite_explains_it() {
    let repo = repository("accept \"it passes\" by=suite;", "exit 3\n");
    assert!(repo.run_loop(&["probe", "-q"]).expect(0).stdout.contains("nothing to report"));
}

#[test]
fn an_interrupted_probe_ends_its_checks_and_removes_its_places() {
    let repo = repository("verify slow;", "exit 0\n");
    let mut running = repo.spawn_loop(&["probe", "--jobs", "4"]);
    wait_until("the checks to begin", Duration::from_secs(60), || {
        let places = std::fs::read_dir(repo.outside().join("cache/loop")).into_iter().flatten().flatten();
        places
            .flat_map(|place| std::fs::read_dir(place.path().join(".probe/checks")))
            .flatten()
            .next()
            .is_some()
    });
    running.signal("INT");
    let outcome = running.wait();
    assert_eq!(outcome.code, 130, "{}", outcome.all());
    let left = std::fs::read_dir(repo.outside().join("cache/loop")).expect("it is there").flatten();
    for place in left {
        for kind in ["checks", "prepared"] {
            let kept =
                std::fs::read_dir(place.path().join(".probe").join(kind)).into_iter().flatten().count();
            assert_eq!(kept, 0);
        }
    }
}

#[test]
fn a_second_probe_waits_for_nobody_and_says_so() {
    let repo = repository("verify slow;", "exit 0\n");
    let mut first = repo.spawn_loop(&["probe", "--jobs", "4"]);
    wait_until("the first one to begin", Duration::from_secs(60), || {
        let places = std::fs::read_dir(repo.outside().join("cache/loop")).into_iter().flatten().flatten();
        places
            .flat_map(|place| std::fs::read_dir(place.path().join(".probe/checks")))
            .flatten()
            .next()
            .is_some()
    });
    let second = repo.run_loop(&["probe", "-q"]).expect(7);
    assert!(second.stderr.contains("the same command is at work in this repository"), "{}", second.stderr);
    first.signal("INT");
    first.wait();
}
