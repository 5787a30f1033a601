//! Graph JSON: written the same way every time, and checked when it is read.
//!
//! Does not know where the text is kept. The format is described in `spec/graph.md`.

use std::fmt;

use serde::Deserialize;

use super::hash::{ask_digest, graph_digest};
use super::node::{FORMAT_VERSION, Graph};

/// Why a text is not a graph that this version may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON, or not of the graph's shape; the reader's words.
    Malformed(String),
    /// Written by a newer version; the version it names.
    Newer(u32),
    /// The recorded digest is not the digest of the contents.
    DigestMismatch { recorded: String, computed: String },
    /// An index or order that no compiler writes.
    Inconsistent(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Malformed(words) => write!(f, "the text is not a graph: {words}"),
            DecodeError::Newer(version) => write!(
                f,
                "the graph has format version {version}, this program reads up to {FORMAT_VERSION}; use a newer one"
            ),
            DecodeError::DigestMismatch { recorded, computed } => write!(
                f,
                "the graph was changed after it was written: it names digest {recorded}, its contents have \
                 {computed}; compile the plan again"
            ),
            DecodeError::Inconsistent(what) => {
                write!(f, "the graph is damaged: {what}; compile the plan again")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

/// The graph as JSON: two spaces of indent, fields in the order of `spec/graph.md`, a final newline.
pub fn encode(graph: &Graph) -> String {
    let mut text = serde_json::to_string_pretty(graph)
        .expect("a graph holds strings, integers and lists only, which JSON can all express");
    text.push('\n');
    text
}

/// Reads what [`encode`] wrote. Refuses newer formats, a digest that does not fit and indexes that lead nowhere.
pub fn decode(text: &str) -> Result<Graph, DecodeError> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let malformed = |error: serde_json::Error| DecodeError::Malformed(error.to_string());
    let version: Version = serde_json::from_str(text).map_err(malformed)?;
    if version.format_version > FORMAT_VERSION {
        return Err(DecodeError::Newer(version.format_version));
    }
    let graph: Graph = serde_json::from_str(text).map_err(malformed)?;
    consistent(&graph).map_err(DecodeError::Inconsistent)?;
    let computed = graph_digest(&graph);
    if computed != graph.digest {
        return Err(DecodeError::DigestMismatch { recorded: graph.digest, computed });
    }
    Ok(graph)
}

fn consistent(graph: &Graph) -> Result<(), String> {
    let mut ids = std::collections::BTreeSet::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        if node.index as usize != at {
            return Err(format!("node {} stands at {at} and says {}", node.id, node.index));
        }
        if !ids.insert(node.id.as_str()) {
            return Err(format!("two nodes are called {}", node.id));
        }
        if node.ask_digest != ask_digest(&node.ask) {
            return Err(format!("the ask digest of {} does not fit its ask", node.id));
        }
        let lost = |id: &&String| graph.verifiers.binary_search_by(|known| known.id.cmp(id)).is_err();
        if let Some(id) = node.policy.verify.iter().map(|verify| &verify.verifier).find(lost) {
            return Err(format!("{} names the verifier {id}, which is not there", node.id));
        }
        if let Some(id) = &node.policy.agent
            && graph.agents.binary_search_by(|known| known.id.cmp(id)).is_err()
        {
            return Err(format!("{} names the agent {id}, which is not there", node.id));
        }
    }
    let count = graph.nodes.len() as u32;
    if let Some(edge) = graph.edges.iter().find(|edge| edge.from >= count || edge.to >= count) {
        return Err(format!("an edge leads from {} to {}, of {count} nodes", edge.from, edge.to));
    }
    if !graph.edges.is_sorted() {
        return Err("its edges are not sorted".to_owned());
    }
    if graph.topology().ordered() != graph.nodes.len() {
        return Err("its edges form a cycle".to_owned());
    }
    Ok(())
}
