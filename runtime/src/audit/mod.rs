//! The journal as an audit log: what a reader who trusts nobody can check in it.
//!
//! Does not know how records are written, nor what they mean for a run.

pub mod verify;
