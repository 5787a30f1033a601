//! Diagnostics for programs: one JSON object, described at the head of `spec/diagnostics.md`.
//!
//! Does not know how a person wants to read them.

use serde::Serialize;

use super::Summary;
use crate::diagnostic::{Applicability, Diagnostic};
use crate::source::{SourceMap, Span};

/// Fields may be added under the same version; a change of a field's meaning raises it.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Serialize)]
struct Output<'d> {
    format_version: u32,
    diagnostics: Vec<Entry<'d>>,
    summary: Counts,
}

#[derive(Serialize)]
struct Counts {
    errors: usize,
    warnings: usize,
    notes: usize,
    fixable: usize,
}

#[derive(Serialize)]
struct Entry<'d> {
    code: &'static str,
    name: &'static str,
    severity: &'static str,
    message: &'d str,
    file: &'d str,
    range: Range,
    /// The words at the primary place; empty if there are none.
    label: &'d str,
    labels: Vec<Label<'d>>,
    help: &'d [String],
    fixes: Vec<Fix<'d>>,
}

#[derive(Serialize)]
struct Label<'d> {
    file: &'d str,
    range: Range,
    message: &'d str,
}

#[derive(Serialize)]
struct Fix<'d> {
    title: &'d str,
    applicability: &'static str,
    edits: Vec<Edit<'d>>,
}

#[derive(Serialize)]
struct Edit<'d> {
    file: &'d str,
    range: Range,
    text: &'d str,
}

#[derive(Serialize)]
struct Range {
    start: Place,
    end: Place,
}

#[derive(Serialize)]
struct Place {
    line: u32,
    column: u32,
    offset: u32,
}

/// All diagnostics as one indented JSON object, with a final newline.
pub fn json(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    let summary = Summary::of(diagnostics);
    let output = Output {
        format_version: FORMAT_VERSION,
        diagnostics: diagnostics.iter().map(|diagnostic| entry(diagnostic, map)).collect(),
        summary: Counts {
            errors: summary.errors,
            warnings: summary.warnings,
            notes: summary.notes,
            fixable: summary.fixable,
        },
    };
    let mut text =
        serde_json::to_string_pretty(&output).expect("strings and integers always have a JSON form");
    text.push('\n');
    text
}

fn entry<'d>(diagnostic: &'d Diagnostic, map: &'d SourceMap) -> Entry<'d> {
    let file = |span: Span| map.file(span.file).path.as_str();
    Entry {
        code: diagnostic.rule.code,
        name: diagnostic.rule.name,
        severity: diagnostic.severity.as_str(),
        message: &diagnostic.message,
        file: file(diagnostic.primary.span),
        range: range(diagnostic.primary.span, map),
        label: &diagnostic.primary.message,
        labels: diagnostic
            .labels
            .iter()
            .map(|label| Label {
                file: file(label.span),
                range: range(label.span, map),
                message: &label.message,
            })
            .collect(),
        help: &diagnostic.help,
        fixes: diagnostic
            .fixes
            .iter()
            .map(|fix| Fix {
                title: &fix.title,
                applicability: match fix.applicability {
                    Applicability::Safe => "safe",
                    Applicability::Unsafe => "unsafe",
                    Applicability::Display => "display",
                },
                edits: fix
                    .edits
                    .iter()
                    .map(|edit| Edit {
                        file: file(edit.span),
                        range: range(edit.span, map),
                        text: &edit.text,
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn range(span: Span, map: &SourceMap) -> Range {
    let place = |offset| {
        let position = map.file(span.file).position(offset);
        Place { line: position.line, column: position.column, offset }
    };
    Range { start: place(span.start), end: place(span.end) }
}
