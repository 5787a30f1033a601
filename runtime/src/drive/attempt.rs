//! One unit's work: attempts until one passes, each a fresh agent in a place of its own.
//!
//! Does not land anything, and takes an agent's word for nothing but `blocked`.
//!
//! The order of durable steps is that of `spec/protocol.md`: `attempt.started` is on disk before the agent starts,
//! and what it left is in the store before `attempt.captured` names it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use loop_compiler::graph::{AgentDef, AskCriterion, Node, NodeKind, Ref, Via};

use super::check::{Report, Subject};
use super::error::DriveError;
use super::judge::{Decision, Origin, Work, outside, quoted_list};
use super::place::Place;
use super::progress::Note;
use super::{Run, jcs, nonce};
use crate::crash;
use crate::digest::Sha256;
use crate::fault::ExitCode;
use crate::journal::Durability;
use crate::patch::{Patch, Tree};
use crate::process::{End, Limits, Outcome, Shim, Stream};
use crate::record::{
    AttemptCaptured, AttemptFailed, AttemptStarted, CapturedManifest, Event, Evidence, Exit, FailureClass,
    OutputEntry, RECORD_VERSION, ResultObject, ResultVerdict, ShimId, Signature, UnitBlocked, Usage,
};
use crate::sandbox::{Access, Role};
use crate::schedule::{Halt, Index};
use crate::state::State;
use crate::store::secrets;
use crate::work::agent::{self, REPORT_LIMIT};
use crate::work::prompt::{self, Context, Failure};
use crate::work::verify::excerpt;
use crate::workspace::{CaptureError, CaptureRules, capture, tree_id};

/// How long an agent may work if the plan sets no limit.
const DEFAULT_TOTAL: Duration = Duration::from_secs(60 * 60);
/// The largest file, and the largest sum, that a patch may hold.
const MAX_FILE: u64 = 64 << 20;
const MAX_TOTAL: u64 = 512 << 20;
/// What of each output goes into the next attempt's prompt.
const EXCERPT: usize = 16 * 1024;
const TRANSCRIPT: usize = 8 << 20;

/// How a unit's work ended.
pub(crate) enum Ended {
    /// Ready to be accepted.
    Verified(Box<Verified>),
    Halted(Halt),
}

/// A result that passed, and what is recorded with it.
pub(crate) struct Verified {
    pub object: ResultObject,
    pub digest: Sha256,
    pub manifest: Sha256,
    pub attempt: Option<String>,
    pub micro_usd: Option<u64>,
}

/// What one attempt came to.
enum Tried {
    Passed(Box<Verified>),
    /// Recorded; the next attempt may learn from it.
    Failed {
        class: FailureClass,
        failure: Failure,
    },
    Halted(Halt),
}

/// What an agent left, captured.
struct Left {
    attempt: String,
    number: u32,
    manifest: CapturedManifest,
    manifest_digest: Sha256,
    exit: Exit,
    usage: Usage,
}

pub(super) async fn run_unit(run: &Run, index: Index) -> Result<Ended, DriveError> {
    let (node, work) = {
        let ground = run.ground.borrow();
        let decision = ground.judge(index, &run.state.borrow(), &run.options.redo)?;
        let Decision::Run(work) = decision else {
            return Err(DriveError::refused(ExitCode::Internal, "a unit was started that has nothing to do"));
        };
        (ground.node(index).clone(), *work)
    };
    let unit = Unit { run, index, node: &node, work: &work, agent: run.agent_of(&node)? };
    unit.go().await
}

impl Run {
    fn agent_of(&self, node: &Node) -> Result<AgentDef, DriveError> {
        let ground = self.ground.borrow();
        let name = node.policy.agent.as_deref().unwrap_or_default();
        ground.graph.agents.iter().find(|agent| agent.id == name).cloned().ok_or_else(|| {
            DriveError::refused(
                ExitCode::Usage,
                format!("unit `{}` has no agent; name one with `agent=`, or in `defaults`", node.id),
            )
        })
    }
}

struct Unit<'a> {
    run: &'a Run,
    index: Index,
    node: &'a Node,
    work: &'a Work,
    agent: AgentDef,
}

impl Unit<'_> {
    async fn go(&self) -> Result<Ended, DriveError> {
        match &self.work.from {
            Origin::Agent => {}
            Origin::Claim { output } => {
                if let Some(ended) = self.check_claim(output).await? {
                    return Ok(ended);
                }
            }
            Origin::Captured { attempt, manifest, why } => {
                self.run.progress.note(&Note::Adopted { unit: &self.node.id, why });
                if let Some(ended) = self.check_captured(attempt, manifest).await? {
                    return Ok(ended);
                }
            }
        }
        if let Some(ended) = self.stopped_at_start().await? {
            return Ok(ended);
        }
        self.attempts().await
    }

    /// Attempts for this key, until one passes or none is left.
    async fn attempts(&self) -> Result<Ended, DriveError> {
        let of = self.node.policy.attempts.max(1);
        let mut failure = self.last_failure()?;
        // `--redo` gives a unit its attempts anew; otherwise those of earlier runs count.
        let mut used = match self.run.options.redo.contains(&self.node.id) {
            true => 0,
            false => self.counted_failures(),
        };
        while used < of {
            let tried = self.attempt(used + 1, of, failure.take()).await?;
            match tried {
                Tried::Passed(verified) => return Ok(Ended::Verified(verified)),
                Tried::Halted(halt) => return Ok(Ended::Halted(halt)),
                Tried::Failed { class, failure: told } => {
                    self.run.progress.note(&Note::AttemptFailed {
                        unit: &self.node.id,
                        number: used + 1,
                        of,
                        message: &told.message,
                    });
                    match class {
                        FailureClass::Auth | FailureClass::Environment => {
                            return Ok(Ended::Halted(Halt::Environment));
                        }
                        FailureClass::RateLimited | FailureClass::Budget => {
                            return Ok(Ended::Halted(Halt::Limit));
                        }
                        _ => {}
                    }
                    failure = Some(told);
                    used += 1;
                }
            }
        }
        let last = failure.map(|failure| failure.message).unwrap_or_default();
        let reason = format!("{of} attempt{} failed; the last one: {last}", if of == 1 { "" } else { "s" });
        self.block(FailureClass::VerifyFailed, reason)
    }

    /// Failures that count, under the policy of today: a wider scope or another agent is a fresh start.
    fn counted_failures(&self) -> u32 {
        let state = self.run.state.borrow();
        let Some(unit) = state.unit(&self.node.id) else { return 0 };
        let counted = unit
            .failures(&self.work.keyed.key)
            .filter(|failed| failed.counted && failed.policy == self.work.policy);
        counted.count() as u32
    }

    /// Evidence of the newest failure for this key, also of an earlier run.
    fn last_failure(&self) -> Result<Option<Failure>, DriveError> {
        let failed = {
            let state = self.run.state.borrow();
            state
                .unit(&self.node.id)
                .and_then(|unit| unit.failures(&self.work.keyed.key).next_back().cloned())
        };
        let Some(failed) = failed else { return Ok(None) };
        let ground = self.run.ground.borrow();
        let evidence = failed
            .evidence
            .iter()
            .filter_map(|evidence| {
                let text = ground.store.get_salted(&evidence.blob).ok()?;
                Some((evidence.name.clone(), String::from_utf8_lossy(&excerpt(&text, EXCERPT)).into_owned()))
            })
            .collect();
        Ok(Some(Failure { message: failed.message, evidence }))
    }

    async fn stopped_at_start(&self) -> Result<Option<Ended>, DriveError> {
        if !self.run.ground.borrow().known.of(&self.node.id).is_empty() {
            return Ok(None);
        }
        match self.stop_that_holds(true, &self.work.start).await? {
            Some(reason) => self.block(FailureClass::Blocked, reason).map(Some),
            None => Ok(None),
        }
    }

    /// The reason to end the unit as blocked: a stop condition whose predicates all hold.
    async fn stop_that_holds(&self, at_start: bool, tree: &Tree) -> Result<Option<String>, DriveError> {
        for stop in self
            .node
            .policy
            .stops
            .iter()
            .filter(|stop| stop.at_start == at_start && !stop.predicates.is_empty())
        {
            // A stop holds when what it says holds: it is judged as a criterion is.
            let criterion =
                AskCriterion { text: format!("stop: {}", stop.text), predicates: stop.predicates.clone() };
            let subject = Subject {
                id: &self.node.id,
                start: &self.work.start,
                tree,
                criteria: std::slice::from_ref(&criterion),
                verify: &[],
            };
            if self.run.check_tree(&subject).await?.passed() {
                return Ok(Some(format!("stop: {}", stop.text)));
            }
        }
        Ok(None)
    }

    fn block(&self, class: FailureClass, reason: String) -> Result<Ended, DriveError> {
        self.block_after(Vec::new(), class, reason)
    }

    /// Records the block together with the events that led to it: an attempt that failed for this reason and no
    /// block beside it would be paid for again.
    fn block_after(
        &self,
        mut events: Vec<Event>,
        class: FailureClass,
        reason: String,
    ) -> Result<Ended, DriveError> {
        events.push(Event::UnitBlocked(UnitBlocked {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            key: self.work.keyed.key.clone(),
            policy: self.work.policy.clone(),
            reason: reason.clone(),
            class,
        }));
        crash::point("block.before-append");
        self.run.append(events, Durability::Synced)?;
        crash::point("block.after-append");
        let why = format!(
            "{reason}\n  `loop log {}` shows what happened; `loop exec --redo {}` tries again",
            self.node.id, self.node.id
        );
        self.run.progress.note(&Note::Halted { unit: &self.node.id, why: &why });
        Ok(Ended::Halted(Halt::Blocked))
    }

    /// One agent call and everything after it.
    async fn attempt(&self, number: u32, of: u32, failure: Option<Failure>) -> Result<Tried, DriveError> {
        let reserved = match self.reserve() {
            Ok(reserved) => reserved,
            Err(why) => {
                self.run.progress.note(&Note::Halted { unit: &self.node.id, why: &why });
                return Ok(Tried::Halted(Halt::Limit));
            }
        };
        let left = match self.call(number, of, reserved, failure).await? {
            Some(left) => left,
            None => return Ok(Tried::Halted(Halt::Waiting)),
        };
        self.judge(&left).await
    }

    /// Reserves the attempt's budget out of what unit, gate, feature and project have left. Tokens and time are
    /// looked at before each attempt: one attempt may go beyond them, the next one does not start.
    fn reserve(&self) -> Result<u64, String> {
        let wanted = self.node.policy.budget.micro_usd.unwrap_or(0);
        let ground = self.run.ground.borrow();
        let state = self.run.state.borrow();
        let graph = &ground.graph;
        let gate = graph.nodes.iter().find(|node| node.gate == self.node.gate && node.kind == NodeKind::Gate);
        let of_gate =
            |unit: &str| graph.nodes.iter().any(|node| node.gate == self.node.gate && node.id == unit);
        let under_way = self.run.reserved.get();
        let others = self.run.spent_elsewhere;
        let scopes = [
            ("the unit", self.node.policy.budget, Spent::of(&state, |unit| unit == self.node.id), 0),
            (
                "the gate",
                gate.map(|gate| gate.policy.budget).unwrap_or_default(),
                Spent::of(&state, of_gate),
                under_way,
            ),
            ("the feature", graph.feature.budget, Spent::of(&state, |_| true), under_way),
            ("the project", graph.feature.project_budget, Spent::of(&state, |_| true), under_way + others),
        ];
        for (whose, limit, spent, more) in scopes {
            // A unit's money is a bound for each attempt and enforced there.
            let money = spent.micro_usd + more;
            if let Some(limit) = limit.micro_usd.filter(|_| whose != "the unit")
                && (money + wanted > limit || (wanted == 0 && money >= limit))
            {
                let needs =
                    if wanted == 0 { String::new() } else { format!(" ({})", super::gate::dollars(wanted)) };
                return Err(format!(
                    "{whose} has a budget of {}, {} of it spent or reserved: not enough for this attempt{needs}; raise `budget usd=` to go on",
                    super::gate::dollars(limit),
                    super::gate::dollars(money),
                ));
            }
            if let Some(limit) = limit.tokens.filter(|limit| spent.tokens >= *limit) {
                return Err(format!(
                    "{whose} has a budget of {limit} tokens, and {} are used; raise `budget tokens=` to go on",
                    spent.tokens
                ));
            }
            if let Some(limit) = limit.time_ms.filter(|limit| spent.time_ms >= *limit) {
                return Err(format!(
                    "{whose} has a budget of {} s of agents' time, and {} s are used; raise `budget time=` to go on",
                    limit / 1000,
                    spent.time_ms / 1000
                ));
            }
        }
        self.run.reserved.set(under_way + wanted);
        Ok(wanted)
    }

    /// Steps 1 to 6: place, shim, `attempt.started`, GO, capture. `None`: the run was interrupted.
    async fn call(
        &self,
        number: u32,
        of: u32,
        reserved: u64,
        failure: Option<Failure>,
    ) -> Result<Option<Left>, DriveError> {
        let run = self.run;
        let id = nonce()?;
        crash::point("attempt.before-place");
        let place = run.places.make("attempts", &id)?;
        {
            let ground = run.ground.borrow();
            run.places.checkout(
                &place,
                &ground.repository,
                &self.work.start,
                &ground.base,
                ground.store.as_ref(),
            )?;
        }
        crash::point("attempt.after-place");
        run.prepare_place(&place).await?;
        let text = self.prompt(failure)?;
        let prompt_file = place.dir.join("prompt");
        std::fs::write(&prompt_file, &text).map_err(DriveError::io(format!("write {prompt_file}")))?;
        let before = run.ground.borrow().repository.fingerprint()?;
        let confined = run.places.detected().containment.is_confined();
        let invocation = agent::invocation(&self.agent, &self.node.policy, confined);
        let report_file = place.out.join("report.json");
        let spec = self.command(&place, &invocation, number, &prompt_file, &report_file)?;
        crash::point("attempt.before-shim");
        let shim = Shim::start(spec).await?;
        crash::point("attempt.after-shim");
        let shim_id = ShimId {
            pid: shim.id().pid,
            start: shim.id().start,
            boot: shim.id().boot.clone(),
            host: shim.id().host.clone(),
        };
        let started = self.started(&id, number, reserved, &text, shim_id)?;
        crash::point("attempt.before-started");
        run.append(vec![Event::AttemptStarted(started)], Durability::Synced)?;
        // From here on the journal holds the reservation.
        run.reserved.set(run.reserved.get() - reserved);
        crash::point("attempt.after-started");
        run.progress.note(&Note::AttemptStarted {
            unit: &self.node.id,
            number,
            of,
            agent: &self.agent.id,
            model: self.node.policy.model.as_deref(),
        });
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let mut splitter = Lines::default();
        let mut observer = |stream: Stream, bytes: &[u8]| {
            if stream == Stream::Stdout {
                splitter.feed(bytes, |line| drop(sender.send(line)));
            }
        };
        let outcome = {
            let going = shim.go(Some(&mut observer), run.cancel.clone());
            tokio::pin!(going);
            loop {
                tokio::select! {
                    outcome = &mut going => break outcome?,
                    Some(line) = lines.recv() => {
                        crash::point("attempt.while-running");
                        if let Some(line) = agent::shown(&self.agent, &line) {
                            run.progress.note(&Note::Output { unit: &self.node.id, line: &line });
                        }
                    }
                }
            }
        };
        crash::point("attempt.after-end");
        if outcome.end == End::Cancelled {
            self.lost(&id, reserved)?;
            run.places.remove("attempts", &id);
            return Ok(None);
        }
        self.detect_tampering(&id, &before, confined)?;
        if !outcome.tree_empty {
            let message = format!(
                "something that the agent of unit `{}` started could not be ended; its worktree is {}",
                self.node.id, place.worktree
            );
            return Err(DriveError::refused(ExitCode::Environment, message));
        }
        self.captured(&place, &id, number, &outcome, &report_file).map(Some)
    }

    fn lost(&self, attempt: &str, reserved: u64) -> Result<(), DriveError> {
        let event = Event::AttemptLost {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            attempt: attempt.to_owned(),
            charged_micro_usd: reserved,
        };
        self.run.append(vec![event], Durability::Synced)
    }

    fn command(
        &self,
        place: &Place,
        invocation: &agent::Invocation,
        number: u32,
        prompt_file: &Utf8Path,
        report_file: &Utf8Path,
    ) -> Result<crate::process::CommandSpec, DriveError> {
        let run = self.run;
        let mut allowed = self.agent.env.clone();
        allowed.extend(agent::credentials(&self.agent).iter().map(|name| (*name).to_owned()));
        let mut env = run.places.environment(place, &allowed);
        env.extend(invocation.env.iter().map(|(name, value)| (name.clone(), value.into())));
        env.insert("LOOP_UNIT".into(), self.node.id.as_str().into());
        env.insert("LOOP_ATTEMPT".into(), number.to_string().into());
        env.insert("LOOP_REPORT".into(), report_file.as_str().into());
        let timeout = &self.node.policy.timeout;
        let limits = Limits {
            total: Some(timeout.total_ms.map_or(DEFAULT_TOTAL, Duration::from_millis)),
            idle: timeout.idle_ms.map(Duration::from_millis),
            output_bytes: TRANSCRIPT,
            ..Limits::default()
        };
        let ground = run.ground.borrow();
        let mut profile = run.places.agent_profile(place, &ground.repository)?;
        if self.agent.via == Via::Claude
            && let Some(program) = invocation
                .argv
                .first()
                .and_then(|program| crate::process::resolve_program(program, &run.places.path()))
            && let Ok(real) = program.canonicalize_utf8()
            && let Some(dir) = real.parent()
        {
            profile = profile.with(dir, Access::Read, Role::Toolchain);
            if let Some(dir) = program.parent() {
                profile = profile.with(dir, Access::Read, Role::Toolchain);
            }
        }
        Ok(run.places.command(place, &invocation.argv, env, prompt_file, limits, profile))
    }

    fn started(
        &self,
        id: &str,
        number: u32,
        reserved: u64,
        text: &str,
        shim: ShimId,
    ) -> Result<AttemptStarted, DriveError> {
        let ground = self.run.ground.borrow();
        let manifest = ground.store.put_pending(&fields_json(&self.work.keyed.fields)?)?;
        let prompt = ground.store.put_salted(text.as_bytes())?;
        ground.store.sync_pending()?;
        Ok(AttemptStarted {
            feature: ground.graph.feature.id.clone(),
            unit: self.node.id.clone(),
            attempt: id.to_owned(),
            number,
            key: self.work.keyed.key.clone(),
            manifest,
            start_tree: tree_id(&self.work.start),
            policy: self.work.policy.clone(),
            agent: self.agent.id.clone(),
            model: self.node.policy.model.clone(),
            prompt,
            reserved_micro_usd: reserved,
            reservation_known: self.node.policy.budget.micro_usd.is_some(),
            containment: self.run.places.detected().containment.as_str().to_owned(),
            shim,
        })
    }

    fn prompt(&self, failure: Option<Failure>) -> Result<String, DriveError> {
        let ground = self.run.ground.borrow();
        let mut context = Context {
            feature: ground.graph.feature.id.clone(),
            feature_goal: ground.graph.feature.goal.clone(),
            failure,
            ..Context::default()
        };
        for reference in &self.node.ask.refs {
            let heading = reference.heading.as_ref().map(|heading| format!("#{heading}")).unwrap_or_default();
            let text = ground.text(&self.work.start, reference)?.unwrap_or_default();
            context.references.push((format!("{}{heading}", reference.path), text));
        }
        for path in &self.node.ask.rules {
            let text = ground
                .text(&self.work.start, &Ref { path: path.clone(), heading: None })?
                .unwrap_or_default();
            context.rules.push((path.clone(), text));
        }
        for (path, entry) in ground.upstream(self.index) {
            context.upstream.push((path, if entry.is_some() { "written" } else { "removed" }.to_owned()));
        }
        Ok(prompt::compose(self.node, &context))
    }

    /// A change of the user's refs, configuration or hooks around an attempt stops the run. Under a sandbox the agent
    /// cannot reach them: refs that moved meanwhile are the user's own doing, settings are told all the same.
    fn detect_tampering(
        &self,
        attempt: &str,
        before: &crate::workspace::Fingerprint,
        confined: bool,
    ) -> Result<(), DriveError> {
        let after = self.run.ground.borrow().repository.fingerprint()?;
        let what = if confined { before.settings_differences(&after) } else { before.differences(&after) };
        if what.is_empty() {
            return Ok(());
        }
        let event = Event::Tampered {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            attempt: attempt.to_owned(),
            what: what.clone(),
        };
        self.run.append(vec![event], Durability::Synced)?;
        Err(DriveError::refused(
            ExitCode::WorkFailed,
            format!(
                "while unit `{}` ran{}, the repository changed: {}; nothing of it was taken. If it was you, run this again; if not, look at these before you go on{}",
                self.node.id,
                if confined { "" } else { " unconfined" },
                quoted_list(&what),
                if confined { "" } else { ", and install bubblewrap so that agents cannot reach them" },
            ),
        ))
    }

    /// Step 6: what the agent left goes into the store, then the record that names it.
    fn captured(
        &self,
        place: &Place,
        id: &str,
        number: u32,
        outcome: &Outcome,
        report_file: &Utf8Path,
    ) -> Result<Left, DriveError> {
        let run = self.run;
        let report_bytes = read_exchanged(report_file);
        let mut said = agent::read_end(
            &self.agent,
            &outcome.end,
            &outcome.stdout.bytes,
            &outcome.stderr.bytes,
            report_bytes.as_deref(),
        );
        for note in &said.notes {
            run.progress.note(&Note::Warning { text: &format!("{}: {note}", self.node.id) });
        }
        let literal: Vec<String> = self
            .node
            .scope
            .writes
            .iter()
            .chain(&self.node.scope.creates)
            .filter(|text| {
                loop_compiler::glob::Pattern::parse(text).is_ok_and(|pattern| pattern.literal().is_some())
            })
            .cloned()
            .collect();
        let rules = CaptureRules {
            declared: &|path| literal.iter().any(|declared| declared == path),
            discard: &|_| false,
            max_file_bytes: MAX_FILE,
            max_total_bytes: MAX_TOTAL,
        };
        let ground = run.ground.borrow();
        let captured =
            capture(&ground.repository, &place.worktree, &self.work.start, &rules, ground.store.as_ref());
        let (captured, refused) = match captured {
            Ok(captured) => (captured, None),
            Err(CaptureError::Refused { refusals, rest }) => {
                let words: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                (*rest, Some(words.join("; ")))
            }
            Err(CaptureError::Workspace(error)) => return Err(error.into()),
        };
        if let Some(refused) = &refused {
            said.failure.get_or_insert((FailureClass::OutOfScope, refused.clone()));
        }
        let manifest = CapturedManifest {
            v: RECORD_VERSION,
            start_tree: tree_id(&self.work.start),
            patch: captured.patch,
            refused,
        };
        let manifest_digest = ground.store.put_pending(&jcs(&manifest)?)?;
        let transcript = ground.store.put_salted(&secrets::mask(&transcript(outcome)).0)?;
        ground.store.sync_pending()?;
        drop(ground);
        let (code, signal) = match outcome.end {
            End::Exited(code) => (Some(code), None),
            End::Signaled(signal) => (None, Some(signal)),
            _ => (None, None),
        };
        let (failure, message) = match said.failure {
            Some((class, message)) => (Some(class), Some(message)),
            None => (None, None),
        };
        let exit = Exit { code, signal, failure, message, blocked: said.blocked };
        let event = Event::AttemptCaptured(AttemptCaptured {
            feature: run.feature(),
            unit: self.node.id.clone(),
            attempt: id.to_owned(),
            exit: exit.clone(),
            usage: said.usage.clone(),
            manifest: manifest_digest,
            transcript,
            dropped: captured.dropped_ignored,
            duration_ms: outcome.duration.as_millis() as u64,
        });
        crash::point("attempt.before-captured");
        run.append(vec![event], Durability::Synced)?;
        crash::point("attempt.after-captured");
        run.places.remove("attempts", id);
        crash::point("attempt.after-removed");
        Ok(Left { attempt: id.to_owned(), number, manifest, manifest_digest, exit, usage: said.usage })
    }

    /// Steps 7 to 9: everything that is judged from the captured patch alone.
    async fn judge(&self, left: &Left) -> Result<Tried, DriveError> {
        if let Some(reason) = &left.exit.blocked {
            let told =
                Failure { message: format!("the agent reported blocked: {reason}"), evidence: Vec::new() };
            let failed = self.failed(
                left,
                FailureClass::Blocked,
                std::slice::from_ref(reason),
                &told,
                Vec::new(),
                false,
            );
            return Ok(match self.block_after(vec![failed], FailureClass::Blocked, told.message)? {
                Ended::Halted(halt) => Tried::Halted(halt),
                Ended::Verified(verified) => Tried::Passed(verified),
            });
        }
        if let Some(class) = left.exit.failure {
            let message = left.exit.message.clone().unwrap_or_default();
            let counted =
                !matches!(class, FailureClass::RateLimited | FailureClass::Auth | FailureClass::Environment);
            return self.fail_with(left, class, &[], message, Report::default(), counted);
        }
        let out = outside(&left.manifest.patch, self.node);
        if !out.is_empty() {
            let mut message = format!("it changed what it may not: {}", quoted_list(&out));
            message.push_str(&format!("\n    {}", writes_line(&out)));
            message.push_str(
                "\n  The patch is kept: with that line in the unit it is checked again and no agent is paid.",
            );
            return self.fail_with(left, FailureClass::OutOfScope, &out, message, Report::default(), true);
        }
        if let Some(message) = self.stray_links(&left.manifest.patch)? {
            return self.fail_with(left, FailureClass::OutOfScope, &[], message, Report::default(), true);
        }
        let rerun = !self.run.ground.borrow().known.of(&self.node.id).is_empty();
        let looks_only = self.node.scope.writes.is_empty() && self.node.scope.creates.is_empty();
        if left.manifest.patch.changes.is_empty() && !rerun && !looks_only {
            let message = "it changed nothing".to_owned();
            return self.fail_with(left, FailureClass::EmptyDiff, &[], message, Report::default(), true);
        }
        self.verify(left).await
    }

    /// New links end inside the unit's own scope; one that does not would let a later write through it escape.
    fn stray_links(&self, patch: &Patch) -> Result<Option<String>, DriveError> {
        let mut tree = Tree::clone(&self.work.start);
        if tree.apply(patch).is_err() {
            return Ok(None);
        }
        let ground = self.run.ground.borrow();
        let scope = super::judge::Scope::of(self.node);
        let stray: Vec<String> = ground
            .repository
            .links(patch, &tree, ground.store.as_ref())?
            .into_iter()
            .filter(|link| !link.leads_to.as_deref().is_some_and(|end| scope.allows(end)))
            .map(|link| match link.leads_to {
                Some(end) => format!("{} -> {end}", link.path),
                None => link.path,
            })
            .collect();
        Ok((!stray.is_empty())
            .then(|| format!("a symbolic link leads out of what it may change: {}", quoted_list(&stray))))
    }

    async fn verify(&self, left: &Left) -> Result<Tried, DriveError> {
        let mut tree = Tree::clone(&self.work.start);
        super::judge::apply(&mut tree, &left.manifest.patch, &self.node.id)?;
        if let Some(ended) = self.stop_after(left, &tree).await? {
            return Ok(ended);
        }
        let report = self.check(&tree).await?;
        if report.cancelled {
            return Ok(Tried::Halted(Halt::Waiting));
        }
        if !report.passed() {
            let ids = report.failures.clone();
            let message = report.messages.join("; ");
            return self.fail_with(left, FailureClass::VerifyFailed, &ids, message, report, true);
        }
        let verified = self.result(
            &left.manifest.patch,
            report.verdicts,
            Some(left.attempt.clone()),
            left.usage.micro_usd,
            None,
        )?;
        Ok(Tried::Passed(Box::new(verified)))
    }

    async fn stop_after(&self, left: &Left, tree: &Tree) -> Result<Option<Tried>, DriveError> {
        let Some(reason) = self.stop_that_holds(false, tree).await? else { return Ok(None) };
        let told = Failure { message: "a stop condition of the plan holds".into(), evidence: Vec::new() };
        let failed = self.failed(left, FailureClass::Blocked, &[], &told, Vec::new(), false);
        Ok(Some(match self.block_after(vec![failed], FailureClass::Blocked, reason)? {
            Ended::Halted(halt) => Tried::Halted(halt),
            Ended::Verified(verified) => Tried::Passed(verified),
        }))
    }

    /// Criteria, verifiers, and that what the unit creates is there.
    async fn check(&self, tree: &Tree) -> Result<Report, DriveError> {
        let subject = Subject {
            id: &self.node.id,
            start: &self.work.start,
            tree,
            criteria: &self.node.ask.criteria,
            verify: &self.node.policy.verify,
        };
        let mut report = self.run.check_tree(&subject).await?;
        for text in &self.node.scope.creates {
            let Ok(pattern) = loop_compiler::glob::Pattern::parse(text) else { continue };
            let there = tree.files.iter().any(|(path, file)| {
                let empty = file.entry.object.as_str() == EMPTY_BLOB;
                !empty && std::str::from_utf8(path).is_ok_and(|path| pattern.matches(path))
            });
            if !there {
                report.failures.push(format!("creates: {text}"));
                report.messages.push(format!("`{text}` does not exist or is empty"));
            }
        }
        Ok(report)
    }

    /// A captured patch of an earlier run. `None`: it does not pass, and the attempts go on.
    async fn check_captured(
        &self,
        attempt: &str,
        manifest: &CapturedManifest,
    ) -> Result<Option<Ended>, DriveError> {
        let recorded = self.run.state.borrow().attempt(attempt).cloned();
        let Some(captured) = recorded.as_ref().and_then(|attempt| attempt.captured.clone()) else {
            return Ok(None);
        };
        let judged = recorded.as_ref().is_some_and(|attempt| attempt.ending.is_some());
        let mut exit = captured.exit.clone();
        if judged && exit.failure == Some(FailureClass::OutOfScope) {
            exit.failure = None;
        }
        let left = Left {
            attempt: attempt.to_owned(),
            number: recorded.as_ref().map_or(1, |attempt| attempt.started.number),
            manifest: manifest.clone(),
            manifest_digest: captured.manifest,
            exit,
            usage: captured.usage.clone(),
        };
        if judged && !super::judge::fits(&left.manifest.patch, self.node) {
            return Ok(None);
        }
        match self.judge(&left).await? {
            Tried::Passed(verified) => Ok(Some(Ended::Verified(verified))),
            Tried::Halted(halt) => Ok(Some(Ended::Halted(halt))),
            Tried::Failed { class, failure } => {
                let of = self.node.policy.attempts.max(1);
                self.run.progress.note(&Note::AttemptFailed {
                    unit: &self.node.id,
                    number: left.number,
                    of,
                    message: &failure.message,
                });
                match class {
                    FailureClass::Auth | FailureClass::Environment => {
                        Ok(Some(Ended::Halted(Halt::Environment)))
                    }
                    FailureClass::RateLimited | FailureClass::Budget => Ok(Some(Ended::Halted(Halt::Limit))),
                    _ => Ok(None),
                }
            }
        }
    }

    /// A commit with our trailers and no result here: verifiers run on the branch as it is; no agent does.
    async fn check_claim(&self, output: &[OutputEntry]) -> Result<Option<Ended>, DriveError> {
        self.run.progress.note(&Note::Adopted {
            unit: &self.node.id,
            why: "a commit on the branch claims to be its result",
        });
        let tip = self.run.ground.borrow().tip_tree.clone();
        let report = self.check(&tip).await?;
        if !report.passed() {
            return Ok(None);
        }
        let verified = self.result(&Patch::default(), report.verdicts, None, None, Some(output))?;
        Ok(Some(Ended::Verified(Box::new(verified))))
    }

    fn result(
        &self,
        patch: &Patch,
        verdicts: Vec<ResultVerdict>,
        attempt: Option<String>,
        micro_usd: Option<u64>,
        claimed: Option<&[OutputEntry]>,
    ) -> Result<Verified, DriveError> {
        let ground = self.run.ground.borrow();
        let mut output = ground.known.output(&self.node.id);
        output.extend(claimed.unwrap_or_default().iter().map(|left| (left.path.clone(), left.entry.clone())));
        output.extend(patch.changes.iter().map(|change| (change.path.clone(), change.after.clone())));
        let person = ground.repository.user();
        let feature = ground.graph.feature.id.clone();
        let key = self.work.keyed.key.clone();
        let object = ResultObject {
            v: RECORD_VERSION,
            feature: feature.clone(),
            unit: self.node.id.clone(),
            key: key.clone(),
            patch: patch.clone(),
            output: output.into_iter().map(|(path, entry)| OutputEntry { path, entry }).collect(),
            message: message(self.node),
            author: Signature { name: person.name, email: person.email },
            time_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64),
            trailers: vec![
                ("Loop-Feature".into(), feature),
                ("Loop-Unit".into(), self.node.id.clone()),
                ("Loop-Key".into(), key),
            ],
            verdicts,
        };
        let digest = ground.store.put_pending(&jcs(&object)?)?;
        let manifest = ground.store.put_pending(&fields_json(&self.work.keyed.fields)?)?;
        Ok(Verified { object, digest, manifest, attempt, micro_usd })
    }

    fn fail_with(
        &self,
        left: &Left,
        class: FailureClass,
        ids: &[String],
        message: String,
        report: Report,
        counted: bool,
    ) -> Result<Tried, DriveError> {
        let evidence = report
            .excerpts
            .iter()
            .map(|(name, text)| {
                (name.clone(), String::from_utf8_lossy(&excerpt(text.as_bytes(), EXCERPT)).into_owned())
            })
            .collect();
        let failure = Failure { message, evidence };
        let failed = self.failed(left, class, ids, &failure, report.evidence, counted);
        self.run.append(vec![failed], Durability::Synced)?;
        Ok(Tried::Failed { class, failure })
    }

    fn failed(
        &self,
        left: &Left,
        class: FailureClass,
        ids: &[String],
        failure: &Failure,
        evidence: Vec<Evidence>,
        counted: bool,
    ) -> Event {
        let mut signature = format!("{class:?}");
        for id in ids {
            signature.push('\n');
            signature.push_str(id);
        }
        Event::AttemptFailed(AttemptFailed {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            attempt: left.attempt.clone(),
            key: self.work.keyed.key.clone(),
            policy: self.work.policy.clone(),
            class,
            signature: signature.chars().take(4000).collect(),
            message: failure.message.chars().take(4000).collect(),
            captured: Some(left.manifest_digest),
            evidence,
            counted,
        })
    }
}

/// What attempts used up.
#[derive(Default)]
struct Spent {
    micro_usd: u64,
    tokens: u64,
    time_ms: u64,
}

impl Spent {
    fn of(state: &State, counts: impl Fn(&str) -> bool) -> Spent {
        let mut spent = Spent::default();
        for (_, unit) in state.units().filter(|(id, _)| counts(id)) {
            for attempt in unit.attempts() {
                spent.micro_usd += attempt.charge().micro_usd;
                let Some(captured) = &attempt.captured else { continue };
                spent.tokens +=
                    captured.usage.input_tokens.unwrap_or(0) + captured.usage.output_tokens.unwrap_or(0);
                spent.time_ms += captured.duration_ms;
            }
        }
        spent
    }
}

/// Git's id of the empty blob.
const EMPTY_BLOB: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

/// The line that would allow these paths.
pub(super) fn writes_line(paths: &[String]) -> String {
    let quoted: Vec<String> = paths
        .iter()
        .map(|path| format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")))
        .collect();
    format!("writes {}", quoted.join(" "))
}

fn message(node: &Node) -> String {
    let goal = node.ask.goal.as_deref().unwrap_or_default();
    let line = node.policy.title.as_deref().unwrap_or(goal).lines().next().unwrap_or_default().trim();
    let subject = if line.is_empty() { node.id.clone() } else { format!("{}: {line}", node.id) };
    let body = if node.policy.title.is_some() && !goal.is_empty() {
        format!("\n\n{}", goal.trim())
    } else {
        String::new()
    };
    format!("{subject}{body}")
}

fn fields_json(fields: &[loop_compiler::graph::KeyField]) -> Result<Vec<u8>, DriveError> {
    let pairs: Vec<(&str, &str)> =
        fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
    jcs(&pairs)
}

fn transcript(outcome: &Outcome) -> Vec<u8> {
    let mut text = outcome.stdout.bytes.clone();
    if !outcome.stderr.bytes.is_empty() {
        text.extend_from_slice(b"\n--- standard error ---\n");
        text.extend_from_slice(&outcome.stderr.bytes);
    }
    text
}

/// A file that an agent wrote: opened without following links or waiting, regular, capped. Anything else counts as
/// written wrongly.
fn read_exchanged(path: &Utf8Path) -> Option<Vec<u8>> {
    use std::io::Read as _;

    use rustix::fs::{Mode as FileMode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path.as_std_path(), flags, FileMode::empty()) {
        Ok(descriptor) => std::fs::File::from(descriptor),
        Err(rustix::io::Errno::NOENT) => return None,
        Err(_) => return Some(Vec::new()),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= REPORT_LIMIT) {
        return Some(Vec::new());
    }
    let mut bytes = Vec::new();
    match file.take(REPORT_LIMIT).read_to_end(&mut bytes) {
        Ok(_) => Some(bytes),
        Err(_) => Some(Vec::new()),
    }
}

/// Splits output into lines for people; long ones are cut.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() < 4096 {
                self.rest.extend_from_slice(&part[..part.len().min(4096)]);
            }
            if part.ends_with(b"\n") {
                let text = String::from_utf8_lossy(&self.rest).trim_end().to_owned();
                self.rest.clear();
                if !text.is_empty() {
                    line(text);
                }
            }
        }
    }
}
