//! Answers that are not PEMS' own, and PEMS' own refusals: only the latter are verdicts.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO};

use crate::support::stack::Stack;

const LOGIN: &str = "<html><form action='/login'><input type='password'></form></html>";
const DENIED: &str = r#"{"error": "NOT_FOUND", "message": "no route matched"}"#;
const BROKEN: &str = r#"{"success": false, "error": "INTERNAL_ERROR", "message": "an internal error"}"#;

async fn commit(stack: &Stack, edits: usize) -> Result<()> {
    for id in 1..=edits {
        stack.scenario.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    Ok(())
}

async fn dead_letters(stack: &Stack) -> Result<Vec<String>> {
    let listed = "select coalesce(array_agg(code || ': ' || error order by pfa_id), '{}') from pfa_sync.dead_letters";
    stack.scenario.value(listed).await
}

/// Every request meets the page until the gateway is mended. Batches, single records and reads are among them.
#[rstest]
#[case::not_found(404, LOGIN)]
#[case::not_found_in_json(404, DENIED)]
#[case::forbidden(403, LOGIN)]
#[case::redirect(302, "")]
#[case::unauthorized(401, LOGIN)]
#[case::gone(410, "")]
#[case::error(500, LOGIN)]
#[case::bad_gateway(502, LOGIN)]
#[case::maintenance(503, LOGIN)]
#[case::login(200, LOGIN)]
#[case::other_json(200, "{}")]
#[case::errors_of_pems(500, BROKEN)]
#[case::pems_in_maintenance(503, BROKEN)]
#[tokio::test]
async fn an_outage_is_no_verdict(#[case] status: u16, #[case] page: &str) -> Result<()> {
    let stack = Stack::new(3).await?;
    stack.scenario.client.batch_execute("select pfa_sync.set('max_retries', '1')").await?;
    stack.pems.set_gateway(Some((status, page)));
    commit(&stack, 3).await?;
    let _relay = stack.relay("run")?;
    stack.until_pems(|log| log.len() >= 6).await?;
    assert_eq!(dead_letters(&stack).await?, [""; 0]);
    stack.until("select health = 'pems_down' from pfa_sync.status('RIO')").await?;
    assert_eq!(dead_letters(&stack).await?, [""; 0]);
    stack.pems.set_gateway(None);
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 3);
    stack.check().await
}

/// Reads work, and writes meet a page more often than a change has tries.
#[tokio::test]
async fn an_outage_of_writes_alone_burns_no_tries() -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.scenario.client.batch_execute("select pfa_sync.set('max_retries', '1'), pfa_sync.set('lease', '1 s')").await?;
    for _ in 0..4 {
        stack.pems.fault(Operation::Put, Fault::Page(403, LOGIN.to_owned()));
    }
    commit(&stack, 1).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    assert_eq!((stack.applied().len(), dead_letters(&stack).await?.len()), (1, 0));
    stack.check().await
}

/// The mirror has a record that no page lists. A gateway's 404 does not mean that PEMS has lost it; PEMS' own does.
#[tokio::test]
async fn a_page_discontinues_no_record() -> Result<()> {
    let stack = Stack::new(3).await?;
    stack.pems.fault(Operation::List, Fault::Skip(1));
    for _ in 0..6 {
        stack.pems.fault(Operation::Get, Fault::Page(404, LOGIN.to_owned()));
    }
    assert!(!stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let discontinued = r#"select count(*) from pfa_mirror where data->>'isDiscontinued' = 'true'"#;
    assert_eq!(stack.scenario.value::<i64>(discontinued).await?, 0);
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    stack.check().await?;
    stack.pems.remove("RIO", "3");
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.scenario.value::<i64>(discontinued).await?, 1);
    Ok(())
}

/// A refusal that any other request would meet is no verdict on the record.
#[rstest]
#[case::tenant(403, "WRONG_TENANT")]
#[case::organization(403, "UNKNOWN_ORGANIZATION")]
#[case::other_organization(403, "WRONG_ORGANIZATION")]
#[case::route(404, "NO_SUCH_ROUTE")]
#[case::credentials(401, "UNAUTHORIZED")]
#[tokio::test]
async fn a_refusal_of_the_organization_holds_it(
    #[case] status: u16,
    #[case] error: &str,
    #[values(Operation::Put, Operation::Get, Operation::List)] operation: Operation,
) -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.pems.fault(operation, Fault::Refuse(status, error.to_owned(), "as ordered".to_owned()));
    let _relay = stack.relay("run")?;
    // A hold remembers the credentials that the relay's heartbeat names.
    stack.until("select exists (select from pfa_sync_private.relay)").await?;
    match operation {
        Operation::List => stack.pull_every("1 hour", "1 day").await?,
        Operation::Get => {
            stack.scenario.client.batch_execute("update pfa_sync_private.pems_record set mirror_version = -1").await?;
            commit(&stack, 1).await?;
        }
        _ => commit(&stack, 1).await?,
    }
    stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!(dead_letters(&stack).await?, [""; 0]);
    stack.scenario.client.batch_execute("select pfa_sync.resume('RIO')").await?;
    stack.until_drained().await?;
    stack.check().await
}

/// A typing error in the settings of the relay.
#[tokio::test]
async fn a_wrong_tenant_makes_no_dead_letters() -> Result<()> {
    let stack = Stack::new(3).await?;
    commit(&stack, 3).await?;
    let relay = stack.relay_with("run", |command| {
        command.env("PEMS_TENANT", "TSET");
    })?;
    stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!((dead_letters(&stack).await?.len(), stack.pems.log().len()), (0, 1));
    relay.stop().await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    stack.check().await
}

/// PEMS refuses a batch, its halves and each record in the same words: the organization is held with the reason.
#[tokio::test]
async fn one_refusal_of_a_batch_and_all_its_records_is_no_verdict() -> Result<()> {
    let stack = Stack::new(3).await?;
    let refusal = || Fault::Refuse(400, "BAD_REQUEST".to_owned(), "the interface is closed".to_owned());
    [Operation::Batch, Operation::Batch, Operation::Put, Operation::Put, Operation::Put]
        .into_iter()
        .for_each(|operation| stack.pems.fault(operation, refusal()));
    commit(&stack, 3).await?;
    let _relay = stack.relay("run")?;
    stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!(dead_letters(&stack).await?, [""; 0]);
    assert!(stack.scenario.value::<bool>("select bool_and(last_error like '%interface is closed') from pfa_sync.queue").await?);
    stack.scenario.client.batch_execute("select pfa_sync.resume('RIO')").await?;
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 3);
    stack.check().await
}

/// A change that is sent by itself and refused is a dead letter at once, with PEMS' words: no lease has to end before.
#[tokio::test]
async fn a_refusal_of_a_single_record_is_reported_at_once() -> Result<()> {
    let stack = Stack::new(1).await?;
    // Longer than the test waits.
    stack.scenario.client.batch_execute("select pfa_sync.set('lease', '1 hour')").await?;
    stack.pems.fault(Operation::Put, Fault::Refuse(422, "INVALID".to_owned(), "the contract is closed".to_owned()));
    commit(&stack, 1).await?;
    let _relay = stack.relay("run")?;
    stack
        .until("select exists (select from pfa_sync.dead_letters where code = 'REJECTED' and error like '%contract is closed')")
        .await?;
    assert_eq!(stack.pems.log().len(), 1);
    stack.check().await
}

/// PEMS fails at one record, and serves the others.
#[tokio::test]
async fn a_record_at_which_pems_fails_ends_as_a_dead_letter_and_stops_no_other() -> Result<()> {
    let stack = Stack::new(3).await?;
    stack.pems.set_failing(&["2"]);
    commit(&stack, 3).await?;
    let _relay = stack.relay("run")?;
    stack.until("select count(*) = 2 from pfa_modification where \"syncState\" = 'synced'").await?;
    // Alone in the queue its failures say nothing; each answer to another request makes the next one a try.
    for round in 0..8 {
        stack.scenario.edit("1", json!({"model": format!("X{round}")})).await?;
        stack.until("select not exists (select from pfa_sync.queue where pfa_id = '1')").await?;
        if !dead_letters(&stack).await?.is_empty() {
            break;
        }
        stack.until("select exists (select from pfa_sync.dead_letters) or exists (select from pfa_sync_private.pems where failures > 0)").await?;
    }
    let letters = dead_letters(&stack).await?;
    assert_eq!(letters, ["UNAVAILABLE: PEMS answered 500: INTERNAL_ERROR: an internal error"]);
    Ok(())
}

/// PEMS counts the wait by its own clock, or names none at all.
#[tokio::test]
async fn requests_become_fewer_while_pems_throttles_without_a_wait() -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.pems.set_gateway(Some((429, BROKEN)));
    commit(&stack, 20).await?;
    stack.pull_every("1 s", "1 day").await?;
    let _relay = stack.relay("run")?;
    let log = stack.until_pems(|log| log.last().is_some_and(|last| last.arrived_ms - log[0].arrived_ms > 6_000.0)).await?;
    assert!(log.len() <= 12, "{} requests", log.len());
    stack.pems.set_gateway(None);
    stack.until_drained().await?;
    stack.check().await
}

#[rstest]
#[case::seconds(503, "2", None)]
#[case::date(503, "Wed, 21 Oct 2015 07:28:02 GMT", Some("Wed, 21 Oct 2015 07:28:00 GMT"))]
#[case::throttled_until(429, "Wed, 21 Oct 2065 07:28:02 GMT", Some("Wed, 21 Oct 2065 07:28:00 GMT"))]
#[case::fraction(429, "1.5", None)]
#[tokio::test]
async fn a_wait_that_pems_names_is_heeded(
    #[case] status: u16,
    #[case] retry_after: &str,
    #[case] date: Option<&str>,
    #[values(Operation::Put, Operation::List)] operation: Operation,
) -> Result<()> {
    let stack = Stack::new(1).await?;
    let fault = Fault::Wait { status, retry_after: Some(retry_after.to_owned()), date: date.map(str::to_owned) };
    stack.pems.fault(operation, fault);
    // A run of a pull waits no longer than its lease.
    stack.scenario.client.batch_execute("select pfa_sync.set('lease', '60 s')").await?;
    match operation {
        Operation::Put => commit(&stack, 1).await?,
        _ => stack.pull_every("1 hour", "1 day").await?,
    }
    let _relay = stack.relay("run")?;
    let log = stack.until_pems(|log| log.len() >= 2).await?;
    let wait = log[1].arrived_ms - log[0].arrived_ms;
    assert!((1_800.0..10_000.0).contains(&wait), "{wait} ms");
    Ok(())
}
