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
mod grouped;
mod names;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

pub use conflict::{Overlap, PatternIndex, overlapping_between, overlapping_pairs};
pub use grouped::{Lists, grouped};

use automaton::{Fold, Token};

/// Bytes of the longest pattern. Systems take no longer paths, and comparing patterns costs more than their length.
const LONGEST: usize = 4_096;

/// A parsed path pattern. `!` in front negates (in `inputs` only).
#[derive(Clone, Debug)]
pub struct Pattern {
    text: SmolStr,
    negated: bool,
    shape: Shape,
}

/// What the text of a pattern says. It follows from the text; plans have many patterns, most of them plain paths.
#[derive(Clone, Debug)]
enum Shape {
    /// The path that the text spells, letter for letter.
    Plain,
    /// A path whose text has escapes.
    Escaped(Box<str>),
    /// Free of braces: what is matched is any of these.
    Wild(Arc<[Vec<Token>]>),
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
        if parse::is_plain(text) {
            return Ok(Pattern { negated, ..Pattern::spelt(text) });
        }
        let composed = normalised(text);
        let text = parse::normal_form(&composed);
        let alternatives = parse::alternatives(&text)?;
        let literal = match alternatives.as_slice() {
            [tokens] => automaton::literal(tokens),
            _ => None,
        };
        let shape = match literal {
            Some(literal) => Shape::spelling(&text, literal),
            None => Shape::Wild(alternatives.into()),
        };
        Ok(Pattern { text: text.into(), negated, shape })
    }

    /// The pattern, if it is a relative path in normal form without any character that means more than itself.
    pub fn plain(text: &str) -> Option<Pattern> {
        let short = text.len() <= LONGEST;
        (short && parse::is_plain(text) && !text.starts_with('!')).then(|| Pattern::spelt(text))
    }

    fn spelt(path: &str) -> Pattern {
        Pattern { text: path.into(), negated: false, shape: Shape::Plain }
    }

    /// The pattern that names this path alone, whatever characters it is made of.
    pub fn of_path(path: &str) -> Pattern {
        if let Some(pattern) = Pattern::plain(path) {
            return pattern;
        }
        let mut text = String::new();
        for c in parse::normal_form(&normalised(path)).chars() {
            if "*?[]{}!\\".contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
        let literal = automaton::literal(&automaton::spelt(&normalised(path))).unwrap_or_default();
        let shape = Shape::spelling(&text, literal);
        Pattern { text: text.into(), negated: false, shape }
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
        match &self.shape {
            Shape::Plain => Some(&self.text),
            Shape::Escaped(literal) => Some(literal),
            Shape::Wild(_) => None,
        }
    }

    /// Does one of the pattern's path parts spell `name`, in whatever case?
    pub fn spells_part(&self, name: &str) -> bool {
        // A sign has no case, and stands in the text if it is spelt at all.
        if let Some(sign) = name.bytes().find(u8::is_ascii_punctuation)
            && memchr::memchr(sign, self.text.as_bytes()).is_none()
        {
            return false;
        }
        match &self.shape {
            Shape::Plain if self.text.is_ascii() && name.is_ascii() => {
                self.text.split('/').any(|part| part.eq_ignore_ascii_case(name))
            }
            _ => self.alternatives().iter().any(|tokens| automaton::spells_part(tokens, name)),
        }
    }

    /// Does the pattern name this path, or one above it? `!` is not looked at.
    pub fn matches(&self, path: &str) -> bool {
        let path = normalised(path);
        match (&self.shape, self.literal()) {
            (_, Some(literal)) => automaton::covers(literal, &path),
            (Shape::Wild(alternatives), None) => {
                let spelt = self.text.find(['*', '?', '[', '{', '\\']).unwrap_or(0);
                path.as_bytes().starts_with(&self.text.as_bytes()[..spelt])
                    && alternatives.iter().any(|tokens| automaton::matches(tokens, &path))
            }
            (_, None) => false,
        }
    }

    /// Each alternative as tokens.
    fn alternatives(&self) -> Cow<'_, [Vec<Token>]> {
        match (&self.shape, self.literal()) {
            (Shape::Wild(alternatives), _) => Cow::Borrowed(alternatives),
            (_, literal) => Cow::Owned(vec![automaton::spelt(literal.unwrap_or_default())]),
        }
    }
}

impl Shape {
    /// The shape of the pattern `text`, which has no wildcard and spells `literal`.
    fn spelling(text: &str, literal: String) -> Shape {
        if text == literal { Shape::Plain } else { Shape::Escaped(literal.into()) }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Pattern) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    /// By the text, from which all else follows.
    fn cmp(&self, other: &Pattern) -> Ordering {
        self.text.as_str().cmp(&other.text).then(self.negated.cmp(&other.negated))
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
