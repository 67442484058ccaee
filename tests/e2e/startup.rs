//! What the programs check when they start, and secrets that are replaced while they run.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use rstest::rstest;
use serde_json::json;
use tempfile::NamedTempFile;
use testbed::cluster::Login;
use testbed::process::Process;
use tokio::net::TcpListener;

use crate::support::api::SECRET;
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

/// How a program ends that is started with this database, and what it says.
async fn refused(program: &str, arguments: &[&str], url: &str) -> Result<String> {
    let log = NamedTempFile::new()?;
    let errors = log.reopen()?;
    let mut process = Process::start(program, |command| {
        command
            .args(arguments)
            .env("DATABASE_URL", url)
            .env("PFA_API_JWT_SECRET", SECRET)
            .env("PEMS_URL", "https://127.0.0.1:1")
            .env("PEMS_TENANT", "TEST")
            .env("PEMS_API_KEY", "secret")
            .stdout(Stdio::null())
            .stderr(errors);
    })?;
    let status = tokio::time::timeout(Duration::from_secs(20), process.wait()).await.context("it did not end")??;
    assert!(!status.success());
    Ok(std::fs::read_to_string(log.path())?)
}

const API: (&str, &[&str]) = ("pfa-api", &["serve", "--listen", "127.0.0.1:0"]);
const RELAY: (&str, &[&str]) = ("pfa-relay", &["run"]);

#[rstest]
#[case::superuser(API, None, "superuser")]
#[case::api_with_the_role_of_the_relay(API, Some("pfa_sync_relay"), "does not have the role pfa_sync_api")]
#[case::api_with_more(API, Some("pfa_sync_api, pfa_sync_relay"), "has more than pfa_sync_api: revoke pfa_sync_relay")]
#[case::relay_as_superuser(RELAY, None, "superuser")]
#[case::relay_with_more(RELAY, Some("pfa_sync_relay, pfa_sync_api"), "has more than pfa_sync_relay: revoke pfa_sync_api")]
#[case::relay_with_the_role_of_the_api(RELAY, Some("pfa_sync_api"), "does not have the role pfa_sync_relay")]
#[tokio::test]
async fn a_login_that_does_not_fit_is_refused_in_words(
    #[case] (program, arguments): (&str, &[&str]),
    #[case] roles: Option<&str>,
    #[case] expected: &str,
) -> Result<()> {
    let scenario = Scenario::empty().await?;
    let superuser = scenario.database.url();
    let url = match roles {
        None => superuser,
        Some(roles) => {
            let database: String = scenario.value("select current_database()::text").await?;
            let login = format!("login_of_{database}");
            scenario.client.batch_execute(&format!("create role {login} login password 'secret' in role {roles}")).await?;
            let (_, host) = superuser.split_once('@').context("a host")?;
            format!("postgres://{login}:secret@{host}")
        }
    };
    let said = refused(program, arguments, &url).await?;
    assert!(said.contains(expected), "{said}");
    Ok(())
}

#[rstest]
#[case(API, Login::Api)]
#[case(RELAY, Login::Relay)]
#[tokio::test]
async fn a_wrong_password_is_not_tried_for_ever(
    #[case] (program, arguments): (&str, &[&str]),
    #[case] login: Login,
) -> Result<()> {
    let scenario = Scenario::empty().await?;
    let url = scenario.database.url_as(login);
    let (before, host) = url.split_once('@').context("a host")?;
    let (user, _) = before.rsplit_once(':').context("a user")?;
    let said = refused(program, arguments, &format!("{user}:wrong@{host}")).await?;
    assert!(said.contains("password authentication failed"), "{said}");
    Ok(())
}

/// Whether the file is replaced before or after PEMS takes the new secret, the relay goes on by itself.
#[rstest]
#[case::file_first(true)]
#[case::pems_first(false)]
#[tokio::test]
async fn a_secret_that_is_replaced_in_its_file_is_used_without_a_restart(#[case] file_first: bool) -> Result<()> {
    let stack = Stack::new(2).await?;
    // A relay looks for a new secret at each heartbeat.
    stack.scenario.client.batch_execute("select pfa_sync.set('poll', '1 s')").await?;
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), "secret\n")?;
    let _relay = stack.relay_with("run", |command| {
        command.env_remove("PEMS_PASSWORD").arg("--pems-password-file").arg(file.path());
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    stack.set_password("changed");
    if file_first {
        std::fs::write(file.path(), "changed\n")?;
    }
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    if !file_first {
        stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
        std::fs::write(file.path(), "changed\n")?;
    }
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 2);
    stack.check().await
}

/// The environment of the relay names a proxy, which must see neither the requests nor the secret in them.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() -> Result<()> {
    let stack = Stack::new(1).await?;
    let proxy = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", proxy.local_addr()?);
    let _relay = stack.relay_with("run", |command| {
        for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(variable, &address);
        }
        command.env("PEMS_PROXY", &address);
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    let connected = tokio::time::timeout(Duration::from_millis(10), proxy.accept()).await;
    assert!(connected.is_err(), "loopback is connected to directly");
    stack.check().await
}
