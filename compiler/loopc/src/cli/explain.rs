//! `loopc explain`: what a rule means, with an example and what the compiler says about it.
//!
//! Does not know the rules; it prints their table.

use std::fmt::Write;

use loop_compiler::diagnostic::render::{Style, human};
use loop_compiler::diagnostic::{FAMILIES, RULES, Rule, did_you_mean, pages, rule};
use loop_compiler::example;
use loopc::terminal::Stream;

use super::Exit;
use super::output::{Failure, print, style};

pub(super) fn run(code_or_name: Option<&str>) -> Result<Exit, Failure> {
    let Some(wanted) = code_or_name else {
        print(&list())?;
        return Ok(Exit::Clean);
    };
    // As it stands in a report's brackets, it may also be pasted whole.
    let wanted = wanted.trim().trim_start_matches('[').trim_end_matches(']');
    let found = wanted.split('/').find_map(rule);
    let Some(found) = found else {
        let names = RULES.iter().flat_map(|rule| [rule.name, rule.code]);
        let hint = match did_you_mean(wanted, names) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => "; `loopc explain` alone lists them all".to_owned(),
        };
        return Err(Failure::Told(format!("no rule is called `{wanted}`{hint}")));
    };
    print(&page(found, style(Stream::Out)))?;
    Ok(Exit::Clean)
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
    let _ = writeln!(out, "\nWhat `loopc check` says:\n");
    out.push_str(&human(&example.diagnostics, &example.map, style));
    let _ = writeln!(out, "\nThe same {what}, mended:\n");
    indent(&mut out, rule.good);
    out
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("    {line}").trim_end());
    }
}

fn list() -> String {
    let mut out = String::new();
    let wide = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for family in FAMILIES {
        let _ = writeln!(out, "{}", family.title);
        for rule in RULES.iter().filter(|rule| rule.family() == family.digit) {
            let _ = writeln!(out, "  {}  {:wide$}  {}", rule.code, rule.name, rule.summary);
        }
    }
    out
}
