//! What a run does and when, all drawn from its seed: the edits, and the faults. How the processes take turns is not the
//! seed's to say, so a replay meets the same plan, and not always the same moment.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use pems_simulator::{Fault, Operation};

/// Organizations of a run: id and code.
pub const ORGANIZATIONS: [(&str, &str); 3] = [("org_RIO_173", "RIO"), ("org_HARBOUR_7", "HARBOUR"), ("org_DEPOT_1", "DEPOT")];
/// Records of all organizations together, dealt out in turn.
pub const RECORDS: usize = 500;
/// Relays that share the work.
pub const RELAYS: usize = 2;
/// Each editor with the field that no other editor edits.
pub const EDITORS: [(&str, &str); 4] =
    [("usr_editor", "contract"), ("usr_second", "model"), ("usr_planner", "equipment"), ("usr_admin", "manufacturer")];
/// Fields that several editors and PEMS' own users want.
const CONTESTED: [&str; 3] = ["areaSilo", "category", "monthlyRate"];

/// A run: what it is drawn from, how long edits and faults go on, and how many edits there are.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What everything is drawn from.
    pub seed: u64,
    /// Seconds of edits and faults. Draining comes on top.
    pub seconds: u64,
    /// Edits of all editors together.
    pub edits: usize,
}

/// One edit of one record.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The modification's id.
    pub modification: String,
    /// Its record.
    pub pfa_id: String,
    /// Its fields.
    pub delta: Value,
}

/// What an editor does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Drafts, waits so long, and commits all in one UPDATE.
    Commit(Vec<Edit>, Duration),
    /// Drafts, commits, and rolls it all back.
    RollBack(Vec<Edit>),
    /// Withdraws so many of its latest commits, if they have not been sent.
    Withdraw(usize),
}

/// A step with its time since the start and its organization's number.
#[derive(Debug, Clone)]
pub struct Timed {
    /// Since the start.
    pub at: Duration,
    /// Which of [`ORGANIZATIONS`].
    pub organization: usize,
    /// What is done.
    pub step: Step,
}

/// What goes wrong around the editors.
#[derive(Debug, Clone)]
pub enum Event {
    /// PEMS shows this fault to the next request of that kind.
    Fault(Operation, Fault),
    /// SIGKILL of a relay.
    Kill(usize),
    /// SIGTERM of a relay.
    Stop(usize),
    /// A relay that was killed or stopped starts again.
    Start(usize),
    /// Postgres crashes and recovers.
    Crash,
    /// Every connection of the relays is terminated.
    Cut,
    /// The network between relays and Postgres takes what is sent on its connections, and delivers nothing.
    Silence,
    /// PEMS lets the relays' credentials in no more, or again, and who runs the relays resumes.
    Credentials(bool),
    /// Another user of PEMS changes a field of a record.
    Foreign(usize, &'static str, Value),
    /// Another user of PEMS opens a record, or closes it.
    Lock(usize, bool),
    /// A DBA or a report holds what this statement locks in an idle transaction, for so long.
    Hold(String, Duration),
    /// Somebody pulls.
    Pull,
}

/// Everything that a run does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The steps of each of [`EDITORS`], by time.
    pub steps: Vec<Vec<Timed>>,
    /// The events, by time.
    pub events: Vec<(Duration, Event)>,
}

/// Organization code and pfaId of a record.
pub fn key(record: usize) -> (String, String) {
    (ORGANIZATIONS[record % ORGANIZATIONS.len()].1.to_owned(), (record + 1).to_string())
}

impl Plan {
    /// Draws the plan of a run.
    pub fn draw(options: &Options) -> Self {
        let mut rng = Rng::with_seed(options.seed);
        let share = options.edits / EDITORS.len();
        let steps = (0..EDITORS.len()).map(|editor| steps(&mut rng, editor, share, options.seconds)).collect();
        Self { steps, events: events(&mut rng, options.seconds) }
    }
}

fn moment(rng: &mut Rng, seconds: u64) -> Duration {
    Duration::from_millis(rng.u64(0..seconds * 1_000))
}

fn steps(rng: &mut Rng, editor: usize, edits: usize, seconds: u64) -> Vec<Timed> {
    let mut drawn = Vec::new();
    let mut left = edits;
    let mut next = 0;
    while left > 0 {
        let organization = rng.usize(..ORGANIZATIONS.len());
        let size = match rng.u8(..10) {
            0..=3 => 1,
            4..=8 => rng.usize(2..30),
            _ => rng.usize(30..300),
        }
        .min(left);
        left -= size;
        let mut records: Vec<usize> = (0..RECORDS).filter(|record| record % ORGANIZATIONS.len() == organization).collect();
        rng.shuffle(&mut records);
        let mut batch: Vec<Edit> = records.iter().take(size).map(|record| edit(rng, editor, *record, &mut next)).collect();
        left += size - batch.len();
        if rng.u8(..15) == 0 {
            batch[0].delta = json!({"monthlyRate": -1});
        }
        let step = match rng.u8(..20) {
            0 => Step::RollBack(batch),
            1 | 2 => Step::Commit(batch, Duration::from_millis(rng.u64(100..3_000))),
            _ => Step::Commit(batch, Duration::ZERO),
        };
        drawn.push((organization, step));
        if rng.u8(..8) == 0 {
            drawn.push((organization, Step::Withdraw(rng.usize(1..40))));
        }
    }
    let mut times: Vec<Duration> = drawn.iter().map(|_| moment(rng, seconds)).collect();
    times.sort();
    times.into_iter().zip(drawn).map(|(at, (organization, step))| Timed { at, organization, step }).collect()
}

fn edit(rng: &mut Rng, editor: usize, record: usize, next: &mut usize) -> Edit {
    *next += 1;
    let modification = format!("e{editor}-{next:05}");
    let mut delta = json!({ EDITORS[editor].1: modification });
    match rng.u8(..100) {
        0 => delta = json!({"isDiscontinued": true}),
        1..=20 => {
            let field = CONTESTED[rng.usize(..CONTESTED.len())];
            delta[field] = value(rng, field, &modification);
        }
        _ => {}
    }
    Edit { modification, pfa_id: key(record).1, delta }
}

fn value(rng: &mut Rng, field: &str, text: &str) -> Value {
    if field == "monthlyRate" { json!(rng.u32(1_000..1_000_000)) } else { json!(text) }
}

fn events(rng: &mut Rng, seconds: u64) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    for _ in 0..seconds * 3 {
        let operation = [Operation::Batch, Operation::Batch, Operation::Put, Operation::Get, Operation::Delete][rng.usize(..5)];
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
    (0..(seconds / 20).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Silence)));
    (0..(seconds / 12).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Crash)));
    (0..(seconds / 8).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Cut)));
    (0..(seconds / 10).max(1)).for_each(|_| events.push((moment(rng, seconds), Event::Pull)));
    for _ in 0..(seconds / 4).max(1) {
        let (statement, longest) = hold(rng);
        events.push((moment(rng, seconds), Event::Hold(statement, Duration::from_millis(rng.u64(100..longest)))));
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
    match rng.u8(..10) {
        0..=2 => Fault::Latency(rng.u64(..5_000)),
        3 => Fault::Status(429, rng.bool().then_some(1)),
        4 => Fault::Status(503, None),
        5 => Fault::ResetBefore,
        6 => Fault::Malformed,
        7 if operation == Operation::Batch => Fault::Partial(rng.usize(..50)),
        _ => Fault::ResetAfter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_plan_again() {
        let options = Options { seed: 7, seconds: 30, edits: 5_000 };
        let plan = Plan::draw(&options);
        assert_eq!(format!("{plan:?}"), format!("{:?}", Plan::draw(&options)));
        assert_ne!(format!("{plan:?}"), format!("{:?}", Plan::draw(&Options { seed: 8, ..options })));
        let committed: usize = plan
            .steps
            .iter()
            .flatten()
            .map(|timed| match &timed.step {
                Step::Commit(edits, _) | Step::RollBack(edits) => edits.len(),
                Step::Withdraw(_) => 0,
            })
            .sum();
        assert_eq!(committed, 5_000);
    }
}
