//! What the application changes while no trigger watches: a bulk load with its triggers disabled, or work while detached. The
//! queue is never sent against what stands in the application's tables.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO};

use crate::support::scenario::{Scenario, refusal};

/// Executes statements without any trigger.
async fn unwatched(scenario: &Scenario, statements: &str) -> Result<()> {
    let script = format!("set session_replication_role = replica; {statements}; reset session_replication_role");
    Ok(scenario.client.batch_execute(&script).await?)
}

/// What was taken back is not sent, whatever the queue has.
#[rstest]
#[case::draft(r#"update pfa_modification set "syncState" = 'draft'"#, Some("draft/queued"))]
#[case::discarded(r#"update pfa_modification set "syncState" = 'discarded'"#, Some("discarded/queued"))]
#[case::deleted("delete from pfa_modification", None)]
#[case::record_deleted(r#"delete from pfa_modification; delete from pfa_mirror where "pfaId" = '1'"#, None)]
#[tokio::test]
async fn what_was_taken_back_is_not_sent(#[case] statement: &str, #[case] state: Option<&str>) -> Result<()> {
    let scenario = Scenario::new().await?;
    let edit = scenario.edit("1", json!({"model": "X"})).await?;
    unwatched(&scenario, statement).await?;
    assert!(scenario.claim().await?.is_empty());
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
    if let Some(state) = state {
        assert_eq!(scenario.state(&edit).await?, state);
    }
    Ok(())
}

/// The application's own trigger takes back what the same statement commits, before that is queued: it is not sent.
#[rstest]
#[case::draft(r#"update pfa_modification set "syncState" = 'draft' where id = new.id"#)]
#[case::deleted("delete from pfa_modification where id = new.id")]
#[tokio::test]
async fn what_the_statement_s_own_triggers_take_back_is_not_sent(#[case] statement: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let takes_back = format!(
        r#"create function take_back() returns trigger language plpgsql as $$ begin {statement}; return null; end $$;
           create trigger take_back after update on pfa_modification for each row
           when (old."syncState" = 'draft' and new."syncState" = 'committed') execute function take_back()"#
    );
    scenario.client.batch_execute(&takes_back).await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    scenario.application().commit(EDITOR, RIO).await?;
    assert!(scenario.claim().await?.is_empty());
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
    scenario.check().await
}

/// What was changed is judged anew, as it is now: the new value is sent, never the old one.
#[tokio::test]
async fn a_changed_delta_is_sent_as_it_is() -> Result<()> {
    let scenario = Scenario::new().await?;
    let edit = scenario.edit("1", json!({"model": "old"})).await?;
    unwatched(&scenario, r#"update pfa_modification set delta = '{"model": "new"}'"#).await?;
    assert!(scenario.claim().await?.is_empty(), "the old value is not sent");
    assert_eq!(scenario.value::<f64>("select pfa_sync.next_due_ms()").await?, 0.0, "a sweep is due");
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.mirror("1").await?["model"], "new");
    assert_eq!(scenario.state(&edit).await?, "synced/synced");
    scenario.check().await
}

/// Another author, record or organization is judged like any commit: by that author's rights, against that record.
#[rstest]
#[case::author(r#"update pfa_modification set "userId" = 'usr_viewer'"#, "lacks")]
#[case::organization(r#"update pfa_modification set "organizationId" = 'org_HARBOUR_7'"#, "another organization")]
#[case::of_the_record(r#"update pfa_mirror set "organizationId" = 'org_HARBOUR_7' where "pfaId" = '1'"#, "another organization")]
#[case::invalid(r#"update pfa_modification set delta = '{"model": 7}'"#, "model")]
#[tokio::test]
async fn what_does_not_fit_any_more_is_a_dead_letter(#[case] statement: &str, #[case] reason: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    unwatched(&scenario, statement).await?;
    assert!(scenario.claim().await?.is_empty());
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    assert!(scenario.claim().await?.is_empty());
    let error: String = scenario.value("select error from pfa_sync.dead_letters").await?;
    assert!(error.contains(reason), "{error}");
    scenario.check().await
}

#[tokio::test]
async fn another_record_is_written_instead() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    unwatched(&scenario, r#"update pfa_modification set "mirrorId" = (select id from pfa_mirror where "pfaId" = '2')"#).await?;
    assert!(scenario.claim().await?.is_empty());
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    let claimed = scenario.claim().await?;
    assert_eq!((claimed.len(), claimed[0].pfa_id.as_str()), (1, "2"));
    scenario.check().await
}

/// After TRUNCATE, no conflict, dead letter or queued change of a deleted modification stays open.
#[rstest]
#[case::with_triggers("truncate pfa_modification", false)]
#[case::without_triggers(
    "set session_replication_role = replica; truncate pfa_modification; reset session_replication_role",
    true
)]
#[tokio::test]
async fn an_emptied_table_leaves_nothing_open(#[case] truncate: &str, #[case] attached_again: bool) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.application().draft(EDITOR, testbed::application::RIO, "1", json!({"model": "ours"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "theirs"})).await?;
    scenario.application().commit(EDITOR, testbed::application::RIO).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    let sent = scenario.send().await?;
    scenario.report("fail", &sent, json!({"outcome": "rejected", "error": "no"})).await?;
    scenario.edit("3", json!({"model": "X"})).await?;
    let open = "select (select count(*) from pfa_sync.conflicts) || ' ' || (select count(*) from pfa_sync.dead_letters) || ' ' || (select count(*) from pfa_sync.queue)";
    assert_eq!(scenario.value::<String>(open).await?, "1 1 1");
    scenario.client.batch_execute(truncate).await?;
    if attached_again {
        scenario.client.query("select pfa_sync.attach()", &[]).await?;
    }
    assert_eq!(scenario.value::<String>(open).await?, "0 0 0");
    assert!(scenario.claim().await?.is_empty());
    scenario.check().await
}

/// The content of what is committed can't be changed while the triggers watch.
#[tokio::test]
async fn what_is_watched_is_refused() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    for change in [r#"delta = '{"model": "Y"}'"#, r#""userId" = 'usr_second'"#] {
        let update = format!("update pfa_modification set {change}");
        let error = scenario.client.batch_execute(&update).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF003", "{change}");
    }
    let changes: Value = scenario.value("select changes from pfa_sync.queue").await?;
    assert_eq!(changes, json!({"model": "X"}));
    Ok(())
}
