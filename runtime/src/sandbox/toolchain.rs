//! Finds the compilers and interpreters that live outside the system's directories.
//!
//! Does not know which of them a command will use.
//!
//! A home directory is never bound as a whole, nor the parts of a tool's home that hold credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Access, Mount, Role};

/// What commands need to find their tools although the home directory is another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toolchain {
    /// Read-only.
    pub mounts: Vec<Mount>,
    /// Variables that say where each tool's home is; where the environment sets one already, it is the same.
    pub env: BTreeMap<String, OsString>,
}

/// A tool's home: the variable that names it, where it is by default (below HOME), and what of it is bound
/// (empty: all of it).
struct Home {
    variable: &'static str,
    default: Option<&'static str>,
    parts: &'static [&'static str],
}

const HOMES: &[Home] = &[
    Home { variable: "RUSTUP_HOME", default: Some(".rustup"), parts: &[] },
    // `credentials.toml` stays outside.
    Home {
        variable: "CARGO_HOME",
        default: Some(".cargo"),
        parts: &["bin", "registry", "git", "config.toml"],
    },
    Home { variable: "PYENV_ROOT", default: Some(".pyenv"), parts: &[] },
    Home { variable: "NVM_DIR", default: Some(".nvm"), parts: &[] },
    Home { variable: "VOLTA_HOME", default: Some(".volta"), parts: &[] },
    Home { variable: "FNM_DIR", default: Some(".local/share/fnm"), parts: &[] },
    Home { variable: "ASDF_DATA_DIR", default: Some(".asdf"), parts: &[] },
    Home { variable: "MISE_DATA_DIR", default: Some(".local/share/mise"), parts: &[] },
    Home { variable: "RBENV_ROOT", default: Some(".rbenv"), parts: &[] },
    Home { variable: "SDKMAN_DIR", default: Some(".sdkman"), parts: &["candidates"] },
    Home { variable: "BUN_INSTALL", default: Some(".bun"), parts: &["bin", "install"] },
    Home { variable: "GOPATH", default: Some("go"), parts: &["bin", "pkg"] },
    Home { variable: "GOROOT", default: None, parts: &[] },
    Home { variable: "JAVA_HOME", default: None, parts: &[] },
];

/// Read-only mounts for `PATH` entries outside the system's directories and for the known tools' homes, from the
/// environment of the user who runs `loop`.
pub fn toolchain_binds(env: &BTreeMap<String, OsString>) -> Toolchain {
    let text = |name: &str| env.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty());
    let home = text("HOME").filter(|home| home.starts_with('/')).map(Utf8PathBuf::from);
    let mut paths: BTreeSet<Utf8PathBuf> = BTreeSet::new();
    let mut toolchain = Toolchain::default();
    for tool in HOMES {
        let named = text(tool.variable).filter(|value| value.starts_with('/')).map(Utf8PathBuf::from);
        let Some(root) = named.or_else(|| Some(home.as_ref()?.join(tool.default?))) else {
            continue;
        };
        if !root.is_dir() || is_too_wide(&root, home.as_deref()) {
            continue;
        }
        if tool.parts.is_empty() {
            paths.insert(root.clone());
        } else {
            paths.extend(tool.parts.iter().map(|part| root.join(part)));
        }
        toolchain.env.insert(tool.variable.to_owned(), root.into_string().into());
    }
    for dir in text("PATH").unwrap_or_default().split(':').filter(|dir| dir.starts_with('/')) {
        path_entry(Utf8Path::new(dir), home.as_deref(), &mut paths);
    }
    toolchain.mounts = paths
        .into_iter()
        .filter(|path| !is_system(path) && path.exists())
        .map(|path| Mount { path, access: Access::Read, role: Role::Toolchain })
        .collect();
    // Where cargo's home is inside the system's directories (container images), its tokens are as well.
    if let Some(cargo) = toolchain.env.get("CARGO_HOME").and_then(|path| path.to_str()).map(Utf8Path::new)
        && is_system(cargo)
    {
        let secret = |name| Mount { path: cargo.join(name), access: Access::Hidden, role: Role::Secret };
        toolchain.mounts.extend(["credentials.toml", "credentials"].map(secret));
    }
    toolchain
}

/// A `PATH` entry `P/bin` stands for the whole installation `P`, because programs look for their libraries beside
/// them; but not if `P` is a home directory or one of the shared ones in it, such as `~/.local`.
fn path_entry(dir: &Utf8Path, home: Option<&Utf8Path>, paths: &mut BTreeSet<Utf8PathBuf>) {
    if is_system(dir) || is_too_wide(dir, home) {
        return;
    }
    paths.insert(dir.to_owned());
    let in_home = home.is_some_and(|home| dir.starts_with(home));
    if let Some(prefix) = dir.parent()
        && dir.file_name() == Some("bin")
        && !in_home
        && !is_too_wide(prefix, home)
        && prefix.components().count() > 2
    {
        paths.insert(prefix.to_owned());
    }
    // What links in it point to: `~/.local/bin/tool` -> `~/.local/share/tool/versions/1.2/tool`.
    let Ok(entries) = dir.read_dir_utf8() else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_symlink()
            && let Ok(target) = path.canonicalize_utf8()
            && target.is_file()
            && !is_system(&target)
            && !target.starts_with(dir)
        {
            // A script package needs its siblings: everything of the innermost package, or the file alone.
            let package = target.ancestors().skip(1).find(|above| {
                above.parent().is_some_and(|parent| parent.file_name() == Some("node_modules"))
            });
            paths.insert(package.unwrap_or(&target).to_owned());
        }
    }
}

fn is_system(path: &Utf8Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/etc", "/proc", "/dev"]
        .iter()
        .any(|system| path.starts_with(system))
}

/// Would binding this show a home directory, or more?
fn is_too_wide(path: &Utf8Path, home: Option<&Utf8Path>) -> bool {
    path.parent().is_none()
        || ["/home", "/root", "/tmp", "/run", "/var", "/opt", "/srv", "/mnt", "/media"]
            .contains(&path.as_str())
        || home.is_some_and(|home| home.starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(home: &Utf8Path, extra: &[(&str, &str)]) -> (Vec<String>, BTreeMap<String, OsString>) {
        let mut env = BTreeMap::from([("HOME".to_owned(), OsString::from(home.as_str()))]);
        env.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.into())));
        let toolchain = toolchain_binds(&env);
        let relative = |mount: Mount| {
            assert_eq!((mount.access, mount.role), (Access::Read, Role::Toolchain));
            mount.path.strip_prefix(home).unwrap_or(&mount.path).to_string()
        };
        (toolchain.mounts.into_iter().map(relative).collect(), toolchain.env)
    }

    #[test]
    fn tools_are_found_and_homes_and_credentials_are_not_shown() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Utf8Path::from_path(dir.path()).expect("UTF-8").canonicalize_utf8().expect("it exists");
        let paths = [
            ".rustup/toolchains",
            ".cargo/bin",
            ".cargo/registry",
            ".ssh",
            ".local/bin",
            ".local/share/t/1",
            "bin",
        ];
        paths.iter().for_each(|path| std::fs::create_dir_all(home.join(path)).expect("new"));
        std::fs::write(home.join(".cargo/credentials.toml"), "token").expect("new");
        std::fs::write(home.join(".local/share/t/1/t"), "").expect("new");
        std::fs::write(home.join(".local/share/secret"), "").expect("new");
        std::os::unix::fs::symlink(home.join(".local/share/t/1/t"), home.join(".local/bin/t")).expect("new");
        let path = format!("{home}/.local/bin:{home}/bin:{home}:/usr/bin:relative::/");
        let (mounts, env) = found(&home, &[("PATH", &path)]);
        assert_eq!(
            mounts,
            [".cargo/bin", ".cargo/registry", ".local/bin", ".local/share/t/1/t", ".rustup", "bin"]
        );
        assert_eq!(env.keys().map(String::as_str).collect::<Vec<_>>(), ["CARGO_HOME", "RUSTUP_HOME"]);
        assert_eq!(env["CARGO_HOME"], home.join(".cargo").as_str());
    }

    #[test]
    fn an_installation_outside_the_home_is_taken_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8Path::from_path(dir.path()).expect("UTF-8").canonicalize_utf8().expect("it exists");
        let prefix = root.join("node-20");
        std::fs::create_dir_all(prefix.join("bin")).expect("new");
        let (mounts, _) = found(&root.join("home"), &[("PATH", prefix.join("bin").as_str())]);
        assert_eq!(mounts, [prefix.to_string(), prefix.join("bin").to_string()]);
    }

    #[test]
    fn a_tools_home_that_is_a_home_directory_is_not_shown() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Utf8Path::from_path(dir.path()).expect("UTF-8");
        for wide in [home.as_str(), "/", "/tmp", "relative"] {
            assert_eq!(
                found(home, &[("RUSTUP_HOME", wide), ("JAVA_HOME", wide)]).0,
                Vec::<String>::new(),
                "{wide}"
            );
        }
    }
}
