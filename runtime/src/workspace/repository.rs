//! The user's repository, read: branches, commits, trees, contents.
//!
//! Does not know how anything is written into it (`land`, `refs`), nor the journal.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use git2::{ErrorCode, ObjectType, Oid};

use crate::digest::ObjectId;
use crate::patch::{Entry, Mode, Tree, TreeFile};

use super::objects::{blob_id, from_oid, to_oid};
use super::{Blobs, WorkspaceError};

/// The user's repository. Its own configuration counts; global and system ones do not.
pub struct Repository {
    pub(super) git: git2::Repository,
    root: Utf8PathBuf,
    common: Utf8PathBuf,
    /// Instead of `loop/` in the git directory.
    state: Option<Utf8PathBuf>,
}

/// A name and an e-mail address for a commit; neither holds `<`, `>`, a newline or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub email: String,
}

/// A commit, read. Text that is not UTF-8 is shown with replacement characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    pub id: ObjectId,
    pub tree: ObjectId,
    pub parents: Vec<ObjectId>,
    pub author: Person,
    /// Committer time, seconds since the epoch.
    pub time_s: i64,
    pub message: String,
}

impl CommitInfo {
    /// The `Key: value` lines of the message's last paragraph, if it is one of trailers alone.
    pub fn trailers(&self) -> Vec<(String, String)> {
        let text = self.message.trim_end();
        let Some((_, last)) = text.rsplit_once("\n\n") else { return Vec::new() };
        let pairs: Option<Vec<(String, String)>> = last.lines().map(trailer).collect();
        pairs.unwrap_or_default()
    }
}

fn trailer(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once(':')?;
    let well_formed = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    well_formed.then(|| (key.to_owned(), value.trim().to_owned()))
}

impl Repository {
    /// Finds the repository that `start` lies in, upwards, and opens it. The environment (`GIT_DIR` and its
    /// like) does not count.
    pub fn discover(start: &Utf8Path) -> Result<Repository, WorkspaceError> {
        let none = std::iter::empty::<&str>();
        let git_dir = git2::Repository::discover_path(start, none).map_err(|error| match error.code() {
            ErrorCode::Owner => WorkspaceError::NotOwned { path: start.to_owned() },
            _ => WorkspaceError::NotARepository { start: start.to_owned() },
        })?;
        let git_dir = utf8(git_dir)?;
        // Before opening: libgit2 refuses unknown extensions in its own words.
        let common = common_dir(&git_dir)?;
        refuse_formats(&common)?;
        let git = git2::Repository::open(&git_dir).map_err(|source| match source.code() {
            ErrorCode::Owner => WorkspaceError::NotOwned { path: git_dir.clone() },
            _ => WorkspaceError::Git { action: format!("open {git_dir}"), source },
        })?;
        // The repository's own settings alone from here on; git2's search paths are a process-wide setting.
        let mut config = git2::Config::new().map_err(WorkspaceError::git("make a configuration"))?;
        for (file, level) in
            [("config", git2::ConfigLevel::Local), ("config.worktree", git2::ConfigLevel::Worktree)]
        {
            let path = if file == "config" { common.join(file) } else { git_dir.join(file) };
            let in_effect = file == "config" || config.get_bool("extensions.worktreeConfig") == Ok(true);
            if in_effect && path.exists() {
                config
                    .add_file(path.as_std_path(), level, true)
                    .map_err(WorkspaceError::git(format!("read {path}")))?;
            }
        }
        git.set_config(&config).map_err(WorkspaceError::git("set the configuration"))?;
        let root = match git.workdir() {
            Some(root) if !git.is_bare() => utf8(root.to_owned())?,
            _ => return Err(WorkspaceError::Bare { path: git_dir }),
        };
        Ok(Repository { git, root: strip_slash(root), common, state: None })
    }

    /// The checkout's top directory.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The git directory that all worktrees share.
    pub fn git_common_dir(&self) -> &Utf8Path {
        &self.common
    }

    /// Where this program's state lies: in the git directory, so that `git clean` cannot delete it and all
    /// worktrees share it. It need not exist yet.
    pub fn state_dir(&self) -> Utf8PathBuf {
        self.state.clone().unwrap_or_else(|| self.own_dir())
    }

    /// Keeps the state elsewhere: for a repository on a network file system, where locks cannot be trusted.
    pub fn keep_state_in(&mut self, directory: Utf8PathBuf) {
        self.state = Some(directory);
    }

    /// Our directory in the git directory: what must lie on one file system with refs and objects.
    pub(super) fn own_dir(&self) -> Utf8PathBuf {
        self.common.join("loop")
    }

    /// Every directory that holds the repository's objects, by its real path: its own first, then its
    /// alternates and theirs. One that does not exist is passed over, as git does.
    pub fn object_dirs(&self) -> Result<Vec<Utf8PathBuf>, WorkspaceError> {
        let mut dirs: Vec<Utf8PathBuf> = Vec::new();
        let mut found = vec![self.common.join("objects")];
        while let Some(dir) = found.pop() {
            let Ok(dir) = dir.canonicalize_utf8() else { continue };
            if dirs.contains(&dir) {
                continue;
            }
            let file = dir.join("info/alternates");
            let text = match fs::read(&file) {
                Ok(bytes) => String::from_utf8(bytes)
                    .map_err(|_| WorkspaceError::PathNotUtf8 { shown: file.to_string() })?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
                Err(error) => return Err(WorkspaceError::io("read", file)(error)),
            };
            for line in text.lines().rev().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                if line.starts_with('"') {
                    return Err(WorkspaceError::Unsupported { what: format!("{file} has a quoted path") });
                }
                // Relative ones are relative to the object directory that names them.
                found.push(dir.join(line));
            }
            dirs.push(dir);
        }
        Ok(dirs)
    }

    /// A name of the repository that is the same in every full clone: the id of the first commit of the
    /// checked-out history. A shallow clone has another one, until it is made whole; a repository without
    /// commits has none.
    pub fn identity(&self) -> Result<Option<String>, WorkspaceError> {
        let known = self.own_dir().join("repository");
        if let Ok(text) = fs::read_to_string(&known)
            && let text = text.trim()
            && to_oid(&ObjectId(text.to_owned())).is_ok()
        {
            return Ok(Some(text.to_owned()));
        }
        let Some(mut at) = self.resolve("HEAD")? else { return Ok(None) };
        loop {
            let commit = self.find_commit(&at)?;
            match commit.parent_id(0) {
                Ok(parent) => at = from_oid(parent),
                Err(_) => break,
            }
        }
        if !self.git.is_shallow() && self.own_dir().exists() {
            // Only a shortcut for long histories: it may fail.
            fs::write(&known, format!("{at}\n")).ok();
        }
        Ok(Some(at.0))
    }

    /// The branch that is checked out; `None` on a detached HEAD. It may have no commits yet.
    pub fn current_branch(&self) -> Option<String> {
        let head = fs::read_to_string(Utf8Path::from_path(self.git.path())?.join("HEAD")).ok()?;
        Some(head.trim_end().strip_prefix("ref: refs/heads/")?.to_owned())
    }

    /// The commit that a branch, a tag or any revision names; `None` if there is no such thing.
    pub fn resolve(&self, name: &str) -> Result<Option<ObjectId>, WorkspaceError> {
        if let Some(commit) = self.branch(name)? {
            return Ok(Some(commit));
        }
        let object = match self.git.revparse_single(name) {
            Ok(object) => object,
            Err(error) => {
                return match error.code() {
                    ErrorCode::NotFound | ErrorCode::UnbornBranch | ErrorCode::InvalidSpec => Ok(None),
                    ErrorCode::Ambiguous => Err(WorkspaceError::Ambiguous { name: name.to_owned() }),
                    _ => Err(WorkspaceError::git(format!("resolve `{name}`"))(error)),
                };
            }
        };
        Ok(object.peel(ObjectType::Commit).ok().map(|commit| from_oid(commit.id())))
    }

    /// The head of a local branch.
    pub fn branch(&self, name: &str) -> Result<Option<ObjectId>, WorkspaceError> {
        self.reference(&format!("refs/heads/{name}"))
    }

    /// The value of a ref by its full name; symbolic refs are followed.
    pub(super) fn reference(&self, name: &str) -> Result<Option<ObjectId>, WorkspaceError> {
        match self.git.refname_to_id(name) {
            Ok(oid) => Ok(Some(from_oid(oid))),
            Err(error) => match error.code() {
                ErrorCode::NotFound | ErrorCode::InvalidSpec | ErrorCode::UnbornBranch => Ok(None),
                _ => Err(WorkspaceError::git(format!("read `{name}`"))(error)),
            },
        }
    }

    /// A commit's tree, flat.
    pub fn tree(&self, commit: &ObjectId) -> Result<Tree, WorkspaceError> {
        let root = self.find_commit(commit)?.tree_id();
        let mut tree = Tree::default();
        let mut open = vec![(Vec::new(), root)];
        while let Some((prefix, oid)) = open.pop() {
            let rows = self.git.find_tree(oid).map_err(|error| missing(oid, error))?;
            for row in rows.iter() {
                let mut path: Vec<u8> = prefix.clone();
                path.extend_from_slice(row.name_bytes());
                let mode = match row.filemode_raw() & 0o170_000 {
                    0o040_000 => {
                        path.push(b'/');
                        open.push((path, row.id()));
                        continue;
                    }
                    0o120_000 => Mode::Symlink,
                    0o160_000 => Mode::Submodule,
                    // Old repositories have 100664 and the like: git reads them as these two.
                    _ if row.filemode_raw() & 0o100 != 0 => Mode::Executable,
                    _ => Mode::File,
                };
                let entry = Entry { mode, object: from_oid(row.id()) };
                tree.files.insert(path, TreeFile { entry, content: None });
            }
        }
        Ok(tree)
    }

    /// The content of a path of a tree: from the store if the tree says so, else from the repository. For a
    /// symbolic link it is the target. `None`: no such path, or a submodule.
    pub fn read(
        &self,
        tree: &Tree,
        path: &str,
        blobs: &dyn Blobs,
    ) -> Result<Option<Vec<u8>>, WorkspaceError> {
        match tree.files.get(path.as_bytes()) {
            Some(file) if file.entry.mode != Mode::Submodule => self.content(file, blobs).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn content(&self, file: &TreeFile, blobs: &dyn Blobs) -> Result<Vec<u8>, WorkspaceError> {
        let Some(digest) = file.content else {
            let oid = to_oid(&file.entry.object)?;
            let odb = self.git.odb().map_err(WorkspaceError::git("open the object database"))?;
            let object = odb.read(oid).map_err(|error| missing(oid, error))?;
            return Ok(object.data().to_owned());
        };
        let bytes = blobs.get(&digest).map_err(|source| WorkspaceError::Content { digest, source })?;
        if blob_id(&bytes) != file.entry.object {
            return Err(WorkspaceError::ContentMismatch { digest, object: file.entry.object.clone() });
        }
        Ok(bytes)
    }

    /// Who the user is to git: this one reading looks at the global and system configuration too. Without
    /// any, a fixed name.
    pub fn user(&self) -> Person {
        let config = git2::Config::open_default().ok().map(|mut config| {
            let local = self.common.join("config");
            config.add_file(local.as_std_path(), git2::ConfigLevel::Local, true).ok();
            config
        });
        let setting = |key: &str| {
            let text = config.as_ref()?.get_string(key).ok()?;
            Some(header_text(&text)).filter(|text| !text.is_empty())
        };
        Person {
            name: setting("user.name").unwrap_or_else(|| "loop".to_owned()),
            email: setting("user.email").unwrap_or_else(|| "loop@localhost".to_owned()),
        }
    }

    pub fn commit(&self, id: &ObjectId) -> Result<CommitInfo, WorkspaceError> {
        let commit = self.find_commit(id)?;
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let author = commit.author();
        Ok(CommitInfo {
            id: id.clone(),
            tree: from_oid(commit.tree_id()),
            parents: commit.parent_ids().map(from_oid).collect(),
            author: Person { name: lossy(author.name_bytes()), email: lossy(author.email_bytes()) },
            time_s: commit.time().seconds(),
            message: lossy(commit.message_raw_bytes()),
        })
    }

    pub(super) fn find_commit(&self, id: &ObjectId) -> Result<git2::Commit<'_>, WorkspaceError> {
        let oid = to_oid(id)?;
        self.git.find_commit(oid).map_err(|error| missing(oid, error))
    }

    /// Commits from `from` along first parents, newest first: at most `limit`, and without `until` and what
    /// is older. A shallow history ends where it was cut.
    pub fn first_parent_history(
        &self,
        from: &ObjectId,
        until: Option<&ObjectId>,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, WorkspaceError> {
        let mut history = Vec::new();
        let mut next = Some(from.clone());
        while let Some(id) = next
            && history.len() < limit
            && Some(&id) != until
        {
            let commit = self.commit(&id)?;
            next = commit.parents.first().cloned();
            history.push(commit);
        }
        Ok(history)
    }

    /// Whether `ancestor` is `descendant` or in its history.
    pub fn is_ancestor(&self, ancestor: &ObjectId, descendant: &ObjectId) -> Result<bool, WorkspaceError> {
        if ancestor == descendant {
            return Ok(true);
        }
        self.git
            .graph_descendant_of(to_oid(descendant)?, to_oid(ancestor)?)
            .map_err(WorkspaceError::git(format!("compare {} with {}", ancestor.short(), descendant.short())))
    }
}

/// Text as it may stand in a commit's header.
pub(super) fn header_text(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !matches!(c, '<' | '>' | '\n' | '\r' | '\0')).collect();
    // What git strips from the ends of a name.
    kept.trim_matches(|c: char| c.is_ascii_control() || " .,:;\"\\'".contains(c)).to_owned()
}

fn missing(oid: Oid, error: git2::Error) -> WorkspaceError {
    match error.code() {
        ErrorCode::NotFound => WorkspaceError::MissingObject { id: from_oid(oid) },
        _ => WorkspaceError::Git { action: format!("read object {oid}"), source: error },
    }
}

fn utf8(path: std::path::PathBuf) -> Result<Utf8PathBuf, WorkspaceError> {
    Utf8PathBuf::from_path_buf(path)
        .map_err(|path| WorkspaceError::PathNotUtf8 { shown: path.to_string_lossy().into_owned() })
}

fn strip_slash(path: Utf8PathBuf) -> Utf8PathBuf {
    path.components().collect()
}

/// The shared git directory of a worktree's git directory (gitrepository-layout, `commondir`).
fn common_dir(git_dir: &Utf8Path) -> Result<Utf8PathBuf, WorkspaceError> {
    let common = match fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim_end_matches(['\n', '\r'])),
        Err(_) => git_dir.to_owned(),
    };
    common.canonicalize_utf8().map_err(WorkspaceError::io("find", common))
}

/// Repository formats whose meaning this program would get wrong.
fn refuse_formats(common: &Utf8Path) -> Result<(), WorkspaceError> {
    let path = common.join("config");
    let Ok(config) = git2::Config::open(path.as_std_path()) else { return Ok(()) };
    let setting = |key: &str| config.get_string(key).ok().map(|value| value.to_ascii_lowercase());
    let refuse = |what: &str| Err(WorkspaceError::Unsupported { what: format!("{common} {what}") });
    if setting("extensions.objectformat").is_some_and(|format| format != "sha1") {
        return refuse("names its objects by SHA-256");
    }
    if setting("extensions.refstorage").is_some_and(|format| format != "files") {
        return refuse("keeps its branches in the reftable format");
    }
    if setting("extensions.partialclone").is_some() {
        return refuse("is a partial clone, whose contents may be missing");
    }
    let mut promisor = false;
    if let Ok(entries) = config.entries(Some("remote\\..*\\.promisor")) {
        entries.for_each(|entry| promisor |= entry.value() == Ok("true")).ok();
    }
    if promisor { refuse("is a partial clone, whose contents may be missing") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::testing::{Scratch, git};

    fn refused(scratch: &Scratch) -> WorkspaceError {
        match Repository::discover(&scratch.root) {
            Ok(_) => panic!("it must be refused"),
            Err(error) => error,
        }
    }

    #[test]
    fn it_is_found_from_below_and_not_from_outside() {
        let scratch = Scratch::with(&[("a/b/c", "1")]);
        let repository = Repository::discover(&scratch.root.join("a/b")).unwrap();
        assert_eq!(repository.root(), scratch.root);
        assert_eq!(repository.state_dir(), scratch.root.join(".git/loop"));
        let outside = scratch.place("outside");
        let error = Repository::discover(&outside).err().unwrap();
        assert!(matches!(error, WorkspaceError::NotARepository { .. }), "{error}");
        assert_eq!(error.fault(), crate::fault::Fault::User);
    }

    #[test]
    fn formats_it_would_misread_are_refused_in_words() {
        for (key, value, word) in [
            ("extensions.objectFormat", "sha256", "SHA-256"),
            ("extensions.refStorage", "reftable", "reftable"),
            ("extensions.partialClone", "origin", "partial clone"),
            ("remote.origin.promisor", "true", "partial clone"),
        ] {
            let scratch = Scratch::with(&[("a", "1")]);
            scratch.git(&["config", "core.repositoryFormatVersion", "1"]);
            scratch.git(&["config", key, value]);
            let error = refused(&scratch);
            assert!(matches!(error, WorkspaceError::Unsupported { .. }), "{key}: {error}");
            assert!(error.to_string().contains(word), "{key}: {error}");
        }
    }

    #[test]
    fn real_repositories_of_those_formats_are_refused() {
        for args in [["init", "-q", "--object-format=sha256"], ["init", "-q", "--ref-format=reftable"]] {
            let scratch = Scratch::empty();
            let place = scratch.place("other");
            git(&place, &args);
            let error = Repository::discover(&place).err().unwrap();
            assert!(matches!(error, WorkspaceError::Unsupported { .. }), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_bare_repository_is_refused() {
        let scratch = Scratch::empty();
        let bare = scratch.place("bare.git");
        git(&bare, &["init", "-q", "--bare"]);
        let error = Repository::discover(&bare).err().unwrap();
        assert!(matches!(error, WorkspaceError::Bare { .. }), "{error}");
    }

    #[test]
    fn no_commits_yet_is_no_error() {
        let scratch = Scratch::empty();
        let repository = scratch.open();
        assert_eq!(repository.current_branch().as_deref(), Some("main"));
        assert_eq!(repository.resolve("HEAD").unwrap(), None);
        assert_eq!(repository.resolve("main").unwrap(), None);
        assert_eq!(repository.identity().unwrap(), None);
    }

    #[test]
    fn names_resolve_branch_first() {
        let scratch = Scratch::with(&[("a", "1")]);
        let first = scratch.git(&["rev-parse", "HEAD"]);
        scratch.git(&["tag", "-a", "-m", "annotated", "v1"]);
        scratch.git(&["tag", "both"]);
        let second = scratch.commit("second");
        scratch.git(&["branch", "both"]);
        let repository = scratch.open();
        let resolve = |name: &str| repository.resolve(name).unwrap().map(|id| id.0);
        assert_eq!(resolve("v1"), Some(first.clone()));
        assert_eq!(resolve("both"), Some(second.0.clone()));
        assert_eq!(resolve("HEAD~1"), Some(first.clone()));
        assert_eq!(resolve(&first[..9]), Some(first.clone()));
        for nothing in ["nope", "HEAD^{tree}", "", "-x", "a..b", "HEAD~9", "refs/heads/", "both\0"] {
            assert!(matches!(repository.resolve(nothing), Ok(None) | Err(_)), "{nothing:?}");
        }
        scratch.git(&["checkout", "-q", "--detach"]);
        assert_eq!(scratch.open().current_branch(), None);
    }

    #[test]
    fn history_follows_first_parents() {
        let scratch = Scratch::with(&[("a", "1")]);
        let first = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        scratch.git(&["checkout", "-q", "-b", "side"]);
        let side = scratch.commit("side");
        scratch.git(&["checkout", "-q", "main"]);
        scratch.commit("main");
        scratch.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        let head = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        let repository = scratch.open();
        let messages = |until: Option<&ObjectId>, limit| -> Vec<String> {
            let history = repository.first_parent_history(&head, until, limit).unwrap();
            history.into_iter().map(|commit| commit.message.trim().to_owned()).collect()
        };
        assert_eq!(messages(None, 9), ["merge", "main", "first"]);
        assert_eq!(messages(Some(&first), 9), ["merge", "main"]);
        assert_eq!(messages(None, 1), ["merge"]);
        assert!(repository.is_ancestor(&side, &head).unwrap());
        assert!(repository.is_ancestor(&head, &head).unwrap());
        assert!(!repository.is_ancestor(&head, &side).unwrap());
    }

    #[test]
    fn the_identity_is_that_of_every_clone() {
        let scratch = Scratch::with(&[("a", "1")]);
        let first = scratch.git(&["rev-parse", "HEAD"]);
        scratch.commit("second");
        let repository = scratch.open();
        assert_eq!(repository.identity().unwrap(), Some(first.clone()));
        fs::create_dir(repository.state_dir()).unwrap();
        for _ in 0..2 {
            assert_eq!(repository.identity().unwrap(), Some(first.clone()), "kept or not");
        }
        let clone = scratch.root.parent().unwrap().join("clone");
        scratch.git(&["clone", "-q", ".", clone.as_str()]);
        assert_eq!(Repository::discover(&clone).unwrap().identity().unwrap(), Some(first));
    }

    #[test]
    fn the_user_is_the_repositorys() {
        let scratch = Scratch::with(&[("a", "1")]);
        scratch.git(&["config", "user.name", "A <B>"]);
        scratch.git(&["config", "user.email", "a@example.com"]);
        let user = scratch.open().user();
        assert_eq!(user, Person { name: "A B".to_owned(), email: "a@example.com".to_owned() });
    }

    #[test]
    fn trailers_are_the_last_paragraph_or_nothing() {
        let with = |message: &str| CommitInfo {
            id: ObjectId(String::new()),
            tree: ObjectId(String::new()),
            parents: Vec::new(),
            author: Person { name: String::new(), email: String::new() },
            time_s: 0,
            message: message.to_owned(),
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(with("s\n\nbody\n\nA: 1\nB-c: x: y\n").trailers(), [pair("A", "1"), pair("B-c", "x: y")]);
        assert_eq!(with("A: 1\n").trailers(), [], "a subject is no trailer");
        assert_eq!(with("s\n\nA: 1\nno trailer\n").trailers(), []);
        assert_eq!(with("").trailers(), []);
    }

    #[test]
    fn old_modes_are_read_as_git_reads_them() {
        let scratch = Scratch::with(&[("a", "1")]);
        let repository = scratch.open();
        let blob = repository.git.blob(b"1").unwrap();
        let mut raw = b"100664 f\0".to_vec();
        raw.extend_from_slice(blob.as_bytes());
        let tree = repository.git.odb().unwrap().write(ObjectType::Tree, &raw).unwrap();
        let commit = scratch.git(&["commit-tree", "-m", "old", &tree.to_string()]);
        let tree = repository.tree(&ObjectId(commit)).unwrap();
        assert_eq!(tree.entry("f").unwrap().mode, Mode::File);
    }

    #[test]
    fn alternates_of_alternates_are_known() {
        let scratch = Scratch::with(&[("a", "1")]);
        let top = scratch.root.parent().unwrap();
        scratch.git(&["clone", "-q", "--shared", ".", top.join("one").as_str()]);
        git(top, &["clone", "-q", "--shared", "one", "two"]);
        let dirs = Repository::discover(&top.join("two")).unwrap().object_dirs().unwrap();
        let names: Vec<_> = dirs.iter().map(|dir| dir.strip_prefix(top).unwrap().as_str()).collect();
        assert_eq!(names, ["two/.git/objects", "one/.git/objects", "repo/.git/objects"]);
    }
}
