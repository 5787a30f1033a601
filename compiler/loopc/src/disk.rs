//! Plan files on disk: where the repository and its plans are, and how the compiler may read them.
//!
//! Does not know what the files say. Nothing outside the repository is ever read.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use loop_compiler::source::{PathKind, ReadError, Sources};

/// The project's own file.
pub const PROJECT_FILE: &str = "loop.kdl";

/// What the name of a plan ends in.
pub const PLAN_SUFFIX: &str = ".loop.kdl";

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
pub(crate) fn system_words(error: &std::io::Error) -> String {
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
        let real = start.canonicalize_utf8().map_err(|error| io_error(start, &error))?;
        let directory = if real.is_dir() { real.as_path() } else { real.parent().unwrap_or(&real) };
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
            if !entry.file_name().as_encoded_bytes().ends_with(PLAN_SUFFIX.as_bytes())
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
        DiskSources { root: self.root.clone() }
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

/// The working files of one repository, as the compiler may see them.
#[derive(Clone, Debug)]
pub struct DiskSources {
    root: Utf8PathBuf,
}

impl DiskSources {
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
    fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
        let (real, found) = self.resolve(path)?;
        // Judged before it is opened: opening a pipe waits for a writer, opening a device may do anything.
        if !found.is_file() {
            return Err(ReadError::NotAFile);
        }
        if found.len() > MAX_FILE {
            return Err(ReadError::TooLarge(MAX_FILE));
        }
        // Should something else stand there by now, neither a link is followed nor a pipe waited for.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(&real)
            .map_err(|error| read_error(&error))?;
        if !file.metadata().map_err(|error| read_error(&error))?.is_file() {
            return Err(ReadError::NotAFile);
        }
        let mut bytes = Vec::new();
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
}

/// Sources with one file laid over them: a plan from standard input, or the unsaved text of an editor.
pub struct Overlay<'s> {
    pub under: &'s dyn Sources,
    pub path: Utf8PathBuf,
    pub bytes: Vec<u8>,
}

impl Sources for Overlay<'_> {
    fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
        if path == self.path { Ok(self.bytes.clone()) } else { self.under.read(path) }
    }

    fn kind(&self, path: &Utf8Path) -> Option<PathKind> {
        if path == self.path { Some(PathKind::File) } else { self.under.kind(path) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Place {
        _keep: tempfile::TempDir,
        root: Utf8PathBuf,
    }

    /// A repository (an empty `.git` is enough) with files.
    fn repository(files: &[(&str, &str)]) -> Place {
        let keep = tempfile::tempdir().expect("a temporary directory");
        let above =
            Utf8PathBuf::from_path_buf(keep.path().canonicalize().expect("it exists")).expect("UTF-8");
        let root = above.join("repo");
        std::fs::create_dir_all(root.join(".git")).expect("it can be made");
        for (path, text) in files {
            write(&root.join(path), text);
        }
        Place { _keep: keep, root }
    }

    fn write(path: &Utf8Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }

    fn paths(names: &[&str]) -> Vec<Utf8PathBuf> {
        names.iter().map(Utf8PathBuf::from).collect()
    }

    #[test]
    fn the_nearest_project_file_counts_and_none_above_the_git_root() {
        let place = repository(&[("a/loop.kdl", ""), ("a/b/x.loop.kdl", ""), ("c/d", "")]);
        write(&place.root.join("../loop.kdl"), "");
        let find = |path: &str| Repository::find(&place.root.join(path)).expect("it is a repository");
        assert_eq!(find("a/b").project, Some("a/loop.kdl".into()));
        assert_eq!(find("a/b/x.loop.kdl").project, Some("a/loop.kdl".into()));
        assert_eq!(find("a/b").root, place.root);
        assert_eq!(find("c").project, None);
        assert_eq!(find("").project_of(Utf8Path::new("a/b/x.loop.kdl")), Some("a/loop.kdl".into()));
        assert_eq!(find("").project_of(Utf8Path::new("x.loop.kdl")), None);
    }

    #[test]
    fn outside_a_repository_and_nowhere_are_told_apart() {
        let keep = tempfile::tempdir().expect("a temporary directory");
        let path = Utf8Path::from_path(keep.path()).expect("UTF-8");
        assert!(matches!(Repository::find(path), Err(DiskError::NoRepository(_))));
        let nowhere = Repository::find(&path.join("nowhere")).expect_err("it does not exist");
        assert!(nowhere.to_string().ends_with("no such file or directory"), "{nowhere}");
    }

    #[test]
    fn plans_are_sorted_and_ignored_hidden_and_foreign_ones_are_left_out() {
        let place = repository(&[
            (".gitignore", "/target/\n*.draft.loop.kdl\n"),
            ("loop.kdl", ""),
            ("b.loop.kdl", ""),
            ("a/z.loop.kdl", ""),
            ("a/y.kdl", ""),
            ("a/n.draft.loop.kdl", ""),
            ("target/t.loop.kdl", ""),
            (".hidden/h.loop.kdl", ""),
            ("vendor/other/.git/HEAD", ""),
            ("vendor/other/o.loop.kdl", ""),
            ("vendor/v.loop.kdl", ""),
        ]);
        std::fs::create_dir(place.root.join("dir.loop.kdl")).expect("it can be made");
        symlink("b.loop.kdl", place.root.join("link.loop.kdl")).expect("it can be made");
        let repository = Repository::find(&place.root).expect("it is a repository");
        assert_eq!(repository.plans(), Ok(paths(&["a/z.loop.kdl", "b.loop.kdl", "vendor/v.loop.kdl"])));
        assert_eq!(repository.plans_below(Utf8Path::new("a")), Ok(paths(&["a/z.loop.kdl"])));
        assert_eq!(
            repository.plans_below(Utf8Path::new("vendor/other")),
            Ok(paths(&["vendor/other/o.loop.kdl"])),
            "a directory that is asked for is searched"
        );
    }

    #[test]
    fn paths_of_a_person_become_paths_from_the_root() {
        let place = repository(&[("a/b.loop.kdl", "")]);
        let repository = Repository::find(&place.root).expect("it is a repository");
        let from =
            |current: &str, path: &str| repository.relative(&place.root.join(current), Utf8Path::new(path));
        assert_eq!(from("a", "b.loop.kdl"), Ok("a/b.loop.kdl".into()));
        assert_eq!(from("a", "../a/b.loop.kdl"), Ok("a/b.loop.kdl".into()));
        assert_eq!(from("a", ".."), Ok("".into()));
        assert_eq!(from("", "."), Ok("".into()));
        assert_eq!(from("", place.root.join("a").as_str()), Ok("a".into()));
        assert!(matches!(from("", "../x.loop.kdl"), Err(DiskError::Outside { .. })));
        assert!(matches!(from("", "nowhere/x.loop.kdl"), Err(DiskError::Io { .. })));
    }

    #[test]
    fn links_are_followed_inside_the_repository_and_never_out_of_it() {
        let place = repository(&[("a/b/text", "inside"), ("d/x", "")]);
        write(&place.root.join("../secret"), "outside");
        let root = &place.root;
        for (target, link) in [
            ("a/b/text", "plain"),
            ("../a/b", "d/up"),
            ("../../secret", "d/out"),
            ("../repo/plain", "around"),
            ("loop-b", "loop-a"),
            ("loop-a", "loop-b"),
            ("nowhere", "dangling"),
            ("/etc/hostname", "absolute"),
        ] {
            symlink(target, root.join(link)).expect("it can be made");
        }
        symlink(root.join("a"), root.join("absolute-inside")).expect("it can be made");
        let sources = Repository::find(root).expect("it is a repository").sources();
        let read = |path: &str| sources.read(Utf8Path::new(path));
        for path in ["a/b/text", "plain", "d/up/text", "absolute-inside/b/text"] {
            assert_eq!(read(path), Ok(b"inside".to_vec()), "{path}");
        }
        for path in ["d/out", "around", "absolute"] {
            assert_eq!(read(path), Err(ReadError::Escapes), "{path}");
            assert_eq!(sources.kind(Utf8Path::new(path)), Some(PathKind::Other), "{path}");
        }
        assert!(matches!(read("loop-a"), Err(ReadError::Denied(_))));
        assert_eq!(read("dangling"), Err(ReadError::Missing));
        assert_eq!(read("a/b/text/more"), Err(ReadError::Missing));
        assert_eq!(read("../secret"), Err(ReadError::Escapes));
        assert_eq!(sources.kind(Utf8Path::new("d/up")), Some(PathKind::Directory));
        assert_eq!(sources.kind(Utf8Path::new("nowhere")), None);
    }

    #[test]
    fn pipes_devices_and_directories_are_no_files_and_are_not_opened() {
        let place = repository(&[("d/x", "")]);
        let pipe = place.root.join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, pipe.as_std_path(), rustix::fs::Mode::RUSR)
            .expect("it can be made");
        let sources = Repository::find(&place.root).expect("it is a repository").sources();
        // Opening the pipe would wait for a writer that never comes.
        assert_eq!(sources.read(Utf8Path::new("pipe")), Err(ReadError::NotAFile));
        assert_eq!(sources.kind(Utf8Path::new("pipe")), Some(PathKind::Other));
        assert_eq!(sources.read(Utf8Path::new("d")), Err(ReadError::NotAFile));
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused_unread() {
        let place = repository(&[]);
        let file = std::fs::File::create(place.root.join("big")).expect("it can be made");
        file.set_len(MAX_FILE + 1).expect("a sparse file");
        let sources = Repository::find(&place.root).expect("it is a repository").sources();
        assert_eq!(sources.read(Utf8Path::new("big")), Err(ReadError::TooLarge(MAX_FILE)));
        file.set_len(MAX_FILE).expect("a sparse file");
        assert_eq!(sources.read(Utf8Path::new("big")).map(|bytes| bytes.len() as u64), Ok(MAX_FILE));
    }

    #[test]
    fn an_overlay_hides_the_file_below_it() {
        let place = repository(&[("a", "below"), ("b", "other")]);
        let disk = Repository::find(&place.root).expect("it is a repository").sources();
        let overlay = Overlay { under: &disk, path: "a".into(), bytes: b"above".to_vec() };
        assert_eq!(overlay.read(Utf8Path::new("a")), Ok(b"above".to_vec()));
        assert_eq!(overlay.read(Utf8Path::new("b")), Ok(b"other".to_vec()));
        assert_eq!(overlay.kind(Utf8Path::new("c")), None);
    }
}
