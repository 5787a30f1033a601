//! Ownership: no path has two writers without an order, and no input changes behind its reader's back.
//!
//! Does not know which files exist: it works on what patterns can name.
//!
//! Patterns are compared once each, however many units use them. Where many units share a pattern (a file that a
//! whole chain of units writes), only neighbours in landing order are asked about: if each comes after the one
//! before it, all are in order.

use std::collections::BTreeMap;

use super::order::By;
use super::{Context, edit};
use crate::diagnostic::{Applicability, Diagnostic};
use crate::glob::{
    Lists, Overlap, Pattern, grouped, overlap_outside, overlapping_between, overlapping_pairs,
};
use crate::plan::schema::PLAN_KIND;
use crate::plan::values::{PLAN_SUFFIX, may_write_plan_file};
use crate::plan::{Plan, Role, Unit, UnitIx};
use crate::source::Span;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let writers = Writers::of(context);
    missing_scope(context, diagnostics);
    protected_writes(context, diagnostics);
    write_conflicts(context, &writers, diagnostics);
    super::inputs::check(context, &writers, diagnostics);
}

/// A place where a unit uses a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) unit: UnitIx,
    pub(super) span: Span,
    /// Must the unit leave a file there? Then it is more than lines added to a shared one.
    pub(super) creates: bool,
    /// The unit's place in landing order.
    pub(super) position: u32,
}

/// What units may write: each distinct pattern with its users, in landing order, one use a unit.
pub(super) struct Writers<'p> {
    pub(super) patterns: Vec<&'p Pattern>,
    pub(super) uses: Lists<Use>,
}

impl<'p> Writers<'p> {
    fn of(context: &Context<'p>) -> Writers<'p> {
        let units = context.plan.units.iter().enumerate();
        let placed = units.filter_map(|(at, unit)| {
            let unit_ix = UnitIx(at as u32);
            context.order.position(unit_ix).map(|position| (unit_ix, unit, position))
        });
        let (patterns, mut uses) = grouped(placed.flat_map(|(unit, said, position)| {
            let lists = [(&said.writes, false), (&said.creates, true)];
            lists.into_iter().flat_map(move |(list, creates)| {
                list.iter()
                    .map(move |pattern| (&pattern.value, Use { unit, span: pattern.span, creates, position }))
            })
        }));
        uses.change_each(|uses| {
            uses.sort_by_key(|user| (user.position, !user.creates, user.span));
            uses.dedup_by_key(|user| user.unit);
        });
        Writers { patterns, uses }
    }
}

/// `writes` and `creates` of a unit.
pub(super) fn scope(unit: &Unit) -> impl Iterator<Item = &crate::source::Spanned<Pattern>> {
    unit.writes.iter().chain(&unit.creates)
}

fn missing_scope(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for unit in &context.plan.units {
        let silent = unit.writes.is_empty() && unit.creates.is_empty() && !unit.writes_stated;
        let refused = || context.found_earlier(&["invalid-glob", "path-escape", "wrong-type"], unit.span);
        if unit.role != Role::Work || unit.broken || !silent || refused() {
            continue;
        }
        let message = format!("`{}` does not say what it may change", unit.id.value);
        let mut diagnostic = Diagnostic::new("missing-scope", unit.id.span, message)
            .help("add `writes` with the paths that it may change, or `creates` with those that it must make")
            .help("a bare `writes` says that it changes nothing");
        let lines = [
            ("name what it may change", "writes \"PATH\"", Applicability::Display),
            ("say that it changes nothing", "writes", Applicability::Unsafe),
        ];
        for (title, line, applicability) in lines {
            if let Some(edit) = edit::add_line(unit, line, context.map) {
                diagnostic = diagnostic.fix(title, applicability, vec![edit]);
            }
        }
        diagnostics.push(diagnostic);
    }
}

fn protected_writes(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let files = plan.plan_files.iter().map(|file| Pattern::of_path(file.as_str()));
    let files: Vec<Pattern> = files.chain([Pattern::of_path("loop.kdl")]).collect();
    let protected: Vec<&Pattern> =
        files.iter().chain(plan.protect.iter().map(|pattern| &pattern.value)).collect();
    let scopes =
        plan.units.iter().flat_map(|unit| scope(unit).map(move |one| (&one.value, (unit, one.span))));
    let (written, uses) = grouped(scopes);
    let mut found: BTreeMap<usize, Vec<Overlap>> = BTreeMap::new();
    for overlap in overlapping_between(&written, &protected) {
        found.entry(overlap.first).or_default().push(overlap);
    }
    for (at, pattern) in written.iter().enumerate() {
        let in_git = pattern.spells_part(".git");
        let overlaps = found.get(&at).map(Vec::as_slice).unwrap_or_default();
        for (unit, span) in &uses[at] {
            let of_plan = |overlap: &&Overlap| overlap.second < files.len();
            let allowed = |overlap: &&Overlap| {
                of_plan(overlap)
                    && unit.kind == PLAN_KIND
                    && may_write_plan_file(files[overlap.second].as_str(), &unit.kind)
            };
            let (why, label) = if in_git {
                (".git, which belongs to git".to_owned(), None)
            } else if let Some(overlap) = overlaps.iter().find(|overlap| !allowed(overlap)) {
                match overlap.second.checked_sub(files.len()) {
                    None => (format!("`{}`, of which the plan is made", files[overlap.second]), None),
                    Some(rule) => {
                        (format!("`{}`, which is protected", overlap.path), Some(plan.protect[rule].span))
                    }
                }
            } else if !may_write_plan_file(pattern.as_str(), &unit.kind) {
                let why = match pattern.as_str().ends_with(PLAN_SUFFIX) {
                    true => "a plan file; only a unit with `kind=plan` may",
                    false => "a project's file, and for people",
                };
                (format!("`{pattern}`, which is {why}"), None)
            } else {
                continue;
            };
            let message = format!("`{}` may write {why}", unit.id.value);
            let mut diagnostic = Diagnostic::new("protected-write", *span, message)
                .at(format!("`{pattern}` covers it"))
                .help("name exact paths, or a narrower pattern, that leaves it out");
            if let Some(label) = label {
                diagnostic = diagnostic.label(label, "protected here");
            }
            diagnostics.push(diagnostic);
        }
    }
}

/// Groups with more pairs of users than this are compared by neighbours alone once an error in them is certain.
const MOST_PAIRS: usize = 40_000;

/// Two uses of overlapping patterns without an order between their units.
struct Conflict<'p> {
    first: (Use, &'p Pattern),
    second: (Use, &'p Pattern),
    path: String,
}

fn write_conflicts(context: &Context<'_>, writers: &Writers<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let chains = chains(context, By::Anything, writers);
    let mut overlaps = overlapping_pairs(&writers.patterns);
    for (at, pattern) in writers.patterns.iter().enumerate().filter(|(at, _)| !chains[*at]) {
        let path = overlap_outside(pattern, pattern, &[]).unwrap_or_else(|| pattern.as_str().to_owned());
        overlaps.push(Overlap { first: at, second: at, path });
    }
    overlaps.sort();
    let shared = Shared::of(context, writers);
    overlaps.retain(|overlap| {
        let sides = [overlap.first, overlap.second];
        let creates = || sides.iter().any(|side| writers.uses[*side].iter().any(|user| user.creates));
        !shared.covers(writers, overlap) || creates()
    });
    let mut asked: Vec<(Use, Use, usize)> = Vec::new();
    for (at, overlap) in overlaps.iter().enumerate() {
        let sides = [overlap.first, overlap.second];
        pairs(sides.map(|side| &writers.uses[side]), sides.map(|side| chains[side]), |a, b| {
            asked.push((a, b, at));
        });
    }
    let in_order: Vec<(UnitIx, UnitIx)> = asked.iter().map(|(a, b, _)| earlier_first(a, b)).collect();
    let ordered = context.order.comes_after(By::Anything, &in_order);
    let mut conflicts: BTreeMap<(UnitIx, UnitIx), Conflict<'_>> = BTreeMap::new();
    for ((a, b, at), _) in asked.into_iter().zip(ordered).filter(|(_, ordered)| !ordered) {
        let (first, second) = (writers.patterns[overlaps[at].first], writers.patterns[overlaps[at].second]);
        // The unit that stands first in the plan is named first.
        let (first, second) =
            if a.unit < b.unit { ((a, first), (b, second)) } else { ((b, second), (a, first)) };
        // Units that only write a shared file add lines to it; one that must make it does more.
        if !first.0.creates && !second.0.creates && shared.covers(writers, &overlaps[at]) {
            continue;
        }
        let conflict = Conflict { first, second, path: overlaps[at].path.clone() };
        conflicts.entry((first.0.unit, second.0.unit)).or_insert(conflict);
    }
    // Of twelve units that all write one file, each but the first gets one finding, not one for each other unit.
    let mut arguments: BTreeMap<(UnitIx, Span), Vec<Conflict<'_>>> = BTreeMap::new();
    for ((_, second), conflict) in conflicts {
        arguments.entry((second, conflict.second.0.span)).or_default().push(conflict);
    }
    diagnostics
        .extend(arguments.values().map(|conflicts| conflict_found(context, &conflicts[0], &conflicts[1..])));
}

/// The `shared` patterns, and which of the writers' patterns meet one of them.
struct Shared<'p> {
    patterns: Vec<&'p Pattern>,
    meets: Vec<bool>,
}

impl<'p> Shared<'p> {
    fn of(context: &Context<'p>, writers: &Writers<'p>) -> Shared<'p> {
        let patterns: Vec<&Pattern> = context.plan.shared.iter().map(|pattern| &pattern.value).collect();
        let mut meets = vec![false; writers.patterns.len()];
        for overlap in overlapping_between(&writers.patterns, &patterns) {
            meets[overlap.first] = true;
        }
        Shared { patterns, meets }
    }

    /// Is every path at which the two meet a shared one?
    fn covers(&self, writers: &Writers<'_>, overlap: &Overlap) -> bool {
        let (first, second) = (overlap.first, overlap.second);
        self.meets[first]
            && self.meets[second]
            && overlap_outside(writers.patterns[first], writers.patterns[second], &self.patterns).is_none()
    }
}

/// For each pattern: is each of its users, in landing order, ordered after the one before it?
pub(super) fn chains(context: &Context<'_>, by: By, writers: &Writers<'_>) -> Vec<bool> {
    let mut asked = Vec::new();
    let mut group = Vec::new();
    for (at, uses) in writers.uses.iter().enumerate() {
        for pair in uses.windows(2) {
            asked.push((pair[0].unit, pair[1].unit));
            group.push(at);
        }
    }
    let mut chains = vec![true; writers.uses.len()];
    for (group, ordered) in group.into_iter().zip(context.order.comes_after(by, &asked)) {
        chains[group] &= ordered;
    }
    chains
}

fn earlier_first(a: &Use, b: &Use) -> (UnitIx, UnitIx) {
    if a.position < b.position { (a.unit, b.unit) } else { (b.unit, a.unit) }
}

/// The pairs of users of two overlapping patterns whose order has to be known.
fn pairs(sides: [&[Use]; 2], chain: [bool; 2], mut ask: impl FnMut(Use, Use)) {
    let [left, right] = sides;
    let mut ask_both = |a: Use, b: Use| {
        if a.unit != b.unit {
            ask(a, b);
        }
    };
    if chain[1] && (!chain[0] || left.len() <= right.len()) {
        left.iter().for_each(|user| neighbours(right, user, |other| ask_both(*user, other)));
    } else if chain[0] {
        right.iter().for_each(|user| neighbours(left, user, |other| ask_both(other, *user)));
    } else if left.len() * right.len() <= MOST_PAIRS {
        let same = std::ptr::eq(left, right);
        for a in left {
            right.iter().filter(|b| !same || a.unit < b.unit).for_each(|b| ask_both(*a, *b));
        }
    } else if std::ptr::eq(left, right) {
        left.windows(2).for_each(|pair| ask_both(pair[0], pair[1]));
    } else {
        left.iter().for_each(|user| neighbours(right, user, |other| ask_both(*user, other)));
    }
}

/// The users next to `user` in landing order, unless it is one of them: then it is in order with all.
fn neighbours(others: &[Use], user: &Use, mut ask: impl FnMut(Use)) {
    let at = others.partition_point(|other| other.position < user.position);
    if others.get(at).is_some_and(|other| other.unit == user.unit) {
        return;
    }
    at.checked_sub(1)
        .and_then(|before| others.get(before))
        .into_iter()
        .chain(others.get(at))
        .for_each(|other| ask(*other));
}

/// More units than this are counted, not named.
const MOST_NAMED: usize = 4;

fn conflict_found(context: &Context<'_>, conflict: &Conflict<'_>, others: &[Conflict<'_>]) -> Diagnostic {
    let Plan { units, .. } = context.plan;
    let (first, second) =
        (&units[conflict.first.0.unit.0 as usize], &units[conflict.second.0.unit.0 as usize]);
    let (one, two) = (&first.id.value, &second.id.value);
    let message =
        format!("`{one}` and `{two}` may both write `{}`, and neither comes after the other", conflict.path);
    let mut diagnostic = Diagnostic::new("write-conflict", conflict.second.0.span, message)
        .at(format!("`{two}` may write `{}`", conflict.second.1))
        .label(conflict.first.0.span, format!("`{one}` may write `{}`", conflict.first.1));
    for other in others.iter().take(MOST_NAMED) {
        let id = &units[other.first.0.unit.0 as usize].id.value;
        diagnostic = diagnostic.label(other.first.0.span, format!("so may `{id}`: `{}`", other.first.1));
    }
    if let Some(more) = others.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        diagnostic = diagnostic.help(format!("the same holds for {more} more units"));
    }
    let patterns = [conflict.first.1, conflict.second.1];
    if patterns.iter().any(|pattern| pattern.literal().is_none()) {
        diagnostic =
            diagnostic.help("name exact paths in place of the pattern, so that the two no longer meet");
    }
    diagnostic = diagnostic
        .help(format!(
            "let a small first unit make what both touch (dependencies, module lines, empty files), and let `{one}` and `{two}` need it"
        ))
        .help(format!("put them in order: `after {}` in `{two}`", edit::name(one)));
    let both_add = !conflict.first.0.creates && !conflict.second.0.creates;
    if let Some(path) = patterns[0].literal().filter(|_| patterns[0] == patterns[1]) {
        let merges = both_add && super::valves::lines_are_independent(path);
        if merges {
            diagnostic = diagnostic.help(format!(
                "if each of them only adds whole lines to it: `shared {}` in the feature",
                crate::plan::values::quote(path)
            ));
        }
    }
    let line = format!("after {}", edit::name(one));
    match edit::add_line(second, &line, context.map) {
        Some(edit) => {
            diagnostic.fix(format!("let `{two}` come after `{one}`"), Applicability::Unsafe, vec![edit])
        }
        None => diagnostic,
    }
}
