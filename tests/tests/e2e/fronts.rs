//! What a claim reads stays the same however much has ended or waits, and nothing is lost behind a front.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, RIO, pems_record};
use tokio_postgres::{Client, IsolationLevel};

use crate::world::World;

/// Makes every front lie at the present, as if all that waits had committed long after it was queued.
const PASS_BY: &str = "update pfa_sync.sync_organization
    set (high_from, normal_from, low_from, leases_from) = (clock_timestamp(), clock_timestamp(), clock_timestamp(), clock_timestamp()), fronts_checked_at = clock_timestamp()";

/// Queues an edit of each of many records, an hour ago.
async fn queue(world: &World, records: usize) -> Result<()> {
    let pems: Vec<Value> = (0..records).map(|id| pems_record("RIO", &format!("{id:05}"))).collect();
    world.ingest(&pems).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, '{"model": "X"}', 'committed', version, now() from pfa_mirror where "organizationId" = $2"#;
    assert_eq!(world.client.execute(insert, &[&EDITOR, &RIO]).await?, records as u64);
    world.client.execute("update pfa_sync.pfa_write_queue set scheduled_at = scheduled_at - interval '1 hour'", &[]).await?;
    Ok(())
}

/// What a transaction of its own reads of the queue while one batch goes through claim, sent and a report: entries of
/// the indexes that grow with the queue, and scans of the whole table.
async fn reads(session: &mut Client, report: &str) -> Result<(i64, i64)> {
    let road = session.transaction().await?;
    let claimed = road.query("select queue_id, attempt, version from pfa_sync.claim('relay-1')", &[]).await?;
    assert_eq!(claimed.len(), 100);
    let items: Value = claimed
        .iter()
        .map(|row| {
            json!({"queue_id": row.get::<_, i64>(0), "attempt": row.get::<_, i32>(1), "version": row.get::<_, i64>(2) + 1,
                          "updated_at": "2026-03-01T00:00:00.000Z", "outcome": "unavailable"})
        })
        .collect();
    assert_eq!(road.execute("select pfa_sync.sent('relay-1', $1)", &[&items]).await?, 100);
    assert_eq!(road.execute(&format!("select pfa_sync.{report}('relay-1', $1)"), &[&items]).await?, 100);
    road.query_one("select pfa_sync.next_due_ms()", &[]).await?;
    let select = "select (select sum(pg_stat_get_xact_tuples_returned(i)) from unnest(array['pfa_sync.pfa_write_queue_heads',
                          'pfa_sync.pfa_write_queue_leases', 'pfa_sync.pfa_write_queue_record']::regclass[]) i)::bigint,
                         pg_stat_get_xact_numscans('pfa_sync.pfa_write_queue'::regclass)";
    let row = road.query_one(select, &[]).await?;
    let read = (row.get(0), row.get(1));
    road.commit().await?;
    Ok(read)
}

/// The plans were made, and the statistics taken, while the queue was empty.
#[tokio::test]
async fn a_batch_reads_no_more_of_a_long_queue_than_it_takes() -> Result<()> {
    let world = World::empty().await?;
    let mut session = world.database.client().await?;
    world.client.batch_execute("analyze pfa_sync.pfa_write_queue").await?;
    for _ in 0..6 {
        assert!(session.query("select * from pfa_sync.claim('relay-1')", &[]).await?.is_empty());
    }
    queue(&world, 2_000).await?;
    for report in ["complete", "fail", "complete", "release"] {
        let (entries, whole) = reads(&mut session, report).await?;
        assert!(entries < 1_000, "{report} read {entries} entries");
        assert_eq!(whole, 0, "{report} read the whole queue");
    }
    world.check().await
}

#[tokio::test]
async fn what_ended_under_a_held_snapshot_is_not_read_again() -> Result<()> {
    let world = World::empty().await?;
    queue(&world, 3_000).await?;
    let mut holder = world.database.client().await?;
    let held = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    held.batch_execute("create temporary table written as select 1 from pfa_sync.pfa_write_queue").await?;
    let mut session = world.database.client().await?;
    for _ in 0..25 {
        reads(&mut session, "complete").await?;
    }
    let (entries, _) = reads(&mut session, "complete").await?;
    assert!(entries < 1_000, "{entries} entries were read, with 2,500 rows ended");
    held.commit().await?;
    world.check().await
}

#[tokio::test]
async fn an_idle_queue_finds_what_committed_behind_its_front() -> Result<()> {
    let world = World::new().await?;
    let modification = world.edit("1", json!({"model": "X"})).await?;
    world.client.batch_execute(PASS_BY).await?;
    assert_eq!(world.deliver().await?, 1);
    assert_eq!(world.state(&modification).await?, "synced/synced");
    world.check().await
}

#[tokio::test]
async fn a_busy_queue_looks_behind_its_front_once_a_minute() -> Result<()> {
    let world = World::new().await?;
    world.edit("1", json!({"model": "X"})).await?;
    world.client.batch_execute(PASS_BY).await?;
    world.edit("2", json!({"model": "X"})).await?;
    let claimed = world.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["2"], "the front spares what lies behind it");
    world.edit("3", json!({"model": "X"})).await?;
    world
        .client
        .batch_execute("update pfa_sync.sync_organization set fronts_checked_at = fronts_checked_at - interval '1 minute'")
        .await?;
    let claimed = world.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    world.check().await
}

#[tokio::test]
async fn what_is_returned_promoted_or_raised_lies_before_the_front() -> Result<()> {
    let world = World::new().await?;
    world.edit("1", json!({"model": "X"})).await?;
    let next = world.edit("1", json!({"areaSilo": "S"})).await?;
    let claimed = world.send().await?;
    world.client.batch_execute(PASS_BY).await?;
    world.report("fail", &claimed, json!({"outcome": "throttled", "retry_after_ms": 0})).await?;
    let again = world.send().await?;
    assert_eq!((again.len(), again[0].queue_id), (1, claimed[0].queue_id));

    world.client.batch_execute(PASS_BY).await?;
    world.report("complete", &again, json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    world.client.batch_execute(PASS_BY).await?;
    // Only the raise puts it before the front again.
    world.client.query("select * from pfa_sync.write_sync('RIO', array[$1], 10)", &[&next]).await?;
    world.edit("2", json!({"model": "Y"})).await?;
    let claimed = world.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let editors = Application::new(&world.client);
    assert_eq!(editors.state(&next).await?, "syncing/syncing");
    world.check().await
}
