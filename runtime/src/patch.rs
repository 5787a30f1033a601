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

impl Mode {
    /// Git's octal digits.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::File => "100644",
            Mode::Executable => "100755",
            Mode::Symlink => "120000",
            Mode::Submodule => "160000",
        }
    }
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

    /// Applies the patch. A path that is already at its `after` entry counts as applied. On a conflict (a file
    /// where the result needs a directory is one too) the tree is unchanged and every conflicting path is
    /// named.
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
        let mut undo = Vec::new();
        for change in &patch.changes {
            let path = change.path.as_bytes();
            match &change.after {
                None => undo.push((path, self.files.remove(path))),
                Some(entry) if self.entry(&change.path) != Some(entry) => {
                    let file = TreeFile { entry: entry.clone(), content: change.content };
                    undo.push((path, self.files.insert(path.to_vec(), file)));
                }
                Some(_) => {}
            }
        }
        // Each path for itself may be right, and still a file stand where another path needs a directory.
        let clashes: Vec<Conflict> = undo
            .iter()
            .filter(|(path, _)| self.files.contains_key(*path))
            .filter_map(|(path, _)| {
                let by = self.blocking(path)?;
                let found = self.files.get(&by).map(|file| file.entry.clone());
                Some(Conflict { path: String::from_utf8_lossy(&by).into_owned(), expected: None, found })
            })
            .collect();
        if clashes.is_empty() {
            return Ok(());
        }
        for (path, before) in undo.into_iter().rev() {
            match before {
                Some(file) => self.files.insert(path.to_vec(), file),
                None => self.files.remove(path),
            };
        }
        Err(clashes)
    }

    /// A file above this path, or the first one below it.
    fn blocking(&self, path: &[u8]) -> Option<Vec<u8>> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let above = slashes.map(|at| &path[..at]).find(|above| self.files.contains_key(*above));
        let inside = [path, b"/"].concat();
        let below = || self.files.range(inside.clone()..).next().map(|(path, _)| path);
        let below = || below().filter(|below| below.starts_with(&inside));
        above.map(<[u8]>::to_vec).or_else(|| below().cloned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(seed: u8) -> TreeFile {
        let mode = [Mode::File, Mode::Executable, Mode::Symlink][usize::from(seed % 3)];
        let entry = Entry { mode, object: ObjectId(format!("{seed:040x}")) };
        TreeFile { entry, content: Some(Sha256([seed; 32])) }
    }

    fn tree(files: &[(&str, u8)]) -> Tree {
        Tree { files: files.iter().map(|(path, seed)| (path.as_bytes().to_vec(), file(*seed))).collect() }
    }

    /// A tree that a file system could hold: no path is inside another.
    fn any_tree() -> impl Strategy<Value = Tree> {
        proptest::collection::btree_map("[ab]{1,2}(/[ab -]{1,2}){0,2}", any::<u8>(), 0..8).prop_map(|files| {
            let mut tree = Tree::default();
            for (path, seed) in files {
                let path = path.into_bytes();
                if tree.blocking(&path).is_none() {
                    tree.files.insert(path, file(seed));
                }
            }
            tree
        })
    }

    proptest! {
        #[test]
        fn a_difference_applied_leads_to_the_other_tree(before in any_tree(), after in any_tree()) {
            let patch = diff(&before, &after).unwrap();
            prop_assert!(patch.changes.windows(2).all(|pair| pair[0].path < pair[1].path));
            let mut found = before.clone();
            prop_assert_eq!(found.apply(&patch), Ok(()));
            let entries = |tree: &Tree| {
                tree.files.iter().map(|(path, file)| (path.clone(), file.entry.clone())).collect::<Vec<_>>()
            };
            prop_assert_eq!(entries(&found), entries(&after));
            // Applied is applied: the same patch once more changes nothing.
            let once = found.clone();
            prop_assert_eq!(found.apply(&patch), Ok(()));
            prop_assert_eq!(found, once);
            prop_assert!(diff(&after, &after).unwrap().is_empty());
        }

        #[test]
        fn a_patch_that_does_not_apply_changes_nothing(
            before in any_tree(), after in any_tree(), other in any_tree(),
        ) {
            let patch = diff(&before, &after).unwrap();
            let mut found = other.clone();
            if found.apply(&patch).is_err() {
                prop_assert_eq!(found, other);
            } else {
                prop_assert!(found.clash().is_none());
            }
        }
    }

    #[test]
    fn a_conflict_names_every_path_and_what_stands_there() {
        let patch = diff(&tree(&[("a", 0), ("b", 1)]), &tree(&[("a", 2), ("b", 3), ("c", 4)])).unwrap();
        let mut other = tree(&[("a", 7), ("b", 1), ("c", 8)]);
        let conflicts = other.apply(&patch).unwrap_err();
        let paths: Vec<&str> = conflicts.iter().map(|conflict| conflict.path.as_str()).collect();
        assert_eq!(paths, ["a", "c"]);
        assert_eq!(conflicts[0].expected, Some(file(0).entry));
        assert_eq!(conflicts[0].found, Some(file(7).entry));
        assert_eq!(conflicts[1].expected, None);
    }

    #[test]
    fn a_file_where_a_directory_is_needed_is_a_conflict() {
        let patch = diff(&tree(&[]), &tree(&[("a/b", 1)])).unwrap();
        let mut other = tree(&[("a", 0)]);
        assert_eq!(other.apply(&patch).unwrap_err()[0].path, "a");
        let patch = diff(&tree(&[]), &tree(&[("a", 1)])).unwrap();
        let mut other = tree(&[("a-", 0), ("a/b", 0)]);
        assert_eq!(other.apply(&patch).unwrap_err()[0].path, "a/b");
        assert_eq!(other, tree(&[("a-", 0), ("a/b", 0)]));
    }

    #[test]
    fn a_file_becomes_a_directory_and_back() {
        let (file, directory) = (tree(&[("a", 1)]), tree(&[("a/b", 2)]));
        for (from, to) in [(&file, &directory), (&directory, &file)] {
            let mut found = from.clone();
            found.apply(&diff(from, to).unwrap()).unwrap();
            assert_eq!(&found, to);
        }
    }

    #[test]
    fn names_that_are_no_text_stay_but_cannot_change() {
        let mut before = tree(&[("a", 1)]);
        before.files.insert(b"\xff".to_vec(), file(2));
        let mut after = before.clone();
        after.files.insert(b"b".to_vec(), file(3));
        assert_eq!(diff(&before, &after).unwrap().paths().collect::<Vec<_>>(), ["b"]);
        after.files.remove(b"\xff".as_slice());
        assert!(diff(&before, &after).is_err());
    }

    #[test]
    fn a_tree_knows_when_it_cannot_be() {
        assert_eq!(tree(&[("a", 1), ("a-b", 1), ("b/c", 1)]).clash(), None);
        assert_eq!(tree(&[("a", 1), ("a-b", 1), ("a/c", 1)]).clash().unwrap().0, b"a");
    }
}
