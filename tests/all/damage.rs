//! A journal with a torn end, one with a changed byte, and a disk that is full.
//!
//! Does not know the journal's format beyond "one record a line": `spec/journal.md` says it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loop_tests::{BRANCH, Outcome, PLAN, Repo, creates, skipped, workspace_root};

const THREE: &str = r#"
    unit a { goal "Make one."; creates "out/a.txt"; accept "it is checked" by=check; }
    unit b { goal "Make two."; creates "out/b.txt"; accept "it is checked" by=check; }
    unit c { needs a; goal "Make three."; creates "out/c.txt"; accept "it is checked" by=check; }
"#;

fn three() -> Repo {
    let scripts = ["a", "b", "c"].map(|unit| (unit, creates(&format!("out/{unit}.txt"), "done")));
    let scripts: Vec<(&str, &str)> = scripts.iter().map(|(unit, script)| (*unit, script.as_str())).collect();
    let mut repo = Repo::scripted(THREE, &scripts);
    repo.set_env("LOOP_CONTAINMENT", "off");
    repo
}

/// The one file of the journal of a repository with one run.
fn journal_file(repo: &Repo) -> PathBuf {
    let mut files = repo.journal_files();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn verify_script(file: &Path) -> Outcome {
    let output = Command::new("sh")
        .arg(workspace_root().join("spec/verify.sh"))
        .arg(file.parent().expect("a file has a directory"))
        .output()
        .expect("a shell runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

#[test]
fn a_changed_byte_anywhere_is_refused_with_the_record_s_number() {
    let repo = three();
    repo.exec(&[]).expect(0);
    let file = journal_file(&repo);
    let sound = fs::read(&file).expect("the journal is readable");
    let last = sound[..sound.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("many lines") + 1;
    let mut places: Vec<usize> = (0..sound.len()).step_by(37).collect();
    places.extend((last..sound.len()).step_by(11));
    places.push(sound.len() - 1);
    let state = sound.iter().filter(|byte| **byte == b'\n').count();
    assert!(state > 12, "{state} records");
    for (number, place) in places.iter().enumerate() {
        let mut changed = sound.clone();
        // One bit: a digit becomes another digit, a letter another letter, and the newline something else.
        changed[*place] ^= 1;
        fs::write(&file, &changed).expect("the journal is writable");
        let record = sound[..*place].iter().filter(|byte| **byte == b'\n').count();
        let audit = repo.run_loop(&["audit", "verify"]);
        assert_eq!(audit.code, 1, "byte {place}:\n{}", audit.all());
        let named = audit.stdout.lines().find_map(|line| line.trim().strip_prefix("record "));
        let named = named.and_then(|rest| rest.split_once(':')).map(|(number, _)| number.to_owned());
        assert_eq!(named, Some(record.to_string()), "byte {place}:\n{}", audit.all());
        if number % 8 == 0 || *place >= sound.len() - 2 {
            let script = verify_script(&file);
            assert_eq!(script.code, 1, "byte {place}: {}", script.all());
            assert!(script.stdout.contains(&format!("record {record}:")), "byte {place}: {}", script.all());
        }
        if number % 16 == 0 || *place >= sound.len() - 2 {
            let run = repo.exec(&[]);
            assert_eq!(run.code, 6, "byte {place}:\n{}", run.all());
            assert!(run.stderr.contains(&format!("record {record}")), "byte {place}:\n{}", run.all());
            let left = fs::read(&file).expect("the journal is readable");
            assert!(left == changed, "byte {place}: a damaged journal is left as it is");
        }
    }
    fs::write(&file, &sound).expect("the journal is writable");
    repo.run_loop(&["audit", "verify"]).expect(0);
    assert_eq!(verify_script(&file).code, 0);
    repo.exec(&[]).expect(0);
}

#[test]
fn a_torn_last_line_opens_and_the_run_says_so() {
    for cut in [1, 2, 90, 5_000] {
        let repo = three();
        repo.exec(&[]).expect(0);
        let file = journal_file(&repo);
        let sound = fs::read(&file).expect("the journal is readable");
        let last = sound[..sound.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("many lines") + 1;
        let end = (sound.len() - cut.min(sound.len())).max(last + 1);
        fs::write(&file, &sound[..end]).expect("the journal is writable");
        let audit = repo.run_loop(&["audit", "verify"]).expect(0);
        assert!(audit.stdout.contains("an append that was cut"), "{}", audit.all());
        assert!(verify_script(&file).stdout.contains("torn:"));
        let status = repo.run_loop(&["status", PLAN]);
        assert_eq!(status.code, 0, "readers do not mind: {}", status.all());
        let commits = repo.git(&["rev-parse", BRANCH]);
        let run = repo.exec(&[]).expect(0);
        assert!(run.stderr.contains("a crash cut off"), "{}", run.all());
        let journal = repo.journal();
        let repaired = journal.of("journal.repaired");
        assert_eq!(repaired.len(), 1, "{}", run.all());
        let moved = repaired[0]["moved_to"].as_str().expect("it names a file");
        let aside = fs::read(file.with_file_name(moved)).expect("the bytes are kept");
        assert!(aside == sound[last..end], "they are the bytes that were cut off");
        assert_eq!(repo.git(&["rev-parse", BRANCH]), commits);
        assert_eq!(journal.dispatched().len(), 3, "nobody is paid again");
        repo.run_loop(&["audit", "verify"]).expect(0);
    }
}

#[test]
fn a_journal_that_lost_what_the_branch_names_is_not_repaired() {
    let repo = three();
    repo.exec(&[]).expect(0);
    let file = journal_file(&repo);
    let sound = fs::read_to_string(&file).expect("the journal is readable");
    // Cut inside the record that accepted the second unit: its commit and the third's are on the branch.
    let accepted: Vec<usize> =
        sound.match_indices("\"kind\":\"unit.accepted\"").map(|(place, _)| place).collect();
    let cut = &sound.as_bytes()[..accepted[1]];
    fs::write(&file, cut).expect("the journal is writable");
    let tip = repo.git(&["rev-parse", BRANCH]);
    let run = repo.exec(&[]).expect(6);
    assert!(run.stderr.contains("names a result"), "{}", run.all());
    assert!(fs::read(&file).expect("the journal is readable") == cut, "nothing was changed");
    assert_eq!(repo.git(&["rev-parse", BRANCH]), tip);
    let audit = repo.run_loop(&["audit", "verify"]).expect(1);
    assert!(audit.stdout.contains("names a result that the journal does not have"), "{}", audit.all());
    // The two ways out that the message names.
    let directory = file.parent().expect("a file has a directory");
    let away = repo.outside().join("moved-away");
    fs::rename(directory, &away).expect("the journal is moved away");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched(), [] as [&str; 0], "the branch says what is done");
    fs::remove_dir_all(directory).expect("the new journal is removed");
    fs::rename(&away, directory).expect("the journal is moved back");
    fs::write(&file, &sound).expect("the journal is restored");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.journal().dispatched().len(), 3);
}

/// A small file system in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: &Path, kilobytes: u64) -> Result<Disk, String> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "none"])
            .arg(place)
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        match mounted.status.success() {
            true => Ok(Disk(place.to_owned())),
            false => Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned()),
        }
    }

    fn available(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.0).expect("the disk has figures");
        stat.f_bavail * stat.f_frsize
    }

    /// Leaves `bytes` free.
    fn fill(&self, bytes: u64) {
        let filler = self.0.join("filler");
        let _ = fs::remove_file(&filler);
        let size = self.available().saturating_sub(bytes);
        fs::write(filler, vec![0; usize::try_from(size).expect("a small disk")]).expect("it fits");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("the filler is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: something may still look at it, and a mount that stays would stop the removal of the directory.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_the_run_goes_on_when_there_is_space() {
    let name = "a_full_disk_is_named_and_the_run_goes_on_when_there_is_space";
    if !rustix::process::geteuid().is_root() {
        return skipped(name, "only root mounts a small disk");
    }
    let repo = three();
    let (git, cache) = (repo.root().join(".git"), repo.outside().join("cache"));
    let copy = repo.outside().join("copy");
    fs::rename(&git, &copy).and_then(|()| fs::create_dir(&git)).expect("the git directory is moved");
    let disks = Disk::mount(&git, 8 << 10).and_then(|state| Ok((state, Disk::mount(&cache, 8 << 10)?)));
    let (state, cache) = match disks {
        Ok(disks) => disks,
        Err(reason) => return skipped(name, &reason),
    };
    let copied = Command::new("cp").arg("-a").arg(copy.join(".")).arg(&git).status();
    assert!(copied.is_ok_and(|status| status.success()), "the git directory is copied to the small disk");
    let before = repo.snapshot();
    let mut refused = 0;
    // The places of attempts first: what an agent itself cannot write is a failure of the agent.
    for (disk, sizes) in [(&cache, [0, 4].as_slice()), (&state, [0, 4, 8, 16, 24, 32, 44, 56].as_slice())] {
        for kilobytes in sizes {
            disk.fill(kilobytes << 10);
            let run = repo.exec(&[]);
            disk.free();
            before.assert_same(&repo.snapshot());
            refused += usize::from(run.code != 0);
            if run.code != 0 {
                assert_eq!(run.code, 6, "{kilobytes} KB left:\n{}", run.all());
                assert!(run.stderr.contains("free some space"), "{kilobytes} KB left:\n{}", run.all());
            }
        }
    }
    assert!(refused >= 4, "the disk was full {refused} times");
    let run = repo.exec(&[]);
    assert_eq!(run.code, 0, "with space again:\n{}", run.all());
    assert_eq!(repo.landed(BRANCH), ["a", "b", "c"]);
    let mut accepted = repo.journal().units_of("unit.accepted");
    accepted.sort();
    assert_eq!(accepted, ["a", "b", "c"], "nothing was accepted twice");
    repo.run_loop(&["audit", "verify"]).expect(0);
    repo.git(&["fsck", "--strict"]);
}

#[test]
fn a_journal_that_is_gone_as_a_whole_is_no_sound_one() {
    let repo = Repo::scripted(
        r#"unit a { goal "Make one."; creates "out/a.txt"; accept "it is checked" by=check; }"#,
        &[("a", "mkdir -p out; echo a > out/a.txt\n")],
    );
    let before = repo.run_loop(&["audit", "verify"]).expect(0);
    assert!(before.all().contains("nothing has run"), "{}", before.all());
    repo.exec(&[]).expect(0);
    repo.run_loop(&["audit", "verify"]).expect(0);
    let journal = repo.root().join(".git/loop/journal");
    std::fs::remove_dir_all(&journal).expect("the journal can be removed");
    let after = repo.run_loop(&["audit", "verify"]).expect(1);
    assert!(after.all().contains("NOT SOUND"), "{}", after.all());
    std::fs::create_dir(&journal).expect("made");
    repo.run_loop(&["audit", "verify", ".git/loop"]).expect(2);
    let script = workspace_root().join("spec/verify.sh");
    let shell = std::process::Command::new("sh").arg(script).arg(&journal).output().expect("sh runs");
    assert_eq!(shell.status.code(), Some(2), "a wrong directory is not a sound journal");
}
