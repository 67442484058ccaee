//! Whether a queue that is filled and emptied all the time stays as fast as it was: claims, indexes and dead rows.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::commit::{draft, fill, milliseconds};
use super::{Report, Unit};
use testbed::application::{Application, EDITOR, RIO};
use testbed::cluster::{Database, Login, Server, Template};

/// Batches that are committed, claimed and confirmed, one after the other.
const BATCHES: usize = 300;
const BATCH: usize = 100;
/// Records that the edits take turns at.
const RECORDS: usize = 5_000;
/// Batches that fill caches and settle plans, and are not counted.
const WARM: usize = 20;
/// Batches whose median is compared, of the first and of the last.
const SPAN: usize = 40;

/// Measures a long steady load squeezed into minutes: autovacuum looks once a second, as often as it would between as
/// many batches at PEMS' limit.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    fill(&client, RECORDS).await?;
    client.batch_execute("select pfa_sync.set('slot_interval', '1 ms')").await?;
    autovacuum_looks(&client, "set autovacuum_naptime = '1 s'").await?;
    let relay = database.client_as(Login::Relay).await?;
    let (mut commits, mut claims, mut completes) = (Vec::new(), Vec::new(), Vec::new());
    for batch in 0..BATCHES {
        let first = batch * BATCH % RECORDS;
        draft(&client, batch, first..first + BATCH).await?;
        let started = Instant::now();
        Application::new(&client).commit(EDITOR, RIO).await?;
        let committed = milliseconds(started);
        let (claimed, completed) = drain(&relay).await?;
        if batch >= WARM {
            commits.push(committed);
            claims.push(claimed);
            completes.push(completed);
        }
    }
    autovacuum_looks(&client, "reset autovacuum_naptime").await?;

    for (call, times) in [("commit", &commits), ("claim", &claims), ("complete", &completes)] {
        let (first, last) = (&times[..SPAN], &times[times.len() - SPAN..]);
        report.median(&format!("steady load: {call} of 100 edits, first batches"), first, Unit::Milliseconds, None);
        let name = format!("steady load: {call}, last batches to first");
        report.ratio(&name, &sorted(last), &sorted(first), Some("at most 1.3"));
    }
    client.batch_execute("select pg_stat_force_next_flush()").await?;
    let query = "select n_dead_tup::float8, pg_total_relation_size(relid)::float8 / 1048576 from pg_stat_all_tables
                  where relid = 'pfa_sync_private.pfa_write_queue'::regclass";
    let queue = client.query_one(query, &[]).await?;
    let name = format!("steady load: dead rows of the queue after {BATCHES} batches, autovacuum on");
    report.single(&name, queue.get(0), Unit::Count, None);
    report.single("steady load: size of the empty queue with its indexes", queue.get(1), Unit::Mebibytes, None);
    Ok(())
}

/// ALTER SYSTEM runs in no transaction, so the two are sent one by one.
async fn autovacuum_looks(client: &Client, setting: &str) -> Result<()> {
    client.batch_execute(&format!("alter system {setting}")).await?;
    client.batch_execute("select pg_reload_conf()").await?;
    Ok(())
}

/// The same places of both spans are compared, not single batches.
fn sorted(times: &[f64]) -> Vec<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times
}

/// Claims and confirms one batch; the milliseconds of both.
async fn drain(relay: &Client) -> Result<(f64, f64)> {
    let started = Instant::now();
    let claim = "select queue_id, fencing_token, version from pfa_sync.claim('bench', request_timeout => '30 s')";
    let rows = relay.query(claim, &[]).await?;
    let claimed = milliseconds(started);
    ensure!(rows.len() == BATCH, "{} edits were claimed", rows.len());
    let confirmed: Value = rows
        .iter()
        .map(|row| {
            json!({
                "queue_id": row.get::<_, i64>("queue_id"), "fencing_token": row.get::<_, i32>("fencing_token"),
                "version": row.get::<_, i64>("version") + 1, "updated_at": "2026-01-01T00:00:00.000Z", "response": {}
            })
        })
        .collect();
    let started = Instant::now();
    relay.query("select pfa_sync.complete('bench', $1)", &[&confirmed]).await?;
    Ok((claimed, milliseconds(started)))
}
