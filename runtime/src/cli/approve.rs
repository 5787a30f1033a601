//! `loop approve`: records a person's decision on a gate, bound to digests.
//!
//! Does not open the gate: the next `loop exec` does, if the decision still stands.

use camino::Utf8Path;
use loop_compiler::graph::NodeKind;

use super::exec::{environment, unknown};
use super::load::load;
use super::output::{Failure, print};
use crate::drive;
use crate::fault::ExitCode;
use crate::journal::{Durability, Journal};
use crate::record::{Event, RECORD_VERSION, Statement};
use crate::state::State;

pub(super) fn run(
    gate: &str,
    plan: Option<&Utf8Path>,
    reason: Option<String>,
    refuse: bool,
) -> Result<ExitCode, Failure> {
    refuse_agents()?;
    let loaded = load(plan)?;
    let graph = &loaded.graph;
    let gates = || graph.nodes.iter().filter(|node| node.kind == NodeKind::Gate);
    let Some(node) = gates().find(|node| node.gate == gate) else {
        return Err(unknown("gate", gate, gates().map(|node| node.gate.as_str())));
    };
    let opened = Journal::open(&loaded.repository.state_dir(), &graph.feature.id)?;
    let mut journal = opened.journal;
    let state = State::fold(opened.lines.iter().map(|line| &line.record));
    if opened.torn.is_some() {
        drive::no_later_evidence(&state, &loaded.repository, &loaded.graph.feature.id)?;
    }
    let closure = drive::closure(graph, node);
    let recorded = state.gate(gate);
    let reached = recorded.and_then(|gate| gate.reached.as_ref());
    let Some(reached) = reached.filter(|reached| reached.closure == closure) else {
        let exec = format!("run `loop exec {}` first", loaded.plan);
        let why = match reached {
            _ if !node.policy.human_approval => "it opens by itself when its checks pass".to_owned(),
            Some(_) => format!("the plan changed since it was shown; {exec}"),
            None => format!("it has not been reached; {exec}"),
        };
        return Err(Failure::usage(format!("gate `{gate}` does not wait for a decision: {why}")));
    };
    if !refuse && recorded.is_some_and(|gate| gate.has_passed(&closure)) {
        print(&format!("gate {gate} is open already; nothing was recorded\n"))?;
        return Ok(ExitCode::Complete);
    }
    let branch = drive::branch_name(&graph.feature.id);
    let head = loaded.repository.branch(&branch)?;
    if head.as_ref() != Some(&reached.head) {
        let now = head.map_or_else(|| "gone".to_owned(), |head| head.short().to_owned());
        return Err(Failure::usage(format!(
            "`{branch}` is at {now}, and the gate was shown at {}; run `loop exec {}` to check and show it again",
            reached.head.short(),
            loaded.plan
        )));
    }
    let environment = environment();
    let actor = drive::os_user(&|name| environment.get(name)?.to_str().map(str::to_owned));
    let statement = Statement {
        v: RECORD_VERSION,
        repository: loaded.repository.identity()?.unwrap_or_default(),
        feature: graph.feature.id.clone(),
        gate: gate.to_owned(),
        decision: if refuse { "refused" } else { "approved" }.to_owned(),
        reason,
        head: reached.head.clone(),
        closure,
        page: reached.page,
        previous: recorded.and_then(|gate| gate.decision()).map(|decision| decision.digest),
        checkpoint: journal.head().digest.to_string(),
        role: "approver".to_owned(),
        actor,
    };
    let name = statement.actor.name.clone();
    let event = Event::GateDecided {
        feature: graph.feature.id.clone(),
        gate: gate.to_owned(),
        statement,
        signature: None,
    };
    let appended = journal.append_unless_moved(&[event], Durability::Synced)?;
    if appended.written.is_empty() {
        return Err(Failure::usage(
            "the journal moved on while you decided; look at `loop status` and decide again",
        ));
    }
    let word = if refuse { "refused" } else { "approved" };
    print(&format!(
        "gate {gate} {word} by {name} (unsigned) at {}\ngo on with: loop exec {}\n",
        reached.head.short(),
        loaded.plan
    ))?;
    Ok(ExitCode::Complete)
}

/// A process that descends from a shim is an agent's: it cannot decide on its own work.
pub(super) fn refuse_agents() -> Result<(), Failure> {
    if crate::process::descends_from_shim() {
        return Err(Failure::usage("this was started by an agent or a verifier; a person has to do it"));
    }
    Ok(())
}
