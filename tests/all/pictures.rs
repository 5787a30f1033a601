//! `loopc graph` as pictures: other programs must be able to read them.
//!
//! Does not know how they look.

use std::io::Write;
use std::process::{Command, Stdio};

use loop_tests::{Lane, Place, fixture, lane, skipped, text};

/// A plan whose texts hold what could break out of a picture.
const EVIL: &str = r####"feature F title="a \"b\" <script>&amp; ]]>" {
    goal "g"
    gate one title="x\"]\n} \\ `y` %% #35;" {
        unit u title="<b>&amp;\"\\ 🦀 日本語日本語日本語日本語日本語日本語" { goal "g"; creates "a"; accept "a" { exists "a"; }; }
        unit v { needs u; goal "] --> x"; creates "b"; accept "b" { exists "b"; }; }
    }
}
"####;
const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    \
                       verifier test { run make; }\n}\n";

fn pictures(format: &str) -> Vec<String> {
    let real = Place::new(&[]);
    real.copy(&fixture("check/clean/repo"));
    let evil = Place::new(&[("plan.loop.kdl", EVIL), ("loop.kdl", PROJECT)]);
    [(real, "plans/orders.loop.kdl"), (evil, "plan.loop.kdl")]
        .map(|(place, plan)| {
            let output = place.loopc(&["graph", plan, "--format", format]);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            let picture = text(&output.stdout);
            let file = format!("out.{format}");
            let written = place.loopc(&["graph", plan, "--format", format, "-o", &file]);
            assert_eq!((written.status.code(), written.stdout.len()), (Some(0), 0));
            assert_eq!(place.read(&file), picture);
            picture
        })
        .into()
}

fn feed(program: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    (output.status.success() && output.stderr.is_empty(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn svg_is_xml_with_every_unit_in_it() {
    let script = "import sys, xml.etree.ElementTree as t\n\
                  for e in t.parse(sys.stdin).iter():\n  u = e.get('data-unit')\n  if u: print(u)";
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("pictures::svg_is_xml_with_every_unit_in_it", "python3 is missing");
    }
    let found: Vec<_> = pictures("svg").iter().map(|svg| feed("python3", &["-c", script], svg)).collect();
    assert_eq!(
        found,
        [(true, "schema\nhandler\ndocs\nlook\nmemory\n".to_owned()), (true, "u\nv\n".to_owned())]
    );
}

#[test]
fn graphviz_draws_the_dot_file() {
    let Some(dot) = lane(Lane::Graphviz, "pictures::graphviz_draws_the_dot_file") else { return };
    for picture in pictures("dot") {
        let (good, out) = feed(dot.to_str().expect("UTF-8"), &["-Tplain"], &picture);
        assert!(good, "{out}");
        let nodes = out.lines().filter(|line| line.starts_with("node ")).count();
        assert!(nodes == 7 || nodes == 3, "{out}");
    }
}

#[test]
fn mermaid_has_each_unit_once_and_only_declared_nodes() {
    for picture in pictures("mermaid") {
        let mut lines = picture.lines();
        assert_eq!(lines.next(), Some("flowchart LR"));
        let lines: Vec<&str> = lines.map(str::trim).collect();
        let declared: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split_once(['[', '(', '{']))
            .map(|(id, _)| id)
            .filter(|id| id.starts_with('n'))
            .collect();
        let edges = lines.iter().filter(|line| line.contains("-> n"));
        for end in edges.flat_map(|line| [line.split(' ').next(), line.split(' ').next_back()]).flatten() {
            assert!(declared.contains(&end), "{end} in\n{picture}");
        }
    }
}

#[test]
fn a_picture_is_not_written_over_a_plan() {
    let place = Place::new(&[("plan.loop.kdl", EVIL), ("loop.kdl", PROJECT)]);
    let output = place.loopc(&["graph", "plan.loop.kdl", "--format", "svg", "-o", "plan.loop.kdl"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(place.read("plan.loop.kdl"), EVIL);
}
