//! `kill -9` at any moment, then the same command again: nothing by hand, nothing paid twice, one commit a unit.
//!
//! Does not know what is durable when; `spec/protocol.md` says it, and the crash points have names in the program.

use std::collections::BTreeMap;
use std::time::Duration;

use loop_tests::{BRANCH, PLAN, Repo, creates, wait_until};

const THREE: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
    unit b { needs a; goal "Make two."; creates "out/two.txt"; accept "it is checked" by=check; }
    unit c { goal "Make three."; creates "out/three.txt"; accept "it is checked" by=check; }
"#;

fn three(prefix: &str) -> Repo {
    let script = |path: &str| format!("{prefix}{}", creates(path, "done"));
    Repo::scripted(
        THREE,
        &[("a", &script("out/one.txt")), ("b", &script("out/two.txt")), ("c", &script("out/three.txt"))],
    )
}

/// Runs to the end after a crash, and checks what a crash must not spoil.
fn finish(repo: &Repo, what: &str) {
    let accepted_before = repo.journal().units_of("unit.accepted");
    let dispatched_before = repo.journal().dispatched();
    let run = repo.exec(&[]);
    assert_eq!(run.code, 0, "after {what}:\n{}", run.all());
    assert_eq!(repo.landed(BRANCH), ["a", "b", "c"], "after {what}: one commit a unit, in plan order");
    let dispatched = repo.journal().dispatched();
    for unit in &accepted_before {
        let count = |list: &[String]| list.iter().filter(|other| *other == unit).count();
        assert_eq!(
            count(&dispatched),
            count(&dispatched_before),
            "after {what}: {unit} was finished and paid for again"
        );
    }
    let captured: BTreeMap<String, usize> = counted(&repo.journal().units_of("attempt.captured"));
    assert!(
        captured.values().all(|count| *count == 1),
        "after {what}: an agent ran to its end twice: {captured:?}"
    );
    repo.run_loop(&["audit", "verify"]).expect(0);
    assert_eq!(repo.exec(&[]).code, 0);
    assert_eq!(
        repo.journal().dispatched().len(),
        dispatched.len(),
        "after {what}: the second run does nothing"
    );
}

fn counted(units: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for unit in units {
        *counts.entry(unit.clone()).or_default() += 1;
    }
    counts
}

/// The named points of the program, in the program's own list.
fn points() -> &'static [&'static str] {
    loop_runtime::crash::POINTS
}

#[test]
fn every_crash_point_can_be_survived() {
    let mut reached = 0;
    for point in points() {
        for time in [1, 3] {
            let mut repo = three("");
            let before = repo.snapshot();
            repo.set_env("LOOP_CRASH_AT", format!("{point}:{time}"));
            let crashed = repo.exec(&[]);
            repo.set_env("LOOP_CRASH_AT", "");
            if crashed.code == 137 {
                reached += 1;
                before.assert_same(&repo.snapshot());
            } else {
                assert_eq!(
                    crashed.code,
                    0,
                    "{point}:{time} was not reached, so the run is a plain one:\n{}",
                    crashed.all()
                );
            }
            finish(&repo, &format!("a crash at {point}:{time}"));
        }
    }
    assert!(reached >= points().len() / 2, "only {reached} crashes of {} points", points().len());
}

#[test]
fn a_kill_at_any_moment_can_be_survived() {
    for delay in [30, 80, 150, 250, 400, 700, 1100] {
        let repo = three("sleep 0.2\n");
        let running = repo.spawn_loop(&["exec", PLAN, "--jobs", "2"]);
        std::thread::sleep(Duration::from_millis(delay));
        running.kill();
        finish(&repo, &format!("kill -9 after {delay} ms"));
    }
}

/// The agent holds a port while it works, as does the grandchild that it leaves behind: if two were ever alive at the same
/// time, the second could not bind it and would say so in what lands.
#[test]
fn never_two_agents_at_once_although_a_grandchild_stayed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    drop(listener);
    let script = format!(
        "setsid python3 agents/hold.py {port} >/dev/null 2>&1 </dev/null &\n\
         sleep 1.5\nmkdir -p out; cat held > out/one.txt 2>/dev/null || echo missing > out/one.txt; rm -f held\n"
    );
    let hold = "import socket, sys, time\n\
        s = socket.socket()\n\
        try:\n    s.bind(('127.0.0.1', int(sys.argv[1])))\n    s.listen()\n    open('held', 'w').write('alone\\n')\n\
        except OSError:\n    open('held', 'w').write('two at once\\n')\n\
        time.sleep(600)\n";
    let body = r#"unit a { goal "Make one."; creates "out/one.txt"; writes "held"; accept "it is checked" by=check; }"#;
    let repo = Repo::scripted(body, &[("a", &script)]);
    repo.write("agents/hold.py", hold);
    repo.commit("A grandchild");
    let bound = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let running = repo.spawn_loop(&["exec", PLAN]);
    wait_until("the grandchild of the first agent", Duration::from_secs(30), bound);
    running.kill();
    let run = repo.exec(&[]).expect(0);
    assert_eq!(repo.git(&["show", &format!("{BRANCH}:out/one.txt")]), "alone", "{}", run.all());
    assert_eq!(repo.landed(BRANCH), ["a"]);
    assert!(!bound(), "the grandchild of the second agent is gone as well");
}
