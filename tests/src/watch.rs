//! Counts calls of agents from outside, and sees when two of them live at once, under every kind of containment.
//!
//! Does not believe the journal: an agent says its unit over a connection to this machine and keeps it open. Its children
//! inherit the connection, so it closes when the last of them is gone, and the kernel is who closes it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::Repo;

/// A listener that the agents of [`Repo::watched`] talk to.
pub struct Watch {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
}

#[derive(Default)]
struct Seen {
    /// Starts of the program so far.
    starts: u64,
    calls: BTreeMap<String, usize>,
    open: Vec<Call>,
    clashes: Vec<String>,
}

struct Call {
    unit: String,
    /// The start of the program that it belongs to. The agent says it: one of a start before may be heard late.
    start: u64,
    stream: TcpStream,
}

impl Call {
    /// Does the agent, or anything that it started, still live?
    fn is_alive(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.peek(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl Watch {
    /// Starts listening. An agent works only when `may_start` says so of its unit, or after five seconds.
    pub fn start(may_start: impl Fn(&str) -> bool + Send + Sync + 'static) -> Watch {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (seen, over) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let may_start = Arc::new(may_start);
        let watch = Watch { port, seen: Arc::clone(&seen), over: Arc::clone(&over) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (seen, may_start) = (Arc::clone(&seen), Arc::clone(&may_start));
                std::thread::spawn(move || called(stream, &seen, may_start.as_ref()));
            }
        });
        watch
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no thread panics while it holds the lock")
    }

    /// The program is started once more in `repo`: agents of before must be gone when one of its agents begins.
    pub fn next_start(&self, repo: &mut Repo) {
        let mut seen = self.seen();
        seen.starts += 1;
        repo.set_env("WATCH_START", seen.starts.to_string());
    }

    /// Calls of a unit's agent so far.
    pub fn calls(&self, unit: &str) -> usize {
        self.seen().calls.get(unit).copied().unwrap_or(0)
    }

    /// Agents, or what they started, that live now.
    pub fn alive(&self) -> usize {
        self.seen().open.iter().filter(|call| call.is_alive()).count()
    }

    /// What must be empty: agents that began while one of the same unit, or one of an earlier start, was alive.
    pub fn clashes(&self) -> Vec<String> {
        self.seen().clashes.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener; if nobody listens any more, that is as good.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn called(stream: TcpStream, seen: &Mutex<Seen>, may_start: &(dyn Fn(&str) -> bool + Send + Sync)) {
    let mut unit = String::new();
    let read = stream.try_clone().and_then(|stream| BufReader::new(stream).read_line(&mut unit));
    // An agent that was killed before it said its name did nothing yet.
    if read.unwrap_or(0) == 0 || stream.set_nonblocking(true).is_err() {
        return;
    }
    let Ok(mut answer) = stream.try_clone() else { return };
    let said = unit.trim_end();
    let (unit, start) = said.split_once(' ').unwrap_or((said, ""));
    let (unit, start) = (unit.to_owned(), start.parse().unwrap_or(0));
    {
        let mut seen = seen.lock().expect("no thread panics while it holds the lock");
        let call = Call { unit: unit.clone(), start, stream };
        let clash = seen
            .open
            .iter()
            .find(|other| (other.unit == unit || other.start != start) && other.is_alive() && call.is_alive())
            .map(|other| {
                format!(
                    "`{unit}` of start {start} began while `{}` of start {} lived",
                    other.unit, other.start
                )
            });
        seen.clashes.extend(clash);
        *seen.calls.entry(unit.clone()).or_default() += 1;
        seen.open.push(call);
    }
    let begun = Instant::now();
    while !may_start(&unit) && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // It may be dead by now.
    let _ = answer.write_all(b"go\n");
}

impl Repo {
    /// As [`Repo::scripted`], with agents that tell `watch` of themselves, and the variable `STUBBORN` handed to them.
    pub fn watched(level: &str, watch: &Watch, body: &str, scripts: &[(&str, &str)]) -> Repo {
        let mut repo = Repo::scripted(body, scripts);
        repo.edit(
            "loop.kdl",
            "run sh \"agents/work.sh\";",
            "run bash \"agents/work.sh\"; env WATCH_PORT WATCH_START STUBBORN;",
        );
        repo.write("agents/work.sh", WORK);
        repo.commit("Watched");
        repo.set_env("LOOP_CONTAINMENT", level);
        repo.set_env("WATCH_PORT", watch.port.to_string());
        repo
    }
}

const WORK: &str = r#"# Says the unit and waits for leave; the connection stays open as long as any of this lives.
exec 9<> "/dev/tcp/127.0.0.1/$WATCH_PORT" && echo "$LOOP_UNIT $WATCH_START" >&9 && read -r _ <&9 || exit 1
exec sh "agents/unit/$LOOP_UNIT.sh"
"#;
