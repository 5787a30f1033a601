//! The journal's records and the objects they name, as they stand on disk (`spec/journal.md`).
//!
//! Does not know how a record is written (`journal`) or folded into a state (`state`).
//!
//! Integers only, ASCII keys, no floats, no secrets: prompts and outputs appear by salted digest.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::digest::{ObjectId, Sha256};
use crate::patch::{Entry, Patch};

/// Version of records and result objects. A reader refuses newer ones.
pub const RECORD_VERSION: u32 = 1;

/// Greatest integer that every JSON reader keeps exactly (RFC 8785, section 3.2.2.3: IEEE 754 doubles).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a value has no canonical form. All of these are mistakes of the program, never of a user.
#[derive(Debug, thiserror::Error)]
pub enum JcsError {
    #[error("a record may hold integers alone, and this one holds {0}")]
    Float(String),
    #[error("the integer {0} does not fit in 53 bits")]
    TooLarge(String),
    #[error("the key {0:?} is not ASCII")]
    Key(String),
    #[error("the value has no JSON form: {0}")]
    Shape(#[from] serde_json::Error),
}

/// The canonical JSON of a value (RFC 8785, restricted to integers and ASCII keys): what is hashed, signed
/// and stored. Keys are sorted here, whatever order `serde_json` keeps them in.
pub fn to_jcs(value: &impl Serialize) -> Result<Vec<u8>, JcsError> {
    let mut out = Vec::new();
    write_canonical(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// Recursion is bounded by the nesting of the types in this file, not by input.
fn write_canonical(value: &Value, out: &mut Vec<u8>) -> Result<(), JcsError> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => serde_json::to_writer(out, value)?,
        Value::Number(number) => {
            let magnitude = number
                .as_u64()
                .or_else(|| number.as_i64().map(i64::unsigned_abs))
                .ok_or_else(|| JcsError::Float(number.to_string()))?;
            if magnitude > MAX_INTEGER {
                return Err(JcsError::TooLarge(number.to_string()));
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            out.push(b'{');
            for (at, (key, field)) in fields.into_iter().enumerate() {
                if !key.is_ascii() {
                    return Err(JcsError::Key(key.clone()));
                }
                if at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write_canonical(field, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// One record: the value of `rec` in a journal line, `{v,seq,writer,run,time_ms,mono_ms,boot,kind,data}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub v: u32,
    /// 0-based; the order of records. Wall time is only a claim.
    pub seq: u64,
    /// Random id of the clone that wrote it.
    pub writer: String,
    pub run: String,
    pub time_ms: u64,
    /// Monotonic milliseconds since boot; comparable within one `boot`.
    pub mono_ms: u64,
    pub boot: String,
    pub event: Event,
}

/// A record on disk. `Event`'s own two fields stand beside the envelope's; serde's `flatten` would do that,
/// but it silently gives up `deny_unknown_fields`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    v: u32,
    seq: u64,
    writer: String,
    run: String,
    time_ms: u64,
    mono_ms: u64,
    boot: String,
    kind: String,
    data: Value,
}

/// The two fields of an [`Event`] that serde's adjacent tagging makes.
#[derive(Serialize, Deserialize)]
struct Tagged {
    kind: String,
    data: Value,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tagged = serde_json::to_value(&self.event).map_err(S::Error::custom)?;
        let Tagged { kind, data } = serde_json::from_value(tagged).map_err(S::Error::custom)?;
        let envelope = Envelope {
            v: self.v,
            seq: self.seq,
            writer: self.writer.clone(),
            run: self.run.clone(),
            time_ms: self.time_ms,
            mono_ms: self.mono_ms,
            boot: self.boot.clone(),
            kind,
            data,
        };
        envelope.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Record, D::Error> {
        let Envelope { v, seq, writer, run, time_ms, mono_ms, boot, kind, data } =
            Envelope::deserialize(deserializer)?;
        let tagged = serde_json::to_value(Tagged { kind, data }).map_err(D::Error::custom)?;
        let event = Event::deserialize(tagged).map_err(D::Error::custom)?;
        Ok(Record { v, seq, writer, run, time_ms, mono_ms, boot, event })
    }
}

/// What happened. `kind` names the variant, `data` holds its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", deny_unknown_fields)]
pub enum Event {
    #[serde(rename = "run.started")]
    RunStarted(RunStarted),
    #[serde(rename = "run.ended")]
    RunEnded { feature: String, exit: u8, reason: String },
    #[serde(rename = "attempt.started")]
    AttemptStarted(AttemptStarted),
    #[serde(rename = "attempt.captured")]
    AttemptCaptured(AttemptCaptured),
    #[serde(rename = "attempt.failed")]
    AttemptFailed(AttemptFailed),
    /// A started attempt whose end nobody saw: its reservation is charged.
    #[serde(rename = "attempt.lost")]
    AttemptLost { feature: String, unit: String, attempt: String, charged_micro_usd: u64 },
    #[serde(rename = "verify.done")]
    VerifyDone(VerifyDone),
    #[serde(rename = "unit.accepted")]
    UnitAccepted(UnitAccepted),
    #[serde(rename = "unit.blocked")]
    UnitBlocked(UnitBlocked),
    #[serde(rename = "land.intent")]
    LandIntent {
        feature: String,
        unit: String,
        branch: String,
        parent: ObjectId,
        commit: ObjectId,
        result: Sha256,
    },
    #[serde(rename = "landed")]
    Landed { feature: String, unit: String, branch: String, commit: ObjectId, result: Sha256 },
    #[serde(rename = "land.void")]
    LandVoid { feature: String, unit: String, branch: String, commit: ObjectId, reason: String },
    #[serde(rename = "gate.reached")]
    GateReached { feature: String, gate: String, head: ObjectId, closure: String, page: Sha256 },
    #[serde(rename = "gate.decided")]
    GateDecided { feature: String, gate: String, statement: Statement, signature: Option<String> },
    #[serde(rename = "gate.passed")]
    GatePassed { feature: String, gate: String, head: ObjectId, closure: String },
    #[serde(rename = "manual.done")]
    ManualDone { feature: String, unit: String, key: String, actor: Actor, evidence: Vec<Evidence> },
    #[serde(rename = "tampered")]
    Tampered { feature: String, unit: String, attempt: String, what: Vec<String> },
    #[serde(rename = "journal.repaired")]
    JournalRepaired { bytes: u64, moved_to: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    pub feature: String,
    /// Digest of the graph.
    pub graph: String,
    /// SHA-256 of the graph JSON in the store.
    pub graph_json: Sha256,
    /// Repository-relative path of the plan.
    pub plan: String,
    /// The name the base came from (a branch or ref), for people.
    pub base: String,
    pub branch: String,
    /// The commit that the run is pinned to.
    pub head: ObjectId,
    /// Units that were asked for again, sorted: the same command after a crash does not ask a second time.
    pub redo: Vec<String>,
    pub actor: Actor,
    pub version: String,
}

/// Who acted. Without a signature it is the operating system's user and shown as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// `os-user` (later: `human`, `ci`).
    pub kind: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptStarted {
    pub feature: String,
    pub unit: String,
    /// Random; names the attempt's directory.
    pub attempt: String,
    /// 1-based, counted over attempts that were not lost, for one key.
    pub number: u32,
    pub key: String,
    /// SHA-256 of the key's manifest (its fields) in the store: what `loop why` compares.
    pub manifest: Sha256,
    /// Git tree id of the start tree.
    pub start_tree: ObjectId,
    /// Digest of the unit's policy; a change of it lifts a block.
    pub policy: String,
    pub agent: String,
    pub model: Option<String>,
    /// Salted digest of the prompt, in the store.
    pub prompt: Sha256,
    pub reserved_micro_usd: u64,
    /// `false`: nothing is known of what it may cost.
    pub reservation_known: bool,
    /// `bwrap`, `cgroup` or `shim`; the last two are unconfined.
    pub containment: String,
    pub shim: ShimId,
}

/// Identifies the shim's process for people; the lock decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShimId {
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start: u64,
    pub boot: String,
    pub host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptCaptured {
    pub feature: String,
    pub unit: String,
    pub attempt: String,
    pub exit: Exit,
    pub usage: Usage,
    /// SHA-256 of the [`CapturedManifest`] in the store.
    pub manifest: Sha256,
    /// Salted digest of the transcript in the store.
    pub transcript: Sha256,
    /// Ignored files that were dropped.
    pub dropped: u64,
    /// Paths that the plan's `discard` threw away, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discarded: Vec<String>,
    pub duration_ms: u64,
}

/// How an agent's process ended, and what its stream said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The class of failure if the attempt already failed by itself.
    pub failure: Option<FailureClass>,
    /// Words for people.
    pub message: Option<String>,
    /// The agent's own `blocked` reason.
    pub blocked: Option<String>,
}

/// What the back end reported. `None`: it said nothing about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    pub micro_usd: Option<u64>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_read_tokens: Option<u64>,
    pub cache_write_tokens: Option<u64>,
    pub model_reported: Option<String>,
    pub session: Option<String>,
}

/// The captured end state of an attempt, in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturedManifest {
    pub v: u32,
    pub start_tree: ObjectId,
    pub patch: Patch,
    /// Why capture refused the tree, if it did.
    pub refused: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    AgentExit,
    IdleTimeout,
    Timeout,
    RateLimited,
    Auth,
    BadReport,
    OutOfScope,
    EmptyDiff,
    VerifyFailed,
    ReviewRejected,
    Blocked,
    Budget,
    Tampered,
    Environment,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptFailed {
    pub feature: String,
    pub unit: String,
    pub attempt: String,
    pub key: String,
    pub policy: String,
    pub class: FailureClass,
    /// Class and sorted failure ids, as one text.
    pub signature: String,
    /// Words for people.
    pub message: String,
    /// The captured manifest of the attempt, if there is one: adoption starts from it.
    pub captured: Option<Sha256>,
    pub evidence: Vec<Evidence>,
    /// Does it count against `attempts`?
    pub counted: bool,
}

/// A stored blob, kept for people and for the next attempt's prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub name: String,
    /// Salted digest, in the store.
    pub blob: Sha256,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyDone {
    pub feature: String,
    /// A unit's id or `gate:ID`.
    pub subject: String,
    pub verifier: String,
    /// Git tree id of what was tested.
    pub tree: ObjectId,
    /// The verify key (BLAKE3).
    pub key: String,
    pub verdict: Verdict,
    /// Sorted failure ids.
    pub failures: Vec<String>,
    pub exit: Option<i32>,
    pub signal: Option<i32>,
    /// Salted digest of the output, in the store.
    pub output: Option<Sha256>,
    /// `seq` of the record where it really ran.
    pub cached_from: Option<u64>,
    /// How often it failed on this tree before it passed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flaked: u32,
    pub containment: String,
    /// The PATH that programs were looked for in. What it leads to is keyed by the programs' digests.
    pub path: String,
    pub duration_ms: u64,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Passed,
    Failed,
    /// It could not be judged (not found, timeout, signal): never cached, never a pass.
    Errored,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitAccepted {
    pub feature: String,
    pub unit: String,
    pub key: String,
    /// SHA-256 of the key's manifest in the store.
    pub manifest: Sha256,
    /// SHA-256 of the [`ResultObject`] in the store.
    pub result: Sha256,
    /// Nothing changed: accepted, and there is nothing to land.
    pub empty: bool,
    pub attempt: Option<String>,
}

/// Everything a commit is made of; in the store. Its SHA-256 is the trailer `Loop-Result`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultObject {
    pub v: u32,
    pub feature: String,
    pub unit: String,
    pub key: String,
    pub patch: Patch,
    /// Every path that any landing of this unit touched, with the entry it left (`None`: deleted), sorted:
    /// what dependants see in their keys.
    pub output: Vec<OutputEntry>,
    /// Commit message without trailers.
    pub message: String,
    pub author: Signature,
    /// Seconds since the epoch of the acceptance; the commit takes the later of it and its parent's.
    pub time_s: i64,
    /// Without `Loop-Result`, which is this object's own digest.
    pub trailers: Vec<(String, String)>,
    pub verdicts: Vec<ResultVerdict>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputEntry {
    pub path: String,
    pub entry: Option<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultVerdict {
    pub verifier: String,
    pub key: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub name: String,
    pub email: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitBlocked {
    pub feature: String,
    pub unit: String,
    pub key: String,
    pub policy: String,
    pub reason: String,
    pub class: FailureClass,
}

/// What an approval says; these are the bytes (as RFC 8785 JSON) that a signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub v: u32,
    pub repository: String,
    pub feature: String,
    pub gate: String,
    /// `approved` or `refused`.
    pub decision: String,
    pub reason: Option<String>,
    pub head: ObjectId,
    pub closure: String,
    pub page: Sha256,
    /// SHA-256 of the previous decision's statement on this gate.
    pub previous: Option<Sha256>,
    /// `self` of the newest record at the time.
    pub checkpoint: String,
    pub role: String,
    pub actor: Actor,
}

impl Statement {
    /// SHA-256 of the statement's canonical bytes: what a signature covers and `previous` names.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&to_jcs(self).expect("a statement holds texts and one small integer alone"))
    }
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests;
