//! The journal: an append-only, hash-chained log of what happened, and the only code that writes it.
//!
//! Does not know what records mean for a unit (`state`) nor when one is due (`drive`).
//!
//! One journal per feature, so that the lock of the feature's branch orders its runs and no feature waits
//! for another: `<state>/journal/<feature>/NNNNNN-<run>.jsonl`, a file for each run, one chain over all of
//! them. `loop approve` and `loop done` append while a run is going on: each append takes a short lock,
//! reads what others added since, and continues from there. The format is `spec/journal.md`.

pub mod lock;
mod read;
mod writer;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use read::Reader;
pub use read::Torn;

use crate::crash;
use crate::digest::Sha256;
use crate::durable;
use crate::fault::Fault;
use crate::record::{self, Event, JcsError, RECORD_VERSION, Record};

/// How long an append waits for another process's append before it gives up. One takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a journal could not be read or written. Exit 6 unless said otherwise: none is the plan's fault.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A complete line is not what was written. Never repaired.
    #[error(
        "the journal is damaged: {file}, line {line} (record {seq}): {damage}. Nothing was changed; restore the file from a copy, or move its directory away to start without a history"
    )]
    Corrupt { file: Utf8PathBuf, line: usize, seq: u64, damage: Damage },
    #[error(
        "{file}, line {line} was written by a newer version (format {version}, this one knows {RECORD_VERSION}); use that version"
    )]
    Newer { file: Utf8PathBuf, line: usize, version: u32 },
    /// The disk is full, or it failed. What was written in part was cut off again if `cut_back`.
    #[error("cannot append to {path}: {source}. {}", if *.cut_back { "Nothing was recorded" } else { "The journal takes no further records in this run" })]
    Append { path: Utf8PathBuf, source: io::Error, cut_back: bool },
    /// An earlier append failed in a way that leaves the file's state unknown.
    #[error(
        "an earlier append to the journal failed; run the command again to continue from what is on disk"
    )]
    Unusable,
    #[error("another process has held {0} for more than ten seconds; end it, or wait for it")]
    Busy(Utf8PathBuf),
    /// The feature's id cannot be a directory's name (a usage error: exit 2).
    #[error("the feature id {0:?} cannot name a directory; use letters, digits, `.`, `_` and `-`")]
    Feature(String),
    /// A mistake of the program: an append before any run.
    #[error("the journal has no run yet")]
    NoRun,
    /// A mistake of the program: a record without canonical form.
    #[error("a record cannot be written: {0}")]
    Record(#[from] JcsError),
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: Utf8PathBuf, source: io::Error },
}

impl JournalError {
    pub fn fault(&self) -> Fault {
        match self {
            JournalError::Feature(_) => Fault::User,
            JournalError::NoRun | JournalError::Record(_) => Fault::Internal,
            _ => Fault::Environment,
        }
    }

    fn io(action: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_owned();
        move |source| JournalError::Io { action, path, source }
    }
}

/// What is wrong with a complete line, or with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it does not have the form of a journal line")]
    Shape,
    #[error("its bytes do not have the digest that it carries")]
    Digest,
    #[error("the end of the line was changed")]
    Ending,
    #[error("it does not continue the record before it")]
    Previous,
    /// Two clones, or a restored copy, continued one record.
    #[error("it is a fork: a second line that continues {}", match .after { Some(seq) => format!("record {seq}"), None => "the beginning".to_owned() })]
    Fork { after: Option<u64> },
    #[error("it has the number {0}")]
    Sequence(u64),
    #[error("its record cannot be read: {0}")]
    Record(String),
    #[error("it has no end, and a later file follows")]
    Unfinished,
    #[error("the file is gone or shorter than it was")]
    Shortened,
}

/// A line of the journal as it stands on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The exact bytes, newline included: what `--json` prints.
    pub bytes: Vec<u8>,
    pub record: Record,
    /// The line's `self`.
    pub digest: Sha256,
}

/// The end of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many records there are, which is the next one's `seq`.
    pub records: u64,
    /// `self` of the newest record; zeros when there is none.
    pub digest: Sha256,
}

/// Must the records be on disk before anything else happens?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Synced when `append` returns, and all that was appended before with it.
    Synced,
    /// Visible to readers at once; on disk with the next synced append, or when the system writes it.
    Lazy,
}

/// What an append found and did. To fold: first `foreign`, then `written`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// What other processes appended since the last call.
    pub foreign: Vec<Line>,
    /// What this call appended; after a torn tail it begins with a `journal.repaired`.
    pub written: Vec<Line>,
}

/// A journal as it was opened: its records, checked, and what the next append will repair.
#[derive(Debug)]
pub struct Opened {
    pub journal: Journal,
    pub lines: Vec<Line>,
    /// Bytes that the first append moves aside. Check what the branch, the pushed log and approvals name
    /// before it: evidence of a later record means that this is no torn append.
    pub torn: Option<Torn>,
}

/// A journal that was read without a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub lines: Vec<Line>,
    /// An append that was cut, or one that is being written right now.
    pub torn: Option<Torn>,
}

/// Is it a file name that cannot hide, escape or collide (RULES 5 and the ban on `..`, `.lock`)?
fn is_safe_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && name.len() <= 64
        && !name.contains("..")
        && !name.ends_with('.')
        && !name.ends_with(".lock")
}

fn directory(state_dir: &Utf8Path, feature: &str) -> Result<Utf8PathBuf, JournalError> {
    if !is_safe_name(feature) {
        return Err(JournalError::Feature(feature.to_owned()));
    }
    Ok(state_dir.join("journal").join(feature))
}

/// Reads a feature's journal without a lock and without changing anything: for `status`, `why`, `log`.
/// A feature that never ran has an empty one.
pub fn read(state_dir: &Utf8Path, feature: &str) -> Result<Contents, JournalError> {
    let (lines, torn) = Reader::new(directory(state_dir, feature)?).advance()?;
    Ok(Contents { lines, torn })
}

/// The features that have a journal, sorted.
pub fn features(state_dir: &Utf8Path) -> Result<Vec<String>, JournalError> {
    let root = state_dir.join("journal");
    let entries = match root.read_dir_utf8() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(JournalError::io("list", &root))?,
    };
    let mut features = Vec::new();
    for entry in entries {
        let entry = entry.map_err(JournalError::io("list", &root))?;
        if is_safe_name(entry.file_name()) && entry.path().is_dir() {
            features.push(entry.file_name().to_owned());
        }
    }
    features.sort();
    Ok(features)
}

/// Follows a journal that another process writes. Takes no lock.
#[derive(Debug)]
pub struct Follow {
    reader: Reader,
}

impl Follow {
    /// Follows from the first record on.
    pub fn new(state_dir: &Utf8Path, feature: &str) -> Result<Follow, JournalError> {
        Ok(Follow { reader: Reader::new(directory(state_dir, feature)?) })
    }

    /// The complete lines since the last call; none is no error.
    pub fn poll(&mut self) -> Result<Vec<Line>, JournalError> {
        Ok(self.reader.advance()?.0)
    }
}

/// The one writer of a feature's journal in this process.
#[derive(Debug)]
pub struct Journal {
    reader: Reader,
    writer: String,
    boot: String,
    /// The run that records are written for.
    run: Option<String>,
    /// `run` has no file yet.
    begins: bool,
    /// The newest file, kept open: an error of a write that the system did late is told to those alone who
    /// had the file open.
    file: Option<(String, File)>,
    /// Names in `moved_to` of the repairs that the journal tells of.
    told: Vec<String>,
    /// Something was appended lazily since the last sync.
    unsynced: bool,
    unusable: bool,
}

impl Journal {
    /// Opens a feature's journal for appending, and replays it.
    pub fn open(state_dir: &Utf8Path, feature: &str) -> Result<Opened, JournalError> {
        let directory = directory(state_dir, feature)?;
        durable::create_directory(&directory).map_err(JournalError::io("create", &directory))?;
        let mut journal = Journal {
            writer: writer::id(state_dir)?,
            boot: durable::boot_id(),
            run: None,
            begins: false,
            file: None,
            told: Vec::new(),
            unsynced: false,
            unusable: false,
            reader: Reader::new(directory),
        };
        let _lock = journal.lock()?;
        let (lines, torn) = journal.reader.advance()?;
        journal.note(&lines);
        journal.run = lines.last().map(|line| line.record.run.clone());
        Ok(Opened { journal, lines, torn })
    }

    /// The newest record that this process knows.
    pub fn head(&self) -> Head {
        self.reader.head()
    }

    /// This clone's id.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// The run that records are written for: the newest one of the file, or the one begun since.
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Begins a run: the next append starts its file. `run` is an id of letters, digits, `.`, `_`, `-`.
    /// To continue an open run, do not call this.
    pub fn begin_run(&mut self, run: &str) -> Result<(), JournalError> {
        if !is_safe_name(run) {
            return Err(JournalError::Feature(run.to_owned()));
        }
        self.run = Some(run.to_owned());
        self.begins = true;
        Ok(())
    }

    /// Appends records for the events, in one write, after those that others appended meanwhile. Without
    /// events it tells a repair, if there was one, and makes durable what was appended lazily.
    pub fn append(&mut self, events: &[Event], durability: Durability) -> Result<Appended, JournalError> {
        self.append_if(events, durability, |_| true)
    }

    /// As [`append`](Journal::append), but writes nothing when others appended something meanwhile: for a
    /// decision that was made on what was known. `written` is empty then.
    pub fn append_unless_moved(
        &mut self,
        events: &[Event],
        durability: Durability,
    ) -> Result<Appended, JournalError> {
        self.append_if(events, durability, <[Line]>::is_empty)
    }

    /// What others appended since the last call.
    pub fn poll(&mut self) -> Result<Vec<Line>, JournalError> {
        let _lock = self.lock()?;
        let (lines, _) = self.reader.advance()?;
        self.note(&lines);
        Ok(lines)
    }

    fn append_if(
        &mut self,
        events: &[Event],
        durability: Durability,
        wanted: impl FnOnce(&[Line]) -> bool,
    ) -> Result<Appended, JournalError> {
        if self.unusable {
            return Err(JournalError::Unusable);
        }
        let _lock = self.lock()?;
        let (foreign, torn) = self.reader.advance()?;
        self.note(&foreign);
        if !wanted(&foreign) {
            return Ok(Appended { foreign, written: Vec::new() });
        }
        let run = self.run.clone().ok_or(JournalError::NoRun)?;
        if let Some(torn) = torn {
            self.move_aside(&torn)?;
        }
        // Also those of a process that died between moving the bytes aside and telling it.
        let mut all = self.untold_repairs()?;
        all.extend_from_slice(events);
        let written = self.lines(&run, all)?;
        if !written.is_empty() {
            self.write(&run, &written, durability)?;
            self.note(&written);
        } else if durability == Durability::Synced && self.unsynced {
            self.sync()?;
        }
        Ok(Appended { foreign, written })
    }

    /// The short lock of one append. It ends with the file that is returned.
    fn lock(&self) -> Result<File, JournalError> {
        let path = self.reader.directory.join("append.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(JournalError::io("open", &path))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::Error(source)) => {
                    return Err(JournalError::Io { action: "lock", path, source });
                }
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => {
                    return Err(JournalError::Busy(path));
                }
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn note(&mut self, lines: &[Line]) {
        for line in lines {
            if let Event::JournalRepaired { moved_to, .. } = &line.record.event {
                self.told.push(moved_to.clone());
            }
        }
    }

    fn lines(&self, run: &str, events: Vec<Event>) -> Result<Vec<Line>, JournalError> {
        let Head { mut records, mut digest } = self.head();
        let time_ms = durable::wall_ms();
        let mono_ms = durable::monotonic_ms();
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            let record = Record {
                v: RECORD_VERSION,
                seq: records,
                writer: self.writer.clone(),
                run: run.to_owned(),
                time_ms,
                mono_ms,
                boot: self.boot.clone(),
                event,
            };
            let mut bytes = format!("{{\"prev\":\"{digest}\",\"rec\":").into_bytes();
            bytes.extend(record::to_jcs(&record)?);
            digest = Sha256::of(&bytes);
            bytes.extend_from_slice(format!(",\"self\":\"{digest}\"}}\n").as_bytes());
            records += 1;
            lines.push(Line { bytes, record, digest });
        }
        Ok(lines)
    }

    fn write(&mut self, run: &str, lines: &[Line], durability: Durability) -> Result<(), JournalError> {
        let starts = self.begins || self.reader.files.is_empty();
        let name = match self.reader.files.last() {
            Some(last) if !starts => last.clone(),
            last => format!("{:06}-{run}.jsonl", last.map_or(0, |name| number(name) + 1)),
        };
        let path = self.reader.directory.join(&name);
        let offset = if starts { 0 } else { self.reader.offset };
        if starts {
            self.start_file(&name, &path)?;
        }
        let file = self.file(&name, &path)?;
        let bytes: Vec<u8> = lines.iter().flat_map(|line| &line.bytes).copied().collect();
        // A new file is synced in any case: later ones must not be there without it.
        let sync = starts || durability == Durability::Synced;
        match write_at(file, &bytes, offset, sync) {
            Ok(()) => {}
            Err(Failure { source, synced }) => {
                let cut_back = file.set_len(offset).and_then(|()| file.sync_data()).is_ok();
                // After a failed sync nobody knows which pages reached the disk, not even the system.
                self.unusable = !cut_back || synced;
                if starts && cut_back {
                    let _ = fs::remove_file(&path);
                    self.file = None;
                }
                return Err(JournalError::Append { path, source, cut_back: cut_back && !synced });
            }
        }
        if starts {
            crash::point("journal.file.before-directory-sync");
            if let Err(source) = durable::sync_directory(&self.reader.directory) {
                self.unusable = true;
                return Err(JournalError::Append { path, source, cut_back: false });
            }
            self.reader.start(name);
            self.begins = false;
        }
        self.unsynced = !sync;
        lines.iter().for_each(|line| self.reader.push(line));
        Ok(())
    }

    /// Makes what was appended lazily durable.
    fn sync(&mut self) -> Result<(), JournalError> {
        let Some(name) = self.reader.files.last().cloned() else { return Ok(()) };
        let path = self.reader.directory.join(&name);
        if let Err(source) = self.file(&name, &path)?.sync_data() {
            self.unusable = true;
            return Err(JournalError::Append { path, source, cut_back: false });
        }
        self.unsynced = false;
        Ok(())
    }

    /// Creates the next file. What the one before holds is synced first: a record must not survive those
    /// that it continues.
    fn start_file(&mut self, name: &str, path: &Utf8Path) -> Result<(), JournalError> {
        self.sync()?;
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        self.file = Some((name.to_owned(), file.map_err(JournalError::io("create", path))?));
        crash::point("journal.file.created");
        Ok(())
    }

    fn file(&mut self, name: &str, path: &Utf8Path) -> Result<&File, JournalError> {
        if self.file.as_ref().is_none_or(|(open, _)| open != name) {
            let file = OpenOptions::new().write(true).open(path).map_err(JournalError::io("open", path))?;
            self.file = Some((name.to_owned(), file));
        }
        let (_, file) = self.file.as_ref().expect("it was set above");
        Ok(file)
    }

    /// Copies a torn tail to a file of its own, then cuts it off. A crash in between leaves both: the next
    /// append finds the copy and uses it.
    fn move_aside(&mut self, torn: &Torn) -> Result<(), JournalError> {
        crash::point("journal.repair.before-move");
        let name = self.reader.files.last().cloned().expect("torn bytes are those of a file");
        let length = usize::try_from(torn.bytes).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        File::open(&torn.file)
            .and_then(|file| file.read_exact_at(&mut bytes, torn.offset))
            .map_err(JournalError::io("read", &torn.file))?;
        let stem = name.trim_end_matches(".jsonl");
        let mut copy = 0;
        loop {
            let moved_to = format!("{stem}.torn-{}-{copy}", torn.offset);
            let path = self.reader.directory.join(&moved_to);
            match fs::read(&path) {
                // A copy that a crash cut short is completed; one that the journal tells of is kept.
                Ok(before) if self.told.contains(&moved_to) || !bytes.starts_with(&before) => copy += 1,
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(JournalError::Io { action: "read", path, source: error });
                }
                Ok(_) | Err(_) => {
                    File::create(&path)
                        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
                        .and_then(|()| durable::sync_directory(&self.reader.directory))
                        .map_err(JournalError::io("write", &path))?;
                    if !self.reader.moved.contains(&moved_to) {
                        self.reader.moved.push(moved_to);
                    }
                    break;
                }
            }
        }
        crash::point("journal.repair.before-cut");
        let file = self.file(&name, &torn.file)?;
        file.set_len(torn.offset)
            .and_then(|()| file.sync_data())
            .map_err(JournalError::io("cut the torn end of", &torn.file))?;
        crash::point("journal.repair.after-cut");
        Ok(())
    }

    fn untold_repairs(&self) -> Result<Vec<Event>, JournalError> {
        let mut events = Vec::new();
        for moved_to in &self.reader.moved {
            if !self.told.contains(moved_to) {
                let path = self.reader.directory.join(moved_to);
                let bytes = fs::metadata(&path).map_err(JournalError::io("read", &path))?.len();
                events.push(Event::JournalRepaired { bytes, moved_to: moved_to.clone() });
            }
        }
        Ok(events)
    }
}

/// The number of a journal file.
fn number(name: &str) -> u64 {
    name.split_once('-').and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

struct Failure {
    source: io::Error,
    /// Did it get as far as the sync?
    synced: bool,
}

fn write_at(file: &File, bytes: &[u8], offset: u64, sync: bool) -> Result<(), Failure> {
    let unwritten = |source| Failure { source, synced: false };
    crash::point("journal.append.before-write");
    if cfg!(feature = "crash-points") {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all_at(first, offset).map_err(unwritten)?;
        crash::point("journal.append.half-written");
        file.write_all_at(second, offset + first.len() as u64).map_err(unwritten)?;
    } else {
        file.write_all_at(bytes, offset).map_err(unwritten)?;
    }
    crash::point("journal.append.before-sync");
    if sync {
        file.sync_data().map_err(|source| Failure { source, synced: true })?;
    }
    crash::point("journal.append.after-sync");
    Ok(())
}

#[cfg(test)]
mod tests;
