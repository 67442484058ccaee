//! The simulator keeps PEMS' contract to the letter: what it lets pass, PEMS would.

use std::time::Duration;

use anyhow::{Context, Result};
use pems_simulator::export::Record;
use pems_simulator::{Config, Credentials, Fault, Operation, Simulator};
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::{Map, Value, json};

struct Pems {
    simulator: Simulator,
    client: Client,
}

impl Pems {
    /// A simulator without a limit, with records 1 to `records` of RIO.
    async fn new(records: usize) -> Result<Self> {
        Self::with(records, Config { per_second: None, ..Config::default() }).await
    }

    async fn with(records: usize, config: Config) -> Result<Self> {
        let simulator = Simulator::start(config).await?;
        simulator.load((1..=records).map(|id| Record {
            organization: "RIO".to_owned(),
            fields: Map::from_iter([("pfaId".to_owned(), json!(id.to_string())), ("model".to_owned(), json!("D6"))]),
        }));
        let ca = Certificate::from_pem(simulator.ca_pem().as_bytes())?;
        Ok(Self { simulator, client: Client::builder().tls_certs_only([ca]).build()? })
    }

    /// A request as PEMS wants it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/pems/{path}", self.simulator.url());
        self.client
            .request(method, url)
            .basic_auth("pfa-sync", Some("secret"))
            .header("tenant", "TEST")
            .header("organization", "RIO")
    }

    async fn get(&self, path: &str) -> Result<(u16, Value)> {
        answer(self.request(Method::GET, path)).await
    }

    async fn put(&self, id: &str, body: Value) -> Result<(u16, Value)> {
        answer(self.request(Method::PUT, &format!("pfa/{id}")).json(&body)).await
    }

    async fn batch(&self, records: Value) -> Result<(u16, Value)> {
        answer(self.request(Method::POST, "pfa/batch").json(&json!({"records": records}))).await
    }
}

async fn answer(request: RequestBuilder) -> Result<(u16, Value)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

/// The body of a write of record `id`, with `besides` laid over it; null takes a key away.
fn body(id: &str, besides: Value) -> Value {
    let mut body = json!({"pfaId": id, "organizationCode": "RIO", "changes": {"model": "D7"}, "version": 1, "modifiedBy": "edith@example.com"});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(besides.as_object().cloned().expect("an object"));
    fields.retain(|_, value| !value.is_null());
    body
}

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

/// Ten requests at once are admitted, the eleventh is not; refused ones are logged, and applied nowhere.
#[tokio::test]
async fn the_limit_is_ten_a_second() -> Result<()> {
    let pems = Pems::with(1, Config::default()).await?;
    for _ in 0..10 {
        assert_eq!(pems.get("health").await?.0, 200);
    }
    let response = pems.request(Method::PUT, "pfa/1").json(&body("1", json!({}))).send().await?;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str()?), (429, "1"));
    let log = pems.simulator.log();
    assert_eq!((log.len(), log[10].status, log[10].writes.len()), (11, Some(429), 0));
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["version"], 1);

    let refused_at = log[10].arrived_ms;
    while pems.get("health").await?.0 == 429 {}
    let admitted = pems.simulator.log().pop().context("a request")?;
    assert!(
        admitted.arrived_ms - log[0].arrived_ms >= 950.0 && admitted.arrived_ms > refused_at,
        "a second after the first, less the jitter allowed"
    );
    Ok(())
}

#[tokio::test]
async fn faults_are_shown_in_order_and_logged() -> Result<()> {
    let pems = Pems::new(5).await?;
    let order = [Fault::Status(503, Some(2)), Fault::ResetBefore, Fault::ResetAfter, Fault::Malformed];
    order.iter().for_each(|fault| pems.simulator.fault(Operation::Put, fault.clone()));
    let put = |version: i64| pems.request(Method::PUT, "pfa/1").json(&body("1", json!({"version": version})));

    let response = put(1).send().await?;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str()?), (503, "2"));
    assert!(put(1).send().await.is_err());
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["version"], 1, "reset before anything was applied");
    assert!(put(1).send().await.is_err());
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["version"], 2, "applied, then reset");
    let response = put(2).send().await?;
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.json::<Value>().await.is_err());
    assert_eq!(put(3).send().await?.status().as_u16(), 200, "no fault is left");

    pems.simulator.fault(Operation::Batch, Fault::Partial(2));
    let records: Vec<Value> = (2..=5).map(|id| body(&id.to_string(), json!({"operation": "UPDATE"}))).collect();
    assert!(pems.batch(json!(records)).await.is_err());
    let versions = ["2", "3", "4", "5"].map(|id| pems.simulator.record("RIO", id).map(|record| record["version"].clone()));
    assert_eq!(versions, [Some(json!(2)), Some(json!(2)), Some(json!(1)), Some(json!(1))]);

    let told: Vec<_> = pems.simulator.log().into_iter().map(|request| (request.fault, request.status)).collect();
    let expected = [Some(503), None, None, Some(200), Some(200), None];
    assert_eq!(told.iter().map(|(_, status)| *status).collect::<Vec<_>>(), expected);
    assert_eq!(told.iter().filter_map(|(fault, _)| fault.clone()).take(4).collect::<Vec<_>>(), order);
    Ok(())
}

#[tokio::test]
async fn a_held_request_is_applied_and_answered_when_let_go() -> Result<()> {
    let pems = Pems::new(1).await?;
    pems.simulator.fault(Operation::Put, Fault::Hold);
    let put = tokio::spawn(pems.request(Method::PUT, "pfa/1").json(&body("1", json!({}))).send());
    pems.simulator.wait_for(|log| !log.is_empty()).await;
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["version"], 2);
    assert!(!put.is_finished());
    pems.simulator.release();
    assert_eq!(put.await??.status().as_u16(), 200);
    Ok(())
}

#[tokio::test]
async fn a_request_whose_sender_has_gone_is_carried_out_all_the_same() -> Result<()> {
    let pems = Pems::new(1).await?;
    pems.simulator.fault(Operation::Put, Fault::Latency(500));
    let impatient = pems.request(Method::PUT, "pfa/1").json(&body("1", json!({}))).timeout(Duration::from_millis(100));
    assert!(impatient.send().await.is_err_and(|error| error.is_timeout()));
    let log = pems.simulator.wait_for(|log| !log.is_empty()).await;
    assert_eq!(log[0].writes[0].status, 200);
    assert_eq!(pems.simulator.record("RIO", "1").context("it is there")?["version"], 2);
    Ok(())
}

#[tokio::test]
async fn people_can_ask_and_order_over_http() -> Result<()> {
    let pems = Pems::new(1).await?;
    let url = |command: &str| format!("{}/simulator/{command}", pems.simulator.url());
    let post =
        |command: &str, body: Value| answer(pems.client.post(url(command)).basic_auth("pfa-sync", Some("secret")).json(&body));
    assert_eq!(pems.client.get(url("log")).send().await?.status().as_u16(), 401);
    assert_eq!(post("edit", json!({"organization": "RIO", "pfaId": "1", "changes": {"model": "D9"}})).await?.1["newVersion"], 2);
    assert_eq!(post("faults", json!({"operation": "get", "fault": {"latency": 1}})).await?.0, 200);
    assert_eq!(post("faults", json!({"operation": "get"})).await?.0, 400);
    assert_eq!(post("lock", json!({"organization": "RIO", "pfaId": "1"})).await?.0, 200);
    assert_eq!(pems.put("1", body("1", json!({"version": 2}))).await?.0, 423);
    assert_eq!(pems.get("pfa/1?organizationCode=RIO").await?.1["model"], "D9");
    let (_, log) = answer(pems.client.get(url("log?after=1")).basic_auth("pfa-sync", Some("secret"))).await?;
    assert_eq!(log[0]["fault"], json!({"latency": 1}));
    Ok(())
}

#[tokio::test]
async fn a_stopped_simulator_is_gone() -> Result<()> {
    let pems = Pems::new(1).await?;
    let url = pems.simulator.url();
    tokio::time::timeout(Duration::from_secs(10), pems.simulator.stop()).await?;
    assert!(pems.client.get(url).send().await.is_err());
    Ok(())
}
