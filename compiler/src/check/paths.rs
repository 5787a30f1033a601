//! Paths that units write, read and protect, held against the files of the repository: written ones that git ignores
//! or that nobody has, patterns that match nothing.
//!
//! Does not know how files are listed: it asks [`crate::source::Sources`], and the whole list only when a pattern has
//! to be looked up. Where nobody knows the files, all of this is silent.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::near::{Near, prefix};
use super::ownership::Use;
use super::{Context, edit};
use crate::diagnostic::{Applicability, Diagnostic, Severity};
use crate::glob::{Pattern, overlapping_between};
use crate::plan::{Role, UnitIx};
use crate::source::{Ignored, PathKind, ReadError, Span, Spanned};

/// More literal paths than this are looked up in the list of all files; fewer are asked for one by one.
const FEW: usize = 1000;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let near = Near::new(context.sources);
    let scopes = Scopes::of(context);
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let told: BTreeSet<Span> = errors.map(|found| found.primary.span).collect();
    let mut found = Vec::new();
    look(context, &scopes, &near, &mut found);
    // What may not be written at all need not be there.
    diagnostics.extend(found.into_iter().filter(|found: &Diagnostic| !told.contains(&found.primary.span)));
}

fn look(context: &Context<'_>, scopes: &Scopes<'_>, near: &Near<'_>, diagnostics: &mut Vec<Diagnostic>) {
    ignored_paths(context, scopes, diagnostics);
    written_paths(context, scopes, near, diagnostics);
    empty_patterns(context, scopes, near, diagnostics);
}

/// What units may write: each distinct pattern with its users, in plan order.
struct Scopes<'p> {
    patterns: Vec<&'p Pattern>,
    uses: Vec<Vec<Use>>,
}

impl<'p> Scopes<'p> {
    fn of(context: &Context<'p>) -> Scopes<'p> {
        let mut uses: BTreeMap<&Pattern, Vec<Use>> = BTreeMap::new();
        for (at, unit) in context.plan.units.iter().enumerate() {
            let ix = UnitIx(at as u32);
            let position = context.order.position(ix).unwrap_or(u32::MAX);
            let kinds = [(&unit.writes, false), (&unit.creates, true)];
            for (pattern, creates) in
                kinds.into_iter().flat_map(|(list, creates)| list.iter().map(move |one| (one, creates)))
            {
                let found = Use { unit: ix, span: pattern.span, creates, position };
                uses.entry(&pattern.value).or_default().push(found);
            }
        }
        let (patterns, uses) = uses.into_iter().unzip();
        Scopes { patterns, uses }
    }

    /// For each of `wanted`: the units that may write what it names.
    fn writers(&self, wanted: &[&Pattern]) -> Vec<Vec<Use>> {
        let mut writers: Vec<Vec<Use>> = vec![Vec::new(); wanted.len()];
        for overlap in overlapping_between(wanted, &self.patterns) {
            writers[overlap.first].extend(&self.uses[overlap.second]);
        }
        writers
    }
}

/// What git ignores is not captured, so that the unit could never bring it about.
fn ignored_paths(context: &Context<'_>, scopes: &Scopes<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for (pattern, uses) in scopes.patterns.iter().zip(&scopes.uses) {
        let (path, named) = match pattern.literal() {
            Some(path) => (path, true),
            None => (prefix(pattern.as_str()), false),
        };
        if path.is_empty() {
            continue;
        }
        let path = Utf8Path::new(path);
        // A name with an extension is a file, as everywhere in ownership.
        let is_file =
            named && (path.extension().is_some() || context.sources.kind(path) == Some(PathKind::File));
        let kind = if is_file { PathKind::File } else { PathKind::Directory };
        let found = context.sources.ignored(path, kind).or_else(|| {
            // It may as well be a file.
            (named && !is_file).then(|| context.sources.ignored(path, PathKind::File)).flatten()
        });
        let Some(ignored) = found else { continue };
        for user in uses {
            diagnostics.push(ignored_path(context, pattern, named, &ignored, user));
        }
    }
}

fn ignored_path(
    context: &Context<'_>,
    pattern: &Pattern,
    named: bool,
    ignored: &Ignored,
    user: &Use,
) -> Diagnostic {
    let unit = &context.plan.units[user.unit.0 as usize].id.value;
    let Ignored { path, file, line, pattern: rule } = ignored;
    let message = format!("git ignores `{pattern}`, which `{unit}` may write");
    let mut found = Diagnostic::new("ignored-path", user.span, message)
        .at(format!("`{rule}` in {file}, line {line}, ignores `{path}`"));
    if named {
        // The executor takes a file that is named one by one; what is below a directory it leaves behind.
        found.severity = Severity::Warning;
        found = found
            .help("a file of exactly this name is committed all the same, and what lies below a directory of this name is not")
    } else {
        found = found.help("whatever the unit writes there is left behind: its result would lack it");
    }
    found
        .help(format!("if it belongs into the repository, take `{rule}` out of {file}, or add a line `!{path}` behind it"))
        .help("if it is made by a build, leave it out of the scope")
}

/// Literal `writes` that neither the repository nor an earlier unit has, and paths through links that lead out.
fn written_paths(
    context: &Context<'_>,
    scopes: &Scopes<'_>,
    near: &Near<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut literals: BTreeMap<&str, Vec<(UnitIx, Span)>> = BTreeMap::new();
    for (at, unit) in context.plan.units.iter().enumerate() {
        let made = |path: &str| unit.creates.iter().any(|pattern| pattern.value.matches(path));
        for pattern in &unit.writes {
            if let Some(path) = pattern.value.literal().filter(|path| !made(path)) {
                literals.entry(path).or_default().push((UnitIx(at as u32), pattern.span));
            }
        }
    }
    let list = (literals.len() > FEW).then(|| context.sources.files()).flatten();
    let missing = |path: &str| match list {
        Some(_) => near.below(path).is_empty() && context.sources.kind(path.into()).is_none(),
        None => context.sources.kind(path.into()).is_none(),
    };
    escaping_paths(context, &literals, diagnostics);
    let absent: Vec<(&str, Vec<(UnitIx, Span)>)> =
        literals.into_iter().filter(|(path, _)| missing(path)).collect();
    // Without a list, nobody knows whether these are all files there are.
    if absent.is_empty() || context.sources.files().is_none() {
        return;
    }
    let patterns: Vec<Pattern> = absent.iter().map(|(path, _)| Pattern::of_path(path)).collect();
    let writers = scopes.writers(&patterns.iter().collect::<Vec<_>>());
    for ((path, uses), writers) in absent.into_iter().zip(writers) {
        for (ix, span) in uses {
            let Some(position) = context.order.position(ix) else { continue };
            if writers.iter().any(|writer| writer.unit != ix && writer.position < position) {
                continue;
            }
            let unit = &context.plan.units[ix.0 as usize].id.value;
            let message =
                format!("`{unit}` may change `{path}`, which does not exist and which no earlier unit makes");
            let mut found = Diagnostic::new("unknown-path", span, message).at("no such file");
            if let Some(near) = near.file(Utf8Path::new(path)) {
                found = found.help(format!("did you mean `{near}`?"));
                if let Some(edit) = edit::reword(span, path, near.as_str(), context.map) {
                    found = found.fix(format!("replace with `{near}`"), Applicability::Unsafe, vec![edit]);
                }
            }
            diagnostics
                .push(found.help("if the unit makes it, say `creates`, so that it must be there afterwards"));
        }
    }
}

fn escaping_paths(
    context: &Context<'_>,
    literals: &BTreeMap<&str, Vec<(UnitIx, Span)>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (path, uses) in literals {
        let path = Utf8Path::new(path);
        if context.sources.kind(path) != Some(PathKind::Other)
            || context.sources.read(path) != Err(ReadError::Escapes)
        {
            continue;
        }
        diagnostics.extend(uses.iter().map(|(_, span)| escape(path, *span)));
    }
}

/// A path on which a symbolic link leads out of the repository.
pub(super) fn escape(path: &Utf8Path, span: Span) -> Diagnostic {
    let message = format!("`{path}` leads out of the repository, through a symbolic link");
    Diagnostic::new("path-escape", span, message)
        .at("what stands there is not part of the repository")
        .help("name a file of the repository; if the content is needed, put a copy of it there")
}

/// Patterns of `inputs` and `protect` that name no file.
fn empty_patterns(
    context: &Context<'_>,
    scopes: &Scopes<'_>,
    near: &Near<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut asked: BTreeMap<&Pattern, Vec<Span>> = BTreeMap::new();
    let wild = |pattern: &&Spanned<Pattern>| pattern.value.literal().is_none() && !pattern.value.negated();
    for unit in context.plan.units.iter().filter(|unit| unit.role == Role::Work) {
        for pattern in unit.inputs.iter().filter(wild) {
            asked.entry(&pattern.value).or_default().push(pattern.span);
        }
    }
    let verifiers = verifier_inputs(context);
    let protect = &context.plan.protect;
    if asked.is_empty() && verifiers.is_empty() && protect.is_empty() {
        return;
    }
    let Some(files) = context.sources.files() else { return };
    let matches = |pattern: &Pattern| {
        let start = pattern.literal().unwrap_or_else(|| prefix(pattern.as_str()));
        near.below(start).iter().any(|file| pattern.matches(file.as_str()))
    };
    // An empty repository is a beginning, not a mistake.
    if files.is_empty() {
        return;
    }
    let empty: Vec<(&Pattern, Vec<Span>)> =
        asked.into_iter().filter(|(pattern, _)| !matches(pattern)).collect();
    let writers = scopes.writers(&empty.iter().map(|(pattern, _)| *pattern).collect::<Vec<_>>());
    let told = |word: &str, pattern: &Pattern, span: Span| {
        let mut found =
            Diagnostic::new("empty-glob", span, format!("`{pattern}` in `{word}` matches no file"));
        let suggestion = match pattern.literal() {
            Some(path) => near.file(Utf8Path::new(path)).map(ToString::to_string),
            None => near.pattern(pattern),
        };
        let suggested = suggestion.is_some();
        if let Some(suggestion) = suggestion {
            found = found.help(format!("did you mean `{suggestion}`?"));
            if let Some(edit) = edit::reword(span, pattern.as_str(), &suggestion, context.map) {
                found = found.fix(format!("replace with `{suggestion}`"), Applicability::Unsafe, vec![edit]);
            }
        }
        (found, suggested)
    };
    for ((pattern, uses), writers) in empty.into_iter().zip(writers) {
        // What a unit makes is there in time, or the rules about inputs say that it is not.
        if !writers.is_empty() {
            continue;
        }
        diagnostics.extend(uses.into_iter().map(|span| {
            told("inputs", pattern, span).0.at("names nothing, now or later in this plan").help(
                "a pattern that matches nothing never makes the unit out of date: correct it, or leave it out",
            )
        }));
    }
    for (patterns, id) in verifiers {
        let names_something = |pattern: &&Spanned<Pattern>| {
            matches(&pattern.value) || !scopes.writers(&[&pattern.value]).iter().all(Vec::is_empty)
        };
        if let Some(first) = patterns.first()
            && !patterns.iter().any(names_something)
        {
            diagnostics.push(
                told("inputs", &first.value, first.span)
                    .0
                    .at(format!("nothing in the `inputs` of `{id}` names a file"))
                    .help("correct the patterns; without `inputs` it is the whole tree"),
            );
        }
    }
    // A path that is not there may well be forbidden; only a slip is worth a word.
    for pattern in protect.iter().filter(|pattern| !matches(&pattern.value)) {
        if context
            .sources
            .kind(pattern.value.literal().unwrap_or(prefix(pattern.value.as_str())).into())
            .is_some()
            && pattern.value.literal().is_some()
        {
            continue;
        }
        let (found, suggested) = told("protect", &pattern.value, pattern.span);
        if suggested {
            diagnostics.push(found.at("protects nothing that is there"));
        }
    }
}

/// The positive `inputs` of verifiers that the plan itself, or its project, defines and uses.
fn verifier_inputs<'p>(context: &Context<'p>) -> Vec<(Vec<&'p Spanned<Pattern>>, &'p str)> {
    let verifiers = super::commands::used(context.plan);
    let own = verifiers
        .into_iter()
        .map(|ix| &context.plan.verifiers[ix.0 as usize])
        .filter(|verifier| !super::commands::is_library(context.map, verifier.id.span));
    own.map(|verifier| {
        let inputs = verifier.inputs.iter().filter(|pattern| !pattern.value.negated()).collect();
        (inputs, verifier.id.value.as_str())
    })
    .filter(|(inputs, _): &(Vec<_>, _)| !inputs.is_empty())
    .collect()
}
