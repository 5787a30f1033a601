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

/// Sees each file and link after it is written: its path in the tree and what the file system says of it.
pub(super) type Written<'a> = dyn FnMut(&[u8], &Stat) -> Result<(), WorkspaceError> + 'a;

/// As [`export`]; `written` sees each file and link after it is written.
pub(super) fn write_tree(
    repository: &Repository,
    tree: &Tree,
    dir: &Utf8Path,
    blobs: &dyn Blobs,
    written: &mut Written<'_>,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::digest::ObjectId;
    use crate::workspace::testing::{Scratch, snapshot};

    #[test]
    fn odd_names_modes_and_links_come_out_as_they_are() {
        let scratch = Scratch::empty();
        let mut tree = Tree::default();
        let odd: [&[u8]; 9] = [
            b"a b",
            b"\"q\"",
            b"new\nline",
            b"-dash",
            b"\xc3\xa9/\xff\xfe",
            b"back\\slash",
            b"d/.hidden",
            b"d-",
            b"*",
        ];
        for path in odd {
            tree.files.insert(path.to_vec(), scratch.blobs.file(Mode::File, path));
        }
        tree.files.insert(b"run".to_vec(), scratch.blobs.file(Mode::Executable, b"#!/bin/sh\n"));
        tree.files.insert(b"link".to_vec(), scratch.blobs.file(Mode::Symlink, b"/no/such\nplace"));
        let out = scratch.place("out");
        export(&scratch.open(), &tree, &out, &scratch.blobs).unwrap();
        let found = snapshot(&out, "");
        for path in odd {
            use std::os::unix::ffi::OsStrExt as _;
            let (mode, bytes) = &found[std::path::Path::new(std::ffi::OsStr::from_bytes(path))];
            assert_eq!((mode & 0o7777, bytes.as_slice()), (0o644, path));
        }
        assert_eq!(fs::metadata(out.join("run")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_link(out.join("link")).unwrap().to_str(), Some("/no/such\nplace"));
        assert_eq!(found.len(), odd.len() + 2 + 2, "two directories, and no .git");
        let again = scratch.place("again");
        export(&scratch.open(), &tree, &again, &scratch.blobs).unwrap();
        assert_eq!(found, snapshot(&again, ""));
    }

    #[test]
    fn line_ends_and_attributes_change_nothing() {
        let scratch = Scratch::with(&[("a", "x\r\ny\n"), (".gitattributes", "* text=auto eol=crlf ident\n")]);
        let head = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        let repository = scratch.open();
        let tree = repository.tree(&head).unwrap();
        let out = scratch.place("out");
        export(&repository, &tree, &out, &scratch.blobs).unwrap();
        let stored = repository.read(&tree, "a", &scratch.blobs).unwrap().unwrap();
        assert_eq!(fs::read(out.join("a")).unwrap(), stored);
    }

    #[test]
    fn a_tree_that_would_write_elsewhere_is_refused() {
        let scratch = Scratch::empty();
        let outside = scratch.place("outside");
        let link = scratch.blobs.file(Mode::Symlink, outside.as_str().as_bytes());
        let file = scratch.blobs.file(Mode::File, b"x");
        for (at, paths) in [
            [("a", &link), ("a/b", &file)],
            [("..", &link), ("../b", &file)],
            [("x", &file), (".git/config", &file)],
            [("x", &file), ("d/.GIT/config", &file)],
            [("x", &file), ("/etc/x", &file)],
        ]
        .into_iter()
        .enumerate()
        {
            let files = paths.into_iter().map(|(path, file)| (path.into(), file.clone())).collect();
            let out = scratch.place(&format!("out{at}"));
            let error = export(&scratch.open(), &Tree { files }, &out, &scratch.blobs).unwrap_err();
            assert!(matches!(error, WorkspaceError::InvalidTree { .. }), "{at}: {error}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_link_that_stands_there_is_not_followed() {
        let scratch = Scratch::empty();
        let outside = scratch.place("outside");
        let out = scratch.place("out");
        std::os::unix::fs::symlink(&outside, out.join("a")).unwrap();
        std::os::unix::fs::symlink(outside.join("new"), out.join("b")).unwrap();
        for path in ["a/b", "b"] {
            let mut tree = Tree::default();
            tree.files.insert(path.into(), scratch.blobs.file(Mode::File, b"x"));
            let error = export(&scratch.open(), &tree, &out, &scratch.blobs).unwrap_err();
            assert!(matches!(error, WorkspaceError::Io { .. }), "{error}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn large_file_storage_is_refused_in_words() {
        let scratch =
            Scratch::with(&[("d/.gitattributes", "# x filter=lfs\n*.bin filter=lfs diff=lfs -text\n")]);
        let head = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        let repository = scratch.open();
        let out = scratch.place("out");
        let error = export(&repository, &repository.tree(&head).unwrap(), &out, &scratch.blobs).unwrap_err();
        assert!(matches!(&error, WorkspaceError::Unsupported { what } if what.contains("LFS")), "{error}");
    }
}
