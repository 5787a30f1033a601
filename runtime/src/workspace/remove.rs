//! Removes a directory tree that an agent may have left in any state.
//!
//! Does not know whose it was, and never follows a symbolic link.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use camino::Utf8Path;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, openat, renameat, unlinkat};

use super::WorkspaceError;
use super::dirs::open_root;

/// How many levels are held open at once; what lies deeper is first moved up.
const HELD: usize = 64;

/// Removes `dir` and everything in it. Directories without permissions are opened up first, and depth does
/// not matter. It is no error if there is nothing.
pub fn remove_tree(dir: &Utf8Path) -> Result<(), WorkspaceError> {
    remove(dir).map_err(WorkspaceError::io("remove", dir.as_str()))
}

fn remove(dir: &Utf8Path) -> io::Result<()> {
    match std::fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.is_dir() => return std::fs::remove_file(dir),
        Ok(_) => {}
    }
    let root = match open_root(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(CWD, dir.as_str().as_bytes())?;
            open_root(dir)?
        }
        opened => opened?,
    };
    let mut moved = 0_u64;
    // (open directory, names of subdirectories still to remove)
    let mut stack: Vec<(OwnedFd, Vec<Vec<u8>>)> = Vec::new();
    let names = clear_files(&root)?;
    stack.push((root, names));
    while let Some((_, names)) = stack.last_mut() {
        let Some(name) = names.pop() else {
            stack.pop();
            // The directory is empty now; its parent's turn comes to unlink it.
            if let Some((parent, names)) = stack.last_mut()
                && let Some(name) = names.pop()
            {
                unlinkat(parent, name.as_slice(), AtFlags::REMOVEDIR)?;
            }
            continue;
        };
        let depth = stack.len();
        if depth >= HELD {
            let (top, waiting) = stack.split_first_mut().expect("the root is at the bottom");
            let (parent, _) = waiting.last().expect("depth is more than one");
            // To move a directory, its own `..` must be writable too.
            unlock(parent, &name)?;
            let new = format!(".removed-{moved}").into_bytes();
            moved += 1;
            match renameat(parent, name.as_slice(), &top.0, new.as_slice()) {
                // Below the entry that is being worked on, which stays the last.
                Ok(()) => top.1.insert(0, new),
                Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => {
                    stack.last_mut().expect("as above").1.push(name);
                }
                Err(error) => return Err(error.into()),
            }
            continue;
        }
        let (parent, names) = stack.last_mut().expect("it was there above");
        let child = open_unlocked(parent, &name)?;
        let below = clear_files(&child)?;
        names.push(name);
        stack.push((child, below));
    }
    std::fs::remove_dir(dir)
}

/// Unlinks everything that is no directory, and returns the names of the directories.
fn clear_files(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    // Without write permission on the directory nothing in it can be unlinked.
    rustix::fs::fchmod(dir, Mode::RWXU).ok();
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes().to_owned();
        if name == b"." || name == b".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let stat = rustix::fs::statat(dir, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        if kind == FileType::Directory {
            names.push(name);
        } else {
            unlinkat(dir, name.as_slice(), AtFlags::empty())?;
        }
    }
    Ok(names)
}

fn open_unlocked(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let open = || super::dirs::open_child(parent, name);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(parent, name)?;
            open()
        }
        opened => opened,
    }
}

/// Gives the owner all permissions on a directory, without following a link.
fn unlock(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd as _;
        // There is no chmod by descriptor for a directory that cannot be read, except through /proc.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held = openat(parent, name, flags, Mode::empty())?;
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        chmodat(CWD, path, Mode::RWXU, AtFlags::empty())?;
    }
    #[cfg(not(target_os = "linux"))]
    chmodat(parent, name, Mode::RWXU, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::workspace::dirs::{open_child, open_root};

    fn place() -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("gone");
        fs::create_dir(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn links_are_removed_and_what_they_lead_to_stays() {
        let (dir, path) = place();
        let kept = dir.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        symlink(&kept, path.join("dir")).unwrap();
        symlink(kept.join("file"), path.join("file")).unwrap();
        symlink("nowhere", path.join("dangling")).unwrap();
        fs::create_dir_all(path.join("a/b")).unwrap();
        symlink("..", path.join("a/b/up")).unwrap();
        remove_tree(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(kept.join("file")).unwrap(), b"x");
        remove_tree(&path).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_is_only_unlinked() {
        let (dir, path) = place();
        fs::write(path.join("file"), "x").unwrap();
        let link = Utf8Path::from_path(dir.path()).unwrap().join("link");
        symlink(&path, &link).unwrap();
        remove_tree(&link).unwrap();
        assert!(path.join("file").exists());
    }

    /// Root passes over permissions; for everybody else this fails without the unlocking.
    #[test]
    fn directories_without_permissions_are_opened_up() {
        let (_dir, path) = place();
        for (name, mode) in [("read", 0o555), ("search", 0o444), ("none", 0o000)] {
            let at = path.join("sub").join(name);
            fs::create_dir_all(at.join("inner")).unwrap();
            fs::write(at.join("inner/file"), "x").unwrap();
            fs::set_permissions(at.join("inner"), fs::Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&path).unwrap();
        assert!(fs::symlink_metadata(&path).is_err());
    }

    #[test]
    fn depth_beyond_every_limit_of_paths_does_not_matter() {
        let (_dir, path) = place();
        let mut at = open_root(&path).unwrap();
        for _ in 0..500 {
            rustix::fs::mkdirat(&at, "a-long-name", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&at, "other", Mode::RUSR | Mode::XUSR).unwrap();
            at = open_child(&at, b"a-long-name").unwrap();
        }
        remove_tree(&path).unwrap();
        assert!(!path.exists());
    }
}
