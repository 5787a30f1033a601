//! Trees as maps of paths, and patches between them.
//!
//! Does not know git's object store, nor who made a patch. A patch is a map path -> (entry before, entry
//! after); applying it is a compare-and-swap per path, without text merge or rename detection.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::digest::{ObjectId, Sha256};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    #[serde(rename = "100644")]
    File,
    #[serde(rename = "100755")]
    Executable,
    #[serde(rename = "120000")]
    Symlink,
    /// A submodule; nothing may write one.
    #[serde(rename = "160000")]
    Submodule,
}

/// What stands at a path: mode and git blob id. Equality of entries is equality of content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub mode: Mode,
    pub object: ObjectId,
}

/// One path's change. `before != after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Entry>,
    /// Digest of the content after, in the store; there if `after` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Sha256>,
}

/// Changes sorted by path, each path once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch {
    pub changes: Vec<Change>,
}

/// A file of a [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    pub entry: Entry,
    /// Where the bytes are: in the store under this digest, else in the user's object database.
    pub content: Option<Sha256>,
}

/// A whole tree, flat: path bytes (git's form, `/`-separated) to file. Paths need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub files: BTreeMap<Vec<u8>, TreeFile>,
}

/// A path at which a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub path: String,
    pub expected: Option<Entry>,
    pub found: Option<Entry>,
}

/// Two trees differ at a path whose name is not UTF-8, which no patch can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUtf8 {
    /// The path, for people.
    pub shown: String,
}

/// The patch that leads from one tree to the other: applied to `before` it gives `after`. A change carries
/// the content digest that `after` has; without one the content is in the user's object database.
pub fn diff(before: &Tree, after: &Tree) -> Result<Patch, NotUtf8> {
    let gone = before.files.iter().filter(|(path, _)| !after.files.contains_key(*path));
    let gone = gone.map(|(path, file)| (path, Some(&file.entry), None));
    let there = after.files.iter().map(|(path, file)| {
        let old = before.files.get(path).map(|file| &file.entry);
        (path, old, Some(file))
    });
    let mut changes = Vec::new();
    for (path, old, new) in gone.chain(there) {
        if old == new.map(|file| &file.entry) {
            continue;
        }
        let path = String::from_utf8(path.clone())
            .map_err(|error| NotUtf8 { shown: String::from_utf8_lossy(error.as_bytes()).into_owned() })?;
        changes.push(Change {
            path,
            before: old.cloned(),
            after: new.map(|file| file.entry.clone()),
            content: new.and_then(|file| file.content),
        });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Patch { changes })
}

impl Patch {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.path.as_str())
    }
}

impl Tree {
    /// A path that cannot stand beside the others, and why: a file where another path needs a directory.
    pub fn clash(&self) -> Option<(Vec<u8>, &'static str)> {
        let above = |path: &&Vec<u8>| self.has_below(&[path.as_slice(), b"/"].concat());
        let file = self.files.keys().find(above)?;
        Some((file.clone(), "it is both a file and a directory"))
    }

    /// Whether a path begins with this prefix.
    pub fn has_below(&self, prefix: &[u8]) -> bool {
        let mut from = self.files.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        from.next().is_some_and(|(path, _)| path.starts_with(prefix))
    }

    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.files.get(path.as_bytes()).map(|file| &file.entry)
    }

    /// Applies the patch. A path that is already at its `after` entry counts as applied. On a conflict the
    /// tree is unchanged and every conflicting path is named.
    pub fn apply(&mut self, patch: &Patch) -> Result<(), Vec<Conflict>> {
        let conflicts: Vec<Conflict> = patch
            .changes
            .iter()
            .filter(|change| {
                let found = self.entry(&change.path);
                found != change.before.as_ref() && found != change.after.as_ref()
            })
            .map(|change| Conflict {
                path: change.path.clone(),
                expected: change.before.clone(),
                found: self.entry(&change.path).cloned(),
            })
            .collect();
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        for change in &patch.changes {
            match &change.after {
                None => {
                    self.files.remove(change.path.as_bytes());
                }
                Some(entry) if self.entry(&change.path) != Some(entry) => {
                    let file = TreeFile { entry: entry.clone(), content: change.content };
                    self.files.insert(change.path.clone().into_bytes(), file);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
