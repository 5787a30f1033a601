//! The user's repository and the private places made from it: trees, checkouts, capture, landing.
//!
//! Does not know the journal, the store (content moves through [`Blobs`]) or what a unit is. It is the only
//! room that may use git2, and it never runs the `git` program.

mod capture;
mod dirs;
mod export;
mod fingerprint;
mod land;
mod links;
mod locks;
mod names;
mod objects;
mod private;
mod refs;
mod remove;
mod repository;
#[cfg(test)]
mod testing;

use std::io;

use camino::Utf8PathBuf;

use crate::digest::{ObjectId, Sha256};
use crate::fault::Fault;

pub use capture::{CaptureError, CaptureRules, Captured, Refusal, capture};
pub use export::export;
pub use fingerprint::Fingerprint;
pub use land::{CommitFields, with_trailers};
pub use links::Link;
pub use objects::{blob_id, tree_id};
pub use private::PrivateRepo;
pub use refs::Swap;
pub use remove::remove_tree;
pub use repository::{CommitInfo, Person, Repository};

/// Where contents are kept by digest. The store implements it; tests use a map.
pub trait Blobs: Send + Sync {
    /// Keeps the bytes and returns their digest. Durability is the implementation's promise.
    fn put(&self, bytes: &[u8]) -> io::Result<Sha256>;
    /// The bytes of a digest. An error if they are not there.
    fn get(&self, digest: &Sha256) -> io::Result<Vec<u8>>;
}

/// What can go wrong with the repository or a place made from it.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    #[error("{start} is not in a git repository; run `git init` there, or go to the repository")]
    NotARepository { start: Utf8PathBuf },
    #[error("{path} is a bare repository; work needs a checkout: clone it, and run there")]
    Bare { path: Utf8PathBuf },
    #[error(
        "{path} belongs to another user, and git does not trust it; `git config --global --add safe.directory {path}` trusts it"
    )]
    NotOwned { path: Utf8PathBuf },
    /// A repository or tree that uses something this program does not handle.
    #[error("{what}; this is not supported yet")]
    Unsupported { what: String },
    #[error("the path {shown} is not UTF-8; move the repository to a path that is")]
    PathNotUtf8 { shown: String },
    #[error("`{name}` could mean more than one commit; give more digits, or the full name of the branch")]
    Ambiguous { name: String },
    #[error("`{name}` is not a name that git allows for a {kind}")]
    InvalidName { kind: &'static str, name: String },
    #[error("object {id} is not in the repository; `git fsck` shows what else is missing")]
    MissingObject { id: ObjectId },
    /// A tree that cannot be written to a file system, or not safely.
    #[error("the path {path:?} cannot be written: {reason}")]
    InvalidTree { path: String, reason: String },
    #[error("`{name}` cannot be made while `{by}` exists; rename or delete that one first")]
    RefBlocked { name: String, by: String },
    #[error("{lock} exists: another git program is changing `{name}`; if none is running, delete that file")]
    RefLocked { name: String, lock: Utf8PathBuf },
    #[error("`{name}` is a symbolic ref; it must be an ordinary branch")]
    SymbolicRef { name: String },
    /// The store has lost or changed a content.
    #[error("content {digest} cannot be read from the store: {source}")]
    Content { digest: Sha256, source: io::Error },
    #[error("content {digest} is not that of git object {object}")]
    ContentMismatch { digest: Sha256, object: ObjectId },
    #[error("content could not be put into the store: {source}")]
    ContentNotKept { source: io::Error },
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: String, source: io::Error },
    #[error("git cannot {action}: {}", .source.message())]
    Git { action: String, source: git2::Error },
}

impl WorkspaceError {
    pub fn fault(&self) -> Fault {
        match self {
            WorkspaceError::NotARepository { .. }
            | WorkspaceError::Bare { .. }
            | WorkspaceError::Ambiguous { .. }
            | WorkspaceError::InvalidName { .. }
            | WorkspaceError::RefBlocked { .. }
            | WorkspaceError::SymbolicRef { .. } => Fault::User,
            WorkspaceError::NotOwned { .. }
            | WorkspaceError::Unsupported { .. }
            | WorkspaceError::PathNotUtf8 { .. }
            | WorkspaceError::MissingObject { .. }
            | WorkspaceError::InvalidTree { .. }
            | WorkspaceError::RefLocked { .. }
            | WorkspaceError::Content { .. }
            | WorkspaceError::ContentNotKept { .. }
            | WorkspaceError::Io { .. }
            | WorkspaceError::Git { .. } => Fault::Environment,
            WorkspaceError::ContentMismatch { .. } => Fault::Internal,
        }
    }

    fn git(action: impl Into<String>) -> impl FnOnce(git2::Error) -> WorkspaceError {
        let action = action.into();
        move |source| WorkspaceError::Git { action, source }
    }

    fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl Into<String>,
    ) -> impl FnOnce(E) -> WorkspaceError {
        let path = path.into();
        move |source| WorkspaceError::Io { action, path, source: source.into() }
    }
}
