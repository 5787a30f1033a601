//! Starts the scripted model for one test and stops it with the test.
//!
//! Does not know what a script says.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{model_server_binary, wait_until};

/// A running scripted model.
pub struct Model {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Model {
    /// Starts a server that plays `script` (the format stands in `tests/src/bin/model_server.rs`).
    pub fn start(script: &Value) -> Model {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("script.json"), script.to_string()).expect("the script is written");
        let child = Command::new(model_server_binary())
            .arg("--script")
            .arg(at("script.json"))
            .arg("--port-file")
            .arg(at("port"))
            .arg("--log")
            .arg(at("log"))
            .arg("--watch-stdin")
            .stdin(Stdio::piped())
            .spawn()
            .expect("the model server starts");
        wait_until("the model server's port", Duration::from_secs(20), || at("port").exists());
        let text = std::fs::read_to_string(at("port")).expect("the port file is readable");
        let port = text.trim().parse().expect("the port file holds a port");
        Model { child, directory, port }
    }

    /// What `ANTHROPIC_BASE_URL` has to say.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The turns that were asked for, as (lane, turn, status), sorted: their order between agents means nothing.
    pub fn turns(&self) -> Vec<(String, u64, u64)> {
        let log = std::fs::read_to_string(self.log()).expect("the log is readable");
        let mut turns: Vec<_> = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a log line is JSON"))
            .filter(|line| line["facts"]["lane"].is_string())
            .map(|line| {
                let facts = &line["facts"];
                let lane = facts["lane"].as_str().unwrap_or_default().to_owned();
                (
                    lane,
                    facts["turn"].as_u64().unwrap_or_default(),
                    facts["status"].as_u64().unwrap_or_default(),
                )
            })
            .collect();
        turns.sort();
        turns
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
