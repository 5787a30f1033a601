//! A private repository and worktree for one agent: nothing the agent does in it reaches the user's.
//!
//! Does not know the agent, nor how it is confined. Never opened again by this program: what the agent left
//! is read by `capture`, file by file.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use git2::{Index, IndexEntry, IndexTime};

use crate::digest::ObjectId;
use crate::patch::{Mode, Tree};

use super::export::write_tree;
use super::land::CommitFields;
use super::objects::{Durability, to_oid, tree_id, write_pack};
use super::{Blobs, Person, Repository, WorkspaceError};

/// Where a private repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateRepo {
    /// Its own git directory.
    pub git_dir: Utf8PathBuf,
    /// Its worktree; nothing else lies in the directory above.
    pub worktree: Utf8PathBuf,
    /// The commit that is checked out, detached: its tree is the start tree.
    pub head: ObjectId,
    /// The user's object directories that it reads (never writes): they must be visible at these paths.
    pub object_dirs: Vec<Utf8PathBuf>,
}

/// The whole configuration. The user's, with its hooks, filters and monitors, is not in effect.
const CONFIG: &str = "[core]
\trepositoryformatversion = 0
\tbare = false
\tfilemode = true
\tsymlinks = true
\tlogallrefupdates = true
\tautocrlf = false
\tfsmonitor = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[commit]
\tgpgsign = false
[user]
\tname = agent
\temail = agent@localhost
";

/// Files are raw bytes here, whatever the tree's own attributes say: what stands in the worktree is what
/// is in the tree, and what will be captured. This file comes before all others (gitattributes).
const ATTRIBUTES: &str = "* -text !eol !filter !ident !working-tree-encoding\n";

impl Repository {
    /// Makes a private repository in `dir` (which exists, is empty and ours): its git directory in
    /// `dir/git`, its worktree in `<name>` below `dir/work`. It has no remotes, no branches, and reads objects from
    /// the user's repository. HEAD is `head` if that has this tree, otherwise a commit made on top of it.
    pub fn private_checkout(
        &self,
        dir: &Utf8Path,
        name: &str,
        tree: &Tree,
        head: &ObjectId,
        blobs: &dyn Blobs,
    ) -> Result<PrivateRepo, WorkspaceError> {
        if name.contains('/') || super::names::unwritable(name.as_bytes()).is_some() {
            return Err(WorkspaceError::InvalidName { kind: "directory", name: name.to_owned() });
        }
        let dir = dir.canonicalize_utf8().map_err(WorkspaceError::io("find", dir.as_str()))?;
        let object_dirs = self.object_dirs()?;
        if let Some(path) = object_dirs.iter().chain([&dir]).find(|path| path.as_str().contains('\n')) {
            return Err(WorkspaceError::Unsupported { what: format!("the path {path:?} has a line break") });
        }
        let git_dir = dir.join("git");
        let worktree = dir.join("work").join(name);
        for new in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
            make_dirs(&git_dir.join(new))?;
        }
        make_dirs(&worktree)?;
        let head = self.private_head(&git_dir, tree, head, blobs)?;
        let alternates: String = object_dirs.iter().map(|dir| format!("{dir}\n")).collect();
        write(&git_dir.join("objects/info/alternates"), &alternates)?;
        write(&git_dir.join("config"), CONFIG)?;
        write(&git_dir.join("info/attributes"), ATTRIBUTES)?;
        write(&git_dir.join("HEAD"), &format!("{head}\n"))?;
        if let Ok(cut) = fs::read_to_string(self.git_common_dir().join("shallow")) {
            write(&git_dir.join("shallow"), &cut)?;
        }
        self.fill(&git_dir, &worktree, tree, blobs)?;
        write(&worktree.join(".git"), &format!("gitdir: {git_dir}\n"))?;
        Ok(PrivateRepo { git_dir, worktree, head, object_dirs })
    }

    /// The commit to check out; one that must be made is written into the private repository, unsynced.
    fn private_head(
        &self,
        git_dir: &Utf8Path,
        tree: &Tree,
        head: &ObjectId,
        blobs: &dyn Blobs,
    ) -> Result<ObjectId, WorkspaceError> {
        if self.commit(head)?.tree == tree_id(tree) {
            return Ok(head.clone());
        }
        let fields = CommitFields {
            author: Person { name: "loop".to_owned(), email: "loop@localhost".to_owned() },
            time_s: 0,
            message: "The start: the base, and the work this unit builds on\n".to_owned(),
        };
        let (commit, objects) = self.commit_on(head, tree, &fields, blobs)?;
        let objects_dir = git_dir.join("objects");
        write_pack(&objects, objects_dir.as_std_path(), git_dir.as_std_path(), Durability::Unsynced)?;
        Ok(commit)
    }

    /// Writes the worktree, and an index that knows its files' stat data, so that `git status` need not read
    /// them.
    fn fill(
        &self,
        git_dir: &Utf8Path,
        worktree: &Utf8Path,
        tree: &Tree,
        blobs: &dyn Blobs,
    ) -> Result<(), WorkspaceError> {
        let action = || WorkspaceError::git("write the private index");
        let mut index = Index::open(git_dir.join("index").as_std_path()).map_err(action())?;
        write_tree(self, tree, worktree, blobs, &mut |path, stat| {
            let file = &tree.files[path];
            let mut entry = blank(path, file.entry.mode, &file.entry.object)?;
            // The index keeps the low 32 bits of each of these (gitformat-index).
            entry.ctime = IndexTime::new(stat.st_ctime as i32, stat.st_ctime_nsec as u32);
            entry.mtime = IndexTime::new(stat.st_mtime as i32, stat.st_mtime_nsec as u32);
            entry.dev = stat.st_dev as u32;
            entry.ino = stat.st_ino as u32;
            entry.uid = stat.st_uid;
            entry.gid = stat.st_gid;
            entry.file_size = stat.st_size as u32;
            index.add(&entry).map_err(action())
        })?;
        for (path, file) in tree.files.iter().filter(|(_, file)| file.entry.mode == Mode::Submodule) {
            index.add(&blank(path, Mode::Submodule, &file.entry.object)?).map_err(action())?;
        }
        index.write().map_err(action())
    }
}

fn blank(path: &[u8], mode: Mode, object: &ObjectId) -> Result<IndexEntry, WorkspaceError> {
    let mode = match mode {
        Mode::File => 0o100_644,
        Mode::Executable => 0o100_755,
        Mode::Symlink => 0o120_000,
        Mode::Submodule => 0o160_000,
    };
    let zero = IndexTime::new(0, 0);
    Ok(IndexEntry {
        ctime: zero,
        mtime: zero,
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: to_oid(object)?,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    })
}

fn make_dirs(dir: &Utf8Path) -> Result<(), WorkspaceError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
    made.map_err(WorkspaceError::io("make", dir.as_str()))
}

fn write(path: &Utf8Path, text: &str) -> Result<(), WorkspaceError> {
    fs::write(path, text).map_err(WorkspaceError::io("write", path.as_str()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::workspace::capture::{CaptureRules, capture};
    use crate::workspace::testing::{Scratch, git, snapshot, try_git, write};

    fn checkout(scratch: &Scratch, extra: bool) -> (PrivateRepo, Tree, ObjectId) {
        let repository = scratch.open();
        let head = repository.resolve("HEAD").unwrap().unwrap();
        let mut tree = repository.tree(&head).unwrap();
        if extra {
            tree.files.insert(b"needed/new".to_vec(), scratch.blobs.file(Mode::Executable, b"from a unit"));
            tree.files.remove(b"gone".as_slice());
        }
        let dir = scratch.place("attempt");
        let private = repository.private_checkout(&dir, "repo", &tree, &head, &scratch.blobs).unwrap();
        (private, tree, head)
    }

    fn files() -> Scratch {
        Scratch::with(&[("a", "1"), ("gone", "2"), ("d/e \"f\"\n", "3"), ("d/\u{e9}", "4"), ("-x", "5")])
    }

    #[test]
    fn it_is_clean_detached_and_at_the_start_tree() {
        for extra in [false, true] {
            let scratch = files();
            let (private, tree, head) = checkout(&scratch, extra);
            let at = &private.worktree;
            assert_eq!(git(at, &["status", "--porcelain"]), "");
            assert_eq!(git(at, &["rev-parse", "HEAD"]), private.head.0);
            assert_eq!(git(at, &["rev-parse", "HEAD^{tree}"]), tree_id(&tree).0);
            assert_eq!(private.head == head, !extra);
            assert!(!try_git(at, &["symbolic-ref", "HEAD"]).0, "detached");
            assert_eq!(git(at, &["remote"]), "");
            assert_eq!(git(at, &["for-each-ref"]), "");
            assert_eq!(git(at, &["log", "--format=%s"]).lines().last(), Some("first"));
            git(at, &["fsck", "--strict"]);
            let above: Vec<_> = at.parent().unwrap().read_dir_utf8().unwrap().collect();
            assert_eq!(above.len(), 1, "nothing else lies beside the worktree");
        }
    }

    #[test]
    fn status_reads_no_file_while_the_stat_data_hold() {
        let scratch = files();
        let (private, ..) = checkout(&scratch, false);
        let listed = git(&private.worktree, &["ls-files", "--debug", "a"]);
        let found: Vec<&str> = listed.split_whitespace().collect();
        let stat = fs::metadata(private.worktree.join("a")).unwrap();
        let expected = format!(
            "a ctime: {}:{} mtime: {}:{} dev: {} ino: {} uid: {} gid: {} size: 1 flags: 0",
            stat.ctime(),
            stat.ctime_nsec(),
            stat.mtime(),
            stat.mtime_nsec(),
            stat.dev() as u32,
            stat.ino() as u32,
            stat.uid(),
            stat.gid(),
        );
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn attributes_of_the_tree_do_not_make_files_differ() {
        let scratch = Scratch::with(&[("a", "x\r\n"), ("b", "$Id$\n")]);
        scratch.write(
            ".gitattributes",
            "* text eol=crlf ident filter=missing\n*.u working-tree-encoding=UTF-16\n",
        );
        scratch.commit("attributes");
        let (private, ..) = checkout(&scratch, false);
        git(&private.worktree, &["update-index", "--really-refresh"]);
        assert_eq!(git(&private.worktree, &["status", "--porcelain"]), "");
    }

    #[test]
    fn nothing_the_agent_does_reaches_the_users_repository() {
        let scratch = files();
        scratch.git(&["branch", "precious"]);
        scratch.write("untracked", "mine");
        scratch.write("a", "being edited");
        let before = snapshot(&scratch.root, "");
        let (private, tree, _) = checkout(&scratch, true);
        let at = &private.worktree;
        write(at, "a", "2");
        git(at, &["stash"]);
        git(at, &["stash", "pop"]);
        git(at, &["checkout", "-q", "-b", "mine"]);
        write(at, "new", "3");
        git(at, &["add", "-A"]);
        git(at, &["commit", "-q", "-m", "own"]);
        git(at, &["branch", "-f", "precious", "HEAD"]);
        git(at, &["branch", "-D", "precious"]);
        git(at, &["config", "core.fsmonitor", "touch evil"]);
        git(at, &["config", "core.hooksPath", "evil"]);
        git(at, &["worktree", "add", "-q", "../other"]);
        git(at, &["update-ref", "refs/loop/keep/x", "HEAD"]);
        git(at, &["gc", "-q", "--prune=now"]);
        git(at, &["reset", "-q", "--hard", "HEAD~1"]);
        git(at, &["clean", "-qfdx"]);
        assert!(before == snapshot(&scratch.root, ""), "byte for byte");
        // The agent's own commits do not count, the files do.
        let never = |_: &str| false;
        let rules =
            CaptureRules { declared: &never, discard: &never, max_file_bytes: 99, max_total_bytes: 999 };
        let captured = capture(&scratch.open(), at, &tree, &rules, &scratch.blobs).unwrap();
        assert!(captured.patch.is_empty(), "{captured:?}");
    }

    #[test]
    fn a_submodule_is_an_empty_directory() {
        let scratch = files();
        let head = scratch.git(&["rev-parse", "HEAD"]);
        scratch.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},lib/sub")]);
        scratch.git(&["commit", "-q", "-m", "submodule"]);
        let (private, ..) = checkout(&scratch, false);
        assert_eq!(git(&private.worktree, &["status", "--porcelain"]), "");
        assert!(private.worktree.join("lib/sub").is_dir());
    }

    #[test]
    fn a_shallow_clone_works() {
        let scratch = files();
        scratch.commit("second");
        let top = scratch.root.parent().unwrap();
        git(top, &["clone", "-q", "--depth=1", &format!("file://{}", scratch.root), "shallow"]);
        let repository = Repository::discover(&top.join("shallow")).unwrap();
        let head = repository.resolve("HEAD").unwrap().unwrap();
        let tree = repository.tree(&head).unwrap();
        let dir = scratch.place("attempt");
        let private = repository.private_checkout(&dir, "repo", &tree, &head, &scratch.blobs).unwrap();
        assert_eq!(git(&private.worktree, &["log", "--format=%s"]), "second");
        assert_eq!(git(&private.worktree, &["status", "--porcelain"]), "");
    }

    #[test]
    fn the_name_is_one_component() {
        let scratch = files();
        let repository = scratch.open();
        let head = repository.resolve("HEAD").unwrap().unwrap();
        let dir = scratch.place("attempt");
        for name in ["", "..", "a/b", ".git"] {
            let made = repository.private_checkout(&dir, name, &Tree::default(), &head, &scratch.blobs);
            assert!(matches!(made, Err(WorkspaceError::InvalidName { .. })), "{name:?}");
        }
    }
}
