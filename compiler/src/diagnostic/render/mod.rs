//! Writes diagnostics as text: for people, for editors that read lines, for programs.
//!
//! Does not know where the text goes: no terminal, no environment; colour and width are parameters.

mod fingerprint;
mod github;
mod gitlab;
mod human;
mod json;
mod junit;
mod paint;
mod plain;
mod report;
mod sarif;
mod short;
mod snippet;
mod statistics;
#[cfg(test)]
mod tests;

pub use human::{Handler, Rendered};
pub use json::FORMAT_VERSION;
pub use report::{Report, Scope};
pub use statistics::{statistics, statistics_json};

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

/// A way to write a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Human,
    Plain,
    Short,
    Json,
    Jsonl,
    Sarif,
    Github,
    Gitlab,
    Junit,
}

impl Format {
    /// Every format, with its word on the command line and what it is for.
    pub const ALL: &[(Format, &str, &str)] = &[
        (Format::Human, "human", "With the source lines, help and fixes"),
        (Format::Plain, "plain", "In sentences, without drawings: for screen readers"),
        (Format::Short, "short", "One line each: `path:line:col: error[L0401/write-conflict]: message`"),
        (Format::Json, "json", "One JSON object, described by `spec/schemas/diagnostics.json`"),
        (Format::Jsonl, "jsonl", "One JSON object a line: each finding, then a summary"),
        (Format::Sarif, "sarif", "SARIF 2.1.0, for code scanning"),
        (Format::Github, "github", "Annotations of GitHub Actions"),
        (Format::Gitlab, "gitlab", "GitLab's Code Quality report"),
        (Format::Junit, "junit", "JUnit XML: a suite for each file, a case for each rule broken in it"),
    ];

    /// People read it; paths in it count from where they stand.
    pub fn is_for_people(self) -> bool {
        matches!(self, Format::Human | Format::Plain | Format::Short)
    }
}

/// How a report is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub format: Format,
    pub style: Style,
    /// Show no more findings than this; the summary still counts all of them.
    pub limit: Option<usize>,
}

/// Writes the report. What is empty, and for people, is empty.
pub fn render(report: &Report<'_>, look: &Look) -> String {
    match look.format {
        Format::Human => human::write(report, look.style, look.limit),
        Format::Plain => plain::write(report, look.limit),
        Format::Short => short::write(report, look.limit),
        Format::Json => json::write(report, look.limit),
        Format::Jsonl => json::write_lines(report, look.limit),
        Format::Sarif => sarif::write(report, look.limit),
        Format::Github => github::write(report, look.limit),
        Format::Gitlab => gitlab::write(report, look.limit),
        Format::Junit => junit::write(report, look.limit),
    }
}

/// All diagnostics for people, a blank line between them, and a line that counts them; nothing if there is none.
pub fn human(diagnostics: &[Diagnostic], map: &SourceMap, style: Style) -> String {
    human::write(&Report::new(diagnostics, map), style, None)
}

/// A line for each diagnostic; nothing if there is none.
pub fn short(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    short::write(&Report::new(diagnostics, map), None)
}

/// All diagnostics as one indented JSON object, with a final newline.
pub fn json(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    json::write(&Report::new(diagnostics, map), None)
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub errors: usize,
    pub warnings: usize,
    pub notes: usize,
    /// Diagnostics with at least one fix that may be applied unseen.
    pub fixable: usize,
    /// Diagnostics, not among those, with a fix that needs a person's yes.
    pub fixable_unsafe: usize,
    /// Files that have at least one primary place.
    pub files: usize,
}

impl Summary {
    pub fn of(diagnostics: &[Diagnostic], map: &SourceMap) -> Summary {
        let mut summary = Summary::default();
        let mut files = std::collections::BTreeSet::new();
        for diagnostic in diagnostics {
            match diagnostic.severity {
                Severity::Error => summary.errors += 1,
                Severity::Warning => summary.warnings += 1,
                Severity::Note => summary.notes += 1,
            }
            match best_fix(diagnostic) {
                Some(Applicability::Safe) => summary.fixable += 1,
                Some(Applicability::Unsafe) => summary.fixable_unsafe += 1,
                Some(Applicability::Display) | None => {}
            }
            files.insert(map.written(diagnostic.primary.span.file));
        }
        summary.files = files.len();
        summary
    }

    /// `2 errors, 1 warning in 1 file`. Nothing found: `no findings`.
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
        format!("{} in {}", parts.join(", "), plural(self.files, "file"))
    }

    /// What the program can mend by itself, and how to ask for it.
    pub fn ways_out(&self) -> Option<String> {
        match (self.fixable, self.fixable_unsafe) {
            (0, 0) => None,
            (0, more) => Some(format!("{more} fixable with `loopc check --fix --unsafe-fixes`")),
            (safe, 0) => Some(format!("{safe} fixable with `loopc check --fix`")),
            (safe, more) => Some(format!(
                "{safe} fixable with `loopc check --fix`, {more} more with `--fix --unsafe-fixes`"
            )),
        }
    }
}

/// How far the readiest fix of a diagnostic may be trusted.
fn best_fix(diagnostic: &Diagnostic) -> Option<Applicability> {
    let has = |wanted| diagnostic.fixes.iter().any(|fix| fix.applicability == wanted);
    [Applicability::Safe, Applicability::Unsafe, Applicability::Display]
        .into_iter()
        .find(|wanted| has(*wanted))
}

/// `1 file`, `2 files`.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// `L0401/write-conflict`.
fn rule_tag(diagnostic: &Diagnostic) -> String {
    format!("{}/{}", diagnostic.rule.code, diagnostic.rule.name)
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
