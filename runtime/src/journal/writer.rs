//! The id of this clone as a writer of journals: random, kept in `<state>/writer`.
//!
//! Does not know the records. A copied clone must not write under the id of its original, so the file says
//! where it was made; in another place there is another writer.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::JournalError;
use crate::durable;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Writer {
    v: u32,
    id: String,
    /// Canonical path of the state directory.
    path: String,
    /// Its inode. The device is left out: its number changes between boots.
    inode: u64,
}

/// The writer id of the clone whose state directory this is; made on first use, and again in a copy.
pub(super) fn id(state_dir: &Utf8Path) -> Result<String, JournalError> {
    let file = state_dir.join("writer");
    let path = state_dir.canonicalize_utf8().map_err(JournalError::io("find", state_dir))?;
    let inode = fs::metadata(&path).map_err(JournalError::io("read", &path))?.ino();
    let here = |writer: &Writer| writer.v == 1 && writer.path == path.as_str() && writer.inode == inode;
    let read = || match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(JournalError::io("read", &file)),
    };
    let known = read()?;
    if let Some(writer) = known.as_deref().and_then(parse)
        && here(&writer)
    {
        return Ok(writer.id);
    }
    let id = durable::random_id().map_err(JournalError::io("read", Utf8Path::new("/dev/urandom")))?;
    let writer = Writer { v: 1, id, path: path.to_string(), inode };
    let temporary = state_dir.join(format!("writer.{}", writer.id));
    let text = serde_json::to_vec(&writer).map_err(crate::record::JcsError::from)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut new| new.write_all(&text).and_then(|()| new.sync_all()));
    written.map_err(JournalError::io("write", &temporary))?;
    // Of two processes that make the first id, one must win; replacing an original's id has no such rival
    // worth a lock, because an id that is used once and then forgotten does no harm.
    let placed = match known {
        None => fs::hard_link(&temporary, &file),
        Some(_) => fs::rename(&temporary, &file),
    };
    let _ = fs::remove_file(&temporary);
    match placed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(JournalError::io("write", &file))?,
    }
    durable::sync_directory(state_dir).map_err(JournalError::io("sync", state_dir))?;
    Ok(read()?.as_deref().and_then(parse).filter(here).map_or(writer.id, |writer| writer.id))
}

fn parse(text: &[u8]) -> Option<Writer> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_clone_is_another_writer() {
        let root = crate::durable::scratch();
        let root = Utf8Path::from_path(root.path()).unwrap();
        let (first, second) = (root.join("first"), root.join("second"));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&second).unwrap();
        let original = id(&first).unwrap();
        assert_eq!(id(&first).unwrap(), original);
        fs::copy(first.join("writer"), second.join("writer")).unwrap();
        let copy = id(&second).unwrap();
        assert_ne!(copy, original);
        assert_eq!(id(&second).unwrap(), copy);
        assert_eq!(id(&first).unwrap(), original);
        assert_eq!(first.read_dir_utf8().unwrap().count(), 1);
        assert_eq!(second.read_dir_utf8().unwrap().count(), 1);
        fs::write(second.join("writer"), "nonsense").unwrap();
        assert_ne!(id(&second).unwrap(), copy);
    }

    #[test]
    fn processes_that_race_agree() {
        let root = crate::durable::scratch();
        let root = Utf8Path::from_path(root.path()).unwrap();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| id(root).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
