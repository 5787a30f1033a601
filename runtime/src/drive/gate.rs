//! Gates: the union of verifiers on the merged head, the page that is shown, and whether a decision stands.
//!
//! Does not make decisions: `loop approve` records a person's.

use std::fmt::Write as _;

use loop_compiler::graph::{Graph, Node, NodeKind, closure_digest};

use super::Run;
use super::check::{Report, Subject};
use super::error::DriveError;
use super::judge::Ground;
use super::progress::Note;
use crate::crash;
use crate::journal::Durability;
use crate::record::Event;
use crate::schedule::{self, Halt, Index};
use crate::state::State;

/// What came of a gate.
pub(crate) struct Checked {
    result: Result<(), Halt>,
}

/// The gate's closure: what an approval is bound to.
pub fn closure(graph: &Graph, node: &Node) -> String {
    closure_digest(graph, &node.gate)
}

/// Does what comes after the gate go on without its being checked again?
pub fn gate_is_open(ground: &Ground, state: &State, index: Index) -> bool {
    let node = ground.node(index);
    still_open(ground, state, node, &closure(&ground.graph, node))
}

/// Was the gate recorded as passed for this closure, with nothing accepted behind it since?
fn still_open(ground: &Ground, state: &State, node: &Node, closure: &str) -> bool {
    let Some(gate) = state.gate(&node.gate).filter(|gate| gate.has_passed(closure)) else { return false };
    let Some(passed) = &gate.passed else { return false };
    ground
        .topology
        .ancestors_in_canonical_order(node.index)
        .into_iter()
        .filter_map(|before| state.unit(&ground.node(before).id))
        .all(|unit| unit.landings().last().is_none_or(|landing| landing.seq < passed.seq))
}

pub(super) async fn check(run: &Run, index: Index) -> Result<Checked, DriveError> {
    let (node, closure, tree, before, head, open) = {
        let ground = run.ground.borrow();
        let node = ground.node(index).clone();
        let closure = closure(&ground.graph, &node);
        let open = still_open(&ground, &run.state.borrow(), &node, &closure);
        // Not the run's base: what the gate's units changed is the same in each run.
        let canonical = ground.topology.canonical_order();
        let units = canonical.iter().map(|unit| ground.node(*unit)).filter(|unit| unit.gate == node.gate);
        let units: Vec<&str> = units.map(|unit| unit.id.as_str()).collect();
        let before = ground.without(units.into_iter(), &ground.tip_tree);
        (node, closure, ground.tip_tree.clone(), before, ground.tip.clone(), open)
    };
    if open {
        return Ok(Checked { result: Ok(()) });
    }
    if node.policy.draft {
        let why = waits_for_its_plan(&run.ground.borrow(), &node, &run.branch);
        run.progress.note(&Note::Halted { unit: &node.id, why: &why });
        return Ok(Checked { result: Err(Halt::Waiting) });
    }
    let id = node.id.clone();
    let subject = Subject {
        id: &id,
        start: &before,
        tree: &tree,
        criteria: &node.policy.gate_criteria,
        verify: &node.policy.verify,
    };
    let report = run.check_tree(&subject).await?;
    if report.cancelled {
        return Ok(Checked { result: Err(Halt::Waiting) });
    }
    if let Some(missing) = &report.missing {
        run.progress.note(&Note::Halted { unit: &id, why: missing });
        return Ok(Checked { result: Err(Halt::Environment) });
    }
    if !report.passed() {
        run.progress.note(&Note::GateRed { gate: &node.gate, failing: &report.messages });
        return Ok(Checked { result: Err(Halt::RedGate) });
    }
    let feature = run.feature();
    let (approved, refused, reached) = {
        let state = run.state.borrow();
        let gate = state.gate(&node.gate);
        (
            gate.is_some_and(|gate| gate.is_approved(&closure)),
            gate.and_then(|gate| gate.decision_on(&closure))
                .filter(|decision| !decision.is_approval())
                .map(|decision| decision.statement.reason.clone()),
            gate.and_then(|gate| gate.reached.as_ref())
                .is_some_and(|reached| reached.closure == closure && reached.head == head),
        )
    };
    let beyond = match node.policy.human_approval {
        true => None,
        false => beyond_bounds(&run.ground.borrow().graph, &run.state.borrow(), &node),
    };
    if !node.policy.human_approval && beyond.is_none() || approved {
        crash::point("gate.before-passed");
        run.append(
            with(report.found, Event::GatePassed { feature, gate: node.gate.clone(), head, closure }),
            Durability::Synced,
        )?;
        crash::point("gate.after-passed");
        run.progress.note(&Note::GatePassed { gate: &node.gate });
        return Ok(Checked { result: Ok(()) });
    }
    if let Some(reason) = refused {
        let why = format!(
            "gate `{}` was refused{}",
            node.gate,
            reason.map(|reason| format!(": {reason}")).unwrap_or_default()
        );
        run.progress.note(&Note::Halted { unit: &id, why: &why });
        return Ok(Checked { result: Err(Halt::Blocked) });
    }
    let mut page = page_text(&run.ground.borrow(), &run.state.borrow(), &node, &report_lines(&report));
    if let Some(why) = &beyond {
        page.push_str(&format!("\nIt would pass by itself, but {why}.\n"));
    }
    if !reached {
        let page_digest = run.ground.borrow().store.put(page.as_bytes())?;
        crash::point("gate.before-reached");
        run.append(
            with(
                report.found,
                Event::GateReached { feature, gate: node.gate.clone(), head, closure, page: page_digest },
            ),
            Durability::Synced,
        )?;
        crash::point("gate.after-reached");
    }
    run.progress.note(&Note::GateWaiting { gate: &node.gate, page: &page, plan: &run.plan });
    Ok(Checked { result: Err(Halt::Waiting) })
}

/// What a person does about a draft. A unit of kind `plan` leaves its file on the branch, where the plan is not read.
fn waits_for_its_plan(ground: &Ground, gate: &Node, branch: &str) -> String {
    let name = &gate.gate;
    let Some(file) = &gate.policy.draft_file else {
        return format!(
            "gate `{name}` waits for its plan: write its units, remove `state=draft`, and run this again"
        );
    };
    match ground.tip_tree.entry(file) {
        Some(_) => format!(
            "gate `{name}` waits for its plan: {file} stands on `{branch}`\n  Read it; `git restore --source={branch} -- {file}` brings it here, and the same command goes on with it"
        ),
        None => format!(
            "gate `{name}` waits for its plan: write `gate {name} {{ ... }}` in {file}, or let a unit with `kind=plan` do it, and run this again"
        ),
    }
}

/// Why a gate that passes by itself does not: what its units cost, or how often one of them was tried. Runs after its
/// units landed, over all runs: what is paid is paid.
fn beyond_bounds(graph: &Graph, state: &State, gate: &Node) -> Option<String> {
    let bounds = gate.policy.bounds;
    let units =
        || graph.nodes.iter().filter(|node| node.gate == gate.gate && node.kind == NodeKind::Dispatch);
    if let Some(most) = bounds.micro_usd {
        let spent = units().map(|unit| state.spent_on(&unit.id));
        let (micro, unknown) = spent.fold((0u64, 0), |(micro, unknown), spent| {
            (micro.saturating_add(spent.micro_usd), unknown + spent.unknown)
        });
        if micro > most {
            return Some(format!("its units cost {}, and `max-usd=` is {}", dollars(micro), dollars(most)));
        }
        if unknown > 0 {
            let attempts = if unknown == 1 { "attempt" } else { "attempts" };
            return Some(format!(
                "what {unknown} {attempts} cost is not known, and `max-usd=` is {}",
                dollars(most)
            ));
        }
    }
    let most = bounds.attempts?;
    units().find_map(|unit| {
        let took = state.unit(&unit.id).map_or(0, |recorded| recorded.attempts().len());
        (took > most as usize)
            .then(|| format!("`{}` took {took} attempts, and `max-attempts=` is {most}", unit.id))
    })
}

/// Events and the one that rests on them.
fn with(mut events: Vec<Event>, last: Event) -> Vec<Event> {
    events.push(last);
    events
}

impl Run {
    pub(super) fn gate_checked(&self, node: Index, checked: Checked) -> schedule::Event {
        match checked.result {
            Ok(()) => schedule::Event::Opened(node),
            Err(halt) => schedule::Event::Halted(node, halt),
        }
    }
}

fn report_lines(report: &Report) -> Vec<String> {
    report.verdicts.iter().map(|verdict| verdict.verifier.clone()).collect()
}

/// The text that a person approves: what was asked, what landed, what it cost, what was checked.
pub fn page_text(ground: &Ground, state: &State, gate: &Node, verified: &[String]) -> String {
    let mut page = String::new();
    let title = gate.policy.title.as_ref().map(|title| format!(": {title}")).unwrap_or_default();
    let _ = writeln!(page, "Gate `{}` of feature `{}`{title}", gate.gate, ground.graph.feature.id);
    if let Some(goal) = &gate.ask.goal {
        let _ = writeln!(page, "{goal}");
    }
    let _ = writeln!(page, "Head: {}", ground.tip);
    let _ = writeln!(page, "\nUnits:");
    for node in ground.graph.nodes.iter().filter(|node| node.gate == gate.gate && node.kind != NodeKind::Gate)
    {
        let title = node.policy.title.as_deref().or(node.ask.goal.as_deref()).unwrap_or_default();
        let _ = writeln!(page, "  {}  {}", node.id, title.lines().next().unwrap_or_default());
        let Some(unit) = state.unit(&node.id) else { continue };
        if let Some(landing) = unit.landings().last() {
            let _ = writeln!(page, "    commit {}", landing.commit.short());
        }
        let spent = state.spent_on(&node.id);
        let attempts = unit.attempts().len();
        let money = match (spent.micro_usd, spent.unknown) {
            (0, _) => String::new(),
            (micro, 0) => format!(", {}", dollars(micro)),
            (micro, unknown) => format!(", {} and {unknown} of unknown cost", dollars(micro)),
        };
        let _ = writeln!(page, "    {attempts} attempt{}{money}", if attempts == 1 { "" } else { "s" });
        for skip in &node.policy.skip {
            let _ = writeln!(page, "    without `{}`: {}", skip.verifier, skip.reason);
        }
    }
    let _ = writeln!(page, "\nVerified on the merged head:");
    for name in verified {
        let _ = writeln!(page, "  {name}");
    }
    if verified.is_empty() {
        let _ = writeln!(page, "  nothing: no unit of this gate has a verifier");
    }
    page
}

/// Micro-dollars for people.
pub(super) fn dollars(micro: u64) -> String {
    format!("${}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100)
}
