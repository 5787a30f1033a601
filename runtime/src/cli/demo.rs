//! `loop demo`: makes a scratch repository and shows a whole run in it, with what a person would type.
//!
//! Does not know how a run works: it starts this same program as a person would, and checks what that left behind.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::compile::compile;
use loop_compiler::diagnostic::render::{Style, human};
use loopc::disk;
use loopc::terminal::{Stream, terminal};

use super::load::current_directory;
use super::output::{Failure, print};
use crate::fault::ExitCode;
use crate::journal::{self, Line};
use crate::process::resolve_program;
use crate::record::{Event, FailureClass};
use crate::workspace::Repository;

/// What the scratch repository begins with.
const FILES: &[(&str, &str)] = &[
    ("notes", include_str!("demo/notes")),
    ("lib/add.sh", include_str!("demo/lib/add.sh")),
    ("lib/list.sh", include_str!("demo/lib/list.sh")),
    ("tests/run.sh", include_str!("demo/tests/run.sh")),
    ("tests/add.test.sh", include_str!("demo/tests/add.test.sh")),
    ("tests/list.test.sh", include_str!("demo/tests/list.test.sh")),
    ("tests/count.test.sh", include_str!("demo/tests/count.test.sh")),
    ("tests/search.test.sh", include_str!("demo/tests/search.test.sh")),
    ("tests/remove.test.sh", include_str!("demo/tests/remove.test.sh")),
    ("tests/export.test.sh", include_str!("demo/tests/export.test.sh")),
    ("tests/help.test.sh", include_str!("demo/tests/help.test.sh")),
    ("agent.sh", include_str!("demo/agent.sh")),
    ("loop.kdl", include_str!("demo/loop.kdl")),
    (PLAN, include_str!("demo/notes.loop.kdl")),
];

const PLAN: &str = "notes.loop.kdl";
const FEATURE: &str = "notes";
const BRANCH: &str = "loop/notes";

/// The change of a prompt: what stands in the plan, and what replaces it.
const PROMPT: (&str, &str) = ("as in `2 notes`.", "as in `2 notes`; with exactly one, `1 note`.");
/// The reason that the approval is given with, and what somebody makes of it in a copy of the journal.
const REASON: (&str, &str) = ("I tried it", "I cried it");

pub(super) fn run(dir: Option<&Utf8Path>) -> Result<ExitCode, Failure> {
    let demo = Demo::new(dir)?;
    match demo.show() {
        Err(Failure::Said(exit, message)) => {
            Err(Failure::new(exit, format!("{message}\n      What the demo made is still in {}", demo.dir)))
        }
        other => other.map(|()| ExitCode::Complete),
    }
}

/// The directory of one demo. Everything that it writes lies below it.
struct Demo {
    dir: Utf8PathBuf,
    repository: Utf8PathBuf,
    /// Attempts and verifications take place here instead of in the user's cache directory.
    cache: Utf8PathBuf,
    /// This program.
    program: PathBuf,
    style: Style,
}

/// How a command that was shown ended.
struct Ran {
    /// `None` if a signal ended it.
    code: Option<i32>,
    /// Standard output and standard error.
    text: String,
    took: Duration,
}

/// What a part of the journal says, by the names of units.
#[derive(Debug, Default, PartialEq, Eq)]
struct Happened {
    dispatched: Vec<String>,
    failed: Vec<String>,
    landed: Vec<String>,
    /// Runs of verifiers; verdicts that were found again do not count.
    verified: usize,
}

impl Demo {
    fn new(dir: Option<&Utf8Path>) -> Result<Demo, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(ExitCode::Environment, format!("cannot tell where this program is: {error}"))
        })?;
        let path = std::env::var("PATH").unwrap_or_default();
        if resolve_program("git", &path).is_none() {
            let message = "the demo makes its scratch repository with the program `git`, which is not on the PATH; \
                           install it from your system's packages";
            return Err(Failure::new(ExitCode::Environment, message));
        }
        let dir = scratch(dir)?;
        let terminal = terminal(Stream::Out);
        let style = Style { color: terminal.color, width: terminal.width };
        Ok(Demo { repository: dir.join("notes"), cache: dir.join("cache"), dir, program, style })
    }

    fn show(&self) -> Result<(), Failure> {
        self.make()?;
        self.check()?;
        self.first_gate()?;
        self.wrong_first()?;
        self.landed()?;
        self.approve("A person has looked at the branch and approves. The decision is bound to this commit and to what was asked.")?;
        self.to_the_end()?;
        self.again()?;
        self.one_prompt()?;
        self.tamper()?;
        self.next()
    }

    fn make(&self) -> Result<(), Failure> {
        print(&format!(
            "A run of `loop`, from the plan to the audit. Everything is made in {}\n\
             and nothing outside it is touched; delete it when you are done.\n",
            self.dir
        ))?;
        self.say(
            "A scratch repository: `notes`, a small shell program with its tests, and a plan of six units in two gates. \
             The agent is a script that needs no network.",
        )?;
        for (path, text) in FILES {
            write(&self.repository.join(path), text)?;
        }
        make_directory(&self.cache)?;
        for arguments in [
            // The name of the first branch is set apart: old versions of git do not take it here.
            &["init", "--quiet", "--template="][..],
            &["symbolic-ref", "HEAD", "refs/heads/main"],
            &["config", "user.name", "Loop Demo"],
            &["config", "user.email", "demo@localhost"],
            // Whatever the user ignores everywhere.
            &["add", "--all", "--force"],
            &["commit", "--quiet", "--message", "A program that keeps notes"],
        ] {
            let output = self.git(arguments).output().map_err(cannot_start("git"))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
                return Err(Failure::new(
                    ExitCode::Environment,
                    format!("git {} did not succeed: {said}", arguments[0]),
                ));
            }
        }
        self.command_git(&["ls-files"])?.ended(0, "git lists the files")
    }

    /// `loopc` is a program of its own and may not be installed; the library says the same.
    fn check(&self) -> Result<(), Failure> {
        self.say("The plan is checked before anything runs.")?;
        self.prompt(&format!("loopc check {PLAN}"))?;
        let files =
            disk::Repository::find(&self.repository).map_err(|error| Failure::usage(error.to_string()))?;
        let compilation = compile(files.project.as_deref(), &[PLAN.into()], &files.sources());
        if compilation.diagnostics.is_empty() {
            return self.indented("1 plan checked: nothing to report");
        }
        for line in human(&compilation.diagnostics, &compilation.map, self.style).lines() {
            self.indented(line)?;
        }
        Err(broken("the demo's own plan does not check clean"))
    }

    fn first_gate(&self) -> Result<(), Failure> {
        self.say(
            "The first gate: `count` and `search` do not depend on each other, so two may run at once. \
             The gate `find` waits for a person, so the run ends with exit code 3.",
        )?;
        self.command_loop(&["exec", PLAN, "--jobs", "2"])?.ended(3, "the run waits at the gate")?;
        let happened = self.since(0)?;
        let mut dispatched = happened.dispatched.clone();
        dispatched.sort();
        holds(
            dispatched == ["count", "remove", "search", "search"],
            "four attempts for the three units of the first gate",
        )?;
        holds(happened.landed.len() == 3, "three units landed")
    }

    fn wrong_first(&self) -> Result<(), Failure> {
        self.say(
            "The first attempt at `search` said that all is done, and was wrong: the test, which `loop` runs itself, failed. \
             The second attempt found that evidence in its prompt.",
        )?;
        let log = self.command_loop(&["log", "search"])?;
        log.ended(0, "the log is shown")?;
        let happened = self.since(0)?;
        holds(happened.failed == ["search"], "one attempt failed, at `search`")?;
        holds(log.text.contains("All done. search is complete"), "the agent's word is in the log")?;
        holds(log.text.contains("FAIL search ignores case"), "the failed test is in the log")?;
        // The script adds `-i` only if the failed test stands in its prompt.
        let output =
            self.git(&["show", &format!("{BRANCH}:lib/search.sh")]).output().map_err(cannot_start("git"))?;
        holds(
            String::from_utf8_lossy(&output.stdout).contains("grep -i"),
            "the second attempt reacted to the evidence",
        )
    }

    fn landed(&self) -> Result<(), Failure> {
        self.say("What passed landed on a branch of its own, one commit for each unit. The branch `main`, your files and the index are as they were.")?;
        let log = self.command_git(&["log", "--oneline", &format!("main..{BRANCH}")])?;
        log.ended(0, "git shows the branch")?;
        holds(log.text.lines().count() == 3, "three commits on the branch")?;
        let status = self.command_git(&["status", "--short", "--branch"])?;
        status.ended(0, "git shows the checkout")?;
        holds(status.text.trim_end() == "## main", "the checkout is untouched")
    }

    fn approve(&self, sentence: &str) -> Result<(), Failure> {
        self.say(sentence)?;
        self.command_loop(&["approve", "find", PLAN, "--reason", REASON.0])?
            .ended(0, "the approval is recorded")
    }

    fn to_the_end(&self) -> Result<(), Failure> {
        let before = self.lines()?.len();
        self.say("The same command goes on where it stopped. The second gate opens by itself when its checks pass.")?;
        self.command_loop(&["exec", PLAN, "--jobs", "2"])?.ended(0, "the run is complete")?;
        let happened = self.since(before)?;
        holds(happened.dispatched == ["export", "help", "guide"], "three units ran, each once")?;
        holds(happened.landed == ["export", "help", "guide"], "three units landed")?;
        self.say("The result is an ordinary branch. A clone of it passes the program's own tests.")?;
        self.command_git(&["clone", "--quiet", "--branch", BRANCH, ".", "../result"])?
            .ended(0, "git clones the branch")?;
        let tested =
            self.command("sh ../result/tests/run.sh", self.program("sh", &["../result/tests/run.sh"]))?;
        tested.ended(0, "the tests pass on the result")?;
        holds(tested.text.contains("7 tested, 0 failed"), "all seven commands are tested")
    }

    fn again(&self) -> Result<(), Failure> {
        let before = self.lines()?.len();
        self.say("The same command once more: every unit's result is found again.")?;
        let ran = self.command_loop(&["exec", PLAN, "--jobs", "2"])?;
        ran.ended(0, "the second run is complete")?;
        holds(self.since(before)? == Happened::default(), "the second run starts no agent and no verifier")?;
        self.note(&format!("no agent and no verifier was started; it took {} ms", ran.took.as_millis()))
    }

    fn one_prompt(&self) -> Result<(), Failure> {
        let plan = self.repository.join(PLAN);
        let text = std::fs::read_to_string(&plan).map_err(cannot(format!("read {plan}")))?;
        holds(text.matches(PROMPT.0).count() == 1, "the prompt stands in the plan once")?;
        self.say("Now one prompt of the plan changes.")?;
        write(&plan, &text.replace(PROMPT.0, PROMPT.1))?;
        self.command_git(&["diff", "--unified=0", PLAN])?.ended(0, "git shows the change")?;

        self.say(
            "`loop why` names what makes a unit run again. Only what is asked of it counts, not who does it.",
        )?;
        let why = self.command_loop(&["why", "count", PLAN])?;
        why.ended(0, "the reason is shown")?;
        holds(why.text.starts_with("count: run (prompt changed)"), "the changed prompt is the reason")?;

        let before = self.lines()?.len();
        self.say("So exactly one unit runs. The gate waits again, because what was approved is no longer what is asked.")?;
        self.command_loop(&["exec", PLAN, "--jobs", "2"])?.ended(3, "the gate waits again")?;
        let happened = self.since(before)?;
        holds(happened.dispatched == ["count"], "only `count` ran")?;
        holds(happened.landed == ["count"], "only `count` landed")?;

        self.approve("A person has looked again.")?;
        let before = self.lines()?.len();
        self.say("Nothing needs what `count` made, so the units behind the gate are still good.")?;
        self.command_loop(&["exec", PLAN, "--jobs", "2"])?.ended(0, "the run is complete again")?;
        holds(self.since(before)?.dispatched.is_empty(), "no other unit runs")
    }

    fn tamper(&self) -> Result<(), Failure> {
        self.say("The journal is the record of all this. Somebody changes one letter in a copy of it: the reason of the approval.")?;
        self.command("cp -R .git/loop ../copy", self.program("cp", &["-R", ".git/loop", "../copy"]))?
            .ended(0, "the journal is copied")?;
        let record = self.change_copy()?;
        self.indented(&format!("record {record}: \"{}\" becomes \"{}\"", REASON.0, REASON.1))?;
        let verified = self.command_loop(&["audit", "verify", "../copy"])?;
        verified.ended(1, "the change is noticed")?;
        holds(verified.text.contains(&format!("record {record}:")), "the changed record is named")?;
        self.say("The journal itself is sound.")?;
        self.command_loop(&["audit", "verify"])?.ended(0, "the journal verifies")
    }

    /// Changes the first approval in the copy, by one byte. Returns the record's number.
    fn change_copy(&self) -> Result<u64, Failure> {
        let lines = self.lines()?;
        let line = lines
            .iter()
            .find(|line| matches!(line.record.event, Event::GateDecided { .. }))
            .ok_or_else(|| broken("an approval is in the journal"))?;
        let original = String::from_utf8_lossy(&line.bytes).into_owned();
        let directory = self.dir.join("copy/journal").join(FEATURE);
        let entries = directory.read_dir_utf8().map_err(cannot(format!("list {directory}")))?;
        for entry in entries {
            let path = entry.map_err(cannot(format!("list {directory}")))?.into_path();
            let text = std::fs::read_to_string(&path).map_err(cannot(format!("read {path}")))?;
            if text.contains(&original) {
                write(&path, &text.replacen(&original, &original.replacen(REASON.0, REASON.1, 1), 1))?;
                return Ok(line.record.seq);
            }
        }
        Err(broken("the approval is in the copy of the journal"))
    }

    fn next(&self) -> Result<(), Failure> {
        let title = self.paint("1", "Look at what there is now:");
        let mut text = format!(
            "\n{title}\n\n    cd {}\n    alias loop={}\n",
            shell_word(self.repository.as_str()),
            shell_word(&self.program.display().to_string())
        );
        for (command, what) in [
            ("cat notes.loop.kdl loop.kdl", "what was asked, and how it is checked"),
            ("git log loop/notes", "a commit for each unit, with its trailers"),
            ("loop status", "where each unit and gate stands"),
            ("loop log search", "what happened to a unit, with the evidence"),
            ("loop exec notes.loop.kdl --dry-run", "what a run would do"),
        ] {
            let _ = writeln!(text, "    {command:<36}{what}");
        }
        let _ = writeln!(
            text,
            "\nIn a repository of yours, `loop init` writes a `loop.kdl` and an example plan.\n\
             To remove everything that the demo made: rm -r {}",
            shell_word(self.dir.as_str())
        );
        print(&text)
    }

    // What is printed.

    /// A sentence before something happens.
    fn say(&self, sentence: &str) -> Result<(), Failure> {
        let mut lines = vec![String::new()];
        for word in sentence.split_whitespace() {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) if line.chars().count() + 1 + word.chars().count() <= self.style.width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        let painted: Vec<String> = lines.iter().map(|line| self.paint("1", line)).collect();
        print(&format!("\n{}\n", painted.join("\n")))
    }

    /// The command that a person would type.
    fn prompt(&self, command: &str) -> Result<(), Failure> {
        print(&format!("  {}\n", self.paint("36", &format!("$ {command}"))))
    }

    /// What the demo found out.
    fn note(&self, text: &str) -> Result<(), Failure> {
        print(&format!("  {}\n", self.paint("32", text)))
    }

    fn indented(&self, line: &str) -> Result<(), Failure> {
        print(&if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    // What is run.

    fn command_loop(&self, arguments: &[&str]) -> Result<Ran, Failure> {
        let mut command = self.program(&self.program, arguments);
        // Its standard output is a pipe; whether there are colours is decided by ours.
        command.env(if self.style.color { "CLICOLOR_FORCE" } else { "NO_COLOR" }, "1");
        self.command(&typed("loop", arguments), command)
    }

    fn command_git(&self, arguments: &[&str]) -> Result<Ran, Failure> {
        self.command(&typed("git", arguments), self.git(arguments))
    }

    /// git without the user's configuration, which may sign commits or run hooks.
    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("git", arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_PAGER", "cat");
        command
    }

    /// A program in the scratch repository.
    fn program(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.repository).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", &self.cache).env("TMPDIR", &self.cache);
        // Within a hook of git's, these name another repository.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_"))
        {
            command.env_remove(name);
        }
        command
    }

    /// Shows a command, runs it, and shows its output line by line as it comes.
    fn command(&self, shown: &str, mut command: Command) -> Result<Ran, Failure> {
        self.prompt(shown)?;
        let name = shown.split(' ').next().unwrap_or(shown).to_owned();
        let start = Instant::now();
        let (reader, writer) = std::io::pipe().map_err(cannot("make a pipe"))?;
        command.stdout(writer.try_clone().map_err(cannot("make a pipe"))?).stderr(writer);
        let mut child = command.spawn().map_err(cannot_start(&name))?;
        // It holds our ends of the pipe, which would never be at its end.
        drop(command);
        let mut text = String::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(cannot("read a pipe"))?).into_owned();
            self.indented(&line)?;
            text.push_str(&line);
            text.push('\n');
        }
        let status = child.wait().map_err(cannot_start(&name))?;
        Ok(Ran { code: status.code(), text, took: start.elapsed() })
    }

    // What is looked at.

    fn lines(&self) -> Result<Vec<Line>, Failure> {
        let repository = Repository::discover(&self.repository)?;
        Ok(journal::read(&repository.state_dir(), FEATURE)?.lines)
    }

    /// What the journal says after its first `from` records.
    fn since(&self, from: usize) -> Result<Happened, Failure> {
        let mut happened = Happened::default();
        for line in self.lines()?.into_iter().skip(from) {
            match line.record.event {
                Event::AttemptStarted(data) => happened.dispatched.push(data.unit),
                Event::AttemptFailed(data) if data.class == FailureClass::VerifyFailed => {
                    happened.failed.push(data.unit)
                }
                Event::Landed { unit, .. } => happened.landed.push(unit),
                Event::VerifyDone(data) if data.cached_from.is_none() => happened.verified += 1,
                _ => {}
            }
        }
        Ok(happened)
    }
}

impl Ran {
    fn ended(&self, expected: i32, claim: &str) -> Result<(), Failure> {
        if self.code == Some(expected) {
            return Ok(());
        }
        let got = self.code.map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
        Err(broken(&format!("{claim} (exit code {expected}); the command ended {got}")))
    }
}

/// An empty directory: the one that was named, or a fresh one.
fn scratch(dir: Option<&Utf8Path>) -> Result<Utf8PathBuf, Failure> {
    let dir = match dir {
        Some(dir) => {
            let dir = current_directory()?.join(dir);
            make_directory(&dir)?;
            let mut entries = dir.read_dir_utf8().map_err(cannot(format!("list {dir}")))?;
            if entries.next().is_some() {
                return Err(Failure::usage(format!(
                    "{dir} is not empty; name a directory that is, or one that does not exist"
                )));
            }
            dir
        }
        None => {
            let fresh = tempfile::Builder::new()
                .prefix("loop-demo-")
                .tempdir()
                .map_err(cannot("make a temporary directory"))?;
            Utf8PathBuf::from_path_buf(fresh.keep()).map_err(|path| {
                Failure::usage(format!("the path {} is not UTF-8; name another directory", path.display()))
            })?
        }
    };
    // Links in it would make its name differ from what git and the sandbox call it.
    dir.canonicalize_utf8().map_err(cannot(format!("find {dir}")))
}

fn make_directory(dir: &Utf8Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(cannot(format!("make the directory {dir}")))
}

fn write(path: &Utf8Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    std::fs::write(path, text).map_err(cannot(format!("write {path}")))
}

fn cannot(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Failure {
    let what = what.into();
    move |error| Failure::new(ExitCode::Environment, format!("cannot {what}: {error}"))
}

fn cannot_start(program: &str) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    cannot(format!("run `{program}`"))
}

/// Something that the demo says is not so.
fn broken(claim: &str) -> Failure {
    Failure::new(ExitCode::WorkFailed, format!("the demo did not go as it should. Expected: {claim}"))
}

fn holds(so: bool, claim: &str) -> Result<(), Failure> {
    if so { Ok(()) } else { Err(broken(claim)) }
}

fn typed(program: &str, arguments: &[&str]) -> String {
    let words: Vec<String> =
        std::iter::once(program).chain(arguments.iter().copied()).map(shell_word).collect();
    words.join(" ")
}

/// A word as a person would type it in a shell.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_is_in_the_list() {
        let directory = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/demo");
        let mut found = Vec::new();
        let mut open = vec![directory.clone()];
        while let Some(next) = open.pop() {
            for entry in next.read_dir_utf8().unwrap() {
                let path = entry.unwrap().into_path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(&directory).unwrap().to_string());
                }
            }
        }
        found.sort();
        let mut listed: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn the_changes_are_what_they_are_called() {
        let plan = FILES.iter().find(|(path, _)| *path == PLAN).unwrap().1;
        assert_eq!(plan.matches(PROMPT.0).count(), 1);
        let differing = REASON.0.bytes().zip(REASON.1.bytes()).filter(|(a, b)| a != b).count();
        assert_eq!((REASON.0.len(), differing), (REASON.1.len(), 1));
    }

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let keep = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(keep.path()).unwrap();
        assert!(scratch(Some(&dir.join("new"))).is_ok_and(|made| made.is_dir()));
        assert!(matches!(scratch(Some(dir)), Err(Failure::Said(ExitCode::Usage, _))));
    }
}
