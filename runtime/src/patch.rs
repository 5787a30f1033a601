//! Trees as maps of paths, and patches between them.
//!
//! Does not know git's object store, nor who made a patch. A patch is a map path -> (entry before, entry
//! after); applying it is a compare-and-swap per path, without text merge or rename detection.

use std::collections::BTreeMap;

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

impl Tree {
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
