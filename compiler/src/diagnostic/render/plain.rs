//! Diagnostics in sentences, for people who hear them: nothing is drawn, every place is told by line and column.
//!
//! Does not know colour and width; a screen reader wraps by itself.

use std::fmt::Write;

use super::human::hidden_line;
use super::{Report, one_line};
use crate::diagnostic::{Applicability, Diagnostic, Fix, Severity};
use crate::source::Span;

/// Characters of a text that are read out; the rest of a long one is counted.
const LONGEST: usize = 100;

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let mut out = String::new();
    if report.diagnostics().is_empty() {
        return out;
    }
    let shown = report.shown(limit);
    for (at, found) in shown.iter().enumerate() {
        one(&mut out, report, found, at + 1, shown.len());
        out.push('\n');
    }
    if let Some(hidden) = report.hidden(&shown) {
        let _ = writeln!(out, "{}.", capital(&hidden_line(&hidden)));
    }
    let _ = writeln!(out, "{}.", report.sentence());
    if let Some(ways) = report.summary().ways_out() {
        let _ = writeln!(out, "{ways}.");
    }
    out
}

fn one(out: &mut String, report: &Report<'_>, found: &Diagnostic, number: usize, of: usize) {
    let word = match found.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
        Severity::Note => "Note",
    };
    let home = found.primary.span;
    let _ = writeln!(out, "{word} {number} of {of}: {}.", one_line(&found.message));
    let _ = writeln!(out, "Rule {}, {}.", found.rule.code, found.rule.name);
    let _ = writeln!(out, "File {}, {}.", report.path_for_people(home.file), place(report, home));
    let file = report.map().file(home.file);
    let line = file.line_of(home.start);
    let start = (home.start - file.line_start(line)) as usize;
    let text = excerpt(file.line_text(line), start);
    if !text.is_empty() {
        let _ = writeln!(out, "The line reads: {text}");
    }
    if !found.primary.message.is_empty() {
        let _ = writeln!(out, "There{}: {}.", quoted(report, home), one_line(&found.primary.message));
    }
    for label in &found.labels {
        let elsewhere = if label.span.file == home.file {
            String::new()
        } else {
            format!("file {}, ", report.path_for_people(label.span.file))
        };
        let _ = writeln!(
            out,
            "See also {elsewhere}{}{}: {}.",
            place(report, label.span),
            quoted(report, label.span),
            one_line(&label.message)
        );
    }
    for help in &found.help {
        let help: Vec<_> = help.lines().map(|line| one_line(line.trim())).collect();
        let _ = writeln!(out, "Help: {}.", help.join(" "));
    }
    for way in &found.fixes {
        fix(out, report, way);
    }
}

fn fix(out: &mut String, report: &Report<'_>, fix: &Fix) {
    let word = match fix.applicability {
        Applicability::Safe => "Fix",
        Applicability::Unsafe => "Possible fix",
        Applicability::Display => "Example",
    };
    let _ = writeln!(out, "{word}: {}.", one_line(&fix.title));
    for edit in &fix.edits {
        let at = place(report, edit.span);
        let text = cut(&edit.text);
        let step = match (edit.span.is_empty(), edit.text.trim_start_matches(['\n', '\r'])) {
            (true, line) if line.len() < edit.text.len() => {
                let at = report.map().file(edit.span.file).position(edit.span.start);
                format!("after line {}, add the line {}", at.line, cut(line.trim()))
            }
            (true, _) => format!("at {at}, insert {text}"),
            (false, "") => format!("at {at}, delete{}", quoted(report, edit.span)),
            (false, _) => format!("at {at}, replace{} with {text}", quoted(report, edit.span)),
        };
        let _ = writeln!(out, "To do so: {step}.");
    }
}

/// `line 3, columns 5 to 9`, the last one included; `line 3 column 5 to line 4 column 1`.
fn place(report: &Report<'_>, span: Span) -> String {
    let file = report.map().file(span.file);
    let (start, end) = (file.position(span.start), file.position(span.end));
    if start.line != end.line {
        format!("line {} column {} to line {} column {}", start.line, start.column, end.line, end.column)
    } else if end.column <= start.column + 1 {
        format!("line {}, column {}", start.line, start.column)
    } else {
        format!("line {}, columns {} to {}", start.line, start.column, end.column - 1)
    }
}

/// The text of a place that lies in one line, in backquotes behind a space.
fn quoted(report: &Report<'_>, span: Span) -> String {
    let text = report.map().text(span);
    if text.is_empty() || text.contains(['\n', '\r']) { String::new() } else { format!(" {}", cut(text)) }
}

/// A text in backquotes; of a long one the beginning.
fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(LONGEST).collect();
    match chars.count() {
        0 => format!("`{}`", one_line(&head)),
        more => format!("`{}` and {more} more characters", one_line(&head)),
    }
}

/// The part of a line around a byte.
fn excerpt(line: &str, at: usize) -> String {
    let indent = line.len() - line.trim_start().len();
    if line.len() <= 2 * LONGEST {
        return one_line(line.trim()).into_owned();
    }
    let boundary =
        |at: usize| (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let from = boundary(at.saturating_sub(LONGEST / 2)).max(indent.min(at));
    let to = boundary(from + 2 * LONGEST);
    let front = if from > indent { "..." } else { "" };
    let back = if to < line.len() { "..." } else { "" };
    format!("{front}{}{back}", one_line(line[from..to].trim()))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
