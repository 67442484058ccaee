//! Claims that return their records already marked as sent, which saves a forced write.

use anyhow::Result;
use serde_json::json;
use testbed::cluster::Login;
use tokio_postgres::Row;

use crate::support::{scenario::Scenario, stack::Stack};

/// Queues one edit of each record.
async fn edit(scenario: &Scenario, records: &[&str]) -> Result<()> {
    for id in records {
        scenario.edit(id, json!({"model": "LTM 1300"})).await?;
    }
    Ok(())
}

/// Claims one record, marked as sent if its slot is there.
async fn claim_to_send(scenario: &Scenario) -> Result<Row> {
    let claim = "select queue_id, fencing_token, step, ambiguous, wait_ms, sent
                   from pfa_sync.claim('relay-1', null, 1, '5 s', request_timeout => '40 s')";
    Ok(scenario.client.query_one(claim, &[]).await?)
}

const LAST: &str = "pfa_sync_private.pfa_write_queue q order by q.id limit 1";

/// The relay needs two calls for an edit on an idle queue whose slot is there, the claim and the report of the outcome.
#[tokio::test]
async fn an_edit_on_an_idle_queue_is_not_marked_by_a_call_of_its_own() -> Result<()> {
    let stack = Stack::new(3).await?;
    let track =
        format!("alter role {} in database {} set track_functions = 'pl'", Login::Relay.name(), stack.scenario.database.name());
    stack.scenario.client.batch_execute(&track).await?;
    let relay = stack.relay("run")?;
    for id in ["1", "2"] {
        edit(&stack.scenario, &[id]).await?;
        stack.until_drained().await?;
        stack.until("select bool_and(next_slot <= clock_timestamp()) from pfa_sync_private.pems").await?;
    }
    assert!(relay.stop().await?.success());
    let calls = "coalesce(sum(calls) filter (where funcname";
    stack.until(&format!("select {calls} = 'complete'), 0) = 2 from pg_stat_user_functions")).await?;
    let marks = format!("select {calls} = 'mark_sent'), 0)::bigint from pg_stat_user_functions");
    assert_eq!(stack.scenario.value::<i64>(&marks).await?, 0);
    let attempts = "select count(*) from pfa_sync_private.pfa_audit_log where event_type = 'WRITE_ATTEMPT'";
    assert_eq!(stack.scenario.value::<i64>(attempts).await?, 2);
    stack.check().await
}

#[tokio::test]
async fn a_claim_marks_what_can_be_sent_at_once_and_nothing_else() -> Result<()> {
    let scenario = Scenario::new().await?;
    edit(&scenario, &["1", "2"]).await?;
    let first = claim_to_send(&scenario).await?;
    assert_eq!((first.get("sent"), first.get("ambiguous"), first.get("wait_ms")), (true, false, Some(0.0)));
    let covered = format!("select q.sent_at is not null and q.lease_until > now() + interval '30 s' from {LAST}");
    assert!(scenario.value::<bool>(&covered).await?, "the lease covers the request");
    assert!(scenario.value::<bool>("select sent_at is not null from pfa_sync.batches").await?);
    let attempts = "select array_agg(queue_id) from pfa_sync_private.pfa_audit_log where event_type = 'WRITE_ATTEMPT'";
    assert_eq!(scenario.value::<Vec<i64>>(attempts).await?, [first.get::<_, i64>("queue_id")]);

    let second = claim_to_send(&scenario).await?;
    assert!(!second.get::<_, bool>("sent") && second.get::<_, f64>("wait_ms") > 0.0, "it waits for its slot");
    assert!(scenario.value::<bool>("select bool_or(sent_at is null) from pfa_sync.queue").await?);
    assert_eq!(scenario.value::<Vec<i64>>(attempts).await?.len(), 1);
    scenario.check().await
}

#[tokio::test]
async fn a_claim_without_a_request_timeout_marks_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    edit(&scenario, &["1"]).await?;
    let claimed = scenario.client.query_one("select wait_ms, sent from pfa_sync.claim('relay-1')", &[]).await?;
    assert_eq!((claimed.get("wait_ms"), claimed.get("sent")), (0.0, false));
    assert!(scenario.value::<bool>(&format!("select q.sent_at is null from {LAST}")).await?);
    scenario.check().await
}

/// A relay that stops before the request releases what the claim marked: nothing was sent, so no try is used up.
#[tokio::test]
async fn what_was_marked_and_not_sent_is_released() -> Result<()> {
    let scenario = Scenario::new().await?;
    edit(&scenario, &["1"]).await?;
    let claimed = claim_to_send(&scenario).await?;
    let items = json!([{"queue_id": claimed.get::<_, i64>("queue_id"), "fencing_token": claimed.get::<_, i32>("fencing_token")}]);
    scenario.client.query("select * from pfa_sync.release('relay-1', $1)", &[&items]).await?;
    assert!(scenario.value::<bool>(&format!("select q.sent_at is null and q.retry_count = 0 from {LAST}")).await?);
    assert_eq!(scenario.deliver().await?, 1);
    scenario.check().await
}

/// A relay that dies between the claim and the request: the record is read before anything is sent again.
#[tokio::test]
async fn what_was_marked_and_never_answered_is_read() -> Result<()> {
    let scenario = Scenario::new().await?;
    edit(&scenario, &["1"]).await?;
    claim_to_send(&scenario).await?;
    scenario.client.batch_execute("update pfa_sync_private.pfa_write_queue set lease_until = now()").await?;
    let again = claim_to_send(&scenario).await?;
    assert_eq!((again.get("step"), again.get("ambiguous"), again.get("sent")), ("read", true, false));
    scenario.check().await
}
