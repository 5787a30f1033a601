//! Gates: what stands in their block, in the plan or in a file of their own, and who lets the work pass.
//!
//! Does not know whether the order of gates makes sense.

use super::Lowering;
use super::command::{DEFAULT_RETRY, count};
use super::definitions::id_span;
use super::feature::{IMPLIED_GATE, labels};
use super::settings::asked_for_by;
use crate::diagnostic::Diagnostic;
use crate::plan::import::Loaded;
use crate::plan::model::*;
use crate::plan::names::Lookup;
use crate::plan::read::{self, Node};
use crate::plan::values;
use crate::source::{Span, Spanned};

/// A gate as the plan names it, and what stands in its file.
#[derive(Clone)]
pub(super) struct Stated<'f> {
    pub(super) node: Node<'f>,
    /// The `gate` at the top of the file that the plan's gate names.
    pub(super) body: Option<Node<'f>>,
    draft: Option<Draft>,
}

impl<'f> Stated<'f> {
    pub(super) fn children(&self) -> impl Iterator<Item = Node<'f>> + use<'f> {
        self.node.children().chain(self.body.into_iter().flat_map(Node::children))
    }

    /// The block in the plan, and the one in the gate's file.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Node<'f>> + use<'f> {
        std::iter::once(self.node).chain(self.body)
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.blocks().map(Node::span).collect()
    }

    /// The first text of a property, of the plan's gate before that of the file's.
    fn text_of(&self, property: &str) -> Option<String> {
        let text = self.node.text_of(property).or_else(|| self.body?.text_of(property));
        text.map(str::to_owned)
    }
}

/// What stands once in a gate.
const ONCE: [&str; 4] = ["goal", "budget", "repair", "approve"];

impl Lowering<'_> {
    /// A `gate` of the plan together with its file.
    pub(super) fn stated<'f>(&mut self, node: Node<'f>, loaded: &'f Loaded) -> Stated<'f> {
        let file = node.property("file").and_then(|entry| loaded.gates.get(&entry.value_span));
        let body = file.and_then(|file| loaded.files[file.file?].roots().find(|root| root.name() == "gate"));
        let draft = match file {
            Some(file) => file.draft.then(|| Draft { file: Some(file.path.clone()) }),
            None if node.property("file").is_some() => None,
            None => (node.text_of("state") == Some("draft")).then_some(Draft { file: None }),
        };
        let stated = Stated { node, body, draft };
        self.work_elsewhere(&stated);
        self.said_twice(&stated);
        stated
    }

    /// A draft has no units, and a gate with a file has them there.
    fn work_elsewhere(&mut self, stated: &Stated) {
        let elsewhere = stated.node.property("file");
        if stated.draft.is_none() && elsewhere.is_none() {
            return;
        }
        let mut work =
            stated.node.children().filter(|child| matches!(child.name(), "unit" | "manual" | "use"));
        let Some(first) = work.next() else { return };
        let name = self.id(stated.node).map_or_else(|| "?".to_owned(), |(id, _)| id);
        let found = match elsewhere {
            Some(file) => Diagnostic::new(
                "draft-with-units",
                first.head(),
                format!("the units of gate `{name}` stand in a file of their own, and this one does not"),
            )
            .at("in the plan")
            .label(file.span, "the gate's file")
            .help("move it into that file, or leave `file=` out"),
            None => Diagnostic::new(
                "draft-with-units",
                first.head(),
                format!("the gate `{name}` is a draft, and has units"),
            )
            .at("of a draft nothing runs")
            .label(stated.node.head(), "a draft")
            .help("remove `state=draft`: the gate's units are written"),
        };
        self.report(found);
    }

    fn said_twice(&mut self, stated: &Stated) {
        let Some(body) = stated.body else { return };
        let nodes = ONCE.into_iter().filter_map(|name| {
            Some((format!("`{name}`"), stated.node.child(name)?.name_span(), body.child(name)?.name_span()))
        });
        let properties = ["title", "milestone"].into_iter().filter_map(|name| {
            Some((format!("`{name}=`"), stated.node.property(name)?.span, body.property(name)?.span))
        });
        let found: Vec<Diagnostic> = nodes
            .chain(properties)
            .map(|(what, first, second)| {
                let message = format!("{what} stands in the plan and in the gate's file");
                Diagnostic::new("duplicate-node", second, message)
                    .at("once more")
                    .label(first, "the first one")
                    .help("keep one of the two")
            })
            .collect();
        self.diagnostics.extend(found);
    }

    pub(super) fn gate(&mut self, stated: Option<&Stated>, feature: Node) -> Gate {
        let Some(stated) = stated else {
            return Gate {
                id: Spanned::new(IMPLIED_GATE.to_owned(), id_span(feature)),
                implied: true,
                title: None,
                goal: None,
                needs: Vec::new(),
                needs_stated: false,
                verify: Vec::new(),
                review: Vec::new(),
                accept: Vec::new(),
                budget: Budget::default(),
                approve: Approve::Auto(Bounds::default()),
                draft: None,
                repair: None,
                milestone: None,
                labels: Vec::new(),
                span: id_span(feature),
            };
        };
        let node = stated.node;
        let goal = stated.children().find(|child| child.name() == "goal").and_then(Node::text);
        let mut gate = Gate {
            id: Spanned::new(self.id(node).map_or_else(|| "?".to_owned(), |(id, _)| id), id_span(node)),
            implied: false,
            title: stated.text_of("title"),
            goal: goal.map(str::to_owned),
            needs: Vec::new(),
            needs_stated: false,
            verify: Vec::new(),
            review: Vec::new(),
            accept: Vec::new(),
            budget: Budget::default(),
            approve: Approve::Human,
            draft: stated.draft.clone(),
            repair: None,
            milestone: stated.text_of("milestone"),
            labels: Vec::new(),
            span: node.head(),
        };
        for child in stated.children() {
            match child.name() {
                "needs" => {
                    gate.needs_stated = true;
                    let needs = self.gate_needs(child);
                    gate.needs.extend(needs);
                }
                "accept" => {
                    let criterion = self.criterion(child);
                    gate.accept.push(criterion);
                }
                "budget" => gate.budget = self.budget(child),
                "approve" => gate.approve = self.approve(child),
                "repair" => gate.repair = Some(self.repair(child)),
                "label" => gate.labels.extend(labels(child)),
                _ => {}
            }
        }
        gate.verify = self.verifications(stated.children().filter(|child| child.name() == "verify"));
        self.add_needed(&mut gate.verify, &[]);
        gate.verify.sort_by_key(|verification| verification.verifier);
        gate.review = self.reviews(stated.children().filter(|child| child.name() == "review"));
        for criterion in &gate.accept {
            for by in &criterion.by {
                if let By::Reviewer(reviewer) = *by {
                    asked_for_by(&mut gate.review, reviewer, criterion.span);
                }
            }
        }
        for verification in &gate.verify {
            self.require_parameters(verification);
        }
        gate
    }

    fn approve(&mut self, node: Node) -> Approve {
        let auto = node.text_of("by") == Some("auto");
        let most = node.property("max-usd");
        let bounds = Bounds {
            micro_usd: most.and_then(|entry| values::money(&entry.value).ok()),
            attempts: node.property("max-attempts").and_then(count).and_then(|most| u32::try_from(most).ok()),
            span: most.map(|entry| entry.span),
        };
        if auto {
            return Approve::Auto(bounds);
        }
        let bound =
            ["max-usd", "max-attempts"].into_iter().find_map(|name| Some((name, node.property(name)?)));
        if let Some((name, entry)) = bound.filter(|_| node.text_of("by") == Some("human")) {
            let found = Diagnostic::new(
                "unknown-property",
                entry.span,
                format!("`{name}=` bounds what passes without a person, and here a person decides"),
            )
            .at("bounds nothing")
            .help("write `by=auto` for a gate that passes by itself within these bounds, or leave the bound out");
            self.report(found);
        }
        Approve::Human
    }

    fn repair(&mut self, node: Node) -> Repair {
        self.needs_a_property(node, "attempts=2 usd=4.0");
        let attempts = node.property("attempts").and_then(count);
        Repair {
            attempts: attempts.and_then(|most| u32::try_from(most).ok()).unwrap_or(DEFAULT_RETRY.attempts),
            micro_usd: node.property("usd").and_then(|entry| values::money(&entry.value).ok()),
            span: node.span(),
        }
    }

    fn gate_needs(&mut self, node: Node) -> Vec<Spanned<GateIx>> {
        let mut needs = Vec::new();
        for entry in node.arguments() {
            let Some(name) = read::name(entry) else { continue };
            let span = entry.value_span;
            match self.gates.lookup(name) {
                Lookup::Found(gate) => needs.push(Spanned::new(gate, span)),
                Lookup::Unusable => {}
                Lookup::Unknown if self.is_told(name, span) => {}
                Lookup::Unknown => {
                    let found = match self.units.get(name) {
                        Some((_, unit)) => Diagnostic::new(
                            "unknown-unit",
                            span,
                            format!("`{name}` is a unit, and a gate waits for gates"),
                        )
                        .at("the name of a unit")
                        .label(unit, "the unit")
                        .help("name the gate that the unit stands in"),
                        None => self.gates.unknown("unknown-unit", name, span),
                    };
                    self.report(found);
                }
            }
        }
        needs
    }
}
