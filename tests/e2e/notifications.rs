//! Notifications: each user is told about own changes, and administrators about what needs them; what is alike is one.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO};

use crate::support::api::Api;
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

/// A scenario whose log is told up to now.
async fn begun() -> Result<Scenario> {
    let scenario = Scenario::new().await?;
    scenario.client.execute("select pfa_sync.notify_users()", &[]).await?;
    Ok(scenario)
}

/// What a user has unread: kind, code, number and records of each.
async fn unread(scenario: &Scenario, user: &str) -> Result<Vec<String>> {
    scenario.client.execute("select pfa_sync.notify_users()", &[]).await?;
    let query = "select array(select concat_ws(' ', kind, code, number, array_to_string(pfa_ids, ',')) from pfa_sync.notifications \
                  where user_id = $1 and read_at is null order by kind, code)";
    Ok(scenario.client.query_one(query, &[&user]).await?.get(0))
}

async fn edit_each(scenario: &Scenario, ids: &[&str]) -> Result<()> {
    for id in ids {
        scenario.edit(id, json!({"model": "X"})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn changes_that_reached_pems_are_one_notification_of_their_author() -> Result<()> {
    let scenario = begun().await?;
    edit_each(&scenario, &["1", "2"]).await?;
    scenario.deliver().await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["synced 2 1,2"]);
    edit_each(&scenario, &["3"]).await?;
    scenario.deliver().await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["synced 3 1,2,3"], "what is alike is one, until it is read");
    assert!(unread(&scenario, "usr_second").await?.is_empty() && unread(&scenario, "usr_admin").await?.is_empty());
    let session = scenario.acting(EDITOR).await?;
    assert_eq!(session.query_one("select pfa_sync.mark_read()", &[]).await?.get::<_, i64>(0), 1);
    assert_eq!(session.query_one("select pfa_sync.mark_read()", &[]).await?.get::<_, i64>(0), 0);
    scenario.edit("1", json!({"model": "Y"})).await?;
    scenario.deliver().await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["synced 1 1"]);
    Ok(())
}

/// A change that failed, and reached PEMS in the end, is told as both; its dead letter is one for administrators.
#[tokio::test]
async fn a_failure_and_its_recovery_are_told() -> Result<()> {
    let scenario = begun().await?;
    edit_each(&scenario, &["1"]).await?;
    let sent = scenario.send().await?;
    scenario.report("fail", &sent, json!({"outcome": "rejected", "error": "no", "http_status": 422})).await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["failed REJECTED 1 1"]);
    assert_eq!(unread(&scenario, "usr_admin").await?, ["dead_letters 1 1"]);
    scenario.client.query("select * from pfa_sync.requeue_dead_letters('{\"organization\": \"RIO\"}')", &[]).await?;
    scenario.deliver().await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["failed REJECTED 1 1", "recovered 1 1"]);
    Ok(())
}

/// A conflict is told to its author; that another user resolved it, too, and nothing where the author did.
#[tokio::test]
async fn an_author_hears_of_a_conflict_and_of_who_resolved_it() -> Result<()> {
    let scenario = begun().await?;
    for id in ["1", "2"] {
        scenario.application().draft(EDITOR, RIO, id, json!({"monthlyRate": 9000})).await?;
        scenario.foreign_edit(id, 2, json!({"monthlyRate": 8000})).await?;
    }
    scenario.application().commit(EDITOR, RIO).await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["conflict CHANGED_IN_PEMS 2 1,2"]);
    let resolve = "select pfa_sync.resolve_conflict(conflict_id, 'use_pems', $2) from pfa_sync.conflicts where pfa_id = $1";
    scenario.client.query(resolve, &[&"1", &"usr_admin"]).await?;
    scenario.client.query(resolve, &[&"2", &EDITOR]).await?;
    let told = unread(&scenario, EDITOR).await?;
    assert!(told.contains(&"resolved 1 1".to_owned()), "{told:?}");
    Ok(())
}

/// What a rollback takes out of the queue returns to its author's drafts, who is told.
#[tokio::test]
async fn an_author_hears_of_changes_that_another_user_withdrew() -> Result<()> {
    let scenario = begun().await?;
    let modification = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.query("select * from pfa_sync.withdraw(array[$1], 'usr_admin')", &[&modification]).await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["withdrawn 1 1"]);
    let own = scenario.edit("2", json!({"model": "X"})).await?;
    scenario.client.query("select * from pfa_sync.withdraw(array[$1], $2)", &[&own, &EDITOR]).await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["withdrawn 1 1"]);
    Ok(())
}

/// A transaction that commits late, and entries that are told in portions, are told once.
#[tokio::test]
async fn every_entry_is_told_once() -> Result<()> {
    let scenario = begun().await?;
    let (late, other) = (scenario.database.client().await?, scenario.database.client().await?);
    let log = "select pfa_sync_private.log_event('SYNCED', 'org_RIO_173', 'usr_editor', pfa_id => $1)";
    late.batch_execute("begin").await?;
    late.execute(log, &[&"1"]).await?;
    other.execute(log, &[&"2"]).await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["synced 1 2"]);
    late.batch_execute("commit").await?;
    assert_eq!(unread(&scenario, EDITOR).await?, ["synced 2 1,2"]);
    assert_eq!(unread(&scenario, EDITOR).await?, ["synced 2 1,2"]);
    Ok(())
}

/// Over the API each user has their own, live as well: the stream of another user has no event of it.
#[tokio::test]
async fn each_user_has_their_own_over_the_api() -> Result<()> {
    let stack = Stack::new(2).await?;
    let api = Api::start(&stack.scenario, &[]).await?;
    let relay = stack.relay("run")?;
    stack.until("select (select origin from pfa_sync_private.notification_position) <> ''").await?;
    edit_each(&stack.scenario, &["1", "2"]).await?;
    stack.until_drained().await?;
    stack
        .until(
            "select exists (select from pfa_sync.notifications where user_id = 'usr_editor' and kind = 'synced' and number = 2)",
        )
        .await?;
    let list = async |user: &str| -> Result<Value> { api.get(user, "/api/pems/notifications?unread=true").await };
    let own = list(EDITOR).await?;
    assert_eq!((&own["unread"], &own["notifications"][0]["kind"]), (&json!(1), &json!("synced")));
    assert_eq!(list("usr_viewer").await?["unread"], 0);
    let id = own["notifications"][0]["notificationId"].clone();
    let foreign = api.post("usr_viewer", "/api/pems/notifications/read", json!({"notificationIds": [id]})).await?;
    assert_eq!(foreign.json::<Value>().await?["marked"], 0, "no user reads for another");
    let read = api.post(EDITOR, "/api/pems/notifications/read", json!({"notificationIds": [id]})).await?;
    assert_eq!(read.json::<Value>().await?["marked"], 1);
    let events = "select count(*) from pfa_sync.events($1) where event = 'notification'";
    let position: String = stack.scenario.value("select log_epoch || '/' || '3:3:' from pfa_sync_private.installation").await?;
    for (user, expected) in [(EDITOR, true), ("usr_viewer", false)] {
        let session = stack.scenario.acting(user).await?;
        let seen: i64 = session.query_one(events, &[&position]).await?.get(0);
        assert_eq!(seen > 0, expected, "{user}");
    }
    assert!(relay.stop().await?.success());
    Ok(())
}
