//! Graphs of small plans: what changes a digest and what does not, and the vectors of the specification.
//!
//! Does not know how a digest is put together.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::check::testing::{checked, plan};
use crate::plan::{self, Plan, UnitIx};

const PLAN: &str = "gate works
    unit schema creates=src/schema inputs=specs/**,!specs/draft/**
    unit handler needs=schema writes=src/handler,src/router ref=docs/api.md
    unit docs after=handler needs=schema creates=docs/guide.md
    gate scales
    unit load needs=handler writes=src/load";
const FILES: &[(&str, &str)] = &[("docs/api.md", "# API")];

fn graph_of(plan: Plan) -> Graph {
    let (checked, diagnostics) = checked(plan, FILES);
    build(&checked.unwrap_or_else(|| panic!("{diagnostics:#?}")))
}

fn graph() -> Graph {
    graph_of(plan(PLAN))
}

fn ids(graph: &Graph, nodes: &[u32]) -> Vec<String> {
    nodes.iter().map(|node| graph.nodes[*node as usize].id.clone()).collect()
}

#[test]
fn nodes_stand_in_plan_order_with_each_gate_behind_its_units() {
    let graph = graph();
    let all: Vec<u32> = (0..graph.nodes.len() as u32).collect();
    assert_eq!(ids(&graph, &all), ["schema", "handler", "docs", "gate:works", "load", "gate:scales"]);
    let topology = graph.topology();
    let at = |id: &str| topology.node(id).expect("a node");
    assert_eq!(ids(&graph, topology.needs(at("docs"))), ["schema"]);
    assert_eq!(ids(&graph, topology.predecessors(at("docs"))), ["schema", "handler"]);
    assert_eq!(ids(&graph, topology.predecessors(at("load"))), ["handler", "gate:works"]);
    assert_eq!(
        ids(&graph, &topology.ancestors_in_canonical_order(at("load"))),
        ["schema", "handler", "docs"]
    );
    assert_eq!(ids(&graph, &topology.canonical_order()), ["schema", "handler", "docs", "load"]);
    assert_eq!(topology.gate("works"), Some(3));
    assert_eq!(
        graph.edges,
        graph.edges.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn gates_pass_as_soon_as_they_can() {
    // `late` is in the first gate's follower and stands before `other` in the plan, so it lands before it.
    let text = "gate g needs=\nunit a writes=a\ngate h needs=g\nunit late writes=b\ngate i needs=\nunit other writes=c";
    let graph = graph_of(plan(text));
    assert_eq!(ids(&graph, &graph.topology().canonical_order()), ["a", "late", "other"]);
}

/// Two verifiers beside the plan's `test`: `slow` is broad, `filtered` takes a parameter.
fn with_verifiers() -> Plan {
    let mut plan = plan(PLAN);
    let mut slow = plan.verifiers[0].clone();
    slow.id.value = "slow".to_owned();
    slow.tier = plan::Tier::Broad;
    let mut filtered = plan.verifiers[0].clone();
    filtered.id.value = "filtered".to_owned();
    filtered.check.command = plan::Command::Run(vec!["t".to_owned(), "${filter}".to_owned()]);
    let default = Some(vec!["all".to_owned()]);
    filtered.params.push(plan::Param { name: "filter".to_owned(), kind: plan::ParamKind::Text, default });
    plan.verifiers.extend([slow, filtered]);
    let span = plan.units[0].span;
    let uses = |verifier, arguments, expect_fail| plan::Verification {
        verifier: plan::VerifierIx(verifier),
        arguments,
        expect_fail,
        span,
    };
    plan.units[0].verify.push(uses(1, Vec::new(), false));
    let narrowed = vec![("filter".to_owned(), vec!["db".to_owned()])];
    plan.units[0].verify.push(uses(2, narrowed, true));
    plan
}

#[test]
fn a_gate_runs_what_its_units_ran_plainly_and_the_broad_ones() {
    let graph = graph_of(with_verifiers());
    let of = |node: usize| -> Vec<(String, String, bool)> {
        let verify = graph.nodes[node].policy.verify.iter();
        verify
            .map(|verify| {
                let Command::Run(words) = &verify.check.command else { panic!("all of these are `run`") };
                (verify.verifier.clone(), words.join(" "), verify.expect_fail)
            })
            .collect()
    };
    let expected = |list: &[(&str, &str, bool)]| -> Vec<(String, String, bool)> {
        list.iter().map(|(id, words, fail)| ((*id).to_owned(), (*words).to_owned(), *fail)).collect()
    };
    assert_eq!(of(0), expected(&[("filtered", "t db", true), ("test", "true", false)]));
    assert_eq!(
        of(3),
        expected(&[("filtered", "t all", false), ("slow", "true", false), ("test", "true", false)])
    );
    assert_eq!(of(5), expected(&[("test", "true", false)]));
}

#[test]
fn json_is_read_back_and_changes_are_noticed() {
    let graph = graph();
    let text = encode(&graph);
    assert!(text.ends_with("}\n"));
    assert_eq!(decode(&text).as_ref(), Ok(&graph));
    assert!(matches!(decode(&text.replacen("Do schema.", "Do evil.", 1)), Err(DecodeError::Inconsistent(_))));
    let scope = text.replacen("src/load", "src", 1);
    assert!(matches!(decode(&scope), Err(DecodeError::DigestMismatch { .. })));
    let newer = text.replacen("\"format_version\": 1", "\"format_version\": 2", 1);
    assert_eq!(decode(&newer), Err(DecodeError::Newer(2)));
    assert!(matches!(decode("{}"), Err(DecodeError::Malformed(_))));
    assert!(matches!(
        decode(&text.replacen("\"edges\"", "\"edgy\": 1, \"edges\"", 1)),
        Err(DecodeError::Malformed(_))
    ));
}

#[test]
fn damaged_edges_are_refused() {
    let rebuilt = |change: &dyn Fn(&mut Graph)| {
        let mut graph = graph();
        change(&mut graph);
        graph.digest = graph_digest(&graph);
        decode(&encode(&graph))
    };
    let edge = |from, to| Edge { from, to, kind: EdgeKind::Data };
    assert!(rebuilt(&|_| ()).is_ok());
    assert!(matches!(rebuilt(&|graph| graph.edges.push(edge(99, 0))), Err(DecodeError::Inconsistent(_))));
    assert!(matches!(rebuilt(&|graph| graph.edges.reverse()), Err(DecodeError::Inconsistent(_))));
    let cycle = |graph: &mut Graph| graph.edges.insert(0, edge(0, 0));
    assert!(matches!(rebuilt(&cycle), Err(DecodeError::Inconsistent(_))));
    assert!(matches!(rebuilt(&|graph| graph.nodes[1].index = 0), Err(DecodeError::Inconsistent(_))));
    assert!(matches!(rebuilt(&|graph| graph.agents.clear()), Err(DecodeError::Inconsistent(_))));
}

/// What is edited, whether it is asked of `schema` (the first unit), and the edit.
type NamedEdit = (&'static str, bool, fn(&mut Plan));

/// Every way to edit the meaning of the plan.
fn edits() -> Vec<NamedEdit> {
    fn unit(plan: &mut Plan) -> &mut plan::Unit {
        &mut plan.units[0]
    }
    vec![
        ("goal", true, |plan| unit(plan).goal.as_mut().expect("a goal").value.push('!')),
        ("constraint", true, |plan| unit(plan).constraints.push("c".to_owned())),
        ("step", true, |plan| {
            let span = unit(plan).id.span;
            unit(plan).steps.push(crate::source::Spanned::new("s".to_owned(), span))
        }),
        ("prompt", true, |plan| {
            let span = unit(plan).id.span;
            unit(plan).prompt.push(plan::PromptPart { text: String::new(), span, file: None })
        }),
        ("inputs", true, |plan| _ = unit(plan).inputs.pop()),
        ("ref", true, |plan| {
            let reference = plan.units[1].refs[0].clone();
            unit(plan).refs.push(reference);
        }),
        ("title", false, |plan| unit(plan).title = Some("t".to_owned())),
        ("kind", false, |plan| unit(plan).kind = "docs".to_owned()),
        ("model", false, |plan| unit(plan).model = Some("m".to_owned())),
        ("agent's model", false, |plan| plan.agents[0].model = Some("m".to_owned())),
        ("agent's arguments", false, |plan| plan.agents[0].args.push("-x".to_owned())),
        ("timeout", false, |plan| unit(plan).timeout.total_ms = Some(1)),
        ("budget", false, |plan| unit(plan).budget.tokens = Some(1)),
        ("retry", false, |plan| unit(plan).retry.attempts = 7),
        ("label", false, |plan| unit(plan).labels.push("l".to_owned())),
        ("order", false, |plan| {
            let span = plan.units[3].span;
            plan.units[3].after.push(crate::source::Spanned::new(UnitIx(0), span));
        }),
        ("need", false, |plan| {
            let need = plan.units[2].needs.pop().expect("a need");
            plan.units[2].after.push(need);
        }),
        ("verifier", false, |plan| plan.verifiers[0].check.exit.push(3)),
        ("verifier's timeout", false, |plan| plan.verifiers[0].timeout.idle_ms = Some(3)),
        ("approval", false, |plan| plan.gates[0].approve = plan::Approve::Auto(plan::Bounds::default())),
        ("gate's goal", false, |plan| plan.gates[0].goal = Some("g".to_owned())),
        ("protect", false, |plan| {
            let protected = crate::glob::Pattern::of_path("LICENSE");
            plan.protect.push(crate::source::Spanned::new(protected, plan.gates[0].span));
        }),
        ("share", false, |plan| plan.worktree.share.push("target".into())),
        ("feature's budget", false, |plan| {
            plan.feature.as_mut().expect("a feature").budget.time_ms = Some(1)
        }),
        ("scope", false, |plan| {
            let pattern = crate::glob::Pattern::of_path("src/more");
            let span = plan.units[0].span;
            unit(plan).writes.push(crate::source::Spanned::new(pattern, span));
        }),
    ]
}

#[test]
fn every_edit_of_the_meaning_changes_the_graph_and_only_what_is_asked_changes_the_ask() {
    let before = graph();
    let mut seen = BTreeSet::from([before.digest.clone()]);
    for (name, asked, edit) in edits() {
        let mut edited = plan(PLAN);
        edit(&mut edited);
        let after = graph_of(edited);
        assert!(seen.insert(after.digest.clone()), "{name} does not change the graph's digest");
        assert_eq!(before.nodes[0].ask_digest != after.nodes[0].ask_digest, asked, "{name}");
        assert_eq!(
            before.nodes[1].ask_digest, after.nodes[1].ask_digest,
            "{name} is not asked of another unit"
        );
    }
}

#[test]
fn order_inside_a_unit_and_names_of_files_change_nothing() {
    let before = encode(&graph_of(with_verifiers()));
    let mut shuffled = with_verifiers();
    shuffled.verifiers[0].env.reverse();
    shuffled.units[1].writes.reverse();
    shuffled.units[0].verify.reverse();
    shuffled.units[2].needs.reverse();
    shuffled.units.iter_mut().for_each(|unit| unit.span.start += 100);
    shuffled.plan_files.push("loop.kdl".into());
    assert_eq!(encode(&graph_of(shuffled)), before);
}

#[test]
fn a_closure_is_what_was_approved() {
    let closures = |plan: Plan| {
        let graph = graph_of(plan);
        (closure_digest(&graph, "works"), closure_digest(&graph, "scales"))
    };
    let before = closures(plan(PLAN));
    assert_ne!(before.0, before.1);
    let no_part = [
        "title",
        "kind",
        "model",
        "agent's model",
        "agent's arguments",
        "timeout",
        "budget",
        "retry",
        "label",
        "verifier's timeout",
        "share",
        "feature's budget",
        "order",
        "need",
        "protect",
    ];
    for (name, _, edit) in edits() {
        let mut edited = plan(PLAN);
        edit(&mut edited);
        let after = closures(edited);
        assert_eq!(after.0 == before.0, no_part.contains(&name), "{name}");
        assert_eq!(after.1 == before.1, no_part.contains(&name), "{name}, seen from the gate behind");
    }
    let mut later = plan(PLAN);
    later.units[3].goal.as_mut().expect("a goal").value.push('!');
    let after = closures(later);
    assert_eq!(after.0, before.0, "a later gate is no part of an earlier one");
    assert_ne!(after.1, before.1);
}

fn entry(object: &str) -> ContentEntry {
    ContentEntry { mode: "100644".to_owned(), object: object.to_owned() }
}

#[test]
fn a_unit_key_explains_itself() {
    let ask = Ask { goal: Some("One.\nTwo.".to_owned()), steps: vec!["s".to_owned()], ..Ask::default() };
    let reference = Ref { path: "docs/api.md".to_owned(), heading: Some("Health".to_owned()) };
    let inputs = UnitKeyInputs {
        ask: &ask,
        refs: vec![(reference, Some(Content::Section("ab".to_owned())))],
        rules: vec![("AGENTS.md".to_owned(), None)],
        inputs: vec![("b".to_owned(), entry("2")), ("a".to_owned(), entry("1"))],
        needs: vec![("gone".to_owned(), None)],
    };
    let keyed = unit_key(&inputs);
    let lines: Vec<String> =
        keyed.fields.iter().map(|field| format!("{}: {}", field.name, field.value)).collect();
    assert_eq!(
        lines,
        [
            "goal: One.\\nTwo.",
            "step: s",
            "ref docs/api.md: Health ab",
            "rules AGENTS.md: ",
            "input a: 100644 1",
            "input b: 100644 2",
            "needs gone: "
        ]
    );
    let mut turned = inputs.clone();
    turned.inputs.reverse();
    assert_eq!(unit_key(&turned), keyed);
}

#[test]
fn a_verify_key_tells_unset_from_empty() {
    let check = Check { command: Command::Shell("x".to_owned()), exit: vec![0], stdout: None };
    let key = |env: Option<&str>, network| {
        let env = vec![("A".to_owned(), env.map(str::to_owned))];
        let (tools, prepare) = (Vec::new(), None);
        verify_key(&VerifyKeyInputs {
            check: &check,
            tree: "t",
            os: "linux",
            arch: "x86_64",
            env,
            tools,
            prepare,
            network,
            cwd: None,
        })
    };
    assert_ne!(key(None, false).key, key(Some(""), false).key);
    assert_ne!(key(None, false).key, key(None, true).key);
    assert_eq!(key(Some("1"), false).fields[4], KeyField { name: "env A".to_owned(), value: "1".to_owned() });
}

#[test]
fn a_chain_of_100_000_units_is_built_and_read() {
    let mut text = String::from("unit u0 writes=src/0\n");
    for at in 1..100_000 {
        writeln!(text, "unit u{at} needs=u{} writes=src/{at}", at - 1).expect("writing to a string");
    }
    let graph = graph_of(plan(&text));
    let topology = graph.topology();
    assert_eq!(topology.ancestors_in_canonical_order(99_999).len(), 99_999);
    assert_eq!(closure_digest(&graph, "main").len(), 64);
    assert_eq!(decode(&encode(&graph)).map(|graph| graph.nodes.len()), Ok(100_001));
}

/// The vectors of the specification, which a script without any of this code has computed too.
#[test]
fn digests_are_those_of_the_specification() {
    let text = include_str!("../../../spec/hashing.md");
    let mut count = 0;
    for block in text.split("```json vector\n").skip(1) {
        let json = block.split("```").next().expect("a split has a first part");
        let vector: Value = serde_json::from_str(json).expect("a vector is JSON");
        let digest = vector_digest(vector["type"].as_str().expect("a type"), &vector["input"]);
        assert_eq!(Some(digest.as_str()), vector["digest"].as_str(), "{}", vector["name"]);
        count += 1;
    }
    assert!(count >= 6, "{count} vectors");
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value}"))
}

fn vector_digest(kind: &str, input: &Value) -> String {
    let list = |name: &str| input[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let needed = |value: &Value, name: &str| text(value, name).unwrap_or_else(|| panic!("{name} in {value}"));
    let entry_of =
        |value: &Value| Some(ContentEntry { mode: text(value, "mode")?, object: text(value, "object")? });
    let content = |value: &Value| {
        text(value, "section").map(Content::Section).or_else(|| entry_of(value).map(Content::Entry))
    };
    match kind {
        "section" => section_digest(input.as_str().expect("a text")),
        "ask" => ask_digest(&read(input)),
        "policy" => policy_digest(&read(&input["policy"]), &read(&input["scope"])),
        "graph" => {
            let mut graph = input.clone();
            graph["format_version"] = 1.into();
            graph["digest"] = "".into();
            for node in graph["nodes"].as_array_mut().expect("nodes") {
                node["ask_digest"] = "".into();
            }
            graph_digest(&read(&graph))
        }
        "unit-key" => {
            let reference =
                |value: &Value| Ref { path: needed(value, "path"), heading: text(value, "heading") };
            unit_key(&UnitKeyInputs {
                ask: &read(&input["ask"]),
                refs: list("refs").iter().map(|value| (reference(value), content(value))).collect(),
                rules: list("rules").iter().map(|value| (needed(value, "path"), content(value))).collect(),
                inputs: list("inputs")
                    .iter()
                    .map(|value| (needed(value, "path"), entry_of(value).expect("an entry")))
                    .collect(),
                needs: list("needs").iter().map(|value| (needed(value, "path"), entry_of(value))).collect(),
            })
            .key
        }
        "verify-key" => {
            let tool = |value: &Value| Tool {
                command: read(&value["command"]),
                output: needed(value, "output"),
                binary: needed(value, "binary"),
            };
            verify_key(&VerifyKeyInputs {
                check: &read(&input["check"]),
                tree: &needed(input, "tree"),
                os: &needed(input, "os"),
                arch: &needed(input, "arch"),
                env: list("env").iter().map(|value| (needed(value, "name"), text(value, "value"))).collect(),
                tools: list("tools").iter().map(tool).collect(),
                prepare: text(input, "prepare"),
                network: input["network"] == true,
                cwd: input["cwd"].as_str(),
            })
            .key
        }
        other => panic!("no vector is of type {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Length before bytes: no way to move text between neighbouring fields gives the same digest.
    #[test]
    fn texts_do_not_run_into_each_other(words in prop::collection::vec("[ab]{0,2}", 0..4), cut in 0usize..4) {
        let split = cut.min(words.len());
        let (steps, constraints) = words.split_at(split);
        let one = Ask { steps: steps.to_vec(), constraints: constraints.to_vec(), ..Ask::default() };
        let joined = Ask { steps: vec![steps.concat()], constraints: vec![constraints.concat()], ..Ask::default() };
        prop_assert_eq!(one == joined, ask_digest(&one) == ask_digest(&joined));
    }
}

/// The graph of a plan as people write it, with further files.
fn compiled(text: &str, files: &[(&str, &str)]) -> Graph {
    let project = "project p {\n agent coder via=claude\n defaults agent=coder { verify test; }\n \
                   verifier test { run cargo test; inputs \"src/**\"; }\n}";
    let mut sources =
        crate::source::memory::MemorySources::new([("loop.kdl", project), ("p.loop.kdl", text)]);
    files.iter().for_each(|(path, text)| sources.insert(*path, *text));
    let compilation = crate::compile::compile(Some("loop.kdl".into()), &["p.loop.kdl".into()], &sources);
    let checked = compilation.plans[0].1.as_ref();
    build(checked.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics)))
}

#[test]
fn layout_comments_and_the_order_of_nodes_change_no_digest() {
    let before = compiled(
        "feature F {
            goal \"G.\"
            unit a { goal \"A.\"; inputs \"s/**\"; writes \"x\" \"y\"; step \"one\"; step \"two\"; }
            unit b { needs a; goal \"B.\"; creates \"z\"; accept \"there\" { exists \"z\"; missing \"w\"; }; }
        }",
        &[],
    );
    let after = compiled(
        "// A comment.
        feature F {
            unit a {
                writes \"./y\"
                writes \"x\" /* the other */
                step \"one\"
                step \"two\"; inputs \"s//**\"
                goal #\"A.\"#
                /- step \"three\"
            }
            unit \"b\" \\
                { accept \"there\" {
                    missing \"w\"
                    exists \"z\"
                }; creates \"z\"; goal \"B.\"; needs a; }
            goal \"G.\"
        }",
        &[],
    );
    assert_eq!(encode(&before), encode(&after));
    let edited = compiled(
        "feature F {
            goal \"G.\"
            unit a { goal \"A.\"; inputs \"s/**\"; writes \"x\" \"y\"; step \"two\"; step \"one\"; }
            unit b { needs a; goal \"B.\"; creates \"z\"; accept \"there\" { exists \"z\"; missing \"w\"; }; }
        }",
        &[],
    );
    assert_ne!(before.nodes[0].ask_digest, edited.nodes[0].ask_digest, "steps have an order");
    assert_eq!(before.nodes[1].ask_digest, edited.nodes[1].ask_digest);
}
