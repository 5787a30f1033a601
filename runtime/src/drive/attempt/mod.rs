//! One unit's work: attempts until one passes, each a fresh agent in a place of its own.
//!
//! Does not land anything, and takes an agent's word for nothing but `blocked`.
//!
//! The order of durable steps is that of `spec/protocol.md`: `attempt.started` is on disk before the agent starts,
//! and what it left is in the store before `attempt.captured` names it.

mod before;
mod call;
mod outcome;
mod show;

use std::time::Duration;

use loop_compiler::graph::{AgentDef, AskCriterion, Node, NodeKind};

use super::check::Subject;
use super::error::DriveError;
use super::judge::{Decision, Origin, Work};
use super::progress::Note;
use super::{Run, jcs};
use crate::crash;
use crate::digest::Sha256;
use crate::fault::ExitCode;
use crate::journal::Durability;
use crate::patch::Tree;
use crate::record::{CapturedManifest, Event, Exit, FailureClass, ResultObject, UnitBlocked, Usage};
use crate::schedule::{Halt, Index};
use crate::state::{Ending, State};
use crate::work::prompt::Failure;
use crate::work::verify::excerpt;

/// What of each output goes into the next attempt's prompt.
const EXCERPT: usize = 16 * 1024;

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
    /// Records of verdicts that were found by key, appended with the acceptance that rests on them.
    pub found: Vec<Event>,
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
        let decision = ground.judge(index, &run.state.borrow(), &run.redo)?;
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
        if let Some(ended) = self.proves_nothing().await? {
            return Ok(ended);
        }
        self.attempts().await
    }

    /// Attempts for this key, until one passes or none is left.
    async fn attempts(&self) -> Result<Ended, DriveError> {
        let of = self.node.policy.attempts.max(1);
        let mut failure = self.last_failure()?;
        // `--redo` gives a unit its attempts anew; otherwise those of earlier runs count.
        let mut last_class = self.last_class();
        let mut used = match self.run.redo.units.contains(&self.node.id) {
            true => self.counted_failures(self.run.redo.since),
            false => self.counted_failures(0),
        };
        // An earlier run may have ended between a failure and the block that answers it.
        let mut again = used == 0 || self.is_tried_again(last_class);
        while used < of && again {
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
                        FailureClass::Budget => return Ok(Ended::Halted(Halt::Limit)),
                        FailureClass::RateLimited if !self.is_tried_again(class) => {
                            return Ok(Ended::Halted(Halt::Limit));
                        }
                        _ => {}
                    }
                    failure = Some(told);
                    last_class = class;
                    used += 1;
                    again = self.is_tried_again(class);
                    if used < of && again && !self.pause().await {
                        return Ok(Ended::Halted(Halt::Waiting));
                    }
                }
            }
        }
        // The service's limit says nothing of the unit: the next run goes on with it.
        if last_class == FailureClass::RateLimited {
            return Ok(Ended::Halted(Halt::Limit));
        }
        let last = failure.map(|failure| failure.message).unwrap_or_default();
        let attempts = if used == 1 { "attempt" } else { "attempts" };
        let reason = match again {
            true => format!("{used} {attempts} failed; the last one: {last}"),
            false => format!(
                "{used} {attempts} failed, and `retry` does not list `{}`; the last one: {last}",
                word(last_class)
            ),
        };
        self.block(last_class, reason)
    }

    /// Is a failure of this class followed by another attempt? The plan may list them.
    fn is_tried_again(&self, class: FailureClass) -> bool {
        match self.node.policy.retry_on.as_slice() {
            [] => class != FailureClass::RateLimited,
            listed => listed.contains(&word(class)),
        }
    }

    /// Waits as long as the plan wants between two attempts. `false`: the run was interrupted meanwhile.
    async fn pause(&self) -> bool {
        let Some(wait) = self.node.policy.backoff_ms else { return true };
        let line = format!("waiting {}.{:03} s before the next attempt", wait / 1000, wait % 1000);
        self.run.progress.note(&Note::Output { unit: &self.node.id, line: &line });
        let mut cancel = self.run.cancel.clone();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => true,
            () = cancel.cancelled() => false,
        }
    }

    /// Failures that count, under the policy of today: a wider scope or another agent is a fresh start.
    fn counted_failures(&self, since: u64) -> u32 {
        let state = self.run.state.borrow();
        let Some(unit) = state.unit(&self.node.id) else { return 0 };
        let attempts = unit.attempts().iter().filter(|attempt| attempt.seq >= since);
        let failures = attempts.filter_map(|attempt| match &attempt.ending {
            Some(Ending::Failed(failed)) => Some(failed),
            _ => None,
        });
        let key = &self.work.keyed.key;
        let counted = failures
            .filter(|failed| failed.counted && failed.key == *key && failed.policy == self.work.policy);
        counted.count() as u32
    }

    /// The class of the newest failure for this key.
    fn last_class(&self) -> FailureClass {
        let state = self.run.state.borrow();
        let newest =
            state.unit(&self.node.id).and_then(|unit| unit.failures(&self.work.keyed.key).next_back());
        newest.map_or(FailureClass::VerifyFailed, |failed| failed.class)
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
        Ok(Some(Failure { message: failed.message, evidence, kept: false }))
    }

    /// The number of the next attempt for this key; from the second on, it is one after the unit's first.
    fn next_number(&self, state: &State) -> u32 {
        state.unit(&self.node.id).map_or(1, |unit| unit.next_number(&self.work.keyed.key))
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
            let report = self.run.check_tree(&subject).await?;
            if let Some(missing) = report.missing {
                let message = format!("the stop condition \"{}\" cannot be judged: {missing}", stop.text);
                return Err(DriveError::refused(ExitCode::Environment, message));
            }
            if report.passed() {
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
        let again = self.next_number(&state) > 1;
        for (whose, limit, spent, more) in scopes {
            // A unit's money is a bound for each attempt and enforced there.
            let money = spent.micro_usd + more;
            if let Some(limit) = limit.micro_usd.filter(|_| whose != "the unit")
                && (money + wanted > limit || (wanted == 0 && money >= limit))
            {
                let needs = if wanted == 0 {
                    String::new()
                } else {
                    format!(" ({})", crate::drive::gate::dollars(wanted))
                };
                return Err(format!(
                    "{whose} has a budget of {}, {} of it spent or reserved: not enough for this attempt{needs}; raise `budget usd=` to go on",
                    crate::drive::gate::dollars(limit),
                    crate::drive::gate::dollars(money),
                ));
            }
            let spent_again = spent.retry_micro_usd;
            if let Some(limit) = limit.retry_micro_usd.filter(|_| again)
                && (spent_again + wanted > limit || spent_again >= limit)
            {
                return Err(format!(
                    "{whose} has {} for attempts after a unit's first, {} of it spent: not enough for another one; raise `budget retry-usd=` to go on",
                    crate::drive::gate::dollars(limit),
                    crate::drive::gate::dollars(spent_again),
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
}

/// What attempts used up.
#[derive(Default)]
struct Spent {
    micro_usd: u64,
    /// The part of it that attempts after a unit's first took.
    retry_micro_usd: u64,
    tokens: u64,
    time_ms: u64,
}

impl Spent {
    fn of(state: &State, counts: impl Fn(&str) -> bool) -> Spent {
        let mut spent = Spent::default();
        for (_, unit) in state.units().filter(|(id, _)| counts(id)) {
            for attempt in unit.attempts() {
                spent.micro_usd += attempt.charge().micro_usd;
                if attempt.started.number > 1 {
                    spent.retry_micro_usd += attempt.charge().micro_usd;
                }
                let Some(captured) = &attempt.captured else { continue };
                spent.tokens +=
                    captured.usage.input_tokens.unwrap_or(0) + captured.usage.output_tokens.unwrap_or(0);
                spent.time_ms += captured.duration_ms;
            }
        }
        spent
    }
}

/// A class as it is written in plans and records.
fn word(class: FailureClass) -> String {
    let written = serde_json::to_value(class).ok();
    written.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn fields_json(fields: &[loop_compiler::graph::KeyField]) -> Result<Vec<u8>, DriveError> {
    let pairs: Vec<(&str, &str)> =
        fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
    jcs(&pairs)
}
