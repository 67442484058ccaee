//! `pfa-api doctor`: what it prints, and how it ends.

use std::fs;

use anyhow::Result;
use rstest::rstest;
use tempfile::NamedTempFile;
use testbed::cluster::Login;
use testbed::process::Process;

use crate::support::api::SECRET;
use crate::support::scenario::Scenario;

/// What doctor prints, and whether it found nothing wrong.
async fn examined(scenario: &Scenario, login: Login, arguments: &[&str]) -> Result<(String, bool)> {
    let mut doctor = Process::start("pfa-api", |command| {
        command
            .arg("doctor")
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("DATABASE_URL", scenario.database.url_as(login))
            .env("PFA_API_JWT_SECRET", SECRET);
    })?;
    let mut printed = String::new();
    while let Ok(line) = doctor.line().await {
        printed.push_str(&line);
        printed.push('\n');
    }
    Ok((printed, doctor.wait().await?.success()))
}

#[tokio::test]
async fn nothing_wrong_is_said_check_by_check() -> Result<()> {
    let scenario = Scenario::new().await?;
    let (printed, passed) = examined(&scenario, Login::Api, &[]).await?;
    assert!(passed, "{printed}");
    for check in ["settings", "tokens", "listen", "database", "login", "extension", "check()"] {
        assert!(printed.contains(&format!("ok      {check}")), "{check} in {printed}");
    }
    Ok(())
}

#[rstest]
#[case::login(Login::Relay, &[], "", "does not have the role pfa_sync_api")]
#[case::detached(Login::Api, &[], "select pfa_sync.detach()", "not attached")]
#[case::broken_invariant(
    Login::Api, &[], "update pfa_sync_private.pfa_write_queue set head = false", "the first live change of a record is its head"
)]
#[case::unknown_priority(
    Login::Api, &[], "update pfa_sync_private.pfa_write_queue set priority = 7", "a queued change has a known operation and priority"
)]
#[case::missing_lease(
    Login::Api,
    &[],
    "update pfa_sync_private.pfa_write_queue set status = 'processing'",
    "a change in flight has a lease, and one that waits has none"
)]
#[case::unknown_kind(Login::Api, &[], "update pfa_sync_private.sync_job set kind = 'other'", "a job has a known kind")]
#[case::no_usable_key(Login::Api, &["--jwks-file", "KEYS"], "", "no key of RS256 or ES256")]
#[case::no_keys(Login::Api, &["--jwks-url", "http://127.0.0.1:9/jwks.json"], "", "check jwks-file, or jwks-url and jwks-proxy")]
#[case::proxy(
    Login::Api, &["--jwks-url", "https://login.example.com/jwks.json", "--jwks-proxy", "proxy:3128"], "", "jwks-proxy must be"
)]
#[tokio::test]
async fn what_is_wrong_is_said_with_the_next_step(
    #[case] login: Login,
    #[case] arguments: &[&str],
    #[case] spoil: &str,
    #[case] expected: &str,
) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", serde_json::json!({"model": "X"})).await?;
    scenario.client.batch_execute(spoil).await?;
    let keys = NamedTempFile::new()?;
    fs::write(keys.path(), r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#)?;
    let path = keys.path().to_string_lossy();
    let arguments: Vec<&str> = arguments.iter().map(|argument| if *argument == "KEYS" { &*path } else { argument }).collect();
    let (printed, passed) = examined(&scenario, login, &arguments).await?;
    assert!(!passed && printed.contains(expected) && printed.contains("next: "), "{printed}");
    assert!(!printed.contains(SECRET));
    Ok(())
}
