//! A whole test suite as the check of a unit that writes one file.
//!
//! Does not know how long the suite takes. It is a note: in a small project the suite is the right check.

use std::collections::BTreeMap;

use super::{Looks, allow, directory, shown};
use crate::check::Context;
use crate::command::{Call, Line, Reach, reach};
use crate::diagnostic::Diagnostic;
use crate::plan::{Check, Command, Role, Tier, Unit, Verification, VerifierIx};

/// A verifier, and the values that a unit gives to its parameters.
type Key<'p> = (VerifierIx, &'p [(String, Vec<String>)]);

/// For fewer units it runs about as often as its gate does.
const FEWEST: usize = 3;

pub(super) fn check(context: &Context<'_>, looks: &Looks<'_>, diagnostics: &mut Vec<Diagnostic>) {
    // By verifier: the units, in plan order, and the suite's command.
    let mut broad: BTreeMap<VerifierIx, (String, Vec<&Unit>)> = BTreeMap::new();
    let mut known: BTreeMap<Key<'_>, Option<String>> = BTreeMap::new();
    for unit in context.plan.units.iter().filter(|unit| unit.role == Role::Work && writes_one_file(unit)) {
        for verification in &unit.verify {
            let key = (verification.verifier, verification.arguments.as_slice());
            let suite = known.entry(key).or_insert_with(|| suite(context, looks, verification));
            if let Some(suite) = suite {
                let (_, units) =
                    broad.entry(verification.verifier).or_insert_with(|| (suite.clone(), Vec::new()));
                units.push(unit);
            }
        }
    }
    for (ix, (suite, units)) in broad {
        let verifier = &context.plan.verifiers[ix.0 as usize];
        let (Some(span), Some(first)) = (verifier.command_span, units.first()) else { continue };
        let id = &verifier.id.value;
        if units.len() < FEWEST {
            continue;
        }
        let more = units.len() - 1;
        let whom = format!("`{}` and {more} more units that write one file each", first.id.value);
        let narrow = match verifier.params.iter().find(|param| param.default.is_some()) {
            Some(param) => format!("narrow it in the unit: `verify {id} {}=...`", param.name),
            None => format!(
                "give it a parameter (`param filter type=text default=\"\"`, `${{filter}}` in the command), and set it in the unit: `verify {id} filter=...`"
            ),
        };
        diagnostics.push(
            Diagnostic::new(
                "broad-verifier",
                span,
                format!("`{id}` runs the whole suite (`{suite}`) for {whom}"),
            )
            .at("runs again at each attempt")
            .help(narrow)
            .help(format!("or let it run at gates alone: `verifier {id} tier=broad`"))
            .help(allow("broad-verifier")),
        );
    }
}

/// Its whole scope is one literal path with an extension.
fn writes_one_file(unit: &Unit) -> bool {
    let mut paths = super::scope(unit).map(|pattern| pattern.value.literal());
    let Some(Some(first)) = paths.next() else { return false };
    let name = first.rsplit('/').next().unwrap_or(first);
    name.trim_start_matches('.').contains('.') && paths.all(|path| path == Some(first))
}

/// The command of the suite that this use of a verifier comes down to.
fn suite(context: &Context<'_>, looks: &Looks<'_>, verification: &Verification) -> Option<String> {
    let verifier = &context.plan.verifiers[verification.verifier.0 as usize];
    if verifier.tier != Tier::Narrow || verification.expect_fail {
        return None;
    }
    let Check { command, .. } = verifier.expand(&verification.arguments);
    let line = match &command {
        Command::Run(words) => Line::of_words(words),
        Command::Shell(text) => Line::of_shell(text),
    };
    let whole = |line: &Line| -> Option<String> {
        let suites = |call: &&Call| reach(call) == Some(Reach::Suite);
        line.calls.iter().find(suites).map(shown)
    };
    whole(&line).or_else(|| {
        // Words behind the name may narrow it.
        line.only().filter(|call| call.words.len() <= 3)?;
        let expanded = looks.expanded(&line, directory(verifier));
        expanded
            .iter()
            .flat_map(super::Expanded::recipes)
            .flat_map(|(_, recipe)| &recipe.lines)
            .find_map(whole)
    })
}
