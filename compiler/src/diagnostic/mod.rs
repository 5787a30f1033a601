//! What the compiler has to say about a plan: one struct from which every output format is written.
//!
//! Does not know how a mistake is found, nor on which terminal it is shown.

pub mod pages;
mod reference;
pub mod render;
mod rules;

pub use reference::reference;
pub use rules::{FAMILIES, Family, Level, PROBED, RULES, Rule, rule};

use crate::source::Span;

/// How much a diagnostic weighs. Only errors make `loopc check` fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
    Note,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A further place with a few words about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub message: String,
}

/// Whether an edit may be applied without a person's look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// Means the same as what the author plainly meant.
    Safe,
    /// Changes what the plan asks for; needs a person's yes.
    Unsafe,
    /// An illustration; it has placeholders.
    Display,
}

impl Applicability {
    pub fn as_str(self) -> &'static str {
        match self {
            Applicability::Safe => "safe",
            Applicability::Unsafe => "unsafe",
            Applicability::Display => "display",
        }
    }
}

/// Replaces the text of `span` (empty: inserts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Span,
    pub text: String,
}

/// A concrete way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Imperative, lower case, no full stop: "replace with `needs`".
    pub title: String,
    pub applicability: Applicability,
    /// Non-overlapping, in one file, sorted by place.
    pub edits: Vec<Edit>,
}

/// One finding, with its place and the ways out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub rule: &'static Rule,
    pub severity: Severity,
    /// One sentence without a full stop: what is wrong.
    pub message: String,
    /// Where; the place that the header names.
    pub primary: Label,
    /// Further places, in reading order of the explanation.
    pub labels: Vec<Label>,
    /// What to do; one entry a way out.
    pub help: Vec<String>,
    pub fixes: Vec<Fix>,
    /// Places of texts that must not be shown again: passwords, tokens. No format prints them.
    pub secrets: Vec<Span>,
}

impl Diagnostic {
    /// A finding of the rule called `name` at its default level.
    ///
    /// # Panics
    /// If no rule has that name: a mistake in the compiler that every test of the rule meets.
    pub fn new(name: &str, span: Span, message: impl Into<String>) -> Diagnostic {
        let rule = rule(name).unwrap_or_else(|| panic!("no rule is called {name}"));
        Diagnostic {
            rule,
            severity: rule.severity,
            message: readable(message.into()),
            primary: Label { span, message: String::new() },
            labels: Vec::new(),
            help: Vec::new(),
            fixes: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// The text of `span` must not be shown, neither here nor by any other diagnostic of the same report.
    pub fn secret(mut self, span: Span) -> Diagnostic {
        self.secrets.push(span);
        self
    }

    /// Words beside the primary place.
    pub fn at(mut self, message: impl Into<String>) -> Diagnostic {
        self.primary.message = readable(message.into());
        self
    }

    pub fn label(mut self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, message: readable(message.into()) });
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(readable(text.into()));
        self
    }

    pub fn fix(
        mut self,
        title: impl Into<String>,
        applicability: Applicability,
        edits: Vec<Edit>,
    ) -> Diagnostic {
        self.fixes.push(Fix { title: readable(title.into()), applicability, edits });
        self
    }

    /// A fix that replaces the text of one span.
    pub fn replace(
        self,
        span: Span,
        text: impl Into<String>,
        title: impl Into<String>,
        applicability: Applicability,
    ) -> Diagnostic {
        self.fix(title, applicability, vec![Edit { span, text: text.into() }])
    }
}

/// Characters of a quotation from a plan beyond which it is cut: nobody reads on, and a name may be a megabyte long.
const LONGEST_QUOTATION: usize = 400;

/// The text with what it quotes in backticks cut to a readable length.
fn readable(text: String) -> String {
    if text.len() <= LONGEST_QUOTATION {
        return text;
    }
    let cut = |(at, part): (usize, &str)| {
        // Every second part stands between backticks.
        if at % 2 == 0 || part.chars().nth(LONGEST_QUOTATION).is_none() {
            return part.to_owned();
        }
        let kept: String = part.chars().take(LONGEST_QUOTATION / 5).collect();
        format!("{kept}…")
    };
    text.split('`').enumerate().map(cut).collect::<Vec<_>>().join("`")
}

/// The nearest of `known` to `word`, if one is near enough to be meant.
pub fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = word.chars().count();
    let limit = match length {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    known
        .into_iter()
        // Who differs more in length is further away, and comparing a text of a megabyte would take its square.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| {
            (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_cut_and_what_is_said_is_not() {
        let (name, prose) = ("ä".repeat(LONGEST_QUOTATION), "words ".repeat(LONGEST_QUOTATION));
        assert_eq!(readable(format!("no `{name}` here")), format!("no `{name}` here"));
        let cut = "ä".repeat(LONGEST_QUOTATION / 5);
        assert_eq!(readable(format!("no `{name}x`, {prose}`b`")), format!("no `{cut}…`, {prose}`b`"));
    }

    #[test]
    fn a_word_is_compared_with_what_could_be_meant_alone() {
        assert_eq!(did_you_mean("gaol", ["unit", "goal"]), Some("goal"));
        assert_eq!(did_you_mean("goals", ["unit", "goal"]), Some("goal"));
        assert_eq!(did_you_mean("inptsx", ["inputs", "it"]), Some("inputs"));
        // As a product this would take minutes.
        assert_eq!(did_you_mean(&"goal".repeat(250_000), ["goal", "creates"]), None);
    }
}
