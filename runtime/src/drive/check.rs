//! Verifies a tree: looks a verdict up by its key, or runs the verifier on a clean export.
//!
//! Does not know whether the tree is a unit's or a gate's, and believes nothing that an agent said.

use std::collections::BTreeSet;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::glob::PatternSet;
use loop_compiler::graph::{
    AskCriterion, Check, Command, Isolation, Network, Predicate, Tool, VerifierDef, Verify, VerifyKeyInputs,
    verify_key,
};

use super::command::{run_in, run_prepare};
use super::error::DriveError;
use super::place::Place;
use super::progress::Note;
use super::{Run, nonce};
use crate::crash;
use crate::digest::{ObjectId, Sha256};
use crate::fault::ExitCode;
use crate::journal::Durability;
use crate::patch::Tree;
use crate::process::{Captured, End, Limits, Outcome, Shim, resolve_program};
use crate::record::{Event, Evidence, ResultVerdict, Verdict, VerifyDone};
use crate::store::secrets;
use crate::work::predicate::{Held, View, holds};
use crate::work::verify::{Judged, excerpt, judge};
use crate::workspace::tree_id;

/// What is kept of a verifier's output as evidence.
const EVIDENCE: usize = 32 * 1024;
/// Stands for the end of a command that had no directory to run in: no program ends so, and no check can list it.
const NO_DIRECTORY: i32 = 256;

/// What came of checking a tree.
#[derive(Default)]
pub(super) struct Report {
    pub verdicts: Vec<ResultVerdict>,
    /// Sorted ids: `verifier: failure`.
    pub failures: Vec<String>,
    /// One line a failure, for people.
    pub messages: Vec<String>,
    pub evidence: Vec<Evidence>,
    /// (name, text) for the next attempt's prompt.
    pub excerpts: Vec<(String, String)>,
    /// Something could not be judged at all.
    pub errored: bool,
    pub cancelled: bool,
    /// Everything was found by key; nothing ran.
    pub cached: bool,
    /// Records that name where a verdict that was found really ran, for the append that uses it.
    pub found: Vec<Event>,
    /// The environment's fault: a program that is not there. It says nothing about the work.
    pub missing: Option<String>,
    /// Number of things that were checked.
    pub checked: usize,
}

impl Report {
    pub(super) fn passed(&self) -> bool {
        self.failures.is_empty() && !self.errored && !self.cancelled
    }
}

/// What is checked, on which trees.
pub(super) struct Subject<'a> {
    /// A unit's id or `gate:ID`.
    pub id: &'a str,
    pub start: &'a Tree,
    pub tree: &'a Tree,
    pub criteria: &'a [AskCriterion],
    pub verify: &'a [Verify],
}

impl Run {
    /// Judges criteria and runs verifiers, all of them: one run reports every failure.
    pub(super) async fn check_tree(&self, subject: &Subject<'_>) -> Result<Report, DriveError> {
        let mut report = Report { cached: true, ..Report::default() };
        let id = tree_id(subject.tree);
        for criterion in subject.criteria {
            for predicate in &criterion.predicates {
                self.criterion(subject, &id, criterion, predicate, &mut report).await?;
            }
        }
        // Verifiers that did not do what was expected of them.
        let mut bad: BTreeSet<&str> = BTreeSet::new();
        for (verify, definition) in self.in_order_of_needs(subject.verify)? {
            if let Some(needed) = definition.needs.iter().find(|needed| bad.contains(needed.as_str())) {
                let why = format!("did not run: `{needed}`, which it needs, did not pass");
                self.progress.note(&Note::NotRun {
                    subject: subject.id,
                    verifier: &verify.verifier,
                    why: &why,
                });
                report.messages.push(format!("`{}` {why}", verify.verifier));
                bad.insert(&verify.verifier);
                continue;
            }
            let seen = seen_by(&definition, subject.tree)?;
            let (tree, id) = match &seen {
                Some(seen) => (seen, tree_id(seen)),
                None => (subject.tree, id.clone()),
            };
            let (done, judged) =
                self.verdict(subject.id, &verify.check, &definition, &id, tree, verify.expect_fail).await?;
            report.checked += 1;
            if !self.note_verdict(&mut report, verify, done, judged) {
                bad.insert(&verify.verifier);
            }
            if report.cancelled {
                break;
            }
        }
        report.failures.sort();
        Ok(report)
    }

    /// The verifiers with their definitions, each behind those that it needs; otherwise as they stand in the graph.
    fn in_order_of_needs<'v>(
        &self,
        verify: &'v [Verify],
    ) -> Result<Vec<(&'v Verify, VerifierDef)>, DriveError> {
        let ground = self.ground.borrow();
        let internal = |message: String| DriveError::refused(ExitCode::Internal, message);
        let mut waiting: Vec<(&Verify, VerifierDef)> = Vec::new();
        for verify in verify {
            let definition = ground.graph.verifiers.iter().find(|def| def.id == verify.verifier).cloned();
            let definition = definition.ok_or_else(|| {
                internal(format!("the graph has no definition of verifier `{}`", verify.verifier))
            })?;
            waiting.push((verify, definition));
        }
        let mut ordered = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let ready = waiting.iter().position(|(_, definition)| {
                definition.needs.iter().all(|need| !waiting.iter().any(|(other, _)| other.verifier == *need))
            });
            let ready = ready.ok_or_else(|| internal("the graph's verifiers need each other".into()))?;
            ordered.push(waiting.remove(ready));
        }
        Ok(ordered)
    }

    async fn criterion(
        &self,
        subject: &Subject<'_>,
        id: &ObjectId,
        criterion: &AskCriterion,
        predicate: &Predicate,
        report: &mut Report,
    ) -> Result<(), DriveError> {
        report.checked += 1;
        let held = self.holds(subject.start, subject.tree, predicate);
        let reason = match (held, predicate) {
            (Held::Yes, _) => return Ok(()),
            (Held::No(reason), _) => reason,
            (Held::Command, Predicate::Command(check)) => {
                let definition = criterion_verifier(&criterion.text, check);
                let (done, judged) =
                    self.verdict(subject.id, check, &definition, id, subject.tree, false).await?;
                let verify =
                    Verify { verifier: definition.id.clone(), check: check.clone(), expect_fail: false };
                self.note_verdict(report, &verify, done, judged);
                return Ok(());
            }
            (Held::Command, _) => return Ok(()),
        };
        report.failures.push(format!("criterion: {}", criterion.text));
        report.messages.push(format!("\"{}\" does not hold: {reason}", criterion.text));
        Ok(())
    }

    pub(super) fn holds(&self, start: &Tree, end: &Tree, predicate: &Predicate) -> Held {
        let ground = self.ground.borrow();
        let read = |path: &str| ground.repository.read(end, path, ground.store.as_ref()).ok().flatten();
        holds(predicate, &View { start, end, read: &read })
    }

    /// Puts a verdict into the report. Is it the one that was expected?
    fn note_verdict(
        &self,
        report: &mut Report,
        verify: &Verify,
        done: VerifyDone,
        judged: Option<Judged>,
    ) -> bool {
        let good = match (done.verdict, verify.expect_fail) {
            (Verdict::Passed, false) | (Verdict::Failed, true) => true,
            (Verdict::Passed, true) | (Verdict::Failed, false) => false,
            (Verdict::Errored, _) => {
                report.errored = true;
                false
            }
        };
        report.cached &= done.cached_from.is_some();
        if done.cached_from.is_some() {
            report.found.push(Event::VerifyDone(done.clone()));
        }
        if judged.as_ref().is_some_and(|judged| judged.environment) {
            report.missing = judged.as_ref().map(|judged| format!("`{}` {}", done.verifier, judged.message));
        }
        report.verdicts.push(ResultVerdict {
            verifier: done.verifier.clone(),
            key: done.key.clone(),
            verdict: done.verdict,
        });
        self.progress.note(&Note::Verified {
            subject: &done.subject,
            verifier: &done.verifier,
            passed: good,
            cached: done.cached_from.is_some(),
        });
        if done.flaked > 0 && done.cached_from.is_none() {
            let text = format!(
                "`{}` is flaky: it failed {} before it passed on the same tree",
                done.verifier,
                match done.flaked {
                    1 => "once".to_owned(),
                    times => format!("{times} times"),
                }
            );
            self.progress.note(&Note::Warning { text: &text });
        }
        if good {
            return true;
        }
        let why = match (&judged, verify.expect_fail && done.verdict == Verdict::Passed) {
            (_, true) => "passed, and was expected to fail".to_owned(),
            (Some(judged), _) if !judged.message.is_empty() => judged.message.clone(),
            // Found again: the words of the run that judged this tree are gone, its exit code is not.
            _ => match done.exit {
                Some(code) => format!("exited with {code}, as it did on the same tree before"),
                None => "did not pass, as on the same tree before".to_owned(),
            },
        };
        let ids = if done.failures.is_empty() { vec![why.clone()] } else { done.failures.clone() };
        report.failures.extend(ids.iter().map(|failure| format!("{}: {failure}", done.verifier)));
        report.messages.push(format!("`{}` {why}", done.verifier));
        if self.cancel.is_cancelled() {
            report.cancelled = true;
        }
        if let Some(blob) = done.output {
            let text = self.ground.borrow().store.get_salted(&blob).unwrap_or_default();
            report.evidence.push(Evidence { name: done.verifier.clone(), blob, bytes: text.len() as u64 });
            report.excerpts.push((done.verifier, String::from_utf8_lossy(&text).into_owned()));
        }
        false
    }

    /// The verdict of one check on one tree, from the journal or by running it.
    async fn verdict(
        &self,
        subject: &str,
        check: &Check,
        definition: &VerifierDef,
        tree_id: &ObjectId,
        tree: &Tree,
        expect_fail: bool,
    ) -> Result<(VerifyDone, Option<Judged>), DriveError> {
        let key = self.key_of(check, definition, tree_id).await?;
        let cached = self.state.borrow().verdict(&key).map(|ran| (ran.seq, ran.done.clone()));
        // A verdict that stands in the way is worth another run: a flaky verifier must not close a gate for good.
        let good = if expect_fail { Verdict::Failed } else { Verdict::Passed };
        let cached = cached.filter(|(_, done)| done.verdict == good);
        if let Some((seq, done)) = cached {
            let done = VerifyDone {
                subject: subject.to_owned(),
                verifier: definition.id.clone(),
                cached_from: Some(seq),
                ..done
            };
            return Ok((done, None));
        }
        self.progress.note(&Note::Verifying { subject, verifier: &definition.id });
        crash::point("verify.before-run");
        let mut outcome = self.run_check(check, definition, tree).await?;
        let mut judged = judge(check, &outcome);
        // A failure is believed when it comes again. What could not be judged says nothing, and a test that is
        // expected to fail has done so.
        let mut flaked = 0;
        while judged.verdict == Verdict::Failed && flaked < definition.retries && !expect_fail {
            flaked += 1;
            self.progress.note(&Note::Verifying { subject, verifier: &definition.id });
            outcome = self.run_check(check, definition, tree).await?;
            judged = judge(check, &outcome);
        }
        if judged.verdict != Verdict::Passed {
            flaked = 0;
        }
        let output = match judged.verdict {
            Verdict::Passed => None,
            _ => Some(self.keep_output(&outcome)?),
        };
        let done = VerifyDone {
            feature: self.feature(),
            subject: subject.to_owned(),
            verifier: definition.id.clone(),
            tree: tree_id.clone(),
            key,
            verdict: judged.verdict,
            failures: judged.failures.clone(),
            exit: judged.exit,
            signal: judged.signal,
            output,
            cached_from: None,
            flaked,
            containment: self.places.detected().containment.as_str().to_owned(),
            path: self.places.path(),
            duration_ms: outcome.duration.as_millis() as u64,
        };
        if outcome.end != End::Cancelled {
            self.ground.borrow().store.sync_pending()?;
            crash::point("verify.before-append");
            self.append(vec![Event::VerifyDone(done.clone())], Durability::Lazy)?;
            crash::point("verify.after-append");
        }
        Ok((done, Some(judged)))
    }

    fn keep_output(&self, outcome: &Outcome) -> Result<Sha256, DriveError> {
        let mut text = outcome.stdout.bytes.clone();
        if !outcome.stderr.bytes.is_empty() {
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text.extend_from_slice(&outcome.stderr.bytes);
        }
        let cut = excerpt(&text, EVIDENCE);
        let (masked, _) = secrets::mask(&cut);
        Ok(self.ground.borrow().store.put_salted(&masked)?)
    }

    /// Runs a check on a clean export of the tree, prepared as the plan says.
    async fn run_check(
        &self,
        check: &Check,
        definition: &VerifierDef,
        tree: &Tree,
    ) -> Result<Outcome, DriveError> {
        let place = self.places.make("checks", &nonce()?)?;
        let result = async {
            {
                let ground = self.ground.borrow();
                self.places.export(&place, &ground.repository, tree, ground.store.as_ref())?;
            }
            self.prepare_place(&place).await?;
            let profile = {
                let ground = self.ground.borrow();
                let sandbox = &ground.graph.verifier_sandbox;
                self.places.as_the_plan_says(
                    self.places.verifier_profile(&place),
                    sandbox,
                    &ground.repository,
                )?
            };
            run_in(&self.places, &place, profile, check, definition, &self.cancel).await
        }
        .await;
        self.places.remove("checks", &place.nonce);
        result
    }

    /// Makes a new worktree ready: private copies of what is shared, then the plan's `prepare`.
    pub(super) async fn prepare_place(&self, place: &Place) -> Result<(), DriveError> {
        let worktree = self.ground.borrow().graph.worktree.clone();
        if !worktree.share.is_empty() {
            let master = self.prepared().await?;
            self.places.share(&master, place, &worktree.share)?;
        }
        run_prepare(&self.places, place, &worktree.prepare, &self.cancel).await
    }

    /// The prepared worktree of this run's base, made when it is first needed: one for each base tree and command.
    async fn prepared(&self) -> Result<Utf8PathBuf, DriveError> {
        let (worktree, base) = {
            let ground = self.ground.borrow();
            (ground.graph.worktree.clone(), ground.base_tree.clone())
        };
        let key = Sha256::of(format!("{}\n{:?}", tree_id(&base), worktree).as_bytes()).to_string();
        let key = &key[..16];
        let ready = self.places.dir_of("prepared", key).join("ready");
        let place = self.places.make("prepared", key)?;
        if ready.exists() {
            return Ok(place.worktree);
        }
        // Two units may need it at once: the second waits.
        let _turn = self.preparing.lock().await;
        if ready.exists() {
            return Ok(place.worktree);
        }
        self.places.remove("prepared", key);
        let place = self.places.make("prepared", key)?;
        {
            let ground = self.ground.borrow();
            self.places.export(&place, &ground.repository, &base, ground.store.as_ref())?;
        }
        run_prepare(&self.places, &place, &worktree.prepare, &self.cancel).await?;
        if self.cancel.is_cancelled() {
            // It may have been ended half way: the next run makes it anew.
            return Ok(place.worktree);
        }
        for old in self.places.existing("prepared").into_iter().filter(|old| old != key) {
            self.places.remove("prepared", &old);
        }
        std::fs::write(&ready, b"").map_err(DriveError::io(format!("write {ready}")))?;
        Ok(place.worktree)
    }

    async fn key_of(
        &self,
        check: &Check,
        definition: &VerifierDef,
        tree: &ObjectId,
    ) -> Result<String, DriveError> {
        let mut tools = Vec::new();
        for command in &definition.tools {
            tools.push(self.tool(command).await?);
        }
        // What runs is part of the key also if the plan names no tool: another compiler is another verdict.
        if let Command::Run(words) = &check.command
            && let Some(program) = words.first()
            && let Some(binary) = self.binary(program)?
        {
            tools.push(Tool { command: vec![program.clone()], output: String::new(), binary });
        }
        let worktree = self.ground.borrow().graph.worktree.clone();
        let mut prepare = (!worktree.prepare.is_empty()).then(|| worktree.prepare.join("\u{0}"));
        if !worktree.share.is_empty() {
            // What is shared was made from the base.
            let base = tree_id(&self.ground.borrow().base_tree);
            prepare =
                Some(format!("{}\n{}\n{base}", prepare.unwrap_or_default(), worktree.share.join("\u{0}")));
        }
        let inputs = VerifyKeyInputs {
            check,
            tree: tree.as_str(),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            env: definition.env.iter().map(|name| (name.clone(), self.places.variable(name))).collect(),
            tools,
            prepare,
            // Unconfined it cannot be taken away, and a verdict got with it is another one.
            network: !self.places.detected().containment.is_confined()
                || self.ground.borrow().graph.verifier_sandbox.network == Some(Network::Allow),
            cwd: definition.cwd.as_deref(),
        };
        Ok(verify_key(&inputs).key)
    }

    /// Digest of the program that a name leads to on this machine; `None` if it lies in the tree, whose id is keyed.
    fn binary(&self, program: &str) -> Result<Option<String>, DriveError> {
        if program.contains('/') && !program.starts_with('/') {
            return Ok(None);
        }
        let Some(path) = resolve_program(program, &self.places.path()) else { return Ok(None) };
        if let Some(digest) = self.binaries.borrow().get(path.as_str()) {
            return Ok(Some(digest.clone()));
        }
        let digest = digest_file(&path).map_err(DriveError::io(format!("read {path}")))?;
        self.binaries.borrow_mut().insert(path.into_string(), digest.clone());
        Ok(Some(digest))
    }

    /// What a tool is on this machine: asked once in a run.
    async fn tool(&self, command: &[String]) -> Result<Tool, DriveError> {
        if let Some(tool) = self.tools.borrow().get(command) {
            return Ok(tool.clone());
        }
        let place = self.places.make("checks", &nonce()?)?;
        std::fs::create_dir_all(&place.worktree)
            .map_err(DriveError::io(format!("make {}", place.worktree)))?;
        let env = self.places.environment(&place, &[]);
        let limits = Limits { total: Some(Duration::from_secs(60)), ..Limits::default() };
        let spec = self.places.command(
            &place,
            command,
            env,
            "/dev/null".into(),
            limits,
            self.places.with_program(self.places.verifier_profile(&place), command),
        );
        let outcome = Shim::start(spec).await?.go(None, self.cancel.clone()).await;
        self.places.remove("checks", &place.nonce);
        let outcome = outcome?;
        let binary = match command.first() {
            Some(program) => self.binary(program)?.unwrap_or_default(),
            None => String::new(),
        };
        let mut output = outcome.stdout.text();
        output.push_str(&outcome.stderr.text());
        let tool = Tool { command: command.to_vec(), output, binary };
        self.tools.borrow_mut().insert(command.to_vec(), tool.clone());
        Ok(tool)
    }
}

/// SHA-256 of a file, read in pieces.
fn digest_file(path: &Utf8Path) -> std::io::Result<String> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut Hashing(&mut hasher))?;
    Ok(Sha256(hasher.finalize().into()).to_string())
}

struct Hashing<'h>(&'h mut sha2::Sha256);

impl std::io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        sha2::Digest::update(self.0, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A criterion's own command, as a verifier without a name in the plan.
pub(super) fn criterion_verifier(text: &str, check: &Check) -> VerifierDef {
    VerifierDef {
        id: format!("\"{text}\""),
        check: check.clone(),
        broad: false,
        inputs: Vec::new(),
        env: Vec::new(),
        tools: Vec::new(),
        timeout: Default::default(),
        cwd: None,
        needs: Vec::new(),
        writes: Vec::new(),
        isolation: Isolation::Off,
        retries: 0,
        known_failures: Vec::new(),
    }
}

/// What a verifier sees of a tree, if that is not all of it.
fn seen_by(definition: &VerifierDef, tree: &Tree) -> Result<Option<Tree>, DriveError> {
    if definition.isolation != Isolation::Enforce {
        return Ok(None);
    }
    let inputs = PatternSet::parse(&definition.inputs).map_err(|problem| {
        let message = format!("the inputs of verifier `{}` cannot be read: {problem}", definition.id);
        DriveError::refused(ExitCode::Internal, message)
    })?;
    let files = tree
        .files
        .iter()
        .filter(|(path, _)| std::str::from_utf8(path).is_ok_and(|path| inputs.matches(path)));
    Ok(Some(Tree { files: files.map(|(path, file)| (path.clone(), file.clone())).collect() }))
}

/// The end of a check whose directory is not in the tree: a failure of the work, as with any file that is missing.
pub(super) fn no_directory(cwd: &str) -> Outcome {
    let message = format!("`{cwd}`, where it is to run, is no directory of the tree\n");
    Outcome {
        end: End::Exited(NO_DIRECTORY),
        stdout: Captured::default(),
        stderr: Captured { bytes: message.into_bytes(), ..Captured::default() },
        duration: Duration::ZERO,
        tree_empty: true,
    }
}
