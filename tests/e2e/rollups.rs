//! The counts behind the key figures: each entry of the log counts once, for as long as it is kept.

use anyhow::Result;
use serde_json::json;
use testbed::application::{EDITOR, RIO, pems_record};
use tokio_postgres::Client;

use crate::kpis::{MISCOUNTED, figures, maintain};
use crate::support::scenario::Scenario;

/// Commits an edit of a record, in the session's transaction.
const COMMIT: &str = r#"
    insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "baseVersion", "updatedAt")
    select 'mod_' || gen_random_uuid(), id, "organizationId", 'usr_editor', '{"model": "late"}', 'committed', version, now()
      from pfa_mirror where "organizationId" = 'org_RIO_173' and "pfaId" = '2'"#;

/// Both relays of a fleet call maintain() while edits go on.
#[tokio::test]
async fn two_sessions_count_each_entry_once() -> Result<()> {
    let scenario = Scenario::new().await?;
    let counting = |session: Client| async move {
        for _ in 0..30 {
            session.batch_execute("select pfa_sync.maintain()").await?;
        }
        anyhow::Ok(())
    };
    let (one, two) = (scenario.database.client().await?, scenario.database.client().await?);
    let edits = async {
        for round in 0..20 {
            scenario.edit("1", json!({"model": format!("model {round}")})).await?;
            scenario.deliver().await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(counting(one), counting(two), edits)?;
    maintain(&scenario).await?;
    assert_eq!(scenario.value::<String>(MISCOUNTED).await?, "");
    assert_eq!(figures(&scenario.client).await?["success_rate"], (Some(1.0), 20));
    scenario.check().await
}

/// Its entries are older than what was counted meanwhile; one that is rolled back counts nothing.
#[tokio::test]
async fn a_transaction_that_commits_late_is_counted_once() -> Result<()> {
    let scenario = Scenario::new().await?;
    maintain(&scenario).await?;
    let (late, given_up) = (scenario.database.client().await?, scenario.database.client().await?);
    late.batch_execute(&format!("begin; {COMMIT}")).await?;
    given_up.batch_execute(&format!("begin; {}", COMMIT.replace("'2'", "'3'"))).await?;
    for round in 0..3 {
        scenario.edit("1", json!({"model": format!("model {round}")})).await?;
        scenario.deliver().await?;
        maintain(&scenario).await?;
        assert_eq!(scenario.value::<String>(MISCOUNTED).await?, "");
    }
    late.batch_execute("commit").await?;
    given_up.batch_execute("rollback").await?;
    for _ in 0..2 {
        maintain(&scenario).await?;
        assert_eq!(scenario.value::<String>(MISCOUNTED).await?, "");
    }
    assert_eq!(figures(&scenario.client).await?["status_visibility"], (Some(1.0), 4));
    scenario.check().await
}

/// What is written in a copy, before it takes the place of its original, is counted once it has.
#[tokio::test]
async fn a_copy_counts_from_its_adoption_on() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    maintain(&scenario).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    scenario.client.batch_execute("update pfa_sync_private.origin set database_oid = 1").await?;
    maintain(&scenario).await?;
    assert_ne!(scenario.value::<String>(MISCOUNTED).await?, "");
    scenario.client.batch_execute("select pfa_sync.adopt()").await?;
    for _ in 0..2 {
        maintain(&scenario).await?;
        assert_eq!(scenario.value::<String>(MISCOUNTED).await?, "");
    }
    scenario.edit("3", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    maintain(&scenario).await?;
    assert_eq!(scenario.value::<String>(MISCOUNTED).await?, "");
    scenario.check().await
}

/// Counts, notes and times survive a dump, and what was written between the last count and the dump is counted once.
#[tokio::test]
async fn the_counts_survive_a_dump_and_its_restore() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    scenario
        .client
        .batch_execute(
            "select pfa_sync.heartbeat('relay-1', '1'), pfa_sync.note_failure('REJECTED', 'RIO', 'kept'); select pfa_sync.maintain()",
        )
        .await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    let copy = scenario.database.restored_in(scenario.database.server(), &[]).await?;
    let client = copy.client().await?;
    client.batch_execute("select pfa_sync.maintain()").await?;
    client.batch_execute("select pfa_sync.adopt(); select pfa_sync.maintain()").await?;
    assert_eq!(client.query_one(MISCOUNTED, &[]).await?.get::<_, String>(0), "");
    let figures = figures(&client).await?;
    assert_eq!((figures["success_rate"], figures["status_visibility"]), ((Some(1.0), 1), (Some(1.0), 2)));
    let kept = "select (select note from pfa_sync_private.failure_case) || (select count(*) from pfa_sync_private.relay_uptime)";
    assert_eq!(client.query_one(kept, &[]).await?.get::<_, String>(0), "kept1");
    Ok(())
}

/// Percentiles of random latencies, from two milliseconds to days, lie as near to the exact ones as the page says.
#[tokio::test]
async fn percentiles_are_within_the_stated_error() -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.ingest(&(1000..1300).map(|id| pems_record("RIO", &id.to_string())).collect::<Vec<_>>()).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, '{"contract": "C"}', version, now() from pfa_mirror"#;
    scenario.client.execute(insert, &[&EDITOR]).await?;
    scenario.application().commit(EDITOR, RIO).await?;
    assert_eq!(scenario.deliver().await?, 300);
    let latencies = "update pfa_sync_private.pfa_write_queue_archive \
                        set created_at = completed_at - make_interval(secs => exp(ln(0.002) + random() * (ln(200000) - ln(0.002))))";
    scenario.client.batch_execute(latencies).await?;
    maintain(&scenario).await?;
    let exact: Vec<f64> = scenario
        .value(
            "select percentile_disc(array[0.5, 0.95, 0.99]) within group (order by extract(epoch from completed_at - created_at)::double precision) \
               from pfa_sync_private.pfa_write_queue_archive",
        )
        .await?;
    let figures = figures(&scenario.client).await?;
    for (name, exact) in ["latency_p50", "latency_p95", "latency_p99"].into_iter().zip(exact) {
        let value = figures[name].0.unwrap_or_default();
        assert!((value - exact).abs() <= (0.05 * exact).max(0.005), "{name}: {value}, exactly {exact}");
    }
    let worst = "select max(abs(pfa_sync_private.bucket_seconds(pfa_sync_private.duration_bucket(s)) - s) / greatest(0.05 * s, 0.005)) \
                   from (select exp(ln(0.0001) + random() * (ln(3e7) - ln(0.0001))) as s from generate_series(1, 20000)) x";
    assert!(scenario.value::<f64>(worst).await? <= 1.0);
    Ok(())
}

/// Five minutes become hours, and hours days; nothing is lost, and what is past its retention goes.
#[tokio::test]
async fn counts_are_kept_by_hour_then_by_day_then_not() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let fill = "insert into pfa_sync_private.kpi_rollup (organization_id, period, measure, samples) \
                select 'org_RIO_173', date_bin('5 minutes', now() - n * interval '7 hours 25 minutes', 'epoch'), 'completed', 1 \
                  from generate_series(1, 1000) n";
    scenario.client.batch_execute(fill).await?;
    maintain(&scenario).await?;
    let completed = "select sum(samples)::bigint from pfa_sync_private.kpi_rollup where measure = 'completed'";
    assert_eq!(scenario.value::<i64>(completed).await?, 1000);
    // The hour and the day that these bounds lie in are still in parts.
    let too_fine = "select count(*) from pfa_sync_private.kpi_rollup \
                     where period < now() - interval '2 days 1 hour' and date_bin('1 hour', period, 'epoch') <> period \
                        or period < now() - interval '93 days' and date_bin('1 day', period, 'epoch') <> period";
    assert_eq!(scenario.value::<i64>(too_fine).await?, 0);
    let sums = "select sum(samples)::bigint from pfa_sync.kpis('RIO', now() - interval '312 days', null, $1::text::interval) where name = 'success_rate'";
    for step in ["1 day", "7 days", "30 days"] {
        assert_eq!(scenario.client.query_one(sums, &[&step]).await?.get::<_, i64>(0), 1000, "{step}");
    }
    scenario.client.batch_execute("select pfa_sync.set('kpi_retention', '30 days'), pfa_sync.maintain()").await?;
    let oldest = "select min(period) > now() - interval '31 days' and count(*) > 50 from pfa_sync_private.kpi_rollup";
    assert!(scenario.value::<bool>(oldest).await?);
    Ok(())
}
