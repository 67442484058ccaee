//! What a relay reports, and what comes of it.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::pems_record;

use crate::support::scenario::Scenario;

/// Leases of this database end at once: what a dead relay held can be claimed.
async fn end_leases(scenario: &Scenario) -> Result<()> {
    scenario
        .client
        .execute("update pfa_sync_private.pfa_write_queue set lease_until = now() where status = 'processing'", &[])
        .await?;
    Ok(())
}

#[tokio::test]
async fn completion_moves_mirror_history_modification_and_log_together() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"monthlyRate": 0, "actualStart": "2026-02-01", "actualEnd": "2026-03-01"})).await?;
    assert_eq!(scenario.deliver().await?, 1);

    let row = scenario.client.query_one(
        r#"select data, version, "monthlyRate", "actualStart"::text, "hasActuals", "pemsVersion" from pfa_mirror where "pfaId" = '1'"#, &[]).await?;
    let data: Value = row.get(0);
    assert_eq!(
        (&data["monthlyRate"], &data["actualStart"], &data["hasActuals"]),
        (&json!(0), &json!("2026-02-01T00:00:00.000Z"), &json!(true))
    );
    assert_eq!((row.get::<_, i32>(1), row.get::<_, f64>(2), row.get::<_, &str>(3)), (2, 0.0, "2026-02-01 00:00:00"));
    assert_eq!((row.get::<_, bool>(4), row.get::<_, &str>(5)), (true, "2026-03-01T00:00:00.000Z"));
    let history =
        scenario.client.query_one(r#"select version, data->>'monthlyRate', "changedBy" from pfa_mirror_history"#, &[]).await?;
    assert_eq!((history.get::<_, i32>(0), history.get::<_, &str>(1), history.get::<_, &str>(2)), (1, "12500", "usr_editor"));
    let modification = scenario
        .client
        .query_one(r#"select "pemsVersion", "syncedAt" is not null from pfa_modification where id = $1"#, &[&id])
        .await?;
    assert_eq!((modification.get::<_, i32>(0), modification.get::<_, bool>(1)), (2, true));
    let listed: Vec<String> = scenario
        .client
        .query("select event_type from pfa_sync.timeline('RIO', '1')", &[])
        .await?
        .iter()
        .map(|r| r.get(0))
        .collect();
    assert_eq!(listed, ["COMMITTED", "WRITE_ATTEMPT", "SYNCED"]);
    scenario.check().await
}

#[tokio::test]
async fn a_late_report_changes_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let late = scenario.claim().await?;
    end_leases(&scenario).await?;
    let current = scenario.claim_as("relay-2").await?;
    assert_eq!(current[0].attempt, 2, "it was never sent, so it is simply claimed again");

    for function in ["mark_sent", "complete", "fail", "report_conflict", "reconcile", "release"] {
        let besides = json!({"version": 2, "outcome": "rejected", "record": pems_record("RIO", "1")});
        assert!(scenario.report(function, &late, besides).await?.is_empty(), "{function}");
    }
    assert_eq!(
        scenario.value::<i32>("select fencing_token from pfa_sync_private.pfa_write_queue where status = 'processing'").await?,
        2
    );
    scenario.check().await
}

#[tokio::test]
async fn transient_failures_are_retried_and_end_as_dead_letters() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute("select pfa_sync.set('retry_delay', '1 hour'); select pfa_sync.set('retry_delay_max', '90 minutes')")
        .await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let claimed = scenario.send().await?;
        let report =
            scenario.report("fail", &claimed, json!({"outcome": "unavailable", "error": "503", "http_status": 503})).await?;
        waits.extend(report[0].get::<_, Option<f64>>("retry_in_ms"));
        assert!(scenario.claim().await?.is_empty(), "not before its time");
        scenario.client.execute("update pfa_sync_private.pfa_write_queue set scheduled_at = now()", &[]).await?;
    }
    let minutes: Vec<i64> = waits.iter().map(|ms| (ms / 60_000.0) as i64).collect();
    assert!((60..=66).contains(&minutes[0]) && minutes[1..] == [90, 90], "{minutes:?}");
    assert_eq!(scenario.state(&id).await?, "sync_error/failed");
    let letter =
        scenario.client.query_one("select code, error, retry_count, http_status from pfa_sync.dead_letters", &[]).await?;
    let letter = (letter.get::<_, &str>(0), letter.get::<_, &str>(1), letter.get::<_, i32>(2), letter.get::<_, i32>(3));
    assert_eq!(letter, ("UNAVAILABLE", "503", 3, 503));
    scenario.check().await
}

/// What was one request can be one again, and what is settled together stays together.
#[tokio::test]
async fn what_fails_together_comes_due_together() -> Result<()> {
    let scenario = Scenario::new().await?;
    for id in ["1", "2", "3"] {
        scenario.edit(id, json!({"model": "X"})).await?;
    }
    let claimed = scenario.send().await?;
    assert_eq!(claimed.len(), 3);
    assert_eq!(scenario.value::<i64>("select count(distinct lease_until) from pfa_sync_private.pfa_write_queue").await?, 1);
    scenario.report("fail", &claimed, json!({"outcome": "unavailable"})).await?;
    assert_eq!(scenario.value::<i64>("select count(distinct scheduled_at) from pfa_sync_private.pfa_write_queue").await?, 1);
    scenario.check().await
}

#[tokio::test]
async fn throttling_burns_no_try_and_moves_the_slots() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "throttled", "retry_after_ms": 30_000})).await?;

    assert_eq!(scenario.value::<i32>("select retry_count from pfa_sync.queue").await?, 0);
    let wait: f64 = scenario.value("select pfa_sync.take_slots('default', 1)").await?;
    assert!(wait > 25_000.0, "{wait}");
    Ok(())
}

#[tokio::test]
async fn refused_credentials_hold_the_organization_until_resumed() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "unauthorized", "error": "401", "http_status": 401})).await?;

    assert!(scenario.claim().await?.is_empty());
    assert_eq!(scenario.value::<String>("select health from pfa_sync.status('RIO')").await?, "held");
    scenario.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    assert_eq!(scenario.claim().await?.len(), 1);
    Ok(())
}

/// Tries that a lock has used up leave an unanswered request its own.
#[tokio::test]
async fn one_lost_answer_after_a_lock_ends_no_change() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.set('retry_delay', '0 s')").await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    let tries = ["locked", "locked", "locked", "unavailable", "unavailable", "unavailable"];
    for outcome in tries {
        let claimed = scenario.send().await?;
        scenario.report("fail", &claimed, json!({"outcome": outcome, "error": "no answer"})).await?;
        assert_eq!(scenario.state(&id).await?, "committed/queued", "{outcome}");
    }
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "unavailable", "error": "no answer"})).await?;
    assert_eq!(scenario.state(&id).await?, "sync_error/failed", "its own tries are used up");
    scenario.check().await
}

#[tokio::test]
async fn a_record_locked_in_pems_becomes_a_question_in_the_end() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.execute("select pfa_sync.set('max_retries', '0', 'RIO')", &[]).await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "locked", "error": "423"})).await?;
    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    let message: String = scenario.value("select message from pfa_sync.conflicts").await?;
    assert!(message.contains("locked"), "{message}");
    scenario.check().await
}

#[tokio::test]
async fn silence_is_settled_before_anything_is_sent_again() -> Result<()> {
    // What PEMS has when the record is read, and what comes of it.
    for (version, changes, verdict) in [
        (1, json!({}), "committed/queued"),
        (2, json!({"model": "X"}), "synced/synced"),
        (2, json!({"areaSilo": "Silo 2"}), "committed/queued"),
        (2, json!({"model": "Z"}), "conflict/conflict"),
        (3, json!({"model": "X"}), "synced/synced"),
        // The write may have been applied and overwritten with the old value: the outcome is unknown.
        (3, json!({"areaSilo": "Silo 2"}), "conflict/conflict"),
    ] {
        let scenario = Scenario::new().await?;
        let id = scenario.edit("1", json!({"model": "X"})).await?;
        scenario.send().await?;
        assert!(scenario.claim_as("relay-2").await?.is_empty(), "not while the lease lasts");
        end_leases(&scenario).await?;

        let read = scenario.claim().await?;
        assert_eq!((read[0].step.as_str(), read[0].ambiguous), ("read", true));
        let mut record = pems_record("RIO", "1");
        record.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap());
        record["version"] = json!(version);
        scenario.report("reconcile", &read, json!({"record": record})).await?;

        assert_eq!(scenario.state(&id).await?, verdict, "PEMS at version {version} with {changes}");
        scenario.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_version_unknown_is_read_before_the_write() -> Result<()> {
    let scenario = Scenario::new().await?;
    // The application's own reader brings a newer record.
    let moved = r#"update pfa_mirror set version = version + 1, data = data || '{"areaSilo": "Silo 7"}' where "pfaId" = '1'"#;
    scenario.client.execute(moved, &[]).await?;
    scenario.edit("1", json!({"model": "X"})).await?;

    let read = scenario.claim().await?;
    assert_eq!((read[0].step.as_str(), read[0].ambiguous, read[0].version), ("read", false, None));
    let mut record = pems_record("RIO", "1");
    record["areaSilo"] = json!("Silo 7");
    record["version"] = json!(9);
    scenario.report("reconcile", &read, json!({"record": record})).await?;

    let claimed = scenario.claim().await?;
    assert_eq!((claimed[0].step.as_str(), claimed[0].version), ("send", Some(9)));
    Ok(())
}

#[tokio::test]
async fn lost_rights_are_found_at_the_claim() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.execute(r#"update user_organizations set "perm_Sync" = false"#, &[]).await?;
    assert!(scenario.claim().await?.is_empty());
    assert_eq!(scenario.state(&id).await?, "sync_error/failed");
    let letter = scenario.client.query_one("select code, error from pfa_sync.dead_letters", &[]).await?;
    assert_eq!((letter.get::<_, &str>(0), letter.get::<_, &str>(1)), ("FORBIDDEN", "usr_editor lacks perm_Sync"));
    scenario.check().await
}

#[tokio::test]
async fn held_organizations_queue_without_sending() -> Result<()> {
    for (stop, go) in [
        (r#"update organizations set "isActive" = false"#, r#"update organizations set "isActive" = true"#),
        (r#"update organizations set "serviceStatus" = 'suspended'"#, r#"update organizations set "serviceStatus" = 'active'"#),
        (r#"update organizations set "enableSync" = false"#, r#"update organizations set "enableSync" = true"#),
        ("select pfa_sync.pause('RIO', 'maintenance')", "select pfa_sync.resume('RIO')"),
    ] {
        let scenario = Scenario::new().await?;
        scenario.client.execute(stop, &[]).await?;
        let id = scenario.edit("1", json!({"model": "X"})).await?;
        assert_eq!(scenario.state(&id).await?, "committed/queued", "{stop}");
        assert!(scenario.claim().await?.is_empty(), "{stop}");
        scenario.client.execute(go, &[]).await?;
        assert_eq!(scenario.claim().await?.len(), 1, "{go}");
    }
    Ok(())
}

#[tokio::test]
async fn release_gives_back_what_was_not_sent() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.claim().await?;
    scenario.report("release", &claimed, json!({})).await?;
    assert_eq!(scenario.state(&id).await?, "committed/queued");
    assert_eq!(scenario.claim().await?[0].attempt, 2);
    scenario.check().await
}

#[tokio::test]
async fn slots_are_granted_at_the_set_pace() -> Result<()> {
    let scenario = Scenario::new().await?;
    let waits: Vec<f64> =
        scenario.client.query("select pfa_sync.take_slots('default', 5)", &[]).await?.iter().map(|row| row.get(0)).collect();
    // The first slot is already in the past when its wait is returned, and a wait is never negative.
    assert_eq!(waits[0], 0.0);
    assert!(waits[1..].windows(2).all(|pair| (pair[1] - pair[0] - 105.0).abs() < 0.001), "{waits:?}");
    assert!(waits[1] > 0.0 && waits[1] <= 105.0, "{waits:?}");
    Ok(())
}

#[tokio::test]
async fn our_own_write_coming_back_is_no_news() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    let version = "select version from pfa_mirror where \"pfaId\" = '1'";
    let before: i32 = scenario.value(version).await?;
    scenario.foreign_edit("1", 2, json!({"model": "X"})).await?;
    // An older page, fetched before the write, comes late.
    scenario.foreign_edit("1", 1, json!({})).await?;
    assert_eq!((scenario.value::<i32>(version).await?, &scenario.mirror("1").await?["model"]), (before, &json!("X")));
    Ok(())
}
