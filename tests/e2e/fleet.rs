//! Several relays at one queue: they share the work and PEMS' limit, and no organization waits for another.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, HARBOUR, RIO, pems_record};

use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

/// Commits two edits of every record of RIO, in one statement.
async fn commit_two_of_each(stack: &Stack) -> Result<u64> {
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "baseVersion", "createdAt", "updatedAt")
        select 'mod_' || n || '_' || "pfaId", id, "organizationId", $1, jsonb_build_object('contract', 'C-' || n), 'committed', version, now() + n * interval '1 ms', now()
          from pfa_mirror, generate_series(1, 2) n"#;
    Ok(stack.scenario.client.execute(insert, &[&EDITOR]).await?)
}

/// Whether the relays kept PEMS' limit. Relays that share no slots are refused every other request. The first requests
/// of new relays arrive bunched, since each opens its connection within its slot; a busy machine may bunch some more.
fn kept_the_limit(stack: &Stack) -> bool {
    let log = stack.pems.log();
    log.iter().filter(|request| request.status == Some(429)).count() * 20 <= log.len().max(20)
}

#[rstest]
#[case::one(1)]
#[case::two(2)]
#[case::five(5)]
#[tokio::test]
async fn relays_share_the_work_and_the_limit(#[case] relays: usize) -> Result<()> {
    let stack = Stack::new(600).await?;
    let start = |_| stack.relay_with_arguments("run", &["--batch-size", "20"]);
    let relays = (0..relays).map(start).collect::<Result<Vec<_>>>()?;
    assert_eq!(commit_two_of_each(&stack).await?, 1_200);
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 1_200);
    assert!(kept_the_limit(&stack));
    for relay in relays {
        assert!(relay.stop().await?.success());
    }
    stack.check().await
}

/// Relays die in the middle of a request, are stopped, and others come in their place.
#[tokio::test]
async fn relays_that_come_and_go_keep_the_limit_and_lose_nothing() -> Result<()> {
    let stack = Stack::new(300).await?;
    let start = || stack.relay_with_arguments("run", &["--batch-size", "10"]);
    let mut relays = vec![start()?, start()?];
    assert_eq!(commit_two_of_each(&stack).await?, 600);
    for round in 1..=5 {
        stack.until_pems(|log| log.len() >= round * 8).await?;
        relays.push(start()?);
        let relay = relays.remove(0);
        if round % 2 == 0 {
            relay.stop().await?
        } else {
            relay.kill().await?
        };
    }
    stack.until_drained().await?;
    assert!(kept_the_limit(&stack));
    assert_eq!(stack.applied().len(), 600);
    stack.check().await
}

#[tokio::test]
async fn organizations_take_turns_however_much_one_of_them_has() -> Result<()> {
    let scenario = Scenario::empty().await?;
    for code in ["RIO", "HARBOUR"] {
        let records: Vec<_> = (1..=6).map(|id| pems_record(code, &id.to_string())).collect();
        scenario.client.query("select * from pfa_sync.ingest($1, $2)", &[&code, &json!(records)]).await?;
    }
    for (organization, edits) in [(RIO, 6), (HARBOUR, 2)] {
        for id in 1..=edits {
            scenario.application().draft(EDITOR, organization, &id.to_string(), json!({"model": "X"})).await?;
        }
        scenario.application().commit(EDITOR, organization).await?;
    }
    let mut turns = Vec::new();
    loop {
        let claimed =
            scenario.client.query("select organization_code from pfa_sync.claim('relay-1', max_records => 1)", &[]).await?;
        let Some(first) = claimed.first() else { break };
        turns.push(first.get::<_, String>(0));
    }
    assert_eq!(turns[..4].iter().filter(|code| *code == "HARBOUR").count(), 2, "{turns:?}");
    assert_eq!(turns.len(), 8);
    Ok(())
}
