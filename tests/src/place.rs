//! A small repository for `loopc`, and what it answers.
//!
//! Does not know git: an empty `.git` is enough for a program that never asks it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::loopc_binary;

/// A temporary repository, removed in the end.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// A repository with these files.
    pub fn new(files: &[(&str, &str)]) -> Place {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = Place { directory };
        std::fs::create_dir_all(place.root().join(".git")).expect("it can be made");
        for (path, text) in files {
            place.write(path, text);
        }
        place
    }

    pub fn root(&self) -> PathBuf {
        // macOS and some CI machines reach their temporary directory through a symbolic link.
        self.directory.path().canonicalize().expect("it exists").join("repo")
    }

    /// Writes a file, its directories too.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("files have a directory")).expect("it can be made");
        std::fs::write(path, bytes).expect("it can be written");
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).expect("it can be read")
    }

    /// Copies a directory's content into the repository, symbolic links as such.
    pub fn copy(&self, from: &Path) {
        copy(from, &self.root());
    }

    /// Runs `loopc` at the root.
    pub fn loopc(&self, arguments: &[&str]) -> Output {
        output_of(&self.root(), arguments, b"")
    }
}

/// A `loopc` that is yet to be started: all streams piped, colours undecided.
pub fn loopc_command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(loopc_binary());
    command.current_dir(directory).args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `loopc` in a directory with this on standard input.
pub fn output_of(directory: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = loopc_command(directory, arguments).spawn().expect("loopc starts");
    // A program that ends without reading its input is no failure of the test.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("loopc ends")
}

/// What a program printed, which must be UTF-8.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints UTF-8")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for entry in std::fs::read_dir(from).expect("fixtures are readable") {
        let path = entry.expect("entries are readable").path();
        let target = to.join(path.file_name().expect("entries have names"));
        let kind = path.symlink_metadata().expect("it exists").file_type();
        if kind.is_symlink() {
            let link = std::fs::read_link(&path).expect("it is a link");
            std::os::unix::fs::symlink(link, target).expect("it can be made");
        } else if kind.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).expect("it can be copied");
        }
    }
}
