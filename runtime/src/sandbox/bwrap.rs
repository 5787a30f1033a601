//! Turns a profile into bubblewrap's command line.
//!
//! Does not know whether bubblewrap works here (`detect`).
//!
//! Bubblewrap started by root keeps all capabilities unless told otherwise: such a sandbox can remount the root
//! file system writable. So the line always makes a user namespace, maps another user, and drops everything.
//! A file of host root can still be written by that user where it is visible, hence the covers over `/proc`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Access, Mount, Profile};

/// Open descriptors that bubblewrap inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Kept open as long as the sandbox lives, and hidden from the command: the attempt's lock.
    pub lock: i32,
    /// Written by bubblewrap: `exit-code` is there if the command was really started.
    pub status: i32,
    /// Read: the contents of `/etc/passwd` and `/etc/group`.
    pub passwd: i32,
    pub group: i32,
}

/// The numbers that the shim uses: far above those that a program opens by itself.
pub const DESCRIPTORS: Descriptors = Descriptors { lock: 100, status: 101, passwd: 102, group: 103 };

/// Programs and libraries. What is a symbolic link (`/bin` on merged systems) is made as one.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// The files of `/etc` that programs need and that hold no secret. Never `shadow`, never private keys: the user
/// inside may be the host's root where the kernel is concerned, and could read them.
const ETC: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
];

/// Kernel settings: read-only even for host root's number.
const PROC_COVERED: &[&str] = &["sys", "sysrq-trigger", "irq", "bus", "acpi", "scsi", "fs"];

pub(super) fn command_line(
    profile: &Profile,
    program: &Utf8Path,
    argv: &[OsString],
    cwd: &Utf8Path,
    descriptors: Option<&Descriptors>,
) -> Vec<OsString> {
    let mut line = Line { words: vec![program.as_str().into()] };
    line.add(&["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
    if !profile.network {
        line.add(&["--unshare-net"]);
    }
    if !profile.nested {
        line.add(&["--disable-userns"]);
    }
    line.add(&["--uid", &profile.uid.to_string(), "--gid", &profile.gid.to_string()]);
    line.add(&["--cap-drop", "ALL", "--new-session", "--die-with-parent", "--hostname", "sandbox"]);

    for path in SYSTEM {
        match std::fs::read_link(path) {
            Ok(target) => line.add(&["--symlink", &target.to_string_lossy(), path]),
            Err(_) => line.bind("--ro-bind", Utf8Path::new(path)),
        }
    }
    for name in ETC {
        let path = Utf8PathBuf::from(format!("/etc/{name}"));
        // `resolv.conf` is often a link into `/run`, which is not there inside.
        if let Ok(target) = path.canonicalize_utf8() {
            line.add(&["--ro-bind", target.as_str(), path.as_str()]);
        }
    }
    if let Some(descriptors) = descriptors {
        line.add(&["--ro-bind-data", &descriptors.passwd.to_string(), "/etc/passwd"]);
        line.add(&["--ro-bind-data", &descriptors.group.to_string(), "/etc/group"]);
    }
    line.add(&["--proc", "/proc"]);
    for name in PROC_COVERED {
        line.bind("--ro-bind", Utf8Path::new(&format!("/proc/{name}")));
    }
    line.add(&["--dev", "/dev", "--tmpfs", "/tmp"]);
    for (path, access) in effective(&profile.mounts) {
        line.mount(path, access);
    }
    line.add(&["--chdir", cwd.as_str()]);
    if let Some(descriptors) = descriptors {
        line.add(&["--sync-fd", &descriptors.lock.to_string()]);
        line.add(&["--json-status-fd", &descriptors.status.to_string()]);
    }
    line.add(&["--"]);
    line.words.extend_from_slice(argv);
    line.words
}

/// Each path once, outer ones first: a later mount covers an earlier one.
fn effective(mounts: &[Mount]) -> BTreeMap<&Utf8Path, Access> {
    let mut effective: BTreeMap<&Utf8Path, Access> = BTreeMap::new();
    for mount in mounts {
        let access = effective.entry(&mount.path).or_insert(mount.access);
        *access = (*access).max(mount.access);
    }
    effective
}

struct Line {
    words: Vec<OsString>,
}

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(OsString::from));
    }

    /// Binds what exists, at its own path.
    fn bind(&mut self, option: &str, path: &Utf8Path) {
        if path.exists() {
            self.add(&[option, path.as_str(), path.as_str()]);
        }
    }

    fn mount(&mut self, path: &Utf8Path, access: Access) {
        match access {
            Access::Read => self.bind("--ro-bind", path),
            Access::Write => self.bind("--bind", path),
            Access::Scratch => self.add(&["--tmpfs", path.as_str()]),
            Access::Hidden if path.is_dir() => {
                self.add(&["--tmpfs", path.as_str(), "--remount-ro", path.as_str()]);
            }
            Access::Hidden if path.exists() => self.add(&["--ro-bind", "/dev/null", path.as_str()]),
            Access::Hidden => {}
        }
    }
}
