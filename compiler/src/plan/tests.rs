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
    assert!(plan.gates[0].implied && plan.gates[0].approve == Approve::Auto(Bounds::default()));
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
    assert_eq!(
        [plan.gates[0].approve, plan.gates[1].approve],
        [Approve::Human, Approve::Auto(Bounds::default())]
    );
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

#[test]
fn wrong_names_are_told_with_the_near_one() {
    let plan = "feature f {
    requirement R1 \"r\"
    gate g {
        unit handler { goal x; writes; needs handlr g; covers R2 Q; verify tset; skip frmt reason=r; accept \"t\" by=links2; }
        unit other agent=implementor { goal x; writes; accept \"t\" by=handler; after nothing_like_it \"csv/x\"; }
        unit handler { goal x; writes; skip fmt; skip test reason=r; }
    }
    gate h { needs handler gg; unit d { goal x; writes; needs d d; }; }
    gate g
    use t as=csv
}
";
    assert_eq!(
        check(plan),
        "4:46 unknown-unit: no unit is called `handlr`
4:53 unknown-unit: `g` is a gate, and a unit waits for units
4:63 unknown-requirement: no requirement is called `R2`
4:66 unknown-requirement: no requirement is called `Q`
4:76 unknown-verifier: no verifier is called `tset`
4:87 unknown-verifier: no verifier is called `frmt`
4:116 unknown-verifier: no verifier is called `links2`
5:26 unknown-agent: no agent is called `implementor`
5:70 unknown-verifier: `handler` is a unit, and units do not judge
5:85 unknown-unit: no unit is called `nothing_like_it`
6:14 duplicate-id: a unit called `handler` exists already
6:40 lowered-without-reason: `skip fmt` gives no reason
8:20 unknown-unit: `handler` is a unit, and a gate waits for gates
8:28 unknown-unit: no gate is called `gg`
9:10 duplicate-id: a gate called `g` exists already
10:5 unknown-node: this `use` stands outside the gates of its feature
10:9 unknown-template: no template is called `t`"
    );
    let (lowered, map) = compile(&[("loop.kdl", PROJECT), ("p.loop.kdl", plan)]);
    let near = |message: &str| {
        let found =
            lowered.diagnostics.iter().find(|found| found.message.contains(message)).expect("it was found");
        let label = found.labels.last().map(|label| map.text(label.span));
        (label, found.fixes.first().map(|fix| fix.edits[0].text.as_str()))
    };
    assert_eq!(near("`handlr`"), (Some("handler"), Some("handler")));
    assert_eq!(near("`tset`"), (Some("test"), Some("test")));
    assert_eq!(near("`R2`"), (Some("R1"), Some("R1")));
    assert_eq!(near("`implementor`"), (Some("implementer"), Some("implementer")));
    assert_eq!(near("`nothing_like_it`"), (None, None));
}

#[test]
fn ids_have_rules_of_their_own() {
    let long = "x".repeat(65);
    let plan = format!(
        "feature \"a..b\" {{
    unit -a {{ goal x; writes; }}
    unit {long} {{ goal x; writes; }}
    unit \"1.1\" {{ goal x; writes; needs 1.1; }}
    unit \"a b\" {{ goal x; writes; }}
    unit \"a/b\" {{ goal x; writes; }}
    unit {{ goal x; writes; }}
    requirement 7 \"r\"
}}
"
    );
    assert_eq!(
        check(&plan).replace(&long[..64], "LONG"),
        "1:9 invalid-id: `a..b` cannot be the id of a feature: it holds `..`, which no branch name may
2:10 invalid-id: `-a` cannot be an id: it begins with `-`
3:10 invalid-id: `LONG…` cannot be an id: it has 65 characters, and 64 is the most
4:40 wrong-type: `needs` takes a unit's id
5:10 invalid-id: `a b` cannot be an id: it holds a space
6:10 invalid-id: `a/b` cannot be an id: `/` is made only by `use`
7:5 missing-argument: `unit` lacks an id
8:17 invalid-id: `7` is a number and cannot be an id"
    );
    let id = |text: &str| {
        crate::source::Spanned::new(text.to_owned(), crate::source::Span::new(crate::source::FileId(0), 0, 0))
    };
    let rules =
        |ids: &[&str]| names::duplicate_features(&ids.iter().map(|text| id(text)).collect::<Vec<_>>()).len();
    assert_eq!([rules(&["a", "b"]), rules(&["a", "a"]), rules(&["a", "A", "b"])], [0, 1, 1]);
}

#[test]
fn files_import_from_each_other_by_name() {
    let shared = "import \"./deep/more.loop.kdl\" lint
verifier contract { run check contract; }
verifier other { run check other; }
agent helper via=claude
";
    let more = "verifier lint { run lint; }\n";
    let plan = "import \"./shared.loop.kdl\" mine=contract helper lint
feature f { unit a agent=helper { goal x; writes; accept t by=mine; verify lint; } }
";
    let files = [
        ("loop.kdl", PROJECT),
        ("p.loop.kdl", plan),
        ("shared.loop.kdl", shared),
        ("deep/more.loop.kdl", more),
    ];
    assert_eq!(findings(&files), "");
    let (lowered, _) = compile(&files);
    let ids: Vec<&str> = lowered.plan.verifiers.iter().map(|verifier| verifier.id.value.as_str()).collect();
    assert_eq!(ids, ["e2e", "fmt", "links", "lint", "mine", "named", "test"]);
    assert_eq!(lowered.plan.plan_files, ["deep/more.loop.kdl", "loop.kdl", "p.loop.kdl", "shared.loop.kdl"]);
    assert_eq!(verifies(&lowered.plan, "a"), ["fmt", "lint", "mine", "test"]);

    let wrong = "import \"./shared.loop.kdl\" contrct test=other
import \"./nowhere.loop.kdl\" gone
import \"std/rst\" clippy
import \"../x.loop.kdl\" y
import \"./shared.loop.kdl\"
feature f { unit a { goal x; writes; verify gone clippy y contrct; } }
";
    assert_eq!(
        findings(&[
            ("loop.kdl", PROJECT),
            ("p.loop.kdl", wrong),
            ("shared.loop.kdl", shared),
            ("deep/more.loop.kdl", more)
        ]),
        "1:28 unknown-import: `shared.loop.kdl` defines no `contrct`
1:36 duplicate-id: a verifier called `test` exists already
2:8 unknown-import: the file to import, `nowhere.loop.kdl`, does not exist
3:8 unknown-import: the standard library has no file `std/rst`
4:8 path-escape: `../x.loop.kdl` leads out of the repository
5:1 missing-argument: `import` lists the names that it takes"
    );
}

#[test]
fn imports_in_a_circle_are_told_with_the_whole_path() {
    let files = [
        ("p.loop.kdl", "import \"./a.loop.kdl\" x\nfeature f { unit u { goal g; writes; verify x; } }\n"),
        ("a.loop.kdl", "import \"./b.loop.kdl\" y\nverifier x { run x; }\n"),
        ("b.loop.kdl", "import \"./a.loop.kdl\" x\nimport \"./b.loop.kdl\" z\nverifier y { run y; }\n"),
    ];
    assert_eq!(
        findings(&files),
        "b.loop.kdl:1:8 import-cycle: files import each other: a.loop.kdl -> b.loop.kdl -> a.loop.kdl
b.loop.kdl:2:8 import-cycle: files import each other: b.loop.kdl -> b.loop.kdl"
    );
}

#[test]
fn a_file_of_definitions_alone_is_fine() {
    let (lowered, _) = compile(&[("p.loop.kdl", "verifier a { run a; }\nagent b via=claude\n")]);
    assert!(lowered.diagnostics.is_empty() && lowered.plan.feature.is_none());
    assert_eq!((lowered.plan.verifiers.len(), lowered.plan.agents.len()), (1, 1));
    assert_eq!(findings(&[("loop.kdl", PROJECT)]), "");
    assert_eq!(
        findings(&[("loop.kdl", "feature f {}\nproject a {}\nproject b {}\n")]),
        "loop.kdl:1:1 unknown-node: `feature` may not stand in loop.kdl\nloop.kdl:3:1 duplicate-node: `project` stands twice in loop.kdl"
    );
}

#[test]
fn prompts_are_read_from_files() {
    let plan = "feature f {
    unit a { goal x; writes; prompt \"inline\"; prompt file=\"prompts/a.md\"; prompt file=\"./prompts/a.md#Two\"; }
    unit b { goal x; writes; prompt file=\"prompts/a.md#Twoo\"; prompt file=\"prompts/a.md#T\"; prompt file=\"prompts/no.md\"; prompt file=\"prompts/front.md\"; prompt file=\"prompts\"; prompt file=\"prompts/bad.md\"; prompt file=\"../x.md\"; prompt file=\"prompts/a.md#\"; }
}
";
    let mut sources =
        MemorySources::new([("p.loop.kdl", plan), ("prompts/a.md", "# Two\r\ntext\r\n# Three\r\n")]);
    sources.insert("prompts/front.md", "---\nmodel: x\n---\ntext\n");
    sources.insert("prompts/bad.md", vec![0xff, 0xfe, 0x00]);
    let mut map = SourceMap::default();
    let lowered =
        lower(&Input { project: None, plan: Some(Utf8Path::new("p.loop.kdl")) }, &sources, &mut map);
    let told: Vec<String> = lowered
        .diagnostics
        .iter()
        .map(|found| format!("{} {}: {}", map.text(found.primary.span), found.rule.name, found.message))
        .collect();
    assert_eq!(
        told.join("\n"),
        "\"prompts/a.md#Twoo\" missing-heading: `prompts/a.md` has no heading `Twoo`
\"prompts/a.md#T\" missing-heading: `prompts/a.md` has no heading `T`
\"prompts/no.md\" missing-file: the prompt file `prompts/no.md` does not exist
\"prompts/front.md\" wrong-type: the prompt file `prompts/front.md` has front matter
\"prompts\" missing-file: the prompt file `prompts` is not a file
\"prompts/bad.md\" unreadable-text: the prompt file `prompts/bad.md` is not UTF-8 text
\"../x.md\" path-escape: `../x.md` leads out of the repository
\"prompts/a.md#\" wrong-type: the heading behind `#` is empty"
    );
    assert_eq!(lowered.diagnostics[0].fixes[0].edits[0].text, "Two");
    let texts: Vec<&str> = lowered.plan.units[0].prompt.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(texts, ["inline", "# Two\ntext\n# Three\n", "# Two\ntext\n"]);
    assert!(lowered.plan.plan_files.contains(&"prompts/a.md".into()));
}

#[test]
fn paths_are_relative_to_the_root_or_to_their_file() {
    let plan = "feature f { unit a { goal x; writes \"./x/**\" \"src//y/\"; inputs \"**\" \"!./z\" \"../top\"; ref \"./doc.md#One Two\" \"doc.md\"; } }";
    let sources = MemorySources::new([("plans/[a]/p.loop.kdl", plan)]);
    let mut map = SourceMap::default();
    let lowered =
        lower(&Input { project: None, plan: Some("plans/[a]/p.loop.kdl".into()) }, &sources, &mut map);
    assert_eq!(lowered.diagnostics, []);
    let unit = &lowered.plan.units[0];
    let texts = |patterns: &[crate::source::Spanned<crate::glob::Pattern>]| -> Vec<String> {
        patterns.iter().map(|pattern| pattern.value.as_str().to_owned()).collect()
    };
    assert_eq!(texts(&unit.writes), ["plans/\\[a\\]/x/**", "src/y"]);
    assert!(unit.writes[0].value.matches("plans/[a]/x/file"));
    assert_eq!(texts(&unit.inputs), ["**", "plans/\\[a\\]/z", "plans/top"]);
    assert!(unit.inputs[1].value.negated());
    assert_eq!(unit.refs[0].path, "plans/[a]/doc.md");
    assert_eq!(unit.refs[0].heading.as_deref(), Some("One Two"));
    assert_eq!(
        check_unit(
            "writes \"../x\" \"/etc\" \"!x\" \"a[\"\nref \"../../x.md\"\naccept t { matches \"../x\" \"(\"; matches x #\"a(b\"#; stdout x; exists; }\naccept u {}"
        ),
        "2:8 path-escape: `../x` leads out of the repository
2:15 path-escape: `/etc` is an absolute path
2:22 invalid-glob: `!` may stand in `inputs` only
2:27 invalid-glob: `a[` is not a path pattern: `[` is never closed (write `\\[` for the character)
3:5 path-escape: `../../x.md` leads out of the repository
4:20 path-escape: `../x` leads out of the repository
4:28 invalid-regex: this is not a regular expression: unclosed group
4:45 invalid-regex: this is not a regular expression: unclosed group
4:51 missing-argument: `stdout` judges a command, and there is none
4:61 missing-argument: `exists` lacks a path or pattern
5:1 missing-argument: the block of `accept` checks nothing"
    );
}

#[test]
fn gates_and_units_beside_them_do_not_mix() {
    assert_eq!(
        check(
            "feature f { gate g { unit a { goal x; writes; }; }; unit b { goal x; writes; needs a; }; manual m { needs b; step s; }; }"
        ),
        "1:53 unknown-node: the unit `b` stands outside the gates of its feature
1:90 unknown-node: the manual `m` stands outside the gates of its feature"
    );
    let plan = good(
        "feature f { gate g { unit a { goal x; writes; accept t by=m; }; manual m owner=\"@mia\" { needs a; step s; evidence \"e.md\"; }; }; gate h { needs g; verify e2e; accept t by=test; budget usd=1.5; goal y; }; }",
    );
    assert!(plan.gates[1].needs_stated && plan.gates[1].needs[0].value == GateIx(0));
    assert_eq!(plan.gates[1].budget.micro_usd, Some(1_500_000));
    assert_eq!(plan.units[0].accept[0].by, [By::Manual(UnitIx(1))]);
    assert!(
        matches!(&plan.units[1].role, Role::Manual { owner: Some(owner), evidence } if owner == "@mia" && evidence.len() == 1)
    );
    assert!(plan.units[1].verify.is_empty() && plan.units[1].agent.is_none());
}

#[test]
fn a_broken_unit_lacks_nothing_and_hides_nothing() {
    let told =
        check("feature f {\n unit a { goal \"x\n }\n unit b { goal x; writes; needs c; verify tset; }\n}\n");
    assert!(!told.contains("missing-argument"), "{told}");
    assert!(told.contains("unknown-verifier") && told.contains("syntax-error"), "{told}");
}

#[test]
fn lints_are_lowered_with_a_reason_and_only_where_that_is_safe() {
    let project = "project p {
    lint no-verification level=allow
    lint unverified-criterion level=deny
    lint write-conflict level=warn reason=r
    lint write-conflct level=deny
    lint expect-fail-only level=warn reason=r
    lint expect-fail-only level=deny
    lint no-verification
    agent a via=command
    agent b via=comand
    verifier v { exit 1; }
    verifier w { run a \"${x}\"; param expect; shell b; }
    worktree { prepare npm ci; share node_modules; }
}
";
    assert_eq!(
        findings(&[("loop.kdl", project)]),
        "loop.kdl:2:5 lowered-without-reason: `lint no-verification` lowers a rule and gives no reason
loop.kdl:4:5 unlowerable-rule: the rule `write-conflict` cannot be lowered
loop.kdl:5:10 unknown-rule: no rule is called `write-conflct`
loop.kdl:7:10 duplicate-node: the level of `expect-fail-only` is set twice
loop.kdl:8:5 missing-argument: `lint` lacks `level=`
loop.kdl:9:5 missing-argument: the agent `a` lacks `run`
loop.kdl:10:17 wrong-type: `via=` takes `claude`, `codex`, `opencode`, `gemini` or `command`
loop.kdl:11:5 missing-argument: the verifier `v` lacks a command
loop.kdl:11:18 missing-argument: `exit` judges a command, and there is none
loop.kdl:12:24 unknown-property: `${x}` names no parameter of this verifier
loop.kdl:12:38 invalid-id: a parameter cannot be called `expect`
loop.kdl:12:46 duplicate-node: `verifier` has a command already"
    );
}

#[test]
fn the_schema_names_each_node_once_in_a_place() {
    for (parent, child) in schema::places() {
        let same = parent.children.iter().filter(|other| other.name == child.name).count();
        assert_eq!(same, 1, "{} in {}", child.name, parent.name);
        assert!(!child.doc.is_empty() && child.doc.len() <= 110, "{}", child.name);
        assert!(child.arguments.required <= child.arguments.positions.len());
        assert!(
            child
                .doc
                .chars()
                .next()
                .is_some_and(|c| c.is_lowercase() || !c.is_alphabetic() || child.doc.starts_with("US")),
            "{}",
            child.doc
        );
    }
    assert_eq!(schema::parents_of("unit"), ["template", "feature", "gate"]);
}

#[test]
fn a_feature_of_ten_thousand_units_is_lowered_once_over() {
    use std::fmt::Write;
    let mut plan = String::from("feature f {\n");
    for at in 0..10_000 {
        let needs = if at > 0 { format!("needs u{};", at - 1) } else { String::new() };
        writeln!(plan, "unit u{at} {{ goal \"work {at}\"; {needs} writes \"src/u{at}.rs\"; accept \"it holds\" {{ matches \"src/u{at}.rs\" \"fn u{at}\"; }}; }}").expect("a string takes it");
    }
    plan.push_str("}\n");
    let (lowered, _) = compile(&[("loop.kdl", PROJECT), ("p.loop.kdl", &plan)]);
    assert_eq!((lowered.plan.units.len(), lowered.diagnostics.len()), (10_000, 0));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Whatever stands in the files, lowering ends with a value, and every finding lies inside its file.
    #[test]
    fn no_text_makes_lowering_fail(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..60)) {
        let plan = words.join(" ");
        let (lowered, map) = compile(&[("loop.kdl", PROJECT), ("p.loop.kdl", &plan)]);
        for found in &lowered.diagnostics {
            let spans = found.labels.iter().map(|label| label.span).chain([found.primary.span]);
            let edits = found.fixes.iter().flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
            for span in spans.chain(edits) {
                let text = &map.file(span.file).text;
                proptest::prop_assert!(span.start <= span.end && text.get(span.start as usize..span.end as usize).is_some());
            }
        }
    }
}

const WORDS: &[&str] = &[
    "feature",
    "gate",
    "unit",
    "manual",
    "needs",
    "after",
    "goal",
    "writes",
    "creates",
    "verify",
    "accept",
    "by=test",
    "{",
    "}",
    ";",
    "\n",
    "a",
    "b",
    "a,",
    "b:",
    "'x",
    "y'",
    "\"a b\"",
    "1.1",
    "5",
    "#true",
    "#null",
    "(t)",
    "(t)a",
    "test",
    "fmt",
    "named",
    "which=x",
    "run",
    "shell",
    "exit",
    "stdout",
    "\"(\"",
    "\"../x\"",
    "\"!x\"",
    "budget",
    "usd=2.5",
    "usd=x",
    "timeout",
    "total=\"1h\"",
    "prompt",
    "file=\"p.md#H\"",
    "import",
    "\"./p.loop.kdl\"",
    "x=y",
    "defaults",
    "kind=docs",
    "skip",
    "reason=r",
    "lint",
    "verifier",
    "param",
    "agent",
    "via=command",
    "requirement",
    "covers",
    "use",
    "as=csv",
    "ä,",
    "‘x’",
    "/-",
    "\"",
    "\\",
];
