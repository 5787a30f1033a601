//! From the paths on the command line to what is compiled.
//!
//! Does not know what a plan says; unreadable files are the caller's mistake and never reach the compiler.

use std::collections::BTreeMap;
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::compile::{Compilation, Group, compile_groups};
use loop_compiler::source::{ReadError, Sources};
use loopc::disk::{DiskSources, MAX_FILE, Overlay, PLAN_SUFFIX, PROJECT_FILE, Repository};

use super::output::Failure;

/// What stands for standard input on the command line.
const STANDARD_INPUT: &str = "-";

/// The path under which a plan from standard input is compiled: at the repository's root.
const STDIN_PATH: &str = "<stdin>";

/// Compiles what the paths name; without paths, everything in the repository of the current directory.
pub(super) fn compile(paths: &[Utf8PathBuf]) -> Result<Compilation, Failure> {
    let current = current_directory()?;
    let start =
        paths.iter().find(|path| *path != STANDARD_INPUT).map_or(current.clone(), |path| current.join(path));
    let repository = Repository::find(&start)?;
    let mut plans: Vec<Utf8PathBuf> = Vec::new();
    let mut groups: BTreeMap<Option<Utf8PathBuf>, Vec<Utf8PathBuf>> = BTreeMap::new();
    let mut stdin = None;
    if paths.is_empty() {
        plans = repository.plans()?;
        if let Some(project) = &repository.project {
            groups.entry(Some(project.clone())).or_default();
        }
        if plans.is_empty() && groups.is_empty() {
            return Err(Failure::Told(format!(
                "nothing to check: the repository {} has neither a `{PROJECT_FILE}` nor a `*{PLAN_SUFFIX}`; \
                 `loop init` writes both",
                repository.root
            )));
        }
    }
    for path in paths {
        if path == STANDARD_INPUT {
            if stdin.is_none() {
                stdin = Some(read_stdin()?);
                plans.push(STDIN_PATH.into());
            }
            continue;
        }
        let relative = repository.relative(&current, path)?;
        if repository.root.join(&relative).is_dir() {
            let found = repository.plans_below(&relative)?;
            if found.is_empty() {
                return Err(Failure::Told(format!(
                    "nothing to check: no `*{PLAN_SUFFIX}` in {path} or below it"
                )));
            }
            plans.extend(found);
        } else if relative.file_name() == Some(PROJECT_FILE) {
            groups.entry(Some(relative)).or_default();
        } else if relative.as_str().ends_with(PLAN_SUFFIX) {
            plans.push(relative);
        } else {
            return Err(Failure::Told(format!(
                "{path} is no plan: plans are files that end in `{PLAN_SUFFIX}`"
            )));
        }
    }
    plans.sort();
    plans.dedup();
    for plan in plans {
        groups.entry(repository.project_of(&plan)).or_default().push(plan);
    }
    let groups: Vec<Group> = groups.into_iter().map(|(project, plans)| Group { project, plans }).collect();

    let disk = repository.sources();
    for path in groups.iter().flat_map(|group| group.project.iter().chain(&group.plans)) {
        if path != STDIN_PATH {
            readable(&disk, path)?;
        }
    }
    match stdin {
        Some(bytes) => Ok(compile_groups(&groups, &Overlay { under: &disk, path: STDIN_PATH.into(), bytes })),
        None => Ok(compile_groups(&groups, &disk)),
    }
}

/// A file that was asked for and cannot be read is no finding about a plan.
fn readable(disk: &DiskSources, path: &Utf8Path) -> Result<(), Failure> {
    let why = match disk.read(path) {
        Ok(_) => return Ok(()),
        Err(ReadError::Missing) => "no such file or directory".to_owned(),
        Err(ReadError::NotAFile) => "it is not a file".to_owned(),
        Err(ReadError::Escapes) => "a symbolic link leads out of the repository".to_owned(),
        Err(ReadError::TooLarge(limit)) => format!("it is larger than {} MiB", limit >> 20),
        Err(ReadError::Denied(words)) => words,
    };
    Err(Failure::Told(format!("cannot read {path}: {why}")))
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Told(format!("cannot read standard input: {error}")))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::Told(format!(
            "the plan on standard input is larger than {} MiB",
            MAX_FILE >> 20
        )));
    }
    Ok(bytes)
}

pub(super) fn current_directory() -> Result<Utf8PathBuf, Failure> {
    let current = std::env::current_dir()
        .map_err(|error| Failure::Told(format!("cannot tell the current directory: {error}")))?;
    Utf8PathBuf::from_path_buf(current).map_err(|path| {
        Failure::Told(format!("the path of the current directory is not UTF-8: {}", path.display()))
    })
}
