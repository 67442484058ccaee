//! The checker of chaos runs finds and names what it is there for: a clean run has no violations, and each planted one is
//! found.

use chaos::checker::{Promise, violations};
use chaos::facts::{EditOutcome, Ended, Facts, Fields, Foreign, Key};
use pems_simulator::{Fault, Operation, Request, WriteLog};
use rstest::rstest;
use serde_json::{Value, json};

fn fields(value: Value) -> Fields {
    value.as_object().cloned().unwrap_or_default()
}

fn key(pfa_id: &str) -> Key {
    ("RIO".to_owned(), pfa_id.to_owned())
}

fn ended(modification: &str, pfa_id: &str, status: &str, payload: Value, saw: Value) -> Ended {
    Ended {
        modification: modification.to_owned(),
        key: key(pfa_id),
        status: status.to_owned(),
        payload: fields(payload),
        saw: Some(fields(saw)),
        accepted: None,
    }
}

fn request(sequence: usize, writes: Vec<WriteLog>) -> Request {
    Request {
        sequence,
        arrived_ms: 1.0 + 10.5 * sequence as f64,
        operation: Operation::Put,
        organization: Some("RIO".to_owned()),
        writes,
        status: Some(200),
        fault: None,
    }
}

fn write(queue_id: i64, pfa_id: &str, version: i64, changes: Value) -> WriteLog {
    WriteLog {
        pfa_id: pfa_id.to_owned(),
        idempotency_key: Some(format!("{queue_id}-1")),
        version,
        changes,
        modified_by: "edith@example.com".to_owned(),
        status: 200,
    }
}

/// Two edits of record 1, between them a foreign one in PEMS; a conflict, a dead letter and a withdrawal of record
/// 2; one edit rolled back.
fn clean() -> Facts {
    let outcome = |(id, outcome): (&str, EditOutcome)| (id.to_owned(), outcome);
    let state = |(id, state): (&str, &str)| (id.to_owned(), state.to_owned());
    let record_1 = || (key("1"), fields(json!({"pfaId": "1", "model": "B", "dor": "PROJECT"})));
    let record_2 = || (key("2"), fields(json!({"pfaId": "2", "model": "A"})));
    Facts {
        edits: [
            ("m1", EditOutcome::Committed),
            ("m2", EditOutcome::Committed),
            ("m3", EditOutcome::Committed),
            ("m4", EditOutcome::Committed),
            ("m5", EditOutcome::Committed),
            ("m6", EditOutcome::RolledBack),
            ("m7", EditOutcome::Refused),
        ]
        .map(outcome)
        .into(),
        states: [("m1", "synced"), ("m2", "synced"), ("m3", "conflict"), ("m4", "sync_error"), ("m5", "draft"), ("m7", "draft")]
            .map(state)
            .into(),
        ended: [
            (1, ended("m1", "1", "completed", json!({"model": "B"}), json!({"model": "A"}))),
            (2, ended("m2", "1", "completed", json!({"dor": "PROJECT"}), json!({"dor": "FOREIGN"}))),
            (3, ended("m3", "2", "conflict", json!({"model": "C"}), json!({"model": "A"}))),
            (4, ended("m4", "2", "failed", json!({"model": "D"}), json!({"model": "A"}))),
            (5, ended("m5", "2", "withdrawn", json!({"model": "E"}), json!({"model": "A"}))),
        ]
        .into(),
        dead_letters: [4].into(),
        open_conflicts: vec!["m3".to_owned()],
        attempts: [(1, 1), (2, 1), (4, 4)].into(),
        synced: [1, 2].into(),
        mirror: [record_1(), record_2()].into(),
        pulled: [record_1(), record_2()].into(),
        beginning: [(key("1"), fields(json!({"pfaId": "1", "model": "A", "dor": "BEO"}))), record_2()].into(),
        pems: [record_1(), record_2()].into(),
        foreign: vec![Foreign { key: key("1"), version: 3, changes: fields(json!({"dor": "FOREIGN"})) }],
        log: vec![
            request(0, vec![write(1, "1", 1, json!({"model": "B"}))]),
            request(1, vec![write(2, "1", 3, json!({"dor": "PROJECT"}))]),
        ],
        slots: vec![0.0, 10.5],
        slot_interval: 10.5,
        ..Facts::default()
    }
}

#[test]
fn a_clean_run_has_no_violation() {
    assert_eq!(violations(&clean()), []);
}

#[rstest]
#[case::a_change_with_no_end(Promise::OneEnd, |facts: &mut Facts| { facts.states.insert("m3".into(), "committed".into()); })]
#[case::a_change_that_vanished(Promise::OneEnd, |facts: &mut Facts| { facts.states.remove("m3"); facts.ended.remove(&3); })]
#[case::a_change_still_queued(Promise::OneEnd, |facts: &mut Facts| facts.live.push("m1".into()))]
#[case::a_change_with_two_ends(Promise::OneEnd, |facts: &mut Facts| facts.open_conflicts.push("m1".into()))]
#[case::a_conflict_that_nobody_is_asked_about(Promise::OneEnd, |facts: &mut Facts| facts.open_conflicts.clear())]
#[case::a_dead_letter_that_is_missing(Promise::OneEnd, |facts: &mut Facts| facts.dead_letters.clear())]
#[case::a_rolled_back_edit_that_lives(Promise::OneEnd, |facts: &mut Facts| { facts.states.insert("m6".into(), "draft".into()); })]
#[case::a_refused_edit_that_was_queued(Promise::OneEnd, |facts: &mut Facts| {
    facts.ended.insert(6, ended("m7", "2", "withdrawn", json!({}), json!({})));
})]
#[case::a_queue_row_of_nobody(Promise::OneEnd, |facts: &mut Facts| {
    facts.ended.insert(6, ended("m8", "2", "withdrawn", json!({}), json!({})));
})]
#[case::a_lost_edit(Promise::NothingLost, |facts: &mut Facts| {
    facts.log.remove(1);
})]
#[case::a_write_without_one_of_its_values(Promise::NothingLost, |facts: &mut Facts| {
    facts.ended.get_mut(&2).unwrap().payload.insert("model".into(), json!("Z"));
})]
#[case::a_double_write(Promise::NothingTwice, |facts: &mut Facts| {
    facts.log[1].writes.push(write(1, "1", 4, json!({"model": "B"})));
    facts.attempts.insert(1, 2);
})]
#[case::a_version_that_was_made_twice(Promise::NothingTwice, |facts: &mut Facts| {
    facts.log[1].writes[0].version = 2;
})]
#[case::a_withdrawn_change_that_pems_applied(Promise::NothingUnsaid, |facts: &mut Facts| {
    facts.log[1].writes.push(write(5, "2", 1, json!({"model": "E"})));
    facts.attempts.insert(5, 1);
})]
#[case::a_write_of_no_queue_row(Promise::NothingUnsaid, |facts: &mut Facts| {
    facts.log[1].writes.push(write(9, "2", 1, json!({"model": "E"})));
})]
#[case::an_order_break(Promise::Order, |facts: &mut Facts| {
    facts.log[0].writes[0].version = 4;
    facts.foreign[0].version = 2;
    facts.log[1].writes[0].version = 2;
})]
#[case::a_foreign_value_overwritten_unseen(Promise::NothingOverwritten, |facts: &mut Facts| {
    facts.ended.get_mut(&2).unwrap().saw = Some(fields(json!({"dor": "BEO"})));
})]
#[case::a_foreign_value_overwritten_by_one_who_saw_nothing_known(Promise::NothingOverwritten, |facts: &mut Facts| {
    facts.ended.get_mut(&2).unwrap().saw = None;
})]
#[case::a_mirror_that_strayed(Promise::Agreement, |facts: &mut Facts| {
    facts.mirror.get_mut(&key("1")).unwrap().insert("model".into(), json!("A"));
})]
#[case::a_pull_that_mends_nothing(Promise::Agreement, |facts: &mut Facts| {
    facts.pulled.get_mut(&key("2")).unwrap().insert("model".into(), json!("Z"));
})]
#[case::a_record_that_the_mirror_lost(Promise::Agreement, |facts: &mut Facts| { facts.pulled.remove(&key("2")); })]
#[case::a_missing_audit_row(Promise::Audited, |facts: &mut Facts| { facts.attempts.remove(&2); })]
#[case::a_missing_confirmation_in_the_log(Promise::Audited, |facts: &mut Facts| { facts.synced.remove(&2); })]
#[case::an_extra_slot(Promise::Pace, |facts: &mut Facts| facts.slots.insert(1, 5.0))]
#[case::a_request_without_a_slot(Promise::Pace, |facts: &mut Facts| {
    facts.log.push(Request { arrived_ms: 15.0, ..request(2, Vec::new()) });
})]
#[case::a_request_before_its_slot(Promise::Pace, |facts: &mut Facts| facts.slots[1] = 40.0)]
#[case::a_request_long_after_its_slot(Promise::Pace, |facts: &mut Facts| facts.log[1].arrived_ms = 10_000.0)]
#[case::an_unordered_429(Promise::Pace, |facts: &mut Facts| facts.log[1].status = Some(429))]
#[case::a_dead_letter_of_an_outage(Promise::OutageIsNoVerdict, |facts: &mut Facts| facts.verdicts.push("queue 4".into()))]
#[case::a_session_too_many(Promise::Sessions, |facts: &mut Facts| { facts.sessions.insert("relay-1-0".into(), 20); })]
#[case::a_restored_record_that_was_not_taken(Promise::Agreement, |facts: &mut Facts| {
    facts.restored.insert(key("archive-1"), fields(json!({"model": "A"})));
})]
#[case::a_broken_invariant(Promise::Invariants, |facts: &mut Facts| facts.broken.push("heads".into()))]
fn a_planted_violation_is_found_and_named(#[case] promise: Promise, #[case] violate: fn(&mut Facts)) {
    let mut facts = clean();
    violate(&mut facts);
    let found = violations(&facts);
    assert!(found.iter().any(|violation| violation.promise == promise), "{found:#?}");
}

#[test]
fn an_ordered_429_and_a_change_that_pems_held_already_are_no_violations() {
    let mut facts = clean();
    facts.slots.push(21.0);
    facts.log.push(Request { status: Some(429), fault: Some(Fault::Status(429, None)), ..request(2, Vec::new()) });
    facts.edits.insert("m9".into(), EditOutcome::Committed);
    facts.states.insert("m9".into(), "synced".into());
    facts.ended.insert(9, ended("m9", "1", "completed", json!({"model": "B"}), json!({"model": "A"})));
    facts.synced.insert(9);
    assert_eq!(violations(&facts), []);
}
