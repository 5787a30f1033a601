//! Lines of files that a unit's texts name (`src/a.rs:120`): they must be there, and still be there when the agent reads
//! the text.
//!
//! Does not know what stands on the lines, nor what the text wants with them. A path that no file has is not taken for
//! one: texts are full of words with colons.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::Context;
use crate::diagnostic::Diagnostic;
use crate::glob::Pattern;
use crate::plan::{Unit, UnitIx};
use crate::source::{PathKind, Span};

/// A line that a unit's text names.
struct Mention {
    unit: UnitIx,
    path: String,
    first: usize,
    last: usize,
    /// As it stands in the text.
    written: String,
    /// Where the text came from, if that is not the unit itself.
    span: Option<Span>,
}

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut mentions: Vec<Mention> = Vec::new();
    for (at, unit) in context.plan.units.iter().enumerate() {
        for (text, span) in texts(unit) {
            mentions.extend(found_in(text).map(|(written, path, first, last)| Mention {
                unit: UnitIx(at as u32),
                path: path.to_owned(),
                first,
                last,
                written: written.to_owned(),
                span,
            }));
        }
    }
    let paths: BTreeSet<String> = mentions.iter().map(|mention| mention.path.clone()).collect();
    let lines: BTreeMap<String, usize> =
        paths.into_iter().filter_map(|path| Some((path.clone(), line_count(context, &path)?))).collect();
    if lines.is_empty() {
        return;
    }
    let writers = writers(context, lines.keys());
    let mut told: BTreeSet<(UnitIx, String)> = BTreeSet::new();
    for mention in &mentions {
        let Some(count) = lines.get(&mention.path) else { continue };
        let Some(position) = context.order.position(mention.unit) else { continue };
        let before = writers.get(mention.path.as_str()).into_iter().flatten().find(|writer| {
            **writer != mention.unit && context.order.position(**writer).is_some_and(|other| other < position)
        });
        if (before.is_some() || mention.last > *count || mention.first > mention.last)
            && told.insert((mention.unit, mention.written.clone()))
        {
            diagnostics.push(drift(context, mention, *count, before.copied()));
        }
    }
}

fn drift(context: &Context<'_>, mention: &Mention, count: usize, before: Option<UnitIx>) -> Diagnostic {
    let unit = &context.plan.units[mention.unit.0 as usize];
    let Mention { path, written, .. } = mention;
    let span = mention.span.unwrap_or_else(|| place(context, unit, written));
    let found = match before {
        Some(before) => {
            let before = &context.plan.units[before.0 as usize];
            let message = format!(
                "the lines of `{written}` may have moved when `{}` reads this: `{}` changes the file before",
                unit.id.value, before.id.value
            );
            Diagnostic::new("line-drift", span, message)
                .at("counted in today's file")
                .label(before.id.span, format!("may change `{path}`"))
        }
        None if mention.first > mention.last => {
            Diagnostic::new("line-drift", span, format!("`{written}` ends before it begins"))
        }
        None => {
            let lines = if count == 1 { "one line".to_owned() } else { format!("{count} lines") };
            Diagnostic::new(
                "line-drift",
                span,
                format!("`{written}` names a line that `{path}` does not have"),
            )
            .at(format!("the file has {lines}"))
        }
    };
    found.help("name what stands there (a function, a heading, a few words of it) in place of its number")
}

/// The unit's texts; with the place of a file that one of them was read from.
fn texts(unit: &Unit) -> impl Iterator<Item = (&str, Option<Span>)> {
    let goal = unit.goal.iter().map(|goal| goal.value.as_str());
    let criteria = unit.accept.iter().map(|criterion| criterion.text.as_str());
    let stops = unit.stops.iter().map(|stop| stop.text.as_str());
    let lists =
        unit.constraints.iter().map(String::as_str).chain(unit.steps.iter().map(|step| step.value.as_str()));
    let prompts = unit
        .prompt
        .iter()
        .map(|part| (part.text.as_str(), part.file.as_ref().map(|reference| reference.span)));
    goal.chain(criteria).chain(stops).chain(lists).map(|text| (text, None)).chain(prompts)
}

/// Where the words stand in the unit; its id if they are spread over lines or escaped.
fn place(context: &Context<'_>, unit: &Unit, written: &str) -> Span {
    let text = context.map.file(unit.span.file).text.get(unit.span.start as usize..unit.span.end as usize);
    match text.and_then(|text| text.find(written)) {
        Some(at) => {
            let start = unit.span.start as usize + at;
            Span::new(unit.span.file, start, start + written.len())
        }
        None => unit.id.span,
    }
}

/// Words of a text that name lines of a file: as written, path, first and last line.
fn found_in<'t>(text: &'t str) -> impl Iterator<Item = (&'t str, &'t str, usize, usize)> {
    // Most texts have neither.
    let worth = memchr::memchr2(b':', b'#', text.as_bytes()).is_some();
    let words = |text: &'t str| text.split(|c: char| c.is_whitespace() || "`\"'()[]<>,;|".contains(c));
    worth.then(|| words(text)).into_iter().flatten().filter_map(|word| {
        let word = word.trim_end_matches(['.', ':', '!', '?']);
        let (path, first, last) = lines_of(word)?;
        // `localhost:8080` and `12:30` are no files.
        path.rsplit('/').next()?.contains('.').then_some((word, path, first, last))
    })
}

/// Path, first and last line of `path:12`, `path:12-40`, `path:12:7`, `path#L12` and `path#L12-L40`.
pub(super) fn lines_of(word: &str) -> Option<(&str, usize, usize)> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
    let range = |text: &str| match text.split_once(['-', '–']) {
        Some((first, last)) => Some((number(first)?, number(last.trim_start_matches('L'))?)),
        None => number(text).map(|line| (line, line)),
    };
    if let Some((path, rest)) = word.split_once("#L") {
        let (first, last) = range(rest)?;
        return (!path.is_empty()).then_some((path, first, last));
    }
    let (mut path, rest) = word.rsplit_once(':')?;
    let mut lines = range(rest)?;
    // A column behind the line.
    if let Some((shorter, line)) = path.rsplit_once(':')
        && let Some(line) = range(line)
    {
        (path, lines) = (shorter, line);
    }
    (!path.is_empty() && !path.contains("://")).then_some((path, lines.0, lines.1))
}

/// How many lines a file of the repository has; `None` if there is no such text file.
fn line_count(context: &Context<'_>, path: &str) -> Option<usize> {
    let path = Utf8Path::new(path);
    let inside = !path.is_absolute() && path.components().all(|part| !matches!(part.as_str(), "." | ".."));
    if !inside || context.sources.kind(path) != Some(PathKind::File) {
        return None;
    }
    let bytes = context.sources.read(path).ok()?;
    let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
    Some(breaks + usize::from(!bytes.is_empty() && bytes.last() != Some(&b'\n')))
}

/// For each of the paths, the units that may change it.
fn writers<'p>(
    context: &Context<'_>,
    paths: impl Iterator<Item = &'p String>,
) -> BTreeMap<&'p str, Vec<UnitIx>> {
    let paths: Vec<&str> = paths.map(String::as_str).collect();
    let written = context.written();
    let literals: Vec<Pattern> = paths.iter().map(|path| Pattern::of_path(path)).collect();
    let mut found: BTreeMap<&str, Vec<UnitIx>> = BTreeMap::new();
    for overlap in written.met_by(&literals.iter().collect::<Vec<_>>()) {
        let users = written.uses[overlap.second].iter().map(|user| user.unit);
        found.entry(paths[overlap.first]).or_default().extend(users);
    }
    found
}
