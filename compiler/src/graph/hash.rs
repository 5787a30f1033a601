//! Digests and keys over meaning: which field counts, under which tag (`spec/hashing.md`).
//!
//! Does not know who asks, nor where content comes from: callers bring every entry and digest along.
//!
//! A value is walked once by a function here and told to a [`Manifest`]. One sink encodes for BLAKE3, another
//! writes the lines that `loop why` shows ([`super::explain`]); what is hashed and what is shown cannot differ.

use std::collections::BTreeSet;

use super::explain::Explanation;
use super::node::*;

/// What a walk over a value says of its fields. Within a group, tags never fall.
pub trait Manifest {
    /// Opens a group: a field whose value is fields. A group that turns out empty counts as absent.
    fn begin(&mut self, tag: u32, name: &str);
    fn end(&mut self);
    /// A field by which its group differs from others of the same name, such as a path.
    fn identity(&mut self, tag: u32, value: &str);
    fn text(&mut self, tag: u32, name: &str, value: &str);

    /// A number, as decimal digits: no width to outgrow.
    fn number(&mut self, tag: u32, name: &str, value: i128) {
        self.text(tag, name, &value.to_string());
    }

    /// Encoded only when true.
    fn flag(&mut self, tag: u32, name: &str, value: bool) {
        if value {
            self.number(tag, name, 1);
        }
    }

    fn optional(&mut self, tag: u32, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(tag, name, value);
        }
    }

    /// One field an item, all under the same tag, in order.
    fn texts(&mut self, tag: u32, name: &str, values: &[String]) {
        for value in values {
            self.text(tag, name, value);
        }
    }
}

/// Writes fields as bytes: tag (u32), length (u64), both little-endian, value.
pub struct Encoder {
    /// The open groups, outermost first, and what each holds so far.
    frames: Vec<Frame>,
}

struct Frame {
    tag: u32,
    bytes: Vec<u8>,
    /// The tag written last, to hold the walk to its order.
    last: u32,
}

impl Encoder {
    pub fn new() -> Encoder {
        Encoder { frames: vec![Frame { tag: 0, bytes: Vec::new(), last: 0 }] }
    }

    /// The bytes of everything told so far.
    pub fn bytes(&self) -> &[u8] {
        &self.frames[0].bytes
    }

    fn field(&mut self, tag: u32, value: &[u8]) {
        if let Some(frame) = self.frames.last_mut() {
            debug_assert!(tag >= frame.last, "tag {tag} behind tag {}", frame.last);
            frame.last = tag;
            frame.bytes.extend_from_slice(&tag.to_le_bytes());
            frame.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            frame.bytes.extend_from_slice(value);
        }
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Manifest for Encoder {
    fn begin(&mut self, tag: u32, _name: &str) {
        self.frames.push(Frame { tag, bytes: Vec::new(), last: 0 });
    }

    fn end(&mut self) {
        debug_assert!(self.frames.len() > 1, "a group ended that never began");
        if self.frames.len() > 1
            && let Some(frame) = self.frames.pop()
            && !frame.bytes.is_empty()
        {
            self.field(frame.tag, &frame.bytes);
        }
    }

    fn identity(&mut self, tag: u32, value: &str) {
        self.field(tag, value.as_bytes());
    }

    fn text(&mut self, tag: u32, _name: &str, value: &str) {
        self.field(tag, value.as_bytes());
    }
}

impl<A: Manifest, B: Manifest> Manifest for (A, B) {
    fn begin(&mut self, tag: u32, name: &str) {
        self.0.begin(tag, name);
        self.1.begin(tag, name);
    }

    fn end(&mut self) {
        self.0.end();
        self.1.end();
    }

    fn identity(&mut self, tag: u32, value: &str) {
        self.0.identity(tag, value);
        self.1.identity(tag, value);
    }

    fn text(&mut self, tag: u32, name: &str, value: &str) {
        self.0.text(tag, name, value);
        self.1.text(tag, name, value);
    }
}

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
}

fn sorted<T: Ord>(items: &[T]) -> Vec<&T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort();
    sorted
}

fn walk_graph(m: &mut impl Manifest, graph: &Graph) {
    m.begin(1, "feature");
    m.text(1, "id", &graph.feature.id);
    m.optional(2, "title", graph.feature.title.as_deref());
    m.optional(3, "goal", graph.feature.goal.as_deref());
    m.optional(4, "base", graph.feature.base.as_deref());
    walk_limits(m, 5, "budget", &graph.feature.budget);
    walk_limits(m, 6, "project-budget", &graph.feature.project_budget);
    m.optional(7, "milestone", graph.feature.milestone.as_deref());
    m.texts(8, "label", &graph.feature.labels);
    m.end();
    for node in &graph.nodes {
        m.begin(2, "node");
        m.identity(1, &node.id);
        m.text(2, "kind", kind_word(node.kind));
        m.number(3, "index", node.index.into());
        m.text(4, "gate", &node.gate);
        m.begin(5, "ask");
        walk_ask(m, &node.ask);
        m.end();
        m.begin(6, "policy");
        walk_policy(m, &node.policy);
        m.end();
        m.begin(7, "scope");
        walk_scope(m, &node.scope);
        m.end();
        m.end();
    }
    for edge in &graph.edges {
        m.begin(3, "edge");
        m.number(1, "from", edge.from.into());
        m.number(2, "to", edge.to.into());
        m.text(3, "kind", edge_word(edge.kind));
        m.end();
    }
    for verifier in &graph.verifiers {
        m.begin(4, "verifier");
        walk_verifier(m, verifier);
        walk_timeout(m, 7, &verifier.timeout);
        m.end();
    }
    for agent in &graph.agents {
        m.begin(5, "agent");
        m.identity(1, &agent.id);
        m.text(2, "via", via_word(agent.via));
        m.texts(3, "run", &agent.run);
        m.texts(4, "args", &agent.args);
        m.texts(5, "env", &agent.env);
        m.end();
    }
    m.texts(6, "protect", &graph.protect);
    m.begin(7, "worktree");
    m.texts(1, "prepare", &graph.worktree.prepare);
    m.texts(2, "share", &graph.worktree.share);
    m.end();
}

fn kind_word(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Dispatch => "dispatch",
        NodeKind::Manual => "manual",
        NodeKind::Gate => "gate",
    }
}

fn edge_word(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Data => "data",
        EdgeKind::Order => "order",
    }
}

fn via_word(via: Via) -> &'static str {
    match via {
        Via::Command => "command",
        Via::Claude => "claude",
    }
}

fn walk_ask(m: &mut impl Manifest, ask: &Ask) {
    walk_ask_texts(m, ask);
    for reference in &ask.refs {
        m.begin(6, "ref");
        m.identity(1, &reference.path);
        m.optional(2, "heading", reference.heading.as_deref());
        m.end();
    }
    for path in &ask.rules {
        m.begin(7, "rules");
        m.identity(1, path);
        m.end();
    }
    m.texts(8, "inputs", &ask.inputs);
    walk_handoffs(m, ask);
}

/// Behind the lists, whose tags an ask and a unit key do not share.
fn walk_handoffs(m: &mut impl Manifest, ask: &Ask) {
    m.texts(10, "handoff", &ask.handoffs);
}

/// The fields of an ask that are in a unit's key as they stand; the others are there with their content.
fn walk_ask_texts(m: &mut impl Manifest, ask: &Ask) {
    m.optional(1, "goal", ask.goal.as_deref());
    m.texts(2, "prompt", &ask.prompt);
    for criterion in &ask.criteria {
        walk_criterion(m, 3, criterion);
    }
    m.texts(4, "constraint", &ask.constraints);
    m.texts(5, "step", &ask.steps);
}

fn walk_criterion(m: &mut impl Manifest, tag: u32, criterion: &AskCriterion) {
    m.begin(tag, "accept");
    m.text(1, "text", &criterion.text);
    for predicate in &criterion.predicates {
        walk_predicate(m, 2, predicate);
    }
    m.end();
}

fn walk_predicate(m: &mut impl Manifest, tag: u32, predicate: &Predicate) {
    m.begin(tag, "predicate");
    match predicate {
        Predicate::Exists(paths) => walk_paths(m, "exists", paths),
        Predicate::Missing(paths) => walk_paths(m, "missing", paths),
        Predicate::Changed(paths) => walk_paths(m, "changed", paths),
        Predicate::Unchanged(paths) => walk_paths(m, "unchanged", paths),
        Predicate::Matches { path, regex } => {
            m.text(1, "kind", "matches");
            m.text(2, "path", path);
            m.text(3, "regex", regex);
        }
        Predicate::Command(check) => {
            m.text(1, "kind", "command");
            m.begin(4, "check");
            walk_check(m, check);
            m.end();
        }
    }
    m.end();
}

fn walk_paths(m: &mut impl Manifest, kind: &str, paths: &[String]) {
    m.text(1, "kind", kind);
    m.texts(2, "path", paths);
}

fn walk_check(m: &mut impl Manifest, check: &Check) {
    match &check.command {
        Command::Run(words) => m.texts(1, "run", words),
        Command::Shell(text) => m.text(2, "shell", text),
    }
    for exit in &check.exit {
        m.number(3, "exit", (*exit).into());
    }
    m.optional(4, "stdout", check.stdout.as_deref());
}

fn walk_policy(m: &mut impl Manifest, policy: &Policy) {
    m.optional(1, "title", policy.title.as_deref());
    let work_kind = Some(policy.work_kind.as_str()).filter(|kind| !kind.is_empty());
    m.optional(2, "kind", work_kind);
    m.optional(3, "agent", policy.agent.as_deref());
    m.optional(4, "model", policy.model.as_deref());
    m.optional(5, "effort", policy.effort.as_deref());
    for verify in &policy.verify {
        walk_verify(m, 6, verify);
    }
    for criterion in &policy.gate_criteria {
        walk_criterion(m, 7, criterion);
    }
    for stop in &policy.stops {
        m.begin(8, "stop");
        m.text(1, "text", &stop.text);
        m.flag(2, "at-start", stop.at_start);
        for predicate in &stop.predicates {
            walk_predicate(m, 3, predicate);
        }
        m.end();
    }
    m.texts(9, "manual", &policy.manuals);
    if policy.attempts != 0 {
        m.number(10, "attempts", policy.attempts.into());
    }
    walk_timeout(m, 11, &policy.timeout);
    walk_limits(m, 12, "budget", &policy.budget);
    m.texts(13, "label", &policy.labels);
    for skip in &policy.skip {
        m.begin(14, "skip");
        m.identity(1, &skip.verifier);
        m.text(2, "reason", &skip.reason);
        m.end();
    }
    m.flag(15, "human-approval", policy.human_approval);
    m.optional(16, "owner", policy.owner.as_deref());
    m.texts(17, "evidence", &policy.evidence);
    for show in &policy.shows {
        m.begin(18, "show");
        m.text(1, "text", &show.text);
        match &show.command {
            Command::Run(words) => m.texts(2, "run", words),
            Command::Shell(text) => m.text(3, "shell", text),
        }
        m.end();
    }
    walk_limit(m, 19, "priority", policy.priority.map(u64::from));
    walk_limit(m, 20, "estimate-ms", policy.estimate_ms);
    m.optional(21, "was", policy.was.as_deref());
    for oracle in &policy.oracles {
        walk_oracle(m, 22, oracle);
    }
    walk_bounds(m, 23, &policy.bounds);
    if let Some(repair) = &policy.repair {
        m.begin(24, "repair");
        m.number(1, "attempts", repair.attempts.into());
        walk_limit(m, 2, "micro-usd", repair.micro_usd);
        m.end();
    }
    m.optional(25, "milestone", policy.milestone.as_deref());
}

fn walk_oracle(m: &mut impl Manifest, tag: u32, oracle: &Oracle) {
    m.begin(tag, "oracle");
    m.text(1, "text", &oracle.text);
    for verify in &oracle.verify {
        walk_verify(m, 2, verify);
    }
    for predicate in &oracle.predicates {
        walk_predicate(m, 3, predicate);
    }
    m.end();
}

fn walk_bounds(m: &mut impl Manifest, tag: u32, bounds: &Bounds) {
    m.begin(tag, "bounds");
    walk_limit(m, 1, "micro-usd", bounds.micro_usd);
    walk_limit(m, 2, "attempts", bounds.attempts.map(u64::from));
    m.end();
}

fn walk_verify(m: &mut impl Manifest, tag: u32, verify: &Verify) {
    m.begin(tag, "verify");
    m.identity(1, &verify.verifier);
    m.begin(2, "check");
    walk_check(m, &verify.check);
    m.end();
    m.flag(3, "expect-fail", verify.expect_fail);
    m.end();
}

fn walk_scope(m: &mut impl Manifest, scope: &Scope) {
    m.texts(1, "writes", &scope.writes);
    m.texts(2, "creates", &scope.creates);
}

/// All of a verifier but its limits.
fn walk_verifier(m: &mut impl Manifest, verifier: &VerifierDef) {
    m.identity(1, &verifier.id);
    m.begin(2, "check");
    walk_check(m, &verifier.check);
    m.end();
    m.flag(3, "broad", verifier.broad);
    m.texts(4, "inputs", &verifier.inputs);
    m.texts(5, "env", &verifier.env);
    for tool in &verifier.tools {
        m.begin(6, "tool");
        m.texts(1, "word", tool);
        m.end();
    }
}

fn walk_timeout(m: &mut impl Manifest, tag: u32, timeout: &Timeout) {
    m.begin(tag, "timeout");
    walk_limit(m, 1, "total-ms", timeout.total_ms);
    walk_limit(m, 2, "idle-ms", timeout.idle_ms);
    m.end();
}

fn walk_limits(m: &mut impl Manifest, tag: u32, name: &str, limits: &Limits) {
    m.begin(tag, name);
    walk_limit(m, 1, "micro-usd", limits.micro_usd);
    walk_limit(m, 2, "tokens", limits.tokens);
    walk_limit(m, 3, "time-ms", limits.time_ms);
    walk_limit(m, 4, "retry-micro-usd", limits.retry_micro_usd);
    m.end();
}

fn walk_limit(m: &mut impl Manifest, tag: u32, name: &str, limit: Option<u64>) {
    if let Some(limit) = limit {
        m.number(tag, name, limit.into());
    }
}

fn walk_closure(m: &mut impl Manifest, graph: &Graph, gate: &str) {
    let topology = graph.topology();
    let Some(index) = topology.gate(gate) else { return };
    let mut nodes: Vec<&Node> = Vec::new();
    for ancestor in topology.ancestors(index) {
        nodes.push(&graph.nodes[ancestor as usize]);
    }
    nodes.push(&graph.nodes[index as usize]);
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    m.text(1, "gate", gate);
    for node in &nodes {
        m.begin(2, "node");
        m.identity(1, &node.id);
        m.text(2, "kind", kind_word(node.kind));
        m.begin(3, "ask");
        walk_ask(m, &node.ask);
        m.end();
        m.begin(4, "scope");
        walk_scope(m, &node.scope);
        m.end();
        for verify in &node.policy.verify {
            walk_verify(m, 5, verify);
        }
        for criterion in &node.policy.gate_criteria {
            walk_criterion(m, 6, criterion);
        }
        m.texts(7, "manual", &node.policy.manuals);
        m.flag(8, "human-approval", node.policy.human_approval);
        for oracle in &node.policy.oracles {
            walk_oracle(m, 9, oracle);
        }
        walk_bounds(m, 10, &node.policy.bounds);
        m.end();
    }
    let used: BTreeSet<&str> =
        nodes.iter().flat_map(|node| &node.policy.verify).map(|verify| verify.verifier.as_str()).collect();
    for verifier in graph.verifiers.iter().filter(|verifier| used.contains(verifier.id.as_str())) {
        m.begin(3, "verifier");
        walk_verifier(m, verifier);
        m.end();
    }
}
