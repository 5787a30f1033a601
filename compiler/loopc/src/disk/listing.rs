//! The files of a repository, and which paths its `.gitignore` files leave out.
//!
//! Does not know ignore rules from outside the repository (`info/exclude`, a person's own settings): two machines
//! must come to the same findings, and what a run captures is decided by the `.gitignore` files alone.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use loop_compiler::source::{Ignored, PathKind};

use super::index::tracked;

/// Bytes of the longest path that a system takes (PATH_MAX of Linux, with its end).
const LONGEST_PATH: usize = 4_096;

const IGNORE_FILE: &str = ".gitignore";

/// Bytes; a larger `.gitignore` decides nothing.
const MAX_IGNORE: u64 = 1 << 20;

/// What one repository holds, found out when it is first asked for and then kept: it is one moment's view.
#[derive(Debug)]
pub(super) struct Listing {
    root: Utf8PathBuf,
    tracked: OnceLock<Tracked>,
    files: OnceLock<Option<Vec<Utf8PathBuf>>>,
    /// By directory: the rules in force in it. Only ever asked, never listed.
    rules: Mutex<HashMap<String, Rules>>,
}

/// What git tracks, and every directory above it. Only ever asked, never listed, so that its order decides nothing.
#[derive(Debug, Default)]
struct Tracked {
    paths: HashSet<String>,
    directories: HashSet<String>,
}

/// The nearest `.gitignore` with rules first, then those above it (gitignore(5): the nearest decides, and in one
/// file the last line that matches).
type Rules = Option<Arc<Level>>;

#[derive(Debug)]
struct Level {
    directory: Utf8PathBuf,
    matcher: Gitignore,
    above: Rules,
}

impl Listing {
    pub(super) fn new(root: Utf8PathBuf) -> Listing {
        Listing { root, tracked: OnceLock::new(), files: OnceLock::new(), rules: Mutex::new(HashMap::new()) }
    }

    /// Sorted. `None` if a directory cannot be listed: half a list would make rules say what is not so.
    pub(super) fn files(&self) -> Option<&[Utf8PathBuf]> {
        self.files.get_or_init(|| self.walk()).as_deref()
    }

    pub(super) fn ignored(&self, path: &Utf8Path, kind: PathKind) -> Option<Ignored> {
        // No file has such a path, and asking level by level would take minutes.
        if path.as_str().len() > LONGEST_PATH {
            return None;
        }
        // Rules of a directory hold below it: without any here there are none above.
        self.rules(path.parent().unwrap_or(Utf8Path::new("")))?;
        let mut directory = Utf8PathBuf::new();
        let mut found = None;
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let here = directory.join(part);
            let is_directory = parts.peek().is_some() || kind == PathKind::Directory;
            found = ignoring(&self.rules(&directory), &here, is_directory);
            if found.is_some() {
                break;
            }
            directory = here;
        }
        found.filter(|_| !self.tracks(path))
    }

    fn tracked(&self) -> &Tracked {
        self.tracked.get_or_init(|| {
            let mut all = Tracked::default();
            for path in tracked(&self.root).unwrap_or_default() {
                for (at, _) in path.rmatch_indices('/') {
                    if all.directories.contains(&path[..at]) {
                        break;
                    }
                    all.directories.insert(path[..at].to_owned());
                }
                all.paths.insert(path);
            }
            all
        })
    }

    /// The path, or a file below it.
    fn tracks(&self, path: &Utf8Path) -> bool {
        let tracked = self.tracked();
        tracked.paths.contains(path.as_str()) || tracked.directories.contains(path.as_str())
    }

    fn rules(&self, directory: &Utf8Path) -> Rules {
        let mut known = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        // From the nearest directory above whose rules are known, downwards.
        let mut missing: Vec<&Utf8Path> = Vec::new();
        let mut rules = None;
        for above in directory.ancestors() {
            if let Some(found) = known.get(above.as_str()) {
                rules = found.clone();
                break;
            }
            missing.push(above);
        }
        for directory in missing.into_iter().rev() {
            rules = self.below(directory, rules);
            known.insert(directory.as_str().to_owned(), rules.clone());
        }
        rules
    }

    /// With the file of `directory` in force. As in git, a `.gitignore` that is a symbolic link counts for nothing, and
    /// so does a line that makes no sense.
    fn below(&self, directory: &Utf8Path, above: Rules) -> Rules {
        let file = self.root.join(directory).join(IGNORE_FILE);
        let sound = file.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() <= MAX_IGNORE);
        let Some(bytes) = sound.then(|| std::fs::read(&file).ok()).flatten() else { return above };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut builder = GitignoreBuilder::new("");
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Ok(line) = std::str::from_utf8(line) {
                let short = with_short_runs(line);
                // The place that a line came from is ours to choose: its number, and its text where it was changed.
                let place = match &short {
                    Cow::Borrowed(_) => format!("{} ", number + 1),
                    Cow::Owned(_) => format!("{} {line}", number + 1),
                };
                builder.add_line(Some(place.into()), &short).ok();
            }
        }
        match builder.build() {
            Ok(matcher) if !matcher.is_empty() => {
                Some(Arc::new(Level { directory: directory.to_owned(), matcher, above }))
            }
            _ => above,
        }
    }

    fn walk(&self) -> Option<Vec<Utf8PathBuf>> {
        let mut files = Vec::with_capacity(self.tracked().paths.len());
        let mut waiting: Vec<(Utf8PathBuf, Rules, bool)> = vec![(Utf8PathBuf::new(), None, false)];
        while let Some((directory, above, ignored)) = waiting.pop() {
            let mut entries: Vec<(String, std::fs::FileType)> = Vec::new();
            let place =
                if directory.as_str().is_empty() { self.root.clone() } else { self.root.join(&directory) };
            for entry in std::fs::read_dir(&place).ok()? {
                let entry = entry.ok()?;
                // A name that is not UTF-8 cannot stand in a plan.
                if let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) {
                    entries.push((name, kind));
                }
            }
            let has = |name: &str| entries.iter().any(|(entry, _)| entry == name);
            let top = directory.as_str().is_empty();
            // A repository in a directory of this one: its files are its own.
            if !top && has(".git") {
                continue;
            }
            let rules = if has(IGNORE_FILE) { self.below(&directory, above) } else { above };
            for (name, kind) in entries {
                if name.eq_ignore_ascii_case(".git") {
                    continue;
                }
                let path = if top { Utf8PathBuf::from(name) } else { directory.join(name) };
                let tracked = self.tracks(&path);
                if tracked && !kind.is_dir() {
                    files.push(path);
                    continue;
                }
                // What lies in an ignored directory is ignored whatever its own rules say, unless it is tracked.
                let ignored = ignored || ignoring(&rules, &path, kind.is_dir()).is_some();
                match (ignored && !tracked, kind.is_dir()) {
                    (true, _) => {}
                    (false, true) => waiting.push((path, rules.clone(), ignored)),
                    (false, false) => files.push(path),
                }
            }
        }
        files.sort_unstable_by(|a: &Utf8PathBuf, b| a.as_str().cmp(b.as_str()));
        Some(files)
    }
}

/// The line that decides, if it ignores. A directory above the path is the caller's to judge.
fn ignoring(rules: &Rules, path: &Utf8Path, is_directory: bool) -> Option<Ignored> {
    let mut level = rules;
    while let Some(rules) = level {
        let below = path.strip_prefix(&rules.directory).unwrap_or(path);
        match rules.matcher.matched(below, is_directory) {
            Match::Ignore(glob) => {
                let place = glob.from().and_then(|place| place.to_str()?.split_once(' '));
                let (number, text) = place.unwrap_or_default();
                return Some(Ignored {
                    path: path.to_owned(),
                    file: rules.directory.join(IGNORE_FILE),
                    line: number.parse().unwrap_or(1),
                    pattern: if text.is_empty() { glob.original() } else { text }.to_owned(),
                });
            }
            Match::Whitelist(_) => return None,
            Match::None => level = &rules.above,
        }
    }
    None
}

/// A run of three asterisks or more means to git what two do (`wildmatch` reads on to the end of the run); the
/// matcher takes it for something else.
fn with_short_runs(line: &str) -> Cow<'_, str> {
    if !line.contains("***") {
        return Cow::Borrowed(line);
    }
    let mut short = String::with_capacity(line.len());
    for c in line.chars() {
        if c != '*' || !short.ends_with("**") {
            short.push(c);
        }
    }
    Cow::Owned(short)
}
