//! Acceptance criteria, predicates and reasons to stop.
//!
//! Does not know whether every criterion is checked; that is for `check`.

use super::Lowering;
use super::paths::Negation;
use crate::diagnostic::Diagnostic;
use crate::glob::Pattern;
use crate::plan::model::{By, Criterion, Predicate, PredicateKind, Show, Stop};
use crate::plan::names::Lookup;
use crate::plan::read::{self, Node};
use crate::syntax::Entry;

impl Lowering<'_> {
    pub(super) fn criterion(&mut self, node: Node) -> Criterion {
        let by = node.property("by");
        let predicates = self.predicates(node);
        if by.is_none()
            && node.has_block()
            && node.file.document.children(node.id).next().is_none()
            && !node.is_broken()
        {
            let found = Diagnostic::new(
                "missing-argument",
                node.name_span(),
                "the block of `accept` checks nothing",
            )
            .at("its block is empty")
            .help(
                "write predicates into it (`exists`, `missing`, `matches`, `changed`, `unchanged`, `run`), \
                     or name a verifier with `by=`",
            );
            self.report(found);
        }
        Criterion {
            text: node.text().unwrap_or("").to_owned(),
            by: by.and_then(|entry| self.by(entry)).into_iter().collect(),
            predicates,
            red_before: node
                .property("before")
                .filter(|entry| read::text(entry) == Some("fail"))
                .map(|entry| entry.span),
            check_stated: by.is_some() || node.has_block(),
            span: node.head(),
        }
    }

    /// What `by=` names: a verifier, a reviewer or a manual.
    fn by(&mut self, entry: &Entry) -> Option<By> {
        let name = read::name(entry)?;
        let span = entry.value_span;
        let verifier = self.verifier_names.get(name);
        let verifier = verifier.map(|(verifier, span)| (verifier.map(By::Verifier), span));
        let reviewer = self.reviewer_names.get(name);
        let verifier = verifier.or(reviewer.map(|(reviewer, span)| (reviewer.map(By::Reviewer), span)));
        match (verifier, self.units.lookup(name)) {
            (Some((_, defined)), Lookup::Found(unit)) if self.manuals[unit.0 as usize] => {
                let manual = self.units.get(name).map_or(span, |(_, at)| at);
                let found = Diagnostic::new(
                    "duplicate-id",
                    span,
                    format!("`{name}` judges results, and is a manual too"),
                )
                .at("which of the two?")
                .label(defined, "this judges")
                .label(manual, "the manual")
                .help("give one of them another name");
                self.report(found);
                None
            }
            (Some((judge, _)), _) => {
                match judge {
                    Some(By::Verifier(verifier)) => _ = self.used_verifiers.insert(verifier),
                    Some(By::Reviewer(reviewer)) => _ = self.used_reviewers.insert(reviewer),
                    Some(By::Manual(_)) | None => {}
                }
                judge
            }
            (None, Lookup::Found(unit)) if self.manuals[unit.0 as usize] => Some(By::Manual(unit)),
            (None, Lookup::Found(_)) => {
                let unit = self.units.get(name).map_or(span, |(_, at)| at);
                let found = Diagnostic::new(
                    "unknown-verifier",
                    span,
                    format!("`{name}` is a unit, and units do not judge"),
                )
                .at("neither a verifier, a reviewer nor a manual")
                .label(unit, "the unit")
                .help("`by=` names a verifier, a reviewer or a `manual`");
                self.report(found);
                None
            }
            (None, Lookup::Unusable) => None,
            (None, Lookup::Unknown) if self.is_lost(name) => None,
            (None, Lookup::Unknown) if self.expansions.contains_key(name) => {
                let found = Diagnostic::new(
                    "unknown-verifier",
                    span,
                    format!("`{name}` is all that a `use` made, and only one thing can judge"),
                )
                .at("neither a verifier nor a manual")
                .help(format!("name one of its manuals: `\"{name}/...\"`"));
                self.report(found);
                None
            }
            (None, Lookup::Unknown) => self.verifier(name, span).map(By::Verifier),
        }
    }

    pub(super) fn stop(&mut self, node: Node) -> Stop {
        let predicates = self.predicates(node);
        Stop {
            text: node.text().unwrap_or("").to_owned(),
            at_start: node.text_of("at") == Some("start"),
            predicates,
            span: node.head(),
        }
    }

    /// A command whose output the prompt shows; `None` if there is none, which is reported.
    pub(super) fn show(&mut self, node: Node) -> Option<Show> {
        let text = node.text().unwrap_or("").to_owned();
        let Some((check, span)) = self.check(node) else {
            let named = node.children().any(|child| matches!(child.name(), "run" | "shell"));
            if !named && !node.is_broken() {
                let found = Diagnostic::new("missing-argument", node.head(), "`show` lacks a command")
                    .at("the output of what?")
                    .help("add `run` or `shell` to its block: `{ run git log --oneline \"-20\"; }`");
                self.report(found);
            }
            return None;
        };
        Some(Show { text, command: check.command, span })
    }

    /// The predicates of a block, the command last.
    pub(super) fn predicates(&mut self, node: Node) -> Vec<Predicate> {
        // There are many blocks with one predicate each: a list that grows by itself is four long.
        let mut predicates = Vec::with_capacity(node.children().count());
        for child in node.children() {
            let kind = match child.name() {
                "exists" => PredicateKind::Exists(self.bare_patterns(child)),
                "missing" => PredicateKind::Missing(self.bare_patterns(child)),
                "changed" => PredicateKind::Changed(self.bare_patterns(child)),
                "unchanged" => PredicateKind::Unchanged(self.bare_patterns(child)),
                "matches" => {
                    let path = child.argument(0).and_then(|entry| self.path(child.file, entry));
                    let regex = child.argument(1).and_then(|entry| self.regex(entry));
                    match (path, regex) {
                        (Some(path), Some(regex)) => PredicateKind::Matches(path, regex),
                        _ => continue,
                    }
                }
                _ => continue,
            };
            let nothing = matches!(
                &kind,
                PredicateKind::Exists(all) | PredicateKind::Missing(all) | PredicateKind::Changed(all) | PredicateKind::Unchanged(all)
                    if all.is_empty()
            );
            if !nothing {
                predicates.push(Predicate { kind, span: child.span() });
            }
        }
        if let Some((check, span)) = self.check(node) {
            predicates.push(Predicate { kind: PredicateKind::Command(check), span });
        }
        predicates
    }

    fn bare_patterns(&mut self, node: Node) -> Vec<Pattern> {
        self.patterns(node, Negation::Refused).into_iter().map(|pattern| pattern.value).collect()
    }
}
