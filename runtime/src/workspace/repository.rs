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
            if path.exists() {
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
        Ok(Repository { git, root: strip_slash(root), common })
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
        self.common.join("loop")
    }

    /// Every directory that holds the repository's objects: its own first, then its alternates.
    pub fn object_dirs(&self) -> Result<Vec<Utf8PathBuf>, WorkspaceError> {
        let mut dirs = vec![self.common.join("objects")];
        let mut at = 0;
        while at < dirs.len() {
            let file = dirs[at].join("info/alternates");
            let text = match fs::read(&file) {
                Ok(bytes) => String::from_utf8(bytes)
                    .map_err(|_| WorkspaceError::PathNotUtf8 { shown: file.to_string() })?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
                Err(error) => return Err(WorkspaceError::io("read", file)(error)),
            };
            for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                if line.starts_with('"') {
                    return Err(WorkspaceError::Unsupported { what: format!("{file} has a quoted path") });
                }
                // Relative ones are relative to the object directory that names them.
                let dir = dirs[at].join(line);
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                }
            }
            at += 1;
        }
        Ok(dirs)
    }

    /// A name of the repository that is the same in every full clone: the id of the first commit of the
    /// checked-out history. A shallow clone has another one, until it is made whole; a repository without
    /// commits has none.
    pub fn identity(&self) -> Result<Option<String>, WorkspaceError> {
        let known = self.state_dir().join("repository");
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
        if !self.git.is_shallow() && self.state_dir().exists() {
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
