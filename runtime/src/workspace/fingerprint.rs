//! What of the user's repository an agent must not change, as digests by name.
//!
//! Does not know who changed something; a difference is a fact, and what it means is decided elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::Sha256;

use super::{Repository, WorkspaceError};

/// One digest per item: each ref, HEAD and index of each worktree, configuration, hooks, stash, attributes
/// and ignore rules. Not `refs/loop/` nor `refs/heads/loop/`, which this program writes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    items: BTreeMap<String, String>,
}

impl Fingerprint {
    /// What is different later, named for people and sorted: `branch main`, `hook pre-commit`, ...
    /// What changed of that which only settings and programs of git are: configuration, hooks, attributes. What the
    /// user moves in daily work (refs, HEAD, index, stash) does not count. For attempts under a sandbox, which cannot
    /// reach either.
    pub fn settings_differences(&self, later: &Fingerprint) -> Vec<String> {
        let daily = |item: &String| {
            ["branch ", "tag ", "refs/", "HEAD", "the index", "the stash"]
                .iter()
                .any(|prefix| item.starts_with(prefix))
        };
        self.differences(later).into_iter().filter(|item| !daily(item)).collect()
    }

    pub fn differences(&self, later: &Fingerprint) -> Vec<String> {
        let gone = self.items.keys().filter(|item| !later.items.contains_key(*item));
        let new = later.items.keys().filter(|item| !self.items.contains_key(*item));
        let other = self
            .items
            .iter()
            .filter(|(item, digest)| later.items.get(*item).is_some_and(|now| now != *digest));
        let mut all: Vec<String> = gone.map(|item| format!("{item} (deleted)")).collect();
        all.extend(new.map(|item| format!("{item} (new)")));
        all.extend(other.map(|(item, _)| format!("{item} (changed)")));
        all.sort();
        all
    }
}

impl Repository {
    /// Digests what an agent must leave alone.
    pub fn fingerprint(&self) -> Result<Fingerprint, WorkspaceError> {
        let mut items = BTreeMap::new();
        self.digest_refs(&mut items)?;
        let common = self.git_common_dir();
        for (item, file) in [
            ("the stash", "logs/refs/stash"),
            ("the configuration", "config"),
            ("info/attributes", "info/attributes"),
            ("info/exclude", "info/exclude"),
            ("objects/info/alternates", "objects/info/alternates"),
        ] {
            digest_file(&mut items, item, &common.join(file))?;
        }
        self.digest_hooks(&mut items)?;
        digest_place(&mut items, "", common)?;
        for dir in list(&common.join("worktrees"))? {
            let name = dir.file_name().unwrap_or_default().to_owned();
            digest_place(&mut items, &format!(" of worktree {name}"), &dir)?;
            digest_file(&mut items, &format!("the place of worktree {name}"), &dir.join("gitdir"))?;
        }
        // A submodule's git runs its own hooks and settings at the user's next command.
        for dir in list(&common.join("modules"))? {
            let name = dir.file_name().unwrap_or_default().to_owned();
            digest_file(&mut items, &format!("the configuration of submodule {name}"), &dir.join("config"))?;
            digest_dir(&mut items, &format!("hook of submodule {name}"), &dir.join("hooks"))?;
        }
        Ok(Fingerprint { items })
    }

    fn digest_refs(&self, items: &mut BTreeMap<String, String>) -> Result<(), WorkspaceError> {
        let action = || WorkspaceError::git("list the refs");
        for reference in self.git.references().map_err(action())? {
            let reference = reference.map_err(action())?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if name.starts_with("refs/loop/") || name.starts_with("refs/heads/loop/") {
                continue;
            }
            let value = match (reference.target(), reference.symbolic_target_bytes()) {
                (Some(oid), _) => oid.to_string(),
                (None, target) => String::from_utf8_lossy(target.unwrap_or_default()).into_owned(),
            };
            let item = match (name.strip_prefix("refs/heads/"), name.strip_prefix("refs/tags/")) {
                (Some(branch), _) => format!("branch {branch}"),
                (_, Some(tag)) => format!("tag {tag}"),
                _ => name,
            };
            items.insert(item, value);
        }
        Ok(())
    }

    fn digest_hooks(&self, items: &mut BTreeMap<String, String>) -> Result<(), WorkspaceError> {
        digest_dir(items, "hook", &self.git_common_dir().join("hooks"))?;
        let elsewhere = self.git.config().and_then(|config| config.get_string("core.hooksPath"));
        // A relative one is relative to the checkout.
        match elsewhere {
            Ok(path) => digest_dir(items, "hook", &self.root().join(path)),
            Err(_) => Ok(()),
        }
    }
}

/// HEAD, index and own settings of one worktree.
fn digest_place(
    items: &mut BTreeMap<String, String>,
    of: &str,
    dir: &Utf8Path,
) -> Result<(), WorkspaceError> {
    digest_file(items, &format!("HEAD{of}"), &dir.join("HEAD"))?;
    digest_file(items, &format!("the worktree's configuration{of}"), &dir.join("config.worktree"))?;
    let index = dir.join("index");
    if let Some(digest) = index_digest(&index) {
        items.insert(format!("the index{of}"), digest);
        return Ok(());
    }
    digest_file(items, &format!("the index{of}"), &index)
}

/// What the index says, without the stat data that any `git status` refreshes. `None`: there is none, or it
/// has a form that only its bytes can stand for.
fn index_digest(path: &Utf8Path) -> Option<String> {
    if !path.exists() {
        return None;
    }
    let index = git2::Index::open(path.as_std_path()).ok()?;
    let mut text = Vec::new();
    for entry in index.iter() {
        let stage = entry.flags >> 12 & 3;
        text.extend_from_slice(
            format!("{:o} {} {stage} {}\t", entry.mode, entry.id, entry.flags_extended).as_bytes(),
        );
        text.extend_from_slice(&entry.path);
        text.push(0);
    }
    Some(Sha256::of(&text).to_string())
}

fn digest_file(
    items: &mut BTreeMap<String, String>,
    item: &str,
    path: &Utf8Path,
) -> Result<(), WorkspaceError> {
    let failed = || WorkspaceError::io("read", path.as_str());
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed()(error)),
        // Anything else must not be opened: a FIFO would hang.
        Ok(found) if !found.is_file() => items.insert(item.to_owned(), "not a file".to_owned()),
        Ok(found) => {
            let content = Sha256::of(&fs::read(path).map_err(failed())?);
            items.insert(item.to_owned(), format!("{content} {}", found.mode() & 0o111 != 0))
        }
    };
    Ok(())
}

fn digest_dir(
    items: &mut BTreeMap<String, String>,
    item: &str,
    dir: &Utf8Path,
) -> Result<(), WorkspaceError> {
    for path in list(dir)? {
        let name = path.file_name().unwrap_or_default();
        digest_file(items, &format!("{item} {name}"), &path)?;
    }
    Ok(())
}

/// A directory's entries, sorted; none if it is not there.
fn list(dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, WorkspaceError> {
    let failed = || WorkspaceError::io("list", dir.as_str());
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in dir.read_dir_utf8().map_err(failed())? {
        paths.push(entry.map_err(failed())?.into_path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::testing::Scratch;

    #[test]
    fn every_change_is_named() {
        let scratch = Scratch::with(&[("a", "1")]);
        scratch.git(&["branch", "old"]);
        let repository = scratch.open();
        let first = repository.fingerprint().unwrap();
        let hooks = scratch.root.join(".git/hooks");
        fs::create_dir_all(&hooks).unwrap();
        let steps: [(&str, &dyn Fn()); 10] = [
            ("branch old (deleted)", &|| drop(scratch.git(&["branch", "-D", "old"]))),
            ("branch new (new)", &|| drop(scratch.git(&["branch", "new"]))),
            ("tag v1 (new)", &|| drop(scratch.git(&["tag", "v1"]))),
            ("the configuration (changed)", &|| drop(scratch.git(&["config", "core.fsmonitor", "evil"]))),
            ("hook pre-commit (new)", &|| fs::write(hooks.join("pre-commit"), "evil").unwrap()),
            ("the index (changed)", &|| {
                scratch.write("b", "2");
                scratch.git(&["add", "b"]);
            }),
            ("the stash (new)", &|| drop(scratch.git(&["stash", "-q"]))),
            ("HEAD (changed)", &|| drop(scratch.git(&["checkout", "-q", "--detach"]))),
            ("info/attributes (new)", &|| scratch.write(".git/info/attributes", "* filter=evil\n")),
            ("objects/info/alternates (new)", &|| scratch.write(".git/objects/info/alternates", "/x\n")),
        ];
        let mut before = first.clone();
        for (name, step) in steps {
            step();
            let after = repository.fingerprint().unwrap();
            let found = before.differences(&after);
            assert!(found.iter().any(|item| item == name), "{name}: {found:?}");
            before = after;
        }
        assert!(first.differences(&first).is_empty());
    }

    #[test]
    fn what_is_ours_and_what_git_refreshes_is_no_difference() {
        let scratch = Scratch::with(&[("a", "1")]);
        let repository = scratch.open();
        let head = repository.resolve("HEAD").unwrap().unwrap();
        let before = repository.fingerprint().unwrap();
        repository.keep("f", "run", &head).unwrap();
        repository.swap("refs/heads/loop/x", None, &head, "").unwrap();
        scratch.git(&["pack-refs", "--all"]);
        scratch.write("a", "1");
        scratch.git(&["status"]);
        scratch.git(&["gc", "-q"]);
        assert_eq!(before.differences(&repository.fingerprint().unwrap()), Vec::<String>::new());
    }

    #[test]
    fn hooks_elsewhere_and_other_worktrees_count() {
        let scratch = Scratch::with(&[("a", "1"), (".hooks/pre-push", "x")]);
        scratch.git(&["config", "core.hooksPath", ".hooks"]);
        let other = scratch.root.parent().unwrap().join("other");
        scratch.git(&["worktree", "add", "-q", "--detach", other.as_str()]);
        let repository = scratch.open();
        let before = repository.fingerprint().unwrap();
        scratch.write(".hooks/pre-push", "evil");
        crate::workspace::testing::git(&other, &["checkout", "-q", "-b", "b"]);
        let found = before.differences(&repository.fingerprint().unwrap());
        assert_eq!(found, ["HEAD of worktree other (changed)", "branch b (new)", "hook pre-push (changed)"]);
    }
}
