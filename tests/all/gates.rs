//! Gates stop a run until a person decides; decisions are bound to what was shown; manuals wait for a person too.
//!
//! Does not know how a decision is signed: in this version none is.

use loop_tests::{BRANCH, PLAN, Repo, creates};
use serde_json::Value;

const TWO_GATES: &str = r#"
    gate first {
        unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
        unit b { goal "Make two."; creates "out/two.txt"; accept "it is checked" by=check; }
    }
    gate second {
        unit c { needs a; goal "Make three."; creates "out/three.txt"; accept "it is checked" by=check; }
        approve by=human
    }
"#;

fn two_gates() -> Repo {
    let scripts = [
        ("a", creates("out/one.txt", "1")),
        ("b", creates("out/two.txt", "2")),
        ("c", creates("out/three.txt", "3")),
    ];
    let scripts: Vec<(&str, &str)> = scripts.iter().map(|(unit, script)| (*unit, script.as_str())).collect();
    Repo::scripted(TWO_GATES, &scripts)
}

fn gate(repo: &Repo, id: &str) -> Value {
    let status = repo.run_loop(&["status", PLAN, "--json"]).expect(0).json();
    let gates = status["gates"].as_array().expect("status lists gates");
    gates.iter().find(|gate| gate["id"] == id).expect("the gate is listed")["state"].clone()
}

#[test]
fn a_gate_stops_until_it_is_approved() {
    let repo = two_gates();
    let run = repo.exec(&[]).expect(3);
    assert!(run.all().contains("loop approve first"), "it says what to do:\n{}", run.all());
    assert_eq!(repo.landed(BRANCH), ["a", "b"]);
    assert_eq!(gate(&repo, "first"), "waiting");
    repo.exec(&[]).expect(3);
    assert_eq!(repo.journal().dispatched().len(), 2, "waiting costs nothing");

    repo.run_loop(&["approve", "first", PLAN, "--reason", "read it"]).expect(0);
    repo.exec(&[]).expect(3);
    assert_eq!(repo.landed(BRANCH), ["a", "b", "c"]);
    assert_eq!(gate(&repo, "first"), "passed");
    repo.run_loop(&["approve", "second", PLAN]).expect(0);
    repo.exec(&[]).expect(0);
    assert_eq!(gate(&repo, "second"), "passed");
    repo.run_loop(&["audit", "verify"]).expect(0);
}

#[test]
fn an_approval_says_what_was_approved_and_that_it_is_unsigned() {
    let repo = two_gates();
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first", PLAN, "--reason", "read it"]).expect(0);
    let journal = repo.journal();
    let (reached, decided) = (journal.of("gate.reached")[0].clone(), journal.of("gate.decided")[0].clone());
    let statement = &decided["statement"];
    assert_eq!(decided["signature"], Value::Null);
    assert_eq!(statement["decision"], "approved");
    assert_eq!(statement["reason"], "read it");
    assert_eq!(statement["head"].as_str(), Some(repo.git(&["rev-parse", BRANCH]).as_str()));
    for bound in ["head", "closure", "page"] {
        assert_eq!(statement[bound], reached[bound], "{bound}");
    }
    assert_eq!(statement["actor"]["kind"], "os-user");
    assert!(repo.run_loop(&["log"]).expect(0).all().contains("unsigned"));
}

#[test]
fn a_gate_that_was_not_reached_cannot_be_approved() {
    let repo = two_gates();
    for name in ["first", "second", "third"] {
        let refused = repo.run_loop(&["approve", name, PLAN]);
        assert_ne!(refused.code, 0, "{name}: {}", refused.all());
    }
    assert!(repo.journal().of("gate.decided").is_empty());
    repo.exec(&[]).expect(3);
}

/// What was asked decides; a longer timeout or a later gate does not void an approval.
#[test]
fn an_approval_stands_while_what_was_asked_stands() {
    let repo = two_gates();
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first", PLAN]).expect(0);
    repo.edit("loop.kdl", "timeout total=\"60s\"", "timeout total=\"90s\"");
    repo.edit(PLAN, "Make three.", "Make the third.");
    repo.exec(&[]).expect(3);
    assert_eq!(repo.landed(BRANCH), ["a", "b", "c"]);

    repo.edit(PLAN, "Make one.", "Make one again.");
    let run = repo.exec(&[]).expect(3);
    assert_eq!(gate(&repo, "first"), "waiting", "another ask needs another decision:\n{}", run.all());
}

/// Each unit passes alone; what lands is the sum, and the sum is red.
#[test]
fn a_gate_verifies_the_merged_head() {
    let body = r#"
        gate both {
            unit a { goal "Make one."; creates "out/one"; accept "it is checked" by=apart; }
            unit b { goal "Make two."; creates "out/two"; accept "it is checked" by=apart; }
        }
        gate after { unit c { goal "Make four."; creates "out/four"; accept "it is checked" by=check; } }
    "#;
    let (a, b) = (creates("out/one", "1"), creates("out/two", "2"));
    let c = creates("out/four", "4");
    let scripts = [("a", a.as_str()), ("b", &b), ("c", &c)];
    let repo = Repo::scripted("unit x { goal \"x\"; creates \"x\"; }", &scripts);
    repo.edit(
        "loop.kdl",
        "verifier check",
        "verifier apart { shell \"! test -e out/one || ! test -e out/two\"; }\n    verifier check",
    );
    repo.write(PLAN, format!("feature feat {{\n{body}\n}}\n"));
    repo.run_loopc(&["check"]).expect(0);
    repo.commit("Two that do not go together");
    let run = repo.exec(&[]).expect(4);
    assert_eq!(repo.landed(BRANCH), ["a", "b"], "{}", run.all());
    assert!(run.all().contains("apart"), "it names what is red:\n{}", run.all());
    let verdicts = repo.journal();
    let at_gate: Vec<_> =
        verdicts.of("verify.done").into_iter().filter(|done| done["subject"] == "gate:both").collect();
    assert!(
        at_gate.iter().any(|done| done["verifier"] == "apart" && done["verdict"] == "failed"),
        "{at_gate:?}"
    );
    assert_ne!(repo.run_loop(&["approve", "both", PLAN]).code, 0, "a red gate cannot be approved");
    assert!(!repo.journal().dispatched().contains(&"c".to_owned()));
}

#[test]
fn without_gates_nothing_waits_and_by_auto_neither() {
    let repo = Repo::scripted(
        r#"gate g { unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }; approve by=auto; }"#,
        &[("a", &creates("out/one.txt", "1"))],
    );
    repo.exec(&[]).expect(0);
    assert_eq!(gate(&repo, "g"), "passed");
    assert!(repo.journal().of("gate.decided").is_empty());
}

#[test]
fn a_gate_or_a_unit_can_be_asked_for_alone() {
    let repo = two_gates();
    repo.exec(&["--unit", "b"]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["b"]);
    repo.exec(&["--gate", "first"]).expect(3);
    assert_eq!(repo.journal().dispatched(), ["b", "a"]);
}

#[test]
fn a_manual_waits_for_a_person() {
    let body = r#"
        unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
        manual look owner="@mia" { needs a; step "It looks right."; }
        unit b { after look; goal "Make two."; creates "out/two.txt"; accept "it is checked" by=check; }
    "#;
    let repo =
        Repo::scripted(body, &[("a", &creates("out/one.txt", "1")), ("b", &creates("out/two.txt", "2"))]);
    let run = repo.exec(&[]).expect(3);
    assert!(run.all().contains("It looks right."), "{}", run.all());
    assert_eq!(repo.landed(BRANCH), ["a"]);
    repo.run_loop(&["done", "look", PLAN]).expect(0);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a", "b"]);
    assert_eq!(repo.journal().units_of("manual.done"), ["look"]);
}

/// `--json` is the journal, line by line, as it is written.
#[test]
fn json_output_is_the_journal() {
    let repo = two_gates();
    let run = repo.exec(&["--json"]).expect(3);
    let files: String = repo
        .journal_files()
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("the journal is readable"))
        .collect();
    assert_eq!(run.stdout, files);
}

/// The start tree of a unit is what it needs or comes after, whoever finished first.
#[test]
fn jobs_do_not_change_what_an_agent_sees() {
    // What is there before anything is written.
    let script = |sleep: &str, path: &str| {
        format!("sleep {sleep}; seen=$(git ls-files | sort); mkdir -p out; echo \"$seen\" > {path}\n")
    };
    let body = r#"
        unit a { goal "List."; creates "out/a"; accept "it is checked" by=check; }
        unit b { goal "List."; creates "out/b"; accept "it is checked" by=check; }
        unit c { after b; goal "List."; creates "out/c"; accept "it is checked" by=check; }
        unit d { goal "List."; creates "out/d"; accept "it is checked" by=check; }
    "#;
    let trees: Vec<String> = ["1", "8"]
        .iter()
        .map(|jobs| {
            let (a, b) = (script("0.6", "out/a"), script("0", "out/b"));
            let (c, d) = (script("0", "out/c"), script("0.2", "out/d"));
            let repo = Repo::scripted(body, &[("a", &a), ("b", &b), ("c", &c), ("d", &d)]);
            repo.exec(&["--jobs", jobs]).expect(0);
            assert_eq!(repo.landed(BRANCH), ["a", "b", "c", "d"]);
            repo.git(&["rev-parse", &format!("{BRANCH}^{{tree}}")])
        })
        .collect();
    assert_eq!(trees[0], trees[1]);
}
