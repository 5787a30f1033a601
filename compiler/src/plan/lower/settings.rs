//! What `defaults` and units have in common, and how the levels of it are put together.
//!
//! Does not know gates or features; it is given the levels, the nearest first.

use std::collections::BTreeMap;

use super::command::{DEFAULT_RETRY, count, duration};
use super::paths::Negation;
use super::{Level, Lowering, kind_or_default};
use crate::diagnostic::Diagnostic;
use crate::glob::Pattern;
use crate::plan::model::*;
use crate::plan::read::{self, Node};
use crate::source::{Span, Spanned};

/// What one block says. `None`: the node is not there, so a block further out may say it.
#[derive(Clone, Debug, Default)]
pub(in crate::plan) struct Settings {
    pub(super) agent: Option<Spanned<AgentIx>>,
    pub(super) agent_stated: bool,
    pub(super) model: Option<String>,
    pub(super) effort: Option<String>,
    pub(super) inputs: Option<Vec<Spanned<Pattern>>>,
    pub(super) refs: Option<Vec<Reference>>,
    pub(super) rules: Option<Vec<Reference>>,
    pub(super) accept: Option<Vec<Criterion>>,
    pub(super) verify: Option<Vec<Verification>>,
    pub(super) review: Option<Vec<Review>>,
    pub(super) constraints: Option<Vec<String>>,
    pub(super) steps: Option<Vec<Spanned<String>>>,
    pub(super) prompt: Option<Vec<PromptPart>>,
    pub(super) shows: Option<Vec<Show>>,
    pub(super) stops: Option<Vec<Stop>>,
    pub(super) handoffs: Option<Vec<String>>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) retry: Option<Retry>,
    pub(super) timeout: Option<Timeout>,
    pub(super) budget: Option<Budget>,
    pub(super) priority: Option<u32>,
    pub(super) estimate_ms: Option<u64>,
}

impl Settings {
    /// Takes from `outer` whatever is not said here.
    fn or(&mut self, outer: &Settings) {
        fn fill<T: Clone>(here: &mut Option<T>, outer: &Option<T>) {
            if here.is_none() {
                here.clone_from(outer);
            }
        }
        if !self.agent_stated {
            self.agent = outer.agent;
            self.agent_stated = outer.agent_stated;
        }
        fill(&mut self.model, &outer.model);
        fill(&mut self.effort, &outer.effort);
        fill(&mut self.inputs, &outer.inputs);
        fill(&mut self.refs, &outer.refs);
        fill(&mut self.rules, &outer.rules);
        fill(&mut self.accept, &outer.accept);
        fill(&mut self.verify, &outer.verify);
        fill(&mut self.review, &outer.review);
        fill(&mut self.constraints, &outer.constraints);
        fill(&mut self.steps, &outer.steps);
        fill(&mut self.prompt, &outer.prompt);
        fill(&mut self.shows, &outer.shows);
        fill(&mut self.stops, &outer.stops);
        fill(&mut self.handoffs, &outer.handoffs);
        fill(&mut self.labels, &outer.labels);
        fill(&mut self.retry, &outer.retry);
        fill(&mut self.timeout, &outer.timeout);
        fill(&mut self.budget, &outer.budget);
        fill(&mut self.priority, &outer.priority);
        fill(&mut self.estimate_ms, &outer.estimate_ms);
    }

    /// A unit's own settings over the defaults: `verify`, `review` and `rules` add, everything else replaces.
    pub(super) fn over(mut self, defaults: &Settings, skip: &Skipped) -> Settings {
        // Own uses come before inherited ones, and those before what criteria ask for: the first of a verifier counts.
        let mut verify = self.verify.take().unwrap_or_default();
        let inherited = defaults.verify.iter().flatten();
        verify.extend(inherited.filter(|one| !skip.verifiers.contains(&one.verifier)).cloned());
        let mut review = self.review.take().unwrap_or_default();
        let own: Vec<ReviewerIx> = reviewers_of(&review).collect();
        for mut inherited in defaults.review.iter().flatten().cloned() {
            inherited
                .reviewers
                .retain(|one| !own.contains(&one.value) && !skip.reviewers.contains(&one.value));
            if !inherited.reviewers.is_empty() {
                review.push(inherited);
            }
        }
        let mut rules = defaults.rules.clone().unwrap_or_default();
        rules.extend(self.rules.take().into_iter().flatten());
        self.or(defaults);
        for criterion in self.accept.iter().flatten() {
            for by in &criterion.by {
                match *by {
                    By::Verifier(verifier) => verify.push(Verification {
                        verifier,
                        arguments: Vec::new(),
                        expect_fail: false,
                        span: criterion.span,
                    }),
                    By::Reviewer(reviewer) => asked_for_by(&mut review, reviewer, criterion.span),
                    By::Manual(_) => {}
                }
            }
        }
        self.review = Some(review);
        verify.sort_by_key(|one| one.verifier);
        verify.dedup_by_key(|one| one.verifier);
        self.verify = Some(verify);
        self.rules = Some(rules);
        self
    }

    pub(super) fn retry_or_default(&self) -> Retry {
        self.retry.clone().unwrap_or(DEFAULT_RETRY)
    }
}

/// What the `skip` nodes of a unit take out of its defaults.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    pub(super) verifiers: Vec<VerifierIx>,
    pub(super) reviewers: Vec<ReviewerIx>,
}

pub(super) fn reviewers_of(reviews: &[Review]) -> impl Iterator<Item = ReviewerIx> {
    reviews.iter().flat_map(|review| &review.reviewers).map(|reviewer| reviewer.value)
}

/// A criterion that names a reviewer asks for its review, unless one is asked for anyhow.
pub(super) fn asked_for_by(reviews: &mut Vec<Review>, reviewer: ReviewerIx, span: Span) {
    if !reviewers_of(reviews).any(|one| one == reviewer) {
        let reviewers = vec![Spanned::new(reviewer, span)];
        reviews.push(Review { reviewers, rounds: None, policy: ReviewPolicy::All, span });
    }
}

/// The defaults for units of one kind. Levels from the outermost to the nearest.
pub(super) fn defaults_for(levels: &[&Level], kind: Option<&str>) -> Settings {
    let kind = Some(kind_or_default(kind));
    let mut settings = Settings::default();
    for level in levels.iter().rev() {
        for block in [level.defaults.get(&kind), level.defaults.get(&None)].into_iter().flatten() {
            settings.or(block);
        }
    }
    settings
}

/// Joins files of rules from the outside in, each once.
pub(super) fn join_rules(levels: &[&Level], own: Vec<Reference>) -> Vec<Reference> {
    let mut all: Vec<Reference> = Vec::new();
    for rule in levels.iter().flat_map(|level| level.rules.iter().cloned()).chain(own) {
        if !all.iter().any(|before| before.path == rule.path && before.heading == rule.heading) {
            all.push(rule);
        }
    }
    all
}

impl Lowering<'_> {
    /// Reads what a unit and a `defaults` block may both say.
    pub(super) fn settings(&mut self, node: Node) -> Settings {
        let agent = node.property("agent");
        let mut settings = Settings {
            agent: agent.and_then(|entry| {
                let agent = self.agent(read::name(entry)?, entry.value_span)?;
                Some(Spanned::new(agent, entry.value_span))
            }),
            agent_stated: agent.is_some(),
            model: node.text_of("model").map(str::to_owned),
            effort: node.text_of("effort").map(str::to_owned),
            priority: node.property("priority").and_then(count).and_then(|number| u32::try_from(number).ok()),
            estimate_ms: node.property("estimate").and_then(duration),
            ..Settings::default()
        };
        let (mut verifies, mut reviewed) = (false, false);
        for child in node.children() {
            match child.name() {
                "inputs" => {
                    let inputs = settings.inputs.get_or_insert_default();
                    self.add_patterns(child, Negation::Allowed, inputs);
                }
                "ref" => add(&mut settings.refs, self.references(child)),
                "rules" => add(&mut settings.rules, self.references(child)),
                "accept" => {
                    let criterion = self.criterion(child);
                    let accepts = |child: &Node| child.name() == "accept";
                    let all = || Vec::with_capacity(node.children().filter(accepts).count());
                    settings.accept.get_or_insert_with(all).push(criterion);
                }
                "verify" => verifies = true,
                "review" => reviewed = true,
                "constraint" => add(&mut settings.constraints, child.text().map(str::to_owned)),
                "step" => add(&mut settings.steps, spanned(child)),
                "prompt" => add(&mut settings.prompt, self.prompt(child)),
                "show" => add(&mut settings.shows, self.show(child)),
                "handoff" => add(&mut settings.handoffs, child.text().map(str::to_owned)),
                "stop" => {
                    let stop = self.stop(child);
                    add(&mut settings.stops, [stop]);
                }
                "label" => {
                    add(&mut settings.labels, child.arguments().filter_map(read::name).map(str::to_owned))
                }
                "retry" => {
                    let retry = self.retry(child);
                    settings.retry.get_or_insert(retry);
                }
                "timeout" => {
                    let timeout = self.timeout(child);
                    settings.timeout.get_or_insert(timeout);
                }
                "budget" => {
                    let budget = self.budget(child);
                    settings.budget.get_or_insert(budget);
                }
                _ => {}
            }
        }
        if reviewed {
            let nodes = node.children().filter(|child| child.name() == "review");
            settings.review = Some(self.reviews(nodes));
        }
        if verifies {
            let nodes = node.children().filter(|child| child.name() == "verify");
            settings.verify = Some(self.verifications(nodes));
        }
        settings
    }

    /// The `rules` and `defaults` of a project, feature or gate.
    /// `of` is what the block is of: its node's name.
    pub(super) fn level<'f>(&mut self, of: &str, nodes: impl Iterator<Item = Node<'f>>) -> Level {
        let mut level = Level::default();
        let mut places: BTreeMap<Option<String>, Span> = BTreeMap::new();
        for child in nodes {
            match child.name() {
                "rules" => level.rules.extend(self.references(child)),
                "defaults" => {
                    let settings = self.settings(child);
                    let kind = child.property("kind").and_then(read::name).map(str::to_owned);
                    let reach = match (of, kind.is_some()) {
                        ("gate", true) => Reach::GateKind,
                        ("gate", false) => Reach::GateDefaults,
                        ("feature", true) => Reach::FeatureKind,
                        ("feature", false) => Reach::FeatureDefaults,
                        (_, true) => Reach::ProjectKind,
                        (_, false) => Reach::ProjectDefaults,
                    };
                    let lints = self.lints_in(child, reach, Some(&[child.span()]));
                    if !lints.is_empty() {
                        level.lints.push((kind.clone(), lints));
                    }
                    match places.get(&kind) {
                        None => {
                            places.insert(kind.clone(), child.head());
                            level.defaults.insert(kind, settings);
                        }
                        Some(first) => {
                            let of = match &kind {
                                Some(kind) => format!("`defaults kind={kind}`"),
                                None => "`defaults`".to_owned(),
                            };
                            let found = Diagnostic::new(
                                "duplicate-node",
                                child.head(),
                                format!("{of} stands twice in one block"),
                            )
                            .at("once more")
                            .label(*first, "the first one")
                            .help("put both into one block");
                            self.report(found);
                        }
                    }
                }
                _ => {}
            }
        }
        level
    }
}

/// The node's text, and where it stands.
pub(super) fn spanned(node: Node) -> Option<Spanned<String>> {
    let entry = node.argument(0)?;
    Some(Spanned::new(read::text(entry)?.to_owned(), entry.value_span))
}

fn add<T>(list: &mut Option<Vec<T>>, more: impl IntoIterator<Item = T>) {
    list.get_or_insert_default().extend(more);
}
