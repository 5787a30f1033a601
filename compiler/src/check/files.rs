//! Files and headings that a plan names must exist, now or by the time they are read.
//!
//! Does not know how files are read: it asks [`crate::source::Sources`].

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::near::Near;
use super::ownership::scope;
use super::{Context, edit};
use crate::diagnostic::{Applicability, Diagnostic};
use crate::glob::Pattern;
use crate::markdown::{SectionError, heading_at, section};
use crate::plan::{Reference, UnitIx, headings};
use crate::source::{PathKind, ReadError, Span};

/// A path that stands somewhere in the plan.
struct Named<'p> {
    path: &'p Utf8Path,
    heading: Option<&'p str>,
    span: Span,
    word: &'static str,
    /// Who reads it; `None` for a requirement.
    unit: Option<UnitIx>,
    /// `inputs` may name a directory; the others are read as text.
    directory_allowed: bool,
}

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut named = named(context);
    settle(context, &mut named);
    let near = Near::new(context.sources);
    let mut reported: BTreeSet<(Span, &str)> = BTreeSet::new();
    let mut kinds: BTreeMap<&str, Option<PathKind>> = BTreeMap::new();
    for named in &named {
        if !reported.insert((named.span, named.path.as_str())) {
            continue;
        }
        let kind = *kinds.entry(named.path.as_str()).or_insert_with(|| context.sources.kind(named.path));
        match kind {
            Some(PathKind::File) => diagnostics.extend(missing_heading(context, named)),
            Some(PathKind::Directory) if named.directory_allowed => {}
            kind => diagnostics.push(missing_file(context, &near, named, kind)),
        }
    }
}

fn named<'p>(context: &Context<'p>) -> Vec<Named<'p>> {
    let mut named = Vec::new();
    let file = |reference: &'p Reference, word, unit| Named {
        path: &reference.path,
        heading: reference.heading.as_deref(),
        span: reference.span,
        word,
        unit,
        directory_allowed: false,
    };
    for (at, unit) in context.plan.units.iter().enumerate() {
        let ix = Some(UnitIx(at as u32));
        for input in unit.inputs.iter().filter(|input| !input.value.negated()) {
            let own = |path: &str| scope(unit).any(|pattern| pattern.value.matches(path));
            if let Some(path) = input.value.literal().filter(|path| !own(path)) {
                let path = Utf8Path::new(path);
                let heading = None;
                named.push(Named {
                    path,
                    heading,
                    span: input.span,
                    word: "inputs",
                    unit: ix,
                    directory_allowed: true,
                });
            }
        }
        named.extend(unit.refs.iter().map(|reference| file(reference, "ref", ix)));
        named.extend(unit.rules.iter().map(|reference| file(reference, "rules", ix)));
    }
    let references =
        context.plan.requirements.iter().filter_map(|requirement| requirement.reference.as_ref());
    named.extend(references.map(|reference| file(reference, "ref", None)));
    named
}

/// Leaves out what another unit of the plan may make, at each place that says so: that a writer comes too late, or
/// without an order, is the business of the input rules.
fn settle(context: &Context<'_>, named: &mut Vec<Named<'_>>) {
    let written = context.written();
    let mut order: Vec<u32> = (0..named.len() as u32).collect();
    order.sort_by_key(|at| named[*at as usize].path.as_str());
    // Each distinct path once, with where its places begin in that order.
    let mut paths: Vec<(Pattern, usize)> = Vec::new();
    for (at, one) in order.iter().enumerate() {
        let path = named[*one as usize].path;
        if at == 0 || named[order[at - 1] as usize].path.as_str() != path.as_str() {
            paths.push((Pattern::of_path(path.as_str()), at));
        }
    }
    let asked: Vec<&Pattern> = paths.iter().map(|(pattern, _)| pattern).collect();
    let mut settled: Vec<Span> = Vec::new();
    for overlap in written.met_by(&asked) {
        let to = paths.get(overlap.first + 1).map_or(order.len(), |(_, next)| *next);
        let uses = &written.uses[overlap.second];
        for one in order[paths[overlap.first].1..to].iter().map(|at| &named[*at as usize]) {
            // Of two users at most one is the reader itself, however often it says so.
            if uses.iter().any(|user| Some(user.unit) != one.unit) {
                settled.push(one.span);
            }
        }
    }
    settled.sort_unstable();
    named.retain(|named| settled.binary_search(&named.span).is_err());
}

fn missing_file(
    context: &Context<'_>,
    near: &Near<'_>,
    named: &Named<'_>,
    kind: Option<PathKind>,
) -> Diagnostic {
    let path = named.path;
    if kind == Some(PathKind::Other) && context.sources.read(path) == Err(ReadError::Escapes) {
        return super::paths::escape(path, named.span);
    }
    let message = match kind {
        None => format!("`{path}` does not exist, and no other unit makes it"),
        Some(PathKind::Directory) => format!("`{path}` is a directory; `{}` takes a file", named.word),
        Some(_) => format!("`{path}` is not a file"),
    };
    let found = Diagnostic::new("missing-file", named.span, message);
    if let Some(found) = by_lines(context, named, &found) {
        return found;
    }
    let found = match near.file(path).filter(|_| kind.is_none()) {
        Some(near) => {
            let found = found.help(format!("did you mean `{near}`?"));
            match edit::reword(named.span, path.as_str(), near.as_str(), context.map) {
                Some(edit) => found.fix(format!("replace with `{near}`"), Applicability::Unsafe, vec![edit]),
                None => found,
            }
        }
        None => found,
    };
    found
        .help("correct the path; it begins at the repository's root, or with `./` at the plan's directory")
        .help("or let a unit that comes earlier create it, and need that unit")
}

/// `file:12` and `file:12-40`: lines move with every edit above them, so a section is named by its heading.
fn by_lines(context: &Context<'_>, named: &Named<'_>, found: &Diagnostic) -> Option<Diagnostic> {
    let (path, line, _) = super::mentions::lines_of(named.path.as_str())?;
    let path = Utf8Path::new(path);
    if context.sources.kind(path) != Some(PathKind::File) {
        return None;
    }
    let found = Diagnostic {
        message: format!("`{}` names lines, and a reference names a section", named.path),
        ..found.clone()
    }
    .at(format!("`{path}` is there; lines of it move with every edit above them"));
    let text = String::from_utf8(context.sources.read(path).ok()?).ok()?;
    let Some(heading) = heading_at(&text, line).filter(|heading| section(&text, heading).is_ok()) else {
        return Some(
            found.help(format!("name the whole file, `{path}`, or a heading in it, `{path}#Heading`")),
        );
    };
    let found = found.help(format!("line {line} stands under the heading \"{heading}\": name that"));
    let new = format!("{path}#{heading}");
    Some(match edit::reword(named.span, named.path.as_str(), &new, context.map) {
        Some(edit) => found.fix(format!("replace with `{new}`"), Applicability::Unsafe, vec![edit]),
        None => found,
    })
}

fn missing_heading(context: &Context<'_>, named: &Named<'_>) -> Option<Diagnostic> {
    let heading = named.heading?;
    let path = named.path;
    let new = |message: String| Diagnostic::new("missing-heading", named.span, message);
    let Ok(bytes) = context.sources.read(path) else {
        return Some(new(format!("`{path}` cannot be read")).help("it must be a readable text file"));
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Some(new(format!("`{path}` is not UTF-8 text")).help("name a Markdown file"));
    };
    Some(match section(&text, heading) {
        Ok(_) => return None,
        Err(SectionError::Missing { nearest }) => {
            let diagnostic = new(format!("`{path}` has no heading \"{heading}\""));
            match nearest {
                Some(nearest) => {
                    let diagnostic = diagnostic.help(format!("did you mean \"{nearest}\"?"));
                    match edit::reword(named.span, heading, &nearest, context.map) {
                        Some(edit) => diagnostic.fix(
                            format!("replace with `{nearest}`"),
                            Applicability::Unsafe,
                            vec![edit],
                        ),
                        None => diagnostic,
                    }
                }
                None => diagnostic.help("write the heading as it stands there, or its first words"),
            }
        }
        Err(SectionError::Ambiguous(lines)) => headings::ambiguous(path, heading, &text, &lines, named.span),
    })
}
