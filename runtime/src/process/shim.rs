//! The shim: one process between the executor and a command, which sees to it that nothing of the command stays.
//!
//! Does not know what the command is for; it is told everything over its socket (`wire`).
//!
//! Single-threaded, so that "kill me when my parent dies" means the process and not one of its threads.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FlockOperation, MemfdFlags, SealFlags};
use rustix::io::FdFlags;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};

use super::tree;
use super::wire::{self, Report, Task};
use crate::sandbox::{DESCRIPTORS, probe_entry};

/// The hidden subcommand.
pub(super) const SHIM: &str = "__shim";

/// Exit code of a shim that did not get its lock.
const LOCKED: u8 = 75;

/// From the end of the command until its remaining processes are ended: time for their last output.
const AFTER_EXIT: Duration = Duration::from_millis(200);

/// How long the end of the tree may take (processes in uninterruptible sleep do not end when they are told to).
const END_TREE: Duration = Duration::from_secs(4);

/// Between two tries to end processes that do not end.
const UNENDING: Duration = Duration::from_secs(1);

/// Runs the hidden subcommands of this program: `None` if the arguments name none of them. A binary's `main` calls
/// it before anything else, as long as there is one thread and no open file.
pub fn shim_entry() -> Option<ExitCode> {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).take(8).map(|text| text.to_string_lossy().into_owned()).collect();
    if arguments.first().is_some_and(|first| first == SHIM) {
        return Some(run());
    }
    probe_entry(&arguments)
}

fn run() -> ExitCode {
    let Ok(mut shim) = Place::take() else { return ExitCode::FAILURE };
    let Ok(task) = Task::read(&mut shim.socket) else { return ExitCode::FAILURE };
    let lock = match take_lock(&task.lock) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            shim.report(&Report::Locked);
            return ExitCode::from(LOCKED);
        }
        Err(error) => {
            return shim.refuse(&format!("cannot take the lock {}: {error}", task.lock.to_string_lossy()));
        }
    };
    // Whoever reads a last report may take the lock at once: it is given back before.
    let stdin = match prepare(&task) {
        Ok(file) => file,
        Err(why) => {
            drop(lock);
            return shim.refuse(&why);
        }
    };
    shim.report(&Report::Ready);
    if shim.wait_for_go() {
        shim.go(&task, stdin, lock);
    }
    ExitCode::SUCCESS
}

/// What can be found wrong before GO.
fn prepare(task: &Task) -> Result<File, String> {
    if !std::path::Path::new(&task.cwd).is_dir() {
        return Err(format!("the working directory {} does not exist", task.cwd.to_string_lossy()));
    }
    open_stdin(&task.stdin).map_err(|why| format!("standard input {}: {why}", task.stdin.to_string_lossy()))
}

/// The file must exist. `None`: somebody else has it.
fn take_lock(path: &OsStr) -> std::io::Result<Option<File>> {
    let file = File::options().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opened without blocking, so that a FIFO is refused and not waited for.
fn open_stdin(path: &OsStr) -> Result<File, String> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| error.to_string())?;
    let meta = file.metadata().map_err(|error| error.to_string())?;
    let is_null = meta.file_type().is_char_device() && path == "/dev/null";
    if !meta.is_file() && !is_null {
        return Err("not a regular file".to_owned());
    }
    Ok(file)
}

/// The shim's surroundings: what it talks to, and the streams that the command will get.
struct Place {
    socket: UnixStream,
    /// Becomes readable when a child ended or somebody asks the shim to end.
    signals: File,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// What wakes the shim.
struct Woken {
    /// Orders of the executor; empty and `gone` at the end of the socket.
    orders: Vec<u8>,
    gone: bool,
    /// TERM, INT, HUP or QUIT was sent to the shim itself.
    asked_to_end: bool,
}

impl Place {
    /// Leaves the executor's session and takes the three standard descriptors for its own use.
    fn take() -> std::io::Result<Place> {
        // Whoever started `loop` may have left descriptors open: the command gets none of them.
        close_from(3);
        let _ = rustix::process::setsid();
        // Executed through a descriptor, it would be shown by that number.
        let _ = std::fs::write("/proc/self/comm", "loop-shim");
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // A crash dump of an agent's tool would hold its environment.
        let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let keep = |descriptor: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(descriptor, 200);
        let socket = keep(rustix::stdio::stdin())?;
        let stdout = keep(rustix::stdio::stdout())?;
        let stderr = keep(rustix::stdio::stderr())?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        Ok(Place {
            socket: UnixStream::from(socket),
            signals: signal_descriptor()?,
            stdout: Some(stdout),
            stderr: Some(stderr),
        })
    }

    /// An executor that is gone is noticed at the next wait.
    fn report(&mut self, report: &Report) {
        let _ = self.socket.write_all(report.line().as_bytes());
    }

    fn refuse(&mut self, why: &str) -> ExitCode {
        self.report(&Report::Refused(why.to_owned()));
        ExitCode::FAILURE
    }

    /// `false`: it will not come.
    fn wait_for_go(&mut self) -> bool {
        loop {
            let woken = self.wait(None);
            if woken.gone || woken.asked_to_end || woken.orders.iter().any(|&order| order != wire::GO) {
                return false;
            }
            if !woken.orders.is_empty() {
                return true;
            }
        }
    }

    /// Waits for orders, signals and ended children, at most so long.
    fn wait(&mut self, at_most: Option<Duration>) -> Woken {
        let limit = at_most.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        let mut descriptors = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        let _ = rustix::event::poll(&mut descriptors, limit.as_ref());
        let [socket, signals] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
        let mut woken = Woken { orders: Vec::new(), gone: false, asked_to_end: false };
        if socket {
            let mut buffer = [0; 64];
            match self.socket.read(&mut buffer) {
                Ok(0) => woken.gone = true,
                Ok(count) => woken.orders.extend_from_slice(&buffer[..count]),
                Err(error) => woken.gone = error.kind() != std::io::ErrorKind::Interrupted,
            }
        }
        if signals {
            // One `signalfd_siginfo` of 128 bytes a signal; its first field is the number (`signalfd(2)`).
            let mut buffer = [0; 128 * 8];
            let count = self.signals.read(&mut buffer).unwrap_or(0);
            woken.asked_to_end = buffer[..count]
                .chunks_exact(128)
                .filter_map(|info| info.first_chunk::<4>())
                .any(|number| u32::from_ne_bytes(*number) != libc::SIGCHLD as u32);
        }
        woken
    }

    /// Runs the command to the end of its tree and reports it.
    fn go(&mut self, task: &Task, stdin: File, lock: File) {
        let confined = task.identity.is_some();
        let mut command = command(task);
        let (Some(stdout), Some(stderr)) = (self.stdout.take(), self.stderr.take()) else { return };
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let inherited =
            match task.identity.as_ref().map(|identity| Inherited::open(identity, &lock)).transpose() {
                Ok(inherited) => inherited,
                Err(error) => {
                    self.report(&Report::Refused(format!("cannot prepare the sandbox: {error}")));
                    return;
                }
            };
        let spawned = command.spawn();
        // With the command go the shim's copies of the streams, so that these end with the last process.
        drop(command);
        let status = inherited.map(|inherited| inherited.status);
        let main = match spawned {
            Ok(child) => Pid::from_child(&child),
            Err(error) => {
                let program = task.argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
                self.report(&Report::Missing(format!("{program}: {error}")));
                drop(lock);
                self.report(&Report::Empty(true));
                return;
            }
        };
        let mut watch = Watch { main, status: None };
        self.watch(&mut watch, confined, Duration::from_millis(task.grace_ms), status.as_ref());
        let had_ended = watch.status.is_some();
        let mut empty = tree::end(&[own_pid()], END_TREE, || watch.reap());
        if !had_ended {
            self.report_end(&watch, status.as_ref());
        }
        if !empty {
            self.report(&Report::Empty(false));
        }
        // As long as something is left the lock is held, whoever else has gone: no second agent starts.
        while !empty {
            std::thread::sleep(UNENDING);
            empty = tree::end(&[own_pid()], END_TREE, || watch.reap());
        }
        drop(lock);
        self.report(&Report::Empty(true));
    }

    /// Returns when it is time to end what is left of the tree.
    fn watch(&mut self, watch: &mut Watch, confined: bool, grace: Duration, status: Option<&File>) {
        let mut deadline: Option<Instant> = None;
        let mut reported = false;
        loop {
            watch.reap();
            if watch.status.is_some() {
                if !reported {
                    reported = true;
                    self.report_end(watch, status);
                    let settled = Instant::now() + AFTER_EXIT;
                    deadline = Some(deadline.map_or(settled, |deadline| deadline.min(settled)));
                }
                if tree::descendants(&[own_pid()]).is_empty() {
                    return;
                }
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            let until = deadline.map(|deadline| deadline - now);
            // An orphan of an orphan may end without telling the shim.
            let pause = if reported { until.map(|left| left.min(Duration::from_millis(10))) } else { until };
            let woken = self.wait(pause);
            if woken.gone || woken.orders.contains(&wire::KILL) {
                return;
            }
            if (woken.asked_to_end || woken.orders.contains(&wire::TERM)) && deadline.is_none() {
                deadline = Some(Instant::now() + grace);
                ask_to_end(confined.then_some(watch.main));
            }
        }
    }

    fn report_end(&mut self, watch: &Watch, status: Option<&File>) {
        let Some(ended) = watch.status else { return };
        // Without an exit code in bubblewrap's own report the command was never started.
        if let Some(mut status) = status {
            let mut text = String::new();
            let _ = status.read_to_string(&mut text);
            if !text.contains("exit-code") && ended.terminating_signal().is_none() {
                self.report(&Report::NoSandbox);
                return;
            }
        }
        match (ended.exit_status(), ended.terminating_signal()) {
            (Some(code), _) => self.report(&Report::Exited(code)),
            (None, Some(signal)) => self.report(&Report::Signaled(signal)),
            (None, None) => {}
        }
    }
}

/// The main child and what it ended with.
struct Watch {
    main: Pid,
    status: Option<WaitStatus>,
}

impl Watch {
    /// Takes the entries of all dead children from the process table.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => self.status = Some(status),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// TERM to the tree, and CONT for those that are stopped. Not to bubblewrap itself: it would take the whole
/// namespace with it, without a grace.
fn ask_to_end(bubblewrap: Option<Pid>) {
    let bubblewrap = bubblewrap.map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    for stat in tree::descendants(&[own_pid()]) {
        if Some(stat.pid) != bubblewrap {
            tree::signal(&stat, Signal::TERM);
            tree::signal(&stat, Signal::CONT);
        }
    }
}

fn own_pid() -> u32 {
    std::process::id()
}

/// The command, without its streams. It gets a process group of its own: `kill 0` in a script is not for the shim.
fn command(task: &Task) -> Command {
    let mut words = task.argv.iter();
    let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
    command.args(words).current_dir(&task.cwd).env_clear().process_group(0);
    for pair in &task.env {
        let bytes = pair.as_bytes();
        if let Some(at) = bytes.iter().position(|&byte| byte == b'=') {
            command.env(OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..]));
        }
    }
    die_with_this_process(&mut command);
    command
}

/// What bubblewrap inherits, at the numbers of [`DESCRIPTORS`].
struct Inherited {
    /// The reading end of bubblewrap's own report.
    status: File,
    /// Open until bubblewrap has been started.
    _given: [OwnedFd; 4],
}

impl Inherited {
    fn open((passwd, group): &(OsString, OsString), lock: &File) -> std::io::Result<Inherited> {
        let (status, status_end) = std::io::pipe()?;
        rustix::io::ioctl_fionbio(&status, true)?;
        let passwd = memory_file("passwd", passwd)?;
        let group = memory_file("group", group)?;
        Ok(Inherited {
            status: File::from(OwnedFd::from(status)),
            _given: [
                give(lock.as_fd(), DESCRIPTORS.lock)?,
                give(status_end.as_fd(), DESCRIPTORS.status)?,
                give(passwd.as_fd(), DESCRIPTORS.passwd)?,
                give(group.as_fd(), DESCRIPTORS.group)?,
            ],
        })
    }
}

/// A copy with exactly this number that a child inherits.
fn give(descriptor: BorrowedFd<'_>, number: i32) -> std::io::Result<OwnedFd> {
    let copy = rustix::io::fcntl_dupfd_cloexec(descriptor, number)?;
    if copy.as_raw_fd() != number {
        return Err(std::io::Error::other(format!("descriptor {number} is in use")));
    }
    rustix::io::fcntl_setfd(&copy, FdFlags::empty())?;
    Ok(copy)
}

/// A file without a name.
fn memory_file(name: &str, content: &OsStr) -> std::io::Result<File> {
    let descriptor = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    file.write_all(content.as_bytes())?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file)
}

/// Marks every descriptor from this one on as closed for the command; nothing of the shim's own is open yet.
#[expect(unsafe_code, reason = "no safe interface closes a range of descriptors")]
fn close_from(first: u32) {
    // SAFETY: called first thing in a process whose only descriptors in use are the standard ones.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, 0);
    }
}

/// Blocks the signals that ask a process to end, and SIGCHLD, and gives a descriptor to read them from.
#[expect(unsafe_code, reason = "no safe interface for signalfd(2)")]
fn signal_descriptor() -> std::io::Result<File> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set; the calls get pointers to it that live long enough; the
    // descriptor is new and owned by nobody else.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let descriptor = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(File::from_raw_fd(descriptor))
    }
}

/// The child gets the signal mask and dispositions of a fresh process, and KILL when the shim dies.
#[expect(unsafe_code, reason = "these can be done only between fork and exec")]
fn die_with_this_process(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: only async-signal-safe calls, no allocation, and no locks.
    unsafe {
        command.pre_exec(move || {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
            // What `loop` was told to ignore (`nohup`) is no matter of the command's.
            for signal in 1..=libc::SIGRTMAX() {
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // It died before the call above.
            if libc::getppid().unsigned_abs() != parent {
                libc::_exit(1);
            }
            Ok(())
        });
    }
}
