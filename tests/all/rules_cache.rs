//! What is finished is not paid for again: no-ops, policy changes, changed prompts, reverted commits.
//!
//! Does not know how keys are made (`spec/hashing.md` has vectors); it counts calls.

use loop_tests::{BRANCH, Outcome, PLAN, Repo, creates};

/// Two units, the second on what the first left.
const TWO: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
    unit b { needs a; goal "Make two."; creates "out/two.txt"; accept "it is checked" by=check; }
"#;

fn finished() -> Repo {
    // What a writes follows from its prompt; what b writes does not.
    let a = "mkdir -p out; if grep -q another; then echo another; else echo 1; fi > out/one.txt\n";
    let repo = Repo::scripted(TWO, &[("a", a), ("b", &creates("out/two.txt", "2"))]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a", "b"]);
    repo
}

/// Runs again and returns the units whose agents were called, and how many verifiers really ran.
fn again(repo: &Repo, code: i32) -> (Vec<String>, usize, Outcome) {
    let before = repo.journal();
    let run = repo.exec(&[]).expect(code);
    let after = repo.journal();
    let ran = |journal: &loop_tests::Journal| {
        journal.of("verify.done").iter().filter(|record| record["cached_from"].is_null()).count()
    };
    (after.dispatched()[before.dispatched().len()..].to_vec(), ran(&after) - ran(&before), run)
}

#[test]
fn a_second_run_does_nothing_and_writes_nothing() {
    let repo = finished();
    let records = repo.journal().records.len();
    let (dispatched, verified, _) = again(&repo, 0);
    assert_eq!((dispatched.len(), verified), (0, 0));
    assert_eq!(repo.journal().records.len(), records);
}

#[test]
fn layout_comments_limits_and_models_pay_for_nothing() {
    let repo = finished();
    let plan = repo.read(PLAN);
    repo.write(PLAN, plan.replace("unit a {", "// a comment\n\n    unit   a   {\n") + "/* the end */\n");
    assert_eq!(again(&repo, 0).0, [] as [&str; 0], "layout");
    repo.edit("loop.kdl", "timeout total=\"60s\"", "timeout total=\"90s\"");
    assert_eq!(again(&repo, 0).0, [] as [&str; 0], "a longer timeout");
    repo.edit("loop.kdl", "retry attempts=1", "retry attempts=2");
    assert_eq!(again(&repo, 0).0, [] as [&str; 0], "more attempts");
    repo.edit(PLAN, "unit b {", "unit b title=\"The second\" { label extra;");
    assert_eq!(again(&repo, 0).0, [] as [&str; 0], "titles and labels");
    repo.edit("loop.kdl", "defaults agent=scripted {", "defaults agent=scripted model=larger {");
    assert_eq!(again(&repo, 0).0, [] as [&str; 0], "another model");
}

#[test]
fn a_changed_prompt_runs_its_unit_and_stops_where_nothing_changes() {
    let repo = finished();
    repo.edit(PLAN, "Make one.", "Make one, please.");
    let head = repo.git(&["rev-parse", BRANCH]);
    let (dispatched, ..) = again(&repo, 0);
    assert_eq!(dispatched, ["a"], "its output is the same, so what needs it does not run");
    let accepted = repo.journal().of("unit.accepted").last().map(|record| record["empty"].clone());
    assert_eq!(accepted, Some(true.into()), "nothing to change, and its verifiers pass on that very tree");
    assert_eq!(repo.git(&["rev-parse", BRANCH]), head, "nothing to change makes no commit");
    assert_eq!(again(&repo, 0).0, [] as [&str; 0], "and that is remembered");
}

#[test]
fn a_changed_output_runs_what_needs_it() {
    let repo = finished();
    repo.edit(PLAN, "Make one.", "Make another one.");
    let (dispatched, ..) = again(&repo, 0);
    assert_eq!(dispatched, ["a", "b"]);
    assert_eq!(repo.git(&["show", &format!("{BRANCH}:out/one.txt")]), "another");
    assert_eq!(repo.landed(BRANCH), ["a", "b", "a"], "b had nothing to change");
}

/// A unit that runs again finds its earlier result in its tree.
#[test]
fn a_rerun_starts_from_its_earlier_result() {
    let script = "mkdir -p out; echo line >> out/one.txt\n";
    let body = r#"unit a { goal "Make one."; writes "out/one.txt"; accept "it is checked" by=check; }"#;
    let repo = Repo::scripted(body, &[("a", script)]);
    repo.exec(&[]).expect(0);
    repo.exec(&["--redo", "a"]).expect(0);
    assert_eq!(repo.git(&["show", &format!("{BRANCH}:out/one.txt")]), "line\nline");
    assert_eq!(repo.landed(BRANCH), ["a", "a"]);
}

#[test]
fn a_reverted_commit_stops_before_paying() {
    let repo = finished();
    // As a person would, in a clone, and pushed back.
    let clone = repo.outside().join("clone");
    repo.git(&["clone", "--quiet", "--branch", BRANCH, ".", &clone.display().to_string()]);
    let git = |arguments: &[&str]| loop_tests::git_at(&clone, repo.outside(), arguments);
    git(&["-c", "user.name=P", "-c", "user.email=p@example.org", "revert", "--no-edit", "HEAD"]);
    git(&["push", "--quiet", "origin", BRANCH]);

    let (dispatched, _, run) = again(&repo, 4);
    assert_eq!(dispatched, [] as [&str; 0]);
    assert!(run.all().contains("--redo b"), "it says what to do:\n{}", run.all());
    let status = repo.run_loop(&["status", PLAN]).expect(0).all();
    assert!(status.contains("undone"), "{status}");
    repo.exec(&["--redo", "b"]).expect(0);
    assert_eq!(repo.git(&["show", &format!("{BRANCH}:out/two.txt")]), "2");
}

/// In a fresh clone there is no journal: the trailers say what landed, verifiers run again, agents do not.
#[test]
fn a_fresh_clone_calls_no_agent() {
    let repo = finished();
    let other = Repo::bare_directory();
    let from = repo.root().display().to_string();
    other.git(&["clone", "--quiet", "--branch", BRANCH, &from, "."]);
    other.git(&["checkout", "--quiet", "-b", "main", "origin/main"]);
    other.write(PLAN, repo.read(PLAN));
    let run = other.exec(&[]).expect(0);
    assert_eq!(other.journal().dispatched(), [] as [&str; 0], "{}", run.all());
    assert!(!other.journal().of("verify.done").is_empty());
}

#[test]
fn why_names_the_field_that_changed() {
    let repo = finished();
    repo.edit(PLAN, "Make one.", "Make one, please.");
    let why = repo.run_loop(&["why", "a", PLAN]).expect(0).all();
    assert!(why.contains("goal") && why.contains("Make one, please."), "{why}");
    let same = repo.run_loop(&["why", "b", PLAN]).expect(0).all();
    assert!(!same.contains("Make one, please."), "{same}");
}
