//! Files and headings that a plan names must exist, now or by the time they are read.
//!
//! Does not know how files are read: it asks [`crate::source::Sources`].

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::Context;
use super::ownership::scope;
use crate::diagnostic::Diagnostic;
use crate::glob::{Pattern, grouped, overlapping_between};
use crate::markdown::{SectionError, section};
use crate::plan::{Reference, UnitIx};
use crate::source::{PathKind, Span};

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
    let named = named(context);
    let made = Made::of(context, &named);
    let mut reported: BTreeSet<(Span, &str)> = BTreeSet::new();
    let mut kinds: BTreeMap<&str, Option<PathKind>> = BTreeMap::new();
    // A writer that comes too late, or without an order, is the business of the input rules.
    let settled: BTreeSet<Span> =
        named.iter().filter(|named| made.by_another_unit(named)).map(|named| named.span).collect();
    for named in &named {
        if settled.contains(&named.span) || !reported.insert((named.span, named.path.as_str())) {
            continue;
        }
        let kind = *kinds.entry(named.path.as_str()).or_insert_with(|| context.sources.kind(named.path));
        match kind {
            Some(PathKind::File) => diagnostics.extend(missing_heading(context, named)),
            Some(PathKind::Directory) if named.directory_allowed => {}
            kind => diagnostics.push(missing_file(named, kind)),
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

/// Which of the named paths units of the plan may make.
struct Made<'p> {
    units: BTreeMap<&'p str, Vec<UnitIx>>,
}

impl<'p> Made<'p> {
    fn of(context: &Context<'_>, named: &[Named<'p>]) -> Made<'p> {
        let units = context.plan.units.iter().enumerate();
        let (patterns, writers) = grouped(
            units.flat_map(|(at, unit)| scope(unit).map(move |pattern| (&pattern.value, UnitIx(at as u32)))),
        );
        let paths: Vec<&str> =
            named.iter().map(|named| named.path.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        let literals: Vec<Pattern> = paths.iter().map(|path| Pattern::of_path(path)).collect();
        let mut units: BTreeMap<&str, Vec<UnitIx>> = BTreeMap::new();
        for overlap in overlapping_between(&literals.iter().collect::<Vec<_>>(), &patterns) {
            units.entry(paths[overlap.first]).or_default().extend(&writers[overlap.second]);
        }
        Made { units }
    }

    fn by_another_unit(&self, named: &Named<'_>) -> bool {
        self.units
            .get(named.path.as_str())
            .is_some_and(|units| units.iter().any(|unit| Some(*unit) != named.unit))
    }
}

fn missing_file(named: &Named<'_>, kind: Option<PathKind>) -> Diagnostic {
    let path = named.path;
    let message = match kind {
        None => format!("`{path}` does not exist, and no other unit makes it"),
        Some(PathKind::Directory) => format!("`{path}` is a directory; `{}` takes a file", named.word),
        Some(_) => format!("`{path}` is not a file"),
    };
    Diagnostic::new("missing-file", named.span, message)
        .help("correct the path; it begins at the repository's root, or with `./` at the plan's directory")
        .help("or let a unit that comes earlier create it, and need that unit")
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
                Some(nearest) => diagnostic.help(format!("did you mean \"{nearest}\"?")),
                None => diagnostic.help("write the heading as it stands there, or its first words"),
            }
        }
        Err(SectionError::Ambiguous(lines)) => {
            let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
            new(format!("`{path}` has more than one heading \"{heading}\", on lines {}", lines.join(", ")))
                .help("write more of the heading's text, or rename one of them")
        }
    })
}
