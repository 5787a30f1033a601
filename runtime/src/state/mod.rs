//! The state of a feature: a pure fold of its journal's records.
//!
//! Does not know files, git, the graph or the clock: what a key or a closure is *today* comes from the
//! caller, and the state says what was recorded about it. Folding the same records gives the same state.

mod unit;

use std::collections::BTreeMap;

pub use unit::{Accepted, Attempt, Block, Charge, Ending, Landing, LandingIntent, Unit, output};

use crate::digest::{ObjectId, Sha256};
use crate::record::{
    Actor, Event, Evidence, FailureClass, Record, RunStarted, Statement, Verdict, VerifyDone,
};

/// A run, as it was started and perhaps ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    /// `seq` of `run.started`.
    pub seq: u64,
    pub time_ms: u64,
    /// The graph's digest, and the base that the run is pinned to.
    pub started: RunStarted,
    pub ended: Option<RunEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    pub seq: u64,
    pub time_ms: u64,
    pub exit: u8,
    pub reason: String,
}

/// A verifier that really ran (step 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What `cached_from` of a later record names.
    pub seq: u64,
    pub done: VerifyDone,
}

/// What is recorded of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    pub reached: Option<GateReached>,
    /// In log order; the latest one holds.
    pub decisions: Vec<Decision>,
    pub passed: Option<GatePassed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateReached {
    pub seq: u64,
    pub time_ms: u64,
    pub head: ObjectId,
    pub closure: String,
    /// The stored page that was shown.
    pub page: Sha256,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePassed {
    pub seq: u64,
    pub head: ObjectId,
    pub closure: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub seq: u64,
    pub time_ms: u64,
    pub statement: Statement,
    /// What the next statement's `previous` says.
    pub digest: Sha256,
    pub signature: Option<String>,
}

impl Decision {
    pub fn is_approval(&self) -> bool {
        self.statement.decision == "approved"
    }
}

impl Gate {
    /// The latest decision, whatever it is about.
    pub fn decision(&self) -> Option<&Decision> {
        self.decisions.last()
    }

    /// The latest decision, if it is about this closure: an approval stands while the closure stands.
    pub fn decision_on(&self, closure: &str) -> Option<&Decision> {
        self.decision().filter(|decision| decision.statement.closure == closure)
    }

    /// Is the gate open for this closure: is the latest decision an approval of it?
    pub fn is_approved(&self, closure: &str) -> bool {
        self.decision_on(closure).is_some_and(Decision::is_approval)
    }

    /// Was the gate recorded as passed with this closure, and not refused since?
    pub fn has_passed(&self, closure: &str) -> bool {
        let Some(passed) = self.passed.as_ref().filter(|passed| passed.closure == closure) else {
            return false;
        };
        self.decision_on(closure).is_none_or(|decision| decision.is_approval() || decision.seq < passed.seq)
    }
}

/// A manual that a person finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManualDone {
    pub seq: u64,
    pub time_ms: u64,
    pub key: String,
    pub actor: Actor,
    pub evidence: Vec<Evidence>,
}

/// Something of the user's that changed around an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tampering {
    pub seq: u64,
    pub run: String,
    pub unit: String,
    pub attempt: String,
    pub what: Vec<String>,
}

/// Money spent or reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    pub micro_usd: u64,
    /// Attempts of whose cost nothing is known; they are not in `micro_usd`.
    pub unknown: u32,
}

impl Spending {
    fn add(&mut self, charge: &Charge) {
        if charge.known {
            self.micro_usd = self.micro_usd.saturating_add(charge.micro_usd);
        } else {
            self.unknown += 1;
        }
    }
}

/// What a feature's journal says. Built with [`State::fold`], kept up with [`State::apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    records: u64,
    runs: Vec<Run>,
    units: BTreeMap<String, Unit>,
    /// By verify key.
    verdicts: BTreeMap<String, Ran>,
    gates: BTreeMap<String, Gate>,
    manuals: BTreeMap<String, Vec<ManualDone>>,
    landings: Vec<Landing>,
    intents: Vec<LandingIntent>,
    tamperings: Vec<Tampering>,
    /// The unit of each attempt, and its place among the unit's attempts.
    attempts: BTreeMap<String, (String, usize)>,
    /// What units were called before, and are called today.
    renamed: Renamed,
}

/// Ids that units had before, each with the one that it has today. What is recorded under the old one is the unit's.
pub type Renamed = BTreeMap<String, String>;

impl State {
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> State {
        State::fold_renamed(records, Renamed::new())
    }

    /// As [`State::fold`]; what is recorded under a unit's former id is found under the one that it has today.
    pub fn fold_renamed<'a>(records: impl IntoIterator<Item = &'a Record>, renamed: Renamed) -> State {
        let mut state = State { renamed, ..State::default() };
        records.into_iter().for_each(|record| state.apply(record));
        state
    }

    /// What the unit that was recorded under this id is called today.
    fn today(&self, recorded: &str) -> String {
        self.renamed.get(recorded).map_or(recorded, String::as_str).to_owned()
    }

    /// Takes in the next record. A record that speaks of an attempt that never started is kept where it
    /// means something by itself and left out otherwise; it cannot stop the fold.
    pub fn apply(&mut self, record: &Record) {
        self.records = record.seq + 1;
        let (seq, time_ms) = (record.seq, record.time_ms);
        match &record.event {
            Event::RunStarted(started) => self.runs.push(Run {
                id: record.run.clone(),
                seq,
                time_ms,
                started: started.clone(),
                ended: None,
            }),
            Event::RunEnded { feature: _, exit, reason } => {
                if let Some(run) = self.runs.iter_mut().rfind(|run| run.id == record.run) {
                    run.ended = Some(RunEnd { seq, time_ms, exit: *exit, reason: reason.clone() });
                }
            }
            Event::AttemptStarted(started) => {
                let name = self.today(&started.unit);
                let unit = self.units.entry(name.clone()).or_default();
                self.attempts.insert(started.attempt.clone(), (name, unit.attempts.len()));
                unit.block = None;
                unit.attempts.push(Attempt {
                    seq,
                    run: record.run.clone(),
                    time_ms,
                    started: started.clone(),
                    captured: None,
                    ending: None,
                });
            }
            Event::AttemptCaptured(captured) => {
                if let Some(attempt) = self.attempt_mut(&captured.attempt) {
                    attempt.captured = Some(captured.clone());
                }
            }
            Event::AttemptFailed(failed) => {
                if let Some(attempt) = self.attempt_mut(&failed.attempt) {
                    attempt.ending = Some(Ending::Failed(failed.clone()));
                }
            }
            Event::AttemptLost { feature: _, unit: _, attempt, charged_micro_usd } => {
                let charged_micro_usd = *charged_micro_usd;
                if let Some(attempt) = self.attempt_mut(attempt) {
                    attempt.ending = Some(Ending::Lost { charged_micro_usd });
                }
            }
            Event::VerifyDone(done) => self.verified(seq, done),
            Event::UnitAccepted(accepted) => {
                if let Some(attempt) = accepted.attempt.as_deref().and_then(|id| self.attempt_mut(id)) {
                    attempt.ending = Some(Ending::Accepted { result: accepted.result });
                }
                let name = self.today(&accepted.unit);
                let unit = self.units.entry(name.clone()).or_default();
                unit.block = None;
                unit.round = seq + 1;
                unit.accepted.push(Accepted {
                    seq,
                    time_ms,
                    unit: name,
                    key: accepted.key.clone(),
                    manifest: accepted.manifest,
                    result: accepted.result,
                    empty: accepted.empty,
                    attempt: accepted.attempt.clone(),
                    landing: None,
                });
            }
            Event::UnitBlocked(blocked) => {
                let name = self.today(&blocked.unit);
                let unit = self.units.entry(name).or_default();
                unit.round = seq + 1;
                unit.block = Some(Block {
                    seq,
                    key: blocked.key.clone(),
                    policy: blocked.policy.clone(),
                    reason: blocked.reason.clone(),
                    class: blocked.class,
                });
            }
            Event::LandIntent { feature: _, unit, branch, parent, commit, result } => {
                self.intents.push(LandingIntent {
                    seq,
                    unit: unit.clone(),
                    branch: branch.clone(),
                    parent: parent.clone(),
                    commit: commit.clone(),
                    result: *result,
                });
            }
            Event::Landed { feature: _, unit, branch, commit, result } => {
                self.intents.retain(|intent| intent.commit != *commit);
                let name = self.today(unit);
                let of_unit = self.units.entry(name.clone()).or_default();
                let accepted = of_unit.accepted.iter_mut().rfind(|accepted| accepted.result == *result);
                let landing = Landing {
                    seq,
                    unit: name,
                    branch: branch.clone(),
                    commit: commit.clone(),
                    result: *result,
                    key: accepted.map(|accepted| {
                        accepted.landing = Some(commit.clone());
                        accepted.key.clone()
                    }),
                };
                of_unit.landings.push(landing.clone());
                self.landings.push(landing);
            }
            Event::LandVoid { feature: _, unit: _, branch: _, commit, reason: _ } => {
                self.intents.retain(|intent| intent.commit != *commit);
            }
            Event::GateReached { feature: _, gate, head, closure, page } => {
                self.gates.entry(gate.clone()).or_default().reached = Some(GateReached {
                    seq,
                    time_ms,
                    head: head.clone(),
                    closure: closure.clone(),
                    page: *page,
                });
            }
            Event::GateDecided { feature: _, gate, statement, signature } => {
                self.gates.entry(gate.clone()).or_default().decisions.push(Decision {
                    seq,
                    time_ms,
                    digest: statement.digest(),
                    statement: statement.clone(),
                    signature: signature.clone(),
                });
            }
            Event::GatePassed { feature: _, gate, head, closure } => {
                let passed = GatePassed { seq, head: head.clone(), closure: closure.clone() };
                self.gates.entry(gate.clone()).or_default().passed = Some(passed);
            }
            Event::ManualDone { feature: _, unit, key, actor, evidence } => {
                let name = self.today(unit);
                self.manuals.entry(name).or_default().push(ManualDone {
                    seq,
                    time_ms,
                    key: key.clone(),
                    actor: actor.clone(),
                    evidence: evidence.clone(),
                });
            }
            Event::Tampered { feature: _, unit, attempt, what } => self.tamperings.push(Tampering {
                seq,
                run: record.run.clone(),
                unit: unit.clone(),
                attempt: attempt.clone(),
                what: what.clone(),
            }),
            Event::JournalRepaired { bytes: _, moved_to: _ } => {}
        }
    }

    /// A verdict that was taken from an earlier record adds nothing, and one that could not be reached is
    /// none: neither replaces what really ran.
    fn verified(&mut self, seq: u64, done: &VerifyDone) {
        if done.cached_from.is_none() && done.verdict != Verdict::Errored {
            self.verdicts.insert(done.key.clone(), Ran { seq, done: done.clone() });
        }
    }

    fn attempt_mut(&mut self, id: &str) -> Option<&mut Attempt> {
        let (unit, at) = self.attempts.get(id)?;
        self.units.get_mut(unit)?.attempts.get_mut(*at)
    }

    /// How many records were folded.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Every run, oldest first.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The newest run, if it has not ended. The same graph digest continues it with its pinned base;
    /// anything else closes it (step 0).
    pub fn open_run(&self) -> Option<&Run> {
        self.runs.last().filter(|run| run.ended.is_none())
    }

    /// What is recorded of a unit; `None` if nothing is.
    pub fn unit(&self, id: &str) -> Option<&Unit> {
        self.units.get(id)
    }

    /// Every unit of which something is recorded, by id. Units that left the plan are among them.
    pub fn units(&self) -> impl Iterator<Item = (&str, &Unit)> {
        self.units.iter().map(|(id, unit)| (id.as_str(), unit))
    }

    /// An attempt by its id.
    pub fn attempt(&self, id: &str) -> Option<&Attempt> {
        let (unit, at) = self.attempts.get(id)?;
        self.units.get(unit)?.attempts.get(*at)
    }

    /// Attempts that started and of which nothing else is known, oldest first (step 0: each is waited for or
    /// ended, and recorded as lost).
    pub fn open_attempts(&self) -> Vec<&Attempt> {
        self.sorted(|attempt| attempt.captured.is_none() && attempt.ending.is_none())
    }

    /// Attempts that were captured and not judged, oldest first (back to step 7, without an agent).
    pub fn captured_attempts(&self) -> Vec<&Attempt> {
        self.sorted(|attempt| attempt.captured.is_some() && attempt.ending.is_none())
    }

    /// The attempt for this key that was captured and not judged, with its captured manifest.
    pub fn captured_unjudged(&self, unit: &str, key: &str) -> Option<(String, Sha256)> {
        let attempt =
            self.units.get(unit)?.captured_attempt().filter(|attempt| attempt.started.key == key)?;
        Some((attempt.started.attempt.clone(), attempt.captured.as_ref()?.manifest))
    }

    /// The newest attempt for this key, with its captured manifest, if all that was wrong with it is its
    /// scope, and the unit's policy is another one since: under a wider one it is adopted without an agent.
    pub fn out_of_scope_patch(&self, unit: &str, key: &str, policy: &str) -> Option<(String, Sha256)> {
        let failed = self.units.get(unit)?.adoptable(key)?;
        let adoptable = failed.class == FailureClass::OutOfScope && failed.policy != policy;
        Some((failed.attempt.clone(), failed.captured.filter(|_| adoptable)?))
    }

    /// The unit's block, if it was for this key and this policy.
    pub fn blocked(&self, unit: &str, key: &str, policy: &str) -> Option<&Block> {
        self.units.get(unit)?.blocked_for(key, policy)
    }

    /// Every accepted result of the feature, oldest first.
    pub fn accepted_in_order(&self) -> Vec<&Accepted> {
        let mut accepted: Vec<&Accepted> = self.units.values().flat_map(|unit| &unit.accepted).collect();
        accepted.sort_by_key(|accepted| accepted.seq);
        accepted
    }

    fn sorted(&self, wanted: impl Fn(&Attempt) -> bool) -> Vec<&Attempt> {
        let all = self.units.values().flat_map(|unit| &unit.attempts);
        let mut attempts: Vec<&Attempt> = all.filter(|attempt| wanted(attempt)).collect();
        attempts.sort_by_key(|attempt| attempt.seq);
        attempts
    }

    /// Intents to land that are neither landed nor void, oldest first (step 0 settles each).
    pub fn open_intents(&self) -> &[LandingIntent] {
        &self.intents
    }

    /// Every landing of the feature, oldest first.
    pub fn landings(&self) -> &[Landing] {
        &self.landings
    }

    /// The newest verdict with this verify key, from a run that really took place (step 8).
    pub fn verdict(&self, key: &str) -> Option<&Ran> {
        self.verdicts.get(key)
    }

    pub fn gate(&self, id: &str) -> Option<&Gate> {
        self.gates.get(id)
    }

    /// Did a person finish this manual for this key?
    pub fn manual_done(&self, unit: &str, key: &str) -> bool {
        self.manual(unit, key).is_some()
    }

    /// The newest record that a person finished this manual for this key.
    pub fn manual(&self, unit: &str, key: &str) -> Option<&ManualDone> {
        self.manuals.get(unit)?.iter().rfind(|done| done.key == key)
    }

    pub fn tamperings(&self) -> &[Tampering] {
        &self.tamperings
    }

    /// What each attempt cost, or holds reserved, in the order in which they started.
    pub fn charges(&self) -> Vec<Charge> {
        self.sorted(|_| true).into_iter().map(Attempt::charge).collect()
    }

    /// What a unit cost so far, over all runs, reservations of open attempts included.
    pub fn spent_on(&self, unit: &str) -> Spending {
        let mut spent = Spending::default();
        let attempts = self.units.get(unit).map_or(&[][..], |unit| &unit.attempts);
        attempts.iter().for_each(|attempt| spent.add(&attempt.charge()));
        spent
    }

    /// What a run cost so far, reservations of open attempts included.
    pub fn spent_in(&self, run: &str) -> Spending {
        let mut spent = Spending::default();
        self.charges().iter().filter(|charge| charge.run == run).for_each(|charge| spent.add(charge));
        spent
    }

    /// What the feature cost so far, reservations of open attempts included.
    pub fn spent(&self) -> Spending {
        let mut spent = Spending::default();
        self.charges().iter().for_each(|charge| spent.add(charge));
        spent
    }
}

#[cfg(test)]
mod tests;
