//! What a plan says, with every name resolved and every default applied.
//!
//! Does not know how it was written, except for the spans that diagnostics point at.

use camino::Utf8PathBuf;

use super::substitute;
use crate::glob::Pattern;
use crate::source::{Date, FileId, Span, Spanned};

/// Index into [`Plan::units`]: the order in which units and manuals stand in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitIx(pub u32);

/// Index into [`Plan::gates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GateIx(pub u32);

/// Index into [`Plan::verifiers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierIx(pub u32);

/// Index into [`Plan::reviewers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReviewerIx(pub u32);

/// Index into [`Plan::agents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentIx(pub u32);

/// Index into [`Plan::requirements`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequirementIx(pub u32);

/// A feature's plan together with what `loop.kdl` says for it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub project: Option<Project>,
    /// `None` if the file has no (readable) `feature`: only the project's part is known then.
    pub feature: Option<Feature>,
    pub requirements: Vec<Requirement>,
    pub gates: Vec<Gate>,
    /// Units and manuals, in plan order.
    pub units: Vec<Unit>,
    /// Every verifier that is visible in the plan, used or not.
    pub verifiers: Vec<Verifier>,
    /// Every reviewer that is visible in the plan, used or not.
    pub reviewers: Vec<Reviewer>,
    pub agents: Vec<Agent>,
    /// `protect` of project and feature, as written.
    pub protect: Vec<Spanned<Pattern>>,
    /// Files that no unit may write because the plan is made of them: the plan, `loop.kdl`, imports, prompt files.
    pub plan_files: Vec<Utf8PathBuf>,
    /// Files to which units without an order may each add whole lines.
    pub shared: Vec<Spanned<Pattern>>,
    pub derived: Vec<Derived>,
    /// Removed before the scope of what an agent left is checked.
    pub discard: Vec<Spanned<Pattern>>,
    pub worktree: Worktree,
    pub sandbox: Sandboxes,
    pub lints: Vec<Lint>,
    pub old_names: Vec<OldName>,
    /// What the plan's own file and `loop.kdl` define and import.
    pub declared: Vec<Declared>,
    /// Parameters of templates that nothing in their template uses.
    pub unused_parameters: Vec<UnusedParameter>,
}

/// A parameter of a template of which nothing depends.
#[derive(Clone, Debug)]
pub struct UnusedParameter {
    pub template: Spanned<String>,
    pub name: Spanned<String>,
}

#[derive(Clone, Debug)]
pub struct Project {
    pub id: String,
    pub file: FileId,
    pub span: Span,
    pub base: Option<String>,
    pub budget: Budget,
}

#[derive(Clone, Debug)]
pub struct Feature {
    pub id: Spanned<String>,
    pub file: FileId,
    pub title: Option<String>,
    pub goal: Option<String>,
    pub base: Option<String>,
    pub sources: Vec<String>,
    /// What it is part of elsewhere.
    pub milestone: Option<String>,
    pub labels: Vec<String>,
    pub budget: Budget,
}

/// Files that no unit owns: a command makes them anew after patches are applied.
#[derive(Clone, Debug)]
pub struct Derived {
    pub paths: Vec<Spanned<Pattern>>,
    pub command: Command,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Requirement {
    pub id: Spanned<String>,
    pub text: String,
    pub reference: Option<Reference>,
}

#[derive(Clone, Debug)]
pub struct Gate {
    pub id: Spanned<String>,
    /// True if the feature names no gate and this one was made for it.
    pub implied: bool,
    pub title: Option<String>,
    pub goal: Option<String>,
    /// Gates named by `needs`. Empty and `needs_stated == false`: the gate before it, if any.
    pub needs: Vec<Spanned<GateIx>>,
    pub needs_stated: bool,
    pub verify: Vec<Verification>,
    pub review: Vec<Review>,
    pub accept: Vec<Criterion>,
    pub budget: Budget,
    pub approve: Approve,
    /// Its units are not written yet; `None`: they are.
    pub draft: Option<Draft>,
    /// Mends a red gate; `None`: nothing does.
    pub repair: Option<Repair>,
    pub milestone: Option<String>,
    pub labels: Vec<String>,
    pub span: Span,
}

/// `state=draft` of a gate whose units are not written yet: a run stops in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Where they will stand; `None`: in the plan itself.
    pub file: Option<Utf8PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approve {
    Human,
    /// Nobody is asked, as long as the bounds hold.
    Auto(Bounds),
}

/// How far a gate may pass without a person. Absent: no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What the gate's units may have cost together.
    pub micro_usd: Option<u64>,
    /// How many attempts each of its units may have taken.
    pub attempts: Option<u32>,
    /// Of `max-usd=`.
    pub span: Option<Span>,
}

/// `repair`: a unit that may write what the gate's units may, and runs when the merged result is red.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    pub attempts: u32,
    pub micro_usd: Option<u64>,
    pub span: Span,
}

/// A work unit, or a planned pause for a person.
#[derive(Clone, Debug)]
pub struct Unit {
    pub id: Spanned<String>,
    pub role: Role,
    pub gate: GateIx,
    /// The whole node.
    pub span: Span,
    /// Just behind the last entry of the unit's own block, for edits that add a line; `None` without a block.
    pub insert_at: Option<Span>,
    pub title: Option<String>,
    /// `kind=`; `code` if none is given.
    pub kind: String,
    pub goal: Option<Spanned<String>>,
    pub needs: Vec<Spanned<UnitIx>>,
    pub after: Vec<Spanned<UnitIx>>,
    /// In order, `!` patterns included: a path counts if the last pattern that matches it is not negated.
    pub inputs: Vec<Spanned<Pattern>>,
    pub writes: Vec<Spanned<Pattern>>,
    pub creates: Vec<Spanned<Pattern>>,
    /// `writes` stands there, be it without a path ("nothing").
    pub writes_stated: bool,
    pub refs: Vec<Reference>,
    /// Files of `rules`: project, feature and own ones.
    pub rules: Vec<Reference>,
    pub covers: Vec<Spanned<RequirementIx>>,
    pub accept: Vec<Criterion>,
    /// Defaults, `by=` and own ones put together, `skip` applied; sorted by verifier id.
    pub verify: Vec<Verification>,
    /// Likewise; no reviewer stands in two of them.
    pub review: Vec<Review>,
    pub skip: Vec<Skip>,
    pub constraints: Vec<String>,
    pub steps: Vec<Spanned<String>>,
    pub prompt: Vec<PromptPart>,
    pub shows: Vec<Show>,
    pub stops: Vec<Stop>,
    /// For the units that need this one.
    pub handoffs: Vec<String>,
    pub agent: Option<Spanned<AgentIx>>,
    pub model: Option<String>,
    pub effort: Option<String>,
    pub retry: Retry,
    pub timeout: Timeout,
    pub budget: Budget,
    pub labels: Vec<String>,
    /// Of several ready units the one with the smallest number starts first; those without one come last.
    pub priority: Option<u32>,
    pub estimate_ms: Option<u64>,
    /// The id that the unit had before.
    pub was: Option<Spanned<String>>,
    /// The unit's text has a syntax error: what is missing in it must not be reported.
    pub broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// An agent's work.
    Work,
    /// A person's: `manual`.
    Manual { owner: Option<String>, evidence: Vec<Spanned<Pattern>> },
}

/// A file to read, or one section of it: `path#Heading`.
#[derive(Clone, Debug)]
pub struct Reference {
    pub path: Utf8PathBuf,
    pub heading: Option<String>,
    pub span: Span,
}

/// An acceptance criterion: `accept TEXT`.
#[derive(Clone, Debug)]
pub struct Criterion {
    pub text: String,
    pub by: Vec<By>,
    pub predicates: Vec<Predicate>,
    /// `before=fail`, and where: what checks it was prepared beforehand and must fail before the work begins.
    pub red_before: Option<Span>,
    /// `by=` or a block is written there, even if what it names could not be resolved.
    pub check_stated: bool,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Verifier(VerifierIx),
    Reviewer(ReviewerIx),
    Manual(UnitIx),
}

/// A verifier as one unit or gate uses it.
#[derive(Clone, Debug)]
pub struct Verification {
    pub verifier: VerifierIx,
    /// Parameter values given here, by name, sorted.
    pub arguments: Vec<(String, Vec<String>)>,
    pub expect_fail: bool,
    pub span: Span,
}

/// Reviewers that judge a result together.
#[derive(Clone, Debug)]
pub struct Review {
    /// Each once, sorted; never empty.
    pub reviewers: Vec<Spanned<ReviewerIx>>,
    /// How many reviews of one unit may reject it before it is given up; `None`: as many as it has attempts.
    pub rounds: Option<u32>,
    pub policy: ReviewPolicy,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReviewPolicy {
    /// Each of them must agree.
    #[default]
    All,
    /// One that agrees is enough.
    Any,
    /// What they find is recorded and told, and stops nothing.
    Advisory,
}

#[derive(Clone, Debug)]
pub struct Skip {
    /// A verifier or a reviewer.
    pub verifier: Spanned<String>,
    pub reason: Option<String>,
}

/// What the executor can judge by itself. All of a block must hold.
#[derive(Clone, Debug)]
pub struct Predicate {
    pub kind: PredicateKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum PredicateKind {
    Exists(Vec<Pattern>),
    Missing(Vec<Pattern>),
    /// The file at the path matches the regular expression (multi-line mode: `^` and `$` match at lines).
    Matches(Utf8PathBuf, String),
    Changed(Vec<Pattern>),
    Unchanged(Vec<Pattern>),
    Command(Check),
}

/// A command and what counts as its success.
#[derive(Clone, Debug)]
pub struct Check {
    pub command: Command,
    /// Never empty; default `[0]`.
    pub exit: Vec<i32>,
    /// A regular expression that standard output must match.
    pub stdout: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Word for word; never empty.
    Run(Vec<String>),
    /// One string for `/bin/sh -c`.
    Shell(String),
}

/// Ends the unit as blocked when its predicates hold; advice to the agent if it has none.
#[derive(Clone, Debug)]
pub struct Stop {
    pub text: String,
    /// `at=start`: judged before the first attempt; otherwise after each attempt.
    pub at_start: bool,
    pub predicates: Vec<Predicate>,
    pub span: Span,
}

/// A command whose output goes into the prompt.
#[derive(Clone, Debug)]
pub struct Show {
    pub text: String,
    pub command: Command,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct PromptPart {
    pub text: String,
    /// Where the text, or the file's name, is written.
    pub span: Span,
    /// The file (and section) it came from, for provenance only: the text is what counts.
    pub file: Option<Reference>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts a unit has in all; at least 1. Default 3.
    pub attempts: u32,
    /// How long to wait between two attempts.
    pub backoff_ms: Option<u64>,
    /// An attempt after the first begins with the last one's patch, not with the start tree alone.
    pub from_patch: bool,
    /// The classes of failure that are tried again, sorted; empty: not stated.
    pub on: Vec<String>,
    /// Of the node; `None` for the default.
    pub span: Option<Span>,
}

/// Milliseconds; `None`: no limit stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeout {
    pub total_ms: Option<u64>,
    pub idle_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    pub micro_usd: Option<u64>,
    pub tokens: Option<u64>,
    pub time_ms: Option<u64>,
    /// For attempts after a unit's first.
    pub retry_micro_usd: Option<u64>,
    pub span: Option<Span>,
}

#[derive(Clone, Debug)]
pub struct Verifier {
    pub id: Spanned<String>,
    pub params: Vec<Param>,
    pub tier: Tier,
    /// `${name}` of a parameter is still in it; [`Verifier::expand`] replaces.
    pub check: Check,
    /// The `run` or `shell` node; `None` if it is missing, which is an error.
    pub command_span: Option<Span>,
    pub inputs: Vec<Spanned<Pattern>>,
    /// Names of environment variables that it may see, sorted.
    pub env: Vec<String>,
    /// Commands whose output belongs to the key.
    pub tools: Vec<Vec<String>>,
    pub timeout: Timeout,
    /// The directory to run in; `None`: the root.
    pub cwd: Option<Spanned<Utf8PathBuf>>,
    /// Verifiers that must have passed before.
    pub needs: Vec<Spanned<VerifierIx>>,
    pub writes: Vec<Spanned<Pattern>>,
    pub isolation: Option<Spanned<Isolation>>,
    /// How often it runs again before a failure is believed.
    pub retries: u32,
    pub known_failures: Vec<KnownFailure>,
}

/// How the inputs of a verifier are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// It sees its inputs and nothing else, so they alone are its key.
    Enforce,
    /// What it read is recorded, and is its key.
    Observe,
    /// It sees the whole tree, which is its key.
    Off,
}

/// A failure that is let pass, for a time.
#[derive(Clone, Debug)]
pub struct KnownFailure {
    pub id: Spanned<String>,
    pub reason: String,
    /// The last day on which it is let pass, and where that is written.
    pub expires: Option<Spanned<Date>>,
}

/// An agent's judgement of results.
#[derive(Clone, Debug)]
pub struct Reviewer {
    pub id: Spanned<String>,
    /// `None`: the agent of the unit, in a session of its own.
    pub agent: Option<Spanned<AgentIx>>,
    pub blocks: Blocks,
    /// What to look for; empty: whether the result is what the unit was asked for, and correct.
    pub prompt: Vec<PromptPart>,
}

/// The least weight of a finding that rejects a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocks {
    Never,
    Minor,
    #[default]
    Major,
    Critical,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// For each unit.
    Narrow,
    /// At gates only.
    Broad,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub kind: ParamKind,
    /// `None`: must be given.
    pub default: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Text,
    Name,
    Path,
    Glob,
    Number,
    List,
}

#[derive(Clone, Debug)]
pub struct Agent {
    pub id: Spanned<String>,
    pub via: Via,
    pub model: Option<String>,
    pub effort: Option<String>,
    /// The command; required for `via=command`, an optional other program for `via=claude`.
    pub run: Vec<String>,
    /// Further arguments, after the ones that the back end needs.
    pub args: Vec<String>,
    /// Names of environment variables that it may see, sorted.
    pub env: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Command,
    Claude,
    Codex,
    Opencode,
    Gemini,
}

impl Via {
    /// As it is written in a plan.
    pub fn word(self) -> &'static str {
        match self {
            Via::Command => "command",
            Via::Claude => "claude",
            Via::Codex => "codex",
            Via::Opencode => "opencode",
            Via::Gemini => "gemini",
        }
    }

    /// Does it say what a session cost? Only then can a budget in money be kept.
    pub fn reports_cost(self) -> bool {
        matches!(self, Via::Claude | Via::Opencode)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Worktree {
    /// Argv, once in each new worktree.
    pub prepare: Vec<String>,
    /// Ignored paths that a slot gets as a private copy of the prepared master's.
    pub share: Vec<Utf8PathBuf>,
}

/// What agents and verifiers may reach; `None`: nothing is said, and the defaults hold.
#[derive(Clone, Debug, Default)]
pub struct Sandboxes {
    pub agent: Option<Sandbox>,
    pub verifier: Option<Sandbox>,
}

#[derive(Clone, Debug)]
pub struct Sandbox {
    pub mode: Option<SandboxMode>,
    pub network: Option<Network>,
    /// With `network=hosts`: which, sorted.
    pub hosts: Vec<String>,
    /// Paths outside the worktree, sorted: absolute, or below the home directory (`~/`).
    pub read: Vec<String>,
    pub write: Vec<String>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    Required,
    BestEffort,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Deny,
    Hosts,
    Allow,
}

/// A `lint` node: how much the findings of a rule weigh, in the whole plan or in a part of it.
#[derive(Clone, Debug)]
pub struct Lint {
    pub rule: Spanned<String>,
    pub level: crate::diagnostic::Level,
    pub reason: Option<String>,
    /// The whole node.
    pub span: Span,
    /// Does it make less of the rule than what holds around it?
    pub lowers: bool,
    /// The nodes whose findings it is about; `None`: all there are.
    pub within: Option<Vec<Span>>,
    /// How far out it stands: the nearest one counts.
    pub reach: Reach,
}

/// Where a `lint` node stands, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In a unit, a manual or a verifier.
    Own,
    GateKind,
    GateDefaults,
    Gate,
    FeatureKind,
    FeatureDefaults,
    Feature,
    ProjectKind,
    ProjectDefaults,
    Project,
}

/// A setting that is written in an older way, which still works.
#[derive(Clone, Debug)]
pub struct OldName {
    /// What is written, and where.
    pub written: Spanned<String>,
    /// What to write instead.
    pub now: String,
    /// What it names: "rule".
    pub what: &'static str,
}

/// A name that a file makes known to the plan, by definition or by `import`.
#[derive(Clone, Debug)]
pub struct Declared {
    pub what: DeclaredKind,
    pub name: Spanned<String>,
    /// Where what it stands for is defined.
    pub definition: Span,
    /// Does anything in the plan or in `loop.kdl` name it?
    pub used: bool,
    /// If it is imported: the name in the `import` node, with what it is called there, and the whole node.
    pub import: Option<(Span, Span)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeclaredKind {
    Verifier,
    Reviewer,
    Agent,
    Template,
}

impl Verifier {
    /// The check with parameters replaced: `arguments` first, then defaults. A word that is exactly `${list}`
    /// becomes as many words as the list has.
    pub fn expand(&self, arguments: &[(String, Vec<String>)]) -> Check {
        let value = |name: &str| -> Option<&[String]> {
            let given = arguments.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_slice());
            given.or_else(|| self.params.iter().find(|param| param.name == name)?.default.as_deref())
        };
        let command = match &self.check.command {
            Command::Run(words) => {
                Command::Run(words.iter().flat_map(|word| substitute::word(word, &value)).collect())
            }
            Command::Shell(text) => Command::Shell(substitute::text(text, &value)),
        };
        Check { command, exit: self.check.exit.clone(), stdout: self.check.stdout.clone() }
    }
}
