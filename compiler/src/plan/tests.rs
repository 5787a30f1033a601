//! Tests of lowering: what a plan comes to mean, and one line for each finding.

use camino::Utf8Path;

use super::*;
use crate::source::memory::MemorySources;

const PROJECT: &str = "
project shop base=main {
    protect \"tests/acceptance/**\"
    rules \"AGENTS.md\"
    agent implementer via=claude model=sonnet
    agent script via=command { run \"./agent.sh\" --plain; env KEY; }
    defaults agent=implementer {
        verify fmt test
        timeout total=\"45m\" idle=\"10m\"
        retry attempts=2
    }
    defaults kind=docs model=haiku { verify links; }
    verifier fmt { run cargo fmt --check; }
    verifier test {
        param filter type=text default=\"\"
        run cargo test \"${filter}\"
        inputs \"src/**\"
    }
    verifier links { run lychee docs; }
    verifier named { param which type=list; param depth type=number default=1; run check \"${which}\" \"${depth}\"; }
    verifier e2e tier=broad { shell \"./e2e.sh | tee log\"; exit 0 2; stdout #\"\\d+ passed\"#; }
}
";

fn compile(files: &[(&str, &str)]) -> (Lowered, SourceMap) {
    let sources = MemorySources::new(files.iter().copied());
    let has = |path: &'static str| files.iter().any(|(name, _)| *name == path).then_some(Utf8Path::new(path));
    let mut map = SourceMap::default();
    let input = Input { project: has("loop.kdl"), plan: has("p.loop.kdl") };
    (lower(&input, &sources, &mut map), map)
}

fn findings(files: &[(&str, &str)]) -> String {
    let (lowered, map) = compile(files);
    let line = |found: &crate::diagnostic::Diagnostic| {
        let file = map.file(found.primary.span.file);
        let at = file.position(found.primary.span.start);
        let file = if file.path == "p.loop.kdl" { String::new() } else { format!("{}:", file.path) };
        format!("{file}{}:{} {}: {}", at.line, at.column, found.rule.name, found.message)
    };
    lowered.diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Findings of a plan beside [`PROJECT`].
fn check(plan: &str) -> String {
    findings(&[("loop.kdl", PROJECT), ("p.loop.kdl", plan)])
}

/// Findings of what stands in one unit with a goal.
fn check_unit(inside: &str) -> String {
    check(&format!("feature f {{ unit u {{\n{inside}\ngoal x\n}} }}"))
}

fn good(plan: &str) -> Plan {
    let (lowered, _) = compile(&[("loop.kdl", PROJECT), ("p.loop.kdl", plan)]);
    assert_eq!(check(plan), "");
    lowered.plan
}

/// Applies the first fix of every finding.
fn fixed(plan: &str) -> String {
    let (lowered, _) = compile(&[("loop.kdl", PROJECT), ("p.loop.kdl", plan)]);
    let mut edits: Vec<_> =
        lowered.diagnostics.iter().filter_map(|d| d.fixes.first()).flat_map(|f| &f.edits).collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span));
    let mut text = plan.to_owned();
    for edit in edits {
        text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    text
}

fn unit<'p>(plan: &'p Plan, id: &str) -> &'p Unit {
    plan.units.iter().find(|unit| unit.id.value == id).unwrap_or_else(|| panic!("no unit {id}"))
}

fn verifies(plan: &Plan, id: &str) -> Vec<String> {
    unit(plan, id).verify.iter().map(|v| plan.verifiers[v.verifier.0 as usize].id.value.clone()).collect()
}

#[test]
fn a_small_plan_gets_the_projects_defaults() {
    let plan = good(
        r#"feature f title="T" base=next {
            goal "g"
            source "https://example.com/1"
            requirement R1 "r" ref="specs/a.md#One"
            unit a { goal "x"; writes "src/a"; covers R1; accept "it" by=test; label one two; }
            unit b kind=docs agent=script { goal "y"; needs a; after a; creates "docs/b.md"; verify fmt; skip links reason="none yet"; rules "docs/RULES.md" "AGENTS.md"; timeout total="1h"; }
        }"#,
    );
    let feature = plan.feature.as_ref().expect("the plan has a feature");
    assert_eq!((feature.id.value.as_str(), feature.base.as_deref()), ("f", Some("next")));
    assert_eq!(plan.gates.len(), 1);
    assert!(plan.gates[0].implied && plan.gates[0].approve == Approve::Auto);
    assert_eq!(plan.gates[0].id.value, IMPLIED_GATE);
    assert_eq!(verifies(&plan, "a"), ["fmt", "test"]);
    // `kind=docs` names `verify`, so the general list does not count; `skip` takes out the rest.
    assert_eq!(verifies(&plan, "b"), ["fmt"]);
    let (a, b) = (unit(&plan, "a"), unit(&plan, "b"));
    assert_eq!((a.model.as_deref(), b.model.as_deref()), (None, Some("haiku")));
    assert_eq!(a.retry.attempts, 2);
    assert_eq!(a.timeout, Timeout { total_ms: Some(2_700_000), idle_ms: Some(600_000) });
    assert_eq!(b.timeout, Timeout { total_ms: Some(3_600_000), idle_ms: None });
    let rules: Vec<&str> = b.rules.iter().map(|rule| rule.path.as_str()).collect();
    assert_eq!(rules, ["AGENTS.md", "docs/RULES.md"]);
    assert_eq!(plan.agents[b.agent.expect("stated").value.0 as usize].id.value, "script");
    assert_eq!(b.needs[0].value, UnitIx(0));
    assert_eq!(a.covers[0].value, RequirementIx(0));
    assert_eq!(a.labels, ["one", "two"]);
    assert_eq!(plan.plan_files, ["loop.kdl", "p.loop.kdl"]);
    assert_eq!(plan.protect[0].value.as_str(), "tests/acceptance/**");
    let e2e = &plan.verifiers[0];
    assert_eq!(
        (e2e.id.value.as_str(), e2e.tier, e2e.check.exit.as_slice()),
        ("e2e", Tier::Broad, &[0, 2][..])
    );
}

#[test]
fn nearer_defaults_win_and_kind_comes_first() {
    let plan = good(
        r#"feature f {
            defaults { verify links; retry attempts=5; constraint "of the feature"; }
            defaults kind=docs { retry attempts=6; }
            gate g { defaults { retry attempts=7; }
                unit a { goal x; writes; }
                unit b kind=docs { goal x; writes; constraint "own"; }
            }
            gate h { defaults kind=docs { verify e2e; }; approve by=auto
                unit c { goal x; writes; }
                unit d kind=docs { goal x; writes; verify test filter="d"; }
            }
        }"#,
    );
    let attempts = |id| unit(&plan, id).retry.attempts;
    assert_eq!([attempts("a"), attempts("b"), attempts("c"), attempts("d")], [7, 7, 5, 6]);
    assert_eq!(verifies(&plan, "c"), ["links"]);
    assert_eq!(verifies(&plan, "d"), ["e2e", "test"]);
    assert_eq!(unit(&plan, "d").verify[1].arguments, [("filter".to_owned(), vec!["d".to_owned()])]);
    assert_eq!(unit(&plan, "a").constraints, ["of the feature"]);
    assert_eq!(unit(&plan, "b").constraints, ["own"]);
    assert_eq!([plan.gates[0].approve, plan.gates[1].approve], [Approve::Human, Approve::Auto]);
}

#[test]
fn parameters_are_checked_against_their_verifier() {
    let plan = good(
        r#"feature f {
            unit a { goal x; writes; verify named { which "x" "y"; }; }
            unit b { goal x; writes; verify named which="z" depth=3; }
        }"#,
    );
    let expand = |id: &str| {
        let verification = unit(&plan, id).verify.last().expect("verified").clone();
        plan.verifiers[verification.verifier.0 as usize].expand(&verification.arguments).command
    };
    let of = |id| {
        unit(&plan, id).verify.iter().position(|v| plan.verifiers[v.verifier.0 as usize].id.value == "named")
    };
    assert_eq!((of("a"), of("b")), (Some(1), Some(1)));
    assert!(matches!(expand("a"), Command::Run(_)));
    assert_eq!(
        check_unit("verify named\nverify test flter=x\nverify fmt test filter=x\nverify fmt fmt"),
        "2:8 missing-argument: the verifier `named` must be given `which`\n\
         3:13 unknown-property: the verifier `test` has no parameter `flter`\n\
         4:12 duplicate-node: `verify test` stands twice in one block\n\
         4:17 too-many-arguments: a parameter belongs to one verifier, and several are named\n\
         5:8 duplicate-node: `verify fmt` stands twice in one block\n\
         5:12 duplicate-node: `verify fmt` stands twice in one block"
    );
    assert_eq!(
        check_unit("verify named which=5 depth=\"3\"\nverify test { filter a; }"),
        "2:8 missing-argument: the verifier `named` must be given `which`\n\
         2:20 wrong-type: the parameter `which` takes a text\n\
         2:28 wrong-type: the parameter `depth` takes a number\n\
         3:15 wrong-type: the parameter `filter` takes one value"
    );
}

#[test]
fn what_kdl_accepts_and_nobody_means_has_its_own_messages() {
    let plan = "feature f {
    unit a: { goal 'say this well'; writes; needs b, c; }
    unit b { goal x; writes; needs: c; accept \"t\" { run cargo test --features=x; }; verify 'test'; }
    unit c title: \"T\" { goal x; writes; accept \"u\" { run \"cargo test\"; }; accept \"v\" { run \"a | b\"; }; }
    unit 1.10 { goal x; writes; needs:c; }
}
";
    assert_eq!(
        check(plan),
        "2:10 punctuation-in-name: the colon became part of the name
2:20 punctuation-in-name: only double quotes quote: these became part of the text
2:51 punctuation-in-name: the comma became part of the name
3:30 punctuation-in-name: the `:` became part of the node's name
3:68 property-in-run: this word of `run` was read as a property
3:92 punctuation-in-name: only double quotes quote: these became part of the text
4:12 punctuation-in-name: `title` is a property: it takes `=`
4:58 one-word-command: `run` takes a command word for word, and this is one word
4:92 one-word-command: `run` takes a command word for word, and this is one word
5:10 invalid-id: `1.10` is a number and cannot be an id
5:33 punctuation-in-name: the colon and what follows became part of the node's name"
    );
    let mended = fixed(plan);
    assert_eq!(check(&mended), "", "{mended}");
    assert!(
        mended.contains("unit a {")
            && mended.contains("goal \"say this well\"")
            && mended.contains("needs b c")
    );
    assert!(
        mended.contains("\"--features=x\"")
            && mended.contains("run cargo test;")
            && mended.contains("shell \"a | b\"")
    );
}

#[test]
fn words_of_other_formats_are_known() {
    let plan = "feature f {
    task a { objective \"x\"; files \"src/a\"; acceptance \"t\" by=test; }
    unit b role=docs status=done { goal x; depends_on a; outputs \"o\"; status ready; }
    unit c depends_on=a { goal x; writes; accept \"v\" { command cargo test; }; }
}
";
    assert_eq!(
        check(plan),
        "2:5 unknown-node: `feature` takes no node `task`
2:14 unknown-node: `unit` takes no node `objective`
2:29 unknown-node: `unit` takes no node `files`
2:44 unknown-node: `unit` takes no node `acceptance`
3:12 unknown-property: `unit` has no property `role`
3:22 unknown-property: `unit` has no property `status`
3:44 unknown-node: `unit` takes no node `depends_on`
3:58 unknown-node: `unit` takes no node `outputs`
3:71 unknown-node: `unit` takes no node `status`
4:12 unknown-property: `unit` has no property `depends_on`
4:56 unknown-node: `accept` takes no node `command`"
    );
    assert_eq!(
        check(&fixed(plan)),
        "3:22 unknown-property: `unit` has no property `status`
3:66 unknown-node: `unit` takes no node `status`
4:12 unknown-property: `unit` has no property `depends_on`"
    );
}

#[test]
fn shapes_are_checked_from_the_table() {
    assert_eq!(
        check_unit(
            "wirtes \"a\"\ntitle \"x\"\nverifier x\ngoal \"y\"\ngoal y z\nneeds\nretry\nretry attempts=0\naccept \"\" by=test by=test"
        ),
        "2:1 unknown-node: `unit` takes no node `wirtes`
3:1 unknown-node: `unit` takes no node `title`
4:1 unknown-node: `verifier` may not stand in `unit`
6:1 duplicate-node: `goal` stands twice in `unit`
6:8 too-many-arguments: `goal` takes one argument, a text
7:1 missing-argument: `needs` lacks a unit's id
8:1 missing-argument: `retry` lacks `attempts=`
9:1 duplicate-node: `retry` stands twice in `unit`
9:16 wrong-type: `attempts=` takes a whole number from 1 to 100
10:8 wrong-type: `accept` takes a text
10:19 duplicate-node: the property `by` stands twice
11:1 duplicate-node: `goal` stands twice in `unit`"
    );
    assert_eq!(
        check_unit(
            "writes (x)\"a\" #true\nlabel 5\n(t)step \"x\"\ntimeout\nbudget usd=-1 time=\"1x\" tokens=\"5\"\nprompt\nprompt \"x\" file=\"p.md\""
        ),
        "2:9 wrong-type: plans have no type annotations
2:15 wrong-type: `writes` takes a path or pattern
3:7 wrong-type: `label` takes a word
4:2 wrong-type: plans have no type annotations
5:1 missing-argument: `timeout` names no limit
6:12 wrong-type: `usd=` takes an amount of US dollars, with at most six decimals
6:20 wrong-type: `time=` takes a time like \"1h30m\"
6:32 wrong-type: `tokens=` takes a whole number from 1 on
7:1 missing-argument: `prompt` lacks a text
8:12 too-many-arguments: `prompt` takes a text or a file, not both"
    );
}
