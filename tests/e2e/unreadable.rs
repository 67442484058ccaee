//! Records and changes that the rules can't read do not stop the others.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::pems_record;

use crate::support::scenario::Scenario;

/// A value nested 200 deep, and an object with the key by which serde_json marks numbers.
const DEEP: &str = "(repeat('[', 200) || repeat(']', 200))::jsonb";
const NO_NUMBER: &str = r#"'{"$serde_json::private::Number": "no number"}'::jsonb"#;

/// The record becomes unreadable after its edit was queued: the edit ends with its reason, and all others are sent.
#[rstest]
#[case::nested(DEEP)]
#[case::private_key(NO_NUMBER)]
#[tokio::test]
async fn a_record_that_can_not_be_read_stops_no_other(#[case] value: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let first = scenario.edit("1", json!({"model": "X"})).await?;
    let second = scenario.edit("2", json!({"model": "X"})).await?;
    let spoil = format!(r#"update pfa_mirror set data = data || jsonb_build_object('remark', {value}) where "pfaId" = '1'"#);
    scenario.client.batch_execute(&spoil).await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&second).await?, "synced/synced");
    assert_eq!(scenario.state(&first).await?, "sync_error/failed");
    let letter: String = scenario.value("select code || ' ' || error from pfa_sync.dead_letters").await?;
    assert!(letter.starts_with("UNREADABLE the change can't be judged: "), "{letter}");
    Ok(())
}

/// The same of a change that no trigger saw, which a sweep queues.
#[tokio::test]
async fn a_sweep_queues_the_others() -> Result<()> {
    let scenario = Scenario::new().await?;
    let spoil = format!(r#"update pfa_mirror set data = data || jsonb_build_object('remark', {DEEP}) where "pfaId" = '1'"#);
    scenario.client.batch_execute(&spoil).await?;
    // As logical replication inserts them: no trigger fires.
    let unseen = r#"set session_replication_role = replica;
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "committedAt", "updatedAt")
        select 'unseen_' || "pfaId", id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', 'committed', now(), now()
          from pfa_mirror where "pfaId" in ('1', '2');
        reset session_replication_role"#;
    scenario.client.batch_execute(unseen).await?;
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    assert_eq!(scenario.state("unseen_1").await?, "sync_error/failed");
    assert_eq!(scenario.state("unseen_2").await?, "committed/queued");
    Ok(())
}

/// The same of a record in a page of PEMS.
#[rstest]
#[case::nested(DEEP)]
#[case::private_key(NO_NUMBER)]
#[tokio::test]
async fn a_page_is_taken_without_the_record(#[case] value: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let mut good = pems_record("RIO", "2");
    good["version"] = json!(2);
    good["model"] = json!("theirs");
    let query = format!(
        "select records_changed, records_rejected from pfa_sync.ingest('RIO', jsonb_build_array($1::jsonb || jsonb_build_object('remark', {value}), $2::jsonb))"
    );
    let row = scenario.client.query_one(&query, &[&pems_record("RIO", "9"), &good]).await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 1));
    assert_eq!(scenario.mirror("2").await?["model"], "theirs");
    Ok(())
}
