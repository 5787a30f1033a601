//! Landing: a commit as a pure function of recorded fields, its parent and its tree, written as one pack.
//!
//! Does not move any ref, and does not know how the fields came to be.

use std::collections::{BTreeMap, BTreeSet};

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
        let exclusive = self.exclusive()?;
        let scratch = exclusive.scratch()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;
    use crate::workspace::testing::{Memory, Scratch, snapshot};

    fn fields(time_s: i64) -> CommitFields {
        CommitFields {
            author: Person { name: "Zo\u{eb} <x>".to_owned(), email: "zoe@example.com".to_owned() },
            time_s,
            message: with_trailers(
                "Add \u{201c}it\u{201d}\n\nBody: not a trailer block\nmore text",
                &[("Loop-Unit".to_owned(), "U1".to_owned()), ("Loop-Key".to_owned(), "a\nb".to_owned())],
            ),
        }
    }

    fn start() -> (Scratch, ObjectId, Tree) {
        let scratch = Scratch::with(&[("a/b", "1"), ("a-b", "2"), ("c", "3")]);
        let head = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        let mut tree = scratch.open().tree(&head).unwrap();
        tree.files.insert(b"a/new".to_vec(), scratch.blobs.file(Mode::Executable, b"#!/bin/sh\n"));
        tree.files.insert(b"odd \"name\"\n".to_vec(), scratch.blobs.file(Mode::File, b"odd"));
        tree.files.insert(b"link".to_vec(), scratch.blobs.file(Mode::Symlink, b"a/new"));
        tree.files.remove(b"c".as_slice());
        (scratch, head, tree)
    }

    #[test]
    fn git_accepts_the_commit_and_sees_what_was_meant() {
        let (scratch, head, tree) = start();
        let repository = scratch.open();
        let before = snapshot(&scratch.root, ".git");
        let commit = repository.land(&head, &tree, &fields(1_800_000_000), &scratch.blobs).unwrap();
        assert_eq!(before, snapshot(&scratch.root, ".git"), "the checkout is untouched");
        scratch.git(&["update-ref", "refs/heads/x", commit.as_str()]);
        let report = scratch.git(&["fsck", "--strict", "--no-dangling"]);
        assert_eq!(report, "");
        let shown = scratch.git(&["log", "-1", "--format=%an|%ae|%at|%ct|%ai|%cn|%P", "x"]);
        let time = "1800000000|1800000000|2027-01-15 08:00:00 +0000";
        assert_eq!(shown, format!("Zo\u{eb} x|zoe@example.com|{time}|Zo\u{eb} x|{head}"));
        let read = repository.commit(&commit).unwrap();
        assert_eq!(
            read.trailers(),
            [("Loop-Unit", "U1"), ("Loop-Key", "a b")].map(|(k, v)| (k.into(), v.into()))
        );
        let by_git = scratch.git(&["log", "-1", "--format=%(trailers:only,unfold)", "x"]);
        assert_eq!(by_git.trim_end(), "Loop-Unit: U1\nLoop-Key: a b");
        assert_eq!(scratch.git(&["cat-file", "-p", "x:a/new"]), "#!/bin/sh");
        assert_eq!(scratch.git(&["ls-tree", "-z", "--name-only", "x"]), "a-b\0a\0link\0odd \"name\"\n\0");
    }

    #[test]
    fn the_id_is_the_same_in_any_clone_and_at_any_time() {
        let (scratch, head, tree) = start();
        let commit = scratch.open().land(&head, &tree, &fields(5), &scratch.blobs).unwrap();
        assert_eq!(commit, scratch.open().land(&head, &tree, &fields(5), &scratch.blobs).unwrap());
        let clone = scratch.root.parent().unwrap().join("clone");
        scratch.git(&["clone", "-q", "--no-local", ".", clone.as_str()]);
        let clone = Repository::discover(&clone).unwrap();
        assert_eq!(commit, clone.land(&head, &tree, &fields(5), &scratch.blobs).unwrap());
        // The parent is later than the acceptance: its time is taken.
        assert_eq!(clone.commit(&commit).unwrap().time_s, 1_700_000_000);
    }

    #[test]
    fn an_empty_name_and_a_nul_do_not_make_a_bad_commit() {
        let (scratch, head, tree) = start();
        let author = Person { name: " <> ".to_owned(), email: "\n".to_owned() };
        let fields = CommitFields { author, time_s: -5, message: "a\0b".to_owned() };
        let commit = scratch.open().land(&head, &tree, &fields, &scratch.blobs).unwrap();
        scratch.git(&["update-ref", "refs/heads/x", commit.as_str()]);
        scratch.git(&["fsck", "--strict"]);
    }

    #[test]
    fn what_lands_survives_a_garbage_collection() {
        let (scratch, head, mut tree) = start();
        // A blob that is in the database, but held by nothing.
        let loose = scratch.open().git.blob(b"loose").unwrap();
        let mut file = scratch.blobs.file(Mode::File, b"loose");
        assert_eq!(file.entry.object.0, loose.to_string());
        file.content = None;
        tree.files.insert(b"loose".to_vec(), file);
        let commit = scratch.open().land(&head, &tree, &fields(5), &scratch.blobs).unwrap();
        scratch.git(&["prune", "--expire=now", commit.as_str()]);
        scratch.git(&["update-ref", "refs/heads/x", commit.as_str()]);
        scratch.git(&["gc", "-q", "--prune=now"]);
        scratch.git(&["fsck", "--strict"]);
        assert_eq!(scratch.git(&["show", "x:loose"]), "loose");
    }

    #[test]
    fn names_that_are_no_text_stay_untouched() {
        let scratch = Scratch::empty();
        scratch.write(b"dir/\xff\xfe", "raw");
        let head = scratch.commit("raw");
        let mut tree = scratch.open().tree(&head).unwrap();
        tree.files.insert(b"new".to_vec(), scratch.blobs.file(Mode::File, b"new"));
        let commit = scratch.open().land(&head, &tree, &fields(5), &scratch.blobs).unwrap();
        let changed = scratch.git(&["diff", "--name-status", head.as_str(), commit.as_str()]);
        assert_eq!(changed, "A\tnew");
    }

    #[test]
    fn a_lost_or_changed_content_is_an_error_with_its_digest() {
        let (scratch, head, tree) = start();
        let empty = Memory::default();
        let error = scratch.open().land(&head, &tree, &fields(5), &empty).unwrap_err();
        assert!(matches!(error, WorkspaceError::Content { .. }), "{error}");
        let mut wrong = tree.clone();
        let digest = scratch.blobs.put(b"other").unwrap();
        wrong.files.get_mut(b"a/new".as_slice()).unwrap().content = Some(digest);
        let error = scratch.open().land(&head, &wrong, &fields(5), &scratch.blobs).unwrap_err();
        assert!(matches!(error, WorkspaceError::ContentMismatch { .. }), "{error}");
        assert_ne!(digest, Sha256::of(b"#!/bin/sh\n"));
    }
}
