//! Steps 1 to 6 of an attempt: its place, the shim, `attempt.started`, GO, and the capture of what is left.
//!
//! Does not judge what the agent did.

use std::time::Duration;

use camino::Utf8Path;
use loop_compiler::glob::Pattern;
use loop_compiler::graph::Via;

use super::super::error::DriveError;
use super::super::judge::{quoted_list, reference_of};
use super::super::newest::Lines;
use super::super::place::Place;
use super::super::progress::Note;
use super::super::{jcs, nonce};
use super::{Left, Unit, fields_json};
use crate::crash;
use crate::fault::ExitCode;
use crate::journal::Durability;
use crate::patch::Tree;
use crate::process::{End, Limits, Outcome, Shim, Stream};
use crate::record::{
    AttemptCaptured, AttemptStarted, CapturedManifest, Event, Exit, FailureClass, RECORD_VERSION, ShimId,
};
use crate::sandbox::{Access, Role};
use crate::store::secrets::{self, recordable};
use crate::work::agent::{self, REPORT_LIMIT};
use crate::work::prompt::{self, Context, Failure, Shown};
use crate::workspace::{CaptureError, CaptureRules, capture, tree_id};

/// How long an agent may work if the plan sets no limit.
const DEFAULT_TOTAL: Duration = Duration::from_secs(60 * 60);
/// The largest file, and the largest sum, that a patch may hold.
const MAX_FILE: u64 = 64 << 20;
const MAX_TOTAL: u64 = 512 << 20;
/// What is kept of an agent's output.
const TRANSCRIPT: usize = 8 << 20;

impl Unit<'_> {
    /// Steps 1 to 6: place, shim, `attempt.started`, GO, capture. `None`: the run was interrupted.
    pub(super) async fn call(
        &self,
        number: u32,
        of: u32,
        reserved: u64,
        mut failure: Option<Failure>,
    ) -> Result<Option<Left>, DriveError> {
        let run = self.run;
        let kept = match &mut failure {
            Some(failure) if self.node.policy.from_patch => {
                let kept = self.with_the_last_patch()?;
                failure.kept = kept.is_some();
                kept
            }
            _ => None,
        };
        let begin = kept.as_ref().unwrap_or(&self.work.start);
        let id = nonce()?;
        crash::point("attempt.before-place");
        let place = run.places.make("attempts", &id)?;
        {
            let ground = run.ground.borrow();
            run.places.checkout(&place, &ground.repository, begin, &ground.base, ground.store.as_ref())?;
        }
        crash::point("attempt.after-place");
        run.prepare_place(&place).await?;
        // Interrupted meanwhile: nothing was started, so nothing is charged.
        if run.cancel.is_cancelled() {
            run.reserved.set(run.reserved.get() - reserved);
            run.places.remove("attempts", &id);
            return Ok(None);
        }
        let shown = self.shown().await?;
        if run.cancel.is_cancelled() {
            run.reserved.set(run.reserved.get() - reserved);
            run.places.remove("attempts", &id);
            return Ok(None);
        }
        let text = self.prompt(failure, shown)?;
        let prompt_file = place.dir.join("prompt");
        std::fs::write(&prompt_file, &text).map_err(DriveError::io(format!("write {prompt_file}")))?;
        let before = run.ground.borrow().repository.fingerprint()?;
        let confined = run.places.detected().containment.is_confined();
        let invocation = agent::invocation(&self.agent, &self.node.policy, confined);
        let report_file = place.out.join("report.json");
        let spec = self.command(&place, &invocation, number, &prompt_file, &report_file)?;
        crash::point("attempt.before-shim");
        let shim = Shim::start(spec).await?;
        crash::point("attempt.after-shim");
        let shim_id = ShimId {
            pid: shim.id().pid,
            start: shim.id().start,
            boot: shim.id().boot.clone(),
            host: shim.id().host.clone(),
        };
        let started = self.started(&id, reserved, &text, shim_id)?;
        crash::point("attempt.before-started");
        run.append(vec![Event::AttemptStarted(started)], Durability::Synced)?;
        // From here on the journal holds the reservation.
        run.reserved.set(run.reserved.get() - reserved);
        crash::point("attempt.after-started");
        run.progress.note(&Note::AttemptStarted {
            unit: &self.node.id,
            number,
            of,
            agent: &self.agent.id,
            model: self.node.policy.model.as_deref(),
        });
        // Only the newest line is of interest: an agent that prints faster than people read must not fill the memory.
        let (sender, mut newest) = tokio::sync::watch::channel(String::new());
        let (mut lines, agent) = (Lines::default(), &self.agent);
        let mut observer = |stream: Stream, bytes: &[u8]| {
            if stream == Stream::Stdout
                && let Some(line) = lines.newest(bytes, |line| agent::shown(agent, line))
            {
                sender.send_replace(line);
            }
        };
        let outcome = {
            let going = shim.go(Some(&mut observer), run.cancel.clone());
            tokio::pin!(going);
            loop {
                tokio::select! {
                    outcome = &mut going => break outcome?,
                    Ok(()) = newest.changed() => {
                        crash::point("attempt.while-running");
                        let line = newest.borrow_and_update().clone();
                        run.progress.note(&Note::Output { unit: &self.node.id, line: &line });
                    }
                }
            }
        };
        crash::point("attempt.after-end");
        self.detect_tampering(&id, &before, confined)?;
        // Whatever ended it: as long as something of it lives the attempt stays open, and its place stays.
        if !outcome.tree_empty {
            let message = format!(
                "something that the agent of unit `{}` started could not be ended; its worktree is {}",
                self.node.id, place.worktree
            );
            return Err(DriveError::refused(ExitCode::Environment, message));
        }
        if outcome.end == End::Cancelled {
            self.lost(&id, reserved)?;
            run.places.remove("attempts", &id);
            return Ok(None);
        }
        self.captured(&place, &id, number, &outcome, &report_file).map(Some)
    }

    /// The start tree with what the last attempt changed, if that can be laid over it.
    fn with_the_last_patch(&self) -> Result<Option<Tree>, DriveError> {
        let captured = {
            let state = self.run.state.borrow();
            let newest =
                state.unit(&self.node.id).and_then(|unit| unit.failures(&self.work.keyed.key).next_back());
            newest.and_then(|failed| failed.captured)
        };
        let Some(captured) = captured else { return Ok(None) };
        let ground = self.run.ground.borrow();
        let manifest: CapturedManifest = super::super::load(&ground.store, &captured)?;
        // What capture refused is in no patch, and what began elsewhere says nothing about this tree.
        if manifest.refused.is_some() || manifest.start_tree != tree_id(&self.work.start) {
            return Ok(None);
        }
        let mut tree = Tree::clone(&self.work.start);
        Ok(tree.apply(&manifest.patch).is_ok().then_some(tree))
    }

    fn lost(&self, attempt: &str, reserved: u64) -> Result<(), DriveError> {
        let event = Event::AttemptLost {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            attempt: attempt.to_owned(),
            charged_micro_usd: reserved,
        };
        self.run.append(vec![event], Durability::Synced)
    }

    fn command(
        &self,
        place: &Place,
        invocation: &agent::Invocation,
        number: u32,
        prompt_file: &Utf8Path,
        report_file: &Utf8Path,
    ) -> Result<crate::process::CommandSpec, DriveError> {
        let run = self.run;
        let mut allowed = self.agent.env.clone();
        allowed.extend(agent::credentials(&self.agent).iter().map(|name| (*name).to_owned()));
        let mut env = run.places.environment(place, &allowed);
        env.extend(invocation.env.iter().map(|(name, value)| (name.clone(), value.into())));
        env.insert("LOOP_UNIT".into(), self.node.id.as_str().into());
        env.insert("LOOP_ATTEMPT".into(), number.to_string().into());
        env.insert("LOOP_REPORT".into(), report_file.as_str().into());
        let timeout = &self.node.policy.timeout;
        let limits = Limits {
            total: Some(timeout.total_ms.map_or(DEFAULT_TOTAL, Duration::from_millis)),
            idle: timeout.idle_ms.map(Duration::from_millis),
            output_bytes: TRANSCRIPT,
            ..Limits::default()
        };
        let ground = run.ground.borrow();
        let profile = run.places.agent_profile(place, &ground.repository)?;
        let sandbox = &ground.graph.agent_sandbox;
        let profile = run.places.as_the_plan_says(profile, sandbox, &ground.repository)?;
        let mut profile = run.places.with_program(profile, &invocation.argv);
        if self.agent.via == Via::Claude
            && let Some(program) = invocation
                .argv
                .first()
                .and_then(|program| crate::process::resolve_program(program, &run.places.path()))
            && let Ok(real) = program.canonicalize_utf8()
            && let Some(dir) = real.parent()
        {
            profile = profile.with(dir, Access::Read, Role::Toolchain);
            if let Some(dir) = program.parent() {
                profile = profile.with(dir, Access::Read, Role::Toolchain);
            }
        }
        Ok(run.places.command(place, &invocation.argv, env, prompt_file, limits, profile))
    }

    fn started(
        &self,
        id: &str,
        reserved: u64,
        text: &str,
        shim: ShimId,
    ) -> Result<AttemptStarted, DriveError> {
        let ground = self.run.ground.borrow();
        let manifest = ground.store.put_pending(&fields_json(&self.work.keyed.fields)?)?;
        let prompt = ground.store.put_salted(text.as_bytes())?;
        ground.store.sync_pending()?;
        Ok(AttemptStarted {
            feature: ground.graph.feature.id.clone(),
            unit: self.node.id.clone(),
            attempt: id.to_owned(),
            number: self.next_number(&self.run.state.borrow()),
            key: self.work.keyed.key.clone(),
            manifest,
            start_tree: tree_id(&self.work.start),
            policy: self.work.policy.clone(),
            agent: self.agent.id.clone(),
            model: self.node.policy.model.clone(),
            prompt,
            reserved_micro_usd: reserved,
            reservation_known: self.node.policy.budget.micro_usd.is_some(),
            containment: self.run.places.detected().containment.as_str().to_owned(),
            shim,
        })
    }

    fn prompt(&self, failure: Option<Failure>, shown: Vec<Shown>) -> Result<String, DriveError> {
        let ground = self.run.ground.borrow();
        let mut context = Context {
            feature: ground.graph.feature.id.clone(),
            feature_goal: ground.graph.feature.goal.clone(),
            failure,
            shown,
            ..Context::default()
        };
        for reference in &self.node.ask.refs {
            let heading = reference.heading.as_ref().map(|heading| format!("#{heading}")).unwrap_or_default();
            let text = ground.text(&self.work.start, reference)?.unwrap_or_default();
            context.references.push((format!("{}{heading}", reference.path), text));
        }
        for rules in &self.node.ask.rules {
            let text = ground.text(&self.work.start, &reference_of(rules))?.unwrap_or_default();
            context.rules.push((rules.clone(), text));
        }
        for (path, entry) in ground.upstream(self.index) {
            context.upstream.push((path, if entry.is_some() { "written" } else { "removed" }.to_owned()));
        }
        Ok(prompt::compose(self.node, &context))
    }

    /// A change of the user's refs, configuration or hooks around an attempt stops the run. Under a sandbox the agent
    /// cannot reach them: refs that moved meanwhile are the user's own doing, settings are told all the same.
    fn detect_tampering(
        &self,
        attempt: &str,
        before: &crate::workspace::Fingerprint,
        confined: bool,
    ) -> Result<(), DriveError> {
        let after = self.run.ground.borrow().repository.fingerprint()?;
        let what = if confined { before.settings_differences(&after) } else { before.differences(&after) };
        if what.is_empty() {
            return Ok(());
        }
        let event = Event::Tampered {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            attempt: attempt.to_owned(),
            what: what.clone(),
        };
        self.run.append(vec![event], Durability::Synced)?;
        Err(DriveError::refused(
            ExitCode::WorkFailed,
            format!(
                "while unit `{}` ran{}, the repository changed: {}; nothing of it was taken. If it was you, run this again; if not, look at these before you go on{}",
                self.node.id,
                if confined { "" } else { " unconfined" },
                quoted_list(&what),
                if confined { "" } else { ", and install bubblewrap so that agents cannot reach them" },
            ),
        ))
    }

    /// Step 6: what the agent left goes into the store, then the record that names it.
    fn captured(
        &self,
        place: &Place,
        id: &str,
        number: u32,
        outcome: &Outcome,
        report_file: &Utf8Path,
    ) -> Result<Left, DriveError> {
        let run = self.run;
        let report_bytes = read_exchanged(report_file);
        let mut said = agent::read_end(
            &self.agent,
            &outcome.end,
            &outcome.stdout.bytes,
            &outcome.stderr.bytes,
            report_bytes.as_deref(),
        );
        for note in &said.notes {
            run.progress.note(&Note::Warning { text: &format!("{}: {}", self.node.id, recordable(note)) });
        }
        let scope = &self.node.scope;
        let patterns = scope.writes.iter().chain(&scope.creates).filter_map(|text| Pattern::parse(text).ok());
        // Literal paths alone: a pattern would take a whole ignored build directory.
        let literal: Vec<String> =
            patterns.filter_map(|pattern| pattern.literal().map(str::to_owned)).collect();
        let ground = run.ground.borrow();
        let discard: Vec<Pattern> =
            ground.graph.discard.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        let rules = CaptureRules {
            declared: &|path| literal.iter().any(|declared| declared == path),
            discard: &|path| discard.iter().any(|pattern| pattern.matches(path)),
            max_file_bytes: MAX_FILE,
            max_total_bytes: MAX_TOTAL,
        };
        let captured =
            capture(&ground.repository, &place.worktree, &self.work.start, &rules, ground.store.as_ref());
        let (captured, refused) = match captured {
            Ok(captured) => (captured, None),
            Err(CaptureError::Refused { refusals, rest }) => {
                let words: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                (*rest, Some(words.join("; ")))
            }
            Err(CaptureError::Workspace(error)) => return Err(error.into()),
        };
        if let Some(refused) = &refused {
            said.failure.get_or_insert((FailureClass::OutOfScope, refused.clone()));
        }
        let manifest = CapturedManifest {
            v: RECORD_VERSION,
            start_tree: tree_id(&self.work.start),
            patch: captured.patch,
            refused,
        };
        let manifest_digest = ground.store.put_pending(&jcs(&manifest)?)?;
        let transcript = ground.store.put_salted(&secrets::mask(&transcript(outcome)).0)?;
        ground.store.sync_pending()?;
        drop(ground);
        let (code, signal) = match outcome.end {
            End::Exited(code) => (Some(code), None),
            End::Signaled(signal) => (None, Some(signal)),
            _ => (None, None),
        };
        let (failure, message) = match said.failure {
            Some((class, message)) => (Some(class), Some(recordable(&message))),
            None => (None, None),
        };
        let exit = Exit { code, signal, failure, message, blocked: said.blocked.as_deref().map(recordable) };
        let event = Event::AttemptCaptured(AttemptCaptured {
            feature: run.feature(),
            unit: self.node.id.clone(),
            attempt: id.to_owned(),
            exit: exit.clone(),
            usage: said.usage.clone(),
            manifest: manifest_digest,
            transcript,
            dropped: captured.dropped_ignored,
            discarded: captured.discarded,
            duration_ms: outcome.duration.as_millis() as u64,
        });
        crash::point("attempt.before-captured");
        run.append(vec![event], Durability::Synced)?;
        crash::point("attempt.after-captured");
        run.places.remove("attempts", id);
        crash::point("attempt.after-removed");
        Ok(Left { attempt: id.to_owned(), number, manifest, manifest_digest, exit, usage: said.usage })
    }
}

fn transcript(outcome: &Outcome) -> Vec<u8> {
    let mut text = outcome.stdout.bytes.clone();
    if !outcome.stderr.bytes.is_empty() {
        text.extend_from_slice(b"\n--- standard error ---\n");
        text.extend_from_slice(&outcome.stderr.bytes);
    }
    text
}

/// A file that an agent wrote: opened without following links or waiting, regular, capped. Anything else counts as
/// written wrongly.
fn read_exchanged(path: &Utf8Path) -> Option<Vec<u8>> {
    use std::io::Read as _;

    use rustix::fs::{Mode as FileMode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path.as_std_path(), flags, FileMode::empty()) {
        Ok(descriptor) => std::fs::File::from(descriptor),
        Err(rustix::io::Errno::NOENT) => return None,
        Err(_) => return Some(Vec::new()),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= REPORT_LIMIT) {
        return Some(Vec::new());
    }
    let mut bytes = Vec::new();
    match file.take(REPORT_LIMIT).read_to_end(&mut bytes) {
        Ok(_) => Some(bytes),
        Err(_) => Some(Vec::new()),
    }
}
