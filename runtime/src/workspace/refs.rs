//! Refs of the user's repository: compare-and-swap, made durable; what blocks a name; what is checked out.
//!
//! Does not know which commits are worth landing, nor how a lock is held (`locks`). It speaks git's files backend (loose refs under a lock
//! file, `packed-refs`); other backends are refused when the repository is opened.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::ObjectId;

use super::locks::RefLock;
use super::objects::to_oid;
use super::{Repository, WorkspaceError};

/// What became of a compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    Done,
    /// The ref was not at the expected value but at this one; nothing was changed.
    Moved(Option<ObjectId>),
}

impl Repository {
    /// Moves a ref from `expected` (`None`: it does not exist) to `new`, or leaves it alone and says where it
    /// is. Atomic against every git program that honours ref locks; on disk when it returns `Done`. `log` is
    /// the line of the reflog, which branches alone have.
    pub fn swap(
        &self,
        name: &str,
        expected: Option<&ObjectId>,
        new: &ObjectId,
        log: &str,
    ) -> Result<Swap, WorkspaceError> {
        self.update(name, Some(expected), new, log)
    }

    /// Keeps a commit from `git gc` while a run of a feature needs it.
    pub fn keep(&self, feature: &str, run: &str, commit: &ObjectId) -> Result<(), WorkspaceError> {
        self.update(&keep_name(feature, run), None, commit, "").map(drop)
    }

    /// The runs of a feature for which a commit is kept, sorted: also those that a crash ended before they were
    /// recorded anywhere.
    pub fn kept(&self, feature: &str) -> Result<Vec<String>, WorkspaceError> {
        let prefix = keep_name(feature, "");
        let found = self
            .git
            .references_glob(&format!("{prefix}*"))
            .map_err(WorkspaceError::git(format!("list what is below `{prefix}`")))?;
        let mut runs: Vec<String> = found
            .flatten()
            .filter_map(|reference| Some(reference.name().ok()?.strip_prefix(&prefix)?.to_owned()))
            .collect();
        runs.sort();
        Ok(runs)
    }

    /// Ends [`Repository::keep`]. It is no error if there was none.
    pub fn release_keep(&self, feature: &str, run: &str) -> Result<(), WorkspaceError> {
        let name = keep_name(feature, run);
        if self.reference(&name)?.is_none() {
            return Ok(());
        }
        let exclusive = self.exclusive()?;
        RefLock::take(&exclusive, &name, &self.git_common_dir().join(&name))?.delete()?;
        // `git gc` packs refs: then the pack has one too, and libgit2 knows how to rewrite it.
        if self.reference(&name)?.is_none() {
            return Ok(());
        }
        let reference = self.git.find_reference(&name).and_then(|mut reference| reference.delete());
        reference.map_err(WorkspaceError::git(format!("delete `{name}`")))
    }

    /// `expected`: `None` sets the ref whatever it is at.
    fn update(
        &self,
        name: &str,
        expected: Option<Option<&ObjectId>>,
        new: &ObjectId,
        log: &str,
    ) -> Result<Swap, WorkspaceError> {
        if !name.starts_with("refs/") || !git2::Reference::is_valid_name(name) {
            return Err(WorkspaceError::InvalidName { kind: "ref", name: name.to_owned() });
        }
        if let Some(by) = self.name_blocked(name)? {
            return Err(WorkspaceError::RefBlocked { name: name.to_owned(), by });
        }
        let known = self.git.odb().is_ok_and(|odb| to_oid(new).is_ok_and(|oid| odb.exists(oid)));
        if !known {
            return Err(WorkspaceError::MissingObject { id: new.clone() });
        }
        let exclusive = self.exclusive()?;
        let lock = RefLock::take(&exclusive, name, &self.git_common_dir().join(name))?;
        // From here on no git program changes the ref, loose or packed.
        if self.git.find_reference(name).is_ok_and(|r| r.kind() == Some(git2::ReferenceType::Symbolic)) {
            return Err(WorkspaceError::SymbolicRef { name: name.to_owned() });
        }
        let current = self.reference(name)?;
        if expected.is_some_and(|expected| expected != current.as_ref()) {
            return Ok(Swap::Moved(current));
        }
        if name.starts_with("refs/heads/") {
            // A lost line of the reflog harms nothing; a failed one must not stop the landing.
            self.append_reflog(name, current.as_ref(), new, log).ok();
        }
        lock.commit(format!("{new}\n").as_bytes(), &self.git_common_dir().join("refs"))?;
        Ok(Swap::Done)
    }

    fn append_reflog(&self, name: &str, old: Option<&ObjectId>, new: &ObjectId, log: &str) -> io::Result<()> {
        let path = self.git_common_dir().join("logs").join(name);
        let unwanted =
            self.git.config().and_then(|config| config.get_bool("core.logAllRefUpdates")) == Ok(false);
        if unwanted && !path.exists() {
            return Ok(());
        }
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let user = self.user();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let old = old.map_or("0000000000000000000000000000000000000000", ObjectId::as_str);
        let log = log.replace(['\n', '\r', '\0'], " ");
        let line = format!("{old} {new} {} <{}> {seconds} +0000\t{log}\n", user.name, user.email);
        OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
    }

    /// The features that have a branch of ours (`loop/FEATURE`), sorted.
    pub fn features_with_branches(&self) -> Result<Vec<String>, WorkspaceError> {
        let action = || WorkspaceError::git("list the branches");
        let mut features = Vec::new();
        for reference in self.git.references_glob("refs/heads/loop/*").map_err(action())? {
            let reference = reference.map_err(action())?;
            let name = std::str::from_utf8(reference.name_bytes()).unwrap_or_default();
            features.extend(name.strip_prefix("refs/heads/loop/").map(str::to_owned));
        }
        features.sort();
        Ok(features)
    }

    /// The existing branch that stands in the way of making this one: `loop` blocks `loop/x`, and
    /// `loop/x/y` does too. The branch itself does not.
    pub fn branch_name_blocked(&self, name: &str) -> Result<Option<String>, WorkspaceError> {
        let by = self.name_blocked(&format!("refs/heads/{name}"))?;
        Ok(by.map(|by| by.strip_prefix("refs/heads/").unwrap_or(&by).to_owned()))
    }

    fn name_blocked(&self, name: &str) -> Result<Option<String>, WorkspaceError> {
        for (at, _) in name.match_indices('/').skip(1) {
            if self.reference(&name[..at])?.is_some() {
                return Ok(Some(name[..at].to_owned()));
            }
        }
        let below = self
            .git
            .references_glob(&format!("{name}/*"))
            .map_err(WorkspaceError::git(format!("list what is below `{name}`")))?;
        Ok(below.flatten().find_map(|r| r.name().ok().map(str::to_owned)))
    }

    /// The worktree, the main one included, in which this branch is checked out, or is being
    /// rebased or bisected.
    pub fn checked_out_in(&self, branch: &str) -> Option<Utf8PathBuf> {
        let common = self.git_common_dir();
        let mut places = Vec::new();
        // A bare repository may have worktrees; its own HEAD checks nothing out.
        if self.git.config().and_then(|config| config.get_bool("core.bare")) != Ok(true) {
            places.push((common.to_owned(), main_worktree(&self.git, common)));
        }
        for entry in common.join("worktrees").read_dir_utf8().ok().into_iter().flatten().flatten() {
            let dir = entry.path().to_owned();
            let dot_git = fs::read_to_string(dir.join("gitdir")).unwrap_or_default();
            let root = Utf8Path::new(dot_git.trim_end()).parent().map(|parent| dir.join(parent));
            places.push((dir.clone(), root.unwrap_or(dir)));
        }
        let full = format!("refs/heads/{branch}");
        let holds = |file: Utf8PathBuf| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let text = text.trim_end();
            text.trim_start_matches("ref: ") == full || text == branch
        };
        places.sort();
        let (_, root) = places.into_iter().find(|(dir, _)| {
            ["HEAD", "rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"]
                .iter()
                .any(|file| holds(dir.join(file)))
        })?;
        Some(root)
    }
}

fn main_worktree(git: &git2::Repository, common: &Utf8Path) -> Utf8PathBuf {
    let own = || Some(Utf8Path::from_path(git.workdir()?)?.components().collect());
    let main = if git.is_worktree() { None } else { own() };
    main.unwrap_or_else(|| common.parent().unwrap_or(common).to_owned())
}

/// The feature is in the name because its branch's lock is what makes its runs one at a time: whoever holds it knows
/// that every other run of the feature is over.
fn keep_name(feature: &str, run: &str) -> String {
    format!("refs/loop/keep/{feature}/{run}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::workspace::testing::Scratch;

    fn two() -> (Scratch, ObjectId, ObjectId) {
        let scratch = Scratch::with(&[("a", "1")]);
        let first = ObjectId(scratch.git(&["rev-parse", "HEAD"]));
        scratch.write("a", "2");
        let second = scratch.commit("second");
        (scratch, first, second)
    }

    const NAME: &str = "refs/heads/loop/x";

    #[test]
    fn a_new_branch_is_made_and_then_moved() {
        let (scratch, first, second) = two();
        let repository = scratch.open();
        assert_eq!(repository.swap(NAME, None, &first, "made").unwrap(), Swap::Done);
        assert_eq!(repository.swap(NAME, Some(&first), &second, "moved\nhere").unwrap(), Swap::Done);
        assert_eq!(scratch.git(&["rev-parse", "loop/x"]), second.0);
        assert_eq!(repository.branch("loop/x").unwrap(), Some(second));
        assert_eq!(scratch.git(&["reflog", "show", "--format=%gs", "loop/x"]), "moved here\nmade");
        scratch.git(&["fsck", "--strict"]);
    }

    #[test]
    fn a_moved_ref_is_left_alone() {
        let (scratch, first, second) = two();
        let repository = scratch.open();
        assert_eq!(repository.swap(NAME, Some(&first), &second, "").unwrap(), Swap::Moved(None));
        assert_eq!(repository.branch("loop/x").unwrap(), None);
        repository.swap(NAME, None, &second, "").unwrap();
        let moved = Swap::Moved(Some(second.clone()));
        assert_eq!(repository.swap(NAME, None, &first, "").unwrap(), moved);
        assert_eq!(repository.swap(NAME, Some(&first), &second, "").unwrap(), moved);
        assert_eq!(repository.branch("loop/x").unwrap(), Some(second));
        assert!(!scratch.root.join(".git/refs/heads/loop/x.lock").exists());
    }

    #[test]
    fn packed_refs_are_seen_and_overridden() {
        let (scratch, first, second) = two();
        let repository = scratch.open();
        repository.swap(NAME, None, &first, "").unwrap();
        scratch.git(&["pack-refs", "--all", "--prune"]);
        assert!(!scratch.root.join(".git").join(NAME).exists());
        assert_eq!(repository.swap(NAME, None, &second, "").unwrap(), Swap::Moved(Some(first.clone())));
        assert_eq!(repository.swap(NAME, Some(&first), &second, "").unwrap(), Swap::Done);
        assert_eq!(scratch.git(&["rev-parse", "loop/x"]), second.0);
    }

    #[test]
    fn of_many_at_once_one_wins() {
        let (scratch, first, second) = two();
        scratch.open().swap(NAME, None, &first, "").unwrap();
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    if scratch.open().swap(NAME, Some(&first), &second, "").unwrap() == Swap::Done {
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 1);
    }

    #[test]
    fn directories_left_empty_do_not_stop_a_branch() {
        let (scratch, first, _) = two();
        let repository = scratch.open();
        fs::create_dir_all(scratch.root.join(".git/refs/heads/loop/x/old/deep")).unwrap();
        assert_eq!(repository.swap(NAME, None, &first, "").unwrap(), Swap::Done);
        assert_eq!(scratch.git(&["rev-parse", "loop/x"]), first.0);
    }

    #[test]
    fn a_branch_in_the_way_is_named() {
        let (scratch, first, _) = two();
        let repository = scratch.open();
        scratch.git(&["branch", "loop"]);
        for packed in [false, true] {
            if packed {
                scratch.git(&["pack-refs", "--all"]);
            }
            assert_eq!(repository.branch_name_blocked("loop/x").unwrap().as_deref(), Some("loop"));
            let error = repository.swap(NAME, None, &first, "").unwrap_err();
            assert!(
                matches!(&error, WorkspaceError::RefBlocked { by, .. } if by == "refs/heads/loop"),
                "{error}"
            );
        }
        scratch.git(&["branch", "-m", "loop", "a/b"]);
        assert_eq!(repository.branch_name_blocked("loop/x").unwrap(), None);
        assert_eq!(repository.branch_name_blocked("a").unwrap().as_deref(), Some("a/b"));
        assert_eq!(repository.branch_name_blocked("a/b").unwrap(), None, "the branch itself");
    }

    #[test]
    fn a_foreign_lock_is_named_and_kept() {
        let (scratch, first, _) = two();
        let repository = scratch.open();
        let lock = scratch.root.join(".git/refs/heads/loop/x.lock");
        fs::create_dir_all(lock.parent().unwrap()).unwrap();
        fs::write(&lock, "").unwrap();
        let error = repository.swap(NAME, None, &first, "").unwrap_err();
        assert!(matches!(&error, WorkspaceError::RefLocked { lock: at, .. } if at == &lock), "{error}");
        assert!(lock.exists());
    }

    #[test]
    fn names_and_targets_are_checked() {
        let (scratch, first, second) = two();
        let repository = scratch.open();
        for name in ["refs/heads/../../config", "refs/heads/a..b", "HEAD", "refs/heads/a.lock", "refs/heads/"]
        {
            let error = repository.swap(name, None, &first, "").unwrap_err();
            assert!(matches!(error, WorkspaceError::InvalidName { .. }), "{name}");
        }
        let nothing = ObjectId("1".repeat(40));
        let error = repository.swap(NAME, None, &nothing, "").unwrap_err();
        assert!(matches!(error, WorkspaceError::MissingObject { .. }));
        scratch.git(&["symbolic-ref", NAME, "refs/heads/main"]);
        let error = repository.swap(NAME, Some(&second), &first, "").unwrap_err();
        assert!(matches!(error, WorkspaceError::SymbolicRef { .. }));
        assert_eq!(repository.branch("main").unwrap(), Some(second));
    }

    #[test]
    fn a_kept_commit_survives_garbage_collection() {
        let (scratch, first, second) = two();
        let repository = scratch.open();
        repository.keep("f", "run-1", &second).unwrap();
        repository.keep("f", "run-1", &second).unwrap();
        repository.keep("g", "run-2", &first).unwrap();
        assert_eq!(repository.kept("f").unwrap(), ["run-1"]);
        scratch.git(&["reset", "-q", "--hard", first.as_str()]);
        scratch.git(&["reflog", "expire", "--expire=now", "--all"]);
        scratch.git(&["gc", "-q", "--prune=now"]);
        scratch.git(&["cat-file", "-e", second.as_str()]);
        repository.release_keep("f", "run-1").unwrap();
        repository.release_keep("f", "run-1").unwrap();
        assert!(repository.kept("f").unwrap().is_empty());
        repository.release_keep("g", "run-2").unwrap();
        assert_eq!(scratch.git(&["for-each-ref", "refs/loop"]), "");
    }

    #[test]
    fn a_branch_checked_out_anywhere_is_found() {
        let (scratch, ..) = two();
        let repository = scratch.open();
        assert_eq!(repository.checked_out_in("main").as_ref(), Some(&scratch.root));
        assert_eq!(repository.checked_out_in("loop/x"), None);
        let other = scratch.root.parent().unwrap().join("other");
        scratch.git(&["worktree", "add", "-q", "-b", "loop/x", other.as_str()]);
        assert_eq!(repository.checked_out_in("loop/x").as_ref(), Some(&other));
        let there = Repository::discover(&other).unwrap();
        assert_eq!(there.root(), other);
        assert_eq!(there.git_common_dir(), repository.git_common_dir());
        assert_eq!(there.current_branch().as_deref(), Some("loop/x"));
        assert_eq!(there.checked_out_in("main").as_ref(), Some(&scratch.root));
    }
}
