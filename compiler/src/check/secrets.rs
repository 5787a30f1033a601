//! Secrets of well-known shapes in the texts that a plan is made of: its files, with their comments, and the prompts
//! that it takes from Markdown files.
//!
//! Does not know secrets without such a shape: nothing is guessed from how random a text looks. What is found is named by
//! its kind, and its place is marked so that no format shows it.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::Context;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let own: BTreeSet<&Utf8Path> = context.plan.plan_files.iter().map(|path| path.as_path()).collect();
    for (id, file) in context.map.files().filter(|(_, file)| own.contains(file.path.as_path())) {
        for (from, to, kind) in secrets(&file.text) {
            let mut found = told(Span::new(id, from, first_line(&file.text, from, to)), kind);
            // Line by line, so that what stands in for it leaves the lines where they are.
            let mut at = from;
            for line in file.text[from..to].split_inclusive('\n') {
                let shown = line.trim_end();
                if !shown.is_empty() {
                    found = found.secret(Span::new(id, at, at + shown.len()));
                }
                at += line.len();
            }
            diagnostics.push(found);
        }
    }
    let mut seen: BTreeSet<Span> = BTreeSet::new();
    for part in context.plan.units.iter().flat_map(|unit| &unit.prompt) {
        let Some(file) = part.file.as_ref().filter(|_| seen.insert(part.span)) else { continue };
        if let Some((from, _, kind)) = secrets(&part.text).into_iter().next() {
            let line = part.text[..from].matches('\n').count() + 1;
            let place = match &file.heading {
                None => format!("line {line} of `{}`", file.path),
                Some(heading) => format!("line {line} of the section \"{heading}\" of `{}`", file.path),
            };
            diagnostics.push(told(part.span, kind).at(format!("on {place}")));
        }
    }
}

fn first_line(text: &str, from: usize, to: usize) -> usize {
    text[from..to].find(['\n', '\r']).map_or(to, |at| from + at)
}

fn told(span: Span, kind: &str) -> Diagnostic {
    Diagnostic::new("secret-literal", span, format!("this looks like {kind}"))
        .at("in a file that is committed, and sent to agents")
        .help("hand it over by the environment: `env NAME` at the agent or verifier that needs it")
        .help("if it is real, revoke it: whoever can read the repository's history has it")
}

/// A token with a fixed beginning.
struct Shape {
    kind: &'static str,
    begins: &'static str,
    /// What it goes on with.
    body: fn(u8) -> bool,
    least: usize,
    most: usize,
}

const fn shape(
    kind: &'static str,
    begins: &'static str,
    body: fn(u8) -> bool,
    least: usize,
    most: usize,
) -> Shape {
    Shape { kind, begins, body, least, most }
}

fn alphanumeric(c: u8) -> bool {
    c.is_ascii_alphanumeric()
}

fn word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}

fn dashed(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'-'
}

fn base32(c: u8) -> bool {
    c.is_ascii_uppercase() || (b'2'..=b'7').contains(&c)
}

const LONG: usize = 4096;
/// How far before a secret its name is looked for.
const NEAR: usize = 100;
const SHAPES: &[Shape] = &[
    shape("an AWS access key", "AKIA", base32, 16, 16),
    shape("an AWS access key", "ASIA", base32, 16, 16),
    shape("a GitHub token", "ghp_", alphanumeric, 36, 255),
    shape("a GitHub token", "gho_", alphanumeric, 36, 255),
    shape("a GitHub token", "ghu_", alphanumeric, 36, 255),
    shape("a GitHub token", "ghs_", alphanumeric, 36, 255),
    shape("a GitHub token", "ghr_", alphanumeric, 36, 255),
    shape("a GitHub token", "github_pat_", word, 60, 255),
    shape("a GitLab token", "glpat-", dashed, 20, LONG),
    shape("a Slack token", "xoxa-", dashed, 10, LONG),
    shape("a Slack token", "xoxb-", dashed, 10, LONG),
    shape("a Slack token", "xoxe-", dashed, 10, LONG),
    shape("a Slack token", "xoxo-", dashed, 10, LONG),
    shape("a Slack token", "xoxp-", dashed, 10, LONG),
    shape("a Slack token", "xoxr-", dashed, 10, LONG),
    shape("a Slack token", "xoxs-", dashed, 10, LONG),
    shape("an Anthropic key", "sk-ant-", dashed, 20, LONG),
    shape("an OpenAI key", "sk-proj-", dashed, 32, LONG),
    shape("an OpenAI key", "sk-svcacct-", dashed, 32, LONG),
    shape("an OpenAI key", "sk-admin-", dashed, 32, LONG),
    shape("an OpenAI key", "sk-", alphanumeric, 40, 64),
    shape("a Google key", "AIza", dashed, 35, 35),
    shape("a Stripe key", "sk_live_", alphanumeric, 16, LONG),
    shape("a Stripe key", "rk_live_", alphanumeric, 16, LONG),
    shape("an npm token", "npm_", alphanumeric, 36, 36),
    shape("a PyPI token", "pypi-AgEIcHlwaS5vcmc", dashed, 50, LONG),
];

/// Settings whose value is a secret, in small letters.
const SETTINGS: &[&str] =
    &["password", "passwd", "secret", "token", "api_key", "apikey", "api-key", "access_key"];
/// Words in values that stand for a secret and are none.
const STAND_INS: &[&str] = &[
    "example",
    "changeme",
    "change-me",
    "placeholder",
    "dummy",
    "fake",
    "your",
    "xxx",
    "test",
    "secret",
    "password",
    "1234",
];

/// No secret that is looked for is shorter.
const SHORTEST: usize = 10;
const KEY: &str = "-----BEGIN ";

/// From, to and kind of each, in order.
fn secrets(text: &str) -> Vec<(usize, usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // Runs of letters that can be a secret are rare: every tenth byte is looked at until one is in such a run.
    while at + SHORTEST <= bytes.len() {
        let last = at + SHORTEST - 1;
        if let Some(gap) = (at..=last).rev().find(|at| !in_run(bytes[*at])) {
            at = gap + 1;
            continue;
        }
        let end = (last..bytes.len()).find(|at| !in_run(bytes[*at])).unwrap_or(bytes.len());
        at = if text[at..].starts_with(KEY.trim_end()) {
            key(text, at, end, &mut found)
        } else {
            run(text, at, end, &mut found)
        };
    }
    found
}

fn in_run(c: u8) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, b'_' | b'-' | b'.' | b'/' | b'+' | b'=' | b':' | b'@' | b'?' | b'&' | b'%')
}

/// A private key, to its end if that is there, else to the end of the text that it stands in.
fn key(text: &str, from: usize, end: usize, found: &mut Vec<(usize, usize, &'static str)>) -> usize {
    let rest = &text[from..];
    let head = rest.split(['\n', '"', '\\']).next().unwrap_or(rest);
    if !head.starts_with(KEY) || !head.contains("PRIVATE KEY") {
        return end;
    }
    let body = &rest[head.len()..];
    let close = body.find("-----END ").map(|at| {
        let behind = at + "-----END ".len();
        behind + body[behind..].find("-----").map_or(0, |at| at + 5)
    });
    let length = close.or_else(|| body.find('"')).unwrap_or(body.len());
    found.push((from, from + head.len() + length, "a private key"));
    from + head.len() + length
}

/// The secrets in one run; gives where to go on.
fn run(text: &str, from: usize, end: usize, found: &mut Vec<(usize, usize, &'static str)>) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < end {
        let begins = at == from || !dashed(bytes[at - 1]);
        match begins.then(|| token(&text[at..end])).flatten() {
            Some((length, kind)) => {
                found.push((at, at + length, kind));
                at += length;
            }
            None => match value(text, from, at, end) {
                Some((to, kind)) => {
                    found.push((at, to, kind));
                    at = to;
                }
                None => at += 1,
            },
        }
    }
    end
}

/// The length and kind of the token that the text begins with.
fn token(text: &str) -> Option<(usize, &'static str)> {
    if !text.starts_with(['A', 'g', 'x', 's', 'r', 'n', 'p', 'e']) {
        return None;
    }
    for shape in SHAPES {
        let Some(body) = text.strip_prefix(shape.begins) else { continue };
        let length = body.bytes().take_while(|c| (shape.body)(*c)).count();
        let digits = body.bytes().take(length).any(|c| c.is_ascii_digit());
        // The example in Amazon's own manuals.
        let example = body[..length].ends_with("EXAMPLE");
        if (shape.least..=shape.most).contains(&length) && digits && !example {
            return Some((shape.begins.len() + length, shape.kind));
        }
    }
    let mut parts = text[..text.len().min(LONG)].splitn(4, '.');
    let (head, claims, sign) = (parts.next()?, parts.next()?, parts.next()?);
    let sign = sign.bytes().take_while(|c| dashed(*c)).count();
    let sound = |part: &str| part.starts_with("eyJ") && part.len() >= 13 && part.bytes().all(dashed);
    (sound(head) && sound(claims) && sign >= 10)
        .then(|| (head.len() + claims.len() + 2 + sign, "a JSON web token"))
}

/// A secret behind `password=`, or behind the name in `https://name:secret@host`. `at` is where it begins.
fn value(text: &str, from: usize, at: usize, end: usize) -> Option<(usize, &'static str)> {
    // Names and secrets are short; in a run without end nothing is looked for twice.
    let before = &text[from.max(at.saturating_sub(NEAR))..at];
    let end = end.min(at + LONG / 16);
    if before.ends_with('=') {
        let name = before.trim_end_matches('=').to_ascii_lowercase();
        if before.len() - name.len() != 1 || !SETTINGS.iter().any(|setting| name.ends_with(setting)) {
            return None;
        }
        let length =
            text[at..end].bytes().take_while(|c| dashed(*c) || matches!(c, b'+' | b'/' | b'.')).count();
        return real(&text[at..at + length]).then_some((at + length, "a password or token"));
    }
    if before.ends_with(':') && !text[at..].starts_with('/') {
        let scheme = before.rfind("://")?;
        let name = &before[scheme + 3..before.len() - 1];
        let length = text[at..end].find('@')?;
        let plain = !name.is_empty() && name.bytes().all(dashed);
        return (plain && real(&text[at..at + length])).then_some((at + length, "a password in an address"));
    }
    None
}

/// Eight or more letters and digits that do not say themselves that they stand for something else.
fn real(value: &str) -> bool {
    let letters = value.bytes().any(|c| c.is_ascii_alphabetic());
    let digits = value.bytes().any(|c| c.is_ascii_digit());
    let small = value.to_ascii_lowercase();
    value.len() >= 8
        && letters
        && digits
        && !value.contains('/')
        && !STAND_INS.iter().any(|word| small.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{compiled, project};

    /// Not written out, so that no scanner takes this file for a leak.
    fn samples() -> Vec<(&'static str, String)> {
        let body = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6a7b8c9d0";
        vec![
            ("an AWS access key", format!("AKIA{}", "ABCDEFGH234567QR")),
            ("a GitHub token", format!("ghp_{}", &body[..36])),
            ("a GitHub token", format!("github_pat_{body}")),
            ("a GitLab token", format!("glpat-{}", &body[..20])),
            ("a Slack token", format!("xoxb-{}", "123456789012-abcdef")),
            ("an Anthropic key", format!("sk-ant-{}", &body[..30])),
            ("an OpenAI key", format!("sk-proj-{}", &body[..40])),
            ("an OpenAI key", format!("sk-{}", &body[..48])),
            ("a Google key", format!("AIza{}", &body[..35])),
            ("a Stripe key", format!("sk_live_{}", &body[..24])),
            ("an npm token", format!("npm_{}", &body[..36])),
            ("a JSON web token", format!("eyJ{0}.eyJ{0}.{0}", &body[..12])),
        ]
    }

    #[test]
    fn each_shape_is_found_and_nothing_around_it() {
        for (kind, secret) in samples() {
            for (before, behind) in
                [("run curl \"", "\""), ("// ", "\n"), ("\"a:", "@b\""), ("", ""), ("ü", "ü")]
            {
                let text = format!("{before}{secret}{behind}");
                assert_eq!(secrets(&text), [(before.len(), before.len() + secret.len(), kind)], "{text}");
            }
        }
        let value = format!("hunter{}", "2-but-longer9");
        for (before, behind) in
            [("DB_PASSWORD=", " x"), ("curl https://h/?api_key=", "&b=1"), ("--token=", "\"")]
        {
            let text = format!("{before}{value}{behind}");
            assert_eq!(
                secrets(&text),
                [(before.len(), before.len() + value.len(), "a password or token")],
                "{text}"
            );
        }
        let text = format!("postgres://app:{value}@db/x");
        assert_eq!(secrets(&text), [(15, 15 + value.len(), "a password in an address")]);
    }

    #[test]
    fn ordinary_texts_are_left_alone() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "AKIA",
            "ghp_short",
            "npm_config_registry_is_a_long_setting_name",
            "sk-learn-contrib-and-many-more-words-behind-it",
            "DB_PASSWORD=${DB_PASSWORD}",
            "password=changeme123",
            "PASSWORD=your-password-1",
            "token=",
            "--token-file=src/tokens/a1b2c3d4.txt",
            "tests/password=reset_flow",
            "postgres://postgres:postgres@localhost:5432/app",
            "https://example.com:8443/path@2",
            "git@github.com:acme/shop.git",
            "cargo test --features=secret1-handling",
            "-----BEGIN CERTIFICATE-----",
            "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            "3f786850e387550fdab836ed7e6dc881de23001b",
            "xoxb-not-a-token-at-all",
            "--------------------------------",
            "\u{1f600}\u{1f600}\u{1f600}\u{1f600}",
        ] {
            assert_eq!(secrets(text), [], "{text}");
        }
    }

    #[test]
    fn a_private_key_is_found_as_a_whole() {
        let key = format!(
            "-----BEGIN RSA {0}-----\n  MIIEpAIBAAKCAQEA\n  abc\n  -----END RSA {0}-----",
            "PRIVATE KEY"
        );
        let text = format!("prompt \"\"\"\n  {key}\n  \"\"\"\nrest of it");
        assert_eq!(secrets(&text), [(13, 13 + key.len(), "a private key")]);
        let open = format!("prompt \"-----BEGIN {}-----\\nMIIE\" x", "PRIVATE KEY");
        assert_eq!(secrets(&open).len(), 1);
        assert_eq!(&open[secrets(&open)[0].1..], "\" x");
    }

    #[test]
    fn no_format_shows_what_was_found() {
        use crate::diagnostic::render::{Style, human, json};
        let (_, secret) = samples().remove(1);
        let key = format!("-----BEGIN {}-----\n            c2VjcmV0", "PRIVATE KEY");
        let plan = format!(
            "feature f {{\n    unit u {{ goal \"g\"; writes \"a\"; accept \"{secret}\"; verify test; prompt file=\"p.md\"; }}\n\
             unit v {{\n        goal \"g\"\n        writes \"b\"\n        verify test\n        prompt \"\"\"\n            {key}\n            \"\"\"\n    }}\n}}\n"
        );
        let prompt = format!("# P\n\nUse {secret}.\n");
        let compiled = compiled(&[("loop.kdl", &project("")), ("p.loop.kdl", &plan), ("p.md", &prompt)]);
        let of_rule = compiled.diagnostics.iter().filter(|found| found.rule.name == "secret-literal");
        assert_eq!(of_rule.count(), 3, "{:#?}", compiled.diagnostics);
        assert!(
            compiled.diagnostics.iter().any(|found| found.message.contains("nothing checks the criterion"))
        );
        for shown in [
            human(&compiled.diagnostics, &compiled.map, Style::PLAIN),
            json(&compiled.diagnostics, &compiled.map),
        ] {
            assert!(!shown.contains(&secret) && !shown.contains("c2VjcmV0"), "{shown}");
        }
    }

    /// Where text is long and without gaps, each byte is still looked at a few times only.
    #[test]
    fn long_runs_are_linear() {
        for piece in ["a", "=", ":", "-", "eyJ", "sk-", "password=", "://a:"] {
            assert_eq!(secrets(&piece.repeat(200_000)).len(), 0, "{piece}");
        }
    }
}
