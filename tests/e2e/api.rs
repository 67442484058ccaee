//! The API as a process, over HTTP.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::api::{Api, problem};
use crate::support::scenario::Scenario;
use crate::support::tenants::two_tenants;

/// What the routes are described as in docs/openapi.json is what they are.
#[test]
fn the_committed_description_is_that_of_the_code() -> Result<()> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    assert!(committed == pfa_api::document(), "make it anew: target/debug/pfa-api openapi > docs/openapi.json");
    Ok(())
}

#[tokio::test]
async fn an_edit_is_saved_committed_queued_and_withdrawn() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    let draft = serde_json::from_str(
        r#"{"organizationId": "RIO", "pfaId": "1", "delta": {"monthlyRate": 90071992547409.93, "model": "O'Neil; drop table pfa_mirror; --"}}"#,
    )?;
    let saved: Value = api.post("usr_editor", "/api/pfa-data/save-draft", draft).await?.json().await?;
    let id = saved["modificationId"].as_str().context("an id")?.to_owned();
    assert_eq!((&saved["errors"], &saved["conflicts"]), (&json!([]), &json!([])));
    let explained = api.get("usr_editor", &format!("/api/pfa-data/modifications/{id}/explain")).await?;
    assert_eq!((&explained["valid"], &explained["missingPermissions"]), (&json!(true), &json!([])));
    let committed: Value =
        api.post("usr_editor", "/api/pfa-data/commit-drafts", json!({"organizationId": "RIO"})).await?.json().await?;
    assert_eq!(committed["verdicts"][0]["verdict"], "queued", "{committed}");
    let status = api.get("usr_viewer", "/api/pems/sync-status?organizationId=RIO&startDate=2020-01-01").await?;
    assert_eq!(
        (&status["organizations"][0]["totalQueued"], &status["organizations"][0]["organizationCode"]),
        (&json!(1), &json!("RIO"))
    );
    let seen = api.get("usr_viewer", "/api/pems/records/1/timeline?organizationId=RIO").await?;
    assert!(seen["events"][0]["changes"].get("monthlyRate").is_none(), "a reader sees no price: {seen}");
    let seen = api.get("usr_editor", "/api/pems/records/1/timeline?organizationId=RIO").await?;
    assert_eq!(seen["events"][0]["changes"]["monthlyRate"].to_string(), "90071992547409.93", "money keeps its digits");
    let withdrawn: Value =
        api.post("usr_editor", "/api/pfa-data/withdraw", json!({"modificationIds": [id]})).await?.json().await?;
    assert_eq!(withdrawn["verdicts"][0]["verdict"], "withdrawn");
    assert_eq!(scenario.state(&id).await?, "draft/draft");
    scenario.check().await
}

#[tokio::test]
async fn a_refused_commit_names_every_change_and_field() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    let draft = json!({"organizationId": "RIO", "pfaId": "1", "delta": {"monthlyRate": -1}});
    api.post("usr_editor", "/api/pfa-data/save-draft", draft).await?.error_for_status()?;
    let (status, code, body) =
        problem(api.post("usr_editor", "/api/pfa-data/commit-drafts", json!({"organizationId": "RIO"})).await?).await?;
    assert_eq!((status, code.as_str()), (422, "invalid"));
    assert_eq!((&body["changes"][0]["pfaId"], &body["changes"][0]["errors"][0]["field"]), (&json!("1"), &json!("monthlyRate")));
    Ok(())
}

#[tokio::test]
async fn a_conflict_is_settled_in_the_state_that_was_seen_and_in_no_other() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    let id = scenario.application().draft("usr_editor", testbed::application::RIO, "1", json!({"model": "Ours"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "Theirs"})).await?;
    scenario.application().commit("usr_editor", testbed::application::RIO).await?;
    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    let list = api.get("usr_editor", "/api/pems/conflicts?organizationId=RIO&limit=1").await?;
    let conflict = list["conflicts"][0]["conflictId"].as_str().context("a conflict")?.to_owned();
    assert_eq!(list["next"], json!(conflict), "a full page may have another one");
    let uri = format!("/api/pems/conflicts/{conflict}");
    let seen = api.request("GET", &uri, Some("usr_editor")).send().await?;
    let etag = seen.headers()["etag"].clone();
    let body: Value = seen.json().await?;
    assert_eq!((&body["fields"][0]["ours"], &body["fields"][0]["theirs"]), (&json!("Ours"), &json!("Theirs")));

    scenario.foreign_edit("1", 3, json!({"model": "Newer"})).await?;
    let resolve = |etag| {
        let request = api.request("POST", &format!("{uri}/resolve"), Some("usr_editor")).header("if-match", etag);
        request.json(&json!({"resolution": "merge", "mergedData": {"model": "Both"}})).send()
    };
    let (status, code, body) = problem(resolve(etag).await?).await?;
    assert_eq!((status, code.as_str(), &body["current"]["fields"][0]["theirs"]), (412, "moved_on", &json!("Newer")));
    let fresh = api.request("GET", &uri, Some("usr_editor")).send().await?.headers()["etag"].clone();
    // Weak tags, other tags and what is none match nothing; one of a list is enough.
    let tag = fresh.to_str()?.to_owned();
    let suffixed = tag.replacen('"', "", 1);
    for other in [format!("W/{tag}"), format!("\"{}-gzip\"", suffixed.trim_end_matches('"')), format!("{tag}-gzip")] {
        let (status, code, _) = problem(resolve(other.parse()?).await?).await?;
        assert_eq!((status, code.as_str()), (412, "moved_on"), "{other}");
    }
    let fresh = format!("\"other\", W/\"weak\", {tag}").parse()?;
    let resolved: Value = resolve(fresh).await?.error_for_status()?.json().await?;
    assert_eq!((&resolved["success"], &resolved["appliedChanges"]), (&json!(true), &json!({"model": "Both"})));
    assert_eq!(scenario.state(&id).await?, "committed/queued");
    scenario.check().await
}

#[tokio::test]
async fn what_is_asked_for_twice_under_one_key_is_done_once() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let ask = async |key: &str, body: Value| {
        let request = api.request("POST", "/api/pems/write-sync", Some("usr_editor")).header("idempotency-key", key);
        request.json(&body).send().await
    };
    let sync = json!({"organizationId": "RIO", "priority": "high"});
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let request = api.request("POST", "/api/pems/write-sync", Some("usr_editor")).header("idempotency-key", "key-1");
        together.spawn(request.json(&sync).send());
    }
    let mut answers = BTreeSet::new();
    while let Some(answer) = together.join_next().await {
        answers.insert(answer??.error_for_status()?.text().await?);
    }
    answers.insert(ask("key-1", sync.clone()).await?.error_for_status()?.text().await?);
    assert_eq!(answers.len(), 1, "{answers:?}");
    let jobs = "select count(*) from pfa_sync.jobs where kind = 'write_sync'";
    assert_eq!(scenario.value::<i64>(jobs).await?, 1);
    let (status, code, _) = problem(ask("key-1", json!({"organizationId": "RIO"})).await?).await?;
    assert_eq!((status, code.as_str()), (422, "invalid"), "another request under the key");
    ask("key-2", sync).await?.error_for_status()?;
    assert_eq!(scenario.value::<i64>(jobs).await?, 2);
    let (status, ..) = problem(ask("key-3", json!({"organizationId": "HARBOUR", "priority": "urgent"})).await?).await?;
    assert_eq!(status, 400);
    Ok(())
}

/// The transaction of a request that met another one is executed again, under an idempotency key like without one.
#[rstest]
#[case::with_a_key(Some("key-1"))]
#[case::without_a_key(None)]
#[tokio::test]
async fn a_request_whose_transaction_met_another_one_is_executed_again(#[case] key: Option<&str>) -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    // A sequence counts the executions, since a rollback does not reset it.
    let deadlock_once = "create sequence public.executions; grant all on sequence public.executions to public;
        create function public.deadlock_once() returns trigger language plpgsql as $$ begin
            if nextval('public.executions') = 1 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
            return new;
        end $$;
        create trigger deadlock_once before insert on pfa_sync_private.sync_job
            for each row execute function public.deadlock_once()";
    scenario.client.batch_execute(deadlock_once).await?;
    let mut request = api.request("POST", "/api/pems/write-sync", Some("usr_editor"));
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.json(&json!({"organizationId": "RIO", "priority": "high"})).send().await?.error_for_status()?;
    assert_eq!(scenario.value::<i64>("select last_value from public.executions").await?, 2);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.jobs where kind = 'write_sync'").await?, 1);
    scenario.check().await
}

#[tokio::test]
async fn records_are_shown_with_the_changes_that_are_on_their_way_and_ones_own_drafts() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let mut records: Vec<Value> = (10..20).map(|id| testbed::application::pems_record("RIO", &id.to_string())).collect();
    for (record, model) in records.iter_mut().zip(["b", "a", "c", "a", "b", "100%", "c", "a_b", "b", "a"]) {
        record["model"] = json!(model);
    }
    scenario.ingest(&records).await?;
    let api = Api::start(&scenario, &[]).await?;
    scenario.edit("11", json!({"category": "Lifting"})).await?;
    let draft = |user: &'static str, delta: Value| {
        api.post(user, "/api/pfa-data/save-draft", json!({"organizationId": "RIO", "pfaId": "12", "delta": delta}))
    };
    draft("usr_editor", json!({"category": "Lifting"})).await?.error_for_status()?;
    draft("usr_second", json!({"category": "Excavators"})).await?.error_for_status()?;

    let page = async |user: &str, query: &str| api.get(user, &format!("/api/pfa-data?organizationId=RIO&{query}")).await;
    let ids = |page: &Value| -> Vec<String> {
        page["records"].as_array().into_iter().flatten().map(|record| record["pfaId"].as_str().unwrap_or("").to_owned()).collect()
    };
    let lifting = page("usr_editor", "category=Lifting").await?;
    assert_eq!(ids(&lifting), ["11", "12"]);
    assert_eq!((&lifting["records"][0]["state"], &lifting["records"][1]["state"]), (&json!("committed"), &json!("draft")));
    assert_eq!(lifting["records"][0]["changedFields"], json!(["category"]));
    assert_eq!(ids(&page("usr_viewer", "category=Lifting").await?), ["11"], "drafts are their author's");
    assert_eq!(ids(&page("usr_editor", "search=100%25").await?), ["15"], "signs of patterns are text");
    assert_eq!(ids(&page("usr_editor", "search=A_B").await?), ["17"]);

    for (order, expected) in [
        ("sort=pfaId", ["10", "11", "12", "13", "14", "15", "16", "17", "18", "19"]),
        ("sort=pfaId&descending=true", ["19", "18", "17", "16", "15", "14", "13", "12", "11", "10"]),
        ("sort=model", ["15", "11", "13", "19", "17", "10", "14", "18", "12", "16"]),
        ("sort=model&descending=true", ["16", "12", "18", "14", "10", "17", "19", "13", "11", "15"]),
    ] {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = page("usr_viewer", &format!("{order}&limit=3{after}")).await?;
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, expected, "{order}");
    }
    for (user, query, expected) in [
        ("usr_viewer", "sort=monthlyRate", 403),
        ("usr_editor", "sort=monthlyRate", 200),
        ("usr_editor", "sort=nothing", 422),
        ("usr_editor", "sort=model'%20or%201=1--", 422),
        ("usr_editor", "after=zz", 422),
        ("usr_editor", "after=00", 422),
        ("usr_editor", "limit=201", 422),
        ("usr_editor", "limit=x", 400),
        ("usr_editor", "colour=red", 400),
    ] {
        let uri = format!("/api/pfa-data?organizationId=RIO&{query}");
        assert_eq!(api.request("GET", &uri, Some(user)).send().await?.status(), expected, "{query} as {user}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_is_read_by_pages_and_taken_along_whole() -> Result<()> {
    let scenario = two_tenants().await?;
    let flood = "insert into pfa_sync_private.pfa_audit_log (event_type, organization_id, user_id, success, error_message) \
                 select 'PAUSED', 'org_RIO_173', 'usr_admin', true, '=cmd|\"' || n from generate_series(1, 2100) n";
    scenario.client.execute(flood, &[]).await?;
    // The service evaluates the alert rules: what they say is said before the entries are counted.
    scenario.client.execute("select pfa_sync.evaluate_alerts(), pfa_sync.notify_users()", &[]).await?;
    let rows: i64 =
        scenario.value("select count(*) from pfa_sync_private.pfa_audit_log where organization_id = 'org_RIO_173'").await?;
    let api = Api::start(&scenario, &[]).await?;
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = api.get("usr_viewer", &format!("/api/pems/audit?organizationId=RIO&limit=200{after}")).await?;
        for entry in page["entries"].as_array().into_iter().flatten() {
            assert!(seen.insert(entry["eventId"].as_str().map(ToOwned::to_owned)), "twice: {entry}");
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len() as i64, rows);
    let paused = api.get("usr_viewer", "/api/pems/audit?organizationId=RIO&eventType=DEAD_LETTER").await?;
    assert_eq!(paused["entries"].as_array().map(Vec::len), Some(2));
    let whole = api.request("GET", "/api/pems/audit.csv?organizationId=RIO", Some("usr_admin")).send().await?.text().await?;
    assert_eq!(whole.matches("\r\n").count() as i64, rows + 1, "a line for each entry and the head");
    scenario.client.batch_execute(r#"update user_organizations set "perm_Export" = false where "userId" = 'usr_viewer'"#).await?;
    let refused = api.request("GET", "/api/pems/audit.csv?organizationId=RIO", Some("usr_viewer")).send().await?;
    assert_eq!(problem(refused).await?.0, 403, "an export takes perm_Export");
    assert!(whole.contains(",\"'=cmd|\"\"1\","), "a formula is a text: {}", &whole[..500]);
    for (user, query, expected) in [
        ("usr_viewer", "", 403),
        ("usr_admin", "", 200),
        ("usr_admin", "organizationId=RIO&after=x", 422),
        ("usr_admin", "organizationId=RIO&startDate=soon", 422),
    ] {
        let answer = api.request("GET", &format!("/api/pems/audit?{query}"), Some(user)).send().await?;
        assert_eq!(answer.status(), expected, "{query} as {user}: {}", answer.text().await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_job_is_followed_to_pems_answers() -> Result<()> {
    let scenario = two_tenants().await?;
    let api = Api::start(&scenario, &[]).await?;
    let jobs = api.get("usr_viewer", "/api/pems/jobs?organizationId=RIO").await?;
    let job = jobs["jobs"].as_array().and_then(|jobs| jobs.last()).context("a job")?;
    let progress = api.get("usr_viewer", &format!("/api/pems/jobs/{}", text(&job["jobId"]))).await?;
    assert_eq!((&progress["kind"], &progress["conflict"], &progress["failed"]), (&json!("commit"), &json!(1), &json!(2)));
    let changes = api.get("usr_viewer", &format!("/api/pems/jobs/{}/changes", text(&job["jobId"]))).await?;
    let failed = changes["changes"].as_array().into_iter().flatten().find(|change| change["status"] == "failed");
    let failed = failed.context("a dead one")?;
    let attempts = api.get("usr_editor", &format!("/api/pems/changes/{}/attempts", text(&failed["queueId"]))).await?;
    assert_eq!(attempts["attempts"][0]["success"], json!(false));
    assert_eq!(attempts["attempts"][0]["response"]["monthlyRate"].to_string(), "7771.25");
    let unpriced = api.get("usr_viewer", &format!("/api/pems/changes/{}/attempts", text(&failed["queueId"]))).await?;
    assert_eq!(unpriced["attempts"][0]["response"], Value::Null);
    Ok(())
}

/// An id, as it stands in an address.
fn text(id: &Value) -> &str {
    id.as_str().expect("ids are texts")
}
