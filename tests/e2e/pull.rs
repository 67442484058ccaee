//! Pulls by real relays from PEMS: scheduled, resumed, shared, and with every kind of answer of PEMS.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::stack::Stack;

const PULLED: &str = "select count(*) filter (where status = 'completed') >= 1 from pfa_sync.pulls";

#[tokio::test]
async fn a_running_relay_pulls_in_full_and_then_only_what_changed() -> Result<()> {
    let stack = Stack::new(30).await?;
    stack.scenario.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    stack.pull_every("1 s", "1 day").await?;
    let relay = stack.relay_with_arguments("run", &["--page-size", "10"])?;
    stack.until(PULLED).await?;
    stack.check().await?;

    stack.foreign_edit("7", json!({"model": "moved"}));
    stack.until(r#"select data->>'model' = 'moved' from pfa_mirror where "pfaId" = '7'"#).await?;
    let latest =
        "select kind || ' ' || records_changed from pfa_sync.pulls where records_changed > 0 order by pull_id desc limit 1";
    assert_eq!(stack.scenario.value::<String>(latest).await?, "incremental 1");
    assert!(
        stack
            .scenario
            .value::<bool>(
                "select records_read = 30 and pages = 3 and kind = 'full' from pfa_sync.pulls order by pull_id limit 1"
            )
            .await?
    );
    relay.stop().await?;
    stack.check().await
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
    let stack = Stack::new(20).await?;
    stack.scenario.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    stack.pems.fault(Operation::List, Fault::Latency(0));
    stack.pems.fault(Operation::List, fault.clone());
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO", "--page-size", "10"])?.wait().await?.success());
    assert!(stack.pems.log().iter().any(|request| request.fault.as_ref() == Some(&fault)), "the fault was met");
    assert_eq!(stack.scenario.value::<i64>("select records_read from pfa_sync.pulls").await?, 20, "no page is taken twice");
    stack.check().await
}

/// PEMS refuses the list for good: the pull says so, and the next one heals it.
#[tokio::test]
async fn a_refused_pull_fails_with_its_reason_and_the_next_one_heals_it() -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.foreign_edit("20", json!({"model": "moved"}));
    stack.pems.fault(Operation::List, Fault::Latency(0));
    stack.pems.fault(Operation::List, Fault::Status(400, None));
    assert!(!stack.relay_with_arguments("pull", &["--organization", "RIO", "--page-size", "10"])?.wait().await?.success());
    let row =
        stack.scenario.client.query_one("select status, last_error is not null, records_read from pfa_sync.pulls", &[]).await?;
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1), row.get::<_, i64>(2)), ("failed", true, 10));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    stack.check().await
}

/// A relay dies between two pages: another one goes on behind the last page taken in.
#[tokio::test]
async fn a_pull_goes_on_where_a_killed_relay_left_it() -> Result<()> {
    let stack = Stack::new(30).await?;
    stack.scenario.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    stack.pull_every("1 hour", "1 day").await?;
    stack.pems.fault(Operation::List, Fault::Latency(0));
    stack.pems.fault(Operation::List, Fault::Hold);
    let doomed = stack.relay_with_arguments("run", &["--page-size", "10"])?;
    stack.until_pems(|log| log.len() == 2).await?;
    doomed.kill().await?;

    let relay = stack.relay_with_arguments("run", &["--page-size", "10"])?;
    stack.until(PULLED).await?;
    let row = stack.scenario.client.query_one("select pages, records_read, records_changed from pfa_sync.pulls", &[]).await?;
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (3, 30, 30), "one pull, each page once");
    relay.stop().await?;
    stack.check().await
}

#[tokio::test]
async fn two_relays_pull_an_organization_one_at_a_time() -> Result<()> {
    let stack = Stack::new(30).await?;
    stack.pull_every("1 s", "1 day").await?;
    let relays =
        [stack.relay_with_arguments("run", &["--page-size", "10"])?, stack.relay_with_arguments("run", &["--page-size", "10"])?];
    stack.until("select count(*) filter (where status = 'completed') >= 3 from pfa_sync.pulls").await?;
    for relay in relays {
        assert!(relay.stop().await?.success());
    }
    let overlapping = "select count(*) from pfa_sync.pulls a join pfa_sync.pulls b \
                       on a.pull_id < b.pull_id and b.started_at < coalesce(a.ended_at, 'infinity') and a.organization_id = b.organization_id";
    assert_eq!(stack.scenario.value::<i64>(overlapping).await?, 0);
    assert!(stack.pems.log().iter().all(|request| request.status == Some(200)), "no request was throttled");
    stack.check().await
}

#[tokio::test]
async fn what_pems_no_longer_has_is_discontinued_by_a_full_pull_and_comes_back_with_it() -> Result<()> {
    let stack = Stack::new(20).await?;
    let removed = stack.pems.record("RIO", "3").unwrap();
    assert!(stack.pems.remove("RIO", "3"));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let row =
        r#"select jsonb_build_array("isDiscontinued", data->'isDiscontinued', version) from pfa_mirror where "pfaId" = '3'"#;
    assert_eq!(stack.scenario.value::<Value>(row).await?, json!([true, true, 2]));
    assert_eq!(stack.scenario.value::<i64>("select discontinued from pfa_sync.pulls").await?, 1);
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_mirror").await?, 20, "never deleted");

    // The next pull asks for it no more; PEMS has it again, and so has the mirror.
    let asked = stack.pems.log().len();
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.pems.log().len(), asked + 1);
    stack.scenario.ingest(&[removed]).await?;
    assert_eq!(stack.scenario.value::<Value>(row).await?, json!([false, false, 3]));
    stack.scenario.check().await
}

/// Pages shift while they are read, and a record is in none of them: PEMS is asked before anything is concluded.
#[tokio::test]
async fn shifted_pages_discontinue_nothing() -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.foreign_edit("10", json!({"model": "moved"}));
    stack.pems.fault(Operation::List, Fault::Skip(2));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO", "--page-size", "10"])?.wait().await?.success());
    assert_eq!(stack.scenario.value::<i64>("select discontinued from pfa_sync.pulls").await?, 0);
    assert_eq!(stack.pems.log().iter().filter(|request| request.operation == Operation::Get).count(), 2);
    stack.check().await
}

/// A list that is suddenly empty is no reason to discontinue an organization's records.
#[tokio::test]
async fn an_empty_list_discontinues_nothing() -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.pems.fault(Operation::List, Fault::Skip(20));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let row = stack.scenario.client.query_one("select discontinued, last_error from pfa_sync.pulls", &[]).await?;
    assert_eq!(row.get::<_, i64>(0), 0);
    assert!(row.get::<_, &str>(1).contains("20 of 20 records"));
    stack.check().await
}

/// Once the cause is corrected, a user need not wait for the next try of the relays.
#[tokio::test]
async fn a_pull_by_hand_goes_on_with_one_that_failed() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.set_password("changed");
    assert!(!stack.relay("pull")?.wait().await?.success());
    stack.set_password("secret");
    stack.scenario.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    assert!(stack.relay("pull")?.wait().await?.success());
    stack.until(PULLED).await
}

#[tokio::test]
async fn metrics_tell_of_the_queue_and_of_the_last_pull() -> Result<()> {
    let stack = Stack::new(3).await?;
    assert!(stack.relay("pull")?.wait().await?.success());
    stack.scenario.edit("1", json!({"model": "X"})).await?;
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
        assert_eq!(stack.scenario.value::<f64>(&query).await?, expected, "{query}");
    }
    Ok(())
}

/// Writes go on while a long pull reads, and the pull goes on while there is much to write.
#[tokio::test]
async fn pulls_and_writes_take_turns() -> Result<()> {
    let stack = Stack::new(60).await?;
    stack.pull_every("1 hour", "1 day").await?;
    for id in 1..=20 {
        stack
            .scenario
            .application()
            .draft(testbed::application::EDITOR, testbed::application::RIO, &id.to_string(), json!({"model": "ours"}))
            .await?;
    }
    stack.scenario.application().commit(testbed::application::EDITOR, testbed::application::RIO).await?;
    let relay = stack.relay_with_arguments("run", &["--page-size", "2", "--batch-size", "1"])?;
    stack.until_drained().await?;
    stack.until(PULLED).await?;
    let log = stack.pems.log();
    let position = |list: bool, last: bool| {
        let mut matching = (0..log.len()).filter(|&at| (log[at].operation == Operation::List) == list);
        if last { matching.next_back() } else { matching.next() }.unwrap()
    };
    assert!(position(true, false) < position(false, true) && position(false, false) < position(true, true), "they take turns");
    relay.stop().await?;
    stack.check().await
}

#[tokio::test]
async fn refused_credentials_stop_pulls_until_resume() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.set_password("changed");
    stack.pull_every("1 s", "1 day").await?;
    let _relay = stack.relay("run")?;
    stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!(stack.pems.log().len(), 1, "it is not tried again");
    stack.set_password("secret");
    stack.scenario.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    stack.until(PULLED).await?;
    stack.check().await
}

/// Where the application's reader fills the mirror, the relay pulls nothing by itself.
#[rstest]
#[case("application")]
#[case("off")]
#[tokio::test]
async fn only_organizations_of_the_relay_are_pulled(#[case] inbound: &str) -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.pull_every("1 s", "1 day").await?;
    stack
        .scenario
        .client
        .query_one("select pfa_sync.set('inbound', $1, 'RIO'), pfa_sync.set('inbound', 'relay', 'HARBOUR')", &[&inbound])
        .await?;
    let _relay = stack.relay("run")?;
    stack.until("select count(*) filter (where status = 'completed') >= 1 from pfa_sync.pulls").await?;
    assert!(stack.pems.log().iter().all(|request| request.organization.as_deref() == Some("HARBOUR")));
    Ok(())
}

/// The end of a pull is reported until the database accepts it, as the outcomes of a batch are.
#[tokio::test]
async fn the_end_of_a_pull_that_the_database_refuses_is_reported_again() -> Result<()> {
    let stack = Stack::new(1).await?;
    // A sequence counts the reports, since a rollback does not reset it.
    let refuse_twice = "create sequence public.reports; grant all on sequence public.reports to public;
        create function public.refuse_twice() returns trigger language plpgsql as $$ begin
            if nextval('public.reports') <= 2 then raise exception 'refused' using errcode = '55000'; end if;
            return new;
        end $$;
        create trigger refuse_twice before update on pfa_sync_private.sync_pull
            for each row when (new.status = 'completed') execute function public.refuse_twice()";
    stack.scenario.client.batch_execute(refuse_twice).await?;
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.scenario.value::<String>("select status from pfa_sync.pulls").await?, "completed");
    assert_eq!(stack.scenario.value::<i64>("select last_value from public.reports").await?, 3);
    stack.check().await
}
