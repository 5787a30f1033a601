//! Runs the commands whose output the plan shows to the agent.
//!
//! Does not know what the output says, and judges nothing by it: a command that fails is shown with its failure.

use std::time::Duration;

use loop_compiler::graph::{Command, Show};

use super::super::error::DriveError;
use super::super::nonce;
use super::{EXCERPT, Unit};
use crate::process::{End, Limits, Outcome, Shim};
use crate::store::secrets;
use crate::work::prompt::{Shown, command_line};
use crate::work::verify::excerpt;

/// How long a command may take: an agent waits for it.
const TOTAL: Duration = Duration::from_secs(60);
/// What is taken in of its output; of that an excerpt is shown.
const OUTPUT: usize = 1 << 20;

impl Unit<'_> {
    /// The output of every `show` of the unit, on a copy of the tree that the agent begins with. After an interrupt
    /// the list is short, and the caller looks for that.
    pub(super) async fn shown(&self) -> Result<Vec<Shown>, DriveError> {
        let shows = &self.node.policy.shows;
        if shows.is_empty() {
            return Ok(Vec::new());
        }
        // A place of its own: what a command writes must not become the agent's work.
        let place = self.run.places.make("checks", &nonce()?)?;
        let result = async {
            {
                let ground = self.run.ground.borrow();
                let (repository, store) = (&ground.repository, ground.store.as_ref());
                self.run.places.checkout(&place, repository, &self.work.start, &ground.base, store)?;
            }
            self.run.prepare_place(&place).await?;
            let mut shown = Vec::with_capacity(shows.len());
            for show in shows {
                if self.run.cancel.is_cancelled() {
                    break;
                }
                let argv = match &show.command {
                    Command::Run(words) => words.clone(),
                    Command::Shell(text) => vec!["/bin/sh".into(), "-c".into(), text.clone()],
                };
                let limits = Limits { total: Some(TOTAL), output_bytes: OUTPUT, ..Limits::default() };
                let profile = {
                    let ground = self.run.ground.borrow();
                    self.run.places.show_profile(&place, &ground.repository)?
                };
                let profile = self.run.places.with_program(profile, &argv);
                let env = self.run.places.environment(&place, &[]);
                let spec = self.run.places.command(&place, &argv, env, "/dev/null".into(), limits, profile);
                let outcome = Shim::start(spec).await?.go(None, self.run.cancel.clone()).await?;
                shown.push(told(show, &outcome));
            }
            Ok(shown)
        }
        .await;
        self.run.places.remove("checks", &place.nonce);
        result
    }
}

fn told(show: &Show, outcome: &Outcome) -> Shown {
    let problem = match &outcome.end {
        End::Exited(0) => String::new(),
        End::Exited(code) => format!("it exited with {code}"),
        End::Signaled(signal) => format!("it was ended by signal {signal}"),
        End::TimedOut | End::IdleTimedOut => format!("it ran longer than {} s", TOTAL.as_secs()),
        End::NotFound(what) => format!("it could not be started: {what}"),
        End::Cancelled | End::ShimLost => "it was stopped".to_owned(),
    };
    let mut text = outcome.stdout.bytes.clone();
    if !problem.is_empty() && !outcome.stderr.bytes.is_empty() {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(&outcome.stderr.bytes);
    }
    let cut = excerpt(&text, EXCERPT);
    let (masked, _) = secrets::mask(&cut);
    let output = String::from_utf8_lossy(&masked).into_owned();
    Shown { title: show.text.clone(), command: command_line(&show.command), problem, output }
}
