//! What of a graph is told to a [`Manifest`], field by field, and under which tag (`spec/hashing.md`).
//!
//! Does not know whether it is hashed or shown.

use std::collections::BTreeSet;

use super::manifest::Manifest;
use super::node::*;

pub(super) fn walk_graph(m: &mut impl Manifest, graph: &Graph) {
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
        walk_verifier(m, verifier, Some(&verifier.timeout));
        m.end();
    }
    for agent in &graph.agents {
        m.begin(5, "agent");
        m.identity(1, &agent.id);
        m.text(2, "via", agent.via.word());
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
    for reviewer in &graph.reviewers {
        walk_reviewer(m, 8, reviewer);
    }
    m.texts(9, "shared", &graph.shared);
    for derived in &graph.derived {
        m.begin(10, "derived");
        m.texts(1, "path", &derived.paths);
        walk_command(m, 2, &derived.command);
        m.end();
    }
    m.texts(11, "discard", &graph.discard);
    walk_sandbox(m, 12, "agent-sandbox", &graph.agent_sandbox);
    walk_sandbox(m, 13, "verifier-sandbox", &graph.verifier_sandbox);
}

fn walk_reviewer(m: &mut impl Manifest, tag: u32, reviewer: &ReviewerDef) {
    m.begin(tag, "reviewer");
    m.identity(1, &reviewer.id);
    m.optional(2, "agent", reviewer.agent.as_deref());
    let blocks = match reviewer.blocks {
        Blocks::None => Some("none"),
        Blocks::Minor => Some("minor"),
        Blocks::Major => None,
        Blocks::Critical => Some("critical"),
    };
    m.optional(3, "blocks", blocks);
    m.texts(4, "prompt", &reviewer.prompt);
    m.end();
}

/// A command as two fields: the words of `run` under `tag`, the text of `shell` under the tag behind it.
fn walk_command(m: &mut impl Manifest, tag: u32, command: &Command) {
    match command {
        Command::Run(words) => m.texts(tag, "run", words),
        Command::Shell(text) => m.text(tag + 1, "shell", text),
    }
}

fn walk_sandbox(m: &mut impl Manifest, tag: u32, name: &str, sandbox: &SandboxDef) {
    m.begin(tag, name);
    let mode = match sandbox.mode {
        SandboxMode::BestEffort => None,
        SandboxMode::Required => Some("required"),
        SandboxMode::Off => Some("off"),
    };
    m.optional(1, "mode", mode);
    let network = sandbox.network.map(|network| match network {
        Network::Deny => "deny",
        Network::Hosts => "hosts",
        Network::Allow => "allow",
    });
    m.optional(2, "network", network);
    m.texts(3, "host", &sandbox.hosts);
    m.texts(4, "read", &sandbox.read);
    m.texts(5, "write", &sandbox.write);
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

pub(super) fn walk_ask(m: &mut impl Manifest, ask: &Ask) {
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
pub(super) fn walk_handoffs(m: &mut impl Manifest, ask: &Ask) {
    m.texts(10, "handoff", &ask.handoffs);
}

/// The fields of an ask that are in a unit's key as they stand; the others are there with their content.
pub(super) fn walk_ask_texts(m: &mut impl Manifest, ask: &Ask) {
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

pub(super) fn walk_check(m: &mut impl Manifest, check: &Check) {
    walk_command(m, 1, &check.command);
    for exit in &check.exit {
        m.number(3, "exit", (*exit).into());
    }
    m.optional(4, "stdout", check.stdout.as_deref());
}

pub(super) fn walk_policy(m: &mut impl Manifest, policy: &Policy) {
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
    m.flag(26, "draft", policy.draft);
    m.optional(27, "draft-file", policy.draft_file.as_deref());
    for review in &policy.review {
        walk_review(m, 31, review);
    }
    walk_limit(m, 32, "backoff-ms", policy.backoff_ms);
    m.flag(33, "from-patch", policy.from_patch);
    m.texts(34, "retry-on", &policy.retry_on);
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

fn walk_review(m: &mut impl Manifest, tag: u32, review: &Review) {
    m.begin(tag, "review");
    m.texts(1, "reviewer", &review.reviewers);
    if let Some(rounds) = review.rounds {
        m.number(2, "rounds", rounds.into());
    }
    let policy = match review.policy {
        ReviewPolicy::All => None,
        ReviewPolicy::Any => Some("any"),
        ReviewPolicy::Advisory => Some("advisory"),
    };
    m.optional(3, "policy", policy);
    m.end();
}

pub(super) fn walk_scope(m: &mut impl Manifest, scope: &Scope) {
    m.texts(1, "writes", &scope.writes);
    m.texts(2, "creates", &scope.creates);
}

/// All of a verifier. Its limits are given where they count.
fn walk_verifier(m: &mut impl Manifest, verifier: &VerifierDef, timeout: Option<&Timeout>) {
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
    if let Some(timeout) = timeout {
        walk_timeout(m, 7, timeout);
    }
    m.optional(8, "cwd", verifier.cwd.as_deref());
    m.texts(9, "needs", &verifier.needs);
    m.texts(10, "writes", &verifier.writes);
    let isolation = match verifier.isolation {
        Isolation::Off => None,
        Isolation::Enforce => Some("enforce"),
        Isolation::Observe => Some("observe"),
    };
    m.optional(11, "isolation", isolation);
    if verifier.retries != 0 {
        m.number(12, "retries", verifier.retries.into());
    }
    for known in &verifier.known_failures {
        m.begin(13, "known-failure");
        m.identity(1, &known.id);
        m.text(2, "reason", &known.reason);
        m.optional(3, "expires", known.expires.as_deref());
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

pub(super) fn walk_closure(m: &mut impl Manifest, graph: &Graph, gate: &str) {
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
        for review in &node.policy.review {
            walk_review(m, 13, review);
        }
        m.end();
    }
    let used: BTreeSet<&str> =
        nodes.iter().flat_map(|node| &node.policy.verify).map(|verify| verify.verifier.as_str()).collect();
    for verifier in graph.verifiers.iter().filter(|verifier| used.contains(verifier.id.as_str())) {
        m.begin(3, "verifier");
        walk_verifier(m, verifier, None);
        m.end();
    }
    let asked: BTreeSet<&str> = nodes
        .iter()
        .flat_map(|node| &node.policy.review)
        .flat_map(|review| &review.reviewers)
        .map(String::as_str)
        .collect();
    for reviewer in graph.reviewers.iter().filter(|reviewer| asked.contains(reviewer.id.as_str())) {
        // Who reads is no part of what was approved, as with the agents of units.
        walk_reviewer(m, 4, &ReviewerDef { agent: None, ..reviewer.clone() });
    }
}
