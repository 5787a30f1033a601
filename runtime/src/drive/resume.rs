//! Opens a run: replays the journal, settles what a crash left open, and decides whether an open run goes on.
//!
//! Does not judge units; it makes sure that nothing of an earlier run is still under way.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use camino::Utf8Path;

use super::error::DriveError;
use super::place::Places;
use super::progress::{Note, Progress};
use super::{Redo, Run, Setup, branch_name, nonce, open_store, preflight};
use crate::crash;
use crate::digest::{ObjectId, Sha256};
use crate::fault::ExitCode;
use crate::journal::{self, Durability, Journal};
use crate::process::{
    Cancel, Left, ShimIdentity, boot_id, end_left, host_name, process_start_time, wait_ended, wait_released,
};
use crate::record::Event;
use crate::state::State;
use crate::workspace::{Repository, Swap};

/// How many commits are looked at for results that the journal lost: more than one run lands.
const HISTORY: usize = 10_000;
/// How long an attempt of a run that was killed may take to end itself: the grace of its shim and something more.
const WAIT: Duration = Duration::from_secs(20);
/// How long a shim without a recorded attempt, or of a verifier, may take to end itself.
const SWEEP: Duration = Duration::from_secs(5);
/// How old a half-written blob has to be: nobody still writes it.
const HALF_WRITTEN: Duration = Duration::from_secs(60 * 60);

pub(super) async fn open(
    setup: Setup,
    progress: Rc<dyn Progress>,
    cancel: Cancel,
) -> Result<Run, DriveError> {
    let Setup { graph, plan, repository, environment, detected, options } = setup;
    let feature = graph.feature.id.clone();
    preflight::branch_is_free(&repository, &feature)?;
    let store = open_store(&repository)?;
    let state_dir = repository.state_dir();
    let opened = Journal::open(&state_dir, &feature)?;
    let mut journal = opened.journal;
    let records = opened.lines.iter().map(|line| &line.record);
    let mut state = State::fold_renamed(records, preflight::renamed(&graph));
    if let Some(torn) = &opened.torn {
        no_later_evidence(&state, &repository, &feature)?;
        if state.records() > 0 {
            for line in journal.append(&[], Durability::Synced)?.written {
                state.apply(&line.record);
                progress.record(&line.bytes);
            }
        }
        let text = format!(
            "the journal ended in {} bytes of a record that a crash cut off; they were moved aside, and nothing that was acknowledged is lost",
            torn.bytes
        );
        progress.note(&Note::Warning { text: &text });
    }
    let places = Places::new(&repository, &feature, environment, detected)?;
    let mut settled = end_attempts(&state, &places, &feature).await?;
    let branch = branch_name(&feature);
    let (intents, moved) = settle_intents(&state, &repository, &feature, &branch)?;
    settled.extend(intents);
    let same =
        state.open_run().filter(|run| run.started.graph == graph.digest && run.started.feature == feature);
    let resumed = same.map(|run| (run.id.clone(), run.started.head.clone(), run.started.base.clone()));
    // The same command continues the run, from its pinned base, wherever a base of that name is by now. Another base
    // is for a new run.
    let resumed = resumed.filter(|(_, _, base)| options.base.as_ref().is_none_or(|asked| asked == base));
    // So is a unit that is to run again: it starts from the head with its earlier result. The same wish is the same run.
    let wished: Vec<String> = options.redo.iter().cloned().collect();
    let resumed = resumed
        .filter(|_| wished.is_empty() || state.open_run().is_some_and(|run| run.started.redo == wished));
    let since = match (&resumed, state.open_run()) {
        (Some(_), Some(run)) => run.seq,
        _ => state.records(),
    };
    if state.open_run().is_some() && resumed.is_none() {
        let reason =
            "another plan or base, or a unit again, was asked for before the run was finished".to_owned();
        settled.push(Event::RunEnded {
            feature: feature.clone(),
            exit: ExitCode::Interrupted.code(),
            reason,
        });
    }
    if let Some(reason) = moved.as_ref().filter(|_| resumed.is_some()) {
        // What somebody else put on the branch is under no start tree of this run; a new one begins there.
        settled.push(Event::RunEnded {
            feature: feature.clone(),
            exit: ExitCode::WorkFailed.code(),
            reason: reason.clone(),
        });
    }
    if !settled.is_empty() {
        crash::point("resume.before-settled");
        let appended = journal.append(&settled, Durability::Synced)?;
        for line in appended.foreign.iter().chain(&appended.written) {
            state.apply(&line.record);
            progress.record(&line.bytes);
        }
        crash::point("resume.after-settled");
    }
    if let Some(reason) = moved {
        return Err(DriveError::refused(ExitCode::WorkFailed, reason));
    }
    sweep(&state, &places).await;
    store.sweep(HALF_WRITTEN)?;
    let pinned = resumed.filter(|(_, head, _)| repository.commit(head).is_ok());
    let open_run = pinned.as_ref().map(|(id, ..)| id.as_str());
    // Those of runs that are over, and of one that a crash ended before it was recorded.
    for run in repository.kept(&feature)?.iter().filter(|run| Some(run.as_str()) != open_run) {
        repository.release_keep(&feature, run)?;
        crash::point("resume.after-release");
    }
    let (ground, base_name) = preflight::ground(
        graph,
        repository,
        store,
        &state,
        options.base.as_deref(),
        pinned.as_ref().map(|(_, head, _)| head),
    )?;
    let (run_id, base_name) = match &pinned {
        Some((id, _, base)) => (id.clone(), base.clone()),
        None => (nonce()?, base_name),
    };
    if let Some((_, head, _)) = &pinned {
        let containment = places.detected().containment.as_str();
        progress.note(&Note::RunStarted {
            feature: &feature,
            branch: &branch,
            head,
            resumed: true,
            containment,
        });
    }
    let spent_elsewhere = spent_elsewhere(&state_dir, &feature)?;
    let redo = Redo { units: options.redo.clone(), since };
    Ok(Run {
        redo,
        ground: RefCell::new(ground),
        state: RefCell::new(state),
        journal: RefCell::new(journal),
        places,
        plan,
        branch,
        base_name,
        options,
        started: Cell::new(pinned.is_some()),
        run_id,
        progress,
        cancel,
        tools: RefCell::new(BTreeMap::new()),
        binaries: RefCell::new(BTreeMap::new()),
        programs_found: Cell::new(false),
        verdict: Cell::new(ExitCode::Complete),
        preparing: tokio::sync::Mutex::new(()),
        spent_elsewhere,
        reserved: Cell::new(0),
    })
}

/// Is the very process that was recorded still there, on this machine since this boot?
fn is_alive(shim: &ShimIdentity) -> bool {
    shim.host == host_name() && shim.boot == boot_id() && process_start_time(shim.pid) == Some(shim.start)
}

/// What the repository's other features spent: the project's budget is over all of them.
fn spent_elsewhere(state_dir: &Utf8Path, feature: &str) -> Result<u64, DriveError> {
    let mut spent = 0;
    for other in journal::features(state_dir)?.into_iter().filter(|other| other != feature) {
        let contents = journal::read(state_dir, &other)?;
        spent += State::fold(contents.lines.iter().map(|line| &line.record)).spent().micro_usd;
    }
    Ok(spent)
}

/// A torn end may be moved aside only if nothing outside names a record behind it: a commit on the branch whose
/// result is in our store and not in our journal shows that more than an unfinished append is gone.
/// Ask before the first append to a journal that was opened with a torn end.
pub fn no_later_evidence(state: &State, repository: &Repository, feature: &str) -> Result<(), DriveError> {
    let store = open_store(repository)?;
    let Some(tip) = repository.branch(&branch_name(feature))? else { return Ok(()) };
    // What is lost comes after every record that is left, and so do its commits: those that the journal still names,
    // and all before them, prove nothing (they may be of a journal that was moved away).
    let mut named: BTreeSet<&ObjectId> = state.runs().iter().map(|run| &run.started.head).collect();
    named.extend(state.landings().iter().map(|landing| &landing.commit));
    named.extend(state.open_intents().iter().flat_map(|intent| [&intent.parent, &intent.commit]));
    let history = repository.first_parent_history(&tip, None, HISTORY)?;
    for commit in history.iter().take_while(|commit| !named.contains(&commit.id)) {
        let trailers = commit.trailers();
        let value =
            |name: &str| trailers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let result = value("Loop-Result").and_then(Sha256::parse);
        let Some(result) = result.filter(|_| value("Loop-Feature") == Some(feature)) else { continue };
        let known = state.accepted_in_order().iter().any(|accepted| accepted.result == result);
        if !known && store.contains(&result) {
            return Err(DriveError::refused(
                ExitCode::Environment,
                format!(
                    "the journal's end is damaged: commit {} names a result that it does not have any more; nothing was changed. Restore the journal from a copy, or move {} away to start a new one (units on the branch are then verified again)",
                    commit.id.short(),
                    repository.state_dir().join("journal").join(feature)
                ),
            ));
        }
    }
    Ok(())
}

/// Waits until every attempt that is still open has ended, and says what is charged for it.
async fn end_attempts(state: &State, places: &Places, feature: &str) -> Result<Vec<Event>, DriveError> {
    let mut events = Vec::new();
    for attempt in state.open_attempts() {
        let started = &attempt.started;
        let lock = places.lock_of("attempts", &started.attempt);
        let dir = places.dir_of("attempts", &started.attempt);
        let mut left = wait_ended(&lock, &dir, WAIT).await?;
        let shim = ShimIdentity {
            pid: started.shim.pid,
            start: started.shim.start,
            boot: started.shim.boot.clone(),
            host: started.shim.host.clone(),
        };
        // Without its lock file (another cache directory, say) only the recorded process can tell.
        if left == Left::Nothing && !lock.exists() && is_alive(&shim) {
            left = Left::Locked;
        }
        if left == Left::Locked && end_left(&shim).await {
            left = wait_ended(&lock, &dir, WAIT).await?;
        }
        let message = match left {
            Left::Nothing => {
                events.push(Event::AttemptLost {
                    feature: feature.to_owned(),
                    unit: started.unit.clone(),
                    attempt: started.attempt.clone(),
                    charged_micro_usd: started.reserved_micro_usd,
                });
                continue;
            }
            Left::Locked => format!(
                "an attempt of unit `{}` from an earlier run has not ended (its watcher is process {} on {}); end it and run this again",
                started.unit, started.shim.pid, started.shim.host
            ),
            Left::Processes(pids) => {
                let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
                format!(
                    "processes of an earlier attempt of unit `{}` still work in {dir}: {}; end them and run this again",
                    started.unit,
                    pids.join(" ")
                )
            }
        };
        return Err(DriveError::refused(ExitCode::Environment, message));
    }
    Ok(events)
}

/// An intent that is neither landed nor void: the branch says what became of it (protocol, step 11). The second
/// value says that somebody else moved the branch, which ends the run.
fn settle_intents(
    state: &State,
    repository: &Repository,
    feature: &str,
    branch: &str,
) -> Result<(Vec<Event>, Option<String>), DriveError> {
    let mut events = Vec::new();
    let mut moved = None;
    for intent in state.open_intents() {
        let mut tip = repository.branch(branch)?;
        // The branch is where the intent found it, or was about to be made.
        let open = state.open_run().map_or(0, |run| run.seq);
        let made_before = state.landings().last().is_some_and(|landing| landing.seq > open);
        let untouched = (tip.is_none() && !made_before) || tip.as_ref() == Some(&intent.parent);
        let written = repository.commit(&intent.commit).is_ok();
        if untouched && written {
            let log = format!("loop: land {}", intent.unit);
            crash::point("resume.before-swap");
            tip =
                match repository.swap(&format!("refs/heads/{branch}"), tip.as_ref(), &intent.commit, &log)? {
                    Swap::Done => Some(intent.commit.clone()),
                    Swap::Moved(now) => now,
                };
            crash::point("resume.after-swap");
        }
        let landed = written
            && match &tip {
                Some(tip) => repository.is_ancestor(&intent.commit, tip)?,
                None => false,
            };
        let (feature, unit, branch) = (feature.to_owned(), intent.unit.clone(), branch.to_owned());
        let commit = intent.commit.clone();
        if landed {
            events.push(Event::Landed { feature, unit, branch, commit, result: intent.result });
            continue;
        }
        let reason = match untouched {
            // The result is accepted all the same and lands again, with the same id.
            true => format!("the commit {} did not survive the crash", commit.short()),
            false => format!(
                "`{branch}` was moved by somebody else while unit `{unit}` was landing; look at it with `git log {branch}` and run this again"
            ),
        };
        if !untouched {
            moved = Some(reason.clone());
        }
        events.push(Event::LandVoid { feature, unit, branch, commit, reason });
    }
    Ok((events, moved))
}

/// Removes places of attempts that are over, or that were never recorded. The shim of one that a crash left ends as
/// soon as it sees that nobody is there; one that does not is left for the next start.
async fn sweep(state: &State, places: &Places) {
    let open: Vec<String> =
        state.open_attempts().into_iter().map(|attempt| attempt.started.attempt.clone()).collect();
    for kind in ["attempts", "checks"] {
        for nonce in places.existing(kind) {
            let free = wait_released(&places.lock_of(kind, &nonce), SWEEP).await.unwrap_or(false);
            if !open.contains(&nonce) && free {
                places.remove(kind, &nonce);
                crash::point("resume.after-removed");
            }
        }
    }
}
