//! Odd bytes and endless lists in answers of PEMS.

use anyhow::Result;
use pems_simulator::{Fault, Operation, Spelling};
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO};

use crate::support::stack::Stack;

async fn commit(stack: &Stack, edits: usize) -> Result<()> {
    for id in 1..=edits {
        stack.scenario.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    Ok(())
}

/// A page is taken in as it is meant.
#[rstest]
#[case(Spelling::Bom)]
#[case(Spelling::Gzip)]
#[case(Spelling::Reversed)]
#[case(Spelling::Fraction)]
#[case(Spelling::Quoted)]
#[case(Spelling::WithoutNulls)]
#[tokio::test]
async fn a_page_may_be_spelled_in_any_way(#[case] spelling: Spelling) -> Result<()> {
    let stack = Stack::new(5).await?;
    stack.scenario.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    stack.pems.fault(Operation::List, Fault::Odd(spelling));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let counts = "select records_read || ' ' || records_rejected from pfa_sync.pulls where status = 'completed'";
    assert_eq!(stack.scenario.value::<String>(counts).await?, "5 0");
    assert_eq!(stack.pems.log().len(), 1);
    stack.check().await
}

/// One value that can't be stored is replaced, or its record refused, and the others are taken in.
#[rstest]
#[case(Spelling::Nul, 0)]
#[case(Spelling::Surrogate, 0)]
#[case(Spelling::NotUtf8, 0)]
#[case(Spelling::NulInId, 1)]
#[tokio::test]
async fn a_value_that_can_not_be_stored_stops_no_page(#[case] spelling: Spelling, #[case] rejected: i64) -> Result<()> {
    let stack = Stack::new(5).await?;
    (1..=5).for_each(|id| stack.foreign_edit(&id.to_string(), json!({"model": "moved"})));
    stack.pems.fault(Operation::List, Fault::Odd(spelling));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.scenario.value::<i64>("select records_rejected from pfa_sync.pulls").await?, rejected);
    let moved = r#"select count(*) from pfa_mirror where data->>'model' = 'moved'"#;
    assert!(stack.scenario.value::<i64>(moved).await? >= 4);
    let replaced = "select count(*) from pfa_mirror where data->>'model' = U&'\\FFFDmoved'";
    assert_eq!(stack.scenario.value::<i64>(replaced).await?, 1 - rejected);
    Ok(())
}

/// The answer to a batch is understood record by record.
#[rstest]
#[case(Spelling::Bom)]
#[case(Spelling::Nul)]
#[case(Spelling::Surrogate)]
#[case(Spelling::NotUtf8)]
#[case(Spelling::Gzip)]
#[case(Spelling::Reversed)]
#[case(Spelling::Fraction)]
#[case(Spelling::Quoted)]
#[case(Spelling::Deep)]
#[case(Spelling::Huge)]
#[case(Spelling::PrivateKey)]
#[tokio::test]
async fn the_answer_to_a_batch_may_be_spelled_in_any_way(#[case] spelling: Spelling) -> Result<()> {
    let stack = Stack::new(5).await?;
    stack.pems.fault(Operation::Batch, Fault::Odd(spelling));
    commit(&stack, 5).await?;
    // With a short timeout, a busy machine's late answer is a lost one, and its records are read.
    let _relay = stack.relay_with_arguments("run", &["--request-timeout", "20 s"])?;
    stack.until_drained().await?;
    assert_eq!((stack.pems.log().len(), stack.applied().len()), (1, 5), "nothing had to be read");
    stack.check().await
}

/// Read after a lost answer: what was written as null is left out.
#[rstest]
#[case(Spelling::WithoutNulls)]
#[case(Spelling::Quoted)]
#[case(Spelling::Gzip)]
#[tokio::test]
async fn a_record_read_back_may_be_spelled_in_any_way(#[case] spelling: Spelling) -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.pems.fault(Operation::Put, Fault::ResetAfter);
    stack.pems.fault(Operation::Get, Fault::Odd(spelling));
    let id = stack.scenario.edit("1", json!({"model": null})).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    assert_eq!(stack.scenario.state(&id).await?, "synced/synced");
    assert_eq!(stack.pems.log().len(), 2);
    stack.check().await
}

/// A list whose cursors go round is given up, whatever the length of the round.
#[rstest]
#[case(&["A", "A"])]
#[case(&["A", "B", "A"])]
#[case(&["A", "B", "C", "B"])]
#[tokio::test]
async fn cursors_that_go_round_end_the_pull(#[case] cursors: &[&str]) -> Result<()> {
    let stack = Stack::new(3).await?;
    for cursor in cursors.iter().cycle().take(60) {
        stack.pems.fault(Operation::List, Fault::Next((*cursor).to_owned()));
    }
    assert!(!stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.pems.log().len(), cursors.len());
    let error = stack.scenario.value::<String>("select last_error from pfa_sync.pulls where status = 'failed'").await?;
    assert!(error.contains("cursor"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_empty_cursor_ends_the_list() -> Result<()> {
    let stack = Stack::new(3).await?;
    stack.pems.fault(Operation::List, Fault::Next(String::new()));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.pems.log().len(), 1);
    stack.check().await
}

/// The answer to a write is lost, and PEMS refuses to show the record.
#[rstest]
#[case(403)]
#[case(410)]
#[tokio::test]
async fn a_read_that_is_refused_for_good_ends_with_pems_reason(#[case] status: u16) -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.pems.fault(Operation::Put, Fault::ResetBefore);
    for _ in 0..20 {
        stack.pems.fault(Operation::Get, Fault::Refuse(status, "SEALED".to_owned(), "the record is sealed".to_owned()));
    }
    commit(&stack, 1).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    let error: String = stack.scenario.value("select error from pfa_sync.dead_letters").await?;
    assert!(error.contains("may have been applied") && error.contains("SEALED: the record is sealed"), "{error}");
    Ok(())
}

/// PEMS answers 200 and refuses: its reason stands in the dead letter, once.
#[tokio::test]
async fn a_200_that_refuses_ends_with_pems_reason() -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.scenario.client.batch_execute("select pfa_sync.set('max_retries', '2'), pfa_sync.set('lease', '1 s')").await?;
    for _ in 0..20 {
        stack.pems.fault(Operation::Put, Fault::ErrorBody);
    }
    commit(&stack, 1).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    let error: String = stack.scenario.value("select error from pfa_sync.dead_letters").await?;
    assert_eq!(error, "PEMS answered 200 without confirming the write: FAULT: as ordered");
    Ok(())
}
