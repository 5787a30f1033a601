//! A graph as people look at it: its gates in order, the waves of units in each, and the edges that an author wrote.
//!
//! Does not know how it is drawn.

use super::node::{EdgeKind, Graph, Node, NodeKind};

/// Index into [`Outline::gates`].
pub type GateAt = usize;

/// A view of a [`Graph`]; building it takes one pass over nodes and edges.
#[derive(Clone, Debug)]
pub struct Outline<'g> {
    /// In plan order.
    pub gates: Vec<GateOutline<'g>>,
    /// `needs` and `after` between units and manuals, as indices of nodes; sorted. Order that only a gate makes is
    /// left out.
    pub edges: Vec<(u32, u32, EdgeKind)>,
    /// For each node, its wave: from 1; 1 for gates.
    waves: Vec<u32>,
}

/// A gate with what stands in it.
#[derive(Clone, Debug)]
pub struct GateOutline<'g> {
    pub gate: &'g Node,
    /// Gates that this one waits for by itself, not only through another.
    pub after: Vec<GateAt>,
    /// Units and manuals in plan order.
    pub units: Vec<&'g Node>,
}

impl Graph {
    /// The view of this graph for people.
    pub fn outline(&self) -> Outline<'_> {
        let mut gates: Vec<GateOutline<'_>> = Vec::new();
        let mut gate_of = vec![0; self.nodes.len()];
        let mut first = 0;
        // A gate stands directly behind its last unit.
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Gate) {
            gate_of[first..=at].fill(gates.len());
            gates.push(GateOutline {
                gate: node,
                after: Vec::new(),
                units: self.nodes[first..at].iter().collect(),
            });
            first = at + 1;
        }
        let is_gate = |at: u32| self.nodes[at as usize].kind == NodeKind::Gate;
        let mut edges = Vec::new();
        for edge in &self.edges {
            let (from, to) = (gate_of[edge.from as usize], gate_of[edge.to as usize]);
            if is_gate(edge.from) && from != to {
                gates[to].after.push(from);
            } else if !is_gate(edge.from) && !is_gate(edge.to) {
                edges.push((edge.from, edge.to, edge.kind));
            }
        }
        for gate in &mut gates {
            gate.after.sort_unstable();
            gate.after.dedup();
        }
        let waves = waves(
            self.nodes.len(),
            edges.iter().filter(|(from, to, _)| gate_of[*from as usize] == gate_of[*to as usize]),
        );
        Outline { gates, edges, waves }
    }
}

impl<'g> Outline<'g> {
    /// The wave of its gate in which a node can begin, from 1: one more than the latest of what it waits for there.
    pub fn wave(&self, node: &Node) -> u32 {
        self.waves[node.index as usize]
    }

    /// The units of a gate, wave by wave.
    pub fn waves_of(&self, gate: &GateOutline<'g>) -> Vec<Vec<&'g Node>> {
        let count = gate.units.iter().map(|unit| self.wave(unit)).max().unwrap_or(0);
        let mut waves = vec![Vec::new(); count as usize];
        for unit in &gate.units {
            waves[self.wave(unit) as usize - 1].push(*unit);
        }
        waves
    }
}

fn waves<'e>(count: usize, edges: impl Iterator<Item = &'e (u32, u32, EdgeKind)>) -> Vec<u32> {
    let mut after: Vec<Vec<u32>> = vec![Vec::new(); count];
    let mut waiting = vec![0_usize; count];
    for (from, to, _) in edges {
        after[*from as usize].push(*to);
        waiting[*to as usize] += 1;
    }
    let mut waves = vec![1; count];
    let mut ready: Vec<u32> = (0..count as u32).filter(|at| waiting[*at as usize] == 0).collect();
    while let Some(at) = ready.pop() {
        for next in &after[at as usize] {
            waves[*next as usize] = waves[*next as usize].max(waves[at as usize] + 1);
            waiting[*next as usize] -= 1;
            if waiting[*next as usize] == 0 {
                ready.push(*next);
            }
        }
    }
    waves
}
