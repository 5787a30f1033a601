//! How often each rule is broken.
//!
//! Does not know where.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::{FORMAT_VERSION, Summary, best_fix};
use crate::diagnostic::{Applicability, Diagnostic, Severity};
use crate::source::SourceMap;

#[derive(Serialize)]
struct Count {
    code: &'static str,
    name: &'static str,
    severity: &'static str,
    count: usize,
    fixable: usize,
    fixable_unsafe: usize,
    summary: &'static str,
}

#[derive(Serialize)]
struct Output {
    format_version: u32,
    statistics: Vec<Count>,
    summary: super::json::Counts,
}

/// The most frequent first; a rule that a `lint` made lighter in places has a row for each weight.
fn counts(diagnostics: &[Diagnostic]) -> Vec<Count> {
    let mut rows: BTreeMap<(&str, Severity), Count> = BTreeMap::new();
    for found in diagnostics {
        let row = rows.entry((found.rule.code, found.severity)).or_insert(Count {
            code: found.rule.code,
            name: found.rule.name,
            severity: found.severity.as_str(),
            count: 0,
            fixable: 0,
            fixable_unsafe: 0,
            summary: found.rule.summary,
        });
        row.count += 1;
        match best_fix(found) {
            Some(Applicability::Safe) => row.fixable += 1,
            Some(Applicability::Unsafe) => row.fixable_unsafe += 1,
            Some(Applicability::Display) | None => {}
        }
    }
    let mut rows: Vec<Count> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.count));
    rows
}

/// A line a rule: how often, how heavy, and how many of them can be fixed.
pub fn statistics(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    let rows = counts(diagnostics);
    let digits = rows.iter().map(|row| row.count.to_string().len()).max().unwrap_or(1);
    let wide = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for row in &rows {
        let mut ways = Vec::new();
        if row.fixable > 0 {
            ways.push(format!("{} fixable", row.fixable));
        }
        if row.fixable_unsafe > 0 {
            ways.push(format!("{} with --unsafe-fixes", row.fixable_unsafe));
        }
        let ways = if ways.is_empty() { String::new() } else { format!("  [{}]", ways.join(", ")) };
        let _ = writeln!(
            out,
            "{:>digits$}  {:7}  {}  {:wide$}  {}{ways}",
            row.count, row.severity, row.code, row.name, row.summary
        );
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "{}", Summary::of(diagnostics, map).sentence());
    }
    out
}

/// The same as one JSON object.
pub fn statistics_json(diagnostics: &[Diagnostic], map: &SourceMap) -> String {
    let output = Output {
        format_version: FORMAT_VERSION,
        statistics: counts(diagnostics),
        summary: super::json::Counts::new(Summary::of(diagnostics, map), None),
    };
    let mut text =
        serde_json::to_string_pretty(&output).expect("strings and integers always have a JSON form");
    text.push('\n');
    text
}
