//! Runs every check of a plan once on the base tree, before any work: what it says there tells what it can prove later.
//!
//! Does not know the journal: nothing is recorded, and the user's tree and branches are not touched.

mod findings;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::rc::Rc;
use std::time::Duration;

use camino::Utf8PathBuf;
use loop_compiler::graph::{Check, NodeKind, Predicate, VerifierDef};

pub use findings::findings;

use super::command::{run_in, run_prepare};
use super::error::DriveError;
use super::judge::Ground;
use super::place::{Place, Places};
use super::{Signals, nonce};
use crate::digest::Sha256;
use crate::fault::ExitCode;
use crate::process::{Cancel, End, Limits, Shim, cancellation};
use crate::record::Verdict;
use crate::sandbox::Detected;
use crate::store::secrets;
use crate::work::predicate::{Held, View, holds};
use crate::work::verify::{Judged, excerpt, judge};
use crate::workspace::{Blobs, CaptureRules, capture};

/// Features cannot have this name, so that no run's places are meant.
const ROOM: &str = ".probe";
/// How much of a check's output is shown.
const SHOWN: usize = 600;
/// A file that a check leaves and that is larger than this is named all the same.
const LARGE: u64 = 64 << 20;
/// The id of a criterion's command, which has no name: no verifier can have it.
const NAMELESS: &str = "\"\"";

/// What is probed.
pub struct Probe {
    pub ground: Ground,
    pub environment: BTreeMap<String, OsString>,
    pub detected: Detected,
    /// Checks that may run at once.
    pub jobs: usize,
    /// Told before each check.
    pub progress: Box<dyn Fn(&str)>,
}

/// What one check did on the base tree.
#[derive(Clone, Debug)]
pub struct Observed {
    /// A verifier's id; empty for a command of a criterion.
    pub verifier: String,
    pub check: Check,
    pub judged: Judged,
    /// What it said the second time, if it failed.
    pub again: Option<Judged>,
    /// Paths that it changed beside what the verifier says it writes, sorted.
    pub touched: Vec<String>,
    /// The end of its output, if it failed.
    pub output: String,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub checks: Vec<Observed>,
    /// Tools that do not answer: the verifier's id, the command, and why.
    pub tools: Vec<(String, Vec<String>, String)>,
    /// Criteria of units whose conditions all hold already: the unit's id and the criterion's text.
    pub held: Vec<(String, String)>,
    pub interrupted: bool,
}

/// What a run would need of the plan's worktree, made once.
struct Room {
    ground: Ground,
    places: Places,
    cancel: Cancel,
    /// The prepared worktree, if the plan shares something of it.
    prepared: Option<Utf8PathBuf>,
}

/// Runs the checks.
///
/// # Errors
/// If the base cannot be read, a place cannot be made, or `prepare` does not succeed.
pub async fn probe(probe: Probe) -> Result<Seen, DriveError> {
    let Probe { ground, environment, detected, jobs, progress } = probe;
    let places = Places::new(&ground.repository, ROOM, environment, detected)?;
    let _turn = places.claim()?;
    for kind in ["checks", "prepared"] {
        // Left by a probe that was killed: whoever made them is gone, or the turn would not be ours.
        places.existing(kind).iter().for_each(|old| places.remove(kind, old));
    }
    let (handle, cancel) = cancellation();
    let mut room = Room { ground, places, cancel, prepared: None };
    room.prepared = room.prepare().await?;
    let room = Rc::new(room);
    let mut signals = Signals::new().map_err(DriveError::io("listen to signals"))?;
    let mut seen = Seen { held: room.held(), ..Seen::default() };
    seen.tools = room.tools().await?;
    let mut waiting = room.checks();
    waiting.reverse();
    let mut running = tokio::task::JoinSet::new();
    let mut failed = None;
    loop {
        while running.len() < jobs.max(1) && failed.is_none() && !room.cancel.is_cancelled() {
            let Some((definition, check)) = waiting.pop() else { break };
            progress(if definition.id == NAMELESS { "a criterion's command" } else { &definition.id });
            let room = Rc::clone(&room);
            running.spawn_local(async move { room.observe(definition, check).await });
        }
        tokio::select! {
            ended = running.join_next() => match ended {
                None => break,
                Some(Ok(Ok(observed))) => seen.checks.push(observed),
                Some(Ok(Err(error))) => failed = failed.or(Some(error)),
                Some(Err(error)) => {
                    let error = DriveError::refused(ExitCode::Internal, format!("a check was lost: {error}"));
                    failed = failed.or(Some(error));
                }
            },
            () = signals.next() => {
                if room.cancel.is_cancelled() { handle.kill() } else { handle.cancel() }
            }
        }
    }
    for kind in ["checks", "prepared"] {
        room.places.existing(kind).iter().for_each(|old| room.places.remove(kind, old));
    }
    seen.interrupted = room.cancel.is_cancelled();
    seen.checks.sort_by(|a, b| (&a.verifier, &a.check).cmp(&(&b.verifier, &b.check)));
    match failed {
        Some(error) if !seen.interrupted => Err(error),
        _ => Ok(seen),
    }
}

impl Room {
    /// Each check once, with its definition; by verifier and check.
    fn checks(&self) -> Vec<(VerifierDef, Check)> {
        let graph = &self.ground.graph;
        let mut checks = BTreeMap::new();
        for node in &graph.nodes {
            for verify in &node.policy.verify {
                let definition = graph.verifiers.iter().find(|def| def.id == verify.verifier);
                if let Some(definition) = definition {
                    checks.insert((verify.verifier.clone(), verify.check.clone()), definition.clone());
                }
            }
            let criteria = node.ask.criteria.iter().chain(&node.policy.gate_criteria);
            for predicate in criteria.flat_map(|criterion| &criterion.predicates) {
                if let Predicate::Command(check) = predicate {
                    checks
                        .insert((String::new(), check.clone()), super::check::criterion_verifier("", check));
                }
            }
        }
        checks.into_iter().map(|((_, check), definition)| (definition, check)).collect()
    }

    /// Criteria without a command, all of whose conditions hold on the base, and would not if nothing had happened.
    fn held(&self) -> Vec<(String, String)> {
        let ground = &self.ground;
        let tree = &*ground.base_tree;
        let read = |path: &str| ground.repository.read(tree, path, ground.store.as_ref()).ok().flatten();
        let mut found = Vec::new();
        for node in ground.graph.nodes.iter().filter(|node| node.kind == NodeKind::Dispatch) {
            for criterion in &node.ask.criteria {
                // What must be missing, or unchanged, holds before the work as well: it is there to stay so.
                let tells = criterion.predicates.iter().any(|predicate| {
                    matches!(
                        predicate,
                        Predicate::Exists(_) | Predicate::Matches { .. } | Predicate::Changed(_)
                    )
                });
                let view = View { start: tree, end: tree, read: &read };
                let all =
                    criterion.predicates.iter().all(|predicate| matches!(holds(predicate, &view), Held::Yes));
                if tells && all {
                    found.push((node.id.clone(), criterion.text.clone()));
                }
            }
        }
        found
    }

    async fn prepare(&self) -> Result<Option<Utf8PathBuf>, DriveError> {
        let worktree = &self.ground.graph.worktree;
        if worktree.share.is_empty() {
            return Ok(None);
        }
        let place = self.places.make("prepared", &nonce()?)?;
        self.export(&place)?;
        run_prepare(&self.places, &place, &worktree.prepare, &self.cancel).await?;
        Ok(Some(place.worktree))
    }

    fn export(&self, place: &Place) -> Result<(), DriveError> {
        let ground = &self.ground;
        self.places.export(place, &ground.repository, &ground.base_tree, ground.store.as_ref())
    }

    async fn observe(&self, definition: VerifierDef, check: Check) -> Result<Observed, DriveError> {
        let (judged, touched, output) = self.once(&definition, &check).await?;
        let again = match judged.verdict {
            Verdict::Failed if !self.cancel.is_cancelled() => Some(self.once(&definition, &check).await?.0),
            _ => None,
        };
        let verifier = if definition.id == NAMELESS { String::new() } else { definition.id };
        Ok(Observed { verifier, check, judged, again, touched, output })
    }

    /// One run in a place of its own.
    async fn once(
        &self,
        definition: &VerifierDef,
        check: &Check,
    ) -> Result<(Judged, Vec<String>, String), DriveError> {
        let place = self.places.make("checks", &nonce()?)?;
        let result = async {
            self.export(&place)?;
            let worktree = &self.ground.graph.worktree;
            if let Some(prepared) = &self.prepared {
                self.places.share(prepared, &place, &worktree.share)?;
            }
            run_prepare(&self.places, &place, &worktree.prepare, &self.cancel).await?;
            let before = self.changed(&place);
            let profile = self.places.as_the_plan_says(
                self.places.verifier_profile(&place),
                &self.ground.graph.verifier_sandbox,
                &self.ground.repository,
            )?;
            let outcome = run_in(&self.places, &place, profile, check, definition, &self.cancel).await?;
            let judged = judge(check, &outcome);
            let allowed = loop_compiler::glob::PatternSet::parse(&definition.writes).ok();
            let mut touched = self.changed(&place);
            touched.retain(|path| {
                !before.contains(path) && !allowed.as_ref().is_some_and(|set| set.matches(path))
            });
            let text = [outcome.stdout.bytes.as_slice(), outcome.stderr.bytes.as_slice()].concat();
            let shown = excerpt(&text, SHOWN);
            let (masked, _) = secrets::mask(&shown);
            Ok((judged, touched, String::from_utf8_lossy(&masked).trim().to_owned()))
        }
        .await;
        self.places.remove("checks", &place.nonce);
        result
    }

    /// Paths of the place's worktree that differ from the base and that git would not ignore. What cannot be captured,
    /// such as a socket, is no file of a result either.
    fn changed(&self, place: &Place) -> Vec<String> {
        let ground = &self.ground;
        let never = |_: &str| false;
        let rules = CaptureRules {
            declared: &never,
            discard: &never,
            max_file_bytes: LARGE,
            max_total_bytes: u64::MAX,
        };
        let captured = capture(&ground.repository, &place.worktree, &ground.base_tree, &rules, &Nowhere);
        let patch = match captured {
            Ok(captured) => captured.patch,
            Err(_) => return Vec::new(),
        };
        patch.changes.iter().map(|change| change.path.clone()).collect()
    }

    /// Asks each tool that a verifier names what it is.
    async fn tools(&self) -> Result<Vec<(String, Vec<String>, String)>, DriveError> {
        let mut asked: BTreeMap<Vec<String>, Option<String>> = BTreeMap::new();
        let mut missing = Vec::new();
        for definition in &self.ground.graph.verifiers {
            for command in &definition.tools {
                if !asked.contains_key(command) {
                    asked.insert(command.clone(), self.ask(command).await?);
                }
                if let Some(Some(why)) = asked.get(command) {
                    missing.push((definition.id.clone(), command.clone(), why.clone()));
                }
            }
        }
        Ok(missing)
    }

    /// Why a tool does not answer; `None` if it does.
    async fn ask(&self, command: &[String]) -> Result<Option<String>, DriveError> {
        let place = self.places.make("checks", &nonce()?)?;
        let result = async {
            self.export(&place)?;
            if let Some(prepared) = &self.prepared {
                self.places.share(prepared, &place, &self.ground.graph.worktree.share)?;
            }
            let env = self.places.environment(&place, &[]);
            let limits = Limits { total: Some(Duration::from_secs(60)), ..Limits::default() };
            let profile = self.places.with_program(self.places.verifier_profile(&place), command);
            let spec = self.places.command(&place, command, env, "/dev/null".into(), limits, profile);
            let outcome = Shim::start(spec).await?.go(None, self.cancel.clone()).await?;
            Ok(match outcome.end {
                End::Exited(0) | End::Cancelled => None,
                End::Exited(code) => Some(format!("exits with {code}")),
                End::NotFound(what) => Some(format!("cannot be started: {what}")),
                End::TimedOut | End::IdleTimedOut => Some("does not answer within a minute".to_owned()),
                End::Signaled(signal) => Some(format!("is ended by signal {signal}")),
                End::ShimLost => Some("was stopped from outside".to_owned()),
            })
        }
        .await;
        self.places.remove("checks", &place.nonce);
        result
    }
}

/// Contents that nobody will ask for again.
struct Nowhere;

impl Blobs for Nowhere {
    fn put(&self, bytes: &[u8]) -> std::io::Result<Sha256> {
        Ok(Sha256::of(bytes))
    }

    fn get(&self, _: &Sha256) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
