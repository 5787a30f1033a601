//! One event of each kind, for tests of whatever reads records.
//!
//! Does not know what a sensible run looks like.

use super::*;

pub(crate) fn object(digit: char) -> ObjectId {
    ObjectId(digit.to_string().repeat(40))
}

pub(crate) fn blob(name: &str) -> Sha256 {
    Sha256::of(name.as_bytes())
}

fn text(words: &str) -> String {
    words.to_owned()
}

fn feature() -> String {
    text("FEAT-1")
}

pub(crate) fn actor() -> Actor {
    Actor { kind: text("os-user"), name: text("zoë āĈЁ \"z\"\n\u{1f}\u{7f}") }
}

pub(crate) fn evidence() -> Evidence {
    Evidence { name: text("output"), blob: blob("evidence"), bytes: 8 }
}

pub(crate) fn run_started() -> RunStarted {
    RunStarted {
        feature: feature(),
        graph: text("graph"),
        graph_json: blob("graph"),
        plan: text("plan.loop.kdl"),
        base: text("main"),
        branch: text("loop/FEAT-1"),
        head: object('a'),
        redo: vec![text("handler")],
        actor: actor(),
        version: text("0.1.0"),
    }
}

pub(crate) fn attempt_started(unit: &str, attempt: &str, key: &str) -> AttemptStarted {
    AttemptStarted {
        feature: feature(),
        unit: text(unit),
        attempt: text(attempt),
        number: 1,
        key: text(key),
        manifest: blob("manifest"),
        start_tree: object('b'),
        policy: text("policy"),
        agent: text("claude"),
        model: None,
        prompt: blob("prompt"),
        reserved_micro_usd: 500,
        reservation_known: true,
        containment: text("shim"),
        shim: ShimId { pid: 7, start: 8, boot: text("boot"), host: text("host") },
    }
}

pub(crate) fn attempt_captured(unit: &str, attempt: &str, micro_usd: Option<u64>) -> AttemptCaptured {
    AttemptCaptured {
        feature: feature(),
        unit: text(unit),
        attempt: text(attempt),
        exit: Exit { code: Some(0), signal: None, failure: None, message: None, blocked: None },
        usage: Usage { micro_usd, ..Usage::default() },
        manifest: blob("captured"),
        transcript: blob("transcript"),
        dropped: 0,
        discarded: Vec::new(),
        duration_ms: 12,
    }
}

pub(crate) fn attempt_failed(unit: &str, attempt: &str, key: &str, signature: &str) -> AttemptFailed {
    AttemptFailed {
        feature: feature(),
        unit: text(unit),
        attempt: text(attempt),
        key: text(key),
        policy: text("policy"),
        class: FailureClass::OutOfScope,
        signature: text(signature),
        message: text("src/x.rs is outside the scope"),
        captured: Some(blob("captured")),
        evidence: vec![evidence()],
        counted: true,
    }
}

pub(crate) fn verify_done(key: &str, verdict: Verdict, cached_from: Option<u64>) -> VerifyDone {
    VerifyDone {
        feature: feature(),
        subject: text("handler"),
        verifier: text("test"),
        tree: object('c'),
        key: text(key),
        verdict,
        failures: vec![text("a::b")],
        exit: Some(-1),
        signal: None,
        output: Some(blob("output")),
        cached_from,
        flaked: 0,
        containment: text("shim"),
        path: text("/usr/bin:/bin"),
        duration_ms: 3,
    }
}

pub(crate) fn unit_accepted(unit: &str, attempt: Option<&str>, key: &str, result: &str) -> UnitAccepted {
    UnitAccepted {
        feature: feature(),
        unit: text(unit),
        key: text(key),
        manifest: blob("manifest"),
        result: blob(result),
        empty: false,
        attempt: attempt.map(text),
    }
}

pub(crate) fn unit_blocked(unit: &str, key: &str) -> UnitBlocked {
    UnitBlocked {
        feature: feature(),
        unit: text(unit),
        key: text(key),
        policy: text("policy"),
        reason: text("needs a person"),
        class: FailureClass::Blocked,
    }
}

pub(crate) fn land_intent(unit: &str, commit: char, result: &str) -> Event {
    Event::LandIntent {
        feature: feature(),
        unit: text(unit),
        branch: text("loop/FEAT-1"),
        parent: object('a'),
        commit: object(commit),
        result: blob(result),
    }
}

pub(crate) fn landed(unit: &str, commit: char, result: &str) -> Event {
    Event::Landed {
        feature: feature(),
        unit: text(unit),
        branch: text("loop/FEAT-1"),
        commit: object(commit),
        result: blob(result),
    }
}

pub(crate) fn land_void(unit: &str, commit: char) -> Event {
    Event::LandVoid {
        feature: feature(),
        unit: text(unit),
        branch: text("loop/FEAT-1"),
        commit: object(commit),
        reason: text("the branch moved"),
    }
}

pub(crate) fn statement(gate: &str, decision: &str, closure: &str, previous: Option<Sha256>) -> Statement {
    Statement {
        v: 1,
        repository: text("repository"),
        feature: feature(),
        gate: text(gate),
        decision: text(decision),
        reason: None,
        head: object('d'),
        closure: text(closure),
        page: blob("page"),
        previous,
        checkpoint: Sha256([0; 32]).to_string(),
        role: text("human"),
        actor: actor(),
    }
}

pub(crate) fn gate_decided(statement: Statement) -> Event {
    Event::GateDecided { feature: feature(), gate: statement.gate.clone(), statement, signature: None }
}

pub(crate) fn run_ended() -> Event {
    Event::RunEnded { feature: feature(), exit: 0, reason: text("complete") }
}

/// One of each kind, in the order of [`Event`].
pub(crate) fn events() -> Vec<Event> {
    vec![
        Event::RunStarted(run_started()),
        run_ended(),
        Event::AttemptStarted(attempt_started("handler", "a1", "k1")),
        Event::AttemptCaptured(attempt_captured("handler", "a1", Some(250))),
        Event::AttemptFailed(attempt_failed("handler", "a1", "k1", "out-of-scope src/x.rs")),
        Event::AttemptLost {
            feature: feature(),
            unit: text("handler"),
            attempt: text("a1"),
            charged_micro_usd: 500,
        },
        Event::VerifyDone(verify_done("v1", Verdict::Failed, None)),
        Event::UnitAccepted(unit_accepted("handler", Some("a1"), "k1", "result")),
        Event::UnitBlocked(unit_blocked("handler", "k1")),
        land_intent("handler", 'e', "result"),
        landed("handler", 'e', "result"),
        land_void("handler", 'e'),
        Event::GateReached {
            feature: feature(),
            gate: text("answers"),
            head: object('d'),
            closure: text("closure"),
            page: blob("page"),
        },
        gate_decided(statement("answers", "approved", "closure", None)),
        Event::GatePassed {
            feature: feature(),
            gate: text("answers"),
            head: object('d'),
            closure: text("closure"),
        },
        Event::ManualDone {
            feature: feature(),
            unit: text("look"),
            key: text("k2"),
            actor: actor(),
            evidence: vec![evidence()],
        },
        Event::Tampered {
            feature: feature(),
            unit: text("handler"),
            attempt: text("a1"),
            what: vec![text("refs/heads/main")],
        },
        Event::JournalRepaired { bytes: 3, moved_to: text("000000-r.torn-9-0") },
    ]
}

pub(crate) fn record(seq: u64, run: &str, event: Event) -> Record {
    Record {
        v: RECORD_VERSION,
        seq,
        writer: text("writer"),
        run: text(run),
        time_ms: 1_795_000_000_000 + seq,
        mono_ms: seq,
        boot: text("boot"),
        event,
    }
}
