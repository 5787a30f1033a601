//! The graph's data, as it stands in graph JSON (`spec/graph.md`).
//!
//! Does not know how it is hashed (`hash`) or written (`encode`).
//!
//! Everything here is sorted or in plan order, and holds neither floats nor times nor absolute paths.

use serde::{Deserialize, Serialize};

/// Version of the graph JSON. A reader refuses a newer one.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    pub format_version: u32,
    /// Hex BLAKE3 over the graph's meaning; see `spec/hashing.md`.
    pub digest: String,
    pub feature: Feature,
    /// Work and manual nodes in plan order, each gate directly behind its last unit.
    pub nodes: Vec<Node>,
    /// Sorted by (from, to, kind). `from` comes first.
    pub edges: Vec<Edge>,
    /// Definitions of every verifier that a node uses, by id.
    pub verifiers: Vec<VerifierDef>,
    /// Agents that a node uses, by id.
    pub agents: Vec<AgentDef>,
    /// Patterns that no unit may write, plan files included, sorted.
    pub protect: Vec<String>,
    pub worktree: WorktreeDef,
    /// Reviewers that a node uses, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<ReviewerDef>,
    /// Patterns of files to which unordered units may each add whole lines, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Files that a command makes anew after patches are applied, by their first pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<DerivedDef>,
    /// Patterns of what is removed from every result, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discard: Vec<String>,
    #[serde(default, skip_serializing_if = "SandboxDef::is_default")]
    pub agent_sandbox: SandboxDef,
    #[serde(default, skip_serializing_if = "SandboxDef::is_default")]
    pub verifier_sandbox: SandboxDef,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// The branch to start from: the feature's, else the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The feature's budget.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub budget: Limits,
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub project_budget: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    /// Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// An agent's work unit.
    Dispatch,
    /// A person's task.
    Manual,
    /// A barrier with verification on the merged head.
    Gate,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// A unit's or manual's id; `gate:ID` for a gate.
    pub id: String,
    pub kind: NodeKind,
    /// Position in `nodes`.
    pub index: u32,
    /// The gate this node belongs to (its own id for a gate), without `gate:`.
    pub gate: String,
    /// What is asked: all that goes into the unit's key from the plan.
    pub ask: Ask,
    /// Hex BLAKE3 of `ask`.
    pub ask_digest: String,
    /// Recorded and re-checked, never in a key.
    pub policy: Policy,
    /// What it may change.
    pub scope: Scope,
}

/// What was asked of a unit. Texts in plan order; see `spec/hashing.md` for which are sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<AskCriterion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Sorted. Their content on the start tree goes into the unit key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<Ref>,
    /// Sorted paths of rules files; content likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Patterns in order, `!` kept. Only the content they match goes into the unit key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// What the needed units hand on, in plan order: it is asked of the unit that reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handoffs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskCriterion {
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<Predicate>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ref {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Predicate {
    Exists(Vec<String>),
    Missing(Vec<String>),
    Matches { path: String, regex: String },
    Changed(Vec<String>),
    Unchanged(Vec<String>),
    Command(Check),
}

/// A command, expanded, and what counts as its success.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub command: Command,
    /// Sorted, never empty.
    pub exit: Vec<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Command {
    Run(Vec<String>),
    Shell(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `code` unless stated; empty for gates.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub work_kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The unit's own, else the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Sorted by verifier and check. For a gate: the union of its units' verifiers (without parameters, without
    /// `expect=fail`), its own, and those of its criteria.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<Verify>,
    /// Criteria of a gate that are predicates; they are judged on the merged head. (A unit's stand in its ask.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gate_criteria: Vec<AskCriterion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Stop>,
    /// Ids of manuals that a criterion names by `by=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manuals: Vec<String>,
    /// Attempts in all, at least 1; 0 for gates and manuals.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Timeout::is_empty")]
    pub timeout: Timeout,
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub budget: Limits,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Verifiers that the unit lowers, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<Skip>,
    /// For gates: `true` if a person must approve.
    #[serde(default, skip_serializing_if = "is_false")]
    pub human_approval: bool,
    /// For manuals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Commands whose output goes into the prompt, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Show>,
    /// Of several ready units the one with the smallest number starts first; those without one come last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// How long it may take, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// The id that the unit had before: what is recorded under it counts for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Criteria that must fail before the work begins, as they are checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oracles: Vec<Oracle>,
    /// For gates that nobody approves: how far that goes.
    #[serde(default, skip_serializing_if = "Bounds::is_empty")]
    pub bounds: Bounds,
    /// For gates: the units are not written yet; a run stops in front of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draft: bool,
    /// Where the units of a draft will stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_file: Option<String>,
    /// For gates: what mends a red one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// For gates: what it is part of elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    /// Sorted. No reviewer stands in two of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub review: Vec<Review>,
    /// How long to wait between two attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_ms: Option<u64>,
    /// An attempt after the first begins with the patch of the last one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub from_patch: bool,
    /// Classes of failure that are tried again, sorted; none: as `spec/protocol.md` has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    pub text: String,
    pub command: Command,
}

/// A criterion whose checks were prepared beforehand: at least one of them fails on the tree before the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oracle {
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<Verify>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<Predicate>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

impl Bounds {
    pub fn is_empty(&self) -> bool {
        *self == Bounds::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    pub attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    pub verifier: String,
    pub reason: String,
}

/// One use of a verifier, its command expanded with this use's parameters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Id in `verifiers`.
    pub verifier: String,
    pub check: Check,
    #[serde(default, skip_serializing_if = "is_false")]
    pub expect_fail: bool,
}

/// Reviewers that judge a result together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Ids in `reviewers`, sorted.
    pub reviewers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    #[serde(default, skip_serializing_if = "ReviewPolicy::is_default")]
    pub policy: ReviewPolicy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewPolicy {
    #[default]
    All,
    Any,
    Advisory,
}

impl ReviewPolicy {
    fn is_default(&self) -> bool {
        *self == ReviewPolicy::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    pub text: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub at_start: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<Predicate>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeout {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
}

impl Timeout {
    pub fn is_empty(&self) -> bool {
        *self == Timeout::default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_usd: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// For attempts after a unit's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_micro_usd: Option<u64>,
}

impl Limits {
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// Patterns, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creates: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// `needs`: order, and the output is in the key.
    Data,
    /// `after`, a gate before its units, a unit before its gate.
    Order,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    pub from: u32,
    pub to: u32,
    pub kind: EdgeKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierDef {
    pub id: String,
    /// With default parameters.
    pub check: Check,
    #[serde(default, skip_serializing_if = "is_false")]
    pub broad: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Vec<String>>,
    #[serde(default, skip_serializing_if = "Timeout::is_empty")]
    pub timeout: Timeout,
    /// The directory to run in; absent: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Verifiers that must have passed before, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Patterns of what it writes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<String>,
    #[serde(default, skip_serializing_if = "Isolation::is_default")]
    pub isolation: Isolation,
    /// How often it runs again before a failure is believed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// By id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_failures: Vec<KnownFailure>,
}

/// How a verifier's inputs are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// It sees the whole tree.
    #[default]
    Off,
    /// It sees its inputs and nothing else.
    Enforce,
    /// What it read is recorded.
    Observe,
}

impl Isolation {
    fn is_default(&self) -> bool {
        *self == Isolation::default()
    }
}

/// A failure that is let pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    pub id: String,
    pub reason: String,
    /// The last day on which it is: `2027-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewerDef {
    pub id: String,
    /// Absent: the agent of the node that is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Blocks::is_default")]
    pub blocks: Blocks,
    /// Texts in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt: Vec<String>,
}

/// The least weight of a finding that rejects a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blocks {
    None,
    Minor,
    #[default]
    Major,
    Critical,
}

impl Blocks {
    fn is_default(&self) -> bool {
        *self == Blocks::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedDef {
    /// Sorted, never empty.
    pub paths: Vec<String>,
    pub command: Command,
}

/// What agents or verifiers may reach. What is absent has the default of the side it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxDef {
    #[serde(default, skip_serializing_if = "SandboxMode::is_default")]
    pub mode: SandboxMode,
    /// Absent: agents reach every host, verifiers none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Sorted: absolute, or below the home directory (`~/`), as the plan has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
}

impl SandboxDef {
    pub fn is_default(&self) -> bool {
        *self == SandboxDef::default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    #[default]
    BestEffort,
    Required,
    Off,
}

impl SandboxMode {
    fn is_default(&self) -> bool {
        *self == SandboxMode::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    Deny,
    Hosts,
    Allow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    Command,
    Claude,
    Codex,
    Opencode,
    Gemini,
}

impl Via {
    /// As it is written in plan and graph.
    pub fn word(self) -> &'static str {
        match self {
            Via::Command => "command",
            Via::Claude => "claude",
            Via::Codex => "codex",
            Via::Opencode => "opencode",
            Via::Gemini => "gemini",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentDef {
    pub id: String,
    pub via: Via,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorktreeDef {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepare: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub share: Vec<String>,
}
