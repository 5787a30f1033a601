//! Reviewers, and where the plan asks for them.
//!
//! Does not know which unit a review ends up in; `settings` puts reviews together.

use super::Lowering;
use super::command::count;
use super::definitions::id_span;
use crate::diagnostic::Diagnostic;
use crate::plan::model::{Blocks, Review, ReviewPolicy, Reviewer, ReviewerIx};
use crate::plan::names::Lookup;
use crate::plan::read::{self, Node};
use crate::source::{Span, Spanned};

impl Lowering<'_> {
    pub(super) fn reviewer_definition(&mut self, name: &str, node: Node) -> Reviewer {
        let agent = node.property("agent").and_then(|entry| {
            let agent = self.agent(read::name(entry)?, entry.value_span)?;
            Some(Spanned::new(agent, entry.value_span))
        });
        let blocks = match node.text_of("blocks") {
            Some("none") => Blocks::Never,
            Some("minor") => Blocks::Minor,
            Some("critical") => Blocks::Critical,
            _ => Blocks::Major,
        };
        let prompts = node.children().filter(|child| child.name() == "prompt");
        let prompt = prompts.filter_map(|child| self.prompt(child)).collect();
        Reviewer { id: Spanned::new(name.to_owned(), id_span(node)), agent, blocks, prompt }
    }

    /// The reviews that the `review` nodes of one block ask for. A reviewer may stand there once.
    pub(super) fn reviews<'f>(&mut self, nodes: impl Iterator<Item = Node<'f>>) -> Vec<Review> {
        let mut all: Vec<Review> = Vec::new();
        for node in nodes {
            let mut review = self.review(node);
            review.reviewers.retain(|reviewer| {
                let mut before = all.iter().flat_map(|review| &review.reviewers);
                let Some(first) = before.find(|before| before.value == reviewer.value) else { return true };
                let id = &self.reviewers[reviewer.value.0 as usize].id.value;
                let found = Diagnostic::new(
                    "duplicate-node",
                    reviewer.span,
                    format!("`review {id}` stands twice in one block"),
                )
                .at("once more")
                .label(first.span, "the first one")
                .help("keep one of the two: a reviewer judges a result once");
                self.diagnostics.push(found);
                false
            });
            if !review.reviewers.is_empty() {
                all.push(review);
            }
        }
        all
    }

    fn review(&mut self, node: Node) -> Review {
        let mut reviewers: Vec<Spanned<ReviewerIx>> = Vec::new();
        for entry in node.arguments() {
            let Some(name) = read::name(entry) else { continue };
            reviewers.extend(
                self.reviewer(name, entry.value_span).map(|found| Spanned::new(found, entry.value_span)),
            );
        }
        reviewers.sort_by_key(|reviewer| reviewer.value);
        reviewers.dedup_by_key(|reviewer| reviewer.value);
        let policy = match node.text_of("policy") {
            Some("any") => ReviewPolicy::Any,
            Some("advisory") => ReviewPolicy::Advisory,
            _ => ReviewPolicy::All,
        };
        let rounds = node.property("rounds");
        if let (ReviewPolicy::Advisory, Some(rounds)) = (policy, rounds) {
            let found = Diagnostic::new(
                "contradictory-settings",
                rounds.span,
                "an advisory review rejects nothing, so it has no rounds",
            )
            .at("has no effect")
            .help("leave out `rounds=`, or `policy=advisory`");
            self.report(found);
        }
        let rounds = rounds.and_then(count).and_then(|rounds| u32::try_from(rounds).ok());
        Review { reviewers, rounds, policy, span: node.head() }
    }

    /// The reviewer called `name`.
    pub(super) fn reviewer(&mut self, name: &str, span: Span) -> Option<ReviewerIx> {
        match self.reviewer_names.lookup(name) {
            Lookup::Found(reviewer) => {
                self.used_reviewers.insert(reviewer);
                return Some(reviewer);
            }
            Lookup::Unusable => return None,
            Lookup::Unknown if self.is_told(name, span) => return None,
            Lookup::Unknown => {}
        }
        let found = match self.verifier_names.get(name) {
            Some((_, verifier)) => Diagnostic::new(
                "unknown-reviewer",
                span,
                format!("`{name}` is a verifier, and `review` asks reviewers"),
            )
            .at("the name of a verifier")
            .label(verifier, "the verifier")
            .help(format!("write `verify {name}`")),
            None => {
                let found = self.reviewer_names.unknown("unknown-reviewer", name, span);
                match self.reviewer_names.iter().next() {
                    Some(_) => found,
                    None => {
                        found.help(format!("define it in loop.kdl: `reviewer {name} {{ prompt \"...\"; }}`"))
                    }
                }
            }
        };
        self.report(found);
        None
    }
}
