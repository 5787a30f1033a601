//! The table of rules: code, name, default level and page of each.
//!
//! Does not know how a rule is checked. `spec/diagnostics.md`, `loopc explain` and the editors read this table.

use super::Severity;

/// How a rule is set by a `lint` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Allow,
    Warn,
    Deny,
}

impl Level {
    fn weight(self) -> u8 {
        match self {
            Level::Allow => 0,
            Level::Warn => 2,
            Level::Deny => 3,
        }
    }
}

/// A family of rules: the second digit of their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    pub digit: char,
    pub title: &'static str,
}

/// The family of the rules that `loop probe` holds plans against: the compiler runs nothing.
pub const PROBED: char = '7';

pub const FAMILIES: &[Family] = &[
    Family { digit: '0', title: "syntax" },
    Family { digit: '1', title: "shape" },
    Family { digit: '2', title: "names" },
    Family { digit: '3', title: "order" },
    Family { digit: '4', title: "ownership" },
    Family { digit: '5', title: "verification" },
    Family { digit: '6', title: "hygiene" },
    Family { digit: PROBED, title: "found by running the checks once" },
    Family { digit: '9', title: "not yet" },
];

/// A rule. Codes are never used again for something else.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// `L` and four digits.
    pub code: &'static str,
    /// Kebab case; what `lint` nodes and `loopc explain` take.
    pub name: &'static str,
    /// The severity unless a `lint` node says otherwise.
    pub severity: Severity,
    /// Is it reported unless a `lint` node asks for it? A rule that is off has something to say about sound plans,
    /// and is heard on request alone.
    pub on: bool,
    /// May a `lint` node lower it? Rules that the executor's promises lean on may not.
    pub lowerable: bool,
    /// One sentence: what is wrong.
    pub summary: &'static str,
    /// Why it matters and what to do, in Markdown.
    pub explanation: &'static str,
    /// A plan that breaks the rule, as small as possible.
    pub bad: &'static str,
    /// The same plan, mended.
    pub good: &'static str,
}

impl Rule {
    /// How much it weighs unless something is said; the heavier, the larger.
    fn weight(&self) -> u8 {
        match self.severity {
            _ if !self.on => 0,
            Severity::Note => 1,
            Severity::Warning => 2,
            Severity::Error => 3,
        }
    }

    /// Does `level` make less of its findings than what holds around the place, `outer`, or the rule's own level?
    pub fn lowered_by(&self, level: Level, outer: Option<Level>) -> bool {
        level.weight() < outer.map_or(self.weight(), Level::weight)
    }

    /// Does `loopc check` hold plans against it? Others are found by `loop probe` and `loop exec`.
    pub fn is_of_the_compiler(&self) -> bool {
        !matches!(self.family(), PROBED | '9')
    }

    /// The digit of its family, the second one of its code.
    pub fn family(&self) -> char {
        self.code.chars().nth(2).unwrap_or('0')
    }

    /// The heading of its page in the reference of all rules.
    pub fn anchor(&self) -> String {
        format!("{}-{}", self.code.to_lowercase(), self.name)
    }

    /// Where its page stands, from the root of the compiler's own repository.
    pub fn page(&self) -> String {
        format!("spec/diagnostics.md#{}", self.anchor())
    }
}

/// The rule with this code (`L0001`, any case) or name.
pub fn rule(code_or_name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == code_or_name || rule.code.eq_ignore_ascii_case(code_or_name))
}

macro_rules! on {
    () => {
        true
    };
    (off) => {
        false
    };
}

/// A row: code, name, severity (with `(off)` behind it for a rule that must be asked for), may it be lowered, summary.
macro_rules! rules {
    ($($code:literal $name:literal $severity:ident $(($off:ident))? $lowerable:literal $summary:literal)*) => {
        /// Every rule, by code.
        pub const RULES: &[Rule] = &[$(Rule {
            code: $code, name: $name, severity: Severity::$severity, on: on!($($off)?), lowerable: $lowerable, summary: $summary,
            explanation: include_str!(concat!("pages/", $name, "/page.md")),
            bad: include_str!(concat!("pages/", $name, "/bad.loop.kdl")),
            good: include_str!(concat!("pages/", $name, "/good.loop.kdl")),
        }),*];
    };
}

rules! {
    "L0001" "syntax-error" Error false "the text is not KDL 2"
    "L0002" "unreadable-text" Error false "the file is not UTF-8 text"

    "L0101" "unknown-node" Error false "no such node may stand here"
    "L0102" "unknown-property" Error false "the node has no such property"
    "L0103" "wrong-type" Error false "a value is not of the kind, or not one of the words, that its place takes"
    "L0104" "missing-argument" Error false "a name, text, property or child that the node cannot do without is missing"
    "L0105" "duplicate-node" Error false "a node or property that may stand once stands twice"
    "L0106" "too-many-arguments" Error false "the node takes fewer arguments"
    "L0107" "property-in-run" Error false "a word of a command was read as a property"
    "L0108" "punctuation-in-name" Error false "a comma, colon or quote became part of a name"
    "L0109" "one-word-command" Error false "a whole command line stands in one word"
    "L0110" "invalid-regex" Error false "the text is not a regular expression"
    "L0111" "invalid-glob" Error false "the text is not a path pattern"
    "L0112" "invalid-placeholder" Error false "a `${` in a template does not name one of its parameters"
    "L0113" "expansion-too-large" Error false "templates make more than a plan can hold"
    "L0115" "gate-file" Error false "the file that a gate names does not hold that gate alone"
    "L0116" "draft-with-units" Error false "a gate that is a draft, or stands in a file of its own, has units in the plan"
    "L0118" "contradictory-settings" Error false "one setting of a node leaves another without effect"
    "L0119" "unsupported-by-agent" Error false "the agent's program has no such setting"

    "L0201" "duplicate-id" Error false "two things of one name space have the same id"
    "L0202" "invalid-id" Error false "the text cannot be an id"
    "L0203" "unknown-unit" Error false "no unit, manual or gate has this id"
    "L0204" "unknown-verifier" Error false "no verifier has this id"
    "L0205" "unknown-agent" Error false "no agent has this id"
    "L0206" "unknown-requirement" Error false "no requirement of the feature has this id"
    "L0207" "unknown-import" Error false "the file to import, or a name in it, does not exist"
    "L0208" "import-cycle" Error false "files import each other"
    "L0209" "unknown-rule" Error false "no rule has this name"
    "L0210" "unknown-template" Error false "no template has this name"
    "L0211" "recursive-template" Error false "a template uses itself"
    "L0212" "unused-parameter" Warning true "nothing in a template uses one of its parameters"
    "L0215" "former-id" Error false "`was=` names an id that the unit cannot have had"
    "L0218" "unknown-reviewer" Error false "no reviewer has this id"

    "L0301" "dependency-cycle" Error false "units or gates wait on each other"
    "L0302" "later-gate-dependency" Error false "a unit waits for a unit of a later gate"
    "L0303" "unreachable-unit" Warning true "a unit can never start, or never be done, because its `stop` holds whatever happens"
    "L0304" "stop-triggered-by-later-unit" Warning true "a unit that does not come before makes a `stop` hold"
    "L0305" "critical-path" Note(off) true "the longest chain of units that wait for each other"
    "L0306" "width" Note(off) true "how many units can run side by side"

    "L0401" "write-conflict" Error false "two units without an order may write the same path"
    "L0402" "input-without-edge" Error false "an input is written by a unit that this unit does not need"
    "L0403" "input-written-later" Error false "an input is written by a unit that comes later"
    "L0404" "protected-write" Error false "a unit may write a protected path"
    "L0405" "path-escape" Error false "the path leads out of the repository"
    "L0406" "missing-scope" Error false "the unit does not say what it may change"
    "L0407" "unmergeable-shared" Warning true "a shared file is of a kind that is not made of independent lines"
    "L0408" "two-owners" Error false "two rules of the feature claim the same path"
    "L0409" "derived-write" Error false "a unit may write a file that a command makes"
    "L0410" "discarded-write" Error false "a unit may write what is removed from its result"
    "L0411" "derived-input" Error false "an input is a file that a command makes"
    "L0412" "unused-shared" Warning true "no two units write the shared file"
    "L0413" "ignored-path" Error true "git ignores what a unit may write, so that it would be left behind"
    "L0414" "unknown-path" Warning true "a unit may change a path that does not exist and that no earlier unit makes"

    "L0501" "unverified-criterion" Error true "nothing checks an acceptance criterion"
    "L0502" "no-verification" Error true "nothing checks what the unit does"
    "L0503" "whole-tree-key" Note true "a verifier's result is kept for the whole tree, not for its inputs alone"
    "L0504" "expect-fail-only" Error true "all that checks the unit is expected to fail"
    "L0506" "verifier-cycle" Error false "verifiers need each other"
    "L0507" "needs-broad-verifier" Error false "a verifier of units needs one that runs at gates only"

    "L0508" "subjective-stop" Warning true "whether a `stop` holds is a matter of opinion"
    "L0509" "manual-unflagged" Warning true "an agent is asked for what only a person can do"
    "L0510" "impossible-predicate" Error true "a predicate can never hold, or holds whatever is done"
    "L0512" "no-op-verifier" Error true "a check cannot fail"
    "L0513" "mutating-verifier" Error true "a check changes what it should judge"
    "L0514" "broad-verifier" Note true "a whole test suite checks a unit that writes one file"
    "L0515" "verifier-writable" Warning true "a unit may change what decides which check runs on it"
    "L0516" "verifier-config-writable" Warning true "a unit may change the settings of the tool that checks it"
    "L0517" "forwarded-arguments" Warning true "arguments of a check do not reach its tool"
    "L0518" "missing-script" Error true "a check asks for a script or target that its build file does not have"
    "L0519" "missing-program" Error true "a check starts a program of the repository that is not there or cannot be started"

    "L0601" "missing-file" Error false "a file that the plan names does not exist"
    "L0602" "missing-heading" Error false "a file has no such heading"
    "L0603" "lowered-without-reason" Error false "something is lowered and no reason is given"
    "L0604" "budget-impossible" Error false "a budget can never be kept, or lets nothing start"
    "L0605" "unlowerable-rule" Error false "the rule cannot be lowered"
    "L0610" "uncovered-requirement" Warning true "no unit covers a requirement"
    "L0611" "orphan-unit" Warning true "a unit covers no requirement, and nothing builds on it"
    "L0612" "timeout-impossible" Error false "a time limit can never be reached, or is shorter than what it limits"
    "L0613" "secret-literal" Error true "a secret stands in a file of the plan"
    "L0614" "prompt-too-large" Warning true "a prompt takes too much of what an agent can keep in mind"
    "L0615" "unused-verifier" Warning true "nothing uses a verifier"
    "L0616" "unused-import" Warning true "nothing uses an imported name"
    "L0617" "unused-agent" Warning true "nothing uses an agent"
    "L0618" "unused-template" Warning true "nothing uses a template"
    "L0619" "unused-reviewer" Warning true "nothing asks for a reviewer"
    "L0620" "unused-allow" Warning true "a `lint` node lowers nothing"
    "L0621" "expired-known-failure" Warning true "the day until which a failure is let pass is over"
    "L0622" "deprecated-name" Warning true "a name is written in an older way, which still works"
    "L0624" "budget-overcommitted" Note(off) true "units may spend more than their gate or feature has"
    "L0630" "empty-glob" Warning true "a pattern matches no file"
    "L0631" "ambiguous-heading" Error false "a heading names more than one section"
    "L0632" "line-drift" Warning true "a text names a line that the file does not have, or will not have when it is read"

    "L0701" "missing-tool" Error true "a check or its tool cannot be started"
    "L0702" "already-green" Warning true "what is to prove the work passes before it"
    "L0703" "unclassified-failure" Warning true "a check fails before any work, and the plan does not say why"
    "L0704" "flaky-at-base" Warning true "a check says different things about the same files"
    "L0705" "verifier-writes-outside-scope" Warning true "a check changes files that it does not say it writes"

    "L0901" "not-yet" Error false "the node is part of the language but this version does not act on it"
}
