//! Small facts about this machine and its processes.
//!
//! Does not know why they are asked.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};

/// Identifies this boot of the machine (`random(4)`, boot_id); empty where the system does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Milliseconds since boot that the machine was awake (`CLOCK_MONOTONIC`); comparable within one [`boot_id`].
pub fn boot_time_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The machine's name, as `uname -n` prints it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// When a process started, in clock ticks since boot; `None`: there is no such process.
pub fn process_start_time(pid: u32) -> Option<u64> {
    super::tree::stat(pid).map(|stat| stat.start)
}

/// Was this process started, directly or not, by a command that runs under a shim? An agent must not approve its own
/// work. (Inside a sandbox nothing above it can be seen; the journal cannot be reached there either.)
pub fn descends_from_shim() -> bool {
    let all = super::tree::all();
    let mut pid = std::process::id();
    // Bounded: the reading may be torn.
    for _ in 0..=all.len() {
        let Some(stat) = all.get(&pid) else { return false };
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if words.split(|&byte| byte == 0).nth(1) == Some(super::shim::SHIM.as_bytes()) {
            return true;
        }
        pid = stat.parent;
    }
    false
}

/// Where a program is: `name` itself if it has a `/`, else the first executable of that name in `path` (colons
/// between directories, as in `PATH`; empty and relative entries are skipped, because what they name depends on
/// the working directory).
pub fn resolve_program(name: &str, path: &str) -> Option<Utf8PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return is_executable(Utf8Path::new(name)).then(|| Utf8PathBuf::from(name));
    }
    path.split(':')
        .filter(|entry| entry.starts_with('/'))
        .map(|entry| Utf8Path::new(entry).join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Utf8Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        assert!(resolve_program("sh", "/nonexistent:/usr/bin:/bin").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(resolve_program("/bin/sh", ""), Some("/bin/sh".into()));
        assert_eq!(resolve_program("sh", ""), None, "an empty entry is not the working directory");
        assert_eq!(resolve_program("passwd", "/etc"), None, "a file without the executable bit");
        assert_eq!(resolve_program("", "/bin"), None);
        assert_eq!(resolve_program("bin", "/usr"), None, "a directory");
    }

    #[test]
    fn this_process_has_a_start_time_and_a_boot() {
        let start = process_start_time(std::process::id()).expect("this process is alive");
        assert!(start > 0);
        assert_eq!(process_start_time(std::process::id()), Some(start));
        assert_eq!(boot_id().len(), 36);
        assert!(boot_time_ms() > 0);
        assert!(!host_name().is_empty());
        assert!(!descends_from_shim());
    }
}
