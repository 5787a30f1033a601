//! Replaces files of a repository, each whole or not at all, and none if one of them cannot be written.
//!
//! Does not know what the texts say.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};

use crate::disk::{DiskSources, system_words};

/// What a file was, and is to be.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'r> {
    /// From the repository's root.
    pub path: &'r Utf8Path,
    pub before: &'r [u8],
    pub after: &'r [u8],
}

/// Why files were not replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplaceError {
    /// Somebody wrote the file since it was read.
    Changed(Utf8PathBuf),
    /// It may not be written.
    ReadOnly(Utf8PathBuf),
    /// It is not a file of the repository, or the system's words.
    Io { path: Utf8PathBuf, message: String },
}

impl std::fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplaceError::Changed(path) => {
                write!(f, "{path} was changed by somebody else in the meantime; run the command again")
            }
            ReplaceError::ReadOnly(path) => write!(f, "cannot write {path}: it is read-only"),
            ReplaceError::Io { path, message } => write!(f, "cannot write {path}: {message}"),
        }
    }
}

impl std::error::Error for ReplaceError {}

/// A new text that lies beside its file, complete and on disk.
struct Prepared<'r> {
    replacement: Replacement<'r>,
    real: Utf8PathBuf,
    beside: Utf8PathBuf,
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // After the rename there is nothing left to remove.
        let _ = std::fs::remove_file(&self.beside);
    }
}

/// Replaces the files. All new texts are on disk before the first file is touched, so that a full disk changes none.
/// Symbolic links are followed inside the repository; the link stays, its target is replaced.
///
/// # Errors
/// If a file is not what it was, or cannot be written.
pub fn replace(sources: &DiskSources, replacements: &[Replacement<'_>]) -> Result<(), ReplaceError> {
    let mut prepared = Vec::with_capacity(replacements.len());
    for replacement in replacements {
        prepared.push(prepare(sources, *replacement)?);
    }
    for one in &prepared {
        unchanged(&one.real, &one.replacement)?;
        std::fs::rename(&one.beside, &one.real).map_err(|error| failed(one.replacement.path, &error))?;
    }
    // The names are on disk as well; where a directory cannot be synced, the files are right all the same.
    for one in &prepared {
        let _ = one.real.parent().map(File::open).map(|opened| opened.and_then(|file| file.sync_all()));
    }
    Ok(())
}

fn prepare<'r>(sources: &DiskSources, replacement: Replacement<'r>) -> Result<Prepared<'r>, ReplaceError> {
    let path = replacement.path;
    let io = |message: &str| ReplaceError::Io { path: path.to_owned(), message: message.to_owned() };
    let (real, found) = sources.resolve(path).map_err(|_| io("it is no file of the repository"))?;
    if !found.is_file() {
        return Err(io("it is not a file"));
    }
    // The rename needs no right to the file itself, and root needs none at all: what is read-only was meant to be.
    if found.permissions().readonly() {
        return Err(ReplaceError::ReadOnly(path.to_owned()));
    }
    unchanged(&real, &replacement)?;
    let (Some(directory), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(io("it is not a file"));
    };
    let beside = directory.join(format!(".{name}.{}.tmp", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|error| failed(path, &error))?;
    let one = Prepared { replacement, real, beside };
    file.write_all(replacement.after).map_err(|error| failed(path, &error))?;
    // Who is not root cannot give files away; then the new file is theirs.
    let _ = std::os::unix::fs::fchown(&file, Some(found.uid()), Some(found.gid()));
    file.set_permissions(Permissions::from_mode(found.mode() & 0o7777))
        .map_err(|error| failed(path, &error))?;
    file.sync_all().map_err(|error| failed(path, &error))?;
    Ok(one)
}

/// Is the file what it was when it was judged?
fn unchanged(real: &Utf8Path, replacement: &Replacement<'_>) -> Result<(), ReplaceError> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut now = Vec::new();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(real)
        .and_then(|file| file.take(replacement.before.len() as u64 + 1).read_to_end(&mut now))
        .map_err(|error| failed(replacement.path, &error))?;
    if now == replacement.before { Ok(()) } else { Err(ReplaceError::Changed(replacement.path.to_owned())) }
}

fn failed(path: &Utf8Path, error: &std::io::Error) -> ReplaceError {
    ReplaceError::Io { path: path.to_owned(), message: system_words(error) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::disk::Repository;

    struct Place {
        _keep: tempfile::TempDir,
        root: Utf8PathBuf,
    }

    fn place(files: &[(&str, &str)]) -> Place {
        let keep = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8PathBuf::from_path_buf(keep.path().canonicalize().expect("it exists"))
            .expect("UTF-8")
            .join("r");
        std::fs::create_dir_all(root.join(".git")).expect("it can be made");
        for (path, text) in files {
            std::fs::write(root.join(path), text).expect("it can be written");
        }
        Place { _keep: keep, root }
    }

    fn sources(place: &Place) -> DiskSources {
        Repository::find(&place.root).expect("it is a repository").sources()
    }

    fn change<'r>(path: &'r str, before: &'r str, after: &'r str) -> Replacement<'r> {
        Replacement { path: Utf8Path::new(path), before: before.as_bytes(), after: after.as_bytes() }
    }

    fn names(place: &Place) -> Vec<String> {
        let entries = place.root.read_dir_utf8().expect("it is readable");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entries are readable").file_name().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_keeps_its_rights() {
        let place = place(&[("a", "old")]);
        let file = place.root.join("a");
        std::fs::set_permissions(&file, Permissions::from_mode(0o754)).expect("they can be set");
        replace(&sources(&place), &[change("a", "old", "new")]).expect("it is replaced");
        assert_eq!(std::fs::read_to_string(&file).expect("it is readable"), "new");
        assert_eq!(file.metadata().expect("it exists").mode() & 0o7777, 0o754);
        assert_eq!(names(&place), [".git", "a"], "nothing is left beside it");
    }

    #[test]
    fn one_that_cannot_be_written_keeps_all_as_they_were() {
        let place = place(&[("a", "old"), ("b", "else"), ("c", "old")]);
        let changes = [change("a", "old", "new"), change("b", "old", "new")];
        assert_eq!(replace(&sources(&place), &changes), Err(ReplaceError::Changed("b".into())));
        std::fs::set_permissions(place.root.join("c"), Permissions::from_mode(0o444))
            .expect("they can be set");
        let changes = [change("a", "old", "new"), change("c", "old", "new")];
        assert_eq!(replace(&sources(&place), &changes), Err(ReplaceError::ReadOnly("c".into())));
        let gone = replace(&sources(&place), &[change("a", "old", "new"), change("nowhere", "", "new")]);
        assert!(matches!(gone, Err(ReplaceError::Io { .. })));
        assert_eq!(std::fs::read_to_string(place.root.join("a")).expect("it is readable"), "old");
        assert_eq!(names(&place), [".git", "a", "b", "c"]);
    }

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let place = place(&[("a", "old")]);
        std::fs::write(place.root.join("../out"), "old").expect("it can be written");
        symlink("a", place.root.join("link")).expect("it can be made");
        symlink("../out", place.root.join("away")).expect("it can be made");
        replace(&sources(&place), &[change("link", "old", "new")]).expect("it is replaced");
        assert_eq!(std::fs::read_to_string(place.root.join("a")).expect("it is readable"), "new");
        assert!(place.root.join("link").is_symlink());
        assert!(replace(&sources(&place), &[change("away", "old", "new")]).is_err());
        assert_eq!(std::fs::read_to_string(place.root.join("../out")).expect("it is readable"), "old");
    }
}
