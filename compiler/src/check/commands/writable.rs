//! Units that may write what decides how they are checked: the script that a verifier runs, the build file that says
//! what a target means, the settings of its tool.
//!
//! Does not know whether a unit means to. Where its job is that file, a `lint` beside the unit says so.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Looks, allow, directory, inside, line, placed};
use crate::check::Context;
use crate::command::{Line, config_files, scripts};
use crate::diagnostic::Diagnostic;
use crate::glob::{Pattern, overlapping_between};
use crate::plan::{Role, VerifierIx};

/// Files named in one finding.
const MOST: usize = 4;

/// Why a file decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// It is what runs.
    Runs,
    /// A tool takes its settings from it.
    Configures,
}

pub(super) fn check(context: &Context<'_>, looks: &Looks<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let deciding = deciding(context, looks);
    let paths: Vec<&Utf8Path> = deciding.keys().map(Utf8PathBuf::as_path).collect();
    let literals: Vec<Pattern> = paths.iter().map(|path| Pattern::of_path(path.as_str())).collect();
    let patterns: Vec<&Pattern> = looks.scopes.keys().copied().collect();
    let protected = |path: &Utf8Path| {
        context.plan.protect.iter().any(|pattern| pattern.value.matches(path.as_str()))
            || context.plan.plan_files.iter().any(|file| file == path)
    };
    // By pattern: the deciding files that it covers.
    let mut covered: BTreeMap<&Pattern, BTreeSet<&Utf8Path>> = BTreeMap::new();
    for overlap in overlapping_between(&literals.iter().collect::<Vec<_>>(), &patterns) {
        let (path, pattern) = (paths[overlap.first], patterns[overlap.second]);
        let there = looks.is_file(path) || pattern.literal() == Some(path.as_str());
        if there && pattern.matches(path.as_str()) && !protected(path) {
            covered.entry(pattern).or_default().insert(path);
        }
    }
    for (pattern, files) in &covered {
        for ix in looks.scopes.get(*pattern).into_iter().flatten() {
            let unit = &context.plan.units[ix.0 as usize];
            if unit.role != Role::Work {
                continue;
            }
            let verifiers: BTreeSet<VerifierIx> = unit.verify.iter().map(|verify| verify.verifier).collect();
            for why in [Why::Runs, Why::Configures] {
                let decides = |path: &&Utf8Path| -> Option<(Utf8PathBuf, VerifierIx)> {
                    let by = deciding
                        .get(*path)?
                        .iter()
                        .find(|(reason, by)| *reason == why && verifiers.contains(by))?;
                    Some((path.to_path_buf(), by.1))
                };
                let named: Vec<(Utf8PathBuf, VerifierIx)> = files.iter().filter_map(decides).collect();
                let span = super::scope(unit).find(|scope| scope.value == **pattern).map(|scope| scope.span);
                if let (Some((first, by)), Some(span)) = (named.first(), span) {
                    diagnostics.push(found(context, why, &unit.id.value, span, first, *by, &named));
                }
            }
        }
    }
}

fn found(
    context: &Context<'_>,
    why: Why,
    unit: &str,
    span: crate::source::Span,
    first: &Utf8Path,
    by: VerifierIx,
    named: &[(Utf8PathBuf, VerifierIx)],
) -> Diagnostic {
    let verifier = &context.plan.verifiers[by.0 as usize];
    let id = &verifier.id.value;
    let (rule, message) = match why {
        Why::Runs => (
            "verifier-writable",
            format!("`{unit}` may change `{first}`, which decides what `{id}` checks of it"),
        ),
        Why::Configures => (
            "verifier-config-writable",
            format!("`{unit}` may change `{first}`, from which `{id}` takes its settings"),
        ),
    };
    let mut diagnostic =
        Diagnostic::new(rule, span, message).at("its agent could make the check pass by changing the check");
    if let Some(span) = verifier.command_span {
        diagnostic = diagnostic.label(span, format!("what `{id}` runs"));
    }
    let others: Vec<String> = named[1..].iter().take(MOST).map(|(path, _)| format!("`{path}`")).collect();
    if !others.is_empty() {
        let more = if named.len() > MOST + 1 { " and others" } else { "" };
        diagnostic = diagnostic.help(format!("the same holds for {}{more}", others.join(", ")));
    }
    diagnostic
        .help(format!("leave it out of the scope, or `protect \"{first}\"` in the feature"))
        .help("if changing it is the work, let something else check the unit")
        .help(allow(rule))
}

/// Every file that decides about a verifier which some unit uses.
fn deciding(context: &Context<'_>, looks: &Looks<'_>) -> BTreeMap<Utf8PathBuf, BTreeSet<(Why, VerifierIx)>> {
    let mut deciding: BTreeMap<Utf8PathBuf, BTreeSet<(Why, VerifierIx)>> = BTreeMap::new();
    for ix in super::used(context.plan) {
        let verifier = &context.plan.verifiers[ix.0 as usize];
        if verifier.command_span.is_none() {
            continue;
        }
        let start = directory(verifier);
        let own = line(&verifier.check);
        let mut add = |path: Utf8PathBuf, why: Why| {
            deciding.entry(path).or_default().insert((why, ix));
        };
        files_of(looks, &own, start, &mut add);
        for expanded in looks.expanded(&own, start) {
            let Some(file) = &expanded.file else { continue };
            add(file.clone(), Why::Runs);
            for (_, recipe) in expanded.recipes() {
                for line in &recipe.lines {
                    files_of(looks, line, file.parent().unwrap_or(start), &mut add);
                }
            }
        }
    }
    deciding
}

/// Scripts that a line starts, and settings of its tools.
fn files_of(looks: &Looks<'_>, line: &Line, start: &Utf8Path, add: &mut dyn FnMut(Utf8PathBuf, Why)) {
    for (call, here) in placed(line, start) {
        let Some(here) = here else { continue };
        if let Some(path) = scripts(call).and_then(|script| inside(&here, script)) {
            add(path, Why::Runs);
        }
        for config in config_files(call) {
            for name in alternatives(config.file) {
                // Tools look in the directory they run in, and most of them above it.
                let places = here.ancestors().map(|above| above.join(&name)).collect::<Vec<_>>();
                let place = places.iter().find(|place| looks.is_file(place)).unwrap_or(&places[0]).clone();
                let holds = match config.section {
                    None => true,
                    Some(section) => {
                        looks.is_file(&place) && looks.text(&place).is_some_and(|text| text.contains(section))
                    }
                };
                if holds {
                    add(place, Why::Configures);
                }
            }
        }
    }
}

/// The names that `a.{b,c}` stands for.
fn alternatives(name: &str) -> Vec<String> {
    match name.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (choices, after))) => {
            choices.split(',').map(|choice| format!("{before}{choice}{after}")).collect()
        }
        None => vec![name.to_owned()],
    }
}
