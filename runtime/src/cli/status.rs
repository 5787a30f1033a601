//! `loop status`: where each unit and gate stands, for people and for programs.
//!
//! Does not take a lock and writes nothing, so it works while a run goes on.

use camino::Utf8Path;
use loop_compiler::graph::NodeKind;
use serde::Serialize;

use super::load::{load, look};
use super::output::{Failure, print, when};
use crate::drive::{self, Decision, Ground};
use crate::fault::ExitCode;
use crate::schedule::Halt;
use crate::state::State;

#[derive(Serialize)]
struct Status {
    format_version: u32,
    feature: String,
    plan: String,
    graph: String,
    branch: String,
    head: Option<String>,
    run: Option<RunStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milestone: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    spent_micro_usd: u64,
    spent_unknown_attempts: u32,
    units: Vec<UnitStatus>,
    gates: Vec<GateStatus>,
}

#[derive(Serialize)]
struct RunStatus {
    id: String,
    started: String,
    actor: String,
    open: bool,
    exit: Option<u8>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct UnitStatus {
    id: String,
    gate: String,
    kind: &'static str,
    /// `running`, `landed`, `accepted`, `blocked`, `undone`, `drift`, `waiting`, `ready`, `pending`.
    state: &'static str,
    reason: Option<String>,
    attempts: usize,
    commit: Option<String>,
    spent_micro_usd: u64,
    last_failure: Option<FailureStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_ms: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

#[derive(Serialize)]
struct FailureStatus {
    class: crate::record::FailureClass,
    message: String,
}

#[derive(Serialize)]
struct GateStatus {
    id: String,
    /// `draft`, `passed`, `waiting`, `approved`, `refused`, `pending`.
    state: &'static str,
    /// The newest decision; not signed yet in this version.
    decided_by: Option<String>,
    signed: bool,
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    milestone: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

pub(super) fn run(plan: Option<&Utf8Path>, json: bool) -> Result<ExitCode, Failure> {
    let loaded = load(plan)?;
    let plan = loaded.plan.clone();
    let (mut ground, state, _) = look(loaded, None)?;
    let status = status(&mut ground, &state, &plan)?;
    let text = match json {
        true => serde_json::to_string_pretty(&status).map(|text| text + "\n").unwrap_or_default(),
        false => describe(&status),
    };
    print(&text)?;
    Ok(ExitCode::Complete)
}

fn status(ground: &mut Ground, state: &State, plan: &Utf8Path) -> Result<Status, Failure> {
    let branch = drive::branch_name(&ground.graph.feature.id);
    let head = ground.repository.branch(&branch)?;
    let mut units = Vec::new();
    for index in ground.topology.canonical_order() {
        units.push(unit(ground, state, index)?);
    }
    let gates = ground
        .graph
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Gate)
        .map(|node| gate(ground, state, node))
        .collect();
    let spent = state.spent();
    Ok(Status {
        format_version: 1,
        feature: ground.graph.feature.id.clone(),
        plan: plan.to_string(),
        graph: ground.graph.digest.clone(),
        branch,
        head: head.map(|head| head.to_string()),
        run: state.runs().last().map(|run| RunStatus {
            id: run.id.clone(),
            started: when(run.time_ms),
            actor: run.started.actor.name.clone(),
            open: run.ended.is_none(),
            exit: run.ended.as_ref().map(|end| end.exit),
            reason: run.ended.as_ref().map(|end| end.reason.clone()),
        }),
        milestone: ground.graph.feature.milestone.clone(),
        labels: ground.graph.feature.labels.clone(),
        spent_micro_usd: spent.micro_usd,
        spent_unknown_attempts: spent.unknown,
        units,
        gates,
    })
}

fn unit(ground: &mut Ground, state: &State, index: u32) -> Result<UnitStatus, Failure> {
    let node = ground.node(index).clone();
    let recorded = state.unit(&node.id);
    let behind = ground.topology.predecessors(index).iter().any(|before| match ground.node(*before).kind {
        NodeKind::Gate => !drive::gate_is_open(ground, state, *before),
        _ => !ground.settled.contains_key(before),
    });
    let (word, reason) = if recorded.is_some_and(|unit| unit.open_attempt().is_some()) {
        ("running", None)
    } else if behind {
        // Something before it is not there: its key is not known. What landed before is shown all the same.
        match recorded.and_then(|unit| unit.block()) {
            Some(block) => ("blocked", Some(block.reason.clone())),
            None => ("pending", None),
        }
    } else {
        match ground.judge(index, state, &Default::default())? {
            Decision::Done(settled) => {
                let drifted = settled.drifted.clone();
                ground.settled.insert(index, settled);
                match drifted.is_empty() {
                    true => ("landed", None),
                    false => ("drift", Some(format!("edited after it landed: {}", drifted.join(", ")))),
                }
            }
            Decision::Accepted(settled) => {
                ground.settled.insert(index, settled);
                ("accepted", None)
            }
            Decision::Run(work) => ("ready", Some(super::why::reason(ground, state, &node.id, &work.keyed))),
            Decision::Halt(halt, why) => (halt_word(halt), Some(why)),
        }
    };
    let failure = recorded.and_then(|unit| {
        unit.attempts().iter().rev().find_map(|attempt| match &attempt.ending {
            Some(crate::state::Ending::Failed(failed)) => {
                Some(FailureStatus { class: failed.class, message: failed.message.clone() })
            }
            _ => None,
        })
    });
    Ok(UnitStatus {
        id: node.id.clone(),
        gate: node.gate.clone(),
        kind: if node.kind == NodeKind::Manual { "manual" } else { "unit" },
        state: word,
        reason,
        attempts: recorded.map_or(0, |unit| unit.attempts().len()),
        commit: recorded.and_then(|unit| unit.landings().last()).map(|landing| landing.commit.to_string()),
        spent_micro_usd: state.spent_on(&node.id).micro_usd,
        last_failure: failure,
        priority: node.policy.priority,
        estimate_ms: node.policy.estimate_ms,
        labels: node.policy.labels.clone(),
    })
}

fn halt_word(halt: Halt) -> &'static str {
    match halt {
        Halt::Undone => "undone",
        Halt::Drift => "drift",
        Halt::Waiting => "waiting",
        Halt::Blocked | Halt::RedGate | Halt::Limit | Halt::Environment | Halt::Failed => "blocked",
    }
}

fn gate(ground: &Ground, state: &State, node: &loop_compiler::graph::Node) -> GateStatus {
    let closure = drive::closure(&ground.graph, node);
    let recorded = state.gate(&node.gate);
    let decision = recorded.and_then(|gate| gate.decision_on(&closure));
    let word = match (recorded, decision) {
        _ if node.policy.draft => "draft",
        (Some(gate), _) if gate.has_passed(&closure) => "passed",
        (_, Some(decision)) if decision.is_approval() => "approved",
        (_, Some(_)) => "refused",
        (Some(gate), None) if gate.reached.as_ref().is_some_and(|reached| reached.closure == closure) => {
            "waiting"
        }
        _ => "pending",
    };
    GateStatus {
        id: node.gate.clone(),
        state: word,
        decided_by: decision.map(|decision| decision.statement.actor.name.clone()),
        signed: decision.is_some_and(|decision| decision.signature.is_some()),
        reason: decision.and_then(|decision| decision.statement.reason.clone()),
        milestone: node.policy.milestone.clone(),
        labels: node.policy.labels.clone(),
    }
}

fn describe(status: &Status) -> String {
    let mut text = format!("{} on {}", status.feature, status.branch);
    match &status.head {
        Some(head) => text.push_str(&format!(" at {}\n", &head[..head.len().min(10)])),
        None => text.push_str(" (not made yet)\n"),
    }
    if let Some(run) = &status.run {
        let end = match (run.open, &run.reason) {
            (true, _) => "open; the same `loop exec` goes on with it".to_owned(),
            (false, reason) => reason.clone().unwrap_or_default(),
        };
        text.push_str(&format!("last run {} by {}: {end}\n", run.started, run.actor));
    }
    for gate in &status.gates {
        let decided = match &gate.decided_by {
            Some(name) => format!(" by {name}{}", if gate.signed { "" } else { ", unsigned" }),
            None => String::new(),
        };
        let part_of = gate.milestone.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
        text.push_str(&format!("\ngate {}{part_of}: {}{decided}\n", gate.id, gate.state));
        for unit in status.units.iter().filter(|unit| unit.gate == gate.id) {
            let commit = unit
                .commit
                .as_ref()
                .map(|commit| format!("  {}", &commit[..commit.len().min(10)]))
                .unwrap_or_default();
            let attempts = match unit.attempts {
                0 => String::new(),
                1 => "  1 attempt".to_owned(),
                many => format!("  {many} attempts"),
            };
            text.push_str(&format!("  {:<9} {}{commit}{attempts}\n", unit.state, unit.id));
            for line in unit.reason.iter().flat_map(|reason| reason.lines()) {
                text.push_str(&format!("            {}\n", line.trim()));
            }
        }
    }
    text.push_str(&still_to_do(&status.units));
    let known = (status.spent_micro_usd > 0).then(|| {
        let micro = status.spent_micro_usd;
        format!("${}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100)
    });
    let unknown = match status.spent_unknown_attempts {
        0 => None,
        1 => Some("1 attempt of unknown cost".to_owned()),
        many => Some(format!("{many} attempts of unknown cost")),
    };
    let spent: Vec<String> = known.into_iter().chain(unknown).collect();
    if !spent.is_empty() {
        text.push_str(&format!("\nspent: {}\n", spent.join(", and ")));
    }
    text
}

/// The estimates of what is not done, added up: a measure of work, not of when it ends.
fn still_to_do(units: &[UnitStatus]) -> String {
    let open = || units.iter().filter(|unit| !["landed", "accepted", "drift"].contains(&unit.state));
    let estimated: Vec<u64> = open().filter_map(|unit| unit.estimate_ms).collect();
    if estimated.is_empty() {
        return String::new();
    }
    let more = open().count() - estimated.len();
    let units = if estimated.len() == 1 { "unit" } else { "units" };
    let rest = if more == 0 { String::new() } else { format!(", and {more} without an estimate") };
    let sum = estimated.iter().fold(0u64, |sum, more| sum.saturating_add(*more));
    format!("\nstill to do: about {} of {} {units}{rest}\n", duration(sum), estimated.len())
}

/// A time as a plan writes it.
fn duration(ms: u64) -> String {
    let parts = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = ms;
    let mut text = String::new();
    for (unit, size) in parts {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}
