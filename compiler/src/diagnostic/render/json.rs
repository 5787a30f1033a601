//! Diagnostics for programs: one JSON object, or one for each finding. `spec/schemas` describes both.
//!
//! Does not know how a person wants to read them.

use serde::Serialize;

use super::{Report, Summary};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Fields may be added under the same version; a change of a field's meaning raises it.
pub const FORMAT_VERSION: u32 = 1;

#[derive(Serialize)]
struct Output<'d> {
    format_version: u32,
    diagnostics: Vec<Entry<'d>>,
    summary: Counts,
}

/// A line of the other form; `type` tells them apart.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'d> {
    Diagnostic {
        format_version: u32,
        #[serde(flatten)]
        entry: Entry<'d>,
    },
    Summary {
        format_version: u32,
        #[serde(flatten)]
        counts: Counts,
    },
}

#[derive(Serialize)]
pub(super) struct Counts {
    errors: usize,
    warnings: usize,
    notes: usize,
    fixable: usize,
    fixable_unsafe: usize,
    files: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    plans: Option<usize>,
}

impl Counts {
    pub(super) fn new(summary: Summary, plans: Option<usize>) -> Counts {
        Counts {
            errors: summary.errors,
            warnings: summary.warnings,
            notes: summary.notes,
            fixable: summary.fixable,
            fixable_unsafe: summary.fixable_unsafe,
            files: summary.files,
            plans,
        }
    }
}

#[derive(Serialize)]
struct Entry<'d> {
    code: &'static str,
    name: &'static str,
    severity: &'static str,
    /// Where the rule is explained, from the root of the compiler's own repository.
    docs: String,
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

fn counts(report: &Report<'_>) -> Counts {
    Counts::new(report.summary(), report.scope().plans.as_ref().map(Vec::len))
}

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let output = Output {
        format_version: FORMAT_VERSION,
        diagnostics: report.shown(limit).into_iter().map(|found| entry(found, report)).collect(),
        summary: counts(report),
    };
    let mut text =
        serde_json::to_string_pretty(&output).expect("strings and integers always have a JSON form");
    text.push('\n');
    text
}

/// A line for each finding, and one that counts them.
pub(super) fn write_lines(report: &Report<'_>, limit: Option<usize>) -> String {
    let findings = report
        .shown(limit)
        .into_iter()
        .map(|found| Line::Diagnostic { format_version: FORMAT_VERSION, entry: entry(found, report) });
    let end = Line::Summary { format_version: FORMAT_VERSION, counts: counts(report) };
    let mut text = String::new();
    for line in findings.chain([end]) {
        text.push_str(&serde_json::to_string(&line).expect("strings and integers always have a JSON form"));
        text.push('\n');
    }
    text
}

fn entry<'d>(diagnostic: &'d Diagnostic, report: &'d Report<'_>) -> Entry<'d> {
    let file = |span: Span| report.path(span.file);
    Entry {
        code: diagnostic.rule.code,
        name: diagnostic.rule.name,
        severity: diagnostic.severity.as_str(),
        docs: diagnostic.rule.page(),
        message: &diagnostic.message,
        file: file(diagnostic.primary.span),
        range: range(diagnostic.primary.span, report),
        label: &diagnostic.primary.message,
        labels: diagnostic
            .labels
            .iter()
            .map(|label| Label {
                file: file(label.span),
                range: range(label.span, report),
                message: &label.message,
            })
            .collect(),
        help: &diagnostic.help,
        fixes: diagnostic
            .fixes
            .iter()
            .map(|fix| Fix {
                title: &fix.title,
                applicability: fix.applicability.as_str(),
                edits: fix
                    .edits
                    .iter()
                    .map(|edit| Edit {
                        file: file(edit.span),
                        range: range(edit.span, report),
                        text: &edit.text,
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn range(span: Span, report: &Report<'_>) -> Range {
    let place = |offset| {
        let position = report.map().file(span.file).position(offset);
        Place { line: position.line, column: position.column, offset }
    };
    Range { start: place(span.start), end: place(span.end) }
}
