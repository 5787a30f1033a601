//! Folds of sample records.
//!
//! Does not know how a journal is read.

use super::*;
use crate::record::{Verdict, samples};

/// Folds events as the records 0, 1, 2... of one run.
fn fold(events: Vec<Event>) -> State {
    let records = events.into_iter().enumerate();
    let records: Vec<Record> = records.map(|(seq, event)| samples::record(seq as u64, "r", event)).collect();
    State::fold(&records)
}

fn started(unit: &str, attempt: &str, key: &str) -> Event {
    Event::AttemptStarted(samples::attempt_started(unit, attempt, key))
}

fn captured(unit: &str, attempt: &str, micro_usd: Option<u64>) -> Event {
    Event::AttemptCaptured(samples::attempt_captured(unit, attempt, micro_usd))
}

fn failed(unit: &str, attempt: &str, key: &str, signature: &str) -> Event {
    Event::AttemptFailed(samples::attempt_failed(unit, attempt, key, signature))
}

fn lost(unit: &str, attempt: &str, charged_micro_usd: u64) -> Event {
    let (feature, unit, attempt) = ("FEAT-1".to_owned(), unit.to_owned(), attempt.to_owned());
    Event::AttemptLost { feature, unit, attempt, charged_micro_usd }
}

fn accepted(unit: &str, attempt: &str, key: &str, result: &str) -> Event {
    Event::UnitAccepted(samples::unit_accepted(unit, Some(attempt), key, result))
}

#[test]
fn a_run_is_open_until_it_ended() {
    let mut events = vec![Event::RunStarted(samples::run_started())];
    let state = fold(events.clone());
    assert_eq!(state.open_run().unwrap().started.head, samples::object('a'));
    events.push(samples::run_ended());
    let state = fold(events);
    assert!(state.open_run().is_none());
    assert_eq!(state.runs()[0].ended.as_ref().unwrap().reason, "complete");
}

#[test]
fn an_attempt_is_open_then_captured_then_judged() {
    let mut events = vec![started("u", "a1", "k")];
    assert_eq!(fold(events.clone()).open_attempts().len(), 1);
    events.push(captured("u", "a1", Some(10)));
    let state = fold(events.clone());
    assert!(state.open_attempts().is_empty());
    assert_eq!(state.unit("u").unwrap().captured_attempt().unwrap().started.attempt, "a1");
    assert_eq!(state.captured_unjudged("u", "k"), Some(("a1".to_owned(), samples::blob("captured"))));
    assert_eq!(state.captured_unjudged("u", "other"), None);
    events.push(accepted("u", "a1", "k", "result"));
    let state = fold(events);
    let unit = state.unit("u").unwrap();
    assert!(unit.captured_attempt().is_none() && state.captured_attempts().is_empty());
    assert_eq!(unit.accepted_for("k").unwrap().result, samples::blob("result"));
    assert!(unit.accepted_for("other").is_none());
}

#[test]
fn lost_attempts_cost_money_and_no_try() {
    let state = fold(vec![
        started("u", "a1", "k"),
        lost("u", "a1", 500),
        started("u", "a2", "k"),
        captured("u", "a2", None),
        failed("u", "a2", "k", "same"),
        started("u", "a3", "k"),
        captured("u", "a3", Some(40)),
        failed("u", "a3", "k", "same"),
        started("v", "a4", "k"),
    ]);
    let unit = state.unit("u").unwrap();
    assert_eq!(unit.next_number("k"), 3);
    assert_eq!(unit.next_number("other"), 1);
    assert_eq!(unit.counted_failures("k"), 2);
    assert!(unit.failed_alike_twice("k"));
    assert_eq!(unit.adoptable("k").unwrap().attempt, "a3");
    assert_eq!(
        state.out_of_scope_patch("u", "k", "wider"),
        Some(("a3".to_owned(), samples::blob("captured")))
    );
    assert_eq!(state.out_of_scope_patch("u", "k", "policy"), None, "nothing about its scope changed");
    assert_eq!(state.out_of_scope_patch("v", "k", "wider"), None);
    assert_eq!(state.spent_on("u"), Spending { micro_usd: 1040, unknown: 0 });
    assert_eq!(state.spent(), Spending { micro_usd: 1540, unknown: 0 });
    assert_eq!(state.spent_in("r"), state.spent());
    assert_eq!(state.spent_in("other"), Spending::default());
    let settled: Vec<bool> = state.charges().iter().map(|charge| charge.settled).collect();
    assert_eq!(settled, [true, true, true, false]);
}

#[test]
fn an_unknown_cost_is_not_zero() {
    let mut unknown = samples::attempt_started("u", "a1", "k");
    unknown.reserved_micro_usd = 0;
    unknown.reservation_known = false;
    let state = fold(vec![Event::AttemptStarted(unknown.clone()), captured("u", "a1", None)]);
    assert_eq!(state.spent(), Spending { micro_usd: 0, unknown: 1 });
    let state = fold(vec![Event::AttemptStarted(unknown), captured("u", "a1", Some(3))]);
    assert_eq!(state.spent(), Spending { micro_usd: 3, unknown: 0 });
}

#[test]
fn a_block_holds_for_its_key_and_policy_until_an_attempt() {
    let mut events = vec![
        started("u", "a1", "k"),
        captured("u", "a1", None),
        failed("u", "a1", "k", "s"),
        Event::UnitBlocked(samples::unit_blocked("u", "k")),
    ];
    let state = fold(events.clone());
    let unit = state.unit("u").unwrap();
    assert!(unit.blocked_for("k", "policy").is_some());
    assert!(unit.blocked_for("k", "wider").is_none() && unit.blocked_for("k2", "policy").is_none());
    events.push(started("u", "a2", "k"));
    let state = fold(events);
    let unit = state.unit("u").unwrap();
    assert!(unit.block().is_none());
    assert_eq!(unit.counted_failures("k"), 0, "--redo has all its attempts again");
    assert_eq!(unit.next_number("k"), 3);
}

#[test]
fn an_intent_is_open_until_it_landed_or_is_void() {
    let mut events = vec![
        started("u", "a1", "k"),
        captured("u", "a1", None),
        accepted("u", "a1", "k", "result"),
        samples::land_intent("u", 'e', "result"),
    ];
    let state = fold(events.clone());
    assert_eq!(state.open_intents().len(), 1);
    assert_eq!(state.unit("u").unwrap().unlanded().count(), 1);
    let mut voided = events.clone();
    voided.push(samples::land_void("u", 'e'));
    let state = fold(voided);
    assert!(state.open_intents().is_empty());
    assert_eq!(state.unit("u").unwrap().unlanded().count(), 1);
    events.push(samples::landed("u", 'e', "result"));
    let state = fold(events);
    assert!(state.open_intents().is_empty());
    let unit = state.unit("u").unwrap();
    assert_eq!(unit.unlanded().count(), 0);
    assert!(unit.has_landed(&samples::blob("result")));
    assert_eq!(unit.landed_for("k").unwrap().commit, samples::object('e'));
    assert_eq!(state.landings(), unit.landings());
    assert_eq!(state.accepted_in_order()[0].landing, Some(samples::object('e')));
}

#[test]
fn only_a_verdict_that_was_reached_is_remembered() {
    let ran = |verdict, cached| Event::VerifyDone(samples::verify_done("v", verdict, cached));
    let state = fold(vec![
        ran(Verdict::Errored, None),
        ran(Verdict::Failed, None),
        ran(Verdict::Passed, None),
        ran(Verdict::Passed, Some(2)),
        ran(Verdict::Errored, None),
    ]);
    let verdict = state.verdict("v").unwrap();
    assert_eq!((verdict.seq, verdict.done.verdict), (2, Verdict::Passed));
    assert!(fold(vec![ran(Verdict::Errored, None)]).verdict("v").is_none());
}

#[test]
fn the_latest_decision_holds() {
    let first = samples::statement("g", "approved", "c", None);
    let second = samples::statement("g", "refused", "c", Some(first.digest()));
    let decided = |statements: &[&Statement]| {
        fold(statements.iter().map(|statement| samples::gate_decided((*statement).clone())).collect())
    };
    let state = decided(&[&first]);
    let gate = state.gate("g").unwrap();
    assert!(gate.is_approved("c") && !gate.is_approved("changed"));
    assert_eq!(gate.decision().unwrap().digest, first.digest());
    let state = decided(&[&first, &second]);
    assert!(!state.gate("g").unwrap().is_approved("c"));
    assert!(state.gate("h").is_none());
}

#[test]
fn output_is_the_union_of_all_landings() {
    use crate::patch::{Change, Mode, Patch};
    use crate::record::{OutputEntry, ResultObject, Signature};

    let entry = |digit| Some(Entry { mode: Mode::File, object: samples::object(digit) });
    let result = |changes: Vec<(&str, Option<Entry>, Option<Entry>)>, output: Vec<(&str, Option<Entry>)>| {
        let change = |(path, before, after): (&str, _, _)| Change {
            path: path.to_owned(),
            before,
            after,
            content: None,
        };
        ResultObject {
            v: 1,
            feature: "FEAT-1".to_owned(),
            unit: "u".to_owned(),
            key: "k".to_owned(),
            patch: Patch { changes: changes.into_iter().map(change).collect() },
            output: output
                .into_iter()
                .map(|(path, entry)| OutputEntry { path: path.to_owned(), entry })
                .collect(),
            message: String::new(),
            author: Signature { name: String::new(), email: String::new() },
            time_s: 0,
            trailers: Vec::new(),
            verdicts: Vec::new(),
        }
    };
    use crate::patch::Entry;
    let first = result(vec![("a", None, entry('1')), ("b", None, entry('2'))], vec![]);
    let second = result(vec![("b", entry('2'), None)], vec![("a", entry('1')), ("b", None)]);
    let all = output([&first, &second]);
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("a".to_owned(), entry('1')), ("b".to_owned(), None)]);
}

#[test]
fn every_kind_can_be_folded_even_out_of_place() {
    for event in samples::events() {
        assert_eq!(fold(vec![event]).records(), 1);
    }
    let manual = fold(samples::events());
    assert!(manual.manual_done("look", "k2") && !manual.manual_done("look", "k"));
    assert_eq!(manual.tamperings().len(), 1);
    assert!(manual.gate("answers").unwrap().has_passed("closure"));
    assert!(manual.attempt("a1").is_some());
}
