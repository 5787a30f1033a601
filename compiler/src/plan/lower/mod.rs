//! Nodes become the model: one file for each kind of thing that a plan says.
//!
//! Does not know KDL, nor whether the plan is sound; what cannot be resolved is reported and left out.

mod command;
mod criteria;
mod declared;
mod definitions;
mod feature;
mod gate;
mod lint;
mod paths;
mod project;
mod review;
mod sandbox;
mod settings;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use super::import::Loaded;
use super::model::*;
use super::names::{Lookup, Names};
use super::read::File;
use super::schema;
use super::template::Expanded;
use super::values;
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::source::{SourceMap, Sources, Span};

pub use feature::IMPLIED_GATE;
pub(super) use paths::escaped;
use settings::Settings;

/// How many names of a template are looked at for a near one.
const MOST_LOCAL: usize = 1_000;

/// What is known while the nodes are read.
pub(super) struct Lowering<'a> {
    sources: &'a dyn Sources,
    map: &'a SourceMap,
    diagnostics: Vec<Diagnostic>,
    agents: Names<AgentIx>,
    verifier_names: Names<VerifierIx>,
    verifiers: Vec<Verifier>,
    reviewer_names: Names<ReviewerIx>,
    reviewers: Vec<Reviewer>,
    /// Where the parameters of each verifier are defined, in the order of its `params`.
    param_spans: Vec<Vec<Span>>,
    units: Names<UnitIx>,
    /// For each unit: is it a manual?
    manuals: Vec<bool>,
    gates: Names<GateIx>,
    requirements: Names<RequirementIx>,
    /// What templates made: the id of a use, with all of its units.
    expansions: BTreeMap<String, Vec<UnitIx>>,
    /// The ids of uses of which nothing could be made, which was reported.
    lost: BTreeSet<String>,
    /// What `was=` named so far, and where.
    former_ids: BTreeMap<String, Span>,
    /// A unit's id could not be read: that a name is unknown may be for this.
    ids_lost: bool,
    /// Prompt files with their text; `None` if it could not be had, which was reported.
    texts: BTreeMap<Utf8PathBuf, Option<String>>,
    /// Regular expressions that were found good.
    regexes: BTreeSet<String>,
    /// Uses of verifiers whose missing parameters were reported.
    incomplete: BTreeSet<Span>,
    lints: Vec<Lint>,
    /// Numbers of those that stand further out than a unit.
    outer_lints: Vec<usize>,
    old_names: Vec<OldName>,
    /// What something names.
    used_agents: BTreeSet<AgentIx>,
    used_verifiers: BTreeSet<VerifierIx>,
    used_reviewers: BTreeSet<ReviewerIx>,
}

/// Lowers what was loaded.
pub(super) fn lower(
    loaded: &Loaded,
    expanded: Expanded,
    sources: &dyn Sources,
    map: &SourceMap,
) -> (Plan, Vec<Diagnostic>) {
    let mut lowering = Lowering {
        sources,
        map,
        diagnostics: Vec::new(),
        agents: Names::new("agent"),
        verifier_names: Names::new("verifier"),
        verifiers: Vec::new(),
        reviewer_names: Names::new("reviewer"),
        reviewers: Vec::new(),
        param_spans: Vec::new(),
        units: Names::new("unit"),
        manuals: Vec::new(),
        gates: Names::new("gate"),
        requirements: Names::new("requirement"),
        expansions: BTreeMap::new(),
        lost: expanded.lost,
        former_ids: BTreeMap::new(),
        ids_lost: false,
        texts: BTreeMap::new(),
        regexes: BTreeSet::new(),
        incomplete: BTreeSet::new(),
        lints: Vec::new(),
        outer_lints: Vec::new(),
        old_names: Vec::new(),
        used_agents: BTreeSet::new(),
        used_verifiers: BTreeSet::new(),
        used_reviewers: BTreeSet::new(),
    };
    let agents = lowering.define_agents(loaded);
    lowering.define_verifiers(loaded);
    let file = |at: Option<usize>| at.map(|at| &loaded.files[at]);
    let mut plan = Plan {
        project: None,
        feature: None,
        requirements: Vec::new(),
        gates: Vec::new(),
        units: Vec::new(),
        verifiers: Vec::new(),
        reviewers: Vec::new(),
        agents,
        protect: Vec::new(),
        plan_files: Vec::new(),
        shared: Vec::new(),
        derived: Vec::new(),
        discard: Vec::new(),
        worktree: Worktree::default(),
        sandbox: Sandboxes::default(),
        lints: Vec::new(),
        old_names: Vec::new(),
        declared: Vec::new(),
        unused_parameters: expanded.unused,
    };
    let feature = file(loaded.plan).and_then(|file| top(file, "feature"));
    let outline = feature.map(|feature| lowering.outline(feature, loaded));
    let project = file(loaded.project).and_then(|file| top(file, "project"));
    let project = project.map(|node| lowering.project(node, &mut plan)).unwrap_or_default();
    for (_, place, _) in loaded.visible.verifiers.iter() {
        if let Some(node) = place.and_then(|place| loaded.files[place.file].node(place.node)) {
            lowering.lints_in(node, Reach::Own, Some(&[node.span()]));
        }
    }
    if let (Some(feature), Some(outline)) = (feature, outline) {
        lowering.feature(feature, outline, &project, &mut plan);
    }
    plan.declared = lowering.declared(loaded, &plan.agents, expanded.used);
    plan.verifiers = lowering.verifiers;
    plan.reviewers = lowering.reviewers;
    plan.lints = lowering.lints;
    plan.old_names = lowering.old_names;
    let mut files = super::import::paths(&loaded.files);
    files.extend(loaded.gates.values().map(|gate| gate.path.clone()));
    files.extend(lowering.texts.into_keys());
    plan.plan_files = files.into_iter().collect();
    (plan, lowering.diagnostics)
}

fn top<'f>(file: &'f File, name: &str) -> Option<super::read::Node<'f>> {
    file.roots().find(|node| node.name() == name)
}

/// What holds for all units of a level: its `rules`, and its `defaults` by kind (`None`: the general one).
#[derive(Debug, Default)]
pub(super) struct Level {
    rules: Vec<Reference>,
    defaults: BTreeMap<Option<String>, Settings>,
    /// Numbers of the `lint` nodes in its `defaults`, by kind: they hold in the units below.
    lints: Vec<(Option<String>, std::ops::Range<usize>)>,
}

impl Lowering<'_> {
    pub(super) fn report(&mut self, found: Diagnostic) {
        self.diagnostics.push(found);
    }

    /// Is the name one of a use of which nothing could be made?
    fn is_lost(&self, name: &str) -> bool {
        let mut ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        !self.lost.is_empty() && ends.any(|end| self.lost.contains(&name[..end]))
    }

    /// The unit or manual called `name`.
    fn unit(&mut self, name: &str, span: Span) -> Option<UnitIx> {
        match self.units.lookup(name) {
            Lookup::Found(unit) => return Some(unit),
            Lookup::Unusable => return None,
            Lookup::Unknown if self.ids_lost || self.is_lost(name) || self.is_told(name, span) => {
                return None;
            }
            Lookup::Unknown => {}
        }
        let found = match self.gates.get(name) {
            Some((_, gate)) => Diagnostic::new(
                "unknown-unit",
                span,
                format!("`{name}` is a gate, and a unit waits for units"),
            )
            .at("the name of a gate")
            .label(gate, "the gate")
            .help("a unit comes after every earlier gate by itself; name the unit whose output it needs"),
            None => self.units.unknown("unknown-unit", name, span),
        };
        let found = self.suggest_local(found, name, span);
        self.report(found);
        None
    }

    /// Was the name itself reported? It is empty, or holds a comma that a bare word swallowed; in quotes a comma is
    /// what the author wrote, and the name is one like any other.
    fn is_told(&self, name: &str, span: Span) -> bool {
        name.is_empty() || (name.contains(',') && !self.map.text(span).contains('"'))
    }

    /// In a template, a near name is looked for among its own ones first.
    fn suggest_local(&self, found: Diagnostic, name: &str, span: Span) -> Diagnostic {
        let Some(expansion) = self.map.expansion(span.file) else { return found };
        let prefix = format!("{}/", expansion.id);
        let local = self.units.under(&prefix).take(MOST_LOCAL).map(|id| &id[prefix.len()..]);
        let Some(near) = did_you_mean(name, local) else { return found };
        let near = near.to_owned();
        let clean = Diagnostic { labels: Vec::new(), help: Vec::new(), fixes: Vec::new(), ..found };
        clean.help(format!("a unit with a similar name stands in the template: `{near}`")).replace(
            span,
            values::spell(&near),
            format!("replace with `{near}`"),
            Applicability::Unsafe,
        )
    }

    fn agent(&mut self, name: &str, span: Span) -> Option<AgentIx> {
        match self.agents.lookup(name) {
            Lookup::Found(agent) => {
                self.used_agents.insert(agent);
                return Some(agent);
            }
            Lookup::Unusable => return None,
            Lookup::Unknown if self.is_told(name, span) => return None,
            Lookup::Unknown => {}
        }
        let found = self.agents.unknown("unknown-agent", name, span);
        let found = if self.agents.iter().next().is_none() {
            found.help("define it in loop.kdl: `agent NAME via=claude`")
        } else {
            found
        };
        self.report(found);
        None
    }

    fn verifier(&mut self, name: &str, span: Span) -> Option<VerifierIx> {
        match self.verifier_names.lookup(name) {
            Lookup::Found(verifier) => {
                self.used_verifiers.insert(verifier);
                return Some(verifier);
            }
            Lookup::Unusable => return None,
            Lookup::Unknown if self.is_told(name, span) => return None,
            Lookup::Unknown => {}
        }
        if let Some((_, reviewer)) = self.reviewer_names.get(name) {
            let found = Diagnostic::new(
                "unknown-verifier",
                span,
                format!("`{name}` is a reviewer, and a verifier is asked for"),
            )
            .at("the name of a reviewer")
            .label(reviewer, "the reviewer")
            .help(format!("write `review {name}`"));
            self.report(found);
            return None;
        }
        let found = self.verifier_names.unknown("unknown-verifier", name, span);
        let found = if self.verifier_names.iter().next().is_none() {
            found.help(format!("define it in loop.kdl: `verifier {name} {{ run ...; }}`"))
        } else {
            found
        };
        self.report(found);
        None
    }
}

/// The kind under which a unit's defaults are found.
fn kind_or_default(kind: Option<&str>) -> String {
    kind.unwrap_or(schema::DEFAULT_KIND).to_owned()
}
