//! The API as an HTTP service: invalid requests, limits, timeouts, headers, readiness and the API reference.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::api::{Api, now, problem, token};
use crate::support::scenario::Scenario;

#[tokio::test]
async fn a_user_who_requests_too_fast_is_answered_when_to_retry_and_others_are_served() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &["--rate-limit", "5"]).await?;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(api.request("GET", "/api/pems/settings", Some("usr_editor")).send().await?);
    }
    let refused = answers.into_iter().find(|answer| answer.status() != 200).context("one too many")?;
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, code, _) = problem(refused).await?;
    assert_eq!((status, code.as_str()), (429, "too_many_requests"));
    api.get("usr_viewer", "/api/pems/settings").await?;
    Ok(())
}

/// The pages that show the description load nothing from elsewhere.
#[tokio::test]
async fn the_description_is_served_with_pages_to_browse_it() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    let served: Value = api.request("GET", "/openapi.json", None).send().await?.json().await?;
    assert!(served == pfa_api::document());
    let page = api.request("GET", "/docs", None).send().await?.error_for_status()?;
    assert!(page.url().path().ends_with("/docs/"));
    let policy = page.headers()["content-security-policy"].to_str()?.to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    let page = page.text().await?;
    assert!(!page.contains("://"), "{page}");
    for (asset, kind) in [("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")] {
        assert!(page.contains(asset), "{page}");
        let answer = api.request("GET", &format!("/docs/{asset}"), None).send().await?.error_for_status()?;
        assert_eq!(answer.headers()["content-type"], kind);
        assert_eq!(answer.headers()["content-security-policy"], policy);
    }
    let start = api.request("GET", "/docs/swagger-initializer.js", None).send().await?.text().await?;
    assert!(start.contains("/openapi.json") && !start.contains("://"), "{start}");
    Ok(())
}

#[tokio::test]
async fn hostile_requests_end_in_a_problem_and_change_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    let save = "/api/pfa-data/save-draft";
    let draft = |delta: &str| format!(r#"{{"organizationId": "RIO", "pfaId": "1", "delta": {delta}}}"#).into_bytes();
    for (what, body, status) in [
        ("no JSON", b"{".to_vec(), 400),
        ("bad UTF-8", b"{\"organizationId\": \"\xff\"}".to_vec(), 400),
        ("an unknown key", br#"{"organizationId": "RIO", "pfaId": "1", "delta": {}, "userId": "usr_admin"}"#.to_vec(), 400),
        ("a list for an object", br#"["RIO", "1", {"model": "X"}]"#.to_vec(), 400),
        ("deep nesting", draft(&format!("{}{}", "[".repeat(2000), "]".repeat(2000))), 400),
        ("too much", draft(&format!("{{\"model\": \"{}\"}}", "x".repeat(50_000))), 413),
        ("an absurd number", draft(r#"{"monthlyRate": 1e999999}"#), 422),
        ("a NUL", draft(r#"{"model": "\u0000"}"#), 422),
        ("no object", draft("[]"), 422),
        ("another record", br#"{"organizationId": "RIO", "pfaId": "' or 1=1 --", "delta": {}}"#.to_vec(), 404),
        (
            "another organization",
            br#"{"organizationId": "RIO'; drop schema pfa_sync cascade; --", "pfaId": "1", "delta": {}}"#.to_vec(),
            404,
        ),
    ] {
        let request = api.request("POST", save, Some("usr_editor")).header("content-type", "application/json").body(body);
        assert_eq!(problem(request.send().await?).await?.0, status, "{what}");
    }
    for (uri, body) in [
        ("/api/pems/dead-letters/preview", json!({"filter": ["RIO"]})),
        ("/api/pems/conflicts/preview", json!({"resolution": "merge"})),
        ("/api/pems/conflicts/preview", json!({"resolution": {"use_pems": null}})),
        ("/api/pems/write-sync", json!({"organizationId": "RIO", "priority": {"high": null}})),
    ] {
        assert_eq!(problem(api.post("usr_admin", uri, body.clone()).await?).await?.0, 400, "{body}");
    }
    for (method, uri, status) in [
        ("GET", "/api/nothing", 404),
        ("GET", save, 405),
        ("GET", "/api/pems/conflicts/9223372036854775808", 404),
        ("GET", "/api/pems/conflicts/9223372036854775807", 404),
        ("GET", "/api/pems/conflicts/-1", 400),
        ("GET", "/api/pems/conflicts?limit=0", 422),
        ("GET", "/api/pems/conflicts?limit=many", 400),
        ("GET", "/api/pems/sync-status?startDate=yesterdayish", 422),
        ("GET", "/api/pems/sync-status?organizationId=%00", 422),
    ] {
        assert_eq!(problem(api.request(method, uri, Some("usr_editor")).send().await?).await?.0, status, "{method} {uri}");
    }
    let plain = api.request("POST", save, Some("usr_editor")).body("{}").send().await?;
    assert_eq!(problem(plain).await?.0, 415);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_modification").await?, 0);
    Ok(())
}

#[tokio::test]
async fn answers_carry_an_id_and_the_headers_that_browsers_heed() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    for uri in ["/livez", "/api/pems/settings", "/nothing"] {
        let answer = api.request("GET", uri, Some("usr_admin")).send().await?;
        for (name, value) in
            [("x-content-type-options", "nosniff"), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")]
        {
            assert_eq!(answer.headers()[name], value, "{uri}");
        }
        assert_eq!(answer.headers()["x-request-id"].len(), 36);
    }
    for (origin, allowed) in [("https://pfa.example.com", true), ("https://evil.example.com", false)] {
        let answer = api.request("GET", "/livez", None).header("origin", origin).send().await?;
        assert_eq!(answer.headers().get("access-control-allow-origin").is_some(), allowed, "{origin}");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_ended_in_the_database_too() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &["--request-timeout", "300 ms"]).await?;
    let mut other = scenario.database.client().await?;
    let locks = other.transaction().await?;
    locks.batch_execute("lock table pfa_modification").await?;
    let draft = json!({"organizationId": "RIO", "pfaId": "1", "delta": {"model": "X"}});
    let answer = api.post("usr_editor", "/api/pfa-data/save-draft", draft.clone()).await?;
    assert_eq!(problem(answer).await?.0, 504);
    locks.rollback().await?;
    let waiting = "select exists (select from pg_stat_activity where application_name = 'pfa-api' and state <> 'idle')";
    tokio::time::timeout(Duration::from_secs(30), async {
        while scenario.value::<bool>(waiting).await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    })
    .await??;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_modification").await?, 0);
    Ok(())
}

#[tokio::test]
async fn the_service_waits_for_its_database_and_stops_when_it_is_told() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    scenario.client.batch_execute("select pfa_sync.detach()").await?;
    assert_eq!(problem(api.request("GET", "/readyz", None).send().await?).await?.0, 503);
    assert_eq!(api.request("GET", "/livez", None).send().await?.status(), 204);
    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    // Answers are shared for a second.
    while api.request("GET", "/readyz", None).send().await?.status() != 204 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(api.process.stop().await?.success());
    Ok(())
}

/// A client that begins to read a long answer and takes no more of it does not keep the service from stopping.
#[tokio::test]
async fn an_answer_that_is_not_read_does_not_hold_the_service() -> Result<()> {
    let scenario = Scenario::new().await?;
    let long = "insert into pfa_sync_private.pfa_audit_log (event_type, organization_id, error_message) \
                select 'COMMITTED', 'org_RIO_173', repeat('x', 8000) from generate_series(1, 8000)";
    scenario.client.execute(long, &[]).await?;
    let api = Api::start(&scenario, &["--request-timeout", "2 s"]).await?;
    let mut client = TcpStream::connect(api.address.trim_start_matches("http://")).await?;
    let bearer = token(&json!({"userId": "usr_admin", "exp": now() + 600}));
    let head =
        format!("GET /api/pems/audit.csv?organizationId=RIO HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {bearer}\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    let mut begun = [0; 15];
    client.read_exact(&mut begun).await?;
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    let ended = timeout(Duration::from_secs(20), api.process.stop()).await;
    assert!(ended.is_ok_and(|status| status.is_ok_and(|status| status.success())), "it has stopped by itself");
    Ok(())
}

/// A filter with a typing error would select everything.
#[tokio::test]
async fn a_query_parameter_that_the_route_does_not_have_is_refused() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &["--rate-limit", "1000"]).await?;
    let document: Value = serde_json::from_str(&std::fs::read_to_string("../../docs/openapi.json")?)?;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys().filter(|method| ["get", "post", "put"].contains(&method.as_str()))
        {
            let path = path.replace(['{', '}'], "");
            let path = path.replace("conflictId", "1").replace("jobId", "1").replace("deadLetterId", "1");
            let answer =
                api.request(&method.to_uppercase(), &format!("{path}?organisationId=RIO"), Some("usr_admin")).send().await?;
            let (status, code, body) = problem(answer).await?;
            assert_eq!((status, code.as_str()), (400, "malformed"), "{method} {path}");
            assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("organisationId")), "{body}");
        }
    }
    Ok(())
}
