//! The files of one commit, as the compiler may see them, read through the git program.
//!
//! Does not know the working files, nor what a plan is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::source::{PathKind, ReadError, Sources};

use crate::disk::{MAX_FILE, PROJECT_FILE};

/// Symbolic links that are followed on the way to one file.
const MAX_LINKS: usize = 40;

/// What a commit has at a path.
#[derive(Clone, Debug)]
struct Entry {
    mode: String,
    object: String,
}

/// The tree of one commit.
#[derive(Debug)]
pub struct RevisionSources {
    entries: BTreeMap<Utf8PathBuf, Entry>,
    /// Everything but submodules, sorted.
    files: Vec<Utf8PathBuf>,
    objects: RefCell<Objects>,
}

/// A `git cat-file --batch` that answers one question after the other.
#[derive(Debug)]
struct Objects {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl RevisionSources {
    /// The files of `revision` in the repository at `root`.
    ///
    /// # Errors
    /// A sentence for people, if git is missing or knows no such revision.
    pub fn open(root: &Utf8Path, revision: &str) -> Result<RevisionSources, String> {
        let commit = format!("{revision}^{{commit}}");
        let commit = git(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])
            .map_err(|error| error.unwrap_or_else(|| format!("git knows no revision `{revision}`")))?;
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        let list = git(root, &["ls-tree", "-r", "-z", "--full-tree", &commit])
            .map_err(|error| error.unwrap_or_else(|| format!("git cannot list the files of `{revision}`")))?;
        let mut entries: BTreeMap<Utf8PathBuf, Entry> = BTreeMap::new();
        for line in list.split(|byte| *byte == 0) {
            // A path that is not UTF-8 can be named by no plan.
            let Some((head, path)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once('\t'))
            else {
                continue;
            };
            let mut words = head.split(' ');
            if let (Some(mode), Some(_), Some(object)) = (words.next(), words.next(), words.next()) {
                entries.insert(path.into(), Entry { mode: mode.to_owned(), object: object.to_owned() });
            }
        }
        let files = entries.iter().filter(|(_, entry)| entry.mode != "160000").map(|(path, _)| path.clone());
        let files = files.collect();
        let objects = RefCell::new(Objects::start(root)?);
        Ok(RevisionSources { entries, files, objects })
    }

    /// The `loop.kdl` that holds for a plan in this commit: the nearest one upwards.
    pub fn project_of(&self, plan: &Utf8Path) -> Option<Utf8PathBuf> {
        let above = plan.ancestors().skip(1).map(|directory| directory.join(PROJECT_FILE));
        above.into_iter().find(|file| self.entries.contains_key(file))
    }

    /// What a path leads to, links followed.
    fn resolve(&self, path: &Utf8Path) -> Result<Utf8PathBuf, ReadError> {
        let mut waiting: Vec<String> = parts(path);
        let mut place = Utf8PathBuf::new();
        let mut links = 0;
        while let Some(part) = waiting.pop() {
            match part.as_str() {
                "." => continue,
                ".." if place.pop() => continue,
                ".." => return Err(ReadError::Escapes),
                _ => place.push(&part),
            }
            let Some(link) = self.entries.get(&place).filter(|entry| entry.mode == "120000") else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(ReadError::Denied("too many levels of symbolic links".to_owned()));
            }
            let target = self.objects.borrow_mut().read(&link.object)?;
            let target = String::from_utf8(target).map_err(|_| ReadError::Missing)?;
            if target.starts_with('/') {
                return Err(ReadError::Escapes);
            }
            place.pop();
            waiting.extend(parts(Utf8Path::new(&target)));
        }
        Ok(place)
    }
}

/// The parts of a path, the first one last.
fn parts(path: &Utf8Path) -> Vec<String> {
    path.as_str().split('/').filter(|part| !part.is_empty()).rev().map(str::to_owned).collect()
}

impl Sources for RevisionSources {
    fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
        let place = self.resolve(path)?;
        match self.entries.get(&place) {
            Some(entry) if entry.mode == "160000" => Err(ReadError::NotAFile),
            Some(entry) => self.objects.borrow_mut().read(&entry.object),
            None if self.kind(&place).is_some() => Err(ReadError::NotAFile),
            None => Err(ReadError::Missing),
        }
    }

    fn kind(&self, path: &Utf8Path) -> Option<PathKind> {
        let Ok(place) = self.resolve(path) else { return Some(PathKind::Other) };
        match self.entries.get(&place) {
            Some(entry) if entry.mode == "160000" => Some(PathKind::Directory),
            Some(_) => Some(PathKind::File),
            None if place.as_str().is_empty() => Some(PathKind::Directory),
            None => {
                let below = self.entries.range(place.join("")..).next();
                below.filter(|(found, _)| found.starts_with(&place)).map(|_| PathKind::Directory)
            }
        }
    }

    fn files(&self) -> Option<&[Utf8PathBuf]> {
        Some(&self.files)
    }
}

impl Objects {
    fn start(root: &Utf8Path) -> Result<Objects, String> {
        let mut child = command(root)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot_start(&error))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(ask), Some(answer)) => Ok(Objects { child, ask, answer: BufReader::new(answer) }),
            _ => Err("git gave no pipes".to_owned()),
        }
    }

    /// The bytes of a blob. Source: git-cat-file(1), "BATCH OUTPUT".
    fn read(&mut self, object: &str) -> Result<Vec<u8>, ReadError> {
        let denied = |error: std::io::Error| ReadError::Denied(format!("git: {error}"));
        writeln!(self.ask, "{object}").and_then(|()| self.ask.flush()).map_err(denied)?;
        let mut head = String::new();
        self.answer.read_line(&mut head).map_err(denied)?;
        let size = head.trim_end().rsplit_once(' ').and_then(|(_, size)| size.parse::<u64>().ok());
        let size = size.ok_or_else(|| ReadError::Denied(format!("git: {}", head.trim_end())))?;
        if size > MAX_FILE {
            let mut rest = (&mut self.answer).take(size + 1);
            std::io::copy(&mut rest, &mut std::io::sink()).map_err(denied)?;
            return Err(ReadError::TooLarge(MAX_FILE));
        }
        let mut bytes = vec![0; size as usize + 1];
        self.answer.read_exact(&mut bytes).map_err(denied)?;
        bytes.pop();
        Ok(bytes)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // It only ever read.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(root: &Utf8Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
    command
}

fn cannot_start(error: &std::io::Error) -> String {
    format!("cannot start git, which reads revisions: {error}")
}

/// What git prints; `Err(None)` if it refuses.
fn git(root: &Utf8Path, arguments: &[&str]) -> Result<Vec<u8>, Option<String>> {
    let output = command(root).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Some(cannot_start(&error)))?;
    if output.status.success() { Ok(output.stdout) } else { Err(None) }
}
