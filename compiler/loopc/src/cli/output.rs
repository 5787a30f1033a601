//! Writing to standard output and standard error.
//!
//! Does not know what is written.

use std::io::{ErrorKind, Write};

use loopc::disk::DiskError;

/// Why a command could not do its work. Mistakes in plans are not among them: those are its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody reads standard output any more.
    ReaderGone,
    /// What to tell the person who called.
    Told(String),
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Failure {
        Failure::Told(error.to_string())
    }
}

/// Writes to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Told(format!("cannot write to standard output: {error}")),
    })
}

/// Writes to standard error. If that cannot be written there is nobody left to tell.
pub(super) fn note(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// One sentence about what went wrong, to standard error.
pub(super) fn complain(message: &str) {
    note(&format!("loopc: {message}\n"));
}
