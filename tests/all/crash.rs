//! `kill -9` at any moment, then the same command again: nothing by hand, nothing paid twice, one commit a unit.
//!
//! Does not know what is durable when; `spec/protocol.md` says it, and the crash points have names in the program.
//! Calls of agents are counted from outside ([`Watch`]), never from the journal under test.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loop_tests::{BRANCH, Lane, Outcome, PLAN, Repo, Snapshot, Watch, creates, lane, workspace_root};

/// Two gates with a person between them. `b` is accepted before `a` and lands after it.
const GATES: &str = r#"
    gate first {
        unit a { goal "Make one."; creates "out/a.txt"; accept "it is checked" by=check; }
        unit b { goal "Make two."; creates "out/b.txt"; accept "it is checked" by=check; }
    }
    gate second {
        approve by=auto
        unit c { goal "Make three."; creates "out/c.txt"; accept "it is checked" by=check; }
        unit d { needs c; goal "Make four."; creates "out/d.txt"; accept "it is checked" by=check; }
    }
"#;

const SIX: &str = r#"
    unit a { goal "Make a."; creates "out/a.txt"; accept "it is checked" by=check; }
    unit b { goal "Make b."; creates "out/b.txt"; accept "it is checked" by=check; }
    unit c { needs a; goal "Make c."; creates "out/c.txt"; accept "it is checked" by=check; }
    unit d { needs b; goal "Make d."; creates "out/d.txt"; accept "it is checked" by=check; }
    unit e { goal "Make e."; creates "out/e.txt"; accept "it is checked" by=check; }
    unit f { needs c; needs d; goal "Make f."; creates "out/f.txt"; accept "it is checked" by=check; }
"#;

/// A repository, its watch, and what must hold of both.
pub(crate) struct World {
    pub repo: Repo,
    pub watch: Watch,
    units: Vec<String>,
    before: Snapshot,
    /// Units whose agent had finished when the program was last killed, with their calls.
    finished: BTreeMap<String, usize>,
}

/// What must be the same however often a run was killed.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    tree: String,
    /// The trees that each unit's agents started from.
    starts: BTreeMap<String, BTreeSet<String>>,
}

impl World {
    /// Units `a`, `b`, ... as far as `body` has them; each runs `first`, then makes its file.
    pub(crate) fn new(level: &str, body: &str, first: &str, watch: Watch) -> World {
        let units: Vec<String> =
            ('a'..='f').map(String::from).filter(|unit| body.contains(&format!("unit {unit} "))).collect();
        let scripts: Vec<(String, String)> = units
            .iter()
            .map(|unit| (unit.clone(), format!("{first}\n{}", creates(&format!("out/{unit}.txt"), "done"))))
            .collect();
        let scripts: Vec<(&str, &str)> =
            scripts.iter().map(|(unit, script)| (unit.as_str(), script.as_str())).collect();
        let repo = Repo::watched(level, &watch, body, &scripts);
        repo.write("untracked.txt", "of the user\n");
        let before = repo.snapshot();
        World { repo, watch, units, before, finished: BTreeMap::new() }
    }

    fn gates() -> World {
        let journal = std::sync::Arc::new(Mutex::new(std::path::PathBuf::new()));
        let place = std::sync::Arc::clone(&journal);
        // `a` may work when `b` is accepted, so that one of them lands later than it is accepted.
        let watch = Watch::start(move |unit| {
            let place = place.lock().expect("no thread panics while it holds the lock").clone();
            unit != "a" || text_of(&place).contains("\"kind\":\"unit.accepted\"")
        });
        let world = World::new("off", GATES, "echo working", watch);
        *journal.lock().expect("no thread panics while it holds the lock") =
            world.repo.root().join(".git/loop/journal/feat");
        world
    }

    /// Runs the program once; with `at`, until it kills itself there.
    pub(crate) fn run(&mut self, arguments: &[&str], at: &str) -> Outcome {
        self.watch.next_start(&mut self.repo);
        self.repo.set_env("LOOP_CRASH_AT", at);
        let outcome = self.repo.run_loop(arguments);
        self.after_stop(&format!("{arguments:?} with a crash at {at:?}"));
        outcome
    }

    /// What must hold whenever the program is not running.
    pub(crate) fn after_stop(&mut self, what: &str) {
        self.before.assert_same(&self.repo.snapshot());
        for (unit, calls) in &self.finished {
            assert_eq!(
                self.watch.calls(unit),
                *calls,
                "{what}: `{unit}` was finished and its agent was called again"
            );
        }
        let captured = self.repo.journal().units_of("attempt.captured");
        self.finished = captured.into_iter().map(|unit| (unit.clone(), self.watch.calls(&unit))).collect();
    }

    /// What must hold when everything is done.
    fn finish(&self, what: &str) -> Left {
        assert_eq!(self.repo.landed(BRANCH), self.units, "{what}: one commit a unit, in the plan's order");
        assert_eq!(self.watch.clashes(), [] as [&str; 0], "{what}: two agents at once");
        assert_eq!(self.watch.alive(), 0, "{what}: something that an agent started is left");
        let journal = self.repo.journal();
        for kind in ["attempt.captured", "unit.accepted", "landed"] {
            let mut units = journal.units_of(kind);
            units.sort();
            assert_eq!(units, self.units, "{what}: `{kind}` once for each unit");
        }
        for unit in &self.units {
            let started = journal.dispatched().iter().filter(|started| *started == unit).count();
            assert!(self.watch.calls(unit) <= started, "{what}: an agent of `{unit}` ran unrecorded");
        }
        let lost = journal.of("attempt.lost").len();
        assert_eq!(journal.dispatched().len(), self.units.len() + lost, "{what}: each attempt has an end");
        // One that was found by its key names the record where it was made.
        let made = journal.of("verify.done").into_iter().filter(|done| done["cached_from"].is_null());
        let verdicts: Vec<&str> = made.filter_map(|done| done["key"].as_str()).collect();
        let once: BTreeSet<&str> = verdicts.iter().copied().collect();
        assert_eq!(once.len(), verdicts.len(), "{what}: a recorded verdict was made again");
        self.is_sound(what);
        assert_eq!(self.repo.git(&["for-each-ref", "refs/loop/keep"]), "", "{what}: refs are left");
        assert_eq!(self.places(), [] as [&str; 0], "{what}: directories of attempts are left");
        let mut starts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for started in journal.of("attempt.started") {
            let text = |name: &str| started[name].as_str().unwrap_or_default().to_owned();
            starts.entry(text("unit")).or_default().insert(text("start_tree"));
        }
        Left { tree: self.repo.git(&["rev-parse", &format!("{BRANCH}^{{tree}}")]), starts }
    }

    pub(crate) fn is_sound(&self, what: &str) {
        let audit = self.repo.run_loop(&["audit", "verify"]);
        assert_eq!(audit.code, 0, "{what}:\n{}", audit.all());
        let script = workspace_root().join("spec/verify.sh");
        let directory = self.repo.root().join(".git/loop/journal/feat");
        let checked = Command::new("sh").arg(script).arg(directory).output().expect("a shell runs");
        assert!(checked.status.success(), "{what}: {}", String::from_utf8_lossy(&checked.stdout));
    }

    /// Directories of attempts and verifications that are there.
    fn places(&self) -> Vec<String> {
        let mut found = Vec::new();
        let list = |directory: &std::path::Path| std::fs::read_dir(directory).into_iter().flatten().flatten();
        for clone in list(&self.repo.outside().join("cache/loop")) {
            for kind in ["attempts", "checks"] {
                let entries = list(&clone.path().join("feat").join(kind));
                found.extend(entries.map(|entry| format!("{kind}/{}", entry.file_name().to_string_lossy())));
            }
        }
        found
    }
}

fn text_of(directory: &std::path::Path) -> String {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect()
}

const EXEC: [&str; 4] = ["exec", PLAN, "--jobs", "2"];
const APPROVE: [&str; 3] = ["approve", "first", PLAN];

/// A crash that has to come before the one in question can: there is nothing to resume or repair otherwise.
fn needed_before(point: &str) -> Option<&'static str> {
    match point {
        "resume.after-release" => Some("run.after-keep"),
        "resume.after-removed" => Some("attempt.before-started"),
        _ if point.starts_with("resume.") => Some("land.before-swap"),
        _ if point.starts_with("journal.repair.") => Some("journal.append.half-written:3"),
        _ => None,
    }
}

/// Runs the plan to its end, with a crash at `at` in each command in which it is reached. Whether it was.
fn survive(at: &str) -> (Left, bool) {
    let mut world = World::gates();
    let mut reached = false;
    if let Some(before) = needed_before(at) {
        assert_eq!(world.run(&EXEC, before).code, 137, "{before} comes before {at}");
    }
    let mut after_crash = String::new();
    for (command, code) in [(EXEC.as_slice(), 3), (APPROVE.as_slice(), 0), (EXEC.as_slice(), 0)] {
        let first = if at.is_empty() { None } else { Some(world.run(command, at)) };
        let outcome = match first {
            Some(outcome) if outcome.code != 137 => outcome,
            first => {
                reached |= first.is_some();
                after_crash = format!("after a crash at {at} in {command:?}");
                world.run(command, "")
            }
        };
        assert_eq!(outcome.code, code, "{after_crash}, {command:?}:\n{}", outcome.all());
    }
    let what = format!("{at}, {after_crash}");
    let left = world.finish(&what);
    let calls: usize = world.units.iter().map(|unit| world.watch.calls(unit)).sum();
    assert_eq!(world.run(&EXEC, "").code, 0, "{what}: once more");
    let again: usize = world.units.iter().map(|unit| world.watch.calls(unit)).sum();
    assert_eq!(again, calls, "{what}: the last run does nothing");
    (left, reached)
}

/// Calls `work` for each item, two at a time.
fn two_at_a_time<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::SeqCst)) {
                    work(item);
                }
            });
        }
    });
}

#[test]
fn every_crash_point_can_be_survived() {
    let (whole, _) = survive("");
    // A unit that blocks has a test of its own.
    let points = || loop_runtime::crash::POINTS.iter().filter(|point| !point.starts_with("block."));
    let mut all: Vec<String> = points().map(|point| (*point).to_owned()).collect();
    // Later times meet other units, other records and the branch as it is after the first landing.
    for (room, times) in
        [("attempt.", 3), ("accept.", 2), ("land.", 2), ("journal.append.", 7), ("store.put.", 6)]
    {
        all.extend(points().filter(|point| point.starts_with(room)).map(|point| format!("{point}:{times}")));
    }
    let reached = Mutex::new(BTreeSet::new());
    two_at_a_time(&all, |at| {
        let (left, was_reached) = survive(at);
        assert_eq!(left, whole, "a crash at {at} changes what comes of the run");
        if was_reached {
            reached.lock().expect("no other thread panicked").insert(at.clone());
        }
    });
    let reached = reached.into_inner().expect("no thread panicked");
    let missed: Vec<&&str> = points().filter(|point| !reached.contains(**point)).collect();
    assert!(missed.is_empty(), "no run came to these points: {missed:?}");
}

/// Numbers that are the same in every run of the tests (Steele, Lea, Flood: SplitMix64, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn a_kill_at_any_moment_can_be_survived() {
    let seed = std::env::var("LOOP_TESTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    let confined = lane(Lane::Bubblewrap, "a_kill_at_any_moment_can_be_survived").is_some();
    let rounds: Vec<u64> = (0..10).collect();
    let left = Mutex::new(Vec::new());
    two_at_a_time(&rounds, |round| {
        let level = if round % 2 == 1 && confined { "bwrap" } else { "off" };
        let mut random = Random(seed + round);
        let delays: Vec<u64> = (0..4).map(|_| 20 + random.below(900)).collect();
        let what = format!("LOOP_TESTS_SEED={seed}, round {round} ({level}), killed after {delays:?} ms");
        // The grandchild is in a session of its own and has none of the agent's pipes.
        let first = "setsid sleep 300 > /dev/null 2>&1 < /dev/null &\nsleep 0.05";
        let mut world = World::new(level, SIX, first, Watch::start(|_| true));
        for delay in &delays {
            world.watch.next_start(&mut world.repo);
            let running = world.repo.spawn_loop(&["exec", PLAN, "--jobs", "3"]);
            std::thread::sleep(Duration::from_millis(*delay));
            running.kill();
            world.after_stop(&what);
        }
        let run = world.run(&["exec", PLAN, "--jobs", "3"], "");
        assert_eq!(run.code, 0, "{what}:\n{}", run.all());
        left.lock().expect("no other thread panicked").push(world.finish(&what));
    });
    let left = left.into_inner().expect("no thread panicked");
    assert!(left.iter().all(|one| *one == left[0]), "LOOP_TESTS_SEED={seed}: {left:#?}");
}
