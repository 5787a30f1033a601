//! The audit log, checked and exported.
//!
//! Does not know how records are written.

pub mod verify;
