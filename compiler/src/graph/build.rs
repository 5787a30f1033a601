//! A checked plan becomes a graph.
//!
//! Does not know how the graph is hashed or written.

use super::node::*;
use crate::check::CheckedPlan;

/// The graph of a plan in which no error was found.
pub fn build(checked: &CheckedPlan) -> Graph {
    let feature = checked.feature.as_ref();
    Graph {
        format_version: FORMAT_VERSION,
        digest: String::new(),
        feature: Feature {
            id: feature.map(|feature| feature.id.value.clone()).unwrap_or_default(),
            title: None,
            goal: None,
            base: None,
            budget: Limits::default(),
            project_budget: Limits::default(),
        },
        nodes: Vec::new(),
        edges: Vec::new(),
        verifiers: Vec::new(),
        agents: Vec::new(),
        protect: Vec::new(),
        worktree: WorktreeDef::default(),
    }
}
