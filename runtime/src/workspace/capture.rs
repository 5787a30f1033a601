//! Capture: what an agent left in its worktree, as a patch against the tree it started from.
//!
//! Does not know the agent's git directory (own commits, branches and index do not count), nor its scope.
//! The walk is our own: no symbolic link is followed, nothing but regular files is opened, bytes are raw.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use camino::Utf8Path;
use rustix::fs::{AtFlags, Dir, FileType, Mode as Bits, OFlags, fstat, openat, readlinkat, statat};

use crate::digest::Sha256;
use crate::patch::{Change, Entry, Mode, Patch, Tree, TreeFile};

use self::ignored::Rules;
use super::dirs::{MAX_DEPTH, open_below};
use super::export::uses_large_file_storage;
use super::names::{fold, is_dot_git, link_end, unwritable};
use super::objects::{blob_id, to_oid};
use super::{Blobs, Repository, WorkspaceError};

mod ignored;
mod refusal;
#[cfg(test)]
mod tests;

pub use refusal::{CaptureError, Refusal};

/// What capture takes, leaves and refuses.
pub struct CaptureRules<'a> {
    /// Paths that are taken even if they are ignored. Meant for paths that were declared one by one: a
    /// pattern like `**` would take a whole build directory.
    pub declared: &'a dyn Fn(&str) -> bool,
    /// Paths whose changes are thrown away, and named.
    pub discard: &'a dyn Fn(&str) -> bool,
    /// Bytes that a new or changed file may have.
    pub max_file_bytes: u64,
    /// Bytes that all new and changed files together may have.
    pub max_total_bytes: u64,
}

/// The end state of a worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Against the start tree. The contents are in the store.
    pub patch: Patch,
    /// Ignored files that were left behind.
    pub dropped_ignored: u64,
    /// Paths that `discard` threw away, sorted.
    pub discarded: Vec<String>,
}

/// Captures `worktree`, which started as `start`. No process may still be writing there.
///
/// Files that `start` has are taken whatever the ignore rules say, as git does; the rules are those of the
/// worktree's own `.gitignore` files. Only new and changed contents are put into `blobs`.
pub fn capture(
    repository: &Repository,
    worktree: &Utf8Path,
    start: &Tree,
    rules: &CaptureRules<'_>,
    blobs: &dyn Blobs,
) -> Result<Captured, CaptureError> {
    let root = match super::dirs::open_root(worktree) {
        Ok(root) => root,
        // Whoever may write there may also remove or replace the whole of it.
        Err(error) => {
            let gone = Refusal::Unreadable { path: worktree.to_string(), reason: error.to_string() };
            return Err(CaptureError::Refused { refusals: vec![gone], rest: Box::default() });
        }
    };
    let walk = Walk {
        repository,
        start,
        rules,
        blobs,
        root,
        end: start.clone(),
        unseen: start.files.keys().cloned().collect(),
        links: BTreeMap::new(),
        blind: Vec::new(),
        refusals: BTreeSet::new(),
        discarded: BTreeSet::new(),
        dropped: 0,
        bytes: 0,
    };
    walk.run()
}

struct Walk<'a> {
    repository: &'a Repository,
    start: &'a Tree,
    rules: &'a CaptureRules<'a>,
    blobs: &'a dyn Blobs,
    root: OwnedFd,
    /// The tree as it is found to be.
    end: Tree,
    /// Paths of `start` that were not met yet.
    unseen: BTreeSet<Vec<u8>>,
    /// Targets of the links that were met.
    links: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Directories that were not looked into, each with a `/` at its end.
    blind: Vec<Vec<u8>>,
    refusals: BTreeSet<Refusal>,
    discarded: BTreeSet<String>,
    dropped: u64,
    bytes: u64,
}

/// A directory that is still to be walked.
struct Pending {
    /// Empty, or with a `/` at its end.
    prefix: Vec<u8>,
    depth: usize,
    ignored: bool,
    rules: Rules,
}

impl Walk<'_> {
    fn run(mut self) -> Result<Captured, CaptureError> {
        let mut pending =
            vec![Pending { prefix: Vec::new(), depth: 0, ignored: false, rules: Rules::default() }];
        while let Some(dir) = pending.pop() {
            self.directory(dir, &mut pending)?;
        }
        self.deletions();
        self.links_that_leave()?;
        self.case_clashes();
        if self.bytes > self.rules.max_total_bytes {
            let limit = self.rules.max_total_bytes;
            self.refusals.insert(Refusal::TotalTooLarge { bytes: self.bytes, limit });
        }
        let captured = Captured {
            patch: self.patch(),
            dropped_ignored: self.dropped,
            discarded: self.discarded.into_iter().collect(),
        };
        if self.refusals.is_empty() {
            return Ok(captured);
        }
        let refusals = self.refusals.into_iter().collect();
        Err(CaptureError::Refused { refusals, rest: Box::new(captured) })
    }

    fn directory(&mut self, at: Pending, pending: &mut Vec<Pending>) -> Result<(), WorkspaceError> {
        let opened = open_below(&self.root, &at.prefix).and_then(|dir| Ok((names(&dir)?, dir)));
        let (names, dir) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.unreadable(&at, error);
                return Ok(());
            }
        };
        let top = at.prefix.is_empty();
        if !top && !at.ignored && names.iter().any(|(name, _)| is_dot_git(name)) {
            self.refusals.insert(Refusal::NestedRepository { path: shown(&at.prefix) });
            self.blind.push(at.prefix);
            return Ok(());
        }
        let has_rules =
            names.iter().any(|(name, kind)| name == b".gitignore" && *kind == FileType::RegularFile);
        let rules = if has_rules { self.rules_of(&at, &dir) } else { at.rules.clone() };
        for (name, kind) in names {
            if top && name == b".git" {
                continue;
            }
            let path = [at.prefix.as_slice(), &name].concat();
            let is_dir = kind == FileType::Directory;
            let ignored = at.ignored || rules.ignore(&path, is_dir);
            if is_dir {
                self.subdirectory(path, ignored, &at, &rules, pending);
            } else {
                self.file(path, &name, kind, ignored, &dir)?;
            }
        }
        Ok(())
    }

    /// With the directory's own rules. An unreadable file has none, and is refused when the walk comes to it.
    fn rules_of(&mut self, at: &Pending, dir: &OwnedFd) -> Rules {
        let text = read_file(dir, b".gitignore", MAX_IGNORE + 1).unwrap_or_default();
        let bytes = text.len() as u64;
        if bytes > MAX_IGNORE && !at.ignored {
            let path = shown(&[at.prefix.as_slice(), b".gitignore"].concat());
            self.refusals.insert(Refusal::FileTooLarge { path, bytes, limit: MAX_IGNORE });
            return at.rules.clone();
        }
        at.rules.below(&at.prefix, &text)
    }

    fn unreadable(&mut self, at: &Pending, error: io::Error) {
        // What is ignored may be as it likes, as long as nothing in it is asked for.
        if !at.ignored || self.start.has_below(&at.prefix) {
            let path = shown(&at.prefix);
            self.refusals.insert(Refusal::Unreadable { path, reason: error.to_string() });
        }
        self.blind.push(at.prefix.clone());
    }

    fn subdirectory(
        &mut self,
        path: Vec<u8>,
        ignored: bool,
        at: &Pending,
        rules: &Rules,
        pending: &mut Vec<Pending>,
    ) {
        if self.start.files.get(&path).is_some_and(|file| file.entry.mode == Mode::Submodule) {
            self.unseen.remove(&path);
            let empty = open_below(&self.root, &path).and_then(|dir| names(&dir)).is_ok_and(|n| n.is_empty());
            if !empty {
                self.refusals.insert(Refusal::Submodule { path: shown(&path) });
            }
            return;
        }
        let mut prefix = path;
        prefix.push(b'/');
        if at.depth + 1 >= MAX_DEPTH || prefix.len() > 4000 {
            if !ignored {
                self.refusals.insert(Refusal::TooDeep { path: shown(&prefix) });
            }
            self.blind.push(prefix);
            return;
        }
        pending.push(Pending { prefix, depth: at.depth + 1, ignored, rules: rules.clone() });
    }

    fn file(
        &mut self,
        path: Vec<u8>,
        name: &[u8],
        kind: FileType,
        ignored: bool,
        dir: &OwnedFd,
    ) -> Result<(), WorkspaceError> {
        let known = self.start.files.get(&path);
        let text = std::str::from_utf8(&path).ok();
        if let Some(text) = text
            && (self.rules.discard)(text)
        {
            // A change to a file of the start tree is undone by it; `deletions` treats a missing one alike.
            if self.unseen.remove(&path) {
                return Ok(());
            }
            self.discarded.insert(text.to_owned());
            return Ok(());
        }
        if known.is_none() && ignored && !text.is_some_and(|text| (self.rules.declared)(text)) {
            self.dropped += 1;
            return Ok(());
        }
        self.unseen.remove(&path);
        if known.is_some_and(|file| file.entry.mode == Mode::Submodule) {
            self.refusals.insert(Refusal::Submodule { path: shown(&path) });
            return Ok(());
        }
        let content = match kind {
            FileType::RegularFile => self.regular(&path, name, dir)?,
            FileType::Symlink => match readlinkat(dir, name, Vec::new()) {
                Ok(target) => {
                    self.links.insert(path.clone(), target.as_bytes().to_vec());
                    Some((Mode::Symlink, target.into_bytes()))
                }
                Err(error) => self.cannot_read(&path, error.into()),
            },
            other => {
                self.refusals.insert(Refusal::SpecialFile { path: shown(&path), kind: kind_name(other) });
                None
            }
        };
        let Some((mode, bytes)) = content else { return Ok(()) };
        let entry = Entry { mode, object: blob_id(&bytes) };
        if known.is_some_and(|file| file.entry == entry) {
            return Ok(());
        }
        self.take(path, entry, &bytes)
    }

    /// A changed or new file or link.
    fn take(&mut self, path: Vec<u8>, entry: Entry, bytes: &[u8]) -> Result<(), WorkspaceError> {
        if let Some(refusal) = refused_name(&path, &entry, bytes) {
            self.refusals.insert(refusal);
            return Ok(());
        }
        let same_content = |file: &TreeFile| file.entry.object == entry.object;
        if !self.start.files.get(&path).is_some_and(same_content) {
            self.bytes += bytes.len() as u64;
        }
        // Over the limit nothing more is stored; the sum goes on, for the message.
        if self.bytes <= self.rules.max_total_bytes {
            let digest: Sha256 =
                self.blobs.put(bytes).map_err(|source| WorkspaceError::ContentNotKept { source })?;
            self.end.files.insert(path, TreeFile { entry, content: Some(digest) });
        }
        Ok(())
    }

    /// Mode and content of a regular file; `None` if it was refused.
    fn regular(
        &mut self,
        path: &[u8],
        name: &[u8],
        dir: &OwnedFd,
    ) -> Result<Option<(Mode, Vec<u8>)>, WorkspaceError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(dir, name, flags, Bits::empty()).and_then(|file| Ok((fstat(&file)?, file)));
        let (stat, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(self.cannot_read(path, error.into())),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile {
            self.refusals.insert(Refusal::SpecialFile { path: shown(path), kind: kind_name(kind) });
            return Ok(None);
        }
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        let mut limit = self.rules.max_file_bytes;
        if bytes > limit {
            // A large file of the start tree may stay as it is; only an equal length can be equal.
            if self.start_length(path)? != Some(bytes) {
                self.refusals.insert(Refusal::FileTooLarge { path: shown(path), bytes, limit });
                return Ok(None);
            }
            limit = bytes;
        }
        let mode = if stat.st_mode & 0o100 != 0 { Mode::Executable } else { Mode::File };
        let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
        if let Err(error) = File::from(file).take(limit + 1).read_to_end(&mut content) {
            return Ok(self.cannot_read(path, error));
        }
        let changed = self.start.files.get(path).is_none_or(|file| file.entry.object != blob_id(&content));
        if changed && content.len() as u64 > self.rules.max_file_bytes {
            let limit = self.rules.max_file_bytes;
            self.refusals.insert(Refusal::FileTooLarge { path: shown(path), bytes, limit });
            return Ok(None);
        }
        Ok(Some((mode, content)))
    }

    fn start_length(&self, path: &[u8]) -> Result<Option<u64>, WorkspaceError> {
        let Some(file) = self.start.files.get(path) else { return Ok(None) };
        if file.content.is_some() {
            return Ok(Some(self.repository.content(file, self.blobs)?.len() as u64));
        }
        let odb = self.repository.git.odb().map_err(WorkspaceError::git("open the object database"))?;
        let header = odb.read_header(to_oid(&file.entry.object)?);
        let (length, _) = header.map_err(WorkspaceError::git(format!("read {}", file.entry.object)))?;
        Ok(Some(length as u64))
    }

    fn cannot_read<T>(&mut self, path: &[u8], error: io::Error) -> Option<T> {
        self.refusals.insert(Refusal::Unreadable { path: shown(path), reason: error.to_string() });
        None
    }

    /// What the start tree had and the walk did not meet is deleted.
    fn deletions(&mut self) {
        for path in std::mem::take(&mut self.unseen) {
            // A missing directory of a submodule is no change to it, as git sees it.
            let submodule = self.start.files[&path].entry.mode == Mode::Submodule;
            if submodule || self.blind.iter().any(|prefix| path.starts_with(prefix)) {
                continue;
            }
            let text = std::str::from_utf8(&path).ok();
            if text.is_some_and(|text| (self.rules.discard)(text)) {
                continue;
            }
            match text {
                None => {
                    self.refusals.insert(Refusal::NotUtf8 { path: shown(&path) });
                }
                Some(".gitmodules") => {
                    self.refusals.insert(Refusal::Submodule { path: shown(&path) });
                }
                Some(_) => {
                    self.end.files.remove(&path);
                }
            }
        }
    }

    /// New links must stay inside; old ones may be as bad as they were, but not become worse.
    fn links_that_leave(&mut self) -> Result<(), WorkspaceError> {
        let end = |path: &[u8]| self.links.get(path).map(Vec::as_slice);
        let leaving = self.links.iter().filter(|(path, target)| link_end(path, target, end).is_none());
        let leaving: Vec<&Vec<u8>> = leaving.map(|(path, _)| path).collect();
        if leaving.is_empty() {
            return Ok(());
        }
        let mut before = BTreeMap::new();
        for (path, file) in &self.start.files {
            if file.entry.mode == Mode::Symlink {
                before.insert(path.clone(), self.repository.content(file, self.blobs)?);
            }
        }
        let start = |path: &[u8]| before.get(path).map(Vec::as_slice);
        let mut refusals = Vec::new();
        for path in leaving {
            let target = &self.links[path];
            if before.get(path) == Some(target) && link_end(path, target, start).is_none() {
                continue;
            }
            refusals.push(Refusal::LinkLeavesTree { path: shown(path), target: shown(target) });
        }
        self.refusals.extend(refusals);
        Ok(())
    }

    /// Two names of one directory that are one file elsewhere, if one of them is new.
    fn case_clashes(&mut self) {
        let old: BTreeSet<&[u8]> = self.start.files.keys().flat_map(|path| prefixes(path)).collect();
        let is_new = |path: &[u8]| !old.contains(path);
        if !self.end.files.keys().any(|path| is_new(path)) {
            return;
        }
        let mut folded: BTreeMap<String, &[u8]> = BTreeMap::new();
        let all: BTreeSet<&[u8]> = self.end.files.keys().flat_map(|path| prefixes(path)).collect();
        let mut found = Vec::new();
        for path in all {
            let Ok(text) = std::str::from_utf8(path) else { continue };
            match folded.insert(fold(text), path) {
                Some(other) if is_new(other) || is_new(path) => {
                    found.push(Refusal::CaseClash { path: shown(other), other: shown(path) });
                }
                _ => {}
            }
        }
        self.refusals.extend(found);
    }

    fn patch(&self) -> Patch {
        let mut changes = Vec::new();
        let paths: BTreeSet<&Vec<u8>> = self.start.files.keys().chain(self.end.files.keys()).collect();
        for path in paths {
            let (before, after) = (self.start.files.get(path), self.end.files.get(path));
            if before.map(|file| &file.entry) == after.map(|file| &file.entry) {
                continue;
            }
            // Names that are not UTF-8 were refused, and never came into `end`.
            let Ok(path) = String::from_utf8(path.clone()) else { continue };
            changes.push(Change {
                path,
                before: before.map(|file| file.entry.clone()),
                after: after.map(|file| file.entry.clone()),
                content: after.and_then(|file| file.content),
            });
        }
        Patch { changes }
    }
}

/// A `.gitignore` larger than this would take long to make sense of.
const MAX_IGNORE: u64 = 256 << 10;

fn refused_name(path: &[u8], entry: &Entry, bytes: &[u8]) -> Option<Refusal> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if std::str::from_utf8(path).is_err() {
        return Some(Refusal::NotUtf8 { path: shown(path) });
    }
    if let Some(reason) = unwritable(path) {
        return Some(Refusal::BadName { path: shown(path), reason });
    }
    // The file that says where submodules come from; git runs commands on its word.
    if name.eq_ignore_ascii_case(b".gitmodules") {
        return Some(Refusal::Submodule { path: shown(path) });
    }
    if name == b".gitattributes" && entry.mode != Mode::Symlink && uses_large_file_storage(bytes) {
        return Some(Refusal::LargeFileStorage { path: shown(path) });
    }
    None
}

/// The path itself and each directory above it.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

/// A directory's entries with their kinds, sorted by name.
fn names(dir: &OwnedFd) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            kind = FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        }
        found.push((name.to_owned(), kind));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn read_file(dir: &OwnedFd, name: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Bits::empty())?;
    let mut bytes = Vec::new();
    File::from(file).take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
