//! What one client can't take from others: connections of the database, connections of the service, work without a token.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use testbed::cluster::Login;
use testbed::stack::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::api::{Api, now, problem, token};
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

const PATIENCE: Duration = Duration::from_secs(30);

/// Drafts of a user that wait for a lock until they are aborted.
fn waiting_drafts(api: &Api, count: usize) -> JoinSet<Result<reqwest::Response>> {
    let draft = json!({"organizationId": "RIO", "pfaId": "1", "delta": {"model": "X"}});
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let request = api.request("POST", "/api/pfa-data/save-draft", Some("usr_editor")).json(&draft);
        requests.spawn(async move { Ok(request.send().await?) });
    }
    requests
}

#[tokio::test]
async fn slow_requests_of_one_user_leave_connections_to_others() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &["--request-timeout", "60 s", "--rate-limit", "1000"]).await?;
    let mut other = scenario.database.client().await?;
    let locks = other.transaction().await?;
    locks.batch_execute("lock table pfa_modification in exclusive mode").await?;
    let mut slow = waiting_drafts(&api, 40);
    // All but those that hold a connection are refused, and say when to retry.
    for _ in 0..36 {
        let refused = timeout(PATIENCE, slow.join_next()).await?.context("a request")???;
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(problem(refused).await?.1, "too_many_requests");
    }
    let slow_ones = "select count(*) from pg_stat_activity where application_name = 'pfa-api' and datname = current_database() \
                     and wait_event_type = 'Lock'";
    assert_eq!(scenario.value::<i64>(slow_ones).await?, 4);
    timeout(PATIENCE, api.get("usr_second", "/api/pems/sync-status")).await??;
    locks.rollback().await?;
    while let Some(done) = slow.join_next().await {
        assert_eq!(done??.status(), 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_without_a_free_connection_is_answered_soon() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &["--request-timeout", "60 s", "--connections", "2"]).await?;
    let mut other = scenario.database.client().await?;
    let locks = other.transaction().await?;
    locks.batch_execute("lock table pfa_modification in exclusive mode").await?;
    let _slow = waiting_drafts(&api, 2);
    let holding = "select count(*) = 2 from pg_stat_activity where application_name = 'pfa-api' \
                   and datname = current_database() and wait_event_type = 'Lock'";
    wait_until(&scenario.database, holding, PATIENCE).await?;
    let refused = timeout(PATIENCE, api.request("GET", "/api/pems/settings", Some("usr_second")).send()).await??;
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, _, body) = problem(refused).await?;
    assert_eq!(status, 503);
    assert!(body["detail"].as_str().context("a detail")?.contains("connections"), "{body}");
    Ok(())
}

/// Sends bytes and waits until the server closes the connection; what it said.
async fn until_closed(address: &str, bytes: &[u8]) -> Result<String> {
    let mut connection = TcpStream::connect(address.strip_prefix("http://").context("an address")?).await?;
    connection.write_all(bytes).await?;
    let mut said = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, connection.read_to_end(&mut said)).await.context("the connection stays open")?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn half_a_request_does_not_hold_a_connection() -> Result<()> {
    let stack = Stack::new(1).await?;
    let mut relay = stack.relay_with_arguments("run", &["--monitoring", "127.0.0.1:0"])?;
    let monitoring = relay.line().await?.strip_prefix("monitored on ").context("the address")?.to_owned();
    let api = Api::start(&stack.scenario, &["--head-timeout", "500 ms", "--request-timeout", "1 s"]).await?;
    let of_monitoring = tokio::spawn(async move {
        tokio::try_join!(until_closed(&monitoring, b"GET /livez HTTP/1.1\r\nhost:"), until_closed(&monitoring, b""))
    });
    for half in ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nhost: x\r\nx-header: "] {
        assert!(!until_closed(&api.address, half.as_bytes()).await?.contains(" 20"), "{half}");
    }
    let token = token(&json!({"userId": "usr_editor", "exp": now() + 60}));
    let head = format!(
        "POST /api/pfa-data/save-draft HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    assert!(until_closed(&api.address, head.as_bytes()).await?.contains(" 504 "), "half a body");
    let long = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {}\r\nconnection: close\r\n\r\n", "x".repeat(100_000));
    assert!(until_closed(&api.address, long.as_bytes()).await?.contains(" 431 "), "a head that is too large");
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}connection: close\r\n\r\n", "a: b\r\n".repeat(70));
    assert!(until_closed(&api.address, many.as_bytes()).await?.contains(" 431 "), "too many headers");
    of_monitoring.await??;
    assert!(relay.stop().await?.success());
    Ok(())
}

/// A client that asks and does not read the answers holds a buffer of the service.
#[tokio::test]
async fn a_client_that_takes_no_answer_does_not_hold_a_connection() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &["--head-timeout", "500 ms"]).await?;
    let address: std::net::SocketAddr = api.address.strip_prefix("http://").context("an address")?.parse()?;
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut connection = socket.connect(address).await?;
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    // Answers fill the buffers of both ends, then the service waits; when it has closed, it takes no more requests.
    let closed = async {
        loop {
            if connection.write_all(request).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, closed).await.context("the connection stays open")?;
    Ok(())
}

/// Each request without a token would otherwise be a query.
#[tokio::test]
async fn requests_without_a_token_share_one_answer() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let tracked =
        format!("alter role {} in database {} set track_functions = 'all'", Login::Api.name(), scenario.database.name());
    scenario.client.batch_execute(&tracked).await?;
    let mut api = Api::start(&scenario, &["--monitoring", "127.0.0.1:0"]).await?;
    let monitoring = api.process.line().await?.strip_prefix("monitored on ").context("the address")?.to_owned();
    let calls = "select coalesce(sum(calls), 0)::bigint from pg_stat_user_functions where funcname = 'visible_organizations'";
    let before: i64 = scenario.value(calls).await?;
    let started = std::time::Instant::now();
    for address in [&api.address, &monitoring] {
        for _ in 0..100 {
            assert_eq!(reqwest::get(format!("{address}/readyz")).await?.status(), 204);
        }
    }
    let seconds = started.elapsed().as_secs() as i64 + 1;
    assert!(api.process.stop().await?.success());
    // The sessions of the API have ended, which is when PostgreSQL counts what they called.
    let gone =
        "select not exists (select from pg_stat_activity where application_name = 'pfa-api' and datname = current_database())";
    wait_until(&scenario.database, gone, PATIENCE).await?;
    let asked = scenario.value::<i64>(calls).await? - before;
    assert!((1..=2 * seconds).contains(&asked), "{asked} queries in {seconds} s");
    Ok(())
}

#[tokio::test]
async fn the_description_has_a_tag_by_which_it_is_not_sent_twice() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    let first = api.request("GET", "/openapi.json", None).send().await?;
    let tag = first.headers().get("etag").context("an ETag")?.clone();
    assert_eq!(first.headers()["content-type"], "application/json");
    assert!(!first.bytes().await?.is_empty());
    let second = api.request("GET", "/openapi.json", None).header("if-none-match", tag).send().await?;
    assert_eq!(second.status(), 304);
    assert!(second.bytes().await?.is_empty());
    let other = api.request("GET", "/openapi.json", None).header("if-none-match", "\"other\"").send().await?;
    assert_eq!(other.status(), 200);
    Ok(())
}
