//! Agent back ends: how one is started, and what its end and its stream say.
//!
//! Does not know whether the work is good: that is judged by effects, never by an exit code or by prose.

mod claude;

use std::collections::BTreeMap;

use loop_compiler::graph::{AgentDef, Policy, Via};
use serde::Deserialize;

use crate::process::End;
use crate::record::{FailureClass, Usage};

/// The most that is read of a report that an agent wrote.
pub const REPORT_LIMIT: u64 = 64 * 1024;

/// How to start an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub argv: Vec<String>,
    /// Variables that the back end itself needs, besides the plan's allow-list.
    pub env: BTreeMap<String, String>,
}

/// What an ended attempt says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// It failed by itself, whatever is in the tree.
    pub failure: Option<(FailureClass, String)>,
    /// It reported that the unit cannot be done.
    pub blocked: Option<String>,
    pub usage: Usage,
    /// Things worth telling a person that are no failure (refused tools).
    pub notes: Vec<String>,
}

/// The command line of `agent` for a unit with this policy. `confined`: our own sandbox is around it.
pub fn invocation(agent: &AgentDef, policy: &Policy, confined: bool) -> Invocation {
    match agent.via {
        // Before anything is paid, a run refuses what it has no back end for.
        Via::Command | Via::Codex | Via::Opencode | Via::Gemini => {
            let argv = agent.run.iter().chain(&agent.args).cloned().collect();
            // A script has no other way to know them.
            let settings = [("LOOP_MODEL", &policy.model), ("LOOP_EFFORT", &policy.effort)];
            let env =
                settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
            Invocation { argv, env: env.collect() }
        }
        Via::Claude => claude::invocation(agent, policy, confined),
    }
}

/// Names of environment variables that the back end needs from the user, besides the plan's.
pub fn credentials(agent: &AgentDef) -> &'static [&'static str] {
    match agent.via {
        Via::Command | Via::Codex | Via::Opencode | Via::Gemini => &[],
        Via::Claude => claude::CREDENTIALS,
    }
}

/// Reads the end of an attempt. Order: our own limits, the stream's terminal event, then the exit code.
pub fn read_end(agent: &AgentDef, end: &End, stdout: &[u8], stderr: &[u8], report: Option<&[u8]>) -> Report {
    let mut said = match agent.via {
        Via::Command | Via::Codex | Via::Opencode | Via::Gemini => Report::default(),
        Via::Claude => claude::read(stdout),
    };
    match end {
        End::TimedOut => {
            said.failure = Some((FailureClass::Timeout, "the agent ran longer than its total time".into()))
        }
        End::IdleTimedOut => {
            said.failure =
                Some((FailureClass::IdleTimeout, "the agent printed nothing for its idle time".into()));
        }
        End::NotFound(what) => {
            said.failure = Some((
                FailureClass::Environment,
                format!("the agent's program could not be started: {what}"),
            ));
        }
        End::Signaled(signal) => {
            said.failure
                .get_or_insert((FailureClass::AgentExit, format!("the agent was ended by signal {signal}")));
        }
        End::Exited(code) if agent.via == Via::Command && *code != 0 => {
            let tail = last_line(stderr).or_else(|| last_line(stdout)).unwrap_or_default();
            let message =
                format!("the agent exited with {code}{}{tail}", if tail.is_empty() { "" } else { ": " });
            said.failure.get_or_insert((FailureClass::AgentExit, message));
        }
        // Nobody saw its end: neither its own account nor what it left is to be believed.
        End::ShimLost => {
            let message =
                "something killed the process that watches the agent, so nobody saw its end".to_owned();
            said.failure = Some((FailureClass::AgentExit, message));
        }
        End::Exited(_) | End::Cancelled => {}
    }
    if said.failure.is_none()
        && let Some(bytes) = report
    {
        read_report(bytes, &mut said);
    }
    said
}

/// A line of the agent's output as a person may want to see it; `None` if it says nothing to people.
pub fn shown(agent: &AgentDef, line: &str) -> Option<String> {
    match agent.via {
        Via::Command | Via::Codex | Via::Opencode | Via::Gemini => Some(line.to_owned()),
        Via::Claude => claude::shown(line),
    }
}

#[derive(Deserialize)]
struct WrittenReport {
    status: String,
    reason: Option<String>,
}

/// `{"status":"done"|"blocked","reason":...}`. `done` is worth nothing; anything else is a bad report.
fn read_report(bytes: &[u8], said: &mut Report) {
    match serde_json::from_slice::<WrittenReport>(bytes) {
        Ok(report) if report.status == "done" => {}
        Ok(report) if report.status == "blocked" => {
            said.blocked = Some(report.reason.unwrap_or_else(|| "no reason given".into()));
        }
        Ok(report) => {
            let message =
                format!("the report's status is {:?}; it must be \"done\" or \"blocked\"", report.status);
            said.failure = Some((FailureClass::BadReport, message));
        }
        Err(error) => {
            said.failure =
                Some((FailureClass::BadReport, format!("the report is not the JSON asked for: {error}")))
        }
    }
}

fn last_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2000)..]).into_owned();
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    Some(line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> AgentDef {
        AgentDef { id: "a".into(), via: Via::Command, run: vec!["x".into()], args: vec![], env: vec![] }
    }

    fn end(end: &End, report: Option<&str>) -> Report {
        read_end(&command(), end, b"", b"first\nlast words\n\n", report.map(str::as_bytes))
    }

    #[test]
    fn done_means_nothing_and_blocked_is_believed() {
        assert_eq!(end(&End::Exited(0), Some(r#"{"status":"done"}"#)), Report::default());
        let blocked = end(&End::Exited(0), Some(r#"{"status":"blocked","reason":"no router"}"#));
        assert_eq!(blocked.blocked.as_deref(), Some("no router"));
    }

    #[test]
    fn a_report_of_another_form_is_a_failure() {
        for text in ["", "{}", "[1]", r#"{"status":"ok"}"#, "\u{0}"] {
            assert_eq!(
                end(&End::Exited(0), Some(text)).failure.map(|f| f.0),
                Some(FailureClass::BadReport),
                "{text}"
            );
        }
    }

    #[test]
    fn an_exit_code_carries_the_last_words() {
        let (class, message) = end(&End::Exited(3), None).failure.expect("failed");
        assert_eq!(
            (class, message.as_str()),
            (FailureClass::AgentExit, "the agent exited with 3: last words")
        );
    }

    #[test]
    fn an_end_that_nobody_saw_is_a_failure() {
        let report = end(&End::ShimLost, Some(r#"{"status":"done"}"#));
        assert_eq!(report.failure.map(|f| f.0), Some(FailureClass::AgentExit));
    }

    #[test]
    fn a_timeout_wins_over_a_report() {
        let report = end(&End::TimedOut, Some(r#"{"status":"blocked"}"#));
        assert_eq!(report.failure.map(|f| f.0), Some(FailureClass::Timeout));
        assert_eq!(report.blocked, None);
    }
}
