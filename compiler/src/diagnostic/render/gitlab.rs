//! GitLab's Code Quality report: a JSON array.
//!
//! Does not know pipelines.

use serde::Serialize;

use super::fingerprint::Fingerprints;
use super::{Report, one_line};
use crate::diagnostic::Severity;

#[derive(Serialize)]
struct Issue<'r> {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location<'r>,
}

#[derive(Serialize)]
struct Location<'r> {
    path: &'r str,
    positions: Positions,
}

#[derive(Serialize)]
struct Positions {
    begin: Place,
    end: Place,
}

#[derive(Serialize)]
struct Place {
    line: u32,
    column: u32,
}

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let mut fingerprints = Fingerprints::default();
    let issues: Vec<Issue<'_>> = report
        .shown(limit)
        .into_iter()
        .map(|found| {
            let span = found.primary.span;
            let place = |offset| {
                let position = report.map().file(span.file).position(offset);
                Place { line: position.line, column: position.column }
            };
            Issue {
                description: format!("{}: {}", found.rule.code, one_line(&found.message)),
                check_name: found.rule.name.to_owned(),
                fingerprint: fingerprints.of(report, found),
                severity: match found.severity {
                    Severity::Error => "major",
                    Severity::Warning => "minor",
                    Severity::Note => "info",
                },
                location: Location {
                    path: report.path(span.file),
                    positions: Positions { begin: place(span.start), end: place(span.end) },
                },
            }
        })
        .collect();
    let mut text =
        serde_json::to_string_pretty(&issues).expect("strings and integers always have a JSON form");
    text.push('\n');
    text
}
