//! An agent's word is worth nothing, and it cannot change what it is judged by.
//!
//! Does not know real agents; scripts play the liars.

use loop_tests::{BRANCH, PLAN, Repo, creates};

const ONE: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
"#;

/// Runs one unit with this script and expects that nothing lands and that the failure is of this class.
#[track_caller]
fn refused(script: &str, class: &str) -> Repo {
    let repo = Repo::scripted(ONE, &[("a", script)]);
    let run = repo.exec(&[]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_eq!(repo.journal().failures("a"), [class], "{}", run.all());
    assert_eq!(repo.git(&["branch", "--list", BRANCH]), "", "no branch for nothing");
    assert_eq!(repo.journal().of("unit.accepted").len(), 0);
    repo
}

#[test]
fn an_agent_that_changes_nothing_completes_nothing() {
    refused("exit 0", "empty-diff");
}

#[test]
fn an_agent_that_says_that_all_is_done_completes_nothing() {
    let lie = r#"echo 'All done, every test passes.'; printf '{"status":"done"}' > "$LOOP_REPORT""#;
    refused(lie, "empty-diff");
}

#[test]
fn an_agent_that_makes_something_else_than_asked_completes_nothing() {
    // `creates` must be there and not be empty.
    refused("mkdir out; : > out/one.txt", "verify-failed");
}

#[test]
fn work_that_the_verifier_refuses_completes_nothing() {
    let script =
        format!("{}mkdir -p out; mkdir out/more; touch out/more/broken", creates("out/one.txt", "1"));
    let body = ONE.replace("creates \"out/one.txt\"", "creates \"out/one.txt\"; writes \"out/more/**\"");
    let repo = Repo::scripted(&body, &[("a", &script)]);
    let run = repo.exec(&[]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_eq!(repo.journal().failures("a"), ["verify-failed"], "{}", run.all());
}

#[test]
fn a_failing_exit_is_believed() {
    refused(&format!("{}exit 3", creates("out/one.txt", "1")), "agent-exit");
}

#[test]
fn a_blocked_report_stops_without_another_attempt() {
    let script = r#"printf '{"status":"blocked","reason":"no router here"}' > "$LOOP_REPORT""#;
    let body = ONE.replace("goal", "retry attempts=3; goal");
    let repo = Repo::scripted(&body, &[("a", script)]);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("no router here"), "{}", run.all());
    assert_eq!(repo.journal().dispatched(), ["a"]);
    repo.exec(&[]).expect(4);
    assert_eq!(repo.journal().dispatched(), ["a"], "a blocked unit is not paid for again unasked");
    repo.exec(&["--redo", "a"]).expect(4);
    assert_eq!(repo.journal().dispatched(), ["a", "a"], "`--redo` asks");
}

#[test]
fn a_report_that_is_no_report_is_typed() {
    refused(&format!("{}echo nonsense > \"$LOOP_REPORT\"", creates("out/one.txt", "1")), "bad-report");
}

#[test]
fn a_fifo_as_report_does_not_hang() {
    refused(&format!("{}mkfifo \"$LOOP_REPORT\"", creates("out/one.txt", "1")), "bad-report");
}

#[test]
fn a_link_as_report_is_not_followed() {
    refused(&format!("{}ln -s /etc/hostname \"$LOOP_REPORT\"", creates("out/one.txt", "1")), "bad-report");
}

#[test]
fn much_output_does_no_harm() {
    let script = format!(
        "{}head -c 30000000 /dev/zero | tr '\\0' 'x'; head -c 30000000 /dev/zero >&2",
        creates("out/one.txt", "1")
    );
    let repo = Repo::scripted(ONE, &[("a", &script)]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a"]);
}

#[test]
fn a_failed_attempt_is_followed_by_one_with_the_evidence() {
    let script = format!(
        "cat > out.prompt\nif [ \"$LOOP_ATTEMPT\" = 1 ]; then {} mkdir sub; touch sub/broken; fi\n{}cp out.prompt prompt.txt; rm out.prompt",
        creates("out/one.txt", "bad"),
        creates("out/one.txt", "good"),
    );
    let body = r#"unit a {
        goal "Make one."; creates "out/one.txt"; writes "sub/**" "prompt.txt"
        retry attempts=2; accept "it is checked" by=check
    }"#;
    let repo = Repo::scripted(body, &[("a", &script)]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().failures("a"), ["verify-failed"]);
    let files = repo.git(&["ls-tree", "-r", "--name-only", BRANCH]);
    assert!(!files.contains("broken"), "the second attempt starts from the same tree as the first: {files}");
    let prompt = repo.git(&["show", &format!("{BRANCH}:prompt.txt")]);
    assert!(prompt.contains("sub/broken"), "the verifier's output is in the prompt:\n{prompt}");
}

#[test]
fn attempts_end_and_the_unit_is_blocked() {
    let body = ONE.replace("goal", "retry attempts=3; goal");
    // A signature of its own each time: the same one twice in a row ends it sooner.
    let repo = Repo::scripted(&body, &[("a", "exit $((LOOP_ATTEMPT + 10))")]);
    repo.exec(&[]).expect(4);
    assert_eq!(repo.journal().units_of("unit.blocked"), ["a"]);
    let calls = repo.journal().dispatched().len();
    assert!((2..=3).contains(&calls), "{calls}");
}

#[test]
fn an_agent_that_edits_what_judges_it_fails() {
    for path in ["plan.loop.kdl", "loop.kdl", "agents/unit/a.sh"] {
        let script = format!("{}echo >> '{path}'", creates("out/one.txt", "1"));
        let repo = refused(&script, "out-of-scope");
        let log = repo.run_loop(&["log", "a"]).expect(0).all();
        assert!(log.contains(path), "the log names {path}:\n{log}");
    }
}

#[test]
fn verification_uses_the_compiled_graph() {
    // The agent makes the verifier of `loop.kdl` pass everything; both its edit and its work are refused.
    let script =
        format!("sed -i 's/! find/true; find/' loop.kdl\n{}touch out/broken", creates("out/one.txt", "1"));
    let body = ONE.replace("creates \"out/one.txt\"", "creates \"out/one.txt\"; writes \"out/**\"");
    let repo = Repo::scripted(&body, &[("a", &script)]);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.journal().failures("a"), ["out-of-scope"]);
    assert_eq!(repo.journal().of("unit.accepted").len(), 0);
    assert!(repo.read(PLAN).contains("unit a"));
}
