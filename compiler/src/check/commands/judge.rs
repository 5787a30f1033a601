//! Commands that cannot fail, and commands that change what they should judge.
//!
//! Does not know what is in the tables of tools.

use camino::Utf8Path;

use super::{Expanded, Looks, Subject, allow, edit, inside, is_run, placed, shown, without_word};
use crate::check::Context;
use crate::command::{Call, Line, Link, Mutation, Remedy, mutation};
use crate::diagnostic::{Applicability, Diagnostic, Edit};
use crate::source::Span;

pub(super) fn check(
    context: &Context<'_>,
    looks: &Looks<'_>,
    subject: &Subject<'_>,
    line: &Line,
    expanded: &[Expanded],
    diagnostics: &mut Vec<Diagnostic>,
) {
    if let Some(found) = mutating(context, subject, line, expanded) {
        // A formatter that writes always succeeds as well; that it writes is the mistake.
        diagnostics.push(found);
        return;
    }
    diagnostics.extend(no_op(looks, subject, line, expanded));
}

/// Why a call cannot fail, in the words of the finding.
fn idle(looks: &Looks<'_>, call: &Call, here: Option<&Utf8Path>) -> Option<&'static str> {
    let arguments: Vec<&str> = call.arguments().iter().map(String::as_str).collect();
    match (call.program(), arguments.as_slice()) {
        ("true" | ":" | "/bin/true" | "/usr/bin/true", _) => Some("always succeeds"),
        ("echo" | "printf" | "sleep" | "pwd" | "date" | "whoami" | "clear", _) => Some("looks at nothing"),
        ("exit", ["0"]) => Some("always succeeds"),
        (_, ["--version" | "-V" | "--help"] | ["help"]) => Some("looks at nothing but the tool"),
        ("node" | "npm" | "ruby" | "yarn" | "pnpm", ["-v"]) | ("go" | "deno", ["version"]) => {
            Some("looks at nothing but the tool")
        }
        ("make" | "just" | "ninja", arguments)
            if arguments.iter().any(|word| matches!(*word, "-n" | "--dry-run" | "--just-print")) =>
        {
            Some("shows what it would do and does nothing")
        }
        ("pytest", arguments) if arguments.iter().any(|word| matches!(*word, "--collect-only" | "--co")) => {
            Some("lists the tests and runs none")
        }
        ("jest", arguments) if arguments.contains(&"--listTests") => Some("lists the tests and runs none"),
        ("test", ["-e" | "-f" | "-s" | "-r" | "-d", path])
        | ("[", ["-e" | "-f" | "-s" | "-r" | "-d", path, "]"])
        | ("ls" | "stat" | "cat" | "head" | "wc", [path]) => {
            let path = inside(here?, path)?;
            let there = !path.as_str().is_empty() && looks.context.sources.kind(&path).is_some();
            (there && !looks.written(&path))
                .then_some("asks for what is there already, and no unit may remove")
        }
        _ => None,
    }
}

/// Programs at the end of a pipe that pass on what they get, and succeed.
const PASSING_ON: &[&str] = &[
    "tee", "cat", "head", "tail", "sort", "uniq", "wc", "tr", "cut", "nl", "column", "less", "more", "ts",
    "sed",
];

fn no_op(looks: &Looks<'_>, subject: &Subject<'_>, line: &Line, expanded: &[Expanded]) -> Option<Diagnostic> {
    // Another exit code, or a text, is looked for.
    if !subject.check.exit.contains(&0) || subject.check.stdout.is_some() {
        return None;
    }
    if let Some(found) = cannot_fail(looks, subject, line, subject.directory, None) {
        return Some(found);
    }
    // The script behind a name, if the name is all there is.
    let [only] = expanded else { return None };
    line.only()?;
    let [(_, recipe)] = only.recipes().collect::<Vec<_>>()[..] else { return None };
    let [inner] = recipe.lines.as_slice() else { return None };
    let file = only.file.as_deref()?;
    let plain = !recipe.others && !recipe.text.contains("$(") && !recipe.text.contains("{{");
    plain.then(|| cannot_fail(looks, subject, inner, file.parent()?, Some(file))).flatten()
}

fn cannot_fail(
    looks: &Looks<'_>,
    subject: &Subject<'_>,
    line: &Line,
    directory: &Utf8Path,
    file: Option<&Utf8Path>,
) -> Option<Diagnostic> {
    let placed = placed(line, directory);
    let idle_at = |at: usize| idle(looks, placed[at].0, placed[at].1.as_deref());
    let piped = |at: usize| at > 0 && placed[at - 1].0.link == Link::Pipe;
    let keeps_failures = line.calls.iter().any(|call| call.words.iter().any(|word| word == "pipefail"));
    let passes_on = |at: usize| !keeps_failures && piped(at) && PASSING_ON.contains(&placed[at].0.program());
    if !line.always_succeeds(&|at, call| {
        // That a directory is there is not the work.
        idle_at(at).is_some() || passes_on(at) || call.program() == "cd"
    }) {
        return None;
    }
    let span = subject.span;
    let name = &subject.name;
    // The last that decides.
    let at = line.calls.len() - 1;
    let last = placed[at].0;
    let command = shown(last);
    let source = file.map_or(String::new(), |file| format!(" (in {file})"));
    let found = |message: String| Diagnostic::new("no-op-verifier", span, message + &source);
    let work = line
        .calls
        .iter()
        .enumerate()
        .find(|(at, call)| idle_at(*at).is_none() && !passes_on(*at) && call.program() != "cd");
    Some(match work {
        Some((_, work)) if passes_on(at) => found(format!(
            "{name} cannot fail: a pipe ends as its last command does, and `{command}` does not know that `{}` failed",
            shown(work)
        ))
        .at("the failure is lost here")
        .help("write the output to a file (`> log 2>&1`), or leave the pipe out: the executor keeps all output")
        .help("or say what must stand in the output: `stdout #\"[0-9]+ passed\"#`"),
        Some((_, work)) => found(format!("{name} cannot fail: `{command}` succeeds also if `{}` has failed", shown(work)))
            .at(format!("ends with `{command}`"))
            .help(format!("leave out `{command}`, so that the failure counts"))
            .help("a failure that is known and let pass for a time is a `known-failure`"),
        None => {
            let why = idle_at(at).unwrap_or("always succeeds");
            found(format!("{name} checks nothing: `{command}` {why}"))
                .at("succeeds whatever the unit did")
                .help("run a command that fails while the work is not done, or a predicate: `exists`, `matches`, `changed`")
        }
    }
    .help(allow("no-op-verifier")))
}

fn mutating(
    context: &Context<'_>,
    subject: &Subject<'_>,
    line: &Line,
    expanded: &[Expanded],
) -> Option<Diagnostic> {
    if let Some(verifier) = subject.verifier
        && super::declares_writes(&context.plan.verifiers[verifier.0 as usize])
    {
        return None;
    }
    let direct = line.calls.iter().find_map(|call| Some((call, mutation(call)?)));
    let span = subject.span;
    let name = &subject.name;
    if let Some((call, Mutation { by, remedy })) = direct {
        let message = format!("{name} changes what it should judge: `{by}` writes");
        let found = Diagnostic::new("mutating-verifier", span, message)
            .at("mends instead of failing, on a copy that is thrown away");
        let found = helped(found, &remedy);
        return Some(
            match edited(context, subject, line, call, &remedy) {
                Some((title, edit)) => found.fix(title, Applicability::Unsafe, vec![edit]),
                None => found,
            }
            .help(allow("mutating-verifier")),
        );
    }
    for expanded in expanded {
        let Some(file) = &expanded.file else { continue };
        for (target, recipe) in expanded.recipes() {
            let calls = recipe.lines.iter().flat_map(|line| &line.calls);
            let Some((call, Mutation { by, remedy })) =
                calls.into_iter().find_map(|call| Some((call, mutation(call)?)))
            else {
                continue;
            };
            let message =
                format!("{name} changes what it should judge: `{target}` in {file} runs `{}`", shown(call));
            let found = Diagnostic::new("mutating-verifier", span, message)
                .at(format!("`{by}` writes, on a copy that is thrown away"))
                .help(format!("run the checking form: a script of its own in {file}, or the tool itself"));
            return Some(helped(found, &remedy).help(allow("mutating-verifier")));
        }
    }
    None
}

fn helped(found: Diagnostic, remedy: &Remedy) -> Diagnostic {
    match remedy {
        Remedy::Append(word) => found.help(format!("with `{word}` it fails instead of writing")),
        Remedy::Drop(word) => found.help(format!("without `{word}` it fails instead of writing")),
        Remedy::Replace(word, with) => {
            found.help(format!("with `{with}` in place of `{word}` it fails instead of writing"))
        }
        Remedy::Say(words) => found.help((*words).to_owned()),
    }
}

/// The checking form as an edit of the plan, where the words stand there as they are.
fn edited(
    context: &Context<'_>,
    subject: &Subject<'_>,
    line: &Line,
    call: &Call,
    remedy: &Remedy,
) -> Option<(String, Edit)> {
    let span = subject.span;
    match remedy {
        Remedy::Append(word) => {
            let whole = is_run(subject.check) && line.only() == Some(call);
            let end = Span { start: span.end, ..span };
            let written = context.map.text(span);
            // In a shell of its own the word would go to the shell.
            let shell = written.contains(" -c ") || written.contains(" -lc ") || written.contains(" -ec ");
            (whole && !shell && !written.ends_with([';', '}']))
                .then(|| (format!("add `{word}`"), Edit { span: end, text: format!(" {word}") }))
        }
        Remedy::Drop(word) => Some((format!("leave out `{word}`"), without_word(span, word, context.map)?)),
        Remedy::Replace(word, with) => {
            let quoted = format!(" \"{word}\"");
            let plain = format!(" {word}");
            let edit = edit::reword(span, &quoted, &format!(" {with}"), context.map)
                .or_else(|| edit::reword(span, &plain, &format!(" {with}"), context.map))?;
            Some((format!("replace `{word}` with `{with}`"), edit))
        }
        Remedy::Say(_) => None,
    }
}
