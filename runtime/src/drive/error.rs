//! What stops a whole run, and the exit code it means.
//!
//! Does not know how a unit's own failures are answered: those are records, not errors.

use crate::fault::{ExitCode, Fault};
use crate::journal::JournalError;
use crate::process::ProcessError;
use crate::store::StoreError;
use crate::workspace::WorkspaceError;

#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    /// Something is not as it must be; the text says what to do.
    #[error("{message}")]
    Refused { exit: ExitCode, message: String },
    #[error("a stored object is not readable: {what}; `loop audit verify` names what is damaged")]
    Damaged { what: String },
}

impl DriveError {
    pub fn refused(exit: ExitCode, message: impl Into<String>) -> DriveError {
        DriveError::Refused { exit, message: message.into() }
    }

    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> DriveError {
        let doing = doing.into();
        move |source| DriveError::Io { doing, source }
    }

    /// The error with what to do about it, where its own words cannot know: a full disk can stop any write.
    pub fn with_advice(self) -> DriveError {
        if !self.is_of_a_full_disk() {
            return self;
        }
        let message = format!(
            "{self}. The disk is full: free some space and run this again; what was recorded is kept"
        );
        DriveError::refused(self.exit(), message)
    }

    fn is_of_a_full_disk(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let mut causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        let named = causes.any(|cause| {
            let io = cause.downcast_ref::<std::io::Error>();
            io.is_some_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded))
        });
        // libgit2 has the system's words for it and no code.
        named || self.to_string().contains("No space left on device")
    }

    pub fn exit(&self) -> ExitCode {
        match self {
            DriveError::Workspace(error) => error.fault().into(),
            DriveError::Journal(error) => error.fault().into(),
            DriveError::Store(error) => error.fault().into(),
            DriveError::Process(_) | DriveError::Io { .. } | DriveError::Damaged { .. } => {
                Fault::Environment.into()
            }
            DriveError::Refused { exit, .. } => *exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors_wherever_it_is_in_the_chain() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let path = || camino::Utf8PathBuf::from("f");
        let store = StoreError::Io { action: "write", path: path(), source: full() };
        let errors: [DriveError; 4] = [
            DriveError::io("write f")(full()),
            JournalError::Append { path: path(), source: full(), cut_back: true }.into(),
            WorkspaceError::ContentNotKept { source: std::io::Error::other(store) }.into(),
            DriveError::Damaged { what: "git cannot write: No space left on device".to_owned() },
        ];
        for error in errors {
            let (exit, advised) = (error.exit(), error.with_advice());
            assert_eq!(advised.exit(), exit);
            assert!(advised.to_string().contains("free some space"), "{advised}");
        }
        let other = DriveError::io("write f")(std::io::ErrorKind::PermissionDenied.into());
        assert!(!other.with_advice().to_string().contains("space"));
    }
}
