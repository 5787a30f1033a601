//! What the plan compiler needs from the outside: plan files on disk, facts about the terminal, and options for reports.
//!
//! Does not know what a plan says, nor how to check one; `loop-compiler` does. `loopc` and `loop` share it.

pub mod diff;
pub mod disk;
pub mod replace;
pub mod report;
pub mod revision;
pub mod terminal;
