//! What a command may see and change, as data, and the bubblewrap command line that makes it so.
//!
//! Does not know how a process is started, watched or ended (`process`), nor what the command is for.

use std::collections::BTreeMap;
use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::Sha256;

mod bwrap;
mod detect;
mod toolchain;

pub use bwrap::{DESCRIPTORS, Descriptors};
pub use detect::{Detected, detect, probe_entry};
pub use toolchain::{Toolchain, toolchain_binds};

/// How a command is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Containment {
    /// A pid namespace and a file system view of its own, by bubblewrap.
    Bwrap,
    /// The shim alone: its processes end with it, but they see and may change what the user may. Shown as
    /// `unconfined`.
    Shim,
}

impl Containment {
    /// As it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Containment::Bwrap => "bwrap",
            Containment::Shim => "shim",
        }
    }

    /// Is the user's repository kept from the command? Otherwise harm is detected, not prevented.
    pub fn is_confined(self) -> bool {
        self == Containment::Bwrap
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// With the bubblewrap program at this path.
    Bwrap(Utf8PathBuf),
    None,
}

/// What a mount is for. The profile's digest is over roles and never over paths, which differ per attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The tree that the command works in.
    Worktree,
    /// The attempt's private git directory.
    GitDir,
    /// The user's object database, at its real path.
    Objects,
    /// The synthetic home directory.
    Home,
    /// Compilers, interpreters and their package caches.
    Toolchain,
    /// A file or directory that the attempt exchanges with the executor, such as its report.
    Exchange,
    /// A credential file that the back end declares.
    Credential,
    /// What the plan opens.
    Opened,
    /// What must not be seen, although a directory above it is.
    Secret,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Worktree => "worktree",
            Role::GitDir => "gitdir",
            Role::Objects => "objects",
            Role::Home => "home",
            Role::Toolchain => "toolchain",
            Role::Exchange => "exchange",
            Role::Credential => "credential",
            Role::Opened => "opened",
            Role::Secret => "secret",
        }
    }
}

/// What may be done with a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    Read,
    Write,
    /// Empty and writable, gone afterwards.
    Scratch,
    /// An empty, unreadable stand-in covers it.
    Hidden,
}

impl Access {
    fn as_str(self) -> &'static str {
        match self {
            Access::Read => "ro",
            Access::Write => "rw",
            Access::Scratch => "tmpfs",
            Access::Hidden => "hidden",
        }
    }
}

/// One path of the command's view. Inside it has the same path as outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Absolute. One that does not exist is left out.
    pub path: Utf8PathBuf,
    pub access: Access,
    pub role: Role,
}

/// What a command may see and change.
///
/// With [`Level::Bwrap`] the view is: the system's programs and libraries and the harmless files of `/etc`,
/// read-only; an empty `/tmp`; `/dev` with the standard nodes; `/proc` of its own pid namespace; and `mounts`.
/// Everything else, `/run` and the rest of the user's home above all, does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub level: Level,
    /// In any order; of mounts at one path the most restrictive holds (hidden, then write, then read).
    pub mounts: Vec<Mount>,
    /// The host's network, its loopback too. Without it there is a loopback interface and nothing else.
    pub network: bool,
    /// May it make sandboxes of its own (agents that confine their tools do)?
    pub nested: bool,
    /// User and group inside. Files of the user who runs `loop` appear as this user's.
    pub uid: u32,
    pub gid: u32,
}

/// The user that a command is inside the sandbox.
pub const SANDBOX_UID: u32 = 1000;

/// Changes when the fixed part of the profile does, so that its digest does as well.
const PROFILE_VERSION: u32 = 1;

impl Profile {
    /// No sandbox: only the shim.
    pub fn none() -> Profile {
        Profile {
            level: Level::None,
            mounts: Vec::new(),
            network: true,
            nested: true,
            uid: SANDBOX_UID,
            gid: SANDBOX_UID,
        }
    }

    /// The view of an agent: network (a model server on the loopback stays reachable) and own sandboxes allowed.
    pub fn agent(detected: &Detected) -> Profile {
        Profile { level: detected.level(), ..Profile::none() }
    }

    /// The view of a verifier: no network, no sandboxes of its own.
    pub fn verifier(detected: &Detected) -> Profile {
        Profile { level: detected.level(), network: false, nested: false, ..Profile::none() }
    }

    /// Adds a mount.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Utf8Path>, access: Access, role: Role) -> Profile {
        self.mounts.push(Mount { path: path.as_ref().to_owned(), access, role });
        self
    }

    /// Adds many.
    #[must_use]
    pub fn with_all(mut self, mounts: impl IntoIterator<Item = Mount>) -> Profile {
        self.mounts.extend(mounts);
        self
    }

    pub fn containment(&self) -> Containment {
        match self.level {
            Level::Bwrap(_) => Containment::Bwrap,
            Level::None => Containment::Shim,
        }
    }

    /// SHA-256 (hex) over what the profile allows, by roles: the same for each attempt of the same kind.
    pub fn digest(&self) -> String {
        let mut text = format!(
            "loop-sandbox {PROFILE_VERSION}\nlevel {}\nnetwork {}\nnested {}\nuser {}:{}\n",
            self.containment().as_str(),
            self.network,
            self.nested,
            self.uid,
            self.gid
        );
        let roles: std::collections::BTreeSet<(Role, Access)> =
            self.mounts.iter().map(|mount| (mount.role, mount.access)).collect();
        for (role, access) in roles {
            text.push_str(&format!("{} {}\n", role.as_str(), access.as_str()));
        }
        Sha256::of(text.as_bytes()).to_string()
    }

    /// The command line that runs `argv` in this view, from the directory `cwd`; `argv` itself without a sandbox.
    ///
    /// The environment is not part of it: it is whatever the caller gives the process, which must be all of it
    /// (values on a command line can be read by every user of the machine).
    ///
    /// With `descriptors` the process must have them open, inherited; see [`Descriptors`].
    pub fn wrap(
        &self,
        argv: &[OsString],
        cwd: &Utf8Path,
        descriptors: Option<&Descriptors>,
    ) -> Vec<OsString> {
        match &self.level {
            Level::Bwrap(program) => bwrap::command_line(self, program, argv, cwd, descriptors),
            Level::None => argv.to_vec(),
        }
    }

    /// `/etc/passwd` and `/etc/group` as the command sees them: its own user must have an entry (`getpwuid`).
    pub fn identity(&self, home: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (
                "passwd",
                format!(
                    "root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{}:{}:user:{home}:/bin/sh\n\
                     nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                    self.uid, self.gid
                ),
            ),
            ("group", format!("root:x:0:\nuser:x:{}:\nnogroup:x:65534:\n", self.gid)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confined() -> Profile {
        Profile { level: Level::Bwrap("/usr/bin/bwrap".into()), ..Profile::none() }
    }

    fn line(profile: &Profile) -> Vec<String> {
        let argv = ["sh".into(), "-c".into(), "true".into()];
        let words = profile.wrap(&argv, Utf8Path::new("/work"), Some(&DESCRIPTORS));
        words.into_iter().map(|word| word.into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn the_digest_is_over_what_is_allowed_and_not_over_paths() {
        let one =
            confined().with("/a/1", Access::Write, Role::Worktree).with("/o", Access::Read, Role::Objects);
        let two =
            confined().with("/x", Access::Read, Role::Objects).with("/a/2", Access::Write, Role::Worktree);
        assert_eq!(one.digest(), two.digest());
        let digests = [
            one.digest(),
            Profile { network: false, ..one.clone() }.digest(),
            Profile { nested: false, ..one.clone() }.digest(),
            Profile { level: Level::None, ..one.clone() }.digest(),
            one.clone().with("/h", Access::Hidden, Role::Secret).digest(),
            confined()
                .with("/a/1", Access::Read, Role::Worktree)
                .with("/o", Access::Read, Role::Objects)
                .digest(),
        ];
        let distinct: std::collections::BTreeSet<&String> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn the_fixed_hardening_is_always_there() {
        for profile in [confined(), Profile { network: false, nested: false, ..confined() }] {
            let line = line(&profile);
            let has = |words: &[&str]| line.windows(words.len()).any(|window| window == words);
            for words in [
                &["--unshare-user"][..],
                &["--unshare-pid"],
                &["--uid", "1000"],
                &["--cap-drop", "ALL"],
                &["--new-session"],
                &["--die-with-parent"],
                &["--ro-bind", "/proc/sys", "/proc/sys"],
                &["--tmpfs", "/tmp"],
                &["--chdir", "/work"],
                &["--", "sh", "-c", "true"],
            ] {
                assert!(has(words), "{words:?} in {line:?}");
            }
            assert_eq!(has(&["--unshare-net"]), !profile.network);
            assert_eq!(has(&["--disable-userns"]), !profile.nested);
            for hidden in ["/etc/shadow", "/etc", "/run", "/root", "/home", "/var", "/sys", "/"] {
                assert!(!line.iter().any(|word| word == hidden), "{hidden}");
            }
        }
    }

    #[test]
    fn without_a_sandbox_the_command_line_is_the_commands_own() {
        assert_eq!(line(&Profile::none()), ["sh", "-c", "true"]);
    }

    #[test]
    fn outer_mounts_come_first_and_the_most_restrictive_holds() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let outer = Utf8Path::from_path(dir.path()).expect("UTF-8");
        let (inner, twice) = (outer.join("inner"), outer.join("twice"));
        std::fs::create_dir(&inner).expect("new");
        std::fs::create_dir(&twice).expect("new");
        let profile = confined()
            .with(&twice, Access::Hidden, Role::Secret)
            .with(&inner, Access::Read, Role::GitDir)
            .with(outer, Access::Write, Role::Worktree)
            .with(&twice, Access::Write, Role::Worktree)
            .with(outer.join("missing"), Access::Read, Role::Credential);
        let line = line(&profile);
        let at = |words: &[&str]| line.windows(words.len()).position(|window| window == words);
        let outer_at = at(&["--bind", outer.as_str(), outer.as_str()]).expect("writable");
        assert!(at(&["--ro-bind", inner.as_str(), inner.as_str()]).is_some_and(|inner| inner > outer_at));
        assert!(at(&["--tmpfs", twice.as_str(), "--remount-ro"]).is_some_and(|twice| twice > outer_at));
        assert!(at(&["--bind", twice.as_str(), twice.as_str()]).is_none());
        assert!(!line.iter().any(|word| word.ends_with("missing")));
    }
}
