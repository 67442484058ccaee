//! Idempotency keys: equal keys mean equal requests.

use anyhow::Result;
use serde_json::json;

use crate::support::scenario::Scenario;

/// One request that is sent again has the same key; another version or another value has another one.
#[tokio::test]
async fn a_key_is_of_one_request() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let first = scenario.claim().await?;
    scenario.report("release", &first, json!({})).await?;
    let again = scenario.claim().await?;
    assert_eq!(again[0].idempotency_key, first[0].idempotency_key);
    scenario.report("release", &again, json!({})).await?;
    scenario.foreign_edit("1", 2, json!({"manufacturer": "Grove"})).await?;
    let rebased = scenario.claim().await?;
    assert_eq!((rebased[0].version, &rebased[0].changes), (Some(2), &first[0].changes));
    assert_ne!(rebased[0].idempotency_key, first[0].idempotency_key);
    scenario.check().await
}

/// A restored database gives ids away again that its original has used. PEMS would answer with what it did then.
#[tokio::test]
async fn a_restored_database_makes_no_key_twice() -> Result<()> {
    let scenario = Scenario::new().await?;
    let mut keys = Vec::new();
    for _ in 0..2 {
        scenario
            .client
            .batch_execute(
                "delete from pfa_sync_private.pfa_write_queue; delete from pfa_modification; \
                 alter sequence pfa_sync_private.pfa_write_queue_id_seq restart with 7",
            )
            .await?;
        scenario.edit("1", json!({"model": "X"})).await?;
        let claimed = scenario.claim().await?;
        assert_eq!(claimed[0].queue_id, 7);
        keys.push(claimed[0].idempotency_key.clone());
    }
    assert_ne!(keys[0], keys[1]);
    Ok(())
}
