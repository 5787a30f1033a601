//! Checks a feature's journal from its raw bytes: the chain, the records, and the blobs that they name.
//!
//! Does not know the journal's writer or reader, git, or any cache: it is a second, independent reading of
//! `spec/journal.md`, small enough to be checked by eye. What is anchored outside comes from the caller.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use camino::Utf8Path;

use crate::digest::Sha256;
use crate::patch::Patch;
use crate::record::{CapturedManifest, Event, RECORD_VERSION, Record, ResultObject};

/// Something outside the journal that names one of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub names: Named,
    /// Where it is, for people: `commit 1a2b3c4d5e`.
    pub by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A result object, as the trailer `Loop-Result` does: the record that accepted it exists.
    Result(Sha256),
    /// A record by its `self`, as a checkpoint does.
    Record(Sha256),
}

/// Something that must not be so. The caller exits with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The record's number, counted by lines from 0; in a sound journal it is the record's `seq`.
    pub record: u64,
    pub file: String,
    /// 1-based.
    pub line: usize,
    pub what: String,
}

/// Bytes after the last line's end: an append that was cut. It is no problem by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The number that the record would have had.
    pub record: u64,
    pub file: String,
    pub bytes: u64,
}

/// What a check found. Sound: `problems` and `beyond` are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub records: u64,
    /// `self` of the last line.
    pub head: Option<Sha256>,
    pub problems: Vec<Problem>,
    pub torn: Option<TornTail>,
    /// The last record that something outside names, and what that is. All before it is anchored with it;
    /// what comes after cannot be proved unchanged.
    pub anchored: Option<(u64, String)>,
    /// Anchors that name no record: the end of the journal was cut off, or another clone wrote them.
    pub beyond: Vec<Anchor>,
    /// Salted blobs that are gone: erased, which breaks nothing.
    pub erased: u64,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.beyond.is_empty()
    }

    /// How many records at the end nothing outside names.
    pub fn unanchored(&self) -> u64 {
        self.records - self.anchored.as_ref().map_or(0, |(record, _)| record + 1)
    }
}

/// Checks the journal of a feature. An error is one of reading; whatever the files hold is in the report.
pub fn verify(state_dir: &Utf8Path, feature: &str, anchors: &[Anchor]) -> io::Result<Report> {
    let directory = state_dir.join("journal").join(feature);
    let mut files: Vec<(u64, String)> = Vec::new();
    for entry in directory.read_dir_utf8()? {
        let name = entry?.file_name().to_owned();
        let number = name.split_once('-').and_then(|(number, _)| number.parse().ok());
        if let (Some(number), true) = (number, name.ends_with(".jsonl")) {
            files.push((number, name));
        }
    }
    files.sort();

    let mut check =
        Check { state_dir, prev: Sha256([0; 32]), named: BTreeMap::new(), report: Report::default() };
    for (at, (_, file)) in files.iter().enumerate() {
        let bytes = fs::read(directory.join(file))?;
        // Later empty files hold nothing that could follow.
        let mut later = files[at + 1..].iter();
        let last = later.try_fold(true, |last, (_, name)| {
            fs::metadata(directory.join(name)).map(|data| last && data.len() == 0)
        })?;
        check.file(file, &bytes, last);
    }
    let Check { mut report, named, .. } = check;
    for anchor in anchors {
        let digest = match anchor.names {
            Named::Result(digest) | Named::Record(digest) => digest,
        };
        match named.get(&(matches!(anchor.names, Named::Result(_)), digest)) {
            None => report.beyond.push(anchor.clone()),
            Some(record) if report.anchored.as_ref().is_none_or(|(so_far, _)| so_far < record) => {
                report.anchored = Some((*record, anchor.by.clone()));
            }
            Some(_) => {}
        }
    }
    Ok(report)
}

struct Check<'a> {
    state_dir: &'a Utf8Path,
    prev: Sha256,
    /// (is it a result?, digest) -> the first record that it is in.
    named: BTreeMap<(bool, Sha256), u64>,
    report: Report,
}

impl Check<'_> {
    fn file(&mut self, file: &str, bytes: &[u8], last: bool) {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
        lines.by_ref().for_each(|(at, line)| match line.strip_suffix(b"\n") {
            Some(line) => self.line(file, at + 1, line),
            None => self.tail(file, at + 1, line, last),
        });
    }

    /// Bytes without a line's end. A whole line with one byte after it was not cut: its end was changed.
    fn tail(&mut self, file: &str, line: usize, bytes: &[u8], last: bool) {
        let record = self.report.records;
        let changed = bytes.split_last().is_some_and(|(_, line)| parts(line).is_ok());
        if changed || !last {
            let what = if changed {
                "the line's end was changed"
            } else {
                "the line has no end, and a later file follows"
            };
            self.problem(record, file, line, what.to_owned());
        }
        let bytes = bytes.len() as u64;
        self.report.torn = Some(TornTail { record, file: file.to_owned(), bytes });
    }

    fn line(&mut self, file: &str, line: usize, bytes: &[u8]) {
        let seq = self.report.records;
        self.report.records += 1;
        let (prev, rec, digest) = match parts(bytes) {
            Ok(parts) => parts,
            Err(what) => return self.problem(seq, file, line, what.to_owned()),
        };
        if prev != self.prev {
            self.problem(seq, file, line, "it does not continue the line before it".to_owned());
        }
        self.prev = digest;
        self.report.head = Some(digest);
        self.named.entry((false, digest)).or_insert(seq);

        #[derive(serde::Deserialize)]
        struct Version {
            v: u32,
        }
        match serde_json::from_slice::<Version>(rec) {
            Ok(Version { v }) if v > RECORD_VERSION => {
                let what = format!("format {v} is newer than this program, which knows {RECORD_VERSION}");
                return self.problem(seq, file, line, what);
            }
            _ => {}
        }
        let record: Record = match serde_json::from_slice(rec) {
            Ok(record) => record,
            Err(error) => {
                return self.problem(seq, file, line, format!("the record cannot be read: {error}"));
            }
        };
        if record.seq != seq {
            self.problem(seq, file, line, format!("it has the number {}", record.seq));
        }
        if let Event::UnitAccepted(accepted) = &record.event {
            self.named.entry((true, accepted.result)).or_insert(seq);
        }
        for what in self.blobs(&record.event) {
            self.problem(seq, file, line, what);
        }
    }

    fn problem(&mut self, record: u64, file: &str, line: usize, what: String) {
        self.report.problems.push(Problem { record, file: file.to_owned(), line, what });
    }

    /// What is wrong with the blobs that a record names.
    fn blobs(&mut self, event: &Event) -> Vec<String> {
        let mut wrong = Vec::new();
        match event {
            Event::RunStarted(started) => drop(self.kept("graph", &started.graph_json, &mut wrong)),
            Event::AttemptStarted(started) => {
                drop(self.kept("key manifest", &started.manifest, &mut wrong));
                self.salted("prompt", &started.prompt, &mut wrong);
            }
            Event::AttemptCaptured(captured) => {
                let manifest = self.kept("captured manifest", &captured.manifest, &mut wrong);
                let read = |bytes: Vec<u8>| serde_json::from_slice::<CapturedManifest>(&bytes);
                self.contents(manifest.map(read).map(|read| read.map(|read| read.patch)), &mut wrong);
                self.salted("transcript", &captured.transcript, &mut wrong);
            }
            Event::AttemptFailed(failed) => {
                if let Some(captured) = &failed.captured {
                    drop(self.kept("captured manifest", captured, &mut wrong));
                }
                failed
                    .evidence
                    .iter()
                    .for_each(|evidence| self.salted("evidence", &evidence.blob, &mut wrong));
            }
            Event::VerifyDone(done) => {
                done.output.iter().for_each(|output| self.salted("output", output, &mut wrong));
            }
            Event::UnitAccepted(accepted) => {
                drop(self.kept("key manifest", &accepted.manifest, &mut wrong));
                let result = self.kept("result", &accepted.result, &mut wrong);
                let read = |bytes: Vec<u8>| serde_json::from_slice::<ResultObject>(&bytes);
                self.contents(result.map(read).map(|read| read.map(|read| read.patch)), &mut wrong);
            }
            Event::GateReached { page, .. } => drop(self.kept("page", page, &mut wrong)),
            Event::ManualDone { evidence, .. } => {
                evidence.iter().for_each(|evidence| self.salted("evidence", &evidence.blob, &mut wrong));
            }
            _ => {}
        }
        wrong
    }

    /// The contents that a patch in the store names.
    fn contents(&mut self, patch: Option<serde_json::Result<Patch>>, wrong: &mut Vec<String>) {
        match patch {
            None => {}
            Some(Err(error)) => wrong.push(format!("the object that it names cannot be read: {error}")),
            Some(Ok(patch)) => {
                for content in patch.changes.iter().filter_map(|change| change.content) {
                    drop(self.kept("content", &content, wrong));
                }
            }
        }
    }

    /// A blob that must be there.
    fn kept(&self, what: &str, digest: &Sha256, wrong: &mut Vec<String>) -> Option<Vec<u8>> {
        let blob = self.blob(what, digest, wrong)?;
        if blob.is_none() {
            wrong.push(format!("the {what} {digest} is not in the store"));
        }
        blob
    }

    /// A blob that may be erased.
    fn salted(&mut self, what: &str, digest: &Sha256, wrong: &mut Vec<String>) {
        if self.blob(what, digest, wrong) == Some(None) {
            self.report.erased += 1;
        }
    }

    /// `Some(None)`: it is not there. `None`: it is wrong, and that is noted.
    fn blob(&self, what: &str, digest: &Sha256, wrong: &mut Vec<String>) -> Option<Option<Vec<u8>>> {
        let hex = digest.to_string();
        match fs::read(self.state_dir.join("cas").join(&hex[..2]).join(&hex[2..])) {
            Ok(bytes) if Sha256::of(&bytes) == *digest => return Some(Some(bytes)),
            Ok(_) => wrong.push(format!("the {what} {digest} was changed in the store")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(None),
            Err(error) => wrong.push(format!("the {what} {digest} cannot be read: {error}")),
        }
        None
    }
}

/// `prev`, `rec` and `self` of a line without its end, if the line has its form and its bytes have the
/// digest that they carry.
fn parts(line: &[u8]) -> Result<(Sha256, &[u8], Sha256), &'static str> {
    let shape = || {
        let (body, seal) = line.split_at_checked(line.len().checked_sub(75)?)?;
        let digest = seal.strip_prefix(b",\"self\":\"")?.strip_suffix(b"\"}")?;
        let (prev, rec) = body.strip_prefix(b"{\"prev\":\"")?.split_at_checked(64)?;
        let hex = |digits| Sha256::parse(std::str::from_utf8(digits).ok()?);
        Some((hex(prev)?, rec.strip_prefix(b"\",\"rec\":")?, body, hex(digest)?))
    };
    let (prev, rec, body, digest) = shape().ok_or("it does not have the form of a journal line")?;
    if Sha256::of(body) != digest {
        return Err("its bytes do not have the digest that it carries");
    }
    Ok((prev, rec, digest))
}

#[cfg(test)]
mod tests;
