//! A firewall between the relay and PEMS that answers in PEMS' place when it does not like the content of a request.

use anyhow::Result;
use pems_simulator::Operation;
use serde_json::json;
use testbed::application::{EDITOR, RIO};

use crate::support::stack::Stack;

/// What the firewall takes for an attack.
const ATTACK: &str = "<script>";

/// Whatever is queued has met the firewall since PEMS confirmed a write.
const TRIED_AGAIN: &str =
    "select not exists (select from pfa_sync_private.pfa_write_queue q where q.outage_at is null or q.outage_at <=
    (select max(a.completed_at) from pfa_sync_private.pfa_write_queue_archive a where a.status = 'completed'))";

async fn commit(stack: &Stack, models: &[(&str, &str)]) -> Result<()> {
    for (pfa_id, model) in models {
        stack.scenario.application().draft(EDITOR, RIO, pfa_id, json!({"model": model})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    Ok(())
}

/// Two of eight edits are blocked: the other six go through, and the two end with the reason once PEMS has confirmed other
/// writes in between. What they were in with is never applied twice.
#[tokio::test]
async fn edits_that_a_firewall_blocks_end_with_the_reason_and_stop_no_other() -> Result<()> {
    let stack = Stack::new(8).await?;
    stack.scenario.client.batch_execute("select pfa_sync.set('max_retries', '2'), pfa_sync.set('lease', '1 s')").await?;
    stack.pems.set_firewall(Some(ATTACK));
    let attack = format!("{ATTACK}alert(1)");
    let models = ["1", "2", "3", "4", "5", "6", "7", "8"].map(|id| (id, if id == "2" || id == "7" { &attack } else { "LTM" }));
    commit(&stack, &models).await?;
    let _relay = stack.relay_with("run", |command| {
        command.env("PFA_RELAY_REQUEST_TIMEOUT", "200 ms");
    })?;
    stack.until("select count(*) = 6 from pfa_modification where \"syncState\" = 'synced'").await?;
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.dead_letters").await?, 0);
    // Further edits reach PEMS, each after the blocked ones were tried again.
    for round in 0..20 {
        stack.scenario.edit("1", json!({"model": format!("X{round}")})).await?;
        stack.until("select not exists (select from pfa_sync.queue where pfa_id = '1')").await?;
        stack.until(TRIED_AGAIN).await?;
        if stack.scenario.value::<i64>("select count(*) from pfa_sync.queue").await? == 0 {
            break;
        }
    }
    let letters = "select array_agg(pfa_id || ' ' || code order by pfa_id) from pfa_sync.dead_letters";
    assert_eq!(stack.scenario.value::<Vec<String>>(letters).await?, ["2 BLOCKED", "7 BLOCKED"]);
    let reasons = "select bool_and(error like 'not an answer of PEMS: status 403 with text/html%') from pfa_sync.dead_letters";
    assert!(stack.scenario.value::<bool>(reasons).await?);
    stack.check().await
}

/// Nothing but pages for a long time, in which each edit is also sent alone: an outage, which makes no dead letter.
#[tokio::test]
async fn a_firewall_that_blocks_everything_is_an_outage() -> Result<()> {
    let stack = Stack::new(4).await?;
    stack.scenario.client.batch_execute("select pfa_sync.set('max_retries', '0'), pfa_sync.set('lease', '1 s')").await?;
    stack.pems.set_firewall(Some("model"));
    commit(&stack, &[("1", "A"), ("2", "B"), ("3", "C"), ("4", "D")]).await?;
    let _relay = stack.relay_with("run", |command| {
        command.env("PFA_RELAY_REQUEST_TIMEOUT", "200 ms");
    })?;
    // Each has been sent alone, twice and more.
    stack.until_pems(|log| log.iter().filter(|request| request.operation == Operation::Put).count() >= 10).await?;
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.dead_letters").await?, 0);
    stack.pems.set_firewall(None);
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 4);
    stack.check().await
}
