//! Everything of a user's repository that no run may change, as bytes.
//!
//! Does not know what changed it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names with their contents. Two snapshots of an untouched repository are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { mode: u32, bytes: Vec<u8>, modified: i64 },
    Link(PathBuf),
    Directory { mode: u32 },
    Special,
}

impl Snapshot {
    pub(crate) fn take(root: &Path) -> Snapshot {
        let mut entries = BTreeMap::new();
        let mut todo = vec![root.to_owned()];
        while let Some(directory) = todo.pop() {
            let listed =
                fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
            for entry in listed.map(|entry| entry.expect("a directory's entry is readable")) {
                let path = entry.path();
                let name = path.strip_prefix(root).expect("an entry stands below the root").to_owned();
                if is_ours(&name) {
                    continue;
                }
                let meta = path.symlink_metadata().expect("an entry has metadata");
                let value = if meta.is_symlink() {
                    Entry::Link(fs::read_link(&path).expect("a link is readable"))
                } else if meta.is_dir() {
                    todo.push(path);
                    Entry::Directory { mode: meta.permissions().mode() }
                } else if meta.is_file() {
                    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    Entry::File { mode: meta.permissions().mode(), bytes, modified: meta.mtime() }
                } else {
                    Entry::Special
                };
                entries.insert(name, value);
            }
        }
        Snapshot { entries }
    }

    /// The names whose entries differ.
    pub fn difference(&self, other: &Snapshot) -> Vec<PathBuf> {
        let names: std::collections::BTreeSet<_> = self.entries.keys().chain(other.entries.keys()).collect();
        names
            .into_iter()
            .filter(|name| self.entries.get(*name) != other.entries.get(*name))
            .cloned()
            .collect()
    }

    /// # Panics
    /// With the names, when something differs.
    #[track_caller]
    pub fn assert_same(&self, other: &Snapshot) {
        let changed = self.difference(other);
        assert!(changed.is_empty(), "changed in the user's repository: {changed:?}");
    }
}

/// What `loop` keeps in the git directory: its state, its refs and the objects of its commits.
fn is_ours(name: &Path) -> bool {
    let parts: Vec<&OsStr> = name.iter().collect();
    let starts = |wanted: &[&str]| {
        parts.len() >= wanted.len() && wanted.iter().zip(&parts).all(|(a, b)| *b == OsStr::new(a))
    };
    starts(&[".git", "loop"])
        || starts(&[".git", "objects"])
        || starts(&[".git", "refs", "loop"])
        || starts(&[".git", "refs", "heads", "loop"])
        || starts(&[".git", "logs", "refs", "heads", "loop"])
        || starts(&[".git", "logs", "refs", "loop"])
}
