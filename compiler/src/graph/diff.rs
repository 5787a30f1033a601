//! What one plan asks and allows that another does not: whose keys differ, and in which fields.
//!
//! Does not know what has run: a changed key says that a unit's results no longer count, not that there are any.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde::Serialize;

use super::hash::{
    Content, ContentEntry, KeyField, UnitKeyInputs, closure_digest, policy_fields, section_digest, unit_key,
};
use super::node::{EdgeKind, Graph, Node, NodeKind};
use crate::glob::PatternSet;
use crate::markdown::section;
use crate::source::Sources;

/// One side of the comparison: a graph and, unit by unit, the fields of its key, as far as they are known without a
/// run: what needed units leave is not among them.
#[derive(Clone, Debug)]
pub struct Side {
    graph: Graph,
    keys: Vec<Vec<KeyField>>,
}

/// Everything that differs. Lists are in the order of the new plan; what it no longer has comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    pub units: Vec<UnitDiff>,
    pub gates: Vec<GateDiff>,
    /// Verifiers, agents and what else units share, as JSON.
    pub definitions: Vec<FieldDiff>,
}

impl PlanDiff {
    pub fn is_empty(&self) -> bool {
        self.units.is_empty() && self.gates.is_empty() && self.definitions.is_empty()
    }
}

/// What became of one unit or manual. Those that stayed as they were are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitDiff {
    pub id: String,
    pub change: Change,
    /// Fields of the key that differ.
    pub key: Vec<FieldDiff>,
    /// Needed units whose own keys differ, directly or by what they need: if they leave something else, this one runs
    /// again too.
    pub needs: Vec<String>,
    /// Fields beside the key that differ: they are re-checked, and nothing is paid for again.
    pub policy: Vec<FieldDiff>,
}

/// The weightiest thing that happened to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Removed,
    Added,
    /// Its key differs: it runs again.
    Key,
    /// It runs again if a unit that it needs leaves something else.
    Upstream,
    /// Nothing that it was asked has changed.
    Policy,
}

/// A field of which the sides say different things; `None`: one of them says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDiff {
    pub field: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GateDiff {
    pub id: String,
    pub change: GateChange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateChange {
    Removed,
    Added,
    /// What an approval of it stands for is another thing now.
    Closure,
}

impl Side {
    /// Reads what the keys are over from `sources`: referenced files, rules, inputs. `plan` is the file that the graph
    /// was made of: where a plan stands is no difference between two of them.
    pub fn new(mut graph: Graph, plan: &Utf8Path, sources: &dyn Sources) -> Side {
        graph.protect.retain(|path| path != plan.as_str());
        let mut contents: BTreeMap<String, Option<ContentEntry>> = BTreeMap::new();
        let mut entry = |path: &str| {
            let found = contents.entry(path.to_owned()).or_insert_with(|| {
                let bytes = sources.read(Utf8Path::new(path)).ok()?;
                // Only compared with one another, never with a real tree's ids.
                Some(ContentEntry {
                    mode: "100644".to_owned(),
                    object: blake3::hash(&bytes).to_hex().to_string(),
                })
            });
            found.clone()
        };
        let keys = graph.nodes.iter().map(|node| fields(node, sources, &mut entry)).collect();
        Side { graph, keys }
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn units(&self) -> BTreeMap<&str, usize> {
        let units = self.graph.nodes.iter().enumerate().filter(|(_, node)| node.kind != NodeKind::Gate);
        units.map(|(at, node)| (node.id.as_str(), at)).collect()
    }

    fn gates(&self) -> BTreeSet<&str> {
        let gates = self.graph.nodes.iter().filter(|node| node.kind == NodeKind::Gate);
        gates.map(|node| node.gate.as_str()).collect()
    }
}

fn fields(
    node: &Node,
    sources: &dyn Sources,
    entry: &mut impl FnMut(&str) -> Option<ContentEntry>,
) -> Vec<KeyField> {
    let ask = &node.ask;
    let mut content = |path: &str, heading: Option<&str>| match heading {
        None => entry(path).map(Content::Entry),
        Some(heading) => {
            let bytes = sources.read(Utf8Path::new(path)).ok()?;
            let text = String::from_utf8_lossy(&bytes);
            Some(Content::Section(section_digest(section(&text, heading).ok()?)))
        }
    };
    let refs = ask
        .refs
        .iter()
        .map(|wanted| (wanted.clone(), content(&wanted.path, wanted.heading.as_deref())))
        .collect();
    let rules = ask
        .rules
        .iter()
        .map(|rules| {
            let (path, heading) = match rules.split_once('#') {
                Some((path, heading)) => (path, Some(heading)),
                None => (rules.as_str(), None),
            };
            (rules.clone(), content(path, heading))
        })
        .collect();
    // Patterns of a graph were read once already.
    let set = |patterns: &[String]| PatternSet::parse(patterns).ok().filter(|set| !set.is_empty());
    let inputs = match (set(&ask.inputs), sources.files()) {
        (Some(wanted), Some(files)) => {
            let own = set(&[node.scope.writes.as_slice(), node.scope.creates.as_slice()].concat());
            let own = |path: &str| own.as_ref().is_some_and(|own| own.matches(path));
            let paths = files.iter().map(|path| path.as_str());
            let paths = paths.filter(|path| wanted.matches(path) && !own(path));
            paths.filter_map(|path| Some((path.to_owned(), entry(path)?))).collect()
        }
        _ => Vec::new(),
    };
    unit_key(&UnitKeyInputs { ask, refs, rules, inputs, needs: Vec::new() }).fields
}

/// Compares two plans, or two states of one.
pub fn diff(old: &Side, new: &Side) -> PlanDiff {
    let (before, after) = (old.units(), new.units());
    let mut units: Vec<UnitDiff> = Vec::new();
    for node in old.graph.nodes.iter().filter(|node| node.kind != NodeKind::Gate) {
        if !after.contains_key(node.id.as_str()) {
            units.push(UnitDiff::bare(&node.id, Change::Removed));
        }
    }
    let (needed_before, needs) = (needed(&old.graph), needed(&new.graph));
    let names = |graph: &Graph, needs: &[u32]| -> Vec<String> {
        let mut names: Vec<String> = needs.iter().map(|at| graph.nodes[*at as usize].id.clone()).collect();
        names.sort_unstable();
        names
    };
    let mut stale = vec![false; new.graph.nodes.len()];
    let mut found: Vec<Option<UnitDiff>> = vec![None; new.graph.nodes.len()];
    for at in new.graph.topology().canonical_order() {
        let at = at as usize;
        let node = &new.graph.nodes[at];
        let upstream: Vec<String> = needs[at]
            .iter()
            .filter(|need| stale[**need as usize])
            .map(|need| new.graph.nodes[*need as usize].id.clone())
            .collect();
        let Some(was) = before.get(node.id.as_str()).copied() else {
            stale[at] = true;
            found[at] = Some(UnitDiff { needs: upstream, ..UnitDiff::bare(&node.id, Change::Added) });
            continue;
        };
        let old_node = &old.graph.nodes[was];
        let mut key = changed(&old.keys[was], &new.keys[at]);
        key.extend(other_needs(&names(&old.graph, &needed_before[was]), &names(&new.graph, &needs[at])));
        let policy = changed(
            &policy_fields(&old_node.policy, &old_node.scope),
            &policy_fields(&node.policy, &node.scope),
        );
        let change = match (key.is_empty(), upstream.is_empty(), policy.is_empty()) {
            (false, _, _) => Change::Key,
            (true, false, _) => Change::Upstream,
            (true, true, false) => Change::Policy,
            (true, true, true) => continue,
        };
        stale[at] = change != Change::Policy;
        found[at] = Some(UnitDiff { id: node.id.clone(), change, key, needs: upstream, policy });
    }
    units.extend(found.into_iter().flatten());
    PlanDiff { units, gates: gates(old, new), definitions: definitions(&old.graph, &new.graph) }
}

impl UnitDiff {
    fn bare(id: &str, change: Change) -> UnitDiff {
        UnitDiff { id: id.to_owned(), change, key: Vec::new(), needs: Vec::new(), policy: Vec::new() }
    }
}

/// For each node, what it `needs`.
fn needed(graph: &Graph) -> Vec<Vec<u32>> {
    let mut needs = vec![Vec::new(); graph.nodes.len()];
    for edge in graph.edges.iter().filter(|edge| edge.kind == EdgeKind::Data) {
        needs[edge.to as usize].push(edge.from);
    }
    needs
}

/// Whether a unit needs other units than before: what they leave is in its key.
fn other_needs(old: &[String], new: &[String]) -> Option<FieldDiff> {
    let joined = |names: &[String]| if names.is_empty() { None } else { Some(names.join(" ")) };
    (old != new).then(|| FieldDiff { field: "needs".to_owned(), old: joined(old), new: joined(new) })
}

/// What several units share: verifiers, agents, limits. A change of them runs nothing again by itself.
fn definitions(old: &Graph, new: &Graph) -> Vec<FieldDiff> {
    let (old, new) = (shared(old), shared(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differ
        .map(|name| FieldDiff {
            field: name.clone(),
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
        })
        .collect()
}

/// Each definition as its JSON, by kind and name.
fn shared(graph: &Graph) -> BTreeMap<String, String> {
    // Data without maps or floats always has a JSON form.
    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap_or_default()
    }
    let mut all = BTreeMap::new();
    for verifier in &graph.verifiers {
        all.insert(format!("verifier {}", verifier.id), json(verifier));
    }
    for agent in &graph.agents {
        all.insert(format!("agent {}", agent.id), json(agent));
    }
    all.insert("feature".to_owned(), json(&graph.feature));
    all.insert("protect".to_owned(), json(&graph.protect));
    all.insert("worktree".to_owned(), json(&graph.worktree));
    all
}

fn gates(old: &Side, new: &Side) -> Vec<GateDiff> {
    let (before, after) = (old.gates(), new.gates());
    let gone = before.difference(&after).map(|id| ((*id).to_owned(), GateChange::Removed));
    let stayed = new.graph.nodes.iter().filter(|node| node.kind == NodeKind::Gate).filter_map(|node| {
        let id = node.gate.as_str();
        let change = if !before.contains(id) {
            GateChange::Added
        } else if closure_digest(&old.graph, id) != closure_digest(&new.graph, id) {
            GateChange::Closure
        } else {
            return None;
        };
        Some((id.to_owned(), change))
    });
    gone.chain(stayed).map(|(id, change)| GateDiff { id, change }).collect()
}

/// The fields that one list has and the other has not, paired by name in the order of the new list.
fn changed(old: &[KeyField], new: &[KeyField]) -> Vec<FieldDiff> {
    let mut left: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for field in old {
        left.entry(&field.name).or_default().push(&field.value);
    }
    let mut added: Vec<(&str, &str)> = Vec::new();
    for field in new {
        let values = left.get_mut(field.name.as_str());
        match values
            .and_then(|values| Some((values.iter().position(|value| **value == field.value)?, values)))
        {
            Some((at, values)) => {
                values.remove(at);
            }
            None => added.push((&field.name, &field.value)),
        }
    }
    let mut diffs = Vec::new();
    for (name, value) in added {
        let old =
            left.get_mut(name).filter(|values| !values.is_empty()).map(|values| values.remove(0).to_owned());
        diffs.push(FieldDiff { field: name.to_owned(), old, new: Some(value.to_owned()) });
    }
    for field in old {
        if let Some(at) = left
            .get(field.name.as_str())
            .and_then(|values| values.iter().position(|value| **value == field.value))
        {
            if let Some(values) = left.get_mut(field.name.as_str()) {
                values.remove(at);
            }
            diffs.push(FieldDiff { field: field.name.clone(), old: Some(field.value.clone()), new: None });
        }
    }
    diffs
}
