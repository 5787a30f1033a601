//! Puts accepted results on the branch: pack, intent, compare-and-swap, `landed`.
//!
//! Does not decide the order (the schedule does) and never merges text: a patch applies path by path or not at all.

use super::Run;
use super::attempt::{Ended, Verified};
use super::error::DriveError;
use super::judge::{Settled, apply};
use super::known::KnownResult;
use super::progress::Note;
use crate::crash;
use crate::digest::ObjectId;
use crate::fault::ExitCode;
use crate::journal::Durability;
use crate::patch::Tree;
use crate::record::{Event, ResultObject, UnitAccepted};
use crate::schedule::{self, Index, Schedule};
use crate::workspace::{CommitFields, Person, Swap, with_trailers};

/// A commit that is written and that no ref names yet.
struct Prepared {
    parent: ObjectId,
    commit: ObjectId,
    tree: Tree,
}

impl Run {
    /// Takes in the end of a unit's work: an accepted result is recorded, and lands at once if it is its turn.
    pub(super) fn unit_ended(
        &self,
        schedule: &Schedule,
        node: Index,
        ended: Ended,
    ) -> Result<schedule::Event, (Index, DriveError)> {
        match ended {
            Ended::Halted(halt) => Ok(schedule::Event::Halted(node, halt)),
            Ended::Verified(verified) => {
                let lands_now = schedule.lands_next(node);
                self.accept(node, *verified, lands_now).map_err(|error| (node, error))
            }
        }
    }

    fn accept(
        &self,
        node: Index,
        verified: Verified,
        lands_now: bool,
    ) -> Result<schedule::Event, DriveError> {
        let unit = verified.object.unit.clone();
        let (digest, empty) = (verified.digest, verified.object.patch.changes.is_empty());
        let accepted = Event::UnitAccepted(UnitAccepted {
            feature: self.feature(),
            unit: unit.clone(),
            key: verified.object.key.clone(),
            manifest: verified.manifest,
            result: digest,
            empty,
            attempt: verified.attempt.clone(),
        });
        self.ground.borrow().store.sync_pending()?;
        let result = KnownResult {
            key: verified.object.key.clone(),
            digest,
            object: verified.object.clone().into(),
            empty,
            landing: None,
        };
        // Its turn: acceptance and intent share one synced append, after the pack.
        let prepared = match lands_now && !empty {
            true => self.prepare(&result).ok(),
            false => None,
        };
        let mut events = verified.found;
        events.push(accepted);
        events.extend(prepared.as_ref().map(|prepared| self.intent(&result, prepared)));
        crash::point("accept.before-append");
        self.append(events, Durability::Synced)?;
        crash::point("accept.after-append");
        {
            let mut ground = self.ground.borrow_mut();
            ground.known.add(&unit, result.clone());
            ground.settled.insert(node, Settled::pending(result.clone()));
        }
        self.progress.note(&Note::Accepted { unit: &unit, empty, micro_usd: verified.micro_usd });
        if let Some(place) = &verified.attempt {
            self.places.remove("attempts", place);
        }
        if let Some(prepared) = prepared {
            self.swap(&result, prepared)?;
            // The schedule sees both steps in one.
            return Ok(schedule::Event::Accepted { node, lands: false });
        }
        Ok(schedule::Event::Accepted { node, lands: !empty })
    }

    /// Lands an accepted unit in its turn. `false`: it cannot land, and the journal says why.
    pub(super) fn land(&self, node: Index) -> Result<bool, DriveError> {
        let settled = self.ground.borrow().settled.get(&node).cloned();
        let Some(Settled { result, .. }) = settled else {
            return Err(DriveError::refused(ExitCode::Internal, "a unit was to land that was not accepted"));
        };
        let prepared = match self.prepare(&result) {
            Ok(prepared) => prepared,
            Err(error @ DriveError::Refused { .. }) => {
                self.progress.note(&Note::Halted { unit: &result.object.unit, why: &error.to_string() });
                self.fail(ExitCode::Blocked);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        crash::point("land.before-intent");
        self.append(vec![self.intent(&result, &prepared)], Durability::Synced)?;
        crash::point("land.after-intent");
        self.swap(&result, prepared)?;
        Ok(true)
    }

    /// The commit on today's tip, written as one synced pack.
    fn prepare(&self, result: &KnownResult) -> Result<Prepared, DriveError> {
        let ground = self.ground.borrow();
        let object: &ResultObject = &result.object;
        let mut tree = ground.tip_tree.clone();
        apply(&mut tree, &object.patch, &object.unit)?;
        let mut trailers = object.trailers.clone();
        trailers.push(("Loop-Result".to_owned(), result.digest.to_string()));
        let fields = CommitFields {
            author: Person { name: object.author.name.clone(), email: object.author.email.clone() },
            time_s: object.time_s,
            message: with_trailers(&object.message, &trailers),
        };
        crash::point("land.before-pack");
        let commit = ground.repository.land(&ground.tip, &tree, &fields, ground.store.as_ref())?;
        crash::point("land.after-pack");
        Ok(Prepared { parent: ground.tip.clone(), commit, tree })
    }

    fn intent(&self, result: &KnownResult, prepared: &Prepared) -> Event {
        Event::LandIntent {
            feature: self.feature(),
            unit: result.object.unit.clone(),
            branch: self.branch.clone(),
            parent: prepared.parent.clone(),
            commit: prepared.commit.clone(),
            result: result.digest,
        }
    }

    fn swap(&self, result: &KnownResult, prepared: Prepared) -> Result<(), DriveError> {
        let unit = result.object.unit.clone();
        let name = format!("refs/heads/{}", self.branch);
        let swapped = {
            let ground = self.ground.borrow();
            let expected = ground.branch_exists.then(|| prepared.parent.clone());
            crash::point("land.before-swap");
            let swapped = ground.repository.swap(
                &name,
                expected.as_ref(),
                &prepared.commit,
                &format!("loop: land {unit}"),
            )?;
            crash::point("land.after-swap");
            swapped
        };
        let (feature, branch, commit) = (self.feature(), self.branch.clone(), prepared.commit.clone());
        if let Swap::Moved(now) = swapped {
            let now = now.map_or_else(|| "gone".to_owned(), |now| format!("at {}", now.short()));
            let reason = format!(
                "`{branch}` was moved by somebody else: it is {now}, and {} was expected; look at it with `git log {branch}` and run this again",
                prepared.parent.short()
            );
            self.append(
                vec![Event::LandVoid { feature, unit, branch, commit, reason: reason.clone() }],
                Durability::Synced,
            )?;
            return Err(DriveError::refused(ExitCode::WorkFailed, reason));
        }
        crash::point("land.before-landed");
        self.append(
            vec![Event::Landed {
                feature,
                unit: unit.clone(),
                branch,
                commit: commit.clone(),
                result: result.digest,
            }],
            Durability::Lazy,
        )?;
        crash::point("land.after-landed");
        let mut ground = self.ground.borrow_mut();
        ground.branch_exists = true;
        ground.tip = commit.clone();
        ground.tip_tree = prepared.tree;
        ground.known.landed(&unit, &result.digest, &commit);
        self.progress.note(&Note::Landed { unit: &unit, commit: &commit });
        Ok(())
    }
}
