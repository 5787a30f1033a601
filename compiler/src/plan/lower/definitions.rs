//! Definitions of verifiers and agents, and the order in which reviewers stand among them.
//!
//! Does not know who uses them.

use camino::Utf8PathBuf;

use super::Lowering;
use super::command::count;
use super::paths::Negation;
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::plan::import::{Loaded, path_problem};
use crate::plan::model::*;
use crate::plan::params;
use crate::plan::read::{self, Node};
use crate::plan::values;
use crate::source::{Span, Spanned};
use crate::syntax::Entry;

impl Lowering<'_> {
    /// Reads every agent that the plan can name; they are numbered in the order of their names.
    pub(super) fn define_agents(&mut self, loaded: &Loaded) -> Vec<Agent> {
        let mut agents = Vec::new();
        for (name, place, span) in loaded.visible.agents.iter() {
            let node = place.and_then(|place| loaded.files[place.file].node(place.node));
            let index = AgentIx(agents.len() as u32);
            let agent = node.map(|node| self.agent_definition(name, node));
            // A clash cannot be: the names come from a table.
            let _ = self.agents.declare(name, agent.is_some().then_some(index), span);
            agents.extend(agent);
        }
        agents
    }

    /// Reads every verifier and reviewer that the plan can name; each kind is numbered in the order of its names.
    pub(super) fn define_verifiers(&mut self, loaded: &Loaded) {
        let mut nodes: Vec<Node> = Vec::new();
        for (name, place, span) in loaded.visible.verifiers.iter() {
            let node = place.and_then(|place| loaded.files[place.file].node(place.node));
            match node {
                // What cannot be read may have been meant as either.
                None => {
                    let _ = self.verifier_names.declare(name, None, span);
                    let _ = self.reviewer_names.declare(name, None, span);
                }
                Some(node) if node.name() == "reviewer" => {
                    let index = ReviewerIx(self.reviewers.len() as u32);
                    let reviewer = self.reviewer_definition(name, node);
                    let _ = self.reviewer_names.declare(name, Some(index), span);
                    self.reviewers.push(reviewer);
                }
                Some(node) => {
                    let index = VerifierIx(self.verifiers.len() as u32);
                    let (verifier, spans) = self.verifier_definition(name, node);
                    let _ = self.verifier_names.declare(name, Some(index), span);
                    self.verifiers.push(verifier);
                    self.param_spans.push(spans);
                    nodes.push(node);
                }
            }
        }
        // Every name is known now.
        for (at, node) in nodes.into_iter().enumerate() {
            self.verifiers[at].needs = self.needed_verifiers(node);
        }
    }

    fn needed_verifiers(&mut self, node: Node) -> Vec<Spanned<VerifierIx>> {
        let mut needs: Vec<Spanned<VerifierIx>> = Vec::new();
        for entry in node.children().filter(|child| child.name() == "needs").flat_map(Node::arguments) {
            let Some(name) = read::name(entry) else { continue };
            let Some(verifier) = self.verifier(name, entry.value_span) else { continue };
            if !needs.iter().any(|before| before.value == verifier) {
                needs.push(Spanned::new(verifier, entry.value_span));
            }
        }
        needs
    }

    fn agent_definition(&mut self, name: &str, node: Node) -> Agent {
        let via = match node.text_of("via") {
            Some("command") => Via::Command,
            Some("codex") => Via::Codex,
            Some("opencode") => Via::Opencode,
            Some("gemini") => Via::Gemini,
            _ => Via::Claude,
        };
        let run = node.child("run").map(|run| self.argv(run)).unwrap_or_default();
        if via == Via::Command && run.is_empty() && node.child("run").is_none() && !node.is_broken() {
            let found =
                Diagnostic::new("missing-argument", node.head(), format!("the agent `{name}` lacks `run`"))
                    .at("`via=command` starts a command, and there is none")
                    .help("add `run PROGRAM ARGUMENTS` to its block");
            self.report(found);
        }
        Agent {
            id: Spanned::new(name.to_owned(), id_span(node)),
            via,
            model: node.text_of("model").map(str::to_owned),
            effort: node.text_of("effort").map(str::to_owned),
            run,
            args: node
                .children()
                .filter(|child| child.name() == "args")
                .flat_map(|args| self.argv(args))
                .collect(),
            env: variables(node),
        }
    }

    /// The definition, and where each of its parameters is defined.
    fn verifier_definition(&mut self, name: &str, node: Node) -> (Verifier, Vec<Span>) {
        let taken = ("expect", "`verify NAME expect=fail` has a meaning of its own");
        let (params, spans) = params::definitions(node, taken, self.map, &mut self.diagnostics);
        let mut inputs = Vec::new();
        let mut writes = Vec::new();
        let mut known_failures: Vec<KnownFailure> = Vec::new();
        let mut retries = 0;
        let mut tools = Vec::new();
        let mut timeout = Timeout::default();
        for child in node.children() {
            match child.name() {
                "inputs" => inputs.extend(self.patterns(child, Negation::Allowed)),
                "writes" => writes.extend(self.patterns(child, Negation::Refused)),
                "known-failure" => {
                    let known = self.known_failure(child, &known_failures);
                    known_failures.extend(known);
                }
                "flaky" => retries = child.property("retries").and_then(count).unwrap_or(0),
                "tool" => tools.push(self.argv(child)),
                "timeout" => timeout = self.timeout(child),
                _ => {}
            }
        }
        let (check, command_span) = self.check(node).unzip();
        if check.is_none()
            && node.child("run").is_none()
            && node.child("shell").is_none()
            && !node.is_broken()
        {
            let found = Diagnostic::new(
                "missing-argument",
                node.head(),
                format!("the verifier `{name}` lacks a command"),
            )
            .at("`run` or `shell` is missing in its block")
            .help(format!("for example `verifier {name} {{ run cargo test; }}`"));
            self.report(found);
        }
        self.unknown_placeholders(node, &params, &spans);
        tools.retain(|tool: &Vec<String>| !tool.is_empty());
        let isolation = self.isolation(node);
        let verifier = Verifier {
            id: Spanned::new(name.to_owned(), id_span(node)),
            params,
            tier: if node.text_of("tier") == Some("broad") { Tier::Broad } else { Tier::Narrow },
            // Without a readable command there is an error, and what stands here is never run.
            check: check.unwrap_or_else(|| Check {
                command: Command::Run(vec![String::new()]),
                exit: vec![0],
                stdout: None,
            }),
            command_span,
            inputs,
            env: variables(node),
            tools,
            timeout,
            cwd: node.property("cwd").and_then(|entry| self.working_directory(node, entry)),
            needs: Vec::new(),
            writes,
            isolation,
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
            known_failures,
        };
        (verifier, spans)
    }

    fn isolation(&mut self, node: Node) -> Option<Spanned<Isolation>> {
        let entry = node.property("isolation")?;
        let isolation = match read::text(entry)? {
            "enforce" => Isolation::Enforce,
            "observe" => Isolation::Observe,
            "off" => Isolation::Off,
            _ => return None,
        };
        if isolation == Isolation::Enforce && node.child("inputs").is_none() && !node.is_broken() {
            let found = Diagnostic::new(
                "missing-argument",
                entry.span,
                "`isolation=enforce` shows a verifier its `inputs` alone, and it has none",
            )
            .at("it would see nothing")
            .help("add `inputs` with all that it reads, or leave out `isolation=`");
            self.report(found);
        }
        Some(Spanned::new(isolation, entry.span))
    }

    /// The directory that `cwd=` names.
    fn working_directory(&mut self, node: Node, entry: &Entry) -> Option<Spanned<Utf8PathBuf>> {
        let written = read::name(entry).filter(|text| !text.is_empty())?;
        let span = entry.value_span;
        match values::resolve(node.file.directory(), written) {
            Ok(path) if path.is_empty() => {
                let found = Diagnostic::new("wrong-type", span, "`cwd=` names the repository's root")
                    .at("runs there anyhow")
                    .help("leave out `cwd=`");
                self.report(found);
                None
            }
            Ok(path) => Some(Spanned::new(path.into(), span)),
            Err(problem) => {
                self.report(path_problem(problem, written, span));
                None
            }
        }
    }

    fn known_failure(&mut self, node: Node, before: &[KnownFailure]) -> Option<KnownFailure> {
        let entry = node.argument(0)?;
        let id = read::text(entry).filter(|text| !text.is_empty())?;
        if let Some(first) = before.iter().find(|known| known.id.value == id) {
            let found = Diagnostic::new(
                "duplicate-node",
                entry.value_span,
                format!("the failure `{id}` is called known twice"),
            )
            .at("once more")
            .label(first.id.span, "the first one")
            .help("keep one of the two");
            self.report(found);
            return None;
        }
        Some(KnownFailure {
            id: Spanned::new(id.to_owned(), entry.value_span),
            reason: node.text_of("reason").unwrap_or("").to_owned(),
            expires: node.property("expires").and_then(|entry| {
                let date = values::date(read::text(entry)?).ok()?;
                Some(Spanned::new(date, entry.value_span))
            }),
        })
    }

    /// `${name}` of a command must name a parameter: in `run` always (there is no shell that would know it), in
    /// `shell` when it is near to one, since the shell has variables of its own.
    fn unknown_placeholders(&mut self, node: Node, params: &[Param], spans: &[Span]) {
        for child in node.children().filter(|child| matches!(child.name(), "run" | "shell")) {
            for entry in child.arguments() {
                let Some(text) = read::text(entry) else { continue };
                for name in placeholders(text) {
                    if params.iter().any(|param| param.name == name) {
                        continue;
                    }
                    let near = did_you_mean(name, params.iter().map(|param| param.name.as_str()));
                    if child.name() == "shell" && near.is_none() {
                        continue;
                    }
                    let found = Diagnostic::new(
                        "unknown-property",
                        entry.value_span,
                        format!("`${{{name}}}` names no parameter of this verifier"),
                    )
                    .at("no such parameter");
                    let written = self.map.text(entry.value_span);
                    self.report(
                        match near.and_then(|near| params.iter().position(|param| param.name == near)) {
                            Some(at) => {
                                let near = &params[at].name;
                                let text = written.replace(&format!("${{{name}}}"), &format!("${{{near}}}"));
                                found.label(spans[at], format!("`{near}` is defined here")).replace(
                                    entry.value_span,
                                    text,
                                    format!("replace with `${{{near}}}`"),
                                    Applicability::Unsafe,
                                )
                            }
                            None => found.help(format!(
                                "declare it with `param {}`, or write `$${{` for a literal `${{`",
                                values::spell(name)
                            )),
                        },
                    );
                }
            }
        }
    }
}

/// Names in `${...}`, without those of `$${...}`.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("${").filter_map(|(at, _)| {
        let name = text[at + 2..].split_once('}')?.0;
        (!text[..at].ends_with('$') && values::id(name).is_ok()).then_some(name)
    })
}

/// Where a node's id stands.
pub(super) fn id_span(node: Node) -> Span {
    node.argument(0).map_or(node.name_span(), |entry| entry.value_span)
}

fn variables(node: Node) -> Vec<String> {
    let lists = node.children().filter(|child| child.name() == "env");
    let mut names: Vec<String> =
        lists.flat_map(Node::arguments).filter_map(read::name).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
