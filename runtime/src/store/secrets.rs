//! Finds secrets of well-known shapes in text that is about to be stored, and masks them.
//!
//! Does not know where the text comes from. It is used on evidence, outputs and transcripts, never
//! on patches: an altered patch would be another patch.
//!
//! Only shapes with a fixed prefix or frame are known, so that ordinary text is left alone. A secret without
//! such a shape is not found: the store is not a safe place for secrets, with or without this.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::bytes::{Captures, Regex};

/// What is looked for: name and pattern. One alternation is made of them; the first that fits at a place
/// wins, so narrower ones stand before wider ones.
const SHAPES: &[(&str, &str)] = &[
    (
        "private_key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.-]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    ),
    // Cut off before its end: the base64 that follows is secret all the same.
    (
        "private_key_part",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr])*[A-Za-z0-9+/=]{16}(?:[A-Za-z0-9+/=\s]|\\[nr])*",
    ),
    ("aws_access_key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("aws_secret_key", r#"(?i:aws_secret_access_key)["']?\s*[:=]\s*["']?[A-Za-z0-9/+]{40}\b"#),
    ("github_token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("github_fine_token", r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b"),
    ("gitlab_token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("slack_hook", r"https://hooks\.slack\.com/services/T[A-Za-z0-9]+/B[A-Za-z0-9]+/[A-Za-z0-9]+"),
    ("anthropic_key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("openai_key", r"\bsk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,}|[A-Za-z0-9]{40,64}\b)"),
    ("google_key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("stripe_key", r"\b[rs]k_live_[0-9A-Za-z]{16,}\b"),
    ("npm_token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi_token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    ("json_web_token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
];

/// What was masked: how often each shape was found, by name.
pub type Masked = BTreeMap<&'static str, usize>;

/// The text with every secret of a known shape replaced by `[masked NAME]`, and what was replaced.
/// Bytes that are not UTF-8 are kept as they are.
pub fn mask(text: &[u8]) -> (Cow<'_, [u8]>, Masked) {
    let mut masked = Masked::new();
    let text = shapes().replace_all(text, |found: &Captures<'_>| {
        let name = SHAPES.iter().map(|(name, _)| *name).find(|name| found.name(name).is_some());
        let name = name.expect("a match is a match of one of the alternatives");
        *masked.entry(name).or_default() += 1;
        format!("[masked {name}]").into_bytes()
    });
    (text, masked)
}

fn shapes() -> &'static Regex {
    static COMPILED: OnceLock<Regex> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let any: Vec<String> = SHAPES.iter().map(|(name, shape)| format!("(?P<{name}>{shape})")).collect();
        // ASCII classes: tokens are ASCII, and a byte that is no UTF-8 must still end a word.
        Regex::new(&format!("(?-u){}", any.join("|")))
            .expect("the patterns are constants, and a test uses each")
    })
}

/// A program's words as a record may hold them: without well-known secrets, on few lines, short. Records cannot be
/// erased.
pub fn recordable(text: &str) -> String {
    let (masked, _) = mask(text.as_bytes());
    let text = String::from_utf8_lossy(&masked);
    // Neither what steers a terminal nor what turns text around.
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let harmless = text.chars().map(|c| if steers(c) { ' ' } else { c });
    let mut short: String = harmless.take(600).collect();
    if short.chars().count() == 600 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of each shape, put together here so that no scanner takes this file for a leak.
    fn samples() -> Vec<(&'static str, String)> {
        let body = "A1b2C3d4E5f6G7h8J9k0".repeat(5);
        let key = |kind: &str| format!("-----{} {kind}PRIVATE KEY-----", "BEGIN");
        vec![
            ("private_key", format!("{}\n{body}\n-----END RSA PRIVATE KEY-----", key("RSA "))),
            ("private_key", format!("{}\\n{body}\\n-----END PRIVATE KEY-----", key(""))),
            ("private_key_part", format!("{}\n{body}", key("OPENSSH "))),
            ("aws_access_key", format!("AKIA{}", "ABCDEFGH234567QR")),
            ("aws_secret_key", format!("aws_secret_access_key = \"{}\"", &body[..40])),
            ("github_token", format!("ghp_{}", &body[..36])),
            ("github_fine_token", format!("github_pat_{}", &body[..82])),
            ("gitlab_token", format!("glpat-{}", &body[..20])),
            ("slack_token", format!("xoxb-{}", &body[..24])),
            ("slack_hook", format!("https://hooks.slack.com/services/T{0}/B{0}/{0}", &body[..10])),
            ("anthropic_key", format!("sk-ant-api03-{body}")),
            ("openai_key", format!("sk-proj-{body}")),
            ("openai_key", format!("sk-{}", &body[..48])),
            ("google_key", format!("AIza{}", &body[..35])),
            ("stripe_key", format!("sk_live_{}", &body[..24])),
            ("npm_token", format!("npm_{}", &body[..36])),
            ("pypi_token", format!("pypi-AgEIcHlwaS5vcmc{body}")),
            ("json_web_token", format!("eyJ{0}.eyJ{0}.{0}", &body[..20])),
        ]
    }

    #[test]
    fn each_shape_is_masked_and_nothing_around_it() {
        for (name, secret) in samples() {
            let text = format!("before: {secret}\" after");
            let (masked, found) = mask(text.as_bytes());
            let masked = String::from_utf8(masked.into_owned()).unwrap();
            assert_eq!(found.get(name), Some(&1), "{name}: {masked}");
            assert!(masked.starts_with("before: ") && masked.ends_with(" after"), "{name}: {masked}");
            assert!(
                !masked.contains("A1b2C3d4E5") && !masked.contains("ABCDEFGH234567QR"),
                "{name}: {masked}"
            );
            assert!(mask(masked.as_bytes()).1.is_empty(), "masking twice finds something: {masked}");
        }
        let shown: std::collections::BTreeSet<_> = samples().into_iter().map(|(name, _)| name).collect();
        assert_eq!(shown.len(), SHAPES.len(), "a shape has no sample");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text = b"commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \xff\xfe\n\
            class=\"sk-button sk-spinner-grow\" let x = ghp_short; see -----BEGIN CERTIFICATE-----\n\
            grep 'BEGIN PRIVATE KEY' src/ eyJ.eyJ.x npm_config_registry AKIA task-001-of-the-plan-and-more";
        let (same, found) = mask(text);
        assert!(found.is_empty(), "{found:?}");
        assert!(matches!(same, Cow::Borrowed(_)));
    }
}
