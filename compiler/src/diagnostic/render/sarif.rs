//! SARIF 2.1.0 (OASIS, errata 01), for code scanning.
//!
//! Does not know where the repository is: every address counts from `%SRCROOT%`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fingerprint::Fingerprints;
use super::{Report, one_line};
use crate::diagnostic::{Applicability, Diagnostic, FAMILIES, Fix, RULES, Rule, Severity};
use crate::source::{FileId, Span};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What every address is relative to; whoever reads the log knows where that is.
const ROOT: &str = "%SRCROOT%";

pub(super) fn write(report: &Report<'_>, limit: Option<usize>) -> String {
    let shown = report.shown(limit);
    // Rules that say nothing here would be most of the file.
    let mut index: BTreeMap<&str, usize> = shown.iter().map(|found| (found.rule.code, 0)).collect();
    index.values_mut().enumerate().for_each(|(at, place)| *place = at);
    let rules: Vec<Value> =
        RULES.iter().filter(|rule| index.contains_key(rule.code)).map(rule_metadata).collect();
    let mut fingerprints = Fingerprints::default();
    // Each result is a line: as one value, ten thousand of them would take ten times the memory of the text.
    let results: Vec<String> = shown
        .iter()
        .map(|found| {
            let at = index.get(found.rule.code).copied().unwrap_or_default();
            format!("        {}", result(report, found, at, &fingerprints.of(report, found)))
        })
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "loopc",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "automationDetails": {"id": "loopc/"},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {ROOT: {"description": {"text": "the root of the repository"}}},
            "results": [],
        }],
    });
    let text = serde_json::to_string_pretty(&log).expect("strings and integers always have a JSON form");
    // The only key at this depth with this name: pages of rules are strings, in which quotes are escaped.
    let (head, tail) = text.split_once("\"results\": []").unwrap_or((&text, ""));
    if results.is_empty() {
        return format!("{text}\n");
    }
    format!("{head}\"results\": [\n{}\n      ]{tail}\n", results.join(",\n"))
}

fn level(severity: Severity) -> &'static str {
    severity.as_str()
}

fn rule_metadata(rule: &Rule) -> Value {
    let family =
        FAMILIES.iter().find(|family| family.digit == rule.family()).map_or("", |family| family.title);
    let page = format!(
        "{}\n\nBreaks it:\n\n```kdl\n{}\n```\n\nKeeps it:\n\n```kdl\n{}\n```\n",
        rule.explanation.trim_end(),
        rule.bad.trim_end(),
        rule.good.trim_end()
    );
    json!({
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.explanation.trim_end()},
        "help": {"text": page, "markdown": page},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"tags": [family], "lowerable": rule.lowerable},
    })
}

fn result(report: &Report<'_>, found: &Diagnostic, rule: usize, fingerprint: &str) -> Value {
    let mut text = one_line(&found.message).into_owned();
    if !found.primary.message.is_empty() {
        text.push_str(&format!(" ({})", one_line(&found.primary.message)));
    }
    for help in &found.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    let mut result = json!({
        "ruleId": found.rule.code,
        "ruleIndex": rule,
        "level": level(found.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": place(report, found.primary.span)}],
        "partialFingerprints": {"loopcFinding/v1": fingerprint},
    });
    let related: Vec<Value> = found
        .labels
        .iter()
        .enumerate()
        .map(|(at, label)| {
            json!({
                "id": at + 1,
                "message": {"text": one_line(&label.message)},
                "physicalLocation": place(report, label.span),
            })
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    // What has places to fill in is no replacement that a viewer could offer.
    let fixes: Vec<Value> = found
        .fixes
        .iter()
        .filter(|fix| fix.applicability != Applicability::Display && !fix.edits.is_empty())
        .map(|fix| fix_value(report, fix))
        .collect();
    if !fixes.is_empty() {
        result["fixes"] = fixes.into();
    }
    result
}

fn fix_value(report: &Report<'_>, fix: &Fix) -> Value {
    let title = match fix.applicability {
        Applicability::Unsafe => format!("{} (changes what the plan asks for)", fix.title),
        Applicability::Safe | Applicability::Display => fix.title.clone(),
    };
    let mut changes: BTreeMap<FileId, Vec<Value>> = BTreeMap::new();
    for edit in &fix.edits {
        changes.entry(edit.span.file).or_default().push(json!({
            "deletedRegion": region(report, edit.span),
            "insertedContent": {"text": edit.text},
        }));
    }
    let changes: Vec<Value> = changes
        .into_iter()
        .map(|(file, replacements)| {
            json!({"artifactLocation": artifact(report, file), "replacements": replacements})
        })
        .collect();
    json!({"description": {"text": one_line(&title)}, "artifactChanges": changes})
}

fn place(report: &Report<'_>, span: Span) -> Value {
    json!({"artifactLocation": artifact(report, span.file), "region": region(report, span)})
}

fn artifact(report: &Report<'_>, file: FileId) -> Value {
    json!({"uri": uri(report.path(file)), "uriBaseId": ROOT})
}

fn region(report: &Report<'_>, span: Span) -> Value {
    let file = report.map().file(span.file);
    let (start, end) = (file.position(span.start), file.position(span.end));
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

/// A path as a relative reference (RFC 3986): everything but unreserved characters and `/` is escaped, a colon too,
/// since in the first part it would end a scheme.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
