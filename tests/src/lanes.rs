//! Lanes: tests that need a component from outside. A lane that is not installed is skipped by name; with `CI` set it fails.
//!
//! Does not know how a lane is installed: `tests/run` does that.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::workspace_root;

/// A component that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The real Claude Code CLI. The value of the lane is the directory that has `claude` in it.
    Claude,
    /// bubblewrap with unprivileged namespaces, or as root. The value of the lane is its binary.
    Bubblewrap,
    /// A validator of JSON Schema for Python and the schema of SARIF. The value of the lane is the directory of both.
    Schemas,
    /// Graphviz. The value of the lane is `dot`.
    Graphviz,
    /// npm with Node.js. The value of the lane is `npm`.
    Npm,
    /// The programs that `std/python` and `std/docs` start. The value of the lane is the directory that has them.
    Python,
    /// The Go toolchain. The value of the lane is `go`.
    Go,
}

impl Lane {
    fn name(self) -> &'static str {
        match self {
            Lane::Claude => "claude",
            Lane::Bubblewrap => "bubblewrap",
            Lane::Schemas => "schemas",
            Lane::Graphviz => "graphviz",
            Lane::Npm => "npm",
            Lane::Python => "python",
            Lane::Go => "go",
        }
    }

    fn find(self) -> Result<PathBuf, String> {
        match self {
            Lane::Claude => {
                let lanes = workspace_root().join("target/lanes");
                let bin = lanes.join("claude/node_modules/.bin");
                if bin.join("claude").is_file() {
                    return Ok(bin);
                }
                let reason = std::fs::read_to_string(lanes.join("claude.reason")).unwrap_or_default();
                Err(if reason.is_empty() {
                    "not installed; ./tests/run installs it".into()
                } else {
                    reason.trim().into()
                })
            }
            Lane::Schemas => {
                let lanes = workspace_root().join("target/lanes");
                let place = lanes.join("schemas");
                if place.join("sarif-2.1.0.json").is_file() {
                    return Ok(place);
                }
                let reason = std::fs::read_to_string(lanes.join("schemas.reason")).unwrap_or_default();
                Err(if reason.is_empty() {
                    "not installed; ./tests/run installs it".into()
                } else {
                    reason.trim().into()
                })
            }
            Lane::Graphviz => answers("dot", "-V"),
            Lane::Npm => answers("npm", "--version"),
            Lane::Go => answers("go", "version"),
            Lane::Python => {
                let bin = workspace_root().join("target/lanes/python/bin");
                if bin.join("codespell").is_file() {
                    Ok(bin)
                } else {
                    Err("not installed; ./tests/run installs it".into())
                }
            }
            Lane::Bubblewrap => {
                let tried = Command::new("bwrap")
                    .args([
                        "--unshare-user",
                        "--unshare-pid",
                        "--ro-bind",
                        "/",
                        "/",
                        "--proc",
                        "/proc",
                        "true",
                    ])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status();
                match tried {
                    Ok(status) if status.success() => Ok(PathBuf::from("bwrap")),
                    Ok(_) => Err("bwrap is there, but the system allows no namespaces".into()),
                    Err(error) => Err(format!("bwrap: {error}")),
                }
            }
        }
    }
}

/// A program of the system, if it answers.
fn answers(program: &str, argument: &str) -> Result<PathBuf, String> {
    match Command::new(program).arg(argument).output() {
        Ok(output) if output.status.success() => Ok(PathBuf::from(program)),
        Ok(_) => Err(format!("`{program} {argument}` fails")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// The place of a lane's component, or `None` when the test called `test` has to be skipped.
///
/// # Panics
/// When the component is missing and `CI` is set.
pub fn lane(lane: Lane, test: &str) -> Option<PathBuf> {
    match lane.find() {
        Ok(place) => Some(place),
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "lane {}: {reason}", lane.name());
            skipped(test, &format!("lane {}: {reason}", lane.name()));
            None
        }
    }
}

/// Names a test that cannot run here, for the totals.
pub fn skipped(test: &str, reason: &str) {
    let note = format!("{test}: {reason}\n");
    // `tests/run` counts these; a bare `cargo test` shows them with --nocapture.
    if let Some(list) = std::env::var_os("LOOP_TESTS_SKIPPED") {
        let mut list =
            OpenOptions::new().append(true).create(true).open(list).expect("the list of skipped tests opens");
        list.write_all(note.as_bytes()).expect("the list of skipped tests takes a line");
    }
    std::io::stderr().write_all(format!("skipped: {note}").as_bytes()).expect("standard error is open");
}
