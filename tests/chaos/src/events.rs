//! What goes wrong around the editors, drawn from the seed.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use pems_simulator::{Fault, Operation, Spelling};

use super::plan::{CONTESTED, EDITORS, Event, RECORDS, RELAYS, RESTORED_RECORDS, key, moment};

/// What gateways say in PEMS' place.
const PAGES: [(u16, &str); 9] = [
    (200, "<html>please log in</html>"),
    (200, "{}"),
    (302, ""),
    (401, "<html>please log in</html>"),
    (403, "<html>blocked</html>"),
    (404, "<html>not found</html>"),
    (404, r#"{"error": "NOT_FOUND", "message": "no route matched"}"#),
    (502, "<html>bad gateway</html>"),
    (503, "<html>maintenance</html>"),
];

pub(super) fn value(rng: &mut Rng, field: &str, text: &str) -> Value {
    if field == "monthlyRate" { json!(rng.u32(1_000..1_000_000)) } else { json!(text) }
}

pub(super) fn events(rng: &mut Rng, seconds: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    for _ in 0..seconds * 3 {
        let operation = [Operation::Batch, Operation::Batch, Operation::Put, Operation::Get, Operation::Delete, Operation::List]
            [rng.usize(..6)];
        events.push((moment(rng, seconds), Event::Fault(operation, fault(rng, operation))));
    }
    // PEMS is down for some requests: enough for tries to run out.
    for _ in 0..(seconds / 10).max(1) {
        let at = moment(rng, seconds);
        (0..rng.usize(2..8)).for_each(|_| events.push((at, Event::Fault(Operation::Batch, Fault::Status(503, None)))));
    }
    for number in 0..seconds * 4 {
        let own = EDITORS[rng.usize(..EDITORS.len())].1;
        let field = [CONTESTED[0], CONTESTED[1], CONTESTED[2], own][rng.usize(..4)];
        let value = value(rng, field, &format!("foreign-{number}"));
        events.push((moment(rng, seconds), Event::Foreign(rng.usize(..RECORDS), field, value)));
    }
    for _ in 0..seconds / 2 {
        let (at, record) = (moment(rng, seconds), rng.usize(..RECORDS));
        events.push((at, Event::Lock(record, true)));
        events.push((at + Duration::from_millis(rng.u64(300..4_000)), Event::Lock(record, false)));
    }
    for _ in 0..(seconds / 6).max(1) {
        let (at, relay) = (moment(rng, seconds), rng.usize(..RELAYS));
        events.push((at, Event::Kill(relay)));
        events.push((at + Duration::from_millis(rng.u64(0..3_000)), Event::Start(relay)));
    }
    for _ in 0..(seconds / 12).max(1) {
        let (at, relay) = (moment(rng, seconds), rng.usize(..RELAYS));
        events.push((at, Event::Stop(relay)));
        events.push((at + Duration::from_millis(rng.u64(0..1_000)), Event::Start(relay)));
    }
    for _ in 0..(seconds / 20).max(1) {
        let at = moment(rng, seconds);
        events.push((at, Event::Credentials(false)));
        let again = at + Duration::from_millis(rng.u64(100..1_500));
        // A refusal may still be on its way when the first resumes.
        events.extend([again, again + Duration::from_secs(2)].map(|at| (at, Event::Credentials(true))));
    }
    for _ in 0..(seconds / 6).max(1) {
        let at = moment(rng, seconds);
        events.push((at, Event::Gateway(Some(PAGES[rng.usize(..PAGES.len())]))));
        events.push((at + Duration::from_millis(rng.u64(100..1_500)), Event::Gateway(None)));
    }
    for _ in 0..(seconds / 8).max(1) {
        events.push((moment(rng, seconds), Event::Clock(rng.i64(-7_200_000..7_200_000))));
    }
    for number in 0..seconds {
        let record = rng.usize(..RESTORED_RECORDS);
        events.push((moment(rng, seconds), Event::Archive(record, format!("archive-{number}"))));
    }
    events.push((Duration::from_millis(rng.u64(seconds * 300..seconds * 900)), Event::Restore));
    (0..(seconds / 20).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Silence)));
    (0..(seconds / 12).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Crash)));
    (0..(seconds / 8).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Cut)));
    (0..(seconds / 10).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Pull)));
    for _ in 0..(seconds / 4).max(1) {
        let (statement, longest) = hold(rng);
        events.push((moment(rng, seconds), Event::Hold(statement, Duration::from_millis(rng.u64(100..longest)))));
    }
    for _ in 0..(seconds / 20).max(1) {
        let time = Duration::from_millis(rng.u64(50..1_500));
        events.push((moment(rng, seconds), Event::Unwatched(time)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// What is held, and for how many milliseconds at most.
fn hold(rng: &mut Rng) -> (String, u64) {
    let held = |table: &str, column: &str, rng: &mut Rng| {
        let records: Vec<String> = (0..rng.usize(1..40)).map(|_| key(rng.usize(..RECORDS)).1).collect();
        let mirrors = format!("select id from pfa_mirror where \"pfaId\" in ('{}')", records.join("', '"));
        format!("select from {table} where {column} in ({mirrors}) order by id for no key update")
    };
    match rng.u8(..6) {
        0..=2 => (held("pfa_mirror", "id", rng), 6_000),
        3 => (held("pfa_modification", "\"mirrorId\"", rng), 6_000),
        4 => ("select count(*) from pfa_sync_private.pfa_audit_log".into(), 6_000),
        _ => ("lock table pfa_modification in access exclusive mode".into(), 1_500),
    }
}

fn fault(rng: &mut Rng, operation: Operation) -> Fault {
    match rng.u8(..14) {
        0..=2 => Fault::Latency(rng.u64(..5_000)),
        3 => Fault::Status(429, rng.bool().then_some(1)),
        4 => Fault::Status(503, None),
        5 => Fault::ResetBefore,
        6 => Fault::Malformed,
        7 if operation == Operation::Batch => Fault::Partial(rng.usize(..50)),
        8 => {
            let (status, page) = PAGES[rng.usize(..PAGES.len())];
            Fault::Page(status, page.to_owned())
        }
        9..=12 => Fault::Odd(spelling(rng, operation)),
        _ => Fault::ResetAfter,
    }
}

/// An odd spelling that leaves the records as they are: what is repaired or refused of one is the business of other tests.
fn spelling(rng: &mut Rng, operation: Operation) -> Spelling {
    let of_any = [Spelling::Bom, Spelling::Gzip, Spelling::Reversed, Spelling::Fraction, Spelling::Quoted];
    // The texts of an answer to a write are for people; one record of a page is refused, and comes with the next page.
    let of_writes = [Spelling::Nul, Spelling::Surrogate, Spelling::NotUtf8, Spelling::Deep, Spelling::Huge, Spelling::PrivateKey];
    let of_pages = [Spelling::Deep, Spelling::Huge, Spelling::PrivateKey, Spelling::WithoutNulls];
    let further: &[Spelling] = match operation {
        Operation::Put | Operation::Delete | Operation::Batch => &of_writes,
        Operation::List => &of_pages,
        _ => &[],
    };
    let choice = rng.usize(..of_any.len() + further.len());
    of_any.into_iter().chain(further.iter().copied()).nth(choice).unwrap_or(Spelling::Bom)
}
