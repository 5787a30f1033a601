//! Repositories on a real disk, and what the compiler sees of them.
//!
//! Does not know plans.

use std::os::unix::fs::symlink;

use super::*;

struct Place {
    _keep: tempfile::TempDir,
    root: Utf8PathBuf,
}

/// A repository (an empty `.git` is enough) with files.
fn repository(files: &[(&str, &str)]) -> Place {
    let keep = tempfile::tempdir().expect("a temporary directory");
    let above = Utf8PathBuf::from_path_buf(keep.path().canonicalize().expect("it exists")).expect("UTF-8");
    let root = above.join("repo");
    std::fs::create_dir_all(root.join(".git")).expect("it can be made");
    for (path, text) in files {
        write(&root.join(path), text);
    }
    Place { _keep: keep, root }
}

fn write(path: &Utf8Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
    std::fs::write(path, text).expect("it can be written");
}

fn paths(names: &[&str]) -> Vec<Utf8PathBuf> {
    names.iter().map(Utf8PathBuf::from).collect()
}

#[test]
fn the_nearest_project_file_counts_and_none_above_the_git_root() {
    let place = repository(&[("a/loop.kdl", ""), ("a/b/x.loop.kdl", ""), ("c/d", "")]);
    write(&place.root.join("../loop.kdl"), "");
    let find = |path: &str| Repository::find(&place.root.join(path)).expect("it is a repository");
    assert_eq!(find("a/b").project, Some("a/loop.kdl".into()));
    assert_eq!(find("a/b/x.loop.kdl").project, Some("a/loop.kdl".into()));
    assert_eq!(find("a/b").root, place.root);
    assert_eq!(find("c").project, None);
    assert_eq!(find("").project_of(Utf8Path::new("a/b/x.loop.kdl")), Some("a/loop.kdl".into()));
    assert_eq!(find("").project_of(Utf8Path::new("x.loop.kdl")), None);
}

#[test]
fn outside_a_repository_and_nowhere_are_told_apart() {
    let keep = tempfile::tempdir().expect("a temporary directory");
    let path = Utf8Path::from_path(keep.path()).expect("UTF-8");
    assert!(matches!(Repository::find(path), Err(DiskError::NoRepository(_))));
    let nowhere = Repository::find(&path.join("nowhere")).expect_err("it does not exist");
    assert!(nowhere.to_string().ends_with("no such file or directory"), "{nowhere}");
}

#[test]
fn plans_are_sorted_and_ignored_hidden_and_foreign_ones_are_left_out() {
    let place = repository(&[
        (".gitignore", "/target/\n*.draft.loop.kdl\n"),
        ("loop.kdl", ""),
        ("b.loop.kdl", ""),
        ("a/z.loop.kdl", ""),
        ("a/y.kdl", ""),
        ("a/n.draft.loop.kdl", ""),
        ("target/t.loop.kdl", ""),
        (".hidden/h.loop.kdl", ""),
        ("vendor/other/.git/HEAD", ""),
        ("vendor/other/o.loop.kdl", ""),
        ("vendor/v.loop.kdl", ""),
    ]);
    std::fs::create_dir(place.root.join("dir.loop.kdl")).expect("it can be made");
    symlink("b.loop.kdl", place.root.join("link.loop.kdl")).expect("it can be made");
    let repository = Repository::find(&place.root).expect("it is a repository");
    assert_eq!(repository.plans(), Ok(paths(&["a/z.loop.kdl", "b.loop.kdl", "vendor/v.loop.kdl"])));
    assert_eq!(repository.plans_below(Utf8Path::new("a")), Ok(paths(&["a/z.loop.kdl"])));
    assert_eq!(
        repository.plans_below(Utf8Path::new("vendor/other")),
        Ok(paths(&["vendor/other/o.loop.kdl"])),
        "a directory that is asked for is searched"
    );
}

#[test]
fn paths_of_a_person_become_paths_from_the_root() {
    let place = repository(&[("a/b.loop.kdl", "")]);
    let repository = Repository::find(&place.root).expect("it is a repository");
    let from =
        |current: &str, path: &str| repository.relative(&place.root.join(current), Utf8Path::new(path));
    assert_eq!(from("a", "b.loop.kdl"), Ok("a/b.loop.kdl".into()));
    assert_eq!(from("a", "../a/b.loop.kdl"), Ok("a/b.loop.kdl".into()));
    assert_eq!(from("a", ".."), Ok("".into()));
    assert_eq!(from("", "."), Ok("".into()));
    assert_eq!(from("", place.root.join("a").as_str()), Ok("a".into()));
    assert!(matches!(from("", "../x.loop.kdl"), Err(DiskError::Outside { .. })));
    assert!(matches!(from("", "nowhere/x.loop.kdl"), Err(DiskError::Io { .. })));
}

#[test]
fn links_are_followed_inside_the_repository_and_never_out_of_it() {
    let place = repository(&[("a/b/text", "inside"), ("d/x", "")]);
    write(&place.root.join("../secret"), "outside");
    let root = &place.root;
    for (target, link) in [
        ("a/b/text", "plain"),
        ("../a/b", "d/up"),
        ("../../secret", "d/out"),
        ("../repo/plain", "around"),
        ("loop-b", "loop-a"),
        ("loop-a", "loop-b"),
        ("nowhere", "dangling"),
        ("/etc/hostname", "absolute"),
    ] {
        symlink(target, root.join(link)).expect("it can be made");
    }
    symlink(root.join("a"), root.join("absolute-inside")).expect("it can be made");
    let sources = Repository::find(root).expect("it is a repository").sources();
    let read = |path: &str| sources.read(Utf8Path::new(path));
    for path in ["a/b/text", "plain", "d/up/text", "absolute-inside/b/text"] {
        assert_eq!(read(path), Ok(b"inside".to_vec()), "{path}");
    }
    for path in ["d/out", "around", "absolute"] {
        assert_eq!(read(path), Err(ReadError::Escapes), "{path}");
        assert_eq!(sources.kind(Utf8Path::new(path)), Some(PathKind::Other), "{path}");
    }
    assert!(matches!(read("loop-a"), Err(ReadError::Denied(_))));
    assert_eq!(read("dangling"), Err(ReadError::Missing));
    assert_eq!(read("a/b/text/more"), Err(ReadError::Missing));
    assert_eq!(read("../secret"), Err(ReadError::Escapes));
    assert_eq!(sources.kind(Utf8Path::new("d/up")), Some(PathKind::Directory));
    assert_eq!(sources.kind(Utf8Path::new("nowhere")), None);
}

#[test]
fn pipes_devices_and_directories_are_no_files_and_are_not_opened() {
    let place = repository(&[("d/x", "")]);
    let pipe = place.root.join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, pipe.as_std_path(), rustix::fs::Mode::RUSR)
        .expect("it can be made");
    let sources = Repository::find(&place.root).expect("it is a repository").sources();
    // Opening the pipe would wait for a writer that never comes.
    assert_eq!(sources.read(Utf8Path::new("pipe")), Err(ReadError::NotAFile));
    assert_eq!(sources.kind(Utf8Path::new("pipe")), Some(PathKind::Other));
    assert_eq!(sources.read(Utf8Path::new("d")), Err(ReadError::NotAFile));
}

#[test]
fn a_file_beyond_the_limit_is_refused_unread() {
    let place = repository(&[]);
    let file = std::fs::File::create(place.root.join("big")).expect("it can be made");
    file.set_len(MAX_FILE + 1).expect("a sparse file");
    let sources = Repository::find(&place.root).expect("it is a repository").sources();
    assert_eq!(sources.read(Utf8Path::new("big")), Err(ReadError::TooLarge(MAX_FILE)));
    file.set_len(MAX_FILE).expect("a sparse file");
    assert_eq!(sources.read(Utf8Path::new("big")).map(|bytes| bytes.len() as u64), Ok(MAX_FILE));
}

#[test]
fn an_overlay_hides_the_file_below_it() {
    let place = repository(&[("a", "below"), ("b", "other")]);
    let disk = Repository::find(&place.root).expect("it is a repository").sources();
    let overlay = Overlay { under: &disk, path: "a".into(), bytes: b"above".to_vec() };
    assert_eq!(overlay.read(Utf8Path::new("a")), Ok(b"above".to_vec()));
    assert_eq!(overlay.read(Utf8Path::new("b")), Ok(b"other".to_vec()));
    assert_eq!(overlay.kind(Utf8Path::new("c")), None);
}

/// A repository made by git itself, with files of which the first few are tracked.
fn with_git(tracked: &[(&str, &str)], others: &[(&str, &str)]) -> Place {
    let place = repository(&[]);
    std::fs::remove_dir(place.root.join(".git")).expect("it is empty");
    git(&place.root, &["init", "-q", "-b", "main"]);
    for (path, text) in tracked {
        write(&place.root.join(path), text);
    }
    git(&place.root, &["add", "-f", "."]);
    for (path, text) in others {
        write(&place.root.join(path), text);
    }
    place
}

/// What git prints; rules from outside the repository do not count.
fn git(root: &Utf8Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "core.excludesFile=/dev/null", "-c", "core.quotePath=false"])
        .args(arguments)
        .current_dir(root)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("git starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn listed(root: &Utf8Path) -> Vec<String> {
    let sources = Repository::find(root).expect("it is a repository").sources();
    let files = sources.files().expect("it can be listed");
    files.iter().map(ToString::to_string).collect()
}

const IGNORE: &str = "# made\n/target/\n*.log\n!keep.log\nbuild/\ndoc/*.html\n**/cache\n\\#odd\na/**/z\n \n\
                      trailing \\ \nnode_modules\nlogs/***/x\n[ab].tmp\n!/b.tmp\n/only-here\n";

/// Paths (a `/` at the end: a directory) that exercise the rules above and those of `sub/.gitignore`.
const ASKED: &[&str] = &[
    "target/x",
    "sub/target/x",
    "x.log",
    "sub/deep/x.log",
    "keep.log",
    "sub/keep.log",
    "build",
    "build/",
    "build/x",
    "sub/build/x/y",
    "doc/a.html",
    "doc/b/a.html",
    "cache",
    "p/q/cache/r",
    "#odd",
    "a/z",
    "a/b/c/z",
    "node_modules/x/y",
    "logs/x",
    "logs/p/q/x",
    "a.tmp",
    "b.tmp",
    "sub/b.tmp",
    "only-here",
    "sub/only-here",
    "free",
    "sub/free",
    "sub/mine",
    "sub/mine/x",
    "sub/again.log",
    "sub/deep/mine",
    "forced.log",
    "dist/forced",
    "dist/new",
    "umläut.log",
    "sub/dir-only",
    "sub/dir-only/",
    "only-here/deep",
];

#[test]
fn what_is_ignored_is_what_git_ignores() {
    let place = with_git(
        &[("forced.log", "x"), ("dist/forced", "x"), ("src/a", "x")],
        &[
            (".gitignore", IGNORE),
            ("sub/.gitignore", "mine\n!again.log\ndir-only/\n"),
            ("dist/.gitignore", "*\n"),
        ],
    );
    let sources = Repository::find(&place.root).expect("it is a repository").sources();
    let (mut wrong, mut ignored) = (Vec::new(), 0);
    for asked in ASKED {
        let kind = if asked.ends_with('/') { PathKind::Directory } else { PathKind::File };
        let found = sources.ignored(Utf8Path::new(asked.trim_end_matches('/')), kind);
        let mut told = git(&place.root, &["check-ignore", "-v", "--", asked]);
        // Also told: the line that takes a path back in.
        if told.split(':').nth(2).is_some_and(|pattern| pattern.starts_with('!')) {
            told.clear();
        }
        let said = found.map(|found| format!("{}:{}:{}\t{asked}\n", found.file, found.line, found.pattern));
        let said = said.unwrap_or_default();
        if said != told {
            wrong.push(format!("{asked}: {said:?}, git {told:?}"));
        }
        ignored += usize::from(!told.is_empty());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ignored > 20 && ignored < ASKED.len(), "both answers occur");
}

/// Tracked files, though ignored, and new ones that are not; in every version of the index.
#[test]
fn the_files_are_those_that_git_knows_or_would_take() {
    let tracked: Vec<(String, &str)> =
        (0..40).map(|at| (format!("src/module-{at}/file-{at}.rs"), "x")).collect();
    let mut tracked: Vec<(&str, &str)> = tracked.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    tracked.extend([("forced.log", "x"), ("target/kept", "x"), ("a.b", ""), ("a/b", ""), ("gone", "")]);
    let others = [
        (".gitignore", IGNORE),
        ("new", "x"),
        ("target/built", "x"),
        ("deep/er/x.log", "x"),
        ("deep/er/keep.log", "x"),
        ("deep/.hidden", "x"),
        ("other/.git/HEAD", "x"),
        ("other/file", "x"),
    ];
    let place = with_git(&tracked, &others);
    std::fs::remove_file(place.root.join("gone")).expect("it was there");
    symlink("nowhere", place.root.join("link")).expect("it can be made");
    for version in ["2", "3", "4"] {
        git(&place.root, &["update-index", "--index-version", version]);
        if version == "3" {
            // Version 3 is written only where an entry needs its further flags.
            git(&place.root, &["add", "--intent-to-add", "new"]);
        }
        let mut told: Vec<String> =
            git(&place.root, &["ls-files", "--cached", "--others", "--exclude-per-directory=.gitignore"])
                .lines()
                .map(str::to_owned)
                .filter(|path| path != "gone" && !path.starts_with("other/"))
                .collect();
        told.sort();
        told.dedup();
        assert!(told.contains(&"target/kept".to_owned()) && told.contains(&"link".to_owned()));
        assert_eq!(listed(&place.root), told, "version {version}");
    }
    git(&place.root, &["add", "."]);
    git(&place.root, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "all"]);
    git(&place.root, &["worktree", "add", "-q", "../linked"]);
    std::fs::create_dir_all(place.root.join("../linked/target")).expect("it can be made");
    let linked = place.root.join("../linked").canonicalize_utf8().expect("it exists");
    assert!(listed(&linked).contains(&"target/kept".to_owned()), "a linked worktree has an index of its own");
}

#[test]
fn an_index_that_is_cut_or_no_index_makes_nothing_tracked_and_no_panic() {
    let place = with_git(&[("forced.log", "x"), ("a/b", "x")], &[(".gitignore", "*.log\n")]);
    let file = place.root.join(".git/index");
    let whole = std::fs::read(&file).expect("it exists");
    for end in 0..whole.len() {
        std::fs::write(&file, &whole[..end]).expect("it can be written");
        assert_eq!(listed(&place.root), [".gitignore", "a/b"], "cut to {end} bytes");
    }
    std::fs::write(&file, &whole).expect("it can be written");
    assert_eq!(listed(&place.root), [".gitignore", "a/b", "forced.log"]);
}

#[test]
fn whether_a_file_can_be_started_is_seen() {
    use std::os::unix::fs::PermissionsExt;
    let place = repository(&[("plain", ""), ("script", "")]);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.root.join("script"), mode).expect("it can be set");
    symlink("script", place.root.join("link")).expect("it can be made");
    let sources = Repository::find(&place.root).expect("it is a repository").sources();
    let executable = |path: &str| sources.executable(Utf8Path::new(path));
    assert_eq!((executable("plain"), executable("script")), (Some(false), Some(true)));
    assert_eq!((executable("link"), executable("nowhere")), (Some(true), None));
}
