//! Each way a worktree can be left, and what capture makes of it; git's own reading is the oracle.
//!
//! Does not know how an agent left it so.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;

use camino::Utf8PathBuf;

use super::*;
use crate::digest::ObjectId;
use crate::workspace::testing::{Scratch, entries, git, write};

/// A repository, a private worktree of its head, and that head's tree.
struct Case {
    scratch: Scratch,
    at: Utf8PathBuf,
    start: Tree,
}

fn case(files: &[(&str, &str)]) -> Case {
    case_of(Scratch::with(files))
}

fn case_of(scratch: Scratch) -> Case {
    let repository = scratch.open();
    let head = repository.resolve("HEAD").unwrap().unwrap();
    let start = repository.tree(&head).unwrap();
    let dir = scratch.place("attempt");
    let private = repository.private_checkout(&dir, "repo", &start, &head, &scratch.blobs).unwrap();
    Case { scratch, at: private.worktree, start }
}

impl Case {
    fn rules<'a>(&self, declared: &'a dyn Fn(&str) -> bool) -> CaptureRules<'a> {
        CaptureRules { declared, discard: &|_| false, max_file_bytes: 1000, max_total_bytes: 2000 }
    }

    fn capture_with(&self, rules: &CaptureRules<'_>) -> Result<Captured, CaptureError> {
        capture(&self.scratch.open(), &self.at, &self.start, rules, &self.scratch.blobs)
    }

    fn captured(&self) -> Captured {
        self.capture_with(&self.rules(&|_| false)).unwrap()
    }

    fn refusals(&self) -> Vec<Refusal> {
        match self.capture_with(&self.rules(&|_| false)) {
            Err(CaptureError::Refused { refusals, .. }) => refusals,
            other => panic!("it must be refused: {other:?}"),
        }
    }

    /// Git's own reading of the worktree must be the same tree.
    fn assert_as_git(&self) {
        let captured = self.captured();
        let mut end = self.start.clone();
        end.apply(&captured.patch).unwrap();
        git(&self.at, &["add", "-A"]);
        assert_eq!(super::super::tree_id(&end).0, git(&self.at, &["write-tree"]));
        for change in &captured.patch.changes {
            assert_eq!(change.after.is_some(), change.content.is_some());
            if let Some(digest) = change.content {
                let bytes = self.scratch.blobs.get(&digest).unwrap();
                assert_eq!(change.after.as_ref().unwrap().object, blob_id(&bytes));
            }
        }
    }
}

fn summary(captured: &Captured) -> Vec<String> {
    let letter = |change: &Change| match (&change.before, &change.after) {
        (None, _) => 'A',
        (_, None) => 'D',
        (Some(a), Some(b)) if a.object == b.object => 'T',
        _ => 'M',
    };
    captured.patch.changes.iter().map(|change| format!("{} {}", letter(change), change.path)).collect()
}

#[test]
fn an_untouched_worktree_is_an_empty_patch() {
    let case = case(&[("a", "1"), ("b/c", "2")]);
    assert_eq!(case.captured(), Captured::default());
    assert_eq!(case.scratch.blobs.len(), 0, "nothing is stored for nothing");
}

#[test]
fn every_kind_of_change_is_seen_as_git_sees_it() {
    let case =
        case(&[("mod", "1"), ("del", "2"), ("mode", "3"), ("old name", "4"), ("l", "5"), ("d/x", "6")]);
    let at = &case.at;
    write(at, "mod", "changed");
    fs::remove_file(at.join("del")).unwrap();
    fs::set_permissions(at.join("mode"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(at.join("old name"), at.join("new \"name\"\n")).unwrap();
    fs::remove_file(at.join("l")).unwrap();
    symlink("d/x", at.join("l")).unwrap();
    write(at, "deep/er/\u{e9}", "");
    write(at, "-dash", "x");
    fs::create_dir(at.join("empty")).unwrap();
    let found = summary(&case.captured());
    let expected =
        ["A -dash", "A deep/er/\u{e9}", "D del", "M l", "M mod", "T mode", "A new \"name\"\n", "D old name"];
    assert_eq!(found, expected);
    case.assert_as_git();
}

#[test]
fn files_and_directories_change_places() {
    let case = case(&[("file", "1"), ("dir/a", "2"), ("dir/b/c", "3"), ("link", "4")]);
    let at = &case.at;
    fs::remove_file(at.join("file")).unwrap();
    write(at, "file/inside", "x");
    fs::remove_dir_all(at.join("dir")).unwrap();
    write(at, "dir", "now a file");
    fs::remove_file(at.join("link")).unwrap();
    symlink("file", at.join("link")).unwrap();
    let expected = ["M dir", "D dir/a", "D dir/b/c", "D file", "A file/inside", "M link"];
    let found = summary(&case.captured());
    assert_eq!(found.len(), expected.len());
    assert!(expected.iter().all(|line| found.contains(&line.replace("M dir", "A dir"))), "{found:?}");
    case.assert_as_git();
}

#[test]
fn a_directory_replaced_by_a_link_is_not_walked() {
    let case = case(&[("dir/a", "1"), ("other/a", "1")]);
    fs::remove_dir_all(case.at.join("dir")).unwrap();
    symlink("other", case.at.join("dir")).unwrap();
    assert_eq!(summary(&case.captured()), ["A dir", "D dir/a"]);
    case.assert_as_git();
}

#[test]
fn the_same_file_written_again_is_no_change() {
    let case = case(&[("a", "12"), ("b", "12")]);
    write(&case.at, "a", "12");
    // The same length, in the same instant or with the time put back: content decides.
    let time = fs::metadata(case.at.join("b")).unwrap().modified().unwrap();
    write(&case.at, "b", "21");
    fs::File::options().write(true).open(case.at.join("b")).unwrap().set_modified(time).unwrap();
    assert_eq!(summary(&case.captured()), ["M b"]);
}

#[test]
fn ignored_files_are_dropped_and_counted() {
    let case = case(&[
        (".gitignore", "*.log\n/target\n!keep.log\n"),
        ("tracked.log", "1"),
        ("sub/.gitignore", "!sub.log\n"),
    ]);
    let at = &case.at;
    write(at, "tracked.log", "changed");
    for path in
        ["a.log", "sub/b.log", "target/x/y", "target/keep.log", "sub/target/taken", "keep.log", "sub/sub.log"]
    {
        write(at, path, "x");
    }
    let captured = case.captured();
    assert_eq!(summary(&captured), ["A keep.log", "A sub/sub.log", "A sub/target/taken", "M tracked.log"]);
    assert_eq!(captured.dropped_ignored, 4);
    case.assert_as_git();
}

#[test]
fn declared_files_are_taken_even_if_ignored() {
    let case = case(&[(".gitignore", "gen/\n*.lock\n")]);
    for path in ["gen/out.rs", "gen/other.rs", "x.lock"] {
        write(&case.at, path, "x");
    }
    let declared = |path: &str| path == "gen/out.rs" || path == "x.lock";
    let captured = case.capture_with(&case.rules(&declared)).unwrap();
    assert_eq!(summary(&captured), ["A gen/out.rs", "A x.lock"]);
    assert_eq!(captured.dropped_ignored, 1);
}

#[test]
fn rules_outside_the_tree_do_not_count() {
    let case = case(&[("a", "1")]);
    let exclude = case.at.parent().unwrap().parent().unwrap().join("git/info/exclude");
    fs::write(exclude, "*\n").unwrap();
    git(&case.at, &["config", "core.excludesFile", "/dev/stdin"]);
    write(&case.at, "b", "x");
    assert_eq!(summary(&case.captured()), ["A b"]);
}

#[test]
fn the_git_file_of_the_worktree_is_never_read() {
    let case = case(&[("a", "1")]);
    fs::write(case.at.join(".git"), "gitdir: /etc\n").unwrap();
    assert_eq!(case.captured(), Captured::default());
    fs::remove_file(case.at.join(".git")).unwrap();
    fs::create_dir(case.at.join(".git")).unwrap();
    assert_eq!(case.captured(), Captured::default());
}

#[test]
fn discarded_files_are_named_and_left() {
    let case = case(&[("a.snap.new", "1"), ("b", "2")]);
    write(&case.at, "a.snap.new", "changed");
    write(&case.at, "c.snap.new", "x");
    write(&case.at, "d", "x");
    let discard = |path: &str| path.ends_with(".snap.new");
    let rules = CaptureRules { discard: &discard, ..case.rules(&|_| false) };
    let captured = case.capture_with(&rules).unwrap();
    assert_eq!(summary(&captured), ["A d"]);
    assert_eq!(captured.discarded, ["c.snap.new"]);
}

#[test]
fn a_repository_inside_is_refused_and_the_rest_kept() {
    let case = case(&[("a", "1")]);
    fs::create_dir(case.at.join("new")).unwrap();
    git(&case.at.join("new"), &["init", "-q"]);
    write(&case.at, "new/src/main.rs", "x");
    write(&case.at, "linked/.git", "gitdir: /etc\n");
    write(&case.at, "other", "x");
    match case.capture_with(&case.rules(&|_| false)) {
        Err(CaptureError::Refused { refusals, rest }) => {
            let path = |path: &str| Refusal::NestedRepository { path: path.to_owned() };
            assert_eq!(refusals, [path("linked/"), path("new/")]);
            assert_eq!(summary(&rest), ["A other"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repository_in_an_ignored_directory_is_nobodys_business() {
    let case = case(&[(".gitignore", "target/\n")]);
    write(&case.at, "target/registry/.git/HEAD", "x");
    rustix::fs::mknodat(rustix::fs::CWD, case.at.join("target/pipe").as_str(), FileType::Fifo, Bits::RUSR, 0)
        .unwrap();
    let captured = case.captured();
    assert_eq!((summary(&captured).len(), captured.dropped_ignored), (0, 2));
}

#[test]
fn special_files_are_refused_without_being_opened() {
    let case = case(&[("a", "1"), ("b", "2")]);
    fs::remove_file(case.at.join("a")).unwrap();
    for path in ["a", "pipe"] {
        rustix::fs::mknodat(rustix::fs::CWD, case.at.join(path).as_str(), FileType::Fifo, Bits::RUSR, 0)
            .unwrap();
    }
    let _socket = UnixListener::bind(case.at.join("socket")).unwrap();
    let special = |path: &str, kind| Refusal::SpecialFile { path: path.to_owned(), kind };
    assert_eq!(
        case.refusals(),
        [special("a", "named pipe"), special("pipe", "named pipe"), special("socket", "socket")]
    );
}

#[test]
fn a_pipe_as_ignore_file_does_not_hang() {
    let case = case(&[("a", "1")]);
    rustix::fs::mknodat(rustix::fs::CWD, case.at.join(".gitignore").as_str(), FileType::Fifo, Bits::RUSR, 0)
        .unwrap();
    assert_eq!(case.refusals().len(), 1);
}

#[test]
fn links_out_of_the_tree_are_refused() {
    let case = case(&[("d/f", "1")]);
    let links = [
        ("abs", "/etc/passwd"),
        ("d/up", "../../x"),
        ("git", ".git/config"),
        ("loop", "loop"),
        ("a", "d/up/x"),
    ];
    for (path, target) in links {
        symlink(target, case.at.join(path)).unwrap();
    }
    symlink("../d/f", case.at.join("d/fine")).unwrap();
    symlink("missing", case.at.join("dangling")).unwrap();
    let found: Vec<String> = case
        .refusals()
        .into_iter()
        .map(|refusal| match refusal {
            Refusal::LinkLeavesTree { path, .. } => path,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, ["a", "abs", "d/up", "git", "loop"]);
}

#[test]
fn a_bad_link_of_the_start_may_stay_but_none_becomes_bad() {
    let scratch = Scratch::with(&[("d/e/f", "1"), ("g", "2")]);
    symlink("/usr", scratch.root.join("old")).unwrap();
    symlink("d/../g", scratch.root.join("through")).unwrap();
    scratch.commit("links");
    let case = case_of(scratch);
    write(&case.at, "new", "x");
    assert_eq!(summary(&case.captured()), ["A new"]);
    // `through` says what it said, but `d` leads elsewhere now.
    fs::remove_dir_all(case.at.join("d")).unwrap();
    symlink(".", case.at.join("d")).unwrap();
    let refusals = case.refusals();
    assert!(
        matches!(&refusals[..], [Refusal::LinkLeavesTree { path, .. }] if path == "through"),
        "{refusals:?}"
    );
}

#[test]
fn names_that_differ_in_case_only_are_refused() {
    let case = case(&[("src/lib.rs", "1"), ("README", "2")]);
    write(&case.at, "Src/new.rs", "x");
    write(&case.at, "readme", "x");
    let clash =
        |path: &str, other: &str| Refusal::CaseClash { path: path.to_owned(), other: other.to_owned() };
    assert_eq!(case.refusals(), [clash("README", "readme"), clash("Src", "src")]);
}

#[test]
fn a_clash_that_was_there_stays() {
    let case = case(&[("README", "1"), ("readme", "2")]);
    write(&case.at, "new", "x");
    assert_eq!(summary(&case.captured()), ["A new"]);
    // A rename by case alone is a deletion and an addition, and no clash.
    let case = self::case(&[("readme", "1")]);
    fs::rename(case.at.join("readme"), case.at.join("README")).unwrap();
    assert_eq!(summary(&case.captured()), ["A README", "D readme"]);
}

#[test]
fn names_that_are_no_text_are_refused_unless_untouched() {
    let scratch = Scratch::empty();
    scratch.write(b"old\xff", "1");
    scratch.write(b"dir\xfe/x", "2");
    scratch.commit("raw");
    let case = case_of(scratch);
    write(&case.at, "fine", "x");
    assert_eq!(summary(&case.captured()), ["A fine"]);
    write(&case.at, b"new\xff", "x");
    write(&case.at, b"dir\xfe/x", "changed");
    assert_eq!(case.refusals().len(), 2);
    fs::remove_dir_all(&case.at).unwrap();
    fs::create_dir(&case.at).unwrap();
    assert!(case.refusals().iter().all(|refusal| matches!(refusal, Refusal::NotUtf8 { .. })));
}

#[test]
fn git_files_in_disguise_are_refused() {
    let case = case(&[("a", "1")]);
    write(&case.at, "GIT~1", "x");
    write(&case.at, ".gitmodules", "[submodule]");
    write(&case.at, "d/.gitattributes", "* filter=lfs\n");
    let found = case.refusals();
    assert!(
        matches!(
            &found[..],
            [Refusal::BadName { .. }, Refusal::Submodule { .. }, Refusal::LargeFileStorage { .. }]
        ),
        "{found:?}"
    );
}

#[test]
fn limits_hold_for_new_files_and_not_for_old_ones() {
    let case = case(&[("old", &"x".repeat(5000)), ("small", "1")]);
    assert_eq!(case.captured(), Captured::default());
    fs::set_permissions(case.at.join("old"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(summary(&case.captured()), ["T old"], "the mode alone costs nothing");
    write(&case.at, "old", &"y".repeat(5000));
    write(&case.at, "new", &"x".repeat(1001));
    fs::File::create(case.at.join("sparse")).unwrap().set_len(1 << 40).unwrap();
    let large = |path: &str, bytes| Refusal::FileTooLarge { path: path.to_owned(), bytes, limit: 1000 };
    assert_eq!(case.refusals(), [large("new", 1001), large("old", 5000), large("sparse", 1 << 40)]);
}

#[test]
fn the_sum_is_limited_too() {
    let case = case(&[("a", "1")]);
    for name in ["x", "y", "z"] {
        write(&case.at, name, &name.repeat(900));
    }
    assert_eq!(case.refusals(), [Refusal::TotalTooLarge { bytes: 2700, limit: 2000 }]);
}

#[test]
fn a_submodule_is_not_written() {
    let scratch = Scratch::with(&[("a", "1")]);
    let head = scratch.git(&["rev-parse", "HEAD"]);
    scratch.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},sub")]);
    scratch.git(&["commit", "-q", "-m", "submodule"]);
    let case = case_of(scratch);
    assert_eq!(case.captured(), Captured::default());
    fs::remove_dir(case.at.join("sub")).unwrap();
    assert_eq!(case.captured(), Captured::default(), "as git sees it");
    let submodule = [Refusal::Submodule { path: "sub".to_owned() }];
    write(&case.at, "sub", "a file");
    assert_eq!(case.refusals(), submodule);
    fs::remove_file(case.at.join("sub")).unwrap();
    write(&case.at, "sub/file", "x");
    assert_eq!(case.refusals(), submodule);
}

#[test]
fn ignore_rules_have_a_limit_too() {
    let case = case(&[("a", "1")]);
    write(&case.at, ".gitignore", &"x\n".repeat(200_000));
    let rules = CaptureRules { max_file_bytes: 1 << 20, max_total_bytes: 1 << 20, ..case.rules(&|_| false) };
    match case.capture_with(&rules) {
        Err(CaptureError::Refused { refusals, .. }) => {
            assert!(matches!(&refusals[..], [Refusal::FileTooLarge { path, .. }] if path == ".gitignore"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn depth_has_an_end() {
    let case = case(&[("a", "1")]);
    let mut at = crate::workspace::dirs::open_root(&case.at).unwrap();
    for _ in 0..1000 {
        rustix::fs::mkdirat(&at, "deep", Bits::RWXU).unwrap();
        at = crate::workspace::dirs::open_child(&at, b"deep").unwrap();
    }
    assert!(matches!(&case.refusals()[..], [Refusal::TooDeep { .. }]));
}

#[test]
fn the_start_may_hold_work_that_is_not_in_git_yet() {
    let mut case = case(&[("a", "1")]);
    let file = case.scratch.blobs.file(Mode::File, b"from another unit");
    case.start.files.insert(b"needed".to_vec(), file);
    let before = entries(&case.start);
    write(&case.at, "needed", "from another unit");
    assert_eq!(case.captured(), Captured::default());
    fs::remove_file(case.at.join("needed")).unwrap();
    assert_eq!(summary(&case.captured()), ["D needed"]);
    assert_eq!(before.len(), 2);
}

#[test]
fn messages_say_what_to_do() {
    let refusal = Refusal::FileTooLarge { path: "a b".to_owned(), bytes: 9, limit: 1 };
    assert_eq!(refusal.to_string(), "\"a b\" has 9 bytes, and the limit is 1; delete it, or ignore it");
    let refusals = vec![refusal; 25];
    let error = CaptureError::Refused { refusals, rest: Box::default() };
    assert!(error.to_string().ends_with("\nand 5 more"));
    assert_eq!(error.fault(), crate::fault::Fault::Agent);
    let _: ObjectId = blob_id(b"");
}

#[test]
fn a_worktree_that_is_gone_is_the_agents_doing() {
    let case = case(&[("a", "1")]);
    fs::remove_dir_all(&case.at).unwrap();
    symlink("/etc", &case.at).unwrap();
    assert!(matches!(&case.refusals()[..], [Refusal::Unreadable { .. }]));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn ignore_rules_mean_what_git_means(
        top in proptest::collection::vec("!?/?[ab*?]{1,3}(/[ab*]{1,2})?/?|\\*\\*/[ab]|[ab]/\\*\\*|#a|\\[ab\\]|a |\\\\!a|\\*{3,4}(/[*ab])?|[ab]/\\*{3}", 0..5),
        sub in proptest::collection::vec("!?/?[ab*]{1,2}/?", 0..3),
        paths in proptest::collection::btree_set("[ab]{1,2}(/[ab]{1,2}){0,2}|!a|#a", 1..8),
    ) {
        let case = case(&[("kept", "1")]);
        for path in paths {
            let path = case.at.join(path);
            // A path may be a file here and a directory there; the first stays.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() {
                fs::write(path, "x").unwrap();
            }
        }
        write(&case.at, ".gitignore", &top.join("\n"));
        if case.at.join("a").is_dir() {
            write(&case.at, "a/.gitignore", &sub.join("\r\n"));
        }
        let listed = git(&case.at, &["ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"]);
        let mut by_git: Vec<&str> = listed.split_terminator('\0').collect();
        by_git.sort_unstable();
        let captured = case.captured();
        let found: Vec<&str> = captured.patch.paths().collect();
        proptest::prop_assert_eq!(found, by_git, "{:?} {:?}", top, sub);
    }
}
