//! Pictures of small graphs: what is in them, and that no text can break out of its place.
//!
//! Does not know how they look; a person does.

use super::super::node::{Graph, NodeKind};
use super::super::{build, outline::Outline};
use super::*;
use crate::check::testing::{checked, plan};

const PLAN: &str = "gate works
    unit schema creates=src/schema
    unit handler needs=schema writes=src/handler
    unit docs after=schema creates=docs/guide.md
    unit last needs=handler,docs creates=last
    gate side
    unit lone creates=lone
    gate scales
    unit load needs=handler writes=src/load";

fn graph() -> Graph {
    let (checked, diagnostics) = checked(plan(PLAN), &[]);
    let mut graph = build(&checked.unwrap_or_else(|| panic!("{diagnostics:#?}")));
    let evil = "a \"quoted\" <b>&amp;\n\\ end ]]> `x` %% #35; \u{202e}\u{7}\u{1b}[31m";
    graph.nodes[1].policy.title = Some(evil.to_owned());
    graph.nodes[2].ask.goal = Some(evil.repeat(40));
    graph.nodes[2].kind = NodeKind::Manual;
    graph
}

fn ids<'g>(waves: &[Vec<&'g Node>]) -> Vec<Vec<&'g str>> {
    waves.iter().map(|wave| wave.iter().map(|unit| unit.id.as_str()).collect()).collect()
}

#[test]
fn the_outline_has_waves_within_gates_and_no_edge_that_only_a_gate_makes() {
    let graph = graph();
    let outline: Outline<'_> = graph.outline();
    assert_eq!(
        ids(&outline.waves_of(&outline.gates[0])),
        [vec!["schema"], vec!["handler", "docs"], vec!["last"]]
    );
    assert_eq!(ids(&outline.waves_of(&outline.gates[2])), [["load"]]);
    assert_eq!(outline.gates[0].after, [] as [usize; 0]);
    assert_eq!(outline.gates[2].after, [1]);
    let edges: Vec<_> = outline
        .edges
        .iter()
        .map(|(from, to, _)| (graph.nodes[*from as usize].id.as_str(), graph.nodes[*to as usize].id.as_str()))
        .collect();
    assert_eq!(
        edges,
        [
            ("schema", "handler"),
            ("schema", "docs"),
            ("handler", "last"),
            ("handler", "load"),
            ("docs", "last")
        ]
    );
}

#[test]
fn texts_of_the_plan_stay_in_their_places() {
    let graph = graph();
    let dot = dot(&graph);
    assert!(
        dot.lines().all(|line| line.replace("\\\\", "").replace("\\\"", "").matches('"').count() % 2 == 0),
        "{dot}"
    );
    let mermaid = mermaid(&graph);
    for line in mermaid.lines().filter(|line| line.contains('"')) {
        assert_eq!(line.matches('"').count(), 2, "{line}");
        assert!(!line.contains('`') && !line.contains("<b>&"), "{line}");
    }
    let svg = svg(&graph);
    assert!(!svg.contains("<b>") && svg.contains("&lt;b&gt;&amp;amp;"), "{svg}");
    for picture in [&dot, &mermaid, &svg] {
        assert!(!picture.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{picture}");
    }
}

#[test]
fn boxes_do_not_cover_each_other() {
    let lines: String = (0..200)
        .map(|at| {
            format!(
                "unit u{at} creates=f{at} {}\n",
                if at > 60 { format!("after=u{}", at % 61) } else { String::new() }
            )
        })
        .collect();
    let (checked, diagnostics) = checked(plan(&format!("gate g\n{lines}")), &[]);
    let graph = build(&checked.unwrap_or_else(|| panic!("{diagnostics:#?}")));
    let svg = svg(&graph);
    let number = |line: &str, name: &str| -> u32 {
        let (_, rest) = line.split_once(&format!(" {name}=\"")).expect("the attribute");
        rest.split('"').next().and_then(|digits| digits.parse().ok()).expect("a number")
    };
    let rects: Vec<[u32; 4]> = svg
        .lines()
        .filter(|line| line.starts_with("<rect x="))
        .map(|line| ["x", "y", "width", "height"].map(|name| number(line, name)))
        .collect();
    assert_eq!(rects.len(), 200);
    let (width, height) = (number(&svg, "width"), number(&svg, "height"));
    for (at, a) in rects.iter().enumerate() {
        assert!(a[0] + a[2] < width && a[1] + a[3] < height);
        for b in &rects[at + 1..] {
            let apart =
                a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1];
            assert!(apart, "{a:?} {b:?}");
        }
    }
}
