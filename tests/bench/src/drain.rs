//! How fast a full queue empties, at PEMS' limit and without it, and how much memory the relay needs for that.

use std::time::Instant;

use anyhow::Result;

use super::commit::draft;
use super::stack::{Pace, Stack};
use super::{Report, Unit};
use pems_simulator::Request;
use testbed::application::{Application, EDITOR, RIO};
use testbed::cluster::Server;

/// Edits of the largest drain, each of a record of its own.
const MOST: usize = 100_000;
/// Edits of one UPDATE.
const UPDATE: usize = 10_000;
/// Records of a full batch.
const BATCH: usize = 100;
/// Requests that PEMS takes in a second.
const LIMIT: f64 = 10.0;

/// Measures drains of 1,000, 10,000 and 100,000 edits at 10 requests a second, and what several relays together make of
/// the limit. An error when PEMS refuses a request.
pub async fn run(server: &Server, report: &mut Report, progress: &impl Fn(&str)) -> Result<()> {
    let mut stack = Stack::start(server, Pace::Limited, MOST).await?;
    report.single("memory of the relay at rest", stack.relay_memory("VmRSS")?, Unit::Mebibytes, Some("under 64 MiB"));
    for (round, (edits, name)) in [(1_000, "1,000"), (10_000, "10,000"), (MOST, "100,000")].into_iter().enumerate() {
        let share = share(edits, &drain(&stack, round, edits, progress).await?);
        let name = format!("drain of {name} edits at 10 requests/s: share of the limit used");
        report.single(&name, share, Unit::Share, Some("at least 0.94"));
        if edits == MOST {
            let name = "memory of the relay at its highest, with 100,000 edits queued and drained";
            report.single(name, stack.relay_memory("VmHWM")?, Unit::Mebibytes, Some("under 64 MiB"));
        }
    }
    for (round, fleet) in [(3, 2), (4, 5)] {
        while stack.join().await? < fleet {}
        let share = share(UPDATE, &drain(&stack, round, UPDATE, progress).await?);
        let name = format!("drain of 10,000 edits by {fleet} relays: share of the limit used");
        report.single(&name, share, Unit::Share, Some("at least 0.94"));
    }
    stack.stop([]).await?;
    Ok(())
}

/// Of what PEMS would have taken in the time of a drain, what it was sent. Half-empty batches and pauses both lower it,
/// since it counts the requests that the edits need.
fn share(edits: usize, drained: &Drained) -> f64 {
    (edits / BATCH - 1) as f64 / drained.between / LIMIT
}

/// Measures drains of 10,000 and 100,000 edits without any limit, and what the database does in that time.
pub async fn run_without_limit(server: &Server, report: &mut Report, progress: &impl Fn(&str)) -> Result<()> {
    let stack = Stack::start(server, Pace::Free, MOST).await?;
    let mut whole = 0.0;
    for (round, (edits, name)) in [(10_000, "10,000"), (MOST, "100,000")].into_iter().enumerate() {
        let drained = drain(&stack, round, edits, progress).await?;
        whole += drained.recorded;
        let name = format!("drain of {name} edits without limit: edits confirmed and recorded");
        report.single(&name, edits as f64 / drained.recorded, Unit::PerSecond, None);
    }
    let functions = ["claim", "mark_sent", "complete"];
    for (function, seconds) in functions.iter().zip(stack.stop(functions).await?) {
        let name = format!("of both drains' time, in {function} (several sessions: may add up to more than 1)");
        report.single(&name, seconds / whole, Unit::Share, None);
    }
    Ok(())
}

/// How long a drain took, in seconds.
struct Drained {
    /// Between the first and the last request.
    between: f64,
    /// From the start until all outcomes are recorded.
    recorded: f64,
}

/// Queues edits while nothing is sent, then lets them go.
async fn drain(stack: &Stack, round: usize, edits: usize, progress: &impl Fn(&str)) -> Result<Drained> {
    let client = &stack.client;
    client.batch_execute("select pfa_sync.pause('RIO', 'the queue is filled')").await?;
    for first in (0..edits).step_by(UPDATE) {
        draft(client, round, first..edits.min(first + UPDATE)).await?;
        Application::new(client).commit(EDITOR, RIO).await?;
        progress(&format!("{} of {edits} edits queued", edits.min(first + UPDATE)));
    }
    client.batch_execute("vacuum analyze").await?;

    let (before, requests) = (stack.written(), stack.pems().log().len());
    let started = Instant::now();
    client.batch_execute("select * from pfa_sync.resume('RIO')").await?;
    for arrived in (0..edits).step_by(UPDATE) {
        let arrived = edits.min(arrived + UPDATE);
        stack.until(before + arrived).await?;
        progress(&format!("{arrived} of {edits} edits in PEMS"));
    }
    stack.drained().await?;
    let recorded = started.elapsed().as_secs_f64();
    let log = stack.pems().log();
    let arrived = |request: Option<&Request>| request.map(|request| request.arrived_ms).unwrap_or(f64::NAN);
    let between = (arrived(log.last()) - arrived(log.get(requests))) / 1_000.0;
    Ok(Drained { between, recorded })
}
