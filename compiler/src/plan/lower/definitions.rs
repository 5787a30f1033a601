//! Definitions of verifiers and agents.
//!
//! Does not know who uses them.

use super::Lowering;
use super::paths::Negation;
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::plan::import::Loaded;
use crate::plan::model::*;
use crate::plan::params;
use crate::plan::read::{self, Node};
use crate::plan::values;
use crate::source::{Span, Spanned};

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

    /// Reads every verifier that the plan can name; they are numbered in the order of their names.
    pub(super) fn define_verifiers(&mut self, loaded: &Loaded) {
        for (name, place, span) in loaded.visible.verifiers.iter() {
            let node = place.and_then(|place| loaded.files[place.file].node(place.node));
            let index = VerifierIx(self.verifiers.len() as u32);
            let definition = node.map(|node| self.verifier_definition(name, node));
            let _ = self.verifier_names.declare(name, definition.is_some().then_some(index), span);
            if let Some((verifier, spans)) = definition {
                self.verifiers.push(verifier);
                self.param_spans.push(spans);
            }
        }
    }

    fn agent_definition(&mut self, name: &str, node: Node) -> Agent {
        let via = match node.text_of("via") {
            Some("command") => Via::Command,
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
        let mut tools = Vec::new();
        let mut timeout = Timeout::default();
        for child in node.children() {
            match child.name() {
                "inputs" => inputs.extend(self.patterns(child, Negation::Allowed)),
                "tool" => tools.push(self.argv(child)),
                "timeout" => timeout = self.timeout(child),
                _ => {}
            }
        }
        let check = self.check(node).map(|(check, _)| check);
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
            inputs,
            env: variables(node),
            tools,
            timeout,
        };
        (verifier, spans)
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
