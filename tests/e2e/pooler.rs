//! PgBouncer between the database and its clients, as `deploy/pgbouncer/pgbouncer.ini` sets it up.

use std::time::Duration;

use anyhow::{Context, Result};
use rstest::rstest;
use serde_json::json;
use testbed::application::{Application, EDITOR};
use testbed::cluster::{Login, PoolMode, Pooler};
use testbed::process::Process;
use tokio::time::timeout;

use crate::support::api::SECRET;
use crate::support::stack::Stack;

/// Longest wait for a program to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The application keeps nothing in its session; the relay listens in a session of its own.
#[tokio::test]
async fn an_edit_in_a_pool_of_transactions_is_sent_by_a_relay_in_a_pool_of_sessions() -> Result<()> {
    let stack = Stack::new(2).await?;
    let pooler = Pooler::start(&stack.scenario.database)?;
    let relay = stack.relay_with("run", |command| {
        command.env("DATABASE_URL", pooler.url(PoolMode::Session, Login::Relay));
    })?;
    let session = testbed::cluster::connect(&pooler.url(PoolMode::Transaction, Login::Application)).await?;
    for pfa_id in ["1", "2"] {
        Application::new(&session).edit(EDITOR, pfa_id, json!({"model": "Mine"})).await?;
    }
    stack.until_drained().await?;
    assert!(relay.stop().await?.success());
    stack.check().await
}

#[rstest]
#[case::relay("pfa-relay", Login::Relay)]
#[case::api("pfa-api", Login::Api)]
#[tokio::test]
async fn doctor_tells_a_pool_of_transactions_from_one_of_sessions(#[case] program: &str, #[case] login: Login) -> Result<()> {
    let stack = Stack::new(1).await?;
    let pooler = Pooler::start(&stack.scenario.database)?;
    for (mode, expected) in [
        (PoolMode::Session, "ok      sessions"),
        (PoolMode::Transaction, "FAILED  sessions: a pooler in transaction mode stands before the database"),
    ] {
        let mut doctor = Process::start(program, |command| {
            command
                .arg("doctor")
                .envs(stack.variables())
                .env("DATABASE_URL", pooler.url(mode, login))
                .env("PFA_API_JWT_SECRET", SECRET)
                .env("PFA_API_LISTEN", "127.0.0.1:0");
        })?;
        let mut printed = String::new();
        while let Ok(line) = timeout(PATIENCE, doctor.line()).await.context("doctor does not end")? {
            printed.push_str(&line);
            printed.push('\n');
        }
        assert!(printed.contains(expected), "{mode:?}: {printed}");
        assert_eq!(doctor.wait().await?.success(), mode == PoolMode::Session, "{mode:?}: {printed}");
    }
    Ok(())
}
