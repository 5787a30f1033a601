//! `loop log`: what happened, in the order of the journal.
//!
//! Does not need the plan to be sound: it reads the journal alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use camino::Utf8Path;

use super::load::repository;
use super::output::{Failure, print, when};
use crate::drive;
use crate::fault::ExitCode;
use crate::journal::{self, Line};
use crate::record::{CapturedManifest, Event, FailureClass, Verdict};
use crate::store::Store;

/// Lines of evidence that are shown of each blob.
const EVIDENCE_LINES: usize = 40;

pub(super) fn run(unit: Option<&str>, plan: Option<&Utf8Path>, json: bool) -> Result<ExitCode, Failure> {
    let repository = repository()?;
    let state_dir = repository.state_dir();
    let features = match plan {
        Some(plan) => vec![super::load::load(Some(plan))?.graph.feature.id],
        None => journal::features(&state_dir)?,
    };
    let store = drive::read_store(&repository);
    let mut text = String::new();
    let mut found = false;
    let mut names = BTreeSet::new();
    for feature in &features {
        let contents = journal::read(&state_dir, feature)?;
        for line in &contents.lines {
            let about = subject(&line.record.event);
            names.extend(about.map(str::to_owned));
            if unit.is_some_and(|unit| about != Some(unit)) {
                continue;
            }
            found = true;
            match json {
                true => text.push_str(&String::from_utf8_lossy(&line.bytes)),
                false => describe(&mut text, line, &store, unit.is_some()),
            }
        }
        if let Some(torn) = &contents.torn {
            let _ = writeln!(
                text,
                "(the last {} bytes of {} are an append that was cut; the next run moves them aside)",
                torn.bytes, torn.file
            );
        }
    }
    match (found, unit) {
        (false, Some(unit)) => {
            let near = loop_compiler::diagnostic::did_you_mean(unit, names.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("; did you mean `{near}`?"),
                None => ": it has not run yet, or no plan has it".to_owned(),
            };
            Err(Failure::usage(format!("the journal has nothing about `{unit}`{hint}")))
        }
        (false, None) if features.is_empty() => {
            print("nothing has run in this repository yet\n")?;
            Ok(ExitCode::Complete)
        }
        _ => {
            print(&text)?;
            Ok(ExitCode::Complete)
        }
    }
}

/// The unit or gate that a record is about.
fn subject(event: &Event) -> Option<&str> {
    let name: &str = match event {
        Event::AttemptStarted(data) => &data.unit,
        Event::AttemptCaptured(data) => &data.unit,
        Event::AttemptFailed(data) => &data.unit,
        Event::VerifyDone(data) => &data.subject,
        Event::UnitAccepted(data) => &data.unit,
        Event::UnitBlocked(data) => &data.unit,
        Event::AttemptLost { unit, .. }
        | Event::LandIntent { unit, .. }
        | Event::Landed { unit, .. }
        | Event::LandVoid { unit, .. }
        | Event::ManualDone { unit, .. }
        | Event::Tampered { unit, .. } => unit,
        Event::GateReached { gate, .. }
        | Event::GateDecided { gate, .. }
        | Event::GatePassed { gate, .. } => gate,
        Event::RunStarted(_) | Event::RunEnded { .. } | Event::JournalRepaired { .. } => return None,
    };
    // A gate's verdicts are recorded under its name with a mark before it.
    Some(name.strip_prefix("gate:").unwrap_or(name))
}

fn describe(text: &mut String, line: &Line, store: &Store, details: bool) {
    let record = &line.record;
    let mut say = |what: String| {
        let what: Vec<String> = what.lines().map(harmless).collect();
        let _ = writeln!(text, "{:>5}  {}  {}", record.seq, when(record.time_ms), what.join("\n         "));
    };
    match &record.event {
        Event::RunStarted(data) => say(format!(
            "run {} of {} started by {} on {} at {}",
            record.run,
            data.feature,
            data.actor.name,
            data.branch,
            data.head.short()
        )),
        Event::RunEnded { exit, reason, .. } => say(format!("run ended with {exit}: {reason}")),
        Event::AttemptStarted(data) => {
            let model = data.model.as_ref().map(|model| format!(" ({model})")).unwrap_or_default();
            let confined = if data.containment == "bwrap" { "" } else { ", unconfined" };
            say(format!("{}: attempt {} with {}{model}{confined}", data.unit, data.number, data.agent));
        }
        Event::AttemptCaptured(data) => {
            let cost = data
                .usage
                .micro_usd
                .map(|micro| format!(", ${}.{:04}", micro / 1_000_000, micro % 1_000_000 / 100))
                .unwrap_or_default();
            let dropped = if data.dropped > 0 {
                format!(", {} ignored files left behind", data.dropped)
            } else {
                String::new()
            };
            let discarded = match data.discarded.len() {
                0 => String::new(),
                count => format!(", {count} changes discarded"),
            };
            say(format!(
                "{}: the agent ended after {}.{:03} s{cost}{dropped}{discarded}",
                data.unit,
                data.duration_ms / 1000,
                data.duration_ms % 1000
            ));
            if details && let Some(words) = last_words(data, store) {
                let _ = writeln!(text, "         its last words: {words}");
            }
        }
        Event::AttemptFailed(data) => {
            say(format!("{}: failed ({}): {}", data.unit, class(data.class), data.message));
            if details {
                failure(text, data, store);
            }
        }
        Event::AttemptLost { unit, charged_micro_usd, .. } => say(format!(
            "{unit}: the attempt was interrupted; ${}.{:04} is charged",
            charged_micro_usd / 1_000_000,
            charged_micro_usd % 1_000_000 / 100
        )),
        Event::VerifyDone(data) => {
            let verdict = match data.verdict {
                Verdict::Passed => "passed",
                Verdict::Failed => "failed",
                Verdict::Errored => "could not be judged",
            };
            let from = data.cached_from.map(|seq| format!(" (ran at record {seq})")).unwrap_or_default();
            let failures = if data.failures.is_empty() {
                String::new()
            } else {
                let words = |failure: &String| match failure.strip_prefix("exit:") {
                    Some(code) => format!("exit code {code}"),
                    None => failure.clone(),
                };
                format!(": {}", data.failures.iter().map(words).collect::<Vec<_>>().join(", "))
            };
            say(format!("{}: {} {verdict}{failures}{from}", data.subject, data.verifier));
        }
        Event::UnitAccepted(data) => {
            say(format!("{}: accepted{}", data.unit, if data.empty { ", nothing to change" } else { "" }))
        }
        Event::UnitBlocked(data) => say(format!("{}: blocked: {}", data.unit, data.reason)),
        Event::LandIntent { unit, commit, .. } => say(format!("{unit}: about to land as {}", commit.short())),
        Event::Landed { unit, commit, .. } => say(format!("{unit}: landed as {}", commit.short())),
        Event::LandVoid { unit, reason, .. } => say(format!("{unit}: did not land: {reason}")),
        Event::GateReached { gate, head, .. } => {
            say(format!("gate {gate}: reached at {}, waits for a person", head.short()))
        }
        Event::GateDecided { gate, statement, signature, .. } => {
            let signed = if signature.is_some() { "" } else { ", unsigned" };
            let reason = statement.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            say(format!("gate {gate}: {} by {}{signed}{reason}", statement.decision, statement.actor.name));
        }
        Event::GatePassed { gate, head, .. } => say(format!("gate {gate}: open at {}", head.short())),
        Event::ManualDone { unit, actor, .. } => say(format!("{unit}: done by {}, unsigned", actor.name)),
        Event::Tampered { unit, what, .. } => {
            say(format!("{unit}: the repository changed while it ran: {}", what.join(", ")))
        }
        Event::JournalRepaired { bytes, moved_to } => {
            say(format!("the journal's torn end ({bytes} bytes) was moved to {moved_to}"))
        }
    }
}

/// The end of what the agent said: the result that a stream of JSON names, or the last line.
fn last_words(data: &crate::record::AttemptCaptured, store: &Store) -> Option<String> {
    let bytes = store.get_salted(&data.transcript).ok()?;
    let said = String::from_utf8_lossy(&bytes);
    let line = said.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let words = match serde_json::from_str::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(event)) => {
            event.get("result")?.as_str()?.trim().lines().last()?.to_owned()
        }
        _ => line.to_owned(),
    };
    Some(harmless(&words).chars().take(200).collect())
}

/// The class as the journal writes it.
fn class(class: FailureClass) -> String {
    serde_json::to_value(class).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn failure(text: &mut String, data: &crate::record::AttemptFailed, store: &Store) {
    if let Some(captured) = &data.captured
        && let Ok(manifest) = drive::load::<CapturedManifest>(store, captured)
    {
        for change in &manifest.patch.changes {
            let what = match (&change.before, &change.after) {
                (None, _) => "added",
                (_, None) => "deleted",
                _ => "changed",
            };
            let _ = writeln!(text, "         {what} {}", change.path.escape_debug());
        }
    }
    for evidence in &data.evidence {
        let _ = writeln!(text, "         --- {}", evidence.name);
        match store.get_salted(&evidence.blob) {
            Ok(bytes) => {
                let said = String::from_utf8_lossy(&bytes).into_owned();
                let lines: Vec<&str> = said.lines().collect();
                let skip = lines.len().saturating_sub(EVIDENCE_LINES);
                if skip > 0 {
                    let _ = writeln!(text, "         ({skip} lines before this)");
                }
                for line in &lines[skip..] {
                    let _ = writeln!(text, "         {}", harmless(line));
                }
            }
            Err(error) => drop(writeln!(text, "         (not readable: {error})")),
        }
    }
}

/// A line of a program's output that cannot steer the terminal.
fn harmless(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
