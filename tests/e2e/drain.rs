//! Draining: nothing is sent and nothing is read until resume, edits are still queued, and what is in flight comes to its end.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use serde_json::json;

use crate::support::scenario::{Scenario, refusal};
use crate::support::stack::Stack;

#[tokio::test]
async fn what_is_in_flight_ends_and_nothing_new_begins() -> Result<()> {
    let stack = Stack::new(2).await?;
    let client = &stack.scenario.client;
    stack.pems.fault(Operation::Put, Fault::Hold);
    let relay = stack.relay_with_arguments("run", &["--request-timeout", "20 s"])?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_pems(|log| !log.is_empty()).await?;
    client.execute("select pfa_sync.drain('RIO', 'an upgrade')", &[]).await?;
    assert!(!stack.scenario.value::<bool>("select pfa_sync.is_drained('RIO')").await?, "a request is in flight");
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    stack.pull_every("1 s", "1 day").await?;
    stack.pems.release();
    stack.until("select pfa_sync.is_drained('RIO')").await?;
    assert_eq!(stack.scenario.value::<String>("select status from pfa_sync.queue where pfa_id = '2'").await?, "pending");
    assert!(stack.pems.log().iter().all(|request| request.operation != Operation::List), "nothing is read");
    assert_eq!(stack.scenario.value::<String>("select code from pfa_sync.health('RIO')").await?, "paused");
    client.query("select * from pfa_sync.resume('RIO')", &[]).await?;
    stack.until_drained().await?;
    stack.until("select exists (select from pfa_sync.pulls where status = 'completed')").await?;
    assert!(relay.stop().await?.success());
    stack.check().await
}

/// A pull that is running ends with its page, and goes on after resume.
#[tokio::test]
async fn a_pull_continues_after_resume() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    client.execute("select pfa_sync.set('inbound', 'relay'), pfa_sync.set('lease', '1 s')", &[]).await?;
    let begin = "select count(*) from pfa_sync.begin_pull('r')";
    assert_eq!(scenario.value::<i64>(begin).await?, 1);
    client.execute("select pfa_sync.drain('RIO', 'an upgrade'), pfa_sync.drain('HARBOUR', 'an upgrade')", &[]).await?;
    assert!(!scenario.value::<bool>("select pfa_sync.is_drained()").await?);
    client.execute("update pfa_sync_private.sync_pull set lease_until = now()", &[]).await?;
    assert!(scenario.value::<bool>("select pfa_sync.is_drained()").await?);
    assert_eq!(scenario.value::<i64>(begin).await?, 0);
    client.query("select * from pfa_sync.resume()", &[]).await?;
    assert_eq!(scenario.value::<i64>(begin).await?, 1);
    Ok(())
}

/// A pause after it lets pulls go on; who may not pause may not drain.
#[tokio::test]
async fn a_pause_lets_pulls_go_on() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    client.execute("select pfa_sync.set('inbound', 'relay')", &[]).await?;
    client.execute("select pfa_sync.drain(null, 'an upgrade')", &[]).await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.begin_pull('r')").await?, 0);
    client.execute("select pfa_sync.pause(null, 'works')", &[]).await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.begin_pull('r')").await?, 1);
    let session = scenario.acting("usr_editor").await?;
    let error = session.query("select pfa_sync.drain('RIO', 'mine')", &[]).await.unwrap_err();
    assert_eq!(refusal(&error.into()).0, "PF002");
    Ok(())
}
