//! Temporary repositories with a home of their own, and the programs run in them with a known environment.
//!
//! Does not know what a plan says.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Snapshot, fixture, loop_binary, loopc_binary};

/// No test of ours takes longer; a program that hangs is a failure, not a wait.
const LIMIT: Duration = Duration::from_secs(240);

/// A temporary directory with a repository, a home and a cache. Nothing of the machine's user is read or written.
pub struct Repo {
    top: tempfile::TempDir,
    env: Vec<(String, String)>,
    path: Vec<PathBuf>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The outcome itself, if the exit code is `code`.
    ///
    /// # Panics
    /// With everything that was printed, if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Outcome {
        assert!(
            self.code == code,
            "exit {} where {code} was expected\n--- stdout\n{}\n--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output and standard error, for a look at the words.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}):\n{}", self.stdout))
    }
}

/// A program that is still running.
pub struct Running {
    child: Child,
    stdout: Option<thread::JoinHandle<String>>,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `SIGKILL`, then what it left in the pipes.
    pub fn kill(mut self) -> Outcome {
        // It may have ended on its own.
        let _ = self.child.kill();
        self.wait()
    }

    /// Sends a signal by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name} {}", self.child.id());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// After four minutes, when the program is killed.
    pub fn wait(&mut self) -> Outcome {
        use std::os::unix::process::ExitStatusExt;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                break status;
            }
            if start.elapsed() > LIMIT {
                let _ = self.child.kill();
                panic!("still running after {LIMIT:?}");
            }
            thread::sleep(Duration::from_millis(5));
        };
        let text = |reader: &mut Option<thread::JoinHandle<String>>| {
            reader.take().map_or_else(String::new, |reader| {
                reader.join().expect("the reader of a pipe does not panic")
            })
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Outcome { code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Repo {
    /// An empty directory that is no repository.
    pub fn bare_directory() -> Repo {
        let top = tempfile::Builder::new().prefix("loop-tests-").tempdir().expect("a temporary directory");
        for name in ["repo", "home", "cache", "bin"] {
            fs::create_dir(top.path().join(name)).expect("a directory in the temporary directory");
        }
        Repo { top, env: Vec::new(), path: Vec::new() }
    }

    /// A repository on branch `main` without a commit.
    pub fn empty() -> Repo {
        let repo = Repo::bare_directory();
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo.git(&["config", "user.name", "Test"]);
        repo.git(&["config", "user.email", "test@example.org"]);
        repo
    }

    /// A repository with these files in one commit.
    pub fn new(files: &[(&str, &str)]) -> Repo {
        let repo = Repo::empty();
        for (path, text) in files {
            repo.write(path, text);
        }
        repo.commit("Start");
        repo
    }

    /// The repository's directory.
    pub fn root(&self) -> PathBuf {
        self.top.path().join("repo")
    }

    /// The temporary directory around repository, home and cache; what a test puts here is outside the repository.
    pub fn outside(&self) -> &Path {
        self.top.path()
    }

    /// Adds a variable to the environment of every program that is run.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) -> &mut Repo {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    /// Puts a directory first on `PATH`.
    pub fn add_path(&mut self, directory: impl Into<PathBuf>) -> &mut Repo {
        self.path.insert(0, directory.into());
        self
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("the directory is made");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn write_executable(&self, path: &str, text: impl AsRef<[u8]>) {
        self.write(path, text);
        fs::set_permissions(self.root().join(path), fs::Permissions::from_mode(0o755))
            .expect("the mode is set");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.root().join(path).symlink_metadata().is_ok()
    }

    /// Copies a script of `tests/fixtures/agents` to a place outside the repository and returns its path.
    pub fn agent(&self, name: &str) -> String {
        let to = self.top.path().join("bin").join(name);
        fs::copy(fixture("agents").join(name), &to).unwrap_or_else(|error| panic!("agent {name}: {error}"));
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("the mode is set");
        to.into_os_string().into_string().expect("temporary paths are UTF-8")
    }

    /// Commits everything there is.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the repository and returns its standard output, trimmed.
    ///
    /// # Panics
    /// When git fails.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        git_at(&self.root(), self.top.path(), arguments)
    }

    /// Subjects of the commits of `branch` that are not on `main`, oldest first.
    pub fn subjects(&self, branch: &str) -> Vec<String> {
        let range = format!("main..{branch}");
        self.git(&["log", "--reverse", "--first-parent", "--format=%s", &range])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Values of the trailer `Loop-Unit` on `branch` since `main`, oldest first.
    pub fn landed(&self, branch: &str) -> Vec<String> {
        let range = format!("main..{branch}");
        let format = "--format=%(trailers:key=Loop-Unit,valueonly,separator=%x2C)";
        self.git(&["log", "--reverse", "--first-parent", format, &range]).lines().map(str::to_owned).collect()
    }

    /// Everything of the user's that no run may change.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.root())
    }

    /// The records of the journal.
    pub fn journal(&self) -> Journal {
        Journal::read(&self.root().join(".git/loop/journal"))
    }

    /// The files of the journal, sorted.
    pub fn journal_files(&self) -> Vec<PathBuf> {
        journal_files(&self.root().join(".git/loop/journal"))
    }

    pub fn run_loop(&self, arguments: &[&str]) -> Outcome {
        self.spawn_loop(arguments).wait()
    }

    pub fn run_loopc(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command(loopc_binary());
        command.args(arguments);
        spawn(command).wait()
    }

    pub fn spawn_loop(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(loop_binary());
        command.args(arguments);
        spawn(command)
    }

    /// A command in the repository with the tests' environment and nothing else.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root()).env_clear().stdin(Stdio::null());
        isolate(&mut command, self.top.path());
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = self.path.iter().cloned().chain(std::env::split_paths(&inherited));
        command.env("PATH", std::env::join_paths(path).expect("no directory on PATH has a colon"));
        // The real-crate lane's verifier is cargo: it finds its toolchain and its registry by these.
        for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let user_home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        for (name, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let usual = user_home.join(directory);
            if std::env::var_os(name).is_none() && usual.is_dir() {
                command.env(name, usual);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Runs git in `directory` with the home below `top`.
#[track_caller]
pub fn git_at(directory: &Path, top: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(directory).env_clear().stdin(Stdio::null());
    isolate(&mut command, top);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.args(arguments).output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Homes and configuration inside the temporary directory, fixed dates and language.
fn isolate(command: &mut Command, top: &Path) {
    command
        .env("HOME", top.join("home"))
        .env("XDG_CACHE_HOME", top.join("cache"))
        .env("XDG_CONFIG_HOME", top.join("home/.config"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
        .env("LANG", "C.UTF-8")
        .env("NO_COLOR", "1");
}

/// Starts a program and reads its output as it comes, so that a full pipe never stops it.
fn spawn(mut command: Command) -> Running {
    let name = format!("{command:?}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    Running { child, stdout, stderr }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is what there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The records of a repository's journal, in order.
#[derive(Debug, Clone)]
pub struct Journal {
    pub records: Vec<Value>,
}

impl Journal {
    /// All files below `directory`: each feature has a chain of its own.
    fn read(directory: &Path) -> Journal {
        let mut records = Vec::new();
        for file in journal_files(directory) {
            let text = fs::read_to_string(file).unwrap_or_default();
            // A run may be writing: what has no newline yet is no record.
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let value: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                records.push(value["rec"].clone());
            }
        }
        records.sort_by_key(|record| record["seq"].as_u64());
        Journal { records }
    }

    /// The data of the records of one kind.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.records.iter().filter(|record| record["kind"] == kind).map(|record| &record["data"]).collect()
    }

    /// Units of the attempts that were started, in order: one entry for each call of an agent.
    pub fn dispatched(&self) -> Vec<String> {
        self.units_of("attempt.started")
    }

    /// Units of the records of one kind, in order.
    pub fn units_of(&self, kind: &str) -> Vec<String> {
        self.of(kind).iter().filter_map(|data| data["unit"].as_str()).map(str::to_owned).collect()
    }

    /// The classes of a unit's failures, in order.
    pub fn failures(&self, unit: &str) -> Vec<String> {
        let failed = self.of("attempt.failed");
        let of_unit = failed.iter().filter(|data| data["unit"] == unit);
        of_unit.filter_map(|data| data["class"].as_str()).map(str::to_owned).collect()
    }
}

/// The journal's files below `directory`, sorted; none when there is no journal.
fn journal_files(directory: &Path) -> Vec<PathBuf> {
    let (mut todo, mut files) = (vec![directory.to_owned()], Vec::new());
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension() == Some(OsStr::new("jsonl")) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
