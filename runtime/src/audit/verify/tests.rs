//! Damage of every kind to a sample journal, and what the check says of it.
//!
//! Does not know the writer beyond the sample that it makes.

use camino::Utf8PathBuf;

use super::*;
use crate::digest::ObjectId;
use crate::journal::{Durability, Journal};
use crate::patch::{Change, Entry, Mode};
use crate::record::{Signature, samples, to_jcs};
use crate::store::Store;

const FEATURE: &str = "FEAT-1";
const FILES: [&str; 2] = ["000000-one.jsonl", "000001-two.jsonl"];

struct Place {
    _root: tempfile::TempDir,
    state: Utf8PathBuf,
    files: [Vec<u8>; 2],
    result: Sha256,
}

impl Place {
    /// Two runs of two records each; record 1 accepts a result.
    fn new() -> Place {
        let root = crate::durable::scratch();
        let state = Utf8Path::from_path(root.path()).unwrap().to_owned();
        let store = Store::open(&state).unwrap();
        for blob in ["graph", "manifest", "captured", "page"] {
            store.put_pending(blob.as_bytes()).unwrap();
        }
        let content = store.put_pending(b"content").unwrap();
        let change = Change {
            path: "a".to_owned(),
            before: None,
            after: Some(Entry { mode: Mode::File, object: ObjectId("1".repeat(40)) }),
            content: Some(content),
        };
        let result = ResultObject {
            v: 1,
            feature: FEATURE.to_owned(),
            unit: "u".to_owned(),
            key: "k".to_owned(),
            patch: Patch { changes: vec![change] },
            output: Vec::new(),
            message: "words".to_owned(),
            author: Signature { name: "n".to_owned(), email: "e".to_owned() },
            time_s: 1,
            trailers: Vec::new(),
            verdicts: Vec::new(),
        };
        let result = store.put_pending(&to_jcs(&result).unwrap()).unwrap();
        let mut accepted = samples::unit_accepted("u", None, "k", "");
        accepted.result = result;
        let mut journal = Journal::open(&state, FEATURE).unwrap().journal;
        journal.begin_run("one").unwrap();
        let started = Event::RunStarted(samples::run_started());
        journal.append(&[started, Event::UnitAccepted(accepted)], Durability::Lazy).unwrap();
        journal.begin_run("two").unwrap();
        let rest = [samples::land_void("u", 'f'), samples::run_ended()];
        journal.append(&rest, Durability::Lazy).unwrap();
        let files = FILES.map(|name| fs::read(state.join("journal").join(FEATURE).join(name)).unwrap());
        Place { _root: root, state, files, result }
    }

    fn write(&self, file: usize, bytes: &[u8]) {
        fs::write(self.state.join("journal").join(FEATURE).join(FILES[file]), bytes).unwrap();
    }

    fn verify(&self, anchors: &[Anchor]) -> Report {
        verify(&self.state, FEATURE, anchors).unwrap()
    }

    fn blob(&self, digest: &Sha256) -> Utf8PathBuf {
        Store::open(&self.state).unwrap().path(digest)
    }

    fn replace(&self, digest: &Sha256, bytes: &[u8]) {
        fs::remove_file(self.blob(digest)).unwrap();
        fs::write(self.blob(digest), bytes).unwrap();
    }
}

fn anchor(names: Named) -> Anchor {
    Anchor { names, by: "commit 1".to_owned() }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn a_sound_journal_is_sound() {
    let place = Place::new();
    let report = place.verify(&[]);
    assert_eq!(report.problems, []);
    assert!(report.is_sound());
    assert_eq!((report.records, report.unanchored(), report.erased), (4, 4, 0));
    assert_eq!(report.torn, None);
}

#[test]
fn a_changed_byte_anywhere_is_found_with_its_record() {
    let place = Place::new();
    for (file, bytes) in place.files.iter().enumerate() {
        for offset in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x40, 0xff] {
                let mut changed = bytes.clone();
                changed[offset] ^= flip;
                place.write(file, &changed);
                let report = place.verify(&[]);
                let record = (file * 2 + newlines(&bytes[..offset])) as u64;
                let first = report.problems.first().map(|problem| (problem.record, problem.file.as_str()));
                assert_eq!(first, Some((record, FILES[file])), "byte {offset} ^ {flip:#x}");
            }
        }
        place.write(file, bytes);
    }
    assert!(place.verify(&[]).is_sound());
}

#[test]
fn a_cut_is_torn_or_a_shorter_journal() {
    let place = Place::new();
    for length in 0..place.files[1].len() {
        place.write(1, &place.files[1][..length]);
        let report = place.verify(&[]);
        assert_eq!(report.problems, [], "cut at {length}");
        let whole = 2 + newlines(&place.files[1][..length]) as u64;
        assert_eq!(report.records, whole);
        let at_an_end = length == 0 || place.files[1][length - 1] == b'\n';
        assert_eq!(report.torn.map(|torn| torn.record), (!at_an_end).then_some(whole));
    }
    // The same cut in a file that another one continues is no torn append.
    for length in 1..place.files[0].len() {
        place.write(0, &place.files[0][..length]);
        place.write(1, &place.files[1]);
        assert!(!place.verify(&[]).is_sound(), "cut at {length}");
    }
}

#[test]
fn lines_that_are_moved_doubled_or_gone_are_found() {
    let place = Place::new();
    let lines: Vec<&[u8]> = place.files[0].split_inclusive(|byte| *byte == b'\n').collect();
    let [a, b] = lines[..] else { panic!("two records") };
    for (changed, record) in [
        (vec![b, a], 0),
        (vec![a, a, b], 1),
        (vec![a, b, b], 2),
        (vec![b], 0),
        (vec![a], 1),
        (vec![], 0),
        (vec![a, b"\n", b], 1),
        (vec![a, b, b"\0\0\n"], 2),
    ] {
        place.write(0, &changed.concat());
        assert_eq!(place.verify(&[]).problems[0].record, record, "{changed:?}");
    }
    for tail in [&b"garbage"[..], &[0; 600]] {
        place.write(0, &place.files[0]);
        place.write(1, &[&place.files[1], tail].concat());
        let report = place.verify(&[]);
        assert_eq!(report.problems, []);
        assert_eq!(report.torn.unwrap().bytes, tail.len() as u64);
    }
}

#[test]
fn what_is_outside_anchors_what_it_names() {
    let place = Place::new();
    let result = anchor(Named::Result(place.result));
    let report = place.verify(std::slice::from_ref(&result));
    assert_eq!(report.anchored, Some((1, "commit 1".to_owned())));
    assert_eq!(report.unanchored(), 2);
    let head = anchor(Named::Record(report.head.unwrap()));
    let report = place.verify(&[head.clone(), result.clone()]);
    assert_eq!((report.anchored.as_ref().unwrap().0, report.unanchored()), (3, 0));
    // The last record is gone, and something outside names it.
    place.write(1, b"");
    let report = place.verify(&[result, head.clone()]);
    assert_eq!((report.beyond.clone(), report.is_sound(), report.problems.len()), (vec![head], false, 0));
    let unknown = anchor(Named::Result(samples::blob("elsewhere")));
    assert_eq!(place.verify(std::slice::from_ref(&unknown)).beyond, [unknown]);
}

#[test]
fn blobs_that_are_gone_or_changed_are_found() {
    let problems = |place: &Place| {
        place
            .verify(&[])
            .problems
            .into_iter()
            .map(|problem| (problem.record, problem.what))
            .collect::<Vec<_>>()
    };
    for name in ["graph", "manifest", "content"] {
        let place = Place::new();
        let digest = samples::blob(name);
        let record = u64::from(name != "graph");
        place.replace(&digest, b"other");
        let changed = problems(&place);
        assert!(changed[0].0 == record && changed[0].1.contains("was changed in the store"), "{changed:?}");
        fs::remove_file(place.blob(&digest)).unwrap();
        let gone = problems(&place);
        assert!(gone[0].0 == record && gone[0].1.contains("is not in the store"), "{gone:?}");
    }
    let place = Place::new();
    place.replace(&place.result, b"{}");
    assert_eq!(problems(&place)[0].0, 1);
}

/// Salted blobs may be erased; a changed one is a problem all the same.
#[test]
fn an_erased_prompt_breaks_nothing() {
    let place = Place::new();
    let store = Store::open(&place.state).unwrap();
    let mut started = samples::attempt_started("u", "a1", "k");
    started.prompt = store.put_salted(b"prompt").unwrap();
    let mut journal = Journal::open(&place.state, FEATURE).unwrap().journal;
    journal.append(&[Event::AttemptStarted(started.clone())], Durability::Lazy).unwrap();
    assert!(place.verify(&[]).is_sound());
    place.replace(&started.prompt, b"another prompt");
    assert_eq!(place.verify(&[]).problems[0].record, 4);
    fs::remove_file(place.blob(&started.prompt)).unwrap();
    let report = place.verify(&[]);
    assert!(report.is_sound());
    assert_eq!(report.erased, 1);
}

/// The shell script of the specification says the same as this module, without any of its code.
#[test]
fn the_script_of_the_specification_agrees() {
    let script = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/verify.sh");
    let run = |place: &Place| {
        let directory = place.state.join("journal").join(FEATURE);
        let output = std::process::Command::new("sh").args([&script, &directory]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let place = Place::new();
    let (code, said) = run(&place);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("4 records") && said.contains(&place.verify(&[]).head.unwrap().to_string()),
        "{said}"
    );
    // Every 29th byte: each change costs the script a process per record.
    for (file, bytes) in place.files.iter().enumerate() {
        for offset in (0..bytes.len()).step_by(29).chain([bytes.len() - 2, bytes.len() - 1]) {
            for flip in [0x01, 0xff, bytes[offset]] {
                let mut changed = bytes.clone();
                changed[offset] ^= flip;
                place.write(file, &changed);
                let record = file * 2 + newlines(&bytes[..offset]);
                let (code, said) = run(&place);
                assert_eq!(code, Some(1), "byte {offset} ^ {flip:#x}: {said}");
                assert!(said.contains(&format!("record {record}:")), "byte {offset} ^ {flip:#x}: {said}");
            }
        }
        place.write(file, bytes);
    }
    place.write(1, &[&place.files[1][..], b"torn"].concat());
    let (code, said) = run(&place);
    assert!(code == Some(0) && said.contains("torn"), "{said}");
    let lines: Vec<&[u8]> = place.files[1].split_inclusive(|byte| *byte == b'\n').collect();
    place.write(1, lines[1]);
    assert_eq!(run(&place).0, Some(1));
}
