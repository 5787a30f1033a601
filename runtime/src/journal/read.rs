//! Reads a feature's journal: its files in order, each line checked against the chain.
//!
//! Does not know how to write, and takes no lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Damage, Head, JournalError, Line};
use crate::digest::Sha256;
use crate::record::{RECORD_VERSION, Record};

/// `prev` of the first record of all.
pub(super) const ZERO: Sha256 = Sha256([0; 32]);

/// Length of `,"self":"<64 digits>"}`.
const SEAL: usize = 75;

/// Bytes after the last newline of the newest file: an append that was cut, or one that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub file: Utf8PathBuf,
    /// Where they begin.
    pub offset: u64,
    pub bytes: u64,
}

/// A place in a journal up to which everything was read and found whole.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) directory: Utf8PathBuf,
    /// File names in the order of the chain. What stands before the last one is read whole.
    pub(super) files: Vec<String>,
    /// Bytes of the last file that are read: whole lines.
    pub(super) offset: u64,
    /// Lines of the last file that are read.
    lines: usize,
    /// The digests of all records; the index is `seq`.
    digests: Vec<Sha256>,
    /// Names of files that hold bytes which were moved aside.
    pub(super) moved: Vec<String>,
}

impl Reader {
    pub(super) fn new(directory: Utf8PathBuf) -> Reader {
        Reader { directory, files: Vec::new(), offset: 0, lines: 0, digests: Vec::new(), moved: Vec::new() }
    }

    pub(super) fn head(&self) -> Head {
        Head { records: self.digests.len() as u64, digest: self.digests.last().copied().unwrap_or(ZERO) }
    }

    /// Reads what is new since the last call. An absent directory is an empty journal.
    pub(super) fn advance(&mut self) -> Result<(Vec<Line>, Option<Torn>), JournalError> {
        let listed = self.list()?;
        if listed.get(..self.files.len()) != Some(&self.files[..]) {
            let file = self.files.last().cloned().unwrap_or_default();
            return Err(self.corrupt(&file, 0, Damage::Shortened));
        }
        let mut lines = Vec::new();
        let mut torn = None;
        for at in self.files.len().saturating_sub(1)..listed.len() {
            if torn.is_some() {
                return Err(self.corrupt(&listed[at - 1], self.lines + 1, Damage::Unfinished));
            }
            if at == self.files.len() {
                self.start(listed[at].clone());
            }
            torn = self.advance_file(&mut lines)?;
        }
        Ok((lines, torn))
    }

    /// Takes over a file that is the next of the chain and from which nothing was read yet.
    pub(super) fn start(&mut self, file: String) {
        self.files.push(file);
        self.offset = 0;
        self.lines = 0;
    }

    /// Takes over a line that this process has just appended to the last file, or one read from it.
    pub(super) fn push(&mut self, line: &Line) {
        self.offset += line.bytes.len() as u64;
        self.lines += 1;
        self.digests.push(line.digest);
    }

    /// The journal's files in the order of their numbers.
    fn list(&mut self) -> Result<Vec<String>, JournalError> {
        let mut files: Vec<(u64, String)> = Vec::new();
        let mut moved = Vec::new();
        let entries = match self.directory.read_dir_utf8() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(JournalError::io("list", &self.directory))?,
        };
        for entry in entries {
            let entry = entry.map_err(JournalError::io("list", &self.directory))?;
            let name = entry.file_name();
            let number = name.split_once('-').and_then(|(number, _)| number.parse().ok());
            match (number, name.rsplit_once('.')) {
                (Some(number), Some((_, "jsonl"))) => files.push((number, name.to_owned())),
                (Some(_), Some((_, end))) if end.starts_with("torn-") => moved.push(name.to_owned()),
                _ => {}
            }
        }
        files.sort();
        moved.sort();
        self.moved = moved;
        Ok(files.into_iter().map(|(_, name)| name).collect())
    }

    fn advance_file(&mut self, lines: &mut Vec<Line>) -> Result<Option<Torn>, JournalError> {
        let name = self.files.last().cloned().expect("the caller pushed a file");
        let path = self.directory.join(&name);
        let bytes = match read_from(&path, self.offset).map_err(JournalError::io("read", &path))? {
            Some(bytes) => bytes,
            None => return Err(self.corrupt(&name, self.lines, Damage::Shortened)),
        };
        let mut rest = &bytes[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            let line = self.check(&name, line)?;
            self.push(&line);
            lines.push(line);
            rest = after;
        }
        // An append that was cut never has a whole line and then another byte than its end.
        if rest.split_last().is_some_and(|(_, line)| is_whole(line)) {
            return Err(self.corrupt(&name, self.lines + 1, Damage::Ending));
        }
        let torn = Torn { file: path, offset: self.offset, bytes: rest.len() as u64 };
        Ok((!rest.is_empty()).then_some(torn))
    }

    /// Checks one complete line (newline included) as the next one of the chain.
    fn check(&self, file: &str, bytes: &[u8]) -> Result<Line, JournalError> {
        let at = self.lines + 1;
        let refuse = |damage| self.corrupt(file, at, damage);
        let line = &bytes[..bytes.len() - 1];
        let (prev, rec, digest) = split(line).ok_or_else(|| refuse(Damage::Shape))?;
        if Sha256::of(&line[..line.len() - SEAL]) != digest {
            return Err(refuse(Damage::Digest));
        }
        let head = self.head();
        if prev != head.digest {
            return Err(refuse(self.fork(prev)));
        }
        // The version comes first: a newer record may have fields that this reader does not know.
        #[derive(serde::Deserialize)]
        struct Version {
            v: u32,
        }
        let unreadable = |error: serde_json::Error| refuse(Damage::Record(error.to_string()));
        let Version { v } = serde_json::from_slice(rec).map_err(unreadable)?;
        if v > RECORD_VERSION {
            let file = self.directory.join(file);
            return Err(JournalError::Newer { file, line: at, version: v });
        }
        let record: Record = serde_json::from_slice(rec).map_err(unreadable)?;
        if record.seq != head.records {
            return Err(refuse(Damage::Sequence(record.seq)));
        }
        Ok(Line { bytes: bytes.to_vec(), record, digest })
    }

    /// A wrong `prev` that names an older record is a second continuation of it.
    fn fork(&self, prev: Sha256) -> Damage {
        if prev == ZERO {
            return Damage::Fork { after: None };
        }
        match self.digests.iter().position(|digest| *digest == prev) {
            Some(seq) => Damage::Fork { after: Some(seq as u64) },
            None => Damage::Previous,
        }
    }

    fn corrupt(&self, file: &str, line: usize, damage: Damage) -> JournalError {
        JournalError::Corrupt { file: self.directory.join(file), line, seq: self.head().records, damage }
    }
}

/// `prev`, `rec` and `self` of a line without its newline, if it has the one shape that lines have.
fn split(line: &[u8]) -> Option<(Sha256, &[u8], Sha256)> {
    let (body, seal) = line.split_at_checked(line.len().checked_sub(SEAL)?)?;
    let seal = seal.strip_prefix(b",\"self\":\"")?.strip_suffix(b"\"}")?;
    let body = body.strip_prefix(b"{\"prev\":\"")?;
    let (prev, rec) = body.split_at_checked(64)?;
    let rec = rec.strip_prefix(b"\",\"rec\":")?;
    Some((hex(prev)?, rec, hex(seal)?))
}

/// Does a line without its newline have its form, and the digest that it carries?
fn is_whole(line: &[u8]) -> bool {
    split(line).is_some_and(|(_, _, digest)| Sha256::of(&line[..line.len() - SEAL]) == digest)
}

fn hex(digits: &[u8]) -> Option<Sha256> {
    Sha256::parse(std::str::from_utf8(digits).ok()?)
}

/// The bytes of a file from an offset on; `None` if it is shorter than that.
fn read_from(path: &Utf8Path, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    let Some(length) = file.metadata()?.len().checked_sub(offset) else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Some(bytes))
}
