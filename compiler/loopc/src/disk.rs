//! Plan files on disk: where the repository and its plans are, and how the compiler may read them.
//!
//! Does not know what the files say. Nothing outside the repository is ever read.

mod index;
mod listing;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::sync::Arc;
use std::time::SystemTime;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use loop_compiler::source::{Date, Ignored, PathKind, ReadError, Sources};

use listing::Listing;

pub use loop_compiler::plan::values::{PLAN_SUFFIX, PROJECT_FILE};

/// Bytes; a larger file is not read. A plan of 10,000 units has about 4 MiB.
pub const MAX_FILE: u64 = 16 << 20;

/// Symbolic links followed on one path before it is taken for a loop; the number Linux uses.
const MAX_LINKS: u32 = 40;

/// A git repository that holds plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Absolute, without symbolic links.
    pub root: Utf8PathBuf,
    /// The nearest `loop.kdl` of the directory that the search began in, relative to the root.
    pub project: Option<Utf8PathBuf>,
}

/// Why a place on disk cannot be worked with. Always the caller's or the machine's doing, never the plan's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// No `.git` at this place or above it.
    NoRepository(Utf8PathBuf),
    /// The path lies outside the repository.
    Outside { path: Utf8PathBuf, root: Utf8PathBuf },
    /// A name that is not UTF-8, shown with replacement characters.
    NotUtf8(String),
    /// The operating system's words.
    Io { path: Utf8PathBuf, message: String },
}

impl std::fmt::Display for DiskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DiskError::NoRepository(path) => write!(
                f,
                "{path} is not in a git repository; the paths in a plan count from a repository's root, \
                 so run this inside one, or make one with `git init`"
            ),
            DiskError::Outside { path, root } => {
                write!(f, "{path} lies outside the repository {root}; name a file inside it")
            }
            DiskError::NotUtf8(name) => {
                write!(f, "the name of {name} is not UTF-8; rename the file so that plans can name it")
            }
            DiskError::Io { path, message } => write!(f, "cannot read {path}: {message}"),
        }
    }
}

impl std::error::Error for DiskError {}

fn io_error(path: &Utf8Path, error: &std::io::Error) -> DiskError {
    DiskError::Io { path: path.to_owned(), message: system_words(error) }
}

/// Where a walk failed, if the error knows.
fn place_of(error: &ignore::Error) -> Option<&Utf8Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Utf8Path::from_path(path),
        ignore::Error::WithDepth { err, .. } => place_of(err),
        _ => None,
    }
}

/// The system's message without Rust's ` (os error N)` behind it.
pub fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

impl Repository {
    /// Looks for the git root at `start` (a file or directory) and above, and for the nearest `loop.kdl` on
    /// the way there.
    ///
    /// # Errors
    /// If `start` does not exist or is in no git repository.
    pub fn find(start: &Utf8Path) -> Result<Repository, DiskError> {
        start.symlink_metadata().map_err(|error| io_error(start, &error))?;
        // A file's own directory counts, not that of what it is a link to: where links lead, `DiskSources` judges.
        let place = match start.parent() {
            Some(parent) if !start.is_dir() => parent,
            _ => start,
        };
        let real = place.canonicalize_utf8().map_err(|error| io_error(start, &error))?;
        let directory = real.as_path();
        let root = directory
            .ancestors()
            .find(|directory| directory.join(".git").symlink_metadata().is_ok())
            .ok_or_else(|| DiskError::NoRepository(start.to_owned()))?
            .to_owned();
        let project = nearest_project(&root, directory);
        Ok(Repository { root, project })
    }

    /// The `loop.kdl` that holds for a plan: the nearest one upwards, not beyond the root. `plan` and result
    /// are relative to the root.
    pub fn project_of(&self, plan: &Utf8Path) -> Option<Utf8PathBuf> {
        let directory = self.root.join(plan);
        nearest_project(&self.root, directory.parent().unwrap_or(&self.root))
    }

    /// Every plan of the repository, relative to the root, sorted. See [`Repository::plans_below`].
    ///
    /// # Errors
    /// If a directory cannot be listed, or a plan's name is not UTF-8.
    pub fn plans(&self) -> Result<Vec<Utf8PathBuf>, DiskError> {
        self.plans_below(Utf8Path::new(""))
    }

    /// Every `*.loop.kdl` at or below `directory` (relative to the root). Ignored files and directories,
    /// hidden ones, and what lies behind symbolic links do not count; nested repositories do not either, their
    /// plans are theirs.
    ///
    /// # Errors
    /// If a directory cannot be listed, or a plan's name is not UTF-8.
    pub fn plans_below(&self, directory: &Utf8Path) -> Result<Vec<Utf8PathBuf>, DiskError> {
        self.files_below(directory, |name| name.ends_with(PLAN_SUFFIX.as_bytes()))
    }

    /// Every plan and every project file at or below `directory`, under the conditions of
    /// [`Repository::plans_below`].
    ///
    /// # Errors
    /// If a directory cannot be listed, or a file's name is not UTF-8.
    pub fn plans_and_projects_below(&self, directory: &Utf8Path) -> Result<Vec<Utf8PathBuf>, DiskError> {
        self.files_below(directory, |name| {
            name.ends_with(PLAN_SUFFIX.as_bytes()) || name == PROJECT_FILE.as_bytes()
        })
    }

    fn files_below(
        &self,
        directory: &Utf8Path,
        wanted: fn(&[u8]) -> bool,
    ) -> Result<Vec<Utf8PathBuf>, DiskError> {
        let start = self.root.join(directory);
        let mut walk = ignore::WalkBuilder::new(&start);
        // Only what is in the repository decides, so that two machines find the same plans.
        walk.git_global(false)
            .git_exclude(false)
            .ignore(false)
            .parents(true)
            .sort_by_file_name(|a, b| a.cmp(b));
        let top = start.clone();
        walk.filter_entry(move |entry| {
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            !is_directory || entry.path() == top || !entry.path().join(".git").exists()
        });
        let mut plans = Vec::new();
        for entry in walk.build() {
            let entry = entry.map_err(|error| DiskError::Io {
                path: place_of(&error).unwrap_or(&start).to_owned(),
                message: error.io_error().map_or_else(|| error.to_string(), system_words),
            })?;
            if !wanted(entry.file_name().as_encoded_bytes())
                || !entry.file_type().is_some_and(|kind| kind.is_file())
            {
                continue;
            }
            let path = Utf8Path::from_path(entry.path())
                .ok_or_else(|| DiskError::NotUtf8(entry.path().display().to_string()))?;
            plans.push(path.strip_prefix(&self.root).unwrap_or(path).to_owned());
        }
        plans.sort();
        Ok(plans)
    }

    /// Every directory whose files may matter to a plan, absolute: not ignored, not git's own, of no nested repository.
    /// Hidden ones are among them. What cannot be listed is left out.
    pub fn directories(&self) -> Vec<Utf8PathBuf> {
        let mut walk = ignore::WalkBuilder::new(&self.root);
        walk.git_global(false).git_exclude(false).ignore(false).parents(true).hidden(false);
        let top = self.root.clone();
        walk.filter_entry(move |entry| {
            let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            is_directory
                && (entry.path() == top || !entry.path().join(".git").exists())
                && entry.file_name() != ".git"
        });
        walk.build()
            .flatten()
            .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
            .collect()
    }

    /// `path` (as a person gave it: absolute, or relative to `current`) relative to the root. The file itself
    /// need not exist; its directory must.
    ///
    /// # Errors
    /// If it lies outside, or its directory cannot be read.
    pub fn relative(&self, current: &Utf8Path, path: &Utf8Path) -> Result<Utf8PathBuf, DiskError> {
        let absolute = current.join(path);
        // The last part stays as it is: a plan that is a symbolic link is judged by `DiskSources`.
        let (parent, name) = match absolute.components().next_back() {
            Some(Utf8Component::Normal(name)) => (absolute.parent().unwrap_or(&absolute), Some(name)),
            _ => (absolute.as_path(), None),
        };
        let mut real = parent.canonicalize_utf8().map_err(|error| io_error(path, &error))?;
        real.extend(name);
        match real.strip_prefix(&self.root) {
            Ok(relative) => Ok(relative.to_owned()),
            Err(_) => Err(DiskError::Outside { path: path.to_owned(), root: self.root.clone() }),
        }
    }

    /// Reads files for the compiler.
    pub fn sources(&self) -> DiskSources {
        DiskSources { listing: Arc::new(Listing::new(self.root.clone())), root: self.root.clone() }
    }
}

fn nearest_project(root: &Utf8Path, directory: &Utf8Path) -> Option<Utf8PathBuf> {
    directory
        .ancestors()
        .take_while(|directory| directory.starts_with(root))
        .map(|directory| directory.join(PROJECT_FILE))
        .find(|file| file.symlink_metadata().is_ok_and(|found| !found.is_dir()))
        .and_then(|file| Some(file.strip_prefix(root).ok()?.to_owned()))
}

/// The working files of one repository, as the compiler may see them. What the repository holds is listed once:
/// who looks again later, such as a watcher, asks for new sources.
#[derive(Clone, Debug)]
pub struct DiskSources {
    root: Utf8PathBuf,
    listing: Arc<Listing>,
}

impl DiskSources {
    /// The absolute path of what stands at `path`, symbolic links followed.
    ///
    /// # Errors
    /// If nothing stands there, or a link leads out of the repository.
    pub fn locate(&self, path: &Utf8Path) -> Result<Utf8PathBuf, ReadError> {
        self.resolve(path).map(|(real, _)| real)
    }

    /// Follows symbolic links by hand, so that a step out of the repository is seen before anything is opened.
    /// Returns the real place, with what stands there.
    pub(crate) fn resolve(&self, path: &Utf8Path) -> Result<(Utf8PathBuf, std::fs::Metadata), ReadError> {
        let mut waiting: Vec<String> = parts(path);
        let mut place = Utf8PathBuf::new();
        let mut links = 0;
        while let Some(part) = waiting.pop() {
            match part.as_str() {
                "." => continue,
                ".." if place.pop() => continue,
                ".." => return Err(ReadError::Escapes),
                _ => place.push(&part),
            }
            let real = self.root.join(&place);
            let found = real.symlink_metadata().map_err(|error| read_error(&error))?;
            if !found.is_symlink() {
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(ReadError::Denied("too many levels of symbolic links".to_owned()));
            }
            let target = real.read_link_utf8().map_err(|error| read_error(&error))?;
            place.pop();
            if target.is_absolute() {
                let inside = self.inside(&target)?;
                place = Utf8PathBuf::new();
                waiting.extend(parts(&inside));
            } else {
                waiting.extend(parts(&target));
            }
        }
        let real = self.root.join(&place);
        let found = real.symlink_metadata().map_err(|error| read_error(&error))?;
        Ok((real, found))
    }

    /// Opens a file to be read; with the size that it has, which is not too large.
    ///
    /// # Errors
    /// If it is not there, no file, too large, or not ours to read.
    pub fn open(&self, path: &Utf8Path) -> Result<(File, u64), ReadError> {
        let (real, found) = self.resolve(path)?;
        // Judged before it is opened: opening a pipe waits for a writer, opening a device may do anything.
        if !found.is_file() {
            return Err(ReadError::NotAFile);
        }
        // Should something else stand there by now, neither a link is followed nor a pipe waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(&real)
            .map_err(|error| read_error(&error))?;
        let opened = file.metadata().map_err(|error| read_error(&error))?;
        if !opened.is_file() {
            return Err(ReadError::NotAFile);
        }
        if opened.len() > MAX_FILE {
            return Err(ReadError::TooLarge(MAX_FILE));
        }
        Ok((file, opened.len()))
    }

    /// An absolute link's target as a path from the root.
    fn inside(&self, target: &Utf8Path) -> Result<Utf8PathBuf, ReadError> {
        if let Ok(inside) = target.strip_prefix(&self.root) {
            return Ok(inside.to_owned());
        }
        // It may name the root through a link of its own (`/tmp` and `/private/tmp`).
        let real = target.canonicalize_utf8().map_err(|_| ReadError::Escapes)?;
        real.strip_prefix(&self.root).map(Utf8Path::to_owned).map_err(|_| ReadError::Escapes)
    }
}

/// The parts of a path, the first one last, so that they can be taken off one by one.
fn parts(path: &Utf8Path) -> Vec<String> {
    path.as_str().split('/').filter(|part| !part.is_empty()).rev().map(str::to_owned).collect()
}

fn read_error(error: &std::io::Error) -> ReadError {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ReadError::Missing,
        _ => ReadError::Denied(system_words(error)),
    }
}

impl Sources for DiskSources {
    fn size(&self, path: &Utf8Path) -> Option<u64> {
        let (_, found) = self.resolve(path).ok()?;
        found.is_file().then_some(found.len())
    }

    /// The clock's day in UTC, or that of `SOURCE_DATE_EPOCH`, with which a build says when it takes place.
    fn today(&self) -> Option<Date> {
        let stated = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
        stated.or_else(|| Some(clock()?.as_secs())).map(Date::of_unix_seconds)
    }

    fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
        let (file, size) = self.open(path)?;
        // One more than it has: so it is seen at once that nothing follows.
        let mut bytes = Vec::with_capacity(size as usize + 1);
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| read_error(&error))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(ReadError::TooLarge(MAX_FILE));
        }
        Ok(bytes)
    }

    /// A path that leads out of the repository is `Other`: something stands there, but nothing to work with.
    fn kind(&self, path: &Utf8Path) -> Option<PathKind> {
        match self.resolve(path) {
            Ok((_, found)) if found.is_file() => Some(PathKind::File),
            Ok((_, found)) if found.is_dir() => Some(PathKind::Directory),
            Ok(_) | Err(ReadError::Escapes | ReadError::Denied(_)) => Some(PathKind::Other),
            Err(_) => None,
        }
    }

    fn files(&self) -> Option<&[Utf8PathBuf]> {
        self.listing.files()
    }

    fn ignored(&self, path: &Utf8Path, kind: PathKind) -> Option<Ignored> {
        self.listing.ignored(path, kind)
    }

    fn executable(&self, path: &Utf8Path) -> Option<bool> {
        let (_, found) = self.resolve(path).ok()?;
        found.is_file().then(|| found.permissions().mode() & 0o111 != 0)
    }
}

/// Sources with one file laid over them: a plan from standard input, or the unsaved text of an editor.
pub struct Overlay<'s> {
    pub under: &'s dyn Sources,
    pub path: Utf8PathBuf,
    pub bytes: Vec<u8>,
}

impl Sources for Overlay<'_> {
    fn size(&self, path: &Utf8Path) -> Option<u64> {
        if path == self.path { Some(self.bytes.len() as u64) } else { self.under.size(path) }
    }

    fn today(&self) -> Option<Date> {
        self.under.today()
    }

    fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
        if path == self.path { Ok(self.bytes.clone()) } else { self.under.read(path) }
    }

    fn kind(&self, path: &Utf8Path) -> Option<PathKind> {
        if path == self.path { Some(PathKind::File) } else { self.under.kind(path) }
    }

    /// Those below: that the text laid over them is one more file matters to no pattern of a plan.
    fn files(&self) -> Option<&[Utf8PathBuf]> {
        self.under.files()
    }

    fn ignored(&self, path: &Utf8Path, kind: PathKind) -> Option<Ignored> {
        self.under.ignored(path, kind)
    }

    fn executable(&self, path: &Utf8Path) -> Option<bool> {
        self.under.executable(path)
    }
}
