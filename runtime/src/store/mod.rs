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
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    /// Shards whose own names are durable, as far as this process knows. Held while anything is synced: a
    /// thread that finds nothing pending must not return before the one that syncs its blobs.
    shards: Mutex<BTreeSet<Utf8PathBuf>>,
}

impl Store {
    /// Opens the store below the state directory, creating it if it is not there.
    pub fn open(state_dir: &Utf8Path) -> Result<Store, StoreError> {
        let root = state_dir.join("cas");
        let temporary = root.join("tmp");
        durable::create_directory(&temporary).map_err(failed("create", &temporary))?;
        Ok(Store { root, pending: Mutex::default(), shards: Mutex::default() })
    }

    /// The store below the state directory, for reading: nothing is created, and there may be nothing there.
    pub fn at(state_dir: &Utf8Path) -> Store {
        Store { root: state_dir.join("cas"), pending: Mutex::default(), shards: Mutex::default() }
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
        crash::point("store.put.before-directory-sync");
        self.sync_names(&mut lock(&self.shards), [self.shard(&path)])?;
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
        lock(&self.pending).insert(digest);
        Ok(digest)
    }

    /// Makes durable every blob that was put and not synced yet, those of other threads included.
    pub fn sync_pending(&self) -> Result<(), StoreError> {
        let mut durable = lock(&self.shards);
        let pending = std::mem::take(&mut *lock(&self.pending));
        let result = self.sync_all(&mut durable, &pending);
        if result.is_err() {
            // They are still not durable: the next call must say so again.
            lock(&self.pending).extend(pending);
        }
        result
    }

    fn sync_all(
        &self,
        durable: &mut BTreeSet<Utf8PathBuf>,
        blobs: &BTreeSet<Sha256>,
    ) -> Result<(), StoreError> {
        crash::point("store.sync.before");
        let paths: Vec<Utf8PathBuf> = blobs.iter().map(|digest| self.path(digest)).collect();
        paths.iter().try_for_each(|path| self.sync_blob(path))?;
        crash::point("store.sync.between");
        let shards: BTreeSet<&Utf8Path> = paths.iter().map(|path| self.shard(path)).collect();
        self.sync_names(durable, shards)?;
        crash::point("store.sync.after");
        Ok(())
    }

    /// Makes the names in some shards durable, and those of the shards: another process may have made one
    /// and not synced it.
    fn sync_names<'a>(
        &self,
        durable: &mut BTreeSet<Utf8PathBuf>,
        shards: impl IntoIterator<Item = &'a Utf8Path>,
    ) -> Result<(), StoreError> {
        let mut unknown = Vec::new();
        for shard in shards {
            durable::sync_directory(shard).map_err(failed("sync", shard))?;
            if !durable.contains(shard) {
                unknown.push(shard.to_owned());
            }
        }
        if !unknown.is_empty() {
            durable::sync_directory(&self.root).map_err(failed("sync", &self.root))?;
            durable.extend(unknown);
        }
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
        match fs::create_dir(shard) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(failed("create", shard))?,
        }
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

/// A thread that panicked while it held one of the sets left it whole: every change is one call.
fn lock<T>(set: &Mutex<T>) -> MutexGuard<'_, T> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
