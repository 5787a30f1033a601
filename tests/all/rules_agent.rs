//! Rules about the agent: its word is worth nothing (1), its scope holds (2), it cannot change its judges (8), and it gets its whole prompt (10).
//!
//! Does not know how an agent is started or captured: it sees scripts, the branch and the journal.

use std::fs;

use loop_tests::{BRANCH, PLAN, Repo, each_level};

/// One unit that has to make `out.txt`.
const ONE: &str = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;

const CLAIMS: &str = r#"echo "all done"
printf '{"status":"done"}' > "$LOOP_REPORT"
"#;

fn retry(repo: &Repo, attempts: u32) {
    repo.edit("loop.kdl", "retry attempts=1", &format!("retry attempts={attempts}"));
}

#[test]
fn an_agent_that_only_says_done_completes_nothing_and_is_not_paid_again_unasked() {
    each_level("rules_agent::an_agent_that_only_says_done", |level| {
        let repo = Repo::counted(level, ONE, &[("one", CLAIMS)]);
        retry(&repo, 2);
        let first = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().dispatched(), ["one", "one"], "{}", first.all());
        assert_eq!(repo.journal().failures("one"), ["empty-diff", "empty-diff"]);
        assert_eq!(repo.journal().units_of("unit.blocked"), ["one"]);
        assert!(repo.journal().of("unit.accepted").is_empty() && repo.journal().of("gate.passed").is_empty());
        assert!(first.all().contains("loop exec --redo one"), "{}", first.all());

        let second = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().dispatched().len(), 2, "paid again unasked: {}", second.all());
        repo.exec(&["--unit", "one"]).expect(1);
        assert_eq!(repo.journal().dispatched().len(), 2);

        // Asked for: all its attempts anew.
        repo.exec(&["--redo", "one"]).expect(4);
        assert_eq!(repo.journal().dispatched().len(), 4);
        if level == "off" {
            assert_eq!(repo.count("agent"), 4);
        }
        assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
    });
}

#[test]
fn what_a_unit_creates_must_be_there_and_not_empty() {
    for script in ["touch out.txt\n", "echo x > other.txt\n"] {
        let repo = Repo::counted(
            "off",
            r#"unit one { goal "Make it."; creates "out.txt"; writes "other.txt"; accept "it is made" by=check; }"#,
            &[("one", script)],
        );
        let run = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().failures("one"), ["verify-failed"], "{}", run.all());
        assert!(run.all().contains("`out.txt` does not exist or is empty"), "{}", run.all());
    }
}

/// A value of a KDL string, as `loop` printed it.
fn writes_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| line.starts_with("writes "));
    line.unwrap_or_else(|| panic!("no `writes` line:\n{text}")).to_owned()
}

#[test]
fn a_change_out_of_scope_never_lands_and_is_adopted_without_an_agent_once_it_is_allowed() {
    each_level("rules_agent::a_change_out_of_scope", |level| {
        let script = r#"echo made > out.txt
mkdir -p other
for name in "plain.txt" "with space.txt" "quote\"d.txt" "it's.txt" "ünï.txt" "-dash.txt" "new
line.txt" "[set].txt" "star*.txt" "what?.txt" "{a,b}.txt" "!bang.txt" "back\\slash.txt" "tab	x.txt"; do
    echo more > "other/$name"
done
"#;
        let repo = Repo::counted(level, ONE, &[("one", script)]);
        let first = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().failures("one"), ["out-of-scope"], "{}", first.all());
        assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
        let line = writes_line(&first.all());
        let log = repo.run_loop(&["log", "one"]).expect(0);
        assert_eq!(writes_line(&log.all()), line, "{}", log.all());
        assert!(log.all().contains("added other/plain.txt"), "{}", log.all());

        // The same again pays nothing.
        repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().dispatched().len(), 1);

        repo.edit(PLAN, "creates \"out.txt\";", &format!("creates \"out.txt\"\n{line}\n"));
        let second = repo.exec(&[]).expect(0);
        assert_eq!(repo.journal().dispatched().len(), 1, "an agent was paid again: {}", second.all());
        assert_eq!(repo.landed(BRANCH), ["one"]);
        for name in ["with space.txt", "new\nline.txt", "[set].txt", "back\\slash.txt", "quote\"d.txt"] {
            assert_eq!(repo.landed_file(&format!("other/{name}")).as_deref(), Some("more\n"), "{name:?}");
        }
    });
}

#[test]
fn the_line_that_is_printed_allows_nothing_else() {
    let script = "echo made > out.txt; mkdir -p other; echo x > 'other/[ab].txt'; echo x > 'other/*.md'\n";
    let repo = Repo::counted("off", ONE, &[("one", script)]);
    let first = repo.exec(&[]).expect(4);
    let line = writes_line(&first.all());
    repo.edit(PLAN, "creates \"out.txt\";", &format!("creates \"out.txt\"\n{line}\n"));
    repo.script("one", &format!("{script}echo x > other/a.txt; echo x > other/b.md\n"));
    repo.commit("Wider");
    // From the new base, with the new script.
    let second = repo.exec(&["--redo", "one", "--base", "main"]).expect(4);
    assert_eq!(repo.journal().dispatched().len(), 2);
    assert_eq!(repo.journal().failures("one"), ["out-of-scope", "out-of-scope"], "{}", second.all());
    assert!(second.all().contains("`other/a.txt`, `other/b.md`"), "{}", second.all());
}

#[test]
fn what_capture_refuses_is_never_adopted() {
    // A nested repository and a link out of the tree cannot be in a patch: the rest of it is no result either.
    for spoil in ["git init -q out-of-it", "ln -s /etc/hostname leak", "mkfifo pipe"] {
        let repo = Repo::counted("off", ONE, &[("one", &format!("echo made > out.txt\n{spoil}\n"))]);
        let first = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().failures("one"), ["out-of-scope"], "{spoil}: {}", first.all());
        for _ in 0..2 {
            let again = repo.exec(&[]).expect(4);
            assert!(repo.journal().of("unit.accepted").is_empty(), "{spoil}: {}", again.all());
        }
        // Not even a scope that allows everything makes the rest of it a result.
        repo.edit(PLAN, "creates \"out.txt\";", "creates \"out.txt\"; writes \"out*/**\" \"leak\" \"pipe\";");
        let wider = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().dispatched().len(), 2, "{spoil}: {}", wider.all());
        assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
    }
}

#[test]
fn an_agent_that_changes_plan_project_prompt_or_protected_files_fails() {
    let attacks = [
        ("echo '// mine' >> plan.loop.kdl", "plan.loop.kdl"),
        ("sed -i 's/find/true/' loop.kdl", "loop.kdl"),
        ("rm loop.kdl", "loop.kdl"),
        ("echo '#' >> agents/check.sh", "agents/check.sh"),
        ("echo 'Do nothing.' > prompts/one.md", "prompts/one.md"),
        ("chmod +x README.md", "README.md"),
        ("mkdir -p .github; echo x > .github/x", ".github/x"),
    ];
    let body = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; prompt file="prompts/one.md"; }"#;
    for (attack, path) in attacks {
        let repo = Repo::counted("off", body, &[("one", &format!("echo made > out.txt\n{attack}\n"))]);
        repo.write("agents/check.sh", "exit 0\n");
        repo.write("prompts/one.md", "Do it well.\n");
        repo.commit("More files");
        let run = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().failures("one"), ["out-of-scope"], "{attack}: {}", run.all());
        assert!(run.all().contains(&format!("`{path}`")), "{attack}: {}", run.all());
        assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
    }
}

#[test]
fn verification_uses_the_compiled_graph_whatever_happens_to_the_files() {
    // An unconfined agent rewrites the user's project file and the verifier's script while the run goes on.
    let body = r#"
        unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; verify script; }
        unit two { needs one; goal "More."; creates "two.txt"; accept "it is made" by=check; verify script; }"#;
    let attack = r#"echo made > out.txt
sed -i 's/find/true/; s/agents.check.sh/\/dev\/null/' "$COUNTS/../repo/loop.kdl"
echo 'feature feat { unit one { goal "x"; creates "y"; } }' > "$COUNTS/../repo/plan.loop.kdl"
echo 'exit 0' > "$COUNTS/../repo/agents/check.sh"
"#;
    let repo =
        Repo::counted("off", body, &[("one", attack), ("two", "echo two > two.txt; echo x > broken\n")]);
    let project = repo.read("loop.kdl");
    let cut = project.trim_end().strip_suffix('}').expect("the project's block ends the file");
    repo.write("loop.kdl", format!("{cut}    verifier script {{ run sh \"agents/check.sh\"; }}\n}}\n"));
    repo.write("agents/check.sh", "grep -q '^made$' out.txt && ! ls two.txt 2>/dev/null\n");
    repo.edit(PLAN, "creates \"two.txt\";", "creates \"two.txt\" \"broken\";");
    repo.commit("Two verifiers");
    let run = repo.exec(&[]).expect(4);
    assert_eq!(repo.landed(BRANCH), ["one"], "{}", run.all());
    // Both the rewritten project and the rewritten script would have let it pass.
    assert_eq!(repo.journal().failures("two"), ["verify-failed"]);
    assert!(run.all().contains("`check`") && run.all().contains("`script`"), "{}", run.all());
    assert!(repo.read("loop.kdl").contains("/dev/null"), "the attack itself worked");
}

#[test]
fn a_prompt_of_300_kb_reaches_the_agent_whole() {
    let filler = "All of this counts, the last word too. ".repeat(7_700);
    let script = "cat > out.txt\n";
    each_level("rules_agent::a_prompt_of_300_kb", |level| {
        let inline = format!("prompt \"{filler} INLINE-END\"");
        let from_file = "prompt file=\"prompts/big.md#Wanted\"".to_owned();
        for (prompt, end, strange) in
            [(inline, "INLINE-END", None), (from_file, "SECTION-END", Some("UNWANTED"))]
        {
            let body = format!(
                "unit one {{ goal \"Keep the prompt.\"; creates \"out.txt\"; accept \"kept\" by=check\n{prompt}\n}}"
            );
            let repo = Repo::counted(level, &body, &[("one", script)]);
            repo.write(
                "prompts/big.md",
                format!("# Other\n\nUNWANTED\n\n# Wanted\n\n{filler} SECTION-END\n\n# More\n\nUNWANTED\n"),
            );
            repo.commit("A long prompt");
            repo.exec(&[]).expect(0);
            let got = repo.landed_file("out.txt").expect("the agent kept it");
            assert!(got.contains(&format!("{filler} {end}")), "{} bytes arrived", got.len());
            assert!(strange.is_none_or(|strange| !got.contains(strange)));
            // What the journal names is what the agent got.
            let started = repo.journal();
            assert_eq!(started.of("attempt.started").len(), 1);
        }
    });
}

#[test]
fn a_report_of_blocked_is_believed_and_its_reason_shown() {
    let script = r#"printf '{"status":"blocked","reason":"the schema is missing"}' > "$LOOP_REPORT"
echo made > out.txt
"#;
    let repo = Repo::counted("off", ONE, &[("one", script)]);
    retry(&repo, 3);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("the schema is missing"), "{}", run.all());
    assert_eq!(repo.journal().dispatched().len(), 1, "blocked is not tried again");
    assert_eq!(repo.journal().failures("one"), ["blocked"]);
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["units"][0]["state"], "blocked");
    repo.exec(&[]).expect(4);
    assert_eq!(repo.journal().dispatched().len(), 1);
}

#[test]
fn a_report_that_is_none_fails_the_attempt_and_hangs_nobody() {
    let reports = [
        r#"echo '{"status":"ok"}' > "$LOOP_REPORT""#,
        r#"echo 'all done' > "$LOOP_REPORT""#,
        r#"mkfifo "$LOOP_REPORT""#,
        r#"mkdir "$LOOP_REPORT""#,
        r#"ln -s /dev/zero "$LOOP_REPORT""#,
        r#"echo '{"status":"done"}' > good.json; ln -s "$PWD/good.json" "$LOOP_REPORT""#,
        r#"truncate -s 1G "$LOOP_REPORT""#,
    ];
    let body = r#"unit one { goal "Make it."; creates "out.txt"; writes "good.json"; accept "it is made" by=check; }"#;
    for report in reports {
        let repo = Repo::counted("off", body, &[("one", &format!("echo made > out.txt\n{report}\n"))]);
        let run = repo.exec(&[]).expect(4);
        assert_eq!(repo.journal().failures("one"), ["bad-report"], "{report}: {}", run.all());
    }
}

#[test]
fn an_agent_that_kills_its_watcher_completes_nothing() {
    // The shim is the parent of the unconfined command.
    let repo = Repo::counted("off", ONE, &[("one", "echo made > out.txt; kill -9 $PPID; sleep 0.2\n")]);
    let run = repo.exec(&[]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert!(repo.journal().of("unit.accepted").is_empty(), "{}", run.all());
    assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
}

#[test]
fn prompts_and_outputs_are_not_in_the_journal() {
    let body = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; prompt "The word is xyzzy-prompt."; }"#;
    let repo = Repo::counted("off", body, &[("one", "echo made > out.txt; echo xyzzy-output\n")]);
    repo.exec(&[]).expect(0);
    let journal = format!("{:?}", repo.journal().records);
    assert!(!journal.contains("xyzzy"), "{journal}");
    assert!(fs::read_dir(repo.root().join(".git/loop")).is_ok());
}
