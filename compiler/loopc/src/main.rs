//! The plan compiler's command line.
//!
//! Does not know the language: it finds files, calls the compiler and prints.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main().into()
}
