//! What a person can follow while a run goes on.
//!
//! Does not know terminals: the command line draws it.

use camino::Utf8Path;

use crate::digest::ObjectId;
use crate::fault::ExitCode;

/// Something worth telling.
#[derive(Clone, Debug)]
pub enum Note<'a> {
    RunStarted {
        feature: &'a str,
        branch: &'a str,
        head: &'a ObjectId,
        resumed: bool,
        containment: &'a str,
    },
    /// A unit's result from an earlier run holds.
    Cached {
        unit: &'a str,
    },
    AttemptStarted {
        unit: &'a str,
        number: u32,
        of: u32,
        agent: &'a str,
        model: Option<&'a str>,
    },
    /// A line of the agent's output.
    Output {
        unit: &'a str,
        line: &'a str,
    },
    Verifying {
        subject: &'a str,
        verifier: &'a str,
    },
    Verified {
        subject: &'a str,
        verifier: &'a str,
        passed: bool,
        cached: bool,
    },
    /// A verifier that waits for another one, and that one did not pass.
    NotRun {
        subject: &'a str,
        verifier: &'a str,
        why: &'a str,
    },
    AttemptFailed {
        unit: &'a str,
        number: u32,
        of: u32,
        message: &'a str,
    },
    /// A kept patch is checked again instead of paying an agent.
    Adopted {
        unit: &'a str,
        why: &'a str,
    },
    Accepted {
        unit: &'a str,
        empty: bool,
        micro_usd: Option<u64>,
    },
    Landed {
        unit: &'a str,
        commit: &'a ObjectId,
    },
    /// A unit does not go on; what to do is in the text.
    Halted {
        unit: &'a str,
        why: &'a str,
    },
    GateWaiting {
        gate: &'a str,
        page: &'a str,
        plan: &'a Utf8Path,
    },
    GatePassed {
        gate: &'a str,
    },
    GateRed {
        gate: &'a str,
        failing: &'a [String],
    },
    Warning {
        text: &'a str,
    },
    RunEnded {
        exit: ExitCode,
        reason: &'a str,
    },
}

/// Takes notes and the journal's lines as they are written.
pub trait Progress {
    fn note(&self, note: &Note<'_>);
    /// A journal line, newline included.
    fn record(&self, line: &[u8]);
}
