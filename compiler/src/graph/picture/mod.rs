//! The graph as a picture: Graphviz, Mermaid, and SVG that needs no other program.
//!
//! Does not know what has run; a viewer colours units by the `data-unit` of their boxes.

mod dot;
mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::node::{Node, NodeKind};
use super::outline::{GateOutline, Outline};

/// Columns of the longest line in a unit's box.
const LINE: usize = 32;

/// The line under a unit's id: its title, or the goal's beginning.
fn caption(node: &Node) -> Option<String> {
    let text = node.policy.title.as_ref().or(node.ask.goal.as_ref())?;
    let text = shown(text, LINE);
    if text.is_empty() { None } else { Some(text) }
}

/// `gate works: The file downloads`.
fn heading(gate: &GateOutline<'_>) -> String {
    match &gate.gate.policy.title {
        Some(title) => format!("gate {}: {}", gate.gate.gate, shown(title, 2 * LINE)),
        None => format!("gate {}", gate.gate.gate),
    }
}

/// What ends the gate.
fn ending(gate: &Node) -> &'static str {
    if gate.policy.human_approval { "waits for a person" } else { "passes by itself" }
}

fn is_manual(node: &Node) -> bool {
    node.kind == NodeKind::Manual
}

/// The text on one line, white space evened out, control characters left out, cut at `columns`.
fn shown(text: &str, columns: usize) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().filter(|c| !c.is_control() && !is_invisible(*c)));
    }
    if out.width() <= columns {
        return out;
    }
    let mut used = 1;
    let cut = out.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    if let Some((at, _)) = cut {
        out.truncate(at);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// Marks that turn the direction of what follows, and code points that are no characters in XML.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// The units of a gate that wait for none of its own, and those for which none of its own waits.
fn ends<'o>(outline: &Outline<'_>, gate: &'o GateOutline<'_>) -> (Vec<&'o Node>, Vec<&'o Node>) {
    let mine = |at: u32| gate.units.first().is_some_and(|unit| unit.index <= at) && at < gate.gate.index;
    let mut waits = vec![false; gate.units.len()];
    let mut waited = vec![false; gate.units.len()];
    let first = gate.units.first().map_or(0, |unit| unit.index);
    for (from, to, _) in outline.edges.iter().filter(|(from, to, _)| mine(*from) && mine(*to)) {
        waits[(*to - first) as usize] = true;
        waited[(*from - first) as usize] = true;
    }
    let pick = |held: &[bool]| {
        gate.units.iter().zip(held).filter(|(_, held)| !**held).map(|(unit, _)| *unit).collect()
    };
    (pick(&waits), pick(&waited))
}
