//! Content-addressed blobs: read-only files named by the SHA-256 of their bytes.
//!
//! Does not know what a blob means or which record names it, and never deletes one.
//!
//! `<state>/cas/ab/cdef...` holds the blob whose digest is `abcdef...`. A blob appears by rename, whole or
//! not at all; after a power cut one that was not synced may be short, so every read checks the digest and
//! every write compares what is there.

pub mod secrets;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use crate::crash;
use crate::digest::Sha256;
use crate::durable;
use crate::fault::Fault;

/// Bytes of salt before the content of a salted blob.
const SALT: usize = 32;

/// Why a blob could not be read or written. None of these is the user's mistake.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store has no blob {0}")]
    Missing(Sha256),
    #[error(
        "the blob {digest} was changed on disk: its bytes have the digest {found}; restore {path} from a copy"
    )]
    Corrupt { digest: Sha256, found: Sha256, path: Utf8PathBuf },
    #[error("the blob {0} is too short to be a salted one")]
    NotSalted(Sha256),
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: Utf8PathBuf, source: io::Error },
}

impl StoreError {
    pub fn fault(&self) -> Fault {
        match self {
            StoreError::NotSalted(_) => Fault::Internal,
            _ => Fault::Environment,
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> io::Error {
        let kind = match &error {
            StoreError::Missing(_) => io::ErrorKind::NotFound,
            StoreError::Corrupt { .. } | StoreError::NotSalted(_) => io::ErrorKind::InvalidData,
            StoreError::Io { source, .. } => source.kind(),
        };
        io::Error::new(kind, error)
    }
}

fn failed(action: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// A store of blobs. Usable from several threads, and by several processes at once.
#[derive(Debug)]
pub struct Store {
    root: Utf8PathBuf,
    /// Written, visible, not synced yet.
    pending: Mutex<BTreeSet<Sha256>>,
}

impl Store {
    /// Opens the store below the state directory, creating it if it is not there.
    pub fn open(state_dir: &Utf8Path) -> Result<Store, StoreError> {
        let root = state_dir.join("cas");
        let temporary = root.join("tmp");
        durable::create_directory(&temporary).map_err(failed("create", &temporary))?;
        Ok(Store { root, pending: Mutex::default() })
    }

    /// Where the blob is or would be.
    pub fn path(&self, digest: &Sha256) -> Utf8PathBuf {
        let hex = digest.to_string();
        let (shard, name) = hex.split_at(2);
        self.root.join(shard).join(name)
    }

    /// Is there a file for this digest? Its bytes are not checked.
    pub fn contains(&self, digest: &Sha256) -> bool {
        self.path(digest).is_file()
    }

    /// Stores a blob; it is durable when this returns.
    pub fn put(&self, bytes: &[u8]) -> Result<Sha256, StoreError> {
        let digest = Sha256::of(bytes);
        let path = self.path(&digest);
        if self.holds(&path, bytes)? {
            // Another process may have written it a moment ago and not synced it.
            self.sync_blob(&path)?;
        } else {
            self.write(&path, bytes, true)?;
        }
        sync_names(self.shard(&path))?;
        crash::point("store.put.after-directory-sync");
        Ok(digest)
    }

    /// Stores a blob that [`sync_pending`](Store::sync_pending) makes durable: several of one attempt are
    /// synced together, before the record that names them.
    pub fn put_pending(&self, bytes: &[u8]) -> Result<Sha256, StoreError> {
        let digest = Sha256::of(bytes);
        let path = self.path(&digest);
        if !self.holds(&path, bytes)? {
            self.write(&path, bytes, false)?;
        }
        self.pending().insert(digest);
        Ok(digest)
    }

    /// Makes durable every blob that was put and not synced yet, those of other threads included.
    pub fn sync_pending(&self) -> Result<(), StoreError> {
        let pending = std::mem::take(&mut *self.pending());
        let result = self.sync_all(&pending);
        if result.is_err() {
            // They are still not durable: the next call must say so again.
            self.pending().extend(pending);
        }
        result
    }

    fn sync_all(&self, blobs: &BTreeSet<Sha256>) -> Result<(), StoreError> {
        crash::point("store.sync.before");
        let mut shards = BTreeSet::new();
        for digest in blobs {
            let path = self.path(digest);
            self.sync_blob(&path)?;
            shards.insert(self.shard(&path).to_owned());
        }
        crash::point("store.sync.between");
        shards.iter().try_for_each(|shard| sync_names(shard))?;
        crash::point("store.sync.after");
        Ok(())
    }

    /// The blob's bytes, checked against its digest.
    pub fn get(&self, digest: &Sha256) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing(*digest));
            }
            other => other.map_err(failed("read", &path))?,
        };
        let found = Sha256::of(&bytes);
        if found != *digest {
            return Err(StoreError::Corrupt { digest: *digest, found, path });
        }
        Ok(bytes)
    }

    /// Stores bytes that must not be guessable from their digest and may be erased one day: 32 random bytes
    /// stand before them and the digest is over all. Equal contents get different digests. Durable at the
    /// next [`sync_pending`](Store::sync_pending).
    pub fn put_salted(&self, bytes: &[u8]) -> Result<Sha256, StoreError> {
        let salt: [u8; SALT] = durable::random().map_err(failed("read", Utf8Path::new("/dev/urandom")))?;
        self.put_pending(&[&salt[..], bytes].concat())
    }

    /// The content of a salted blob, without its salt.
    pub fn get_salted(&self, digest: &Sha256) -> Result<Vec<u8>, StoreError> {
        let mut bytes = self.get(digest)?;
        if bytes.len() < SALT {
            return Err(StoreError::NotSalted(*digest));
        }
        bytes.drain(..SALT);
        Ok(bytes)
    }

    /// Removes what writers that died left half-written, if it is older than `age`. Returns how many files.
    pub fn sweep(&self, age: Duration) -> Result<usize, StoreError> {
        let directory = self.root.join("tmp");
        let mut removed = 0;
        for entry in directory.read_dir_utf8().map_err(failed("list", &directory))? {
            let entry = entry.map_err(failed("list", &directory))?;
            let written = entry.metadata().and_then(|data| data.modified());
            let old =
                written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|since| since >= age));
            if old && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, BTreeSet<Sha256>> {
        // A thread that panicked while it held the set left it whole: every change is one insertion.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard<'a>(&self, path: &'a Utf8Path) -> &'a Utf8Path {
        path.parent().expect("a blob's path has two components below the root")
    }

    /// Is this very content there? A file with other bytes under the name is treated as absent: the digest
    /// says what belongs there.
    fn holds(&self, path: &Utf8Path, bytes: &[u8]) -> Result<bool, StoreError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed("read", path)(error)),
            Ok(data) if data.len() != bytes.len() as u64 => return Ok(false),
            Ok(_) => {}
        }
        Ok(fs::read(path).map_err(failed("read", path))? == bytes)
    }

    fn write(&self, path: &Utf8Path, bytes: &[u8], sync: bool) -> Result<(), StoreError> {
        let shard = self.shard(path);
        durable::create_directory(shard).map_err(failed("create", shard))?;
        let name = durable::random_id().map_err(failed("read", Utf8Path::new("/dev/urandom")))?;
        let temporary = self.root.join("tmp").join(name);
        let written = self.write_temporary(&temporary, bytes, sync).and_then(|()| {
            crash::point("store.put.before-rename");
            fs::rename(&temporary, path).map_err(failed("create", path))
        });
        if written.is_err() {
            // The error that counts is the first one; what stays behind is swept later.
            let _ = fs::remove_file(&temporary);
        }
        crash::point("store.put.before-directory-sync");
        written
    }

    fn write_temporary(&self, temporary: &Utf8Path, bytes: &[u8], sync: bool) -> Result<(), StoreError> {
        crash::point("store.put.before-write");
        // Read-only from the start, and narrower where the user's umask says so.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(temporary)
            .map_err(failed("create", temporary))?;
        file.write_all(bytes).map_err(failed("write", temporary))?;
        crash::point("store.put.before-sync");
        if sync {
            file.sync_data().map_err(failed("sync", temporary))?;
        }
        Ok(())
    }

    fn sync_blob(&self, path: &Utf8Path) -> Result<(), StoreError> {
        File::open(path).and_then(|file| file.sync_data()).map_err(failed("sync", path))
    }
}

fn sync_names(directory: &Utf8Path) -> Result<(), StoreError> {
    durable::sync_directory(directory).map_err(failed("sync", directory))
}

#[cfg(test)]
mod tests;
