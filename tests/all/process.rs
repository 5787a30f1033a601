//! Commands under a shim: ends, limits, output, and above all that nothing survives.
//!
//! Does not know the executor: it drives `process` and `sandbox` alone, with the built `loop` as the shim.

mod killed;
mod sandbox;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use loop_runtime::process::{
    Cancel, CommandSpec, End, Left, Limits, Outcome, ProcessError, Shim, ShimIdentity, ShimProgram, Stream,
    boot_id, cancellation, descends_from_shim, end_left, host_name, process_start_time, processes_using,
    wait_ended, wait_released,
};
use loop_runtime::sandbox::{Access, Containment, Detected, Profile, Role, detect, toolchain_binds};

const TEST_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn loop_program() -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(loop_tests::loop_binary()).expect("UTF-8")
}

/// `None`: bubblewrap does not work here. Under `CI` that is a failure, as anywhere a lane is skipped.
fn confined() -> Option<Detected> {
    let detected = detect(None, &loop_program());
    if detected.containment == Containment::Bwrap {
        return Some(detected);
    }
    assert!(std::env::var_os("CI").is_none(), "no sandbox under CI: {:?}", detected.reasons);
    let _ = writeln!(std::io::stderr(), "skipped: {:?}", detected.reasons);
    None
}

/// An attempt's surroundings: a lock, and a directory of its own to work in.
struct Place {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
    work: Utf8PathBuf,
    lock: Utf8PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::Builder::new().prefix("loop-process-").tempdir().expect("a temporary directory");
        let root = Utf8Path::from_path(dir.path()).expect("UTF-8").canonicalize_utf8().expect("it exists");
        let (work, lock) = (root.join("work tree"), root.join("lock"));
        std::fs::create_dir(&work).expect("new");
        std::fs::write(&lock, "").expect("new");
        Place { _dir: dir, root, work, lock }
    }

    fn argv(&self, argv: &[&str]) -> CommandSpec {
        CommandSpec {
            argv: argv.iter().map(OsString::from).collect(),
            cwd: self.work.clone(),
            env: BTreeMap::from([
                ("PATH".to_owned(), TEST_PATH.into()),
                ("HOME".to_owned(), self.work.as_str().into()),
            ]),
            stdin: "/dev/null".into(),
            limits: Limits { total: Some(Duration::from_secs(60)), ..Limits::default() },
            lock: self.lock.clone(),
            profile: Profile::none(),
            program: ShimProgram::At(loop_program()),
        }
    }

    fn sh(&self, script: &str) -> CommandSpec {
        self.argv(&["sh", "-c", script])
    }

    fn agent(&self, detected: &Detected) -> Profile {
        Profile::agent(detected).with(&self.work, Access::Write, Role::Worktree)
    }

    fn verifier(&self, detected: &Detected) -> Profile {
        Profile::verifier(detected).with(&self.work, Access::Write, Role::Worktree)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.work.join(name)).unwrap_or_default()
    }

    /// Waits until the file in the working directory is there.
    fn wait_for(&self, name: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.read(name).is_empty() {
            assert!(Instant::now() < deadline, "{name} did not come");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Nothing uses the directory any more, within the time given.
    fn assert_empty_within(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let left = processes_using(&self.root);
            if left.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                panic!("still there after {limit:?}: {}", describe(&left));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn describe(pids: &[u32]) -> String {
    let name = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {}", String::from_utf8_lossy(&words).replace('\0', " "))
    };
    pids.iter().map(name).collect::<Vec<_>>().join("; ")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn try_run(spec: CommandSpec) -> Result<Outcome, ProcessError> {
    block_on(async { Shim::start(spec).await?.go(None, Cancel::never()).await })
}

fn run(spec: CommandSpec) -> Outcome {
    try_run(spec).expect("it runs")
}

fn ended(end: End, spec: CommandSpec) -> Outcome {
    let outcome = run(spec);
    assert_eq!(outcome.end, end, "stdout {:?} stderr {:?}", outcome.stdout.text(), outcome.stderr.text());
    assert!(outcome.tree_empty);
    outcome
}

/// A child that leaves group and session, ignores what can be ignored, and works in the same directory.
const DAEMON: &str = "setsid sh -c 'trap \"\" TERM HUP INT; (setsid sh -c \"trap \\\"\\\" TERM HUP INT; echo up > daemon; exec sleep 300\" &) ; exec sleep 300' </dev/null >/dev/null 2>&1 &";

#[test]
fn both_streams_and_the_code_arrive() {
    let place = Place::new();
    let outcome = ended(End::Exited(7), place.sh("echo out; echo err >&2; exit 7"));
    assert_eq!(outcome.stdout.bytes, b"out\n");
    assert_eq!(outcome.stderr.bytes, b"err\n");
    assert_eq!(outcome.stdout.truncated, 0);
    ended(End::Exited(0), place.argv(&["true"]));
    ended(End::Signaled(9), place.sh("kill -9 $$"));
}

#[test]
fn a_quick_command_takes_no_settling_time() {
    let place = Place::new();
    // The best of a few: the machine may be busy.
    let best = (0..8).map(|_| ended(End::Exited(0), place.argv(&["true"])).duration).min();
    assert!(best < Some(Duration::from_millis(150)), "{best:?}");
}

#[test]
fn the_environment_is_exactly_the_one_given() {
    let place = Place::new();
    let mut spec = place.argv(&["env"]);
    spec.env = BTreeMap::from([("PATH".into(), TEST_PATH.into()), ("WITH SPACE".into(), "a=b\nc".into())]);
    let outcome = ended(End::Exited(0), spec);
    let mut lines: Vec<String> = outcome.stdout.text().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, [format!("PATH={TEST_PATH}"), "WITH SPACE=a=b".to_owned(), "c".to_owned()]);
}

#[test]
fn the_command_inherits_no_descriptor_terminal_or_signal_mask() {
    let place = Place::new();
    let script = "ls -1 /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status; ulimit -c; (: </dev/tty) 2>/dev/null && echo terminal";
    let outcome = run(place.sh(script));
    let text = outcome.stdout.text();
    let lines: Vec<&str> = text.lines().collect();
    // 3 is the directory that `ls` reads.
    assert_eq!(lines[..4], ["0", "1", "2", "3"], "{text}");
    assert_eq!(lines[4], "SigBlk:\t0000000000000000", "{text}");
    let ignored = u64::from_str_radix(lines[5].trim_start_matches("SigIgn:\t"), 16).expect("hex");
    // 32 and 33 are the C library's own.
    assert_eq!(ignored & !(0b11 << 31), 0, "{text}");
    assert_eq!(lines[6], "0", "{text}");
    assert_eq!(lines.len(), 7, "{text}");
}

#[test]
fn a_missing_program_and_one_that_cannot_be_executed_are_not_found() {
    let place = Place::new();
    let is_missing = |spec| matches!(run(spec).end, End::NotFound(why) if !why.is_empty());
    assert!(is_missing(place.argv(&["no-such-program-here"])));
    std::fs::write(place.work.join("plain"), "text").expect("writable");
    assert!(is_missing(place.argv(&["./plain"])));
    let mut elsewhere = place.argv(&["true"]);
    elsewhere.cwd = place.root.join("nowhere");
    assert!(matches!(try_run(elsewhere), Err(ProcessError::Refused(why)) if why.contains("nowhere")));
    let Some(detected) = confined() else { return };
    let mut inside = place.argv(&["no-such-program-here"]);
    inside.profile = place.agent(&detected);
    assert!(is_missing(inside));
}

#[test]
fn a_hundred_megabytes_are_capped_and_seen_whole() {
    let place = Place::new();
    let mut spec = place.sh("echo first; head -c 100000000 /dev/zero; echo last");
    spec.limits.output_bytes = 1000;
    let mut seen = 0;
    let mut observer = |stream: Stream, bytes: &[u8]| {
        assert_eq!(stream, Stream::Stdout);
        seen += bytes.len();
    };
    let outcome = block_on(async {
        let shim = Shim::start(spec).await?;
        shim.go(Some(&mut observer), Cancel::never()).await
    })
    .expect("it runs");
    assert_eq!(outcome.end, End::Exited(0));
    assert_eq!(seen, 100_000_011);
    assert_eq!(outcome.stdout.truncated, 100_000_011 - 1000);
    assert!(outcome.stdout.bytes.starts_with(b"first\n") && outcome.stdout.bytes.ends_with(b"last\n"));
    assert!(outcome.stdout.bytes.len() < 1100);
}

#[test]
fn output_without_an_end_is_ended_by_the_timeout() {
    let place = Place::new();
    let mut spec = place.argv(&["yes"]);
    spec.limits.total = Some(Duration::from_millis(500));
    let outcome = ended(End::TimedOut, spec);
    assert!(outcome.stdout.truncated > 0);
}

#[test]
fn silence_is_told_from_slowness() {
    let place = Place::new();
    let mut slow = place.sh("for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done");
    slow.limits.idle = Some(Duration::from_millis(1500));
    ended(End::Exited(0), slow);
    let mut silent = place.sh("echo begin; sleep 60");
    silent.limits.idle = Some(Duration::from_millis(1000));
    let outcome = ended(End::IdleTimedOut, silent);
    assert_eq!(outcome.stdout.bytes, b"begin\n");
    assert!(outcome.duration < Duration::from_secs(5), "{:?}", outcome.duration);
}

#[test]
fn a_polite_command_may_say_its_last_words() {
    for profile in [None, confined()] {
        let place = Place::new();
        let mut spec = place.sh("trap 'echo goodbye; exit 3' TERM; while :; do sleep 0.05; done");
        if let Some(detected) = &profile {
            spec.profile = place.agent(detected);
        }
        spec.limits.total = Some(Duration::from_millis(1500));
        let outcome = ended(End::TimedOut, spec);
        assert_eq!(outcome.stdout.bytes, b"goodbye\n");
    }
}

#[test]
fn a_deaf_agent_with_a_daemonised_grandchild_is_gone_in_time() {
    for profile in [None, confined()] {
        let place = Place::new();
        let mut spec = place.sh(&format!("trap '' TERM HUP INT; {DAEMON} while :; do sleep 1; done"));
        if let Some(detected) = &profile {
            spec.profile = place.agent(detected);
        }
        let (total, grace) = (Duration::from_secs(1), Duration::from_millis(700));
        spec.limits = Limits { total: Some(total), grace, ..Limits::default() };
        let outcome = ended(End::TimedOut, spec);
        assert!(outcome.duration < total + grace + Duration::from_secs(1), "{:?}", outcome.duration);
        assert_eq!(place.read("daemon"), "up\n", "the daemon was there");
        place.assert_empty_within(Duration::ZERO);
    }
}

#[test]
fn a_stopped_command_is_ended_too() {
    let place = Place::new();
    let mut spec = place.sh("sleep 300 & kill -STOP $!; kill -STOP $$");
    spec.limits = Limits {
        total: Some(Duration::from_millis(300)),
        grace: Duration::from_millis(300),
        ..Limits::default()
    };
    ended(End::TimedOut, spec);
    place.assert_empty_within(Duration::ZERO);
}

#[test]
fn a_daemon_that_holds_the_streams_hangs_nobody() {
    let place = Place::new();
    let outcome = ended(
        End::Exited(0),
        place.sh("(setsid sh -c 'sleep 0.01; echo late; exec sleep 300' &); echo done"),
    );
    assert_eq!(outcome.stdout.bytes, b"done\nlate\n");
    assert!(outcome.duration < Duration::from_secs(2), "{:?}", outcome.duration);
    place.assert_empty_within(Duration::ZERO);
}

#[test]
fn kill_zero_and_a_term_to_the_parent_do_not_free_the_command() {
    let place = Place::new();
    // `kill -9 0` reaches the command's own group and not the shim.
    ended(
        End::Signaled(9),
        place.sh(&format!("{DAEMON} while [ ! -s daemon ]; do sleep 0.01; done; kill -9 0; sleep 300")),
    );
    place.assert_empty_within(Duration::ZERO);
    let outcome = run(place.sh("kill -TERM $PPID; sleep 300"));
    assert_eq!(outcome.end, End::Signaled(15), "a shim that is asked to end asks its command");
    place.assert_empty_within(Duration::ZERO);
}

#[test]
fn a_tree_that_keeps_forking_is_ended() {
    let place = Place::new();
    // Twenty that fork a successor and end, for ever: whoever was seen is gone a moment later.
    let hop = "hop() { sleep 0.01; hop & }; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do hop & done; wait; sleep 300";
    let mut spec = place.sh(hop);
    spec.limits = Limits {
        total: Some(Duration::from_millis(400)),
        grace: Duration::from_millis(50),
        ..Limits::default()
    };
    ended(End::TimedOut, spec);
    place.assert_empty_within(Duration::ZERO);
}

#[test]
fn cancelling_ends_the_tree_and_a_second_time_at_once() {
    for times in [1, 2] {
        let place = Place::new();
        let mut spec = place.sh(&format!("trap '' TERM; {DAEMON} echo up; while :; do sleep 1; done"));
        spec.limits.grace = if times == 1 { Duration::from_millis(300) } else { Duration::from_secs(50) };
        let (handle, cancel) = cancellation();
        let outcome = block_on(async {
            let shim = Shim::start(spec).await?;
            let orders = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                handle.cancel();
                if times == 2 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    handle.kill();
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                outcome = shim.go(None, cancel) => outcome,
                () = orders => unreachable!("it is pending"),
            }
        })
        .expect("it runs");
        assert_eq!(outcome.end, End::Cancelled);
        assert!(outcome.tree_empty && outcome.duration < Duration::from_secs(3), "{:?}", outcome.duration);
        place.assert_empty_within(Duration::ZERO);
    }
}

#[test]
fn a_dropped_handle_cancels_and_a_dropped_future_leaves_nothing() {
    let place = Place::new();
    let (handle, cancel) = cancellation();
    drop(handle);
    let outcome = block_on(async { Shim::start(place.sh("sleep 300")).await?.go(None, cancel).await });
    assert_eq!(outcome.expect("it runs").end, End::Cancelled);
    block_on(async {
        let shim = Shim::start(place.sh(&format!("{DAEMON} sleep 300"))).await.expect("it starts");
        let running = shim.go(None, Cancel::never());
        assert!(tokio::time::timeout(Duration::from_millis(300), running).await.is_err());
    });
    assert!(block_on(wait_released(&place.lock, Duration::from_secs(5))).expect("it can be asked"));
    place.assert_empty_within(Duration::ZERO);
}

#[test]
fn the_lock_is_held_from_ready_to_the_end_and_only_once() {
    let place = Place::new();
    block_on(async {
        let shim = Shim::start(place.sh("echo ran > ran")).await.expect("it starts");
        assert_eq!(process_start_time(shim.id().pid), Some(shim.id().start));
        let second = Shim::start(place.sh("true")).await;
        assert!(matches!(second, Err(ProcessError::Locked(lock)) if lock == place.lock));
        assert!(!wait_released(&place.lock, Duration::from_millis(50)).await.expect("it can be asked"));
        // No GO: the command never starts.
        drop(shim);
        assert!(wait_released(&place.lock, Duration::from_secs(5)).await.expect("it can be asked"));
        assert_eq!(place.read("ran"), "");
        let shim = Shim::start(place.sh("echo ran > ran")).await.expect("it starts");
        shim.go(None, Cancel::never()).await.expect("it runs");
        assert!(wait_released(&place.lock, Duration::from_secs(5)).await.expect("it can be asked"));
        assert_eq!(place.read("ran"), "ran\n");
        assert!(
            wait_released(&place.root.join("none"), Duration::ZERO).await.expect("a missing lock is free")
        );
    });
    std::fs::remove_file(&place.lock).expect("it is there");
    assert!(matches!(try_run(place.sh("true")), Err(ProcessError::Refused(_))));
}

#[test]
fn the_command_does_not_hold_the_lock() {
    for profile in [None, confined()] {
        let place = Place::new();
        let mut spec = place.sh("for fd in /proc/self/fd/*; do readlink $fd; done; true");
        if let Some(detected) = &profile {
            spec.profile = place.agent(detected);
        }
        let outcome = ended(End::Exited(0), spec);
        assert!(!outcome.stdout.text().contains("lock"), "{}", outcome.stdout.text());
    }
}

#[test]
fn standard_input_is_a_file_that_ends() {
    let place = Place::new();
    let prompt = place.root.join("prompt");
    std::fs::write(&prompt, vec![b'x'; 300_000]).expect("writable");
    let mut reads = place.sh("wc -c");
    reads.stdin.clone_from(&prompt);
    assert_eq!(ended(End::Exited(0), reads).stdout.text().trim(), "300000");
    let mut never_reads = place.sh("echo ok");
    never_reads.stdin.clone_from(&prompt);
    ended(End::Exited(0), never_reads);
    let mut writes = place.sh("echo changed >&0");
    writes.stdin.clone_from(&prompt);
    assert_ne!(run(writes).end, End::Exited(0), "read-only");
    assert_eq!(ended(End::Exited(0), place.argv(&["cat"])).stdout.bytes, b"");
}

#[test]
fn a_fifo_as_input_is_refused_and_not_waited_for() {
    let place = Place::new();
    let fifo = place.root.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is there").success());
    for stdin in [fifo, place.root.clone(), place.root.join("none"), "/dev/zero".into()] {
        let mut spec = place.sh("cat");
        spec.stdin.clone_from(&stdin);
        let began = Instant::now();
        assert!(matches!(try_run(spec), Err(ProcessError::Refused(why)) if why.contains(stdin.as_str())));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn shims_that_run_at_the_same_time_do_not_hold_each_others_pipes() {
    let places: Vec<Place> = (0..6).map(|_| Place::new()).collect();
    block_on(async {
        let mut shims = Vec::new();
        for place in &places {
            shims.push(Shim::start(place.argv(&["ls", "/proc/self/fd"])).await.expect("it starts"));
        }
        for shim in shims {
            let pid = shim.id().pid;
            // Control, two streams, signals, the lock, standard input, and the three standard ones.
            let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it is there").count();
            assert_eq!(open, 9);
            let outcome = shim.go(None, Cancel::never()).await.expect("it runs");
            assert_eq!((outcome.end, outcome.stdout.bytes), (End::Exited(0), b"0\n1\n2\n3\n".to_vec()));
        }
    });
}
