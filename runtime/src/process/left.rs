//! Finds, awaits and ends what a shim left that does not end its tree itself.
//!
//! Does not know the protocol between shim and executor, nor which attempts were recorded.

use std::fs::File;
use std::time::Duration;

use camino::Utf8Path;
use rustix::fs::FlockOperation;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{ProcessError, ShimIdentity, tree};
use crate::sandbox::Containment;

/// How long the executor tries to end a tree whose shim does not.
const ENDING: Duration = Duration::from_secs(4);

/// How long what was killed may take to be gone.
const GONE: Duration = Duration::from_secs(1);

/// Ends what is left of a shim that does not do so itself: it was killed, stopped, or cannot cope. Is nothing left?
pub(super) async fn end_without_shim(
    shim: ShimIdentity,
    containment: Containment,
    lock: &Utf8Path,
    cwd: &Utf8Path,
) -> bool {
    let ended = tokio::task::spawn_blocking(move || end_tree_of(&shim)).await.unwrap_or(false);
    let left = wait_ended(lock, cwd, GONE).await;
    match containment {
        // The sandbox holds the lock until it is no more.
        Containment::Bwrap => ended && !matches!(left, Ok(Left::Locked) | Err(_)),
        Containment::Shim => ended && matches!(left, Ok(Left::Nothing)),
    }
}

/// Blocks for at most a few seconds. Is nothing left that can be told to be the shim's?
fn end_tree_of(shim: &ShimIdentity) -> bool {
    let found = tree::stat(shim.pid);
    if found.is_some_and(|found| found.start != shim.start) {
        return true;
    }
    if let Some(stuck) = found
        && !stuck.is_dead()
    {
        let ended = tree::end(&[shim.pid], ENDING, || {});
        // One that still has something to watch over keeps the lock.
        tree::signal(&stuck, if ended { Signal::KILL } else { Signal::CONT });
        return ended;
    }
    // The orphans of a dead shim belong to somebody else by now, but most are still of its session; the number is
    // not given to another process as long as one of them lives.
    let deadline = std::time::Instant::now() + ENDING;
    loop {
        let left: Vec<tree::Stat> =
            tree::all().into_values().filter(|stat| stat.session == shim.pid && !stat.is_dead()).collect();
        if left.is_empty() {
            return true;
        }
        let roots: Vec<u32> = left.iter().map(|stat| stat.pid).collect();
        left.iter().for_each(|stat| tree::signal(stat, Signal::STOP));
        tree::end(&roots, ENDING, || {});
        left.iter().for_each(|stat| tree::signal(stat, Signal::KILL));
        if std::time::Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends what an earlier executor's shim watches over, as far as it is still there: for a resume that has waited in
/// vain ([`wait_ended`]), because the shim itself was stopped. Nothing is touched unless machine, boot, process
/// number and start time are the recorded ones. Is nothing left that can be told to be the shim's?
pub async fn end_left(shim: &ShimIdentity) -> bool {
    if shim.boot != super::boot_id() || shim.host != super::host_name() {
        return true;
    }
    let shim = shim.clone();
    tokio::task::spawn_blocking(move || end_tree_of(&shim)).await.unwrap_or(false)
}

/// What an earlier attempt left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// Its shim, or its sandbox, still runs.
    Locked,
    /// No shim any more, but these processes use its directory (or somebody looks at it).
    Processes(Vec<u32>),
}

/// Waits, at most so long, until an attempt has ended: nobody holds its lock, and no process uses its directory. A
/// shim whose executor is gone ends its tree by itself, so waiting is enough.
pub async fn wait_ended(lock: &Utf8Path, dir: &Utf8Path, at_most: Duration) -> Result<Left, ProcessError> {
    let deadline = Instant::now() + at_most;
    if !wait_released(lock, at_most).await? {
        return Ok(Left::Locked);
    }
    loop {
        // A sandbox whose shim was killed gives the lock back a moment before its last process is gone.
        let left = super::processes_using(dir);
        if left.is_empty() {
            return Ok(Left::Nothing);
        }
        if Instant::now() >= deadline {
            return Ok(Left::Processes(left));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nobody holds the attempt's lock any more, at most so long; whether it came to that. A lock file that
/// does not exist is free.
pub async fn wait_released(lock: &Utf8Path, at_most: Duration) -> Result<bool, ProcessError> {
    let cannot = || ProcessError::io(format!("cannot open the lock {lock}"));
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(cannot()(error)),
    };
    let deadline = Instant::now() + at_most;
    let mut pause = Duration::from_millis(2);
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(cannot()(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recorded_shim_of_another_boot_or_with_a_reused_number_is_left_alone() {
        let own = std::process::id();
        let shim = ShimIdentity {
            pid: own,
            start: 1,
            boot: super::super::boot_id(),
            host: super::super::host_name(),
        };
        assert!(end_left(&shim).await, "this process has another start time, and lives");
        assert!(end_left(&ShimIdentity { boot: "another".into(), ..shim }).await);
    }
}
