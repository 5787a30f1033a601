//! Whose fault an error is; the program's exit code and the answer to a failed attempt follow from it.
//!
//! Does not know the errors themselves: every room maps its own.

/// Who can put it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The person's request or plan: they must change it.
    User,
    /// The machine, the repository's state or a missing tool.
    Environment,
    /// What the agent did: its attempt fails.
    Agent,
    /// A broken invariant of this program.
    Internal,
}
