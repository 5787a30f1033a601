//! Writes diagnostics as text: for people, for editors that read lines, for programs.
//!
//! Does not know where the text goes: no terminal, no environment; colour and width are parameters.

mod human;
mod json;
mod paint;
mod short;
mod snippet;
#[cfg(test)]
mod tests;

pub use human::{Handler, Rendered, human};
pub use json::{FORMAT_VERSION, json};
pub use short::short;

use super::{Applicability, Diagnostic, Severity};
use crate::source::SourceMap;

/// How text for people looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colour sequences.
    pub color: bool,
    /// In columns; prose is wrapped to it, source lines are cut to a window of it.
    pub width: usize,
}

impl Style {
    pub const PLAIN: Style = Style { color: false, width: 100 };
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub errors: usize,
    pub warnings: usize,
    pub notes: usize,
    /// Diagnostics with at least one fix that may be applied unseen.
    pub fixable: usize,
    /// Files that have at least one primary place.
    pub files: usize,
}

impl Summary {
    pub fn of(diagnostics: &[Diagnostic]) -> Summary {
        let mut summary = Summary::default();
        let mut files = std::collections::BTreeSet::new();
        for diagnostic in diagnostics {
            match diagnostic.severity {
                Severity::Error => summary.errors += 1,
                Severity::Warning => summary.warnings += 1,
                Severity::Note => summary.notes += 1,
            }
            summary.fixable += usize::from(is_fixable(diagnostic));
            files.insert(diagnostic.primary.span.file);
        }
        summary.files = files.len();
        summary
    }

    /// `2 errors, 1 warning in 1 file; 1 fixable`. Nothing found: `no findings`.
    pub fn sentence(&self) -> String {
        let counted = [(self.errors, "error"), (self.warnings, "warning"), (self.notes, "note")];
        let parts: Vec<String> = counted
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| plural(*count, word))
            .collect();
        if parts.is_empty() {
            return "no findings".to_owned();
        }
        let mut sentence = format!("{} in {}", parts.join(", "), plural(self.files, "file"));
        if self.fixable > 0 {
            sentence.push_str(&format!("; {} fixable", self.fixable));
        }
        sentence
    }
}

fn is_fixable(diagnostic: &Diagnostic) -> bool {
    diagnostic.fixes.iter().any(|fix| fix.applicability == Applicability::Safe)
}

/// `1 file`, `2 files`.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `L0401/write-conflict`.
fn rule_tag(diagnostic: &Diagnostic) -> String {
    format!("{}/{}", diagnostic.rule.code, diagnostic.rule.name)
}

/// `path:line:col` of a diagnostic's primary place.
fn place(diagnostic: &Diagnostic, map: &SourceMap) -> String {
    let file = map.file(diagnostic.primary.span.file);
    let position = file.position(diagnostic.primary.span.start);
    format!("{}:{}:{}", one_line(file.path.as_str()), position.line, position.column)
}

/// Text that stays on its line and cannot steer a terminal: control characters, and the characters that turn
/// the direction of writing, are shown as escapes. What a plan says reaches the screen only through this.
pub fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.chars().any(is_unsafe_to_show) {
        return std::borrow::Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unsafe_to_show(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    std::borrow::Cow::Owned(out)
}

/// Control characters and bidirectional controls (Unicode TR 36, section 3.3; "Trojan Source", CVE-2021-42574).
fn is_unsafe_to_show(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
