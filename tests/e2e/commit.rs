//! An edit from the application's UPDATE into the queue.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, HARBOUR, RIO, SECOND, pems_record};

use crate::support::scenario::{Scenario, refusal};

#[tokio::test]
async fn an_edit_is_queued_in_canonical_form() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id =
        scenario.edit("1", json!({"monthlyRate": 13000.50, "forecastEnd": "2027-01-31T02:00:00+02:00", "model": ""})).await?;

    assert_eq!(scenario.state(&id).await?, "committed/queued");
    let changes: Value = scenario.value("select changes from pfa_sync.queue").await?;
    assert_eq!(changes, json!({"monthlyRate": 13000.5, "forecastEnd": "2027-01-31T00:00:00.000Z", "model": null}));
    let committed: bool = scenario.value(r#"select "committedAt" is not null from pfa_modification"#).await?;
    assert!(committed);
    scenario.check().await
}

#[tokio::test]
async fn a_thousand_edits_in_one_update_are_one_job() -> Result<()> {
    let scenario = Scenario::new().await?;
    let records: Vec<Value> = (1000..2000).map(|id| pems_record("RIO", &id.to_string())).collect();
    scenario.ingest(&records).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, '{"monthlyRate": 1}', version, now() from pfa_mirror where length("pfaId") = 4"#;
    scenario.client.execute(insert, &[&EDITOR]).await?;

    assert_eq!(scenario.application().commit(EDITOR, RIO).await?, 1000);

    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue where status = 'pending' and head").await?, 1000);
    assert_eq!(scenario.value::<i32>("select records from pfa_sync_private.sync_job").await?, 1000);
    assert_eq!(
        scenario.value::<i64>("select count(*) from pfa_sync_private.pfa_audit_log where event_type = 'COMMITTED'").await?,
        1000
    );
    scenario.check().await
}

#[tokio::test]
async fn a_rolled_back_commit_leaves_nothing() -> Result<()> {
    let mut scenario = Scenario::new().await?;
    let transaction = scenario.client.transaction().await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
        select 'mod_1', id, "organizationId", $1, '{"model": "X"}', 'committed', now() from pfa_mirror where "pfaId" = '1'"#;
    transaction.execute(insert, &[&EDITOR]).await?;
    transaction.rollback().await?;

    for table in ["pfa_write_queue", "sync_job", "pfa_sync_conflict"] {
        assert_eq!(scenario.value::<i64>(&format!("select count(*) from pfa_sync_private.{table}")).await?, 0, "{table}");
    }
    assert_eq!(
        scenario.value::<i64>("select count(*) from pfa_sync_private.pfa_audit_log where event_type = 'COMMITTED'").await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn an_invalid_commit_fails_with_every_problem() -> Result<()> {
    let scenario = Scenario::new().await?;
    let application = scenario.application();
    let first =
        application.draft(EDITOR, RIO, "1", json!({"monthlyRate": -1, "source": "LEASE", "pfaId": "9", "colour": "red"})).await?;
    let second = application.draft(EDITOR, RIO, "2", json!({"forecastStart": "2028-01-01"})).await?;
    let sound = application.draft(EDITOR, RIO, "3", json!({"model": "fine"})).await?;

    let (code, message, detail) = refusal(&application.commit(EDITOR, RIO).await.unwrap_err().into());

    assert_eq!(code, "PF001");
    assert!(message.starts_with("2 of 3 changes can't be committed; "), "{message}");
    let mut codes: Vec<(String, String)> = Vec::new();
    for change in detail.as_array().expect("a list of changes") {
        for error in change["errors"].as_array().expect("a list of errors") {
            codes.push((change["modificationId"].as_str().unwrap().to_owned(), error["code"].as_str().unwrap().to_owned()));
        }
    }
    let expected = [
        (&first, "FIELD_LOCKED"),
        (&first, "INVALID_ENUM_VALUE"),
        (&first, "INVALID_RANGE"),
        (&first, "UNKNOWN_FIELD"),
        (&second, "INVALID_DATE_ORDER"),
    ];
    codes.sort();
    let mut expected: Vec<(String, String)> = expected.iter().map(|(id, code)| ((*id).clone(), (*code).to_owned())).collect();
    expected.sort();
    assert_eq!(codes, expected);
    assert_eq!(scenario.state(&sound).await?, "draft/draft", "a statement fails whole");
    Ok(())
}

#[tokio::test]
async fn a_forbidden_commit_names_what_is_missing() -> Result<()> {
    let scenario = Scenario::new().await?;
    for (user, delta, missing) in [
        ("usr_viewer", json!({"model": "X"}), json!(["perm_EditForecast", "perm_Sync"])),
        ("usr_planner", json!({"actualStart": "2026-02-01"}), json!(["perm_EditActuals"])),
        ("usr_planner", json!({"isDiscontinued": true}), json!(["perm_Delete"])),
        ("usr_planner", json!({"isDiscontinued": true, "model": "X"}), json!(["perm_Delete"])),
        ("usr_former", json!({"model": "X"}), json!(["perm_EditForecast", "perm_Sync"])),
    ] {
        let error = scenario.application().edit(user, "1", delta.clone()).await.unwrap_err().into();
        let (code, message, detail) = refusal(&error);
        assert_eq!((code.as_str(), &detail[0]["missingPermissions"]), ("PF002", &missing), "{user} {delta}: {message}");
        assert!(message.contains(user), "{message}");
        scenario.client.execute("delete from pfa_modification", &[]).await?;
    }
    let id =
        scenario.application().edit("usr_admin", "1", json!({"actualStart": "2026-02-01", "actualEnd": "2026-03-01"})).await?;
    assert_eq!(scenario.state(&id).await?, "committed/queued", "an administrator may all");
    Ok(())
}

#[tokio::test]
async fn a_modification_of_another_organization_is_refused() -> Result<()> {
    let scenario = Scenario::new().await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
        select 'mod_1', id, $1, $2, '{"model": "X"}', 'committed', now() from pfa_mirror where "pfaId" = '1'"#;
    let error = scenario.client.execute(insert, &[&HARBOUR, &EDITOR]).await.unwrap_err().into();
    let (code, _, detail) = refusal(&error);
    assert_eq!((code.as_str(), &detail[0]["errors"][0]["code"]), ("PF001", &json!("BUSINESS_RULE_VIOLATION")));
    Ok(())
}

#[tokio::test]
async fn committed_content_is_locked_until_it_is_withdrawn() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"monthlyRate": 13000})).await?;

    let error = scenario.client.execute("update pfa_modification set delta = '{\"model\": \"Y\"}' where id = $1", &[&id]).await;
    assert_eq!(refusal(&error.unwrap_err().into()).0, "PF003");

    // The same content, written in another way, may be written.
    let same = r#"update pfa_modification set delta = '{"monthlyRate": 13000.00}' where id = $1"#;
    scenario.client.execute(same, &[&id]).await?;

    scenario.client.execute(r#"update pfa_modification set "syncState" = 'draft' where id = $1"#, &[&id]).await?;
    assert_eq!(scenario.state(&id).await?, "draft/draft");
    assert_eq!(scenario.value::<String>("select status from pfa_sync_private.pfa_write_queue_archive").await?, "withdrawn");

    scenario.application().commit(EDITOR, RIO).await?;
    scenario.claim().await?;
    let error = scenario.client.execute(r#"update pfa_modification set "syncState" = 'draft' where id = $1"#, &[&id]).await;
    assert_eq!(refusal(&error.unwrap_err().into()).0, "PF003", "it is on its way");
    assert_eq!(scenario.state(&id).await?, "syncing/syncing");
    scenario.check().await
}

#[tokio::test]
async fn deleting_withdraws_what_waits_and_lets_finish_what_is_under_way() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.edit("2", json!({"model": "Y"})).await?;

    scenario.client.execute("delete from pfa_mirror", &[]).await?;

    assert_eq!(scenario.value::<String>("select pfa_id from pfa_sync.queue").await?, "1");
    let done = scenario.report("complete", &claimed, json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    assert_eq!(done[0].get::<_, &str>("status"), "completed");
    let ended = "select string_agg(pfa_id || ' ' || status, ', ' order by pfa_id) from pfa_sync_private.pfa_write_queue_archive";
    assert_eq!(scenario.value::<String>(ended).await?, "1 completed, 2 withdrawn");
    scenario.check().await
}

#[tokio::test]
async fn the_soft_delete_is_a_delete() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"isDiscontinued": true})).await?;
    scenario.edit("2", json!({"isDiscontinued": true, "model": "last"})).await?;
    let operations: Vec<String> = scenario.claim().await?.into_iter().map(|c| c.operation).collect();
    assert_eq!(operations, ["DELETE", "UPDATE"]);
    Ok(())
}

#[tokio::test]
async fn edits_of_different_fields_all_go_through() -> Result<()> {
    let scenario = Scenario::new().await?;
    let application = scenario.application();
    // Two users began both on the current record.
    let mine = application.draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    let theirs = application.draft(SECOND, RIO, "1", json!({"monthlyRate": 99})).await?;
    application.commit(EDITOR, RIO).await?;
    application.commit(SECOND, RIO).await?;

    assert_eq!(scenario.deliver().await?, 2);

    assert_eq!([scenario.state(&mine).await?, scenario.state(&theirs).await?], ["synced/synced", "synced/synced"]);
    let mirror = scenario.mirror("1").await?;
    assert_eq!((&mirror["model"], &mirror["monthlyRate"]), (&json!("X"), &json!(99)));
    scenario.check().await
}

#[tokio::test]
async fn an_author_overwrites_the_own_queued_edit_and_no_other() -> Result<()> {
    let scenario = Scenario::new().await?;
    let application = scenario.application();
    let first = application.draft(EDITOR, RIO, "1", json!({"monthlyRate": 100})).await?;
    let stale = application.draft(SECOND, RIO, "1", json!({"monthlyRate": 300})).await?;
    application.commit(EDITOR, RIO).await?;
    let again = scenario.edit("1", json!({"monthlyRate": 200})).await?;
    application.commit(SECOND, RIO).await?;

    assert_eq!(scenario.state(&stale).await?, "conflict/conflict");
    assert_eq!(scenario.deliver().await?, 2);
    assert_eq!([scenario.state(&first).await?, scenario.state(&again).await?], ["synced/synced", "synced/synced"]);
    assert_eq!(scenario.mirror("1").await?["monthlyRate"], json!(200), "in the order of the commits");
    scenario.check().await
}

#[tokio::test]
async fn a_change_behind_a_failed_one_survives() -> Result<()> {
    let scenario = Scenario::new().await?;
    let first = scenario.edit("1", json!({"monthlyRate": 100})).await?;
    let second = scenario.edit("1", json!({"monthlyRate": 200})).await?;
    let claimed = scenario.send().await?;
    assert_eq!(claimed.len(), 1, "one in flight per record");
    scenario.report("fail", &claimed, json!({"outcome": "rejected", "error": "no", "http_status": 422})).await?;

    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!([scenario.state(&first).await?, scenario.state(&second).await?], ["sync_error/failed", "synced/synced"]);
    scenario.check().await
}

/// A session keeps its plans: those that it made while the queue was empty must do when it is full.
#[tokio::test]
async fn a_commit_never_reads_the_whole_queue() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("vacuum analyze").await?;
    let application = Application::new(&scenario.client);
    let read = "select coalesce(sum(seq_tup_read), 0)::bigint from pg_stat_xact_user_tables where schemaname = 'pfa_sync_private' and relname = 'pfa_write_queue'";
    // More often than a plan is made for the values at hand.
    for round in 0..8 {
        scenario.client.batch_execute("begin").await?;
        let before: i64 = scenario.value(read).await?;
        application.edit(EDITOR, "1", json!({"model": format!("round {round}")})).await?;
        assert_eq!(scenario.value::<i64>(read).await? - before, 0, "in round {round}");
        scenario.client.batch_execute("commit").await?;
    }
    Ok(())
}

/// RETURNING shows a row as the statement wrote it, before the edit is judged at its end.
#[tokio::test]
async fn what_the_statement_returns_is_not_the_outcome_yet() -> Result<()> {
    let scenario = Scenario::new().await?;
    let edit = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "ours"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "theirs"})).await?;
    let update = r#"update pfa_modification set "syncState" = 'committed' returning "syncState" || '/' || "syncStatus""#;
    assert_eq!(scenario.value::<String>(update).await?, "committed/queued");
    assert_eq!(scenario.state(&edit).await?, "conflict/conflict");
    scenario.check().await
}
