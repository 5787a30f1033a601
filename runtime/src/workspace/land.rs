//! Landing: a commit as a pure function of recorded fields, its parent and its tree, written as one pack.
//!
//! Does not move any ref, and does not know how the fields came to be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use git2::ObjectType;

use crate::digest::ObjectId;
use crate::patch::{Mode, Tree};

use super::objects::{Durability, NewObject, encode_trees, hash, write_pack};
use super::repository::header_text;
use super::{Blobs, Person, Repository, WorkspaceError};

/// What a commit says, apart from its place in history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFields {
    /// Author, and committer too.
    pub author: Person,
    /// Seconds since the epoch; the commit takes the later of this and its parent's.
    pub time_s: i64,
    /// The whole message, trailers included ([`with_trailers`]).
    pub message: String,
}

/// A commit message that ends in these trailers, as `git interpret-trailers` reads them.
pub fn with_trailers(message: &str, trailers: &[(String, String)]) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = message.replace('\0', "").trim_end().to_owned();
    text.push_str("\n\n");
    for (key, value) in trailers {
        text.push_str(&format!("{key}: {}\n", one_line(value)));
    }
    text
}

impl Repository {
    /// Writes the commit of `tree` on `parent` with everything new in it as one synced pack, and returns its
    /// id. The id is a function of the arguments alone: no hooks, no signature, no encoding header, no clock.
    /// No ref is moved; writing the same commit again changes nothing.
    pub fn land(
        &self,
        parent: &ObjectId,
        tree: &Tree,
        fields: &CommitFields,
        blobs: &dyn Blobs,
    ) -> Result<ObjectId, WorkspaceError> {
        let (commit, objects) = self.commit_on(parent, tree, fields, blobs)?;
        let scratch = self.state_dir();
        fs::create_dir_all(&scratch).map_err(WorkspaceError::io("make", scratch.as_str()))?;
        let objects_dir = self.git_common_dir().join("objects");
        write_pack(&objects, objects_dir.as_std_path(), scratch.as_std_path(), Durability::Synced)?;
        // libgit2 keeps a list of packs: it must see the new one.
        self.git.odb().and_then(|odb| odb.refresh()).map_err(WorkspaceError::git("read the new pack"))?;
        Ok(commit)
    }

    /// The commit's id and every object of it that its parent does not hold.
    pub(super) fn commit_on(
        &self,
        parent: &ObjectId,
        tree: &Tree,
        fields: &CommitFields,
        blobs: &dyn Blobs,
    ) -> Result<(ObjectId, Vec<NewObject>), WorkspaceError> {
        let before = self.tree(parent)?;
        let time_s = self.commit(parent)?.time_s.max(fields.time_s).max(0);
        let (root, mut objects) = self.new_objects(&before, tree, blobs)?;
        let bytes = commit_bytes(parent, &root, fields, time_s);
        let id = hash(ObjectType::Commit, &bytes);
        objects.push(NewObject { kind: ObjectType::Commit, id: id.clone(), bytes });
        Ok((id, objects))
    }

    /// The root of `tree`, and its blobs and trees that `before` does not have. What merely lies in the
    /// object database does not count as there: unreferenced objects do not survive `git gc`.
    fn new_objects(
        &self,
        before: &Tree,
        tree: &Tree,
        blobs: &dyn Blobs,
    ) -> Result<(ObjectId, Vec<NewObject>), WorkspaceError> {
        if let Some((path, reason)) = tree.clash() {
            let path = String::from_utf8_lossy(&path).into_owned();
            return Err(WorkspaceError::InvalidTree { path, reason: reason.to_owned() });
        }
        let mut known: BTreeSet<ObjectId> =
            before.files.values().map(|file| file.entry.object.clone()).collect();
        encode_trees(before, |object| {
            known.insert(object.id);
        });
        let mut objects = BTreeMap::new();
        for file in tree.files.values() {
            let id = &file.entry.object;
            if file.entry.mode == Mode::Submodule || known.contains(id) || objects.contains_key(id) {
                continue;
            }
            let bytes = self.content(file, blobs)?;
            objects.insert(id.clone(), NewObject { kind: ObjectType::Blob, id: id.clone(), bytes });
        }
        let mut root = hash(ObjectType::Tree, b"");
        encode_trees(tree, |object| {
            root = object.id.clone();
            if !known.contains(&object.id) {
                objects.insert(object.id.clone(), object);
            }
        });
        Ok((root, objects.into_values().collect()))
    }
}

/// A commit object as git writes one (gitformat: headers, empty line, message).
fn commit_bytes(parent: &ObjectId, tree: &ObjectId, fields: &CommitFields, time_s: i64) -> Vec<u8> {
    // Cleaned again: fields may come from a record that something else wrote.
    let or = |text: String, fallback: &str| if text.is_empty() { fallback.to_owned() } else { text };
    let name = or(header_text(&fields.author.name), "loop");
    let email = or(header_text(&fields.author.email), "loop@localhost");
    let who = format!("{name} <{email}> {time_s} +0000");
    let mut message = fields.message.replace('\0', "");
    if !message.ends_with('\n') {
        message.push('\n');
    }
    format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\n{message}").into_bytes()
}
