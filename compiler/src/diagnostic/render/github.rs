//! Annotations of GitHub Actions: `::error file=...,line=...,col=...,title=...::message`.
//!
//! Does not know workflows; GitHub shows ten errors and ten warnings of a step, and all of them in its log.

use super::{Report, one_line, rule_tag};
use crate::diagnostic::{Diagnostic, Severity};

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let mut out = String::new();
    // Only the first ten are shown beside the code: errors must not stand behind notes.
    let mut shown = report.shown(limit);
    shown.sort_by_key(|found| found.severity);
    for found in shown {
        let span = found.primary.span;
        let file = report.map().file(span.file);
        let (start, end) = (file.position(span.start), file.position(span.end));
        let word = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let mut place = format!(
            "file={},line={},endLine={},col={}",
            property(report.path(span.file)),
            start.line,
            end.line,
            start.column
        );
        // A column on another line would be read as one of the first.
        if start.line == end.line {
            place.push_str(&format!(",endColumn={}", end.column));
        }
        let title = property(&rule_tag(found));
        out.push_str(&format!("::{word} {place},title={title}::{}\n", data(&words(found))));
    }
    out
}

fn words(found: &Diagnostic) -> String {
    let mut text = one_line(&found.message).into_owned();
    if !found.primary.message.is_empty() {
        text.push_str(&format!(": {}", one_line(&found.primary.message)));
    }
    for help in &found.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    text
}

/// Escapes the part behind `::`. GitHub's runner undoes exactly these.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
