//! Records: filters, counts by value, and one record with all that is known of it.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, HARBOUR, RIO, SECOND, pems_record};
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};
use crate::support::tenants::two_tenants;

/// Records 1 to 6: a draft of the editor of 1, one of another user of 2, 3 queued, 4 in conflict, 5 dead, 6 as PEMS has it.
async fn varied() -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    let records: Vec<Value> = (1..=6)
        .map(|id| {
            let mut record = pems_record("RIO", &id.to_string());
            record["monthlyRate"] = json!(id * 1000);
            record["forecastStart"] = json!(format!("2026-0{id}-01T00:00:00.000Z"));
            record["class"] = if id % 2 == 0 { json!("Even") } else { json!("Odd") };
            record
        })
        .collect();
    scenario.ingest(&records).await?;
    let application = scenario.application();
    application.draft(EDITOR, RIO, "5", json!({"model": "Dead"})).await?;
    application.commit(EDITOR, RIO).await?;
    let sent = scenario.send().await?;
    scenario.report("fail", &sent, json!({"outcome": "rejected", "error": "422", "http_status": 422})).await?;
    application.draft(SECOND, RIO, "4", json!({"model": "Ours"})).await?;
    scenario
        .foreign_edit(
            "4",
            2,
            json!({"model": "Theirs", "monthlyRate": 4000, "class": "Even", "forecastStart": "2026-04-01T00:00:00.000Z"}),
        )
        .await?;
    application.draft(SECOND, RIO, "3", json!({"model": "Queued"})).await?;
    application.commit(SECOND, RIO).await?;
    application.draft(EDITOR, RIO, "1", json!({"model": "Draft", "monthlyRate": -1})).await?;
    application.draft(SECOND, RIO, "2", json!({"model": "Of another"})).await?;
    Ok(scenario)
}

async fn ids(session: &Client, filter: &Value) -> Result<String> {
    let query = "select coalesce(string_agg(pfa_id, ' ' order by pfa_id), '') from pfa_sync.records('RIO', $1)";
    Ok(session.query_one(query, &[filter]).await?.get(0))
}

#[rstest]
#[case::value(json!({"class": "Even"}), "2 4 6")]
#[case::values(json!({"model": ["Draft", "Queued"]}), "1 3")]
#[case::of_none(json!({"model": []}), "")]
#[case::nothing_there(json!({"contract": null, "class": "Odd"}), "1 3 5")]
#[case::draft(json!({"state": "draft"}), "1")]
#[case::states(json!({"state": ["queued", "conflict", "failed"]}), "3 4 5")]
#[case::synced(json!({"state": "synced"}), "2 6")]
#[case::synced_or_draft(json!({"state": ["synced", "draft"]}), "1 2 6")]
#[case::author(json!({"author": SECOND}), "3 4")]
#[case::authors(json!({"author": [SECOND, EDITOR]}), "1 3 4 5")]
#[case::author_and_state(json!({"author": [SECOND, EDITOR], "state": "draft"}), "1")]
#[case::ids(json!({"pfa_ids": ["6", "2", "404"]}), "2 6")]
#[case::dates(json!({"forecastStart": {"from": "2026-02-01", "to": "2026-04-01"}}), "2 3 4")]
#[case::from_a_date(json!({"forecastStart": {"from": "2026-05-01T00:00:00Z"}}), "5 6")]
#[case::until_a_day(json!({"forecastStart": {"to": "2026-01-31"}}), "1")]
#[case::amounts(json!({"monthlyRate": {"from": 2000, "to": 4000.5}}), "2 3 4")]
#[case::merged_amount(json!({"monthlyRate": {"to": 1000}}), "1")]
#[case::all(json!({"class": ["Odd", "Even"], "monthlyRate": {"from": 3000}, "state": ["failed", "synced"]}), "5 6")]
#[case::hostile(json!({"model": "x\" || 1 == 1 || $.model == \"\\"}), "")]
#[tokio::test]
async fn a_filter_chooses(#[case] filter: Value, #[case] expected: &str) -> Result<()> {
    let scenario = varied().await?;
    assert_eq!(ids(&scenario.acting(EDITOR).await?, &filter).await?, expected, "{filter}");
    Ok(())
}

#[rstest]
#[case::not_an_object(json!([]), "PF001")]
#[case::unknown_field(json!({"colour": "red"}), "PF001")]
#[case::unknown_state(json!({"state": "lost"}), "PF001")]
#[case::state_no_text(json!({"state": {"from": 1}}), "PF001")]
#[case::ids_no_texts(json!({"pfa_ids": [1]}), "PF001")]
#[case::nested(json!({"model": [["X"]]}), "PF001")]
#[case::range_of_a_text(json!({"model": {"from": "A"}}), "PF001")]
#[case::range_of_another_key(json!({"monthlyRate": {"above": 1}}), "PF001")]
#[case::no_date(json!({"forecastStart": {"from": "soon"}}), "PF001")]
#[case::no_amount(json!({"monthlyRate": {"from": "much"}}), "PF001")]
#[tokio::test]
async fn a_filter_that_can_not_be_read_is_refused(#[case] filter: Value, #[case] code: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.acting(EDITOR).await?;
    for call in ["pfa_sync.records('RIO', $1)", "pfa_sync.record_facets('RIO', $1)"] {
        let error = session.query(&format!("select * from {call}"), &[&filter]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, code, "{call} {filter}");
    }
    Ok(())
}

/// A filter, a range, an order or a count by prices would tell the prices.
#[tokio::test]
async fn prices_are_not_guessed_by_filters_and_counts() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute(r#"update user_organizations set "perm_ViewFinancials" = false"#).await?;
    let session = scenario.acting("usr_viewer").await?;
    for call in [
        r#"records('RIO', '{"monthlyRate": 12500}')"#,
        r#"records('RIO', '{"monthlyRate": [12500, 1]}')"#,
        r#"records('RIO', '{"monthlyRate": {"from": 1, "to": 2}}')"#,
        r#"records('RIO', '{"monthlyRate": null}')"#,
        "records('RIO', sort => 'purchasePrice')",
        r#"record_facets('RIO', '{"monthlyRate": {"from": 1}}')"#,
        "record_facets('RIO', fields => '{class,monthlyRate}')",
    ] {
        let error = session.query(&format!("select * from pfa_sync.{call}"), &[]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF002", "{call}");
    }
    Ok(())
}

/// Beside a draft: what the fields were, what a commit would find, and the reason; and who has changes of the record.
#[tokio::test]
async fn a_row_shows_the_draft_and_who_is_at_work() -> Result<()> {
    let scenario = varied().await?;
    let session = scenario.acting(EDITOR).await?;
    let rows = session.query("select * from pfa_sync.records('RIO')", &[]).await?;
    let draft = &rows[0];
    assert!(draft.get::<_, Option<String>>("modification_id").is_some());
    assert_eq!(draft.get::<_, Value>("base"), json!({"model": "LTM 1100", "monthlyRate": 1000}));
    assert_eq!(draft.get::<_, Value>("errors")[0]["code"], "INVALID_RANGE");
    assert_eq!(draft.get::<_, Value>("authors"), json!([{"user_id": EDITOR, "user_name": "Edith Araújo"}]));
    let states: Vec<Vec<String>> = rows.iter().map(|row| row.get("states")).collect();
    assert_eq!(states, [["draft"], ["synced"], ["queued"], ["conflict"], ["failed"], ["synced"]]);
    assert!(rows[3].get::<_, Option<i64>>("conflict_id").is_some());
    assert!(rows[4].get::<_, Option<i64>>("dead_letter_id").is_some());
    assert_eq!(rows[5].get::<_, Option<String>>("modification_id"), None);
    Ok(())
}

#[tokio::test]
async fn records_are_counted_by_value() -> Result<()> {
    let scenario = varied().await?;
    let session = scenario.acting(EDITOR).await?;
    let counted = "select * from pfa_sync.record_facets('RIO', $1, null, '{class,isDiscontinued,state,author}')";
    let row = session.query_one(counted, &[&json!({})]).await?;
    assert_eq!((row.get::<_, i64>("total"), row.get::<_, bool>("at_least")), (6, false));
    let facets: Value = row.get("facets");
    assert_eq!(facets[0]["values"], json!([{"value": "Even", "count": 3}, {"value": "Odd", "count": 3}]));
    assert_eq!(facets[1], json!({"field": "isDiscontinued", "distinct": 1, "values": [{"value": false, "count": 6}]}));
    assert_eq!(facets[2]["values"][0], json!({"value": "synced", "count": 2}));
    assert_eq!(facets[3]["distinct"], json!(2));
    assert_eq!(facets[3]["values"][0]["user_name"], json!("Edith Araújo"));

    let row = session.query_one(counted, &[&json!({"state": ["queued", "failed"]})]).await?;
    assert_eq!(row.get::<_, i64>("total"), 2);
    assert_eq!(row.get::<_, Value>("facets")[0]["values"], json!([{"value": "Odd", "count": 2}]));

    // No more than 50 values, and their number.
    scenario
        .ingest(
            &(100..170)
                .map(|id| {
                    let mut record = pems_record("RIO", &id.to_string());
                    record["class"] = json!(format!("Class {id}"));
                    record
                })
                .collect::<Vec<_>>(),
        )
        .await?;
    let facets: Value = session.query_one(counted, &[&json!({})]).await?.get("facets");
    assert_eq!(facets[0]["values"].as_array().map(Vec::len), Some(50));
    assert_eq!(facets[0]["distinct"], json!(72));
    Ok(())
}

#[tokio::test]
async fn one_record_is_shown_with_all_that_is_known_of_it() -> Result<()> {
    let scenario = varied().await?;
    let session = scenario.acting(EDITOR).await?;
    let one = "select * from pfa_sync.record('RIO', $1)";
    let row = session.query_one(one, &[&"1"]).await?;
    assert_eq!(row.get::<_, Value>("data")["model"], json!("LTM 1100"));
    assert_eq!(row.get::<_, Value>("merged")["model"], json!("Draft"));
    let draft: Value = row.get("draft");
    assert_eq!(draft["delta"], json!({"model": "Draft", "monthlyRate": -1}));
    assert_eq!(draft["base"], json!({"model": "LTM 1100", "monthlyRate": 1000}));
    assert_eq!(draft["errors"][0]["code"], "INVALID_RANGE");

    let row = session.query_one(one, &[&"2"]).await?;
    let others: Value = row.get("others");
    assert_eq!((&others[0]["user_name"], &others[0]["fields"]), (&json!("Simon Okafor"), &json!(["model"])));
    assert_eq!(row.get::<_, Value>("merged")["model"], json!("LTM 1100"), "another user's draft is not laid over it");
    assert_eq!(row.get::<_, Option<Value>>("draft"), None);

    let row = session.query_one(one, &[&"3"]).await?;
    let queue: Value = row.get("queue");
    assert_eq!((&queue[0]["author_name"], &queue[0]["status"]), (&json!("Simon Okafor"), &json!("pending")));
    assert!(session.query_one(one, &[&"4"]).await?.get::<_, Option<i64>>("conflict_id").is_some());
    assert!(session.query_one(one, &[&"5"]).await?.get::<_, Option<i64>>("dead_letter_id").is_some());

    let error = session.query(one, &[&"404"]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF008");
    let error = scenario.client.query("select * from pfa_sync.record('RIO', '1', 'usr_former')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF002");
    Ok(())
}

/// The application may write a draft that is no object: it is shown as what it is, and hides no record.
#[tokio::test]
async fn a_draft_that_is_no_object_hides_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.application().draft(EDITOR, RIO, "1", json!([1])).await?;
    let session = scenario.acting(EDITOR).await?;
    let rows = session.query("select * from pfa_sync.records('RIO')", &[]).await?;
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].get::<_, Value>("errors")[0]["code"], "INVALID_TYPE");
    assert_eq!(rows[0].get::<_, Vec<String>>("states"), ["draft"]);
    let row = session.query_one("select * from pfa_sync.record('RIO', '1')", &[]).await?;
    assert_eq!(row.get::<_, Value>("merged")["model"], json!("LTM 1100"));
    assert_eq!(row.get::<_, Vec<String>>("states"), ["draft"]);
    let row = scenario.acting(SECOND).await?.query_one("select * from pfa_sync.record('RIO', '1')", &[]).await?;
    assert_eq!(row.get::<_, Value>("others")[0]["fields"], json!([]));
    Ok(())
}

/// Open conflicts, dead letters and batches by their filters, page by page, with their number.
#[tokio::test]
async fn lists_are_filtered_counted_and_paged() -> Result<()> {
    let scenario = two_tenants().await?;
    let session = scenario.acting(EDITOR).await?;
    for (call, expected) in [
        ("find_conflicts()", 2),
        ("find_conflicts('RIO')", 1),
        (r#"find_conflicts('RIO', '{"fields": ["monthlyRate"]}')"#, 1),
        (r#"find_conflicts('RIO', '{"fields": ["dor"]}')"#, 0),
        (r#"find_conflicts('RIO', '{"pfa_ids": ["1"], "authors": ["usr_editor"], "codes": ["CHANGED_IN_PEMS"]}')"#, 1),
        (r#"find_conflicts('RIO', '{"since": "2999-01-01"}')"#, 0),
        ("find_dead_letters('RIO')", 2),
        (r#"find_dead_letters('RIO', '{"codes": ["REJECTED"], "pfa_ids": ["4"]}')"#, 1),
        (r#"find_dead_letters('RIO', '{"authors": ["usr_second"]}')"#, 0),
        (r#"find_dead_letters('RIO', '{"fields": ["monthlyRate"], "until": "2999-01-01"}')"#, 2),
        ("find_batches('RIO')", 1),
        (r#"find_batches('RIO', '{"relay": "relay-1", "step": "send", "pfa_id": "2"}')"#, 1),
        (r#"find_batches('RIO', '{"pfa_id": "1"}')"#, 0),
        (r#"find_batches('RIO', '{"job_id": "0"}')"#, 0),
    ] {
        let rows = session.query(&format!("select * from pfa_sync.{call}"), &[]).await?;
        assert_eq!(rows.len(), expected, "{call}");
        if let Some(row) = rows.first().filter(|_| !call.starts_with("find_batches")) {
            assert_eq!(row.get::<_, i64>("total"), expected as i64, "{call}");
        }
    }
    let page = "select conflict_id, total from pfa_sync.find_conflicts(null, '{}', $1, 1)";
    let first = session.query(page, &[&None::<i64>]).await?;
    let rest = session.query(page, &[&first[0].get::<_, i64>(0)]).await?;
    assert_eq!((first.len(), rest.len(), rest[0].get::<_, i64>(1)), (1, 1, 2));
    assert!(rest[0].get::<_, i64>(0) > first[0].get::<_, i64>(0));
    let second = scenario.acting(SECOND).await?;
    assert_eq!(second.query("select * from pfa_sync.find_conflicts()", &[]).await?.len(), 1, "nothing of {HARBOUR}");
    for call in [
        r#"find_conflicts('RIO', '{"colour": 1}')"#,
        r#"find_conflicts('RIO', '{"authors": 1}')"#,
        r#"find_dead_letters('RIO', '{"since": "soon"}')"#,
        r#"find_batches('RIO', '{"step": "jump"}')"#,
        r#"find_batches('RIO', '{"job_id": "x"}')"#,
    ] {
        let error = session.query(&format!("select * from pfa_sync.{call}"), &[]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF001", "{call}");
    }
    Ok(())
}
