//! A scripted model behind the Messages API, on 127.0.0.1, so that the real Claude Code CLI can be driven without a network.
//!
//! Does not know what the project under test is: it plays a script. What it answers depends on the request alone (the
//! prompt chooses the lane, the number of assistant messages the turn), so retries and parallel agents change nothing.
//!
//! ```text
//! model-server --script FILE [--port 0] [--port-file FILE] [--log FILE] [--watch-stdin]
//! ```
//!
//! The script is JSON, see [`Script`]. With `--watch-stdin` the server ends when its standard input closes, so that it
//! cannot outlive the test that started it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

/// A request larger than this is refused: no prompt of a test is.
const BODY_LIMIT: usize = 64 << 20;

/// What the model says in each conversation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    /// The first lane whose `when` stands in the conversation's user text answers.
    lanes: Vec<Lane>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lane {
    /// A plain part of the prompt; empty: every conversation.
    when: String,
    /// Answer number n is given to a conversation with n assistant messages; after the last one the model says it is done.
    turns: Vec<Turn>,
}

/// One answer. With `error` or `cut` the rest is not, or not wholly, sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Turn {
    /// Milliseconds of silence before the answer.
    delay_ms: u64,
    text: Option<String>,
    /// Calls of the client's tools; paths relative to its working directory do.
    tools: Vec<ToolUse>,
    error: Option<ApiError>,
    /// The connection breaks in the middle of the stream.
    cut: bool,
    /// Overrides `end_turn` and `tool_use`.
    stop_reason: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolUse {
    name: String,
    input: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiError {
    status: u16,
    #[serde(rename = "type")]
    kind: String,
    message: String,
    /// Seconds.
    retry_after: Option<u64>,
}

/// What one request asks for, as far as the script depends on it.
struct Conversation {
    user_text: String,
    /// Messages that the model has said already.
    turn: usize,
    /// A request without tools is one of the client's own (a title, a summary): it is no turn of the script.
    has_tools: bool,
    streams: bool,
    model: String,
}

struct Request {
    method: String,
    /// Without the query.
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Server {
    script: Script,
    log: Option<Mutex<File>>,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "model-server: {error}");
            ExitCode::from(2)
        }
    }
}

fn start() -> Result<(), String> {
    let mut options = BTreeMap::new();
    let mut arguments = std::env::args().skip(1);
    let mut watch_stdin = false;
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--watch-stdin" => watch_stdin = true,
            "--port" | "--port-file" | "--script" | "--log" => {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                options.insert(name, value);
            }
            _ => return Err(format!("unknown option {name}")),
        }
    }
    let script_file = options.get("--script").ok_or("--script FILE is missing")?;
    let script_text =
        std::fs::read_to_string(script_file).map_err(|error| format!("{script_file}: {error}"))?;
    let script = serde_json::from_str(&script_text).map_err(|error| format!("{script_file}: {error}"))?;
    let log = match options.get("--log") {
        Some(path) => Some(Mutex::new(File::create(path).map_err(|error| format!("{path}: {error}"))?)),
        None => None,
    };
    let port = match options.get("--port") {
        Some(port) => port.parse().map_err(|_| format!("{port} is no port"))?,
        None => 0,
    };
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| format!("bind: {error}"))?;
    let port = listener.local_addr().map_err(|error| format!("local address: {error}"))?.port();
    match options.get("--port-file") {
        Some(path) => write_whole(&PathBuf::from(path), &format!("{port}\n"))
            .map_err(|error| format!("{path}: {error}"))?,
        None => writeln!(io::stdout(), "{port}").map_err(|error| format!("stdout: {error}"))?,
    }
    if watch_stdin {
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
    }
    let server = Arc::new(Server { script, log });
    for stream in listener.incoming().flatten() {
        let server = Arc::clone(&server);
        thread::spawn(move || {
            // A client that goes away in the middle is part of the tests, no failure of the server.
            let _ = server.serve(stream);
        });
    }
    Ok(())
}

/// A reader that polls for the file never sees half of it.
fn write_whole(path: &std::path::Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, path)
}

impl Server {
    /// Answers the requests of one connection, one after the other.
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(request) = read_request(&mut reader, &mut writer)? {
            let last =
                request.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            if !self.answer(&request, &mut writer)? || last {
                break;
            }
        }
        Ok(())
    }

    /// `false`: the connection is to be closed.
    fn answer(&self, request: &Request, out: &mut impl Write) -> io::Result<bool> {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/messages") => self.answer_message(request, out),
            ("POST", "/v1/messages/count_tokens") => {
                self.note(request, &json!({"side": true}))?;
                send_json(out, 200, &[], &json!({"input_tokens": 100}))
            }
            ("HEAD" | "GET", "/") => {
                send_head(out, 200, &["content-length: 0".into()])?;
                Ok(true)
            }
            ("POST", _) => {
                self.note(request, &json!({"side": true}))?;
                send_json(out, 200, &[], &json!({}))
            }
            _ => {
                self.note(request, &json!({"side": true, "status": 404}))?;
                send_json(out, 404, &[], &error_body("not_found_error", "no such path"))
            }
        }
    }

    fn answer_message(&self, request: &Request, out: &mut impl Write) -> io::Result<bool> {
        let Some(conversation) =
            serde_json::from_slice(&request.body).ok().as_ref().and_then(Conversation::read)
        else {
            return send_json(
                out,
                400,
                &[],
                &error_body("invalid_request_error", "the body is no message request"),
            );
        };
        if !conversation.has_tools {
            self.note(request, &json!({"side": true}))?;
            let turn = Turn { text: Some("Noted.".into()), ..Turn::default() };
            return send_turn(out, &conversation, "side", &turn);
        }
        let lane = self.script.lanes.iter().position(|lane| conversation.user_text.contains(&lane.when));
        let Some(lane) = lane else {
            self.note(request, &json!({"lane": null, "status": 400}))?;
            return send_json(
                out,
                400,
                &[],
                &error_body("invalid_request_error", "the script has no lane for this prompt"),
            );
        };
        let turns = &self.script.lanes[lane].turns;
        let done = Turn { text: Some("Done.".into()), ..Turn::default() };
        let turn = turns.get(conversation.turn).unwrap_or(&done);
        let status = turn.error.as_ref().map_or(200, |error| error.status);
        self.note(
            request,
            &json!({
                "lane": self.script.lanes[lane].when, "turn": conversation.turn, "status": status,
                "model": conversation.model, "user_bytes": conversation.user_text.len(),
            }),
        )?;
        thread::sleep(Duration::from_millis(turn.delay_ms));
        if let Some(error) = &turn.error {
            let retry = error.retry_after.map(|seconds| format!("retry-after: {seconds}"));
            return send_json(out, error.status, retry.as_slice(), &error_body(&error.kind, &error.message));
        }
        send_turn(out, &conversation, &format!("{lane}_{}", conversation.turn), turn)
    }

    /// One line of the log; its order between connections means nothing.
    fn note(&self, request: &Request, facts: &Value) -> io::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let line = json!({"method": request.method, "path": request.path, "facts": facts});
        let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        writeln!(log, "{line}")?;
        log.flush()
    }
}

impl Conversation {
    fn read(body: &Value) -> Option<Conversation> {
        let messages = body["messages"].as_array()?;
        let mut user_text = String::new();
        for message in messages.iter().filter(|message| message["role"] == "user") {
            collect_text(&message["content"], &mut user_text);
        }
        Some(Conversation {
            turn: messages.iter().filter(|message| message["role"] == "assistant").count(),
            has_tools: body["tools"].as_array().is_some_and(|tools| !tools.is_empty()),
            streams: body["stream"] == true,
            model: body["model"].as_str().unwrap_or("scripted").to_owned(),
            user_text,
        })
    }
}

fn collect_text(content: &Value, into: &mut String) {
    match content {
        Value::String(text) => into.push_str(text),
        Value::Array(blocks) => {
            for text in blocks.iter().filter_map(|block| block["text"].as_str()) {
                into.push_str(text);
                into.push('\n');
            }
        }
        _ => {}
    }
}

fn error_body(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// Sends a model's answer as one body, or as server-sent events when the client asked for a stream.
fn send_turn(out: &mut impl Write, conversation: &Conversation, id: &str, turn: &Turn) -> io::Result<bool> {
    let mut blocks = Vec::new();
    if let Some(text) = &turn.text {
        blocks.push(json!({"type": "text", "text": text}));
    }
    for (index, tool) in turn.tools.iter().enumerate() {
        let id = format!("toolu_{id}_{index}");
        blocks.push(json!({"type": "tool_use", "id": id, "name": tool.name, "input": tool.input}));
    }
    let stop_reason = match &turn.stop_reason {
        Some(reason) => reason.as_str(),
        None if turn.tools.is_empty() => "end_turn",
        None => "tool_use",
    };
    let usage = json!({
        "input_tokens": 1000, "output_tokens": 50, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    });
    let mut message = json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": conversation.model,
        "content": blocks, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage,
    });
    if !conversation.streams {
        return send_json(out, 200, &[], &message);
    }
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"]["output_tokens"] = json!(1);
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in blocks.iter().enumerate() {
        let (empty, delta) = if block["type"] == "text" {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]}))
        } else {
            let mut empty = block.clone();
            empty["input"] = json!({});
            (empty, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    if turn.cut {
        events.truncate(3);
    } else {
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
        events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 50}}));
        events.push(json!({"type": "message_stop"}));
    }
    send_head(out, 200, &["content-type: text/event-stream".into(), "transfer-encoding: chunked".into()])?;
    for event in &events {
        let kind = event["type"].as_str().unwrap_or_default();
        let text = format!("event: {kind}\ndata: {event}\n\n");
        write!(out, "{:x}\r\n{text}\r\n", text.len())?;
        out.flush()?;
    }
    if !turn.cut {
        out.write_all(b"0\r\n\r\n")?;
        out.flush()?;
    }
    Ok(!turn.cut)
}

fn send_json(out: &mut impl Write, status: u16, extra: &[String], body: &Value) -> io::Result<bool> {
    let body = body.to_string();
    let mut headers =
        vec!["content-type: application/json".to_owned(), format!("content-length: {}", body.len())];
    headers.extend_from_slice(extra);
    send_head(out, status, &headers)?;
    out.write_all(body.as_bytes())?;
    out.flush()?;
    Ok(true)
}

fn send_head(out: &mut impl Write, status: u16, headers: &[String]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nrequest-id: req_scripted\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())?;
    out.flush()
}

/// `None`: the client closed the connection between two requests.
fn read_request(reader: &mut impl BufRead, writer: &mut impl Write) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(ErrorKind::InvalidData.into());
    };
    let (method, path) = (method.to_owned(), target.split('?').next().unwrap_or(target).to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = if headers.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        read_chunks(reader)?
    } else {
        let length = headers.get("content-length").map_or(Ok(0), |value| value.parse());
        read_exactly(reader, length.map_err(|_| ErrorKind::InvalidData)?)?
    };
    Ok(Some(Request { method, path, headers, body }))
}

fn read_exactly(reader: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_LIMIT {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(|_| ErrorKind::InvalidData)?;
        if body.len().saturating_add(length) > BODY_LIMIT {
            return Err(ErrorKind::InvalidData.into());
        }
        body.extend(read_exactly(reader, length)?);
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if length == 0 {
            return Ok(body);
        }
    }
}
