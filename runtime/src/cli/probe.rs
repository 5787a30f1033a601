//! `loop probe`: runs the checks of a plan once before any work, and says what they cannot prove.
//!
//! Does not know how a check is run or judged.

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::check::apply_levels;
use loop_compiler::diagnostic::Severity;
use loop_compiler::diagnostic::render::{Format, Report, Scope, plural};
use loop_compiler::source::SourceMap;
use loopc::report::Color;

use super::ProbeArgs;
use super::exec::{containment, environment};
use super::load::{current_directory, load_checked, look};
use super::output::{Failure, print};
use crate::drive;
use crate::fault::ExitCode;

pub(super) fn run(args: &ProbeArgs) -> Result<ExitCode, Failure> {
    let (mut loaded, plan) = load_checked(args.plan.as_deref())?;
    let map: SourceMap = std::mem::take(&mut loaded.map);
    let path = loaded.plan.clone();
    let root = loaded.repository.root().to_owned();
    let (ground, _, base) = look(loaded, args.base.as_deref())?;
    let at = ground.base.short().to_string();
    let quiet = args.quiet;
    let told = move |what: &str| {
        if !quiet {
            // Nobody to tell is no reason to stop.
            let _ = std::io::stderr().lock().write_all(format!("probing  {what}\n").as_bytes());
        }
    };
    let probe = drive::Probe {
        ground,
        environment: environment(),
        detected: containment()?,
        jobs: usize::from(args.jobs),
        progress: Box::new(told),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(ExitCode::Environment, format!("cannot start the event loop: {error}"))
    })?;
    let local = tokio::task::LocalSet::new();
    let seen = runtime.block_on(local.run_until(drive::probe(probe)))?;
    if seen.interrupted {
        return Ok(ExitCode::Interrupted);
    }
    let mut diagnostics = drive::findings(&plan, &seen);
    apply_levels(&plan, &map, &mut diagnostics);
    let talks = matches!(args.output.format.0, Format::Human | Format::Plain);
    if talks && diagnostics.is_empty() {
        let count = plural(seen.checks.len(), "check");
        print(&format!("{count} probed on {base} at {at}: nothing to report\n"))?;
        return Ok(ExitCode::Complete);
    }
    let scope = Scope { plans: Some(vec![path]), base: here(&root) };
    let report = Report::new(&diagnostics, &map).with_scope(scope);
    print(&args.output.write(&report, Color::Auto))?;
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Ok(if failed { ExitCode::WorkFailed } else { ExitCode::Complete })
}

/// The current directory, from the repository's root.
fn here(root: &Utf8Path) -> Utf8PathBuf {
    let current = current_directory().ok().and_then(|current| current.canonicalize_utf8().ok());
    let root = root.canonicalize_utf8().ok();
    current
        .zip(root)
        .and_then(|(current, root)| Some(current.strip_prefix(root).ok()?.to_owned()))
        .unwrap_or_default()
}
