//! What a run does and when, all drawn from its seed: the edits, and the faults. How the processes take turns is not the
//! seed's to say, so a replay meets the same plan, and not always the same moment.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use pems_simulator::{Fault, Operation};

use super::events::{events, value};

/// Organizations of a run: id and code.
pub const ORGANIZATIONS: [(&str, &str); 3] = [("org_RIO_173", "RIO"), ("org_HARBOUR_7", "HARBOUR"), ("org_DEPOT_1", "DEPOT")];
/// Records of all organizations together, dealt out in turn.
pub const RECORDS: usize = 500;
/// The organization that PEMS restores from a backup: id and code. No editor edits its records.
pub const RESTORED: (&str, &str) = ("org_ARCHIVE_1", "ARCHIVE");
/// Records of it.
pub const RESTORED_RECORDS: usize = 20;
/// Relays that share the work.
pub const RELAYS: usize = 2;
/// Each editor with the field that no other editor edits.
pub const EDITORS: [(&str, &str); 4] =
    [("usr_editor", "contract"), ("usr_second", "model"), ("usr_planner", "equipment"), ("usr_admin", "manufacturer")];
/// Fields that several editors and PEMS' own users want.
pub(crate) const CONTESTED: [&str; 3] = ["areaSilo", "category", "monthlyRate"];

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
    /// A DBA disables the triggers of the modifications, as for a bulk load, and attaches again after so long.
    Unwatched(Duration),
    /// Somebody pulls.
    Pull,
    /// A gateway answers in PEMS' place with this status and page, or PEMS again.
    Gateway(Option<(u16, &'static str)>),
    /// PEMS' clock is set: so many milliseconds ahead of ours, or behind.
    Clock(i64),
    /// Another user of PEMS changes a record of the organization that is restored.
    Archive(usize, String),
    /// PEMS restores that organization from a backup of the beginning.
    Restore,
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

pub(crate) fn moment(rng: &mut Rng, seconds: u64) -> Duration {
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
