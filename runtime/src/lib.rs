//! Runs an execution graph: dispatches agents, verifies what they did, lands it, and keeps the journal.
//!
//! Does not know the plan language: it sees the compiled graph alone.

pub mod digest;
pub mod patch;
pub mod record;
pub mod schedule;
