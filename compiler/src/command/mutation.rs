//! The table of commands that change what they should judge: formatters and linters that mend, snapshot runners that
//! accept what they find.
//!
//! Does not know whether a change is wanted; a verifier can say so.

use super::Call;
use super::tools::{arguments, begins};

/// A command that writes, and how it would only look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What makes it write: an option, a variable, or the command itself.
    pub by: String,
    pub remedy: Remedy,
}

/// How the same command checks without writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Put this word at its end.
    Append(&'static str),
    /// Leave this word out.
    Drop(String),
    /// Write the second for the first.
    Replace(String, &'static str),
    /// In words.
    Say(&'static str),
}

enum When {
    /// One of these is there; without them it checks.
    Flag(&'static [&'static str]),
    /// As `Flag`, and the checking form has this word in its place.
    Instead(&'static [&'static str], &'static str),
    /// None of these is there; the first one makes it check.
    Without(&'static [&'static str]),
    /// As `Without`, where the way out takes more than a word.
    WithoutSay(&'static [&'static str], &'static str),
    /// One of these is there, and leaving it out is not enough.
    FlagSay(&'static [&'static str], &'static str),
    Always(&'static str),
}

use When::{Always, Flag, FlagSay, Instead, Without, WithoutSay};

const GOFMT: &str =
    "`shell #\"test -z \"$(gofmt -l .)\"\"#` fails if a file is not formatted and changes none";

static ROWS: &[(&[&str], When)] = &[
    (&["cargo", "fmt"], Without(&["--check"])),
    (&["rustfmt"], WithoutSay(&["--check", "--emit", "--version", "--print-config"], "add `--check`")),
    (&["cargo", "fix"], Always("`cargo check` or `cargo clippy` reports without changing")),
    (&["cargo", "clippy"], Flag(&["--fix"])),
    (
        &["cargo", "insta", "test"],
        Instead(&["--accept", "--accept-unseen", "--force-update-snapshots"], "--check"),
    ),
    (&["cargo", "insta", "accept"], Always("`cargo insta test --check` fails if a snapshot differs")),
    (&["cargo", "insta", "review"], Always("`cargo insta test --check` fails if a snapshot differs")),
    (&["cargo", "update"], Always("build with `--locked`, which fails if Cargo.lock is out of date")),
    (&["cargo", "sort"], Without(&["--check", "-c"])),
    (&["taplo", "fmt"], Without(&["--check"])),
    (&["taplo", "format"], Without(&["--check"])),
    (&["leptosfmt"], Without(&["--check"])),
    (&["prettier"], Instead(&["--write", "-w"], "--check")),
    (&["eslint"], Flag(&["--fix"])),
    (&["oxlint"], Flag(&["--fix", "--fix-suggestions", "--fix-dangerously"])),
    (&["stylelint"], Flag(&["--fix"])),
    (&["standard"], Flag(&["--fix"])),
    (&["xo"], Flag(&["--fix"])),
    (&["ts-standard"], Flag(&["--fix"])),
    (&["biome"], Flag(&["--write", "--fix", "--apply", "--apply-unsafe", "--unsafe"])),
    (&["markdownlint"], Flag(&["--fix", "-f"])),
    (&["markdownlint-cli2"], Flag(&["--fix"])),
    (&["jest"], Flag(&["-u", "--updateSnapshot", "--update-snapshot"])),
    (&["vitest"], Flag(&["-u", "--update"])),
    (&["playwright", "test"], Flag(&["-u", "--update-snapshots"])),
    (&["bun", "test"], Flag(&["-u", "--update-snapshots"])),
    (&["node", "--test"], Flag(&["--test-update-snapshots"])),
    (&["ava"], Flag(&["-u", "--update-snapshots"])),
    (&["deno", "fmt"], Without(&["--check"])),
    (&["deno", "lint"], Flag(&["--fix"])),
    (&["dprint", "fmt"], Always("`dprint check` fails if a file is not formatted")),
    (&["ruff", "check"], Flag(&["--fix", "--fix-only", "--unsafe-fixes", "--add-noqa"])),
    (&["ruff", "format"], Without(&["--check", "--diff"])),
    (&["black"], Without(&["--check", "--diff", "--version"])),
    (&["isort"], Without(&["--check-only", "--check", "-c", "--diff", "--df"])),
    (
        &["autopep8"],
        FlagSay(&["-i", "--in-place"], "`--diff --exit-code` in its place fails if a file would change"),
    ),
    (&["yapf"], Instead(&["-i", "--in-place"], "--diff")),
    (&["autoflake"], Instead(&["-i", "--in-place"], "--check")),
    (&["docformatter"], Instead(&["-i", "--in-place"], "--check")),
    (
        &["pytest"],
        Flag(&["--snapshot-update", "--force-regen", "--regen-all", "--update-goldens", "--inline-snapshot"]),
    ),
    (&["gofmt"], FlagSay(&["-w"], GOFMT)),
    (&["gofumpt"], FlagSay(&["-w"], GOFMT)),
    (&["goimports"], FlagSay(&["-w"], GOFMT)),
    (&["go", "fmt"], Always(GOFMT)),
    (&["go", "fix"], Always("`go vet` reports without changing")),
    (&["go", "generate"], Always("compare its output with what is there, or let a unit own what it makes")),
    (&["go", "mod", "tidy"], Without(&["-diff"])),
    (&["go", "test"], Flag(&["-update", "--update"])),
    (&["golangci-lint"], Flag(&["--fix"])),
    (
        &["rubocop"],
        Flag(&["-a", "-A", "-x", "--autocorrect", "--autocorrect-all", "--auto-correct", "--fix-layout"]),
    ),
    (&["standardrb"], Flag(&["--fix"])),
    (&["php-cs-fixer", "fix"], Without(&["--dry-run"])),
    (&["phpcbf"], Always("`phpcs` reports without changing")),
    (&["rector", "process"], Without(&["--dry-run", "-n"])),
    (&["clang-format"], FlagSay(&["-i"], "`--dry-run --Werror` in its place fails if a file would change")),
    (&["clang-tidy"], Flag(&["--fix", "-fix", "--fix-errors", "-fix-errors"])),
    (&["shfmt"], Instead(&["-w", "--write"], "-d")),
    (
        &["buf", "format"],
        FlagSay(&["-w", "--write"], "`--diff --exit-code` in its place fails if a file would change"),
    ),
    (&["terraform", "fmt"], Without(&["-check", "--check"])),
    (&["tofu", "fmt"], Without(&["-check", "--check"])),
    (&["zig", "fmt"], Without(&["--check"])),
    (&["stylua"], Without(&["--check", "-c"])),
    (&["nixfmt"], Without(&["--check", "-c"])),
    (&["mix", "format"], Without(&["--check-formatted"])),
    (&["gleam", "format"], Without(&["--check"])),
    (
        &["dart", "format"],
        WithoutSay(
            &["--output", "-o", "--set-exit-if-changed"],
            "`--output=none --set-exit-if-changed` fails if a file would change",
        ),
    ),
    (&["dart", "fix"], FlagSay(&["--apply"], "`dart analyze` reports without changing")),
    (&["dotnet", "format"], Without(&["--verify-no-changes"])),
    (&["swiftformat"], Without(&["--lint", "--dryrun"])),
    (&["swiftlint"], Flag(&["--fix", "--autocorrect"])),
    (&["ktlint"], Flag(&["-F", "--format"])),
    (&["typos"], Flag(&["-w", "--write-changes"])),
    (&["codespell"], Flag(&["-w", "--write-changes"])),
    (&["sed"], FlagSay(&["-i", "--in-place"], "a verifier looks and changes nothing")),
    (&["perl"], FlagSay(&["-pi", "-i", "-i.bak", "-pie"], "a verifier looks and changes nothing")),
];

/// Variables that make test tools accept what they find.
const VARIABLES: &[(&str, &[&str])] = &[
    ("INSTA_UPDATE", &["no", "auto"]),
    ("INSTA_FORCE_UPDATE", &["0", ""]),
    ("UPDATE_EXPECT", &["0", ""]),
    ("UPDATE_SNAPSHOTS", &["0", ""]),
    ("UPDATE_SNAPSHOT", &["0", ""]),
    ("UPDATE_GOLDEN", &["0", ""]),
    ("UPDATE_GOLDENS", &["0", ""]),
    ("SNAPSHOTS", &["verify"]),
    ("TRYBUILD", &["wip"]),
    ("BLESS", &["0", ""]),
    ("UPDATE_SNAPS", &["false", "0", ""]),
];

/// Does the call change what it should judge?
pub fn mutation(call: &Call) -> Option<Mutation> {
    let set = |(name, value): &&(String, String)| {
        VARIABLES.iter().any(|(known, harmless)| known == name && !harmless.contains(&value.as_str()))
    };
    if let Some((name, value)) = call.env.iter().find(set) {
        let by = format!("{name}={value}");
        return Some(Mutation { remedy: Remedy::Drop(by.clone()), by });
    }
    if arguments(call).any(|word| matches!(word, "--help" | "--version")) {
        return None;
    }
    let has = |flags: &[&str]| {
        arguments(call)
            .find(|word| flags.contains(&word.split_once('=').map_or(*word, |(option, _)| option)))
            .map(str::to_owned)
    };
    ROWS.iter().filter(|(words, _)| begins(call, words)).find_map(|(words, when)| {
        let whole = || words.join(" ");
        Some(match when {
            Flag(flags) => {
                // `--inline-snapshot=report` only tells, `--fix=false` does nothing.
                let by = has(flags).filter(|by| {
                    !["=report", "=short-report", "=disable", "=false", "=0"]
                        .iter()
                        .any(|end| by.ends_with(end))
                })?;
                Mutation { remedy: Remedy::Drop(by.clone()), by }
            }
            Instead(flags, with) => {
                let by = has(flags)?;
                Mutation { remedy: Remedy::Replace(by.clone(), with), by }
            }
            FlagSay(flags, say) => Mutation { by: has(flags)?, remedy: Remedy::Say(say) },
            Without(flags) if has(flags).is_none() => {
                Mutation { by: whole(), remedy: Remedy::Append(flags[0]) }
            }
            WithoutSay(flags, say) if has(flags).is_none() => {
                Mutation { by: whole(), remedy: Remedy::Say(say) }
            }
            Always(say) => Mutation { by: whole(), remedy: Remedy::Say(say) },
            Without(_) | WithoutSay(..) => return None,
        })
    })
}
