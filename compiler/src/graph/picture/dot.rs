//! The graph in Graphviz's language (<https://graphviz.org/doc/info/lang.html>).
//!
//! Does not know where anything is drawn: the layout is Graphviz's.

use std::fmt::Write;

use super::super::node::{EdgeKind, Graph};
use super::{caption, ending, ends, heading, is_manual};

/// A digraph with a cluster for each gate: full lines for `needs`, dashed ones for order alone.
pub fn dot(graph: &Graph) -> String {
    let outline = graph.outline();
    let mut out = String::from("digraph plan {\n");
    let _ = writeln!(out, "  label={};", quoted(&graph.feature.id));
    out.push_str("  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for (at, gate) in outline.gates.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{at} {{");
        let _ = writeln!(out, "    label={};", quoted(&heading(gate)));
        for unit in &gate.units {
            let label = match caption(unit) {
                Some(caption) => format!("{}\n{caption}", unit.id),
                None => unit.id.clone(),
            };
            let shape = if is_manual(unit) { ", style=\"rounded,dashed\"" } else { "" };
            let _ = writeln!(out, "    {} [label={}{shape}];", quoted(&unit.id), quoted(&label));
        }
        let label = format!("{}\n{}", gate.gate.gate, ending(gate.gate));
        let _ = writeln!(
            out,
            "    {} [label={}, shape=hexagon, style=solid];",
            quoted(&gate.gate.id),
            quoted(&label)
        );
        out.push_str("  }\n");
    }
    for (from, to, kind) in &outline.edges {
        let (from, to) = (&graph.nodes[*from as usize].id, &graph.nodes[*to as usize].id);
        let style = match kind {
            EdgeKind::Data => "",
            EdgeKind::Order => " [style=dashed]",
        };
        let _ = writeln!(out, "  {} -> {}{style};", quoted(from), quoted(to));
    }
    for gate in &outline.gates {
        let (first, last) = ends(&outline, gate);
        for unit in last {
            let _ = writeln!(out, "  {} -> {} [style=dotted];", quoted(&unit.id), quoted(&gate.gate.id));
        }
        for before in &gate.after {
            let before = quoted(&outline.gates[*before].gate.id);
            for unit in &first {
                let _ = writeln!(out, "  {before} -> {} [style=dotted];", quoted(&unit.id));
            }
            if first.is_empty() {
                let _ = writeln!(out, "  {before} -> {} [style=dotted];", quoted(&gate.gate.id));
            }
        }
    }
    out.push_str("}\n");
    out
}

/// A quoted string, in which a line break is `\n`: the language knows no other escapes than these.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
