//! Runs one command so that nothing of it outlives its executor: shim, lock, limits, capped output.
//!
//! Does not know what the command is for (agent or verifier), nor the graph, the journal or git.
//!
//! The executor starts a **shim** (this program again, single-threaded) and the shim starts the command. The
//! shim holds the attempt's lock, adopts every orphan of the command, and ends all of them when the command
//! ends, when it is told to, or when the executor is gone (`spec/protocol.md`, "Processes").

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use camino::Utf8PathBuf;

use crate::fault::Fault;
use crate::sandbox::Profile;

mod cancel;
mod capture;
mod facts;
mod left;
mod run;
mod shim;
mod tree;
mod wire;

pub use cancel::{Cancel, CancelHandle, cancellation};
pub use capture::Captured;
pub use facts::{boot_id, boot_time_ms, descends_from_shim, host_name, process_start_time, resolve_program};
pub use left::{Left, end_left, wait_ended, wait_released};
pub use run::Shim;
pub use shim::shim_entry;
pub use tree::processes_using;

/// The time between a polite TERM and KILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// What to run, where, and within which bounds.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    /// Program and arguments. A name without `/` is looked up in the `PATH` of `env`.
    pub argv: Vec<OsString>,
    pub cwd: Utf8PathBuf,
    /// The whole environment: nothing is inherited.
    pub env: BTreeMap<String, OsString>,
    /// Opened read-only: a regular file, or `/dev/null`. Anything else is refused, because it might never end.
    pub stdin: Utf8PathBuf,
    pub limits: Limits,
    /// The attempt's lock file: it exists, and the shim holds a `flock` on it as long as anything runs.
    pub lock: Utf8PathBuf,
    pub profile: Profile,
    pub program: ShimProgram,
}

/// Bounds of one command.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From GO to the end.
    pub total: Option<Duration>,
    /// Since the last byte on either stream.
    pub idle: Option<Duration>,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// Bytes kept of each stream: the first and the last half of it. The observer sees everything.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { total: None, idle: None, grace: GRACE, output_bytes: 4 << 20 }
    }
}

/// The program that becomes the shim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShimProgram {
    /// The running program, through a descriptor that was opened when it was first needed: a rebuilt or
    /// deleted file makes no difference. Its `main` must call [`shim_entry`] first.
    #[default]
    Current,
    /// Another program whose `main` calls [`shim_entry`] first (tests: the test harness is no shim).
    At(Utf8PathBuf),
}

/// One of the command's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Sees each piece of output as it arrives, whole, whatever the cap. It must return quickly: while it works the
/// command's pipe fills.
pub type Observer<'a> = &'a mut (dyn FnMut(Stream, &[u8]) + Send);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Under bubblewrap a command that died of signal n is told apart as well: its code is 128 + n there, and
    /// is given here as [`End::Signaled`].
    Exited(i32),
    Signaled(i32),
    /// It ran longer than [`Limits::total`].
    TimedOut,
    /// It said nothing for [`Limits::idle`].
    IdleTimedOut,
    Cancelled,
    /// The program is missing or cannot be executed: words for people.
    NotFound(String),
    /// The shim ended without a report: something killed it.
    ShimLost,
}

/// What a command left.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub end: End,
    pub stdout: Captured,
    pub stderr: Captured,
    /// From GO until the end of the tree.
    pub duration: Duration,
    /// The shim saw that no descendant is left. `false`: something may still run (see [`processes_using`]).
    pub tree_empty: bool,
}

/// Identifies a shim's process for people; the lock decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimIdentity {
    pub pid: u32,
    /// Start time in clock ticks since boot (`proc(5)`, field 22 of `stat`).
    pub start: u64,
    pub boot: String,
    pub host: String,
}

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot start the shim ({program}): {source}")]
    Start { program: String, source: std::io::Error },
    #[error("another process still holds the lock {0}: an earlier attempt has not ended")]
    Locked(Utf8PathBuf),
    #[error("the shim refused to start: {0}")]
    Refused(String),
    #[error("the shim ended before it was ready")]
    Lost,
    #[error("bubblewrap could not set the sandbox up: {0}")]
    Sandbox(String),
    #[error("{doing}: {source}")]
    Io { doing: String, source: std::io::Error },
}

impl ProcessError {
    /// Whose fault it is. What the command itself does wrong is an [`End`], never an error.
    pub fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> ProcessError {
        let doing = doing.into();
        move |source| ProcessError::Io { doing, source }
    }
}
