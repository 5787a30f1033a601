//! Finds and ends the descendants of a process.
//!
//! Does not know the protocol between shim and executor.
//!
//! A process can leave its group and its session but not its ancestry, as long as an ancestor is a child
//! subreaper (`PR_SET_CHILD_SUBREAPER`): its orphans come back to it. So the tree is read from `/proc`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, PidfdFlags, Signal};

/// What `/proc/PID/stat` tells (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) session: u32,
    /// `R`, `S`, `T`, `Z`...
    pub(super) state: u8,
    pub(super) start: u64,
}

impl Stat {
    /// Ended, and only its entry in the process table is left.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Can run no further instruction until somebody continues it.
    fn is_still(&self) -> bool {
        matches!(self.state, b'T' | b't' | b'Z' | b'X')
    }
}

/// Reads one process; `None`: there is no such process.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may hold anything, parentheses and line ends too: the fields begin after the last one.
fn parse_stat(pid: u32, bytes: &[u8]) -> Option<Stat> {
    let close = bytes.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// Every process that this one can see, by pid.
pub(super) fn all() -> BTreeMap<u32, Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect()
}

/// All living descendants of the roots, without the roots, parents before children.
pub(super) fn descendants(roots: &[u32]) -> Vec<Stat> {
    let all = all();
    let mut children: BTreeMap<u32, Vec<Stat>> = BTreeMap::new();
    for stat in all.values() {
        children.entry(stat.parent).or_default().push(*stat);
    }
    let mut found: Vec<Stat> = Vec::new();
    let mut parents: Vec<u32> = roots.to_vec();
    let mut next = 0;
    while let Some(&parent) = parents.get(next) {
        next += 1;
        // Taken out, so that a torn reading with a cycle in it ends as well.
        for child in children.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            if !child.is_dead() {
                found.push(child);
            }
        }
    }
    found
}

/// Sends a signal to exactly the process that was seen, never to a later one that got its number.
pub(super) fn signal(seen: &Stat, signal: Signal) {
    let Some(pid) = i32::try_from(seen.pid).ok().and_then(Pid::from_raw) else { return };
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => {
            if stat(seen.pid).is_some_and(|now| now.start == seen.start) {
                let _ = rustix::process::pidfd_send_signal(&descriptor, signal);
            }
        }
        // A kernel before 5.3, or a filter that does not know the call.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            if stat(seen.pid).is_some_and(|now| now.start == seen.start) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        Err(_) => {}
    }
}

/// Ends every descendant of the roots: STOP until a scan finds nobody who runs, then KILL, until none is left or
/// the time is over. `reap` is called between scans (the caller may be the parent of the dead). Is nothing left?
pub(super) fn end(roots: &[u32], within: Duration, mut reap: impl FnMut()) -> bool {
    let deadline = Instant::now() + within;
    loop {
        // A process that is stopped cannot fork, so each round either finds a new one or the set is complete. A
        // tree that grows faster than it is stopped is killed as far as it is known, and scanned again.
        for _ in 0..64 {
            let running: Vec<Stat> = descendants(roots).into_iter().filter(|stat| !stat.is_still()).collect();
            running.iter().for_each(|stat| signal(stat, Signal::STOP));
            if running.is_empty() || Instant::now() > deadline {
                break;
            }
        }
        descendants(roots).iter().for_each(|stat| signal(stat, Signal::KILL));
        reap();
        if descendants(roots).is_empty() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes that use something in a directory: as working directory, root, program or open file. This one is
/// left out. Processes of other users show nothing to a user who is not root.
pub fn processes_using(dir: &Utf8Path) -> Vec<u32> {
    let own = std::process::id();
    all().into_keys().filter(|&pid| pid != own && uses(pid, dir)).collect()
}

fn uses(pid: u32, dir: &Utf8Path) -> bool {
    let below =
        |link: std::path::PathBuf| std::fs::read_link(link).is_ok_and(|target| target.starts_with(dir));
    let base = std::path::PathBuf::from(format!("/proc/{pid}"));
    ["cwd", "root", "exe"].iter().any(|name| below(base.join(name)))
        || std::fs::read_dir(base.join("fd"))
            .is_ok_and(|entries| entries.flatten().any(|entry| below(entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_a_line_end_is_read() {
        let mut line = b"42 (a) b\n(c) S 7 42 41 0 -1".to_vec();
        line.extend_from_slice(b" 0 0 0 0 0 0 0 0 0 20 0 1 0 987 0 0");
        let stat = parse_stat(42, &line).expect("well formed");
        assert_eq!(stat, Stat { pid: 42, parent: 7, session: 41, state: b'S', start: 987 });
        assert_eq!(parse_stat(1, b""), None);
        assert_eq!(parse_stat(1, b"1 (x) S"), None);
    }

    #[test]
    fn this_process_uses_its_working_directory_and_a_child_is_found_there() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = Utf8Path::from_path(dir.path()).expect("UTF-8");
        assert_eq!(processes_using(path), Vec::<u32>::new());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(path)
            .spawn()
            .expect("sleep is installed");
        assert_eq!(processes_using(path), vec![child.id()]);
        assert!(descendants(&[std::process::id()]).iter().any(|stat| stat.pid == child.id()));
        signal(&stat(child.id()).expect("alive"), Signal::KILL);
        child.wait().expect("it ends");
        assert_eq!(processes_using(path), Vec::<u32>::new());
    }
}
