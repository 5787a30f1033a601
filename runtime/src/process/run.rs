//! The executor's side of a shim: starts it, sends GO, drains the output, keeps the limits.
//!
//! Does not know how the shim finds and ends its processes (`shim`, `tree`).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::sync::OnceLock;
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep_until, timeout};

use super::cancel::{Cancel, Wish};
use super::capture::{Captured, Collector};
use super::left::end_without_shim;
use super::shim::SHIM;
use super::wire::{self, Report, Task};
use super::{CommandSpec, End, Limits, Observer, Outcome, ProcessError, ShimIdentity, ShimProgram, Stream};
use crate::sandbox::Containment;

/// How long a shim may take to become ready: it only takes a free lock and opens a file.
const READY: Duration = Duration::from_secs(20);

/// How much longer than it should a shim may take to end its tree before the executor helps: it may be stopped, or
/// the tree may be large. Both at it do no harm.
const OVERDUE: Duration = Duration::from_millis(800);

/// Between the end of the last process and the end of its output.
const DRAIN: Duration = Duration::from_millis(200);

/// A shim that is up: it holds the attempt's lock, and the command has not been started. Dropping it ends it.
#[derive(Debug)]
pub struct Shim {
    identity: ShimIdentity,
    child: tokio::process::Child,
    orders: ChildStdin,
    reports: Reports,
    stdout: ChildStdout,
    stderr: ChildStdout,
    limits: Limits,
    containment: Containment,
    lock: Utf8PathBuf,
    cwd: Utf8PathBuf,
}

/// The program that becomes the shim: opened once, so that it is this very program also when its file has been
/// replaced meanwhile.
fn shim_program(program: &ShimProgram) -> std::io::Result<std::path::PathBuf> {
    static OPENED: OnceLock<File> = OnceLock::new();
    match program {
        ShimProgram::At(path) => Ok(path.clone().into_std_path_buf()),
        ShimProgram::Current => {
            let file = match OPENED.get() {
                Some(file) => file,
                None => {
                    let file = File::open("/proc/self/exe")?;
                    OPENED.get_or_init(|| file)
                }
            };
            Ok(format!("/proc/self/fd/{}", file.as_raw_fd()).into())
        }
    }
}

/// A readable end as tokio knows it. `ChildStdout` is tokio's name for any readable descriptor.
fn readable(descriptor: OwnedFd) -> std::io::Result<ChildStdout> {
    ChildStdout::from_std(std::process::ChildStdout::from(descriptor))
}

impl Shim {
    /// Starts a shim and waits until it holds the lock. Needs a tokio runtime with I/O and time.
    pub async fn start(spec: CommandSpec) -> Result<Shim, ProcessError> {
        let doing = ProcessError::io;
        let (ours, theirs) = UnixStream::pair().map_err(doing("cannot make a socket"))?;
        let (stdout, stdout_end) = std::io::pipe().map_err(doing("cannot make a pipe"))?;
        let (stderr, stderr_end) = std::io::pipe().map_err(doing("cannot make a pipe"))?;
        for pipe in [stdout.as_fd(), stderr.as_fd()] {
            // More room between two turns of the executor; the default does as well.
            let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
        }
        let program = shim_program(&spec.program).map_err(doing("cannot open the running program"))?;
        let mut command = std::process::Command::new(&program);
        command.arg0("loop-shim").arg(SHIM).arg(&spec.lock).env_clear().current_dir("/");
        command.stdin(OwnedFd::from(theirs)).stdout(stdout_end).stderr(stderr_end);
        let mut command = tokio::process::Command::from(command);
        let started = command.spawn();
        // The command holds the shim's ends of the pipes: as long as it lives they do not end.
        drop(command);
        let child = started
            .map_err(|source| ProcessError::Start { program: program.display().to_string(), source })?;
        let pid = child.id().unwrap_or_default();
        let reports = ours.try_clone().map_err(doing("cannot share the socket"))?;
        let orders = std::process::ChildStdin::from(OwnedFd::from(ours));
        let mut shim = Shim {
            identity: ShimIdentity {
                pid,
                start: super::process_start_time(pid).unwrap_or_default(),
                boot: super::boot_id(),
                host: super::host_name(),
            },
            child,
            orders: ChildStdin::from_std(orders).map_err(doing("cannot watch the socket"))?,
            reports: Reports {
                stream: readable(reports.into()).map_err(doing("cannot watch the socket"))?,
                unread: Vec::new(),
            },
            stdout: readable(stdout.into()).map_err(doing("cannot watch a pipe"))?,
            stderr: readable(stderr.into()).map_err(doing("cannot watch a pipe"))?,
            limits: spec.limits,
            containment: spec.profile.containment(),
            lock: spec.lock.clone(),
            cwd: spec.cwd.clone(),
        };
        let ready = async {
            shim.orders.write_all(&task(&spec).encode()).await.map_err(|_| ProcessError::Lost)?;
            shim.reports.next().await.ok_or(ProcessError::Lost)
        };
        match timeout(READY, ready).await.map_err(|_| ProcessError::Lost)?? {
            Report::Ready => Ok(shim),
            Report::Locked => Err(ProcessError::Locked(spec.lock)),
            Report::Refused(why) => Err(ProcessError::Refused(why)),
            _ => Err(ProcessError::Lost),
        }
    }

    /// Who the shim is, for the record.
    pub fn id(&self) -> &ShimIdentity {
        &self.identity
    }

    /// Starts the command and waits for the end of its whole tree. Dropping the future ends the tree at once.
    ///
    /// Both streams are drained all the time, whatever the caps. `observer` sees every byte.
    pub async fn go(
        self,
        mut observer: Option<Observer<'_>>,
        mut cancel: Cancel,
    ) -> Result<Outcome, ProcessError> {
        let Shim {
            identity,
            mut child,
            mut orders,
            mut reports,
            stdout,
            stderr,
            limits,
            containment,
            lock,
            cwd,
        } = self;
        let started = Instant::now();
        let total = limits.total.map(|limit| started + limit);
        let mut last_output = started;
        let mut out = Drain::new(stdout, Stream::Stdout, limits.output_bytes);
        let mut err = Drain::new(stderr, Stream::Stderr, limits.output_bytes);
        let mut ended: Option<End> = None;
        let mut wish = Wish::GoOn;
        // When the executor takes over from a shim that does not end its tree.
        let mut overdue: Option<Instant> = None;
        let mut no_sandbox = false;
        let mut tree_empty = None;
        order(&mut orders, wire::GO).await;
        while tree_empty.is_none() {
            let idle = limits.idle.map(|limit| last_output + limit);
            let running = ended.is_none();
            // In this order: what has happened is seen before a clock is asked, also after the executor itself
            // was stopped for a while.
            tokio::select! {
                biased;
                report = reports.next() => match report {
                    Some(Report::Exited(code)) => {
                        let end = exit(containment, code);
                        ended.get_or_insert(end);
                        overdue.get_or_insert(Instant::now() + OVERDUE);
                    }
                    Some(Report::Signaled(signal)) => {
                        ended.get_or_insert(End::Signaled(signal));
                        overdue.get_or_insert(Instant::now() + OVERDUE);
                    }
                    Some(Report::Missing(why)) => ended = Some(End::NotFound(why)),
                    Some(Report::Refused(why)) => return Err(ProcessError::Refused(why)),
                    Some(Report::NoSandbox) => {
                        no_sandbox = true;
                        overdue.get_or_insert(Instant::now() + OVERDUE);
                    }
                    Some(Report::Empty(empty)) => tree_empty = Some(empty),
                    Some(Report::Ready | Report::Locked) => {}
                    None => break,
                },
                read = out.read() => if out.keep(read, &mut observer) { last_output = Instant::now() },
                read = err.read() => if err.keep(read, &mut observer) { last_output = Instant::now() },
                more = cancel.beyond(wish) => {
                    wish = more;
                    ended.get_or_insert(End::Cancelled);
                    let asked = if more == Wish::Kill { wire::KILL } else { wire::TERM };
                    overdue.get_or_insert(Instant::now() + limits.grace + OVERDUE);
                    order(&mut orders, asked).await;
                }
                () = at(overdue) => break,
                () = at(total), if running => {
                    if reports.is_waiting() {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    ended = Some(End::TimedOut);
                    overdue = Some(Instant::now() + limits.grace + OVERDUE);
                    order(&mut orders, wire::TERM).await;
                }
                () = at(idle), if running => {
                    if reports.is_waiting() || out.is_waiting() || err.is_waiting() {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    ended = Some(End::IdleTimedOut);
                    overdue = Some(Instant::now() + limits.grace + OVERDUE);
                    order(&mut orders, wire::TERM).await;
                }
            }
        }
        let tree_empty = match tree_empty {
            Some(empty) => empty,
            None => {
                ended.get_or_insert(End::ShimLost);
                end_without_shim(identity, containment, &lock, &cwd).await
            }
        };
        // All writers are gone, so this ends at once; the bound is for those that could not be ended.
        let rest = async {
            tokio::join!(out.rest(), err.rest());
        };
        let _ = timeout(DRAIN, rest).await;
        for drain in [&mut out, &mut err] {
            let unseen = std::mem::take(&mut drain.late);
            if let Some(observer) = observer.as_mut()
                && !unseen.is_empty()
            {
                observer(drain.which, &unseen);
            }
        }
        // It has reported all; its entry in the process table is taken as soon as it has ended.
        let _ = timeout(DRAIN, child.wait()).await;
        let (stdout, stderr) = (out.collector.finish(), err.collector.finish());
        let end = match ended {
            None if no_sandbox => missing_in_sandbox(&stderr)?,
            None => End::ShimLost,
            Some(end) => end,
        };
        Ok(Outcome { end, stdout, stderr, duration: started.elapsed(), tree_empty })
    }
}

/// A shim that is gone is noticed at its reports.
async fn order(orders: &mut ChildStdin, order: u8) {
    let _ = orders.write_all(&[order]).await;
}

/// Bubblewrap reports a signal as a shell does.
fn exit(containment: Containment, code: i32) -> End {
    match (containment, code) {
        (Containment::Bwrap, 129..=192) => End::Signaled(code - 128),
        _ => End::Exited(code),
    }
}

/// Bubblewrap ended before the command began: either the program is not there inside, or there is no sandbox.
fn missing_in_sandbox(stderr: &Captured) -> Result<End, ProcessError> {
    let text = stderr.text();
    let last = text.lines().rev().find_map(|line| line.strip_prefix("bwrap: ")).unwrap_or("it said nothing");
    match last.strip_prefix("execvp ") {
        Some(what) => Ok(End::NotFound(format!("inside the sandbox: {what}"))),
        None => Err(ProcessError::Sandbox(last.to_owned())),
    }
}

fn task(spec: &CommandSpec) -> Task {
    let home = spec.env.get("HOME").and_then(|home| home.to_str()).unwrap_or("/nonexistent");
    let confined = spec.profile.containment() == Containment::Bwrap;
    let descriptors = confined.then_some(&crate::sandbox::DESCRIPTORS);
    let mut identity = spec.profile.identity(home);
    Task {
        argv: spec.profile.wrap(&spec.argv, &spec.cwd, descriptors),
        env: spec
            .env
            .iter()
            .map(|(name, value)| {
                let mut pair = std::ffi::OsString::from(format!("{name}="));
                pair.push(value);
                pair
            })
            .collect(),
        cwd: spec.cwd.as_str().into(),
        stdin: spec.stdin.as_str().into(),
        lock: spec.lock.as_str().into(),
        grace_ms: u64::try_from(spec.limits.grace.as_millis()).unwrap_or(u64::MAX),
        identity: confined.then(|| {
            let mut take = |name: &str| identity.remove(name).unwrap_or_default().into();
            (take("passwd"), take("group"))
        }),
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Something to read, now?
fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut descriptors, Some(&now)).is_ok_and(|count| count > 0)
}

/// The shim's reports, line by line. `next` may be dropped at any time without losing one.
#[derive(Debug)]
struct Reports {
    stream: ChildStdout,
    unread: Vec<u8>,
}

impl Reports {
    /// `None`: there will be no more.
    async fn next(&mut self) -> Option<Report> {
        loop {
            while let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if let Some(report) = std::str::from_utf8(&line[..end]).ok().and_then(Report::parse) {
                    return Some(report);
                }
            }
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn is_waiting(&self) -> bool {
        is_readable(self.stream.as_fd())
    }
}

/// One stream of the command, as it is drained.
struct Drain {
    /// `None`: at its end.
    stream: Option<ChildStdout>,
    which: Stream,
    buffer: Vec<u8>,
    collector: Collector,
    /// Read after the end, for the observer.
    late: Vec<u8>,
}

impl Drain {
    fn new(stream: ChildStdout, which: Stream, bound: usize) -> Drain {
        let collector = Collector::new(bound);
        Drain { stream: Some(stream), which, buffer: vec![0; 64 << 10], collector, late: Vec::new() }
    }

    /// Never ends when the stream has ended.
    async fn read(&mut self) -> usize {
        match &mut self.stream {
            Some(stream) => stream.read(&mut self.buffer).await.unwrap_or(0),
            None => std::future::pending().await,
        }
    }

    /// Was it output?
    fn keep(&mut self, count: usize, observer: &mut Option<Observer<'_>>) -> bool {
        if count == 0 {
            self.stream = None;
            return false;
        }
        let bytes = &self.buffer[..count];
        self.collector.push(bytes);
        if let Some(observer) = observer {
            observer(self.which, bytes);
        }
        true
    }

    async fn rest(&mut self) {
        while self.stream.is_some() {
            let count = self.read().await;
            if count == 0 {
                self.stream = None;
            }
            self.collector.push(&self.buffer[..count]);
            self.late.extend_from_slice(&self.buffer[..count]);
        }
    }

    fn is_waiting(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| is_readable(stream.as_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_program_can_be_executed_through_its_descriptor() {
        let program = shim_program(&ShimProgram::Current).expect("it is open");
        assert!(program.starts_with("/proc/self/fd"));
        let output = std::process::Command::new(program).arg("--list").output().expect("it runs");
        assert!(String::from_utf8_lossy(&output.stdout).contains("the_running_program_can_be_executed"));
    }
}
