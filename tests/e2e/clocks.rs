//! PEMS' clock is not ours: times of change are compared with the one that its answers show.

use anyhow::Result;
use serde_json::json;

use crate::support::stack::Stack;

const HOUR: i64 = 3_600_000;
const COMPLETED: &str =
    "select count(*) >= (select coalesce(max(value::int), 0) + 2 from mark) from pfa_sync.pulls where status = 'completed'";

/// Waits until a pull that began after this call has completed.
async fn pulled(stack: &Stack) -> Result<()> {
    let mark = "drop table if exists mark; create table mark as select count(*)::text as value from pfa_sync.pulls where status = 'completed'";
    stack.scenario.client.batch_execute(mark).await?;
    stack.until(COMPLETED).await
}

async fn is_moved(stack: &Stack, pfa_id: &str) -> Result<()> {
    let moved = format!("select data->>'model' = 'moved' from pfa_mirror where \"pfaId\" = '{pfa_id}'");
    stack.until(&moved).await
}

/// PEMS' clock is two days behind ours, and one record is stamped 20 hours ahead of it: in our past. A later change, which is
/// stamped before it, is not hidden.
#[tokio::test]
async fn a_record_that_is_stamped_ahead_hides_no_later_change() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.pems.set_clock(-48 * HOUR);
    stack.foreign_edit("1", json!({"model": "ahead"}));
    stack.pems.stamp("RIO", "1", 20 * HOUR);
    stack.pems.stamp("RIO", "2", -HOUR);
    stack.pull_every("1 s", "1 day").await?;
    let _relay = stack.relay("run")?;
    stack.until("select data->>'model' = 'ahead' from pfa_mirror where \"pfaId\" = '1'").await?;
    pulled(&stack).await?;
    stack.foreign_edit("2", json!({"model": "moved"}));
    is_moved(&stack, "2").await?;
    let full = "select count(*) from pfa_sync.pulls where kind = 'full'";
    assert_eq!(stack.scenario.value::<i64>(full).await?, 1, "changes are enough");
    stack.check().await
}

/// PEMS' clock is set back by an hour: what changes from then on is stamped before what was read.
#[tokio::test]
async fn a_clock_that_is_set_back_hides_no_change() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.pull_every("1 s", "1 day").await?;
    let _relay = stack.relay("run")?;
    pulled(&stack).await?;
    stack.pems.set_clock(-HOUR);
    stack.foreign_edit("1", json!({"model": "moved"}));
    is_moved(&stack, "1").await?;
    // Once it is known, changes are enough again.
    pulled(&stack).await?;
    let full = "select count(*) from pfa_sync.pulls where kind = 'full'";
    let before: i64 = stack.scenario.value(full).await?;
    stack.foreign_edit("2", json!({"model": "moved"}));
    is_moved(&stack, "2").await?;
    assert_eq!(stack.scenario.value::<i64>(full).await?, before);
    stack.check().await
}

/// PEMS' clock was a day ahead for a while, and is right again.
#[tokio::test]
async fn a_clock_that_was_ahead_hides_no_change() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.pems.set_clock(24 * HOUR);
    stack.foreign_edit("1", json!({"model": "moved"}));
    stack.pull_every("1 s", "1 day").await?;
    let _relay = stack.relay("run")?;
    is_moved(&stack, "1").await?;
    stack.pems.set_clock(0);
    stack.foreign_edit("2", json!({"model": "moved"}));
    is_moved(&stack, "2").await?;
    stack.check().await
}
