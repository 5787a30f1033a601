//! Fixes applied to the rules' own examples and to plans with mistakes put in at random.
//!
//! Does not know what any rule wants.

use super::*;
use crate::diagnostic::RULES;
use crate::diagnostic::render::{Style, human};
use crate::example::{self, PLAN, repository};
use crate::source::memory::MemorySources;

fn groups() -> Vec<Group> {
    vec![Group { project: Some("loop.kdl".into()), plans: vec![PLAN.into()], ..Group::default() }]
}

fn mended(sources: &MemorySources, allow: Allow) -> Mended {
    mend(&groups(), sources, allow, &|_| true)
}

fn shown(compilation: &Compilation) -> String {
    human(&compilation.diagnostics, &compilation.map, Style::PLAIN)
}

fn digest(compilation: &Compilation) -> Option<String> {
    let (_, plan) = compilation.plans.first()?;
    plan.as_ref().map(|plan| crate::graph::build(plan).digest.to_string())
}

/// A fix that is offered for a rule's own example leads to a plan that can be built. A safe one leads to the very
/// graph of the good example.
#[test]
fn every_fix_that_an_example_offers_mends_it() {
    let (mut safe, mut not_safe) = (0, 0);
    let mut wrong = Vec::new();
    for rule in RULES {
        let bad = example::bad(rule);
        let offers = |wanted| {
            let own = bad.diagnostics.iter().filter(|found| found.rule == rule);
            own.flat_map(|found| &found.fixes).any(|fix| fix.applicability == wanted)
        };
        let allow = match (offers(Applicability::Safe), offers(Applicability::Unsafe)) {
            (true, _) => Allow::Safe,
            (false, true) => Allow::Unsafe,
            (false, false) => continue,
        };
        let after = mended(&repository(rule, rule.bad), allow);
        let built = after.compilation.plans.iter().all(|(_, plan)| plan.is_some());
        let gone = after.compilation.diagnostics.iter().all(|found| found.rule != rule);
        if !built || !gone || after.left_out > 0 || after.compilation.has_errors() {
            wrong.push(format!("{} is not mended:\n{}", rule.name, shown(&after.compilation)));
        }
        match allow {
            Allow::Safe => {
                safe += 1;
                if digest(&after.compilation) != digest(&example::good(rule)) {
                    wrong.push(format!(
                        "{}: the safe fix means something else than the good example",
                        rule.name
                    ));
                }
            }
            Allow::Unsafe => {
                not_safe += 1;
                let untouched = mended(&repository(rule, rule.bad), Allow::Safe);
                if untouched.compilation.diagnostics.iter().all(|found| found.rule != rule) {
                    wrong.push(format!("{}: an unsafe fix was applied as a safe one", rule.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(safe >= 5 && not_safe >= 8, "the examples offer fixes: {safe} safe, {not_safe} others");
}

const PROJECT: &str = "project shop base=main { // p1
    agent writer via=command { run \"./agent.sh\"; } // p2
    agent checker via=command { run \"./check.sh\"; }
    defaults agent=writer { verify test; } // p3
    verifier test { run cargo test; } // p4
    verifier lint { run cargo clippy; } // p5
}
";

const FEATURE: &str = "// c0
feature F-1 title=\"One\" { // c1
    requirement R1 \"It answers.\" // c2
    gate first { // c3
        unit api kind=code { // c4
            goal \"Answer.\" // c5
            writes \"src/api.rs\" // c6
            covers R1 // c7
            accept \"it answers\" by=test // c8
        } // c9
        unit docs kind=docs agent=checker { // c10
            needs api // c11
            goal \"Describe.\" // c12
            creates \"docs/api.md\" // c13
            verify lint { run cargo doc --no-deps; } // c14
            accept \"links hold\" { run cargo test docs; } // c15
        } // c16
    } // c17
    gate last { // c18
        unit end { // c19
            needs docs // c20
            goal \"End.\" // c21
            writes \"src/end.rs\" // c22
        } // c23
    } // c24
} // c25
";

/// Mistakes: what is written, and how it goes wrong. Fixes of all kinds, and findings without any, follow.
const MISTAKES: &[(&str, &str)] = &[
    ("needs api", "depends_on api"),
    ("needs api", "needs api, docs"),
    ("needs api", "needs: api"),
    ("needs api", "needs apii"),
    ("needs docs", "neds docs"),
    ("needs docs", "needs end"),
    ("agent=checker", "agent=cheker"),
    ("agent=writer", "agent=writr"),
    ("kind=docs", "knd=docs"),
    ("kind=docs", "kind: docs"),
    ("kind=docs", "kind = docs"),
    ("by=test", "by=tset"),
    ("\"Describe.\"", "\"Describe."),
    ("\"Describe.\"", "'Describe.'"),
    ("\"End.\"", "End."),
    ("run cargo doc --no-deps", "run \"cargo doc\""),
    ("run cargo doc --no-deps", "run cargo doc --x=y"),
    ("run cargo clippy", "run \"cargo clippy\""),
    ("run cargo test docs", "run cargo test .5"),
    ("writes \"src/end.rs\"", "writes \"src/api.rs\""),
    ("writes \"src/end.rs\"", "files \"src/end.rs\""),
    ("writes \"src/api.rs\"", "writes \"/src/api.rs\""),
    ("unit end {", "unit end {{"),
    ("unit end {", "unit end\n        {"),
    ("gate last {", "gate 2 {"),
    ("        } // c9\n", "// c9\n"),
    ("covers R1", "covers R2"),
    ("title=\"One\"", "title=\"One\" titel=\"Two\""),
    ("goal \"End.\"", "goal \"E\\nd\\q\""),
    ("accept \"it answers\"", "acceptance \"it answers\""),
    ("via=command", "via=comand"),
    ("defaults", "default"),
    ("\n", "\r\n"),
];

fn comments(text: &str) -> Vec<&str> {
    text.match_indices("// ").filter_map(|(at, _)| text[at..].lines().next()).map(str::trim_end).collect()
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(96))]
    #[test]
    fn to_mend_twice_is_to_mend_once_and_nothing_gets_worse(
        picks in proptest::collection::vec(0..MISTAKES.len(), 1..7),
        not_safe in proptest::bool::ANY,
    ) {
        let (mut project, mut plan) = (PROJECT.to_owned(), FEATURE.to_owned());
        for pick in picks {
            let (from, to) = MISTAKES[pick];
            (project, plan) = (project.replace(from, to), plan.replace(from, to));
        }
        let sources = MemorySources::new([("loop.kdl", project.clone()), (PLAN, plan.clone())]);
        let allow = if not_safe { Allow::Unsafe } else { Allow::Safe };
        let before = compile_groups(&groups(), &sources);
        let once = mended(&sources, allow);
        let text = |path: &str, old: &str| {
            once.files.iter().find(|file| file.path == path).map_or(old.to_owned(), |file| file.after.clone())
        };
        let (new_project, new_plan) = (text("loop.kdl", &project), text(PLAN, &plan));
        // What is reported is what the new texts say.
        let again = MemorySources::new([("loop.kdl", new_project.clone()), (PLAN, new_plan.clone())]);
        let really = compile_groups(&groups(), &again);
        proptest::prop_assert_eq!(&really.diagnostics, &once.compilation.diagnostics);
        let twice = mended(&again, allow);
        proptest::prop_assert!(twice.files.is_empty(), "{}", shown(&twice.compilation));
        // Comments stay, in their order, whatever happens around them.
        proptest::prop_assert_eq!(comments(&plan), comments(&new_plan));
        proptest::prop_assert_eq!(comments(&project), comments(&new_project));
        let (was, is) = (Tally::of(&before), Tally::of(&really));
        proptest::prop_assert!(is.syntax <= was.syntax);
        if was.syntax == 0 {
            proptest::prop_assert!(is.shape <= was.shape);
        }
        if was.syntax + was.shape == 0 {
            proptest::prop_assert!(is_within(&is.errors, &was.errors), "{:?}", is.errors);
        }
        proptest::prop_assert_eq!(once.fixed > 0, !once.files.is_empty());
    }
}

fn plan(body: &str) -> MemorySources {
    MemorySources::new([("loop.kdl", PROJECT.to_owned()), (PLAN, format!("feature F {{\n{body}\n}}\n"))])
}

#[test]
fn a_fix_that_leads_to_other_findings_is_left_out() {
    // `b` is the only name near `bb`, and to need it would close a cycle.
    let sources = plan(
        "unit base { goal \"x\"; creates \"x\"; needs bases; }\n\
         unit bases2 { goal \"x\"; creates \"y\"; needs base; }",
    );
    let after = mended(&sources, Allow::Unsafe);
    assert_eq!((after.fixed, after.left_out), (0, 1), "{}", shown(&after.compilation));
    assert!(after.files.is_empty());
    assert!(shown(&after.compilation).contains("unknown-unit"));
}

#[test]
fn one_fix_that_does_harm_does_not_keep_back_the_others() {
    let units: String =
        (0..20).map(|at| format!("unit u{at} agent=cheker {{ goal \"g\"; creates \"f{at}\"; }}\n")).collect();
    let harm = "unit base { goal \"x\"; creates \"x\"; needs bases; }\n\
                unit bases2 { goal \"x\"; creates \"y\"; needs base; }\n";
    let after = mended(&plan(&format!("{harm}{units}")), Allow::Unsafe);
    assert_eq!((after.fixed, after.left_out), (20, 1), "{}", shown(&after.compilation));
    assert_eq!(after.files[0].fixed, 20);
}

#[test]
fn what_may_not_be_edited_and_what_is_not_utf_8_stays() {
    let sources = plan("unit a { gaol \"x\"; creates \"x\"; }");
    assert_eq!(mended(&sources, Allow::Safe).fixed, 1);
    let kept = mend(&groups(), &sources, Allow::Safe, &|path| path != PLAN);
    assert_eq!((kept.fixed, kept.files.len()), (0, 0));
    let mut broken = sources.read(Utf8Path::new(PLAN)).expect("it is there");
    broken.extend(b"// \xff\n");
    let sources = MemorySources::new([("loop.kdl", PROJECT.as_bytes().to_vec()), (PLAN, broken)]);
    assert_eq!(mended(&sources, Allow::Safe).files, []);
}

#[test]
fn edits_that_meet_wait_for_the_next_round() {
    let span = |start, end| crate::source::Span::new(crate::source::FileId(0), start, end);
    let edit = |start, end| Edit { span: span(start, end), text: "x".to_owned() };
    let taken = BTreeMap::from([(5, 8), (12, 12)]);
    for (start, end, free) in [
        (0, 4, true),
        (0, 5, false),
        (4, 4, true),
        (5, 5, false),
        (6, 7, false),
        (8, 9, false),
        (9, 11, true),
        (9, 12, false),
        (12, 12, false),
        (13, 13, true),
        (0, 20, false),
    ] {
        assert_eq!(is_free(&taken, &edit(start, end)), free, "{start}..{end}");
    }
}
