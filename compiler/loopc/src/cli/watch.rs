//! `loopc check --watch`: checks again whenever something in the repository changes.
//!
//! Does not know what changed: it checks everything, which takes milliseconds.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::diagnostic::render::{Format, Summary};
use loopc::disk::Repository;
use loopc::report::Output;
use loopc::terminal::{Stream, terminal};
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::Exit;
use super::check::{Options, report};
use super::output::{Failure, complain, note, print};
use super::target::{STANDARD_INPUT, Target, current_directory};

/// An editor writes, renames and sets rights in one go: only when nothing more comes is the file what it is to be.
const QUIET: Duration = Duration::from_millis(50);

/// Something that writes all the time must not keep back the report.
const LONGEST: Duration = Duration::from_millis(500);

/// What ends up on the screen, and is no finding of a plan.
type Pass = (Exit, String);

pub(super) fn run(paths: &[Utf8PathBuf], output: &Output, options: &Options) -> Result<Exit, Failure> {
    if !matches!(output.format.0, Format::Human | Format::Plain | Format::Short | Format::Jsonl) {
        return Err(Failure::Told("`--watch` prints `human`, `plain`, `short` or `jsonl`".to_owned()));
    }
    if paths.iter().any(|path| path == STANDARD_INPUT) {
        return Err(Failure::Told("standard input cannot be watched; name a file".to_owned()));
    }
    let current = current_directory()?;
    let start = paths.first().map_or(current.clone(), |path| current.join(path));
    let repository = Repository::find(&start)?;
    let mut watch = Watch::new(repository.root.clone())?;
    let live = terminal(Stream::Out).live;
    let clears = live && output.format.0 != Format::Plain;
    let mut last: Option<Pass> = None;
    let mut told = None;
    loop {
        watch.follow(&repository)?;
        let pass = match pass(paths, output, options, &mut watch) {
            Ok(pass) => pass,
            Err(Failure::ReaderGone) => return Ok(last.map_or(Exit::Clean, |(exit, _)| exit)),
            Err(Failure::Told(message)) => {
                // There may be a plan again with the next change. The same words twice would be noise.
                if told.as_ref() != Some(&message) {
                    complain(&message);
                }
                told = Some(message);
                last = None;
                watch.wait()?;
                continue;
            }
        };
        told = None;
        if watch.plans_changed || last.as_ref() != Some(&pass) {
            let text = if clears { format!("\x1b[2J\x1b[3J\x1b[H{}", pass.1) } else { pass.1.clone() };
            match print(&text) {
                Ok(()) => {}
                Err(Failure::ReaderGone) => return Ok(pass.0),
                Err(failure) => return Err(failure),
            }
            if live {
                note("watching for changes; Ctrl-C ends\n");
            }
        }
        last = Some(pass);
        watch.wait()?;
    }
}

/// One check of everything.
fn pass(
    paths: &[Utf8PathBuf],
    output: &Output,
    options: &Options,
    watch: &mut Watch,
) -> Result<Pass, Failure> {
    let target = Target::find(paths)?;
    let mut compilation = target.compile()?;
    if options.notes {
        compilation.add_unasked();
    }
    // A plan that was named may stand where git ignores everything.
    for (_, file) in compilation.map.files() {
        if let Some(directory) = target.repository.root.join(&file.path).parent() {
            watch.add(directory)?;
        }
    }
    let exit = if compilation.has_errors() { Exit::Errors } else { Exit::Clean };
    let mut text = report(&compilation, &target, output, options);
    if output.format.0 == Format::Short {
        text.push_str(&format!("{}\n", Summary::of(&compilation.diagnostics, &compilation.map).sentence()));
    }
    Ok((exit, text))
}

/// The directories of a repository, and what happened in them.
struct Watch {
    root: Utf8PathBuf,
    watcher: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    watched: BTreeSet<Utf8PathBuf>,
    /// Since the last pass a KDL file was touched: a person waits for an answer, also if it is the same.
    plans_changed: bool,
}

impl Watch {
    fn new(root: Utf8PathBuf) -> Result<Watch, Failure> {
        let (sender, events) = channel();
        let watcher = notify::recommended_watcher(sender).map_err(|error| cannot(&root, &error))?;
        Ok(Watch { root, watcher, events, watched: BTreeSet::new(), plans_changed: true })
    }

    /// Watches every directory that is not ignored. Each by itself: a recursive watch would take in what builds write.
    fn follow(&mut self, repository: &Repository) -> Result<(), Failure> {
        for directory in repository.directories() {
            self.add(&directory)?;
        }
        Ok(())
    }

    fn add(&mut self, directory: &Utf8Path) -> Result<(), Failure> {
        if self.watched.contains(directory) {
            return Ok(());
        }
        match self.watcher.watch(directory.as_std_path(), RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(directory.to_owned());
                Ok(())
            }
            // It was there a moment ago; its own going is an event as well.
            Err(_) if !directory.is_dir() && directory != self.root => Ok(()),
            Err(error) => Err(cannot(directory, &error)),
        }
    }

    /// Until something happened and nothing more happens.
    fn wait(&mut self) -> Result<(), Failure> {
        self.plans_changed = false;
        let gone = || Failure::Told("the system no longer tells about changes".to_owned());
        while !self.take(self.events.recv().map_err(|_| gone())?) {}
        let until = Instant::now() + LONGEST;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(QUIET);
            match self.events.recv_timeout(left) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            };
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// True if a pass may now find something else.
    fn take(&mut self, event: notify::Result<Event>) -> bool {
        // Events were lost: everything may have changed.
        let Ok(event) = event else { return true };
        // Our own reading is an event too.
        if matches!(event.kind, EventKind::Access(_)) {
            return false;
        }
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            // Whatever stands there next is another directory.
            for path in &event.paths {
                self.watched.retain(|watched| !watched.as_std_path().starts_with(path));
            }
        }
        self.plans_changed |=
            event.paths.iter().any(|path| path.extension().is_some_and(|extension| extension == "kdl"));
        true
    }
}

fn cannot(directory: &Utf8Path, error: &notify::Error) -> Failure {
    let more = match error.kind {
        notify::ErrorKind::MaxFilesWatch => "; the system's limit is `fs.inotify.max_user_watches`",
        _ => "",
    };
    Failure::Told(format!("cannot watch {directory}: {error}{more}"))
}
