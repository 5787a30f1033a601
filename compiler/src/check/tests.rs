//! Each rule on plans of a few lines; order and ownership against the plain way; chains of 100,000 units.
//!
//! Does not know KDL: plans come from `testing`.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::order::{By as Edges, Order};
use super::testing::{checked, found, lint, plan, rules};
use crate::diagnostic::{Diagnostic, Level, Severity};
use crate::plan::*;

const NONE: &[(&str, &str)] = &[];

fn only(found: Vec<Diagnostic>) -> Diagnostic {
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().expect("one")
}

fn words(diagnostic: &Diagnostic) -> Vec<&str> {
    std::iter::once(&diagnostic.primary)
        .chain(&diagnostic.labels)
        .map(|label| label.message.as_str())
        .collect()
}

#[test]
fn a_sound_plan_passes() {
    let text = "unit a creates=src/a
                unit b needs=a inputs=src/a writes=src/b
                unit c after=b writes=src/b";
    let (checked, diagnostics) = checked(plan(text), NONE);
    assert_eq!(diagnostics, []);
    let checked = checked.expect("no errors");
    assert_eq!(checked.canonical_order(), [UnitIx(0), UnitIx(1), UnitIx(2)]);
}

#[test]
fn a_cycle_is_named_with_each_step() {
    let cycle =
        only(found(plan("unit a writes=a needs=b\nunit b writes=b after=c\nunit c writes=c needs=a"), NONE));
    assert_eq!(cycle.rule.name, "dependency-cycle");
    assert_eq!(cycle.message, "these wait on each other: `a` -> `b` -> `c` -> `a`");
    assert_eq!(words(&cycle), ["`a` needs `b`", "`b` comes after `c`", "`c` needs `a`"]);
}

#[test]
fn the_shortest_cycle_of_a_knot_is_shown() {
    let text = "unit a writes=a needs=b
                unit b writes=b needs=c
                unit c writes=c needs=a,d
                unit d writes=d needs=c";
    assert_eq!(only(found(plan(text), NONE)).message, "these wait on each other: `c` -> `d` -> `c`");
    assert_eq!(only(found(plan("unit a writes=a needs=a"), NONE)).message, "`a` waits for itself");
}

#[test]
fn gates_can_wait_on_each_other_too() {
    let text = "gate g needs=h\nunit a writes=a\ngate h needs=g\nunit b writes=b";
    let cycle = only(found(plan(text), NONE));
    assert_eq!(cycle.message, "these wait on each other: gate `g` -> gate `h` -> gate `g`");
}

#[test]
fn units_and_gates_can_wait_on_each_other_together() {
    // a in g1 needs v in g2, v needs x in g3, g3 comes after g1: no pair of them is wrong by itself.
    let text = "gate g1 needs=
                unit a writes=a needs=v
                gate g2 needs=
                unit v writes=v needs=x
                gate g3 needs=g1
                unit x writes=x";
    let cycle = only(found(plan(text), NONE));
    assert_eq!(cycle.rule.name, "dependency-cycle");
    assert_eq!(cycle.message, "these wait on each other: `a` -> `v` -> `x` -> gate `g1` -> `a`");
}

#[test]
fn a_unit_cannot_wait_for_a_later_gate() {
    let text = "gate g\nunit a writes=a needs=b\ngate h\nunit b writes=b";
    let later = only(found(plan(text), NONE));
    assert_eq!(later.rule.name, "later-gate-dependency");
    assert_eq!(words(&later), ["in gate `g`", "in gate `h`, which comes later"]);
}

#[test]
fn unordered_writers_of_one_path_conflict() {
    let conflict = only(found(plan("unit a writes=src/**\nunit b creates=src/new.rs"), NONE));
    assert_eq!(conflict.rule.name, "write-conflict");
    assert_eq!(
        conflict.message,
        "`a` and `b` may both write `src/new.rs`, and neither comes after the other"
    );
    assert_eq!(words(&conflict), ["`b` may write `src/new.rs`", "`a` may write `src/**`"]);
    assert!(conflict.help[0].contains("exact paths"));
    assert!(conflict.help[1].contains("small first unit"));
    assert!(conflict.help[2].contains("after a"));
}

#[test]
fn order_by_need_after_or_gate_settles_a_conflict() {
    for text in [
        "unit a writes=x\nunit b writes=x needs=a",
        "unit a writes=x\nunit b writes=x after=a",
        "unit a writes=x\nunit m writes=m after=a\nunit b writes=x needs=m",
        "gate g\nunit a writes=x\ngate h\nunit b writes=x",
        "gate g\nunit a writes=x\ngate i\ngate h\nunit b writes=x",
    ] {
        assert_eq!(rules(text, NONE), [] as [&str; 0], "{text}");
    }
    let parallel = "gate g\nunit a writes=x\ngate h needs=\nunit b writes=x";
    assert_eq!(rules(parallel, NONE), ["write-conflict"]);
}

#[test]
fn names_that_differ_in_case_alone_are_one_file() {
    assert_eq!(rules("unit a writes=Foo.rs\nunit b writes=foo.rs", NONE), ["write-conflict"]);
    assert_eq!(rules("unit a writes=foo\nunit b writes=foo/x", NONE), ["write-conflict"]);
}

#[test]
fn one_conflict_an_argument() {
    assert_eq!(rules("unit a writes=x,y,src/*\nunit b writes=x,y,src/b", NONE), ["write-conflict"]);
    let all = "unit a writes=x\nunit b writes=x\nunit c writes=x\nunit d writes=x";
    assert_eq!(rules(all, NONE), ["write-conflict"; 3], "one a unit, not one a pair");
    let three = "unit a writes=x\nunit b writes=x\nunit c writes=x after=b";
    assert_eq!(rules(three, NONE), ["write-conflict", "write-conflict"]);
}

#[test]
fn inputs_come_from_needed_units_or_earlier_gates() {
    let input = "inputs=docs/**";
    for (text, expected) in [
        (format!("unit w writes=docs/a\nunit r writes=r needs=w {input}"), None),
        (format!("unit w writes=docs/a\nunit m writes=m needs=w\nunit r writes=r needs=m {input}"), None),
        (format!("gate g\nunit w writes=docs/a\ngate h\nunit r writes=r {input}"), None),
        (format!("unit w writes=docs/a\nunit r writes=r {input}"), Some("input-without-edge")),
        (format!("unit w writes=docs/a\nunit r writes=r after=w {input}"), Some("input-without-edge")),
        (
            format!("unit w writes=docs/a\nunit m writes=m after=w\nunit r writes=r needs=m {input}"),
            Some("input-without-edge"),
        ),
        (format!("unit r writes=r {input}\nunit w writes=docs/a after=r"), Some("input-written-later")),
        (
            format!("gate g\nunit r writes=r {input}\ngate h\nunit w writes=docs/a"),
            Some("input-written-later"),
        ),
    ] {
        let found = rules(&text, NONE);
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn refs_and_rules_obey_as_inputs_do() {
    for word in ["ref", "rules"] {
        let text = format!("unit w writes=docs/a\nunit r writes=r {word}=docs/a");
        assert_eq!(rules(&text, NONE), ["input-without-edge"]);
        let text = format!("unit r writes=r {word}=docs/a\nunit w writes=docs/* after=r");
        assert_eq!(rules(&text, &[("docs/a", "")]), ["input-written-later"]);
    }
}

#[test]
fn own_writes_and_excluded_paths_are_no_inputs() {
    for text in [
        "unit r writes=docs/** inputs=docs/**",
        "unit w writes=docs/a\nunit r writes=docs/a after=w inputs=docs/**",
        "unit w writes=docs/draft/a\nunit r writes=r inputs=docs/**,!docs/draft/**",
    ] {
        assert_eq!(rules(text, NONE), [] as [&str; 0], "{text}");
    }
    let taken_back = "unit w writes=docs/draft/a\nunit r writes=r inputs=!docs/draft/**,docs/**";
    assert_eq!(rules(taken_back, NONE), ["input-without-edge"], "`!` takes out what stands before it");
}

#[test]
fn one_finding_an_argument() {
    let text = "unit a writes=docs/a\nunit b writes=docs/b\nunit r writes=r inputs=docs/**\nunit c writes=docs/c needs=r";
    let finding = only(found(plan(text), NONE));
    assert_eq!(finding.rule.name, "input-without-edge");
    assert_eq!(
        words(&finding),
        ["read by `r`", "`a` writes it", "`b` writes it", "`c` writes it, and comes later"]
    );
}

#[test]
fn protected_paths_have_no_writer() {
    for scope in [
        "tests/**",
        "tests/acceptance/a.rs",
        "**",
        "loop.kdl",
        "plans/f.loop.kdl",
        "plans/*",
        ".git/config",
        "sub/.git",
        "LOOP.kdl",
    ] {
        let text = format!("protect tests/acceptance/**\nunit a writes={scope}");
        assert_eq!(rules(&text, NONE), ["protected-write"], "{scope}");
    }
    for scope in ["src/**", ".gitignore", ".github/**", "tests/unit.rs", "**/*.rs"] {
        let text = format!("protect tests/acceptance/*.toml\nunit a writes={scope}");
        assert_eq!(rules(&text, NONE), [] as [&str; 0], "{scope}");
    }
}

#[test]
fn a_unit_says_what_it_may_change() {
    assert_eq!(rules("unit a", NONE), ["missing-scope"]);
    assert_eq!(rules("unit a writes", NONE), [] as [&str; 0]);
    let mut broken = plan("unit a");
    broken.units[0].broken = true;
    assert_eq!(found(broken, NONE), []);
    let mut manual = plan("unit a");
    manual.units[0].role = Role::Manual { owner: None, evidence: Vec::new() };
    assert_eq!(found(manual, NONE), []);
}

#[test]
fn named_files_exist_or_are_made() {
    let text = "unit a writes=a inputs=specs/a.md ref=docs/b.md rules=RULES.md";
    assert_eq!(rules(text, NONE), ["missing-file"; 3]);
    let files = &[("specs/a.md", ""), ("docs/b.md", ""), ("RULES.md", "")];
    assert_eq!(rules(text, files), [] as [&str; 0]);
    assert_eq!(
        rules("unit a creates=specs/a.md\nunit b needs=a writes=b inputs=specs/a.md", NONE),
        [] as [&str; 0]
    );
    assert_eq!(
        rules("unit a creates=specs/*\nunit b needs=a writes=b ref=specs/a.md", NONE),
        [] as [&str; 0]
    );
    assert_eq!(rules("unit a writes=a inputs=specs", &[("specs/a.md", "")]), [] as [&str; 0]);
    assert_eq!(rules("unit a writes=a ref=specs", &[("specs/a.md", "")]), ["missing-file"]);
    assert_eq!(rules("unit a writes=a inputs=!specs/none.md", NONE), [] as [&str; 0]);
    assert_eq!(rules("unit a creates=a inputs=a", NONE), [] as [&str; 0], "own writes are no inputs");
    assert_eq!(
        rules("unit a creates=a ref=a", NONE),
        ["missing-file"],
        "it is not there when the unit begins"
    );
}

#[test]
fn named_headings_exist() {
    let files = &[("d.md", "# One\ntext\n## Two words\n")];
    assert_eq!(rules("unit a writes=a ref=d.md#One", files), [] as [&str; 0]);
    let missing = only(found(plan("unit a writes=a ref=d.md#Oen"), files));
    assert_eq!(missing.rule.name, "missing-heading");
    assert_eq!(missing.help, ["did you mean \"One\"?"]);
}

fn criterion(text: &str) -> Criterion {
    let span = crate::source::Span { file: crate::source::FileId(0), start: 1, end: 2 };
    Criterion {
        text: text.to_owned(),
        by: Vec::new(),
        predicates: Vec::new(),
        red_before: None,
        check_stated: false,
        span,
    }
}

#[test]
fn criteria_and_units_are_checked_by_something() {
    let mut unchecked = plan("unit a writes=a");
    unchecked.units[0].accept.push(criterion("it works"));
    let found_there = only(found(unchecked.clone(), NONE));
    assert_eq!(found_there.rule.name, "unverified-criterion");
    assert_eq!(found_there.fixes[0].edits[0].text, " by=test");
    unchecked.units[0].accept[0].by.push(By::Verifier(VerifierIx(0)));
    assert_eq!(found(unchecked, NONE), []);

    let mut bare = plan("unit a writes=a");
    bare.units[0].verify.clear();
    assert_eq!(only(found(bare.clone(), NONE)).rule.name, "no-verification");
    let span = bare.units[0].span;
    let exists = Predicate { kind: PredicateKind::Exists(Vec::new()), span };
    bare.units[0].accept.push(Criterion { predicates: vec![exists], ..criterion("there") });
    assert_eq!(found(bare, NONE), []);

    let mut red = plan("unit a writes=a");
    red.units[0].verify[0].expect_fail = true;
    assert_eq!(only(found(red, NONE)).rule.name, "expect-fail-only");
}

#[test]
fn a_used_verifier_with_inputs_is_noted_once() {
    let mut noted = plan("unit a writes=a\nunit b writes=b");
    let inputs = crate::glob::Pattern::parse("src/**").expect("a pattern");
    let span = noted.verifiers[0].id.span;
    noted.verifiers[0].inputs.push(crate::source::Spanned::new(inputs, span));
    let (checked, diagnostics) = checked(noted, NONE);
    assert!(checked.is_some(), "a note is no error");
    assert_eq!(only(diagnostics).severity, Severity::Note);
}

#[test]
fn work_needs_an_agent() {
    let mut nobody = plan("unit a writes=a\nunit b writes=b");
    nobody.units.iter_mut().for_each(|unit| unit.agent = None);
    let there = only(found(nobody.clone(), NONE));
    assert_eq!(there.message, "no agent does `a`, nor 1 other units");
    assert!(there.help[0].contains("defaults agent=coder"));
    nobody.agents.clear();
    assert!(only(found(nobody, NONE)).help[0].contains("agent implementer via=claude"));
}

#[test]
fn a_command_has_no_budget_in_money() {
    let mut poor = plan("unit a writes=a\nunit b writes=b");
    poor.agents[0].via = Via::Command;
    let span = Some(poor.units[0].span);
    let budget = Budget { micro_usd: Some(1), span, ..Budget::default() };
    poor.feature.as_mut().expect("a feature").budget = budget.clone();
    assert_eq!(only(found(poor.clone(), NONE)).rule.name, "budget-impossible");
    poor.agents[0].via = Via::Claude;
    assert_eq!(found(poor, NONE), []);
}

#[test]
fn lints_change_weight_where_they_may() {
    let mut bare = plan("unit a writes=a");
    bare.units[0].verify.clear();
    for (level, severity) in [(Level::Warn, Some(Severity::Warning)), (Level::Allow, None)] {
        bare.lints.clear();
        lint(&mut bare, "no-verification", level);
        let (checked, found) = checked(bare.clone(), NONE);
        assert!(checked.is_some());
        assert_eq!(found.first().map(|diagnostic| diagnostic.severity), severity);
    }
    let mut conflict = plan("unit a writes=x\nunit b writes=x");
    lint(&mut conflict, "write-conflict", Level::Allow);
    assert_eq!(only(found(conflict, NONE)).severity, Severity::Error);
}

#[test]
fn earlier_errors_stop_the_plan() {
    let mut map = crate::source::SourceMap::default();
    map.add(crate::source::SourceFile::new("p".into(), String::new()));
    let span = crate::source::Span { file: crate::source::FileId(0), start: 0, end: 0 };
    let earlier = [Diagnostic::new("unknown-node", span, "no")];
    let sources = crate::source::memory::MemorySources::default();
    assert!(super::check(plan("unit a writes=a"), &sources, &map, &earlier).0.is_none());
    assert!(super::check(plan("unit a writes=a"), &sources, &map, &[]).0.is_some());
}

/// A chain in which each unit needs the one before it, and all write one file.
fn chain(count: usize) -> Plan {
    let mut text = String::from("unit u0 writes=CHANGELOG.md,src/0\n");
    for at in 1..count {
        writeln!(text, "unit u{at} needs=u{} writes=CHANGELOG.md,src/{at} inputs=src/{}", at - 1, at - 1)
            .expect("writing to a string");
    }
    plan(&text)
}

#[test]
fn a_chain_of_100_000_units_is_checked() {
    let (checked, diagnostics) = checked(chain(100_000), NONE);
    assert_eq!(diagnostics, []);
    assert_eq!(checked.expect("no errors").canonical_order().len(), 100_000);
}

#[test]
fn a_cycle_of_100_000_units_is_found() {
    let mut plan = chain(100_000);
    let last = crate::source::Spanned::new(UnitIx(99_999), plan.units[0].span);
    plan.units[0].needs.push(last);
    let found = found(plan, NONE);
    assert_eq!(found.iter().map(|diagnostic| diagnostic.rule.name).collect::<Vec<_>>(), ["dependency-cycle"]);
}

/// Units with random edges to earlier ones, in two gates, each writing and reading some of few paths.
fn small_plan() -> impl Strategy<Value = String> {
    let unit =
        (prop::collection::vec((0usize..8, any::<bool>()), 0..3), 0usize..4, prop::option::of(0usize..4));
    (prop::collection::vec(unit, 2..8), 0usize..8).prop_map(|(units, split)| {
        let paths = ["x", "d/**", "d/y", "d/z"];
        let mut text = String::from("gate g\n");
        for (at, (edges, writes, reads)) in units.iter().enumerate() {
            if at == split {
                text.push_str("gate h\n");
            }
            write!(text, "unit u{at} writes={}", paths[*writes]).expect("writing to a string");
            for (to, needs) in edges.iter().filter(|(to, _)| *to < at) {
                write!(text, " {}=u{to}", if *needs { "needs" } else { "after" })
                    .expect("writing to a string");
            }
            if let Some(reads) = reads {
                write!(text, " inputs={}", ["x", "d/*", "d/y", "d/z"][*reads]).expect("writing to a string");
            }
            text.push('\n');
        }
        text
    })
}

/// Reachability the plain way, unit by unit.
fn reaches(plan: &Plan, from: usize, to: usize, after_counts: bool) -> bool {
    let mut open = vec![to];
    let mut seen = vec![false; plan.units.len()];
    while let Some(at) = open.pop() {
        let unit = &plan.units[at];
        let mut waits: Vec<usize> = unit.needs.iter().map(|other| other.value.0 as usize).collect();
        if after_counts {
            waits.extend(unit.after.iter().map(|other| other.value.0 as usize));
        }
        waits.extend((0..plan.units.len()).filter(|other| plan.units[*other].gate < unit.gate));
        for wait in waits {
            if wait == from {
                return true;
            }
            if !std::mem::replace(&mut seen[wait], true) {
                open.push(wait);
            }
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn order_agrees_with_walking_the_edges(text in small_plan()) {
        let plan = plan(&text);
        let (order, found) = Order::new(&plan);
        prop_assert_eq!(found, vec![]);
        let count = plan.units.len();
        let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (0..count).map(move |b| (a, b))).collect();
        let units: Vec<(UnitIx, UnitIx)> = pairs.iter().map(|(a, b)| (UnitIx(*a as u32), UnitIx(*b as u32))).collect();
        for (edges, after_counts) in [(Edges::Anything, true), (Edges::NeedsAndGates, false)] {
            let answers = order.comes_after(edges, &units);
            for ((a, b), answer) in pairs.iter().zip(answers) {
                prop_assert_eq!(answer, a != b && reaches(&plan, *a, *b, after_counts), "{} {} in\n{}", a, b, &text);
            }
        }
    }

    /// Units in conflict are named; which plans have any agrees with looking at each pair.
    #[test]
    fn ownership_agrees_with_looking_at_each_pair(text in small_plan()) {
        let subject = plan(&text);
        let mut conflicts = 0;
        let mut reads = std::collections::BTreeSet::new();
        for a in 0..subject.units.len() {
            for b in 0..subject.units.len() {
                let (one, two) = (&subject.units[a], &subject.units[b]);
                let (first, second) = (&one.writes[0].value, &two.writes[0].value);
                let ordered = reaches(&subject, a, b, true) || reaches(&subject, b, a, true);
                if a < b && !ordered && crate::glob::overlap(first, second).is_some() {
                    conflicts += 1;
                }
                let Some(input) = two.inputs.first().filter(|_| a != b) else { continue };
                let read = crate::glob::overlap_outside(&input.value, first, &[second]).is_some();
                if read && !reaches(&subject, a, b, false) {
                    reads.insert(b);
                }
            }
        }
        let found = rules(&text, &[("x", ""), ("d/y", ""), ("d/z", "")]);
        let count = |names: &[&str]| found.iter().filter(|name| names.contains(name)).count();
        prop_assert_eq!(count(&["write-conflict"]) > 0, conflicts > 0, "{}", &text);
        prop_assert!(count(&["write-conflict"]) <= conflicts);
        prop_assert_eq!(count(&["input-without-edge", "input-written-later"]), reads.len(), "{}", &text);
    }
}
