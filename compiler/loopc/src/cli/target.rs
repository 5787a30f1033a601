//! From the paths on the command line to what is compiled.
//!
//! Does not know what a plan says; unreadable files are the caller's mistake and never reach the compiler.

use std::collections::BTreeMap;
use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::compile::{Compilation, Group, compile_groups};
use loop_compiler::diagnostic::render::Scope;
use loop_compiler::source::{ReadError, Sources};
use loopc::disk::{DiskSources, MAX_FILE, Overlay, PLAN_SUFFIX, PROJECT_FILE, Repository, system_words};

use super::output::Failure;

/// What stands for standard input on the command line.
pub(super) const STANDARD_INPUT: &str = "-";

/// The path under which a plan from standard input is compiled: at the repository's root.
pub(super) const STDIN_PATH: &str = "<stdin>";

/// What is to be compiled.
pub(super) struct Target {
    pub(super) repository: Repository,
    pub(super) groups: Vec<Group>,
    /// The plan on standard input, if it is one of them.
    pub(super) stdin: Option<Vec<u8>>,
    /// The current directory, from the repository's root.
    base: Utf8PathBuf,
}

/// Compiles what the paths name; without paths, everything in the repository of the current directory.
pub(super) fn compile(paths: &[Utf8PathBuf]) -> Result<Compilation, Failure> {
    Target::find(paths)?.compile()
}

impl Target {
    /// What the paths name; without paths, everything in the repository of the current directory.
    pub(super) fn find(paths: &[Utf8PathBuf]) -> Result<Target, Failure> {
        let current = current_directory()?;
        let start = paths
            .iter()
            .find(|path| *path != STANDARD_INPUT)
            .map_or(current.clone(), |path| current.join(path));
        let repository = Repository::find(&start)?;
        let stdin = if paths.iter().any(|path| path == STANDARD_INPUT) { Some(read_stdin()?) } else { None };
        let groups = groups(&repository, &current, paths)?;
        let real = current.canonicalize_utf8().unwrap_or(current);
        let base = real.strip_prefix(&repository.root).map(Utf8Path::to_owned).unwrap_or_default();
        Ok(Target { repository, groups, stdin, base })
    }

    /// Compiles it.
    ///
    /// # Errors
    /// If a file that was asked for cannot be read.
    pub(super) fn compile(&self) -> Result<Compilation, Failure> {
        let disk = self.repository.sources();
        for path in self.files().filter(|path| *path != STDIN_PATH) {
            readable(&disk, path)?;
        }
        Ok(self.with_sources(|sources| compile_groups(&self.groups, sources)))
    }

    /// Standard input laid over the files on disk.
    pub(super) fn with_sources<T>(&self, work: impl FnOnce(&dyn Sources) -> T) -> T {
        let disk = self.repository.sources();
        match &self.stdin {
            Some(bytes) => work(&Overlay { under: &disk, path: STDIN_PATH.into(), bytes: bytes.clone() }),
            None => work(&disk),
        }
    }

    /// Project files and plans.
    fn files(&self) -> impl Iterator<Item = &Utf8PathBuf> {
        self.groups.iter().flat_map(|group| group.project.iter().chain(&group.plans))
    }

    /// How much a report of it is about.
    pub(super) fn scope(&self) -> Scope {
        let plans = self.groups.iter().flat_map(|group| group.plans.iter().cloned()).collect();
        Scope { plans: Some(plans), base: self.base.clone() }
    }
}

/// The plans that the paths name, with their project files.
fn groups(repository: &Repository, current: &Utf8Path, paths: &[Utf8PathBuf]) -> Result<Vec<Group>, Failure> {
    let mut plans: Vec<Utf8PathBuf> = Vec::new();
    let mut groups: BTreeMap<Option<Utf8PathBuf>, Vec<Utf8PathBuf>> = BTreeMap::new();
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
            plans.push(STDIN_PATH.into());
            continue;
        }
        not_empty(path)?;
        let relative = repository.relative(current, path)?;
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
    // Without paths every plan there is was found.
    let whole = paths.is_empty();
    Ok(groups.into_iter().map(|(project, plans)| Group { project, plans, whole }).collect())
}

/// `loopc check "$PLAN"` with an empty variable is a mistake, and no wish to check everything.
pub(super) fn not_empty(path: &Utf8Path) -> Result<(), Failure> {
    match path.as_str() {
        "" => Err(Failure::Told("a path is empty; leave it out, or name a file".to_owned())),
        _ => Ok(()),
    }
}

/// A file that was asked for and cannot be read is no finding about a plan.
fn readable(disk: &DiskSources, path: &Utf8Path) -> Result<(), Failure> {
    disk.open(path).map(drop).map_err(|why| unreadable(path, why))
}

/// What to tell about a file that cannot be read.
pub(super) fn unreadable(path: &Utf8Path, why: ReadError) -> Failure {
    let why = match why {
        ReadError::Missing => "no such file or directory".to_owned(),
        ReadError::NotAFile => "it is not a file".to_owned(),
        ReadError::Escapes => "a symbolic link leads out of the repository".to_owned(),
        ReadError::TooLarge(limit) => format!("it is larger than {} MiB", limit >> 20),
        ReadError::Denied(words) => words,
    };
    Failure::Told(format!("cannot read {path}: {why}"))
}

pub(super) fn read_stdin() -> Result<Vec<u8>, Failure> {
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
    let current = std::env::current_dir().map_err(|error| {
        Failure::Told(format!("cannot tell the current directory: {}", system_words(&error)))
    })?;
    Utf8PathBuf::from_path_buf(current).map_err(|path| {
        Failure::Told(format!("the path of the current directory is not UTF-8: {}", path.display()))
    })
}
