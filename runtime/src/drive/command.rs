//! Runs the plan's own commands in a place: a verifier's check, and `prepare`.
//!
//! Does not know what is judged, nor what a verdict is for.

use std::time::Duration;

use loop_compiler::graph::{Check, Command, VerifierDef};

use super::check::no_directory;
use super::error::DriveError;
use super::place::{Place, Places};
use crate::fault::ExitCode;
use crate::process::{Cancel, End, Limits, Outcome, Shim};
use crate::sandbox::Profile;
use crate::work::verify::excerpt;

/// What a verifier may take if the plan sets no limit.
const DEFAULT_TOTAL: Duration = Duration::from_secs(30 * 60);

/// Runs a check in a place that is ready for it. `profile` is what a verifier may reach.
pub(super) async fn run_in(
    places: &Places,
    place: &Place,
    profile: Profile,
    check: &Check,
    definition: &VerifierDef,
    cancel: &Cancel,
) -> Result<Outcome, DriveError> {
    let argv = match &check.command {
        Command::Run(words) => words.clone(),
        Command::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
    };
    let env = places.environment(place, &definition.env);
    let limits = Limits {
        total: Some(definition.timeout.total_ms.map_or(DEFAULT_TOTAL, Duration::from_millis)),
        idle: definition.timeout.idle_ms.map(Duration::from_millis),
        ..Limits::default()
    };
    let profile = places.with_program(profile, &argv);
    let mut spec = places.command(place, &argv, env, "/dev/null".into(), limits, profile);
    if let Some(cwd) = &definition.cwd {
        spec.cwd = place.worktree.join(cwd);
        // An agent may have put a link there, and a command must not run where it leads.
        let real = spec.cwd.canonicalize_utf8().ok().filter(|real| {
            let root = place.worktree.canonicalize_utf8();
            real.is_dir() && root.is_ok_and(|root| real.starts_with(root))
        });
        if real.is_none() {
            return Ok(no_directory(cwd));
        }
    }
    Ok(Shim::start(spec).await?.go(None, cancel.clone()).await?)
}

/// Runs `prepare`: with the network, and in the sandbox all the same, as the tree may be an agent's.
pub(super) async fn run_prepare(
    places: &Places,
    place: &Place,
    prepare: &[String],
    cancel: &Cancel,
) -> Result<(), DriveError> {
    if prepare.is_empty() {
        return Ok(());
    }
    let env = places.environment(place, &[]);
    let limits = Limits { total: Some(DEFAULT_TOTAL), ..Limits::default() };
    let profile = places.prepare_profile(place, &prepare[0]);
    let spec = places.command(place, prepare, env, "/dev/null".into(), limits, profile);
    let outcome = Shim::start(spec).await?.go(None, cancel.clone()).await?;
    if outcome.end == End::Exited(0) || outcome.end == End::Cancelled {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&excerpt(&outcome.stderr.bytes, 2000)).into_owned();
    let command = prepare.join(" ");
    let how = match &outcome.end {
        End::Exited(code) => format!("exited with {code}"),
        End::Signaled(signal) => format!("was ended by signal {signal}"),
        End::TimedOut | End::IdleTimedOut => "took too long".to_owned(),
        End::NotFound(what) => format!("could not be started: {what}"),
        End::Cancelled | End::ShimLost => "was stopped from outside".to_owned(),
    };
    let message = format!("`prepare` did not succeed: `{command}` {how}\n{said}");
    Err(DriveError::refused(ExitCode::Environment, message))
}
