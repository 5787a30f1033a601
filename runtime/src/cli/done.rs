//! `loop done`: records that a person did a manual.
//!
//! Does not judge the evidence; it keeps it.

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::graph::NodeKind;

use super::exec::{environment, unknown};
use super::load::{load, look};
use super::output::{Failure, print};
use crate::drive::{self, Decision};
use crate::fault::ExitCode;
use crate::journal::{Durability, Journal};
use crate::record::{Event, Evidence};
use crate::state::State;

pub(super) fn run(
    unit: &str,
    plan: Option<&Utf8Path>,
    evidence: &[Utf8PathBuf],
) -> Result<ExitCode, Failure> {
    super::approve::refuse_agents()?;
    let loaded = load(plan)?;
    let manuals: Vec<String> = loaded
        .graph
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Manual)
        .map(|node| node.id.clone())
        .collect();
    if !manuals.iter().any(|known| known == unit) {
        return Err(unknown("manual", unit, manuals.iter().map(String::as_str)));
    }
    let opened = Journal::open(&loaded.repository.state_dir(), &loaded.graph.feature.id)?;
    let mut journal = opened.journal;
    if opened.torn.is_some() {
        let state = State::fold(opened.lines.iter().map(|line| &line.record));
        drive::no_later_evidence(&state, &loaded.repository, &loaded.graph.feature.id)?;
    }
    let feature = loaded.graph.feature.id.clone();
    let plan = loaded.plan.clone();
    let (mut ground, state, _) = look(loaded, None)?;
    ground.store = drive::open_store(&ground.repository)?;
    let mut key = None;
    for index in ground.topology.canonical_order() {
        if ground.node(index).id == unit {
            let before = ground.topology.ancestors_in_canonical_order(index);
            if let Some(open) = before.iter().find(|before| !ground.settled.contains_key(before)) {
                let open = ground.node(*open).id.clone();
                return Err(Failure::usage(format!(
                    "`{unit}` comes after `{open}`, which is not finished; run `loop exec {}` first",
                    plan
                )));
            }
            let start = ground.start_tree(index)?;
            key = Some(ground.key(index, &start)?.key);
            break;
        }
        if let Decision::Done(settled) = ground.judge(index, &state, &Default::default())? {
            ground.settled.insert(index, settled);
        }
    }
    let Some(key) = key else { return Err(Failure::usage(format!("`{unit}` is not reachable"))) };
    let mut kept = Vec::new();
    let asked = ground
        .topology
        .node(unit)
        .map(|index| ground.node(index).policy.evidence.clone())
        .unwrap_or_default();
    let mut evidence = evidence.to_vec();
    if evidence.is_empty() {
        for path in asked {
            let path = ground.repository.root().join(path);
            if !path.is_file() {
                let message = format!(
                    "the plan asks for evidence, and {path} is not there; write it, or name another file with `--evidence`"
                );
                return Err(Failure::usage(message));
            }
            evidence.push(path);
        }
    }
    for path in &evidence {
        let bytes =
            std::fs::read(path).map_err(|error| Failure::usage(format!("cannot read {path}: {error}")))?;
        let blob = ground.store.put_salted(&crate::store::secrets::mask(&bytes).0)?;
        kept.push(Evidence {
            name: path.file_name().unwrap_or("evidence").to_owned(),
            blob,
            bytes: bytes.len() as u64,
        });
    }
    ground.store.sync_pending()?;
    let environment = environment();
    let actor = drive::os_user(&|name| environment.get(name)?.to_str().map(str::to_owned));
    let name = actor.name.clone();
    if journal.run().is_none() {
        journal.begin_run(&drive::nonce()?)?;
    }
    journal.append(
        &[Event::ManualDone { feature, unit: unit.to_owned(), key, actor, evidence: kept }],
        Durability::Synced,
    )?;
    print(&format!("{unit} is done, says {name} (unsigned)\ngo on with: loop exec {}\n", plan))?;
    Ok(ExitCode::Complete)
}
