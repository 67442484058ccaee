//! Health says what keeps changes from PEMS, and until when.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::scenario::Scenario;

const BEAT: &str = "select pfa_sync.heartbeat('relay-1', '1')";

/// Code, severity and reason of RIO's health.
async fn health(scenario: &Scenario) -> Result<(String, String, String)> {
    let row = scenario.client.query_one("select code, severity, reason from pfa_sync.health('RIO')", &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// One thing is wrong, with an edit that waits; the status and the figures for monitors say the same.
#[rstest]
#[case::no_relay("update pfa_sync_private.relay set seen_at = now() - interval '20 minutes'", "no_relay", "critical")]
#[case::pems_down(
    "update pfa_sync_private.pems set failures = 3, opened_at = now(), open_until = now() + interval '1 minute'",
    "pems_down",
    "critical"
)]
#[case::held(
    "update pfa_sync_private.sync_organization set held_since = now(), hold_reason = 'PEMS answers 401'",
    "held",
    "critical"
)]
#[case::slot("update pfa_sync_private.pems set next_slot = now() + interval '10 minutes'", "throttled", "warning")]
#[case::retry("update pfa_sync_private.pfa_write_queue set scheduled_at = now() + interval '10 minutes'", "throttled", "warning")]
#[case::stalled("update pfa_sync_private.pfa_write_queue set scheduled_at = now() - interval '1 hour'", "stalled", "critical")]
#[case::slow("update pfa_sync_private.pfa_write_queue set scheduled_at = now() - interval '5 minutes'", "slow", "warning")]
#[case::unreliable(
    "insert into pfa_sync_private.kpi_rollup (organization_id, period, measure, samples) \
     values ('org_RIO_173', date_bin('5 minutes', now(), 'epoch'), 'completed', 94), \
            ('org_RIO_173', date_bin('5 minutes', now(), 'epoch'), 'failed', 6)",
    "unreliable",
    "warning"
)]
#[case::few_samples(
    "insert into pfa_sync_private.kpi_rollup (organization_id, period, measure, samples) \
     values ('org_RIO_173', date_bin('5 minutes', now(), 'epoch'), 'failed', 99)",
    "ok",
    "ok"
)]
#[case::paused("select pfa_sync.pause('RIO', 'works')", "paused", "warning")]
#[case::switched_off(r#"update organizations set "enableSync" = false where code = 'RIO'"#, "paused", "warning")]
#[case::nothing("select", "ok", "ok")]
#[tokio::test]
async fn what_keeps_edits_from_pems_is_said(#[case] fault: &str, #[case] code: &str, #[case] severity: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    // As resumed long ago.
    scenario.client.batch_execute("update pfa_sync_private.sync_organization set released_at = null").await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute(BEAT).await?;
    scenario.client.batch_execute(fault).await?;
    let found = health(&scenario).await?;
    assert_eq!((found.0.as_str(), found.1.as_str()), (code, severity), "{}", found.2);
    assert_eq!(scenario.value::<String>("select health from pfa_sync.status('RIO')").await?, code);
    let figure =
        format!("select count(*) from pfa_sync.metrics() where name = 'pfa_sync_healthy' and labels->>'health' = '{code}'");
    assert!(scenario.value::<i64>(&figure).await? >= 1);
    assert!(scenario.value::<bool>("select oldest_waiting_at is not null from pfa_sync.status('RIO')").await?);
    Ok(())
}

/// A relay that was never started is found by the edits that wait for it.
#[tokio::test]
async fn a_relay_that_never_came_is_missed() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    assert_eq!(health(&scenario).await?.0, "ok");
    scenario.client.batch_execute("update pfa_sync_private.pfa_write_queue set created_at = now() - interval '1 hour'").await?;
    assert_eq!(health(&scenario).await?.0, "no_relay");
    Ok(())
}

/// Dead letters and conflicts stay in the answer for as long as they are open.
#[tokio::test]
async fn what_waits_for_people_is_said_until_it_is_decided() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "Mine"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "Theirs"})).await?;
    assert_eq!(health(&scenario).await?.0, "waiting_for_resolution");
    scenario.edit("2", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "rejected", "error": "no"})).await?;
    scenario
        .client
        .batch_execute("update pfa_sync_private.pfa_write_queue_dlq set failed_at = now() - interval '3 days'")
        .await?;
    assert_eq!(health(&scenario).await?.0, "failing");
    scenario.client.batch_execute("select pfa_sync.discard_dead_letters('{}', 'wrong crane')").await?;
    assert_eq!(health(&scenario).await?.0, "waiting_for_resolution");
    scenario.check().await
}

/// PEMS asked for an hour: health says until when, and `resume()` ends the wait of the slot and of the record.
#[tokio::test]
async fn resume_ends_a_long_wait() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "throttled", "retry_after_ms": 3_000_000})).await?;
    let (code, _, reason) = health(&scenario).await?;
    assert!(code == "throttled" && reason.contains("changes that wait"), "{code} {reason}");
    assert!(scenario.claim().await?.is_empty());
    scenario.client.batch_execute("select pfa_sync.resume('RIO')").await?;
    assert_eq!(health(&scenario).await?.0, "ok");
    assert_eq!(scenario.claim().await?.len(), 1);
    assert!(scenario.value::<f64>("select pfa_sync.take_slots('default', 1)").await? < 1000.0);
    scenario.check().await
}

/// The server's clock was ahead when it was written: a slot, or a record's next try, further ahead than any wait.
#[tokio::test]
async fn times_that_a_wrong_clock_left_behind_are_reset() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("update pfa_sync_private.pems set next_slot = now() + interval '10 days'").await?;
    assert!(scenario.value::<f64>("select pfa_sync.take_slots('default', 1)").await? < 1000.0);
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute(
            "update pfa_sync_private.pems set next_slot = now() + interval '10 days', failures = 3, opened_at = now(), open_until = now() + interval '10 days'; \
             update pfa_sync_private.pfa_write_queue set scheduled_at = now() + interval '10 days'",
        )
        .await?;
    let reset: Vec<String> =
        scenario.value("select array_agg(action) from pfa_sync.maintain() where object like '%too far ahead'").await?;
    assert_eq!(reset, ["reset"]);
    assert!(
        scenario
            .value::<bool>(
                "select open_until < now() + interval '2 minutes' and next_slot <= clock_timestamp() from pfa_sync_private.pems"
            )
            .await?
    );
    assert!(scenario.value::<bool>("select scheduled_at <= clock_timestamp() from pfa_sync.queue").await?);
    scenario.check().await
}

#[tokio::test]
async fn relays_and_organizations_that_are_gone_are_forgotten() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute(&format!(
            "{BEAT}; insert into pfa_sync_private.relay (relay, version, seen_at) values ('gone', '1', now() - interval '2 days'); \
             select pfa_sync.maintain(); \
             insert into pfa_sync_private.sync_organization (organization_id) values ('org_deleted')"
        ))
        .await?;
    assert_eq!(scenario.value::<Vec<String>>("select array_agg(relay) from pfa_sync_private.relay").await?, ["relay-1"]);
    let listed = "select count(*) from pfa_sync.status() where organization_id = 'org_deleted'";
    assert_eq!(scenario.value::<i64>(listed).await?, 0);
    let figures = "select count(*) from pfa_sync.metrics() where labels->>'organization' = 'org_deleted'";
    assert_eq!(scenario.value::<i64>(figures).await?, 0);
    // The last relay is remembered, however long it is gone: that none is alive is what health says.
    scenario
        .client
        .batch_execute("update pfa_sync_private.relay set seen_at = now() - interval '9 days'; select pfa_sync.maintain()")
        .await?;
    assert_eq!(health(&scenario).await?.0, "no_relay");
    Ok(())
}

/// A database from which nothing is sent answers with a row, not with an error that a monitor takes for an outage of its own.
#[rstest]
#[case::detached("select pfa_sync.detach()", "attach()")]
#[case::a_copy("update pfa_sync_private.origin set database_oid = 1", "adopt()")]
#[case::a_disabled_trigger("alter table pfa_modification disable trigger pfa_sync_updated", "attach(")]
#[tokio::test]
async fn a_database_that_sends_nothing_says_so(#[case] fault: &str, #[case] action: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(fault).await?;
    let row = scenario.client.query_one("select organization_id, code, severity, action from pfa_sync.health()", &[]).await?;
    assert_eq!(
        (row.get::<_, Option<String>>(0), row.get::<_, &str>(1), row.get::<_, &str>(2)),
        (None, "not_attached", "critical")
    );
    assert!(row.get::<_, &str>(3).contains(action));
    Ok(())
}

/// An organization with nothing to send is not stalled, however long ago it was let send.
#[tokio::test]
async fn nothing_to_send_is_no_standstill() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute("update pfa_sync_private.sync_organization set released_at = now() - interval '1 day'; update pfa_sync_private.pems set closed_at = now() - interval '1 day'")
        .await?;
    assert_eq!(scenario.value::<String>("select code from pfa_sync.health('RIO')").await?, "ok");
    Ok(())
}

/// A long queue is counted by `maintain()` only. What no trigger saw is found behind it, a portion in each call.
#[tokio::test]
async fn a_long_queue_is_counted_now_and_then_and_swept_in_portions() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.ingest(&(10_000..11_200).map(|id| pems_record("RIO", &id.to_string())).collect::<Vec<_>>()).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, '{"contract": "C"}', version, now() from pfa_mirror where length("pfaId") = 5"#;
    scenario.client.execute(insert, &[&EDITOR]).await?;
    assert_eq!(scenario.application().commit(EDITOR, RIO).await?, 1_200);
    let counted = async || {
        let status = "select queued, counted_at > now() - interval '1 minute' from pfa_sync.status('RIO')";
        let row = scenario.client.query_one(status, &[]).await?;
        anyhow::Ok((row.get::<_, i64>(0), row.get::<_, Option<bool>>(1)))
    };
    assert_eq!(counted().await?, (1_000, Some(false)), "at least, and not counted yet");
    scenario.client.batch_execute("select pfa_sync.maintain()").await?;
    assert_eq!(counted().await?, (1_200, Some(true)));

    let unseen = r#"set session_replication_role = replica;
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "updatedAt")
        select 'unseen', id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', 'committed', now()
          from pfa_mirror where "pfaId" = '1';
        reset session_replication_role"#;
    scenario.client.batch_execute(unseen).await?;
    let mut calls = Vec::new();
    for _ in 0..4 {
        let rows = scenario.client.query("select organization_id, queued from pfa_sync.sweep()", &[]).await?;
        calls.push(rows.first().map(|row| (row.get::<_, Option<String>>(0), row.get::<_, i64>(1))));
    }
    let unfinished = || Some((None, 0));
    assert_eq!(calls, [unfinished(), Some((Some(RIO.to_owned()), 1)), unfinished(), None]);

    for _ in 0..3 {
        scenario.send().await?;
    }
    assert_eq!(counted().await?, (901, None), "exact again");
    scenario.check().await
}
