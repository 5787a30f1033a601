//! Where the links of a patch lead, for whoever checks what a unit may write.
//!
//! Does not know what is allowed.

use std::collections::BTreeMap;

use crate::patch::{Change, Mode, Patch, Tree};

use super::names::link_end;
use super::{Blobs, Repository, WorkspaceError};

/// A symbolic link that a patch makes or changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub path: String,
    /// The path of the tree at which it ends (empty: the root), which need not exist. `None`: outside.
    pub leads_to: Option<String>,
}

impl Repository {
    /// The links that `patch` makes or changes, sorted by path, followed in `tree`, to which the patch is
    /// applied already.
    pub fn links(&self, patch: &Patch, tree: &Tree, blobs: &dyn Blobs) -> Result<Vec<Link>, WorkspaceError> {
        let is_link =
            |change: &&Change| change.after.as_ref().is_some_and(|entry| entry.mode == Mode::Symlink);
        if !patch.changes.iter().any(|change| is_link(&change)) {
            return Ok(Vec::new());
        }
        let mut targets = BTreeMap::new();
        for (path, file) in tree.files.iter().filter(|(_, file)| file.entry.mode == Mode::Symlink) {
            targets.insert(path.as_slice(), self.content(file, blobs)?);
        }
        let target = |path: &[u8]| targets.get(path).map(Vec::as_slice);
        let mut found = Vec::new();
        for change in patch.changes.iter().filter(is_link) {
            let path = change.path.as_bytes();
            let end = target(path).and_then(|to| link_end(path, to, target));
            let leads_to = end.and_then(|end| String::from_utf8(end).ok());
            found.push(Link { path: change.path.clone(), leads_to });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::diff;
    use crate::workspace::testing::Scratch;

    #[test]
    fn new_links_are_followed_in_the_whole_tree() {
        let scratch = Scratch::empty();
        let link = |target: &str| scratch.blobs.file(Mode::Symlink, target.as_bytes());
        let mut before = Tree::default();
        before.files.insert(b"old".to_vec(), link("src"));
        let mut after = before.clone();
        for (path, target) in [("a", "old/x"), ("b", "../x"), ("c/d", ".."), ("e", "c/d/old")] {
            after.files.insert(path.into(), link(target));
        }
        let patch = diff(&before, &after).unwrap();
        let found = scratch.open().links(&patch, &after, &scratch.blobs).unwrap();
        let found: Vec<_> = found.iter().map(|link| (link.path.as_str(), link.leads_to.as_deref())).collect();
        assert_eq!(found, [("a", Some("src/x")), ("b", None), ("c/d", Some("")), ("e", Some("src"))]);
    }
}
