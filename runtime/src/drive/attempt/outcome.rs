//! Steps 7 to 9 of an attempt: the captured patch is judged, and becomes a result or a recorded failure.
//!
//! Does not start agents; what it judges may come from an attempt of an earlier run.

use std::time::{SystemTime, UNIX_EPOCH};

use loop_compiler::glob::Pattern;
use loop_compiler::graph::Node;
use loop_compiler::plan::values::may_write_plan_file;

use super::super::allow::writes_line;
use super::super::check::{Report, Subject};
use super::super::error::DriveError;
use super::super::jcs;
use super::super::judge::{outside, quoted_list};
use super::super::progress::Note;
use super::{EXCERPT, Ended, Left, Tried, Unit, Verified, fields_json};
use crate::journal::Durability;
use crate::patch::{Patch, Tree};
use crate::record::{
    AttemptFailed, CapturedManifest, Event, Evidence, FailureClass, OutputEntry, RECORD_VERSION,
    ResultObject, ResultVerdict, Signature,
};
use crate::schedule::Halt;
use crate::work::prompt::Failure;
use crate::work::verify::excerpt;

impl Unit<'_> {
    /// Steps 7 to 9: everything that is judged from the captured patch alone.
    pub(super) async fn judge(&self, left: &Left) -> Result<Tried, DriveError> {
        if let Some(reason) = &left.exit.blocked {
            let told = Failure {
                message: format!("the agent reported blocked: {reason}"),
                evidence: Vec::new(),
                kept: false,
            };
            let failed = self.failed(
                left,
                FailureClass::Blocked,
                std::slice::from_ref(reason),
                &told,
                Vec::new(),
                false,
            );
            return Ok(match self.block_after(vec![failed], FailureClass::Blocked, told.message)? {
                Ended::Halted(halt) => Tried::Halted(halt),
                Ended::Verified(verified) => Tried::Passed(verified),
            });
        }
        if let Some(class) = left.exit.failure {
            let message = left.exit.message.clone().unwrap_or_default();
            let counted =
                !matches!(class, FailureClass::RateLimited | FailureClass::Auth | FailureClass::Environment);
            return self.fail_with(left, class, &[], message, Report::default(), counted);
        }
        let out = outside(&left.manifest.patch, self.node);
        if !out.is_empty() {
            let mut message = format!("it changed what it may not: {}", quoted_list(&out));
            let (protected, free): (Vec<String>, Vec<String>) =
                out.iter().cloned().partition(|path| self.is_protected(path));
            if !protected.is_empty() {
                message.push_str(&format!(
                    "\n  Nobody may write {}: it is protected, or the plan itself.",
                    quoted_list(&protected)
                ));
                return self.fail_with(
                    left,
                    FailureClass::OutOfScope,
                    &out,
                    message,
                    Report::default(),
                    true,
                );
            }
            message.push_str(&format!("\n    {}", writes_line(&free)));
            message.push_str(
                "\n  The patch is kept: with that line in the unit it is checked again and no agent is paid.",
            );
            return self.fail_with(left, FailureClass::OutOfScope, &out, message, Report::default(), true);
        }
        if let Some(message) = self.stray_links(&left.manifest.patch)? {
            return self.fail_with(left, FailureClass::OutOfScope, &[], message, Report::default(), true);
        }
        let rerun = self.run.ground.borrow().holds_earlier(&self.node.id, &self.work.start);
        let looks_only = self.node.scope.writes.is_empty() && self.node.scope.creates.is_empty();
        if left.manifest.patch.changes.is_empty() && !rerun && !looks_only {
            let message = "it changed nothing".to_owned();
            return self.fail_with(left, FailureClass::EmptyDiff, &[], message, Report::default(), true);
        }
        self.verify(left).await
    }

    fn is_protected(&self, path: &str) -> bool {
        let ground = self.run.ground.borrow();
        let protect = &ground.graph.protect;
        let kind = &self.node.policy.work_kind;
        let mut patterns = protect.iter().filter_map(|text| Pattern::parse(text).ok());
        !may_write_plan_file(path, kind) || patterns.any(|pattern| pattern.matches(path))
    }

    /// New links end inside the unit's own scope; one that does not would let a later write through it escape.
    fn stray_links(&self, patch: &Patch) -> Result<Option<String>, DriveError> {
        let mut tree = Tree::clone(&self.work.start);
        if tree.apply(patch).is_err() {
            return Ok(None);
        }
        let ground = self.run.ground.borrow();
        let scope = super::super::judge::Scope::of(self.node);
        let stray: Vec<String> = ground
            .repository
            .links(patch, &tree, ground.store.as_ref())?
            .into_iter()
            .filter(|link| !link.leads_to.as_deref().is_some_and(|end| scope.allows(end)))
            .map(|link| match link.leads_to {
                Some(end) => format!("{} -> {end}", link.path),
                None => link.path,
            })
            .collect();
        Ok((!stray.is_empty())
            .then(|| format!("a symbolic link leads out of what it may change: {}", quoted_list(&stray))))
    }

    async fn verify(&self, left: &Left) -> Result<Tried, DriveError> {
        let mut tree = Tree::clone(&self.work.start);
        super::super::judge::apply(&mut tree, &left.manifest.patch, &self.node.id)?;
        if let Some(ended) = self.stop_after(left, &tree).await? {
            return Ok(ended);
        }
        let report = self.check(&tree).await?;
        if report.cancelled {
            return Ok(Tried::Halted(Halt::Waiting));
        }
        // The patch stays captured: it is judged when the program is there, and no agent is paid for that.
        if let Some(missing) = &report.missing {
            self.run.progress.note(&Note::Halted { unit: &self.node.id, why: missing });
            return Ok(Tried::Halted(Halt::Environment));
        }
        if !report.passed() {
            let ids = report.failures.clone();
            let message = report.messages.join("; ");
            return self.fail_with(left, FailureClass::VerifyFailed, &ids, message, report, true);
        }
        let verified = self.result(
            &left.manifest.patch,
            report.verdicts,
            Some(left.attempt.clone()),
            left.usage.micro_usd,
            None,
        )?;
        Ok(Tried::Passed(Box::new(Verified { found: report.found, ..verified })))
    }

    async fn stop_after(&self, left: &Left, tree: &Tree) -> Result<Option<Tried>, DriveError> {
        let Some(reason) = self.stop_that_holds(false, tree).await? else { return Ok(None) };
        let told = Failure {
            message: "a stop condition of the plan holds".into(),
            evidence: Vec::new(),
            kept: false,
        };
        let failed = self.failed(left, FailureClass::Blocked, &[], &told, Vec::new(), false);
        Ok(Some(match self.block_after(vec![failed], FailureClass::Blocked, reason)? {
            Ended::Halted(halt) => Tried::Halted(halt),
            Ended::Verified(verified) => Tried::Passed(verified),
        }))
    }

    /// Criteria, verifiers, and that what the unit creates is there.
    async fn check(&self, tree: &Tree) -> Result<Report, DriveError> {
        // A unit that runs again has its earlier result in its start tree; it changed that all the same.
        let before = {
            let ground = self.run.ground.borrow();
            ground.without(std::iter::once(self.node.id.as_str()), &self.work.start)
        };
        let subject = Subject {
            id: &self.node.id,
            start: &before,
            tree,
            criteria: &self.node.ask.criteria,
            verify: &self.node.policy.verify,
        };
        let mut report = self.run.check_tree(&subject).await?;
        for text in &self.node.scope.creates {
            let Ok(pattern) = loop_compiler::glob::Pattern::parse(text) else { continue };
            let there = tree.files.iter().any(|(path, file)| {
                let empty = file.entry.object.as_str() == EMPTY_BLOB;
                !empty && std::str::from_utf8(path).is_ok_and(|path| pattern.matches(path))
            });
            if !there {
                report.failures.push(format!("creates: {text}"));
                report.messages.push(format!("`{text}` does not exist or is empty"));
            }
        }
        Ok(report)
    }

    /// A captured patch of an earlier run. `None`: it does not pass, and the attempts go on.
    pub(super) async fn check_captured(
        &self,
        attempt: &str,
        manifest: &CapturedManifest,
    ) -> Result<Option<Ended>, DriveError> {
        let recorded = self.run.state.borrow().attempt(attempt).cloned();
        let Some(captured) = recorded.as_ref().and_then(|attempt| attempt.captured.clone()) else {
            return Ok(None);
        };
        let judged = recorded.as_ref().is_some_and(|attempt| attempt.ending.is_some());
        let mut exit = captured.exit.clone();
        if judged && exit.failure == Some(FailureClass::OutOfScope) {
            exit.failure = None;
        }
        let left = Left {
            attempt: attempt.to_owned(),
            number: recorded.as_ref().map_or(1, |attempt| attempt.started.number),
            manifest: manifest.clone(),
            manifest_digest: captured.manifest,
            exit,
            usage: captured.usage.clone(),
        };
        if judged && !super::super::judge::fits(&left.manifest.patch, self.node) {
            return Ok(None);
        }
        match self.judge(&left).await? {
            Tried::Passed(verified) => Ok(Some(Ended::Verified(verified))),
            Tried::Halted(halt) => Ok(Some(Ended::Halted(halt))),
            Tried::Failed { class, failure } => {
                let of = self.node.policy.attempts.max(1);
                self.run.progress.note(&Note::AttemptFailed {
                    unit: &self.node.id,
                    number: left.number,
                    of,
                    message: &failure.message,
                });
                match class {
                    FailureClass::Auth | FailureClass::Environment => {
                        Ok(Some(Ended::Halted(Halt::Environment)))
                    }
                    FailureClass::RateLimited | FailureClass::Budget => Ok(Some(Ended::Halted(Halt::Limit))),
                    _ => Ok(None),
                }
            }
        }
    }

    /// A commit with our trailers and no result here: verifiers run on the branch as it is; no agent does.
    pub(super) async fn check_claim(&self, output: &[OutputEntry]) -> Result<Option<Ended>, DriveError> {
        self.run.progress.note(&Note::Adopted {
            unit: &self.node.id,
            why: "a commit on the branch claims to be its result",
        });
        let tip = self.run.ground.borrow().tip_tree.clone();
        let report = self.check(&tip).await?;
        if report.cancelled {
            return Ok(Some(Ended::Halted(Halt::Waiting)));
        }
        if let Some(missing) = &report.missing {
            self.run.progress.note(&Note::Halted { unit: &self.node.id, why: missing });
            return Ok(Some(Ended::Halted(Halt::Environment)));
        }
        if !report.passed() {
            return Ok(None);
        }
        let verified = self.result(&Patch::default(), report.verdicts, None, None, Some((output, &tip)))?;
        Ok(Some(Ended::Verified(Box::new(verified))))
    }

    fn result(
        &self,
        patch: &Patch,
        verdicts: Vec<ResultVerdict>,
        attempt: Option<String>,
        micro_usd: Option<u64>,
        claimed: Option<(&[OutputEntry], &Tree)>,
    ) -> Result<Verified, DriveError> {
        let ground = self.run.ground.borrow();
        let mut output = ground.known.output(&self.node.id);
        let (claimed, tree) = claimed.unwrap_or((&[], &self.work.start));
        output.extend(claimed.iter().map(|left| (left.path.clone(), left.entry.clone())));
        // What was verified counts: an edit or a revert since its last landing is a part of this result.
        for (path, left) in &mut output {
            if ground.known.last_writer(path) == Some(self.node.id.as_str()) {
                *left = tree.entry(path).cloned();
            }
        }
        output.extend(patch.changes.iter().map(|change| (change.path.clone(), change.after.clone())));
        let person = ground.repository.user();
        let feature = ground.graph.feature.id.clone();
        let key = self.work.keyed.key.clone();
        let object = ResultObject {
            v: RECORD_VERSION,
            feature: feature.clone(),
            unit: self.node.id.clone(),
            key: key.clone(),
            patch: patch.clone(),
            output: output.into_iter().map(|(path, entry)| OutputEntry { path, entry }).collect(),
            message: message(self.node),
            author: Signature { name: person.name, email: person.email },
            time_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64),
            trailers: vec![
                ("Loop-Feature".into(), feature),
                ("Loop-Unit".into(), self.node.id.clone()),
                ("Loop-Key".into(), key),
            ],
            verdicts,
        };
        let digest = ground.store.put_pending(&jcs(&object)?)?;
        let manifest = ground.store.put_pending(&fields_json(&self.work.keyed.fields)?)?;
        Ok(Verified { object, digest, manifest, attempt, micro_usd, found: Vec::new() })
    }

    fn fail_with(
        &self,
        left: &Left,
        class: FailureClass,
        ids: &[String],
        message: String,
        report: Report,
        counted: bool,
    ) -> Result<Tried, DriveError> {
        let evidence = report
            .excerpts
            .iter()
            .map(|(name, text)| {
                (name.clone(), String::from_utf8_lossy(&excerpt(text.as_bytes(), EXCERPT)).into_owned())
            })
            .collect();
        let failure = Failure { message, evidence, kept: false };
        let failed = self.failed(left, class, ids, &failure, report.evidence, counted);
        self.run.append(vec![failed], Durability::Synced)?;
        Ok(Tried::Failed { class, failure })
    }

    fn failed(
        &self,
        left: &Left,
        class: FailureClass,
        ids: &[String],
        failure: &Failure,
        evidence: Vec<Evidence>,
        counted: bool,
    ) -> Event {
        let mut signature = format!("{class:?}");
        for id in ids {
            signature.push('\n');
            signature.push_str(id);
        }
        Event::AttemptFailed(AttemptFailed {
            feature: self.run.feature(),
            unit: self.node.id.clone(),
            attempt: left.attempt.clone(),
            key: self.work.keyed.key.clone(),
            policy: self.work.policy.clone(),
            class,
            signature: signature.chars().take(4000).collect(),
            message: failure.message.chars().take(4000).collect(),
            captured: Some(left.manifest_digest),
            evidence,
            counted,
        })
    }
}

/// Git's id of the empty blob.
const EMPTY_BLOB: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

fn message(node: &Node) -> String {
    let goal = node.ask.goal.as_deref().unwrap_or_default();
    let line = node.policy.title.as_deref().unwrap_or(goal).lines().next().unwrap_or_default().trim();
    let subject = if line.is_empty() { node.id.clone() } else { format!("{}: {line}", node.id) };
    let body = if node.policy.title.is_some() && !goal.is_empty() {
        format!("\n\n{}", goal.trim())
    } else {
        String::new()
    };
    format!("{subject}{body}")
}
