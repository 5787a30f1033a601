//! Runs an execution graph: dispatches agents, verifies what they did, lands it, and keeps the journal.
//!
//! Does not know the plan language: it sees the compiled graph alone.

pub mod audit;
pub mod cli;
pub mod crash;
pub mod digest;
pub mod drive;
pub mod durable;
pub mod fault;
pub mod journal;
pub mod patch;
pub mod process;
pub mod record;
pub mod sandbox;
pub mod schedule;
pub mod state;
pub mod store;
pub mod work;
pub mod workspace;
