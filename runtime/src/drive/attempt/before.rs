//! Oracles that were prepared beforehand: each must fail before the work begins, or it would prove nothing.
//!
//! Does not judge the work; that what failed before passes afterwards is for the checks of the result.

use loop_compiler::graph::{AskCriterion, NodeKind, Oracle, Verify};

use super::super::check::{Report, Subject};
use super::super::error::DriveError;
use super::super::progress::Note;
use super::{Ended, Unit};
use crate::fault::ExitCode;
use crate::patch::Tree;
use crate::record::FailureClass;
use crate::schedule::Halt;

impl Unit<'_> {
    /// Ends a unit that has no result yet if one of its criteria, or one of its gate's, holds before the work.
    pub(super) async fn proves_nothing(&self) -> Result<Option<Ended>, DriveError> {
        if !self.run.ground.borrow().known.of(&self.node.id).is_empty() {
            return Ok(None);
        }
        for oracle in &self.node.policy.oracles {
            if !self.fails_on(&self.node.id, oracle, &self.work.start).await? {
                let reason = format!("\"{}\" holds before the work, so it would prove nothing", oracle.text);
                return self.block(FailureClass::Blocked, reason).map(Some);
            }
        }
        let Some((gate, oracles, tree)) = self.gate_to_begin() else { return Ok(None) };
        for oracle in &oracles {
            if !self.fails_on(&format!("gate:{gate}"), oracle, &tree).await? {
                let why = format!(
                    "\"{}\" of gate `{gate}` holds before its first unit, so it would prove nothing\n  Make what checks it fail without the work, or remove `before=fail`",
                    oracle.text
                );
                self.run.progress.note(&Note::Halted { unit: &self.node.id, why: &why });
                return Ok(Some(Ended::Halted(Halt::Blocked)));
            }
        }
        Ok(None)
    }

    /// The gate's oracles and the tree that its units begin with, as long as none of them has a result.
    fn gate_to_begin(&self) -> Option<(String, Vec<Oracle>, Tree)> {
        let ground = self.run.ground.borrow();
        let nodes = || ground.graph.nodes.iter().filter(|node| node.gate == self.node.gate);
        let gate = nodes().find(|node| node.kind == NodeKind::Gate)?;
        let begun = || nodes().any(|node| !ground.known.of(&node.id).is_empty());
        if gate.policy.oracles.is_empty() || begun() {
            return None;
        }
        // No unit of the gate is in this tree: it is the start tree of the gate.
        Some((gate.gate.clone(), gate.policy.oracles.clone(), Tree::clone(&self.work.start)))
    }

    /// Does one of the oracle's checks fail on this tree? After an interrupt the answer is yes: no agent starts then.
    async fn fails_on(&self, subject: &str, oracle: &Oracle, tree: &Tree) -> Result<bool, DriveError> {
        for verify in &oracle.verify {
            let expected = Verify { expect_fail: true, ..verify.clone() };
            let verify = std::slice::from_ref(&expected);
            let report = self
                .run
                .check_tree(&Subject { id: subject, start: tree, tree, criteria: &[], verify })
                .await?;
            if report.cancelled || judgeable(oracle, &report)? && report.passed() {
                return Ok(true);
            }
        }
        if oracle.predicates.is_empty() {
            return Ok(false);
        }
        let criterion = AskCriterion { text: oracle.text.clone(), predicates: oracle.predicates.clone() };
        let criteria = std::slice::from_ref(&criterion);
        let report =
            self.run.check_tree(&Subject { id: subject, start: tree, tree, criteria, verify: &[] }).await?;
        Ok(report.cancelled || judgeable(oracle, &report)? && !report.passed())
    }
}

/// True; or an error: a check that could not be judged is neither red nor green.
fn judgeable(oracle: &Oracle, report: &Report) -> Result<bool, DriveError> {
    let what = match &report.missing {
        Some(missing) => missing.clone(),
        None if report.errored => report.messages.join("; "),
        None => return Ok(true),
    };
    let message = format!("whether \"{}\" fails before the work cannot be told: {what}", oracle.text);
    Err(DriveError::refused(ExitCode::Environment, message))
}
