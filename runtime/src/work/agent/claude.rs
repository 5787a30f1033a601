//! The Claude Code command line in print mode: its arguments, and its `stream-json` output.
//!
//! Does not know what the unit asked for. `is_error` is believed, `subtype` is not: for failed requests it says
//! "success". A stream without a `result` line is a failure, whatever the exit code.

use std::collections::BTreeMap;

use loop_compiler::graph::{AgentDef, Policy};
use serde_json::Value;

use super::{Invocation, Report};
use crate::record::FailureClass;

/// What it may need from the user's environment to reach its model.
pub(super) const CREDENTIALS: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_MAX_RETRIES",
    "CLAUDE_CODE_OAUTH_TOKEN",
];

pub(super) fn invocation(agent: &AgentDef, policy: &Policy, confined: bool) -> Invocation {
    let mut argv = if agent.run.is_empty() { vec!["claude".to_owned()] } else { agent.run.clone() };
    // Full permission only inside our own sandbox; otherwise edits are accepted and commands stay refused.
    let permission = if confined { "bypassPermissions" } else { "acceptEdits" };
    for word in ["-p", "--output-format", "stream-json", "--verbose", "--permission-mode", permission] {
        argv.push(word.to_owned());
    }
    if let Some(model) = &policy.model {
        argv.extend(["--model".to_owned(), model.clone()]);
    }
    if let Some(effort) = &policy.effort {
        argv.extend(["--effort".to_owned(), effort.clone()]);
    }
    if let Some(limit) = policy.budget.micro_usd {
        argv.extend([
            "--max-budget-usd".to_owned(),
            format!("{}.{:06}", limit / 1_000_000, limit % 1_000_000),
        ]);
    }
    argv.extend(agent.args.iter().cloned());
    let mut env: BTreeMap<String, String> = [
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_AUTOUPDATER",
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), "1".to_owned()))
    .collect();
    if confined {
        env.insert("IS_SANDBOX".to_owned(), "1".to_owned());
    }
    Invocation { argv, env }
}

/// Reads the whole stream. Unknown lines and unknown types are passed over.
pub(super) fn read(stdout: &[u8]) -> Report {
    let mut report = Report::default();
    let mut result = None;
    let mut error_class = None;
    for line in stdout.split(|byte| *byte == b'\n') {
        let Ok(Value::Object(event)) = serde_json::from_slice::<Value>(line) else { continue };
        match event.get("type").and_then(Value::as_str) {
            Some("system") if text(&event, "subtype") == Some("init") => {
                report.usage.session = text(&event, "session_id").map(str::to_owned);
                report.usage.model_reported = text(&event, "model").map(str::to_owned);
            }
            Some("assistant") => {
                if let Some(error) = text(&event, "error") {
                    error_class = Some(error.to_owned());
                }
            }
            Some("result") => result = Some(event),
            _ => {}
        }
    }
    let Some(result) = result else {
        report.failure =
            Some((FailureClass::AgentExit, "the agent's stream ended without a result line".into()));
        return report;
    };
    read_usage(&result, &mut report);
    if let Some(denials) = result.get("permission_denials").and_then(Value::as_array) {
        for denial in denials {
            let tool = denial.get("tool_name").and_then(Value::as_str).unwrap_or("a tool");
            report.notes.push(format!("{tool} was refused by the agent's own permissions"));
        }
    }
    // Absent means that we cannot tell that it went well.
    if result.get("is_error").and_then(Value::as_bool) != Some(false) {
        report.failure = Some(classify(&result, error_class.as_deref()));
    }
    report
}

/// What the model says or does in a line of the stream.
pub(super) fn shown(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event.get("type")?.as_str()? == "system" && event.get("subtype")?.as_str()? == "api_retry" {
        let status = event
            .get("error_status")
            .and_then(Value::as_u64)
            .map(|status| format!(" (HTTP {status})"))
            .unwrap_or_default();
        return Some(format!("the model's service did not answer{status}; trying again"));
    }
    let content = event.get("message")?.get("content")?.as_array()?;
    content.iter().find_map(|part| match part.get("type")?.as_str()? {
        "text" => part.get("text")?.as_str().map(str::to_owned),
        "tool_use" => {
            let name = part.get("name")?.as_str()?;
            let input = part.get("input")?;
            let about = ["file_path", "command", "pattern", "path"]
                .into_iter()
                .find_map(|key| input.get(key)?.as_str());
            Some(format!("{name} {}", about.unwrap_or_default()))
        }
        _ => None,
    })
}

fn read_usage(result: &serde_json::Map<String, Value>, report: &mut Report) {
    report.usage.micro_usd = result.get("total_cost_usd").and_then(micro_usd);
    let Some(usage) = result.get("usage") else { return };
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    report.usage.input_tokens = count("input_tokens");
    report.usage.output_tokens = count("output_tokens");
    report.usage.cache_read_tokens = count("cache_read_input_tokens");
    report.usage.cache_write_tokens = count("cache_creation_input_tokens");
}

/// Dollars as the stream writes them, to micro-dollars, rounded up: what was spent is never shown as less.
fn micro_usd(value: &Value) -> Option<u64> {
    let dollars = value.as_f64()?;
    // A tolerance well below a micro-dollar keeps 0.015 from becoming 15001.
    (dollars >= 0.0).then(|| (dollars * 1e6 - 1e-3).ceil().max(0.0) as u64)
}

fn classify(result: &serde_json::Map<String, Value>, error: Option<&str>) -> (FailureClass, String) {
    let status = result.get("api_error_status").and_then(Value::as_u64);
    let words =
        text(result, "result").or_else(|| text(result, "terminal_reason")).unwrap_or("no words given");
    let words: String = words.chars().take(300).collect();
    let subtype = text(result, "subtype").unwrap_or_default();
    let class = match (status, error, subtype) {
        (Some(401 | 403), ..) | (_, Some("authentication_failed" | "billing_error"), _) => FailureClass::Auth,
        (Some(429), ..) | (_, Some("rate_limit"), _) => FailureClass::RateLimited,
        (.., "error_max_budget_usd") => FailureClass::Budget,
        _ => FailureClass::AgentExit,
    };
    let status = status.map(|status| format!(" (HTTP {status})")).unwrap_or_default();
    (class, format!("the agent's back end failed{status}: {words}"))
}

fn text<'v>(event: &'v serde_json::Map<String, Value>, name: &str) -> Option<&'v str> {
    event.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(result: &str) -> Report {
        let init = r#"{"type":"system","subtype":"init","session_id":"s","model":"m"}"#;
        read(format!("{init}\nnoise\n{{\"type\":\"news\"}}\n{result}\n").as_bytes())
    }

    #[test]
    fn a_good_end_reports_what_it_cost() {
        let report = stream(
            r#"{"usage":{"input_tokens":10,"output_tokens":3},"total_cost_usd":0.015,"type":"result","subtype":"success","is_error":false}"#,
        );
        assert_eq!(report.failure, None);
        assert_eq!(report.usage.micro_usd, Some(15_000));
        assert_eq!(report.usage.output_tokens, Some(3));
        assert_eq!(report.usage.model_reported.as_deref(), Some("m"));
    }

    #[test]
    fn is_error_is_believed_and_subtype_is_not() {
        let class = |status: u32| {
            let line = format!(
                r#"{{"type":"result","subtype":"success","is_error":true,"api_error_status":{status},"result":"API Error"}}"#
            );
            stream(&line).failure.map(|failure| failure.0)
        };
        assert_eq!(class(401), Some(FailureClass::Auth));
        assert_eq!(class(429), Some(FailureClass::RateLimited));
        assert_eq!(class(529), Some(FailureClass::AgentExit));
    }

    #[test]
    fn a_stream_without_a_result_is_a_failure() {
        assert_eq!(stream("").failure.map(|failure| failure.0), Some(FailureClass::AgentExit));
        assert_eq!(
            stream(r#"{"type":"result"}"#).failure.map(|failure| failure.0),
            Some(FailureClass::AgentExit)
        );
    }

    #[test]
    fn cost_is_rounded_up_to_whole_micro_dollars() {
        let cost = |text: &str| micro_usd(&serde_json::from_str(text).expect("a number"));
        assert_eq!(cost("0.015"), Some(15_000));
        assert_eq!(cost("0.0000011"), Some(2));
        assert_eq!(cost("0"), Some(0));
        assert_eq!(cost("-1"), None);
    }
}
