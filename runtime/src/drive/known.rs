//! Results of earlier runs, from the journal and from commits that carry our trailers.
//!
//! Does not judge whether a result still holds: that needs today's key and branch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::DriveError;
use crate::digest::{ObjectId, Sha256};
use crate::patch::Entry;
use crate::record::{OutputEntry, ResultObject, Signature};
use crate::state::{Renamed, State};
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
    /// The unit whose landing touched a path last, in the order of the branch.
    writers: BTreeMap<String, String>,
    /// By unit and path: what stood there before each of the unit's landings that touched it, oldest first.
    before: BTreeMap<String, BTreeMap<String, Vec<Option<Entry>>>>,
    claims: BTreeMap<String, Claim>,
    /// Where each commit stands on the branch, counted from its beginning (or from where reading ended).
    places: BTreeMap<ObjectId, usize>,
    /// Results whose commit is not on the branch any more: it was reset, or deleted and made anew.
    gone: BTreeSet<Sha256>,
    /// What the journal says was left at a path last, and by whom, wherever the branch went since.
    recorded: BTreeMap<String, (String, Option<Entry>)>,
    renamed: Renamed,
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
        renamed: Renamed,
    ) -> Result<Known, DriveError> {
        let mut known = Known { renamed, ..Known::default() };
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
        known.read_branch(repository, feature, tip)?;
        Ok(known)
    }

    /// What the unit that a result or a commit names is called today.
    fn today(&self, named: &str) -> String {
        self.renamed.get(named).map_or(named, String::as_str).to_owned()
    }

    /// Takes in one more result, the newest of its unit.
    pub fn add(&mut self, unit: &str, result: KnownResult) {
        let unit = &self.today(unit);
        if result.landing.is_some() {
            self.record(unit, &result);
        }
        self.results.entry(unit.to_owned()).or_default().push(result);
    }

    /// The newest result of the unit with this digest is on the branch now.
    pub fn landed(&mut self, unit: &str, digest: &Sha256, commit: &ObjectId) {
        let unit = &self.today(unit);
        let Some(results) = self.results.get_mut(unit) else { return };
        let Some(result) = results.iter_mut().rev().find(|result| result.digest == *digest) else { return };
        result.landing = Some(commit.clone());
        let result = result.clone();
        self.record(unit, &result);
        self.note_landing(unit, &result);
    }

    fn record(&mut self, unit: &str, result: &KnownResult) {
        for change in &result.object.patch.changes {
            self.recorded.insert(change.path.clone(), (unit.to_owned(), change.after.clone()));
        }
    }

    fn note_landing(&mut self, unit: &str, result: &KnownResult) {
        // What an older commit claims is superseded.
        self.claims.remove(unit);
        for change in &result.object.patch.changes {
            self.note_change(unit, &change.path, change.before.clone());
        }
    }

    fn note_change(&mut self, unit: &str, path: &str, before: Option<Entry>) {
        self.writers.insert(path.to_owned(), unit.to_owned());
        let of_unit = self.before.entry(unit.to_owned()).or_default();
        of_unit.entry(path.to_owned()).or_default().push(before);
    }

    /// Results of a unit, oldest first.
    pub fn of(&self, unit: &str) -> &[KnownResult] {
        self.results.get(unit).map(Vec::as_slice).unwrap_or_default()
    }

    /// Does `later` come after `commit` on the branch, or is it that? `None`: one of them is not among its first
    /// parents, and git has to be asked.
    pub fn is_before(&self, commit: &ObjectId, later: &ObjectId) -> Option<bool> {
        Some(self.places.get(commit)? <= self.places.get(later)?)
    }

    pub fn last_writer(&self, path: &str) -> Option<&str> {
        self.writers.get(path).map(String::as_str)
    }

    /// Did this entry stand at the path before one of the unit's landings that touched it?
    pub fn stood_before(&self, unit: &str, path: &str, entry: Option<&Entry>) -> bool {
        let before = self.before.get(unit).and_then(|paths| paths.get(path));
        before.is_some_and(|before| before.iter().any(|before| before.as_ref() == entry))
    }

    /// Every path that the unit's landings touched, with what stood there before the first of them.
    pub fn origins(&self, unit: &str) -> impl Iterator<Item = (&str, Option<&Entry>)> {
        let paths = self.before.get(unit).into_iter().flatten();
        paths.filter_map(|(path, before)| Some((path.as_str(), before.first()?.as_ref())))
    }

    /// Was the result's commit on the branch once, and is not any more?
    pub fn is_gone(&self, result: &KnownResult) -> bool {
        self.gone.contains(&result.digest)
    }

    /// What the journal says was left at a path last, if another unit than this one left it.
    pub fn left_by_another(&self, unit: &str, path: &str) -> Option<Option<&Entry>> {
        let (writer, left) = self.recorded.get(path)?;
        (writer != unit).then_some(left.as_ref())
    }

    /// The newest result of the unit that needs no landing any more.
    pub fn settled(&self, unit: &str) -> Option<&KnownResult> {
        self.of(unit).iter().rev().find(|result| result.empty || result.landing.is_some())
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

    /// The union of everything the unit's landings on the branch touched, with the entry each left.
    pub fn output(&self, unit: &str) -> BTreeMap<String, Option<Entry>> {
        match self.settled(unit) {
            Some(result) if self.is_gone(result) => BTreeMap::new(),
            Some(result) => {
                let left = result.object.output.iter();
                left.map(|left| (left.path.clone(), left.entry.clone())).collect()
            }
            None => self.claims.get(unit).map(|claim| claim.output.clone()).unwrap_or_default(),
        }
    }

    /// Reads the branch, oldest commit first: which landings it has, who wrote a path last, and commits with our
    /// trailers that the journal does not know. A commit that was rebased is known by the digest of its result.
    fn read_branch(
        &mut self,
        repository: &Repository,
        feature: &str,
        tip: &ObjectId,
    ) -> Result<(), DriveError> {
        let mut known: BTreeMap<Sha256, (String, usize)> = BTreeMap::new();
        for (unit, results) in &self.results {
            known.extend(results.iter().enumerate().map(|(at, result)| (result.digest, (unit.clone(), at))));
        }
        let mut history = Vec::new();
        for (place, commit) in
            repository.first_parent_history(tip, None, HISTORY)?.into_iter().rev().enumerate()
        {
            self.places.insert(commit.id.clone(), place);
            let trailers = commit.trailers();
            let value =
                |name: &str| trailers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            if value("Loop-Feature").as_deref() != Some(feature) {
                continue;
            }
            let (Some(unit), Some(key), Some(parent)) =
                (value("Loop-Unit"), value("Loop-Key"), commit.parents.first().cloned())
            else {
                continue;
            };
            let digest = value("Loop-Result").and_then(|text| Sha256::parse(&text));
            let unit = self.today(&unit);
            history.push((commit.id, parent, unit, key, digest));
        }
        let mut on_branch = BTreeSet::new();
        for (commit, _, unit, _, digest) in &history {
            let result = digest.and_then(|digest| known.get(&digest)).filter(|(of, _)| of == unit);
            let Some((_, at)) = result else { continue };
            let Some(result) = self.results.get_mut(unit).and_then(|results| results.get_mut(*at)) else {
                continue;
            };
            result.landing = Some(commit.clone());
            on_branch.insert(result.digest);
        }
        // Landings that the first parents do not lead to: merged, or gone.
        let elsewhere: Vec<(String, KnownResult)> = self
            .results
            .iter()
            .flat_map(|(unit, results)| results.iter().map(move |result| (unit.clone(), result.clone())))
            .filter(|(_, result)| result.landing.is_some() && !on_branch.contains(&result.digest))
            .collect();
        for (unit, result) in elsewhere {
            let Some(commit) = &result.landing else { continue };
            // A commit that nothing leads to may have been collected.
            if repository.commit(commit).is_ok() && repository.is_ancestor(commit, tip)? {
                self.note_landing(&unit, &result);
            } else {
                self.gone.insert(result.digest);
            }
        }
        for (commit, parent, unit, key, digest) in history {
            let result = digest.and_then(|digest| known.get(&digest)).filter(|(of, _)| *of == unit);
            if let Some(result) = result.and_then(|(_, at)| self.of(&unit).get(*at)).cloned() {
                self.note_landing(&unit, &result);
                continue;
            }
            let Ok(patch) = crate::patch::diff(&repository.tree(&parent)?, &repository.tree(&commit)?) else {
                continue;
            };
            let claim = self
                .claims
                .entry(unit.clone())
                .or_insert_with(|| Claim { key: String::new(), output: BTreeMap::new() });
            claim.key = key;
            claim
                .output
                .extend(patch.changes.iter().map(|change| (change.path.clone(), change.after.clone())));
            for change in patch.changes {
                self.note_change(&unit, &change.path, change.before);
            }
        }
        Ok(())
    }
}
