//! The directories of attempts and verifications, and what a command in them may see.
//!
//! Does not know what the command is for, nor whether it did well.
//!
//! A place lies in the user's cache directory, outside the repository and outside any `.git`, under a random name:
//! `FEATURE/attempts/NONCE/{lock,prompt,home,out,git,work/NAME}`. Nothing else lies beside the worktree, so that a tool that
//! looks upwards finds nothing that another attempt could have written.

use std::collections::BTreeMap;
use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};

use loop_compiler::graph::{Network, SandboxDef};

use super::error::DriveError;
use crate::digest::{ObjectId, Sha256};
use crate::fault::ExitCode;
use crate::patch::Tree;
use crate::process::CommandSpec;
use crate::sandbox::{Access, Detected, Profile, Role, Toolchain, toolchain_binds};
use crate::workspace::{Blobs, Repository, export, remove_tree};

/// Where places are made, and the surroundings that every command in them shares.
pub struct Places {
    root: Utf8PathBuf,
    /// The name of the worktree's directory: the same as the user's, as some tools take it for the project's name.
    name: String,
    environment: BTreeMap<String, OsString>,
    /// What nobody may see: journal and store.
    state: Utf8PathBuf,
    /// Where compilers and interpreters are, found once.
    toolchain: Toolchain,
    detected: Detected,
}

/// A directory of one command's own.
pub struct Place {
    pub nonce: String,
    pub dir: Utf8PathBuf,
    pub lock: Utf8PathBuf,
    pub home: Utf8PathBuf,
    pub out: Utf8PathBuf,
    pub worktree: Utf8PathBuf,
}

impl Places {
    /// `environment` is the one that `loop` was started in. One directory for each clone, as two clones of one
    /// repository share its id and not their attempts; in it one for each feature, so that whoever holds the lock of
    /// the feature's branch knows that everything in it is of runs that are over.
    pub fn new(
        repository: &Repository,
        feature: &str,
        environment: BTreeMap<String, OsString>,
        detected: Detected,
    ) -> Result<Places, DriveError> {
        let id = repository.identity()?.unwrap_or_default();
        let clone = Sha256::of(repository.git_common_dir().as_str().as_bytes()).to_string();
        let directory = |name: &str| {
            environment
                .get(name)
                .and_then(|value| value.to_str())
                .filter(|value| value.starts_with('/'))
                .map(Utf8PathBuf::from)
        };
        let cache = directory("XDG_CACHE_HOME")
            .or_else(|| directory("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(|| "/tmp".into());
        let repository_dir = format!("{}-{}", id.get(..12).unwrap_or(&id), &clone[..12]);
        let root = cache.join("loop").join(repository_dir).join(feature);
        refuse_inside(repository, &root)?;
        let name = repository.root().file_name().unwrap_or("tree").to_owned();
        let toolchain = toolchain_binds(&environment);
        let state = repository.state_dir();
        Ok(Places { root, name, environment, state, toolchain, detected })
    }

    pub fn detected(&self) -> &Detected {
        &self.detected
    }

    /// The value of a variable in the environment that `loop` was started in.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name)?.to_str().map(str::to_owned)
    }

    pub fn path(&self) -> String {
        self.variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned())
    }

    /// Takes the only turn in these places; it ends with the returned file.
    pub fn claim(&self) -> Result<std::fs::File, DriveError> {
        let path = self.root.join("turn");
        std::fs::create_dir_all(&self.root).map_err(DriveError::io(format!("make {}", self.root)))?;
        let file = std::fs::File::create(&path).map_err(DriveError::io(format!("make {path}")))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(_) => Err(DriveError::refused(
                ExitCode::Locked,
                "the same command is at work in this repository; wait until it has ended".to_owned(),
            )),
        }
    }

    /// A place with its lock file, an empty home and an empty directory for what is exchanged.
    pub fn make(&self, kind: &str, nonce: &str) -> Result<Place, DriveError> {
        let dir = self.root.join(kind).join(nonce);
        let place = Place {
            nonce: nonce.to_owned(),
            lock: dir.join("lock"),
            home: dir.join("home"),
            out: dir.join("out"),
            worktree: dir.join("work").join(&self.name),
            dir,
        };
        for path in [&place.dir, &place.home, &place.out, &place.dir.join("work")] {
            std::fs::create_dir_all(path).map_err(DriveError::io(format!("make {path}")))?;
        }
        // What an agent makes belongs to whoever runs `loop`, set-user-id bits included: nobody else gets in.
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&place.dir, private)
            .map_err(DriveError::io(format!("close {} to others", place.dir)))?;
        std::fs::File::create(&place.lock).map_err(DriveError::io(format!("make {}", place.lock)))?;
        Ok(place)
    }

    /// The lock file of an attempt, whether it is there or not.
    pub fn lock_of(&self, kind: &str, nonce: &str) -> Utf8PathBuf {
        self.root.join(kind).join(nonce).join("lock")
    }

    pub fn dir_of(&self, kind: &str, nonce: &str) -> Utf8PathBuf {
        self.root.join(kind).join(nonce)
    }

    /// Nonces of the places of this kind.
    pub fn existing(&self, kind: &str) -> Vec<String> {
        let Ok(entries) = self.root.join(kind).read_dir_utf8() else { return Vec::new() };
        let mut found: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_owned()).collect();
        found.sort();
        found
    }

    /// Removes a place without following links. What cannot be removed stays for the next start.
    pub fn remove(&self, kind: &str, nonce: &str) {
        let _ = remove_tree(&self.dir_of(kind, nonce));
    }

    /// A clean export of `tree` as the place's worktree: files only, no `.git`.
    pub fn export(
        &self,
        place: &Place,
        repository: &Repository,
        tree: &Tree,
        blobs: &dyn Blobs,
    ) -> Result<(), DriveError> {
        std::fs::create_dir_all(&place.worktree)
            .map_err(DriveError::io(format!("make {}", place.worktree)))?;
        Ok(export(repository, tree, &place.worktree, blobs)?)
    }

    /// Gives the place private copies of `paths` from a prepared worktree. Never links: what is written in one place
    /// must not reach another.
    pub fn share(&self, prepared: &Utf8Path, place: &Place, paths: &[String]) -> Result<(), DriveError> {
        for path in paths {
            let (from, to) = (prepared.join(path), place.worktree.join(path));
            if from.symlink_metadata().is_ok() && to.symlink_metadata().is_err() {
                copy_tree(&from, &to).map_err(DriveError::io(format!("copy {from} to {to}")))?;
            }
        }
        Ok(())
    }

    /// The private repository of an attempt.
    pub fn checkout(
        &self,
        place: &Place,
        repository: &Repository,
        tree: &Tree,
        head: &ObjectId,
        blobs: &dyn Blobs,
    ) -> Result<(), DriveError> {
        repository.private_checkout(&place.dir, &self.name, tree, head, blobs)?;
        Ok(())
    }

    /// The environment of a command in a place: fixed values, where tools are, and `allowed` from the user's.
    pub fn environment(&self, place: &Place, allowed: &[String]) -> BTreeMap<String, OsString> {
        let mut env: BTreeMap<String, OsString> = self.toolchain.env.clone();
        for (name, value) in
            [("LANG", "C.UTF-8"), ("TZ", "UTC"), ("TERM", "dumb"), ("GIT_CONFIG_NOSYSTEM", "1")]
        {
            env.insert(name.into(), value.into());
        }
        let temporary = if self.detected.containment.is_confined() {
            "/tmp".to_owned()
        } else {
            place.out.join("tmp").into_string()
        };
        if !self.detected.containment.is_confined() {
            let _ = std::fs::create_dir_all(&temporary);
        }
        env.insert("TMPDIR".into(), temporary.into());
        env.insert("PATH".into(), self.path().into());
        env.insert("HOME".into(), place.home.as_str().into());
        for name in allowed {
            if let Some(value) = self.environment.get(name) {
                env.insert(name.clone(), value.clone());
            }
        }
        env
    }

    /// What an agent sees: its worktree, its git directory, the user's objects to read, the network.
    pub fn agent_profile(&self, place: &Place, repository: &Repository) -> Result<Profile, DriveError> {
        let mut profile = self.common(Profile::agent(&self.detected), place).with(
            place.dir.join("git"),
            Access::Write,
            Role::GitDir,
        );
        for objects in repository.object_dirs()? {
            profile = profile.with(objects, Access::Read, Role::Objects);
        }
        Ok(profile)
    }

    /// What a verifier sees: its export; no network.
    pub fn verifier_profile(&self, place: &Place) -> Profile {
        self.common(Profile::verifier(&self.detected), place)
    }

    /// What a command sees whose output goes into a prompt: a worktree and a git directory like the agent's; no network.
    pub fn show_profile(&self, place: &Place, repository: &Repository) -> Result<Profile, DriveError> {
        let mut profile =
            self.verifier_profile(place).with(place.dir.join("git"), Access::Write, Role::GitDir);
        for objects in repository.object_dirs()? {
            profile = profile.with(objects, Access::Read, Role::Objects);
        }
        Ok(profile)
    }

    /// What the plan's `sandbox` opens and closes besides.
    pub fn as_the_plan_says(
        &self,
        mut profile: Profile,
        sandbox: &SandboxDef,
        repository: &Repository,
    ) -> Result<Profile, DriveError> {
        match sandbox.network {
            Some(Network::Allow) => profile.network = true,
            Some(Network::Deny) => profile.network = false,
            // A list of hosts is refused before a run begins.
            Some(Network::Hosts) | None => {}
        }
        for (paths, access) in [(&sandbox.read, Access::Read), (&sandbox.write, Access::Write)] {
            for text in paths {
                let path = self.opened(text, repository)?;
                profile = profile.with(path, access, Role::Opened);
            }
        }
        Ok(profile)
    }

    /// A path that the plan opens. The user's repository and the places of other attempts stay closed.
    pub fn opened(&self, text: &str, repository: &Repository) -> Result<Utf8PathBuf, DriveError> {
        let path = match text.strip_prefix("~/") {
            Some(below) => Utf8PathBuf::from(self.variable("HOME").unwrap_or_default()).join(below),
            None => Utf8PathBuf::from(text),
        };
        let real = path.canonicalize_utf8().unwrap_or_else(|_| path.clone());
        let closed = [repository.root(), repository.git_common_dir(), &self.root];
        let meets = closed.into_iter().find(|closed| {
            let closed = closed.canonicalize_utf8().unwrap_or_else(|_| closed.to_path_buf());
            real.starts_with(&closed) || closed.starts_with(&real)
        });
        match meets {
            None => Ok(real),
            Some(closed) => Err(DriveError::refused(
                ExitCode::Usage,
                format!(
                    "`sandbox` opens `{text}`, which would open {closed} too; name a directory that has nothing to do with it"
                ),
            )),
        }
    }

    /// Makes a program that is named by an absolute path visible: that file, and what it links to, alone. What is
    /// found on PATH is there already.
    pub fn with_program(&self, mut profile: Profile, argv: &[String]) -> Profile {
        let Some(program) = argv.first().map(Utf8Path::new).filter(|program| program.is_absolute()) else {
            return profile;
        };
        let real = program.canonicalize_utf8().ok();
        for path in [Some(program.to_owned()), real].into_iter().flatten() {
            // The system's directories are there as they are.
            if path.is_file() && !["/usr", "/bin", "/sbin"].iter().any(|system| path.starts_with(system)) {
                profile = profile.with(path, Access::Read, Role::Toolchain);
            }
        }
        profile
    }

    fn common(&self, profile: Profile, place: &Place) -> Profile {
        let profile = profile
            .with_all(self.toolchain.mounts.iter().cloned())
            .with(&place.worktree, Access::Write, Role::Worktree)
            .with(&place.home, Access::Write, Role::Home)
            .with(&place.out, Access::Write, Role::Exchange);
        // An entry of PATH may stand for a directory that the repository lies in.
        match profile.mounts.iter().any(|mount| self.state.starts_with(&mount.path)) {
            true => profile.with(&self.state, Access::Hidden, Role::Secret),
            false => profile,
        }
    }

    /// What `prepare` sees: the network, its worktree, and the caches of the package manager that it is, to fill. It
    /// may run scripts of a tree that an agent wrote (`npm ci` does), so it gets nothing else: no other tool's cache,
    /// and the programs of a toolchain stay read-only.
    pub fn prepare_profile(&self, place: &Place, program: &str) -> Profile {
        let mut profile = self.common(Profile::agent(&self.detected), place);
        for mount in &mut profile.mounts {
            if mount.role == Role::Toolchain && is_package_cache(&mount.path, program) {
                mount.access = Access::Write;
            }
        }
        profile
    }

    /// A command in the place's worktree.
    pub fn command(
        &self,
        place: &Place,
        argv: &[String],
        env: BTreeMap<String, OsString>,
        stdin: &Utf8Path,
        limits: crate::process::Limits,
        profile: Profile,
    ) -> CommandSpec {
        CommandSpec {
            argv: argv.iter().map(OsString::from).collect(),
            cwd: place.worktree.clone(),
            env,
            stdin: stdin.to_owned(),
            limits,
            lock: place.lock.clone(),
            profile,
            program: crate::process::ShimProgram::Current,
        }
    }
}

/// Is it a directory that the package manager `program` fills with downloads, and runs nothing of while it does?
fn is_package_cache(path: &Utf8Path, program: &str) -> bool {
    match program {
        "cargo" => {
            path.parent().is_some_and(|home| home.join("bin").is_dir())
                && (path.ends_with("registry") || path.ends_with("git"))
        }
        "go" => path.ends_with("pkg"),
        _ => false,
    }
}

/// Places must not lie in the checkout, where they would be untracked files and where tools look upwards, nor in the
/// git directory.
fn refuse_inside(repository: &Repository, root: &Utf8Path) -> Result<(), DriveError> {
    // It need not exist yet: what exists of it may lead anywhere.
    let real = root.ancestors().find_map(|above| above.canonicalize_utf8().ok()).unwrap_or_default();
    let Some(around) = [repository.root(), repository.git_common_dir()]
        .into_iter()
        .filter_map(|dir| dir.canonicalize_utf8().ok())
        .find(|dir| real.starts_with(dir))
    else {
        return Ok(());
    };
    Err(DriveError::refused(
        ExitCode::Environment,
        format!(
            "worktrees would be made in {root}, which is inside the repository {around}; set XDG_CACHE_HOME to a directory outside it"
        ),
    ))
}

/// Copies a file, link or directory with modes and times; contents by reflink where the file system has it.
fn copy_tree(from: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut open = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        let metadata = from.symlink_metadata()?;
        if metadata.is_symlink() {
            std::os::unix::fs::symlink(from.read_link()?, &to)?;
        } else if metadata.is_dir() {
            std::fs::create_dir_all(&to)?;
            for entry in from.read_dir_utf8()? {
                let name = entry?.file_name().to_owned();
                open.push((from.join(&name), to.join(&name)));
            }
        } else if metadata.is_file() {
            copy_file(&from, &to, &metadata)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Utf8Path, to: &Utf8Path, metadata: &std::fs::Metadata) -> std::io::Result<()> {
    let mut source = std::fs::File::open(from)?;
    let mut target = std::fs::File::create_new(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        std::io::copy(&mut source, &mut target)?;
    }
    target.set_permissions(metadata.permissions())?;
    target.set_times(
        std::fs::FileTimes::new().set_modified(metadata.modified()?).set_accessed(metadata.accessed()?),
    )
}
