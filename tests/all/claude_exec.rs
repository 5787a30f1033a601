//! `loop exec` with the real Claude Code CLI as agent, against the scripted model: what it does, and how its failures are typed.
//!
//! Does not know how the CLI talks to the model; `claude_cli` holds what may be relied on.

use std::time::{Duration, Instant};

use loop_tests::{Lane, Model, Repo, lane};
use serde_json::{Value, json};

const PLAN: &str = "greeting.loop.kdl";
const BRANCH: &str = "loop/greeting";

const PROJECT: &str = r#"project greeting base="main" {
    agent coder via=claude { env ANTHROPIC_API_KEY ANTHROPIC_BASE_URL CLAUDE_CODE_MAX_RETRIES; }
    agent shy via=claude {
        env ANTHROPIC_API_KEY ANTHROPIC_BASE_URL CLAUDE_CODE_MAX_RETRIES
        args "--permission-mode" "dontAsk"
    }
    defaults agent=coder {
        verify words
        retry attempts=1
        timeout total="60s"
    }
    verifier words { run grep -rqs "" "words"; }
}
"#;

/// Two units, the second on what the first left.
fn plan(agent: &str, timeout: &str) -> String {
    format!(
        r#"feature greeting {{
    goal "A greeting and its answer."
    unit hello agent={agent} {{
        goal "Write the greeting."
        creates "words/hello.txt"
        accept "there are words" by=words
        {timeout}
    }}
    unit answer {{
        needs hello
        goal "Write the answer."
        creates "words/answer.txt"
        accept "there are words" by=words
    }}
}}
"#
    )
}

fn write(path: &str, content: &str) -> Value {
    json!({"name": "Write", "input": {"file_path": path, "content": content}})
}

/// The model's part of a unit: one call of a tool, then words.
fn turns(tool: Value) -> Value {
    json!([{"text": "I write the file.", "tools": [tool]}, {"text": "All done."}])
}

fn repository(bin: std::path::PathBuf, model: &Model, plan: &str) -> Repo {
    let mut repo = Repo::new(&[("README.md", "Greetings.\n"), ("loop.kdl", PROJECT), (PLAN, plan)]);
    repo.add_path(bin);
    repo.set_env("ANTHROPIC_API_KEY", "none");
    repo.set_env("ANTHROPIC_BASE_URL", model.url());
    repo.set_env("CLAUDE_CODE_MAX_RETRIES", "1");
    repo
}

/// What `status --json` says of a unit.
fn status(repo: &Repo, unit: &str) -> Value {
    let status = repo.run_loop(&["status", PLAN, "--json"]).expect(0).json();
    let units = status["units"].as_array().unwrap_or_else(|| panic!("no units: {status}"));
    units.iter().find(|entry| entry["id"] == unit).unwrap_or_else(|| panic!("no {unit}: {status}")).clone()
}

/// The unit that hello's failure keeps from starting never calls the model.
fn assert_failed(repo: &Repo, model: &Model, class: &str) {
    assert_eq!(repo.journal().failures("hello"), [class]);
    assert_eq!(status(repo, "hello")["last_failure"]["class"], class);
    assert!(repo.git(&["branch", "--list", BRANCH]).is_empty() || repo.landed(BRANCH).is_empty());
    assert!(model.turns().iter().all(|(lane, ..)| lane.contains("hello")), "{:?}", model.turns());
    assert!(!repo.journal().dispatched().contains(&"answer".to_owned()));
}

#[test]
fn two_units_become_two_commits() {
    let Some(bin) = lane(Lane::Claude, "claude_exec::two_units_become_two_commits") else { return };
    let model = Model::start(&json!({"lanes": [
        {"when": "Work unit `hello`", "turns": turns(write("words/hello.txt", "hello\n"))},
        {"when": "Work unit `answer`", "turns": turns(json!({
            "name": "Bash", "input": {"command": "cat words/hello.txt words/hello.txt > words/answer.txt", "description": "answer"},
        }))},
    ]}));
    let repo = repository(bin, &model, &plan("coder", ""));
    let before = repo.snapshot();
    repo.run_loop(&["exec", PLAN]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["hello", "answer"]);
    assert_eq!(repo.git(&["show", &format!("{BRANCH}:words/answer.txt")]), "hello\nhello");
    assert_eq!(model.turns().len(), 4, "two turns a unit: {:?}", model.turns());

    // What it cost stands in the journal: 2000 tokens in, 100 out, and a price of its own.
    for captured in repo.journal().of("attempt.captured") {
        let usage = &captured["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["output_tokens"]),
            (&json!(2000), &json!(100)),
            "{captured}"
        );
        assert!(usage["micro_usd"].as_u64().is_some_and(|cost| cost > 0), "{captured}");
        assert!(usage["model_reported"].is_string() && usage["session"].is_string(), "{captured}");
    }
    repo.run_loop(&["exec", PLAN]).expect(0);
    assert_eq!(model.turns().len(), 4, "a second run asks nobody");
    before.assert_same(&repo.snapshot());
}

#[test]
fn a_rate_limit_is_typed() {
    let Some(bin) = lane(Lane::Claude, "claude_exec::a_rate_limit_is_typed") else { return };
    let error = json!({"status": 429, "type": "rate_limit_error", "message": "slow down"});
    let model = Model::start(&json!({"lanes": [{"when": "Work unit `hello`", "turns": [{"error": error}]}]}));
    let repo = repository(bin, &model, &plan("coder", ""));
    let run = repo.run_loop(&["exec", PLAN]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_failed(&repo, &model, "rate-limited");
}

#[test]
fn a_refused_key_is_typed() {
    let Some(bin) = lane(Lane::Claude, "claude_exec::a_refused_key_is_typed") else { return };
    let error = json!({"status": 401, "type": "authentication_error", "message": "invalid x-api-key"});
    let model = Model::start(&json!({"lanes": [{"when": "Work unit `hello`", "turns": [{"error": error}]}]}));
    let repo = repository(bin, &model, &plan("coder", ""));
    let run = repo.run_loop(&["exec", PLAN]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_failed(&repo, &model, "auth");
}

/// The CLI ends with 0 and says that all is done; the tree says that nothing is.
#[test]
fn a_refused_tool_is_no_success() {
    let Some(bin) = lane(Lane::Claude, "claude_exec::a_refused_tool_is_no_success") else { return };
    let lanes = json!({"lanes": [{"when": "Work unit `hello`", "turns": turns(write("words/hello.txt", "hello\n"))}]});
    let model = Model::start(&lanes);
    let repo = repository(bin, &model, &plan("shy", ""));
    let run = repo.run_loop(&["exec", PLAN]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_failed(&repo, &model, "empty-diff");
    assert!(run.all().contains("Write was refused"), "it names the refused tool:\n{}", run.all());
}

#[test]
fn a_run_that_is_cut_off_is_a_timeout_and_leaves_nothing() {
    let Some(bin) = lane(Lane::Claude, "claude_exec::a_run_that_is_cut_off_is_a_timeout_and_leaves_nothing")
    else {
        return;
    };
    let half =
        json!([{"tools": [write("words/hello.txt", "half\n")]}, {"delay_ms": 600_000, "text": "late"}]);
    let model = Model::start(&json!({"lanes": [{"when": "Work unit `hello`", "turns": half}]}));
    let repo = repository(bin, &model, &plan("coder", r#"timeout total="4s""#));
    let start = Instant::now();
    let run = repo.run_loop(&["exec", PLAN]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert!(start.elapsed() < Duration::from_secs(30), "4 s, the grace of 5 s, and room for a slow machine");
    assert_failed(&repo, &model, "timeout");
    assert!(model.turns().len() >= 2, "it was cut off in its second turn: {:?}", model.turns());
}
