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
    drop(odb.add_new_mempack_backend(1).map_err(action())?);
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
