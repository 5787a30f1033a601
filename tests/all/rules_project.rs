//! What a project says of its verifiers, its retries and its ownership, and what of it a run refuses.
//!
//! Does not know verify keys; it counts runs.

use std::time::{Duration, Instant};

use loop_tests::{BRANCH, Repo, each_level};

const ONE: &str = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;
const MADE: &str = "echo made > out.txt\n";

/// A project with a verifier `check` and whatever else is said.
fn project(more: &str) -> String {
    format!(
        r##"project test base="main" {{
    protect "agents/**"
    agent scripted via=command {{ run sh "agents/work.sh"; env COUNTS; }}
    defaults agent=scripted {{ verify check; retry attempts=1; timeout total="60s"; }}
    verifier check {{ shell "test -s out.txt"; }}
    {more}
}}
"##
    )
}

#[test]
fn a_verifier_runs_behind_what_it_needs_and_not_without_its_passing() {
    // By name `a` would run first.
    let verifiers = |z: &str| {
        format!(
            r##"verifier a {{ needs z; shell #"echo a >> "$COUNTS/order"; test -s out.txt"#; env COUNTS; }}
    verifier z {{ shell #"echo z >> "$COUNTS/order"; {z}"#; env COUNTS; }}"##
        )
    };
    let body = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=a; }"#;
    let order = |repo: &Repo| {
        std::fs::read_to_string(repo.outside().join("counts/order")).expect("the verifiers wrote it")
    };
    let good = Repo::with_project("off", &project(&verifiers("test -s out.txt")), body, &[("one", MADE)]);
    good.exec(&[]).expect(0);
    assert!(order(&good).starts_with("z\na\n"), "{}", order(&good));

    let bad = Repo::with_project("off", &project(&verifiers("test ! -e out.txt")), body, &[("one", MADE)]);
    let run = bad.exec(&[]).expect(4);
    assert_eq!(order(&bad), "z\n", "`a` must not run");
    assert!(run.all().contains("did not run: `z`, which it needs, did not pass"), "{}", run.all());
}

#[test]
fn a_verifier_runs_in_its_directory() {
    each_level("rules_project::a_verifier_runs_in_its_directory", |level| {
        let inside = r#"verifier inside cwd="src" { shell "test -e a.txt && test ! -e README.md && test -s ../out.txt"; }"#;
        let body = r#"unit one { goal "Make it."; creates "out.txt"; verify inside; }"#;
        let repo = Repo::with_project(level, &project(inside), body, &[("one", "echo made > out.txt\n")]);
        repo.exec(&[]).expect(0);
    });
    // One that a unit was to make and did not: the work's failure, with its reason.
    let later = r#"verifier later cwd="made" { run test -d "."; }"#;
    let body = r#"unit one { goal "Make it."; creates "out.txt"; writes "made/**"; verify later; }"#;
    let repo = Repo::with_project("off", &project(later), body, &[("one", MADE)]);
    let run = repo.exec(&[]).expect(4);
    assert!(repo.journal().failures("one")[0].starts_with("verify-failed"), "{}", run.all());
}

#[test]
fn several_exit_codes_and_the_output_decide() {
    for (command, code) in
        [("echo 3 passed; exit 3", 0), ("echo 3 passed; exit 1", 4), ("echo none passed; exit 3", 4)]
    {
        let odd = format!(r##"verifier odd {{ shell "{command}"; exit 0 3; stdout #"^\d+ passed"#; }}"##);
        let body = r#"unit one { goal "Make it."; creates "out.txt"; verify odd; }"#;
        let repo = Repo::with_project("off", &project(&odd), body, &[("one", MADE)]);
        repo.exec(&[]).expect(code);
    }
}

#[test]
fn enforced_inputs_are_all_that_a_verifier_sees_and_all_that_runs_it_again() {
    let seen = r##"verifier seen isolation=enforce {
        shell #"echo run >> "$COUNTS/seen"; test -e src/a.txt && test ! -e README.md && test ! -e out.txt"#
        inputs "src/**" "!src/left-out.txt"
        env COUNTS
    }"##;
    let body = r#"
        unit one { goal "Make it."; creates "out.txt" "src/left-out.txt"; verify seen; }
        unit two { needs one; goal "More."; creates "more.txt"; verify seen; }
        unit three { needs two; goal "Change the input."; writes "src/a.txt"; verify seen; }"#;
    let one = "echo made > out.txt; echo x > src/left-out.txt\n";
    let scripts = [("one", one), ("two", "echo more > more.txt\n"), ("three", "echo b > src/a.txt\n")];
    let repo = Repo::with_project("off", &project(seen), body, &scripts);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("seen"), 2, "once for the input as it was, once for the changed one");
}

#[test]
fn a_failure_of_a_flaky_verifier_is_believed_when_it_comes_again() {
    let flaky = |good_at: &str| {
        format!(
            r##"verifier flaky {{
        shell #"echo run >> "$COUNTS/flaky"; test "$(wc -l < "$COUNTS/flaky")" -ge {good_at}"#
        env COUNTS
        flaky retries=2
    }}"##
        )
    };
    let body = r#"unit one { goal "Make it."; creates "out.txt"; verify flaky; }"#;
    let third = Repo::with_project("off", &project(&flaky("3")), body, &[("one", MADE)]);
    let run = third.exec(&[]).expect(0);
    assert_eq!((third.count("flaky"), third.count("agent")), (3, 1));
    assert!(run.all().contains("is flaky: it failed 2 times"), "{}", run.all());
    let recorded = third.journal();
    let flaked: Vec<_> =
        recorded.of("verify.done").iter().filter(|data| data["flaked"] == 2).map(|_| ()).collect();
    assert!(!flaked.is_empty(), "the record says so");

    let never = Repo::with_project("off", &project(&flaky("99")), body, &[("one", MADE)]);
    never.exec(&[]).expect(4);
    assert_eq!(never.count("flaky"), 3, "one run and two more");
}

#[test]
fn a_failure_that_retry_does_not_list_is_not_paid_for_again() {
    let body = |retry: &str| {
        format!(
            r#"unit one {{ goal "Make it."; creates "out.txt"; accept "it is made" {{ matches "out.txt" "right"; }}; {retry}; }}"#
        )
    };
    let listed = Repo::with_project(
        "off",
        &project(""),
        &body("retry attempts=3 { on verify-failed; }"),
        &[("one", MADE)],
    );
    listed.exec(&[]).expect(4);
    assert_eq!(listed.count("agent"), 3);

    let other = Repo::with_project(
        "off",
        &project(""),
        &body("retry attempts=3 { on agent-exit; }"),
        &[("one", MADE)],
    );
    let run = other.exec(&[]).expect(4);
    assert_eq!(other.count("agent"), 1);
    assert!(run.all().contains("`retry` does not list `verify-failed`"), "{}", run.all());
    other.exec(&[]).expect(4);
    assert_eq!(other.count("agent"), 1, "a second run pays for nothing either");
}

#[test]
fn a_run_waits_between_attempts_as_long_as_the_plan_says() {
    let body = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" { matches "out.txt" "right"; }; retry attempts=2 backoff="2s"; }"#;
    let repo = Repo::with_project("off", &project(""), body, &[("one", MADE)]);
    let start = Instant::now();
    repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 2);
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn an_attempt_begins_with_the_last_patch_if_the_plan_says_so() {
    let body = |from: &str| {
        format!(
            r#"unit one {{ goal "Make it."; creates "out.txt" "second.txt"; accept "both are there" {{ exists "out.txt" "second.txt"; }}; retry attempts=2 {from}; }}"#
        )
    };
    // The second attempt makes what is missing, if the first one's file is there.
    let script = "if test -e out.txt; then echo 2 > second.txt; else echo 1 > out.txt; fi\n";
    each_level("rules_project::an_attempt_begins_with_the_last_patch", |level| {
        let repo = Repo::with_project(level, &project(""), &body("from=patch"), &[("one", script)]);
        repo.exec(&[]).expect(0);
        let left = repo.git(&["diff", "--name-only", "main", BRANCH]);
        assert_eq!(left, "out.txt\nsecond.txt", "the result is both attempts' work, against the start tree");
    });
    let scratch = Repo::with_project("off", &project(""), &body("from=scratch"), &[("one", script)]);
    scratch.exec(&[]).expect(4);
    assert_eq!(scratch.count("agent"), 2);
}

#[test]
fn what_is_discarded_neither_fails_the_attempt_nor_lands() {
    each_level("rules_project::what_is_discarded", |level| {
        let body = r#"discard "**/*.snap.new" "src/a.txt"
            unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;
        let script =
            "echo made > out.txt; echo x > src/b.snap.new; echo y > c.snap.new; echo changed > src/a.txt\n";
        let repo = Repo::with_project(level, &project(""), body, &[("one", script)]);
        repo.exec(&[]).expect(0);
        assert_eq!(repo.git(&["diff", "--name-only", "main", BRANCH]), "out.txt");
        let journal = repo.journal();
        let captured = journal.of("attempt.captured");
        assert_eq!(captured[0]["discarded"], serde_json::json!(["c.snap.new", "src/b.snap.new"]));
    });
}

#[test]
fn what_a_run_does_not_do_yet_is_refused_by_name_before_anything_is_paid() {
    let reviewer = r#"reviewer prose { prompt "Is it true?"; }"#;
    let cases = [
        ("", r#"shared "src/a.txt""#, "", "`shared`"),
        ("", r#"derived "x.lock" { run make; }"#, "", "`derived`"),
        (reviewer, "", "review prose", "`review`"),
        (r#"sandbox agent network=hosts { hosts "example.com"; }"#, "", "", "`network=hosts`"),
        (r#"sandbox verifier mode=off"#, "", "", "`sandbox mode=off`"),
        (r#"sandbox verifier { read "/opt"; }"#, "", "", "`read` and `write` of `sandbox verifier`"),
        (r#"verifier v isolation=observe { run test -s "out.txt"; }"#, "", "verify v", "`isolation=observe`"),
        (
            r#"verifier v { run test -s "out.txt"; known-failure "a" reason="b"; }"#,
            "",
            "verify v",
            "`known-failure`",
        ),
    ];
    for (of_project, of_feature, of_unit, words) in cases {
        let body = format!(
            r#"{of_feature}
            unit one {{ goal "Make it."; creates "out.txt"; accept "it is made" by=check
            {of_unit}
            }}"#
        );
        let repo = Repo::with_project("off", &project(of_project), &body, &[("one", MADE)]);
        let run = repo.exec(&[]).expect(2);
        assert!(run.all().contains("not-yet") && run.all().contains(words), "{words}: {}", run.all());
        assert_eq!(repo.count("agent"), 0, "{words}");
        assert!(repo.journal_files().is_empty(), "{words}: nothing is recorded");
    }
    for via in ["codex", "opencode", "gemini"] {
        let repo = Repo::with_project("off", &project(""), ONE, &[("one", MADE)]);
        repo.edit(
            "loop.kdl",
            r#"via=command { run sh "agents/work.sh"; env COUNTS; }"#,
            &format!("via={via}"),
        );
        repo.commit("Another program");
        let run = repo.exec(&[]).expect(2);
        assert!(run.all().contains(&format!("`via={via}`")), "{}", run.all());
    }
}

#[test]
fn a_sandbox_that_is_required_is_there_or_nothing_runs() {
    let required = project("sandbox agent mode=required");
    let repo = Repo::with_project("off", &required, ONE, &[("one", MADE)]);
    let run = repo.exec(&[]).expect(6);
    assert!(run.all().contains("mode=required"), "{}", run.all());
    assert_eq!(repo.count("agent"), 0);
    if loop_tests::lane(loop_tests::Lane::Bubblewrap, "rules_project::a_sandbox_that_is_required").is_some() {
        let repo = Repo::with_project("bwrap", &required, ONE, &[("one", "echo made > out.txt\n")]);
        repo.exec(&[]).expect(0);
    }
}

#[test]
fn a_sandbox_opens_and_closes_what_the_plan_says() {
    if loop_tests::lane(loop_tests::Lane::Bubblewrap, "rules_project::a_sandbox_opens_and_closes").is_none() {
        return;
    }
    let body = r#"unit one { goal "Make it."; creates "out.txt"; verify net; }"#;
    // The number of interfaces tells a network of one's own from the host's.
    let interfaces = "tail -n +3 /proc/net/dev | wc -l";
    let script = |opened: &str| {
        format!(
            "cat {opened}/note > out.txt\n{interfaces} >> out.txt\necho x > {opened}/kept && echo written >> out.txt; true\n"
        )
    };
    let opened = tempfile::tempdir_in("/var/tmp").expect("a directory outside");
    std::fs::write(opened.path().join("note"), "a note\n").expect("a file in it");
    let path = opened.path().to_str().expect("UTF-8");
    let run = |sandbox: &str, code: i32| {
        let more =
            format!("{sandbox}\n verifier net {{ shell \"test $({interfaces}) -eq 1 -a -s out.txt\"; }}");
        let script = script(path);
        let repo = Repo::with_project("bwrap", &project(&more), body, &[("one", &script)]);
        repo.exec(&[]).expect(code);
        repo.landed_file("out.txt")
    };
    let read = run(&format!(r#"sandbox agent network=deny {{ read "{path}"; }}"#), 0);
    assert_eq!(
        read.as_deref(),
        Some("a note\n1\n"),
        "it can be read and not written, and there is no network"
    );
    assert!(!opened.path().join("kept").exists());
    let written = run(&format!(r#"sandbox agent network=deny {{ write "{path}"; }}"#), 0);
    assert_eq!(written.as_deref(), Some("a note\n1\nwritten\n"));
    let closed = run("sandbox agent network=deny", 0);
    assert_eq!(closed.as_deref(), Some("1\n"), "nothing is open that is not named");
}

#[test]
fn a_sandbox_does_not_open_the_repository() {
    let repo = Repo::with_project("off", &project(""), ONE, &[("one", MADE)]);
    let outside = repo.outside().to_str().expect("UTF-8").to_owned();
    for path in [outside.clone(), format!("{outside}/repo"), format!("{outside}/repo/.git/objects")] {
        let text = project(&format!(r#"sandbox agent {{ write "{path}"; }}"#));
        repo.write("loop.kdl", text);
        let run = repo.exec(&[]).expect(2);
        assert!(run.all().contains("which would open"), "{path}: {}", run.all());
    }
    assert_eq!(repo.count("agent"), 0);
}
