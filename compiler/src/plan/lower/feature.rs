//! `feature`, its gates, units and manuals.
//!
//! Does not know whether their order makes sense.

use std::collections::{BTreeMap, BTreeSet};

use super::definitions::id_span;
use super::gate::Stated;
use super::paths::Negation;
use super::settings::{Settings, Skipped, defaults_for, join_rules};
use super::{Level, Lowering, kind_or_default};
use crate::diagnostic::Diagnostic;
use crate::plan::import::Loaded;
use crate::plan::model::*;
use crate::plan::names::Lookup;
use crate::plan::read::{self, Node};
use crate::plan::{schema, values};
use crate::source::{Span, Spanned};
use crate::syntax::Value;

/// The id of the gate of a feature that names none. It is not written anywhere, so ids of units never hold it.
pub const IMPLIED_GATE: &str = "main";

/// What a feature holds, before anything in it is read: its gates, and its units in plan order.
pub(super) struct Outline<'f> {
    /// `None`: the implied gate.
    gates: Vec<Option<Stated<'f>>>,
    units: Vec<(GateIx, Node<'f>)>,
}

impl Lowering<'_> {
    /// Makes the names of a feature known: its gates, units, manuals and requirements.
    pub(super) fn outline<'f>(&mut self, feature: Node<'f>, loaded: &'f Loaded) -> Outline<'f> {
        let mut outline = Outline { gates: Vec::new(), units: Vec::new() };
        let mut strays: Vec<Node> = Vec::new();
        let mut first_gate: Option<Node> = None;
        let mut requirements = 0;
        for child in feature.children() {
            match child.name() {
                "gate" => {
                    let gate = GateIx(outline.gates.len() as u32);
                    first_gate = first_gate.or(Some(child));
                    let stated = self.stated(child, loaded);
                    outline.gates.push(Some(stated.clone()));
                    if let Some((id, span)) = self.id(child) {
                        let clash = self.gates.declare(&id, Some(gate), span);
                        self.diagnostics.extend(clash);
                    }
                    for unit in stated.children().filter(|child| matches!(child.name(), "unit" | "manual")) {
                        self.outline_unit(&mut outline, gate, unit);
                    }
                }
                "unit" | "manual" => {
                    // Of what a template made, its `use` was reported.
                    if self.map.expansion(child.span().file).is_none() {
                        strays.push(child);
                    }
                    // Without a declared gate this is the implied one; with one, the mistake is reported below.
                    self.outline_unit(&mut outline, GateIx(0), child);
                }
                "requirement" => {
                    if let Some((id, span)) = self.id(child) {
                        let clash = self.requirements.declare(&id, Some(RequirementIx(requirements)), span);
                        if clash.is_none() {
                            requirements += 1;
                        }
                        self.diagnostics.extend(clash);
                    }
                }
                _ => {}
            }
        }
        match first_gate {
            None => outline.gates.push(None),
            Some(gate) => {
                for stray in strays {
                    let name = self.id(stray).map_or_else(|| "?".to_owned(), |(id, _)| id);
                    let found = Diagnostic::new(
                        "unknown-node",
                        stray.head(),
                        format!("the {} `{name}` stands outside the gates of its feature", stray.name()),
                    )
                    .at("in no gate")
                    .label(gate.head(), "the feature has gates")
                    .help("move it into a gate; only a feature without any gate may leave `gate` out");
                    self.report(found);
                }
            }
        }
        outline
    }

    fn outline_unit<'f>(&mut self, outline: &mut Outline<'f>, gate: GateIx, node: Node<'f>) {
        let unit = UnitIx(outline.units.len() as u32);
        outline.units.push((gate, node));
        self.manuals.push(node.name() == "manual");
        match self.id(node) {
            Some((id, span)) => {
                for (end, _) in id.match_indices('/') {
                    self.expansions.entry(id[..end].to_owned()).or_default().push(unit);
                }
                let clash = self.units.declare(&id, Some(unit), span);
                self.diagnostics.extend(clash);
            }
            None => self.ids_lost = true,
        }
    }

    /// A node's id, and where it stands. A number counts as what is written: that it is one was reported.
    pub(super) fn id(&self, node: Node) -> Option<(String, Span)> {
        let entry = node.argument(0)?;
        let id = match &entry.value {
            Value::String(..) => read::name(entry)?.to_owned(),
            Value::Integer(_) | Value::Number(_) => self.map.text(entry.value_span).to_owned(),
            Value::Bool(_) | Value::Null => return None,
        };
        (!self.is_told(&id, entry.value_span)).then_some((id, entry.value_span))
    }

    pub(super) fn feature(&mut self, node: Node, outline: Outline, project: &Level, plan: &mut Plan) {
        let id = self.id(node).map_or_else(|| "?".to_owned(), |(id, _)| id);
        let span = id_span(node);
        if values::id(&id).is_ok()
            && let Err(problem) = values::feature_id(&id)
        {
            let found = Diagnostic::new(
                "invalid-id",
                span,
                format!("`{id}` cannot be the id of a feature: {problem}"),
            )
            .at(problem)
            .help(format!("a feature's id becomes the name of a branch, `loop/{id}`"));
            self.report(found);
        }
        let mut feature = Feature {
            id: Spanned::new(id, span),
            file: node.file.id(),
            title: node.text_of("title").map(str::to_owned),
            goal: node.child("goal").and_then(Node::text).map(str::to_owned),
            base: node.text_of("base").map(str::to_owned),
            sources: Vec::new(),
            milestone: node.text_of("milestone").map(str::to_owned),
            labels: Vec::new(),
            budget: Budget::default(),
        };
        for child in node.children() {
            match child.name() {
                "label" => feature.labels.extend(labels(child)),
                "source" => feature.sources.extend(child.text().map(str::to_owned)),
                "protect" => plan.protect.extend(self.patterns(child, Negation::Refused)),
                "shared" => plan.shared.extend(self.patterns(child, Negation::Refused)),
                "derived" => {
                    let derived = self.derived(child);
                    plan.derived.extend(derived);
                }
                "discard" => plan.discard.extend(self.patterns(child, Negation::Refused)),
                "budget" => feature.budget = self.budget(child),
                "requirement" => {
                    let requirement = self.requirement(child);
                    plan.requirements.extend(requirement);
                }
                _ => {}
            }
        }
        plan.feature = Some(feature);
        let bodies = outline.gates.iter().flatten().filter_map(|gate| gate.body).map(Node::span);
        let reach: Vec<Span> = std::iter::once(node.span()).chain(bodies).collect();
        self.lints_in(node, Reach::Feature, Some(&reach));
        let level = self.level(node.name(), node.children());
        let mut gate_levels = Vec::with_capacity(outline.gates.len());
        for gate in &outline.gates {
            for block in gate.iter().flat_map(Stated::blocks) {
                self.lints_in(block, Reach::Gate, gate.as_ref().map(Stated::spans).as_deref());
            }
            let level = gate.as_ref().map(|gate| self.level("gate", gate.children())).unwrap_or_default();
            gate_levels.push(level);
        }
        plan.gates = outline.gates.iter().map(|gate| self.gate(gate.as_ref(), node)).collect();
        let mut defaults: BTreeMap<(GateIx, String), Settings> = BTreeMap::new();
        plan.units.reserve(outline.units.len());
        for (gate, node) in &outline.units {
            let levels = [project, &level, &gate_levels[gate.0 as usize]];
            self.lints_in(*node, Reach::Own, Some(&[node.span()]));
            let unit = if node.name() == "manual" {
                self.manual(*node, *gate)
            } else {
                let kind = node.property("kind").and_then(read::name);
                let defaults = defaults
                    .entry((*gate, kind_or_default(kind)))
                    .or_insert_with(|| defaults_for(&levels, kind));
                self.work(*node, *gate, defaults, &levels)
            };
            self.lints_of_defaults(&levels, &unit);
            plan.units.push(unit);
        }
    }

    fn derived(&mut self, node: Node) -> Option<Derived> {
        let paths = self.patterns(node, Negation::Refused);
        let command = self.check(node).map(|(check, _)| check.command);
        if command.is_none()
            && node.child("run").is_none()
            && node.child("shell").is_none()
            && !node.is_broken()
        {
            let found = Diagnostic::new("missing-argument", node.head(), "`derived` lacks a command")
                .at("`run` or `shell` is missing in its block")
                .help("say how the files are made anew: `derived \"Cargo.lock\" { run cargo update --workspace --offline; }`");
            self.report(found);
        }
        Some(Derived { paths, command: command?, span: node.head() })
    }

    /// A `lint` in `defaults` holds in each unit that the defaults are for.
    fn lints_of_defaults(&mut self, levels: &[&Level], unit: &Unit) {
        let of_this = |kind: &Option<String>| kind.as_ref().is_none_or(|kind| *kind == unit.kind);
        for (_, lints) in levels.iter().flat_map(|level| &level.lints).filter(|(kind, _)| of_this(kind)) {
            for lint in &mut self.lints[lints.clone()] {
                lint.within.get_or_insert_default().push(unit.span);
            }
        }
    }

    fn requirement(&mut self, node: Node) -> Option<Requirement> {
        let (id, span) = self.id(node)?;
        // The second of two requirements with one id was reported; keeping it would shift the numbers.
        if self.requirements.get(&id).is_none_or(|(_, first)| first != span) {
            return None;
        }
        Some(Requirement {
            id: Spanned::new(id, span),
            text: node.argument(1).and_then(read::text).unwrap_or("").to_owned(),
            reference: node.property("ref").and_then(|entry| self.reference(node.file, entry)),
        })
    }

    /// The units that a `needs` or `after` names. The id of a use stands for all units that it made.
    fn units_of(&mut self, node: Node, list: &mut Vec<Spanned<UnitIx>>) {
        for entry in node.arguments() {
            let Some(name) = read::name(entry) else { continue };
            if let Some(made) = self.expansions.get(name) {
                let before: BTreeSet<UnitIx> = list.iter().map(|unit| unit.value).collect();
                let new = made.iter().filter(|unit| !before.contains(unit));
                list.extend(new.map(|unit| Spanned::new(*unit, entry.value_span)));
            } else if let Some(unit) = self.unit(name, entry.value_span)
                && !list.iter().any(|one| one.value == unit)
            {
                list.push(Spanned::new(unit, entry.value_span));
            }
        }
    }

    /// The requirements that a `covers` names.
    fn covers(&mut self, node: Node, list: &mut Vec<Spanned<RequirementIx>>) {
        for entry in node.arguments() {
            let Some(name) = read::name(entry) else { continue };
            match self.requirements.lookup(name) {
                Lookup::Found(requirement) => list.push(Spanned::new(requirement, entry.value_span)),
                Lookup::Unusable => {}
                Lookup::Unknown if self.is_told(name, entry.value_span) => {}
                Lookup::Unknown => {
                    let found = self.requirements.unknown("unknown-requirement", name, entry.value_span);
                    let found = match self.requirements.iter().next() {
                        None => found.help(format!("define it in the feature: `requirement {name} \"...\"`")),
                        Some(_) => found,
                    };
                    self.report(found);
                }
            }
        }
    }

    /// What units and manuals have in common.
    fn unit_base(&mut self, node: Node, gate: GateIx, role: Role, kind: String) -> Unit {
        let id = self.id(node);
        let mut unit = Unit {
            broken: node.is_broken() || id.is_none(),
            id: Spanned::new(id.map_or_else(|| "?".to_owned(), |(id, _)| id), id_span(node)),
            role,
            gate,
            span: node.span(),
            insert_at: node.insert_at(),
            title: node.text_of("title").map(str::to_owned),
            kind,
            goal: None,
            needs: Vec::new(),
            after: Vec::new(),
            inputs: Vec::new(),
            writes: Vec::new(),
            creates: Vec::new(),
            writes_stated: false,
            refs: Vec::new(),
            rules: Vec::new(),
            covers: Vec::new(),
            accept: Vec::new(),
            verify: Vec::new(),
            review: Vec::new(),
            skip: Vec::new(),
            constraints: Vec::new(),
            steps: Vec::new(),
            prompt: Vec::new(),
            shows: Vec::new(),
            stops: Vec::new(),
            handoffs: Vec::new(),
            agent: None,
            model: None,
            effort: None,
            retry: super::command::DEFAULT_RETRY,
            timeout: Timeout::default(),
            budget: Budget::default(),
            labels: Vec::new(),
            priority: None,
            estimate_ms: None,
            was: None,
        };
        for child in node.children() {
            match child.name() {
                "goal" => {
                    let goal =
                        child.argument(0).and_then(|entry| Some((read::text(entry)?, entry.value_span)));
                    unit.goal = unit.goal.or(goal.map(|(text, span)| Spanned::new(text.to_owned(), span)));
                }
                "needs" => self.units_of(child, &mut unit.needs),
                "after" => self.units_of(child, &mut unit.after),
                "covers" => self.covers(child, &mut unit.covers),
                _ => {}
            }
        }
        unit
    }

    fn manual(&mut self, node: Node, gate: GateIx) -> Unit {
        let owner = node.text_of("owner").map(str::to_owned);
        let mut evidence = Vec::new();
        let lists = node.children().filter(|child| child.name() == "evidence");
        for list in lists {
            evidence.extend(self.patterns(list, Negation::Refused));
        }
        let role = Role::Manual { owner, evidence };
        let mut unit = self.unit_base(node, gate, role, schema::MANUAL_KIND.to_owned());
        for child in node.children() {
            match child.name() {
                "ref" => unit.refs.extend(self.references(child)),
                "step" => unit.steps.extend(super::settings::spanned(child)),
                "label" => unit.labels.extend(labels(child)),
                _ => {}
            }
        }
        if !unit.broken && unit.goal.is_none() && unit.steps.is_empty() {
            self.nothing_asked(node, &unit, "`step` or `goal`");
        }
        unit
    }

    fn work(&mut self, node: Node, gate: GateIx, defaults: &Settings, levels: &[&Level]) -> Unit {
        let kind = kind_or_default(node.property("kind").and_then(read::name));
        let mut unit = self.unit_base(node, gate, Role::Work, kind);
        let mut skipped = Skipped::default();
        for child in node.children() {
            match child.name() {
                "writes" => {
                    unit.writes_stated = true;
                    self.add_patterns(child, Negation::Refused, &mut unit.writes);
                }
                "creates" => self.add_patterns(child, Negation::Refused, &mut unit.creates),
                "skip" => {
                    if let Some(skip) = self.skip(child) {
                        let name = &skip.verifier.value;
                        if let Lookup::Found(verifier) = self.verifier_names.lookup(name) {
                            skipped.verifiers.push(verifier);
                        }
                        if let Lookup::Found(reviewer) = self.reviewer_names.lookup(name) {
                            skipped.reviewers.push(reviewer);
                        }
                        unit.skip.push(skip);
                    }
                }
                _ => {}
            }
        }
        let own = self.settings(node);
        let asks = own.accept.is_some() || own.prompt.is_some() || own.steps.is_some() || own.refs.is_some();
        if !unit.broken && unit.goal.is_none() && !asks && node.child("goal").is_none() {
            self.nothing_asked(node, &unit, "`goal`");
        }
        let mut settings = own.over(defaults, &skipped);
        if let Some(verify) = &mut settings.verify {
            self.add_needed(verify, &skipped.verifiers);
        }
        for verification in settings.verify.iter().flatten() {
            self.require_parameters(verification);
        }
        unit.retry = settings.retry_or_default();
        unit.agent = settings.agent;
        unit.model = settings.model;
        unit.effort = settings.effort;
        unit.inputs = settings.inputs.unwrap_or_default();
        unit.refs = settings.refs.unwrap_or_default();
        unit.rules = join_rules(levels, settings.rules.unwrap_or_default());
        unit.accept = settings.accept.unwrap_or_default();
        unit.verify = settings.verify.unwrap_or_default();
        unit.review = settings.review.unwrap_or_default();
        unit.constraints = settings.constraints.unwrap_or_default();
        unit.steps = settings.steps.unwrap_or_default();
        unit.prompt = settings.prompt.unwrap_or_default();
        unit.shows = settings.shows.unwrap_or_default();
        unit.stops = settings.stops.unwrap_or_default();
        unit.handoffs = settings.handoffs.unwrap_or_default();
        unit.labels = settings.labels.unwrap_or_default();
        unit.timeout = settings.timeout.unwrap_or_default();
        unit.budget = settings.budget.unwrap_or_default();
        unit.priority = settings.priority;
        unit.estimate_ms = settings.estimate_ms;
        unit.was = self.former_id(node, &unit);
        unit
    }

    /// The id that `was=` names, if a unit can have had it.
    fn former_id(&mut self, node: Node, unit: &Unit) -> Option<Spanned<String>> {
        let entry = node.property("was")?;
        let (name, span) = (read::name(entry).filter(|name| !name.is_empty())?, entry.value_span);
        let found = |message: String| Diagnostic::new("former-id", span, message);
        if name == unit.id.value {
            let found = found(format!("`was={name}` names the id that the unit has now"))
                .at("the same id")
                .help("leave `was=` out: what landed under this id counts already");
            self.report(found);
            return None;
        }
        if let Some((_, other)) = self.units.get(name) {
            let found =
                found(format!("`{name}` is still in the plan, so `{}` was not called so", unit.id.value))
                    .at("another unit has this id")
                    .label(other, format!("`{name}` stands here"))
                    .help("leave `was=` out; or remove the other unit, if this one takes its place");
            self.report(found);
            return None;
        }
        if let Some(first) = self.former_ids.get(name).copied() {
            let found = found(format!("two units say that they were `{name}`"))
                .at("once more")
                .label(first, "the first one")
                .help("what landed under one id can count for one unit: keep one of the two");
            self.report(found);
            return None;
        }
        self.former_ids.insert(name.to_owned(), span);
        Some(Spanned::new(name.to_owned(), span))
    }

    fn nothing_asked(&mut self, node: Node, unit: &Unit, lacking: &str) {
        let found = Diagnostic::new(
            "missing-argument",
            node.head(),
            format!("the {} `{}` does not say what to do", node.name(), unit.id.value),
        )
        .at(format!("{lacking} is missing in its block"))
        .help("say in `goal \"...\"` what is true when the work is done");
        self.report(found);
    }
}

/// The words of a `label`.
pub(super) fn labels(node: Node) -> impl Iterator<Item = String> {
    node.arguments().filter_map(read::name).map(str::to_owned)
}
