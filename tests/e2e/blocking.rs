//! No blocking, in either direction: what another session holds is left out and comes later, all else goes on.

use std::time::Duration;

use anyhow::{Context, Result};
use pems_simulator::{Fault, Operation};
use pfa_service::database::{Database, DatabaseError};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, RIO, SECOND, pems_record};
use testbed::cluster::Login;
use tokio::time::timeout;

use crate::support::scenario::{Claimed, Scenario, refusal};
use crate::support::stack::Stack;

/// A row of the application that a session holds in a transaction that does nothing.
const HOLD_RECORD: &str = r#"begin; select from pfa_mirror where "pfaId" = '2' for update"#;
const HOLD_EDIT: &str =
    r#"begin; select from pfa_modification where "mirrorId" = (select id from pfa_mirror where "pfaId" = '2') for update"#;

/// What PEMS confirmed.
fn confirmed() -> Value {
    json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})
}

async fn statuses(scenario: &Scenario, function: &str, claimed: &[Claimed], besides: Value) -> Result<Vec<(i64, String)>> {
    let reporting = scenario.report(function, claimed, besides);
    let rows = timeout(Duration::from_secs(20), reporting).await.context("the report waits for the other session")??;
    let mut statuses: Vec<_> = rows.iter().map(|row| (row.get("queue_id"), row.get("status"))).collect();
    statuses.sort();
    Ok(statuses)
}

/// Of three records in flight one is held: the other two end, the third is named as busy, and ends when it is free.
#[rstest]
#[case::record("complete", HOLD_RECORD, confirmed(), "completed")]
#[case::edit("complete", HOLD_EDIT, confirmed(), "completed")]
#[case::failed("fail", HOLD_RECORD, json!({"outcome": "rejected", "error": "no"}), "failed")]
#[case::released("release", HOLD_EDIT, json!({}), "pending")]
#[case::read_after_a_conflict("report_conflict", HOLD_RECORD, json!({"record": null}), "failed")]
#[case::read_before_a_write("reconcile", HOLD_EDIT, json!({"record": null}), "failed")]
#[tokio::test]
async fn a_held_record_delays_no_other(
    #[case] function: &str,
    #[case] hold: &str,
    #[case] besides: Value,
    #[case] ended: &str,
) -> Result<()> {
    let scenario = Scenario::new().await?;
    for record in ["1", "2", "3"] {
        scenario.edit(record, json!({"model": "X"})).await?;
    }
    let claimed = scenario.send().await?;
    let holder = scenario.database.client().await?;
    holder.batch_execute(hold).await?;

    let held = claimed.iter().find(|record| record.pfa_id == "2").context("record 2 is claimed")?.clone();
    let reported = statuses(&scenario, function, &claimed, besides.clone()).await?;
    assert_eq!(reported.len(), 3);
    for (queue_id, status) in reported {
        assert_eq!(status, if queue_id == held.queue_id { "busy" } else { ended });
    }
    holder.batch_execute("rollback").await?;
    let again = statuses(&scenario, function, std::slice::from_ref(&held), besides).await?;
    assert_eq!(again, [(held.queue_id, ended.to_owned())]);
    scenario.check().await
}

/// A transaction of the application that commits edits of two records, one after the other, is never ended by a deadlock
/// with a report on both.
#[tokio::test]
async fn a_report_does_not_deadlock_with_the_application() -> Result<()> {
    for (first, second) in [("1", "2"), ("2", "1")] {
        let scenario = Scenario::new().await?;
        for record in ["1", "2"] {
            scenario.edit(record, json!({"model": "X"})).await?;
        }
        let claimed = scenario.send().await?;
        let session = scenario.database.client_as(Login::Application).await?;
        let application = Application::new(&session);
        session.batch_execute("begin").await?;
        application.draft(SECOND, RIO, first, json!({"areaSilo": "Silo 2"})).await?;
        application.commit(SECOND, RIO).await?;
        let reported = statuses(&scenario, "complete", &claimed, confirmed()).await?;
        assert_eq!(reported.iter().filter(|(_, status)| status == "busy").count(), 1, "{reported:?}");
        application.draft(SECOND, RIO, second, json!({"areaSilo": "Silo 2"})).await?;
        application.commit(SECOND, RIO).await?;
        session.batch_execute("commit").await?;
        statuses(&scenario, "complete", &claimed, confirmed()).await?;
        scenario.check().await?;
    }
    Ok(())
}

/// A page with a record that is held is taken without it, and whole when it is handed in again.
#[tokio::test]
async fn a_page_is_taken_without_a_held_record_and_again() -> Result<()> {
    let scenario = Scenario::new().await?;
    let holder = scenario.database.client().await?;
    holder.batch_execute(HOLD_RECORD).await?;
    let page = ["1", "2", "3", "4"].map(|id| {
        let mut record = pems_record("RIO", id);
        record["version"] = json!(2);
        record["model"] = json!("theirs");
        record
    });
    let kept = "select count(*) from pfa_sync_private.sync_pull_page";
    let before: i64 = scenario.value(kept).await?;
    let row = timeout(Duration::from_secs(20), scenario.ingest(&page)).await.context("the page waits")??;
    assert_eq!((row.get::<_, i64>("records_changed"), row.get::<_, i64>("records_busy")), (3, 1));
    assert_eq!(scenario.value::<i64>(kept).await?, before, "a page is kept once, when it is taken whole");
    holder.batch_execute("rollback").await?;
    let row = scenario.ingest(&page).await?;
    assert_eq!((row.get::<_, i64>("records_changed"), row.get::<_, i64>("records_busy")), (1, 0));
    assert_eq!(scenario.value::<i64>(kept).await?, before + 1);
    assert_eq!(scenario.mirror("2").await?["model"], "theirs");
    scenario.check().await
}

/// What a person calls on several records waits while it holds nothing, and says which record it could not get.
#[tokio::test]
async fn a_person_is_told_which_record_is_held() -> Result<()> {
    let scenario = Scenario::new().await?;
    let mut edits = Vec::new();
    for record in ["1", "2", "3"] {
        edits.push(scenario.edit(record, json!({"model": "X"})).await?);
    }
    let holder = scenario.database.client().await?;
    holder.batch_execute(HOLD_RECORD).await?;
    let withdraw = "select * from pfa_sync.withdraw($1, 'usr_editor')";
    let error = scenario.client.query(withdraw, &[&edits]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!((code.as_str(), message.as_str()), ("40001", "another transaction is changing record 2"));
    holder.batch_execute("rollback").await?;
    assert_eq!(scenario.client.query(withdraw, &[&edits]).await?.len(), 3);
    scenario.check().await
}

/// Work that no trigger saw is queued in portions; resume() only lets it be sent.
#[tokio::test]
async fn much_unseen_work_is_queued_in_portions() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.ingest(&(1000..1500).map(|id| pems_record("RIO", &id.to_string())).collect::<Vec<_>>()).await?;
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'works')").await?;
    // Two edits of each record, as logical replication inserts them: no trigger fires.
    let unseen = r#"set session_replication_role = replica;
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "committedAt", "createdAt", "updatedAt")
        select format('unseen_%s_%s', "pfaId", n), id, "organizationId", 'usr_editor', jsonb_build_object('model', 'LTM ' || n), 'committed', 'committed', now(),
               now() + n * interval '1 s', now() from pfa_mirror, generate_series(1, 2) n where length("pfaId") = 4;
        reset session_replication_role"#;
    scenario.client.batch_execute(unseen).await?;
    assert_eq!(
        scenario.client.query("select * from pfa_sync.sweep() s where s.organization_id = 'org_RIO_173'", &[]).await?.len(),
        0,
        "paused"
    );
    assert_eq!(scenario.value::<i64>("select waiting from pfa_sync.resume('RIO')").await?, 1000);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
    assert_eq!(scenario.value::<f64>("select pfa_sync.next_due_ms()").await?, 0.0, "a sweep is due");

    let mut portions = Vec::new();
    loop {
        let rows = scenario.client.query("select queued from pfa_sync.sweep(300)", &[]).await?;
        let Some(row) = rows.first() else { break };
        portions.push(row.get::<_, i64>(0));
    }
    assert_eq!(portions, [300, 300, 300, 100]);
    assert!(!scenario.value::<bool>("select bool_or(sweep_due) from pfa_sync_private.sync_organization").await?);
    let out_of_order = "select count(*) from pfa_sync_private.pfa_write_queue a join pfa_sync_private.pfa_write_queue b \
                        on b.mirror_id = a.mirror_id and b.id > a.id where a.payload->>'model' > b.payload->>'model'";
    assert_eq!(scenario.value::<i64>(out_of_order).await?, 0, "edits of a record keep their order");
    scenario.check().await
}

/// A report that reads the log keeps no relay from sending, although the log needs a partition.
#[tokio::test]
async fn a_reader_of_the_log_stops_nothing() -> Result<()> {
    let stack = Stack::new(2).await?;
    let last = "select max(c.relname)::text from pg_class c where c.relname ~ '^pfa_audit_log_[0-9]{6}$'";
    let last: String = stack.scenario.value(last).await?;
    stack.scenario.client.batch_execute(&format!("drop table pfa_sync_private.{last}")).await?;
    let reader = stack.scenario.database.client().await?;
    reader.batch_execute("begin; select count(*) from pfa_sync_private.pfa_audit_log").await?;
    let maintained = "select string_agg(object || ' ' || action, '; ') from pfa_sync.maintain()";
    let said: String = stack.scenario.value(maintained).await?;
    assert!(said.contains("another session holds the log"), "{said}");

    let _relay = stack.relay("run")?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    reader.batch_execute("rollback").await?;
    // By this call, or by the relay's own.
    stack.scenario.client.query(maintained, &[]).await?;
    stack.until(&format!("select to_regclass('pfa_sync_private.{last}') is not null")).await?;
    stack.check().await
}

/// One idle transaction on one record of a batch: all others are synced, and their records' next edits, by the relay itself.
#[tokio::test]
async fn the_relay_goes_on_beside_an_idle_transaction() -> Result<()> {
    let stack = Stack::new(20).await?;
    let holder = stack.scenario.database.client().await?;
    for record in 1..=20 {
        stack.scenario.application().draft(EDITOR, RIO, &record.to_string(), json!({"model": "X"})).await?;
    }
    stack.pems.fault(Operation::Batch, Fault::Latency(400));
    stack.scenario.application().commit(EDITOR, RIO).await?;
    let _relay = stack.relay("run")?;
    stack.until("select count(*) = 20 from pfa_sync.queue where status = 'processing'").await?;
    holder.batch_execute(HOLD_RECORD).await?;
    stack.until("select count(*) = 1 from pfa_sync.queue").await?;
    let next = stack.scenario.edit("5", json!({"model": "Y"})).await?;
    stack.until(&format!("select count(*) = 1 from pfa_modification where id = '{next}' and \"syncState\" = 'synced'")).await?;
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 1, "the held one");
    holder.batch_execute("rollback").await?;
    stack.until_drained().await?;
    stack.check().await
}

/// A call that was given up does not go on in the server.
#[tokio::test]
async fn an_abandoned_call_ends_on_the_server() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let database = Database::new(scenario.database.url().parse()?, None, 2, "abandoned")?;
    let outcome = database.call("select pg_sleep(300)", &[]).await;
    assert!(matches!(outcome, Err(DatabaseError::TimedOut(_))), "{outcome:?}");
    let running = "select count(*) from pg_stat_activity where application_name = 'abandoned' and state = 'active'";
    let ended = async {
        while scenario.value::<i64>(running).await? > 0 {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(20), ended).await.context("the call goes on")?
}
