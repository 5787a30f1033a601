//! Writing to standard output and standard error.
//!
//! Does not know what is written.

use std::io::{ErrorKind, Write};
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::diagnostic::render::Style;
use loop_compiler::diagnostic::render::one_line;
use loopc::disk::{DiskError, system_words};
use loopc::report::{self, Color};
use loopc::terminal::Stream;

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
    print_bytes(text.as_bytes())
}

/// Writes to standard output what need not be text.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Told(format!("cannot write to standard output: {}", system_words(&error))),
    })
}

/// Writes to standard error. If that cannot be written there is nobody left to tell.
pub(super) fn note(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// One sentence about what went wrong, to standard error. It may quote a file's name, which a terminal must not obey.
pub(super) fn complain(message: &str) {
    note(&format!("loopc: {}\n", one_line(message)));
}

/// What `--color` says. It holds for all that the process prints, also where no command thinks of it.
static COLOR: OnceLock<Color> = OnceLock::new();

/// Called once, before anything is printed.
pub(super) fn set_color(color: Color) {
    let _ = COLOR.set(color);
}

/// What `--color` says.
pub(super) fn color() -> Color {
    COLOR.get().copied().unwrap_or_default()
}

/// How text for people looks on a stream of this process.
pub(super) fn style(stream: Stream) -> Style {
    report::style(color(), stream)
}

/// Writes a whole file: beside it first, so that a reader never sees half of it.
pub(super) fn write_whole(file: &Utf8Path, bytes: &[u8]) -> Result<(), Failure> {
    let beside = Utf8PathBuf::from(format!("{file}.{}.tmp", std::process::id()));
    let written = std::fs::File::create_new(&beside).and_then(|mut out| out.write_all(bytes));
    written.and_then(|()| std::fs::rename(&beside, file)).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        Failure::Told(format!("cannot write {file}: {error}"))
    })
}
