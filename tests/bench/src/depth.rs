//! What a batch costs when much waits, when one record has many changes, and when an old snapshot keeps what has ended;
//! and how long another organization waits beside a long queue.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::commit::milliseconds;
use super::stack::{PATIENCE, Pace, Stack};
use super::{ROUNDS, Report, Unit};
use pems_simulator::Request;
use testbed::application::{Application, EDITOR, HARBOUR, RIO, pems_record};
use testbed::cluster::{Database, Server, Template};
use testbed::stack::stored_record;

const WAITING: i64 = 1_000;
const LONG: i64 = 1_000_000;
const CHANGES: i64 = 10_000;
const ENDED: i64 = 200_000;
const BESIDE: i64 = 100_000;
/// Of the records beside, those that PEMS has: more than it is sent meanwhile.
const IN_PEMS: i64 = 30_000;
const SINGLES: i64 = 30;
const BATCH: i64 = 100;
/// Rounds that fill caches and settle plans, and are not counted.
const WARM: usize = 6;
/// The record with many changes.
const HOT: i64 = 0;

/// Measures batches on four queues in turns, then single edits beside a long queue.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let mut short = Queue::create(server, WAITING).await?;
    let mut long = Queue::create(server, LONG).await?;
    let mut hot = Queue::create(server, WAITING).await?;
    fill(&hot.client, HOT, 1, CHANGES, 10).await?;
    let spare: Value = (0..WARM + ROUNDS).map(|round| pems_record("RIO", &format!("spare {round}"))).collect();
    hot.client.query("select * from pfa_sync.ingest('RIO', $1)", &[&spare]).await?;
    let mut held = Queue::create(server, WAITING + ENDED).await?;
    let holder = held.database.client().await?;
    holder.batch_execute("begin isolation level repeatable read; create temporary table written as select 1").await?;
    for _ in 0..ENDED / BATCH {
        held.batch("complete").await?;
    }

    let (mut alone, mut behind) = (Vec::new(), Vec::new());
    for round in 0..WARM + ROUNDS {
        for queue in [&mut short, &mut long, &mut hot, &mut held] {
            let (claim, complete) = queue.batch("complete").await?;
            let (_, fail) = queue.batch("fail").await?;
            if round >= WARM {
                queue.claim.push(claim);
                queue.complete.push(complete);
                queue.fail.push(fail);
            }
        }
        let fresh = commit(&hot.client, &format!("spare {round}")).await?;
        let queued = commit(&hot.client, &HOT.to_string()).await?;
        if round >= WARM {
            alone.push(fresh);
            behind.push(queued);
        }
        for queue in [&mut short, &mut hot, &mut held] {
            queue.add(BATCH).await?;
        }
    }
    let left: i64 =
        hot.client.query_one("select count(*) from pfa_sync.queue where pfa_id = $1", &[&HOT.to_string()]).await?.get(0);
    // Every round ends one of them and adds one.
    ensure!(left == CHANGES, "the batches left out the record with many changes: it has {left}");
    holder.batch_execute("commit").await?;

    report.median("claim of 100 records, 1,000 waiting", &short.claim, Unit::Milliseconds, None);
    report.median("complete of 100 records, 1,000 waiting", &short.complete, Unit::Milliseconds, None);
    report.median("fail of 100 records, 1,000 waiting", &short.fail, Unit::Milliseconds, None);
    for (queue, state, goal) in [
        (&long, "1,000,000 waiting", "at most 1.5"),
        (&hot, "10,000 changes of one of them", "at most 1.5"),
        (&held, "200,000 ended under a held snapshot", "at most 2"),
    ] {
        report.ratio(&format!("claim: {state}, to 1,000 waiting"), &queue.claim, &short.claim, Some(goal));
        report.ratio(&format!("complete: {state}, to 1,000 waiting"), &queue.complete, &short.complete, Some(goal));
        report.ratio(&format!("fail: {state}, to 1,000 waiting"), &queue.fail, &short.fail, Some(goal));
    }
    report.median("UPDATE of one edit", &alone, Unit::Milliseconds, None);
    report.median("the same, 10,000 changes of its record queued", &behind, Unit::Milliseconds, None);
    for call in ["pfa_sync.next_due_ms()", "pfa_sync_private.restore_watermarks()", "pfa_sync.sweep()", "pfa_sync.status()"] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            long.client.query(&format!("select * from {call}"), &[]).await?;
            times.push(milliseconds(started));
        }
        report.median(&format!("{call}, 1,000,000 waiting"), &times, Unit::Milliseconds, None);
    }
    drop((short, long, hot, held));
    beside(server, report).await
}

/// Measures single edits of HARBOUR while the relay works on a long queue of RIO.
async fn beside(server: &Server, report: &mut Report) -> Result<()> {
    let stack = Stack::start(server, Pace::Limited, 1).await?;
    let records: Value = (0..SINGLES).map(|id| pems_record("HARBOUR", &id.to_string())).collect();
    stack.client.query("select * from pfa_sync.ingest('HARBOUR', $1)", &[&records]).await?;
    stack.pems().load((0..SINGLES).map(|id| stored_record("HARBOUR", &id.to_string())));
    take_template(&stack.client).await?;
    stack.pems().load((1..=IN_PEMS).map(|id| stored_record("RIO", &id.to_string())));
    fill(&stack.client, 1, BESIDE, 1, 0).await?;
    stack.client.batch_execute("select pfa_sync_private.wake()").await?;
    stack.until(1).await?;

    let application = Application::new(&stack.client);
    let singles = |log: &Vec<Request>| log.iter().filter(|request| request.organization.as_deref() == Some("HARBOUR")).count();
    let mut delays = Vec::new();
    for id in 0..SINGLES {
        application.draft(EDITOR, HARBOUR, &id.to_string(), json!({"model": "single"})).await?;
        let before = singles(&stack.pems().log());
        let started = Instant::now();
        application.commit(EDITOR, HARBOUR).await?;
        tokio::time::timeout(PATIENCE, stack.pems().wait_for(|log| singles(log) > before))
            .await
            .context("the edit doesn't arrive in PEMS")?;
        delays.push(milliseconds(started));
    }
    let name = "single edit beside 100,000 of another organization, UPDATE until it is in PEMS";
    report.percentile(name, "p50", 0.5, &delays, Unit::Milliseconds, None);
    report.percentile(name, "max", 1.0, &delays, Unit::Milliseconds, Some("below 1 s"));
    let waiting: i64 = stack.client.query_one("select count(*) from pfa_sync.queue", &[]).await?.get(0);
    ensure!(waiting > BESIDE - IN_PEMS, "the other queue ran dry");
    stack.stop([]).await?;
    Ok(())
}

/// A queue of RIO with one change for each of its records, and the session of its relay.
struct Queue {
    client: Client,
    database: Database,
    /// Records made so far.
    filled: i64,
    claim: Vec<f64>,
    complete: Vec<f64>,
    fail: Vec<f64>,
}

impl Queue {
    async fn create(server: &Server, records: i64) -> Result<Self> {
        let database = Database::create(server, Template::Attached).await?;
        let client = database.client().await?;
        take_template(&client).await?;
        // What fails is due again at once, so that every batch is full.
        client
            .batch_execute(
                "select pfa_sync.set('slot_interval', '1 ms'); select pfa_sync.set('retry_delay', '0 s'); select pfa_sync.set('max_retries', '100')",
            )
            .await?;
        let mut queue = Self { client, database, filled: 0, claim: Vec::new(), complete: Vec::new(), fail: Vec::new() };
        queue.add(records).await?;
        Ok(queue)
    }

    /// Queues a change for each of some more records.
    async fn add(&mut self, records: i64) -> Result<()> {
        fill(&self.client, self.filled + 1, records, 1, 0).await?;
        self.filled += records;
        Ok(())
    }

    /// Takes a batch to its report; how long claim and report took, in milliseconds.
    async fn batch(&mut self, report: &str) -> Result<(f64, f64)> {
        let started = Instant::now();
        let claimed = self.client.query("select queue_id, fencing_token, version from pfa_sync.claim('relay-1')", &[]).await?;
        let claim = milliseconds(started);
        ensure!(claimed.len() as i64 == BATCH, "a claim of {} records", claimed.len());
        let item = |row: &tokio_postgres::Row| {
            json!({"queue_id": row.get::<_, i64>(0), "fencing_token": row.get::<_, i32>(1), "version": row.get::<_, i64>(2) + 1,
                   "updated_at": "2026-03-01T00:00:00.000Z", "outcome": "unavailable"})
        };
        let items: Value = claimed.iter().map(item).collect();
        self.client.execute("select pfa_sync.mark_sent('relay-1', $1)", &[&items]).await?;
        let started = Instant::now();
        let reported = self.client.execute(&format!("select pfa_sync.{report}('relay-1', $1)"), &[&items]).await?;
        ensure!(reported as i64 == BATCH, "{report} took {reported} records");
        Ok((claim, milliseconds(started)))
    }
}

/// Takes the record into the mirror that `fill` copies.
async fn take_template(client: &Client) -> Result<()> {
    client.query("select * from pfa_sync.ingest('RIO', $1)", &[&json!([pems_record("RIO", "template")])]).await?;
    Ok(())
}

/// Queues changes of new records of RIO, as their commits leave them, without judging each of a million.
async fn fill(client: &Client, first: i64, records: i64, changes: i64, priority: i32) -> Result<()> {
    let statements = format!(
        r#"begin;
           set local session_replication_role = replica;
           insert into pfa_mirror (id, "organizationId", data, "pfaId", version, "updatedAt")
           select 'mir_' || n, '{RIO}', t.data || jsonb_build_object('pfaId', n::text), n::text, 1, now()
             from pfa_mirror t, generate_series({first}, {first} + {records} - 1) n where t."pfaId" = 'template';
           insert into pfa_sync_private.pems_record (mirror_id, pems_version, mirror_version)
           select 'mir_' || n, 1, 1 from generate_series({first}, {first} + {records} - 1) n;
           insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "syncState", "syncStatus",
                                         "committedAt", "updatedAt")
           select format('mod_%s_%s', n, c), 'mir_' || n, '{RIO}', '{EDITOR}', jsonb_build_object('model', 'X' || c), 1, 'committed', 'queued',
                  now(), now()
             from generate_series({first}, {first} + {records} - 1) n, generate_series(1, {changes}) c;
           with job as (
               insert into pfa_sync_private.sync_job (kind, organization_id, user_id, records) values ('commit', '{RIO}', '{EDITOR}', {records} * {changes})
               returning job_id)
           insert into pfa_sync_private.pfa_write_queue (job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author, payload, base,
                                                 accepted, base_version, priority, head)
           select job_id, '{RIO}', 'mir_' || n, format('mod_%s_%s', n, c), n::text as pfa_id, 'UPDATE', '{EDITOR}', jsonb_build_object('model', 'X' || c),
                  '{{"model": "LTM 1100"}}', case when c > 1 then jsonb_build_object('model', 'X' || c - 1) end, 1, {priority}, c = 1
             from job, generate_series({first}, {first} + {records} - 1) n, generate_series(1, {changes}) c order by n, c;
           commit"#
    );
    Ok(client.batch_execute(&statements).await?)
}

/// Commits an edit of a record; how long the UPDATE took, in milliseconds.
async fn commit(client: &Client, pfa_id: &str) -> Result<f64> {
    let application = Application::new(client);
    application.draft(EDITOR, RIO, pfa_id, json!({"areaSilo": "Silo 2"})).await?;
    let started = Instant::now();
    application.commit(EDITOR, RIO).await?;
    Ok(milliseconds(started))
}
