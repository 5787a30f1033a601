//! `shared`, `derived` and `discard`: the ways around sole ownership, each with what it may not touch.
//!
//! Does not know which files exist, nor how lines are merged. That sharers of a file are in no conflict is decided
//! in `ownership`; that a shared input waits for every sharer follows from the rule on inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use super::ownership::scope;
use crate::diagnostic::Diagnostic;
use crate::glob::{Overlap, Pattern, overlap_outside, overlapping_between};
use crate::plan::{Plan, Unit, UnitIx};
use crate::source::{FileId, Span, Spanned};

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    if plan.shared.is_empty() && plan.derived.is_empty() && plan.discard.is_empty() {
        return;
    }
    let claimed = claims_meet(plan, diagnostics);
    writes_meet(plan, diagnostics);
    derived_inputs(plan, diagnostics);
    for pattern in &plan.shared {
        diagnostics.extend(unmergeable(pattern));
    }
    unused_shared(plan, &claimed, diagnostics);
}

/// A pattern of the feature, and the node that it stands in.
struct Claim<'p> {
    word: &'static str,
    pattern: &'p Spanned<Pattern>,
}

fn claims<'p>(
    word: &'static str,
    patterns: impl IntoIterator<Item = &'p Spanned<Pattern>>,
) -> impl Iterator<Item = Claim<'p>> {
    patterns.into_iter().map(move |pattern| Claim { word, pattern })
}

fn derived(plan: &Plan) -> impl Iterator<Item = &Spanned<Pattern>> {
    plan.derived.iter().flat_map(|derived| &derived.paths)
}

/// One path, one way to treat it. `discard` may meet `protect`: it only ever drops a change.
///
/// Returns the places that were told of.
fn claims_meet(plan: &Plan, diagnostics: &mut Vec<Diagnostic>) -> BTreeSet<Span> {
    let of_plan: Vec<Spanned<Pattern>> = plan
        .plan_files
        .iter()
        .map(|file| Pattern::of_path(file.as_str()))
        .chain([Pattern::of_path("loop.kdl")])
        .map(|pattern| Spanned::new(pattern, Span::new(FileId(0), 0, 0)))
        .collect();
    let shared: Vec<Claim> = claims("shared", &plan.shared).collect();
    let made: Vec<Claim> = claims("derived", derived(plan)).collect();
    let dropped: Vec<Claim> = claims("discard", &plan.discard).collect();
    let protected: Vec<Claim> = claims("protect", &plan.protect).chain(claims("plan", &of_plan)).collect();
    let sides = [
        (&shared, &protected),
        (&made, &protected),
        (&shared, &made),
        (&shared, &dropped),
        (&made, &dropped),
    ];
    // A pattern is told once, however many others it meets.
    let mut told: BTreeSet<Span> = BTreeSet::new();
    for (left, right) in sides {
        let patterns = |claims: &[Claim<'_>]| -> Vec<Pattern> {
            claims.iter().map(|claim| claim.pattern.value.clone()).collect()
        };
        let (lefts, rights) = (patterns(left), patterns(right));
        let (lefts, rights): (Vec<&Pattern>, Vec<&Pattern>) =
            (lefts.iter().collect(), rights.iter().collect());
        for Overlap { first, second, path } in overlapping_between(&lefts, &rights) {
            let (one, other) = (&left[first], &right[second]);
            if other.word == "discard" && !drops(&other.pattern.value, &one.pattern.value) {
                continue;
            }
            if !told.insert(one.pattern.span) {
                continue;
            }
            let found = match other.word {
                "plan" => Diagnostic::new(
                    "two-owners",
                    one.pattern.span,
                    format!("`{}` holds `{path}`, of which the plan is made", one.word),
                )
                .at("nobody may write that"),
                word => Diagnostic::new(
                    "two-owners",
                    one.pattern.span,
                    format!("`{path}` is both `{}` and `{word}`", one.word),
                )
                .at(format!("`{}` covers it", one.pattern.value))
                .label(other.pattern.span, format!("`{}` covers it too", other.pattern.value)),
            };
            diagnostics.push(found.help("name exact paths, so that each file is treated in one way"));
        }
    }
    told
}

/// Does it drop all that the pattern can name? If it takes only some of it out, it does what it is there for.
fn drops(discard: &Pattern, pattern: &Pattern) -> bool {
    overlap_outside(pattern, pattern, &[discard]).is_none()
}

/// What no unit may write: what a command makes, and what is dropped.
fn writes_meet(plan: &Plan, diagnostics: &mut Vec<Diagnostic>) {
    let mut by_pattern: BTreeMap<&Pattern, Vec<(&Unit, Span)>> = BTreeMap::new();
    for unit in &plan.units {
        for pattern in scope(unit) {
            by_pattern.entry(&pattern.value).or_default().push((unit, pattern.span));
        }
    }
    let (written, uses): (Vec<&Pattern>, Vec<_>) = by_pattern.into_iter().unzip();
    let made: Vec<&Spanned<Pattern>> = derived(plan).collect();
    let dropped: Vec<&Spanned<Pattern>> = plan.discard.iter().collect();
    for (rule, claims) in [("derived-write", &made), ("discarded-write", &dropped)] {
        let patterns: Vec<&Pattern> = claims.iter().map(|claim| &claim.value).collect();
        let mut told: BTreeSet<usize> = BTreeSet::new();
        for Overlap { first, second, path } in overlapping_between(&written, &patterns) {
            if rule == "discarded-write" && !drops(patterns[second], written[first]) {
                continue;
            }
            if !told.insert(first) {
                continue;
            }
            for (unit, span) in &uses[first] {
                let id = &unit.id.value;
                let (why, label, help) = match rule {
                    "derived-write" => (
                        format!("`{id}` may write `{path}`, which a command makes"),
                        "made by this command",
                        "leave it out of the unit's scope: it is made anew when the unit has landed",
                    ),
                    _ => (
                        format!("`{id}` may write `{path}`, which is dropped from every result"),
                        "dropped here",
                        "name exact paths in the unit, or a narrower pattern in `discard`",
                    ),
                };
                diagnostics.push(
                    Diagnostic::new(rule, *span, why)
                        .at(format!("`{}` covers it", written[first]))
                        .label(claims[second].span, label)
                        .help(help),
                );
            }
        }
    }
}

/// A derived file changes with whatever lands: as an input it would make a unit out of date for no reason of its own.
fn derived_inputs(plan: &Plan, diagnostics: &mut Vec<Diagnostic>) {
    let made: Vec<&Spanned<Pattern>> = derived(plan).collect();
    if made.is_empty() {
        return;
    }
    let mut reads: Vec<(UnitIx, &'static str, Span, Pattern, Vec<&Pattern>)> = Vec::new();
    for (at, unit) in plan.units.iter().enumerate() {
        let unit_ix = UnitIx(at as u32);
        for (index, input) in unit.inputs.iter().enumerate().filter(|(_, input)| !input.value.negated()) {
            let behind = unit.inputs[index + 1..].iter().map(|input| &input.value);
            let excluded = behind.filter(|pattern| pattern.negated()).collect();
            reads.push((unit_ix, "inputs", input.span, input.value.clone(), excluded));
        }
        let files =
            unit.refs.iter().map(|one| ("ref", one)).chain(unit.rules.iter().map(|one| ("rules", one)));
        for (word, reference) in files {
            let pattern = Pattern::of_path(reference.path.as_str());
            reads.push((unit_ix, word, reference.span, pattern, Vec::new()));
        }
    }
    let patterns: Vec<&Pattern> = reads.iter().map(|(.., pattern, _)| pattern).collect();
    let makers: Vec<&Pattern> = made.iter().map(|pattern| &pattern.value).collect();
    let mut told: BTreeSet<Span> = BTreeSet::new();
    for Overlap { first, second, .. } in overlapping_between(&patterns, &makers) {
        let (unit, word, span, pattern, excluded) = &reads[first];
        let Some(path) = overlap_outside(pattern, makers[second], excluded) else { continue };
        if !told.insert(*span) {
            continue;
        }
        let id = &plan.units[unit.0 as usize].id.value;
        diagnostics.push(
            Diagnostic::new(
                "derived-input",
                *span,
                format!("`{id}` reads `{path}`, which a command makes anew after each landing"),
            )
            .at(format!("`{word}` of `{id}`"))
            .label(made[second].span, "made by this command")
            .help(match *word {
                "inputs" => format!("name what the file is made from, or exclude it: `!{path}` behind this"),
                _ => "name the file that it is made from".to_owned(),
            }),
        );
    }
}

/// Files whose lines depend on each other, by the end of their names (lower case).
const WOVEN: &[&str] = &[
    ".json",
    ".jsonc",
    ".lock",
    ".lockb",
    ".toml",
    ".xml",
    ".yaml",
    ".yml",
    ".plist",
    ".html",
    ".svg",
    ".sum",
    "package-lock.json",
    "pnpm-lock.yaml",
    "go.mod",
    "/mod.rs",
    "/lib.rs",
    "/main.rs",
    "/__init__.py",
];

/// Can two units add lines to the file without a look at each other's?
pub(super) fn lines_are_independent(path: &str) -> bool {
    let path = format!("/{}", path.to_lowercase());
    !WOVEN.iter().any(|end| path.ends_with(end))
}

fn unmergeable(pattern: &Spanned<Pattern>) -> Option<Diagnostic> {
    let text = pattern.value.as_str();
    if lines_are_independent(text) {
        return None;
    }
    let name = text.rsplit('/').next().unwrap_or(text).to_lowercase();
    let (why, help) = if name.ends_with(".lock")
        || name.ends_with(".lockb")
        || name.ends_with(".sum")
        || name.contains("-lock.")
    {
        (
            "a lock file is made by a program, and merged lines of two of them fit no set of dependencies",
            format!(
                "let its program make it: `derived {}` with the command",
                crate::plan::values::quote(text)
            ),
        )
    } else if name.ends_with(".rs") || name.ends_with(".py") {
        (
            "in a module list the order and the neighbourhood of lines have a meaning",
            "let a small first unit write the lines and empty modules, and let the others need it".to_owned(),
        )
    } else {
        (
            "it has a structure around its lines: commas, brackets, sections",
            "let one unit write it, or put the units in order with `after`".to_owned(),
        )
    };
    Some(
        Diagnostic::new("unmergeable-shared", pattern.span, format!("`{text}` is shared, and {why}"))
            .at("not made of independent lines")
            .help(help),
    )
}

fn unused_shared(plan: &Plan, claimed: &BTreeSet<Span>, diagnostics: &mut Vec<Diagnostic>) {
    let written: Vec<(&Pattern, u32)> = plan
        .units
        .iter()
        .enumerate()
        .flat_map(|(at, unit)| scope(unit).map(move |pattern| (&pattern.value, at as u32)))
        .collect();
    let patterns: Vec<&Pattern> = written.iter().map(|(pattern, _)| *pattern).collect();
    let shared: Vec<&Pattern> = plan.shared.iter().map(|pattern| &pattern.value).collect();
    let mut writers: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    for overlap in overlapping_between(&patterns, &shared) {
        writers.entry(overlap.second).or_default().insert(written[overlap.first].1);
    }
    for (at, pattern) in plan.shared.iter().enumerate() {
        let count = writers.get(&at).map_or(0, BTreeSet::len);
        if count > 1 || claimed.contains(&pattern.span) {
            continue;
        }
        let message = match count {
            0 => format!("no unit writes `{}`, which is shared", pattern.value),
            _ => format!("one unit alone writes `{}`, which is shared", pattern.value),
        };
        diagnostics.push(
            Diagnostic::new("unused-shared", pattern.span, message).at("not needed").help(
                "take it out, or add the path to the `writes` of the units that are to add lines to it",
            ),
        );
    }
}
