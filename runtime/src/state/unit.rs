//! What is recorded of one unit: attempts, results, landings, a block.
//!
//! Does not know today's key or policy; they are asked about.

use std::collections::BTreeMap;

use crate::digest::{ObjectId, Sha256};
use crate::patch::Entry;
use crate::record::{AttemptCaptured, AttemptFailed, AttemptStarted, FailureClass, ResultObject};

/// One call of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// `seq` of `attempt.started`.
    pub seq: u64,
    pub run: String,
    /// Wall time of `attempt.started`, for people.
    pub time_ms: u64,
    pub started: AttemptStarted,
    /// Step 6 is done: this attempt's agent never runs again.
    pub captured: Option<AttemptCaptured>,
    pub ending: Option<Ending>,
}

/// How an attempt was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Steps 7 and 8 failed, or the agent did.
    Failed(AttemptFailed),
    /// Nobody saw its end; its reservation is charged and it does not count (steps 3 to 5).
    Lost { charged_micro_usd: u64 },
    /// Step 9; the result's digest.
    Accepted { result: Sha256 },
}

/// An accepted result (step 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub seq: u64,
    pub time_ms: u64,
    pub unit: String,
    pub key: String,
    /// The key's manifest in the store.
    pub manifest: Sha256,
    /// The result object in the store.
    pub result: Sha256,
    /// There is nothing to land.
    pub empty: bool,
    /// `None`: no attempt made it, as when a claim was verified.
    pub attempt: Option<String>,
    /// The commit that it landed as.
    pub landing: Option<ObjectId>,
}

/// A commit that is on the branch (step 12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    pub seq: u64,
    pub unit: String,
    pub branch: String,
    pub commit: ObjectId,
    pub result: Sha256,
    /// The accepted result's key; `None` if its acceptance is not in this journal.
    pub key: Option<String>,
}

/// An intent to land that is neither landed nor void (steps 10 and 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingIntent {
    pub seq: u64,
    pub unit: String,
    pub branch: String,
    pub parent: ObjectId,
    pub commit: ObjectId,
    pub result: Sha256,
}

/// A unit that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub seq: u64,
    pub key: String,
    pub policy: String,
    /// Words for people.
    pub reason: String,
    pub class: FailureClass,
}

/// What an attempt cost, or holds reserved while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub unit: String,
    pub run: String,
    pub attempt: String,
    pub micro_usd: u64,
    /// `false`: neither a cost nor a reservation is known, so `micro_usd` says nothing.
    pub known: bool,
    /// The amount is final: the attempt was captured or it ended.
    pub settled: bool,
}

impl Attempt {
    /// Its cost: what the back end reported, else its whole reservation.
    pub fn charge(&self) -> Charge {
        let reported = self.captured.as_ref().and_then(|captured| captured.usage.micro_usd);
        let (micro_usd, known) = match (&self.ending, reported) {
            (_, Some(micro_usd)) => (micro_usd, true),
            (Some(Ending::Lost { charged_micro_usd }), None) => {
                (*charged_micro_usd, self.started.reservation_known)
            }
            (_, None) => (self.started.reserved_micro_usd, self.started.reservation_known),
        };
        Charge {
            unit: self.started.unit.clone(),
            run: self.run.clone(),
            attempt: self.started.attempt.clone(),
            micro_usd,
            known,
            settled: self.captured.is_some() || self.ending.is_some(),
        }
    }

    fn failure(&self) -> Option<&AttemptFailed> {
        match &self.ending {
            Some(Ending::Failed(failed)) => Some(failed),
            _ => None,
        }
    }
}

/// What is recorded of one unit. The default is a unit that was never touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    pub(super) attempts: Vec<Attempt>,
    pub(super) accepted: Vec<Accepted>,
    pub(super) landings: Vec<Landing>,
    pub(super) block: Option<Block>,
    /// First record after the last block or acceptance.
    pub(super) round: u64,
}

impl Unit {
    /// All attempts, in the order in which they started.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempt that started and of which nothing else is known (a crash in steps 3 to 6): it is ended,
    /// if its shim still lives, and recorded as lost.
    pub fn open_attempt(&self) -> Option<&Attempt> {
        self.attempts.iter().rfind(|attempt| attempt.captured.is_none() && attempt.ending.is_none())
    }

    /// The attempt that was captured and not judged (a crash in steps 7 to 9): it is judged from what was
    /// captured, and no agent runs.
    pub fn captured_attempt(&self) -> Option<&Attempt> {
        self.attempts.iter().rfind(|attempt| attempt.captured.is_some() && attempt.ending.is_none())
    }

    /// The number of the next attempt for this key: 1 more than those that were not lost (step 3).
    pub fn next_number(&self, key: &str) -> u32 {
        let lost = |attempt: &&Attempt| !matches!(attempt.ending, Some(Ending::Lost { .. }));
        let begun = self.attempts.iter().filter(|attempt| attempt.started.key == key).filter(lost).count();
        u32::try_from(begun + 1).unwrap_or(u32::MAX)
    }

    /// The failures for this key, oldest first.
    pub fn failures<'a>(&'a self, key: &str) -> impl DoubleEndedIterator<Item = &'a AttemptFailed> {
        self.attempts.iter().filter_map(Attempt::failure).filter(move |failed| failed.key == key)
    }

    /// How many failures for this key count against `attempts`. A block and an acceptance close a round:
    /// what comes after (`--redo`, a changed policy) has all its attempts again.
    pub fn counted_failures(&self, key: &str) -> u32 {
        u32::try_from(self.round(key).count()).unwrap_or(u32::MAX)
    }

    /// Do the last two counted failures for this key have the same signature? Then a further attempt is
    /// not worth its price.
    pub fn failed_alike_twice(&self, key: &str) -> bool {
        let mut last = self.round(key).rev();
        matches!((last.next(), last.next()), (Some(one), Some(two)) if one.signature == two.signature)
    }

    fn round<'a>(&'a self, key: &str) -> impl DoubleEndedIterator<Item = &'a AttemptFailed> {
        let attempts = self.attempts.iter().filter(|attempt| attempt.seq >= self.round);
        attempts.filter_map(Attempt::failure).filter(move |failed| failed.key == key && failed.counted)
    }

    /// The newest failure whose captured patch can be judged again: under a changed policy (a wider scope)
    /// it is adopted without an agent.
    pub fn adoptable(&self, key: &str) -> Option<&AttemptFailed> {
        self.failures(key).next_back().filter(|failed| failed.captured.is_some())
    }

    /// Every accepted result, oldest first.
    pub fn accepted(&self) -> &[Accepted] {
        &self.accepted
    }

    /// The newest accepted result for this key (step 9): nothing is dispatched again for it.
    pub fn accepted_for(&self, key: &str) -> Option<&Accepted> {
        self.accepted.iter().rfind(|accepted| accepted.key == key)
    }

    /// Accepted results that have something to land and did not (steps 9 to 11), oldest first. Whether they
    /// still hold is a question of today's keys.
    pub fn unlanded(&self) -> impl Iterator<Item = &Accepted> {
        self.accepted.iter().filter(|accepted| !accepted.empty && accepted.landing.is_none())
    }

    /// Has this result landed?
    pub fn has_landed(&self, result: &Sha256) -> bool {
        self.landings.iter().any(|landing| landing.result == *result)
    }

    /// Every landing of the unit, oldest first.
    pub fn landings(&self) -> &[Landing] {
        &self.landings
    }

    /// The newest landing for this key.
    pub fn landed_for(&self, key: &str) -> Option<&Landing> {
        self.landings.iter().rfind(|landing| landing.key.as_deref() == Some(key))
    }

    /// The block, whatever it was for. An attempt or an acceptance after it lifts it.
    pub fn block(&self) -> Option<&Block> {
        self.block.as_ref()
    }

    /// The block, if it was for this key and this policy: it stays over later runs until one of them
    /// changes, or `--redo` starts an attempt.
    pub fn blocked_for(&self, key: &str, policy: &str) -> Option<&Block> {
        self.block.as_ref().filter(|block| block.key == key && block.policy == policy)
    }
}

/// Every path that any of these results touched, with the entry that the last of them left (`None`:
/// deleted). Give the results of all landings of a unit, oldest first, and after them one that is accepted
/// and not landed yet.
pub fn output<'a>(results: impl IntoIterator<Item = &'a ResultObject>) -> BTreeMap<String, Option<Entry>> {
    let mut output = BTreeMap::new();
    for result in results {
        // `output` is a union already; the patch is what this result itself did.
        output.extend(result.output.iter().map(|entry| (entry.path.clone(), entry.entry.clone())));
        output.extend(result.patch.changes.iter().map(|change| (change.path.clone(), change.after.clone())));
    }
    output
}
