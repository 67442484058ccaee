//! Writing, reading and listing records.

use anyhow::{Context, Result};
use pems_simulator::Credentials;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use crate::client::{Pems, answer, body};

#[tokio::test]
async fn a_write_of_the_version_that_pems_has_is_applied_once() -> Result<()> {
    let pems = Pems::new(1).await?;
    let (status, answer) = pems.put("1", body("1", json!({}))).await?;
    assert_eq!(
        (status, &answer["success"], &answer["pfaId"], &answer["newVersion"]),
        (200, &json!(true), &json!("1"), &json!(2))
    );
    assert!(answer["updatedAt"].as_str().is_some_and(|time| time.ends_with('Z')));

    let (status, answer) = pems.put("1", body("1", json!({"changes": {"model": "D8"}}))).await?;
    assert_eq!((status, &answer["error"]), (409, &json!("VERSION_CONFLICT")));
    assert_eq!(
        (&answer["currentVersion"], &answer["expectedVersion"], &answer["conflictingFields"]),
        (&json!(2), &json!(1), &json!(["model"]))
    );
    let (status, record) = pems.get("pfa/1?organizationCode=RIO").await?;
    assert_eq!(
        (status, &record["model"], &record["version"], &record["organization"]),
        (200, &json!("D7"), &json!(2), &json!("RIO"))
    );
    Ok(())
}

#[tokio::test]
async fn what_the_contract_does_not_know_is_refused() -> Result<()> {
    let pems = Pems::new(1).await?;
    for (besides, status) in [
        (json!({"version": "1"}), 400),
        (json!({"version": null}), 400),
        (json!({"modifiedBy": null}), 400),
        (json!({"extra": 1}), 400),
        (json!({"pfaId": "2"}), 400),
        (json!({"changes": {}}), 400),
        (json!({"organizationCode": "HARBOUR"}), 403),
        (json!({"changes": {"pfaId": "2"}}), 422),
        (json!({"changes": {"hasPlan": true}}), 422),
        (json!({"changes": {"model": ""}}), 422),
        (json!({"changes": {"model": "x".repeat(81)}}), 422),
        (json!({"changes": {"monthlyRate": "5"}}), 422),
        (json!({"changes": {"monthlyRate": 5.125}}), 422),
        (json!({"changes": {"monthlyRate": -1}}), 422),
        (json!({"changes": {"forecastEnd": "2026-02-30T00:00:00.000Z"}}), 422),
        (json!({"changes": {"forecastEnd": "2026-02-28"}}), 422),
        (json!({"changes": {"isActualized": "Y"}}), 422),
    ] {
        let (answered, answer) = pems.put("1", body("1", besides.clone())).await?;
        assert_eq!((answered, &answer["success"]), (status, &json!(false)), "{besides}: {answer}");
    }
    assert_eq!(pems.put("9", body("9", json!({}))).await?.0, 404);
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["version"], 1, "nothing was applied");
    Ok(())
}

#[tokio::test]
async fn who_is_not_let_in_changes_nothing() -> Result<()> {
    let pems = Pems::new(1).await?;
    let send = |request: RequestBuilder| async move { Ok::<_, anyhow::Error>(request.send().await?.status().as_u16()) };
    let put = || pems.request(Method::PUT, "pfa/1").json(&body("1", json!({})));
    let replaced = |name: &'static str, value: &'static str| {
        let mut request = put().build().expect("a request");
        request.headers_mut().insert(name, value.parse().expect("a value"));
        RequestBuilder::from_parts(pems.client.clone(), request)
    };
    assert_eq!(send(replaced("authorization", "Basic bm9ib2R5OnNlY3JldA==")).await?, 401);
    assert_eq!(send(replaced("tenant", "OTHER")).await?, 403);
    assert_eq!(send(replaced("organization", "LIMA")).await?, 403);
    assert_eq!(send(replaced("organization", "HARBOUR")).await?, 403);
    for credentials in [Credentials::Bearer("token-1".to_owned()), Credentials::ApiKey("key-1".to_owned())] {
        pems.simulator.set_credentials(credentials);
        assert_eq!(send(put()).await?, 401, "credentials of yesterday");
    }
    assert_eq!(send(replaced("x-api-key", "key-1")).await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_batch_is_answered_record_by_record() -> Result<()> {
    let pems = Pems::new(4).await?;
    pems.simulator.lock_record("RIO", "3", true);
    let of = |id: &str, besides: Value| {
        let mut record = body(id, besides);
        record["operation"] = record["operation"].as_str().unwrap_or("UPDATE").into();
        record
    };
    let (status, answer) = pems
        .batch(json!([
            of("1", json!({})),
            of("2", json!({"version": 7})),
            of("3", json!({})),
            of("9", json!({})),
            of("4", json!({"operation": "DELETE", "changes": null})),
        ]))
        .await?;
    assert_eq!(status, 200);
    let statuses: Vec<_> =
        answer["results"].as_array().context("results")?.iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, [200, 409, 423, 404, 200]);
    assert_eq!(pems.simulator.record("RIO", "4").context("it is there")?["isDiscontinued"], true);

    for records in [
        json!([]),
        json!([of("1", json!({"version": 2})), of("1", json!({"version": 3}))]),
        json!([of("1", json!({"operation": "UPSERT"}))]),
    ] {
        assert_eq!(pems.batch(records).await?.0, 400);
    }
    let many: Vec<Value> = (1..=101).map(|id| of(&id.to_string(), json!({}))).collect();
    assert_eq!(pems.batch(json!(many)).await?.0, 400);
    Ok(())
}

#[tokio::test]
async fn the_soft_delete_is_a_versioned_write() -> Result<()> {
    let pems = Pems::new(1).await?;
    let delete = |version: i64| {
        let body = json!({"organizationCode": "RIO", "version": version, "modifiedBy": "edith", "reason": "sold"});
        answer(pems.request(Method::DELETE, "pfa/1").json(&body))
    };
    assert_eq!(delete(3).await?.0, 409);
    let (status, answer) = delete(1).await?;
    assert_eq!((status, &answer["newVersion"]), (200, &json!(2)));
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["isDiscontinued"], true);
    Ok(())
}

#[tokio::test]
async fn the_list_is_paged_and_follows_changes() -> Result<()> {
    let pems = Pems::new(7).await?;
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = pems.get(&format!("pfa?organizationCode=RIO&limit=3{after}")).await?;
        assert_eq!(status, 200);
        ids.extend(
            page["records"]
                .as_array()
                .context("records")?
                .iter()
                .map(|record| record["pfaId"].as_str().unwrap_or_default().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    ids.sort();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7"]);

    let before = pems.simulator.record("RIO", "5").context("it is there")?["updatedAt"].as_str().context("a time")?.to_owned();
    while pems.simulator.record("RIO", "5").context("it is there")?["updatedAt"] == before.as_str() {
        pems.simulator.edit("RIO", "5", &Map::from_iter([("model".to_owned(), json!("D9"))]));
    }
    let now = pems.simulator.record("RIO", "5").context("it is there")?["updatedAt"].as_str().context("a time")?.to_owned();
    let (_, page) = pems.get(&format!("pfa?organizationCode=RIO&updatedSince={now}")).await?;
    assert_eq!((page["records"].as_array().context("records")?.len(), &page["records"][0]["pfaId"]), (1, &json!("5")));

    for wrong in ["limit=0", "limit=1001", "limit=x", "updatedSince=yesterday", "after=x"] {
        assert_eq!(pems.get(&format!("pfa?organizationCode=RIO&{wrong}")).await?.0, 400, "{wrong}");
    }
    assert_eq!(pems.get("pfa?organizationCode=HARBOUR").await?.0, 400, "the header names another");
    assert_eq!(pems.get("pfas").await?.0, 404);
    Ok(())
}
