//! Path patterns as languages: matching, and whether two patterns can name the same path.
//!
//! Does not know which files exist; overlap is decided on the patterns alone.
//!
//! A pattern stands for the paths it matches and everything below them: `src` covers `src/a.rs`. In it
//!
//! - `*` is any run of characters of one path part, `?` one character, `[a-z]` and `[!a-z]` one of a set;
//! - `**`, a part of its own, is any number of parts, none included; at the end at least one;
//! - `{a,b}` is either; alternatives may hold `/` and each other;
//! - `\` takes the next character of `*?[]{}!,-\` as it stands.
//!
//! Text is compared in Unicode normal form C. Matching tells upper from lower case; overlap does not, since two
//! names that differ in case only are one file on many disks.

mod automaton;
mod conflict;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

pub use conflict::{Overlap, overlapping_between, overlapping_pairs};

use automaton::{Fold, Token};

/// Bytes of the longest pattern. Systems take no longer paths, and comparing patterns costs more than their length.
const LONGEST: usize = 4_096;

/// A parsed path pattern. `!` in front negates (in `inputs` only).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    text: String,
    negated: bool,
    literal: Option<String>,
    /// Free of braces: what is matched is any of these.
    alternatives: Vec<Vec<Token>>,
}

impl Pattern {
    /// Reads a pattern and brings it into normal form: no `./`, no doubled or trailing `/`, Unicode form C.
    ///
    /// The error says in a few words what is wrong. Absolute paths and `..` parts are errors too.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes, which no path is"));
        }
        let (text, negated) = match text.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let text = parse::normal_form(&text.nfc().collect::<String>());
        let alternatives = parse::alternatives(&text)?;
        let literal = match alternatives.as_slice() {
            [tokens] => automaton::literal(tokens),
            _ => None,
        };
        Ok(Pattern { text, negated, literal, alternatives })
    }

    /// The pattern that names this path alone, whatever characters it is made of.
    pub fn of_path(path: &str) -> Pattern {
        let mut text = String::new();
        for c in parse::normal_form(&path.nfc().collect::<String>()).chars() {
            if "*?[]{}!\\".contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
        let tokens = automaton::spelt(&normalised(path));
        Pattern { text, negated: false, literal: automaton::literal(&tokens), alternatives: vec![tokens] }
    }

    /// The pattern as written, without `!`, in normal form (no `./`, no doubled or trailing `/`).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn negated(&self) -> bool {
        self.negated
    }

    /// The one path that the pattern names (with everything below it), if it has no wildcard.
    pub fn literal(&self) -> Option<&str> {
        self.literal.as_deref()
    }

    /// Does one of the pattern's path parts spell `name`, in whatever case?
    pub fn spells_part(&self, name: &str) -> bool {
        self.alternatives.iter().any(|tokens| automaton::spells_part(tokens, name))
    }

    /// Does the pattern name this path, or one above it? `!` is not looked at.
    pub fn matches(&self, path: &str) -> bool {
        let path = normalised(path);
        match &self.literal {
            Some(literal) => automaton::covers(literal, &path),
            None => self.alternatives.iter().any(|tokens| automaton::matches(tokens, &path)),
        }
    }
}

/// Can both patterns name a common path, or one a path below a path of the other? Gives an example.
///
/// Decided on what the patterns can name, not on files, and without regard to case. A name with an extension is
/// taken to be a file, with nothing below it, unless the other pattern spells it as a directory: `Cargo.toml` does
/// not meet `**/*.rs`, but `src` does, and `conf.d` meets `conf.d/x`.
pub fn overlap(a: &Pattern, b: &Pattern) -> Option<String> {
    overlap_outside(a, b, &[])
}

/// As [`overlap`], but only of paths that none of `excluded` covers.
///
/// Excluded paths are compared with case first: `!specs/draft` does not take `specs/Draft` out.
pub fn overlap_outside(a: &Pattern, b: &Pattern, excluded: &[&Pattern]) -> Option<String> {
    let exact = || automaton::common_path(a, b, excluded, Fold::Exact);
    let folded = || automaton::common_path(a, b, excluded, Fold::Case);
    if excluded.is_empty() { folded() } else { exact().or_else(folded) }
}

impl fmt::Display for Pattern {
    /// As written, `!` included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.negated { "!" } else { "" }, self.text)
    }
}

/// Patterns in order, where one with `!` takes out what those before it named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternSet {
    patterns: Vec<Pattern>,
}

impl PatternSet {
    pub fn new(patterns: Vec<Pattern>) -> PatternSet {
        PatternSet { patterns }
    }

    /// Reads patterns as they stand in graph JSON: `!` in front negates.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<PatternSet, String> {
        texts.iter().map(|text| Pattern::parse(text.as_ref())).collect::<Result<_, _>>().map(PatternSet::new)
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The last pattern that matches decides; a path that none matches is not in the set.
    pub fn matches(&self, path: &str) -> bool {
        self.patterns
            .iter()
            .rev()
            .find(|pattern| pattern.matches(path))
            .is_some_and(|pattern| !pattern.negated)
    }
}

/// The path in the Unicode form that patterns have.
fn normalised(path: &str) -> Cow<'_, str> {
    match is_nfc_quick(path.chars()) {
        IsNormalized::Yes => Cow::Borrowed(path),
        _ => Cow::Owned(path.nfc().collect()),
    }
}
