//! `loop doctor`: what a run needs, what is missing, and how to get it.
//!
//! Does not install anything.

use std::fmt::Write as _;

use camino::Utf8Path;
use loop_compiler::graph::{Command, Via};

use super::exec::{containment, environment};
use super::load::{Loaded, load, repository};
use super::output::{Failure, print};
use crate::fault::ExitCode;
use crate::process::resolve_program;

/// One line of the report.
struct Finding {
    good: bool,
    /// Without it a run cannot be started at all.
    needed: bool,
    what: String,
    how: String,
}

pub(super) fn run(plan: Option<&Utf8Path>) -> Result<ExitCode, Failure> {
    let environment = environment();
    let path = environment.get("PATH").and_then(|path| path.to_str()).unwrap_or_default().to_owned();
    let mut findings = vec![git(&path)];
    match repository() {
        Ok(repository) => {
            findings.push(good(format!("repository {}", repository.root())));
            match repository.resolve("HEAD") {
                Ok(Some(_)) => {}
                _ => findings.push(bad(
                    "the repository has no commits yet",
                    "make a first one: git add -A && git commit -m \"first\"",
                )),
            }
        }
        Err(Failure::Said(_, message)) => findings.push(bad(message, "")),
        Err(_) => {}
    }
    sandbox(&mut findings)?;
    // Without a plan, or with several, agents and tools are not known.
    match load(plan) {
        Ok(loaded) => tools(&loaded, &path, &mut findings),
        Err(failure) if plan.is_some() => return Err(failure),
        Err(_) => findings.push(Finding {
            good: true,
            needed: false,
            what: "no plan was looked at; name one to check its agents and tools".into(),
            how: String::new(),
        }),
    }
    let mut text = String::new();
    let mut told = std::collections::BTreeSet::new();
    for finding in &findings {
        // A verifier's command and its `tool` are often the same program.
        if !told.insert(&finding.what) {
            continue;
        }
        let mark = match (finding.good, finding.needed) {
            (true, _) => "ok",
            (false, true) => "missing",
            (false, false) => "note",
        };
        let _ = writeln!(text, "{mark:<8} {}", finding.what);
        if !finding.how.is_empty() {
            let _ = writeln!(text, "         {}", finding.how);
        }
    }
    print(&text)?;
    let complete = findings.iter().all(|finding| finding.good || !finding.needed);
    Ok(if complete { ExitCode::Complete } else { ExitCode::Environment })
}

fn good(what: impl Into<String>) -> Finding {
    Finding { good: true, needed: false, what: what.into(), how: String::new() }
}

fn bad(what: impl Into<String>, how: impl Into<String>) -> Finding {
    Finding { good: false, needed: true, what: what.into(), how: how.into() }
}

/// The git program is not used by runs; people and agents need it.
fn git(path: &str) -> Finding {
    match resolve_program("git", path) {
        Some(program) => good(format!("git: {program}")),
        None => Finding {
            good: false,
            needed: false,
            what: "git is not on the PATH; runs work without it, agents and people mostly do not".into(),
            how: "apt-get install git, or from your system's packages".into(),
        },
    }
}

fn sandbox(findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let detected = containment()?;
    if detected.containment.is_confined() {
        let version = detected.bwrap_version.clone().unwrap_or_default();
        findings.push(good(format!(
            "containment: bwrap {version}: agents and verifiers see only what they are given"
        )));
    } else {
        findings.push(Finding {
            good: false,
            needed: false,
            what: format!("containment: unconfined ({})", detected.reasons.join("; ")),
            how: "install bubblewrap (apt-get install bubblewrap): without it a change of your repository is detected, not prevented".into(),
        });
    }
    Ok(())
}

fn tools(loaded: &Loaded, path: &str, findings: &mut Vec<Finding>) {
    let root = loaded.repository.root().to_owned();
    let look = |program: &str| -> Option<String> {
        let relative = program.contains('/') && !program.starts_with('/');
        match relative {
            true => root.join(program).exists().then(|| root.join(program).into_string()),
            false => resolve_program(program, path).map(camino::Utf8PathBuf::into_string),
        }
    };
    for agent in &loaded.graph.agents {
        let program = match (agent.via, agent.run.first()) {
            (_, Some(program)) => program.as_str(),
            (Via::Command, None) => continue,
            // Each of the others is called as its program is.
            (via, None) => via.word(),
        };
        findings.push(match look(program) {
            Some(found) => good(format!("agent {}: {found}", agent.id)),
            None => {
                let how = match agent.via {
                    Via::Claude => "npm install -g @anthropic-ai/claude-code",
                    Via::Codex => "npm install -g @openai/codex",
                    Via::Opencode => "npm install -g opencode-ai",
                    Via::Gemini => "npm install -g @google/gemini-cli",
                    Via::Command => "install it, or correct `run` of the agent",
                };
                bad(format!("agent {}: `{program}` was not found", agent.id), how)
            }
        });
    }
    for verifier in &loaded.graph.verifiers {
        let run = match &verifier.check.command {
            Command::Run(words) => words.first(),
            Command::Shell(_) => None,
        };
        for program in run.into_iter().chain(verifier.tools.iter().filter_map(|tool| tool.first())) {
            findings.push(match look(program) {
                Some(found) => good(format!("verifier {}: {found}", verifier.id)),
                None => bad(
                    format!("verifier {}: `{program}` was not found", verifier.id),
                    "install it, or correct the verifier",
                ),
            });
        }
    }
}
