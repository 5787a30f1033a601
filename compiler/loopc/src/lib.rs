//! What the plan compiler needs from the outside: plan files on disk, and facts about the terminal.
//!
//! Does not know what a plan says, nor how to check one; `loop-compiler` does. `loopc` and `loop` share it.

pub mod disk;
pub mod revision;
pub mod terminal;
