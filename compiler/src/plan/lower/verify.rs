//! Uses of verifiers: names and parameters.
//!
//! Does not know which unit a use ends up in; `settings` puts uses together.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::Lowering;
use crate::diagnostic::{Applicability, Diagnostic};
use crate::plan::model::{Param, ParamKind, Skip, Verification, VerifierIx};
use crate::plan::names::Lookup;
use crate::plan::params;
use crate::plan::read::{self, Node};
use crate::source::{Span, Spanned};
use crate::syntax::Entry;

impl Lowering<'_> {
    /// The uses that the `verify` nodes of one block name. A verifier may stand there once.
    pub(super) fn verifications<'f>(&mut self, nodes: impl Iterator<Item = Node<'f>>) -> Vec<Verification> {
        let mut all: Vec<Verification> = Vec::new();
        for node in nodes {
            for verification in self.verify(node) {
                match all.iter().find(|before| before.verifier == verification.verifier) {
                    None => all.push(verification),
                    Some(first) => {
                        let id = self.verifiers[verification.verifier.0 as usize].id.value.clone();
                        let found = Diagnostic::new(
                            "duplicate-node",
                            verification.span,
                            format!("`verify {id}` stands twice in one block"),
                        )
                        .at("once more")
                        .label(first.span, "the first one")
                        .help("keep one of the two: a verifier runs once for a unit");
                        self.report(found);
                    }
                }
            }
        }
        all
    }

    fn verify(&mut self, node: Node) -> Vec<Verification> {
        let names: Vec<&Entry> = node.arguments().collect();
        let parameters: Vec<&Entry> = node
            .entries()
            .iter()
            .filter(|entry| entry.key.as_ref().is_some_and(|key| &*key.name != "expect"))
            .collect();
        let first_parameter = parameters.first().map(|entry| entry.span);
        let first_parameter = first_parameter.or_else(|| node.children().next().map(Node::span));
        if let (Some(span), [_, .., last]) = (first_parameter, names.as_slice()) {
            let found = Diagnostic::new(
                "too-many-arguments",
                span,
                "a parameter belongs to one verifier, and several are named",
            )
            .at("for which of them?")
            .label(names[0].span.to(last.span), "several verifiers")
            .help("write a `verify` of its own for the verifier that takes the parameter");
            self.report(found);
            return names.iter().filter_map(|entry| self.plain_use(entry)).collect();
        }
        let expect_fail = node.text_of("expect") == Some("fail");
        let mut uses: Vec<Verification> = names.iter().filter_map(|entry| self.plain_use(entry)).collect();
        for verification in &mut uses {
            verification.expect_fail = expect_fail;
            verification.arguments = self.arguments(verification.verifier, node, &parameters);
        }
        uses
    }

    fn plain_use(&mut self, entry: &Entry) -> Option<Verification> {
        let name = read::name(entry)?;
        let verifier = self.verifier(name, entry.value_span)?;
        Some(Verification { verifier, arguments: Vec::new(), expect_fail: false, span: entry.value_span })
    }

    /// The parameters given in one use, checked against the definition, by name.
    fn arguments(
        &mut self,
        verifier: VerifierIx,
        node: Node,
        properties: &[&Entry],
    ) -> Vec<(String, Vec<String>)> {
        let mut given: Vec<(String, Vec<String>, Span)> = Vec::new();
        let directory = self.directory(node.file, node.name_span()).to_owned();
        let directory = directory.as_path();
        for entry in properties {
            let Some(key) = &entry.key else { continue };
            let Some(param) = self.param(verifier, &key.name, key.span) else { continue };
            if let Some(value) = self.param_value(&param, entry, directory) {
                given.push((param.name, vec![value], entry.span));
            }
        }
        for child in node.children() {
            let name = &*node.file.document.node(child.id).name;
            let Some(param) = self.param(verifier, name, child.name_span()) else { continue };
            if param.kind != ParamKind::List {
                let found = Diagnostic::new(
                    "wrong-type",
                    child.name_span(),
                    format!("the parameter `{name}` takes one value"),
                )
                .at("written as a list")
                .help(format!("write it as a property: `{name}=...`"));
                self.report(found);
                continue;
            }
            let values =
                child.arguments().filter_map(|entry| self.param_value(&param, entry, directory)).collect();
            given.push((param.name, values, child.span()));
        }
        given.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
        for pair in given.windows(2) {
            let [(name, _, first), (other, _, second)] = pair else { continue };
            // A property that stands twice was reported with its node.
            if name == other && node.children().any(|child| child.span() == *second || child.span() == *first)
            {
                let found = Diagnostic::new(
                    "duplicate-node",
                    *second,
                    format!("the parameter `{name}` is given twice"),
                )
                .at("once more")
                .label(*first, "the first one")
                .help("keep one of the two");
                self.diagnostics.push(found);
            }
        }
        given.dedup_by(|b, a| a.0 == b.0);
        given.into_iter().map(|(name, values, _)| (name, values)).collect()
    }

    fn param(&mut self, verifier: VerifierIx, name: &str, span: Span) -> Option<Param> {
        let at = verifier.0 as usize;
        let definition = &self.verifiers[at];
        if let Some(param) = definition.params.iter().find(|param| param.name == name) {
            return Some(param.clone());
        }
        let found = params::unknown(
            "verifier",
            &definition.id,
            &definition.params,
            &self.param_spans[at],
            Spanned::new(name, span),
        );
        self.report(found);
        None
    }

    /// One value of a parameter, as it goes into the command.
    fn param_value(&mut self, param: &Param, entry: &Entry, directory: &Utf8Path) -> Option<String> {
        match params::value(param, entry, directory, self.map) {
            Ok(value) => Some(value),
            Err(found) => {
                self.diagnostics.extend(found.map(|found| *found));
                None
            }
        }
    }

    /// Reports the parameters that a use must give and does not.
    pub(super) fn require_parameters(&mut self, verification: &Verification) {
        let definition = &self.verifiers[verification.verifier.0 as usize];
        let lacks = |param: &&Param| {
            param.default.is_none() && !verification.arguments.iter().any(|(name, _)| *name == param.name)
        };
        let missing: Vec<&str> =
            definition.params.iter().filter(lacks).map(|param| param.name.as_str()).collect();
        if missing.is_empty() || !self.incomplete.insert(verification.span) {
            return;
        }
        let id = &definition.id;
        let list = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
        let example = missing.iter().map(|name| format!("{name}=...")).collect::<Vec<_>>().join(" ");
        let found = Diagnostic::new(
            "missing-argument",
            verification.span,
            format!("the verifier `{}` must be given {list}", id.value),
        )
        .at("without it")
        .label(id.span, "has no default for it")
        .help(format!("write `verify {} {example}`, or give the parameter a default", id.value));
        self.report(found);
    }

    /// Adds, by verifier, what the verifiers of a unit or gate need, without parameters: one that never ran has not
    /// passed. What the unit skips stays out.
    pub(super) fn add_needed(&self, verify: &mut Vec<Verification>, skipped: &[VerifierIx]) {
        if verify.iter().all(|one| self.verifiers[one.verifier.0 as usize].needs.is_empty()) {
            return;
        }
        let mut known: BTreeSet<VerifierIx> =
            verify.iter().map(|verification| verification.verifier).collect();
        known.extend(skipped);
        let before = verify.len();
        let mut next = 0;
        while let Some(verification) = verify.get(next) {
            next += 1;
            for needed in self.verifiers[verification.verifier.0 as usize].needs.clone() {
                if known.insert(needed.value) {
                    verify.push(Verification {
                        verifier: needed.value,
                        arguments: Vec::new(),
                        expect_fail: false,
                        span: needed.span,
                    });
                }
            }
        }
        if verify.len() > before {
            verify.sort_by_key(|verification| verification.verifier);
        }
    }

    pub(super) fn skip(&mut self, node: Node) -> Option<Skip> {
        let entry = node.argument(0)?;
        let name = read::name(entry)?;
        let known = match self.reviewer_names.lookup(name) {
            Lookup::Found(_) => Some(()),
            _ => self.verifier(name, entry.value_span).map(|_| ()),
        };
        let reason = node.text_of("reason");
        if reason.is_none() && node.property("reason").is_none() && !node.is_broken() {
            let end = Span { start: node.head().end, ..node.head() };
            let found = Diagnostic::new(
                "lowered-without-reason",
                node.head(),
                format!("`skip {name}` gives no reason"),
            )
            .at("why may this be left out?")
            .help("whoever reviews the work needs to know; the reason is recorded")
            .replace(end, " reason=\"...\"", "give the reason", Applicability::Display);
            self.report(found);
        }
        known?;
        Some(Skip {
            verifier: Spanned::new(name.to_owned(), entry.value_span),
            reason: reason.map(str::to_owned),
        })
    }
}
