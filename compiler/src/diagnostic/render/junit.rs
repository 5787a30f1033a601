//! JUnit XML: a suite for each file, a case for each rule that is broken in it. Errors are failures; what is lighter
//! is told in a case that passes, since it does not make `loopc check` fail either.
//!
//! Does not know test runners.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Report, rule_tag};
use crate::diagnostic::{Diagnostic, Severity};

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let mut suites: BTreeMap<&str, BTreeMap<String, Vec<&Diagnostic>>> = BTreeMap::new();
    for plan in report.scope().plans.iter().flatten() {
        suites.entry(plan.as_str()).or_default();
    }
    for found in report.shown(limit) {
        let suite = suites.entry(report.path(found.primary.span.file)).or_default();
        suite.entry(rule_tag(found)).or_default().push(found);
    }
    let failed = |case: &[&Diagnostic]| case.iter().any(|found| found.severity == Severity::Error);
    let mut body = String::new();
    let (mut tests, mut failures) = (0, 0);
    for (path, cases) in &suites {
        let count = cases.len().max(1);
        let bad = cases.values().filter(|case| failed(case)).count();
        (tests, failures) = (tests + count, failures + bad);
        let name = escaped(path);
        let _ = writeln!(
            body,
            "  <testsuite name=\"{name}\" tests=\"{count}\" failures=\"{bad}\" errors=\"0\" skipped=\"0\">"
        );
        if cases.is_empty() {
            let _ = writeln!(body, "    <testcase classname=\"{name}\" name=\"loopc check\"/>");
        }
        for (rule, case) in cases {
            let _ = writeln!(body, "    <testcase classname=\"{name}\" name=\"{}\">", escaped(rule));
            let lines: String = case.iter().map(|found| line(report, found)).collect();
            if failed(case) {
                let first = case.iter().find(|found| found.severity == Severity::Error);
                let message = first.map_or("", |found| found.message.as_str());
                let _ = writeln!(
                    body,
                    "      <failure type=\"error\" message=\"{}\">{}</failure>",
                    escaped(message),
                    escaped(&lines)
                );
            } else {
                let _ = writeln!(body, "      <system-out>{}</system-out>", escaped(&lines));
            }
            let _ = writeln!(body, "    </testcase>");
        }
        let _ = writeln!(body, "  </testsuite>");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"loopc check\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"0\">\n{body}</testsuites>\n"
    )
}

fn line(report: &Report<'_>, found: &Diagnostic) -> String {
    let span = found.primary.span;
    let at = report.map().file(span.file).position(span.start);
    let mut text = format!(
        "{}:{}:{}: {}: {}",
        report.path(span.file),
        at.line,
        at.column,
        found.severity.as_str(),
        found.message
    );
    if !found.primary.message.is_empty() {
        text.push_str(&format!(" ({})", found.primary.message));
    }
    text.push('\n');
    for help in &found.help {
        text.push_str(&format!("  help: {help}\n"));
    }
    text
}

/// XML 1.0 has no way to write most control characters, not even escaped: they are spelled out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\t' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
