//! What verifiers and criteria run: commands that check nothing, that change what they should judge, that ask for what
//! is not there, and that the checked unit can bend.
//!
//! Does not know what a program really does: it reads command lines by the tables of [`crate::command`], and the files
//! that they name. What is not in a table is taken to be fine.

mod judge;
mod reach;
mod targets;
#[cfg(test)]
mod tests;
mod writable;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::near::Near;
use super::ownership::scope;
use super::{Context, edit};
use crate::command::{Call, Line, Makes, Recipe, Target, justfile, makefile, package_script, target};
use crate::diagnostic::Diagnostic;
use crate::glob::Pattern;
use crate::plan::{Check, Command, Plan, PredicateKind, UnitIx, Verifier, VerifierIx};
use crate::source::{PathKind, SourceMap, Span};

/// A command that judges work.
struct Subject<'p> {
    /// For people: "`test`", "this criterion".
    name: String,
    check: &'p Check,
    span: Span,
    directory: &'p Utf8Path,
    verifier: Option<VerifierIx>,
}

/// Verifiers that a unit or gate of the plan uses.
pub(super) fn used(plan: &Plan) -> BTreeSet<VerifierIx> {
    let of_units = plan.units.iter().flat_map(|unit| &unit.verify);
    of_units.chain(plan.gates.iter().flat_map(|gate| &gate.verify)).map(|verify| verify.verifier).collect()
}

/// Does the place lie in the standard library? What is wrong there is not the author's.
pub(super) fn is_library(map: &SourceMap, span: Span) -> bool {
    map.file(span.file).path.as_str().starts_with('<') && map.file(span.file).path != "<stdin>"
}

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let looks = Looks::new(context);
    let used = used(context.plan);
    for subject in subjects(context) {
        let line = line(subject.check);
        let expanded = looks.expanded(&line, subject.directory);
        judge::check(context, &looks, &subject, &line, &expanded, diagnostics);
        if subject.verifier.is_none_or(|verifier| used.contains(&verifier)) {
            targets::check(context, &looks, &subject, &line, &expanded, diagnostics);
        }
    }
    writable::check(context, &looks, diagnostics);
    reach::check(context, &looks, diagnostics);
}

/// Every verifier that is no part of the library, and every command among the predicates of criteria.
fn subjects<'p>(context: &Context<'p>) -> Vec<Subject<'p>> {
    let plan = context.plan;
    let mut subjects = Vec::new();
    for (at, verifier) in plan.verifiers.iter().enumerate() {
        if let Some(span) = verifier.command_span.filter(|span| !is_library(context.map, *span)) {
            subjects.push(Subject {
                name: format!("`{}`", verifier.id.value),
                check: &verifier.check,
                span,
                directory: directory(verifier),
                verifier: Some(VerifierIx(at as u32)),
            });
        }
    }
    let of_units = plan.units.iter().flat_map(|unit| &unit.accept);
    let mut seen = BTreeSet::new();
    for criterion in of_units.chain(plan.gates.iter().flat_map(|gate| &gate.accept)) {
        for predicate in &criterion.predicates {
            if let PredicateKind::Command(check) = &predicate.kind
                && seen.insert(predicate.span)
                && !is_library(context.map, predicate.span)
            {
                subjects.push(Subject {
                    name: "the criterion".to_owned(),
                    check,
                    span: predicate.span,
                    directory: Utf8Path::new(""),
                    verifier: None,
                });
            }
        }
    }
    subjects
}

/// Does the verifier say that it writes?
fn declares_writes(verifier: &Verifier) -> bool {
    !verifier.writes.is_empty()
}

/// The directory that a verifier runs in.
fn directory(verifier: &Verifier) -> &Utf8Path {
    verifier.cwd.as_ref().map_or(Utf8Path::new(""), |directory| &directory.value)
}

fn line(check: &Check) -> Line {
    match &check.command {
        Command::Run(words) => Line::of_words(words),
        Command::Shell(text) => Line::of_shell(text),
    }
}

/// The calls of a line with the directories they run in, as far as `cd` tells; `None`: nobody knows where.
fn placed<'l>(line: &'l Line, start: &Utf8Path) -> Vec<(&'l Call, Option<Utf8PathBuf>)> {
    let mut here = Some(start.to_owned());
    let mut placed = Vec::new();
    for call in &line.calls {
        if call.program() == "cd" {
            let to =
                call.arguments().first().filter(|to| !to.contains('$') && !to.starts_with(['/', '~', '-']));
            here = here.zip(to).and_then(|(here, to)| inside(&here, to));
        }
        placed.push((call, here.clone()));
    }
    placed
}

/// `path`, as seen from `directory`, from the repository's root; `None` if it leads out.
fn inside(directory: &Utf8Path, path: &str) -> Option<Utf8PathBuf> {
    if path.starts_with('/') {
        return None;
    }
    let mut out = directory.to_owned();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if out.pop() => {}
            ".." => return None,
            part => out.push(part),
        }
    }
    Some(out)
}

/// What a call means that asks a build file for a name.
struct Expanded {
    /// The call's number in its line.
    call: usize,
    target: Target,
    /// The build file; `None` if there is none.
    file: Option<Utf8PathBuf>,
    /// What the file says about each name that is asked for.
    makes: Vec<(Option<String>, Makes)>,
}

impl Expanded {
    /// Its recipes with their names.
    fn recipes(&self) -> impl Iterator<Item = (&str, &Recipe)> {
        self.makes.iter().filter_map(|(name, makes)| match makes {
            Makes::Recipe(recipe) => Some((name.as_deref().unwrap_or("the first target"), recipe)),
            _ => None,
        })
    }
}

/// Looks into files, each read once.
struct Looks<'c> {
    context: &'c Context<'c>,
    near: Near<'c>,
    texts: std::cell::RefCell<BTreeMap<Utf8PathBuf, Option<std::rc::Rc<str>>>>,
    /// Every distinct pattern that some unit may write.
    scopes: BTreeMap<&'c Pattern, Vec<UnitIx>>,
}

impl<'c> Looks<'c> {
    fn new(context: &'c Context<'c>) -> Looks<'c> {
        let mut scopes: BTreeMap<&Pattern, Vec<UnitIx>> = BTreeMap::new();
        for (at, unit) in context.plan.units.iter().enumerate() {
            for pattern in scope(unit) {
                scopes.entry(&pattern.value).or_default().push(UnitIx(at as u32));
            }
        }
        Looks { context, near: Near::new(context.sources), texts: Default::default(), scopes }
    }

    fn text(&self, path: &Utf8Path) -> Option<std::rc::Rc<str>> {
        let mut texts = self.texts.borrow_mut();
        if let Some(known) = texts.get(path) {
            return known.clone();
        }
        let bytes = self.context.sources.read(path).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(std::rc::Rc::from);
        texts.insert(path.to_owned(), text.clone());
        text
    }

    fn is_file(&self, path: &Utf8Path) -> bool {
        self.context.sources.kind(path) == Some(PathKind::File)
    }

    /// May a unit of the plan write this path?
    fn written(&self, path: &Utf8Path) -> bool {
        self.scopes.keys().any(|pattern| pattern.matches(path.as_str()))
    }

    fn expanded(&self, line: &Line, directory: &Utf8Path) -> Vec<Expanded> {
        let placed = placed(line, directory).into_iter().enumerate();
        placed.filter_map(|(at, (call, here))| self.expand(at, target(call)?, &here?)).collect()
    }

    fn expand(&self, call: usize, target: Target, here: &Utf8Path) -> Option<Expanded> {
        let (file, names) = match &target {
            Target::Package { directory, script, .. } => {
                let file = self.upwards(&inside(here, directory)?, &["package.json"]);
                (file, vec![Some(script.clone())])
            }
            Target::Make { directory, file, targets, .. } => {
                let here = inside(here, directory)?;
                let names = ["GNUmakefile", "makefile", "Makefile"];
                let file = match file {
                    Some(file) => Some(inside(&here, file)?).filter(|file| self.is_file(file)),
                    None => names.iter().map(|name| here.join(name)).find(|file| self.is_file(file)),
                };
                let names: Vec<Option<String>> = match targets.as_slice() {
                    [] => vec![None],
                    targets => targets.iter().cloned().map(Some).collect(),
                };
                (file, names)
            }
            Target::Just { directory, file, recipe, .. } => {
                let here = inside(here, directory)?;
                let file = match file {
                    Some(file) => Some(inside(&here, file)?).filter(|file| self.is_file(file)),
                    None => self.upwards(&here, &["justfile", "Justfile", ".justfile"]),
                };
                (file, vec![recipe.clone()])
            }
        };
        let text = file.as_deref().map(|file| self.text(file));
        let makes = names.into_iter().map(|name| {
            let makes = match &text {
                // Without a build file there is no name in it.
                None => Makes::Nothing(Vec::new()),
                Some(None) => Makes::Unknown,
                Some(Some(text)) => match &target {
                    Target::Package { script, .. } => package_script(text, script),
                    Target::Make { .. } => makefile(text, name.as_deref()),
                    Target::Just { .. } => justfile(text, name.as_deref()),
                },
            };
            (name, makes)
        });
        Some(Expanded { call, makes: makes.collect(), file, target })
    }

    /// The first of the names in the directory, or in one above it.
    fn upwards(&self, directory: &Utf8Path, names: &[&str]) -> Option<Utf8PathBuf> {
        directory
            .ancestors()
            .find_map(|above| names.iter().map(|name| above.join(name)).find(|file| self.is_file(file)))
    }
}

/// The words of a call, for people; long ones are cut.
fn shown(call: &Call) -> String {
    let words: Vec<&str> = call.words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    let mut text = words.join(" ");
    if text.chars().count() > 60 {
        text = text.chars().take(57).collect::<String>() + "...";
    }
    text
}

/// The command's own text, if it is one call of a `run` node.
fn is_run(check: &Check) -> bool {
    matches!(check.command, Command::Run(_))
}

/// `lint RULE level=allow reason="..."`, as a way out that is recorded.
fn allow(rule: &str) -> String {
    format!("or say why it is fine: `lint {rule} level=allow reason=\"...\"`")
}

/// Takes a word out of a command's text.
fn without_word(span: Span, word: &str, map: &SourceMap) -> Option<crate::diagnostic::Edit> {
    [format!(" \"{word}\""), format!(" {word}")].iter().find_map(|old| edit::reword(span, old, "", map))
}
