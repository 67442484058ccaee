//! From the application's UPDATE to PEMS and back, through the real relay.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO};

use crate::support::stack::Stack;

#[tokio::test]
async fn an_edit_reaches_pems_and_comes_back() -> Result<()> {
    let stack = Stack::new(3).await?;
    let relay = stack.relay("run")?;
    let id = stack.scenario.edit("1", json!({"monthlyRate": 13000.5, "forecastEnd": "2027-01-31"})).await?;
    stack.until_drained().await?;

    assert_eq!(stack.scenario.state(&id).await?, "synced/synced");
    let put = &stack.pems.log()[0];
    assert_eq!((put.operation, put.status, put.organization.as_deref()), (Operation::Put, Some(200), Some("RIO")));
    assert_eq!(put.writes[0].changes, json!({"monthlyRate": 13000.5, "forecastEnd": "2027-01-31T00:00:00.000Z"}));
    assert_eq!((put.writes[0].version, put.writes[0].modified_by.as_str()), (1, "edith@example.com"));
    assert!(put.writes[0].idempotency_key.as_deref().is_some_and(|key| key.starts_with("1-") && key.len() == 34));
    assert!(relay.stop().await?.success());
    stack.check().await
}

#[tokio::test]
async fn a_thousand_edits_go_in_ten_batches_within_the_limit() -> Result<()> {
    let stack = Stack::new(1_000).await?;
    let relay = stack.relay("run")?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, jsonb_build_object('contract', 'C-' || "pfaId"), version, now() from pfa_mirror"#;
    stack.scenario.client.execute(insert, &[&EDITOR]).await?;
    assert_eq!(stack.scenario.application().commit(EDITOR, RIO).await?, 1_000);
    stack.until_drained().await?;

    let log = stack.pems.log();
    assert_eq!(
        log.iter().map(|request| (request.operation, request.status)).collect::<Vec<_>>(),
        vec![(Operation::Batch, Some(200)); 10]
    );
    assert_eq!(stack.applied().len(), 1_000);
    assert_eq!(
        stack.scenario.value::<i64>(r#"select count(*) from pfa_modification where "syncState" = 'synced'"#).await?,
        1_000
    );
    relay.stop().await?;
    stack.check().await
}

#[tokio::test]
async fn a_soft_delete_is_pems_delete() -> Result<()> {
    let stack = Stack::new(3).await?;
    let _relay = stack.relay("run")?;
    stack.scenario.edit("1", json!({"isDiscontinued": true})).await?;
    stack.until_drained().await?;
    assert_eq!(stack.pems.log()[0].operation, Operation::Delete);
    assert_eq!(stack.pems.record("RIO", "1").unwrap()["isDiscontinued"], true);
    stack.check().await
}

#[tokio::test]
async fn what_pems_changed_unseen_becomes_a_conflict_or_a_rebased_write() -> Result<()> {
    let stack = Stack::new(3).await?;
    stack.foreign_edit("1", json!({"monthlyRate": 11000}));
    stack.foreign_edit("2", json!({"monthlyRate": 11000}));
    let _relay = stack.relay("run")?;
    let clashing = stack.scenario.edit("1", json!({"monthlyRate": 13000})).await?;
    let disjoint = stack.scenario.edit("2", json!({"model": "LTM 1300"})).await?;
    stack.until_drained().await?;

    assert_eq!(stack.scenario.state(&clashing).await?, "conflict/conflict");
    assert_eq!(stack.pems.record("RIO", "1").unwrap()["monthlyRate"], 11000, "no value is overwritten without a conflict");
    assert_eq!(stack.scenario.state(&disjoint).await?, "synced/synced");
    let record = stack.pems.record("RIO", "2").unwrap();
    assert_eq!((&record["monthlyRate"], &record["model"]), (&json!(11000), &json!("LTM 1300")));
    stack.check().await
}

#[tokio::test]
async fn a_resolved_conflict_reaches_pems() -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.foreign_edit("1", json!({"monthlyRate": 11000}));
    let _relay = stack.relay("run")?;
    let id = stack.scenario.edit("1", json!({"monthlyRate": 13000})).await?;
    stack.until("select exists (select from pfa_sync.conflicts)").await?;
    stack
        .scenario
        .client
        .execute("select pfa_sync.resolve_conflict(1, 'merge', 'usr_second', '{\"monthlyRate\": 12000}')", &[])
        .await?;
    stack.until_drained().await?;
    assert_eq!(stack.scenario.state(&id).await?, "synced/synced");
    assert_eq!(stack.pems.record("RIO", "1").unwrap()["monthlyRate"], 12000);
    stack.check().await
}

/// A record that PEMS refuses does not hold up the others of its batch.
#[tokio::test]
async fn a_record_that_pems_refuses_blocks_no_other() -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.scenario.ingest(&[testbed::application::pems_record("RIO", "999")]).await?;
    for id in (1..=20).map(|id| id.to_string()).chain(["999".to_owned()]) {
        stack.scenario.application().draft(EDITOR, RIO, &id, json!({"model": "X"})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;

    assert_eq!(stack.applied().len(), 20);
    let letter = stack.scenario.client.query_one("select pfa_id, code, http_status from pfa_sync.dead_letters", &[]).await?;
    assert_eq!((letter.get::<_, &str>(0), letter.get::<_, &str>(1), letter.get::<_, i32>(2)), ("999", "REJECTED", 404));
    stack.check().await
}

/// Whatever goes wrong on the way, the edits arrive, each once.
#[rstest]
#[case::unavailable_and_throttled(1, &[(Operation::Put, Fault::Status(503, None)), (Operation::Put, Fault::Status(429, Some(1)))])]
#[case::reset_before(1, &[(Operation::Put, Fault::ResetBefore)])]
#[case::reset_after(1, &[(Operation::Put, Fault::ResetAfter)])]
#[case::malformed(1, &[(Operation::Put, Fault::Malformed)])]
#[case::reset_and_then_unreadable(1, &[(Operation::Put, Fault::ResetAfter), (Operation::Get, Fault::Status(503, None))])]
#[case::batch_reset_after(5, &[(Operation::Batch, Fault::ResetAfter)])]
#[case::batch_applied_in_part(5, &[(Operation::Batch, Fault::Partial(3))])]
#[case::batch_refused_as_a_whole(5, &[(Operation::Batch, Fault::Status(400, None))])]
#[tokio::test]
async fn transient_faults_delay_and_nothing_more(#[case] edits: i64, #[case] faults: &[(Operation, Fault)]) -> Result<()> {
    let stack = Stack::new(5).await?;
    for (operation, fault) in faults {
        stack.pems.fault(*operation, fault.clone());
    }
    for id in 1..=edits {
        stack.scenario.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;

    let synced: i64 = stack.scenario.value(r#"select count(*) from pfa_modification where "syncState" = 'synced'"#).await?;
    assert_eq!((synced, stack.applied().len() as i64), (edits, edits));
    let shown: Vec<_> = stack.pems.log().into_iter().filter_map(|request| Some((request.operation, request.fault?))).collect();
    assert_eq!(shown, faults, "every fault was met");
    stack.check().await
}

/// A key is text, and an address is not.
#[tokio::test]
async fn a_key_of_any_characters_finds_its_record() -> Result<()> {
    let stack = Stack::with(&["Ä/7 50%25?#", "007"]).await?;
    let _relay = stack.relay("run")?;
    for id in ["Ä/7 50%25?#", "007"] {
        stack.scenario.edit(id, json!({"model": "LTM 1300"})).await?;
        stack.until_drained().await?;
        assert_eq!(stack.pems.record("RIO", id).unwrap()["model"], "LTM 1300");
    }
    stack.check().await
}

/// A relay that dies in the middle of a batch loses and doubles nothing, whether PEMS had applied it or not.
#[tokio::test]
async fn a_relay_killed_in_mid_batch_loses_and_doubles_nothing() -> Result<()> {
    for fault in [Fault::Hold, Fault::Latency(60_000)] {
        let stack = Stack::new(8).await?;
        stack.pems.fault(Operation::Batch, fault.clone());
        for id in 1..=8 {
            stack.scenario.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
        }
        stack.scenario.application().commit(EDITOR, RIO).await?;
        let doomed = stack.relay("run")?;
        if fault == Fault::Hold {
            stack.until_pems(|log| !log.is_empty()).await?;
        } else {
            stack.until("select exists (select from pfa_sync.queue where sent_at is not null)").await?;
        }
        doomed.kill().await?;

        let relay = stack.relay("run")?;
        stack.until_drained().await?;
        assert_eq!(stack.applied().len(), 8, "{fault:?}");
        assert_eq!(
            stack.scenario.value::<i64>(r#"select count(*) from pfa_modification where "syncState" = 'synced'"#).await?,
            8
        );
        relay.stop().await?;
        stack.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn refused_credentials_hold_the_organization() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.set_password("changed");
    let _relay = stack.relay("run")?;
    let id = stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!(stack.scenario.state(&id).await?, "committed/queued");

    stack.set_password("secret");
    stack.scenario.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    stack.until_drained().await?;
    assert_eq!(
        stack.scenario.value::<i32>("select retry_count from pfa_sync_private.pfa_write_queue_archive").await?,
        0,
        "no try is burnt"
    );
    stack.check().await
}

#[tokio::test]
async fn a_stopping_relay_finishes_what_is_under_way() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.pems.fault(Operation::Put, Fault::Latency(500));
    let relay = stack.relay_with_arguments("run", &["--request-timeout", "20 s"])?;
    let id = stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until("select exists (select from pfa_sync.queue where sent_at is not null)").await?;
    assert!(relay.stop().await?.success());
    assert_eq!(stack.scenario.state(&id).await?, "synced/synced");
    stack.check().await
}

/// The relay's connections are cut while it waits: it comes back and catches up.
#[tokio::test]
async fn a_relay_cut_off_from_postgres_comes_back() -> Result<()> {
    let stack = Stack::new(2).await?;
    let _relay = stack.relay("run")?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'login_relay' and datname = current_database()";
    assert!(stack.scenario.value::<i64>(cut).await? > 0);
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    stack.check().await
}

#[tokio::test]
async fn a_pull_fills_the_mirror_and_changes_nothing_the_second_time() -> Result<()> {
    let stack = Stack::new(1_200).await?;
    stack.scenario.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    assert!(stack.relay("pull")?.wait().await?.success());
    stack.check().await?;
    let versions = r#"select jsonb_agg(jsonb_build_array("pfaId", version, xmin::text) order by "pfaId") from pfa_mirror"#;
    let first: Value = stack.scenario.value(versions).await?;
    assert_eq!(first.as_array().unwrap().len(), 1_200);

    stack.foreign_edit("7", json!({"model": "moved"}));
    assert!(stack.relay("pull")?.wait().await?.success());
    let second: Value = stack.scenario.value(versions).await?;
    let moved: Vec<_> = first
        .as_array()
        .unwrap()
        .iter()
        .zip(second.as_array().unwrap())
        .filter(|(a, b)| a != b)
        .map(|(_, b)| b[0].clone())
        .collect();
    assert_eq!(moved, [json!("7")], "only what differs is written");
    stack.check().await
}

#[tokio::test]
async fn a_relay_with_nothing_attached_says_what_to_do() -> Result<()> {
    let stack = Stack::new(1).await?;
    assert!(stack.relay("doctor")?.wait().await?.success());
    stack.scenario.client.batch_execute("select pfa_sync.detach()").await?;
    let mut doctor = stack.relay("doctor")?;
    let mut lines = Vec::new();
    while let Ok(line) = doctor.line().await {
        lines.push(line);
    }
    assert!(lines.iter().any(|line| line.contains("FAILED") && line.contains("attach")), "{lines:#?}");
    Ok(())
}
