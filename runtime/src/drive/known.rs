//! Results of earlier runs, from the journal and from commits that carry our trailers.
//!
//! Does not judge whether a result still holds: that needs today's key and branch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::DriveError;
use crate::digest::{ObjectId, Sha256};
use crate::patch::Entry;
use crate::record::{OutputEntry, ResultObject, Signature};
use crate::state::State;
use crate::store::Store;
use crate::workspace::Repository;

/// How many commits are looked at for results that are not in the journal.
const HISTORY: usize = 10_000;

/// One accepted result.
#[derive(Clone)]
pub struct KnownResult {
    pub key: String,
    pub digest: Sha256,
    pub object: Arc<ResultObject>,
    /// There is nothing to land.
    pub empty: bool,
    /// The commit on the branch.
    pub landing: Option<ObjectId>,
}

impl KnownResult {
    pub(super) fn nothing() -> KnownResult {
        let object = ResultObject {
            v: crate::record::RECORD_VERSION,
            feature: String::new(),
            unit: String::new(),
            key: String::new(),
            patch: Default::default(),
            output: Vec::new(),
            message: String::new(),
            author: Signature { name: String::new(), email: String::new() },
            time_s: 0,
            trailers: Vec::new(),
            verdicts: Vec::new(),
        };
        KnownResult {
            key: String::new(),
            digest: Sha256([0; 32]),
            object: Arc::new(object),
            empty: true,
            landing: None,
        }
    }
}

/// Everything that is known of a feature's units from before.
#[derive(Default)]
pub struct Known {
    /// Oldest first.
    results: BTreeMap<String, Vec<KnownResult>>,
    /// The unit whose landing touched a path last.
    writers: BTreeMap<String, String>,
    /// (unit, path): what stood there before the unit's latest landing that touched it.
    before: BTreeMap<(String, String), Option<Entry>>,
    claims: BTreeMap<String, Claim>,
}

struct Claim {
    key: String,
    output: BTreeMap<String, Option<Entry>>,
}

impl Known {
    /// Reads results from the store for everything the journal says was accepted; then the branch's history for
    /// commits of this feature that the journal does not know.
    pub fn load(
        state: &State,
        store: &Store,
        repository: &Repository,
        feature: &str,
        tip: &ObjectId,
    ) -> Result<Known, DriveError> {
        let mut known = Known::default();
        for accepted in state.accepted_in_order() {
            let object: ResultObject = super::load(store, &accepted.result)?;
            known.add(
                &accepted.unit,
                KnownResult {
                    key: accepted.key.clone(),
                    digest: accepted.result,
                    object: Arc::new(object),
                    empty: accepted.empty,
                    landing: accepted.landing.clone(),
                },
            );
        }
        known.read_claims(repository, feature, tip)?;
        Ok(known)
    }

    /// Takes in one more result, the newest of its unit.
    pub fn add(&mut self, unit: &str, result: KnownResult) {
        if !result.empty && result.landing.is_some() {
            self.note_landing(unit, &result);
        }
        self.results.entry(unit.to_owned()).or_default().push(result);
    }

    /// The newest result of the unit with this digest is on the branch now.
    pub fn landed(&mut self, unit: &str, digest: &Sha256, commit: &ObjectId) {
        let Some(results) = self.results.get_mut(unit) else { return };
        let Some(result) = results.iter_mut().rev().find(|result| result.digest == *digest) else { return };
        result.landing = Some(commit.clone());
        let result = result.clone();
        self.note_landing(unit, &result);
    }

    fn note_landing(&mut self, unit: &str, result: &KnownResult) {
        for change in &result.object.patch.changes {
            self.writers.insert(change.path.clone(), unit.to_owned());
            self.before.insert((unit.to_owned(), change.path.clone()), change.before.clone());
        }
    }

    /// Results of a unit, oldest first.
    pub fn of(&self, unit: &str) -> &[KnownResult] {
        self.results.get(unit).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn last_writer(&self, path: &str) -> Option<&str> {
        self.writers.get(path).map(String::as_str)
    }

    /// What stood at the path before the unit's latest landing that touched it; `None` if it never did.
    pub fn before(&self, unit: &str, path: &str) -> Option<Option<&Entry>> {
        self.before.get(&(unit.to_owned(), path.to_owned())).map(Option::as_ref)
    }

    /// What a commit on the branch claims to be this unit's result for this key.
    pub fn claim(&self, unit: &str, key: &str) -> Option<Vec<OutputEntry>> {
        let claim = self.claims.get(unit).filter(|claim| claim.key == key)?;
        Some(
            claim
                .output
                .iter()
                .map(|(path, entry)| OutputEntry { path: path.clone(), entry: entry.clone() })
                .collect(),
        )
    }

    /// The union of everything the unit's landings touched, with the entry each left.
    pub fn output(&self, unit: &str) -> BTreeMap<String, Option<Entry>> {
        let newest = self.of(unit).iter().rev().find(|result| result.empty || result.landing.is_some());
        newest
            .map(|result| {
                result.object.output.iter().map(|left| (left.path.clone(), left.entry.clone())).collect()
            })
            .unwrap_or_default()
    }

    fn read_claims(
        &mut self,
        repository: &Repository,
        feature: &str,
        tip: &ObjectId,
    ) -> Result<(), DriveError> {
        let history = repository.first_parent_history(tip, None, HISTORY)?;
        for commit in history.iter().rev() {
            let trailers = commit.trailers();
            let value =
                |name: &str| trailers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            if value("Loop-Feature").as_deref() != Some(feature) {
                continue;
            }
            let (Some(unit), Some(key), Some(parent)) =
                (value("Loop-Unit"), value("Loop-Key"), commit.parents.first())
            else {
                continue;
            };
            let known = self.of(&unit).iter().any(|result| result.landing.as_ref() == Some(&commit.id));
            if known {
                continue;
            }
            let Ok(patch) = crate::patch::diff(&repository.tree(parent)?, &repository.tree(&commit.id)?)
            else {
                continue;
            };
            let claim = self
                .claims
                .entry(unit.clone())
                .or_insert_with(|| Claim { key: String::new(), output: BTreeMap::new() });
            claim.key = key;
            for change in patch.changes {
                claim.output.insert(change.path.clone(), change.after.clone());
                self.writers.insert(change.path.clone(), unit.clone());
                self.before.insert((unit.clone(), change.path), change.before);
            }
        }
        Ok(())
    }
}
