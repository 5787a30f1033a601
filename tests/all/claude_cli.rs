//! The pinned Claude Code CLI against the scripted model, without `loop` between them: what the adapter may rely on.
//!
//! Does not know the adapter; `claude_exec` drives it. When this fails after an update, the CLI has changed.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use loop_tests::{Lane, Model, fixture, lane};
use serde_json::{Value, json};

struct Run {
    code: Option<i32>,
    stderr: String,
    lines: Vec<Value>,
}

impl Run {
    fn result(&self) -> &Value {
        let last = self.lines.last().unwrap_or_else(|| panic!("an empty stream: {}", self.stderr));
        assert_eq!(last["type"], "result", "{last}");
        last
    }
}

fn script() -> Value {
    let write = json!([{"name": "Write", "input": {"file_path": "hello.txt", "content": "hello\n"}}]);
    let error =
        |status: u16, kind: &str| json!([{"error": {"status": status, "type": kind, "message": "scripted"}}]);
    json!({"lanes": [
        {"when": "unit edit", "turns": [{"text": "I write.", "tools": write}, {"text": "Written."}]},
        {"when": "unit limited", "turns": error(429, "rate_limit_error")},
        {"when": "unit stranger", "turns": error(401, "authentication_error")},
    ]})
}

fn claude(bin: &Path, tree: &Path, prompt: &str, mode: &str) -> Run {
    let model = Model::start(&script());
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut child = Command::new(bin.join("claude"))
        .args(["-p", "--output-format", "stream-json", "--verbose", "--permission-mode", mode])
        .current_dir(tree)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home.path())
        .env("ANTHROPIC_API_KEY", "none")
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("DISABLE_ERROR_REPORTING", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("claude starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    stdin.write_all(prompt.as_bytes()).expect("claude reads its prompt");
    drop(stdin);
    let output = child.wait_with_output().expect("claude ends");
    let stdout = String::from_utf8(output.stdout).expect("the stream is UTF-8");
    Run {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        lines: stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect(),
    }
}

/// The fields by which a result is judged; numbers and words around them may differ from run to run.
fn judged(result: &Value) -> Vec<&Value> {
    ["is_error", "subtype", "terminal_reason", "api_error_status", "api_error_type"]
        .iter()
        .map(|name| &result[name])
        .collect()
}

fn recorded(name: &str) -> Value {
    let text =
        std::fs::read_to_string(fixture("claude-streams").join(name)).expect("the fixture is readable");
    serde_json::from_str(text.lines().last().expect("the fixture has lines")).expect("a line is JSON")
}

#[test]
fn two_turns_edit_a_file() {
    let Some(bin) = lane(Lane::Claude, "claude_cli::two_turns_edit_a_file") else { return };
    let tree = tempfile::tempdir().expect("a temporary directory");
    let run = claude(&bin, tree.path(), "unit edit", "acceptEdits");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(
        std::fs::read_to_string(tree.path().join("hello.txt")).expect("the file was written"),
        "hello\n"
    );
    assert_eq!(judged(run.result()), judged(&recorded("success.jsonl")));
    assert_eq!(run.lines[0]["claude_code_version"], "2.1.329");
}

#[test]
fn a_300_kb_prompt_arrives_whole() {
    let Some(bin) = lane(Lane::Claude, "claude_cli::a_300_kb_prompt_arrives_whole") else { return };
    let tree = tempfile::tempdir().expect("a temporary directory");
    // The lane's word stands last: a prompt that was cut short finds no lane.
    let prompt = format!("{}\nunit edit", "All of this counts.\n".repeat(15_000));
    let run = claude(&bin, tree.path(), &prompt, "acceptEdits");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(tree.path().join("hello.txt").exists());
}

#[test]
fn a_refused_tool_looks_like_success() {
    let Some(bin) = lane(Lane::Claude, "claude_cli::a_refused_tool_looks_like_success") else { return };
    let tree = tempfile::tempdir().expect("a temporary directory");
    let run = claude(&bin, tree.path(), "unit edit", "dontAsk");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(!tree.path().join("hello.txt").exists());
    assert_eq!(judged(run.result()), judged(&recorded("refused.jsonl")));
    assert_eq!(run.result()["permission_denials"][0]["tool_name"], "Write");
}

#[test]
fn errors_of_the_api_are_typed_in_the_result_line() {
    let Some(bin) = lane(Lane::Claude, "claude_cli::errors_of_the_api_are_typed_in_the_result_line") else {
        return;
    };
    for (prompt, name) in [("unit limited", "rate-limited.jsonl"), ("unit stranger", "auth.jsonl")] {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let run = claude(&bin, tree.path(), prompt, "acceptEdits");
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert_eq!(judged(run.result()), judged(&recorded(name)), "{prompt}");
    }
}
