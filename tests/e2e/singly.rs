//! One record that Postgres refuses does not keep the others from ending.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::pems_record;

use crate::support::scenario::{Claimed, Scenario, refusal};

/// The application's own constraint, under which a row of its mirror may not hold this model.
const NO_BAD: &str = "alter table pfa_mirror add constraint no_bad check (data->>'model' is distinct from 'BAD') not valid";

const ANSWER: &str = "2026-03-01T00:00:00.000Z";

/// Edits of records "1", "2" and "3", sent; that of "2" has the given model.
async fn sent(scenario: &Scenario, model: &str) -> Result<(Vec<String>, Vec<Claimed>)> {
    let mut ids = Vec::new();
    for (pfa_id, model) in [("1", "X"), ("2", model), ("3", "X")] {
        ids.push(scenario.edit(pfa_id, json!({"model": model})).await?);
    }
    Ok((ids, scenario.send().await?))
}

/// Reports on claimed records in one call; `of` says what is laid over the item of each. Statuses by record.
async fn report(
    scenario: &Scenario,
    function: &str,
    claimed: &[Claimed],
    of: impl Fn(&Claimed) -> Value,
) -> Result<Vec<(String, String)>> {
    let items: Value = claimed
        .iter()
        .map(|c| {
            let mut item = json!({"queue_id": c.queue_id, "fencing_token": c.attempt});
            item.as_object_mut().expect("an object").extend(of(c).as_object().cloned().unwrap_or_default());
            item
        })
        .collect();
    let query = format!("select queue_id, status from pfa_sync.{function}('relay-1', $1) order by 1");
    let rows = scenario.client.query(&query, &[&items]).await?;
    let record = |id: i64| claimed.iter().find(|c| c.queue_id == id).map(|c| c.pfa_id.clone()).unwrap_or_default();
    Ok(rows.iter().map(|row| (record(row.get(0)), row.get(1))).collect())
}

fn statuses(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(record, status)| ((*record).to_owned(), (*status).to_owned())).collect()
}

/// PEMS confirmed three changes; one of them can't be recorded.
#[rstest]
#[case::beyond_the_column("select", "3000000000", "out of range")]
#[case::beyond_any_column("select", "1e20", "out of range")]
#[case::a_check_of_the_mirror(NO_BAD, "2", "no_bad")]
#[case::a_trigger(
    "create function refuse() returns trigger language plpgsql as 'begin if new.data->>''model'' = ''BAD'' then raise exception ''no bad''; end if; return new; end'; \
     create trigger refuse before update on pfa_mirror for each row execute function refuse()",
    "2",
    "no bad"
)]
#[tokio::test]
async fn what_pems_confirmed_of_the_others_is_recorded(
    #[case] setup: &str,
    #[case] version: &str,
    #[case] reason: &str,
) -> Result<()> {
    let scenario = Scenario::new().await?;
    let (ids, claimed) = sent(&scenario, "BAD").await?;
    scenario.client.batch_execute(setup).await?;
    let version: Value = serde_json::from_str(version)?;
    let done = report(
        &scenario,
        "complete",
        &claimed,
        |c| json!({"version": if c.pfa_id == "2" { version.clone() } else { json!(2) }, "updated_at": ANSWER}),
    )
    .await?;
    assert_eq!(done, statuses(&[("1", "completed"), ("2", "failed"), ("3", "completed")]));
    for (id, state) in ids.iter().zip(["synced/synced", "sync_error/failed", "synced/synced"]) {
        assert_eq!(scenario.state(id).await?, state);
    }
    let letter: String = scenario.value("select code || ': ' || error from pfa_sync.dead_letters").await?;
    assert!(letter.starts_with("NOT_RECORDED: ") && letter.contains(reason), "{letter}");
    scenario.check().await
}

/// A report of failed tries with an item that can't be read.
#[tokio::test]
async fn the_other_failures_are_recorded() -> Result<()> {
    let scenario = Scenario::new().await?;
    let (_, claimed) = sent(&scenario, "X").await?;
    let failed = report(
        &scenario,
        "fail",
        &claimed,
        |c| json!({"outcome": "unavailable", "http_status": if c.pfa_id == "2" { 99_999_999_999_i64 } else { 500 }}),
    )
    .await?;
    assert_eq!(failed, statuses(&[("1", "pending"), ("2", "failed"), ("3", "pending")]));
    scenario.check().await
}

/// Records that were read back, of which the mirror refuses one.
#[rstest]
#[case::after_a_409("report_conflict")]
#[case::before_a_write("reconcile")]
#[tokio::test]
async fn the_other_records_that_were_read_are_judged(#[case] function: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let (_, claimed) = sent(&scenario, "X").await?;
    scenario.client.batch_execute(NO_BAD).await?;
    let judged = report(&scenario, function, &claimed, |c| {
        let mut record = pems_record("RIO", &c.pfa_id);
        record["version"] = json!(2);
        record["manufacturer"] = json!("Grove");
        if c.pfa_id == "2" {
            record["model"] = json!("BAD");
        }
        json!({"record": record})
    })
    .await?;
    assert_eq!(judged[1], ("2".to_owned(), "failed".to_owned()));
    assert!(judged[0].1 != "failed" && judged[2].1 != "failed", "{judged:?}");
    assert_eq!(scenario.value::<String>("select code from pfa_sync.dead_letters").await?, "NOT_RECORDED");
    scenario.check().await
}

/// Records of a page that the mirror refuses, known and new, are rejects of the page.
#[tokio::test]
async fn the_other_records_of_a_page_are_taken() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(NO_BAD).await?;
    let page: Vec<Value> = [("1", "New"), ("2", "BAD"), ("8", "BAD"), ("9", "New")]
        .map(|(pfa_id, model)| {
            let mut record = pems_record("RIO", pfa_id);
            record["version"] = json!(2);
            record["model"] = json!(model);
            record
        })
        .to_vec();
    let row = scenario.ingest(&page).await?;
    assert_eq!((row.get::<_, i64>("records_changed"), row.get::<_, i64>("records_rejected")), (2, 2));
    let rejects: Value =
        scenario.value("select rejects from pfa_sync_private.sync_pull_page order by page_id desc limit 1").await?;
    assert_eq!((&rejects[0]["pfaId"], &rejects[1]["row"]), (&json!("2"), &json!(3)));
    assert!(rejects[0]["reason"].as_str().is_some_and(|reason| reason.contains("no_bad")), "{rejects}");
    assert_eq!(scenario.mirror("9").await?["model"], "New");
    scenario.check().await
}

/// Records that PEMS no longer has, of which one may not be marked.
#[tokio::test]
async fn the_other_missing_records_are_marked() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute(
            "alter table pfa_mirror add constraint stays check (data->>'isDiscontinued' = 'false' or \"pfaId\" <> '2') not valid; \
             select pfa_sync.begin_pull('r', 'RIO'); select pfa_sync.ingest_page(1, 1, '[]', null)",
        )
        .await?;
    let marked = "select pfa_sync.report_missing(1, 1, (select jsonb_agg(jsonb_build_object('pfa_id', pfa_id, 'version', version, 'record', null)) \
                    from pfa_sync.missing_records(1, 1)))";
    assert_eq!(scenario.value::<i64>(marked).await?, 2);
    let refused = "select pfa_id from pfa_sync.audit where event_type = 'RECORD_REFUSED'";
    assert_eq!(scenario.value::<String>(refused).await?, "2");
    scenario.check().await
}

/// A modification whose row takes no change at all, since it was made before a constraint that it violates: the claim takes
/// the others, and the sweep does not queue it again and again.
#[tokio::test]
async fn a_modification_that_takes_no_change_is_claimed_around() -> Result<()> {
    let scenario = Scenario::new().await?;
    for pfa_id in ["1", "2", "3"] {
        scenario.edit(pfa_id, json!({"model": "X"})).await?;
    }
    scenario
        .client
        .batch_execute(
            r#"update pfa_modification set "changeReason" = 'frozen'
                where id in (select modification_id from pfa_sync_private.pfa_write_queue where pfa_id = '2');
               alter table pfa_modification add constraint frozen check ("changeReason" is distinct from 'frozen') not valid"#,
        )
        .await?;
    let claimed = scenario.send().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(scenario.value::<String>("select code from pfa_sync.dead_letters").await?, "NOT_RECORDED");
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 2);
    Ok(())
}

/// The same while it is in flight: its lease ends, or the relay gives it back.
#[rstest]
#[case::the_lease_ends("update pfa_sync_private.pfa_write_queue set lease_until = now() - interval '1 second'")]
#[case::it_is_released(
    "select pfa_sync.release('relay-1', (select jsonb_agg(jsonb_build_object('queue_id', queue_id, 'fencing_token', 1)) from pfa_sync.queue))"
)]
#[tokio::test]
async fn a_modification_in_flight_that_takes_no_change_holds_no_other(#[case] end: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    for pfa_id in ["1", "2", "3"] {
        scenario.edit(pfa_id, json!({"model": "X"})).await?;
    }
    assert_eq!(scenario.claim().await?.len(), 3);
    scenario
        .client
        .batch_execute(
            r#"update pfa_modification set "changeReason" = 'frozen'
                where id in (select modification_id from pfa_sync_private.pfa_write_queue where pfa_id = '2');
               alter table pfa_modification add constraint frozen check ("changeReason" is distinct from 'frozen') not valid"#,
        )
        .await?;
    scenario.client.batch_execute(end).await?;
    let claimed = scenario.claim().await?;
    assert_eq!(claimed.iter().map(|c| c.pfa_id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(scenario.value::<String>("select code from pfa_sync.dead_letters").await?, "NOT_RECORDED");
    Ok(())
}

/// What no record is to blame for is raised, and nothing ends: the relay reports again.
#[rstest]
#[case::contention("serialization_failure")]
#[case::the_server("disk_full")]
#[case::a_privilege("insufficient_privilege")]
#[tokio::test]
async fn what_no_record_caused_ends_no_record(#[case] condition: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let (ids, claimed) = sent(&scenario, "X").await?;
    let fault = format!(
        "create function fault() returns trigger language plpgsql as 'begin raise {condition}; end'; \
         create trigger fault before update on pfa_mirror for each row execute function fault()"
    );
    scenario.client.batch_execute(&fault).await?;
    assert!(report(&scenario, "complete", &claimed, |_| json!({"version": 2, "updated_at": ANSWER})).await.is_err());
    scenario.client.batch_execute("drop trigger fault on pfa_mirror").await?;
    report(&scenario, "complete", &claimed, |_| json!({"version": 2, "updated_at": ANSWER})).await?;
    assert_eq!(scenario.state(&ids[0]).await?, "synced/synced");
    scenario.check().await
}

/// An item without ids that can be read is the caller's mistake, as before.
#[tokio::test]
async fn a_report_without_ids_is_refused() -> Result<()> {
    let scenario = Scenario::new().await?;
    for items in [r#"[{"queue_id": "x", "fencing_token": 1}]"#, "5", r#"[{"queue_id": 1e30, "version": 1e30}]"#] {
        let items: Value = serde_json::from_str(items)?;
        let error = scenario.client.query("select * from pfa_sync.complete('relay-1', $1)", &[&items]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF001");
    }
    Ok(())
}
