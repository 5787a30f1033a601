//! What the compiler accepts and a run does not act on yet: it is refused before anything is paid, never ignored.
//!
//! Does not know how a run goes. A row of the table goes away when the executor learns what it names.

use loop_compiler::diagnostic::Diagnostic;
use loop_compiler::plan::{Agent, Isolation, Network, Plan, Review, Role, SandboxMode, Unit, Verifier, Via};
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

const ROWS: &[Row] = &[
    Row {
        what: "`repair`",
        meanwhile: "leave it out; a red gate stops the run, and `loop exec --redo UNIT` runs the unit at fault again",
        places: |plan| plan.gates.iter().filter_map(|gate| Some(gate.repair?.span)).collect(),
    },
    Row {
        what: "`review`",
        meanwhile: "check the result with a verifier, or ask a person with `manual`",
        places: |plan| reviews(plan).map(|review| review.span).collect(),
    },
    Row {
        what: "`shared`",
        meanwhile: "put the units that write the file in order with `after`, or let a first unit make the skeleton",
        places: |plan| plan.shared.iter().map(|pattern| pattern.span).collect(),
    },
    Row {
        what: "`derived`",
        meanwhile: "let one unit write the file, and put the others in order with `after`",
        places: |plan| plan.derived.iter().map(|derived| derived.span).collect(),
    },
    Row {
        what: "`discard`",
        meanwhile: "let git ignore the files, or list them in `writes`",
        places: |plan| plan.discard.iter().map(|pattern| pattern.span).collect(),
    },
    Row {
        what: "`from=patch`",
        meanwhile: "leave it out; each attempt begins with the start tree and is told why the last one failed",
        places: |plan| retries(plan, |unit| unit.retry.from_patch),
    },
    Row {
        what: "`backoff=`",
        meanwhile: "leave it out; the next attempt follows at once",
        places: |plan| retries(plan, |unit| unit.retry.backoff_ms.is_some()),
    },
    Row {
        what: "`on` of `retry`",
        meanwhile: "leave it out; each class of failure has its own answer",
        places: |plan| retries(plan, |unit| !unit.retry.on.is_empty()),
    },
    Row {
        what: "`isolation=observe`",
        meanwhile: "hold the inputs with `isolation=enforce`, or leave it out: then the whole tree is the key",
        places: |plan| {
            let observed = |verifier: &&Verifier| {
                verifier.isolation.as_ref().is_some_and(|isolation| isolation.value == Isolation::Observe)
            };
            let observed = verifiers(plan).into_iter().filter(observed);
            observed.filter_map(|verifier| Some(verifier.isolation.as_ref()?.span)).collect()
        },
    },
    Row {
        what: "`known-failure`",
        meanwhile: "leave that test out in the verifier's command",
        places: |plan| {
            let known = verifiers(plan).into_iter().flat_map(|verifier| &verifier.known_failures);
            known.map(|known| known.id.span).collect()
        },
    },
    Row {
        what: "`via=codex`",
        meanwhile: "start it from a script of yours, with `via=command`",
        places: |plan| agents(plan, Via::Codex),
    },
    Row {
        what: "`via=opencode`",
        meanwhile: "start it from a script of yours, with `via=command`",
        places: |plan| agents(plan, Via::Opencode),
    },
    Row {
        what: "`via=gemini`",
        meanwhile: "start it from a script of yours, with `via=command`",
        places: |plan| agents(plan, Via::Gemini),
    },
    Row {
        what: "`sandbox mode=required`",
        meanwhile: "leave it out; a run says how far it confines what it starts",
        places: |plan| sandboxes(plan, |mode, _, _| mode == Some(SandboxMode::Required)),
    },
    Row {
        what: "`sandbox mode=off`",
        meanwhile: "leave it out; agents and verifiers are confined as far as the machine allows",
        places: |plan| sandboxes(plan, |mode, _, _| mode == Some(SandboxMode::Off)),
    },
    Row {
        what: "`network=` of `sandbox`, other than what holds anyhow",
        meanwhile: "leave it out; agents reach every host and verifiers none",
        places: |plan| {
            let agent = plan.sandbox.agent.iter().map(|sandbox| (sandbox, Network::Allow));
            let verifier = plan.sandbox.verifier.iter().map(|sandbox| (sandbox, Network::Deny));
            let all = agent.chain(verifier);
            let other =
                all.filter(|(sandbox, usual)| sandbox.network.is_some_and(|network| network != *usual));
            other.map(|(sandbox, _)| sandbox.span).collect()
        },
    },
    Row {
        what: "`read` and `write` of `sandbox`",
        meanwhile: "let `prepare` bring what is needed into the worktree",
        places: |plan| sandboxes(plan, |_, read, write| read + write > 0),
    },
];

fn reviews(plan: &Plan) -> impl Iterator<Item = &Review> {
    let of_units = plan.units.iter().flat_map(|unit| &unit.review);
    of_units.chain(plan.gates.iter().flat_map(|gate| &gate.review))
}

fn retries(plan: &Plan, wanted: fn(&Unit) -> bool) -> Vec<Span> {
    plan.units.iter().filter(|unit| wanted(unit)).filter_map(|unit| unit.retry.span).collect()
}

/// Those that a unit or a gate uses.
fn verifiers(plan: &Plan) -> Vec<&Verifier> {
    let of_units = plan.units.iter().flat_map(|unit| &unit.verify);
    let of_gates = plan.gates.iter().flat_map(|gate| &gate.verify);
    let used: std::collections::BTreeSet<_> =
        of_units.chain(of_gates).map(|verify| verify.verifier).collect();
    used.into_iter().map(|verifier| &plan.verifiers[verifier.0 as usize]).collect()
}

/// Where the agents of this kind are defined that a unit uses.
fn agents(plan: &Plan, via: Via) -> Vec<Span> {
    let working = plan.units.iter().filter(|unit| unit.role == Role::Work);
    let used = working.filter_map(|unit| unit.agent.as_ref());
    let used = used.map(|agent| &plan.agents[agent.value.0 as usize]);
    used.filter(|agent: &&Agent| agent.via == via).map(|agent| agent.id.span).collect()
}

fn sandboxes(plan: &Plan, wanted: fn(Option<SandboxMode>, usize, usize) -> bool) -> Vec<Span> {
    let all = plan.sandbox.agent.iter().chain(&plan.sandbox.verifier);
    let wanted = all.filter(|sandbox| wanted(sandbox.mode, sandbox.read.len(), sandbox.write.len()));
    wanted.map(|sandbox| sandbox.span).collect()
}

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
