//! Reads over a graph's edges, each prepared once.
//!
//! Does not know what a node asks for; only who comes after whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::order::smallest_first;

use super::node::{EdgeKind, Graph, NodeKind};

/// Adjacency of a [`Graph`] and its canonical order. Building it takes one pass over nodes and edges; keep it
/// beside the graph rather than building it for each question.
#[derive(Clone, Debug)]
pub struct Topology {
    by_id: BTreeMap<String, u32>,
    is_gate: Vec<bool>,
    predecessors: Lists,
    needs: Lists,
    /// Every node, gates included.
    order: Vec<u32>,
    /// Where each node stands in `order`.
    position: Vec<u32>,
}

/// One list of numbers a node, in one allocation.
#[derive(Clone, Debug)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// `pairs` are (owner, item).
    fn new(count: usize, mut pairs: Vec<(u32, u32)>) -> Lists {
        pairs.sort_unstable();
        pairs.dedup();
        let mut starts = vec![0u32; count + 1];
        for (owner, _) in &pairs {
            starts[*owner as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Lists { starts, items: pairs.into_iter().map(|(_, item)| item).collect() }
    }

    fn of(&self, owner: u32) -> &[u32] {
        let at = owner as usize;
        &self.items[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

impl Graph {
    /// Prepares the questions about order. Edges must point at nodes that exist, as [`super::decode`] and
    /// [`super::build`] see to.
    pub fn topology(&self) -> Topology {
        let count = self.nodes.len();
        let by_id = self.nodes.iter().map(|node| (node.id.clone(), node.index)).collect();
        let is_gate: Vec<bool> = self.nodes.iter().map(|node| node.kind == NodeKind::Gate).collect();
        let predecessors = Lists::new(count, self.edges.iter().map(|edge| (edge.to, edge.from)).collect());
        let data = self.edges.iter().filter(|edge| edge.kind == EdgeKind::Data);
        let needs = Lists::new(count, data.map(|edge| (edge.to, edge.from)).collect());
        let waits: Vec<&[u32]> = (0..count as u32).map(|node| predecessors.of(node)).collect();
        let order = smallest_first(&waits, |node| is_gate[node as usize]);
        let mut position = vec![0; count];
        for (at, node) in order.iter().enumerate() {
            position[*node as usize] = at as u32;
        }
        Topology { by_id, is_gate, predecessors, needs, order, position }
    }
}

impl Topology {
    /// Index of the node with this id (`gate:ID` for a gate).
    pub fn node(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Index of the gate with this id, given without `gate:`.
    pub fn gate(&self, id: &str) -> Option<u32> {
        self.node(&format!("gate:{id}"))
    }

    /// The nodes whose output is in this node's key: its `needs`. By index.
    pub fn needs(&self, index: u32) -> &[u32] {
        self.needs.of(index)
    }

    /// Everything this node directly waits for, gates included. By index.
    pub fn predecessors(&self, index: u32) -> &[u32] {
        self.predecessors.of(index)
    }

    /// Everything this node waits for, transitively, gates included; in canonical order. Takes time in
    /// proportion to what it finds.
    pub fn ancestors(&self, index: u32) -> Vec<u32> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<u32> = self.predecessors(index).to_vec();
        while let Some(node) = open.pop() {
            if seen.insert(self.position[node as usize]) {
                open.extend(self.predecessors(node));
            }
        }
        seen.into_iter().map(|position| self.order[position as usize]).collect()
    }

    /// The work nodes (units and manuals) that this node comes after, transitively and through gates too, in
    /// canonical order: their patches make its start tree.
    pub fn ancestors_in_canonical_order(&self, index: u32) -> Vec<u32> {
        self.ancestors(index).into_iter().filter(|node| !self.is_gate[*node as usize]).collect()
    }

    /// How many nodes have a place in the order: all of them, unless the edges form a cycle.
    pub(super) fn ordered(&self) -> usize {
        self.order.len()
    }

    /// Units and manuals in the order in which they land.
    pub fn canonical_order(&self) -> Vec<u32> {
        self.order.iter().copied().filter(|node| !self.is_gate[*node as usize]).collect()
    }
}
