//! Limits: output without end, money, interrupts.
//!
//! Does not know how they are kept.

use std::time::{Duration, Instant};

use loop_tests::{BRANCH, PLAN, Repo, each_level, wait_until};

const ONE: &str = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;

/// The most memory that a process had so far, in MB.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

#[test]
fn output_without_end_takes_neither_memory_nor_disk() {
    // Many short lines, one endless line, and both streams at once.
    for flood in ["yes | head -c 200M", "head -c 200M /dev/zero", "yes | head -c 60M >&2"] {
        let repo = Repo::counted("off", ONE, &[("one", &format!("{flood}\necho made > out.txt\n"))]);
        let mut running = repo.spawn_loop(&["exec", PLAN]);
        let mut most = 0;
        while running.is_running() {
            most = peak(running.pid()).unwrap_or(0).max(most);
            std::thread::sleep(Duration::from_millis(10));
        }
        running.wait().expect(0);
        assert!(most < 200, "{flood}: {most} MB");
        let kept = size(&repo.root().join(".git/loop"));
        assert!(kept < 40 << 20, "{flood}: {kept} bytes are kept");
        let cached = size(&repo.outside().join("cache"));
        assert!(cached < 1 << 20, "{flood}: {cached} bytes are left in the cache");
    }
}

fn size(directory: &std::path::Path) -> u64 {
    let (mut sum, mut open) = (0, vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let meta = entry.path().symlink_metadata().expect("an entry has metadata");
            if meta.is_dir() { open.push(entry.path()) } else { sum += meta.len() }
        }
    }
    sum
}

/// Plays the CLI: does the unit's work and reports a cost of two cents.
const CLAUDE: &str = r#"#!/bin/sh
{ echo "$LOOP_UNIT" >> "$COUNTS/agent"; } 2> /dev/null
cat > /dev/null
sh "agents/unit/$LOOP_UNIT.sh"
echo '{"type":"system","subtype":"init","session_id":"s","model":"m"}'
echo '{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.02,"usage":{"input_tokens":10,"output_tokens":5},"terminal_reason":"completed","result":"done"}'
"#;

fn paid(budgets: &str, of_each: &str) -> Repo {
    let units: String = ["one", "two", "three"]
        .iter()
        .map(|unit| format!("unit {unit} {{ goal \"Make it.\"; creates \"{unit}.txt\"; accept \"made\" by=check; {of_each} }}\n"))
        .collect();
    let project = r#"project test base="main" {
    protect "agents/**"
    agent fake via=claude { run sh "agents/claude.sh"; env COUNTS; }
    defaults agent=fake { verify check; retry attempts=1; timeout total="60s"; }
    verifier check { shell "! find . -name broken | grep ."; }
}
"#;
    let scripts = [("one", "echo 1 > one.txt"), ("two", "echo 2 > two.txt"), ("three", "echo 3 > three.txt")];
    let repo = Repo::with_project("off", project, &format!("{budgets}\n{units}"), &scripts);
    repo.write("agents/claude.sh", CLAUDE);
    repo.commit("A stand-in");
    repo
}

#[test]
fn a_run_stops_when_its_money_is_spent_and_goes_on_when_there_is_more() {
    let repo = paid("budget usd=0.03", "");
    let run = repo.exec(&[]).expect(5);
    // One attempt may overshoot; the next one does not start.
    assert_eq!(repo.count("agent"), 2, "{}", run.all());
    assert_eq!(repo.landed(BRANCH), ["one", "two"], "what was paid for lands");
    assert!(run.all().contains("budget") && run.all().contains("$0.0300"), "{}", run.all());
    repo.exec(&[]).expect(5);
    assert_eq!(repo.count("agent"), 2);
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["spent_micro_usd"], 40_000);
    repo.edit(PLAN, "usd=0.03", "usd=1.0");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("agent"), 3, "the two that are paid for are not paid again");
}

#[test]
fn an_attempt_starts_only_if_its_reservation_fits() {
    let repo = paid("budget usd=0.05", "budget usd=0.04");
    let run = repo.exec(&[]).expect(5);
    // 0.02 spent and 0.04 to reserve are more than 0.05.
    assert_eq!(repo.count("agent"), 1, "{}", run.all());
    let parallel = paid("budget usd=0.09", "budget usd=0.04");
    parallel.exec(&["--jobs", "3"]).expect(5);
    assert_eq!(parallel.count("agent"), 2, "reservations of attempts under way count");
}

#[test]
fn money_on_an_agent_without_cost_figures_is_refused_before_anything() {
    let repo = Repo::counted("off", &format!("budget usd=1.0\n{ONE}"), &[("one", "echo made > out.txt")]);
    let run = repo.exec(&[]).expect(2);
    assert!(run.all().contains("budget-impossible"), "{}", run.all());
    assert_eq!(repo.count("agent"), 0);
}

/// Waits until the agent says that it is there, and returns the run.
fn started(repo: &Repo) -> loop_tests::Running {
    let running = repo.spawn_loop(&["exec", PLAN]);
    wait_until("the attempt", Duration::from_secs(60), || !repo.journal().of("attempt.started").is_empty());
    std::thread::sleep(Duration::from_millis(300));
    running
}

#[test]
fn a_second_interrupt_ends_everything_at_once() {
    each_level("rules_limits::a_second_interrupt", |level| {
        // It ignores the signals that a polite end would use.
        let slow = "trap '' TERM INT HUP\nsleep 60\n";
        let body = format!(
            "{}\n{ONE}",
            r#"unit zero { goal "First."; creates "zero.txt"; accept "made" by=check; }"#
        );
        let repo = Repo::counted(level, &body, &[("zero", "echo 0 > zero.txt"), ("one", slow)]);
        let mut running = repo.spawn_loop(&["exec", PLAN]);
        wait_until("the second unit", Duration::from_secs(60), || repo.journal().dispatched().len() == 2);
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        running.signal("INT");
        std::thread::sleep(Duration::from_millis(200));
        running.signal("INT");
        running.wait().expect(130);
        assert!(start.elapsed() < Duration::from_secs(4), "twice is at once: {:?}", start.elapsed());
        assert_eq!(repo.journal().units_of("attempt.lost"), ["one"]);
        assert!(repo.journal().of("attempt.failed").is_empty());
        assert_eq!(repo.landed(BRANCH), ["zero"], "what was finished is on the branch");
    });
}

#[test]
fn the_same_command_finishes_what_an_interrupt_cut() {
    // The second call of the agent is quick: it leaves a mark outside.
    let script =
        "if [ -e \"$COUNTS/once\" ]; then echo made > out.txt; else touch \"$COUNTS/once\"; sleep 60; fi\n";
    let repo = Repo::counted("off", ONE, &[("one", script)]);
    for signal in ["INT", "TERM", "HUP"] {
        let _ = std::fs::remove_file(repo.outside().join("counts/once"));
        let before = repo.journal().dispatched().len();
        let mut running = repo.spawn_loop(&["exec", PLAN]);
        wait_until("the agent", Duration::from_secs(60), || repo.outside().join("counts/once").exists());
        assert_eq!(repo.journal().dispatched().len(), before + 1);
        running.signal(signal);
        running.wait().expect(130);
    }
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["one"]);
    assert_eq!(repo.journal().of("run.started").len(), 1, "it was one run all the time");
    assert_eq!(repo.journal().of("run.ended").len(), 1);
}

#[test]
fn readers_work_while_a_run_goes_on_and_show_it() {
    let repo = Repo::counted("off", ONE, &[("one", "sleep 60\n")]);
    let mut running = started(&repo);
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["units"][0]["state"], "running", "{status}");
    assert_eq!(status["run"]["open"], true);
    repo.run_loop(&["why", "one"]).expect(0);
    assert!(repo.run_loop(&["log", "one"]).expect(0).all().contains("one"));
    repo.run_loopc(&["check"]).expect(0);
    let second = repo.exec(&[]).expect(7);
    assert!(second.all().contains(&running.pid().to_string()), "{}", second.all());
    assert!(second.all().contains(" seconds"), "since when: {}", second.all());
    running.signal("INT");
    running.wait().expect(130);
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_ne!(status["units"][0]["state"], "running", "{status}");
}

#[test]
fn an_interrupt_while_verifying_pays_no_second_agent() {
    each_level("rules_limits::an_interrupt_while_verifying", |level| {
        let repo = Repo::counted(level, ONE, &[("one", "echo made > out.txt\n")]);
        let project = repo.read("loop.kdl");
        repo.edit("loop.kdl", "! find", "sleep 60; ! find");
        let mut running = repo.spawn_loop(&["exec", PLAN]);
        wait_until("the capture", Duration::from_secs(60), || {
            !repo.journal().of("attempt.captured").is_empty()
        });
        std::thread::sleep(Duration::from_millis(300));
        running.signal("TERM");
        running.wait().expect(130);
        assert!(repo.journal().of("attempt.failed").is_empty(), "an interrupt is no failure");
        assert!(repo.journal().of("verify.done").is_empty(), "and no verdict");
        // The plan is another one now, and the unit's ask is the same.
        repo.write("loop.kdl", project);
        repo.exec(&[]).expect(0);
        assert_eq!(repo.journal().dispatched(), ["one"]);
        assert_eq!(repo.journal().of("run.ended").len(), 2, "the first run was closed");
        assert_eq!(repo.landed(BRANCH), ["one"]);
    });
}

#[test]
fn two_features_run_at_once_in_one_repository() {
    let repo = Repo::counted("off", ONE, &[("one", "echo made > out.txt; sleep 1\n")]);
    repo.write("b.loop.kdl", repo.read(PLAN).replace("feature feat", "feature other"));
    let mut first = repo.spawn_loop(&["exec", PLAN]);
    let mut second = repo.spawn_loop(&["exec", "b.loop.kdl"]);
    first.wait().expect(0);
    second.wait().expect(0);
    assert_eq!(repo.git(&["rev-parse", BRANCH, "loop/other"]).lines().count(), 2);
    repo.run_loop(&["audit", "verify"]).expect(0);
}

#[test]
fn what_a_stream_says_of_its_failure_is_believed_over_its_exit_code() {
    // Recorded streams, all with exit code 0: (stream, exit of the run, class, attempts that count).
    let cases = [
        ("rate-limited.jsonl", 5, "rate-limited"),
        ("auth.jsonl", 6, "auth"),
        ("nothing", 4, "agent-exit"),
        ("half", 4, "agent-exit"),
    ];
    for (stream, code, class) in cases {
        let repo = paid("", "");
        let text = match stream {
            "nothing" => String::new(),
            "half" => "{\"type\":\"system\",\"subtype\":\"init\"}\n{\"type\":\"result\",\"is_err".to_owned(),
            name => {
                std::fs::read_to_string(loop_tests::fixture("claude-streams").join(name)).expect("recorded")
            }
        };
        repo.write("agents/stream.jsonl", text);
        let stand_in = format!(
            "{}cat agents/stream.jsonl\n",
            CLAUDE.split("echo '{\"type\"").next().expect("a beginning")
        );
        repo.write("agents/claude.sh", stand_in);
        repo.commit("A stream");
        let run = repo.exec(&["--unit", "one"]);
        // One unit that was asked for by name and failed: exit 1 stands for 4.
        assert_eq!(run.code, if code == 4 { 1 } else { code }, "{stream}: {}", run.all());
        assert_eq!(repo.journal().failures("one"), [class], "{stream}");
        assert!(repo.journal().of("unit.accepted").is_empty());
        // What is not the agent's fault blocks nothing: the same command tries again.
        repo.exec(&["--unit", "one"]);
        let calls = if code == 4 { 1 } else { 2 };
        assert_eq!(repo.count("agent"), calls, "{stream}");
    }
}

#[test]
fn a_file_of_a_gigabyte_is_refused_and_takes_no_memory() {
    let repo = Repo::counted("off", ONE, &[("one", "echo made > out.txt; truncate -s 1G big.bin\n")]);
    repo.edit(PLAN, "creates \"out.txt\";", "creates \"out.txt\"; writes \"big.bin\";");
    let mut running = repo.spawn_loop(&["exec", PLAN]);
    let mut most = 0;
    while running.is_running() {
        most = peak(running.pid()).unwrap_or(0).max(most);
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = running.wait().expect(4);
    assert!(most < 200, "{most} MB");
    assert!(run.all().contains("big.bin"), "{}", run.all());
    assert!(size(&repo.root().join(".git/loop")) < 10 << 20);
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let repo = Repo::counted("off", ONE, &[("one", "sleep 0.5; echo made > out.txt\n")]);
    let program = loop_tests::loop_binary();
    for json in ["", "--json --redo one"] {
        let line = format!("'{}' exec {PLAN} {json} 2>&1 | true", program.display());
        repo.command("sh").args(["-c", &line]).status().expect("sh runs");
        wait_until("the end", Duration::from_secs(60), || {
            let journal = repo.journal();
            !journal.of("run.started").is_empty()
                && journal.of("run.ended").len() == journal.of("run.started").len()
        });
        assert_eq!(repo.journal().of("run.ended").last().expect("it ended")["exit"], 0);
    }
}
