//! Runs one thing: an agent's attempt, or a verification.
//!
//! Does not know the graph's topology, the journal, or what else is running.

pub mod agent;
pub mod predicate;
pub mod prompt;
pub mod verify;
