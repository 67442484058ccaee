//! The limit, faults on demand, and the control routes.

use std::time::Duration;

use anyhow::{Context, Result};
use pems_simulator::{Config, Fault, Operation};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Pems, answer, body};

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
