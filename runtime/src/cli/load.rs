//! Finds the repository and the plan of a command, and compiles the plan.
//!
//! Does not know what the command does with the graph.

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::check::CheckedPlan;
use loop_compiler::compile::compile;
use loop_compiler::diagnostic::Diagnostic;
use loop_compiler::diagnostic::render::{Style, human};
use loop_compiler::graph::{Graph, build};
use loop_compiler::source::{FileId, SourceMap};
use loopc::disk;
use loopc::terminal::{Stream, terminal};

use super::output::Failure;
use crate::digest::Sha256;
use crate::drive::{self, Ground};
use crate::fault::ExitCode;
use crate::state::State;
use crate::workspace::Repository;

/// A compiled plan and the repository it is for.
pub(crate) struct Loaded {
    pub graph: Graph,
    /// Repository-relative.
    pub plan: Utf8PathBuf,
    pub repository: Repository,
    /// What the plan says and a run would not act on.
    pub refused: Vec<Diagnostic>,
    /// The files that it was compiled from, to tell what is refused.
    pub map: SourceMap,
}

impl Loaded {
    /// Refuses what a run would not act on, before anything is paid.
    pub(crate) fn must_be_supported(&self) -> Result<(), Failure> {
        if self.refused.is_empty() {
            return Ok(());
        }
        tell(&self.refused, &self.map);
        Err(Failure::Told(ExitCode::Usage))
    }
}

/// The current directory.
pub(crate) fn current_directory() -> Result<Utf8PathBuf, Failure> {
    let current = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("cannot tell the current directory: {error}")))?;
    Utf8PathBuf::from_path_buf(current).map_err(|path| {
        Failure::usage(format!("the path {} is not UTF-8; go to one that is", path.display()))
    })
}

/// The repository of the current directory.
pub(crate) fn repository() -> Result<Repository, Failure> {
    let mut repository = Repository::discover(&current_directory()?)?;
    match std::env::var("LOOP_STATE_DIR") {
        Ok(directory) if directory.starts_with('/') => {
            // One directory may serve several repositories: the git directory's path tells them apart.
            let own = Sha256::of(repository.git_common_dir().as_str().as_bytes()).to_string();
            repository.keep_state_in(Utf8PathBuf::from(directory).join(&own[..16]));
        }
        Ok(directory) if !directory.is_empty() => {
            return Err(Failure::usage(format!(
                "LOOP_STATE_DIR is `{directory}`; it must be an absolute path"
            )));
        }
        _ => {}
    }
    Ok(repository)
}

/// Compiles the plan that was named, or the only one there is. What is wrong with it is told here.
pub(crate) fn load(plan: Option<&Utf8Path>) -> Result<Loaded, Failure> {
    Ok(load_checked(plan)?.0)
}

/// As [`load`], with the plan that the graph was made of.
pub(crate) fn load_checked(plan: Option<&Utf8Path>) -> Result<(Loaded, CheckedPlan), Failure> {
    let repository = repository()?;
    let current = current_directory()?;
    let files = disk::Repository::find(&current).map_err(usage)?;
    let plan = match plan {
        Some(plan) => files.relative(&current, plan).map_err(usage)?,
        None => only(&files)?,
    };
    if plan.file_name() == Some("loop.kdl") {
        return Err(Failure::usage(format!(
            "{plan} is the project's file and not a plan; name a file that ends in `.loop.kdl`"
        )));
    }
    if !plan.as_str().ends_with(disk::PLAN_SUFFIX) {
        return Err(Failure::usage(format!(
            "{plan} is no plan: plans are files that end in `{}`",
            disk::PLAN_SUFFIX
        )));
    }
    if files.root.join(&plan).symlink_metadata().is_err() {
        return Err(missing(&files, &plan));
    }
    let project = files.project_of(&plan);
    let sources = files.sources();
    let compilation = compile(project.as_deref(), std::slice::from_ref(&plan), &sources);
    let errors = compilation.has_errors();
    let checked = compilation.plans.into_iter().next().and_then(|(_, checked)| checked);
    match checked {
        Some(checked) if !errors => {
            let refused = drive::unsupported(&checked);
            let graph = build(&checked);
            Ok((Loaded { graph, plan, repository, refused, map: compilation.map }, checked))
        }
        _ if errors => {
            tell(&compilation.diagnostics, &compilation.map);
            Err(Failure::Told(ExitCode::Usage))
        }
        _ => Err(Failure::usage(format!("{plan} has no `feature`, so there is nothing to run"))),
    }
}

/// Diagnostics for people, on standard error.
fn tell(diagnostics: &[Diagnostic], map: &SourceMap) {
    let terminal = terminal(Stream::Err);
    let style = Style { color: terminal.color, width: terminal.width };
    let text = human(diagnostics, map, style);
    let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), text.as_bytes());
}

fn only(files: &disk::Repository) -> Result<Utf8PathBuf, Failure> {
    let mut plans = files.plans().map_err(usage)?;
    if plans.len() > 1 {
        // Files of gates, and of what several plans share, are no plans of their own.
        plans.retain(|plan| holds_feature(&files.root.join(plan)));
    }
    match plans.len() {
        1 => Ok(plans.remove(0)),
        0 => Err(Failure::usage("there is no plan in this repository; `loop init` writes an example")),
        _ => {
            let names: Vec<&str> = plans.iter().map(|plan| plan.as_str()).collect();
            Err(Failure::usage(format!("name one of the plans: {}", names.join(", "))))
        }
    }
}

/// Does a feature stand in the file? One that cannot be read may hold one: it is the compiler's to say what is wrong.
fn holds_feature(file: &Utf8Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return true };
    let document = loop_compiler::syntax::parse(FileId(0), &text).document;
    let found = document.roots().any(|root| &*document.node(root).name == "feature");
    found || document.roots().any(|root| document.node(root).broken)
}

/// A plan that is not there, and those that are.
fn missing(files: &disk::Repository, plan: &Utf8Path) -> Failure {
    let plans = files.plans().unwrap_or_default();
    let names: Vec<&str> = plans.iter().map(|plan| plan.as_str()).collect();
    let hint = match loop_compiler::diagnostic::did_you_mean(plan.as_str(), names.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if names.is_empty() => ", and no other plan; `loop init` writes an example".to_owned(),
        None => format!("; the plans are {}", names.join(", ")),
    };
    Failure::usage(format!("there is no {plan} in {}{hint}", files.root))
}

fn usage(error: disk::DiskError) -> Failure {
    Failure::usage(error.to_string())
}

/// Where a plan stands, for commands that only look: nothing is locked and nothing written. The text names the base.
pub(crate) fn look(loaded: Loaded, base: Option<&str>) -> Result<(Ground, State, String), Failure> {
    let contents = crate::journal::read(&loaded.repository.state_dir(), &loaded.graph.feature.id)?;
    let records = contents.lines.iter().map(|line| &line.record);
    let state = State::fold_renamed(records, drive::renamed(&loaded.graph));
    let store = drive::read_store(&loaded.repository);
    // An open run of this very graph goes on from the commit that it is pinned to.
    let open = state.open_run().filter(|run| run.started.graph == loaded.graph.digest);
    let open = open.filter(|run| base.is_none_or(|asked| asked == run.started.base));
    let pinned = open.map(|run| run.started.head.clone());
    let pinned = pinned.filter(|head| loaded.repository.commit(head).is_ok());
    let (ground, name) =
        drive::ground(loaded.graph, loaded.repository, store, &state, base, pinned.as_ref())?;
    Ok((ground, state, name))
}
