//! `loop why`: each field of a unit's key, and what changed since the recorded one.
//!
//! Does not compute a key of its own: the fields come from the traversal that makes the key.

use camino::Utf8Path;
use loop_compiler::graph::{KeyField, Keyed, NodeKind};
use serde::Serialize;

use super::exec::unknown;
use super::load::{load, look};
use super::output::{Failure, print};
use crate::drive::{self, Decision, Ground, Options, differences};
use crate::fault::ExitCode;
use crate::state::{Ending, State};

#[derive(Serialize)]
struct Answer {
    format_version: u32,
    unit: String,
    key: Option<String>,
    fields: Vec<(String, String)>,
    decision: String,
    reason: String,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    field: String,
    recorded: Option<String>,
    now: Option<String>,
}

pub(super) fn run(unit: &str, plan: Option<&Utf8Path>, json: bool) -> Result<ExitCode, Failure> {
    let loaded = load(plan)?;
    let units: Vec<String> = loaded
        .graph
        .nodes
        .iter()
        .filter(|node| node.kind != NodeKind::Gate)
        .map(|node| node.id.clone())
        .collect();
    if !units.iter().any(|known| known == unit) {
        return Err(unknown("unit", unit, units.iter().map(String::as_str)));
    }
    let (mut ground, state, _) = look(loaded, None)?;
    let answer = answer(&mut ground, &state, unit)?;
    let text = match json {
        true => serde_json::to_string_pretty(&answer).map(|text| text + "\n").unwrap_or_default(),
        false => describe(&answer),
    };
    print(&text)?;
    Ok(ExitCode::Complete)
}

fn answer(ground: &mut Ground, state: &State, unit: &str) -> Result<Answer, Failure> {
    let options = Options { unit: Some(unit.to_owned()), ..Options::default() };
    let selected = drive::selection(ground, &options);
    let mut unsettled: Option<String> = None;
    for index in ground.topology.canonical_order() {
        if !selected[index as usize] {
            continue;
        }
        let id = ground.node(index).id.clone();
        if id != unit {
            if unsettled.is_some() {
                continue;
            }
            match ground.judge(index, state, &Default::default())? {
                Decision::Done(settled) | Decision::Accepted(settled) => {
                    drop(ground.settled.insert(index, settled))
                }
                Decision::Run(_) | Decision::Halt(..) => unsettled = Some(id),
            }
            continue;
        }
        return about(ground, state, index, unit, unsettled);
    }
    Err(Failure::usage(format!("unit `{unit}` is not reachable")))
}

fn about(
    ground: &Ground,
    state: &State,
    index: u32,
    unit: &str,
    unsettled: Option<String>,
) -> Result<Answer, Failure> {
    if let Some(before) = unsettled {
        return Ok(Answer {
            format_version: 1,
            unit: unit.to_owned(),
            key: None,
            fields: Vec::new(),
            decision: "unknown".into(),
            reason: format!(
                "`{before}`, which comes before it, has no result yet; the key is known when it has"
            ),
            changes: Vec::new(),
        });
    }
    let start = ground.start_tree(index)?;
    let keyed = ground.key(index, &start)?;
    let recorded = recorded(ground, state, unit);
    let changes = match &recorded {
        Some(recorded) => differences(recorded, &keyed.fields)
            .into_iter()
            .map(|(field, recorded, now)| Change { field, recorded, now })
            .collect(),
        None => Vec::new(),
    };
    let (decision, why) = match ground.judge(index, state, &Default::default())? {
        Decision::Done(settled) if settled.drifted.is_empty() => {
            ("cached", "a result with this key is on the branch".to_owned())
        }
        Decision::Done(settled) => (
            "cached",
            format!(
                "a result with this key is on the branch; since then somebody edited {}",
                settled.drifted.join(", ")
            ),
        ),
        Decision::Accepted(_) => {
            ("land", "a result with this key is accepted and not on the branch yet".to_owned())
        }
        Decision::Run(work) => ("run", reason(ground, state, unit, &work.keyed)),
        Decision::Halt(_, why) => ("stop", why),
    };
    let fields = keyed.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
    Ok(Answer {
        format_version: 1,
        unit: unit.to_owned(),
        key: Some(keyed.key),
        fields,
        decision: decision.to_owned(),
        reason: why,
        changes,
    })
}

/// The fields of the newest recorded key of a unit: of a result, else of an attempt.
fn recorded(ground: &Ground, state: &State, unit: &str) -> Option<Vec<KeyField>> {
    let unit = state.unit(unit)?;
    let accepted = unit.accepted().last().map(|accepted| accepted.manifest);
    let manifest = accepted.or_else(|| unit.attempts().last().map(|attempt| attempt.started.manifest))?;
    let pairs: Vec<(String, String)> = drive::load(&ground.store, &manifest).ok()?;
    Some(pairs.into_iter().map(|(name, value)| KeyField { name, value }).collect())
}

fn interrupted(state: &State, unit: &str) -> bool {
    let last = state.unit(unit).and_then(|unit| unit.attempts().last());
    last.is_some_and(|attempt| matches!(attempt.ending, None | Some(Ending::Lost { .. })))
}

/// Why a unit would run, in one line.
pub(super) fn reason(ground: &Ground, state: &State, unit: &str, keyed: &Keyed) -> String {
    let Some(recorded) = recorded(ground, state, unit) else { return "it has not run yet".into() };
    let changes = differences(&recorded, &keyed.fields);
    match changes.as_slice() {
        [] if interrupted(state, unit) => "its last attempt was interrupted".into(),
        [] => "the last attempt for this key did not pass".into(),
        [(field, ..)] => format!("{field} changed"),
        [(field, ..), rest @ ..] => format!("{field} and {} more changed", rest.len()),
    }
}

fn describe(answer: &Answer) -> String {
    let mut text = format!("{}: {} ({})\n", answer.unit, answer.decision, answer.reason);
    if let Some(key) = &answer.key {
        text.push_str(&format!("key {key}\n"));
    }
    for (name, value) in &answer.fields {
        text.push_str(&format!("  {name}: {}\n", clip(value)));
    }
    if !answer.changes.is_empty() {
        text.push_str("Changed since the recorded key:\n");
        for change in &answer.changes {
            text.push_str(&format!("  {}\n", change.field));
            if let Some(recorded) = &change.recorded {
                text.push_str(&format!("    - {}\n", clip(recorded)));
            }
            if let Some(now) = &change.now {
                text.push_str(&format!("    + {}\n", clip(now)));
            }
        }
    }
    text
}

fn clip(value: &str) -> String {
    match value.char_indices().nth(160) {
        Some((at, _)) => format!("{}… ({} characters)", &value[..at], value.chars().count()),
        None => value.to_owned(),
    }
}
