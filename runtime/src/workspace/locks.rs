//! Locks: one writer of this program at a time, and git's own lock on a ref that survives no crash of ours.
//!
//! Does not know what is written under them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};

use super::objects::{blob_id, sync_dir};
use super::{Repository, WorkspaceError};

/// How long to wait for another git program's lock on a ref, and for another process of ours.
const GIT_WAIT: Duration = Duration::from_secs(1);
const OWN_WAIT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);

/// While it lives, no other process of this program writes into the repository. The kernel ends it with the
/// process.
pub(super) struct Exclusive {
    _file: File,
    state: Utf8PathBuf,
}

impl Repository {
    pub(super) fn exclusive(&self) -> Result<Exclusive, WorkspaceError> {
        let state = self.own_dir();
        fs::create_dir_all(&state).map_err(WorkspaceError::io("make", state.as_str()))?;
        let path = state.join("writing");
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(WorkspaceError::io("open", path.as_str()))?;
        let mut waited = Duration::ZERO;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Exclusive { _file: file, state }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if waited < OWN_WAIT => {}
                Err(error) => return Err(WorkspaceError::io("lock", path.as_str())(error)),
            }
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }
}

impl Exclusive {
    /// An empty directory for files that are on their way; what an earlier process left in it is removed.
    pub(super) fn scratch(&self) -> Result<Utf8PathBuf, WorkspaceError> {
        let dir = self.state.join("tmp");
        super::remove_tree(&dir)?;
        fs::create_dir(&dir).map_err(WorkspaceError::io("make", dir.as_str()))?;
        Ok(dir)
    }
}

/// Git's lock on a ref, `<ref>.lock`, deleted when dropped.
///
/// The lock file is a second name of a file in our own directory. So a lock that a killed process of ours
/// left is told from one that a git program holds: nobody has to delete it by hand.
pub(super) struct RefLock {
    /// The ref's file.
    target: Utf8PathBuf,
    lock: Utf8PathBuf,
    own: Utf8PathBuf,
    file: File,
    held: bool,
}

impl RefLock {
    /// Takes the lock of the ref `name`, whose file is `target`.
    pub(super) fn take(
        exclusive: &Exclusive,
        name: &str,
        target: &Utf8Path,
    ) -> Result<RefLock, WorkspaceError> {
        let dir = exclusive.state.join("ref-locks");
        fs::create_dir_all(&dir).map_err(WorkspaceError::io("make", dir.as_str()))?;
        let own = dir.join(blob_id(name.as_bytes()).as_str());
        let lock = Utf8PathBuf::from(format!("{target}.lock"));
        clear_stale(&own, &lock).map_err(WorkspaceError::io("remove", lock.as_str()))?;
        let file = OpenOptions::new().write(true).create_new(true).open(&own);
        let file = file.map_err(WorkspaceError::io("make", own.as_str()))?;
        let mut taken = RefLock { target: target.to_owned(), lock, own, file, held: false };
        taken.link(name)?;
        taken.held = true;
        Ok(taken)
    }

    fn link(&mut self, name: &str) -> Result<(), WorkspaceError> {
        let dir = self.target.parent().expect("a ref's file has a directory");
        let mut waited = Duration::ZERO;
        loop {
            // Inside the loop: git deletes directories of refs when they become empty.
            let made = fs::create_dir_all(dir).and_then(|()| fs::hard_link(&self.own, &self.lock));
            let Err(error) = made else { return Ok(()) };
            match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound if waited < GIT_WAIT => {}
                io::ErrorKind::AlreadyExists => {
                    return Err(WorkspaceError::RefLocked { name: name.to_owned(), lock: self.lock.clone() });
                }
                _ => return Err(WorkspaceError::io("make", self.lock.as_str())(error)),
            }
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }

    /// Puts the value under the lock and renames it onto the ref, both on disk when it returns. For a new ref
    /// all directories up to `top` are synced, because they may be new as well.
    pub(super) fn commit(mut self, value: &[u8], top: &Utf8Path) -> Result<(), WorkspaceError> {
        self.replace(value, top).map_err(WorkspaceError::io("write", self.target.as_str()))
    }

    fn replace(&mut self, value: &[u8], top: &Utf8Path) -> io::Result<()> {
        self.file.write_all(value)?;
        self.file.sync_all()?;
        let existed = self.target.is_file();
        remove_empty_dirs(&self.target);
        fs::rename(&self.lock, &self.target)?;
        self.held = false;
        let dirs = self.target.ancestors().skip(1).take_while(|dir| dir.starts_with(top));
        let new = if existed { 1 } else { usize::MAX };
        dirs.take(new).try_for_each(|dir| sync_dir(dir.as_std_path()))
    }

    /// Deletes the loose ref; a packed one of the same name stays.
    pub(super) fn delete(self) -> Result<(), WorkspaceError> {
        match fs::remove_file(&self.target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(WorkspaceError::io("delete", self.target.as_str())(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for RefLock {
    fn drop(&mut self) {
        if self.held {
            fs::remove_file(&self.lock).ok();
        }
        fs::remove_file(&self.own).ok();
    }
}

/// Removes the lock if it is the same file as `own`: then a process of ours took it and is gone, as we are
/// alone.
fn clear_stale(own: &Utf8Path, lock: &Utf8Path) -> io::Result<()> {
    let Ok(ours) = fs::symlink_metadata(own) else { return Ok(()) };
    if fs::symlink_metadata(lock).is_ok_and(|held| (held.dev(), held.ino()) == (ours.dev(), ours.ino())) {
        fs::remove_file(lock)?;
    }
    fs::remove_file(own)
}

/// Git leaves empty directories behind where `a/b` was deleted; they must not stop the branch `a`.
fn remove_empty_dirs(dir: &Utf8Path) {
    if !dir.is_dir() {
        return;
    }
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while at < found.len() {
        for entry in found[at].clone().read_dir_utf8().ok().into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.into_path());
            }
        }
        at += 1;
    }
    found.iter().rev().for_each(|dir| {
        fs::remove_dir(dir).ok();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::testing::Scratch;
    use crate::workspace::{Swap, refs};

    #[test]
    fn a_lock_that_a_killed_process_left_stops_nobody() {
        let scratch = Scratch::with(&[("a", "1")]);
        let repository = scratch.open();
        let head = repository.resolve("HEAD").unwrap().unwrap();
        for name in ["refs/heads/loop/x", "refs/loop/keep/f/r"] {
            let target = repository.git_common_dir().join(name);
            let exclusive = repository.exclusive().unwrap();
            // Killed: nothing is dropped, only the kernel's lock ends.
            std::mem::forget(RefLock::take(&exclusive, name, &target).unwrap());
            drop(exclusive);
            assert!(Utf8PathBuf::from(format!("{target}.lock")).exists());
        }
        assert_eq!(repository.swap("refs/heads/loop/x", None, &head, "").unwrap(), Swap::Done);
        repository.keep("f", "r", &head).unwrap();
        let left = |dir: &str| scratch.root.join(".git").join(dir).read_dir_utf8().unwrap().count();
        assert_eq!((left("refs/heads/loop"), left("refs/loop/keep/f"), left("loop/ref-locks")), (1, 1, 0));
        // Killed between the rename and the end.
        let own = repository.state_dir().join("ref-locks").join(blob_id(b"refs/heads/loop/x").as_str());
        fs::hard_link(repository.git_common_dir().join("refs/heads/loop/x"), &own).unwrap();
        let moved: refs::Swap = repository.swap("refs/heads/loop/x", None, &head, "").unwrap();
        assert_eq!(moved, Swap::Moved(Some(head)));
        assert!(!own.exists());
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_cleared() {
        let scratch = Scratch::with(&[("a", "1")]);
        let repository = scratch.open();
        let exclusive = repository.exclusive().unwrap();
        fs::create_dir(exclusive.scratch().unwrap().join("pack-half")).unwrap();
        assert_eq!(exclusive.scratch().unwrap().read_dir_utf8().unwrap().count(), 0);
    }
}
