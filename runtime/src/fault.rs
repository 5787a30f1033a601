//! Whose fault an error is, and what that means for the exit code.
//!
//! Does not know the errors themselves: every room has its own type with a `fault` method.

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The plan, the command line, or the state of the user's repository.
    User,
    /// Something outside: a missing program, a full disk, a damaged journal.
    Environment,
    /// What an agent did.
    Agent,
    /// A mistake in this program.
    Internal,
}

/// How `loop` ends. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    Complete = 0,
    /// Work failed, and no person's decision is asked for.
    WorkFailed = 1,
    /// The plan, the command line or the repository is not as it must be.
    Usage = 2,
    /// A person has to approve or do something.
    Waiting = 3,
    /// Blocked, undone, drifted, or a gate's merged head is red.
    Blocked = 4,
    /// Money or another limit.
    Limit = 5,
    /// A program is missing or refused, or the journal is damaged.
    Environment = 6,
    /// Another run holds the lock.
    Locked = 7,
    Internal = 70,
    Interrupted = 130,
}

impl ExitCode {
    /// When several hold, the first of this list is the one that is told.
    pub const PRECEDENCE: [ExitCode; 10] = [
        ExitCode::Interrupted,
        ExitCode::Internal,
        ExitCode::Locked,
        ExitCode::Usage,
        ExitCode::Environment,
        ExitCode::Limit,
        ExitCode::Blocked,
        ExitCode::WorkFailed,
        ExitCode::Waiting,
        ExitCode::Complete,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            ExitCode::Complete => "complete",
            ExitCode::WorkFailed => "work failed",
            ExitCode::Usage => "the plan or the repository is not as it must be",
            ExitCode::Waiting => "waiting for a person",
            ExitCode::Blocked => "blocked",
            ExitCode::Limit => "a limit was reached",
            ExitCode::Environment => "something outside is missing",
            ExitCode::Locked => "another run holds the lock",
            ExitCode::Internal => "internal error",
            ExitCode::Interrupted => "interrupted",
        }
    }

    /// The one that is told when both hold.
    pub fn and(self, other: ExitCode) -> ExitCode {
        Self::PRECEDENCE.into_iter().find(|code| *code == self || *code == other).unwrap_or(self)
    }
}

impl From<Fault> for ExitCode {
    fn from(fault: Fault) -> ExitCode {
        match fault {
            Fault::User => ExitCode::Usage,
            Fault::Environment => ExitCode::Environment,
            Fault::Agent => ExitCode::WorkFailed,
            Fault::Internal => ExitCode::Internal,
        }
    }
}
