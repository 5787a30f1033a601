//! The lock of a branch: one `loop exec` at a time moves it.
//!
//! Does not know git: a branch is a name. The lock is an open file's (`flock`), so it ends with its
//! process whatever happens; what is written in the file is for people.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::fault::ExitCode;

/// Who holds a lock, as it said itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
    pub boot: String,
    /// Milliseconds since the epoch.
    pub since_ms: u64,
}

/// Why a branch's lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Exit 7. `holder` is `None` in the moment before it has written who it is.
    #[error("another run holds the lock of {branch}{}; wait for it to end, or stop it", holder_text(.holder.as_ref()))]
    Held { branch: String, holder: Option<Holder> },
    /// Exit 6.
    #[error(
        "{path} is on a network file system ({kind}), where locks cannot be trusted; set LOOP_STATE_DIR to a directory on a local disk"
    )]
    Network { path: Utf8PathBuf, kind: &'static str },
    /// Exit 6.
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: Utf8PathBuf, source: io::Error },
}

impl LockError {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            LockError::Held { .. } => ExitCode::Locked,
            LockError::Network { .. } | LockError::Io { .. } => ExitCode::Environment,
        }
    }
}

fn holder_text(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, host, since_ms, .. }) => {
            let seconds = durable::wall_ms().saturating_sub(*since_ms) / 1000;
            let since = match seconds {
                0..120 => format!("{seconds} seconds"),
                120..7200 => format!("{} minutes", seconds / 60),
                _ => format!("{} hours", seconds / 3600),
            };
            format!(" (process {pid} on {host}, for {since})")
        }
        None => String::new(),
    }
}

/// The lock of one branch, held until this is dropped.
#[derive(Debug)]
pub struct BranchLock {
    file: File,
}

impl BranchLock {
    /// Takes the lock of a branch, or says who has it. Does not wait.
    pub fn take(state_dir: &Utf8Path, branch: &str) -> Result<BranchLock, LockError> {
        let failed = |action, path: &Utf8Path| {
            let path = path.to_owned();
            move |source| LockError::Io { action, path, source }
        };
        let directory = state_dir.join("locks");
        durable::create_directory(&directory).map_err(failed("create", &directory))?;
        if let Some(kind) = network_file_system(&directory).map_err(failed("examine", &directory))? {
            return Err(LockError::Network { path: directory, kind });
        }
        let path = directory.join(format!("{}.lock", escape(branch)));
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(LockError::Held { branch: branch.to_owned(), holder: holder(&path) });
            }
            Err(fs::TryLockError::Error(source)) => {
                return Err(LockError::Io { action: "lock", path, source });
            }
        }
        let me = Holder {
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: durable::boot_id(),
            since_ms: durable::wall_ms(),
        };
        let text = serde_json::to_vec(&me).expect("a holder has text and integers alone");
        file.set_len(0).and_then(|()| file.write_all(&text)).map_err(failed("write", &path))?;
        Ok(BranchLock { file })
    }
}

impl Drop for BranchLock {
    fn drop(&mut self) {
        // The file stays: a lock whose file is removed can be held twice. An empty one has no holder.
        let _ = self.file.set_len(0);
    }
}

/// Reads who holds a lock. The holder writes that right after it took it, so an empty file is read again.
fn holder(path: &Utf8Path) -> Option<Holder> {
    for _ in 0..20 {
        if let Some(holder) = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Some(holder);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A branch's name as a file name: bytes other than letters, digits, `_`, `-` and `.` as `%` and two hex
/// digits, so that no two branches share a lock. On a file system that folds case they may; then one waits.
fn escape(branch: &str) -> String {
    let mut name = String::new();
    for byte in branch.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// The kind of network file system that a path is on, if it is on one (magic numbers of statfs(2)).
/// Where the system gives none, nothing is known and nothing is refused.
pub fn network_file_system(path: &Utf8Path) -> io::Result<Option<&'static str>> {
    #[cfg(target_os = "linux")]
    {
        let kind = rustix::fs::statfs(path.as_std_path())?.f_type;
        // The field's width and sign differ between architectures; the numbers have 32 bits.
        Ok(match kind as u32 {
            0x6969 => Some("NFS"),
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
            0x0102_1997 => Some("9P"),
            0x5346_414f | 0x6b41_4653 => Some("AFS"),
            0x7375_7245 => Some("Coda"),
            0x00c3_6400 => Some("Ceph"),
            0x0bd0_0bd0 => Some("Lustre"),
            0x4750_4653 => Some("GPFS"),
            0x564c => Some("NCP"),
            _ => None,
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_learns_who_holds_it() {
        let root = crate::durable::scratch();
        let root = Utf8Path::from_path(root.path()).unwrap();
        let first = BranchLock::take(root, "loop/FEAT-1").unwrap();
        let Err(LockError::Held { branch, holder: Some(holder) }) = BranchLock::take(root, "loop/FEAT-1")
        else {
            panic!("the lock was taken twice");
        };
        assert_eq!(branch, "loop/FEAT-1");
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.host.is_empty() && holder.since_ms > 1_600_000_000_000);
        let other = BranchLock::take(root, "loop/FEAT-2").unwrap();
        drop(first);
        BranchLock::take(root, "loop/FEAT-1").unwrap();
        drop(other);
    }

    #[test]
    fn names_do_not_collide() {
        assert_eq!(escape("loop/a"), "loop%2fa");
        assert_ne!(escape("loop/a"), escape("loop%2fa"));
        assert_eq!(escape("é"), "%c3%a9");
    }
}
