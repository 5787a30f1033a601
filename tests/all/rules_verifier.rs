//! Verifiers and stops: what they execute is the agent's, so they must not reach the branch, each other, or the user.
//!
//! Does not know verify keys; it counts runs.

use std::time::{Duration, Instant};

use loop_tests::{BRANCH, PLAN, Repo, each_level};

const ONE: &str =
    r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; verify spoil look; }"#;
const MADE: &str = "echo made > out.txt\n";

/// A project with two more verifiers, which run in this order by name in the plan.
fn project(spoil: &str, look: &str) -> String {
    format!(
        r##"project test base="main" {{
    protect "agents/**"
    agent scripted via=command {{ run sh "agents/work.sh"; env COUNTS; }}
    defaults agent=scripted {{ verify check; retry attempts=1; timeout total="60s"; }}
    verifier check {{ shell "test -s out.txt"; }}
    verifier spoil {{ shell #"{spoil}"#; env COUNTS; timeout total="3s"; }}
    verifier look {{ shell #"{look}"#; env COUNTS; }}
    lint no-op-verifier level=allow reason="what they do besides is tested, not what they judge"
}}
"##
    )
}

#[test]
fn what_a_verifier_changes_reaches_neither_the_branch_nor_the_next_verifier() {
    each_level("rules_verifier::what_a_verifier_changes", |level| {
        let spoil = "echo spoilt > out.txt; echo x > new.txt; rm README.md; chmod +x src/a.txt; mkdir -p ../../x; exit 0";
        let look = r#"test "$(cat out.txt)" = made && test ! -e new.txt && test -e README.md && test ! -x src/a.txt"#;
        let repo = Repo::with_project(level, &project(spoil, look), ONE, &[("one", MADE)]);
        let before = repo.snapshot();
        repo.exec(&[]).expect(0);
        before.assert_same(&repo.snapshot());
        assert_eq!(repo.landed_file("out.txt").as_deref(), Some("made\n"));
        assert_eq!(repo.git(&["diff", "--name-only", "main", BRANCH]), "out.txt");
    });
}

#[test]
fn a_verifier_sees_no_git_directory_and_no_state() {
    each_level("rules_verifier::a_verifier_sees_no_git", |level| {
        let look = "test ! -e .git && test ! -e ../.git && ! git rev-parse --git-dir 2>/dev/null";
        let repo = Repo::with_project(level, &project("exit 0", look), ONE, &[("one", MADE)]);
        repo.exec(&[]).expect(0);
    });
}

#[test]
fn under_bubblewrap_a_verifier_reaches_nothing_of_the_users() {
    if loop_tests::lane(loop_tests::Lane::Bubblewrap, "rules_verifier::under_bubblewrap").is_none() {
        return;
    }
    let spoil = r#"echo evil > "$COUNTS/evil"; echo evil > "$COUNTS/../repo/README.md"; rm -rf "$COUNTS/../repo/.git/refs"; exit 0"#;
    let look = r#"test ! -e "$COUNTS/../repo/README.md""#;
    let repo = Repo::with_project("bwrap", &project(spoil, look), ONE, &[("one", MADE)]);
    let before = repo.snapshot();
    repo.exec(&[]).expect(0);
    before.assert_same(&repo.snapshot());
    assert_eq!(repo.count("evil"), 0);
}

#[test]
fn a_verifier_that_leaves_a_daemon_neither_hangs_nor_leaves_it() {
    each_level("rules_verifier::a_verifier_that_leaves_a_daemon", |level| {
        let mark = format!("7{:07}", std::process::id());
        let spoil = format!("setsid sh -c 'sleep 60.{mark}' & exit 0");
        let repo = Repo::with_project(level, &project(&spoil, "exit 0"), ONE, &[("one", MADE)]);
        let start = Instant::now();
        repo.exec(&[]).expect(0);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(!running(&format!("60.{mark}")), "it is still there");
    });
}

fn running(word: &str) -> bool {
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    entries.flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|part| part == word)
    })
}

#[test]
fn a_verifier_that_cannot_be_judged_is_no_pass_and_is_asked_again() {
    // Killed by a signal, and longer than its time: neither says anything of the work.
    for (spoil, words) in [("kill -9 $$", "signal 9"), ("sleep 30", "longer than its total time")] {
        let spoil = format!(r#"echo x >> "$COUNTS/spoil"; {spoil}"#);
        let repo = Repo::with_project("off", &project(&spoil, "exit 0"), ONE, &[("one", MADE)]);
        let run = repo.exec(&[]).expect(4);
        assert!(run.all().contains(words), "{}", run.all());
        assert!(repo.journal().of("unit.accepted").is_empty());
        repo.exec(&["--redo", "one"]).expect(4);
        assert_eq!(repo.count("spoil"), 2, "what is no verdict is not kept");
    }
}

#[test]
fn a_red_test_is_wanted_with_expect_fail() {
    let body = r#"
        unit red kind=test { goal "A failing test."; creates "out.txt"; accept "it is red" by=check; verify look expect=fail; }"#;
    let good = Repo::with_project("off", &project("exit 0", "grep -q green out.txt"), body, &[("red", MADE)]);
    good.exec(&[]).expect(4);
    // The unit itself is accepted: it is the gate's union that leaves expect=fail out, so nothing else can be red.
    let bad = Repo::with_project("off", &project("exit 0", "grep -q made out.txt"), body, &[("red", MADE)]);
    let run = bad.exec(&[]).expect(4);
    assert!(run.all().contains("passed, and was expected to fail"), "{}", run.all());
    assert!(bad.journal().of("unit.accepted").is_empty());
    assert_eq!(bad.git(&["branch", "--list", BRANCH]), "");
}

#[test]
fn a_stop_ends_the_unit_before_its_agent_or_after_it() {
    let at_start = r#"stop "it is there" at=start { exists "README.md"; }"#;
    let not_at_start = r#"stop "it is there" at=start { exists "nowhere"; }"#;
    let after = r#"stop "the base changed" { changed "src/a.txt"; }"#;
    let command = r#"stop "it says so" at=start { shell "test -e README.md"; }"#;
    let advice = r#"stop "it depends on the version""#;
    let cases = [
        (at_start, 4, 0, "it is there"),
        (command, 4, 0, "it says so"),
        (after, 4, 1, "the base changed"),
        (not_at_start, 0, 1, ""),
        (advice, 0, 1, ""),
    ];
    for (stop, code, calls, words) in cases {
        let body = format!(
            r#"unit one {{ goal "Make it."; creates "out.txt"; writes "src/a.txt"; accept "it is made" by=check; retry attempts=3
               {stop}
            }}"#
        );
        let repo = Repo::counted("off", &body, &[("one", "echo made > out.txt; echo b > src/a.txt\n")]);
        let run = repo.exec(&[]).expect(code);
        assert_eq!(repo.count("agent"), calls, "{stop}: {}", run.all());
        assert!(run.all().contains(words), "{stop}: {}", run.all());
        assert_eq!(repo.journal().units_of("unit.blocked").len(), usize::from(code == 4));
        if code == 4 {
            repo.exec(&[]).expect(4);
            assert_eq!(repo.count("agent"), calls, "{stop}: a stopped unit is not paid for again");
        }
    }
}

#[test]
fn verifiers_run_once_for_one_tree() {
    // The unit's own run serves the gate as well: the merged head is the same tree.
    let one = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;
    let repo = Repo::counted("off", one, &[("one", MADE)]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("verifier"), 1);
    repo.edit(PLAN, "goal \"Make it.\"", "goal \"Make it.\"; timeout total=\"2h\"; retry attempts=3");
    repo.exec(&[]).expect(0);
    assert_eq!((repo.count("verifier"), repo.count("agent")), (1, 1));
}
