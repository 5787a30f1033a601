//! The scripted model answers as the Messages API does: streams, errors, side requests, several requests on a connection.
//!
//! Does not know the CLI that talks to it in `claude_cli`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use loop_tests::Model;
use serde_json::{Value, json};

/// Sends requests over one connection, closes the sending half and returns everything that came back.
fn talk(model: &Model, requests: &[String]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", model.port())).expect("the server listens");
    for request in requests {
        stream.write_all(request.as_bytes()).expect("the server reads");
    }
    stream.shutdown(Shutdown::Write).expect("the sending half closes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is UTF-8");
    answer
}

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn ask(prompt: &str, assistant_messages: usize, stream: bool) -> String {
    let mut messages = vec![json!({"role": "user", "content": [{"type": "text", "text": prompt}]})];
    for _ in 0..assistant_messages {
        messages.push(json!({"role": "assistant", "content": "so far"}));
        messages.push(json!({"role": "user", "content": "go on"}));
    }
    let tools = json!([{"name": "Write"}]);
    post(
        "/v1/messages?beta=true",
        &json!({"model": "m", "stream": stream, "tools": tools, "messages": messages}),
    )
}

fn model() -> Model {
    Model::start(&json!({"lanes": [
        {"when": "unit a", "turns": [
            {"text": "I write.", "tools": [{"name": "Write", "input": {"file_path": "a", "content": "1"}}]},
            {"text": "Written."},
        ]},
        {"when": "unit b", "turns": [
            {"error": {"status": 429, "type": "rate_limit_error", "message": "slow down", "retry_after": 7}},
        ]},
        {"when": "unit c", "turns": [{"text": "half", "cut": true}]},
    ]}))
}

#[test]
fn a_stream_is_chunked_and_complete() {
    let model = model();
    let answer = talk(&model, &[ask("unit a", 0, true)]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("transfer-encoding: chunked"));
    let order = ["message_start", "text_delta", "input_json_delta", "message_delta", "message_stop"];
    let places: Vec<_> =
        order.iter().map(|name| answer.find(name).unwrap_or_else(|| panic!("no {name}: {answer}"))).collect();
    assert!(places.is_sorted(), "{answer}");
    assert!(answer.contains(r#""stop_reason":"tool_use""#));
    assert!(answer.ends_with("0\r\n\r\n"));
}

#[test]
fn the_turn_follows_from_the_request_alone() {
    let model = model();
    let first = talk(&model, &[ask("unit a", 0, false)]);
    assert_eq!(first, talk(&model, &[ask("unit a", 0, false)]), "a retry gets the same answer");
    assert!(talk(&model, &[ask("unit a", 1, false)]).contains("Written."));
    assert!(
        talk(&model, &[ask("unit a", 5, false)]).contains("Done."),
        "after the last turn the model is done"
    );
    let turns: Vec<u64> = model.turns().into_iter().map(|(_, turn, _)| turn).collect();
    assert_eq!(turns, [0, 0, 1, 5]);
}

#[test]
fn errors_carry_status_type_and_wait() {
    let answer = talk(&model(), &[ask("unit b", 0, true)]);
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("retry-after: 7\r\n"));
    assert!(answer.contains("rate_limit_error") && answer.contains("slow down"));
}

#[test]
fn a_cut_stream_has_no_end() {
    let answer = talk(&model(), &[ask("unit c", 0, true)]);
    assert!(answer.contains("half"));
    assert!(!answer.contains("message_stop") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[test]
fn probes_and_side_requests_share_a_connection_and_are_no_turns() {
    let model = model();
    let side = json!({"model": "m", "messages": [{"role": "user", "content": "a title for unit a"}]});
    let requests = [
        "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        post("/v1/messages/count_tokens?beta=true", &side),
        post("/v1/messages", &side),
        post("/api/event_logging/batch", &json!({})),
        "GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        ask("unit z", 0, false),
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{]}\r\n0\r\n\r\n"
            .to_owned(),
    ];
    let answer = talk(&model, &requests);
    let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    // The last two: no lane for the prompt, and a body that is no JSON.
    assert_eq!(statuses, ["200", "200", "200", "200", "404", "400", "400"], "{answer}");
    assert_eq!(model.turns(), []);
}
