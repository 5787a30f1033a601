//! The `loop` program.
//!
//! Does not know anything itself: the library does the work.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: a shim has one thread and no open files.
    if let Some(code) = loop_runtime::process::shim_entry() {
        return code;
    }
    ExitCode::from(loop_runtime::cli::main().code())
}
