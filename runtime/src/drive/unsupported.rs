//! What the compiler accepts and a run does not act on yet: it is refused before anything is paid, never ignored.
//!
//! Does not know how a run goes. A row of the table goes away when the executor learns what it names.

use loop_compiler::diagnostic::Diagnostic;
use loop_compiler::plan::Plan;
use loop_compiler::source::Span;

/// One thing that a plan can say and that a run does not do.
struct Row {
    /// As it is written in a plan.
    what: &'static str,
    /// An imperative.
    meanwhile: &'static str,
    /// Where the plan says it.
    places: fn(&Plan) -> Vec<Span>,
}

const ROWS: &[Row] = &[Row {
    what: "`repair`",
    meanwhile: "leave it out; a red gate stops the run, and `loop exec --redo UNIT` runs the unit at fault again",
    places: |plan| plan.gates.iter().filter_map(|gate| Some(gate.repair?.span)).collect(),
}];

/// Everything in the plan that a run would not act on, by place; each place once.
pub fn unsupported(plan: &Plan) -> Vec<Diagnostic> {
    let mut found: Vec<(Span, &Row)> = Vec::new();
    for row in ROWS {
        found.extend((row.places)(plan).into_iter().map(|place| (place, row)));
    }
    // What stands in `defaults` holds for many units and is said once.
    found.sort_by_key(|(place, row)| (*place, row.what));
    found.dedup_by_key(|(place, row)| (*place, row.what));
    found.into_iter().map(|(place, row)| refused(place, row)).collect()
}

fn refused(place: Span, row: &Row) -> Diagnostic {
    let message = format!("{} is sound, but a run does not act on it yet", row.what);
    Diagnostic::new("not-yet", place, message).at("not yet").help(format!("meanwhile: {}", row.meanwhile))
}
