//! `project`: what `loop.kdl` says for all plans.
//!
//! Does not know the plan.

use super::definitions::id_span;
use super::paths::Negation;
use super::{Level, Lowering};
use crate::plan::model::*;
use crate::plan::read::{self, Node};

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
                "sandbox" => self.sandbox(child, &mut plan.sandbox),
                "worktree" => self.worktree(child, &mut plan.worktree),
                _ => {}
            }
        }
        plan.project = Some(project);
        self.lints_in(node, Reach::Project, None);
        self.level(node.name(), node.children())
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
}
