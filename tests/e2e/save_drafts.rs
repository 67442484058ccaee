//! Drafts of many records in one call, fields that leave a draft, and the job of a commit.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::pems_record;
use testbed::cluster::Login;
use tokio_postgres::Row;

use crate::support::scenario::{Scenario, refusal};

async fn save(scenario: &Scenario, drafts: Value) -> Result<Vec<Row>> {
    let session = scenario.database.client_as(Login::Application).await?;
    Ok(session.query("select * from pfa_sync.save_drafts('RIO', 'usr_editor', $1)", &[&drafts]).await?)
}

/// Of each row: record, state and draft.
fn states(rows: &[Row]) -> Vec<String> {
    let shown = |row: &Row| {
        let state: Option<String> = row.get("state");
        format!("{} {} {}", row.get::<_, String>("pfa_id"), state.unwrap_or_default(), row.get::<_, Value>("draft"))
    };
    rows.iter().map(shown).collect()
}

#[tokio::test]
async fn many_drafts_are_saved_in_one_call_each_with_its_findings() -> Result<()> {
    let scenario = Scenario::new().await?;
    let first = save(
        &scenario,
        json!([{"pfaId": "2", "delta": {"model": "X"}, "reason": "ordered"}, {"pfaId": "1", "delta": {"monthlyRate": 13000}}]),
    )
    .await?;
    assert_eq!(states(&first), [r#"2 draft {"model":"X"}"#, r#"1 draft {"monthlyRate":13000}"#]);
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;

    let second = save(
        &scenario,
        json!([
            {"pfaId": "1", "delta": {"forecastStart": "2027-06-01"}},
            {"pfaId": "2", "remove": ["model"]},
            {"pfaId": "3", "delta": {"monthlyRate": -5, "class": "C"}, "remove": ["model"]}
        ]),
    )
    .await?;

    assert_eq!(second[0].get::<_, Option<String>>("modification_id"), first[1].get("modification_id"), "the same draft");
    let conflict = json!([{"field": "monthlyRate", "base": 12500, "ours": 13000, "theirs": 11000}]);
    assert_eq!(second[0].get::<_, Value>("conflicts"), conflict);
    assert_eq!(second[0].get::<_, Value>("errors")[0]["code"], "INVALID_DATE_ORDER");
    assert_eq!(second[1].get::<_, Option<String>>("state").as_deref(), Some("discarded"), "nothing is left of it");
    assert_eq!(second[2].get::<_, Value>("errors")[0]["code"], "INVALID_RANGE");
    let discarded: String = second[1].get("modification_id");
    assert_eq!(scenario.state(&discarded).await?, "discarded/discarded");
    scenario.check().await
}

#[tokio::test]
async fn fields_leave_a_draft_before_the_delta_is_laid_over_it() -> Result<()> {
    let scenario = Scenario::new().await?;
    let call = "select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', $1, remove => $2)";
    for (delta, remove, draft, state) in [
        (json!({"model": "X", "class": "C"}), None, json!({"model": "X", "class": "C"}), Some("draft")),
        (json!({"dor": "BEO"}), Some(vec!["model", "source"]), json!({"class": "C", "dor": "BEO"}), Some("draft")),
        (json!({"class": "D"}), Some(vec!["class"]), json!({"class": "D", "dor": "BEO"}), Some("draft")),
        (json!({}), Some(vec!["class", "dor"]), json!({}), Some("discarded")),
        (json!({}), Some(vec!["class"]), json!({}), None),
    ] {
        let row = scenario.client.query_one(call, &[&delta, &remove]).await?;
        assert_eq!((row.get::<_, Value>("draft"), row.get::<_, Option<&str>>("state")), (draft, state));
    }
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_modification").await?, 1);
    Ok(())
}

/// One draft that can't be saved, and none is.
#[rstest]
#[case::unknown_record(json!([{"pfaId": "1", "delta": {"model": "X"}}, {"pfaId": "404", "delta": {"model": "X"}}]), "PF008")]
#[case::unknown_field(json!([{"pfaId": "1", "delta": {"model": "X"}}, {"pfaId": "2", "delta": {"colour": "red"}}]), "PF001")]
#[case::unknown_field_to_remove(json!([{"pfaId": "1", "delta": {"model": "X"}, "remove": ["colour"]}]), "PF001")]
#[case::twice(json!([{"pfaId": "1", "delta": {"model": "X"}}, {"pfaId": "1", "delta": {"class": "X"}}]), "PF001")]
#[case::no_delta(json!([{"pfaId": "1"}]), "PF001")]
#[case::no_text(json!([{"pfaId": 1, "delta": {"model": "X"}}]), "PF001")]
#[case::no_record(json!([{"delta": {"model": "X"}}]), "PF001")]
#[case::another_key(json!([{"pfaId": "1", "delta": {"model": "X"}, "colour": 1}]), "PF001")]
#[case::remove_no_array(json!([{"pfaId": "1", "delta": {"model": "X"}, "remove": "model"}]), "PF001")]
#[case::remove_no_texts(json!([{"pfaId": "1", "delta": {"model": "X"}, "remove": [1]}]), "PF001")]
#[case::no_objects(json!([1]), "PF001")]
#[case::no_array(json!({"pfaId": "1"}), "PF001")]
#[tokio::test]
async fn all_drafts_or_none(#[case] drafts: Value, #[case] code: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let error = save(&scenario, drafts).await.unwrap_err();
    assert_eq!(refusal(&error).0, code, "{error:?}");
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_modification").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_record_that_is_refused_is_named() -> Result<()> {
    let scenario = Scenario::new().await?;
    let drafts = json!([{"pfaId": "1", "delta": {"model": "X"}}, {"pfaId": "2", "delta": {"colour": "red"}}]);
    let error = save(&scenario, drafts).await.unwrap_err();
    assert_eq!(refusal(&error).1, "record 2: colour is not a field of a PFA record");
    Ok(())
}

/// Two calls at once for the same records make one draft of each.
#[tokio::test]
async fn saves_at_once_make_one_draft_of_a_record() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let ids: Vec<String> = (1..=50).map(|id| id.to_string()).collect();
    scenario.ingest(&ids.iter().map(|id| pems_record("RIO", id)).collect::<Vec<_>>()).await?;
    let drafts = |field: &str| -> Value { ids.iter().map(|id| json!({"pfaId": id, "delta": {field: "X"}})).collect() };
    let (one, other) = (drafts("model"), drafts("class"));
    let (one, other) = tokio::join!(save(&scenario, one), save(&scenario, other));
    assert_eq!((one?.len(), other?.len()), (50, 50));
    let whole = r#"select count(*) filter (where delta = '{"model": "X", "class": "X"}') from pfa_modification"#;
    assert_eq!(scenario.value::<i64>(whole).await?, 50);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_modification").await?, 50);
    Ok(())
}

#[tokio::test]
async fn a_commit_names_the_job() -> Result<()> {
    let scenario = Scenario::new().await?;
    let drafts = json!([
        {"pfaId": "1", "delta": {"model": "X"}}, {"pfaId": "2", "delta": {"monthlyRate": -5}}, {"pfaId": "3", "delta": {"monthlyRate": 7}}
    ]);
    save(&scenario, drafts).await?;
    scenario.foreign_edit("3", 2, json!({"monthlyRate": 8})).await?;
    let commit = "select pfa_id, verdict, job_id from pfa_sync.commit_drafts('RIO', 'usr_editor', skip_invalid => true)";
    let rows = scenario.client.query(commit, &[]).await?;
    let job: i64 = scenario.value("select max(job_id) from pfa_sync.jobs where kind = 'commit'").await?;
    let found: Vec<(&str, &str, Option<i64>)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(found, [("1", "queued", Some(job)), ("2", "invalid", None), ("3", "conflict", Some(job))]);
    scenario.check().await
}
