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
