//! Edits of all records that a search finds: what the preview shows is what the job saves.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, pems_record};
use tokio_postgres::{Client, Row};

use crate::support::api::{Api, problem};
use crate::support::scenario::{Scenario, refusal};

/// Records 0001 to so many; every third is a purchase.
async fn records(count: usize) -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    let records: Vec<Value> = (1..=count)
        .map(|id| {
            let mut record = pems_record("RIO", &format!("{id:04}"));
            if id % 3 == 0 {
                record["source"] = json!("Purchase");
                record["purchasePrice"] = json!(id * 1000);
                record["monthlyRate"] = Value::Null;
            }
            record
        })
        .collect();
    scenario.ingest(&records).await?;
    Ok(scenario)
}

async fn preview(session: &Client, edit: &Value, filter: &Value) -> Result<Row> {
    Ok(session.query_one("select * from pfa_sync.preview_edit('RIO', $1, $2)", &[edit, filter]).await?)
}

/// Starts what was previewed: the job, and done, skipped, failed, waiting.
async fn start(session: &Client, edit: &Value, filter: &Value, digest: &str) -> Result<(i64, [i64; 4])> {
    let row = session
        .query_one("select * from pfa_sync.edit_records('RIO', $1, $2, null, $3, null, 'moved')", &[edit, filter, &digest])
        .await?;
    Ok((row.get("job_id"), ["done", "skipped", "failed", "waiting"].map(|name| row.get(name))))
}

/// The user's drafts: record and delta, by record.
async fn drafts(scenario: &Scenario, user: &str) -> Result<Vec<(String, Value)>> {
    let query = r#"select r."pfaId", m.delta from pfa_modification m join pfa_mirror r on r.id = m."mirrorId"
                    where m."userId" = $1 and m."syncState" = 'draft' order by 1"#;
    Ok(scenario.client.query(query, &[&user]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

const BEGUN: &str = "2026-01-01T00:00:00.000Z";
const ENDED: &str = "2026-12-31T00:00:00.000Z";

#[rstest]
#[case::days(json!({"kind": "shift", "fields": ["forecastStart", "forecastEnd"], "amount": 30, "unit": "days"}),
             json!({"forecastStart": "2026-01-31T00:00:00.000Z", "forecastEnd": "2027-01-30T00:00:00.000Z"}))]
#[case::weeks_back(json!({"kind": "shift", "fields": ["forecastStart"], "amount": -2, "unit": "weeks"}),
                   json!({"forecastStart": "2025-12-18T00:00:00.000Z"}))]
#[case::to_the_end_of_a_shorter_month(json!({"kind": "shift", "fields": ["forecastEnd"], "amount": 2, "unit": "months"}),
                                      json!({"forecastEnd": "2027-02-28T00:00:00.000Z"}))]
#[case::rate(json!({"kind": "percent", "percent": 5.5}), json!({"monthlyRate": 13187.5}))]
#[case::to_nothing(json!({"kind": "percent", "percent": -100}), json!({"monthlyRate": 0}))]
#[case::in_cents(json!({"kind": "percent", "percent": 0.001}), json!({"monthlyRate": 12500.13}))]
#[case::text(json!({"kind": "set", "field": "model", "value": "LTM 1160"}), json!({"model": "LTM 1160"}))]
#[case::same_day_in_other_words(json!({"kind": "set", "field": "forecastStart", "value": "2026-01-01"}), json!({}))]
#[case::nothing_for_nothing(json!({"kind": "set", "field": "contract", "value": null}), json!({}))]
#[case::to_empty(json!({"kind": "set", "field": "model", "value": null}), json!({"model": null}))]
#[tokio::test]
async fn an_edit_makes_of_a_rental(#[case] edit: Value, #[case] expected: Value) -> Result<()> {
    let scenario = records(1).await?;
    let session = scenario.acting(EDITOR).await?;
    let shown = preview(&session, &edit, &json!({})).await?;
    let changing = i64::from(expected != json!({}));
    assert_eq!((shown.get::<_, i64>("records"), shown.get::<_, i64>("changing")), (1, changing));
    if changing == 0 {
        let error = start(&session, &edit, &json!({}), shown.get("digest")).await.unwrap_err();
        assert_eq!(refusal(&error).0, "PF001", "nothing changes");
        return scenario.check().await;
    }
    assert_eq!(shown.get::<_, Value>("sample")[0]["after"], expected);
    start(&session, &edit, &json!({}), shown.get("digest")).await?;
    assert_eq!(drafts(&scenario, EDITOR).await?, [("0001".to_owned(), expected)]);
    scenario.check().await
}

#[tokio::test]
async fn a_preview_counts_costs_and_lists_what_changes() -> Result<()> {
    let scenario = records(120).await?;
    let session = scenario.acting(EDITOR).await?;
    let shown = preview(&session, &json!({"kind": "percent", "percent": 10}), &json!({"class": "Mobile Crane"})).await?;
    assert_eq!(["records", "changing", "invalid"].map(|name| shown.get::<_, i64>(name)), [120, 120, 0]);
    let costs = "select cost_before::text || ' ' || cost_after::text from pfa_sync.preview_edit('RIO', '{\"kind\": \"percent\", \"percent\": 10}')";
    let listed = "select sum(pfa_sync.cost(data))::text || ' ' || sum(pfa_sync.cost(data || case data->>'source' \
                         when 'Purchase' then jsonb_build_object('purchasePrice', (data->>'purchasePrice')::numeric * 1.1) \
                         else jsonb_build_object('monthlyRate', (data->>'monthlyRate')::numeric * 1.1) end))::text \
                    from pfa_sync.records('RIO', max_rows => 1000)";
    let [shown_costs, summed]: [String; 2] =
        [session.query_one(costs, &[]).await?.get(0), session.query_one(listed, &[]).await?.get(0)];
    assert_eq!(shown_costs, summed);
    let sample: Value = shown.get("sample");
    assert_eq!(sample.as_array().map(Vec::len), Some(100));
    assert_eq!(
        sample[2],
        json!({"pfa_id": "0003", "before": {"purchasePrice": 3000}, "after": {"purchasePrice": 3300}, "errors": []})
    );
    // A start after the end: it can be saved, and not committed.
    let late = json!({"kind": "set", "field": "forecastStart", "value": "2027-06-01"});
    let shown = preview(&session, &late, &json!({"source": "Rental"})).await?;
    assert_eq!(["records", "changing", "invalid"].map(|name| shown.get::<_, i64>(name)), [80, 80, 80]);
    assert_eq!(shown.get::<_, Value>("sample")[0]["errors"][0]["code"], "INVALID_DATE_ORDER");
    let (job, outcomes) = start(&session, &late, &json!({"source": "Rental"}), shown.get("digest")).await?;
    assert_eq!(outcomes, [80, 0, 0, 0]);
    let detail: String = session
        .query_one("select detail from pfa_sync.bulk_items where job_id = $1 and outcome = 'done' limit 1", &[&job])
        .await?
        .get(0);
    assert!(detail.contains("forecastStart"), "{detail}");
    scenario.check().await
}

/// Drafts of the user are laid over the record before it is edited; those of others are not.
#[tokio::test]
async fn an_edit_goes_on_from_the_users_own_drafts() -> Result<()> {
    let scenario = records(2).await?;
    let application = scenario.application();
    application.draft(EDITOR, RIO, "0001", json!({"monthlyRate": 100, "model": "Mine"})).await?;
    application.draft("usr_admin", RIO, "0002", json!({"monthlyRate": 100})).await?;
    let session = scenario.acting(EDITOR).await?;
    let edit = json!({"kind": "percent", "percent": 50});
    let shown = preview(&session, &edit, &json!({})).await?;
    start(&session, &edit, &json!({}), shown.get("digest")).await?;
    let expected =
        [("0001".to_owned(), json!({"monthlyRate": 150, "model": "Mine"})), ("0002".to_owned(), json!({"monthlyRate": 18750}))];
    assert_eq!(drafts(&scenario, EDITOR).await?, expected);
    scenario.check().await
}

#[tokio::test]
async fn a_large_edit_is_a_job_that_is_stopped_and_continued() -> Result<()> {
    let scenario = records(450).await?;
    let session = scenario.acting(EDITOR).await?;
    let edit = json!({"kind": "shift", "fields": ["forecastStart", "forecastEnd"], "amount": 1, "unit": "months"});
    let shown = preview(&session, &edit, &json!({})).await?;
    let (job, outcomes) = start(&session, &edit, &json!({}), shown.get("digest")).await?;
    assert_eq!(outcomes, [200, 0, 0, 250]);
    // Who may save drafts may stop it.
    let sync = |may: bool| format!(r#"update user_organizations set "perm_Sync" = {may} where "userId" = '{EDITOR}'"#);
    scenario.client.batch_execute(&sync(false)).await?;
    session.execute("select pfa_sync.stop_job($1, 'wait')", &[&job]).await?;
    scenario.client.batch_execute(&sync(true)).await?;
    let run = async || Ok::<_, anyhow::Error>(scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?.len());
    assert_eq!(run().await?, 0);
    let waiting = "select pfa_id from pfa_sync.bulk_items where outcome = 'waiting' order by item";
    let waiting: Vec<String> = scenario.client.query(waiting, &[]).await?.iter().map(|row| row.get(0)).collect();
    // One moves so that the edit makes something else of it, one in a field that the edit leaves alone.
    let moved = |dates: &str, model: &str| json!({"forecastStart": dates, "forecastEnd": ENDED, "model": model});
    scenario.foreign_edit(&waiting[0], 2, moved("2026-02-01T00:00:00.000Z", "LTM 1100")).await?;
    scenario.foreign_edit(&waiting[1], 2, moved(BEGUN, "Theirs")).await?;
    // One has a draft that another session holds: it waits for a later slice.
    let held = scenario.application().draft(EDITOR, RIO, &waiting[2], json!({"model": "Mine"})).await?;
    let mut holder = scenario.database.client().await?;
    let holding = holder.transaction().await?;
    holding.execute("select from pfa_modification where id = $1 for update", &[&held]).await?;
    session.execute("select pfa_sync.continue_job($1)", &[&job]).await?;
    run().await?;
    run().await?;
    let state = "select waiting, done, skipped, failed, state from pfa_sync.bulk_jobs";
    let shown = async || {
        let row = scenario.client.query_one(state, &[]).await?;
        Ok::<_, anyhow::Error>(([0, 1, 2, 3].map(|n| row.get::<_, i64>(n)), row.get::<_, String>(4)))
    };
    assert_eq!(shown().await?, ([1, 448, 1, 0], "running".to_owned()));
    holding.rollback().await?;
    while run().await? > 0 {}
    assert_eq!(shown().await?, ([0, 449, 1, 0], "finished".to_owned()));
    let drafts = drafts(&scenario, EDITOR).await?;
    assert_eq!(drafts.len(), 449);
    let of_held = drafts.iter().find(|(id, _)| *id == waiting[2]).map(|(_, delta)| delta.clone());
    let merged = json!({"model": "Mine", "forecastStart": "2026-02-01T00:00:00.000Z", "forecastEnd": "2027-01-31T00:00:00.000Z"});
    assert_eq!(of_held, Some(merged));
    // Nothing was committed; then all of it is, by the search.
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
    let commit = "select count(*) from pfa_sync.commit_drafts('RIO', null, array(select pfa_sync.record_ids('RIO', '{\"state\": \"draft\"}')))";
    assert_eq!(session.query_one(commit, &[]).await?.get::<_, i64>(0), 449);
    assert_eq!(scenario.deliver().await?, 449);
    scenario.check().await
}

/// A user who saves a draft at that moment is not waited for by a relay.
#[tokio::test]
async fn a_slice_does_not_wait_for_a_user_who_saves() -> Result<()> {
    let scenario = records(250).await?;
    let session = scenario.acting(EDITOR).await?;
    let edit = json!({"kind": "set", "field": "model", "value": "X"});
    let shown = preview(&session, &edit, &json!({})).await?;
    start(&session, &edit, &json!({}), shown.get("digest")).await?;
    let mut saving = scenario.acting(EDITOR).await?;
    let transaction = saving.transaction().await?;
    transaction.query("select * from pfa_sync.save_draft('RIO', null, '0250', '{\"contract\": \"C\"}')", &[]).await?;
    scenario.client.batch_execute("set lock_timeout = '5 s'").await?;
    scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?;
    assert_eq!(scenario.value::<i64>("select waiting from pfa_sync.bulk_jobs").await?, 50);
    transaction.commit().await?;
    while !scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?.is_empty() {}
    assert_eq!(drafts(&scenario, EDITOR).await?.last(), Some(&("0250".to_owned(), json!({"model": "X", "contract": "C"}))));
    scenario.check().await
}

#[tokio::test]
async fn an_edit_of_records_that_moved_since_the_preview_is_refused() -> Result<()> {
    let scenario = records(3).await?;
    let session = scenario.acting(EDITOR).await?;
    let edit = json!({"kind": "percent", "percent": 5});
    let digest: String = preview(&session, &edit, &json!({})).await?.get("digest");
    for (other, filter) in [(json!({"kind": "percent", "percent": 6}), json!({})), (edit.clone(), json!({"source": "Rental"}))] {
        assert_eq!(refusal(&start(&session, &other, &filter, &digest).await.unwrap_err()).0, "PF006", "{other} {filter}");
    }
    scenario.foreign_edit("0001", 2, json!({"monthlyRate": 99})).await?;
    assert_eq!(refusal(&start(&session, &edit, &json!({}), &digest).await.unwrap_err()).0, "PF006");
    assert!(drafts(&scenario, EDITOR).await?.is_empty());
    scenario.check().await
}

/// A user who loses the permission meanwhile saves nothing more.
#[tokio::test]
async fn an_edit_ends_with_the_permission() -> Result<()> {
    let scenario = records(210).await?;
    let session = scenario.acting(EDITOR).await?;
    let edit = json!({"kind": "set", "field": "model", "value": "X"});
    let shown = preview(&session, &edit, &json!({})).await?;
    start(&session, &edit, &json!({}), shown.get("digest")).await?;
    scenario.client.execute(r#"update user_organizations set "perm_SaveDraft" = false where "userId" = $1"#, &[&EDITOR]).await?;
    while !scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?.is_empty() {}
    let outcome: String = scenario
        .value("select string_agg(distinct cause, ',') || ' ' || count(*) from pfa_sync.bulk_items where outcome = 'failed'")
        .await?;
    assert_eq!(outcome, "FORBIDDEN 10");
    scenario.check().await
}

#[rstest]
#[case::no_object(json!([]), "PF001")]
#[case::no_kind(json!({"percent": 5}), "PF001")]
#[case::unknown_kind(json!({"kind": "double"}), "PF001")]
#[case::missing_key(json!({"kind": "shift", "fields": ["forecastStart"], "amount": 1}), "PF001")]
#[case::unknown_key(json!({"kind": "percent", "percent": 5, "round": true}), "PF001")]
#[case::fraction(json!({"kind": "shift", "fields": ["forecastStart"], "amount": 1.5, "unit": "days"}), "PF001")]
#[case::far(json!({"kind": "shift", "fields": ["forecastStart"], "amount": 1e9, "unit": "days"}), "PF001")]
#[case::unit(json!({"kind": "shift", "fields": ["forecastStart"], "amount": 1, "unit": "years; drop"}), "PF001")]
#[case::no_date(json!({"kind": "shift", "fields": ["model"], "amount": 1, "unit": "days"}), "PF001")]
#[case::fixed_date(json!({"kind": "shift", "fields": ["originalStart"], "amount": 1, "unit": "days"}), "PF001")]
#[case::no_field(json!({"kind": "shift", "fields": [], "amount": 1, "unit": "days"}), "PF001")]
#[case::percent_of_text(json!({"kind": "percent", "percent": "5"}), "PF001")]
#[case::below_nothing(json!({"kind": "percent", "percent": -101}), "PF001")]
#[case::unknown_field(json!({"kind": "set", "field": "colour", "value": "red"}), "PF001")]
#[case::fixed_field(json!({"kind": "set", "field": "organization", "value": "HARBOUR"}), "PF001")]
#[case::nested(json!({"kind": "set", "field": "model", "value": {"a": 1}}), "PF001")]
#[case::null_field(json!({"kind": "set", "field": null, "value": 1}), "PF001")]
#[tokio::test]
async fn an_edit_that_cannot_be_read_is_refused(#[case] edit: Value, #[case] code: &str) -> Result<()> {
    let scenario = records(1).await?;
    let session = scenario.acting(EDITOR).await?;
    let error = preview(&session, &edit, &json!({})).await.unwrap_err();
    assert_eq!(refusal(&error).0, code, "{error:?}");
    let error = start(&session, &edit, &json!({}), "").await.unwrap_err();
    assert_eq!(refusal(&error).0, code, "{error:?}");
    Ok(())
}

#[tokio::test]
async fn prices_are_edited_and_costs_shown_with_the_permission_alone() -> Result<()> {
    let scenario = records(3).await?;
    let without = r#"update user_organizations set "perm_ViewFinancials" = false where "userId" = $1"#;
    scenario.client.execute(without, &[&EDITOR]).await?;
    let session = scenario.acting(EDITOR).await?;
    for edit in [json!({"kind": "percent", "percent": 5}), json!({"kind": "set", "field": "monthlyRate", "value": 1})] {
        assert_eq!(refusal(&preview(&session, &edit, &json!({})).await.unwrap_err()).0, "PF002", "{edit}");
    }
    let shown = preview(&session, &json!({"kind": "set", "field": "model", "value": "X"}), &json!({})).await?;
    assert_eq!(shown.get::<_, i64>("changing"), 3);
    assert!(!format!("{:?}", shown.get::<_, Value>("sample")).contains("Rate"));
    let costs = "select cost_before is null and cost_after is null \
                   from pfa_sync.preview_edit('RIO', '{\"kind\": \"set\", \"field\": \"model\", \"value\": \"X\"}')";
    assert!(session.query_one(costs, &[]).await?.get::<_, bool>(0));
    Ok(())
}

/// The summary of drafts says what their list says, one by one.
#[tokio::test]
async fn drafts_are_summed_up() -> Result<()> {
    let scenario = records(6).await?;
    let application = scenario.application();
    application.draft(EDITOR, RIO, "0001", json!({"monthlyRate": 13000})).await?;
    application.draft(EDITOR, RIO, "0002", json!({"forecastStart": "2027-06-01"})).await?;
    application.draft(EDITOR, RIO, "0003", json!({"purchasePrice": 5000})).await?;
    application.draft("usr_admin", RIO, "0004", json!({"monthlyRate": 1})).await?;
    application.draft(EDITOR, RIO, "0005", json!({"monthlyRate": 14000})).await?;
    scenario.foreign_edit("0005", 2, json!({"monthlyRate": 11000})).await?;
    let session = scenario.acting(EDITOR).await?;
    for filter in [json!({}), json!({"source": "Rental"}), json!({"state": "synced"})] {
        let row = session.query_one("select * from pfa_sync.draft_summary('RIO', $1)", &[&filter]).await?;
        let listed = "select count(*), count(*) filter (where errors <> '[]'), count(*) filter (where conflicts <> '[]'), \
                             coalesce(sum(pfa_sync.cost(data || base)), 0)::text, coalesce(sum(pfa_sync.cost(data)), 0)::text \
                        from pfa_sync.records('RIO', $1) where modification_id is not null";
        let listed = session.query_one(listed, &[&filter]).await?;
        for (name, place) in [("drafts", 0), ("invalid", 1), ("conflicting", 2)] {
            assert_eq!(row.get::<_, i64>(name), listed.get::<_, i64>(place), "{name} of {filter}");
        }
        let costs = "select coalesce(cost_before, 0)::text, coalesce(cost_after, 0)::text from pfa_sync.draft_summary('RIO', $1)";
        let costs = session.query_one(costs, &[&filter]).await?;
        if filter["state"] != "synced" {
            let after: String = costs.get(1);
            assert_eq!(after, listed.get::<_, String>(4), "{filter}");
            assert_ne!(after, costs.get::<_, String>(0), "{filter}");
        }
    }
    let all = session.query_one("select * from pfa_sync.draft_summary('RIO')", &[]).await?;
    assert_eq!(["drafts", "invalid", "conflicting"].map(|name| all.get::<_, i64>(name)), [4, 1, 1]);
    Ok(())
}

/// Pages of a list by position are those that follow each other by cursor.
#[tokio::test]
async fn a_page_begins_after_rows_that_are_skipped() -> Result<()> {
    let scenario = records(25).await?;
    let api = Api::start(&scenario, &[]).await?;
    let search = async |body: Value| {
        let answer: Value = api.post(EDITOR, "/api/pfa-data/search", body).await?.json().await?;
        Ok::<_, anyhow::Error>(answer)
    };
    for (sort, descending) in [("pfaId", false), ("source", true)] {
        let page = json!({"organizationId": "RIO", "sort": sort, "descending": descending, "limit": 10});
        let first = search(page.clone()).await?;
        let mut second = page.clone();
        second["after"] = first["next"].clone();
        let mut skipped = page.clone();
        skipped["skip"] = json!(10);
        assert_eq!(search(second).await?, search(skipped).await?, "{sort}");
        let mut beyond = page.clone();
        beyond["skip"] = json!(25);
        assert_eq!(search(beyond).await?, json!({"records": [], "next": null}));
    }
    let far = api.post(EDITOR, "/api/pfa-data/search", json!({"organizationId": "RIO", "skip": 1_000_001})).await?;
    assert_eq!(problem(far).await?.0, 422);
    Ok(())
}

/// What a search finds is committed, withdrawn and discarded as a whole; ids beside it are refused.
#[tokio::test]
async fn a_search_chooses_what_is_committed_withdrawn_and_discarded() -> Result<()> {
    let scenario = records(6).await?;
    let api = Api::start(&scenario, &[]).await?;
    for id in 1..=6 {
        scenario.application().draft(EDITOR, RIO, &format!("{id:04}"), json!({"model": "X"})).await?;
    }
    let outcomes = async |route: &str, body: Value| {
        let answer: Value = api.post(EDITOR, &format!("/api/pfa-data/{route}"), body).await?.json().await?;
        let verdicts = answer["verdicts"].as_array().cloned().unwrap_or_default();
        Ok::<_, anyhow::Error>(verdicts.iter().map(|v| v["verdict"].as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>())
    };
    let purchases = json!({"organizationId": "RIO", "filter": {"source": "Purchase"}});
    assert_eq!(outcomes("commit-drafts", purchases.clone()).await?, ["queued", "queued"]);
    assert_eq!(outcomes("withdraw", json!({"organizationId": "RIO", "search": "0003"})).await?, ["withdrawn"]);
    assert_eq!(outcomes("discard-drafts", purchases).await?, ["discarded"]);
    assert_eq!(outcomes("discard-drafts", json!({"organizationId": "RIO", "filter": {}})).await?.len(), 4);
    for (route, body) in [
        ("commit-drafts", json!({"organizationId": "RIO", "pfaIds": ["0001"], "filter": {}})),
        ("discard-drafts", json!({"organizationId": "RIO", "pfaIds": [], "search": "x"})),
        ("withdraw", json!({"organizationId": "RIO", "modificationIds": [], "filter": {}})),
        ("withdraw", json!({"filter": {}})),
        ("withdraw", json!({})),
    ] {
        let answer = api.post(EDITOR, &format!("/api/pfa-data/{route}"), body.clone()).await?;
        assert_eq!(problem(answer).await?.0, 422, "{route} {body}");
    }
    scenario.check().await
}
