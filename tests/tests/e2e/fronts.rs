//! Nothing is lost behind a front.

use anyhow::Result;
use serde_json::json;
use testbed::application::Application;

use crate::world::World;

/// Makes every front lie at the present, as if all that waits had committed long after it was queued.
const PASS_BY: &str = "update pfa_sync.sync_organization
    set (high_from, normal_from, low_from, leases_from) = (clock_timestamp(), clock_timestamp(), clock_timestamp(), clock_timestamp()), fronts_checked_at = clock_timestamp()";

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
