//! Nothing survives: agents that ignore signals, grandchildren in sessions of their own, Ctrl-C; and one run at a time.
//!
//! Does not know how processes are found and ended.

use std::path::Path;
use std::time::{Duration, Instant};

use loop_tests::{BRANCH, PLAN, Repo, creates, wait_until};

/// How long after timeout and grace (5 s) the last process may be there.
const SLACK: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(5);

/// An agent that ignores TERM, INT and HUP, with a grandchild in a session of its own. `mark` is in both command lines.
fn stubborn(mark: &str) -> String {
    format!(
        "trap '' TERM INT HUP\n\
         setsid sh -c 'trap \"\" TERM INT HUP; while :; do sleep 0.{mark}; done' >/dev/null 2>&1 </dev/null &\n\
         while :; do sleep 0.{mark}; done\n"
    )
}

const ONE: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; timeout total="3s"; accept "it is checked" by=check; }
"#;

/// A number that no other process of this machine has in its command line.
fn mark(test: u32) -> String {
    format!("5{:07}{test}", std::process::id())
}

/// Processes that have `mark` in their command line.
fn marked(mark: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    let pids = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter_map(|entry| {
        let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
        let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
        (text.contains(&format!("sleep 0.{mark}")) && is_alive(&entry.path())).then_some(text)
    })
    .collect()
}

fn is_alive(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_stubborn_agent_is_gone_in_time() {
    let mark = mark(1);
    let repo = Repo::scripted(ONE, &[("a", &stubborn(&mark))]);
    let mut running = repo.spawn_loop(&["exec", PLAN]);
    wait_until("the agent", Duration::from_secs(30), || !marked(&mark).is_empty());
    let start = Instant::now();
    wait_until("the end of the agent", Duration::from_secs(60), || marked(&mark).is_empty());
    let took = start.elapsed();
    assert!(took <= Duration::from_secs(3) + GRACE + SLACK, "{took:?}");
    let run = running.wait();
    assert_ne!(run.code, 0, "{}", run.all());
    assert_eq!(repo.journal().failures("a"), ["timeout"]);
}

#[test]
fn a_silent_agent_is_ended_by_its_idle_time() {
    let repo = Repo::scripted(
        &ONE.replace("total=\"3s\"", "total=\"60s\" idle=\"1s\""),
        &[("a", "echo hello; sleep 50")],
    );
    let start = Instant::now();
    let run = repo.exec(&[]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_eq!(repo.journal().failures("a"), ["idle-timeout"]);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn nothing_survives_an_interrupt() {
    for (number, signal) in [(2, "INT"), (3, "TERM"), (4, "HUP")] {
        let mark = mark(number);
        let repo = Repo::scripted(&ONE.replace("3s", "60s"), &[("a", &stubborn(&mark))]);
        let before = repo.snapshot();
        let mut running = repo.spawn_loop(&["exec", PLAN]);
        wait_until("the agent", Duration::from_secs(30), || marked(&mark).len() >= 2);
        running.signal(signal);
        let run = running.wait().expect(130);
        assert_eq!(marked(&mark), [] as [&str; 0], "{signal}: {}", run.all());
        before.assert_same(&repo.snapshot());
        assert!(repo.journal().of("unit.blocked").is_empty(), "an interrupt is no failure of the agent");
    }
}

#[test]
fn a_daemon_that_outlives_its_agent_does_not_survive_the_attempt() {
    let mark = mark(5);
    let script = format!(
        "setsid sh -c 'while :; do sleep 0.{mark}; done' >/dev/null 2>&1 </dev/null &\nsleep 0.3\n{}",
        creates("out/one.txt", "1")
    );
    let repo = Repo::scripted(&ONE.replace("3s", "60s"), &[("a", &script)]);
    repo.exec(&[]).expect(0);
    assert_eq!(marked(&mark), [] as [&str; 0]);
    assert_eq!(repo.landed(BRANCH), ["a"]);
}

#[test]
fn a_second_run_is_told_who_holds_the_lock() {
    let mark = mark(6);
    let script = format!("sleep 3 # 0.{mark}\n{}", creates("out/one.txt", "1"));
    let repo = Repo::scripted(&ONE.replace("3s", "60s"), &[("a", &script)]);
    let mut first = repo.spawn_loop(&["exec", PLAN]);
    wait_until("the first run", Duration::from_secs(30), || !repo.journal().of("attempt.started").is_empty());
    let second = repo.exec(&[]).expect(7);
    let (words, pid) = (second.all(), first.pid().to_string());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a machine has a name");
    assert!(words.contains(&pid) && words.contains(host.trim()), "{words}");
    // Readers need no lock.
    repo.run_loop(&["status", PLAN]).expect(0);
    repo.run_loop(&["why", "a", PLAN]).expect(0);
    repo.run_loopc(&["check"]).expect(0);
    first.wait().expect(0);
    repo.exec(&[]).expect(0);
}
