//! Two sessions on one record, statement by statement: the second one waits, and judges the result of the first one.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, RIO, SECOND, pems_record};
use testbed::cluster::Login;
use tokio_postgres::{Client, Transaction};

use crate::support::scenario::Scenario;

const PATIENCE: Duration = Duration::from_secs(30);

async fn pid(client: &Client) -> Result<i32> {
    Ok(client.query_one("select pg_backend_pid()", &[]).await?.get(0))
}

/// Waits until session `waiting` waits for session `holding`.
async fn until_blocked(observer: &Client, waiting: i32, holding: i32) -> Result<()> {
    let blocked = async {
        let select = "select $2 = any (pg_blocking_pids($1))";
        while !observer.query_one(select, &[&waiting, &holding]).await?.get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, blocked).await.context("the second session does not wait for the first")?
}

/// Runs `second` while `first` has done its work and not committed; `first` commits once `second` waits for it.
async fn one_after_the_other<T, E: Into<anyhow::Error>>(
    scenario: &Scenario,
    first: Transaction<'_>,
    second: &Client,
    statement: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    let holding: i32 = first.query_one("select pg_backend_pid()", &[]).await?.get(0);
    let waiting = pid(second).await?;
    let release = async {
        until_blocked(&scenario.client, waiting, holding).await?;
        Ok::<_, anyhow::Error>(first.commit().await?)
    };
    let (done, released) = join(statement, release).await;
    released?;
    done.map_err(Into::into)
}

/// The same commit as the application's, inside a transaction.
async fn commit_within(transaction: &Transaction<'_>, user: &str) -> Result<u64> {
    let update = r#"update pfa_modification set "syncState" = 'committed', "updatedAt" = now() at time zone 'utc'
        where "organizationId" = $1 and "userId" = $2 and "syncState" = 'draft'"#;
    Ok(transaction.execute(update, &[&RIO, &user]).await?)
}

fn changed(version: i64, changes: Value) -> Value {
    let mut record = pems_record("RIO", "1");
    record["version"] = json!(version);
    record["updatedAt"] = json!("2026-02-01T00:00:00.000Z");
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    record
}

#[tokio::test]
async fn of_two_commits_on_one_field_the_second_is_a_question_in_either_order() -> Result<()> {
    for (one, other) in [(EDITOR, SECOND), (SECOND, EDITOR)] {
        let scenario = Scenario::new().await?;
        let mut ids = Vec::new();
        for (user, model) in [(one, "first"), (other, "second")] {
            ids.push(scenario.application().draft(user, RIO, "1", json!({"model": model})).await?);
        }
        let (mut first, second) =
            (scenario.database.client_as(Login::Application).await?, scenario.database.client_as(Login::Application).await?);
        let open = first.transaction().await?;
        commit_within(&open, one).await?;

        one_after_the_other(&scenario, open, &second, async { Application::new(&second).commit(other, RIO).await }).await?;

        assert_eq!(scenario.state(&ids[0]).await?, "committed/queued");
        assert_eq!(scenario.state(&ids[1]).await?, "conflict/conflict");
        scenario.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_commits_of_one_author_on_one_field_both_go_through() -> Result<()> {
    let scenario = Scenario::new().await?;
    let earlier = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "first"})).await?;
    let (mut first, second) =
        (scenario.database.client_as(Login::Application).await?, scenario.database.client_as(Login::Application).await?);
    let open = first.transaction().await?;
    commit_within(&open, EDITOR).await?;
    let later = Application::new(&second).draft(EDITOR, RIO, "1", json!({"model": "second"})).await?;
    // The second session sees the first draft still, and waits for its row.
    let commit = r#"update pfa_modification set "syncState" = 'committed', "updatedAt" = now() at time zone 'utc' where id = $1"#;
    one_after_the_other(&scenario, open, &second, second.execute(commit, &[&later])).await?;

    assert_eq!(scenario.state(&earlier).await?, "committed/queued");
    assert_eq!(scenario.state(&later).await?, "committed/queued");
    assert_eq!(scenario.deliver().await?, 2);
    assert_eq!(scenario.mirror("1").await?["model"], "second");
    scenario.check().await
}

#[tokio::test]
async fn a_commit_behind_a_pull_is_judged_against_what_the_pull_brought() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "ours"})).await?;
    let (mut first, second) = (scenario.database.client().await?, scenario.database.client_as(Login::Application).await?);
    let open = first.transaction().await?;
    open.execute("select pfa_sync.ingest('RIO', $1)", &[&json!([changed(2, json!({"model": "theirs"}))])]).await?;

    one_after_the_other(&scenario, open, &second, async { Application::new(&second).commit(EDITOR, RIO).await }).await?;

    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    assert_eq!(scenario.mirror("1").await?["model"], "theirs");
    scenario.check().await
}

#[tokio::test]
async fn a_pull_beside_a_commit_leaves_it_to_be_judged_again() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "ours"})).await?;
    let (mut first, second) = (scenario.database.client_as(Login::Application).await?, scenario.database.client().await?);
    let open = first.transaction().await?;
    commit_within(&open, EDITOR).await?;

    let page = json!([changed(2, json!({"model": "theirs"}))]);
    let ingest = "select records_busy from pfa_sync.ingest('RIO', $1)";
    assert_eq!(second.query_one(ingest, &[&page]).await?.get::<_, i64>(0), 1, "it does not wait");
    open.commit().await?;
    assert_eq!(second.query_one(ingest, &[&page]).await?.get::<_, i64>(0), 0);

    assert!(scenario.claim().await?.is_empty(), "nothing of it is sent");
    assert_eq!(scenario.state(&id).await?, "conflict/conflict");
    assert_eq!(scenario.mirror("1").await?["model"], "theirs");
    scenario.check().await
}

#[tokio::test]
async fn a_commit_behind_a_completion_is_judged_against_what_was_written() -> Result<()> {
    for (field, expected) in [("model", "conflict/conflict"), ("areaSilo", "committed/queued")] {
        let scenario = Scenario::new().await?;
        scenario.edit("1", json!({"model": "first"})).await?;
        let id = scenario.application().draft(SECOND, RIO, "1", json!({ field: "second" })).await?;
        let claimed = scenario.send().await?;
        let (mut first, second) = (scenario.database.client().await?, scenario.database.client_as(Login::Application).await?);
        let open = first.transaction().await?;
        let items = json!([{"queue_id": claimed[0].queue_id, "fencing_token": claimed[0].attempt, "version": 2, "updated_at": "2026-03-01T00:00:00.000Z"}]);
        open.execute("select pfa_sync.complete('relay-1', $1)", &[&items]).await?;

        one_after_the_other(&scenario, open, &second, async { Application::new(&second).commit(SECOND, RIO).await }).await?;

        assert_eq!(scenario.state(&id).await?, expected, "{field}");
        assert_eq!(scenario.mirror("1").await?["model"], "first");
        scenario.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_completion_beside_a_commit_makes_the_commit_the_next_to_go() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "first"})).await?;
    let claimed = scenario.send().await?;
    let id = scenario.application().draft(SECOND, RIO, "1", json!({"areaSilo": "second"})).await?;
    let (mut first, second) = (scenario.database.client_as(Login::Application).await?, scenario.database.client().await?);
    let open = first.transaction().await?;
    commit_within(&open, SECOND).await?;

    let items = json!([{"queue_id": claimed[0].queue_id, "fencing_token": claimed[0].attempt, "version": 2, "updated_at": "2026-03-01T00:00:00.000Z"}]);
    let complete = "select status from pfa_sync.complete('relay-1', $1)";
    assert_eq!(second.query_one(complete, &[&items]).await?.get::<_, &str>(0), "busy", "it does not wait");
    open.commit().await?;
    assert_eq!(second.query_one(complete, &[&items]).await?.get::<_, &str>(0), "completed");

    scenario.check().await?;
    let next = scenario.claim().await?;
    assert_eq!((next.len(), next[0].version), (1, Some(2)));
    assert_eq!(scenario.state(&id).await?, "syncing/syncing");
    Ok(())
}

#[tokio::test]
async fn a_withdrawal_behind_a_claim_is_refused_and_a_claim_behind_a_withdrawal_takes_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    let (mut first, second) = (scenario.database.client().await?, scenario.database.client_as(Login::Application).await?);
    let open = first.transaction().await?;
    assert_eq!(open.query("select queue_id from pfa_sync.claim('relay-1')", &[]).await?.len(), 1);
    let withdraw = r#"update pfa_modification set "syncState" = 'draft' where id = $1"#;
    let refused = one_after_the_other(&scenario, open, &second, second.execute(withdraw, &[&id])).await.unwrap_err();
    assert_eq!(crate::support::scenario::refusal(&refused).0, "PF003");
    assert_eq!(scenario.state(&id).await?, "syncing/syncing");

    let other = scenario.edit("2", json!({"model": "X"})).await?;
    let open = first.transaction().await?;
    open.execute(withdraw, &[&other]).await?;
    // A claim never waits: locked rows are left for the next one.
    assert!(scenario.claim().await?.is_empty());
    open.commit().await?;
    assert!(scenario.claim().await?.is_empty());
    assert_eq!(scenario.state(&other).await?, "draft/draft");
    scenario.check().await
}
