//! Finds out what keeps commands in on this machine, by trying to break out.
//!
//! Does not know the plan's or the user's wishes beyond the one preference it is given.
//!
//! A sandbox is only believed after a program inside it has tried to write outside, to reach the network, to
//! remount and to change a kernel setting, and has failed at each.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::{Access, Containment, Level, Profile, Role};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    pub containment: Containment,
    pub bwrap: Option<Utf8PathBuf>,
    pub bwrap_version: Option<String>,
    /// Why it is no better: one sentence each, for people. Empty under bubblewrap.
    pub reasons: Vec<String>,
}

impl Detected {
    /// No sandbox, for the reason given.
    pub fn unconfined(reason: impl Into<String>) -> Detected {
        Detected {
            containment: Containment::Shim,
            bwrap: None,
            bwrap_version: None,
            reasons: vec![reason.into()],
        }
    }

    pub(super) fn level(&self) -> Level {
        match (&self.bwrap, self.containment) {
            (Some(program), Containment::Bwrap) => Level::Bwrap(program.clone()),
            _ => Level::None,
        }
    }
}

/// The best containment that works, or `prefer` if that is given and works. `program` is a program whose `main`
/// calls `shim_entry` first: it is run inside the sandbox as the one who tries to break out.
/// The self-test runs once in a process.
pub fn detect(prefer: Option<Containment>, program: &Utf8Path) -> Detected {
    static TESTED: OnceLock<Detected> = OnceLock::new();
    if prefer == Some(Containment::Shim) {
        return Detected::unconfined("the sandbox was switched off");
    }
    TESTED.get_or_init(|| try_bwrap(program)).clone()
}

fn try_bwrap(program: &Utf8Path) -> Detected {
    let path = std::env::var("PATH").unwrap_or_default();
    let Some(bwrap) = find(&path) else {
        return Detected::unconfined(
            "bubblewrap is not installed (Debian, Ubuntu: `apt install bubblewrap`)",
        );
    };
    let version = version_of(&bwrap);
    let mut reasons = Vec::new();
    if version.as_deref().and_then(minor).is_none_or(|minor| minor < (0, 8)) {
        let found = version.as_deref().unwrap_or("an unknown version");
        reasons.push(format!("bubblewrap 0.8 or newer is needed, and {bwrap} is {found}"));
    } else {
        reasons.extend(self_test(&bwrap, program));
        if !reasons.is_empty() && is_one("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") {
            reasons.push(
                "this system lets only programs with an AppArmor profile make user namespaces, and bubblewrap \
                 needs one"
                    .to_owned(),
            );
        }
    }
    let containment = if reasons.is_empty() { Containment::Bwrap } else { Containment::Shim };
    Detected { containment, bwrap: Some(bwrap), bwrap_version: version, reasons }
}

fn is_one(setting: &str) -> bool {
    std::fs::read_to_string(setting).is_ok_and(|text| text.trim() == "1")
}

fn find(path: &str) -> Option<Utf8PathBuf> {
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .chain(["/usr/bin", "/bin", "/usr/local/bin"])
        .map(|dir| Utf8Path::new(dir).join("bwrap"))
        .find(|candidate| candidate.is_file())
}

fn version_of(bwrap: &Utf8Path) -> Option<String> {
    let output = Command::new(bwrap).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("bubblewrap ").map(str::to_owned)
}

fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// How long the program inside may take before the sandbox counts as not working.
const SELF_TEST: Duration = Duration::from_secs(10);

/// The word that the program inside prints after its last attempt.
const COMPLETE: &str = "complete";

/// Why the sandbox is not to be believed; empty: it held.
fn self_test(bwrap: &Utf8Path, program: &Utf8Path) -> Vec<String> {
    let failed = |what: &str| vec![format!("the sandbox's self-test could not run: {what}")];
    let Ok(outside) = tempfile::tempdir() else { return failed("no temporary directory") };
    let Some(outside_path) = Utf8Path::from_path(outside.path()) else {
        return failed("the temporary directory's name is not UTF-8");
    };
    let (worktree, secret) = (outside_path.join("worktree"), outside_path.join("secret"));
    if std::fs::create_dir(&worktree).is_err() || std::fs::write(&secret, "secret").is_err() {
        return failed("the temporary directory cannot be written");
    }
    let Ok(listener) = TcpListener::bind("127.0.0.1:0") else { return failed("no loopback") };
    let port = listener.local_addr().map(|address| address.port()).unwrap_or(0);
    let profile =
        Profile { level: Level::Bwrap(bwrap.to_owned()), network: false, nested: false, ..Profile::none() }
            .with(&worktree, Access::Write, Role::Worktree)
            .with(program, Access::Read, Role::Toolchain);
    let argv = [program.as_str(), PROBE, worktree.as_str(), secret.as_str(), &port.to_string()];
    let line = profile.wrap(&argv.map(Into::into), &worktree, None);
    let output = match run(&line) {
        Ok(output) => output,
        Err(what) => return failed(&what),
    };
    drop(listener);
    if std::fs::read(&secret).ok().as_deref() != Some(b"secret") {
        return vec!["a program inside the sandbox changed a file outside".to_owned()];
    }
    let mut lines: Vec<&str> = output.lines().collect();
    if lines.pop() != Some(COMPLETE) {
        let what = output.lines().last().unwrap_or("bubblewrap said nothing").to_owned();
        return failed(&what);
    }
    lines.into_iter().map(|what| format!("a program inside the sandbox could {what}")).collect()
}

/// Runs a short command with an empty environment and gives its output, both streams in one.
fn run(line: &[std::ffi::OsString]) -> Result<String, String> {
    let words = |error: std::io::Error| error.to_string();
    let (mut reader, writer) = std::io::pipe().map_err(words)?;
    let (program, arguments) = line.split_first().ok_or("nothing to run")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(words)?).stderr(writer);
    let mut child = command.spawn().map_err(words)?;
    // The command holds the write ends until it is dropped.
    drop(command);
    let deadline = Instant::now() + SELF_TEST;
    while child.try_wait().map_err(words)?.is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it took longer than {} s", SELF_TEST.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut output = Vec::new();
    reader.read_to_end(&mut output).map_err(words)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// The hidden subcommand of the program that tries to break out.
const PROBE: &str = "__probe";

/// The program inside: tries each forbidden thing and prints those it could do. `None`: the arguments ask for
/// something else. `shim_entry` calls it.
pub fn probe_entry(arguments: &[String]) -> Option<ExitCode> {
    let [command, worktree, secret, port] = arguments else { return None };
    if command != PROBE {
        return None;
    }
    let mut could: Vec<&str> = Vec::new();
    if std::fs::write(Utf8Path::new(worktree).join("probe"), "x").is_err() {
        could.push("not write its own directory");
    }
    if std::fs::read(secret).is_ok() {
        could.push("read a file outside");
    }
    // Leaves nothing where the file system of the sandbox is what it should be.
    let _ = std::fs::write(secret, "changed");
    if std::fs::write("/usr/.loop-probe", "x").is_ok() {
        let _ = std::fs::remove_file("/usr/.loop-probe");
        could.push("write to /usr");
    }
    if std::fs::read("/etc/shadow").is_ok() {
        could.push("read /etc/shadow");
    }
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap_or(0)));
    if std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
        could.push("reach the network");
    }
    if rustix::mount::mount_remount("/usr", rustix::mount::MountFlags::BIND, "").is_ok() {
        could.push("remount a file system");
    }
    // Opened without writing: the attempt must not change anything where it succeeds.
    if std::fs::OpenOptions::new().write(true).open("/proc/sys/vm/drop_caches").is_ok() {
        could.push("change kernel settings");
    }
    could.push(COMPLETE);
    let text = could.join("\n") + "\n";
    Some(match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(minor("0.8.0"), Some((0, 8)));
        assert_eq!(minor("0.11.0"), Some((0, 11)));
        assert!(minor("0.11") > minor("0.8"));
        assert_eq!(minor("unknown"), None);
        assert_eq!(minor("1"), None);
    }

    #[test]
    fn a_program_that_cannot_probe_is_no_proof() {
        let Some(bwrap) = find("/usr/bin") else { return };
        let reasons = self_test(&bwrap, Utf8Path::new("/bin/true"));
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].starts_with("the sandbox's self-test could not run"), "{reasons:?}");
    }

    #[test]
    fn other_arguments_are_not_taken_for_the_probes() {
        assert!(probe_entry(&[]).is_none());
        assert!(probe_entry(&["exec".into(), "a".into(), "b".into(), "1".into()]).is_none());
    }
}
