//! Git objects in memory: ids, encoded trees, and one pack of new objects made durable.
//!
//! Does not know refs, nor why the objects are written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use git2::{ObjectType, Oid};

use crate::digest::ObjectId;
use crate::patch::{Mode, Tree};

use super::WorkspaceError;

/// A new object, not yet in any object database.
pub(super) struct NewObject {
    pub(super) kind: ObjectType,
    pub(super) id: ObjectId,
    pub(super) bytes: Vec<u8>,
}

/// The id git gives these bytes as a blob.
pub fn blob_id(bytes: &[u8]) -> ObjectId {
    hash(ObjectType::Blob, bytes)
}

/// The id git gives this tree, nested as git nests it (gitformat "tree objects"; `base_name_compare` order).
pub fn tree_id(tree: &Tree) -> ObjectId {
    let mut root = hash(ObjectType::Tree, b"");
    encode_trees(tree, |object| root = object.id);
    root
}

pub(super) fn hash(kind: ObjectType, bytes: &[u8]) -> ObjectId {
    from_oid(Oid::hash_object(kind, bytes).expect("hashing bytes in memory cannot fail"))
}

pub(super) fn from_oid(oid: Oid) -> ObjectId {
    ObjectId(oid.to_string())
}

pub(super) fn to_oid(id: &ObjectId) -> Result<Oid, WorkspaceError> {
    let well_formed = id.0.len() == 40 && id.0.bytes().all(|b| b.is_ascii_hexdigit());
    match Oid::from_str(&id.0) {
        Ok(oid) if well_formed => Ok(oid),
        _ => Err(WorkspaceError::InvalidName { kind: "object", name: id.0.clone() }),
    }
}

/// Hands every directory of the tree, encoded, to `emit`: children first, the root last. Nothing is emitted
/// for an empty tree except the empty root.
pub(super) fn encode_trees(tree: &Tree, mut emit: impl FnMut(NewObject)) {
    // One open directory per component of the current path; paths come sorted by bytes, so `a-b` stands
    // between `a` and `a/b`, but all paths below one directory are neighbours.
    struct Open {
        name: Vec<u8>,
        rows: Vec<Row>,
    }
    let mut stack = vec![Open { name: Vec::new(), rows: Vec::new() }];
    let close = |stack: &mut Vec<Open>, emit: &mut dyn FnMut(NewObject)| {
        let mut open = stack.pop().expect("a directory is open");
        let bytes = encode_rows(&mut open.rows);
        let id = hash(ObjectType::Tree, &bytes);
        if let Some(parent) = stack.last_mut() {
            parent.rows.push(Row { name: open.name, mode: "40000", object: id.clone() });
        }
        emit(NewObject { kind: ObjectType::Tree, id, bytes });
    };
    for (path, file) in &tree.files {
        let mut components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let name = components.pop().expect("a split gives at least one part");
        let common =
            stack[1..].iter().zip(&components).take_while(|(open, part)| open.name == **part).count();
        while stack.len() > common + 1 {
            close(&mut stack, &mut emit);
        }
        for part in &components[common..] {
            stack.push(Open { name: part.to_vec(), rows: Vec::new() });
        }
        let row =
            Row { name: name.to_vec(), mode: octal(file.entry.mode), object: file.entry.object.clone() };
        stack.last_mut().expect("the root is open").rows.push(row);
    }
    while !stack.is_empty() {
        close(&mut stack, &mut emit);
    }
}

struct Row {
    name: Vec<u8>,
    mode: &'static str,
    object: ObjectId,
}

fn encode_rows(rows: &mut [Row]) -> Vec<u8> {
    // Git compares names as if a directory's ended in `/`.
    let key = |row: &Row| {
        let mut key = row.name.clone();
        if row.mode == "40000" {
            key.push(b'/');
        }
        key
    };
    rows.sort_by_cached_key(key);
    let mut bytes = Vec::with_capacity(rows.len() * 40);
    for row in rows {
        bytes.extend_from_slice(row.mode.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&row.name);
        bytes.push(0);
        for pair in row.object.0.as_bytes().chunks(2) {
            let digits = std::str::from_utf8(pair).unwrap_or("0");
            bytes.push(u8::from_str_radix(digits, 16).unwrap_or(0));
        }
    }
    bytes
}

fn octal(mode: Mode) -> &'static str {
    match mode {
        Mode::File => "100644",
        Mode::Executable => "100755",
        Mode::Symlink => "120000",
        Mode::Submodule => "160000",
    }
}

/// Whether new files must be on disk before a function returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    Synced,
    Unsynced,
}

/// Writes the objects as one pack with its index into `objects/pack`. Both appear under their names only when
/// complete (and, if asked for, synced, the directory too), the index last: a reader never sees half a pack.
/// libgit2 syncs nothing by default; hence the second copy here.
pub(super) fn write_pack(
    objects: &[NewObject],
    object_dir: &Path,
    scratch: &Path,
    durability: Durability,
) -> Result<(), WorkspaceError> {
    let action = || WorkspaceError::git("make a pack of the new objects");
    let odb = git2::Odb::new().map_err(action())?;
    odb.add_new_mempack_backend(1).map_err(action())?;
    let memory = git2::Repository::from_odb(odb).map_err(action())?;
    // An empty configuration: how a pack is made must not depend on the user's.
    memory.set_config(&git2::Config::new().map_err(action())?).map_err(action())?;
    let odb = memory.odb().map_err(action())?;
    let mut builder = memory.packbuilder().map_err(action())?;
    builder.set_threads(1);
    for object in objects {
        let id = odb.write(object.kind, &object.bytes).map_err(action())?;
        builder.insert_object(id, None).map_err(action())?;
    }
    let made = tempfile::Builder::new()
        .prefix("pack-")
        .tempdir_in(scratch)
        .map_err(WorkspaceError::io("make a directory in", scratch.to_string_lossy()))?;
    builder.write(made.path(), 0o444).map_err(action())?;
    let name = builder.name().map_err(action())?.map(str::to_owned).unwrap_or_default();
    let pack_dir = object_dir.join("pack");
    fs::create_dir_all(&pack_dir).map_err(WorkspaceError::io("make", pack_dir.to_string_lossy()))?;
    for extension in ["pack", "idx"] {
        let file = format!("pack-{name}.{extension}");
        let target = pack_dir.join(&file);
        install(&made.path().join(&file), &target, durability)
            .map_err(WorkspaceError::io("write", target.to_string_lossy()))?;
    }
    if durability == Durability::Synced {
        sync_dir(&pack_dir).map_err(WorkspaceError::io("sync", pack_dir.to_string_lossy()))?;
    }
    Ok(())
}

fn install(from: &Path, to: &Path, durability: Durability) -> io::Result<()> {
    let dir = to.parent().expect("a file in the pack directory has a parent");
    // `tmp_` is the prefix that `git prune` clears away if a crash leaves one.
    let mut temporary = tempfile::Builder::new().prefix("tmp_loop_").tempfile_in(dir)?;
    temporary.write_all(&fs::read(from)?)?;
    use std::os::unix::fs::PermissionsExt as _;
    temporary.as_file().set_permissions(fs::Permissions::from_mode(0o444))?;
    if durability == Durability::Synced {
        temporary.as_file().sync_all()?;
    }
    temporary.persist(to).map_err(|error| error.error)?;
    Ok(())
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::patch::{Entry, TreeFile};
    use crate::workspace::testing::{Scratch, git};

    #[test]
    fn ids_are_those_of_git() {
        let scratch = Scratch::with(&[("a", "text\n")]);
        assert_eq!(blob_id(b"text\n").as_str(), scratch.git(&["rev-parse", "HEAD:a"]));
        assert_eq!(tree_id(&Tree::default()).as_str(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn a_directory_sorts_as_if_its_name_ended_in_a_slash() {
        // `a-b` < `a/` < `a0`, and `a.b` < `a/`, while as plain bytes `a` comes first.
        let files = [("a/x", "1"), ("a-b", "2"), ("a.b", "3"), ("a0", "4"), ("A", "5"), ("b/c/d/e", "6")];
        let scratch = Scratch::with(&files);
        let head = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        let tree = scratch.open().tree(&head).unwrap();
        assert_eq!(tree_id(&tree).as_str(), scratch.git(&["rev-parse", "HEAD^{tree}"]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_tree_has_the_id_that_git_gives_it(
            names in proptest::collection::btree_set("[ab.0-]{1,3}(/[ab.0 \n\"\u{e9}-]{1,3}){0,3}", 0..12),
        ) {
            let mut tree = Tree::default();
            let modes = [Mode::File, Mode::Executable, Mode::Symlink];
            for (at, name) in names.into_iter().enumerate() {
                let entry = Entry { mode: modes[at % 3], object: blob_id(name.as_bytes()) };
                let dots = name.split('/').any(|part| part == "." || part == "..");
                tree.files.insert(name.clone().into_bytes(), TreeFile { entry, content: None });
                if dots || tree.clash().is_some() {
                    tree.files.remove(name.as_bytes());
                }
            }
            let scratch = Scratch::empty();
            let rows: Vec<u8> = tree.files.iter().flat_map(|(path, file)| {
                let row = format!("{} {}\t", octal(file.entry.mode), file.entry.object).into_bytes();
                [row.as_slice(), path.as_slice(), b"\0"].concat()
            }).collect();
            let mut index = Command::new("git")
                .args(["update-index", "-z", "--add", "--index-info"])
                .current_dir(&scratch.root).stdin(Stdio::piped()).spawn().unwrap();
            index.stdin.take().unwrap().write_all(&rows).unwrap();
            prop_assert!(index.wait().unwrap().success());
            let id = git(&scratch.root, &["write-tree", "--missing-ok"]);
            prop_assert_eq!(tree_id(&tree).0, id);
        }
    }

    #[test]
    fn a_pack_is_read_by_git_and_written_twice_is_one() {
        let scratch = Scratch::with(&[("a", "1")]);
        let objects = || {
            let bytes: Vec<Vec<u8>> = vec![b"one".to_vec(), vec![7; 100_000], Vec::new()];
            let object = |bytes: Vec<u8>| NewObject { kind: ObjectType::Blob, id: blob_id(&bytes), bytes };
            bytes.into_iter().map(object).collect::<Vec<_>>()
        };
        let (dir, top) = (scratch.root.join(".git/objects"), scratch.root.join(".git"));
        for durability in [Durability::Synced, Durability::Unsynced] {
            write_pack(&objects(), dir.as_std_path(), top.as_std_path(), durability).unwrap();
        }
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for entry in dir.join("pack").read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            *found.entry(path.extension().unwrap_or_default().to_owned()).or_default() += 1;
        }
        assert_eq!(found, BTreeMap::from([("idx".to_owned(), 1), ("pack".to_owned(), 1)]));
        assert_eq!(scratch.git(&["cat-file", "blob", blob_id(b"one").as_str()]), "one");
        scratch.git(&["fsck", "--strict"]);
        assert_eq!(
            fs::read_dir(&top)
                .unwrap()
                .filter(|e| { e.as_ref().unwrap().file_name().to_string_lossy().starts_with("pack-") })
                .count(),
            0,
            "nothing is left behind"
        );
    }
}
