//! `lint` nodes: which rule, how heavy, and for which part of the plan.
//!
//! Does not know what the rules find; which of several `lint` nodes counts is for `check`.

use super::Lowering;
use crate::diagnostic::{self, Applicability, Diagnostic, RULES, Rule, did_you_mean};
use crate::plan::model::{Lint, OldName, Reach};
use crate::plan::read::{self, Node};
use crate::source::{Span, Spanned};

impl Lowering<'_> {
    /// Reads the `lint` nodes that stand directly in `node`; gives their numbers. What stands further out must have
    /// been read before.
    pub(super) fn lints_in(
        &mut self,
        node: Node,
        reach: Reach,
        within: Option<&[Span]>,
    ) -> std::ops::Range<usize> {
        let first = self.lints.len();
        for child in node.children().filter(|child| child.name() == "lint") {
            if let Some((rule, lint)) = self.lint(child, reach, within) {
                match self.lints[first..].iter().find(|before| before.rule.value == rule.name) {
                    None => self.lints.push(lint),
                    Some(before) => {
                        let found = Diagnostic::new(
                            "duplicate-node",
                            lint.rule.span,
                            format!("the level of `{}` is set twice", rule.name),
                        )
                        .at("once more")
                        .label(before.rule.span, "the first one")
                        .help("keep one of the two");
                        self.report(found);
                    }
                }
            }
        }
        if reach >= Reach::GateKind {
            self.outer_lints.extend(first..self.lints.len());
        }
        first..self.lints.len()
    }

    fn lint(&mut self, node: Node, reach: Reach, within: Option<&[Span]>) -> Option<(&'static Rule, Lint)> {
        let entry = node.argument(0)?;
        let rule = self.rule(read::name(entry)?, entry.value_span)?;
        let level = match node.text_of("level")? {
            "allow" => diagnostic::Level::Allow,
            "warn" => diagnostic::Level::Warn,
            "deny" => diagnostic::Level::Deny,
            _ => return None,
        };
        if rule.lowered_by(level, None) && !rule.lowerable {
            let found = Diagnostic::new(
                "unlowerable-rule",
                node.head(),
                format!("the rule `{}` cannot be lowered", rule.name),
            )
            .at("what runs a plan leans on this rule")
            .help("remove this node, and mend what the rule finds");
            self.report(found);
            return None;
        }
        let outer = self
            .outer_lints
            .iter()
            .map(|at| &self.lints[*at])
            .filter(|lint| lint.rule.value == rule.name && holds_at(lint, node.span()))
            .min_by_key(|lint| lint.reach)
            .map(|lint| lint.level);
        let lowers = rule.lowered_by(level, outer);
        let reason = node.text_of("reason");
        if lowers && reason.is_none() && node.property("reason").is_none() && !node.is_broken() {
            let end = Span { start: node.head().end, ..node.head() };
            let found = Diagnostic::new(
                "lowered-without-reason",
                node.head(),
                format!("`lint {}` lowers a rule and gives no reason", rule.name),
            )
            .at("why may this be let pass?")
            .help("whoever reviews the work needs to know; the reason is recorded")
            .replace(end, " reason=\"...\"", "give the reason", Applicability::Display);
            self.report(found);
        }
        let lint = Lint {
            rule: Spanned::new(rule.name.to_owned(), entry.value_span),
            level,
            reason: reason.map(str::to_owned),
            span: node.span(),
            lowers,
            within: within.map(<[Span]>::to_vec),
            reach,
        };
        Some((rule, lint))
    }

    /// The rule that a `lint` names. Codes are for messages; a plan says a rule's name.
    fn rule(&mut self, name: &str, span: Span) -> Option<&'static Rule> {
        if let Some(rule) = diagnostic::rule(name) {
            if rule.name != name {
                let written = Spanned::new(name.to_owned(), span);
                self.old_names.push(OldName { written, now: rule.name.to_owned(), what: "rule" });
            }
            return Some(rule);
        }
        let found =
            Diagnostic::new("unknown-rule", span, format!("no rule is called `{name}`")).at("no such rule");
        self.report(match did_you_mean(name, RULES.iter().map(|rule| rule.name)) {
            Some(near) => found.help(format!("a rule with a similar name exists: `{near}`")).replace(
                span,
                near,
                format!("replace with `{near}`"),
                Applicability::Unsafe,
            ),
            None => found.help("`loopc explain` lists the rules"),
        });
        None
    }
}

fn holds_at(lint: &Lint, place: Span) -> bool {
    let holds = |span: &Span| span.contains(place);
    lint.within.as_ref().is_none_or(|spans| spans.iter().any(holds))
}
