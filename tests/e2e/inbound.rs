//! What a page of PEMS' records does in the database.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::pems_record;

use crate::support::scenario::Scenario;

fn changed(id: &str, version: i64, changes: Value) -> Value {
    let mut record = pems_record("RIO", id);
    record["version"] = json!(version);
    record["updatedAt"] = json!(format!("2026-02-{version:02}T00:00:00.000Z"));
    record.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap());
    record
}

async fn counts(scenario: &Scenario, records: &[Value]) -> Result<[i64; 4]> {
    let row = scenario.ingest(records).await?;
    Ok([row.get(0), row.get(1), row.get(2), row.get(3)])
}

/// Version and row version of each mirror row, and how much history there is.
async fn fingerprint(scenario: &Scenario) -> Result<Value> {
    let select = r#"select jsonb_build_array(
        (select jsonb_agg(jsonb_build_array("pfaId", version, xmin::text, xmax::text) order by "pfaId") from pfa_mirror),
        (select count(*) from pfa_mirror_history),
        (select jsonb_agg(jsonb_build_array(mirror_id, xmin::text) order by mirror_id) from pfa_sync_private.pems_record))"#;
    scenario.value(select).await
}

#[tokio::test]
async fn an_unchanged_page_costs_no_write_and_no_lock_outside_bronze() -> Result<()> {
    let scenario = Scenario::new().await?;
    let before = fingerprint(&scenario).await?;
    let page = ["1", "2", "3"].map(|id| pems_record("RIO", id));
    assert_eq!(counts(&scenario, &page).await?, [3, 0, 3, 0]);
    assert_eq!(fingerprint(&scenario).await?, before);
    assert_eq!(
        scenario.value::<i64>("select count(*) from pfa_sync_private.sync_pull_page").await?,
        2,
        "both pages are kept as they came"
    );
    Ok(())
}

#[tokio::test]
async fn versions_decide_what_is_news() -> Result<()> {
    let scenario = Scenario::new().await?;
    assert_eq!(counts(&scenario, &[changed("1", 3, json!({"model": "newer"}))]).await?, [1, 1, 0, 0]);
    assert_eq!(counts(&scenario, &[changed("1", 2, json!({"model": "older"}))]).await?, [1, 0, 1, 0]);
    let version = r#"select version from pfa_mirror where "pfaId" = '1'"#;
    assert_eq!((scenario.mirror("1").await?["model"].clone(), scenario.value::<i32>(version).await?), (json!("newer"), 2));
    // PEMS spells the same version otherwise: it is replaced in place.
    assert_eq!(counts(&scenario, &[changed("1", 3, json!({"model": "NEWER"}))]).await?, [1, 1, 0, 0]);
    assert_eq!((scenario.mirror("1").await?["model"].clone(), scenario.value::<i32>(version).await?), (json!("NEWER"), 2));
    Ok(())
}

#[tokio::test]
async fn our_own_write_coming_back_is_neither_version_nor_conflict() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "ours"})).await?;
    scenario.deliver().await?;
    let before = scenario.value::<i32>(r#"select version from pfa_mirror where "pfaId" = '1'"#).await?;
    // First a page fetched before the write, then one with it.
    counts(&scenario, &[pems_record("RIO", "1")]).await?;
    counts(&scenario, &[changed("1", 2, json!({"model": "ours"}))]).await?;
    assert_eq!(scenario.mirror("1").await?["model"], "ours");
    assert_eq!(scenario.value::<i32>(r#"select version from pfa_mirror where "pfaId" = '1'"#).await?, before);
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.conflicts").await?, 0);
    scenario.check().await
}

/// A page of PEMS contains a write before its answer arrives.
#[tokio::test]
async fn a_write_seen_before_its_answer_makes_one_version() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "ours"})).await?;
    let sent = scenario.send().await?;
    counts(&scenario, &[changed("1", 2, json!({"model": "ours"}))]).await?;
    scenario.report("complete", &sent, json!({"version": 2, "updated_at": "2026-02-02T00:00:00.000Z"})).await?;
    assert_eq!(scenario.value::<i32>(r#"select version from pfa_mirror where "pfaId" = '1'"#).await?, 2);
    scenario.check().await
}

#[tokio::test]
async fn typed_columns_follow_data_and_zero_stays_zero() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .foreign_edit("1", 2, json!({"monthlyRate": 0, "actualStart": "2026-03-01T12:00:00.000Z", "note": "unknown here"}))
        .await?;
    let row = scenario
        .client
        .query_one(
            r#"select "monthlyRate", "actualStart"::text, data->>'note', data->'monthlyRate' from pfa_mirror where "pfaId" = '1'"#,
            &[],
        )
        .await?;
    assert_eq!(
        (row.get::<_, f64>(0), row.get::<_, &str>(1), row.get::<_, &str>(2)),
        (0.0, "2026-03-01 12:00:00", "unknown here")
    );
    assert_eq!(row.get::<_, Value>(3), json!(0));
    Ok(())
}

/// A paused queue shows what PEMS' change means for it, at once: heads, and what waits behind them.
#[tokio::test]
async fn what_waits_is_judged_when_its_record_moves() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'test')").await?;
    let clashing = scenario.edit("1", json!({"model": "ours"})).await?;
    let behind = scenario.edit("1", json!({"contract": "C-1"})).await?;
    let disjoint = scenario.edit("2", json!({"contract": "C-2"})).await?;
    scenario
        .ingest(&[changed("1", 2, json!({"model": "theirs", "contract": "C-9"})), changed("2", 2, json!({"model": "theirs"}))])
        .await?;
    assert_eq!(scenario.state(&clashing).await?, "conflict/conflict");
    assert_eq!(scenario.state(&behind).await?, "conflict/conflict");
    assert_eq!(scenario.state(&disjoint).await?, "committed/queued");
    scenario.check().await
}

#[rstest]
#[case::wrong_type(json!({"pfaId": "9", "organization": "RIO", "version": 1, "monthlyRate": "a lot"}), "monthlyRate")]
#[case::other_organization(changed("9", 1, json!({"organization": "HARBOUR"})), "belongs to organization HARBOUR")]
#[case::no_id(json!({"organization": "RIO", "version": 1}), "pfaId is missing")]
#[case::no_version(json!({"pfaId": "9", "organization": "RIO"}), "version is not a whole number")]
#[case::no_time(json!({"pfaId": "9", "organization": "RIO", "version": 1, "updatedAt": "yesterday"}), "updatedAt is not a time")]
#[case::no_object(json!("record"), "not a JSON object")]
#[tokio::test]
async fn a_bad_record_is_refused_by_itself_with_its_reason(#[case] bad: Value, #[case] reason: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    assert_eq!(counts(&scenario, &[bad, changed("1", 2, json!({"model": "good"}))]).await?, [2, 1, 0, 1]);
    let kept: String =
        scenario.value("select rejects->0->>'reason' from pfa_sync_private.sync_pull_page order by page_id desc limit 1").await?;
    assert!(kept.contains(reason), "{kept}");
    assert_eq!(scenario.mirror("1").await?["model"], "good");
    // The next page heals it.
    assert_eq!(counts(&scenario, &[changed("9", 1, json!({}))]).await?, [1, 1, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn of_two_records_with_one_id_the_newer_counts() -> Result<()> {
    let scenario = Scenario::new().await?;
    let page = [changed("1", 9, json!({"model": "nine"})), changed("1", 10, json!({"model": "ten"}))];
    assert_eq!(counts(&scenario, &page).await?, [2, 1, 0, 1]);
    assert_eq!(scenario.mirror("1").await?["model"], "ten");
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_no_array_is_refused_whole() -> Result<()> {
    let scenario = Scenario::new().await?;
    let error = scenario.client.query("select * from pfa_sync.ingest('RIO', '{\"error\": \"x\"}')", &[]).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("PF001"));
    Ok(())
}

fn page(without: Option<&str>, changes: &Value, version: i64) -> Vec<Value> {
    let record = |id: i32| {
        let mut record = changed(&id.to_string(), version, changes.clone());
        without.map(|field| record.as_object_mut().unwrap().remove(field));
        record
    };
    (1..=12).map(record).collect()
}

#[tokio::test]
async fn a_field_that_vanishes_from_all_records_stops_promotion_until_it_is_accepted() -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.ingest(&page(None, &json!({}), 1)).await?;
    let stopped: Option<String> = scenario.ingest(&page(Some("model"), &json!({}), 2)).await?.get("stopped");
    assert!(stopped.unwrap().contains("model vanished"));
    assert_eq!(scenario.mirror("1").await?["model"], "LTM 1100", "nothing is emptied");
    let events =
        "select count(*) from pfa_sync_private.pfa_audit_log where event_type = 'SCHEMA_DRIFT' and changes->>'severity' = 'high'";
    assert_eq!(scenario.value::<i64>(events).await?, 1);

    // PEMS is as before: it goes on by itself.
    assert_eq!(scenario.ingest(&page(None, &json!({"class": "X"}), 3)).await?.get::<_, i64>("records_changed"), 12);
    scenario.client.batch_execute("select pfa_sync.accept_shape('RIO')").await?;
    assert_eq!(scenario.ingest(&page(Some("model"), &json!({}), 4)).await?.get::<_, i64>("records_changed"), 12);
    Ok(())
}

#[rstest]
#[case::new_field(None, json!({"colour": "red"}), "colour", "appeared", "low")]
#[case::unknown_field_of_another_type(None, json!({"note": 5}), "note", "changed type", "medium")]
#[case::unknown_field_gone(Some("note"), json!({}), "note", "vanished", "medium")]
#[tokio::test]
async fn a_harmless_drift_is_told_once_and_stops_nothing(
    #[case] without: Option<&str>,
    #[case] changes: Value,
    #[case] field: &str,
    #[case] kind: &str,
    #[case] severity: &str,
) -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.ingest(&page(None, &json!({"note": "text"}), 1)).await?;
    let mut drifted = json!({"note": "text"});
    drifted.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap());
    for version in 2..=3 {
        let result = scenario.ingest(&page(without, &drifted, version)).await?;
        assert_eq!(result.get::<_, Option<String>>("stopped"), None);
    }
    let events =
        "select jsonb_agg(changes - 'before' - 'now') from pfa_sync_private.pfa_audit_log where event_type = 'SCHEMA_DRIFT'";
    assert_eq!(scenario.value::<Value>(events).await?, json!([{"field": field, "kind": kind, "severity": severity}]));
    Ok(())
}

#[tokio::test]
async fn bronze_is_pruned_after_its_retention_and_the_next_pull_still_knows_where_to_begin() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute(
            "insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, lease_until, ended_at)
             select (select id from organizations where code = 'RIO'), 'full', 'completed', 'r', now(), now() - d * interval '1 day' from unnest(array[91, 92]) d;
             update pfa_sync_private.sync_pull_page set received_at = now() - interval '91 days'",
        )
        .await?;
    scenario.ingest(&[changed("1", 2, json!({}))]).await?;
    scenario.client.query("select * from pfa_sync.maintain()", &[]).await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync_private.sync_pull_page").await?, 1);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.pulls").await?, 1);
    Ok(())
}
