//! Scratch repositories for the tests of this room, made and checked by the real git program.
//!
//! Does not know what is tested.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::{Blobs, Repository};
use crate::digest::{ObjectId, Sha256};
use crate::patch::{Entry, Mode, Tree, TreeFile};

/// A store in memory.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<Sha256, Vec<u8>>>);

impl Blobs for Memory {
    fn put(&self, bytes: &[u8]) -> io::Result<Sha256> {
        let digest = Sha256::of(bytes);
        self.0.lock().unwrap().insert(digest, bytes.to_vec());
        Ok(digest)
    }

    fn get(&self, digest: &Sha256) -> io::Result<Vec<u8>> {
        self.0.lock().unwrap().get(digest).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Memory {
    /// A file for a tree, its content kept here.
    pub(super) fn file(&self, mode: Mode, bytes: &[u8]) -> TreeFile {
        let entry = Entry { mode, object: super::blob_id(bytes) };
        TreeFile { entry, content: Some(self.put(bytes).unwrap()) }
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A temporary directory with a repository in `repo`.
pub(super) struct Scratch {
    /// Deleted with this.
    _dir: TempDir,
    pub(super) root: Utf8PathBuf,
    pub(super) blobs: Memory,
}

impl Scratch {
    /// A repository on the branch `main`, without commits.
    pub(super) fn empty() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let top = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let root = top.join("repo");
        fs::create_dir(&root).unwrap();
        git(&root, &["init", "-q", "-b", "main"]);
        Scratch { _dir: dir, root, blobs: Memory::default() }
    }

    /// A repository with one commit of these files.
    pub(super) fn with(files: &[(&str, &str)]) -> Scratch {
        let scratch = Scratch::empty();
        for (path, text) in files {
            scratch.write(path, text);
        }
        scratch.commit("first");
        scratch
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        git(&self.root, args)
    }

    pub(super) fn write(&self, path: impl AsRef<[u8]>, text: &str) {
        write(&self.root, path, text);
    }

    pub(super) fn commit(&self, message: &str) -> ObjectId {
        self.git(&["add", "-A", "-f"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        ObjectId(self.git(&["rev-parse", "HEAD"]))
    }

    pub(super) fn open(&self) -> Repository {
        Repository::discover(&self.root).unwrap()
    }

    /// A new empty directory beside the repository.
    pub(super) fn place(&self, name: &str) -> Utf8PathBuf {
        let place = self.root.parent().unwrap().join(name);
        fs::create_dir(&place).unwrap();
        place
    }
}

pub(super) fn write(root: &Utf8Path, path: impl AsRef<[u8]>, text: &str) {
    let path = PathBuf::from(root).join(OsStr::from_bytes(path.as_ref()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Runs git there, without the settings of whoever runs the tests, and returns what it printed.
pub(super) fn git(dir: &Utf8Path, args: &[&str]) -> String {
    let (ok, out, err) = try_git(dir, args);
    assert!(ok, "git {args:?} failed: {err}");
    out.strip_suffix('\n').unwrap_or(&out).to_owned()
}

pub(super) fn try_git(dir: &Utf8Path, args: &[&str]) -> (bool, String, String) {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A U Thor")
        .env("GIT_AUTHOR_EMAIL", "author@example.com")
        .env("GIT_AUTHOR_DATE", "1700000000 +0100")
        .env("GIT_COMMITTER_NAME", "A U Thor")
        .env("GIT_COMMITTER_EMAIL", "author@example.com")
        .env("GIT_COMMITTER_DATE", "1700000000 +0100")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// Every file below a directory with its kind, mode and bytes, except below `without`.
pub(super) fn snapshot(dir: &Utf8Path, without: &str) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::from(dir)];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(dir).unwrap().to_owned();
            if name == OsStr::new(without) {
                continue;
            }
            let bytes = match stat.file_type() {
                kind if kind.is_dir() => {
                    open.push(path);
                    Vec::new()
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(),
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name, (stat.mode(), bytes));
        }
    }
    found
}

/// The tree without the knowledge where contents are.
pub(super) fn entries(tree: &Tree) -> BTreeMap<Vec<u8>, Entry> {
    tree.files.iter().map(|(path, file)| (path.clone(), file.entry.clone())).collect()
}
