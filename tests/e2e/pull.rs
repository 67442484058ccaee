//! Pulls by real relays from PEMS: scheduled, resumed, shared, and whatever PEMS answers.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::plant::Plant;

const PULLED: &str = "select count(*) filter (where status = 'completed') >= 1 from pfa_sync.pulls";

#[tokio::test]
async fn a_running_relay_pulls_in_full_and_then_only_what_changed() -> Result<()> {
    let plant = Plant::new(30).await?;
    plant.world.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    plant.pull_every("1 s", "1 day").await?;
    let relay = plant.relay_with_arguments("run", &["--page-size", "10"])?;
    plant.until(PULLED).await?;
    plant.check().await?;

    plant.foreign_edit("7", json!({"model": "moved"}));
    plant.until(r#"select data->>'model' = 'moved' from pfa_mirror where "pfaId" = '7'"#).await?;
    let latest =
        "select kind || ' ' || records_changed from pfa_sync.pulls where records_changed > 0 order by pull_id desc limit 1";
    assert_eq!(plant.world.value::<String>(latest).await?, "incremental 1");
    assert!(
        plant
            .world
            .value::<bool>(
                "select records_read = 30 and pages = 3 and kind = 'full' from pfa_sync.pulls order by pull_id limit 1"
            )
            .await?
    );
    relay.stop().await?;
    plant.check().await
}

/// Whatever PEMS answers instead of a page, nothing is half-promoted, and the pull comes to its end.
#[rstest]
#[case::truncated(Fault::Truncated)]
#[case::cut(Fault::Cut)]
#[case::no_json(Fault::Malformed)]
#[case::error_body(Fault::ErrorBody)]
#[case::reset(Fault::ResetBefore)]
#[case::throttled(Fault::Status(429, Some(1)))]
#[case::unavailable(Fault::Status(503, None))]
#[tokio::test]
async fn a_bad_answer_is_asked_for_again(#[case] fault: Fault) -> Result<()> {
    let plant = Plant::new(20).await?;
    plant.world.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    plant.pems.fault(Operation::List, Fault::Latency(0));
    plant.pems.fault(Operation::List, fault.clone());
    assert!(plant.relay_with_arguments("pull", &["--organization", "RIO", "--page-size", "10"])?.wait().await?.success());
    assert!(plant.pems.log().iter().any(|request| request.fault.as_ref() == Some(&fault)), "the fault was met");
    assert_eq!(plant.world.value::<i64>("select records_read from pfa_sync.pulls").await?, 20, "no page is taken twice");
    plant.check().await
}

/// PEMS refuses the list for good: the pull says so, and the next one heals it.
#[tokio::test]
async fn a_refused_pull_fails_with_its_reason_and_the_next_one_heals_it() -> Result<()> {
    let plant = Plant::new(20).await?;
    plant.foreign_edit("20", json!({"model": "moved"}));
    plant.pems.fault(Operation::List, Fault::Latency(0));
    plant.pems.fault(Operation::List, Fault::Status(400, None));
    assert!(!plant.relay_with_arguments("pull", &["--organization", "RIO", "--page-size", "10"])?.wait().await?.success());
    let row =
        plant.world.client.query_one("select status, last_error is not null, records_read from pfa_sync.pulls", &[]).await?;
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1), row.get::<_, i64>(2)), ("failed", true, 10));
    assert!(plant.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    plant.check().await
}

/// A relay dies between two pages: another one goes on behind the last page taken in.
#[tokio::test]
async fn a_pull_goes_on_where_a_killed_relay_left_it() -> Result<()> {
    let plant = Plant::new(30).await?;
    plant.world.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    plant.pull_every("1 hour", "1 day").await?;
    plant.pems.fault(Operation::List, Fault::Latency(0));
    plant.pems.fault(Operation::List, Fault::Hold);
    let doomed = plant.relay_with_arguments("run", &["--page-size", "10"])?;
    plant.until_pems(|log| log.len() == 2).await?;
    doomed.kill().await?;

    let relay = plant.relay_with_arguments("run", &["--page-size", "10"])?;
    plant.until(PULLED).await?;
    let row = plant.world.client.query_one("select pages, records_read, records_changed from pfa_sync.pulls", &[]).await?;
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (3, 30, 30), "one pull, each page once");
    relay.stop().await?;
    plant.check().await
}

#[tokio::test]
async fn two_relays_pull_an_organization_one_at_a_time() -> Result<()> {
    let plant = Plant::new(30).await?;
    plant.pull_every("1 s", "1 day").await?;
    let relays =
        [plant.relay_with_arguments("run", &["--page-size", "10"])?, plant.relay_with_arguments("run", &["--page-size", "10"])?];
    plant.until("select count(*) filter (where status = 'completed') >= 3 from pfa_sync.pulls").await?;
    for relay in relays {
        assert!(relay.stop().await?.success());
    }
    let overlapping = "select count(*) from pfa_sync.pulls a join pfa_sync.pulls b \
                       on a.pull_id < b.pull_id and b.started_at < coalesce(a.ended_at, 'infinity') and a.organization_id = b.organization_id";
    assert_eq!(plant.world.value::<i64>(overlapping).await?, 0);
    assert!(plant.pems.log().iter().all(|request| request.status == Some(200)), "nobody was throttled");
    plant.check().await
}

#[tokio::test]
async fn what_pems_no_longer_has_is_discontinued_by_a_full_pull_and_comes_back_with_it() -> Result<()> {
    let plant = Plant::new(20).await?;
    let removed = plant.pems.record("RIO", "3").unwrap();
    assert!(plant.pems.remove("RIO", "3"));
    assert!(plant.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let row =
        r#"select jsonb_build_array("isDiscontinued", data->'isDiscontinued', version) from pfa_mirror where "pfaId" = '3'"#;
    assert_eq!(plant.world.value::<Value>(row).await?, json!([true, true, 2]));
    assert_eq!(plant.world.value::<i64>("select discontinued from pfa_sync.pulls").await?, 1);
    assert_eq!(plant.world.value::<i64>("select count(*) from pfa_mirror").await?, 20, "never deleted");

    // The next pull asks for it no more; PEMS has it again, and so has the mirror.
    let asked = plant.pems.log().len();
    assert!(plant.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(plant.pems.log().len(), asked + 1);
    plant.world.ingest(&[removed]).await?;
    assert_eq!(plant.world.value::<Value>(row).await?, json!([false, false, 3]));
    plant.world.check().await
}

/// Pages shift while they are read, and a record is in none of them: PEMS is asked before anything is concluded.
#[tokio::test]
async fn shifted_pages_discontinue_nothing() -> Result<()> {
    let plant = Plant::new(20).await?;
    plant.foreign_edit("10", json!({"model": "moved"}));
    plant.pems.fault(Operation::List, Fault::Skip(2));
    assert!(plant.relay_with_arguments("pull", &["--organization", "RIO", "--page-size", "10"])?.wait().await?.success());
    assert_eq!(plant.world.value::<i64>("select discontinued from pfa_sync.pulls").await?, 0);
    assert_eq!(plant.pems.log().iter().filter(|request| request.operation == Operation::Get).count(), 2);
    plant.check().await
}

/// A list that is suddenly empty is no reason to discontinue an organization's records.
#[tokio::test]
async fn an_empty_list_discontinues_nothing() -> Result<()> {
    let plant = Plant::new(20).await?;
    plant.pems.fault(Operation::List, Fault::Skip(20));
    assert!(plant.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let row = plant.world.client.query_one("select discontinued, last_error from pfa_sync.pulls", &[]).await?;
    assert_eq!(row.get::<_, i64>(0), 0);
    assert!(row.get::<_, &str>(1).contains("20 of 20 records"));
    plant.check().await
}

/// Whoever has mended what was wrong need not wait for the relays' next try.
#[tokio::test]
async fn a_pull_by_hand_goes_on_with_one_that_failed() -> Result<()> {
    let plant = Plant::new(2).await?;
    plant.set_password("changed");
    assert!(!plant.relay("pull")?.wait().await?.success());
    plant.set_password("secret");
    plant.world.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    assert!(plant.relay("pull")?.wait().await?.success());
    plant.until(PULLED).await
}

#[tokio::test]
async fn metrics_tell_of_the_queue_and_of_the_last_pull() -> Result<()> {
    let plant = Plant::new(3).await?;
    assert!(plant.relay("pull")?.wait().await?.success());
    plant.world.edit("1", json!({"model": "X"})).await?;
    let metric = |name, label, value| {
        format!(
            "select value from pfa_sync.metrics() where name = '{name}' and labels @> '{{\"organization\": \"RIO\", \"{label}\": \"{value}\"}}'"
        )
    };
    for (query, expected) in [
        (metric("pfa_sync_pull_records", "outcome", "read"), 3.0),
        (metric("pfa_sync_pull_records", "outcome", "changed"), 0.0),
        (metric("pfa_sync_pull_completed", "kind", "full"), 1.0),
        (metric("pfa_sync_changes", "state", "queued"), 1.0),
    ] {
        assert_eq!(plant.world.value::<f64>(&query).await?, expected, "{query}");
    }
    Ok(())
}

/// Writes go on while a long pull reads, and the pull goes on while there is much to write.
#[tokio::test]
async fn pulls_and_writes_starve_nobody() -> Result<()> {
    let plant = Plant::new(60).await?;
    plant.pull_every("1 hour", "1 day").await?;
    for id in 1..=20 {
        plant
            .world
            .application()
            .draft(testbed::application::EDITOR, testbed::application::RIO, &id.to_string(), json!({"model": "ours"}))
            .await?;
    }
    plant.world.application().commit(testbed::application::EDITOR, testbed::application::RIO).await?;
    let relay = plant.relay_with_arguments("run", &["--page-size", "2", "--batch-size", "1"])?;
    plant.until_drained().await?;
    plant.until(PULLED).await?;
    let log = plant.pems.log();
    let position = |list: bool, last: bool| {
        let mut matching = (0..log.len()).filter(|&at| (log[at].operation == Operation::List) == list);
        if last { matching.next_back() } else { matching.next() }.unwrap()
    };
    assert!(position(true, false) < position(false, true) && position(false, false) < position(true, true), "they take turns");
    relay.stop().await?;
    plant.check().await
}

#[tokio::test]
async fn refused_credentials_stop_pulls_until_resume() -> Result<()> {
    let plant = Plant::new(2).await?;
    plant.set_password("changed");
    plant.pull_every("1 s", "1 day").await?;
    let _relay = plant.relay("run")?;
    plant.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!(plant.pems.log().len(), 1, "it is not tried again");
    plant.set_password("secret");
    plant.world.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    plant.until(PULLED).await?;
    plant.check().await
}

/// Where the application's reader fills the mirror, the relay pulls nothing by itself.
#[rstest]
#[case("application")]
#[case("off")]
#[tokio::test]
async fn only_organizations_of_the_relay_are_pulled(#[case] inbound: &str) -> Result<()> {
    let plant = Plant::new(2).await?;
    plant.pull_every("1 s", "1 day").await?;
    plant
        .world
        .client
        .query_one("select pfa_sync.set('inbound', $1, 'RIO'), pfa_sync.set('inbound', 'relay', 'HARBOUR')", &[&inbound])
        .await?;
    let _relay = plant.relay("run")?;
    plant.until("select count(*) filter (where status = 'completed') >= 1 from pfa_sync.pulls").await?;
    assert!(plant.pems.log().iter().all(|request| request.organization.as_deref() == Some("HARBOUR")));
    Ok(())
}
