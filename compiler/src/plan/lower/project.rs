//! `project`: what `loop.kdl` says for all plans.
//!
//! Does not know the plan.

use super::definitions::id_span;
use super::paths::Negation;
use super::{Level, Lowering};
use crate::diagnostic::{self, Applicability, Diagnostic, RULES, Severity, did_you_mean};
use crate::plan::model::*;
use crate::plan::read::{self, Node};
use crate::source::{Span, Spanned};

impl Lowering<'_> {
    /// Fills the project's part of `plan`; returns what the project says for every unit.
    pub(super) fn project(&mut self, node: Node, plan: &mut Plan) -> Level {
        let mut project = Project {
            id: node.argument(0).and_then(read::name).unwrap_or("").to_owned(),
            file: node.file.id(),
            span: id_span(node),
            base: node.text_of("base").map(str::to_owned),
            budget: Budget::default(),
        };
        for child in node.children() {
            match child.name() {
                "protect" => plan.protect.extend(self.patterns(child, Negation::Refused)),
                "budget" => project.budget = self.budget(child),
                "worktree" => self.worktree(child, &mut plan.worktree),
                "lint" => {
                    let lint = self.lint(child, &plan.lints);
                    plan.lints.extend(lint);
                }
                _ => {}
            }
        }
        plan.project = Some(project);
        self.level(node.children())
    }

    fn worktree(&mut self, node: Node, worktree: &mut Worktree) {
        for child in node.children() {
            match child.name() {
                "prepare" => worktree.prepare = self.argv(child),
                "share" => {
                    let paths = child.arguments().filter_map(|entry| self.path(child.file, entry));
                    worktree.share.extend(paths.collect::<Vec<_>>());
                }
                _ => {}
            }
        }
        worktree.share.sort();
        worktree.share.dedup();
    }

    fn lint(&mut self, node: Node, before: &[Lint]) -> Option<Lint> {
        let entry = node.argument(0)?;
        let name = read::name(entry)?;
        let span = entry.value_span;
        let Some(rule) = diagnostic::rule(name) else {
            let found = Diagnostic::new("unknown-rule", span, format!("no rule is called `{name}`"))
                .at("no such rule");
            self.report(match did_you_mean(name, RULES.iter().map(|rule| rule.name)) {
                Some(near) => found.help(format!("a rule with a similar name exists: `{near}`")).replace(
                    span,
                    near,
                    format!("replace with `{near}`"),
                    Applicability::Unsafe,
                ),
                None => found.help("`loopc explain` lists the rules"),
            });
            return None;
        };
        let level = match node.text_of("level")? {
            "allow" => diagnostic::Level::Allow,
            "warn" => diagnostic::Level::Warn,
            "deny" => diagnostic::Level::Deny,
            _ => return None,
        };
        let lowered = match level {
            diagnostic::Level::Allow => true,
            diagnostic::Level::Warn => rule.severity == Severity::Error,
            diagnostic::Level::Deny => false,
        };
        let reason = node.text_of("reason");
        if lowered && !rule.lowerable {
            let found = Diagnostic::new(
                "unlowerable-rule",
                node.head(),
                format!("the rule `{name}` cannot be lowered"),
            )
            .at("what runs a plan leans on this rule")
            .help("remove this node, and mend what the rule finds");
            self.report(found);
            return None;
        }
        if lowered && reason.is_none() && node.property("reason").is_none() && !node.is_broken() {
            let end = Span { start: node.head().end, ..node.head() };
            let found = Diagnostic::new(
                "lowered-without-reason",
                node.head(),
                format!("`lint {name}` lowers a rule and gives no reason"),
            )
            .at("why may this be let pass?")
            .help("whoever reviews the work needs to know; the reason is recorded")
            .replace(end, " reason=\"...\"", "give the reason", Applicability::Display);
            self.report(found);
        }
        if let Some(first) = before.iter().find(|lint| lint.rule.value == rule.name) {
            let found =
                Diagnostic::new("duplicate-node", span, format!("the level of `{name}` is set twice"))
                    .at("once more")
                    .label(first.rule.span, "the first one")
                    .help("keep one of the two");
            self.report(found);
            return None;
        }
        Some(Lint {
            rule: Spanned::new(rule.name.to_owned(), span),
            level,
            reason: reason.map(str::to_owned),
        })
    }
}
