//! `loopc rules` and `loopc explain`: the table of rules, and their pages with what the compiler says about the example.
//!
//! Does not know the rules; it prints their table.

use std::fmt::Write;

use loop_compiler::diagnostic::render::{FORMAT_VERSION, Style, human};
use loop_compiler::diagnostic::{Applicability, FAMILIES, RULES, Rule, did_you_mean, pages, rule};
use loop_compiler::example;
use loopc::terminal::Stream;
use serde_json::{Value, json};

use super::output::{Failure, print, style};
use super::{Exit, RulesFormat};

/// Prints every rule, a line each.
pub(super) fn list(format: RulesFormat) -> Result<Exit, Failure> {
    match format {
        RulesFormat::Human => print(&table())?,
        RulesFormat::Json => print(&objects(RULES.iter(), false))?,
    }
    Ok(Exit::Clean)
}

/// Prints the pages of these rules; of none, the list of all.
pub(super) fn explain(wanted: &[String], format: RulesFormat) -> Result<Exit, Failure> {
    if wanted.is_empty() {
        return list(format);
    }
    let mut found: Vec<&'static Rule> = Vec::new();
    for word in wanted {
        let rule = find(word)?;
        if !found.contains(&rule) {
            found.push(rule);
        }
    }
    match format {
        RulesFormat::Human => {
            let style = style(Stream::Out);
            let pages: Vec<String> = found.into_iter().map(|rule| page(rule, style)).collect();
            print(&pages.join(&format!("\n{}\n\n", "-".repeat(72.min(style.width)))))?;
        }
        RulesFormat::Json => print(&objects(found.into_iter(), true))?,
    }
    Ok(Exit::Clean)
}

fn find(word: &str) -> Result<&'static Rule, Failure> {
    // As it stands in a report's brackets, it may also be pasted whole.
    let word = word.trim().trim_start_matches('[').trim_end_matches(']');
    word.split('/').find_map(rule).ok_or_else(|| {
        let names = RULES.iter().flat_map(|rule| [rule.name, rule.code]);
        let hint = match did_you_mean(word, names) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => "; `loopc rules` lists them all".to_owned(),
        };
        Failure::Told(format!("no rule is called `{word}`{hint}"))
    })
}

fn family(rule: &Rule) -> &'static str {
    FAMILIES.iter().find(|family| family.digit == rule.family()).map_or("", |family| family.title)
}

fn fixable(rule: &Rule) -> &'static str {
    match example::readiest_fix(rule) {
        Some(Applicability::Safe) => "safe",
        Some(Applicability::Unsafe) => "unsafe",
        Some(Applicability::Display) | None => "no",
    }
}

fn objects(rules: impl Iterator<Item = &'static Rule>, with_pages: bool) -> String {
    let rules: Vec<Value> = rules
        .map(|rule| {
            let mut object = json!({
                "code": rule.code,
                "name": rule.name,
                "family": family(rule),
                "severity": rule.severity.as_str(),
                "lowerable": rule.lowerable,
                "on": rule.on,
                "fixable": fixable(rule),
                "summary": rule.summary,
                "docs": rule.page(),
            });
            if with_pages {
                object["explanation"] = rule.explanation.trim_end().into();
                object["bad"] = rule.bad.into();
                object["good"] = rule.good.into();
            }
            object
        })
        .collect();
    let all = json!({"format_version": FORMAT_VERSION, "rules": rules});
    let mut text = serde_json::to_string_pretty(&all).expect("strings and integers always have a JSON form");
    text.push('\n');
    text
}

fn level(rule: &Rule) -> String {
    if !rule.on {
        return format!("{}; off unless asked for, with `--notes` or a `lint` node", rule.severity.as_str());
    }
    let lowered = if rule.lowerable { "a `lint` node may lower it" } else { "cannot be lowered" };
    format!("{}; {lowered}", rule.severity.as_str())
}

fn page(rule: &'static Rule, style: Style) -> String {
    let mut example = example::bad(rule);
    if !rule.on {
        example.add_unasked();
    }
    let mut out = String::new();
    let _ = writeln!(out, "{}/{} ({})", rule.code, rule.name, level(rule));
    let _ = writeln!(out, "{}\n", rule.summary);
    let _ = writeln!(out, "{}", rule.explanation.trim_end());
    for (path, content) in pages::files(rule) {
        if let Ok(text) = std::str::from_utf8(content) {
            let _ = writeln!(out, "\nWith the file {path}:\n");
            indent(&mut out, text);
        }
    }
    let what = if pages::is_project(rule.bad) { "loop.kdl" } else { "plan" };
    let _ = writeln!(out, "\nA {what} that breaks it:\n");
    indent(&mut out, rule.bad);
    if rule.is_of_the_compiler() {
        let _ = writeln!(out, "\nWhat `loopc check` says:\n");
        out.push_str(&human(&example.diagnostics, &example.map, style));
    }
    let _ = writeln!(out, "\nThe same {what}, mended:\n");
    indent(&mut out, rule.good);
    out
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("    {line}").trim_end());
    }
}

fn table() -> String {
    let mut out = String::new();
    let wide = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for family in FAMILIES {
        let mut rules = RULES.iter().filter(|rule| rule.family() == family.digit).peekable();
        if rules.peek().is_none() {
            continue;
        }
        let _ = writeln!(out, "{}", family.title);
        for rule in rules {
            let level = format!("{}{}", rule.severity.as_str(), if rule.lowerable { "*" } else { "" });
            let fix = match fixable(rule) {
                "no" => "",
                kind => kind,
            };
            let _ =
                writeln!(out, "  {}  {:wide$}  {level:8}  {fix:6}  {}", rule.code, rule.name, rule.summary);
        }
    }
    out.push_str(
        "\n* a `lint` node may lower it. `safe`, `unsafe`: `loopc check --fix` mends its example, the latter only with \
         `--unsafe-fixes`.\n",
    );
    out
}
