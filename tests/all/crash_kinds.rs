//! What a resumed run makes of single things that a crash can leave: an intent, a moved branch, a block, a signal.
//!
//! Does not try every moment: that is `crash`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use loop_tests::{BRANCH, PLAN, Repo, Watch, wait_until};

use crate::crash::World;

const TWO: &str = r#"
    unit a { goal "Make one."; creates "out/a.txt"; accept "it is checked" by=check; }
    unit b { goal "Make two."; creates "out/b.txt"; accept "it is checked" by=check; }
"#;

const EXEC: [&str; 2] = ["exec", PLAN];

fn two() -> World {
    World::new("off", TWO, "", Watch::start(|_| true))
}

/// The commit of the newest intent.
fn intended(repo: &Repo) -> String {
    let journal = repo.journal();
    let intents = journal.of("land.intent");
    intents.last().expect("an intent was recorded")["commit"].as_str().expect("it names a commit").to_owned()
}

/// The branch, oldest first.
fn commits(repo: &Repo) -> Vec<String> {
    let range = format!("main..{BRANCH}");
    repo.git(&["rev-list", "--reverse", "--first-parent", &range]).lines().map(str::to_owned).collect()
}

#[test]
fn an_intent_whose_pack_is_there_is_carried_out() {
    let mut world = two();
    assert_eq!(world.run(&EXEC, "land.before-swap").code, 137);
    let commit = intended(&world.repo);
    world.run(&EXEC, "").expect(0);
    assert_eq!(commits(&world.repo)[0], commit);
    assert!(world.repo.journal().of("land.void").is_empty());
    assert_eq!(world.repo.journal().units_of("landed"), ["a", "b"]);
}

#[test]
fn an_intent_whose_pack_is_lost_lands_again_with_the_same_id() {
    let mut world = two();
    assert_eq!(world.run(&EXEC, "land.before-swap").code, 137);
    let commit = intended(&world.repo);
    // What a crash of the machine does to a pack that did not reach the disk. All packs are ours here.
    let packs = std::fs::read_dir(world.repo.root().join(".git/objects/pack")).expect("there is a pack");
    for file in packs.flatten() {
        std::fs::remove_file(file.path()).expect("a pack can be removed");
    }
    world.run(&EXEC, "").expect(0);
    assert_eq!(commits(&world.repo)[0], commit);
    assert_eq!(world.repo.journal().units_of("land.void"), ["a"]);
    assert_eq!(world.watch.calls("a"), 1);
    world.repo.git(&["fsck", "--strict"]);
    world.is_sound("a lost pack");
}

#[test]
fn a_swap_that_was_done_is_only_recorded() {
    let mut world = two();
    assert_eq!(world.run(&EXEC, "land.after-swap").code, 137);
    let commit = intended(&world.repo);
    assert_eq!(commits(&world.repo), std::slice::from_ref(&commit));
    // Somebody went on from there before the run did.
    let tree = world.repo.git(&["rev-parse", &format!("{BRANCH}^{{tree}}")]);
    let on_top = world.repo.git(&["commit-tree", "-p", &commit, "-m", "By hand", &tree]);
    world.repo.git(&["update-ref", &format!("refs/heads/{BRANCH}"), &on_top]);
    world.run(&EXEC, "").expect(0);
    assert_eq!(commits(&world.repo)[..2], [commit, on_top]);
    assert_eq!(world.repo.journal().units_of("landed"), ["a", "b"]);
}

#[test]
fn a_branch_that_was_moved_meanwhile_ends_the_run_with_the_reason_and_then_goes_on() {
    let mut world = two();
    assert_eq!(world.run(&EXEC, "land.before-swap").code, 137);
    let tree = world.repo.git(&["rev-parse", "main^{tree}"]);
    let other = world.repo.git(&["commit-tree", "-p", "main", "-m", "By hand", &tree]);
    world.repo.git(&["update-ref", &format!("refs/heads/{BRANCH}"), &other]);
    let run = world.run(&EXEC, "").expect(1);
    assert!(run.stderr.contains("was moved by somebody else"), "{}", run.all());
    assert_eq!(commits(&world.repo), std::slice::from_ref(&other), "nothing was put over it");
    let journal = world.repo.journal();
    assert_eq!(journal.units_of("land.void"), ["a"]);
    assert_eq!(journal.of("run.ended").len(), 1);
    world.run(&EXEC, "").expect(0);
    assert_eq!(commits(&world.repo)[0], other);
    assert_eq!(world.repo.landed(BRANCH), ["", "a", "b"]);
    assert_eq!(world.watch.calls("a"), 1);
}

#[test]
fn a_run_keeps_its_base_although_the_base_moved_or_is_gone() {
    for gone in [false, true] {
        let mut world = World::new("off", TWO, "", Watch::start(|_| true));
        let base = world.repo.git(&["rev-parse", "main"]);
        let exec = ["exec", PLAN, "--base", "start"];
        world.repo.git(&["branch", "start"]);
        // Nothing has landed, and no intent says from where.
        world.repo.set_env("LOOP_CRASH_AT", "accept.before-append");
        assert_eq!(world.repo.run_loop(&exec).code, 137);
        world.repo.set_env("LOOP_CRASH_AT", "");
        if gone {
            world.repo.git(&["branch", "-D", "start"]);
        } else {
            let tree = world.repo.git(&["rev-parse", "main^{tree}"]);
            let later = world.repo.git(&["commit-tree", "-p", "main", "-m", "Later", &tree]);
            world.repo.git(&["branch", "-f", "start", &later]);
        }
        world.repo.run_loop(&exec).expect(0);
        assert_eq!(world.repo.git(&["rev-parse", &format!("{BRANCH}~2")]), base);
        assert_eq!(world.repo.landed(BRANCH), ["a", "b"]);
        assert_eq!(world.repo.journal().of("run.started").len(), 1, "it is the same run");
        assert_eq!(world.watch.calls("a"), 1);
    }
}

#[test]
fn a_lost_attempt_does_not_count_against_the_attempts() {
    // `retry attempts=1`: one that counted would block the unit.
    let mut world = two();
    for at in ["attempt.after-started", "attempt.after-end", "attempt.before-captured"] {
        assert_eq!(world.run(&EXEC, at).code, 137, "{at}");
    }
    world.run(&EXEC, "").expect(0);
    let journal = world.repo.journal();
    assert_eq!(journal.units_of("attempt.lost"), ["a", "a", "a"]);
    let reserved: Vec<_> =
        journal.of("attempt.started").iter().map(|started| started["reserved_micro_usd"].clone()).collect();
    let charged: Vec<_> =
        journal.of("attempt.lost").iter().map(|lost| lost["charged_micro_usd"].clone()).collect();
    assert_eq!(charged, reserved[..3], "what was reserved is charged");
    let numbers: Vec<_> =
        journal.of("attempt.started").iter().map(|started| started["number"].clone()).collect();
    assert_eq!(numbers, [1, 1, 1, 1, 1]);
}

#[test]
fn another_cache_directory_does_not_hide_an_agent_that_still_works() {
    // The shim is stopped, so it does not end its agent when the program is killed.
    let mut world = World::new("off", TWO, "sleep 0.5", Watch::start(|_| true));
    world.watch.next_start(&mut world.repo);
    let running = world.repo.spawn_loop(&EXEC);
    wait_until("the agent", Duration::from_secs(30), || world.watch.alive() > 0);
    let shim = world.repo.journal().of("attempt.started")[0]["shim"]["pid"].to_string();
    let stopped = std::process::Command::new("kill").args(["-STOP", &shim]).status();
    assert!(stopped.is_ok_and(|status| status.success()), "kill -STOP {shim}");
    running.kill();
    world.after_stop("a stopped shim");
    assert_eq!(world.watch.alive(), 1, "nobody ended it");
    let other = world.repo.outside().join("other-cache");
    world.repo.set_env("XDG_CACHE_HOME", other.to_str().expect("temporary paths are UTF-8"));
    world.run(&EXEC, "").expect(0);
    assert_eq!(world.watch.clashes(), [] as [&str; 0]);
    assert_eq!(world.repo.landed(BRANCH), ["a", "b"]);
}

#[test]
fn the_start_of_one_feature_leaves_what_another_one_makes_alone() {
    let mut world = two();
    // Recorded in neither journal yet, and no shim holds its lock: made, and its maker was killed, or is still at it.
    assert_eq!(world.run(&EXEC, "attempt.after-place").code, 137);
    let count = |world: &World| {
        let clones = std::fs::read_dir(world.repo.outside().join("cache/loop")).expect("there is a place");
        let kinds = clones.flatten().map(|clone| clone.path().join("feat/attempts"));
        kinds.flat_map(|kind| std::fs::read_dir(kind).into_iter().flatten().flatten()).count()
    };
    assert_eq!(count(&world), 1);
    let plan = world.repo.read(PLAN).replace("feature feat", "feature other").replace("out/", "other/");
    world.repo.write("other.loop.kdl", plan);
    world.repo.set_env("LOOP_CRASH_AT", "run.after-keep");
    assert_eq!(world.repo.run_loop(&["exec", "other.loop.kdl"]).code, 137);
    assert_eq!(count(&world), 1, "the other feature's place is still there");
}

#[test]
fn an_agent_that_reported_blocked_is_not_asked_again_after_a_crash() {
    for at in ["attempt.after-captured", "block.before-append", "block.after-append"] {
        let body = r#"unit a { goal "Make one."; creates "out/a.txt"; accept "it is checked" by=check; }"#;
        let script = "echo '{\"status\":\"blocked\",\"reason\":\"the key is missing\"}' > \"$LOOP_REPORT\"\n";
        let watch = Watch::start(|_| true);
        let mut repo = Repo::watched("off", &watch, body, &[("a", script)]);
        repo.set_env("LOOP_CRASH_AT", at);
        assert_eq!(repo.exec(&[]).code, 137, "{at}");
        repo.set_env("LOOP_CRASH_AT", "");
        for _ in 0..2 {
            let run = repo.exec(&[]).expect(4);
            assert!(run.all().contains("the key is missing"), "{at}:\n{}", run.all());
        }
        assert_eq!(watch.calls("a"), 1, "{at}");
        let journal = repo.journal();
        assert_eq!(journal.units_of("unit.blocked"), ["a"], "{at}");
        assert_eq!(journal.units_of("attempt.failed"), ["a"], "{at}");
    }
}

#[test]
fn a_second_interrupt_does_not_wait_for_a_stubborn_agent() {
    let stubborn = "if [ -n \"$STUBBORN\" ]; then trap '' TERM INT HUP; while :; do sleep 0.05; done; fi";
    let mut world = World::new("off", TWO, stubborn, Watch::start(|_| true));
    world.repo.set_env("STUBBORN", "1");
    let mut running = world.repo.spawn_loop(&EXEC);
    wait_until("the agent", Duration::from_secs(30), || world.watch.alive() > 0);
    // It has said its name; the trap comes a moment later.
    std::thread::sleep(Duration::from_millis(200));
    running.signal("INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.is_running(), "the agent has its grace");
    let start = Instant::now();
    running.signal("INT");
    let run = running.wait().expect(130);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}: less than the grace\n{}", run.all());
    assert_eq!(world.watch.alive(), 0);
    world.after_stop("two interrupts");
    world.repo.set_env("STUBBORN", "");
    world.run(&EXEC, "").expect(0);
    assert_eq!(world.repo.landed(BRANCH), ["a", "b"]);
    assert_eq!(world.repo.journal().units_of("attempt.lost"), ["a"]);
    assert_eq!(world.repo.journal().of("run.started").len(), 1, "an interrupted run goes on");
}

#[test]
fn a_signal_while_a_unit_lands_leaves_it_landed() {
    let mut world = two();
    for (number, kind) in ["land.intent", "unit.accepted"].into_iter().enumerate() {
        let mut world = if number == 0 { two() } else { std::mem::replace(&mut world, two()) };
        let mut running = world.repo.spawn_loop(&EXEC);
        let directory: PathBuf = world.repo.root().join(".git/loop/journal/feat");
        let wanted = format!("\"kind\":\"{kind}\"");
        wait_until(kind, Duration::from_secs(30), || {
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
                .any(|text| text.contains(&wanted))
        });
        running.signal("TERM");
        let run = running.wait();
        assert_eq!(run.code, 130, "{}", run.all());
        world.after_stop("a signal");
        assert_eq!(world.repo.landed(BRANCH), ["a"], "{kind}");
        world.run(&EXEC, "").expect(0);
        assert_eq!(world.repo.landed(BRANCH), ["a", "b"]);
        world.is_sound(kind);
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
         sleep 1\nmkdir -p out; cat held > out/one.txt 2>/dev/null || echo missing > out/one.txt; rm -f held\n"
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

/// The same command after a crash, `--redo` included, pays once for what was asked once.
#[test]
fn a_unit_that_was_asked_for_again_is_not_asked_for_a_third_time_after_a_crash() {
    const REDO: [&str; 2] = ["--redo", "a"];
    for at in ["attempt.after-captured", "accept.after-append", "run.before-ended"] {
        let watch = Watch::start(|_| true);
        let scripts =
            [("a", "mkdir -p out; echo a > out/a.txt\n"), ("b", "mkdir -p out; echo b > out/b.txt\n")];
        let mut repo = Repo::watched("off", &watch, TWO, &scripts);
        let calls = || (watch.calls("a"), watch.calls("b"));
        repo.exec(&[]).expect(0);
        assert_eq!(calls(), (1, 1), "{at}");
        repo.set_env("LOOP_CRASH_AT", at);
        assert_eq!(repo.exec(&REDO).code, 137, "{at}");
        repo.set_env("LOOP_CRASH_AT", "");
        assert_eq!(calls(), (2, 1), "{at}");
        repo.exec(&REDO).expect(0);
        assert_eq!(calls(), (2, 1), "{at}: paid again for a wish that was fulfilled");
        // Asked anew, when the run is over, it runs anew.
        repo.exec(&REDO).expect(0);
        assert_eq!(calls(), (3, 1), "{at}");
    }
}
