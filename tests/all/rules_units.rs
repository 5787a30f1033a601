//! What a unit and a gate can say besides what is asked: what is handed on and shown, who starts first, what bounds a
//! gate, and what a run refuses because it does not act on it yet.
//!
//! Does not know how the plan is compiled.

use loop_tests::{BRANCH, PLAN, Repo, each_level};

/// Keeps the prompt outside, then does its work.
fn keeps_prompt(then: &str) -> String {
    format!(
        "cat >> \"$COUNTS/prompt-$LOOP_UNIT\"; echo \"== end\" >> \"$COUNTS/prompt-$LOOP_UNIT\"\n{then}\n"
    )
}

fn prompt(repo: &Repo, unit: &str) -> String {
    let path = repo.outside().join("counts").join(format!("prompt-{unit}"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_is_handed_on_is_asked_of_the_units_that_need_it() {
    let body = r#"
        unit one { goal "Make one."; creates "one.txt"; handoff "The answer is in one.txt."; }
        unit two { needs one; goal "Make two."; creates "two.txt"; }
        unit three { after one; goal "Make three."; creates "three.txt"; }
    "#;
    let scripts = [
        ("one", keeps_prompt("echo 1 > one.txt")),
        ("two", keeps_prompt("echo 2 > two.txt")),
        ("three", keeps_prompt("echo 3 > three.txt")),
    ];
    let scripts: Vec<(&str, &str)> = scripts.iter().map(|(unit, text)| (*unit, text.as_str())).collect();
    let repo = Repo::counted("off", body, &scripts);
    repo.exec(&[]).expect(0);
    assert!(prompt(&repo, "two").contains("- The answer is in one.txt."), "{}", prompt(&repo, "two"));
    assert!(!prompt(&repo, "one").contains("The answer"), "it is not for the unit itself");
    assert!(!prompt(&repo, "three").contains("The answer"), "nor for one that only comes after it");

    repo.edit(PLAN, "The answer is", "Every answer is");
    let plan = repo.exec(&["--dry-run"]).expect(0);
    assert!(plan.all().contains("run      two: handoff changed"), "{}", plan.all());
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched(), ["one", "two", "three", "two"], "asked of `two` alone");
}

#[test]
fn priority_says_who_starts_first_and_nothing_else() {
    let body = |priorities: [&str; 3]| {
        let units = ["one", "two", "three"].iter().zip(priorities);
        let units = units.map(|(unit, priority)| {
            format!("unit {unit} {priority} {{ goal \"Make it.\"; creates \"{unit}.txt\"; }}\n")
        });
        units.collect::<String>()
    };
    let scripts = [("one", "echo 1 > one.txt"), ("two", "echo 2 > two.txt"), ("three", "echo 3 > three.txt")];
    let with = Repo::counted("off", &body(["", "priority=7", "priority=0"]), &scripts);
    with.exec(&[]).expect(0);
    assert_eq!(with.journal().dispatched(), ["three", "two", "one"]);
    assert_eq!(with.landed(BRANCH), ["one", "two", "three"], "commits are in plan order");
    let without = Repo::counted("off", &body(["", "", ""]), &scripts);
    without.exec(&[]).expect(0);
    assert_eq!(without.journal().dispatched(), ["one", "two", "three"]);
    let tree =
        |repo: &Repo| repo.git(&["rev-parse", &format!("{BRANCH}:one.txt"), &format!("{BRANCH}:three.txt")]);
    assert_eq!(tree(&with), tree(&without));
    with.edit(PLAN, "priority=7", "priority=9");
    with.exec(&[]).expect(0);
    assert_eq!(with.journal().dispatched().len(), 3, "another priority pays for nothing");
}

#[test]
fn estimates_labels_and_milestones_are_shown() {
    let body = r#"
        label export
        gate works milestone="Q3" {
            label backend
            unit one estimate="40s" { goal "Make one."; creates "one.txt"; label fast; }
            unit two estimate="20s" { goal "Make two."; creates "two.txt"; }
            approve by=auto
        }
    "#;
    let repo = Repo::counted("off", body, &[("one", "echo 1 > one.txt"), ("two", "exit 1")]);
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["labels"], serde_json::json!(["export"]));
    assert_eq!(status["units"][0]["estimate_ms"], 40_000);
    assert_eq!(status["units"][0]["labels"], serde_json::json!(["fast"]));
    assert_eq!(status["gates"][0]["milestone"], "Q3");
    assert_eq!(status["gates"][0]["labels"], serde_json::json!(["backend"]));
    let told = repo.run_loop(&["status"]).expect(0).all();
    assert!(told.contains("still to do: about 1m of 2 units"), "{told}");
    repo.exec(&[]).expect(4);
    let told = repo.run_loop(&["status"]).expect(0).all();
    assert!(told.contains("still to do: about 20s of 1 unit"), "{told}");
    assert!(told.contains("gate works (Q3): "), "{told}");
}

/// Plays an agent that reports what it costs: two cents a call.
const CLAUDE: &str = r#"#!/bin/sh
{ echo "$LOOP_UNIT" >> "$COUNTS/agent"; } 2> /dev/null
cat > /dev/null
sh "agents/unit/$LOOP_UNIT.sh"
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.02,"usage":{"input_tokens":10,"output_tokens":5},"terminal_reason":"completed","result":"done"}'
"#;

const PAID: &str = r#"project test base="main" {
    protect "agents/**"
    agent fake via=claude { run sh "agents/claude.sh"; env COUNTS; }
    defaults agent=fake { verify check; retry attempts=3; timeout total="60s"; }
    verifier check { shell "! find . -name broken | grep ."; }
}
"#;

fn paid(body: &str, scripts: &[(&str, &str)]) -> Repo {
    let repo = Repo::with_project("off", PAID, body, scripts);
    repo.write("agents/claude.sh", CLAUDE);
    repo.commit("A stand-in");
    repo
}

/// Fails its first call, by a mark outside.
const SECOND_TIME: &str =
    r#"echo 1 > one.txt; if [ ! -e "$COUNTS/tried" ]; then touch "$COUNTS/tried"; touch broken; fi"#;

#[test]
fn a_gate_passes_by_itself_within_its_bounds_and_asks_a_person_beyond_them() {
    let body = |bounds: &str| {
        format!(
            "gate works {{ unit one {{ goal \"Make one.\"; creates \"one.txt\"; writes \"broken\"; }}\n approve by=auto {bounds}; }}\n\
             gate later {{ unit two {{ goal \"Make two.\"; creates \"two.txt\"; }}\n approve by=auto; }}"
        )
    };
    // (bounds, what the gate says if it asks)
    let cases = [
        ("max-usd=0.04 max-attempts=2", None),
        ("max-usd=0.03", Some("its units cost $0.0400, and `max-usd=` is $0.0300")),
        ("max-attempts=1", Some("`one` took 2 attempts, and `max-attempts=` is 1")),
    ];
    for (bounds, asks) in cases {
        let repo = paid(&body(bounds), &[("one", SECOND_TIME), ("two", "echo 2 > two.txt")]);
        let run = repo.exec(&[]);
        match asks {
            None => {
                run.expect(0);
                assert_eq!(repo.landed(BRANCH), ["one", "two"], "{bounds}");
            }
            Some(why) => {
                let run = run.expect(3);
                assert!(run.all().contains(why), "{bounds}: {}", run.all());
                assert_eq!(repo.landed(BRANCH), ["one"]);
                repo.run_loop(&["approve", "works", PLAN]).expect(0);
                repo.exec(&[]).expect(0);
                assert_eq!(repo.landed(BRANCH), ["one", "two"]);
            }
        }
    }
}

#[test]
fn attempts_after_the_first_have_a_budget_of_their_own() {
    let body = r#"budget usd=1.0 retry-usd=0.02
        unit one { goal "Make one."; creates "one.txt"; writes "broken"; }"#;
    let script = [("one", "echo 1 > one.txt; touch broken")];
    let repo = paid(body, &script);
    let run = repo.exec(&[]).expect(5);
    assert_eq!(repo.count("agent"), 2, "the first, and one that spends it: {}", run.all());
    assert!(run.all().contains("retry-usd"), "{}", run.all());
    repo.edit(PLAN, "retry-usd=0.02", "retry-usd=0.03");
    repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 3, "there is more, and one attempt may go beyond it");
}

#[test]
fn what_is_shown_is_in_the_prompt_and_in_no_key() {
    each_level("rules_units::what_is_shown", |level| {
        let body = r#"unit one {
            goal "Make one."
            creates "one.txt"
            show "how it got here" { run git log "--format=%s"; }
            show "what fails" { shell "echo out; echo stray > stray.txt; echo broken >&2; exit 3"; }
            show "too much" { shell "yes | head -c 300000"; }
        }"#;
        let repo = Repo::counted(level, body, &[("one", "cat > one.txt\n")]);
        repo.exec(&[]).expect(0);
        let prompt = repo.landed_file("one.txt").expect("the prompt is what landed");
        let after = |title: &str| {
            let rest =
                prompt.split(&format!("## {title}\n")).nth(1).unwrap_or_else(|| panic!("{title}: {prompt}"));
            rest.split("\n## ").next().expect("a section").to_owned()
        };
        assert!(after("how it got here").contains("\nPlan\nStart\n"), "{prompt}");
        let failed = after("what fails");
        assert!(failed.contains("did not succeed: it exited with 3"), "{failed}");
        assert!(failed.contains("\nout\nbroken\n"), "{failed}");
        let long = after("too much");
        assert!(long.len() < 20_000 && long.contains("bytes left out"), "{} bytes", long.len());
        assert_eq!(repo.landed_file("stray.txt"), None, "what a command writes is dropped");
        repo.edit(PLAN, "exit 3", "exit 4");
        repo.exec(&[]).expect(0);
        assert_eq!(repo.journal().dispatched(), ["one"], "it is no part of the key");
    });
}

#[test]
fn a_program_to_show_that_is_not_there_is_said_before_anything_is_paid() {
    let body = r#"unit one { goal "Make one."; creates "one.txt"; show "x" { run no-such-program; }; }"#;
    let repo = Repo::counted("off", body, &[("one", "echo 1 > one.txt")]);
    let run = repo.exec(&[]).expect(6);
    assert!(run.all().contains("`no-such-program` of `show \"x\"` (unit `one`)"), "{}", run.all());
    assert_eq!(repo.count("agent"), 0);
}

#[test]
fn an_oracle_that_holds_before_the_work_proves_nothing() {
    let body = r#"
        protect "tests/**"
        unit one { goal "Make one."; creates "one.txt"; accept "it counts" by=oracle before=fail; }
    "#;
    let project = |repo: &Repo| {
        repo.edit(
            "loop.kdl",
            "verifier check",
            "verifier oracle { run sh \"tests/one.sh\"; }\n    verifier check",
        );
        repo.write("tests/one.sh", "test \"$(cat one.txt)\" = 1\n");
        repo.commit("An oracle");
    };
    let repo = Repo::counted("off", body, &[("one", "echo 1 > one.txt")]);
    project(&repo);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["one"], "red before, green after");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("agent"), 1);

    let green = Repo::counted("off", body, &[("one", "echo 1 > one.txt")]);
    project(&green);
    green.write("tests/one.sh", "true\n");
    green.commit("It cannot fail");
    let run = green.exec(&[]).expect(4);
    assert!(run.all().contains("\"it counts\" holds before the work"), "{}", run.all());
    assert_eq!(green.count("agent"), 0, "nothing is paid");
    green.write("tests/one.sh", "test -e one.txt\n");
    green.commit("It can");
    green.exec(&["--redo", "one"]).expect(0);
    assert_eq!(green.landed(BRANCH), ["one"]);

    let still = Repo::counted("off", body, &[("one", "echo 2 > one.txt")]);
    project(&still);
    still.exec(&[]).expect(4);
    assert_eq!(still.journal().failures("one"), ["verify-failed"], "red before and red after");
}

#[test]
fn an_oracle_of_a_gate_is_looked_at_before_its_first_unit() {
    let body = r#"
        gate first { unit zero { goal "Make zero."; creates "zero.txt"; }; approve by=auto; }
        gate works {
            unit one { goal "Make one."; creates "one.txt"; }
            unit two { needs one; goal "Make two."; creates "two.txt"; }
            accept "both are there" before=fail { exists "zero.txt" "one.txt"; }
            approve by=auto
        }
    "#;
    let scripts = [("zero", "echo 0 > zero.txt"), ("one", "echo 1 > one.txt"), ("two", "echo 2 > two.txt")];
    let repo = Repo::counted("off", body, &scripts);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["zero", "one", "two"], "what its own units do is not before it");
    let green = Repo::counted(
        "off",
        &body.replace(
            r#" "one.txt"; }
            approve"#,
            "; }\n            approve",
        ),
        &scripts,
    );
    let run = green.exec(&[]).expect(4);
    assert!(run.all().contains("of gate `works` holds before its first unit"), "{}", run.all());
    assert_eq!(green.journal().dispatched(), ["zero"]);
}

#[test]
fn a_renamed_unit_keeps_what_landed_under_its_old_name() {
    let body = r#"
        unit one { goal "Make one."; creates "one.txt"; }
        unit two { needs one; goal "Make two."; creates "two.txt"; }
        unit three { needs two; goal "Make three."; creates "three.txt"; }
    "#;
    let scripts = [
        ("one", "echo 1 > one.txt"),
        ("two", "echo 2 > two.txt"),
        ("second", "echo 2 > two.txt"),
        ("three", "test -e \"$COUNTS/go\" && echo 3 > three.txt"),
    ];
    let repo = Repo::counted("off", body, &scripts);
    repo.exec(&[]).expect(4);
    repo.edit(PLAN, "unit two {", "unit second was=two {");
    repo.edit(PLAN, "needs two", "needs second");
    let plan = repo.exec(&["--dry-run"]).expect(0);
    assert!(plan.all().contains("cached   second"), "{}", plan.all());
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["units"][1]["state"], "landed", "{status}");
    assert_eq!(status["units"][1]["attempts"], 1);
    std::fs::write(repo.outside().join("counts/go"), "").expect("the directory is there");
    repo.exec(&["--redo", "three"]).expect(0);
    assert_eq!(repo.journal().dispatched(), ["one", "two", "three", "three"], "a new name pays for nothing");
    // A clone has no journal: there the commit's own words count.
    std::fs::remove_dir_all(repo.root().join(".git/loop")).expect("the journal is there");
    repo.exec(&[]).expect(0);
    assert!(repo.journal().dispatched().is_empty(), "verifiers ran again, agents did not");

    repo.edit(PLAN, " was=two", "");
    let plan = repo.exec(&["--dry-run"]).expect(0);
    assert!(
        plan.all().contains("cached   second"),
        "it is recorded under the new name by now: {}",
        plan.all()
    );
}

const DRAFT: &str = r#"
    gate works {
        unit one { goal "Make one."; creates "one.txt"; }
        unit next kind=plan { needs one; goal "Draft the next gate."; creates "plan.later.loop.kdl"; }
        approve by=auto
    }
    gate later state=draft file="plan.later.loop.kdl" { approve by=auto; }
    gate last { unit end { goal "Make the end."; creates "end.txt"; }; }
"#;
const LATER: &str = r#"gate later { unit two { needs one; goal "Make two."; creates "two.txt"; }; }"#;

#[test]
fn a_draft_gate_stops_the_run_until_its_units_are_written() {
    let next = format!("cat > plan.later.loop.kdl <<'END'\n{LATER}\nEND\n");
    let scripts = [
        ("one", "echo 1 > one.txt"),
        ("next", &next),
        ("two", "echo 2 > two.txt"),
        ("end", "echo 3 > end.txt"),
    ];
    let repo = Repo::counted("off", DRAFT, &scripts);
    repo.run_loopc(&["check"]).expect(0);
    let run = repo.exec(&[]).expect(3);
    assert_eq!(repo.landed(BRANCH), ["one", "next"], "{}", run.all());
    let how = "git restore --source=loop/feat -- plan.later.loop.kdl";
    assert!(
        run.all().contains("gate `later` waits for its plan") && run.all().contains(how),
        "{}",
        run.all()
    );
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["gates"][1]["state"], "draft");
    assert_ne!(repo.run_loop(&["approve", "later", PLAN]).code, 0, "there is nothing to approve");
    repo.exec(&[]).expect(3);
    assert_eq!(repo.count("agent"), 2, "waiting costs nothing");

    repo.git(&["restore", "--source=loop/feat", "--", "plan.later.loop.kdl"]);
    repo.run_loopc(&["check"]).expect(0);
    // The gate's file is no plan: there is still one.
    let run = repo.run_loop(&["exec"]).expect(3);
    assert_eq!(repo.landed(BRANCH), ["one", "next", "two", "end"], "{}", run.all());
    assert_eq!(repo.count("agent"), 4, "what was done is not done again");
    repo.run_loop(&["approve", "last"]).expect(0);
    repo.exec(&[]).expect(0);
}

#[test]
fn a_draft_that_nobody_wrote_says_where_it_goes() {
    let body = r#"gate works state=draft file="later/plan.loop.kdl"
        gate other state=draft"#;
    let repo = Repo::counted("off", body, &[]);
    let run = repo.exec(&[]).expect(3);
    assert!(run.all().contains("write `gate works { ... }` in later/plan.loop.kdl"), "{}", run.all());
    repo.edit(PLAN, "gate works state=draft file=\"later/plan.loop.kdl\"", "");
    let run = repo.exec(&[]).expect(3);
    assert!(run.all().contains("remove `state=draft`"), "{}", run.all());
}

#[test]
fn only_a_unit_of_kind_plan_leaves_plan_files() {
    let body = |kind: &str| format!("unit one {kind} {{ goal \"Write it.\"; writes \"docs/**\"; }}");
    let (plan, project) = ("mkdir docs; echo > docs/x.loop.kdl", "mkdir docs; echo > docs/loop.kdl");
    // (kind, what it writes, exit)
    let cases = [("", plan, 4), ("kind=plan", plan, 0), ("kind=plan", project, 4), ("", project, 4)];
    for (kind, script, exit) in cases {
        let repo = Repo::counted("off", &body(kind), &[("one", script)]);
        let run = repo.exec(&[]).expect(exit);
        if exit == 4 {
            assert_eq!(repo.journal().failures("one"), ["out-of-scope"], "{kind} {script}: {}", run.all());
            assert!(run.all().contains("Nobody may write"), "{}", run.all());
        }
    }
}

#[test]
fn a_new_name_without_the_old_one_is_a_new_unit() {
    let repo = Repo::counted(
        "off",
        r#"unit one { goal "Make one."; creates "one.txt"; }"#,
        &[("one", "echo 1 > one.txt"), ("first", "echo 1 > one.txt")],
    );
    repo.exec(&[]).expect(0);
    repo.edit(PLAN, "unit one", "unit first");
    let plan = repo.exec(&["--dry-run"]).expect(0);
    assert!(plan.all().contains("run      first: it has not run yet"), "{}", plan.all());
}

#[test]
fn what_a_run_does_not_act_on_is_refused_before_anything_and_checks_clean() {
    let body = r#"gate works {
        unit one { goal "Make one."; creates "one.txt"; }
        repair attempts=2
    }"#;
    let repo = Repo::counted("off", body, &[("one", "echo 1 > one.txt")]);
    repo.run_loopc(&["check"]).expect(0);
    for arguments in [&[][..], &["--dry-run"]] {
        let run = repo.exec(arguments).expect(2);
        assert!(run.stderr.contains("not-yet") && run.stderr.contains("plan.loop.kdl:4:9"), "{}", run.stderr);
        assert!(run.stderr.contains("meanwhile: "), "{}", run.stderr);
    }
    assert_eq!(repo.count("agent"), 0);
    assert!(!repo.root().join(".git/loop").exists(), "nothing was begun");
    repo.run_loop(&["status"]).expect(0);
}
