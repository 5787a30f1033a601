//! `loopc fmt`: lays out KDL files in place, or says which it would change.
//!
//! Does not know the layout; the compiler's `syntax::format` does.

use std::collections::BTreeSet;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use loop_compiler::diagnostic::Diagnostic;
use loop_compiler::diagnostic::render::{human, one_line, plural};
use loop_compiler::source::{FileId, SourceFile, SourceMap, Sources};
use loop_compiler::syntax::decode;
use loop_compiler::syntax::format::{Formatted, format};
use loopc::diff;
use loopc::disk::{DiskError, PLAN_SUFFIX, PROJECT_FILE, Repository, system_words};
use loopc::replace::replace;
use loopc::terminal::Stream;

use super::Exit;
use super::output::{Failure, complain, note, print, style};
use super::target::{STANDARD_INPUT, STDIN_PATH, current_directory, not_empty, read_stdin, unreadable};

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  every file is laid out
  1  a file has syntax errors, or, with --check or --diff, would change
  2  wrong usage, or a file that cannot be read or written";

/// What to do with a file whose layout is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    /// List it.
    Check,
    /// Show what would change.
    Diff,
}

impl Mode {
    pub(super) fn of(check: bool, diff: bool) -> Mode {
        match (check, diff) {
            (_, true) => Mode::Diff,
            (true, false) => Mode::Check,
            (false, false) => Mode::Write,
        }
    }
}

/// A file that is to be laid out.
struct Job {
    /// As people see it: from the current directory.
    shown: Utf8PathBuf,
    /// The file itself; `None` for standard input.
    place: Option<Utf8PathBuf>,
    bytes: Vec<u8>,
}

/// What became of a file.
enum Outcome {
    Same(String),
    Other(String),
    Wrong,
}

pub(super) fn run(paths: &[Utf8PathBuf], mode: Mode, stdin: bool) -> Result<Exit, Failure> {
    if stdin || paths.iter().any(|path| path == STANDARD_INPUT) {
        if paths.len() > 1 {
            return Err(Failure::Told(
                "standard input is laid out alone: name no files beside `-`".to_owned(),
            ));
        }
        return standard_input(mode);
    }
    let jobs = jobs(paths)?;
    let mut map = SourceMap::default();
    let mut wrong = Vec::new();
    let mut outcomes = Vec::new();
    for job in &jobs {
        outcomes.push(lay_out(job, &mut map, &mut wrong)?);
    }
    note(&human(&wrong, &map, style(Stream::Err)));
    finish(&jobs, &outcomes, mode)
}

fn standard_input(mode: Mode) -> Result<Exit, Failure> {
    let job = Job { shown: STDIN_PATH.into(), place: None, bytes: read_stdin()? };
    let mut map = SourceMap::default();
    let mut wrong = Vec::new();
    let outcome = lay_out(&job, &mut map, &mut wrong)?;
    note(&human(&wrong, &map, style(Stream::Err)));
    match (&outcome, mode) {
        // Who pipes a text through keeps what he has: nothing is printed in its place.
        (Outcome::Wrong, _) => Ok(Exit::Errors),
        (Outcome::Same(text) | Outcome::Other(text), Mode::Write) => {
            print(text)?;
            Ok(Exit::Clean)
        }
        _ => finish(&[job], &[outcome], mode),
    }
}

fn lay_out(job: &Job, map: &mut SourceMap, wrong: &mut Vec<Diagnostic>) -> Result<Outcome, Failure> {
    // Only files with mistakes are shown, so only they are in the map.
    let file = FileId(map.files().count() as u32);
    let (text, unreadable) = decode(file, job.bytes.clone());
    let formatted = if unreadable.is_empty() { format(file, &text) } else { Formatted::Syntax(unreadable) };
    match formatted {
        Formatted::Text(new) if new == text => Ok(Outcome::Same(new)),
        Formatted::Text(new) => Ok(Outcome::Other(new)),
        Formatted::Syntax(found) => {
            map.add(SourceFile::new(job.shown.clone(), text));
            wrong.extend(found);
            Ok(Outcome::Wrong)
        }
        Formatted::Unsound => Err(Failure::Told(format!(
            "the layout of {} would not say what the file says, so nothing was written; this is a mistake of \
             loopc, please report it with the file",
            job.shown
        ))),
    }
}

/// Writes or tells what is to be written or told.
fn finish(jobs: &[Job], outcomes: &[Outcome], mode: Mode) -> Result<Exit, Failure> {
    let mut exit = Exit::Clean;
    let mut failed = false;
    let (mut same, mut other, mut wrong) = (0, 0, 0);
    let mut told = String::new();
    for (job, outcome) in jobs.iter().zip(outcomes) {
        let new = match outcome {
            Outcome::Same(_) => {
                same += 1;
                continue;
            }
            Outcome::Wrong => {
                wrong += 1;
                continue;
            }
            Outcome::Other(new) => new,
        };
        match (mode, &job.place) {
            (Mode::Write, Some(place)) => match replace(place, &job.bytes, new.as_bytes()) {
                Ok(()) => told.push_str(&format!("formatted {}\n", one_line(job.shown.as_str()))),
                Err(why) => {
                    failed = true;
                    complain(&format!("cannot write {}: {why}", job.shown));
                    continue;
                }
            },
            (Mode::Write, None) => {}
            (Mode::Check, _) => told.push_str(&format!("{}\n", one_line(job.shown.as_str()))),
            (Mode::Diff, _) => {
                let before = String::from_utf8_lossy(&job.bytes);
                let text = diff::unified(job.shown.as_str(), &before, new);
                told.push_str(&if style(Stream::Out).color { diff::colored(&text) } else { text });
            }
        }
        other += 1;
    }
    if wrong > 0 || (other > 0 && mode != Mode::Write) {
        exit = Exit::Errors;
    }
    let printed = print(&told);
    // What was asked for goes to standard output; how it went is for the person.
    note(&summary(same, other, wrong, mode));
    match printed {
        Ok(()) | Err(Failure::ReaderGone) if failed => Ok(Exit::Usage),
        Ok(()) | Err(Failure::ReaderGone) => Ok(exit),
        Err(failure) => Err(failure),
    }
}

fn summary(same: usize, other: usize, wrong: usize, mode: Mode) -> String {
    let mut parts = Vec::new();
    if other > 0 {
        let did = if mode == Mode::Write { "formatted" } else { "would be formatted" };
        parts.push(format!("{} {did}", plural(other, "file")));
    }
    if same > 0 {
        let were = if same == 1 { "was" } else { "were" };
        let rest = if other + wrong > 0 {
            format!("{same} {were}")
        } else {
            format!("{} {were}", plural(same, "file"))
        };
        parts.push(format!("{rest} formatted already"));
    }
    if wrong > 0 {
        let has = if wrong == 1 { "file has" } else { "files have" };
        let left = if mode == Mode::Write { " and stay as they are" } else { "" };
        let left =
            if wrong == 1 { left.replace("stay as they are", "stays as it is") } else { left.to_owned() };
        parts.push(format!("{wrong} {has} syntax errors{left}"));
    }
    format!("{}\n", parts.join(", "))
}

// ---- which files ----

/// The files that the paths name, read. A file that is named twice is laid out once.
fn jobs(paths: &[Utf8PathBuf]) -> Result<Vec<Job>, Failure> {
    let current = current_directory()?;
    let mut jobs = Vec::new();
    let mut places = BTreeSet::new();
    let mut add = |repository: &Repository, relative: Utf8PathBuf| {
        let sources = repository.sources();
        let shown = from_here(&current, &repository.root.join(&relative));
        let read = sources.locate(&relative).and_then(|place| Ok((place, sources.read(&relative)?)));
        let (place, bytes) = read.map_err(|why| unreadable(&shown, why))?;
        if places.insert(place.clone()) {
            jobs.push(Job { shown, place: Some(place), bytes });
        }
        Ok::<(), Failure>(())
    };
    if paths.is_empty() {
        let repository = Repository::find(&current)?;
        let found = repository.plans_and_projects_below(Utf8Path::new(""))?;
        if found.is_empty() {
            return Err(Failure::Told(format!(
                "nothing to format: the repository {} has neither a `{PROJECT_FILE}` nor a `*{PLAN_SUFFIX}`",
                repository.root
            )));
        }
        found.into_iter().try_for_each(|path| add(&repository, path))?;
    }
    for path in paths {
        not_empty(path)?;
        let repository = match Repository::find(&current.join(path)) {
            Ok(repository) => repository,
            // A layout needs no repository; what a link may lead out of is then the file's own directory.
            Err(DiskError::NoRepository(_)) => lone(&current.join(path))?,
            Err(error) => return Err(error.into()),
        };
        let relative = repository.relative(&current, path)?;
        if repository.root.join(&relative).is_dir() {
            let found = repository.plans_and_projects_below(&relative)?;
            if found.is_empty() {
                return Err(Failure::Told(format!(
                    "nothing to format: neither a `{PROJECT_FILE}` nor a `*{PLAN_SUFFIX}` in {path} or below it"
                )));
            }
            found.into_iter().try_for_each(|path| add(&repository, path))?;
        } else if relative.extension() == Some("kdl") {
            add(&repository, relative)?;
        } else {
            return Err(Failure::Told(format!("{path} is no KDL file: its name does not end in `.kdl`")));
        }
    }
    Ok(jobs)
}

/// The directory of a file that is in no repository, or that directory itself.
fn lone(path: &Utf8Path) -> Result<Repository, Failure> {
    let directory = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let root = directory
        .canonicalize_utf8()
        .map_err(|error| Failure::Told(format!("cannot read {directory}: {}", system_words(&error))))?;
    Ok(Repository { root, project: None })
}

/// An absolute path as one writes it in the directory `current`.
fn from_here(current: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    let here = current.canonicalize_utf8().unwrap_or_else(|_| current.to_owned());
    let normal = |component: &Utf8Component<'_>| matches!(component, Utf8Component::Normal(_));
    let (from, to): (Vec<_>, Vec<_>) =
        (here.components().filter(normal).collect(), path.components().filter(normal).collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.len() - common;
    // Further up than this the whole path is easier to read.
    if up > 3 {
        return path.to_owned();
    }
    std::iter::repeat_n("..", up).chain(to[common..].iter().map(|part| part.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_one_would_write_them() {
        let shown =
            |current: &str, path: &str| from_here(Utf8Path::new(current), Utf8Path::new(path)).into_string();
        assert_eq!(shown("/no/r", "/no/r/a/b.kdl"), "a/b.kdl");
        assert_eq!(shown("/no/r/c/d", "/no/r/a/b.kdl"), "../../a/b.kdl");
        assert_eq!(shown("/no/r/c/d/e/f", "/no/r/a.kdl"), "/no/r/a.kdl");
    }

    #[test]
    fn the_summary_counts_what_it_names() {
        for (same, other, wrong, mode, expected) in [
            (1, 0, 0, Mode::Write, "1 file was formatted already\n"),
            (2, 1, 0, Mode::Write, "1 file formatted, 2 were formatted already\n"),
            (0, 2, 1, Mode::Write, "2 files formatted, 1 file has syntax errors and stays as it is\n"),
            (
                1,
                2,
                2,
                Mode::Check,
                "2 files would be formatted, 1 was formatted already, 2 files have syntax errors\n",
            ),
        ] {
            assert_eq!(summary(same, other, wrong, mode), expected);
        }
    }
}
