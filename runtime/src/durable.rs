//! What the standard library lacks for files that must survive a crash: synced directories, random names,
//! and the identity of this boot.
//!
//! Does not know what is stored.

use std::fs::{self, File};
use std::io::{self, Read};

use camino::Utf8Path;

/// Makes the names in a directory durable: a new or renamed file exists after a crash only then (POSIX
/// leaves it open; Linux file systems want the directory itself synced).
pub fn sync_directory(directory: &Utf8Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Creates a directory and what is missing above it, each name durable.
pub fn create_directory(directory: &Utf8Path) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = directory;
    while !at.is_dir() {
        missing.push(at);
        match at.parent() {
            Some(parent) if !parent.as_str().is_empty() => at = parent,
            _ => break,
        }
    }
    for directory in missing.into_iter().rev() {
        match fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            other => other?,
        }
        match directory.parent() {
            Some(parent) if !parent.as_str().is_empty() => sync_directory(parent)?,
            _ => {}
        }
    }
    Ok(())
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A random id: 32 lower-case hex digits.
pub fn random_id() -> io::Result<String> {
    Ok(random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The id of this boot; `unknown` where the system has none to read.
pub fn boot_id() -> String {
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(text) => text.trim().to_owned(),
        Err(_) => "unknown".to_owned(),
    }
}

/// Milliseconds since boot, the time the machine slept included where the system counts it.
pub fn monotonic_ms() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Milliseconds since the epoch; 0 for a clock that stands before it.
pub fn wall_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

/// A directory for one test, in memory where the system has such a place: thousands of syncs cost nothing
/// there.
#[cfg(test)]
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("there is a place for scratch files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_with_their_parents() {
        let root = scratch();
        let root = Utf8Path::from_path(root.path()).unwrap();
        create_directory(&root.join("a/b/c")).unwrap();
        create_directory(&root.join("a/b/c")).unwrap();
        assert!(root.join("a/b/c").is_dir());
        fs::write(root.join("a/file"), "").unwrap();
        assert!(create_directory(&root.join("a/file")).is_err());
    }

    #[test]
    fn ids_are_random() {
        let id = random_id().unwrap();
        assert_eq!(id.len(), 32);
        assert_ne!(id, random_id().unwrap());
    }
}
