//! Rollbacks all the way to PEMS, by relays that are killed, while PEMS is away.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, SECOND};

use crate::support::stack::Stack;

const RECORDS: usize = 1000;
const ROLLBACK: &str = "select * from pfa_sync.rollback($1, 'usr_admin', 'the import was wrong', (select digest from pfa_sync.rollback_preview($1, null, 'usr_admin')))";

/// One commit that sets the model of every record.
async fn commit_all(stack: &Stack) -> Result<i64> {
    let draft = r#"
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'wrong_' || m."pfaId", m.id, m."organizationId", $1, '{"model": "Wrong"}', m.version, now() from pfa_mirror m"#;
    stack.scenario.client.execute(draft, &[&EDITOR]).await?;
    stack.scenario.application().commit(EDITOR, RIO).await?;
    stack.scenario.value("select max(job_id) from pfa_sync.jobs").await
}

/// How many records of PEMS have each model.
fn models(stack: &Stack) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for record in stack.pems.records("RIO") {
        *counts.entry(record["model"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[tokio::test]
async fn of_a_thousand_records_those_that_were_written_since_are_left() -> Result<()> {
    let stack = Stack::new(RECORDS).await?;
    let job = commit_all(&stack).await?;
    // Three are in flight in another relay.
    let held = stack
        .scenario
        .client
        .query("select queue_id, fencing_token from pfa_sync.claim('other', null, 3, '1 hour')", &[])
        .await?;
    let held: Value =
        held.iter().map(|row| json!({"queue_id": row.get::<_, i64>(0), "fencing_token": row.get::<_, i32>(1)})).collect();
    let relay = stack.relay("run")?;
    stack.until("select count(*) = 3 from pfa_sync.queue").await?;
    // Ten are changed here, ten in PEMS.
    let written = "select array_agg(pfa_id order by pfa_id::int) from pfa_sync.changes where status = 'completed'";
    let written: Vec<String> = stack.scenario.value(written).await?;
    for pfa_id in &written[..10] {
        stack.scenario.application().draft(SECOND, RIO, pfa_id, json!({"model": "Mine"})).await?;
    }
    stack.scenario.application().commit(SECOND, RIO).await?;
    stack.until("select count(*) = 3 from pfa_sync.queue").await?;
    written[10..20].iter().for_each(|pfa_id| stack.foreign_edit(pfa_id, json!({"model": "Theirs"})));
    assert!(stack.relay("pull")?.wait().await?.success());

    let preview = "select restores, blocked, by_reason from pfa_sync.rollback_preview($1, null, 'usr_admin')";
    let preview = stack.scenario.client.query_one(preview, &[&job]).await?;
    assert_eq!((preview.get::<_, i64>(0), preview.get::<_, i64>(1)), (977, 23));
    assert_eq!(preview.get::<_, Value>(2), json!({"CHANGED_SINCE": 20, "IN_FLIGHT": 3}));
    let done = stack.scenario.client.query_one(ROLLBACK, &[&job]).await?;
    assert_eq!((done.get::<_, i64>("queued"), done.get::<_, i64>("blocked")), (977, 23));
    stack
        .until(
            "select count(*) = 3 from pfa_sync.queue where not exists (select from pfa_sync.bulk_jobs where state = 'running')",
        )
        .await?;
    stack.scenario.client.execute("select pfa_sync.release('other', $1)", &[&held]).await?;
    stack.until_drained().await?;
    assert!(relay.stop().await?.success());
    let expected =
        [("LTM 1100", 977), ("Mine", 10), ("Theirs", 10), ("Wrong", 3)].map(|(model, count)| (model.to_owned(), count));
    assert_eq!(models(&stack), expected);
    stack.check().await
}

/// The relay is killed after each slice, while PEMS is away; then the rollback is rolled back itself.
#[tokio::test]
async fn a_rollback_survives_its_relays_and_an_outage_of_pems() -> Result<()> {
    let stack = Stack::new(RECORDS).await?;
    let job = commit_all(&stack).await?;
    let relay = stack.relay("run")?;
    stack.until_drained().await?;
    assert!(relay.stop().await?.success());
    stack.pems.set_gateway(Some((503, "<html>maintenance</html>")));
    let done = stack.scenario.client.query_one(ROLLBACK, &[&job]).await?;
    let (undo, waiting): (i64, i64) = (done.get("rollback_job_id"), done.get("waiting"));
    assert_eq!(waiting, 800, "the first slice is done when the call returns");
    for slices in 2..=5 {
        let relay = stack.relay("run")?;
        stack.until(&format!("select slices >= {slices} from pfa_sync.bulk_jobs where job_id = {undo}")).await?;
        relay.kill().await?;
    }
    stack.pems.set_gateway(None);
    let relay = stack.relay("run")?;
    stack.until_drained().await?;
    let items = "select done::int[] from (select array[done, skipped, failed, waiting] as done from pfa_sync.bulk_jobs where job_id = (select max(job_id) from pfa_sync.bulk_jobs)) i";
    assert_eq!(stack.scenario.value::<Vec<i32>>(items).await?, [1000, 0, 0, 0]);
    assert_eq!(models(&stack), [("LTM 1100".to_owned(), RECORDS)]);
    stack.check().await?;

    stack.scenario.client.query_one(ROLLBACK, &[&undo]).await?;
    stack.until_drained().await?;
    assert!(relay.stop().await?.success());
    assert_eq!(models(&stack), [("Wrong".to_owned(), RECORDS)]);
    stack.scenario.check().await
}
