//! Predicates that are settled before anybody works: a criterion that no result can meet, a `stop` that holds already,
//! and one that another unit of the plan brings about.
//!
//! Does not know what commands do: what `run` and `shell` will say is open.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::Context;
use super::order::By;
use super::ownership::scope;
use crate::diagnostic::Diagnostic;
use crate::glob::{Pattern, overlapping_between};
use crate::plan::{PredicateKind, Role, Stop, Unit, UnitIx};
use crate::source::Span;

/// Of so many units that make a path, each is asked about its place in the order; of more, the first ones.
const MOST_MAKERS: usize = 16;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let paths = Paths::of(context);
    if paths.asked == 0 {
        return;
    }
    let mut seen: BTreeSet<Span> = BTreeSet::new();
    for (at, unit) in context.plan.units.iter().enumerate() {
        if unit.role != Role::Work || unit.broken {
            continue;
        }
        for predicate in unit.accept.iter().flat_map(|criterion| &criterion.predicates) {
            if let Some(found) =
                impossible(context, &paths, Some((UnitIx(at as u32), unit)), &predicate.kind, predicate.span)
                && seen.insert(predicate.span)
            {
                diagnostics.push(found);
            }
        }
        for stop in unit.stops.iter().filter(|stop| stop.at_start) {
            let changed = |kind: &PredicateKind| matches!(kind, PredicateKind::Changed(_));
            if let Some(predicate) = stop.predicates.iter().find(|predicate| changed(&predicate.kind))
                && seen.insert(predicate.span)
            {
                diagnostics.push(
                    Diagnostic::new(
                        "impossible-predicate",
                        predicate.span,
                        "before the first attempt nothing is changed yet, so this never holds",
                    )
                    .label(stop.span, "judged at the start")
                    .help("leave `at=start` out, or ask for something else: `exists`, `missing`, `matches`"),
                );
            }
        }
    }
    for predicate in
        context.plan.gates.iter().flat_map(|gate| &gate.accept).flat_map(|criterion| &criterion.predicates)
    {
        diagnostics.extend(impossible(context, &paths, None, &predicate.kind, predicate.span));
    }
    stops(context, &paths, &mut seen, diagnostics);
}

/// A unit that may write a path.
struct Writer<'p> {
    unit: UnitIx,
    span: Span,
    pattern: &'p Pattern,
    /// It must leave the path there.
    creates: bool,
}

/// Which of the paths that predicates ask about units may write.
struct Paths<'p> {
    asked: usize,
    /// Patterns of `writes` and `creates`, each once, with its number.
    numbers: BTreeMap<&'p Pattern, usize>,
    writers: Vec<Vec<Writer<'p>>>,
    /// By the text of what is asked about: numbers of the patterns that can meet it, sorted.
    met: BTreeMap<&'p str, Vec<usize>>,
}

impl<'p> Paths<'p> {
    fn of(context: &Context<'p>) -> Paths<'p> {
        let plan = context.plan;
        let of_units = plan.units.iter().flat_map(|unit| {
            let criteria = unit.accept.iter().flat_map(|criterion| &criterion.predicates);
            criteria.chain(unit.stops.iter().flat_map(|stop| &stop.predicates))
        });
        let of_gates =
            plan.gates.iter().flat_map(|gate| &gate.accept).flat_map(|criterion| &criterion.predicates);
        let mut asked: BTreeMap<&str, Pattern> = BTreeMap::new();
        for predicate in of_units.chain(of_gates) {
            match &predicate.kind {
                PredicateKind::Exists(all) | PredicateKind::Missing(all) | PredicateKind::Changed(all) => {
                    for pattern in all {
                        asked.entry(pattern.as_str()).or_insert_with(|| pattern.clone());
                    }
                }
                PredicateKind::Matches(path, _) => {
                    asked.entry(path.as_str()).or_insert_with(|| Pattern::of_path(path.as_str()));
                }
                PredicateKind::Unchanged(_) | PredicateKind::Command(_) => {}
            }
        }
        let mut paths =
            Paths { asked: asked.len(), numbers: BTreeMap::new(), writers: Vec::new(), met: BTreeMap::new() };
        if asked.is_empty() {
            return paths;
        }
        for (at, unit) in plan.units.iter().enumerate() {
            let writes = unit.writes.iter().map(|pattern| (pattern, false));
            for (pattern, creates) in writes.chain(unit.creates.iter().map(|pattern| (pattern, true))) {
                let next = paths.writers.len();
                let number = *paths.numbers.entry(&pattern.value).or_insert(next);
                if number == next {
                    paths.writers.push(Vec::new());
                }
                let (unit, span) = (UnitIx(at as u32), pattern.span);
                paths.writers[number].push(Writer { unit, span, pattern: &pattern.value, creates });
            }
        }
        let (texts, patterns): (Vec<&str>, Vec<Pattern>) = asked.into_iter().unzip();
        let mut written: Vec<(&Pattern, usize)> =
            paths.numbers.iter().map(|(pattern, at)| (*pattern, *at)).collect();
        written.sort_by_key(|(_, at)| *at);
        let written: Vec<&Pattern> = written.into_iter().map(|(pattern, _)| pattern).collect();
        for overlap in overlapping_between(&patterns.iter().collect::<Vec<_>>(), &written) {
            paths.met.entry(texts[overlap.first]).or_default().push(overlap.second);
        }
        paths.met.values_mut().for_each(|numbers| numbers.sort_unstable());
        paths
    }

    fn met(&self, asked: &str) -> &[usize] {
        self.met.get(asked).map_or(&[], Vec::as_slice)
    }

    fn by_none(&self, asked: &str) -> bool {
        self.met(asked).is_empty()
    }

    fn by(&self, unit: &Unit, asked: &str) -> bool {
        let met = self.met(asked);
        !met.is_empty() && scope(unit).any(|pattern| met.binary_search(&self.numbers[&pattern.value]).is_ok())
    }

    /// Everybody but `unit` who may write it.
    fn others(&self, unit: UnitIx, asked: &str) -> impl Iterator<Item = &Writer<'p>> {
        self.met(asked)
            .iter()
            .flat_map(|number| &self.writers[*number])
            .filter(move |writer| writer.unit != unit)
    }
}

/// Does the unit create a path, named letter for letter, that the pattern matches?
fn created<'u>(unit: &'u Unit, asked: &Pattern) -> Option<&'u str> {
    unit.creates.iter().filter_map(|pattern| pattern.value.literal()).find(|path| asked.matches(path))
}

/// A predicate of a criterion that no result can meet. `of`: the unit; `None` for a gate.
fn impossible(
    context: &Context<'_>,
    paths: &Paths<'_>,
    of: Option<(UnitIx, &Unit)>,
    kind: &PredicateKind,
    span: Span,
) -> Option<Diagnostic> {
    let new = |message: String| Diagnostic::new("impossible-predicate", span, message);
    let derived = |path: &str| {
        let mut made = context.plan.derived.iter().flat_map(|derived| &derived.paths);
        made.any(|pattern| pattern.value.matches(path))
    };
    let never_there = |path: &str| {
        !derived(path) && paths.by_none(path) && context.sources.kind(Utf8Path::new(path)).is_none()
    };
    match kind {
        PredicateKind::Exists(all) => {
            let path = all.iter().filter_map(Pattern::literal).find(|path| never_there(path))?;
            Some(
                new(format!("`{path}` does not exist, and no unit may make it"))
                    .at("can never be met")
                    .help("correct the path, or let a unit create it: `creates \"...\"`"),
            )
        }
        PredicateKind::Matches(path, _) if never_there(path.as_str()) => Some(
            new(format!("`{path}` does not exist, and no unit may make it"))
                .at("can never be met")
                .help("correct the path, or let a unit create it: `creates \"...\"`"),
        ),
        PredicateKind::Missing(all) => {
            let (_, unit) = of?;
            let path = all.iter().find_map(|pattern| created(unit, pattern))?;
            Some(
                new(format!("`{path}` must be there afterwards, as `creates` says, and must be missing"))
                    .at("can never be met")
                    .help("take the path out of one of the two; `writes` lets a unit delete a file"),
            )
        }
        PredicateKind::Changed(all) => {
            let (_, unit) = of?;
            let pattern =
                all.iter().find(|pattern| !paths.by(unit, pattern.as_str()) && !derived(pattern.as_str()))?;
            Some(
                new(format!(
                    "`{}` may not change `{}`, so it never differs",
                    unit.id.value,
                    pattern.as_str()
                ))
                .at("can never be met")
                .help("add the path to `writes`, or correct it"),
            )
        }
        _ => None,
    }
}

/// Who makes a path, where that is written, and whether the path is surely there afterwards.
type Maker = (UnitIx, Span, bool);

/// A stop of one unit that other units decide about.
struct Pending<'p> {
    unit: UnitIx,
    stop: &'p Stop,
    /// For each path that is not there by itself: who makes it.
    makers: Vec<(&'p str, Vec<Maker>)>,
    /// A path that is there, and that nobody may write.
    there: bool,
}

fn stops(
    context: &Context<'_>,
    paths: &Paths<'_>,
    seen: &mut BTreeSet<Span>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let units = &context.plan.units;
    let mut pending: Vec<Pending<'_>> = Vec::new();
    for (at, unit) in units.iter().enumerate().filter(|(_, unit)| unit.role == Role::Work && !unit.broken) {
        for stop in unit.stops.iter().filter(|stop| !stop.predicates.is_empty()) {
            let ix = UnitIx(at as u32);
            if !stop.at_start && own_work(unit, stop).is_some() {
                if seen.insert(stop.span) {
                    diagnostics.push(stops_itself(unit, stop));
                }
            } else if let Some(found) = holds(context, paths, ix, unit, stop)
                && !seen.contains(&stop.span)
            {
                pending.push(found);
            }
        }
    }
    let pairs: Vec<(UnitIx, UnitIx)> = pending
        .iter()
        .flat_map(|stop| {
            stop.makers.iter().flat_map(|(_, makers)| makers.iter().map(|maker| (maker.0, stop.unit)))
        })
        .collect();
    let mut before = context.order.comes_after(By::Anything, &pairs).into_iter();
    for found in pending {
        let mut certain = true;
        let mut later = None;
        let mut named = None;
        for (path, makers) in &found.makers {
            let mut made = false;
            for (unit, span, surely) in makers {
                let earlier = before.next().unwrap_or(false);
                made |= earlier && *surely;
                if earlier && *surely {
                    named = named.or(Some((*unit, *span, *path)));
                } else if !earlier {
                    later = later.or(Some((*unit, *span, *path)));
                }
            }
            certain &= made;
        }
        if !seen.insert(found.stop.span) {
            continue;
        }
        if certain {
            diagnostics.push(unreachable(context, &found, named));
        } else if let Some((maker, span, path)) = later {
            diagnostics.push(triggered(
                &units[found.unit.0 as usize],
                found.stop,
                &units[maker.0 as usize],
                span,
                path,
            ));
        }
    }
}

/// The path by which a unit's own work makes its stop hold.
fn own_work<'u>(unit: &'u Unit, stop: &Stop) -> Option<&'u str> {
    let mut path = None;
    for predicate in &stop.predicates {
        let PredicateKind::Exists(all) = &predicate.kind else { return None };
        for pattern in all {
            path = Some(created(unit, pattern)?);
        }
    }
    path
}

fn stops_itself(unit: &Unit, stop: &Stop) -> Diagnostic {
    let path = own_work(unit, stop).unwrap_or_default();
    let message = format!("`{}` must create `{path}`, and stops when it exists", unit.id.value);
    Diagnostic::new("impossible-predicate", stop.span, message)
        .at("holds after each attempt that does its work")
        .help("judge it before the first attempt: `stop \"...\" at=start { ... }`")
}

/// Whether a stop holds whatever the agent does, as far as the plan and the files tell; `None` if that is open.
fn holds<'p>(
    context: &Context<'p>,
    paths: &Paths<'_>,
    ix: UnitIx,
    unit: &Unit,
    stop: &'p Stop,
) -> Option<Pending<'p>> {
    let mut found = Pending { unit: ix, stop, makers: Vec::new(), there: false };
    let kind = |path: &str| context.sources.kind(Utf8Path::new(path));
    for predicate in &stop.predicates {
        match &predicate.kind {
            PredicateKind::Exists(all) => {
                for pattern in all {
                    let asked = pattern.as_str();
                    if paths.by(unit, asked) {
                        return None;
                    }
                    if paths.by_none(asked) {
                        kind(pattern.literal()?)?;
                        found.there = true;
                        continue;
                    }
                    // Who may write it without having to leave it there may also delete it.
                    let deleted = paths.others(ix, asked).any(|writer| !writer.creates);
                    let makers = paths.others(ix, asked).filter(|writer| writer.creates).take(MOST_MAKERS);
                    let surely = |writer: &Writer<'_>| {
                        !deleted && writer.pattern.literal().is_some_and(|path| pattern.matches(path))
                    };
                    let makers: Vec<_> =
                        makers.map(|writer| (writer.unit, writer.span, surely(writer))).collect();
                    if makers.is_empty() {
                        return None;
                    }
                    found.makers.push((asked, makers));
                }
            }
            PredicateKind::Missing(all) => {
                for pattern in all {
                    let path = pattern.literal().filter(|path| paths.by_none(path))?;
                    if kind(path).is_some() {
                        return None;
                    }
                    found.there = true;
                }
            }
            PredicateKind::Matches(path, regex) => {
                if !paths.by_none(path.as_str()) {
                    return None;
                }
                let text = String::from_utf8(context.sources.read(path).ok()?).ok()?;
                let regex = regex::RegexBuilder::new(regex).multi_line(true).build().ok()?;
                if !regex.is_match(&text) {
                    return None;
                }
                found.there = true;
            }
            PredicateKind::Changed(_) | PredicateKind::Unchanged(_) | PredicateKind::Command(_) => {
                return None;
            }
        }
    }
    Some(found)
}

fn unreachable(
    context: &Context<'_>,
    found: &Pending<'_>,
    maker: Option<(UnitIx, Span, &str)>,
) -> Diagnostic {
    let units = &context.plan.units;
    let id = &units[found.unit.0 as usize].id.value;
    let ends = if found.stop.at_start { "can never start" } else { "can never be done" };
    let (message, span) = match maker {
        Some((maker, span, path)) => {
            let maker = &units[maker.0 as usize].id.value;
            (
                format!("`{id}` {ends}: `{maker}`, which comes before it, makes `{path}`, and then it stops"),
                Some(span),
            )
        }
        None => (format!("`{id}` {ends}: its `stop` holds already, and no unit may change that"), None),
    };
    let mut diagnostic =
        Diagnostic::new("unreachable-unit", found.stop.span, message).at("holds before any work");
    if let Some(span) = span {
        diagnostic = diagnostic.label(span, "made here");
    }
    if found.there && maker.is_none() {
        diagnostic =
            diagnostic.help("this is so in the files as they are now; a run would end the unit as blocked");
    }
    diagnostic.help("correct the predicate, or leave the unit out")
}

fn triggered(unit: &Unit, stop: &Stop, maker: &Unit, span: Span, path: &str) -> Diagnostic {
    let (id, other) = (&unit.id.value, &maker.id.value);
    let message =
        format!("`{id}` stops when `{path}` exists, which `{other}` creates without coming before it");
    Diagnostic::new("stop-triggered-by-later-unit", stop.span, message)
        .at(format!("once `{other}` has landed, `{id}` cannot run again"))
        .label(span, format!("`{other}` creates it"))
        .help("ask for something that no unit of the plan brings about")
        .help(format!("or let `{other}` come first, if `{id}` is to see it"))
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{project, told};

    const NOTHING: [&str; 0] = [];

    fn with(lines: &str, files: &[(&str, &str)]) -> Vec<String> {
        let plan = format!("feature f {{\n{lines}\n}}\n");
        let project = project("").replace("defaults agent=w", "defaults agent=w { verify test; }");
        let mut all = vec![("loop.kdl", project.as_str()), ("p.loop.kdl", plan.as_str())];
        all.extend(files);
        told(&all)
    }

    fn unit(id: &str, more: &str) -> String {
        format!("unit {id} {{ goal \"g\"; {more}; }}\n")
    }

    fn rules(found: &[String]) -> Vec<&str> {
        found.iter().filter_map(|line| line.split(['/', ']']).nth(1)).collect()
    }

    #[test]
    fn criteria_that_no_result_can_meet() {
        let accept = |predicate: &str| {
            let text = unit(
                "u",
                &format!("writes \"src/**\"; creates \"docs/a.md\"; accept \"x\" {{ {predicate}; }}"),
            );
            with(&text, &[("old.md", "text"), ("dir/file", "x")])
        };
        for fine in [
            "exists \"docs/a.md\"",
            "exists \"docs\"",
            "exists \"src/new.rs\"",
            "exists \"old.md\"",
            "exists \"dir\"",
            "exists \"**/*.nothing\"",
            "missing \"old.md\"",
            "missing \"src/old.rs\"",
            "missing \"docs/b.md\"",
            "changed \"src/lib.rs\"",
            "changed \"**/*.rs\"",
            "unchanged \"docs/a.md\"",
            "matches \"src/lib.rs\" \"x\"",
            "matches \"old.md\" \"nothing of it\"",
        ] {
            assert_eq!(accept(fine), NOTHING, "{fine}");
        }
        for (bad, words) in [
            ("exists \"docs/b.md\"", "`docs/b.md` does not exist, and no unit may make it"),
            ("matches \"docs/b.md\" \"x\"", "`docs/b.md` does not exist, and no unit may make it"),
            ("missing \"docs/a.md\"", "must be there afterwards"),
            ("missing \"docs/*\"", "must be there afterwards"),
            ("changed \"old.md\"", "`u` may not change `old.md`"),
            ("changed \"src/a\" \"lib/a\"", "`u` may not change `lib/a`"),
        ] {
            let found = accept(bad);
            assert_eq!(rules(&found), ["impossible-predicate"], "{bad}: {found:#?}");
            assert!(found[0].contains(words), "{found:#?}");
        }
        let other = unit("u", "writes \"a\"; accept \"x\" { exists \"b\"; }") + &unit("v", "creates \"b\"");
        assert_eq!(with(&other, &[]), NOTHING, "another unit may make it");
    }

    #[test]
    fn gates_and_stops_too() {
        let gate = |path: &str| {
            format!(
                "gate g {{ {}; accept \"x\" {{ exists \"{path}\"; }}; }}",
                unit("u", "creates \"a\"").trim()
            )
        };
        assert_eq!(with(&gate("a"), &[]), NOTHING);
        assert_eq!(rules(&with(&gate("b"), &[])), ["impossible-predicate"]);
        let stop = |stop: &str| rules(&with(&unit("u", &format!("creates \"a\"; {stop}")), &[])).len();
        assert_eq!(stop("stop \"s\" { exists \"a\"; }"), 1, "it would stop after its work");
        assert_eq!(stop("stop \"s\" at=start { exists \"a\"; }"), 0, "a guard against doing it twice");
        assert_eq!(stop("stop \"s\" { exists \"a\"; matches \"a\" \"x\"; }"), 0);
        assert_eq!(stop("stop \"s\" at=start { changed \"a\"; }"), 1);
        assert_eq!(stop("stop \"s\" { changed \"a\"; }"), 0);
    }

    #[test]
    fn a_stop_that_holds_already() {
        let files = [("there.md", "edition = 2015")];
        let stop = |stop: &str| {
            let found = with(&unit("u", &format!("creates \"a\"; writes \"own.md\"; {stop}")), &files);
            rules(&found).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        for bad in [
            "stop \"s\" at=start { exists \"there.md\"; }",
            "stop \"s\" { exists \"there.md\"; }",
            "stop \"s\" at=start { missing \"gone.md\"; }",
            "stop \"s\" at=start { matches \"there.md\" \"^edition = 2015$\"; }",
            "stop \"s\" at=start { exists \"there.md\"; missing \"gone.md\"; }",
        ] {
            assert_eq!(stop(bad), ["unreachable-unit"], "{bad}");
        }
        for fine in [
            "stop \"s\" at=start { exists \"gone.md\"; }",
            "stop \"s\" at=start { missing \"there.md\"; }",
            "stop \"s\" at=start { missing \"own.md\"; }",
            "stop \"s\" at=start { matches \"there.md\" \"2021\"; }",
            "stop \"s\" at=start { exists \"there.md\"; exists \"gone.md\"; }",
            "stop \"s\" at=start { exists \"there.md\"; run make; }",
            "stop \"s\" at=start { exists \"*.md\"; }",
        ] {
            assert_eq!(stop(fine), NOTHING, "{fine}");
        }
    }

    #[test]
    fn a_stop_that_another_unit_brings_about() {
        let stop = "writes \"a\"; stop \"s\" at=start { exists \"b\"; }";
        let pair = |u: &str, v: &str| with(&(unit("u", u) + &unit("v", v)), &[]);
        assert_eq!(rules(&pair(stop, "creates \"b\"")), ["stop-triggered-by-later-unit"], "side by side");
        assert_eq!(rules(&pair(stop, "creates \"b\"; after u")), ["stop-triggered-by-later-unit"]);
        assert_eq!(rules(&pair(&format!("{stop}; after v"), "creates \"b\"")), ["unreachable-unit"]);
        assert_eq!(rules(&pair(&format!("{stop}; needs v"), "creates \"b\"")), ["unreachable-unit"]);
        assert_eq!(pair(stop, "writes \"b\""), NOTHING, "it may, and need not");
        assert_eq!(pair(stop, "creates \"c\""), NOTHING);
        let both = "writes \"a\"; stop \"s\" { exists \"b\" \"c\"; }";
        assert_eq!(pair(both, "creates \"b\""), NOTHING, "`c` never comes");
        assert_eq!(rules(&pair(both, "creates \"b\" \"c\"")), ["stop-triggered-by-later-unit"]);
        let deleted = unit("u", &format!("{stop}; needs w"))
            + &unit("v", "creates \"b\"")
            + &unit("w", "needs v; writes \"b\"");
        assert_eq!(with(&deleted, &[]), NOTHING, "what `w` may delete need not be there");
    }
}
