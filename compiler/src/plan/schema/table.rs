//! The table itself: every node of the language. The nodes that this version does not act on are in it too, so that
//! using one is said to be too early and never "unknown".
//!
//! Does not know how the table is read.

use super::{Argument, Arguments, NodeSpec, Open, Property, Since, Type, Word};

const fn node(name: &'static str, arguments: Arguments, doc: &'static str) -> NodeSpec {
    NodeSpec {
        name,
        arguments,
        properties: &[],
        children: &[],
        many: false,
        open: Open::Closed,
        since: Since::Now,
        doc,
    }
}

impl NodeSpec {
    const fn many(mut self) -> NodeSpec {
        self.many = true;
        self
    }

    const fn properties(mut self, properties: &'static [Property]) -> NodeSpec {
        self.properties = properties;
        self
    }

    const fn children(mut self, children: &'static [&'static NodeSpec]) -> NodeSpec {
        self.children = children;
        self
    }

    const fn open(mut self, open: Open) -> NodeSpec {
        self.open = open;
        self
    }
}

const fn property(name: &'static str, ty: Type, doc: &'static str) -> Property {
    Property { name, ty, required: false, since: Since::Now, doc }
}

impl Property {
    const fn required(mut self) -> Property {
        self.required = true;
        self
    }
}

const fn word(name: &'static str) -> Word {
    Word { name, since: Since::Now }
}

const fn takes(positions: &'static [Argument], required: usize, repeats: bool) -> Arguments {
    Arguments { positions, required, repeats }
}

const fn argument(what: &'static str, ty: Type) -> Argument {
    Argument { what, ty }
}

const NONE: Arguments = takes(&[], 0, false);
const ID: Arguments = takes(&[argument("an id", Type::Id)], 1, false);
const TEXT: Arguments = takes(&[argument("a text", Type::Text)], 1, false);
const UNITS: Arguments = takes(&[argument("a unit's id", Type::Name)], 1, true);
const GATES: Arguments = takes(&[argument("a gate's id", Type::Name)], 1, true);
const VERIFIERS: Arguments = takes(&[argument("a verifier's id", Type::Name)], 1, true);
const VERIFIER: Arguments = takes(&[argument("a verifier's or reviewer's id", Type::Name)], 1, false);
const PATTERNS: Arguments = takes(&[argument("a path or pattern", Type::Glob)], 1, true);
const REFERENCES: Arguments = takes(&[argument("a path, or path#Heading", Type::Reference)], 1, true);
const COMMAND: Arguments = takes(&[argument("a program and its arguments", Type::Argv)], 1, true);
const VARIABLES: Arguments = takes(&[argument("a variable's name", Type::Variable)], 1, true);

const EFFORT: Type = Type::Word(&[word("low"), word("medium"), word("high"), word("xhigh"), word("max")]);
/// The classes of failure that another attempt can answer.
const FAILURE: Type = Type::Word(&[
    word("agent-exit"),
    word("idle-timeout"),
    word("timeout"),
    word("rate-limited"),
    word("bad-report"),
    word("out-of-scope"),
    word("empty-diff"),
    word("verify-failed"),
    word("review-rejected"),
]);
const LEVEL: Type = Type::Word(&[word("allow"), word("warn"), word("deny")]);
const PARAM_TYPE: Type =
    Type::Word(&[word("text"), word("name"), word("path"), word("glob"), word("number"), word("list")]);

// What plans and loop.kdl share.

static IMPORT: NodeSpec = node(
    "import",
    takes(&[argument("a path", Type::Text), argument("a name", Type::Name)], 1, true),
    "takes the listed verifiers and agents from another file; `local=exported` renames",
)
.many()
.open(Open::Renames);
static GOAL: NodeSpec = node("goal", TEXT, "what is true when the work is done");
static PROTECT: NodeSpec = node("protect", PATTERNS, "paths that no unit may write").many();
static RULES: NodeSpec = node(
    "rules",
    REFERENCES,
    "files that every prompt tells the agent to follow; their digests are in every key",
)
.many();
static BUDGET: NodeSpec = node("budget", NONE, "what may be spent").properties(&[
    property("usd", Type::Money, "US dollars"),
    property("tokens", Type::Count(1, u64::MAX), "tokens, in and out"),
    property("time", Type::Duration, "time of agents at work"),
    property("retry-usd", Type::Money, "US dollars for attempts after a unit's first"),
]);
static RETRY: NodeSpec = node("retry", NONE, "how often a failing unit is tried")
    .properties(&[
        property("attempts", Type::Count(1, 100), "attempts in all, the first included; default 3")
            .required(),
        property("backoff", Type::Duration, "how long to wait between attempts; default: not at all"),
        property(
            "from",
            Type::Word(&[word("scratch"), word("patch")]),
            "what an attempt after the first begins with: the start tree (default), or also the last attempt's patch",
        ),
    ])
    .children(&[&RETRY_ON]);
static RETRY_ON: NodeSpec = node(
    "on",
    takes(&[argument("a class of failure", FAILURE)], 1, true),
    "the failures that are tried again; default: all but `rate-limited`, which ends the run",
)
.many();
static TIMEOUT: NodeSpec = node("timeout", NONE, "how long one attempt may take").properties(&[
    property("total", Type::Duration, "in all"),
    property("idle", Type::Duration, "without any output"),
]);
static VERIFY: NodeSpec =
    node("verify", VERIFIERS, "what must pass on the result, with values for its parameters")
        .many()
        .open(Open::Parameters)
        .properties(&[property("expect", Type::Word(&[word("fail")]), "for tests that must be red")]);
/// A child of `verify`: a parameter with several values.
pub static PARAMETER: NodeSpec = node(
    "a parameter",
    takes(&[argument("a value", Type::Value)], 0, true),
    "the values of a list parameter",
);
static REVIEW: NodeSpec = node(
    "review",
    takes(&[argument("a reviewer's id", Type::Name)], 1, true),
    "reviewers that must agree with the result",
)
.many()
.properties(&[
    property(
        "rounds",
        Type::Count(1, 100),
        "how many reviews of a unit may reject it; default: each attempt",
    ),
    property(
        "policy",
        Type::Word(&[word("all"), word("any"), word("advisory")]),
        "all (default) or any of them must agree; advisory: what they find is told and stops nothing",
    ),
]);
static PROMPT: NodeSpec = node(
    "prompt",
    takes(&[argument("a text", Type::Text)], 0, false),
    "further words for the agent, inline or from a Markdown file",
)
.many()
.properties(&[property("file", Type::Reference, "a Markdown file, or one section of it: `path#Heading`")]);
static LINT: NodeSpec =
    node("lint", takes(&[argument("a rule", Type::Name)], 1, false), "sets a rule's level, here and below")
        .many()
        .properties(&[
            property("level", LEVEL, "allow, warn or deny").required(),
            property("reason", Type::Text, "why it is lowered"),
        ]);

// Commands and predicates.

static RUN: NodeSpec = node("run", COMMAND, "a program and its arguments, word for word; no shell");
static SHELL: NodeSpec = node("shell", TEXT, "one string for /bin/sh");
static EXIT: NodeSpec = node(
    "exit",
    takes(&[argument("an exit code", Type::Count(0, 255))], 1, true),
    "exit codes that count as success; default 0",
)
.many();
static STDOUT: NodeSpec = node(
    "stdout",
    takes(&[argument("a regular expression", Type::Regex)], 1, false),
    "what standard output must match",
);
static EXISTS: NodeSpec = node("exists", PATTERNS, "something stands at each path").many();
static MISSING: NodeSpec = node("missing", PATTERNS, "nothing stands at any of the paths").many();
static MATCHES: NodeSpec = node(
    "matches",
    takes(&[argument("a path", Type::Path), argument("a regular expression", Type::Regex)], 2, false),
    "the file's text matches",
)
.many();
static CHANGED: NodeSpec = node("changed", PATTERNS, "each path differs from the start tree").many();
static UNCHANGED: NodeSpec = node("unchanged", PATTERNS, "no path differs from the start tree").many();
const PREDICATES: &[&NodeSpec] =
    &[&EXISTS, &MISSING, &MATCHES, &CHANGED, &UNCHANGED, &RUN, &SHELL, &EXIT, &STDOUT];

static ACCEPT: NodeSpec = node("accept", TEXT, "an acceptance criterion, and what checks it")
    .many()
    .properties(&[
        property("by", Type::Name, "a verifier or reviewer (which it adds), or a manual"),
        property(
            "before",
            Type::Word(&[word("fail")]),
            "what checks it was prepared beforehand, and must fail before the work begins",
        ),
    ])
    .children(PREDICATES);
static STOP: NodeSpec =
    node("stop", TEXT, "ends the unit as blocked when its predicates hold; advice without any")
        .many()
        .properties(&[property("at", Type::Word(&[word("start")]), "judge it before the first attempt")])
        .children(PREDICATES);

// Units.

static NEEDS: NodeSpec = node("needs", UNITS, "units that come first and whose output this one uses").many();
static AFTER: NodeSpec = node("after", UNITS, "units that come first; order only").many();
static INPUTS: NodeSpec =
    node("inputs", PATTERNS, "content that makes the unit out of date; `!` excludes").many();
static WRITES: NodeSpec = node(
    "writes",
    takes(&[argument("a path or pattern", Type::Glob)], 0, true),
    "what the unit may change or delete; bare: nothing",
)
.many();
static CREATES: NodeSpec =
    node("creates", PATTERNS, "what the unit may write and must leave there, not empty").many();
static REF: NodeSpec = node("ref", REFERENCES, "a file or section to read; its digest is in the key").many();
static COVERS: NodeSpec = node(
    "covers",
    takes(&[argument("a requirement's id", Type::Name)], 1, true),
    "requirements that the unit serves",
)
.many();
static SKIP: NodeSpec = node("skip", VERIFIER, "removes a verifier or reviewer of the defaults")
    .many()
    .properties(&[property("reason", Type::Text, "why; recorded")]);
static CONSTRAINT: NodeSpec = node("constraint", TEXT, "what the work must keep to").many();
static STEP: NodeSpec = node("step", TEXT, "a step on the way").many();
static SHOW: NodeSpec =
    node("show", TEXT, "puts a command's output into the prompt").many().children(&[&RUN, &SHELL]);
static HANDOFF: NodeSpec = node("handoff", TEXT, "words for the units that need this one").many();
static LABEL: NodeSpec =
    node("label", takes(&[argument("a word", Type::Name)], 1, true), "words to find it by").many();

const AGENT_PROPERTY: Property = property("agent", Type::Name, "who does the work");
const MODEL: Property = property("model", Type::Text, "the agent's model");
const EFFORT_PROPERTY: Property = property("effort", EFFORT, "how hard the model thinks");
const TITLE: Property = property("title", Type::Text, "a short name for people");
const PRIORITY: Property =
    property("priority", Type::Count(0, 1000), "which ready unit starts first: the smallest number");
const ESTIMATE: Property = property("estimate", Type::Duration, "how long it may take; for people");
const MILESTONE: Property = property("milestone", Type::Text, "what it is part of elsewhere; for people");

static UNIT: NodeSpec = node("unit", ID, "work for one agent")
    .many()
    .properties(&[
        TITLE,
        property("kind", Type::Kind, "the kind of work, for `defaults kind=`; default code"),
        AGENT_PROPERTY,
        MODEL,
        EFFORT_PROPERTY,
        PRIORITY,
        ESTIMATE,
        property("was", Type::Name, "the unit's id before it was renamed"),
    ])
    .children(&[
        &GOAL,
        &NEEDS,
        &AFTER,
        &INPUTS,
        &WRITES,
        &CREATES,
        &REF,
        &RULES,
        &COVERS,
        &ACCEPT,
        &VERIFY,
        &REVIEW,
        &SKIP,
        &CONSTRAINT,
        &STEP,
        &PROMPT,
        &SHOW,
        &STOP,
        &HANDOFF,
        &LABEL,
        &RETRY,
        &TIMEOUT,
        &BUDGET,
        &LINT,
    ]);
static MANUAL: NodeSpec = node("manual", ID, "work for a person: a planned pause")
    .many()
    .properties(&[TITLE, property("owner", Type::Text, "who does it")])
    .children(&[&GOAL, &NEEDS, &AFTER, &REF, &COVERS, &STEP, &EVIDENCE, &LABEL, &LINT]);
static EVIDENCE: NodeSpec = node("evidence", PATTERNS, "files that the person leaves").many();
static DEFAULTS: NodeSpec =
    node("defaults", NONE, "what holds for every unit below that does not say otherwise")
        .many()
        .properties(&[
            property("kind", Type::Kind, "only for units of this kind"),
            AGENT_PROPERTY,
            MODEL,
            EFFORT_PROPERTY,
            PRIORITY,
            ESTIMATE,
        ])
        .children(&[
            &INPUTS,
            &REF,
            &RULES,
            &ACCEPT,
            &VERIFY,
            &REVIEW,
            &CONSTRAINT,
            &STEP,
            &PROMPT,
            &SHOW,
            &STOP,
            &HANDOFF,
            &LABEL,
            &RETRY,
            &TIMEOUT,
            &BUDGET,
            &LINT,
        ]);

// Gates and features.

static GATE_NEEDS: NodeSpec =
    node("needs", GATES, "gates that come first; default: the gate before this one").many();
static APPROVE: NodeSpec = node("approve", NONE, "who lets the work pass the gate").properties(&[
    property("by", Type::Word(&[word("human"), word("auto")]), "human (default) or auto").required(),
    property("max-usd", Type::Money, "with by=auto: a person is asked if the gate's units cost more"),
    property("max-attempts", Type::Count(1, 100), "with by=auto: a person is asked if a unit took more"),
]);
static REPAIR: NodeSpec = node("repair", NONE, "a unit that mends a red gate").properties(&[
    property("attempts", Type::Count(1, 100), "attempts in all"),
    property("usd", Type::Money, "US dollars"),
]);
static USE: NodeSpec =
    node("use", takes(&[argument("a template's name", Type::Name)], 1, false), "expands a template")
        .many()
        .open(Open::Parameters)
        .properties(&[property("as", Type::Id, "the expanded units are called `ID/unit`").required()]);
static GATE: NodeSpec = node("gate", ID, "a barrier: its units are verified together and approved")
    .many()
    .properties(&[
        TITLE,
        MILESTONE,
        property("state", Type::Word(&[word("draft")]), "its units are not written yet"),
        property("file", Type::Path, "the file in which its units stand, or will stand"),
    ])
    .children(GATE_CHILDREN);
static GATE_ALONE: NodeSpec = node("gate", ID, "in a file of its own: what a gate of a plan holds")
    .properties(&[TITLE, MILESTONE])
    .children(GATE_CHILDREN);
const GATE_CHILDREN: &[&NodeSpec] = &[
    &GOAL,
    &GATE_NEEDS,
    &LABEL,
    &DEFAULTS,
    &UNIT,
    &MANUAL,
    &USE,
    &ACCEPT,
    &VERIFY,
    &REVIEW,
    &BUDGET,
    &REPAIR,
    &APPROVE,
    &LINT,
];
static SOURCE: NodeSpec = node("source", TEXT, "where the wish came from").many();
static REQUIREMENT: NodeSpec = node(
    "requirement",
    takes(&[argument("an id", Type::Id), argument("a text", Type::Text)], 2, false),
    "what the feature must do; units `cover` it",
)
.many()
.properties(&[property("ref", Type::Reference, "where it is written down")]);
static SHARED: NodeSpec =
    node("shared", PATTERNS, "files to which unordered units may each add whole lines").many();
static DERIVED: NodeSpec =
    node("derived", PATTERNS, "files that a command makes anew after patches are applied")
        .many()
        .children(&[&RUN, &SHELL]);
static DISCARD: NodeSpec =
    node("discard", PATTERNS, "files that are removed before the scope is checked").many();
static FEATURE: NodeSpec = node("feature", ID, "what is to be built, as gates of units")
    .properties(&[TITLE, MILESTONE, property("base", Type::Text, "the branch to start from")])
    .children(&[
        &GOAL,
        &SOURCE,
        &LABEL,
        &REQUIREMENT,
        &PROTECT,
        &SHARED,
        &DERIVED,
        &DISCARD,
        &RULES,
        &BUDGET,
        &DEFAULTS,
        &GATE,
        &UNIT,
        &MANUAL,
        &USE,
        &LINT,
    ]);
static TEMPLATE: NodeSpec =
    node("template", ID, "units to be expanded by `use`").many().children(&[&PARAM, &UNIT, &MANUAL, &USE]);

// What loop.kdl defines.

static ARGS: NodeSpec = node(
    "args",
    takes(&[argument("an argument", Type::Argv)], 1, true),
    "further arguments, after those that the back end needs",
)
.many();
static ENV: NodeSpec = node("env", VARIABLES, "environment variables that it may see").many();
static AGENT: NodeSpec = node("agent", ID, "who can do the work of units")
    .many()
    .properties(&[
        property(
            "via",
            Type::Word(&[word("claude"), word("codex"), word("opencode"), word("gemini"), word("command")]),
            "how it is started",
        )
        .required(),
        MODEL,
        EFFORT_PROPERTY,
    ])
    .children(&[&RUN, &ARGS, &ENV]);
static REVIEWER: NodeSpec = node("reviewer", ID, "an agent that judges results")
    .many()
    .properties(&[
        property("agent", Type::Name, "who reads; default: the agent of the unit, in a session of its own"),
        property(
            "blocks",
            Type::Word(&[word("none"), word("minor"), word("major"), word("critical")]),
            "the least weight of a finding that rejects the result; default major, none: never",
        ),
    ])
    .children(&[&PROMPT]);
static PARAM: NodeSpec =
    node("param", ID, "a value that a use may give; `${name}` stands for it").many().properties(&[
        property("type", PARAM_TYPE, "text (default), name, path, glob, number or list"),
        property("default", Type::Value, "without one, each use must give it"),
    ]);
static TOOL: NodeSpec = node("tool", COMMAND, "a command whose output is part of the key").many();
static VERIFIER_NEEDS: NodeSpec =
    node("needs", VERIFIERS, "verifiers that must have passed before this one runs").many();
static VERIFIER_WRITES: NodeSpec =
    node("writes", PATTERNS, "what the verifier writes; dropped with the copy that it runs on").many();
static FLAKY: NodeSpec = node("flaky", NONE, "a failure is believed only when it comes again")
    .properties(&[property("retries", Type::Count(1, 10), "how often it may run again").required()]);
static KNOWN_FAILURE: NodeSpec = node(
    "known-failure",
    takes(&[argument("a failure's id", Type::Text)], 1, false),
    "a failure that is known",
)
.many()
.properties(&[
    property("reason", Type::Text, "why it is let pass").required(),
    property("expires", Type::Date, "the last day on which it is let pass: \"2027-01-31\""),
]);
static VERIFIER_NODE: NodeSpec = node("verifier", ID, "a command that judges a tree")
    .many()
    .properties(&[
        property(
            "tier",
            Type::Word(&[word("narrow"), word("broad")]),
            "narrow: for each unit; broad: at gates only",
        ),
        property("cwd", Type::Path, "the directory to run in; default: the repository's root"),
        property(
            "isolation",
            Type::Word(&[word("enforce"), word("observe"), word("off")]),
            "enforce: it sees its `inputs` and nothing else; observe: what it read is recorded; off (default): it sees the whole tree",
        ),
    ])
    .children(&[
        &PARAM,
        &VERIFIER_NEEDS,
        &RUN,
        &SHELL,
        &INPUTS,
        &VERIFIER_WRITES,
        &ENV,
        &TOOL,
        &TIMEOUT,
        &EXIT,
        &STDOUT,
        &FLAKY,
        &KNOWN_FAILURE,
        &LINT,
    ]);
static SANDBOX: NodeSpec = node(
    "sandbox",
    takes(&[argument("agent or verifier", Type::Word(&[word("agent"), word("verifier")]))], 1, false),
    "what agents or verifiers may reach",
)
.many()
.properties(&[
    property(
        "mode",
        Type::Word(&[word("required"), word("best-effort"), word("off")]),
        "required: nothing runs without one; best-effort (default): as far as the machine allows; off: without one",
    ),
    property(
        "network",
        Type::Word(&[word("deny"), word("hosts"), word("allow")]),
        "deny (default of verifiers), allow (default of agents), or hosts: those listed",
    ),
])
.children(&[&SANDBOX_HOSTS, &SANDBOX_READ, &SANDBOX_WRITE]);
static SANDBOX_HOSTS: NodeSpec =
    node("hosts", takes(&[argument("a host", Type::Text)], 1, true), "hosts that it may reach").many();
static SANDBOX_READ: NodeSpec =
    node("read", takes(&[argument("a path", Type::Text)], 1, true), "paths outside that it may read").many();
static SANDBOX_WRITE: NodeSpec =
    node("write", takes(&[argument("a path", Type::Text)], 1, true), "paths outside that it may write")
        .many();
static WORKTREE: NodeSpec =
    node("worktree", NONE, "how a new worktree is made ready").children(&[&PREPARE, &SHARE]);
static PREPARE: NodeSpec = node("prepare", COMMAND, "a command, once in each new worktree");
static SHARE: NodeSpec = node(
    "share",
    takes(&[argument("a path", Type::Path)], 1, true),
    "ignored paths that each worktree gets as a copy of the prepared ones",
)
.many();
static PROJECT: NodeSpec = node("project", ID, "what all plans of the repository share")
    .properties(&[property("base", Type::Text, "the branch that features start from")])
    .children(&[
        &PROTECT,
        &RULES,
        &BUDGET,
        &AGENT,
        &REVIEWER,
        &DEFAULTS,
        &SANDBOX,
        &WORKTREE,
        &VERIFIER_NODE,
        &LINT,
    ]);

/// The root of a `*.loop.kdl` file.
pub static PLAN_FILE: NodeSpec = node("a plan", NONE, "a feature's plan, or verifiers and agents to import")
    .children(&[&IMPORT, &TEMPLATE, &FEATURE, &GATE_ALONE, &VERIFIER_NODE, &AGENT, &REVIEWER]);
/// The root of `loop.kdl`.
pub static PROJECT_FILE: NodeSpec =
    node("loop.kdl", NONE, "what the repository's plans share").children(&[&IMPORT, &PROJECT]);
