//! Digests and keys over meaning: which field counts, under which tag (`spec/hashing.md`).
//!
//! Does not know who asks, nor where content comes from: callers bring every entry and digest along.
//!
//! A value is walked once by a function here or in [`super::walk`] and told to a [`Manifest`]. One sink encodes for BLAKE3, another
//! writes the lines that `loop why` shows ([`super::explain`]); what is hashed and what is shown cannot differ.

use super::explain::Explanation;
use super::manifest::{Encoder, Manifest};
use super::node::*;
use super::walk::{
    walk_ask, walk_ask_texts, walk_check, walk_closure, walk_graph, walk_handoffs, walk_policy, walk_scope,
};

/// Hex BLAKE3 of the fields, in derive-key mode with the context `loop/v1/<domain>`.
fn digest(domain: &str, bytes: &[u8]) -> String {
    let context = format!("loop/v1/{domain}");
    blake3::Hasher::new_derive_key(&context).update(bytes).finalize().to_hex().to_string()
}

fn digest_of(domain: &str, walk: impl FnOnce(&mut Encoder)) -> String {
    let mut encoder = Encoder::new();
    walk(&mut encoder);
    digest(domain, encoder.bytes())
}

/// Digest of the whole graph, its own `digest` and the nodes' `ask_digest` left out.
pub fn graph_digest(graph: &Graph) -> String {
    digest_of("graph", |m| walk_graph(m, graph))
}

/// Digest of what a unit is asked.
pub fn ask_digest(ask: &Ask) -> String {
    digest_of("ask", |m| walk_ask(m, ask))
}

/// Digest of what is recorded and re-checked about a node, but never in its key.
pub fn policy_digest(policy: &Policy, scope: &Scope) -> String {
    digest_of("policy", |m| {
        m.begin(1, "policy");
        walk_policy(m, policy);
        m.end();
        m.begin(2, "scope");
        walk_scope(m, scope);
        m.end();
    })
}

/// What [`policy_digest`] is over, as lines for people.
pub fn policy_fields(policy: &Policy, scope: &Scope) -> Vec<KeyField> {
    let mut fields = Explanation::default();
    walk_policy(&mut fields, policy);
    walk_scope(&mut fields, scope);
    fields.into_fields()
}

/// Digest of what an approval of the gate stands for: asks, scopes, verifiers and approve rules of the gate and
/// of everything before it. Agents, models, limits, titles, labels and plan order are no part of it.
///
/// `gate` is the gate's id without `gate:`. An unknown gate has the closure of nothing.
pub fn closure_digest(graph: &Graph, gate: &str) -> String {
    digest_of("closure", |m| walk_closure(m, graph, gate))
}

/// Digest of the text of one section that a `ref` names, as it stands in [`Content::Section`].
pub fn section_digest(text: &str) -> String {
    digest("section", text.as_bytes())
}

/// What stands at a path in a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentEntry {
    /// Git's octal mode: `100644`.
    pub mode: String,
    /// Git's object id, lower-case hex.
    pub object: String,
}

/// What a `ref` or a rules file held on the start tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// The whole file.
    Entry(ContentEntry),
    /// One section: [`section_digest`] of its text.
    Section(String),
}

/// Everything a unit's key is over. The order of the lists does not matter: they are sorted before use.
#[derive(Clone, Debug)]
pub struct UnitKeyInputs<'a> {
    pub ask: &'a Ask,
    /// `None`: nothing there.
    pub refs: Vec<(Ref, Option<Content>)>,
    /// As [`Ask::rules`] has them.
    pub rules: Vec<(String, Option<Content>)>,
    /// Effective inputs on the start tree: what `inputs` matches, without the unit's own writes.
    pub inputs: Vec<(String, ContentEntry)>,
    /// What the needed units left, path by path; `None`: they removed it.
    pub needs: Vec<(String, Option<ContentEntry>)>,
}

/// One line of a key's explanation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyField {
    /// Such as `goal`, or `input docs/api.md`.
    pub name: String,
    /// On one line: line breaks and other control characters are written as escapes.
    pub value: String,
}

/// A key and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Hex.
    pub key: String,
    pub fields: Vec<KeyField>,
}

/// A tool that a verifier names, as it is on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tool {
    pub command: Vec<String>,
    /// What it wrote.
    pub output: String,
    /// Digest of the resolved binary.
    pub binary: String,
}

/// Everything a verdict depends on. PATH is not here: it is recorded beside the verdict, and what it leads to is
/// covered by the tools' binaries.
#[derive(Clone, Debug)]
pub struct VerifyKeyInputs<'a> {
    /// Expanded. Whether failure is expected is judged each time and not in the key.
    pub check: &'a Check,
    /// Git id of the tree under test.
    pub tree: &'a str,
    pub os: &'a str,
    pub arch: &'a str,
    /// The variables it may see; `None` is unset, which differs from empty.
    pub env: Vec<(String, Option<String>)>,
    pub tools: Vec<Tool>,
    /// Key of the prepared worktree, if the plan prepares one.
    pub prepare: Option<String>,
    /// May it reach the network?
    pub network: bool,
    /// The directory to run in, if it is not the root.
    pub cwd: Option<&'a str>,
}

/// The key of a unit: equal exactly if the same was asked about the same content.
pub fn unit_key(inputs: &UnitKeyInputs<'_>) -> Keyed {
    keyed("unit-key", |m| walk_unit_key(m, inputs))
}

/// The key of a verdict.
pub fn verify_key(inputs: &VerifyKeyInputs<'_>) -> Keyed {
    keyed("verify-key", |m| walk_verify_key(m, inputs))
}

fn keyed(domain: &str, walk: impl FnOnce(&mut (Encoder, Explanation))) -> Keyed {
    let mut sinks = (Encoder::new(), Explanation::default());
    walk(&mut sinks);
    Keyed { key: digest(domain, sinks.0.bytes()), fields: sinks.1.into_fields() }
}

fn walk_unit_key(m: &mut impl Manifest, inputs: &UnitKeyInputs<'_>) {
    walk_ask_texts(m, inputs.ask);
    for (reference, content) in sorted(&inputs.refs) {
        m.begin(6, "ref");
        m.identity(1, &reference.path);
        m.optional(2, "heading", reference.heading.as_deref());
        walk_content(m, content.as_ref());
        m.end();
    }
    for (path, content) in sorted(&inputs.rules) {
        m.begin(7, "rules");
        m.identity(1, path);
        walk_content(m, content.as_ref());
        m.end();
    }
    for (path, entry) in sorted(&inputs.inputs) {
        m.begin(8, "input");
        m.identity(1, path);
        walk_entry(m, entry);
        m.end();
    }
    for (path, entry) in sorted(&inputs.needs) {
        m.begin(9, "needs");
        m.identity(1, path);
        if let Some(entry) = entry {
            walk_entry(m, entry);
        }
        m.end();
    }
    walk_handoffs(m, inputs.ask);
}

fn walk_content(m: &mut impl Manifest, content: Option<&Content>) {
    match content {
        Some(Content::Entry(entry)) => walk_entry(m, entry),
        Some(Content::Section(digest)) => m.text(5, "section", digest),
        None => {}
    }
}

fn walk_entry(m: &mut impl Manifest, entry: &ContentEntry) {
    m.text(3, "mode", &entry.mode);
    m.text(4, "object", &entry.object);
}

fn walk_verify_key(m: &mut impl Manifest, inputs: &VerifyKeyInputs<'_>) {
    m.begin(1, "check");
    walk_check(m, inputs.check);
    m.end();
    m.text(2, "tree", inputs.tree);
    m.text(3, "os", inputs.os);
    m.text(4, "arch", inputs.arch);
    for (name, value) in sorted(&inputs.env) {
        m.begin(5, "env");
        m.identity(1, name);
        m.optional(2, "value", value.as_deref());
        m.end();
    }
    for tool in sorted(&inputs.tools) {
        m.begin(6, "tool");
        for word in &tool.command {
            m.identity(1, word);
        }
        m.text(2, "output", &tool.output);
        m.text(3, "binary", &tool.binary);
        m.end();
    }
    m.optional(7, "prepare", inputs.prepare.as_deref());
    m.flag(8, "network", inputs.network);
    m.optional(9, "cwd", inputs.cwd);
}

fn sorted<T: Ord>(items: &[T]) -> Vec<&T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort();
    sorted
}
