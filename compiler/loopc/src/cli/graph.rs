//! `loopc graph`: what a plan will do, as text a person reads from top to bottom, or as a picture.
//!
//! Does not know the plan's source; it shows the compiled graph.

use std::collections::BTreeMap;
use std::fmt::Write;

use camino::Utf8Path;
use loop_compiler::diagnostic::render::{one_line, plural};
use loop_compiler::graph::outline::{GateOutline, Outline};
use loop_compiler::graph::{self, EdgeKind, Graph, Limits, Node, NodeKind, Verify, picture};
use loopc::terminal::Stream;

use super::build::{checked, not_a_plan};
use super::output::{Failure, print, style, write_whole};
use super::{Exit, GraphFormat};

pub(super) fn run(plan: &Utf8Path, format: GraphFormat, output: Option<&Utf8Path>) -> Result<Exit, Failure> {
    if let Some(file) = output {
        not_a_plan(file)?;
    }
    let Some(checked) = checked(plan)? else { return Ok(Exit::Errors) };
    let graph = graph::build(&checked);
    let picture = match format {
        GraphFormat::Text => text(&graph, style(Stream::Out).width),
        GraphFormat::Dot => picture::dot(&graph),
        GraphFormat::Mermaid => picture::mermaid(&graph),
        GraphFormat::Svg => picture::svg(&graph),
    };
    match output {
        Some(file) => write_whole(file, picture.as_bytes())?,
        None => print(&picture)?,
    }
    Ok(Exit::Clean)
}

/// Width of the words in front of lists: `creates` is the longest, two spaces behind it.
const FIELD: usize = 9;

/// The whole graph: head, gates in order, the waves of units in each.
fn text(graph: &Graph, width: usize) -> String {
    let outline = graph.outline();
    let before = predecessors(graph);
    let mut out = String::new();
    head(&mut out, graph, &outline, width);
    for gate in &outline.gates {
        out.push('\n');
        gate_head(&mut out, &outline, gate, width);
        for (at, members) in outline.waves_of(gate).iter().enumerate() {
            let together =
                if members.len() > 1 { format!(", {} at once", members.len()) } else { String::new() };
            let _ = writeln!(out, "  wave {}{together}", at + 1);
            for unit in members {
                unit_lines(&mut out, unit, &before[unit.index as usize], width);
            }
        }
        gate_end(&mut out, gate.gate, width);
    }
    out
}

fn head(out: &mut String, graph: &Graph, outline: &Outline<'_>, width: usize) {
    let count = |kind| graph.nodes.iter().filter(|node| node.kind == kind).count();
    let title =
        graph.feature.title.as_deref().map(|title| format!("  {}", one_line(title))).unwrap_or_default();
    let _ = writeln!(out, "feature {}{title}", graph.feature.id);
    if let Some(goal) = &graph.feature.goal {
        paragraph(out, "  ", goal, width);
    }
    let mut widest: BTreeMap<(&str, u32), usize> = BTreeMap::new();
    for node in graph.nodes.iter().filter(|node| node.kind == NodeKind::Dispatch) {
        *widest.entry((&node.gate, outline.wave(node))).or_default() += 1;
    }
    let mut counts = vec![plural(count(NodeKind::Gate), "gate"), plural(count(NodeKind::Dispatch), "unit")];
    match count(NodeKind::Manual) {
        0 => {}
        manuals => counts.push(format!("{} by hand", plural(manuals, "task"))),
    }
    counts.push(format!("at most {} at once", plural(widest.values().copied().max().unwrap_or(0), "unit")));
    let _ = writeln!(out, "  {}", counts.join(", "));
    if let Some(base) = &graph.feature.base {
        let _ = writeln!(out, "  starts from {base}, lands on loop/{}", graph.feature.id);
    }
    if let Some(limits) = limits(&graph.feature.budget) {
        let _ = writeln!(out, "  budget {limits}");
    }
    let _ = writeln!(out, "  digest {}", graph.digest);
}

fn gate_head(out: &mut String, outline: &Outline<'_>, outlined: &GateOutline<'_>, width: usize) {
    let gate = outlined.gate;
    let title =
        gate.policy.title.as_deref().map(|title| format!("  {}", one_line(title))).unwrap_or_default();
    let before: Vec<&str> = outlined.after.iter().map(|at| outline.gates[*at].gate.gate.as_str()).collect();
    let after = if before.is_empty() { String::new() } else { format!(" (after {})", before.join(", ")) };
    let _ = writeln!(out, "gate {}{after}{title}", gate.gate);
    if let Some(goal) = &gate.ask.goal {
        paragraph(out, "  ", goal, width);
    }
}

fn unit_lines(out: &mut String, unit: &Node, before: &[(EdgeKind, &Node)], width: usize) {
    let policy = &unit.policy;
    let mut notes = Vec::new();
    match unit.kind {
        NodeKind::Manual => notes.push(match &policy.owner {
            Some(owner) => format!("by hand, {owner}"),
            None => "by hand".to_owned(),
        }),
        NodeKind::Dispatch | NodeKind::Gate => {
            if !policy.work_kind.is_empty() && policy.work_kind != "code" {
                notes.push(policy.work_kind.clone());
            }
            match (&policy.agent, &policy.model) {
                (Some(agent), Some(model)) => notes.push(format!("{agent} with {model}")),
                (Some(agent), None) => notes.push(agent.clone()),
                (None, Some(model)) => notes.push(model.clone()),
                (None, None) => {}
            }
            notes.push(format!("up to {}", plural(policy.attempts as usize, "attempt")));
        }
    }
    if let Some(limits) = limits(&policy.budget) {
        notes.push(limits);
    }
    let notes: Vec<_> = notes.iter().map(|note| one_line(note)).collect();
    let _ = writeln!(out, "    {}  ({})", unit.id, notes.join(", "));
    if let Some(title) = policy.title.as_ref().or(unit.ask.goal.as_ref()) {
        paragraph(out, "      ", title, width);
    }
    let before = |wanted: EdgeKind| -> Vec<String> {
        before.iter().filter(|(kind, _)| *kind == wanted).map(|(_, node)| node.id.clone()).collect()
    };
    field(out, "needs", &before(EdgeKind::Data), width);
    field(out, "after", &before(EdgeKind::Order), width);
    field(out, "reads", &unit.ask.inputs, width);
    field(out, "writes", &unit.scope.writes, width);
    field(out, "creates", &unit.scope.creates, width);
    let mut checks: Vec<String> = verifiers(&policy.verify);
    checks.extend(policy.manuals.iter().map(|manual| format!("{manual} (by hand)")));
    let predicates = unit.ask.criteria.iter().filter(|criterion| !criterion.predicates.is_empty()).count();
    if predicates > 0 {
        checks.push(format!("{} of its own", plural(predicates, "condition")));
    }
    field(out, "checks", &checks, width);
    let skipped: Vec<String> =
        policy.skip.iter().map(|skip| format!("{} ({})", skip.verifier, one_line(&skip.reason))).collect();
    field(out, "skips", &skipped, width);
    if unit.kind == NodeKind::Manual {
        field(out, "evidence", &policy.evidence, width);
    }
}

fn gate_end(out: &mut String, gate: &Node, width: usize) {
    let mut checks = verifiers(&gate.policy.verify);
    checks.extend(gate.policy.manuals.iter().map(|manual| format!("{manual} (by hand)")));
    if !gate.policy.gate_criteria.is_empty() {
        checks.push(plural(gate.policy.gate_criteria.len(), "condition"));
    }
    let checked = match checks.as_slice() {
        [] => "nothing checks what has landed".to_owned(),
        checks => format!("what has landed is checked by {}", checks.join(", ")),
    };
    let approved =
        if gate.policy.human_approval { "then it waits for a person" } else { "then it passes by itself" };
    paragraph(out, "  ", &format!("At the end {checked}; {approved}."), width);
}

/// Names of the verifiers, each once.
fn verifiers(uses: &[Verify]) -> Vec<String> {
    let mut names: Vec<String> = uses
        .iter()
        .map(|verify| match verify.expect_fail {
            true => format!("{} (must fail)", verify.verifier),
            false => verify.verifier.clone(),
        })
        .collect();
    names.dedup();
    names
}

fn limits(limits: &Limits) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(micro) = limits.micro_usd {
        // Cents are enough for a person; what is below is shown as it is.
        let fraction = format!("{:06}", micro % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        parts.push(format!("{}.{fraction:0<2} USD", micro / 1_000_000));
    }
    if let Some(tokens) = limits.tokens {
        parts.push(format!("{tokens} tokens"));
    }
    if let Some(ms) = limits.time_ms {
        parts.push(duration(ms));
    }
    if parts.is_empty() { None } else { Some(parts.join(", ")) }
}

/// `1h 30m`, `45m`, `1s 500ms`.
fn duration(ms: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = ms;
    let mut parts = Vec::new();
    for (name, size) in units {
        if rest >= size {
            parts.push(format!("{}{name}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// For each node, the units and manuals that it waits for.
fn predecessors(graph: &Graph) -> Vec<Vec<(EdgeKind, &Node)>> {
    let mut before = vec![Vec::new(); graph.nodes.len()];
    for edge in &graph.edges {
        let from = &graph.nodes[edge.from as usize];
        if from.kind != NodeKind::Gate {
            before[edge.to as usize].push((edge.kind, from));
        }
    }
    before
}

/// `      writes   a, b`, wrapped under its first item; nothing for an empty list.
fn field(out: &mut String, name: &str, items: &[String], width: usize) {
    if items.is_empty() {
        return;
    }
    let head = format!("      {name:FIELD$}");
    let indent = head.len();
    let mut line = head;
    for (at, item) in items.iter().enumerate() {
        let comma = if at + 1 < items.len() { "," } else { "" };
        let item = format!("{}{comma}", one_line(item));
        if at > 0 && line.chars().count() + 1 + item.chars().count() > width {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(indent);
        } else if at > 0 {
            line.push(' ');
        }
        line.push_str(&item);
    }
    let _ = writeln!(out, "{line}");
}

/// A text, its white space evened out, wrapped.
fn paragraph(out: &mut String, indent: &str, text: &str, width: usize) {
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let word = one_line(word);
        if line.len() > indent.len() {
            if line.chars().count() + 1 + word.chars().count() > width {
                let _ = writeln!(out, "{line}");
                line = indent.to_owned();
            } else {
                line.push(' ');
            }
        }
        line.push_str(&word);
    }
    let _ = writeln!(out, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_time_read_as_people_write_them() {
        let money = |micro_usd| limits(&Limits { micro_usd: Some(micro_usd), ..Limits::default() });
        assert_eq!(money(2_500_000).as_deref(), Some("2.50 USD"));
        assert_eq!(money(40_000_000).as_deref(), Some("40.00 USD"));
        assert_eq!(money(1).as_deref(), Some("0.000001 USD"));
        assert_eq!(limits(&Limits::default()), None);
        assert_eq!(duration(5_400_000), "1h 30m");
        assert_eq!(duration(1_500), "1s 500ms");
        assert_eq!(duration(0), "0s");
    }

    #[test]
    fn lists_wrap_under_their_first_item() {
        let mut out = String::new();
        let items: Vec<String> = ["aaaa", "bbbb", "cccc"].map(str::to_owned).to_vec();
        field(&mut out, "needs", &items, 26);
        assert_eq!(out, "      needs    aaaa, bbbb,\n               cccc\n");
        field(&mut out, "after", &[], 26);
        assert_eq!(out.lines().count(), 2, "an empty list says nothing");
    }
}
