//! The graph as a Mermaid flowchart (<https://mermaid.js.org/syntax/flowchart.html>), which code hosts show in Markdown.
//!
//! Does not know where anything is drawn: the layout is Mermaid's.

use std::fmt::Write;

use super::super::node::{EdgeKind, Graph};
use super::{caption, ending, ends, heading, is_manual};

/// A flowchart with a subgraph for each gate. Nodes have numbers, so that no id is taken for a word of the language.
pub fn mermaid(graph: &Graph) -> String {
    let outline = graph.outline();
    let mut out = String::from("flowchart LR\n");
    for (at, gate) in outline.gates.iter().enumerate() {
        let _ = writeln!(out, "  subgraph g{at}[\"{}\"]", escaped(&heading(gate)));
        for unit in &gate.units {
            let mut label = format!("<b>{}</b>", escaped(&unit.id));
            if let Some(caption) = caption(unit) {
                let _ = write!(label, "<br/>{}", escaped(&caption));
            }
            let (open, close) = if is_manual(unit) { ("([", "])") } else { ("[", "]") };
            let _ = writeln!(out, "    n{}{open}\"{label}\"{close}", unit.index);
        }
        let label = format!("{}<br/>{}", escaped(&gate.gate.gate), ending(gate.gate));
        let _ = writeln!(out, "    n{}{{{{\"{label}\"}}}}", gate.gate.index);
        out.push_str("  end\n");
    }
    for (from, to, kind) in &outline.edges {
        let arrow = match kind {
            EdgeKind::Data => "-->",
            EdgeKind::Order => "-.->",
        };
        let _ = writeln!(out, "  n{from} {arrow} n{to}");
    }
    for gate in &outline.gates {
        let (first, last) = ends(&outline, gate);
        for unit in last {
            let _ = writeln!(out, "  n{} -.-> n{}", unit.index, gate.gate.index);
        }
        for before in gate.after.iter().map(|before| outline.gates[*before].gate.index) {
            for unit in &first {
                let _ = writeln!(out, "  n{before} -.-> n{}", unit.index);
            }
            if first.is_empty() {
                let _ = writeln!(out, "  n{before} -.-> n{}", gate.gate.index);
            }
        }
    }
    out
}

/// What a quoted label must not hold, as entities: Mermaid's are written with `#`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
