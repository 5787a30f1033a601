//! Runs an execution graph: dispatches agents, verifies what they did, lands it, and keeps the journal.
//!
//! Does not know the plan language: it sees the compiled graph alone.

pub mod audit;
pub mod crash;
pub mod digest;
pub mod durable;
pub mod journal;
pub mod patch;
pub mod record;
pub mod state;
pub mod store;
