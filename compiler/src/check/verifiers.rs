//! Verifiers among each other, and where they run.
//!
//! Does not know who uses a verifier for what.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::Context;
use super::ownership::scope;
use crate::diagnostic::Diagnostic;
use crate::glob::{Pattern, overlap};
use crate::plan::{Tier, Verifier, VerifierIx};
use crate::source::{PathKind, Spanned};

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    cycles(&context.plan.verifiers, diagnostics);
    broad_before_narrow(&context.plan.verifiers, diagnostics);
    directories(context, diagnostics);
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Follows `needs` from each verifier; a way that comes back to itself is told once, at the need that closes it.
fn cycles(verifiers: &[Verifier], diagnostics: &mut Vec<Diagnostic>) {
    let mut marks = vec![Mark::New; verifiers.len()];
    for start in 0..verifiers.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        // Each verifier on the way, with the need that is followed next.
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((at, next)) = way.last_mut() {
            let Some(need) = verifiers[*at].needs.get(*next) else {
                marks[*at] = Mark::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let needed = need.value.0 as usize;
            match marks[needed] {
                Mark::New => {
                    marks[needed] = Mark::Open;
                    way.push((needed, 0));
                }
                Mark::Open => {
                    let from = way.iter().position(|(open, _)| *open == needed).unwrap_or(0);
                    diagnostics.push(cycle(verifiers, &way[from..]));
                }
                Mark::Done => {}
            }
        }
    }
}

/// `circle`: each verifier with the number of the need behind the one that leads on.
fn cycle(verifiers: &[Verifier], circle: &[(usize, usize)]) -> Diagnostic {
    let need = |(at, next): &(usize, usize)| -> &Spanned<VerifierIx> { &verifiers[*at].needs[next - 1] };
    let mut names: Vec<&str> = circle.iter().map(|(at, _)| verifiers[*at].id.value.as_str()).collect();
    names.extend(names.first().copied());
    let message = match circle {
        [_] => format!("the verifier `{}` needs itself", names[0]),
        _ => format!("verifiers need each other: {}", names.join(" -> ")),
    };
    let (last, before) = circle.split_last().unwrap_or((&(0, 1), &[]));
    let mut found =
        Diagnostic::new("verifier-cycle", need(last).span, message).at("this need closes the circle");
    for step in before {
        found = found.label(need(step).span, format!("`{}` needs this", verifiers[step.0].id.value));
    }
    found.help("take one of these needs out: none of them could ever be the first to run")
}

fn broad_before_narrow(verifiers: &[Verifier], diagnostics: &mut Vec<Diagnostic>) {
    for verifier in verifiers.iter().filter(|verifier| verifier.tier == Tier::Narrow) {
        for need in &verifier.needs {
            let needed = &verifiers[need.value.0 as usize];
            if needed.tier == Tier::Narrow {
                continue;
            }
            let (id, other) = (&verifier.id.value, &needed.id.value);
            let message = format!("`{id}` runs for each unit, and needs `{other}`, which runs at gates only");
            diagnostics.push(
                Diagnostic::new("needs-broad-verifier", need.span, message)
                    .at("never runs for a unit")
                    .label(needed.id.span, "`tier=broad`")
                    .help(format!("give `{id}` `tier=broad` too, or take `tier=broad` from `{other}`"))
                    .help("or take the need out"),
            );
        }
    }
}

/// A verifier that is used here runs in a directory that is there, or that a unit of the plan makes.
fn directories(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let plan = context.plan;
    let of_units = plan.units.iter().flat_map(|unit| &unit.verify);
    let used: BTreeSet<VerifierIx> = of_units
        .chain(plan.gates.iter().flat_map(|gate| &gate.verify))
        .map(|verification| verification.verifier)
        .collect();
    for verifier in used.into_iter().map(|verifier| &plan.verifiers[verifier.0 as usize]) {
        let Some(cwd) = &verifier.cwd else { continue };
        let id = &verifier.id.value;
        let kind = context.sources.kind(&cwd.value);
        if kind == Some(PathKind::Directory) || (kind.is_none() && made(context, &cwd.value)) {
            continue;
        }
        let message = match kind {
            None => format!("`{}`, where `{id}` is to run, does not exist, and no unit makes it", cwd.value),
            Some(_) => format!("`{}`, where `{id}` is to run, is not a directory", cwd.value),
        };
        diagnostics.push(
            Diagnostic::new("missing-file", cwd.span, message)
                .at("no directory")
                .help("`cwd=` counts from the repository's root, or with `./` from the file it stands in"),
        );
    }
}

fn made(context: &Context<'_>, directory: &Utf8Path) -> bool {
    let directory = Pattern::of_path(directory.as_str());
    let mut scopes = context.plan.units.iter().flat_map(scope);
    scopes.any(|pattern| overlap(&pattern.value, &directory).is_some())
}
