//! Puts a new content in the place of a file, whole or not at all.
//!
//! Does not know what the content is. Whoever reads the file meanwhile sees the old one or the new one, never half of either.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, Gid, Uid};

use crate::disk::system_words;

/// Why a file was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its content is no longer what the new one was made from.
    Changed,
    /// The operating system's words.
    Denied(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Changed => write!(f, "it was changed meanwhile; run this again"),
            Refused::Denied(words) => write!(f, "{words}"),
        }
    }
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Refused {
        Refused::Denied(system_words(&error))
    }
}

/// Names tried for the file beside; more of them left over would be a sign of something else.
const ATTEMPTS: u32 = 100;

/// Replaces the content of the file at `path` (no symbolic link), which must still be `before`, with `after`. Permissions
/// stay, and so does the owner where that is allowed.
///
/// # Errors
/// If the file may not be written, is another one by now, or its directory takes no new file. It is as it was then.
pub fn replace(path: &Utf8Path, before: &[u8], after: &[u8]) -> Result<(), Refused> {
    Prepared::new(path, before, after)?.put()
}

/// A new content that lies beside its file, complete and on disk. Dropped, it is gone and the file is as it was: who
/// replaces several files prepares all of them before the first one is touched.
#[derive(Debug)]
pub struct Prepared<'p> {
    path: &'p Utf8Path,
    before: &'p [u8],
    beside: Utf8PathBuf,
}

impl<'p> Prepared<'p> {
    /// See [`replace`].
    ///
    /// # Errors
    /// As [`replace`].
    pub fn new(path: &'p Utf8Path, before: &'p [u8], after: &[u8]) -> Result<Prepared<'p>, Refused> {
        let found = path.symlink_metadata()?;
        if !found.is_file() {
            return Err(Refused::Changed);
        }
        // A new file in its place would be writable by whoever may write the directory. Root may write anything, and what
        // is read-only was meant to be all the same.
        if found.permissions().readonly() {
            return Err(Refused::Denied("it is read-only".to_owned()));
        }
        rustix::fs::access(path.as_std_path(), Access::WRITE_OK).map_err(std::io::Error::from)?;
        let (beside, mut file) = beside(path)?;
        let prepared = Prepared { path, before, beside };
        file.write_all(after)?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (found.uid(), found.gid()) {
            // Only who has the privilege can give a file away; for all others it becomes theirs, as with any editor.
            let _ =
                rustix::fs::fchown(&file, Some(Uid::from_raw(found.uid())), Some(Gid::from_raw(found.gid())));
        }
        file.set_permissions(PermissionsExt::from_mode(found.mode() & 0o7777))?;
        file.sync_all()?;
        prepared.is_unchanged()?;
        Ok(prepared)
    }

    /// Puts the new content in the place of the old one.
    ///
    /// # Errors
    /// If the file is another one by now, or the system says no.
    pub fn put(self) -> Result<(), Refused> {
        self.is_unchanged()?;
        Ok(std::fs::rename(&self.beside, self.path)?)
    }

    fn is_unchanged(&self) -> Result<(), Refused> {
        if std::fs::read(self.path)? == self.before { Ok(()) } else { Err(Refused::Changed) }
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = std::fs::remove_file(&self.beside);
    }
}

/// A new file in the same directory, so that renaming it is one step of the file system.
fn beside(path: &Utf8Path) -> Result<(Utf8PathBuf, File), Refused> {
    let directory = path.parent().unwrap_or(Utf8Path::new("."));
    let process = std::process::id();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for attempt in 0..ATTEMPTS {
        let name = directory.join(format!(".loopc-{process}-{attempt}.tmp"));
        match options.open(&name) {
            Ok(file) => return Ok((name, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused::Denied(format!("{directory} is full of files that begin with `.loopc-{process}-`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Utf8PathBuf) {
        let keep = tempfile::tempdir().expect("a temporary directory");
        let path = Utf8PathBuf::from_path_buf(keep.path().join("a.kdl")).expect("UTF-8");
        std::fs::write(&path, "before").expect("it can be written");
        (keep, path)
    }

    fn names(keep: &tempfile::TempDir) -> usize {
        std::fs::read_dir(keep.path()).expect("it can be listed").count()
    }

    #[test]
    fn the_new_content_keeps_the_permissions_of_the_old_one() {
        let (keep, path) = place();
        for mode in [0o640, 0o755, 0o600] {
            std::fs::write(&path, "before").expect("it can be written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("it is ours");
            assert_eq!(replace(&path, b"before", b"after"), Ok(()));
            assert_eq!(std::fs::read(&path).expect("it is there"), b"after");
            assert_eq!(path.metadata().expect("it is there").mode() & 0o7777, mode);
        }
        assert_eq!(names(&keep), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_left_alone() {
        let (keep, path) = place();
        assert_eq!(replace(&path, b"other", b"after"), Err(Refused::Changed));
        assert_eq!(std::fs::read(&path).expect("it is there"), b"before");
        assert_eq!(names(&keep), 1, "nothing is left beside it");
    }

    #[test]
    fn what_was_prepared_and_not_put_leaves_nothing() {
        let (keep, path) = place();
        drop(Prepared::new(&path, b"before", b"after").expect("it can be written"));
        assert_eq!(std::fs::read(&path).expect("it is there"), b"before");
        let prepared = Prepared::new(&path, b"before", b"after").expect("it can be written");
        std::fs::write(&path, "between").expect("it can be written");
        assert_eq!(prepared.put(), Err(Refused::Changed));
        assert_eq!(std::fs::read(&path).expect("it is there"), b"between");
        assert_eq!(names(&keep), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_read_only_stays_also_for_root() {
        let (keep, path) = place();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).expect("it is ours");
        assert!(matches!(replace(&path, b"before", b"after"), Err(Refused::Denied(_))));
        assert_eq!(names(&keep), 1, "nothing is left beside it");
    }

    #[test]
    fn links_directories_and_nothing_are_not_replaced() {
        let (keep, path) = place();
        let link = path.with_file_name("link.kdl");
        std::os::unix::fs::symlink("a.kdl", &link).expect("it can be made");
        assert_eq!(replace(&link, b"before", b"after"), Err(Refused::Changed));
        assert_eq!(replace(path.parent().expect("it has one"), b"", b"after"), Err(Refused::Changed));
        let gone = replace(&path.with_file_name("gone"), b"", b"after");
        assert!(matches!(&gone, Err(Refused::Denied(words)) if words.contains("no such file")), "{gone:?}");
        assert_eq!(names(&keep), 2);
    }
}
