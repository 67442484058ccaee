//! Alert rules: raised, resolved and acknowledged, once, by whichever program evaluates them.

use std::time::Duration;

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, HARBOUR, RIO};

use crate::support::api::Api;
use crate::support::scenario::{Scenario, refusal};
use crate::support::stack::Stack;

/// Lets the rules be evaluated again at once.
const AGAIN: &str = "update pfa_sync_private.alert_evaluation set evaluated_at = '-infinity'";

/// A relay that is alive, and none of whose notifications are missing.
const RELAY: &str = "select pfa_sync.heartbeat('relay-1', '1', listening => true)";

async fn evaluated(scenario: &Scenario) -> Result<(i32, i32)> {
    scenario.client.execute(AGAIN, &[]).await?;
    let row = scenario.client.query_one("select raised, resolved from pfa_sync.evaluate_alerts()", &[]).await?;
    Ok((row.get(0), row.get(1)))
}

async fn open(scenario: &Scenario) -> Result<Vec<String>> {
    scenario.value("select array(select concat_ws(' ', rule, organization_id, nullif(subject, '')) from pfa_sync_private.alert where raised_at is not null and resolved_at is null order by 1)").await
}

/// Each rule: what makes its condition hold, and what ends it. A relay is alive in each.
#[rstest]
#[case::not_sending("not_sending", "drop trigger pfa_sync_updated on pfa_modification", "select pfa_sync.attach()")]
#[case::no_relay(
    "no_relay",
    "update pfa_sync_private.relay set seen_at = now() - interval '1 hour'",
    "select pfa_sync.heartbeat('relay-1', '1', listening => true)"
)]
#[case::listener_silent(
    "listener_silent",
    "select pfa_sync.heartbeat('relay-1', '1', listening => false)",
    "select pfa_sync.heartbeat('relay-1', '1', listening => true)"
)]
#[case::breaker_open(
    "breaker_open",
    "update pfa_sync_private.pems set failures = 3, opened_at = now(), open_until = now() + interval '1 minute'",
    "update pfa_sync_private.pems set failures = 0, opened_at = null, open_until = null"
)]
#[case::clock_skew(
    "clock_skew",
    "insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, lease_until, ended_at, clock_skew) \
     values ('org_RIO_173', 'full', 'completed', 'r', now(), now(), '-31 s')",
    "update pfa_sync_private.sync_pull set clock_skew = '29 s'"
)]
#[case::log_partition_missing(
    "log_partition_missing",
    "select pfa_sync.set_alert_rule('log_partition_missing', threshold => 400)",
    "select pfa_sync.set_alert_rule('log_partition_missing', threshold => 7)"
)]
#[case::credentials_age(
    "credentials_age",
    "update pfa_sync_private.organization_api_credentials set created_at = now() - interval '81 days'",
    "update pfa_sync_private.organization_api_credentials set created_at = now() - interval '79 days'"
)]
#[case::credentials_refused(
    "credentials_refused",
    "update pfa_sync_private.sync_organization set held_since = now() where organization_id = 'org_RIO_173'",
    "select pfa_sync.resume('RIO')"
)]
#[case::unserved(
    "unserved",
    "select pfa_sync.heartbeat('relay-1', '1', organizations => array['org_HARBOUR_7'], listening => true)",
    "select pfa_sync.heartbeat('relay-1', '1', listening => true)"
)]
#[case::oldest_waiting(
    "oldest_waiting",
    "update pfa_sync_private.pfa_write_queue set created_at = now() - interval '121 s'; \
     update pfa_sync_private.sync_organization set released_at = null",
    "delete from pfa_sync_private.pfa_write_queue"
)]
#[case::success_rate(
    "success_rate",
    "insert into pfa_sync_private.kpi_rollup values ('org_RIO_173', now() - interval '10 minutes', 'completed', 0, 98), \
     ('org_RIO_173', now() - interval '10 minutes', 'failed', 0, 2)",
    "update pfa_sync_private.kpi_rollup set samples = 198 where measure = 'completed'"
)]
#[case::dead_letters(
    "dead_letters",
    "insert into pfa_sync_private.pfa_write_queue_dlq (queue_id, organization_id, code, error, pfa_id, modification_id) \
     values (99, 'org_RIO_173', 'REJECTED', 'no', '1', 'm')",
    "update pfa_sync_private.pfa_write_queue_dlq set status = 'discarded', ended_at = now()"
)]
#[case::conflicts_waiting(
    "conflicts_waiting",
    "update pfa_sync_private.pfa_sync_conflict set created_at = now() - interval '25 hours'",
    "update pfa_sync_private.pfa_sync_conflict set created_at = now()"
)]
#[case::pull_overdue(
    "pull_overdue",
    "select pfa_sync.set('inbound', 'relay'); insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, \
     lease_until, started_at, ended_at) values ('org_RIO_173', 'full', 'completed', 'r', now(), now(), now() - interval '20 minutes')",
    "update pfa_sync_private.sync_pull set ended_at = now()"
)]
#[case::drift(
    "drift",
    "insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, lease_until, ended_at, records_back) \
     values ('org_RIO_173', 'full', 'completed', 'r', now(), now(), 3)",
    "delete from pfa_sync_private.sync_pull"
)]
#[tokio::test]
async fn a_rule_is_raised_and_resolved(#[case] rule: &str, #[case] begin: &str, #[case] end: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(RELAY).await?;
    let sealed = "select pfa_sync.activate_credentials(pfa_sync.store_credentials('default', null, 'bearer', null, 1, \
                  'https://pems.example/', 'k1', '\\x000102030405060708090a0b', '\\x00', '8c1f0a'), true)";
    scenario.client.execute(sealed, &[]).await?;
    if rule == "oldest_waiting" {
        scenario.edit("1", json!({"model": "X"})).await?;
    }
    if rule == "conflicts_waiting" {
        scenario.application().draft(EDITOR, RIO, "1", json!({"monthlyRate": 9000})).await?;
        scenario.foreign_edit("1", 2, json!({"monthlyRate": 8000})).await?;
        scenario.application().commit(EDITOR, RIO).await?;
    }
    scenario.client.execute("select pfa_sync.set_alert_rule(rule, hold_for => '0 s') from pfa_sync.alert_rules", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0), "{:?}", open(&scenario).await?);
    scenario.client.batch_execute(begin).await?;
    assert_eq!(evaluated(&scenario).await?, (1, 0), "{:?}", open(&scenario).await?);
    assert_eq!(evaluated(&scenario).await?, (0, 0), "an alert is raised once");
    let raised = open(&scenario).await?;
    assert!(raised.len() == 1 && raised[0].starts_with(rule), "{raised:?}");
    scenario.client.batch_execute(end).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 1));
    assert!(open(&scenario).await?.is_empty());
    let logged: Value = scenario
        .value("select jsonb_agg(event_type order by event_id) from pfa_sync.audit where event_type like 'ALERT_R%ED' and event_type <> 'ALERT_RULE_CHANGED'")
        .await?;
    assert_eq!(logged, json!(["ALERT_RAISED", "ALERT_RESOLVED"]));
    Ok(())
}

/// A queue that grows is told from one that drains.
#[tokio::test]
async fn a_growing_queue_is_raised() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(RELAY).await?;
    scenario.client.execute("select pfa_sync.set_alert_rule('queue_growing', hold_for => '0 s')", &[]).await?;
    for id in ["1", "2", "3"] {
        scenario.edit(id, json!({"model": "X"})).await?;
    }
    let long_ago = "update pfa_sync_private.sync_organization set released_at = null; \
                    update pfa_sync_private.pfa_write_queue set created_at = now() - interval '1 hour'";
    scenario.client.batch_execute(long_ago).await?;
    let claimed = scenario.claim().await?;
    scenario
        .client
        .execute(
            "select pfa_sync.mark_sent('relay-1', $1)",
            &[&json!([{"queue_id": claimed[0].queue_id, "fencing_token": claimed[0].attempt}])],
        )
        .await?;
    scenario.report("complete", &claimed[..1], json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    scenario.report("release", &claimed[1..], json!({})).await?;
    scenario.client.execute("select pfa_sync.set_alert_rule('oldest_waiting', enabled => false)", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0), "it drains");
    let queued = "insert into pfa_sync_private.kpi_rollup (organization_id, period, measure, samples) \
                  select 'org_RIO_173', date_bin('5 minutes', now(), 'epoch') - n * interval '5 minutes', 'committed', 5000 \
                    from generate_series(1, 3) n";
    scenario.client.execute(queued, &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (1, 0));
    assert_eq!(open(&scenario).await?, [format!("queue_growing {RIO}")]);
    Ok(())
}

/// A condition counts once it has lasted, and one that has ended before is forgotten.
#[tokio::test]
async fn a_condition_must_last() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    client.batch_execute(RELAY).await?;
    client.execute("select pfa_sync.heartbeat('relay-1', '1', listening => false)", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0));
    client.batch_execute(RELAY).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0));
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync_private.alert").await?, 0);
    client.execute("select pfa_sync.heartbeat('relay-1', '1', listening => false)", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0));
    client.execute("update pfa_sync_private.alert set since = now() - interval '301 s'", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (1, 0));
    Ok(())
}

/// Thresholds, severity and whether a rule is evaluated: for the fleet, and for an organization.
#[tokio::test]
async fn rules_can_be_changed_for_an_organization() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    client.batch_execute(RELAY).await?;
    let letter = "insert into pfa_sync_private.pfa_write_queue_dlq (queue_id, organization_id, code, error, pfa_id, modification_id) \
                  values ($1, $2, 'REJECTED', 'no', '1', 'm')";
    for (id, organization) in [(91_i64, RIO), (92, RIO), (93, HARBOUR)] {
        client.execute(letter, &[&id, &organization]).await?;
    }
    client.execute("select pfa_sync.set_alert_rule('dead_letters', threshold => 5)", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0));
    client.execute("select pfa_sync.set_alert_rule('dead_letters', 'RIO', threshold => 1, severity => 'critical')", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (1, 0));
    assert_eq!(
        scenario.value::<String>("select organization_id || severity from pfa_sync.alerts").await?,
        format!("{RIO}critical")
    );
    client.execute("select pfa_sync.set_alert_rule('dead_letters', 'RIO', enabled => false)", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 1));
    Ok(())
}

#[rstest]
#[case::unknown("set_alert_rule('nonsense')", "PF008")]
#[case::of_the_fleet("set_alert_rule('no_relay', 'RIO', threshold => 1)", "PF001")]
#[case::severity("set_alert_rule('no_relay', severity => 'fatal')", "PF001")]
#[case::threshold("set_alert_rule('no_relay', threshold => -1)", "PF001")]
#[case::hold_for("set_alert_rule('no_relay', hold_for => '1 year')", "PF001")]
#[case::no_alert("acknowledge_alert(77)", "PF008")]
#[case::channel("set_alert_channel('pigeon', 'a')", "PF001")]
#[case::plain("set_alert_channel('webhook', 'gopher://a.example')", "PF001")]
#[case::user_in_url("set_alert_channel('webhook', 'https://u:hush@a.example/')", "PF001")]
#[case::two_recipients("set_alert_channel('mail', 'a@b.example,c@d.example')", "PF001")]
#[case::header("set_alert_channel('mail', E'a@b.example\\nBcc: x@y.example')", "PF001")]
#[case::no_channel("remove_alert_channel(77)", "PF008")]
#[tokio::test]
async fn what_makes_no_sense_is_refused(#[case] call: &str, #[case] sqlstate: &str) -> Result<()> {
    let scenario = Scenario::empty().await?;
    let error = scenario.client.execute(&format!("select pfa_sync.{call}"), &[]).await.unwrap_err();
    let (state, message, _) = refusal(&error.into());
    assert_eq!(state, sqlstate, "{message}");
    assert!(!message.contains("hush"));
    Ok(())
}

/// While no relay runs, the API raises the alert; a relay that comes back ends it. The alert is in the event stream's log, and
/// an administrator acknowledges it.
#[tokio::test]
async fn the_api_raises_that_no_relay_runs() -> Result<()> {
    let stack = Stack::new(1).await?;
    let scenario = &stack.scenario;
    scenario.client.execute("select pfa_sync.set('poll', '1 s'), pfa_sync.set('health_relay_silence', '1 s')", &[]).await?;
    let relay = stack.relay("run")?;
    stack.until("select exists (select from pfa_sync.relays where alive and listening)").await?;
    let api = Api::start(scenario, &[]).await?;
    assert!(relay.stop().await?.success());
    let raised = "select exists (select from pfa_sync.alerts where rule = 'no_relay' and state = 'raised')";
    stack.until(raised).await?;
    let alerts = api.get("usr_admin", "/api/pems/alerts?state=raised").await?;
    let alert = alerts["alerts"].as_array().unwrap().iter().find(|alert| alert["rule"] == "no_relay").unwrap().clone();
    let route = format!("/api/pems/alerts/{}/acknowledge", alert["alertId"].as_str().unwrap());
    api.post("usr_admin", &route, json!({"note": "it is being restarted"})).await?.error_for_status()?;
    let relay = stack.relay("run")?;
    stack.until("select exists (select from pfa_sync.alerts where rule = 'no_relay' and state = 'resolved')").await?;
    let notified = "select exists (select from pfa_sync.notifications where kind = 'alert_resolved' and code = 'no_relay' and read_at is null)";
    stack.until(notified).await?;
    assert!(relay.stop().await?.success());
    Ok(())
}

/// Several programs evaluate at once: each alert is raised and told once.
#[tokio::test]
async fn programs_that_evaluate_at_once_raise_an_alert_once() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(RELAY).await?;
    scenario.client.execute("select pfa_sync.set_alert_channel('webhook', 'https://a.example/')", &[]).await?;
    scenario.client.execute("update pfa_sync_private.relay set seen_at = now() - interval '1 hour'", &[]).await?;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(scenario.database.client().await?);
    }
    for _ in 0..5 {
        scenario.client.execute(AGAIN, &[]).await?;
        let calls = sessions.iter().map(|session| session.query("select * from pfa_sync.evaluate_alerts()", &[]));
        tokio::time::timeout(Duration::from_secs(30), futures_util::future::try_join_all(calls)).await??;
    }
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.alerts").await?, 1);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync_private.alert_delivery").await?, 1);
    Ok(())
}

/// A copy of the database is silent: its original is not.
#[tokio::test]
async fn a_copy_is_silent() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(RELAY).await?;
    scenario.client.execute("update pfa_sync_private.relay set seen_at = now() - interval '1 hour'", &[]).await?;
    scenario.client.execute("update pfa_sync_private.origin set database_oid = 1", &[]).await?;
    assert_eq!(evaluated(&scenario).await?, (0, 0));
    assert_eq!(scenario.value::<i32>("select pfa_sync.notify_users()").await?, 0);
    Ok(())
}
