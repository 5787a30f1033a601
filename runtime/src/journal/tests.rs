//! Appending, cutting, damaging and repairing journals on a real disk.
//!
//! Does not know what the records mean.

use proptest::prelude::*;

use super::*;
use crate::record::samples;
use crate::state::State;

const FEATURE: &str = "FEAT-1";

struct Place {
    _root: tempfile::TempDir,
    state: Utf8PathBuf,
}

impl Place {
    fn new() -> Place {
        let root = crate::durable::scratch();
        let state = Utf8Path::from_path(root.path()).unwrap().join("loop");
        Place { _root: root, state }
    }

    fn open(&self) -> Opened {
        Journal::open(&self.state, FEATURE).unwrap()
    }

    fn begun(&self, run: &str) -> Journal {
        let mut journal = self.open().journal;
        journal.begin_run(run).unwrap();
        journal
    }

    fn read(&self) -> Contents {
        read(&self.state, FEATURE).unwrap()
    }

    fn file(&self, name: &str) -> Utf8PathBuf {
        self.state.join("journal").join(FEATURE).join(name)
    }

    /// Two files: run `one` with three records, run `two` with three.
    fn sample() -> (Place, [Vec<u8>; 2]) {
        let place = Place::new();
        let mut journal = place.begun("one");
        journal.append(&events(3), Durability::Synced).unwrap();
        journal.begin_run("two").unwrap();
        journal.append(&events(2), Durability::Lazy).unwrap();
        journal.append(&[samples::run_ended()], Durability::Lazy).unwrap();
        let files = ["000000-one.jsonl", "000001-two.jsonl"].map(|name| fs::read(place.file(name)).unwrap());
        (place, files)
    }
}

/// Some short events.
fn events(count: usize) -> Vec<Event> {
    let short = [samples::landed("u", 'e', "result"), samples::land_void("ü", 'f')];
    short.into_iter().cycle().take(count).collect()
}

fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.bytes.clone()).collect()
}

fn records(lines: &[Line]) -> Vec<&Event> {
    lines.iter().map(|line| &line.record.event).collect()
}

#[test]
fn what_is_appended_is_read_back() {
    let place = Place::new();
    assert_eq!(place.read(), Contents::default());
    let mut journal = place.begun("one");
    assert_eq!(journal.head(), Head { records: 0, digest: Sha256([0; 32]) });
    let all = samples::events();
    let (first, second) = all.split_at(7);
    let mut written = journal.append(first, Durability::Synced).unwrap().written;
    written.extend(journal.append(second, Durability::Lazy).unwrap().written);
    assert_eq!(records(&written), all.iter().collect::<Vec<_>>());
    assert_eq!(place.read().lines, written);
    assert_eq!(fs::read(place.file("000000-one.jsonl")).unwrap(), bytes(&written));
    let opened = place.open();
    assert_eq!(opened.lines, written);
    assert_eq!(opened.torn, None);
    assert_eq!(opened.journal.run(), Some("one"));
    assert_eq!(opened.journal.head(), journal.head());
    assert_eq!(features(&place.state).unwrap(), [FEATURE]);
}

/// The chain by hand, as a shell would check it.
#[test]
fn a_line_is_what_the_specification_says() {
    let (_place, files) = Place::sample();
    let text = String::from_utf8(files.concat()).unwrap();
    let mut prev = "0".repeat(64);
    for (seq, line) in text.lines().enumerate() {
        let (body, seal) = line.rsplit_once(",\"self\":\"").unwrap();
        let digest = seal.strip_suffix("\"}").unwrap();
        assert_eq!(Sha256::of(body.as_bytes()).to_string(), digest);
        let rec = body.strip_prefix(&format!("{{\"prev\":\"{prev}\",\"rec\":")).unwrap();
        assert!(rec.contains(&format!("\"seq\":{seq},\"time_ms\":")));
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record::to_jcs(&value).unwrap(), line.as_bytes(), "the whole line is canonical");
        prev = digest.to_owned();
    }
    assert_eq!(text.lines().count(), 6);
}

#[test]
fn nothing_is_written_before_a_run_or_without_an_event() {
    let place = Place::new();
    let mut journal = place.open().journal;
    assert!(matches!(journal.append(&events(1), Durability::Lazy), Err(JournalError::NoRun)));
    journal.begin_run("one").unwrap();
    assert_eq!(journal.append(&[], Durability::Synced).unwrap(), Appended::default());
    assert!(!place.file("000000-one.jsonl").exists());
    for name in ["", "a/b", "..", ".hidden", "a..b", "a.", "a.lock", "é", &"x".repeat(65)] {
        assert!(journal.begin_run(name).is_err(), "{name}");
        assert!(matches!(Journal::open(&place.state, name), Err(JournalError::Feature(_))), "{name}");
        assert!(matches!(read(&place.state, name), Err(JournalError::Feature(_))), "{name}");
    }
}

#[test]
fn two_writers_share_one_chain() {
    let place = Place::new();
    let mut exec = place.begun("one");
    exec.append(&events(1), Durability::Synced).unwrap();
    let mut approve = place.open().journal;
    let approval = approve.append(&events(2), Durability::Synced).unwrap();
    assert!(approval.foreign.is_empty());
    assert_eq!(approval.written[0].record.run, "one");
    let next = exec.append(&events(1), Durability::Lazy).unwrap();
    assert_eq!(next.foreign, approval.written);
    assert_eq!(next.written[0].record.seq, 3);
    assert_eq!(approve.poll().unwrap(), next.written);
    // Somebody who decided on what was known learns that there is more.
    exec.append(&events(1), Durability::Lazy).unwrap();
    let stale = approve.append_unless_moved(&events(1), Durability::Synced).unwrap();
    assert_eq!((stale.foreign.len(), stale.written.len()), (1, 0));
    let fresh = approve.append_unless_moved(&events(1), Durability::Synced).unwrap();
    assert_eq!((fresh.foreign.len(), fresh.written.len()), (0, 1));
    assert_eq!(place.read().lines.len(), 6);
}

#[test]
fn many_threads_append_to_one_chain() {
    let place = Place::new();
    place.begun("one").append(&events(1), Durability::Lazy).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut journal = place.open().journal;
                for _ in 0..20 {
                    journal.append(&events(2), Durability::Lazy).unwrap();
                }
            });
        }
    });
    assert_eq!(place.read().lines.len(), 161);
}

#[test]
fn a_new_run_is_a_file_that_continues_the_last() {
    let (place, files) = Place::sample();
    let last = bytes(&place.read().lines[2..3]);
    let head = &last[last.len() - 67..last.len() - 3];
    assert!(files[1].starts_with(&[b"{\"prev\":\"", head].concat()));
    let opened = place.open();
    assert_eq!(opened.journal.run(), Some("two"));
    let mut third = opened.journal;
    third.begin_run("two").unwrap();
    third.append(&events(1), Durability::Synced).unwrap();
    assert!(place.file("000002-two.jsonl").exists());
}

#[test]
fn a_journal_cut_anywhere_opens_with_its_longest_whole_part() {
    let (place, files) = Place::sample();
    let whole = place.read().lines;
    let last = place.file("000001-two.jsonl");
    for length in 0..=files[1].len() {
        for tail in [&b""[..], b"\0", b"{\"prev\":\"gar\xffbage", &[0; 5000]] {
            fs::write(&last, [&files[1][..length], tail].concat()).unwrap();
            let kept = 3 + files[1][..length].iter().filter(|byte| **byte == b'\n').count();
            let torn_bytes = length + tail.len() - bytes(&whole[3..kept]).len();
            if torn_bytes != tail.len()
                && !tail.is_empty()
                && whole[kept].bytes.len() == torn_bytes - tail.len() + 1
            {
                // A whole line and another byte where its end should be: below.
                continue;
            }
            let Opened { mut journal, lines, torn } = place.open();
            assert_eq!(lines, whole[..kept], "cut at {length}");
            assert_eq!(torn.map_or(0, |torn| torn.bytes), torn_bytes as u64);
            assert_eq!(place.read().lines, lines);
            let appended = journal.append(&events(1), Durability::Lazy).unwrap().written;
            assert_eq!(appended.len(), 1 + usize::from(torn_bytes > 0));
            if torn_bytes > 0 {
                let Event::JournalRepaired { bytes, moved_to } = &appended[0].record.event else {
                    panic!("the repair is not told");
                };
                assert_eq!(*bytes, torn_bytes as u64);
                let moved = fs::read(place.file(moved_to)).unwrap();
                assert_eq!(moved, [&files[1][..length], tail].concat()[length + tail.len() - torn_bytes..]);
                fs::remove_file(place.file(moved_to)).unwrap();
            }
            let again = place.open();
            assert_eq!(again.torn, None);
            assert_eq!(again.lines[..kept], whole[..kept]);
            assert_eq!(again.lines[kept..], appended);
        }
    }
}

#[test]
fn a_changed_byte_anywhere_is_damage_and_stays() {
    let (place, files) = Place::sample();
    for (at, name) in ["000000-one.jsonl", "000001-two.jsonl"].into_iter().enumerate() {
        for offset in 0..files[at].len() {
            for flip in [0x01, 0x20, 0xff] {
                let mut changed = files[at].clone();
                changed[offset] ^= flip;
                fs::write(place.file(name), &changed).unwrap();
                let record = at * 3 + files[at][..offset].iter().filter(|byte| **byte == b'\n').count();
                match Journal::open(&place.state, FEATURE) {
                    Err(JournalError::Corrupt { seq, .. }) => {
                        assert_eq!(seq, record as u64, "{name} {offset}")
                    }
                    other => panic!("{name}, byte {offset} ^ {flip:#x}: {other:?}"),
                }
                assert_eq!(fs::read(place.file(name)).unwrap(), changed);
            }
        }
        fs::write(place.file(name), &files[at]).unwrap();
    }
    assert_eq!(place.read().lines.len(), 6);
}

#[test]
fn lines_that_are_moved_doubled_or_gone_are_damage() {
    let (place, files) = Place::sample();
    let lines: Vec<&[u8]> = files[0].split_inclusive(|byte| *byte == b'\n').collect();
    let [a, b, c] = lines[..] else { panic!("three records") };
    for (changed, record) in [
        (vec![b, a, c], 0),
        (vec![a, c, b], 1),
        (vec![a, a, b, c], 1),
        (vec![a, b, b, c], 2),
        (vec![b, c], 0),
        (vec![a, c], 1),
        (vec![a, b], 2),
        (vec![a, b, c, b"\n"], 3),
        (vec![a, b, c, b"torn"], 3),
        (vec![a, b, c, &[0; 700], b"\n"], 3),
        (vec![], 0),
    ] {
        fs::write(place.file("000000-one.jsonl"), changed.concat()).unwrap();
        match read(&place.state, FEATURE) {
            Err(JournalError::Corrupt { seq, .. }) => assert_eq!(seq, record),
            other => panic!("{changed:?}: {other:?}"),
        }
    }
    fs::remove_file(place.file("000000-one.jsonl")).unwrap();
    assert!(matches!(read(&place.state, FEATURE), Err(JournalError::Corrupt { seq: 0, .. })));
}

#[test]
fn a_second_continuation_is_named_a_fork() {
    let (place, files) = Place::sample();
    fs::write(place.file("000001-zz.jsonl"), &files[1]).unwrap();
    let Err(JournalError::Corrupt { file, damage, .. }) = read(&place.state, FEATURE) else {
        panic!("no error")
    };
    assert!(file.as_str().ends_with("000001-zz.jsonl"));
    assert_eq!(damage, Damage::Fork { after: Some(2) });
    fs::write(place.file("000001-zz.jsonl"), &files[0]).unwrap();
    let Err(JournalError::Corrupt { damage, .. }) = read(&place.state, FEATURE) else { panic!("no error") };
    assert_eq!(damage, Damage::Fork { after: None });
}

#[test]
fn a_newer_record_is_refused_and_not_called_damaged() {
    let place = Place::new();
    let mut journal = place.begun("one");
    journal.append(&events(1), Durability::Lazy).unwrap();
    let head = journal.head().digest;
    let body = format!("{{\"prev\":\"{head}\",\"rec\":{{\"new\":true,\"v\":{}}}", RECORD_VERSION + 1);
    let line = format!("{body},\"self\":\"{}\"}}\n", Sha256::of(body.as_bytes()));
    let path = place.file("000000-one.jsonl");
    fs::write(&path, [fs::read(&path).unwrap(), line.into_bytes()].concat()).unwrap();
    assert!(matches!(read(&place.state, FEATURE), Err(JournalError::Newer { line: 2, .. })));
    assert!(matches!(journal.append(&events(1), Durability::Lazy), Err(JournalError::Newer { .. })));
}

#[test]
fn a_repair_that_was_interrupted_is_told_once() {
    let (place, files) = Place::sample();
    let path = place.file("000001-two.jsonl");
    let torn_at = files[1].len();
    // The copy was made in part, and the crash came before the cut.
    fs::write(&path, [&files[1][..], b"torn bytes"].concat()).unwrap();
    fs::write(place.file(&format!("000001-two.torn-{torn_at}-0")), "torn").unwrap();
    let written = place.open().journal.append(&[], Durability::Synced).unwrap().written;
    assert_eq!(written.len(), 1);
    assert!(matches!(written[0].record.event, Event::JournalRepaired { bytes: 10, .. }));
    assert_eq!(place.open().journal.append(&[], Durability::Synced).unwrap(), Appended::default());
    // The copy was made, the end cut, and the crash came before the record.
    let (place, _) = Place::sample();
    fs::write(place.file("000001-two.torn-5-0"), "torn").unwrap();
    let written = place.open().journal.append(&events(1), Durability::Synced).unwrap().written;
    assert!(matches!(written[0].record.event, Event::JournalRepaired { bytes: 4, .. }));
    assert_eq!(written.len(), 2);
    // The same place is torn twice, with other bytes: both are kept.
    let (place, files) = Place::sample();
    fs::write(place.file(&format!("000001-two.torn-{torn_at}-0")), "first").unwrap();
    fs::write(place.file("000001-two.jsonl"), [&files[1][..], b"second"].concat()).unwrap();
    let written = place.open().journal.append(&[], Durability::Synced).unwrap().written;
    assert_eq!(written.len(), 2);
    assert_eq!(fs::read(place.file(&format!("000001-two.torn-{torn_at}-1"))).unwrap(), b"second");
}

#[test]
fn a_follower_sees_each_line_once() {
    let place = Place::new();
    let mut follow = Follow::new(&place.state, FEATURE).unwrap();
    assert!(follow.poll().unwrap().is_empty());
    let mut journal = place.begun("one");
    let first = journal.append(&events(2), Durability::Lazy).unwrap().written;
    assert_eq!(follow.poll().unwrap(), first);
    journal.begin_run("two").unwrap();
    let second = journal.append(&events(1), Durability::Lazy).unwrap().written;
    // A line that is being written is no line yet.
    let path = place.file("000001-two.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..20]).unwrap();
    assert!(follow.poll().unwrap().is_empty());
    fs::write(&path, &whole).unwrap();
    assert_eq!(follow.poll().unwrap(), second);
    assert!(follow.poll().unwrap().is_empty());
}

#[test]
fn a_write_that_fails_for_good_ends_the_journal() {
    let place = Place::new();
    let mut journal = place.begun("one");
    journal.append(&events(1), Durability::Lazy).unwrap();
    let path = place.file("000000-one.jsonl");
    journal.file = Some(("000000-one.jsonl".to_owned(), File::open(path).unwrap()));
    let failed = journal.append(&events(1), Durability::Synced);
    assert!(matches!(failed, Err(JournalError::Append { cut_back: false, .. })));
    assert!(matches!(journal.append(&events(1), Durability::Synced), Err(JournalError::Unusable)));
    assert_eq!(place.read().lines.len(), 1);
}

/// Runs the test called `name` in a process of its own, through a shell line that ends in `exec "$0" "$@"`.
fn in_a_process(name: &str, shell: &str, place: &Place, crash_at: &str) -> std::process::Output {
    std::process::Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1", &format!("journal::tests::{name}")])
        .env("LOOP_TEST_JOURNAL", &place.state)
        .env("LOOP_CRASH_AT", crash_at)
        .output()
        .unwrap()
}

/// Set in such a process alone.
fn given_place() -> Option<Utf8PathBuf> {
    std::env::var("LOOP_TEST_JOURNAL").ok().map(Utf8PathBuf::from)
}

/// The other half of `a_full_disk_leaves_whole_lines`: it does something only in the process made there.
#[test]
fn fill_the_disk() {
    let Some(state) = given_place() else { return };
    let mut journal = Journal::open(&state, FEATURE).unwrap().journal;
    for _ in 0..1000 {
        let before = journal.head();
        match journal.append(&events(3), Durability::Lazy) {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, JournalError::Append { cut_back: true, .. }), "{error}");
                assert_eq!(journal.head(), before);
                assert!(journal.append(&events(3), Durability::Lazy).is_err());
                return;
            }
        }
    }
    panic!("there was no limit");
}

#[test]
fn a_full_disk_leaves_whole_lines() {
    if given_place().is_some() {
        return;
    }
    let place = Place::new();
    place.begun("one").append(&events(1), Durability::Lazy).unwrap();
    // A limit on the size of files fails a write in its middle, as a full disk does.
    let output = in_a_process("fill_the_disk", "trap '' XFSZ; ulimit -f 16;", &place, "");
    assert!(output.status.success(), "{output:?}");
    let read = place.read();
    assert_eq!(read.torn, None);
    assert!(read.lines.len() > 4);
    place.open().journal.append(&events(1), Durability::Synced).unwrap();
}

/// The other half of `a_crash_at_any_point_loses_nothing`: prints what was acknowledged until it dies.
#[test]
fn append_until_killed() {
    use std::io::Write as _;

    let Some(state) = given_place() else { return };
    let mut out = std::io::stdout();
    let mut journal = Journal::open(&state, FEATURE).unwrap().journal;
    for run in ["r1", "r2"] {
        journal.begin_run(run).unwrap();
        for _ in 0..2 {
            let head = journal.append(&events(3), Durability::Synced).map(|_| journal.head()).unwrap();
            writeln!(out, "acknowledged {}", head.records).unwrap();
        }
    }
}

#[cfg(feature = "crash-points")]
#[test]
fn a_crash_at_any_point_loses_nothing() {
    use std::os::unix::process::ExitStatusExt;

    if given_place().is_some() {
        return;
    }
    for point in crash::POINTS.iter().filter(|point| point.starts_with("journal.")) {
        for time in 1..=3 {
            let place = Place::new();
            let repairs = point.starts_with("journal.repair");
            if repairs {
                place.begun("r0").append(&events(1), Durability::Synced).unwrap();
                let path = place.file("000000-r0.jsonl");
                fs::write(&path, [fs::read(&path).unwrap(), b"torn".to_vec()].concat()).unwrap();
            }
            let output = in_a_process("append_until_killed", "", &place, &format!("{point}:{time}"));
            let printed = String::from_utf8(output.stdout).unwrap();
            let mut acknowledged = printed.lines().filter_map(|line| line.split_once("acknowledged "));
            let acknowledged: usize =
                acknowledged.next_back().map_or(0, |(_, number)| number.parse().unwrap());
            if output.status.signal() != Some(9) {
                assert!(time > 1, "{point} was never passed: {printed}");
                continue;
            }
            let Opened { mut journal, lines, .. } = place.open();
            assert!(lines.len() >= acknowledged, "{point}:{time}");
            journal.begin_run("after").unwrap();
            journal.append(&events(1), Durability::Synced).unwrap();
            let again = place.open();
            assert_eq!(again.torn, None);
            assert_eq!(again.lines[..lines.len()], lines);
            let told = again.lines.iter();
            let told = told.filter(|line| matches!(line.record.event, Event::JournalRepaired { .. })).count();
            let torn = repairs || *point == "journal.append.half-written";
            assert_eq!(told, usize::from(torn), "{point}:{time}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// However events are grouped into appends, and wherever the journal is closed, opened or begun anew:
    /// the records are those events, and the state is their fold.
    #[test]
    fn the_fold_does_not_depend_on_how_it_was_written(
        picks in prop::collection::vec((0..samples::events().len(), 0..8_u8), 1..40)
    ) {
        let place = Place::new();
        let all = samples::events();
        let mut journal = place.begun("run");
        let mut lines = Vec::new();
        let mut batch = Vec::new();
        let mut expected = Vec::new();
        for (pick, then) in picks {
            batch.push(all[pick].clone());
            expected.push(all[pick].clone());
            if then >= 5 {
                continue;
            }
            let durability = if then == 0 { Durability::Synced } else { Durability::Lazy };
            lines.extend(journal.append(&batch, durability).unwrap().written);
            batch.clear();
            match then {
                1 => journal = place.open().journal,
                2 => journal.begin_run("run").unwrap(),
                3 => lines.extend(place.open().journal.append(&[], Durability::Lazy).unwrap().written),
                _ => {}
            }
        }
        lines.extend(journal.append(&batch, Durability::Lazy).unwrap().written);
        prop_assert_eq!(records(&lines), expected.iter().collect::<Vec<_>>());
        let read = place.read();
        prop_assert_eq!(&read.lines, &lines);
        let mut state = State::default();
        lines.iter().for_each(|line| state.apply(&line.record));
        prop_assert_eq!(State::fold(read.lines.iter().map(|line| &line.record)), state);
    }
}
