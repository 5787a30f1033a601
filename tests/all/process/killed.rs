//! Executors and shims that are killed, and what is left of their commands.
//!
//! Does not know sandboxes beyond whether there is one.

use super::*;

// The executor in another process, to be killed.

const EXECUTOR: &str = "LOOP_TEST_PROCESS_EXECUTOR";

/// Not a test by itself: the other tests start this one again as their executor.
#[test]
fn as_executor() {
    let Some(root) = std::env::var(EXECUTOR).ok() else { return };
    let root = Utf8PathBuf::from(root);
    let (work, lock) = (root.join("work tree"), root.join("lock"));
    let script = std::fs::read_to_string(root.join("script")).expect("the parent wrote it");
    let dir = tempfile::Builder::new().prefix("unused").tempdir().expect("a temporary directory");
    let place = Place { _dir: dir, root: root.clone(), work, lock };
    let mut spec = place.sh(&script);
    if root.join("confined").exists() {
        spec.profile = place.agent(&confined().expect("the parent asked for it"));
    }
    spec.limits.idle = Some(Duration::from_secs(2));
    spec.limits.grace = Duration::from_millis(500);
    let outcome = block_on(async {
        let shim = Shim::start(spec).await.expect("it starts");
        std::fs::write(root.join("shim"), shim.id().pid.to_string()).expect("writable");
        if root.join("never-go").exists() {
            std::future::pending::<()>().await;
        }
        shim.go(None, Cancel::never()).await.expect("it runs")
    });
    std::fs::write(root.join("outcome"), format!("{:?} {}", outcome.end, outcome.tree_empty))
        .expect("writable");
}

fn executor(place: &Place, script: &str, confined: bool) -> Child {
    std::fs::write(place.root.join("script"), script).expect("writable");
    if confined {
        std::fs::write(place.root.join("confined"), "").expect("writable");
    }
    Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "process::killed::as_executor"])
        .env(EXECUTOR, &place.root)
        // The programs are there: this process has looked.
        .env("LOOP_TESTS_BUILT", "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill is there");
    assert!(status.success());
}

fn shim_of(place: &Place) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(pid) = std::fs::read_to_string(place.root.join("shim")).unwrap_or_default().parse() {
            return pid;
        }
        assert!(Instant::now() < deadline, "no shim");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_survives_a_killed_executor() {
    for confine in [false, true] {
        if confine && confined().is_none() {
            continue;
        }
        let place = Place::new();
        let script = format!("trap '' TERM HUP; {DAEMON} while :; do sleep 1; done");
        let mut executor = executor(&place, &script, confine);
        place.wait_for("daemon");
        assert!(processes_using(&place.work).len() >= 3);
        executor.kill().expect("it runs");
        assert_eq!(executor.wait().expect("it ended").signal(), Some(9));
        // What a resume does: wait for the lock, then look.
        assert!(block_on(wait_released(&place.lock, Duration::from_secs(6))).expect("it can be asked"));
        place.assert_empty_within(Duration::ZERO);
    }
}

#[test]
fn a_killed_executor_takes_a_shim_that_waits_for_go_with_it() {
    let place = Place::new();
    std::fs::write(place.root.join("never-go"), "").expect("writable");
    let mut executor = executor(&place, "echo ran > ran", false);
    let shim = shim_of(&place);
    executor.kill().expect("it runs");
    executor.wait().expect("it ended");
    assert!(block_on(wait_released(&place.lock, Duration::from_secs(6))).expect("it can be asked"));
    assert_eq!(place.read("ran"), "");
    // The lock is given back a moment before the process is gone.
    loop_tests::wait_until("the shim's end", Duration::from_secs(5), || {
        process_start_time(shim).is_none() || is_zombie(shim)
    });
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_killed_shim_is_reported_and_under_bubblewrap_nothing_survives() {
    for confine in [false, true] {
        if confine && confined().is_none() {
            continue;
        }
        let place = Place::new();
        let script = format!("trap '' TERM HUP; echo $$ > main; {DAEMON} while :; do sleep 1; done");
        let mut executor = executor(&place, &script, confine);
        place.wait_for("daemon");
        kill(shim_of(&place), "-9");
        assert!(executor.wait().expect("it ends").success());
        let outcome = std::fs::read_to_string(place.root.join("outcome")).expect("written");
        let left = processes_using(&place.work);
        // Unconfined it is honest: whoever is left is seen and reported.
        assert_eq!(outcome, format!("ShimLost {}", left.is_empty()));
        let main: u32 = place.read("main").trim().parse().expect("it wrote its number");
        assert!(!left.contains(&main), "the command itself dies with its shim");
        if confine {
            place.assert_empty_within(Duration::from_secs(1));
        }
        left.iter().for_each(|&pid| kill(pid, "-9"));
    }
}

#[test]
fn under_bubblewrap_nothing_survives_executor_and_shim_killed_together() {
    if confined().is_none() {
        return;
    }
    let place = Place::new();
    let script = format!("trap '' TERM HUP; {DAEMON} while :; do sleep 1; done");
    let mut executor = executor(&place, &script, true);
    place.wait_for("daemon");
    let shim = shim_of(&place);
    kill(executor.id(), "-STOP");
    kill(shim, "-9");
    executor.kill().expect("it runs");
    executor.wait().expect("it ended");
    // The sandbox itself holds the lock and gives it back a moment before its last process is gone.
    assert!(block_on(wait_released(&place.lock, Duration::from_secs(6))).expect("it can be asked"));
    place.assert_empty_within(Duration::from_secs(2));
}

#[test]
fn unconfined_the_command_itself_dies_with_its_shim_also_without_an_executor() {
    let place = Place::new();
    let mut executor = executor(&place, "echo up > daemon; exec sleep 300", false);
    place.wait_for("daemon");
    let shim = shim_of(&place);
    kill(executor.id(), "-STOP");
    kill(shim, "-9");
    executor.kill().expect("it runs");
    executor.wait().expect("it ended");
    place.assert_empty_within(Duration::from_secs(2));
}

#[test]
fn a_shim_that_was_stopped_is_overruled() {
    let place = Place::new();
    let script = "kill -STOP $PPID; echo up > daemon; while :; do sleep 1; done";
    let mut executor = executor(&place, script, false);
    place.wait_for("daemon");
    // Silent for 2 s, the grace, and then the executor ends the tree itself.
    assert!(executor.wait().expect("it ends").success());
    assert_eq!(std::fs::read_to_string(place.root.join("outcome")).expect("written"), "IdleTimedOut true");
    place.assert_empty_within(Duration::ZERO);
}

#[test]
fn an_executor_that_slept_drains_before_it_judges_silence() {
    let place = Place::new();
    let script = "echo up > daemon; for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done";
    let mut executor = executor(&place, script, false);
    place.wait_for("daemon");
    kill(executor.id(), "-STOP");
    std::thread::sleep(Duration::from_millis(2600));
    kill(executor.id(), "-CONT");
    assert!(executor.wait().expect("it ends").success());
    assert_eq!(std::fs::read_to_string(place.root.join("outcome")).expect("written"), "Exited(0) true");
}

#[test]
fn a_resume_ends_what_a_stopped_shim_still_holds() {
    let place = Place::new();
    let mut executor =
        executor(&place, "kill -STOP $PPID; echo up > daemon; while :; do sleep 1; done", false);
    place.wait_for("daemon");
    let pid = shim_of(&place);
    let shim = ShimIdentity {
        pid,
        start: process_start_time(pid).expect("it is stopped, not gone"),
        boot: boot_id(),
        host: host_name(),
    };
    executor.kill().expect("it runs");
    executor.wait().expect("it ended");
    block_on(async {
        let left =
            wait_ended(&place.lock, &place.work, Duration::from_millis(300)).await.expect("it can be asked");
        assert_eq!(left, Left::Locked);
        assert!(end_left(&shim).await);
        let left =
            wait_ended(&place.lock, &place.work, Duration::from_secs(5)).await.expect("it can be asked");
        assert_eq!(left, Left::Nothing);
    });
}

#[test]
fn what_an_unconfined_killed_shim_left_is_named() {
    let place = Place::new();
    let mut stray =
        Command::new("sleep").arg("300").current_dir(&place.work).spawn().expect("sleep is there");
    let left =
        block_on(wait_ended(&place.lock, &place.work, Duration::from_millis(50))).expect("it can be asked");
    assert_eq!(left, Left::Processes(vec![stray.id()]));
    stray.kill().expect("it runs");
    stray.wait().expect("it ended");
}

const DESCENDANT: &str = "LOOP_TEST_PROCESS_DESCENDANT";

/// Not a test by itself: started again under a shim by the next one.
#[test]
fn as_descendant() {
    if let Some(file) = std::env::var_os(DESCENDANT) {
        std::fs::write(file, descends_from_shim().to_string()).expect("writable");
    }
}

#[test]
fn a_command_knows_that_it_descends_from_a_shim_even_daemonised() {
    assert!(!descends_from_shim());
    let place = Place::new();
    let test = std::env::current_exe().expect("a test has a path");
    let script = format!(
        "(setsid '{}' --exact process::killed::as_descendant &) ; sleep 0.1; sleep 0.1",
        test.display()
    );
    let mut spec = place.sh(&script);
    let answer = place.work.join("answer");
    spec.env.insert(DESCENDANT.to_owned(), answer.as_str().into());
    ended(End::Exited(0), spec);
    assert_eq!(place.read("answer"), "true");
}
