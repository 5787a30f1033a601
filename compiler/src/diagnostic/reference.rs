//! Writes `spec/diagnostics.md` from the table of rules.
//!
//! Does not know where the text is kept; a test compares it with the file.

use std::fmt::Write;

use super::{FAMILIES, RULES, Rule, pages};

/// Every rule with its page and examples, in Markdown.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    for family in FAMILIES {
        let rules: Vec<&Rule> = RULES.iter().filter(|rule| rule.family() == family.digit).collect();
        let _ = writeln!(out, "\n## L{}: {}\n", family.digit, family.title);
        let _ = writeln!(out, "| code | name | level | what is wrong |\n|---|---|---|---|");
        for rule in &rules {
            let _ = writeln!(
                out,
                "| {} | [{}](#{}) | {} | {} |",
                rule.code,
                rule.name,
                rule.anchor(),
                level(rule),
                rule.summary
            );
        }
        for rule in &rules {
            let _ = writeln!(out, "\n### {} {}\n", rule.code, rule.name);
            let _ = writeln!(out, "{}\n", rule.explanation.trim_end());
            for (path, content) in pages::files(rule) {
                if let Ok(text) = std::str::from_utf8(content) {
                    let _ = writeln!(out, "With `{path}`:\n\n```text\n{}\n```\n", text.trim_end());
                }
            }
            let _ = writeln!(out, "Breaks it:\n");
            let _ = writeln!(out, "```kdl\n{}\n```\n\nKeeps it:\n", rule.bad.trim_end());
            let _ = writeln!(out, "```kdl\n{}\n```", rule.good.trim_end());
        }
    }
    out
}

fn level(rule: &Rule) -> String {
    let severity = rule.severity.as_str();
    match (rule.on, rule.lowerable) {
        (false, _) => format!("{severity}, when asked for"),
        (true, true) => format!("{severity}, may be lowered"),
        (true, false) => severity.to_owned(),
    }
}

const HEAD: &str = r#"# Diagnostics

This file is written by the compiler from its table of rules; a test compares the two. `loopc explain RULE` shows
the same pages, with what the compiler says about the example.

Every finding belongs to a rule. A rule has a code (`L` and four digits, the second of them its family; codes are
never used again for something else), a name, and a level: `error`, `warning` or `note`. Errors alone make
`loopc check` end with 1. Rules that may be lowered are lowered by a `lint` node beside what they are about (in a
unit, gate, feature, verifier, or in the `project` of `loop.kdl`), never by a comment, and always with a reason:

```kdl
lint no-verification level=warn reason="a sketch, nothing of it is kept"
```

`level=allow` silences a rule, `warn` makes it a warning, `deny` an error. The nearest node counts. A rule whose level is
"when asked for" says nothing unless a `lint` node turns it on, or `loopc check --notes` asks for all of them.

How findings are printed, for people and for programs, is in [output.md](output.md).
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/diagnostics.md` says what the table says. `UPDATE_EXPECT=1` writes it anew.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test compares with a file of the repository")]
    fn the_specification_has_every_rule() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/diagnostics.md");
        let wanted = reference();
        if std::env::var("UPDATE_EXPECT").is_ok() {
            std::fs::write(path, &wanted).expect("the specification can be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == wanted, "spec/diagnostics.md is out of date: run this test with UPDATE_EXPECT=1");
    }

    #[test]
    fn every_rule_has_a_family_a_page_and_examples() {
        let mut codes = std::collections::BTreeSet::new();
        for rule in RULES {
            assert!(
                FAMILIES.iter().any(|family| family.digit == rule.family()),
                "{} has no family",
                rule.code
            );
            assert!(codes.insert(rule.code), "{} stands twice", rule.code);
            let digits = rule.code.strip_prefix('L').expect("codes begin with L");
            assert!(digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{}", rule.code);
            assert!(rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.name);
            let lines = rule.explanation.lines().count();
            assert!((3..=14).contains(&lines), "the page of {} has {lines} lines", rule.name);
            assert!(!rule.explanation.contains('!') || rule.name == "input-without-edge", "{}", rule.name);
            assert!(
                !rule.bad.trim().is_empty() && !rule.good.trim().is_empty() && rule.bad != rule.good,
                "{}",
                rule.name
            );
        }
        assert!(RULES.is_sorted_by_key(|rule| rule.code));
    }
}
