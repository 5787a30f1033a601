//! Whether a plan is sound: order, ownership, verification and what it names.
//!
//! Does not know how the plan was written, nor how it runs.

mod backends;
mod commands;
mod coverage;
mod edit;
mod expiry;
mod files;
mod inputs;
mod limits;
mod lint;
mod mentions;
mod near;
pub(crate) mod order;
mod ownership;
mod paths;
mod prompt;
mod secrets;
mod shape;
mod stops;
mod templates;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod unused;
mod valves;
mod verification;
mod verifiers;
mod wording;

use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::{GateIx, Plan, Unit, UnitIx};
use crate::source::{SourceMap, Sources, Span};

pub use order::gate_predecessors;

/// A feature's plan in which no rule found an error. Only [`check`] makes one.
#[derive(Clone, Debug)]
pub struct CheckedPlan {
    plan: Plan,
    order: Vec<UnitIx>,
    gates: Vec<Vec<GateIx>>,
}

impl std::ops::Deref for CheckedPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.plan
    }
}

impl CheckedPlan {
    /// Units and manuals in the order in which they land: again and again the ready one that stands first in the plan.
    pub fn canonical_order(&self) -> &[UnitIx] {
        &self.order
    }

    /// The gates that a gate directly comes after.
    pub fn gate_predecessors(&self, gate: GateIx) -> &[GateIx] {
        &self.gates[gate.0 as usize]
    }
}

/// What the rules look at.
struct Context<'c> {
    plan: &'c Plan,
    sources: &'c dyn Sources,
    map: &'c SourceMap,
    order: &'c order::Order,
    earlier: &'c [Diagnostic],
}

impl Context<'_> {
    /// Did an earlier phase find this inside `span`? Then what follows from it must not be reported again.
    fn found_earlier(&self, names: &[&str], span: Span) -> bool {
        self.earlier
            .iter()
            .any(|diagnostic| names.contains(&diagnostic.rule.name) && within(diagnostic.primary.span, span))
    }
}

/// What came of holding a plan against the rules.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) checked: Option<CheckedPlan>,
    /// The new ones, `lint` nodes applied, sorted by place.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Findings of rules that must be asked for, and were not.
    pub(crate) unasked: Vec<Diagnostic>,
}

/// Holds the plan against every rule that needs the whole of it.
///
/// `earlier` are the findings of the phases before; an error among them, or one found here, gives `None`, and so
/// does a plan without a feature, of which there is nothing to build. The returned diagnostics are the new ones,
/// `lint` nodes applied, sorted by place.
pub fn check(
    plan: Plan,
    sources: &dyn Sources,
    map: &SourceMap,
    earlier: &[Diagnostic],
) -> (Option<CheckedPlan>, Vec<Diagnostic>) {
    let judged = judge(plan, sources, map, earlier, &mut unused::Tally::default());
    (judged.checked, judged.diagnostics)
}

/// The same for one of several plans: what it uses goes into `tally`.
pub(crate) fn judge(
    plan: Plan,
    sources: &dyn Sources,
    map: &SourceMap,
    earlier: &[Diagnostic],
    tally: &mut unused::Tally,
) -> Judged {
    let (order, mut diagnostics) = order::Order::new(&plan);
    let context = Context { plan: &plan, sources, map, order: &order, earlier };
    ownership::check(&context, &mut diagnostics);
    valves::check(&context, &mut diagnostics);
    forget_what_an_unknown_name_explains(&context, &mut diagnostics);
    verification::check(&context, &mut diagnostics);
    verifiers::check(&context, &mut diagnostics);
    backends::check(&context, &mut diagnostics);
    files::check(&context, &mut diagnostics);
    expiry::check(&context, &mut diagnostics);
    limits::check(&context, &mut diagnostics);
    coverage::check(&context, &mut diagnostics);
    paths::check(&context, &mut diagnostics);
    mentions::check(&context, &mut diagnostics);
    commands::check(&context, &mut diagnostics);
    templates::check(&context, &mut diagnostics);
    stops::check(&context, &mut diagnostics);
    prompt::check(&context, &mut diagnostics);
    secrets::check(&context, &mut diagnostics);
    shape::check(&context, &mut diagnostics);
    wording::check(&context, &mut diagnostics);
    let mut levels = lint::Levels::new(&plan.lints, map);
    let unasked = levels.apply(&mut diagnostics);
    tally.add(&plan, earlier, levels.used);
    sort(&mut diagnostics);
    let failed = earlier.iter().chain(&diagnostics).any(|diagnostic| diagnostic.severity == Severity::Error);
    if failed || plan.feature.is_none() {
        return Judged { checked: None, diagnostics, unasked };
    }
    let gates = gate_predecessors(&plan);
    let checked = Some(CheckedPlan { order: order.canonical(), gates, plan });
    Judged { checked, diagnostics, unasked }
}

/// Gives findings that were made after the check, by running something, the weights that the plan wants.
pub fn apply_levels(plan: &Plan, map: &SourceMap, diagnostics: &mut Vec<Diagnostic>) {
    lint::Levels::new(&plan.lints, map).apply(diagnostics);
}

fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let key =
            |d: &Diagnostic| (d.primary.span.file, d.primary.span.start, d.primary.span.end, d.rule.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
}

/// A unit that waits for something unknown is not in its order yet: what only follows from that is not said as well.
fn forget_what_an_unknown_name_explains(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let unknown: Vec<Span> = context
        .earlier
        .iter()
        .filter(|found| found.rule.name == "unknown-unit")
        .map(|found| found.primary.span)
        .collect();
    let holds_one = |unit: &&Unit| unknown.iter().any(|place| within(*place, unit.span));
    let units: Vec<Span> = context.plan.units.iter().filter(holds_one).map(|unit| unit.span).collect();
    diagnostics.retain(|found| {
        let of_order = ["write-conflict", "input-without-edge"].contains(&found.rule.name);
        let mut places = found.labels.iter().map(|label| label.span).chain([found.primary.span]);
        !of_order || !places.any(|place| units.iter().any(|unit| within(place, *unit)))
    });
}

fn within(place: Span, span: Span) -> bool {
    place.file == span.file && span.start <= place.start && place.end <= span.end
}

/// Units and manuals in the order in which they land. What is in a cycle, or comes after one, is left out.
pub fn canonical_order(plan: &Plan) -> Vec<UnitIx> {
    order::Order::new(plan).0.canonical()
}
