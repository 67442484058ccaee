//! What a batch reads stays the same however much waits or has ended, and nothing is lost behind a watermark.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, RIO, pems_record};
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use crate::support::scenario::Scenario;

/// Sets every watermark to the present, as if all that waits had committed long after it was queued.
const PASS_BY: &str = "update pfa_sync_private.sync_organization
    set watermarks = array_fill(clock_timestamp(), array[3]), lease_watermark = clock_timestamp(),
        watermarks_checked_at = clock_timestamp()";

/// What a batch of 100 may read in the order of time: a few entries for each of its records.
const BATCH: i64 = 1_000;

/// Queues edits of each of many records, an hour ago.
async fn queue(scenario: &Scenario, records: usize, edits: i32) -> Result<()> {
    let pems: Vec<Value> = (0..records).map(|id| pems_record("RIO", &format!("{id:05}"))).collect();
    scenario.ingest(&pems).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "baseVersion", "createdAt", "updatedAt")
        select format('mod_%s_%s', n, "pfaId"), id, "organizationId", $1, jsonb_build_object('model', 'X' || n), 'committed', version, now() + n * interval '1 ms', now()
          from pfa_mirror, generate_series(1, $3) n where "organizationId" = $2 and length("pfaId") = 5"#;
    assert_eq!(scenario.client.execute(insert, &[&EDITOR, &RIO, &edits]).await?, records as u64 * edits as u64);
    scenario
        .client
        .execute("update pfa_sync_private.pfa_write_queue set scheduled_at = scheduled_at - interval '1 hour'", &[])
        .await?;
    Ok(())
}

/// What a session has read of the queue.
struct Reads {
    /// Entries of all its indexes.
    all: i64,
    /// Of those, entries of the indexes that are read in the order of time, where what has ended lies before what is live.
    ordered: i64,
    /// Scans of the whole table.
    whole: i64,
}

/// What a session has read and not yet reported to the statistics.
async fn reads(session: &Transaction<'_>) -> Result<Reads> {
    let select = "select sum(pg_stat_get_xact_tuples_returned(indexrelid))::bigint,
                         (sum(pg_stat_get_xact_tuples_returned(indexrelid))
                             filter (where indexrelid::regclass::text ~ '_(heads|leases|record)$'))::bigint,
                         pg_stat_get_xact_numscans('pfa_sync_private.pfa_write_queue'::regclass)
                    from pg_index where indrelid = 'pfa_sync_private.pfa_write_queue'::regclass";
    let row = session.query_one(select, &[]).await?;
    Ok(Reads { all: row.get(0), ordered: row.get(1), whole: row.get(2) })
}

/// Takes one batch from claim to report; how many records it had, and what that read of the queue.
async fn batch(session: &mut Client, report: &str, max_records: i32) -> Result<(usize, Reads)> {
    let road = session.transaction().await?;
    let before = reads(&road).await?;
    let claimed = road
        .query("select queue_id, fencing_token, version from pfa_sync.claim('relay-1', max_records => $1)", &[&max_records])
        .await?;
    let item = |row: &Row| {
        json!({"queue_id": row.get::<_, i64>(0), "fencing_token": row.get::<_, i32>(1), "version": row.get::<_, i64>(2) + 1,
               "updated_at": "2026-03-01T00:00:00.000Z", "outcome": "unavailable"})
    };
    let items: Value = claimed.iter().map(item).collect();
    assert_eq!(road.execute("select pfa_sync.mark_sent('relay-1', $1)", &[&items]).await?, claimed.len() as u64);
    assert_eq!(road.execute(&format!("select pfa_sync.{report}('relay-1', $1)"), &[&items]).await?, claimed.len() as u64);
    let after = reads(&road).await?;
    road.commit().await?;
    let read = Reads { all: after.all - before.all, ordered: after.ordered - before.ordered, whole: after.whole - before.whole };
    Ok((claimed.len(), read))
}

/// The session made its plans, and the statistics were taken, while the queue was short.
#[tokio::test]
async fn a_batch_reads_no_more_of_a_long_queue_than_it_takes() -> Result<()> {
    const WAITING: usize = 3_000;
    let scenario = Scenario::new().await?;
    let mut session = scenario.database.client().await?;
    scenario.client.batch_execute("select pfa_sync.set('retry_delay', '0 s'); select pfa_sync.set('max_retries', '100')").await?;
    scenario.client.batch_execute("analyze pfa_sync_private.pfa_write_queue").await?;
    // A session keeps a plan for all parameters from the sixth call on.
    for n in 0..7 {
        scenario.edit("1", json!({"model": format!("LTM {n}")})).await?;
        for report in ["release", "fail", "complete"] {
            assert_eq!(batch(&mut session, report, 1).await?.0, 1);
        }
        session.query("select * from pfa_sync.sweep()", &[]).await?;
        session.query("select pfa_sync.next_due_ms()", &[]).await?;
    }
    queue(&scenario, WAITING, 1).await?;
    // They were put behind the front by hand: the first claim has to find that out.
    batch(&mut session, "release", 20).await?;
    for report in ["complete", "fail", "complete", "release"] {
        let (records, read) = batch(&mut session, report, 20).await?;
        assert_eq!(records, 20);
        assert!(read.all < WAITING as i64, "{report} reads an index as a whole: {} entries", read.all);
        assert!(read.ordered < BATCH, "{report}: {} entries", read.ordered);
        assert_eq!(read.whole, 0, "{report} reads the whole queue");
    }
    let asking = session.transaction().await?;
    let before = reads(&asking).await?;
    asking.query_one("select pfa_sync.next_due_ms()", &[]).await?;
    let after = reads(&asking).await?;
    asking.commit().await?;
    // The leases of the last minute lie before their front.
    assert!(after.all - before.all < BATCH, "next_due_ms: {} entries", after.all - before.all);
    assert_eq!(after.whole, before.whole, "next_due_ms reads the whole queue");
    scenario.check().await
}

#[tokio::test]
async fn a_record_with_many_changes_costs_a_batch_no_more() -> Result<()> {
    const CHANGES: i32 = 600;
    let scenario = Scenario::empty().await?;
    queue(&scenario, 1, CHANGES).await?;
    let mut holder = scenario.database.client().await?;
    let held = hold(&mut holder).await?;
    let mut session = scenario.database.client().await?;
    for _ in 0..50 {
        let (records, read) = batch(&mut session, "complete", 100).await?;
        assert_eq!(records, 1);
        // Heads of the last 5 s lie before the front.
        assert!(read.ordered < i64::from(CHANGES / 2), "{} entries", read.ordered);
        assert_eq!(read.whole, 0);
    }
    held.commit().await?;
    scenario.check().await
}

/// A snapshot that keeps what ends from now on in the indexes, of a session that has written.
async fn hold(holder: &mut Client) -> Result<Transaction<'_>> {
    let held = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    held.batch_execute("create temporary table written as select 1").await?;
    Ok(held)
}

#[tokio::test]
async fn what_ended_under_a_held_snapshot_is_not_read_again() -> Result<()> {
    let scenario = Scenario::empty().await?;
    queue(&scenario, 3_000, 1).await?;
    let mut holder = scenario.database.client().await?;
    let held = hold(&mut holder).await?;
    let mut session = scenario.database.client().await?;
    for _ in 0..25 {
        batch(&mut session, "complete", 100).await?;
    }
    let (records, read) = batch(&mut session, "complete", 100).await?;
    assert_eq!(records, 100);
    assert!(read.ordered < BATCH, "with 2,500 rows ended: {} entries", read.ordered);

    // A lease that ends is found without those of the past, too.
    assert_eq!(scenario.claim().await?.len(), 100);
    scenario
        .client
        .execute("update pfa_sync_private.pfa_write_queue set lease_until = now() where lease_until is not null", &[])
        .await?;
    let (records, read) = batch(&mut session, "release", 100).await?;
    assert_eq!(records, 100);
    assert!(read.ordered < BATCH, "with leases that ended: {} entries", read.ordered);
    held.commit().await?;
    scenario.check().await
}

#[tokio::test]
async fn an_idle_queue_finds_what_committed_behind_its_front() -> Result<()> {
    let scenario = Scenario::new().await?;
    let modification = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute(PASS_BY).await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&modification).await?, "synced/synced");
    scenario.check().await
}

#[tokio::test]
async fn a_busy_queue_looks_behind_its_front_once_a_minute() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute(PASS_BY).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    let claimed = scenario.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["2"], "the front spares what lies behind it");
    scenario.edit("3", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute(
            "update pfa_sync_private.sync_organization set watermarks_checked_at = watermarks_checked_at - interval '1 minute'",
        )
        .await?;
    let claimed = scenario.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    scenario.check().await
}

#[tokio::test]
async fn what_is_returned_promoted_or_raised_lies_before_the_front() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let next = scenario.edit("1", json!({"areaSilo": "S"})).await?;
    let claimed = scenario.send().await?;
    scenario.client.batch_execute(PASS_BY).await?;
    scenario.report("fail", &claimed, json!({"outcome": "throttled", "retry_after_ms": 0})).await?;
    let again = scenario.send().await?;
    assert_eq!((again.len(), again[0].queue_id), (1, claimed[0].queue_id));

    scenario.client.batch_execute(PASS_BY).await?;
    scenario.report("complete", &again, json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    scenario.client.batch_execute(PASS_BY).await?;
    // Only the raise puts it before the front again.
    scenario.client.query("select * from pfa_sync.write_sync('RIO', array[$1], 10)", &[&next]).await?;
    scenario.edit("2", json!({"model": "Y"})).await?;
    let claimed = scenario.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let editors = Application::new(&scenario.client);
    assert_eq!(editors.state(&next).await?, "syncing/syncing");
    scenario.check().await
}
