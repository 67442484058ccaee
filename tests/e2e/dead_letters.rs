//! Dead letters: how changes fail for good, are requeued or discarded; and priorities.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::EDITOR;

use crate::support::scenario::{Scenario, refusal};

/// An edit of record "1" that PEMS has refused for good.
async fn dead(scenario: &Scenario, delta: Value) -> Result<String> {
    let id = scenario.edit("1", delta).await?;
    let claimed = scenario.send().await?;
    let answer = json!({"outcome": "rejected", "error": "422", "http_status": 422, "response": {"error": "NO"}});
    scenario.report("fail", &claimed, answer).await?;
    assert_eq!(scenario.state(&id).await?, "sync_error/failed");
    Ok(id)
}

#[tokio::test]
async fn a_dead_letter_keeps_every_try_and_is_queued_again() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.execute("select pfa_sync.set('retry_delay', '0 s')", &[]).await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "unavailable", "error": "first", "response": {"n": 1}})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "rejected", "error": "second", "response": {"n": 2}})).await?;

    let tries = scenario
        .client
        .query(
            "select a.request, a.response, a.answered_at >= a.asked_at from pfa_sync.dead_letters d, pfa_sync.attempts(d.queue_id) a order by a.attempt",
            &[],
        )
        .await?;
    let tries: Vec<(Value, Value, bool)> = tries.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(tries, [1, 2].map(|n| (json!({"model": "X"}), json!({"n": n}), true)));

    let preview =
        scenario.client.query_one("select * from pfa_sync.preview_dead_letters('{\"code\": \"REJECTED\"}')", &[]).await?;
    let digest: String = preview.get("digest");
    assert_eq!((preview.get::<_, i64>("dead_letters"), preview.get::<_, i64>("overtaken")), (1, 0));
    let requeued = scenario.client.query_one("select * from pfa_sync.requeue_dead_letters('{}', null, $1)", &[&digest]).await?;
    assert_eq!(requeued.get::<_, i64>("requeued"), 1);
    assert_eq!(scenario.state(&id).await?, "committed/queued");
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.dead_letters").await?, 0);
    scenario.check().await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    scenario.check().await
}

#[tokio::test]
async fn a_single_dead_letter_is_queued_with_a_fix() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = dead(&scenario, json!({"model": "X", "monthlyRate": 100})).await?;
    let invalid = scenario.client.execute("select pfa_sync.requeue_dead_letters('{}', '{\"monthlyRate\": \"dear\"}')", &[]).await;
    assert_eq!(refusal(&invalid.unwrap_err().into()).0, "PF001", "a fix is validated");
    assert_eq!(scenario.state(&id).await?, "sync_error/failed");

    scenario.client.execute("select pfa_sync.requeue_dead_letters('{}', '{\"monthlyRate\": 200}')", &[]).await?;
    assert_eq!(scenario.deliver().await?, 1);
    let mirror = scenario.mirror("1").await?;
    assert_eq!((&mirror["model"], &mirror["monthlyRate"]), (&json!("X"), &json!(200)));
    scenario.check().await
}

/// What another user fixed is sent in that user's name and by that user's permissions, and the log names both.
#[tokio::test]
async fn a_fix_is_its_users_change() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = dead(&scenario, json!({"model": "X", "actualStart": "2026-03-01"})).await?;
    let grant = r#"update user_organizations set "perm_ManageSettings" = true where "userId" in ('usr_planner', 'usr_second')"#;
    scenario.client.batch_execute(grant).await?;
    let fix = |user: &'static str| {
        let client = &scenario.client;
        async move { client.execute("select pfa_sync.requeue_dead_letters('{}', '{\"model\": \"Y\"}', null, $1)", &[&user]).await }
    };
    let error = fix("usr_planner").await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF002", "usr_planner may not edit actuals, which the change sends too");
    assert_eq!(scenario.state(&id).await?, "sync_error/failed");

    fix("usr_second").await?;
    let claimed = scenario.send().await?;
    assert_eq!(claimed[0].modified_by, "simon@example.com");
    let logged = "select changes from pfa_sync_private.pfa_audit_log where event_type = 'REQUEUED' and user_id = 'usr_second'";
    let logged: Value = scenario.value(logged).await?;
    assert_eq!((&logged["author"], &logged["fix"]), (&json!(EDITOR), &json!({"model": "Y"})));
    assert_eq!(scenario.value::<String>(r#"select "userId" from pfa_modification"#).await?, EDITOR);
    Ok(())
}

/// The digest of a preview covers edits of the records that were queued since.
#[tokio::test]
async fn a_preview_ends_with_the_next_edit_of_a_record() -> Result<()> {
    let scenario = Scenario::new().await?;
    dead(&scenario, json!({"model": "X"})).await?;
    let digest: String = scenario.value("select digest from pfa_sync.preview_dead_letters('{}')").await?;
    scenario.edit("1", json!({"areaSilo": "Silo 2"})).await?;
    for call in ["requeue_dead_letters('{}', null, $1)", "discard_dead_letters('{}', 'wrong crane', $1)"] {
        let error = scenario.client.execute(&format!("select pfa_sync.{call}"), &[&digest]).await.unwrap_err();
        assert_eq!(refusal(&error.into()).0, "PF006", "{call}");
    }
    Ok(())
}

/// A DBA who is no user of the application fixes a change in its author's name.
#[tokio::test]
async fn a_dbas_fix_stays_the_authors_change() -> Result<()> {
    let scenario = Scenario::new().await?;
    dead(&scenario, json!({"model": "X"})).await?;
    scenario.client.execute("select pfa_sync.requeue_dead_letters('{}', '{\"model\": \"Y\"}')", &[]).await?;
    assert_eq!(scenario.send().await?[0].modified_by, "edith@example.com");
    Ok(())
}

#[tokio::test]
async fn later_changes_go_on_and_their_values_are_not_replaced_by_older_ones() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = dead(&scenario, json!({"model": "old", "contract": "C-1"})).await?;
    scenario.edit("1", json!({"model": "new"})).await?;
    assert_eq!(scenario.deliver().await?, 1, "a dead letter does not block later changes");
    scenario.edit("1", json!({"areaSilo": "Silo 2"})).await?;
    let later = scenario.client.query_one("select later_queued, later_written from pfa_sync.dead_letters", &[]).await?;
    assert_eq!((later.get::<_, i64>(0), later.get::<_, i64>(1)), (1, 1));

    let row = scenario.client.query_one("select * from pfa_sync.requeue_dead_letters('{}')", &[]).await?;
    assert_eq!((row.get::<_, i64>("requeued"), row.get::<_, i64>("conflicts")), (0, 1));
    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    let fields: Vec<String> = scenario.value("select conflict_fields from pfa_sync.conflicts").await?;
    assert_eq!(fields, ["model"]);
    scenario.deliver().await?;
    assert_eq!(scenario.mirror("1").await?["model"], "new");
    scenario.check().await
}

#[tokio::test]
async fn a_dead_letter_is_given_up_with_a_reason_by_those_who_may() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = dead(&scenario, json!({"model": "X"})).await?;
    let discard = |user: &'static str, reason: &'static str| {
        let client = &scenario.client;
        async move { client.execute("select pfa_sync.discard_dead_letters('{}', $1, null, $2)", &[&reason, &user]).await }
    };
    assert_eq!(refusal(&discard("usr_second", "wrong crane").await.unwrap_err().into()).0, "PF002");
    let nameless = scenario.client.execute("select pfa_sync.discard_dead_letters('{}', ' ')", &[]).await;
    assert_eq!(refusal(&nameless.unwrap_err().into()).0, "PF001");
    let stale = scenario.client.execute("select pfa_sync.discard_dead_letters('{}', 'wrong crane', 'stale')", &[]).await;
    assert_eq!(refusal(&stale.unwrap_err().into()).0, "PF006");

    assert_eq!(scenario.value::<i64>("select discarded from pfa_sync.discard_dead_letters('{}', 'wrong crane')").await?, 1);
    assert_eq!(scenario.state(&id).await?, "discarded/discarded");
    let listed = "select error_message from pfa_sync.timeline('RIO', '1') where event_type = 'DISCARDED'";
    assert_eq!(scenario.value::<String>(listed).await?, "wrong crane");
    assert_eq!(scenario.value::<String>("select health from pfa_sync.status('RIO')").await?, "ok");
    scenario.check().await
}

/// The application takes a failed change back, commits it anew, or deletes it: it is no dead letter any more.
#[tokio::test]
async fn a_failed_change_that_the_application_moves_on_is_no_dead_letter_any_more() -> Result<()> {
    for (statement, ending) in [
        (r#"update pfa_modification set "syncState" = 'committed'"#, "requeued"),
        (r#"update pfa_modification set "syncState" = 'draft'"#, "withdrawn"),
        ("delete from pfa_modification", "withdrawn"),
    ] {
        let scenario = Scenario::new().await?;
        dead(&scenario, json!({"model": "X"})).await?;
        scenario.client.batch_execute(statement).await?;
        assert_eq!(
            scenario.value::<String>("select status from pfa_sync_private.pfa_write_queue_dlq").await?,
            ending,
            "{statement}"
        );
        scenario.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_a_user_syncs_goes_first_with_all_that_stands_before_it() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "A"})).await?;
    scenario.edit("2", json!({"model": "B"})).await?;
    scenario.edit("3", json!({"model": "C"})).await?;
    let urgent = scenario.edit("3", json!({"model": "D"})).await?;
    let row = scenario
        .client
        .query_one("select job_id, queued, estimate > interval '0' from pfa_sync.write_sync('RIO', array[$1], 10)", &[&urgent])
        .await?;
    assert_eq!((row.get::<_, i64>(1), row.get::<_, bool>(2)), (1, true));

    let claimed = scenario.client.query("select pfa_id from pfa_sync.claim('relay-1', max_records => 1)", &[]).await?;
    assert_eq!(claimed[0].get::<_, &str>(0), "3");
    let claimed = scenario.client.query("select pfa_id from pfa_sync.claim('relay-1')", &[]).await?;
    assert_eq!(claimed.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["1", "2"], "one in flight per record");
    let error = scenario.client.execute("select pfa_sync.write_sync('RIO', null, 11)", &[]).await.unwrap_err();
    assert_eq!(refusal(&error.into()).0, "PF001");
    scenario.check().await
}
