//! Writes a tree to a directory: files, modes, links, and nothing of git.
//!
//! Does not know what the directory is for. It writes raw bytes: no line-end conversion, no filters.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use camino::Utf8Path;
use rustix::fs::{AtFlags, Mode as Bits, OFlags, Stat, fchmod, fstat, mkdirat, openat, statat, symlinkat};

use crate::patch::{Mode, Tree};

use super::dirs::{MAX_DEPTH, open_child, open_root};
use super::names::unwritable;
use super::{Blobs, Repository, WorkspaceError};

/// Writes the files of `tree` into `dir`, which must exist and be empty. Modes are 0644 and 0755 whatever
/// the umask; a submodule is an empty directory. No symbolic link is followed while writing, and what exists
/// is never overwritten.
pub fn export(
    repository: &Repository,
    tree: &Tree,
    dir: &Utf8Path,
    blobs: &dyn Blobs,
) -> Result<(), WorkspaceError> {
    write_tree(repository, tree, dir, blobs, &mut |_, _| Ok(()))
}

/// As [`export`]; `written` sees each file and link after it is written.
pub(super) fn write_tree(
    repository: &Repository,
    tree: &Tree,
    dir: &Utf8Path,
    blobs: &dyn Blobs,
    written: &mut dyn FnMut(&[u8], &Stat) -> Result<(), WorkspaceError>,
) -> Result<(), WorkspaceError> {
    refuse_large_file_storage(repository, tree, blobs)?;
    if let Some((path, reason)) = tree.clash() {
        return Err(invalid(&path, reason));
    }
    let mut stack: Vec<(Vec<u8>, OwnedFd)> =
        vec![(Vec::new(), open_root(dir).map_err(WorkspaceError::io("open", dir.as_str()))?)];
    for (path, file) in &tree.files {
        if let Some(reason) = unwritable(path) {
            return Err(invalid(path, reason));
        }
        let mut components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        if components.len() > MAX_DEPTH {
            return Err(invalid(path, "it is too deep"));
        }
        if file.entry.mode != Mode::Submodule {
            components.pop();
        }
        let failed = |error| WorkspaceError::io("write", format!("{dir}/{}", lossy(path)))(error);
        let common = stack[1..].iter().zip(&components).take_while(|(open, part)| open.0 == **part).count();
        stack.truncate(common + 1);
        for part in &components[common..] {
            let parent = &stack.last().expect("the root is open").1;
            let child = make_dir(parent, part).map_err(failed)?;
            stack.push((part.to_vec(), child));
        }
        if file.entry.mode == Mode::Submodule {
            continue;
        }
        let parent = &stack.last().expect("the root is open").1;
        let name = path.rsplit(|byte| *byte == b'/').next().expect("a path has a last part");
        let bytes = repository.content(file, blobs)?;
        let stat = match file.entry.mode {
            Mode::Symlink if bytes.is_empty() || bytes.contains(&0) => {
                return Err(invalid(path, "it is a symbolic link to nothing"));
            }
            Mode::Symlink => make_link(parent, name, &bytes),
            mode => make_file(parent, name, &bytes, mode == Mode::Executable),
        };
        written(path, &stat.map_err(failed)?)?;
    }
    Ok(())
}

fn make_dir(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    match mkdirat(parent, name, Bits::from_raw_mode(0o755)) {
        Ok(()) => {
            let made = open_child(parent, name)?;
            fchmod(&made, Bits::from_raw_mode(0o755))?;
            Ok(made)
        }
        Err(rustix::io::Errno::EXIST) => open_child(parent, name),
        Err(error) => Err(error.into()),
    }
}

fn make_file(parent: &OwnedFd, name: &[u8], bytes: &[u8], executable: bool) -> io::Result<Stat> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Bits::from_raw_mode(0o600))?);
    file.write_all(bytes)?;
    fchmod(&file, Bits::from_raw_mode(if executable { 0o755 } else { 0o644 }))?;
    Ok(fstat(&file)?)
}

fn make_link(parent: &OwnedFd, name: &[u8], target: &[u8]) -> io::Result<Stat> {
    symlinkat(target, parent, name)?;
    Ok(statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Files kept by Git LFS are pointers in the tree: an agent would edit those, and verifiers read them.
fn refuse_large_file_storage(
    repository: &Repository,
    tree: &Tree,
    blobs: &dyn Blobs,
) -> Result<(), WorkspaceError> {
    for (path, file) in &tree.files {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if name != b".gitattributes" || !matches!(file.entry.mode, Mode::File | Mode::Executable) {
            continue;
        }
        let bytes = repository.content(file, blobs)?;
        if uses_large_file_storage(&bytes) {
            let what = format!("{} puts files into Git LFS", lossy(path));
            return Err(WorkspaceError::Unsupported { what });
        }
    }
    Ok(())
}

/// Whether a `.gitattributes` file hands files to Git LFS.
pub(super) fn uses_large_file_storage(attributes: &[u8]) -> bool {
    attributes.split(|byte| *byte == b'\n').any(|line| {
        let text = String::from_utf8_lossy(line);
        !text.trim_start().starts_with('#')
            && text.split_whitespace().skip(1).any(|word| word == "filter=lfs")
    })
}

fn invalid(path: &[u8], reason: &str) -> WorkspaceError {
    WorkspaceError::InvalidTree { path: lossy(path), reason: reason.to_owned() }
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
