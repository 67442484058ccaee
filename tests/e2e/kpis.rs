//! Key figures: what they count, and who sees them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use serde_json::json;
use testbed::cluster::Login;
use tokio_postgres::Client;

use crate::support::scenario::Scenario;

/// What the log has and the rollups count otherwise; empty = each entry is counted once.
pub const MISCOUNTED: &str = "\
    select coalesce(string_agg(format('%s: %s entries, %s counted', l.measure, l.entries, r.samples), '; '), '') \
      from (select case event_type when 'COMMITTED' then 'committed' when 'SYNCED' then 'completed' when 'DEAD_LETTER' then 'failed' end as measure, \
                   count(*) as entries from pfa_sync_private.pfa_audit_log group by 1) l \
      left join (select measure, sum(samples) as samples from pfa_sync_private.kpi_rollup group by 1) r on r.measure = l.measure \
     where l.measure is not null and l.entries is distinct from r.samples";

/// Value and samples of each key figure of RIO in the last day.
pub async fn figures(client: &Client) -> Result<BTreeMap<String, (Option<f64>, i64)>> {
    let rows = client.query("select name, value::double precision, samples from pfa_sync.kpis('RIO')", &[]).await?;
    Ok(rows.iter().map(|row| (row.get::<_, String>(0), (row.get::<_, Option<f64>>(1), row.get::<_, i64>(2)))).collect())
}

pub async fn maintain(scenario: &Scenario) -> Result<()> {
    Ok(scenario.client.batch_execute("select pfa_sync.maintain()").await?)
}

#[tokio::test]
async fn the_page_defines_the_figures_of_the_database() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let rows: Vec<String> = scenario
        .value(
            "select array_agg(format('| `%s` | %s | %s | %s | %s |', name, unit, coalesce(target::text, '–'), definition, source) order by place) \
               from pfa_sync_private.kpi",
        )
        .await?;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/kpis.md");
    let page = fs::read_to_string(page)?;
    let documented: Vec<&str> = page
        .lines()
        .skip_while(|line| *line != "| name | unit | target | definition | source |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(documented, rows);
    let names: Vec<String> = scenario.value("select array_agg(name) from pfa_sync.kpis('RIO')").await?;
    assert_eq!(names.len(), rows.len(), "each has a row, whether anything was measured or not");
    Ok(())
}

#[tokio::test]
async fn edits_failures_and_conflicts_are_counted() -> Result<()> {
    let scenario = Scenario::new().await?;
    maintain(&scenario).await?;
    for record in ["1", "2", "3"] {
        scenario.edit(record, json!({"model": "X"})).await?;
    }
    scenario.deliver().await?;
    // Not counted by maintain() yet.
    assert_eq!(figures(&scenario.client).await?["success_rate"], (Some(1.0), 3));
    scenario.edit("1", json!({"model": "Y"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "rejected", "error": "no"})).await?;
    scenario.edit("2", json!({"model": "Mine"})).await?;
    scenario.foreign_edit("2", 9, json!({"model": "Theirs"})).await?;
    let resolve = "update pfa_sync_private.pfa_sync_conflict set created_at = now() - interval '10 minutes'; \
                   select pfa_sync.resolve_conflict(max(conflict_id), 'use_pems', null) from pfa_sync.conflicts";
    scenario.client.batch_execute(resolve).await?;
    for round in 1..=2 {
        let figures = figures(&scenario.client).await?;
        assert_eq!(figures["success_rate"], (Some(0.75), 4), "{round}");
        assert_eq!(figures["status_visibility"], (Some(1.0), 5), "{round}");
        assert_eq!(figures["latency_p95"].1, 3, "{round}");
        let (seconds, conflicts) = figures["time_to_resolve"];
        assert!(conflicts == 1 && seconds.is_some_and(|seconds| (600.0..660.0).contains(&seconds)), "{round}: {seconds:?}");
        assert_eq!(figures["consistency"], (None, 0), "{round}: nothing was pulled");
        maintain(&scenario).await?;
    }
    let met = "select bool_and(met) from pfa_sync.kpis('RIO') where name = 'success_rate'";
    assert!(!scenario.value::<bool>(met).await?);
    assert_eq!(scenario.value::<String>(MISCOUNTED).await?, "");
    scenario.check().await
}

/// How long the queue is now, and how long it was: a mean of what maintain() counted, of a long queue as well.
#[tokio::test]
async fn the_length_of_the_queue_is_kept() -> Result<()> {
    let scenario = Scenario::new().await?;
    maintain(&scenario).await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    scenario.claim().await?;
    scenario.edit("3", json!({"model": "X"})).await?;
    assert_eq!(figures(&scenario.client).await?["queue_depth"], (Some(3.0), 1), "what waits, and what is in flight");
    maintain(&scenario).await?;
    let past = "update pfa_sync_private.kpi_rollup set period = period - interval '1 hour' where measure = 'queue_depth'";
    scenario.client.batch_execute(past).await?;
    let then = "select value::double precision, samples from pfa_sync.kpis('RIO', since => now() - interval '2 hours', until => now() - interval '30 minutes') \
                 where name = 'queue_depth'";
    let row = scenario.client.query_one(then, &[]).await?;
    assert_eq!((row.get(0), row.get(1)), (Some(1.5), 2_i64), "none, then three");
    let long = "insert into pfa_sync_private.pfa_write_queue (job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author, payload, base_version, head) \
                select 1, 'org_RIO_173', 'm' || n, 'x' || n, n::text, 'UPDATE', 'usr_editor', '{}', 1, true from generate_series(1, 1500) n; \
                select pfa_sync.maintain()";
    scenario.client.batch_execute(long).await?;
    assert_eq!(figures(&scenario.client).await?["queue_depth"], (Some(1503.0), 1));
    Ok(())
}

/// Intervals of life and outages; a silence longer than the setting is one.
#[tokio::test]
async fn uptimes_are_shares_of_the_time_since_the_first_heartbeat() -> Result<()> {
    let scenario = Scenario::empty().await?;
    assert_eq!(figures(&scenario.client).await?["uptime_relay"].0, None, "no relay was ever seen");
    let past = "insert into pfa_sync_private.relay_uptime values (now() - interval '100 minutes', now() - interval '50 minutes'); \
                insert into pfa_sync_private.pems_outage values ('default', now() - interval '80 minutes', now() - interval '70 minutes'); \
                select pfa_sync.heartbeat('relay-1', '1'), pfa_sync.heartbeat('relay-2', '1')";
    scenario.client.batch_execute(past).await?;
    let near = |value: Option<f64>, expected: f64| value.is_some_and(|value| (value - expected).abs() < 0.02);
    let figures = figures(&scenario.client).await?;
    assert!(near(figures["uptime_relay"].0, 0.5), "{:?}", figures["uptime_relay"]);
    assert!(near(figures["uptime_breaker"].0, 0.9), "{:?}", figures["uptime_breaker"]);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync_private.relay_uptime").await?, 2);
    Ok(())
}

/// An outage of PEMS is remembered when its breaker closes.
#[tokio::test]
async fn an_outage_is_counted_from_its_first_to_its_last_moment() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.heartbeat('relay-1', '1')").await?;
    scenario
        .client
        .batch_execute(
            "update pfa_sync_private.relay_uptime set began_at = now() - interval '100 minutes'; \
             update pfa_sync_private.pems set failures = 3, opened_at = now() - interval '10 minutes', open_until = now() - interval '1 s'",
        )
        .await?;
    let near = |value: Option<f64>| value.is_some_and(|value| (value - 0.9).abs() < 0.02);
    assert!(near(figures(&scenario.client).await?["uptime_breaker"].0), "while it is open");
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    assert_eq!(scenario.value::<String>("select state from pfa_sync.breakers").await?, "closed");
    assert!(near(figures(&scenario.client).await?["uptime_breaker"].0), "once it has closed");
    scenario.check().await
}

/// A change without its entry in the log is found, and a record that PEMS stores otherwise than it confirmed.
#[tokio::test]
async fn gaps_in_the_log_and_differences_are_found() -> Result<()> {
    let scenario = Scenario::new().await?;
    for record in ["1", "2"] {
        scenario.edit(record, json!({"model": "LTM 1300 with long boom"})).await?;
    }
    scenario.deliver().await?;
    scenario.foreign_edit("1", 2, json!({"model": "LTM 1300"})).await?;
    let pull = "insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, lease_until, ended_at, records_read, records_unchanged) \
                values ('org_RIO_173', 'full', 'completed', 'relay-1', now(), now(), 9, 9)";
    let gap = "update pfa_sync_private.installation set attached_at = now() - interval '2 hours'; \
               update pfa_sync_private.pfa_write_queue_archive set created_at = created_at - interval '1 hour', completed_at = completed_at - interval '1 hour'; \
               delete from pfa_sync_private.pfa_audit_log where event_type = 'SYNCED' and pfa_id = '2'";
    scenario.client.batch_execute(&format!("{pull}; {gap}")).await?;
    for _ in 0..2 {
        maintain(&scenario).await?;
        let figures = figures(&scenario.client).await?;
        assert_eq!(figures["audit_completeness"], (Some(0.5), 2));
        assert_eq!(figures["consistency"], (Some(0.9), 10));
    }
    Ok(())
}

#[tokio::test]
async fn a_user_sees_the_figures_of_the_own_organizations() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    maintain(&scenario).await?;
    let session = scenario.database.client_as(Login::Api).await?;
    for (user, organizations) in [("usr_admin", 2), ("usr_viewer", 2), ("usr_second", 1), ("usr_former", 0), ("usr_nobody", 0)] {
        session.execute("select set_config('pfa_sync.user_id', $1, false)", &[&user]).await?;
        for function in ["kpis", "drain_forecast"] {
            let seen = format!("select count(distinct organization_id) from pfa_sync.{function}()");
            assert_eq!(session.query_one(&seen, &[]).await?.get::<_, i64>(0), organizations, "{function} as {user}");
        }
    }
    Ok(())
}

/// What becomes of the queue, in a word and a sentence.
#[tokio::test]
async fn the_forecast_says_what_becomes_of_the_queue() -> Result<()> {
    let scenario = Scenario::new().await?;
    let forecast = async || {
        let row = scenario.client.query_one("select state, waiting, sentence from pfa_sync.drain_forecast('RIO')", &[]).await?;
        anyhow::Ok((row.get::<_, String>(0), row.get::<_, i64>(1), row.get::<_, String>(2)))
    };
    assert_eq!(forecast().await?, ("empty".to_owned(), 0, "nothing waits".to_owned()));
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute(
            "select pfa_sync.heartbeat('relay-1', '1'); update pfa_sync_private.sync_organization set released_at = null",
        )
        .await?;
    assert_eq!(forecast().await?, ("draining".to_owned(), 1, "clears in less than a minute".to_owned()));
    scenario
        .client
        .batch_execute("update pfa_sync_private.pfa_write_queue set scheduled_at = now() - interval '5 minutes'")
        .await?;
    let (state, _, sentence) = forecast().await?;
    assert!(state == "stalled" && sentence.contains("nothing has ended for about 5 minutes"), "{state} {sentence}");
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'works')").await?;
    assert_eq!(forecast().await?, ("stopped".to_owned(), 1, "stopped: paused: works".to_owned()));
    Ok(())
}
