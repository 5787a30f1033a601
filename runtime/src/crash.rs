//! Named points at which a test can kill this process, to see what a crash leaves behind.
//!
//! Does not know what is done before or after a point. Without the cargo feature `crash-points`, and
//! without `LOOP_CRASH_AT` in the environment, a point does nothing.

/// Every point there is. A test checks that this list and the code name the same ones.
///
/// `LOOP_CRASH_AT=NAME` kills the process with SIGKILL when it first passes NAME, `LOOP_CRASH_AT=NAME:3` at
/// the third time.
pub const POINTS: &[&str] = &[
    "run.before-keep",
    "run.after-keep",
    "run.before-ended",
    "run.after-ended",
    "run.after-release",
    "resume.before-settled",
    "resume.after-settled",
    "resume.after-release",
    "resume.before-swap",
    "resume.after-swap",
    "resume.after-removed",
    "attempt.before-place",
    "attempt.before-shim",
    "attempt.after-started",
    "attempt.after-end",
    "attempt.after-captured",
    "attempt.after-place",
    "attempt.after-shim",
    "attempt.before-started",
    "attempt.while-running",
    "attempt.before-captured",
    "attempt.after-removed",
    "verify.before-append",
    "verify.after-append",
    "verify.before-run",
    "block.before-append",
    "block.after-append",
    "accept.before-append",
    "accept.after-append",
    "land.before-pack",
    "land.after-pack",
    "land.before-swap",
    "land.after-swap",
    "land.before-intent",
    "land.after-intent",
    "land.before-landed",
    "land.after-landed",
    "gate.before-passed",
    "gate.after-passed",
    "gate.before-reached",
    "gate.after-reached",
    "journal.append.before-write",
    "journal.append.half-written",
    "journal.append.before-sync",
    "journal.append.after-sync",
    "journal.file.created",
    "journal.file.before-directory-sync",
    "journal.repair.before-move",
    "journal.repair.before-cut",
    "journal.repair.after-cut",
    "store.put.before-write",
    "store.put.before-sync",
    "store.put.before-rename",
    "store.put.before-directory-sync",
    "store.put.after-directory-sync",
    "store.sync.before",
    "store.sync.between",
    "store.sync.after",
];

/// Passes the point called `name`: dies there if a test asked for it.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_name: &'static str) {}

/// Passes the point called `name`: dies there if a test asked for it.
#[cfg(feature = "crash-points")]
pub fn point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    let asked = ASKED.get_or_init(|| {
        let asked = std::env::var("LOOP_CRASH_AT").ok()?;
        match asked.split_once(':') {
            Some((name, time)) => Some((name.to_owned(), time.parse().ok()?)),
            None => Some((asked, 1)),
        }
    });
    let Some((asked, time)) = asked else { return };
    if asked == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *time {
        // A failure to send the signal cannot be told to anybody; abort ends the process as well.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::POINTS;

    #[test]
    fn the_list_names_the_points_of_the_code() {
        let mut named = BTreeSet::new();
        let mut open: Vec<PathBuf> = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    let text = fs::read_to_string(path).unwrap();
                    let calls = text.split(concat!("crash::", "point(\"")).skip(1);
                    named.extend(
                        calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()),
                    );
                }
            }
        }
        let listed: BTreeSet<String> = POINTS.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(listed.len(), POINTS.len(), "a point is listed twice");
        assert_eq!(named, listed);
    }
}
