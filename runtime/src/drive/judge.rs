//! Finds out what is known of a unit before anything is paid: its key, and whether a result for it holds.
//!
//! Does not start anything and writes nothing: `status`, `why` and a dry run ask the same questions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use loop_compiler::glob::{Pattern, PatternSet};
use loop_compiler::graph::{
    Content, ContentEntry, Graph, KeyField, Keyed, Node, NodeKind, Ref, Topology, UnitKeyInputs,
    section_digest, unit_key,
};
use loop_compiler::markdown;
use loop_compiler::plan::values::may_write_plan_file;

use super::error::DriveError;
use super::known::{Known, KnownResult};
use crate::digest::ObjectId;
use crate::patch::{Entry, Patch, Tree, TreeFile};
use crate::record::{CapturedManifest, OutputEntry};
use crate::schedule::{Halt, Index};
use crate::state::State;
use crate::store::Store;
use crate::workspace::Repository;

/// Where the run stands: the pinned base, the branch now, and what units left so far.
pub struct Ground {
    pub graph: Graph,
    pub topology: Topology,
    pub repository: Repository,
    pub store: Arc<Store>,
    /// The commit that the run is pinned to.
    pub base: ObjectId,
    pub base_tree: Arc<Tree>,
    /// Head of the feature's branch (the base while the branch is new) and its tree.
    pub tip: ObjectId,
    /// The branch exists; otherwise the first landing makes it.
    pub branch_exists: bool,
    pub tip_tree: Tree,
    pub known: Known,
    /// Results that hold in this run, by node.
    pub settled: BTreeMap<Index, Settled>,
}

/// Units that are to run again although a result holds.
#[derive(Clone, Debug, Default)]
pub struct Redo {
    pub units: BTreeSet<String>,
    /// `seq` from which on the wish was made: what was accepted or blocked since fulfils it.
    pub since: u64,
}

impl Redo {
    /// Is the unit still to run again?
    pub fn asks(&self, state: &State, unit: &str) -> bool {
        let fulfilled = state.unit(unit).is_some_and(|unit| {
            unit.accepted().last().is_some_and(|accepted| accepted.seq >= self.since)
                || unit.block().is_some_and(|block| block.seq >= self.since)
        });
        self.units.contains(unit) && !fulfilled
    }
}

/// A unit's result as its dependants see it.
#[derive(Clone)]
pub struct Settled {
    pub result: KnownResult,
    /// Its patch is not in the pinned base and has to be applied to start trees.
    pub pending: bool,
    /// Paths with the entry that dependants see: drifted ones as they are on the branch.
    pub output: Vec<OutputEntry>,
    /// Somebody edited what it left.
    pub drifted: Vec<String>,
}

/// What has to be done for a unit.
pub struct Work {
    pub keyed: Keyed,
    pub policy: String,
    pub start: Arc<Tree>,
    pub from: Origin,
}

/// Where the work starts.
pub enum Origin {
    /// With an agent.
    Agent,
    /// With a patch that was captured before: only checks are left.
    Captured { attempt: String, manifest: CapturedManifest, why: &'static str },
    /// With a commit that carries our trailers and has no result here: verified where it stands.
    Claim { output: Vec<OutputEntry> },
}

pub enum Decision {
    Done(Settled),
    /// Accepted earlier, not on the branch.
    Accepted(Settled),
    Run(Box<Work>),
    Halt(Halt, String),
}

impl Ground {
    pub fn node(&self, index: Index) -> &Node {
        &self.graph.nodes[index as usize]
    }

    /// The tree that a node starts from: the pinned base and the patches of everything it comes after, in
    /// canonical order. What agents see depends on the graph alone, not on who finished first.
    pub fn start_tree(&self, index: Index) -> Result<Arc<Tree>, DriveError> {
        let mut tree = Arc::clone(&self.base_tree);
        if !self.settled.values().any(|settled| settled.pending) {
            return Ok(tree);
        }
        for before in self.topology.ancestors_in_canonical_order(index) {
            let Some(settled) = self.settled.get(&before).filter(|settled| settled.pending) else { continue };
            apply(Arc::make_mut(&mut tree), &settled.result.object.patch, &self.node(before).id)?;
        }
        Ok(tree)
    }

    /// The key of a unit or manual on its start tree.
    pub fn key(&self, index: Index, start: &Tree) -> Result<Keyed, DriveError> {
        let node = self.node(index);
        let inputs = UnitKeyInputs {
            ask: &node.ask,
            refs: node
                .ask
                .refs
                .iter()
                .map(|r| Ok((r.clone(), self.content(start, r)?)))
                .collect::<Result<_, DriveError>>()?,
            rules: node
                .ask
                .rules
                .iter()
                .map(|rules| Ok((rules.clone(), self.content(start, &reference_of(rules))?)))
                .collect::<Result<_, DriveError>>()?,
            inputs: effective_inputs(node, start),
            needs: self
                .upstream(index)
                .into_iter()
                .map(|(path, entry)| (path, entry.as_ref().map(content_entry)))
                .collect(),
        };
        Ok(unit_key(&inputs))
    }

    /// What the needed units left, path by path; of two that left the same path the later in plan order holds.
    pub fn upstream(&self, index: Index) -> BTreeMap<String, Option<Entry>> {
        let mut map = BTreeMap::new();
        for need in self.topology.needs(index) {
            for entry in self.settled.get(need).map(|settled| settled.output.as_slice()).unwrap_or_default() {
                map.insert(entry.path.clone(), entry.entry.clone());
            }
        }
        map
    }

    /// Text of a file or section on a tree; `None` if it is not there.
    pub fn text(&self, tree: &Tree, reference: &Ref) -> Result<Option<String>, DriveError> {
        let Some(bytes) = self.repository.read(tree, &reference.path, self.store.as_ref())? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match &reference.heading {
            None => Ok(Some(text)),
            Some(heading) => Ok(markdown::section(&text, heading).ok().map(str::to_owned)),
        }
    }

    fn content(&self, tree: &Tree, reference: &Ref) -> Result<Option<Content>, DriveError> {
        match &reference.heading {
            None => Ok(tree.entry(&reference.path).map(|entry| Content::Entry(content_entry(entry)))),
            Some(_) => Ok(self.text(tree, reference)?.map(|text| Content::Section(section_digest(&text)))),
        }
    }

    /// References that the start tree does not have, in words.
    fn missing(&self, node: &Node, start: &Tree) -> Result<Option<String>, DriveError> {
        for reference in &node.ask.refs {
            if self.content(start, reference)?.is_none() {
                let heading = reference.heading.as_ref().map(|h| format!("#{h}")).unwrap_or_default();
                return Ok(Some(format!("{}{heading}", reference.path)));
            }
        }
        for rules in &node.ask.rules {
            if self.content(start, &reference_of(rules))?.is_none() {
                return Ok(Some(rules.clone()));
            }
        }
        Ok(None)
    }

    /// Judges a node whose predecessors are all settled or accepted.
    pub fn judge(&self, index: Index, state: &State, redo: &Redo) -> Result<Decision, DriveError> {
        let node = self.node(index);
        let start = self.start_tree(index)?;
        let keyed = self.key(index, &start)?;
        if node.kind == NodeKind::Manual {
            return Ok(match state.manual_done(&node.id, &keyed.key) {
                true => Decision::Done(Settled::nothing()),
                false => Decision::Halt(Halt::Waiting, manual_text(node)),
            });
        }
        if let Some(what) = self.missing(node, &start)? {
            let text = format!(
                "`{what}` is not on the tree that the unit starts from; commit it, or let a unit before it make it"
            );
            return Ok(Decision::Halt(Halt::Blocked, text));
        }
        let policy = loop_compiler::graph::policy_digest(&node.policy, &node.scope);
        let again = redo.asks(state, &node.id);
        if !again && let Some(decision) = self.result_for(index, &keyed)? {
            return Ok(decision);
        }
        let run = |from: Origin| {
            Decision::Run(Box::new(Work {
                keyed: keyed.clone(),
                policy: policy.clone(),
                start: Arc::clone(&start),
                from,
            }))
        };
        // An agent that was asked again and had finished before a crash is not asked a third time.
        let captured = state.captured_unjudged(&node.id, &keyed.key);
        let begun = captured.as_ref().and_then(|(attempt, _)| state.attempt(attempt));
        if again
            && begun.is_some_and(|attempt| attempt.seq >= redo.since)
            && let Some(origin) = self.kept_patch(node, state, &keyed, &policy, &start)?
        {
            return Ok(run(origin));
        }
        if !again {
            if let Some(output) = self.known.claim(&node.id, &keyed.key) {
                let last = |left: &&OutputEntry| self.known.last_writer(&left.path) == Some(node.id.as_str());
                let holds = |left: &OutputEntry| self.tip_tree.entry(&left.path) == left.entry.as_ref();
                let changed: Vec<String> = output
                    .iter()
                    .filter(last)
                    .filter(|left| !holds(left))
                    .map(|left| left.path.clone())
                    .collect();
                if !changed.is_empty() && changed.iter().all(|path| self.is_undone(&node.id, path)) {
                    return Ok(undone(&node.id, "its commit was reverted", &changed));
                }
                let scope = Scope::of(node);
                if output.iter().all(|left| scope.allows(&left.path)) {
                    return Ok(run(Origin::Claim { output }));
                }
            }
            if let Some(origin) = self.kept_patch(node, state, &keyed, &policy, &start)? {
                return Ok(run(origin));
            }
            if let Some(block) = state.blocked(&node.id, &keyed.key, &policy) {
                let text = format!(
                    "{}\n  It stays blocked until what is asked, its policy or what it needs changes; `loop exec --redo {}` tries again",
                    block.reason, node.id
                );
                return Ok(Decision::Halt(Halt::Blocked, text));
            }
            if let Some(text) = self.drift_below(index) {
                return Ok(Decision::Halt(Halt::Drift, text));
            }
        }
        Ok(run(Origin::Agent))
    }

    /// A result with this key, judged against the branch as it is.
    fn result_for(&self, index: Index, keyed: &Keyed) -> Result<Option<Decision>, DriveError> {
        let node = self.node(index);
        let results = self.known.of(&node.id);
        let settled = self.known.settled(&node.id);
        for (at, result) in results.iter().enumerate().rev().filter(|(_, result)| result.key == keyed.key) {
            if !fits(&result.object.patch, node) {
                continue;
            }
            if !result.empty && result.landing.is_none() {
                if at + 1 < results.len() {
                    continue;
                }
                if applies(self.start_tree(index)?.as_ref(), &result.object.patch) {
                    return Ok(Some(Decision::Accepted(Settled::pending(result.clone()))));
                }
                // It is paid for: a person says whether to pay again.
                let text = format!(
                    "its accepted changes no longer apply, as somebody edited the same files\n  `loop exec --redo {}` makes them anew",
                    node.id
                );
                return Ok(Some(Decision::Halt(Halt::Drift, text)));
            }
            // A key that comes back: what was done for another key since then must have left the same.
            if settled.is_some_and(|settled| settled.object.output != result.object.output) {
                continue;
            }
            let changed = self.changed_since(&node.id, result);
            if changed.is_empty() {
                return Ok(Some(Decision::Done(self.landed(result.clone(), Vec::new())?)));
            }
            let gone = self.known.is_gone(result);
            if gone || changed.iter().all(|path| self.is_undone(&node.id, path)) {
                let what = match &result.landing {
                    Some(commit) if gone => {
                        format!("its commit {} is not on the branch any more", commit.short())
                    }
                    _ => "its commit was reverted".to_owned(),
                };
                return Ok(Some(undone(&node.id, &what, &changed)));
            }
            return Ok(Some(Decision::Done(self.landed(result.clone(), changed)?)));
        }
        Ok(None)
    }

    fn landed(&self, result: KnownResult, drifted: Vec<String>) -> Result<Settled, DriveError> {
        // Landed after the base was pinned (a resumed run): start trees still need the patch.
        let pending = match &result.landing {
            Some(commit) if !result.empty && !self.known.is_gone(&result) => {
                match self.known.is_before(commit, &self.base) {
                    Some(before) => !before,
                    None => !self.repository.is_ancestor(commit, &self.base)?,
                }
            }
            _ => false,
        };
        let output = result
            .object
            .output
            .iter()
            .map(|entry| match drifted.contains(&entry.path) {
                true => {
                    OutputEntry { path: entry.path.clone(), entry: self.tip_tree.entry(&entry.path).cloned() }
                }
                false => entry.clone(),
            })
            .collect();
        Ok(Settled { result, pending, output, drifted })
    }

    /// Paths that this unit wrote last and that are not as it left them. If its commit is not on the branch, nothing
    /// there came after it: what it and those after it left must be there all the same, as after a squashed merge.
    fn changed_since(&self, unit: &str, result: &KnownResult) -> Vec<String> {
        let gone = self.known.is_gone(result);
        result
            .object
            .output
            .iter()
            .filter(|left| {
                let now = self.tip_tree.entry(&left.path);
                match gone {
                    false => self.known.last_writer(&left.path) == Some(unit) && now != left.entry.as_ref(),
                    true => {
                        let last = self.known.left_by_another(unit, &left.path);
                        now != last.unwrap_or(left.entry.as_ref())
                    }
                }
            })
            .map(|left| left.path.clone())
            .collect()
    }

    fn is_undone(&self, unit: &str, path: &str) -> bool {
        self.known.stood_before(unit, path, self.tip_tree.entry(path))
    }

    /// Is what an earlier result of the unit left in this tree? A reverted one is not.
    pub fn holds_earlier(&self, unit: &str, tree: &Tree) -> bool {
        let output = self.known.output(unit);
        let reverted = |(path, left): (&String, &Option<Entry>)| {
            let now = tree.entry(path);
            now != left.as_ref()
                && self.known.last_writer(path) == Some(unit)
                && self.known.stood_before(unit, path, now)
        };
        !output.is_empty() && !output.iter().any(reverted)
    }

    /// The tree as it would be if these units had never landed: what `changed` compares with, whichever run asks.
    /// The units come in canonical order.
    pub fn without<'u>(&self, units: impl DoubleEndedIterator<Item = &'u str>, tree: &Tree) -> Tree {
        let mut tree = tree.clone();
        for unit in units.rev() {
            for (path, before) in self.known.origins(unit) {
                match before {
                    Some(entry) => {
                        let file = TreeFile { entry: entry.clone(), content: None };
                        tree.files.insert(path.as_bytes().to_vec(), file);
                    }
                    None => drop(tree.files.remove(path.as_bytes())),
                }
            }
        }
        tree
    }

    /// A patch that an agent already made for this key: captured before a crash, or out of a scope that allows it now.
    fn kept_patch(
        &self,
        node: &Node,
        state: &State,
        keyed: &Keyed,
        policy: &str,
        start: &Tree,
    ) -> Result<Option<Origin>, DriveError> {
        if let Some((attempt, digest)) = state.captured_unjudged(&node.id, &keyed.key) {
            let manifest: CapturedManifest = super::load(&self.store, &digest)?;
            // Made on a tree that is another one by now: it cannot be used.
            if !applies(start, &manifest.patch) {
                return Ok(None);
            }
            return Ok(Some(Origin::Captured {
                attempt,
                manifest,
                why: "its agent had finished before the run was interrupted",
            }));
        }
        let Some((attempt, digest)) = state.out_of_scope_patch(&node.id, &keyed.key, policy) else {
            return Ok(None);
        };
        let manifest: CapturedManifest = super::load(&self.store, &digest)?;
        // Of a capture that was refused in part, the patch is not what the agent made.
        let adoptable =
            manifest.refused.is_none() && fits(&manifest.patch, node) && applies(start, &manifest.patch);
        let why = "its kept patch fits the scope now";
        Ok(adoptable.then_some(Origin::Captured { attempt, manifest, why }))
    }

    /// Stop before paying for a unit only because somebody edited what it needs.
    fn drift_below(&self, index: Index) -> Option<String> {
        let node = self.node(index);
        if self.known.of(&node.id).is_empty() {
            return None;
        }
        for need in self.topology.needs(index) {
            let Some(settled) = self.settled.get(need).filter(|settled| !settled.drifted.is_empty()) else {
                continue;
            };
            return Some(format!(
                "{} of `{}` was edited after it landed, and this unit would run again for it\n  `loop exec --redo {}` runs it; reverting the edit keeps the result it has",
                quoted_list(&settled.drifted),
                self.node(*need).id,
                node.id
            ));
        }
        None
    }
}

/// A result that is not on the branch any more stops before anything is paid.
fn undone(unit: &str, what: &str, paths: &[String]) -> Decision {
    let text = format!(
        "{what}: {} {} as before it\n  `loop exec --redo {unit}` runs it again; removing the unit from the plan accepts the revert",
        quoted_list(paths),
        if paths.len() == 1 { "is" } else { "are" },
    );
    Decision::Halt(Halt::Undone, text)
}

impl Settled {
    /// A manual: nothing on the branch.
    pub fn nothing() -> Settled {
        Settled { result: KnownResult::nothing(), pending: false, output: Vec::new(), drifted: Vec::new() }
    }

    pub fn pending(result: KnownResult) -> Settled {
        let output = result.object.output.clone();
        let pending = !result.empty;
        Settled { result, pending, output, drifted: Vec::new() }
    }
}

/// A rules file as the ask names it: a path, or `path#heading`.
pub(super) fn reference_of(rules: &str) -> Ref {
    match rules.split_once('#') {
        Some((path, heading)) => Ref { path: path.to_owned(), heading: Some(heading.to_owned()) },
        None => Ref { path: rules.to_owned(), heading: None },
    }
}

/// Does the patch touch only what the unit may change?
pub(super) fn fits(patch: &Patch, node: &Node) -> bool {
    outside(patch, node).is_empty()
}

/// Paths of the patch that the unit may not change.
pub(super) fn outside(patch: &Patch, node: &Node) -> Vec<String> {
    let scope = Scope::of(node);
    patch
        .changes
        .iter()
        .filter(|change| {
            !scope.allows(&change.path) || !may_write_plan_file(&change.path, &node.policy.work_kind)
        })
        .map(|change| change.path.clone())
        .collect()
}

/// A unit's scope, parsed.
pub(super) struct Scope {
    patterns: Vec<Pattern>,
}

impl Scope {
    pub(super) fn of(node: &Node) -> Scope {
        // The compiler parsed each of them; one that it did not accept allows nothing.
        let patterns = node
            .scope
            .writes
            .iter()
            .chain(&node.scope.creates)
            .filter_map(|text| Pattern::parse(text).ok())
            .collect();
        Scope { patterns }
    }

    pub(super) fn allows(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(path))
    }
}

fn effective_inputs(node: &Node, start: &Tree) -> Vec<(String, ContentEntry)> {
    if node.ask.inputs.is_empty() {
        return Vec::new();
    }
    let patterns: Vec<Pattern> =
        node.ask.inputs.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
    let set = PatternSet::new(patterns);
    let own = Scope::of(node);
    start
        .files
        .iter()
        .filter_map(|(path, file)| Some((std::str::from_utf8(path).ok()?, file)))
        .filter(|(path, _)| set.matches(path) && !own.allows(path))
        .map(|(path, file)| (path.to_owned(), content_entry(&file.entry)))
        .collect()
}

fn content_entry(entry: &Entry) -> ContentEntry {
    ContentEntry { mode: entry.mode.as_str().to_owned(), object: entry.object.as_str().to_owned() }
}

fn applies(tree: &Tree, patch: &Patch) -> bool {
    tree.clone().apply(patch).is_ok()
}

pub(super) fn apply(tree: &mut Tree, patch: &Patch, unit: &str) -> Result<(), DriveError> {
    tree.apply(patch).map_err(|conflicts| {
        let paths: Vec<String> = conflicts.into_iter().map(|conflict| conflict.path).collect();
        DriveError::refused(
            crate::fault::ExitCode::Blocked,
            format!("the accepted changes of `{unit}` no longer apply: {} changed on the branch; `loop exec --redo {unit}` makes them anew", quoted_list(&paths)),
        )
    })
}

fn manual_text(node: &Node) -> String {
    let owner = node.policy.owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default();
    let mut text = format!("a task for a person{owner}");
    for step in &node.ask.steps {
        text.push_str(&format!("\n  - {step}"));
    }
    text.push_str(&format!("\n  when it is done: `loop done {}`", node.id));
    text
}

pub(super) fn quoted_list(paths: &[String]) -> String {
    let mut shown: Vec<String> =
        paths.iter().take(5).map(|path| format!("`{}`", path.escape_debug())).collect();
    if paths.len() > 5 {
        shown.push(format!("{} more", paths.len() - 5));
    }
    shown.join(", ")
}

/// What differs between two explanations of a key: (field, recorded, now).
pub fn differences(recorded: &[KeyField], now: &[KeyField]) -> Vec<(String, Option<String>, Option<String>)> {
    let as_map = |fields: &[KeyField]| -> BTreeMap<String, String> {
        fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect()
    };
    let (before, after) = (as_map(recorded), as_map(now));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), before.get(name).cloned(), after.get(name).cloned()))
        .collect()
}
