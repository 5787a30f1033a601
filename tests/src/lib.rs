//! What the end-to-end tests share: the built binaries, temporary repositories, lanes, and the scripted model.
//!
//! Does not know any single test, nor the inside of the programs: it drives them by their command lines and reads what
//! they print and leave on disk.

mod binaries;
mod counted;
mod lanes;
mod model;
mod place;
mod repo;
mod scripted;
mod snapshot;
mod watch;

pub use binaries::{loop_binary, loopc_binary, model_server_binary, workspace_root};
pub use counted::{LEVELS, each_level};
pub use lanes::{Lane, lane, skipped};
pub use model::Model;
pub use place::{Place, loopc_command, output_of, text};
pub use repo::{Journal, Outcome, Repo, Running, git_at};
pub use scripted::{BRANCH, PLAN, creates};
pub use snapshot::Snapshot;
pub use watch::Watch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file or directory below `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    workspace_root().join("tests/fixtures").join(name)
}

/// Waits until `condition` holds. The figure is generous: a test that waits in vain has failed anyway, and machines are slow.
///
/// # Panics
/// When the condition does not hold in time; `what` names it.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
