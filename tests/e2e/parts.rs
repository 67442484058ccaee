//! One value that can't be read, nested too deeply or no number for a database, spoils its record and no other.

use anyhow::Result;
use pems_simulator::{Fault, Operation, Spelling};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO};

use crate::support::stack::Stack;

async fn commit(stack: &Stack, edits: usize) -> Result<()> {
    for id in 1..=edits {
        stack.scenario.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    Ok(())
}

/// The record is refused by its id with the reason, and the others of the page are taken in.
#[rstest]
#[case(Spelling::Deep, "remark: nested deeper than 128 levels")]
#[case(Spelling::Huge, "remark: a number that can't be stored")]
#[case(Spelling::PrivateKey, "remark: ")]
#[tokio::test]
async fn a_record_that_can_not_be_read_stops_no_page(#[case] spelling: Spelling, #[case] reason: &str) -> Result<()> {
    let stack = Stack::new(12).await?;
    (1..=12).for_each(|id| stack.foreign_edit(&id.to_string(), json!({"model": "moved"})));
    stack.pems.fault(Operation::List, Fault::Odd(spelling));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    let first =
        stack.scenario.value::<Value>("select rejects from pfa_sync_private.sync_pull_page where pull_id is not null").await?;
    assert_eq!(first.as_array().map(Vec::len), Some(1), "{first}");
    let pfa_id = first[0]["pfaId"].as_str().unwrap_or_default();
    assert!(stack.pems.record("RIO", pfa_id).is_some() && first[0]["reason"].as_str().unwrap().starts_with(reason), "{first}");
    let moved = r#"select count(*) from pfa_mirror where data->>'model' = 'moved'"#;
    assert_eq!(stack.scenario.value::<i64>(moved).await?, 11);
    assert_eq!(stack.scenario.value::<String>("select code from pfa_sync.health('RIO')").await?, "ok", "no drift");
    // The next page has the record whole.
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    stack.check().await
}

/// A record that no page contained is asked for, and can't be read: it stays as it is, and the pull completes.
#[tokio::test]
async fn a_missing_record_that_can_not_be_read_ends_no_pull() -> Result<()> {
    let stack = Stack::new(3).await?;
    stack.pems.fault(Operation::List, Fault::Skip(2));
    stack.pems.fault(Operation::Get, Fault::Odd(Spelling::Deep));
    assert!(stack.relay_with_arguments("pull", &["--organization", "RIO"])?.wait().await?.success());
    assert_eq!(stack.pems.log().len(), 3, "the other one is asked for, too");
    assert_eq!(stack.scenario.value::<String>("select status from pfa_sync.pulls").await?, "completed");
    stack.check().await
}

/// The answers to two writes are lost, and one record can't be read back: its edit ends with the reason, the other completes.
#[rstest]
#[case(Spelling::Deep, "nested deeper than 128 levels")]
#[case(Spelling::Huge, "a number that can't be stored")]
#[case(Spelling::PrivateKey, "remark: ")]
#[tokio::test]
async fn an_edit_whose_record_can_not_be_read_ends_with_the_reason(
    #[case] spelling: Spelling,
    #[case] reason: &str,
) -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.pems.fault(Operation::Batch, Fault::ResetAfter);
    stack.pems.fault(Operation::Get, Fault::Odd(spelling));
    commit(&stack, 2).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    let letter = stack.scenario.client.query_one("select code, error from pfa_sync.dead_letters", &[]).await?;
    let error: String = letter.get(1);
    assert!(error.contains("may have been applied") && error.contains(reason), "{error}");
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_modification where \"syncState\" = 'synced'").await?, 1);
    Ok(())
}
