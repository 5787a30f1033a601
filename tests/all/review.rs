//! Ways in which finished work could be lost, paid for twice, or believed although it is not there.
//!
//! Does not know why each came about; every test says what a person would see.

use loop_tests::{BRANCH, PLAN, Repo, creates};

fn scripted(body: &str, scripts: &[(&str, String)]) -> Repo {
    let scripts: Vec<(&str, &str)> = scripts.iter().map(|(unit, script)| (*unit, script.as_str())).collect();
    Repo::scripted(body, &scripts)
}

/// Two units that write the same file one after the other.
fn chain() -> Repo {
    let body = r#"
        unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
        unit b { needs a; goal "Add to it."; writes "out/one.txt"; accept "it is checked" by=check; }
    "#;
    scripted(body, &[("a", creates("out/one.txt", "1")), ("b", "echo 2 >> out/one.txt".to_owned())])
}

#[test]
fn a_deleted_branch_is_no_finished_work() {
    let repo = chain();
    repo.exec(&[]).expect(0);
    repo.git(&["branch", "-D", BRANCH]);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("not on the branch any more"), "{}", run.all());
    assert_eq!(repo.journal().dispatched(), ["a", "b"], "nothing is paid unasked");
    repo.exec(&["--redo", "a", "--redo", "b"]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a", "b"]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched().len(), 4);
}

#[test]
fn a_branch_that_was_reset_has_lost_its_last_unit() {
    let repo = chain();
    repo.exec(&[]).expect(0);
    repo.git(&["branch", "-f", BRANCH, "loop/feat~1"]);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("loop exec --redo b"), "{}", run.all());
    assert_eq!(repo.journal().dispatched(), ["a", "b"]);
}

/// The trailers are gone, the content is there.
#[test]
fn a_squashed_branch_is_finished_work() {
    let repo = chain();
    repo.exec(&[]).expect(0);
    repo.git(&["merge", "--squash", BRANCH]);
    repo.git(&["commit", "-qm", "Squashed"]);
    repo.git(&["branch", "-D", BRANCH]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched(), ["a", "b"]);
}

#[test]
fn a_rebased_branch_is_finished_work() {
    let repo = chain();
    repo.exec(&[]).expect(0);
    repo.write("other.txt", "Meanwhile.\n");
    repo.git(&["add", "other.txt"]);
    repo.git(&["commit", "-qm", "Meanwhile"]);
    repo.git(&["switch", "-q", BRANCH]);
    repo.git(&["rebase", "-q", "main"]);
    let status = repo.run_loop(&["status", PLAN]).expect(0);
    assert!(!status.all().contains("undone"), "{}", status.all());
    repo.git(&["switch", "-q", "main"]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched(), ["a", "b"]);
}

#[test]
fn all_commits_of_a_unit_reverted_is_undone() {
    let repo = chain();
    repo.exec(&[]).expect(0);
    repo.edit(PLAN, "Add to it.", "Add more to it.");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a", "b", "b"]);
    repo.git(&["switch", "-q", BRANCH]);
    repo.git(&["revert", "--no-edit", "HEAD", "HEAD~1"]);
    repo.git(&["switch", "-q", "main"]);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("reverted"), "{}", run.all());
}

/// An agent that does nothing does not bring reverted work back.
#[test]
fn a_reverted_unit_is_not_done_again_by_doing_nothing() {
    let body = r#"unit a { goal "Make one."; writes "out/one.txt"; accept "it is checked" by=check; }"#;
    let repo =
        scripted(body, &[("a", "test -e agents/lazy || { mkdir out; echo 1 > out/one.txt; }".to_owned())]);
    repo.exec(&[]).expect(0);
    repo.git(&["switch", "-q", BRANCH]);
    repo.git(&["revert", "--no-edit", "HEAD"]);
    repo.write("agents/lazy", "yes");
    repo.commit("Lazy");
    repo.git(&["switch", "-q", "main"]);
    repo.exec(&["--redo", "a"]).expect(4);
    assert_eq!(repo.journal().failures("a"), ["empty-diff"]);
}

/// A unit left one file more for another ask, and that ask is taken back.
#[test]
fn a_key_that_comes_back_is_no_result_if_more_was_done_since() {
    let body = r#"unit a { goal "Make one."; writes "out/**"; accept "it is checked" by=check; }"#;
    let repo =
        scripted(body, &[("a", "mkdir -p out; n=$(ls out | wc -l); echo $n > out/file$n.txt".to_owned())]);
    repo.exec(&[]).expect(0);
    repo.edit(PLAN, "Make one.", "Make two.");
    repo.exec(&[]).expect(0);
    repo.edit(PLAN, "Make two.", "Make one.");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched(), ["a", "a", "a"]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched().len(), 3);
}

/// What a gate's units changed is the same in the run after the approval, whose base has it already.
#[test]
fn a_gates_criterion_about_changes_holds_after_the_approval() {
    let body = r#"
        gate first {
            accept "something was made" { changed "out"; unchanged "README.md"; }
            unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
            approve by=human
        }
        gate second { unit b { goal "Make two."; creates "two.txt"; accept "it is checked" by=check; }; }
    "#;
    let repo = scripted(body, &[("a", creates("out/one.txt", "1")), ("b", creates("two.txt", "2"))]);
    repo.exec(&[]).expect(3);
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first", PLAN]).expect(0);
    repo.exec(&[]).expect(3);
    assert_eq!(repo.landed(BRANCH), ["a", "b"]);
}

/// The same for a unit that runs again and has nothing to change.
#[test]
fn a_units_criterion_about_changes_holds_when_it_runs_again() {
    let body =
        r#"unit a { goal "Make one."; creates "out/one.txt"; accept "it was made" { changed "out"; }; }"#;
    let repo = scripted(body, &[("a", creates("out/one.txt", "1"))]);
    repo.exec(&[]).expect(0);
    repo.edit(PLAN, "Make one.", "Make it.");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a"]);
}

#[test]
fn the_latest_decision_holds_also_after_the_gate_had_passed() {
    let body = r#"
        gate first { unit a { goal "Make one."; creates "one.txt"; accept "it is checked" by=check; }; approve by=human; }
        gate second { manual look { step "Look."; }; }
    "#;
    let repo = scripted(body, &[("a", creates("one.txt", "1"))]);
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first", PLAN]).expect(0);
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first", PLAN, "--refuse", "--reason", "thought again"]).expect(0);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("thought again"), "{}", run.all());
}

/// A failure that an edit of the scope cannot mend is not looked at again, and nobody is paid for it.
#[test]
fn a_link_that_leads_out_of_the_scope_blocks_once() {
    let body = r#"unit a { goal "Make one."; creates "out/one.txt"; writes "out/**"; accept "it is checked" by=check; }"#;
    let script = format!("{}ln -s ../README.md out/link", creates("out/one.txt", "1"));
    let repo = scripted(body, &[("a", script)]);
    repo.exec(&[]).expect(4);
    repo.exec(&[]).expect(4);
    repo.exec(&[]).expect(4);
    assert_eq!(repo.journal().dispatched(), ["a"]);
}

#[test]
fn a_dry_run_knows_that_a_gate_is_closed() {
    let body = r#"
        gate first { unit a { goal "Make one."; creates "one.txt"; accept "it is checked" by=check; }; approve by=human; }
        gate second { unit b { goal "Make two."; creates "two.txt"; accept "it is checked" by=check; }; }
    "#;
    let repo = scripted(body, &[("a", creates("one.txt", "1")), ("b", creates("two.txt", "2"))]);
    repo.exec(&[]).expect(3);
    let dry = repo.exec(&["--dry-run"]).expect(0);
    assert!(dry.all().contains("0 units would run now"), "{}", dry.all());
}

/// A colleague's clone has the branch and no journal.
#[test]
fn a_clone_stops_at_a_claim_that_was_reverted() {
    let repo = chain();
    repo.exec(&[]).expect(0);
    repo.git(&["switch", "-q", BRANCH]);
    repo.git(&["revert", "--no-edit", "HEAD"]);
    repo.git(&["switch", "-q", "main"]);
    std::fs::remove_dir_all(repo.root().join(".git/loop")).expect("the journal goes");
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("reverted"), "{}", run.all());
    assert!(repo.journal().dispatched().is_empty());
}
