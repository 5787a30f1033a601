//! One binary for all end-to-end tests.
//!
//! Does not know anything itself.

mod process;
