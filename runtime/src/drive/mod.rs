//! The one event loop: asks the schedule what is next, lets it be done, and appends to the journal before it acts.
//!
//! Does not know the plan language, nor how a terminal is drawn.

mod allow;
mod attempt;
mod check;
mod command;
mod error;
mod gate;
mod judge;
mod known;
mod land;
mod newest;
mod place;
mod preflight;
mod probe;
mod progress;
mod resume;
mod unsupported;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use camino::Utf8PathBuf;
use loop_compiler::graph::{Graph, NodeKind};
use serde::de::DeserializeOwned;

pub use error::DriveError;
pub use gate::{closure, gate_is_open, page_text};
pub use judge::{Decision, Ground, Origin, Redo, differences};
pub use known::Known;
pub use place::Places;
pub use preflight::{branch_is_free, branch_name, ground, renamed};
pub use probe::{Probe, Seen, findings, probe};
pub use progress::{Note, Progress};
pub use resume::no_later_evidence;
pub use unsupported::unsupported;

use crate::crash;
use crate::digest::Sha256;
use crate::fault::ExitCode;
use crate::journal::{Durability, Journal};
use crate::process::{Cancel, CancelHandle, cancellation};
use crate::record::{Actor, Event, RunStarted};
use crate::sandbox::Detected;
use crate::schedule::{self, Action, Halt, Index, Judgement, Kind, NodeShape, Schedule, Shape};
use crate::state::State;
use crate::store::Store;
use crate::workspace::{Blobs, Repository};

/// What a person asked for on the command line.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Up to this gate and with it.
    pub gate: Option<String>,
    /// This unit and what it needs.
    pub unit: Option<String>,
    pub jobs: usize,
    pub base: Option<String>,
    pub redo: BTreeSet<String>,
}

/// Everything that a run is made from.
pub struct Setup {
    pub graph: Graph,
    /// Repository-relative.
    pub plan: Utf8PathBuf,
    pub repository: Repository,
    pub environment: BTreeMap<String, OsString>,
    pub detected: Detected,
    pub options: Options,
}

/// A run in this process. Single-threaded: tasks share it by `Rc`, and every record passes through `append`.
pub(crate) struct Run {
    ground: RefCell<Ground>,
    state: RefCell<State>,
    journal: RefCell<Journal>,
    places: Places,
    plan: Utf8PathBuf,
    branch: String,
    base_name: String,
    options: Options,
    redo: Redo,
    /// `run.started` is written, now or by the run that this one continues.
    started: Cell<bool>,
    run_id: String,
    progress: Rc<dyn Progress>,
    cancel: Cancel,
    tools: RefCell<BTreeMap<Vec<String>, loop_compiler::graph::Tool>>,
    /// Digests of programs, by path.
    binaries: RefCell<BTreeMap<String, String>>,
    /// The programs that the selected nodes need were looked for and found.
    programs_found: Cell<bool>,
    /// Reasons to end with something else than the schedule says.
    verdict: Cell<ExitCode>,
    /// Held while the prepared worktree is made.
    preparing: tokio::sync::Mutex<()>,
    /// Micro-dollars that the project's other features spent.
    spent_elsewhere: u64,
    /// Micro-dollars reserved by attempts that the journal does not tell of yet.
    reserved: Cell<u64>,
}

impl Blobs for Store {
    fn put(&self, bytes: &[u8]) -> std::io::Result<Sha256> {
        self.put_pending(bytes).map_err(std::io::Error::other)
    }

    fn get(&self, digest: &Sha256) -> std::io::Result<Vec<u8>> {
        Store::get(self, digest).map_err(std::io::Error::other)
    }
}

/// RFC 8785 bytes of a record's object.
fn jcs(value: &impl serde::Serialize) -> Result<Vec<u8>, DriveError> {
    crate::record::to_jcs(value).map_err(|error| {
        DriveError::refused(ExitCode::Internal, format!("a record cannot be written: {error}"))
    })
}

/// Reads a JSON object from the store.
pub fn load<T: DeserializeOwned>(store: &Store, digest: &Sha256) -> Result<T, DriveError> {
    let bytes = store.get(digest)?;
    serde_json::from_slice(&bytes).map_err(|error| DriveError::Damaged { what: format!("{digest}: {error}") })
}

/// What a finished task tells the event loop.
pub(crate) enum Finished {
    Unit(Index, attempt::Ended),
    Gate(Index, gate::Checked),
}

/// Runs the graph until nothing more can happen. Interrupting signals are listened to here.
pub async fn run(setup: Setup, progress: Rc<dyn Progress>) -> Result<ExitCode, DriveError> {
    let _lock = preflight::lock(&setup)?;
    let (handle, cancel) = cancellation();
    let run = Rc::new(resume::open(setup, progress, cancel).await?);
    let ended = drive(&run, &handle).await.map_err(DriveError::with_advice);
    let (exit, reason) = match &ended {
        Ok(exit) => (*exit, exit.words().to_owned()),
        Err(error) => (error.exit(), error.to_string()),
    };
    // On a full disk the end cannot be recorded either: what came first is told.
    let recorded = run.end(exit, &reason);
    let exit = ended?;
    recorded?;
    run.progress.note(&Note::RunEnded { exit, reason: &reason });
    Ok(exit)
}

async fn drive(run: &Rc<Run>, handle: &CancelHandle) -> Result<ExitCode, DriveError> {
    let mut schedule = Schedule::new(run.shape(), run.options.jobs);
    let mut tasks = tokio::task::JoinSet::new();
    let mut signals = Signals::new().map_err(DriveError::io("listen to signals"))?;
    let mut interrupted = false;
    let mut actions: VecDeque<Action> = schedule.start().into();
    let mut failure = None;
    'run: loop {
        while let Some(action) = actions.pop_front() {
            let event = match action {
                Action::End => break 'run,
                Action::Judge(node) => match run.judge(node) {
                    Ok(judgement) => Some(schedule::Event::Judged(node, judgement)),
                    Err(error) => {
                        failure.get_or_insert(error);
                        Some(schedule::Event::Judged(node, Judgement::Halt(Halt::Failed)))
                    }
                },
                Action::Land(node) => Some(match run.land(node) {
                    Ok(true) => schedule::Event::Landed(node),
                    Ok(false) => schedule::Event::Halted(node, Halt::Failed),
                    Err(error) => {
                        failure.get_or_insert(error);
                        schedule::Event::Halted(node, Halt::Failed)
                    }
                }),
                Action::Run(node) => {
                    let run = Rc::clone(run);
                    tasks.spawn_local(async move {
                        attempt::run_unit(&run, node)
                            .await
                            .map(|ended| Finished::Unit(node, ended))
                            .map_err(|error| (node, error))
                    });
                    None
                }
                Action::Check(node) => {
                    let run = Rc::clone(run);
                    tasks.spawn_local(async move {
                        gate::check(&run, node)
                            .await
                            .map(|checked| Finished::Gate(node, checked))
                            .map_err(|error| (node, error))
                    });
                    None
                }
            };
            if failure.is_some() && !interrupted {
                interrupted = true;
                handle.cancel();
                actions.extend(schedule.on(schedule::Event::Stop));
            }
            if let Some(event) = event {
                actions.extend(schedule.on(event));
            }
        }
        tokio::select! {
            Some(done) = tasks.join_next() => {
                let event = match done {
                    Ok(Ok(Finished::Unit(node, ended))) => run.unit_ended(&schedule, node, ended),
                    Ok(Ok(Finished::Gate(node, checked))) => Ok(run.gate_checked(node, checked)),
                    Ok(Err((node, error))) => Err((node, error)),
                    Err(panic) => return Err(DriveError::refused(ExitCode::Internal, format!("a task ended without an answer: {panic}"))),
                };
                match event {
                    Ok(event) => actions.extend(schedule.on(event)),
                    Err((node, error)) => {
                        failure.get_or_insert(error);
                        handle.cancel();
                        interrupted = true;
                        actions.extend(schedule.on(schedule::Event::Stop));
                        actions.extend(schedule.on(schedule::Event::Halted(node, Halt::Failed)));
                    }
                }
            }
            () = signals.next() => {
                if interrupted { handle.kill(); } else { handle.cancel(); }
                interrupted = true;
                run.fail(ExitCode::Interrupted);
                actions.extend(schedule.on(schedule::Event::Stop));
            }
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    Ok(schedule
        .halted()
        .map(|(_, halt)| halt_exit(halt, run.options.unit.is_some()))
        .fold(run.verdict.get(), ExitCode::and))
}

/// The exit code of a halt. A single unit that was asked for by name and failed asks for no decision.
fn halt_exit(halt: Halt, single: bool) -> ExitCode {
    match halt {
        Halt::Blocked if single => ExitCode::WorkFailed,
        Halt::Blocked | Halt::Undone | Halt::Drift | Halt::RedGate => ExitCode::Blocked,
        Halt::Waiting => ExitCode::Waiting,
        Halt::Limit => ExitCode::Limit,
        Halt::Environment => ExitCode::Environment,
        Halt::Failed => ExitCode::WorkFailed,
    }
}

/// INT, TERM and HUP: one thing to us.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

impl Run {
    fn shape(&self) -> Shape {
        let ground = self.ground.borrow();
        let selected = selection(&ground, &self.options);
        let nodes = ground
            .graph
            .nodes
            .iter()
            .map(|node| NodeShape {
                kind: match node.kind {
                    NodeKind::Dispatch => Kind::Work,
                    NodeKind::Manual => Kind::Manual,
                    NodeKind::Gate => Kind::Gate,
                },
                predecessors: ground.topology.predecessors(node.index).to_vec(),
                selected: selected[node.index as usize],
                priority: node.policy.priority.unwrap_or(u32::MAX),
            })
            .collect();
        Shape { nodes, canonical: ground.topology.canonical_order() }
    }

    /// Appends events; the first of a run is preceded by `run.started`. A run in which nothing happens leaves no trace.
    pub(crate) fn append(&self, events: Vec<Event>, durability: Durability) -> Result<(), DriveError> {
        let mut all = Vec::with_capacity(events.len() + 1);
        if !self.started.get() {
            all.push(self.run_started()?);
            self.journal.borrow_mut().begin_run(&self.run_id)?;
        }
        all.extend(events);
        let appended = self.journal.borrow_mut().append(&all, durability)?;
        self.started.set(true);
        let mut state = self.state.borrow_mut();
        for line in appended.foreign.iter().chain(&appended.written) {
            state.apply(&line.record);
            self.progress.record(&line.bytes);
        }
        Ok(())
    }

    fn run_started(&self) -> Result<Event, DriveError> {
        let ground = self.ground.borrow();
        let graph_json = ground.store.put(loop_compiler::graph::encode(&ground.graph).as_bytes())?;
        crash::point("run.before-keep");
        ground.repository.keep(&ground.graph.feature.id, &self.run_id, &ground.base)?;
        crash::point("run.after-keep");
        let event = Event::RunStarted(RunStarted {
            feature: ground.graph.feature.id.clone(),
            graph: ground.graph.digest.clone(),
            graph_json,
            plan: self.plan.to_string(),
            base: self.base_name.clone(),
            branch: self.branch.clone(),
            head: ground.base.clone(),
            redo: self.options.redo.iter().cloned().collect(),
            actor: self.actor(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        self.progress.note(&Note::RunStarted {
            feature: &ground.graph.feature.id,
            branch: &self.branch,
            head: &ground.base,
            resumed: false,
            containment: self.places.detected().containment.as_str(),
        });
        Ok(event)
    }

    pub(crate) fn actor(&self) -> Actor {
        os_user(&|name| self.places.variable(name))
    }

    fn feature(&self) -> String {
        self.ground.borrow().graph.feature.id.clone()
    }

    /// The run will not end with success.
    fn fail(&self, exit: ExitCode) {
        self.verdict.set(self.verdict.get().and(exit));
    }

    fn end(&self, exit: ExitCode, reason: &str) -> Result<(), DriveError> {
        // An interrupted run stays open: the same plan continues it from its pinned base.
        if !self.started.get() || exit == ExitCode::Interrupted || exit == ExitCode::Internal {
            return Ok(());
        }
        let feature = self.feature();
        let reason = reason.chars().take(500).collect();
        crash::point("run.before-ended");
        self.append(
            vec![Event::RunEnded { feature: feature.clone(), exit: exit.code(), reason }],
            Durability::Synced,
        )?;
        crash::point("run.after-ended");
        self.ground.borrow().repository.release_keep(&feature, &self.run_id)?;
        crash::point("run.after-release");
        Ok(())
    }

    /// Looks for every program of the run before the first thing is started. A run in which nothing has to be started
    /// needs none: it may take place where no agent is installed.
    fn need_programs(&self) -> Result<(), DriveError> {
        if !self.programs_found.get() {
            let ground = self.ground.borrow();
            preflight::programs(&ground, &self.places, &selection(&ground, &self.options))?;
            self.programs_found.set(true);
        }
        Ok(())
    }

    fn judge(&self, node: Index) -> Result<Judgement, DriveError> {
        let decision = self.ground.borrow().judge(node, &self.state.borrow(), &self.redo)?;
        let id = self.ground.borrow().node(node).id.clone();
        Ok(match decision {
            Decision::Done(settled) => {
                self.progress.note(&Note::Cached { unit: &id });
                if !settled.drifted.is_empty() {
                    let text = format!(
                        "{} of `{id}` was edited after it landed",
                        judge::quoted_list(&settled.drifted)
                    );
                    self.progress.note(&Note::Warning { text: &text });
                }
                self.ground.borrow_mut().settled.insert(node, settled);
                Judgement::Done
            }
            Decision::Accepted(settled) => {
                self.ground.borrow_mut().settled.insert(node, settled);
                Judgement::Accepted
            }
            Decision::Run(_) => {
                self.need_programs()?;
                Judgement::Run
            }
            Decision::Halt(halt, why) => {
                self.progress.note(&Note::Halted { unit: &id, why: &why });
                Judgement::Halt(halt)
            }
        })
    }
}

/// Which nodes the options select: everything, or what a gate or unit comes after and itself.
pub fn selection(ground: &Ground, options: &Options) -> Vec<bool> {
    let count = ground.graph.nodes.len();
    let target = match (&options.unit, &options.gate) {
        (Some(unit), _) => ground.topology.node(unit),
        (None, Some(gate)) => ground.topology.gate(gate),
        (None, None) => return vec![true; count],
    };
    let mut selected = vec![false; count];
    if let Some(target) = target {
        selected[target as usize] = true;
        for node in ground.topology.ancestors(target) {
            selected[node as usize] = true;
        }
    }
    selected
}

/// The operating system's user: by the name that the environment gives, else by that of `/etc/passwd`.
pub fn os_user(variable: &dyn Fn(&str) -> Option<String>) -> Actor {
    let given =
        ["USER", "LOGNAME"].into_iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let uid = rustix::process::getuid().as_raw();
    let name = given.or_else(|| {
        let bytes = std::fs::read("/etc/passwd").ok()?;
        passwd_name(&String::from_utf8_lossy(&bytes), uid)
    });
    Actor { kind: "os-user".to_owned(), name: name.unwrap_or_else(|| format!("uid {uid}")) }
}

/// The name of a user in the text of `/etc/passwd` (passwd(5)): the first entry with that id counts.
fn passwd_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

/// A random id of 16 hex digits.
pub fn nonce() -> Result<String, DriveError> {
    let mut bytes = [0u8; 8];
    let file = std::fs::File::open("/dev/urandom");
    file.and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(DriveError::io("read random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The repository's store, created if it is not there.
pub fn open_store(repository: &Repository) -> Result<Arc<Store>, DriveError> {
    Ok(Arc::new(Store::open(&repository.state_dir())?))
}

/// The repository's store for commands that only look: they leave no trace.
pub fn read_store(repository: &Repository) -> Arc<Store> {
    Arc::new(Store::at(&repository.state_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_first_entry_with_the_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nbroken\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n";
        assert_eq!(passwd_name(passwd, 0).as_deref(), Some("root"));
        assert_eq!(passwd_name(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(passwd_name(passwd, 1), None);
    }
}
