//! Why a worktree cannot become a patch, in words an agent can act on.
//!
//! Does not know how it is found out.

use std::fmt;

use super::Captured;
use crate::fault::Fault;
use crate::workspace::WorkspaceError;
use crate::workspace::dirs::MAX_DEPTH;

/// Why a worktree cannot become a patch. Paths are shown as text even if they are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    NestedRepository { path: String },
    SpecialFile { path: String, kind: &'static str },
    LinkLeavesTree { path: String, target: String },
    CaseClash { path: String, other: String },
    NotUtf8 { path: String },
    BadName { path: String, reason: &'static str },
    TooDeep { path: String },
    FileTooLarge { path: String, bytes: u64, limit: u64 },
    TotalTooLarge { bytes: u64, limit: u64 },
    Submodule { path: String },
    LargeFileStorage { path: String },
    Unreadable { path: String, reason: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NestedRepository { path } => {
                write!(
                    f,
                    "{path:?} holds a git repository of its own; delete its `.git` (`cargo new --vcs none`)"
                )
            }
            Refusal::SpecialFile { path, kind } => write!(f, "{path:?} is a {kind}, not a file; delete it"),
            Refusal::LinkLeavesTree { path, target } => {
                write!(f, "the link {path:?} leads out of the tree, to {target:?}; link to a path inside")
            }
            Refusal::CaseClash { path, other } => write!(
                f,
                "{path:?} and {other:?} are the same name where case does not count; rename one of them"
            ),
            Refusal::NotUtf8 { path } => write!(f, "the name {path:?} is not UTF-8; rename it"),
            Refusal::BadName { path, reason } => write!(f, "the name {path:?} cannot be used: {reason}"),
            Refusal::TooDeep { path } => {
                write!(f, "{path:?} lies more than {MAX_DEPTH} directories deep; move it up")
            }
            Refusal::FileTooLarge { path, bytes, limit } => {
                write!(f, "{path:?} has {bytes} bytes, and the limit is {limit}; delete it, or ignore it")
            }
            Refusal::TotalTooLarge { bytes, limit } => {
                write!(f, "the changed files have {bytes} bytes together, and the limit is {limit}")
            }
            Refusal::Submodule { path } => {
                write!(f, "{path:?} belongs to a submodule, which nothing may write; undo the change")
            }
            Refusal::LargeFileStorage { path } => {
                write!(f, "{path:?} puts files into Git LFS, which is not supported yet; undo the change")
            }
            Refusal::Unreadable { path, reason } => write!(f, "{path:?} cannot be read: {reason}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The agent left something that no commit may hold.
    #[error("{}", list(.refusals))]
    Refused {
        /// Sorted; never empty.
        refusals: Vec<Refusal>,
        /// What could be captured, for people to look at.
        rest: Box<Captured>,
    },
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl CaptureError {
    pub fn fault(&self) -> Fault {
        match self {
            CaptureError::Refused { .. } => Fault::Agent,
            CaptureError::Workspace(error) => error.fault(),
        }
    }
}

/// How many refusals are worth reading at once.
const SHOWN: usize = 20;

fn list(refusals: &[Refusal]) -> String {
    let mut lines: Vec<String> = refusals.iter().take(SHOWN).map(Refusal::to_string).collect();
    if refusals.len() > SHOWN {
        lines.push(format!("and {} more", refusals.len() - SHOWN));
    }
    lines.join("\n")
}
