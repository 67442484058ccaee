//! Batches are claimed shortly before their slot, so that what is committed or becomes urgent until then goes with them.

use anyhow::Result;
use serde_json::json;
use testbed::application::{EDITOR, HARBOUR, RIO};

use crate::support::{scenario::Scenario, stack::Stack, tenants::two_tenants};

/// An organization whose slot lies further ahead is left, and next_due_ms() says when the slot is near.
#[tokio::test]
async fn a_claim_leaves_what_has_its_slot_far_ahead() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.set('slot_interval', '60 s'), pfa_sync.sweep()").await?;
    for id in ["1", "2"] {
        scenario.edit(id, json!({"model": "X"})).await?;
    }
    let claim = "select queue_id from pfa_sync.claim('relay-1', max_records => 1, ahead => make_interval(secs => $1))";
    let due = "select pfa_sync.next_due_ms(ahead => make_interval(secs => $1))";
    assert_eq!(scenario.client.query(claim, &[&1.0_f64]).await?.len(), 1, "its slot is there");
    assert!(scenario.client.query(claim, &[&20.0_f64]).await?.is_empty());
    let wait: f64 = scenario.client.query_one(due, &[&20.0_f64]).await?.get(0);
    assert!((30_000.0..=40_000.0).contains(&wait), "{wait} ms");
    let wait: f64 = scenario.client.query_one(due, &[&61.0_f64]).await?.get(0);
    assert_eq!(wait, 0.0);
    assert_eq!(scenario.client.query(claim, &[&61.0_f64]).await?.len(), 1);
    // A slot that a wrong clock put far ahead keeps no one waiting.
    scenario.edit("3", json!({"model": "X"})).await?;
    scenario.client.batch_execute("update pfa_sync_private.pems set next_slot = now() + interval '3 days'").await?;
    assert_eq!(scenario.client.query(claim, &[&1.0_f64]).await?.len(), 1);
    scenario.check().await
}

/// Requests that take slots one by one, such as the reads of a pull, hold the next slot at all times: a claim takes its turn.
#[tokio::test]
async fn a_claim_takes_its_turn_among_reads() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.set('slot_interval', '60 s'), pfa_sync.sweep()").await?;
    for id in ["1", "2", "3"] {
        scenario.edit(id, json!({"model": "X"})).await?;
    }
    let claim = "select wait_ms from pfa_sync.claim('relay-1', max_records => 1, ahead => '1 s')";
    let due = "select pfa_sync.next_due_ms(ahead => '1 s')";
    let read = "select pfa_sync.take_slots('default', 1)";
    for turn in 0..2_i32 {
        scenario.client.execute(read, &[]).await?;
        assert_eq!(scenario.value::<f64>(due).await?, 0.0, "{turn}");
        let wait: f64 = scenario.client.query_one(claim, &[]).await?.get(0);
        assert!(wait > 55_000.0, "{turn}: after the read, not before it: {wait} ms");
        assert!(scenario.client.query(claim, &[]).await?.is_empty(), "{turn}: one turn");
        assert!(scenario.value::<f64>(due).await? > 55_000.0, "{turn}");
    }
    scenario.check().await
}

/// The slots of one PEMS keep no other waiting.
#[tokio::test]
async fn a_claim_finds_the_organization_whose_pems_is_free() -> Result<()> {
    let scenario = two_tenants().await?;
    scenario
        .client
        .batch_execute(
            "select pfa_sync.define_pems('east', 'https://east.example', 'T'), pfa_sync.assign_pems('HARBOUR', 'east'); \
             update pfa_sync_private.pems set next_slot = now() + interval '1 minute' where pems = 'default'",
        )
        .await?;
    let queued: i64 = scenario.value("select count(distinct organization_id) from pfa_sync.queue").await?;
    assert_eq!(queued, 2, "both have something to send");
    let claim = "select distinct organization_id from pfa_sync.claim('relay-1', ahead => '1 s')";
    let claimed: Vec<String> = scenario.client.query(claim, &[]).await?.iter().map(|row| row.get(0)).collect();
    assert_eq!(claimed, [HARBOUR]);
    assert!(scenario.client.query(claim, &[]).await?.is_empty());
    Ok(())
}

/// What is committed while the slot is not there goes out in one request with what waits already.
#[tokio::test]
async fn what_is_committed_until_the_slot_goes_with_it() -> Result<()> {
    let stack = Stack::new(4).await?;
    stack.scenario.client.batch_execute("select pfa_sync.set('slot_interval', '3 s')").await?;
    let _relay = stack.relay("run")?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    let application = stack.scenario.application();
    application.draft(EDITOR, RIO, "2", json!({"model": "X"})).await?;
    application.commit(EDITOR, RIO).await?;
    // The relay is woken by this commit and looks; it is still far from the slot.
    stack.until("select next_slot < clock_timestamp() + interval '1500 ms' from pfa_sync_private.pems").await?;
    assert_eq!(stack.scenario.value::<String>("select status from pfa_sync.queue").await?, "pending");
    application.draft(EDITOR, RIO, "3", json!({"model": "X"})).await?;
    application.commit(EDITOR, RIO).await?;
    stack.until_drained().await?;
    let batches: Vec<i32> = stack.scenario.value("select array_agg(records order by batch_id) from pfa_sync.batches").await?;
    assert_eq!(batches, [1, 2]);
    stack.check().await
}
