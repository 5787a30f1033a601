//! `sandbox`: what agents and verifiers may reach outside their worktree.
//!
//! Does not know what a machine can confine.

use super::Lowering;
use crate::diagnostic::Diagnostic;
use crate::plan::model::{Network, Sandbox, SandboxMode, Sandboxes};
use crate::plan::read::{self, Node};
use crate::source::Span;
use crate::syntax::Entry;

impl Lowering<'_> {
    pub(super) fn sandbox(&mut self, node: Node, sandboxes: &mut Sandboxes) {
        let Some(whose) = node.text() else { return };
        let place = match whose {
            "agent" => &mut sandboxes.agent,
            "verifier" => &mut sandboxes.verifier,
            // Another word was reported.
            _ => return,
        };
        if let Some(first) = place {
            let found =
                Diagnostic::new("duplicate-node", node.head(), format!("`sandbox {whose}` stands twice"))
                    .at("once more")
                    .label(first.span, "the first one")
                    .help("put both into one block");
            self.report(found);
            return;
        }
        let mode = match node.text_of("mode") {
            Some("required") => Some(SandboxMode::Required),
            Some("best-effort") => Some(SandboxMode::BestEffort),
            Some("off") => Some(SandboxMode::Off),
            _ => None,
        };
        let network = match node.text_of("network") {
            Some("deny") => Some(Network::Deny),
            Some("hosts") => Some(Network::Hosts),
            Some("allow") => Some(Network::Allow),
            _ => None,
        };
        let mut sandbox = Sandbox {
            mode,
            network,
            hosts: Vec::new(),
            read: Vec::new(),
            write: Vec::new(),
            span: node.head(),
        };
        for child in node.children() {
            for entry in child.arguments() {
                match child.name() {
                    "hosts" => sandbox.hosts.extend(self.host(entry)),
                    "read" => sandbox.read.extend(self.outside(entry)),
                    "write" => sandbox.write.extend(self.outside(entry)),
                    _ => {}
                }
            }
        }
        for list in [&mut sandbox.hosts, &mut sandbox.read, &mut sandbox.write] {
            list.sort();
            list.dedup();
        }
        self.sandbox_makes_sense(node, &sandbox);
        *place = Some(sandbox);
    }

    fn sandbox_makes_sense(&mut self, node: Node, sandbox: &Sandbox) {
        if node.is_broken() {
            return;
        }
        let hosts = node.child("hosts");
        let network = node.property("network").map(|entry| entry.span);
        match (sandbox.network, hosts) {
            (Some(Network::Hosts), None) => {
                let span = network.unwrap_or(node.head());
                let found = Diagnostic::new("missing-argument", span, "`network=hosts` lists no hosts")
                    .at("which hosts?")
                    .help("add `hosts \"api.example.com\"` to its block, or write `network=deny`");
                self.report(found);
            }
            (Some(Network::Hosts), _) | (_, None) => {}
            (other, Some(hosts)) => {
                let message = match other {
                    Some(Network::Deny) => "hosts are listed, and `network=deny` lets it reach none",
                    Some(_) => "hosts are listed, and `network=allow` lets it reach all",
                    None => "hosts are listed, and `network=hosts` is missing",
                };
                let found =
                    Diagnostic::new("contradictory-settings", hosts.head(), message).at("has no effect");
                let found = match network {
                    Some(network) => found.label(network, "because of this"),
                    None => found,
                };
                self.report(found.help("write `network=hosts`, or leave out the hosts"));
            }
        }
        if sandbox.mode != Some(SandboxMode::Off) {
            return;
        }
        let denied = network.filter(|_| matches!(sandbox.network, Some(Network::Deny | Network::Hosts)));
        let path = node.children().find(|child| matches!(child.name(), "read" | "write"));
        if let Some(span) = denied.or(path.map(Node::head)) {
            let mode = node.property("mode").map_or(node.head(), |mode| mode.span);
            let found =
                Diagnostic::new("contradictory-settings", span, "without a sandbox nothing is held back")
                    .at("has no effect")
                    .label(mode, "because of this")
                    .help("leave it out, or write `mode=best-effort` or `mode=required`");
            self.report(found);
        }
    }

    /// A host's name, perhaps with `*.` in front or a port behind.
    fn host(&mut self, entry: &Entry) -> Option<String> {
        let written = read::text(entry).filter(|text| !text.is_empty())?;
        let (name, port) = match written.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (written, None),
        };
        let name = name.strip_prefix("*.").unwrap_or(name);
        let label = |label: &str| {
            let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            label.len() <= 63
                && edge(label.chars().next())
                && edge(label.chars().next_back())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let good = name.len() <= 253
            && name.split('.').all(label)
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if good {
            return Some(written.to_ascii_lowercase());
        }
        let found =
            Diagnostic::new("wrong-type", entry.value_span, format!("`{written}` is not the name of a host"))
                .at("not a host");
        let bare = written.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
        self.report(match bare.filter(|bare| !bare.is_empty()) {
            Some(bare) => found.help(format!("write the name alone, without scheme and path: \"{bare}\"")),
            None => {
                found.help("write a name like \"api.example.com\", \"*.example.com\" or \"localhost:8080\"")
            }
        });
        None
    }

    /// A path outside the repository.
    fn outside(&mut self, entry: &Entry) -> Option<String> {
        let written = read::text(entry).filter(|text| !text.is_empty())?;
        let span: Span = entry.value_span;
        let path = written.trim_end_matches('/');
        let wrong = |message: String, help: &str| {
            Diagnostic::new("wrong-type", span, message).at("cannot be opened to a sandbox").help(help)
        };
        let found = if path.is_empty() || path == "~" {
            wrong(
                format!("`{written}` is everything that there is"),
                "name the directories that are needed; opening all of them is `mode=off`",
            )
        } else if !path.starts_with('/') && !path.starts_with("~/") {
            wrong(
                format!("`{written}` does not lie outside the repository"),
                "write an absolute path, or one that begins with `~/`; the worktree itself is always there",
            )
        } else if path.split('/').any(|part| matches!(part, "." | "..")) {
            wrong(format!("`{written}` goes up and down"), "write the path without `.` and `..`")
        } else {
            return Some(path.to_owned());
        };
        self.report(found);
        None
    }
}
