//! Large prompts, damaged journals, and repositories that are not as they must be.
//!
//! Does not know how anything is checked; each complaint has to come before anything is paid.

use std::path::PathBuf;

use loop_tests::{BRANCH, Outcome, PLAN, Repo, creates};

const ONE: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
"#;

fn one() -> Repo {
    Repo::scripted(ONE, &[("a", &creates("out/one.txt", "1"))])
}

#[test]
fn a_300_kb_prompt_arrives_whole() {
    let body =
        r#"unit a { goal "Keep the prompt."; creates "prompt.txt"; accept "it is checked" by=check; }"#;
    let repo = Repo::scripted(body, &[("a", "cat > prompt.txt")]);
    let prompt: String = (0..300 * 1024 / 15).map(|number| format!("line {number:>9}\n")).collect();
    assert!(prompt.len() >= 300_000, "{}", prompt.len());
    repo.write("prompts/long.md", &prompt);
    repo.edit(PLAN, "creates", r#"prompt file="prompts/long.md"; creates"#);
    repo.exec(&[]).expect(0);
    let arrived = repo.git(&["show", &format!("{BRANCH}:prompt.txt")]);
    assert!(arrived.contains(prompt.trim_end()), "{} bytes arrived of {}", arrived.len(), prompt.len());
}

fn journal_file(repo: &Repo) -> PathBuf {
    repo.journal_files().pop().expect("there is a journal")
}

#[test]
fn a_torn_last_line_opens_and_is_told() {
    let repo = one();
    repo.exec(&[]).expect(0);
    let file = journal_file(&repo);
    let mut bytes = std::fs::read(&file).expect("the journal is readable");
    bytes.extend_from_slice(b"{\"prev\":\"12");
    std::fs::write(&file, &bytes).expect("the journal is writable");
    // Something to do, so that the journal is opened for writing.
    let run = repo.exec(&["--redo", "a"]).expect(0);
    assert_eq!(repo.journal().of("journal.repaired").len(), 1);
    assert!(run.all().contains("11 bytes"), "{}", run.all());
    repo.run_loop(&["audit", "verify"]).expect(0);
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    let repo = one();
    repo.exec(&[]).expect(0);
    repo.run_loop(&["audit", "verify"]).expect(0);
    let file = journal_file(&repo);
    let sound = std::fs::read(&file).expect("the journal is readable");
    let lines: Vec<&[u8]> = sound.split_inclusive(|byte| *byte == b'\n').collect();
    let mut offset = 0;
    for (number, line) in lines.iter().enumerate() {
        // A digit inside the record: the line stays well-formed JSON.
        let place = line.iter().rposition(|byte| byte.is_ascii_digit()).expect("a record has numbers");
        for at in [place, line.len() / 2] {
            let mut changed = sound.clone();
            let byte = &mut changed[offset + at];
            *byte = if *byte == b'1' { b'2' } else { b'1' };
            std::fs::write(&file, &changed).expect("the journal is writable");
            let checked = repo.run_loop(&["audit", "verify"]).expect(1);
            assert!(checked.all().contains(&number.to_string()), "record {number}:\n{}", checked.all());
        }
        offset += line.len();
    }
    repo.exec(&[]).expect(6);
    std::fs::write(&file, &sound).expect("the journal is writable");
    repo.run_loop(&["audit", "verify"]).expect(0);
}

/// A refusal has one of these codes, names what is wrong, and comes before anything is paid.
#[track_caller]
fn refused(repo: &Repo, run: Outcome, codes: &[i32], words: &[&str]) {
    assert!(codes.contains(&run.code), "exit {}:\n{}", run.code, run.all());
    for word in words {
        assert!(run.all().contains(word), "{word:?} is not in:\n{}", run.all());
    }
    assert!(repo.journal().dispatched().is_empty(), "nothing is paid before the complaint");
    assert!(!run.all().contains("panicked"), "{}", run.all());
}

#[test]
fn a_missing_agent_is_told_before_anything_is_paid() {
    let repo = one();
    repo.edit("loop.kdl", r#"run sh "agents/work.sh""#, r#"run no-such-agent-program"#);
    let run = repo.exec(&[]);
    refused(&repo, run, &[6], &["no-such-agent-program"]);
}

#[test]
fn a_missing_tool_is_told_before_anything_is_paid() {
    let repo = one();
    repo.edit(
        "loop.kdl",
        r#"verifier check { shell"#,
        r#"verifier check { tool no-such-tool --version; shell"#,
    );
    let run = repo.exec(&[]);
    refused(&repo, run, &[6], &["no-such-tool"]);
}

#[test]
fn a_plan_with_mistakes_is_not_run() {
    let repo = one();
    repo.edit(PLAN, "by=check", "by=chekc");
    let run = repo.exec(&[]);
    refused(&repo, run, &[2], &["chekc", "check"]);
}

#[test]
fn outside_a_repository() {
    let repo = Repo::bare_directory();
    let scripted = one();
    for file in ["loop.kdl", PLAN, "agents/work.sh"] {
        repo.write(file, scripted.read(file));
    }
    let run = repo.exec(&[]);
    assert!([2, 6].contains(&run.code), "{}", run.all());
    assert!(run.all().contains("git"), "{}", run.all());
}

#[test]
fn a_repository_without_a_commit() {
    let repo = Repo::empty();
    let scripted = one();
    for file in ["loop.kdl", PLAN, "agents/work.sh"] {
        repo.write(file, scripted.read(file));
    }
    let run = repo.exec(&[]);
    refused(&repo, run, &[2, 6], &["commit"]);
}

#[test]
fn a_detached_head_is_refused_only_when_nothing_names_a_branch() {
    let repo = one();
    repo.git(&["checkout", "--quiet", "--detach"]);
    repo.exec(&[]).expect(0);
    let nameless = one();
    nameless.edit("loop.kdl", " base=\"main\"", "");
    nameless.commit("No base");
    nameless.git(&["checkout", "--quiet", "--detach"]);
    let run = nameless.exec(&[]);
    refused(&nameless, run, &[2, 6], &["HEAD", "--base"]);
}

#[test]
fn a_base_branch_that_is_gone() {
    let repo = one();
    repo.edit("loop.kdl", "base=\"main\"", "base=\"trunk\"");
    let run = repo.exec(&[]);
    refused(&repo, run, &[2, 6], &["trunk"]);
}

#[test]
fn a_branch_that_is_checked_out_somewhere() {
    let repo = one();
    repo.git(&["branch", BRANCH]);
    let place = repo.outside().join("elsewhere");
    repo.git(&["worktree", "add", "--quiet", &place.display().to_string(), BRANCH]);
    let run = repo.exec(&[]);
    refused(&repo, run, &[2, 6], &[BRANCH, "elsewhere"]);
}

#[test]
fn a_branch_called_loop_stands_in_the_way() {
    let repo = one();
    repo.git(&["branch", "loop"]);
    let run = repo.exec(&[]);
    refused(&repo, run, &[2], &["loop"]);
}

#[test]
fn an_unknown_plan_gate_or_unit_is_a_usage_error() {
    let repo = one();
    for arguments in [
        ["exec", "no.loop.kdl", "--jobs", "1"],
        ["exec", PLAN, "--gate", "nowhere"],
        ["exec", PLAN, "--unit", "z"],
    ] {
        let run = repo.run_loop(&arguments);
        refused(&repo, run, &[2], &[]);
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let repo = one();
    let before = repo.snapshot();
    let run = repo.exec(&["--dry-run"]).expect(0);
    assert!(run.stdout.contains('a'), "{}", run.all());
    assert_eq!(repo.journal().records.len(), 0);
    before.assert_same(&repo.snapshot());
}
