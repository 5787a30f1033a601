//! Commands that ask for what is not there (a script, a target, a program of the repository), and arguments that never
//! arrive.
//!
//! Does not know which tools are installed: that is for `loop probe`.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Expanded, Looks, Subject, allow, edit, inside, placed, shown};
use crate::check::Context;
use crate::command::{Line, Makes, Recipe, Target, reach, scripts, target, uses_arguments};
use crate::diagnostic::{Applicability, Diagnostic, Severity, did_you_mean};
use crate::source::PathKind;

/// Names listed in a help text.
const MOST_NAMES: usize = 8;

pub(super) fn check(
    context: &Context<'_>,
    looks: &Looks<'_>,
    subject: &Subject<'_>,
    line: &Line,
    expanded: &[Expanded],
    diagnostics: &mut Vec<Diagnostic>,
) {
    // One mistake of a command is enough: what follows from it is not said as well.
    let missing = expanded.iter().find_map(|expanded| missing_target(context, looks, subject, expanded));
    let missing = missing.or_else(|| missing_program(context, looks, subject, line));
    let found = missing.or_else(|| {
        let dropped = expanded.iter().find_map(|expanded| dropped(looks, subject, line, expanded));
        dropped.or_else(|| deaf_script(looks, subject, line))
    });
    diagnostics.extend(found);
}

fn missing_target(
    context: &Context<'_>,
    looks: &Looks<'_>,
    subject: &Subject<'_>,
    expanded: &Expanded,
) -> Option<Diagnostic> {
    // Whether the files are all there is known only where they are listed.
    context.sources.files()?;
    let (kind, names) = match &expanded.target {
        Target::Package { manager, script, .. } => {
            // npm has defaults for these two; yarn and bun look for a program of that name.
            let fallback =
                matches!(script.as_str(), "start" | "restart") || ["yarn", "bun"].contains(manager);
            if fallback || subject_words(subject).iter().any(|word| word == "--if-present") {
                return None;
            }
            ("script", ["package.json"].as_slice())
        }
        Target::Make { .. } => ("target", ["GNUmakefile", "makefile", "Makefile"].as_slice()),
        Target::Just { .. } => ("recipe", ["justfile", "Justfile", ".justfile"].as_slice()),
    };
    let name = &subject.name;
    let span = subject.span;
    let Some(file) = &expanded.file else {
        let (Target::Package { directory, .. }
        | Target::Make { directory, .. }
        | Target::Just { directory, .. }) = &expanded.target;
        let own = match &expanded.target {
            Target::Make { file, .. } | Target::Just { file, .. } => file.clone(),
            Target::Package { .. } => None,
        };
        let place = inside(subject.directory, directory)?;
        let names: Vec<Utf8PathBuf> = match own {
            Some(file) => vec![inside(&place, &file)?],
            None => names.iter().map(|name| place.join(name)).collect(),
        };
        if names.iter().any(|name| looks.written(name) || is_ignored(context, name)) {
            return None;
        }
        let file = names.last()?;
        let mut found =
            Diagnostic::new("missing-script", span, format!("{name} needs a `{file}`, and there is none"));
        // Some are made by a tool before anything runs.
        found.severity = Severity::Warning;
        return Some(
            found
                .at("fails whatever the unit did")
                .help("correct the directory, or let an earlier unit make the file")
                .help(allow("missing-script")),
        );
    };
    if looks.written(file) {
        return None;
    }
    for (wanted, makes) in &expanded.makes {
        let (Some(wanted), Makes::Nothing(known)) = (wanted, makes) else { continue };
        // A target of make may be a file that is there.
        let is_file = matches!(expanded.target, Target::Make { .. })
            && inside(subject.directory, wanted).is_none_or(|path| context.sources.kind(&path).is_some());
        if is_file || wanted.contains("${") || wanted.contains('$') {
            continue;
        }
        let mut found = Diagnostic::new(
            "missing-script",
            span,
            format!("{name} asks for the {kind} `{wanted}`, which {file} does not have"),
        )
        .at("fails whatever the unit did");
        found = match did_you_mean(wanted, known.iter().map(String::as_str)) {
            Some(near) => {
                let found = found.help(format!("did you mean `{near}`?"));
                match edit::reword(span, wanted, near, context.map) {
                    Some(edit) => {
                        found.fix(format!("replace with `{near}`"), Applicability::Unsafe, vec![edit])
                    }
                    None => found,
                }
            }
            None if known.is_empty() => found.help(format!("{file} has no {kind} at all")),
            None => {
                let names: Vec<String> =
                    known.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
                let more = if known.len() > MOST_NAMES { " and others" } else { "" };
                found.help(format!("it has {}{more}", names.join(", ")))
            }
        };
        return Some(found.help(format!("or let an earlier unit write {file}")));
    }
    None
}

fn subject_words(subject: &Subject<'_>) -> Vec<String> {
    super::line(subject.check).calls.into_iter().flat_map(|call| call.words).collect()
}

fn is_ignored(context: &Context<'_>, path: &Utf8Path) -> bool {
    context.sources.ignored(path, PathKind::File).is_some()
}

/// A program of the repository that is not there, or cannot be started.
fn missing_program(
    context: &Context<'_>,
    looks: &Looks<'_>,
    subject: &Subject<'_>,
    line: &Line,
) -> Option<Diagnostic> {
    for (call, here) in placed(line, subject.directory) {
        let Some(written) = scripts(call) else { continue };
        // What an interpreter is given may be a directory or a module; what it does with it is its own affair.
        let direct = written == call.program();
        let Some(path) = here.and_then(|here| inside(&here, written)) else { continue };
        if path.as_str().is_empty() || looks.written(&path) {
            continue;
        }
        let name = &subject.name;
        let new = |message: String| {
            let mut found =
                Diagnostic::new("missing-program", subject.span, message).at("fails whatever the unit did");
            // What `prepare` makes is there in time.
            if !context.plan.worktree.prepare.is_empty() {
                found.severity = Severity::Warning;
            }
            found
        };
        match context.sources.kind(&path) {
            Some(PathKind::File) if direct && context.sources.executable(&path) == Some(false) => {
                let found = new(format!("{name} starts `{path}`, which may not be started"));
                return Some(
                    found
                        .help(format!("make it a program: `chmod +x {path}`, and commit that"))
                        .help(format!("or name what runs it, such as `run sh {written}`")),
                );
            }
            Some(PathKind::Directory) if direct => {
                return Some(
                    new(format!("{name} starts `{path}`, which is a directory"))
                        .help("name the program in it"),
                );
            }
            None if context.sources.files().is_some() && !is_ignored(context, &path) => {
                let mut found =
                    new(format!("{name} starts `{path}`, which does not exist and which no unit makes"));
                if let Some(near) = looks.near.file(&path) {
                    found = found.help(format!("did you mean `{near}`?"));
                    let plain = path.as_str();
                    // A fix that leads to a program that cannot be started either mends nothing.
                    let starts = !direct || context.sources.executable(near) != Some(false);
                    if !starts {
                        found = found
                            .help(format!("`{near}` would have to be made a program: `chmod +x {near}`"));
                    } else if let Some(edit) = edit::reword(subject.span, plain, near.as_str(), context.map) {
                        found =
                            found.fix(format!("replace with `{near}`"), Applicability::Unsafe, vec![edit]);
                    }
                }
                return Some(
                    found.help("correct the path, or let a unit make the program and need that unit"),
                );
            }
            _ => {}
        }
    }
    None
}

/// Arguments that a build file takes and does not hand on.
fn dropped(looks: &Looks<'_>, subject: &Subject<'_>, line: &Line, expanded: &Expanded) -> Option<Diagnostic> {
    let file = expanded.file.as_deref()?;
    let call = line.calls.get(expanded.call)?;
    let name = &subject.name;
    let new = |message: String| Diagnostic::new("forwarded-arguments", subject.span, message);
    let (target, recipe) = expanded.recipes().next()?;
    match &expanded.target {
        Target::Package { arguments, kept, script, .. } => {
            if let Some(first) = kept.first() {
                let message = format!(
                    "npm keeps `{first}` for itself: {name} does not hand it to the script `{script}`"
                );
                return Some(new(message).at("an option before `--` is npm's own").help(format!(
                    "write `--` in front of it: `{}`",
                    shown(call).replacen(&format!(" {first}"), &format!(" -- {first}"), 1)
                )));
            }
            let given = arguments.iter().find(|word| !word.is_empty())?;
            let line = recipe.lines.first()?;
            let why = lost_behind(looks, line, &recipe.text, file.parent()?, arguments)?;
            let message = format!(
                "`{given}` does not reach the tests: {name} hands it to the script `{script}` of {file}"
            );
            Some(new(message)
                .at(why)
                .help(format!("give the script one command that takes arguments at its end, or run the tool itself: `run npx {}`",
                    line.calls.iter().find(|call| reach(call).is_some()).map_or("TOOL".to_owned(), |call| call.program().to_owned())))
                .help(allow("forwarded-arguments")))
        }
        Target::Make { variables, .. } => {
            // In other targets' commands it does nothing for this one.
            let whole = looks.text(file)?;
            let of_all = whole.lines().filter(|line| recipe.others || !line.starts_with('\t'));
            let text = of_all.chain(recipe.text.lines()).collect::<Vec<_>>().join("\n");
            let (variable, value) = variables.iter().find(|(variable, value)| {
                let mentioned = [
                    format!("$({variable}"),
                    format!("${{{variable}"),
                    format!("{variable} ?="),
                    format!("{variable}?="),
                ]
                .iter()
                .any(|form| text.contains(form.as_str()));
                // What make does not use it still hands to its commands as an environment variable.
                let carries = value.contains("${") || CARRIERS.contains(&variable.as_str());
                carries && !mentioned && !text.contains(&format!("${variable}")) && !text.contains("include ")
            })?;
            let message =
                format!("{name} sets `{variable}={value}`, which `{target}` in {file} does not use");
            Some(
                new(message)
                    .at("the target runs the same with and without it")
                    .help(format!(
                        "write `$({variable})` into the recipe of `{target}`, or run the tool itself"
                    ))
                    .help(allow("forwarded-arguments")),
            )
        }
        Target::Just { arguments, recipe: asked, .. } => {
            let given = arguments.iter().find(|word| !word.is_empty())?;
            let asked = asked.as_deref().unwrap_or(target);
            if let Some(parameter) = recipe.parameters.iter().find(|parameter| !used(recipe, parameter)) {
                let message = format!(
                    "`{given}` does nothing: the recipe `{asked}` of {file} takes `{parameter}` and does not use it"
                );
                return Some(
                    new(message)
                        .at("never arrives at the command")
                        .help(format!("write `{{{{{parameter}}}}}` into the recipe"))
                        .help(allow("forwarded-arguments")),
                );
            }
            if recipe.variadic || !recipe.parameters.is_empty() {
                return None;
            }
            // It takes none, so that `just` reads the word as the name of a further recipe.
            let another = matches!(
                crate::command::justfile(&looks.text(file)?, Some(given)),
                Makes::Recipe(_) | Makes::Unknown
            );
            (!another).then(|| {
                new(format!("`{given}` is no recipe, and `{asked}` of {file} takes no arguments"))
                    .at("`just` takes it for the name of a recipe")
                    .help(format!(
                        "give the recipe a parameter: `{asked} *args:` with `{{{{args}}}}` in its command"
                    ))
            })
        }
    }
}

/// Names that people give to a variable of make that carries arguments.
const CARRIERS: &[&str] = &[
    "ARGS",
    "ARGUMENTS",
    "TESTARGS",
    "TEST_ARGS",
    "TESTFLAGS",
    "FILTER",
    "TEST",
    "TESTS",
    "FILE",
    "FILES",
    "ONLY",
    "OPTS",
    "PATTERN",
    "MATCH",
    "RUN",
    "SUITE",
    "PKG",
    "PACKAGE",
];

fn used(recipe: &Recipe, parameter: &str) -> bool {
    let body = &recipe.text;
    let braces = body.split("{{").skip(1).any(|rest| {
        rest.split("}}").next().is_some_and(|inside| {
            inside.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').any(|word| word == parameter)
        })
    });
    braces
        || body.contains(&format!("${parameter}"))
        || body.contains(&format!("${{{parameter}"))
        || ["$1", "$@", "$*", "\"$2"].iter().any(|form| body.contains(form))
        || recipe.others
}

/// Why arguments at the end of this script's text do not reach a test runner in it.
fn lost_behind(
    looks: &Looks<'_>,
    line: &Line,
    text: &str,
    directory: &Utf8Path,
    arguments: &[String],
) -> Option<String> {
    if line.opaque {
        return None;
    }
    let quoted = text.trim_end().ends_with(['\'', '"']);
    if quoted && ["sh -c ", "bash -c ", "sh -ec ", "bash -lc "].iter().any(|shell| text.contains(shell)) {
        return Some("what stands behind the text of `sh -c` is no part of its commands".to_owned());
    }
    let last = line.calls.last()?;
    let runner = line.calls.iter().rev().skip(1).find(|call| reach(call).is_some());
    if uses_arguments(last) == Some(false) {
        return Some(format!(
            "arguments go to the last command, `{}`, which has no use for them",
            shown(last)
        ));
    }
    if let (Some(runner), None) = (runner, reach(last)) {
        return Some(format!(
            "arguments go to the last command, `{}`, not to `{}`",
            shown(last),
            shown(runner)
        ));
    }
    // One script hands on to another: npm keeps options again.
    if let Some(Target::Package { manager: "npm", .. }) = target(last)
        && !last.words.iter().any(|word| word == "--")
        && let Some(option) = arguments.iter().find(|word| word.starts_with('-'))
    {
        return Some(format!("`{}` lacks a `--` at its end, so that npm keeps `{option}`", shown(last)));
    }
    let script = inside(directory, scripts(last)?)?;
    is_deaf(looks, &script).then(|| format!("`{script}` does not look at its arguments"))
}

/// A shell script that is given arguments and does not look at them.
fn deaf_script(looks: &Looks<'_>, subject: &Subject<'_>, line: &Line) -> Option<Diagnostic> {
    placed(line, subject.directory).into_iter().find_map(|(call, here)| {
        let written = scripts(call)?;
        let at = call.words.iter().position(|word| word == written)?;
        let given = call.words[at + 1..].iter().find(|word| !word.is_empty())?;
        let script = inside(&here?, written)?;
        is_deaf(looks, &script).then(|| {
            let message = format!(
                "{} gives `{given}` to `{script}`, which does not look at its arguments",
                subject.name
            );
            Diagnostic::new("forwarded-arguments", subject.span, message)
                .at("the script does the same with and without it")
                .help("write `\"$@\"` behind the command in the script, or leave the argument out")
                .help(allow("forwarded-arguments"))
        })
    })
}

/// Is this a script for the shell in which no argument is ever used?
fn is_deaf(looks: &Looks<'_>, script: &Utf8Path) -> bool {
    if looks.written(script) || !looks.is_file(script) {
        return false;
    }
    let Some(text) = looks.text(script) else { return false };
    let first = text.lines().next().unwrap_or_default();
    let shell = match first.strip_prefix("#!") {
        Some(program) => ["/sh", "/bash", "/dash", "/zsh", " sh", " bash", " dash", " zsh"]
            .iter()
            .any(|end| program.trim_end().split(" -").next().is_some_and(|program| program.ends_with(end))),
        None => matches!(script.extension(), Some("sh" | "bash")),
    };
    let looked_at = ["$@", "$*", "$#", "${@", "${*", "${#", "shift", "getopts", "source ", "\n. "];
    let numbered = |text: &str| {
        text.match_indices('$').any(|(at, _)| {
            text[at + 1..].trim_start_matches('{').starts_with(|c: char| c.is_ascii_digit() && c != '0')
        })
    };
    shell && !looked_at.iter().any(|form| text.contains(form)) && !numbered(&text)
}
