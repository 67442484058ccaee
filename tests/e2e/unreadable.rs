//! Records and changes that the rules can't read do not stop the others.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::pems_record;

use crate::support::scenario::{Scenario, refusal};

/// A value nested 200 deep, and an object with the key by which serde_json marks numbers.
const DEEP: &str = "(repeat('[', 200) || repeat(']', 200))::jsonb";
const NO_NUMBER: &str = r#"'{"$serde_json::private::Number": "no number"}'::jsonb"#;

/// The field that can't be read is left alone: the edit of the record's other fields is sent, whether it was queued before
/// or is committed after.
#[rstest]
#[case::nested(DEEP)]
#[case::private_key(NO_NUMBER)]
#[tokio::test]
async fn a_field_that_can_not_be_read_stops_no_edit(#[case] value: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let queued = scenario.edit("1", json!({"model": "X"})).await?;
    let other = scenario.edit("2", json!({"model": "X"})).await?;
    let spoil = format!(
        r#"update pfa_mirror set data = data || jsonb_build_object('remark', {value}, 'contract', {value}) where "pfaId" = '1'"#
    );
    scenario.client.batch_execute(&spoil).await?;
    let committed = scenario.edit("1", json!({"areaSilo": "Silo 9"})).await?;
    assert_eq!(scenario.deliver().await?, 3);
    for edit in [&queued, &other, &committed] {
        assert_eq!(scenario.state(edit).await?, "synced/synced");
    }
    scenario.check().await
}

/// An edit of that very field is a conflict where the author did not see the value, and invalid where it is the edit's.
#[rstest]
#[case::nested("(repeat('[', 15) || repeat(']', 15))::jsonb")]
#[case::private_key(NO_NUMBER)]
#[tokio::test]
async fn a_value_that_can_not_be_read_is_refused_in_words(#[case] value: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let insert = format!(
        r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
           select 'unreadable', id, "organizationId", 'usr_editor', jsonb_build_object('model', {value}), 'committed', now()
             from pfa_mirror where "pfaId" = '1'"#
    );
    let error = scenario.client.batch_execute(&insert).await.unwrap_err().into();
    let (code, _, detail) = refusal(&error);
    assert_eq!((code.as_str(), &detail[0]["errors"][0]["code"]), ("PF001", &json!("INVALID_TYPE")));
    Ok(())
}

/// The same of changes that no trigger saw, which a sweep queues: one that can't be read becomes a dead letter.
#[tokio::test]
async fn a_sweep_queues_the_others() -> Result<()> {
    let scenario = Scenario::new().await?;
    // As logical replication inserts them: no trigger fires.
    let unseen = format!(
        r#"set session_replication_role = replica;
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "committedAt", "updatedAt")
        select 'unseen_' || "pfaId", id, "organizationId", 'usr_editor',
               case "pfaId" when '1' then jsonb_build_object('model', {DEEP}) else '{{"model": "X"}}' end, 'committed', 'committed', now(), now()
          from pfa_mirror where "pfaId" in ('1', '2');
        reset session_replication_role"#
    );
    scenario.client.batch_execute(&unseen).await?;
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
