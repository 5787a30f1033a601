//! The graph as SVG 1.1, drawn here: gates from top to bottom, in each of them its waves from left to right.
//!
//! Does not know fonts: a letter counts as wide as its column in a terminal. Whole numbers only, so that the picture
//! is the same on every machine.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::super::node::{EdgeKind, Graph, Node};
use super::super::outline::{GateOutline, Outline};
use super::{caption, ending, heading, is_manual};

const MARGIN: u32 = 24;
/// Left of the gates, for lines from gate to gate.
const GUTTER: u32 = 48;
const LINE_HEIGHT: u32 = 16;
const PADDING: u32 = 10;
const ROW_GAP: u32 = 14;
const COLUMN_GAP: u32 = 56;
const GATE_GAP: u32 = 40;
const HEADING: u32 = 34;
const FOOTER: u32 = 26;
/// A wave with more units than this goes on in a further column.
const ROWS: usize = 24;
/// How often neighbours pull each other into line.
const SWEEPS: usize = 4;

/// Colours follow the reader's light or dark scheme; a viewer adds classes for what has run.
const STYLE: &str = "\
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}\
.id{font-weight:600}.caption,.ending{fill:#59636e}.heading{font-weight:600;font-size:13px}\
.gate{fill:#f6f8fa;stroke:#d1d9e0}.unit rect{fill:#fff;stroke:#59636e}.manual rect{stroke-dasharray:4 3}\
.edge{fill:none;stroke:#59636e}.order{stroke-dasharray:4 3}.barrier{stroke-width:2}.tip{fill:#59636e}\
@media (prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#f0f6fc}.caption,.ending{fill:#9198a1}\
.gate{fill:#151b23;stroke:#3d444d}.unit rect{fill:#0d1117;stroke:#9198a1}.edge{stroke:#9198a1}.tip{fill:#9198a1}}";

#[derive(Clone, Copy, Debug, Default)]
struct Rect {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Rect {
    fn right(&self) -> u32 {
        self.x + self.width
    }

    fn bottom(&self) -> u32 {
        self.y + self.height
    }

    fn middle(&self) -> u32 {
        self.y + self.height / 2
    }
}

/// A picture of the whole graph. Each unit is a group with `data-unit`, each gate one with `data-gate`.
pub fn svg(graph: &Graph) -> String {
    let outline = graph.outline();
    let before = before(graph, &outline);
    let mut boxes = vec![Rect::default(); graph.nodes.len()];
    let mut gates = Vec::with_capacity(outline.gates.len());
    let mut y = MARGIN;
    for gate in &outline.gates {
        let place = lay(&outline, gate, &before, y, &mut boxes);
        y = place.bottom() + GATE_GAP;
        gates.push(place);
    }
    let width = gates.iter().map(Rect::right).max().unwrap_or(GUTTER) + MARGIN;
    let height = gates.last().map_or(MARGIN, Rect::bottom) + MARGIN;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escaped(&super::shown(&graph.feature.id, 80)));
    let _ = writeln!(out, "<style>{STYLE}</style>");
    out.push_str(
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" \
         orient=\"auto\"><path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n",
    );
    for (gate, place) in outline.gates.iter().zip(&gates) {
        draw_gate(&mut out, gate, place);
    }
    for (to, gate) in outline.gates.iter().enumerate() {
        for from in &gate.after {
            draw_barrier(&mut out, &gates[*from], &gates[to], from + 1 == to);
        }
    }
    for (from, to, kind) in &outline.edges {
        let same = graph.nodes[*from as usize].gate == graph.nodes[*to as usize].gate;
        draw_edge(&mut out, &boxes[*from as usize], &boxes[*to as usize], *kind, same);
    }
    for unit in outline.gates.iter().flat_map(|gate| &gate.units) {
        draw_unit(&mut out, unit, &boxes[unit.index as usize]);
    }
    out.push_str("</svg>\n");
    out
}

/// For each node, the units of its own gate that it waits for.
fn before(graph: &Graph, outline: &Outline<'_>) -> Vec<Vec<u32>> {
    let mut before = vec![Vec::new(); graph.nodes.len()];
    for (from, to, _) in &outline.edges {
        if graph.nodes[*from as usize].gate == graph.nodes[*to as usize].gate {
            before[*to as usize].push(*from);
        }
    }
    before
}

/// Gives every unit of a gate its box, and returns the gate's.
fn lay(
    outline: &Outline<'_>,
    gate: &GateOutline<'_>,
    before: &[Vec<u32>],
    y: u32,
    boxes: &mut [Rect],
) -> Rect {
    let top = y + HEADING;
    let mut x = GUTTER + PADDING;
    let mut bottom = top;
    for wave in in_line(outline.waves_of(gate), before) {
        for column in wave.chunks(ROWS) {
            let width = column.iter().map(|unit| width_of(unit)).max().unwrap_or(0);
            let mut y = top;
            for unit in column {
                let height = 2 * PADDING + LINE_HEIGHT * if caption(unit).is_some() { 2 } else { 1 };
                boxes[unit.index as usize] = Rect { x, y, width, height };
                y += height + ROW_GAP;
            }
            bottom = bottom.max(y - ROW_GAP);
            x += width + COLUMN_GAP;
        }
    }
    let words = letters(heading(gate).width().max(ending(gate.gate).width()));
    let width = x.saturating_sub(COLUMN_GAP + GUTTER).max(words) + PADDING;
    Rect { x: GUTTER, y, width, height: bottom + FOOTER + PADDING - y }
}

/// Room for so many columns of a fixed-width font at 13 px, with padding: a letter is three fifths as wide as it is high.
fn letters(columns: usize) -> u32 {
    columns as u32 * 13 * 3 / 5 + 2 * PADDING
}

fn width_of(unit: &Node) -> u32 {
    let caption = caption(unit).map_or(0, |caption| caption.width());
    letters(unit.id.width().max(caption))
}

/// Orders each wave so that a unit stands near the units it waits for (the barycentre heuristic of Sugiyama, Tagawa
/// and Toda, "Methods for visual understanding of hierarchical system structures", 1981).
fn in_line<'g>(mut waves: Vec<Vec<&'g Node>>, before: &[Vec<u32>]) -> Vec<Vec<&'g Node>> {
    let mut rows = vec![0_u64; before.len()];
    let mut after: Vec<Vec<u32>> = vec![Vec::new(); before.len()];
    for wave in &waves {
        for (row, unit) in wave.iter().enumerate() {
            rows[unit.index as usize] = row as u64;
            for from in &before[unit.index as usize] {
                after[*from as usize].push(unit.index);
            }
        }
    }
    let mut sort = |wave: &mut Vec<&Node>, neighbours: &[Vec<u32>]| {
        // Thousandths of a row, so that nothing is lost to rounding. Without a neighbour a unit stays where it is.
        wave.sort_by_cached_key(|unit| {
            let near = &neighbours[unit.index as usize];
            let sum: u64 = near.iter().map(|at| rows[*at as usize] * 1000).sum();
            sum.checked_div(near.len() as u64).unwrap_or(rows[unit.index as usize] * 1000)
        });
        for (row, unit) in wave.iter().enumerate() {
            rows[unit.index as usize] = row as u64;
        }
    };
    for _ in 0..SWEEPS {
        for wave in waves.iter_mut().skip(1) {
            sort(wave, before);
        }
        for wave in waves.iter_mut().rev().skip(1) {
            sort(wave, &after);
        }
    }
    waves
}

fn draw_gate(out: &mut String, gate: &GateOutline<'_>, place: &Rect) {
    let Rect { x, y, width, height } = place;
    let _ = writeln!(
        out,
        "<g data-gate=\"{}\"><rect class=\"gate\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>",
        escaped(&gate.gate.gate)
    );
    text(out, "heading", x + PADDING, y + 20, &heading(gate));
    text(out, "ending", x + PADDING, place.bottom() - PADDING, ending(gate.gate));
    out.push_str("</g>\n");
}

fn draw_unit(out: &mut String, unit: &Node, place: &Rect) {
    let Rect { x, y, width, height } = place;
    let class = if is_manual(unit) { "unit manual" } else { "unit" };
    let id = escaped(&unit.id);
    let _ = writeln!(out, "<g class=\"{class}\" data-unit=\"{id}\">");
    if let Some(goal) = &unit.ask.goal {
        let _ = writeln!(out, "<title>{}</title>", escaped(&super::shown(goal, 400)));
    }
    let _ = writeln!(
        out,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{}\"/>",
        if is_manual(unit) { 18 } else { 4 }
    );
    text(out, "id", x + PADDING, y + PADDING + 12, &unit.id);
    if let Some(caption) = caption(unit) {
        text(out, "caption", x + PADDING, y + PADDING + 12 + LINE_HEIGHT, &caption);
    }
    out.push_str("</g>\n");
}

fn text(out: &mut String, class: &str, x: u32, y: u32, words: &str) {
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(words));
}

/// Within a gate from right to left side, between gates from bottom to top.
fn draw_edge(out: &mut String, from: &Rect, to: &Rect, kind: EdgeKind, same_gate: bool) {
    let class = match kind {
        EdgeKind::Data => "edge",
        EdgeKind::Order => "edge order",
    };
    let path = if same_gate {
        let bend = (to.x.saturating_sub(from.right()) / 2).max(COLUMN_GAP / 2);
        curve((from.right(), from.middle()), (to.x, to.middle()), (bend, 0))
    } else {
        curve((from.x + from.width / 2, from.bottom()), (to.x + to.width / 2, to.y), (0, GATE_GAP))
    };
    let _ = writeln!(out, "<path class=\"{class}\" marker-end=\"url(#tip)\" d=\"{path}\"/>");
}

/// A cubic curve that leaves and arrives in the direction of `bend`.
fn curve(from: (u32, u32), to: (u32, u32), bend: (u32, u32)) -> String {
    let out = (from.0 + bend.0, from.1 + bend.1);
    let back = (to.0.saturating_sub(bend.0), to.1.saturating_sub(bend.1));
    format!("M{} {}C{} {} {} {} {} {}", from.0, from.1, out.0, out.1, back.0, back.1, to.0, to.1)
}

/// From gate to gate: straight down to the next one, around through the gutter to a later one.
fn draw_barrier(out: &mut String, from: &Rect, to: &Rect, next: bool) {
    let path = if next {
        let x = to.x + 2 * PADDING;
        format!("M{x} {}L{x} {}", from.bottom(), to.y)
    } else {
        let (start, end) = (from.bottom() - PADDING, to.y + PADDING);
        format!("M{} {start}C8 {start} 8 {end} {} {end}", from.x, to.x)
    };
    let _ = writeln!(out, "<path class=\"edge barrier\" marker-end=\"url(#tip)\" d=\"{path}\"/>");
}

/// As XML text and as a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
