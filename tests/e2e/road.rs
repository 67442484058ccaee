//! From the application's UPDATE to PEMS and back, through the real relay.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO};

use crate::support::plant::Plant;

#[tokio::test]
async fn an_edit_reaches_pems_and_comes_back() -> Result<()> {
    let plant = Plant::new(3).await?;
    let relay = plant.relay("run")?;
    let id = plant.world.edit("1", json!({"monthlyRate": 13000.5, "forecastEnd": "2027-01-31"})).await?;
    plant.until_drained().await?;

    assert_eq!(plant.world.state(&id).await?, "synced/synced");
    let put = &plant.pems.log()[0];
    assert_eq!((put.operation, put.status, put.organization.as_deref()), (Operation::Put, Some(200), Some("RIO")));
    assert_eq!(put.writes[0].changes, json!({"monthlyRate": 13000.5, "forecastEnd": "2027-01-31T00:00:00.000Z"}));
    assert_eq!((put.writes[0].version, put.writes[0].modified_by.as_str()), (1, "edith@example.com"));
    assert_eq!(put.writes[0].idempotency_key.as_deref(), Some("1-1"));
    assert!(relay.stop().await?.success());
    plant.check().await
}

#[tokio::test]
async fn a_thousand_edits_go_in_ten_batches_within_the_limit() -> Result<()> {
    let plant = Plant::new(1_000).await?;
    let relay = plant.relay("run")?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "baseVersion", "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, jsonb_build_object('contract', 'C-' || "pfaId"), version, now() from pfa_mirror"#;
    plant.world.client.execute(insert, &[&EDITOR]).await?;
    assert_eq!(plant.world.application().commit(EDITOR, RIO).await?, 1_000);
    plant.until_drained().await?;

    let log = plant.pems.log();
    assert_eq!(
        log.iter().map(|request| (request.operation, request.status)).collect::<Vec<_>>(),
        vec![(Operation::Batch, Some(200)); 10]
    );
    assert_eq!(plant.applied().len(), 1_000);
    assert_eq!(plant.world.value::<i64>(r#"select count(*) from pfa_modification where "syncState" = 'synced'"#).await?, 1_000);
    relay.stop().await?;
    plant.check().await
}

#[tokio::test]
async fn a_soft_delete_is_pems_delete() -> Result<()> {
    let plant = Plant::new(3).await?;
    let _relay = plant.relay("run")?;
    plant.world.edit("1", json!({"isDiscontinued": true})).await?;
    plant.until_drained().await?;
    assert_eq!(plant.pems.log()[0].operation, Operation::Delete);
    assert_eq!(plant.pems.record("RIO", "1").unwrap()["isDiscontinued"], true);
    plant.check().await
}

#[tokio::test]
async fn what_pems_changed_unseen_becomes_a_conflict_or_a_rebased_write() -> Result<()> {
    let plant = Plant::new(3).await?;
    plant.foreign_edit("1", json!({"monthlyRate": 11000}));
    plant.foreign_edit("2", json!({"monthlyRate": 11000}));
    let _relay = plant.relay("run")?;
    let clashing = plant.world.edit("1", json!({"monthlyRate": 13000})).await?;
    let disjoint = plant.world.edit("2", json!({"model": "LTM 1300"})).await?;
    plant.until_drained().await?;

    assert_eq!(plant.world.state(&clashing).await?, "conflict/conflict");
    assert_eq!(plant.pems.record("RIO", "1").unwrap()["monthlyRate"], 11000, "nobody's value is overwritten");
    assert_eq!(plant.world.state(&disjoint).await?, "synced/synced");
    let record = plant.pems.record("RIO", "2").unwrap();
    assert_eq!((&record["monthlyRate"], &record["model"]), (&json!(11000), &json!("LTM 1300")));
    plant.check().await
}

#[tokio::test]
async fn a_resolved_conflict_reaches_pems() -> Result<()> {
    let plant = Plant::new(1).await?;
    plant.foreign_edit("1", json!({"monthlyRate": 11000}));
    let _relay = plant.relay("run")?;
    let id = plant.world.edit("1", json!({"monthlyRate": 13000})).await?;
    plant.until("select exists (select from pfa_sync.conflicts)").await?;
    plant
        .world
        .client
        .execute("select pfa_sync.resolve_conflict(1, 'merge', 'usr_second', '{\"monthlyRate\": 12000}')", &[])
        .await?;
    plant.until_drained().await?;
    assert_eq!(plant.world.state(&id).await?, "synced/synced");
    assert_eq!(plant.pems.record("RIO", "1").unwrap()["monthlyRate"], 12000);
    plant.check().await
}

/// A record that PEMS refuses does not hold up the others of its batch.
#[tokio::test]
async fn one_poison_record_blocks_nobody() -> Result<()> {
    let plant = Plant::new(20).await?;
    plant.world.ingest(&[testbed::application::pems_record("RIO", "999")]).await?;
    for id in (1..=20).map(|id| id.to_string()).chain(["999".to_owned()]) {
        plant.world.application().draft(EDITOR, RIO, &id, json!({"model": "X"})).await?;
    }
    plant.world.application().commit(EDITOR, RIO).await?;
    let _relay = plant.relay("run")?;
    plant.until_drained().await?;

    assert_eq!(plant.applied().len(), 20);
    let letter = plant.world.client.query_one("select pfa_id, code, http_status from pfa_sync.dead_letters", &[]).await?;
    assert_eq!((letter.get::<_, &str>(0), letter.get::<_, &str>(1), letter.get::<_, i32>(2)), ("999", "REJECTED", 404));
    plant.check().await
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
    let plant = Plant::new(5).await?;
    for (operation, fault) in faults {
        plant.pems.fault(*operation, fault.clone());
    }
    for id in 1..=edits {
        plant.world.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
    }
    plant.world.application().commit(EDITOR, RIO).await?;
    let _relay = plant.relay("run")?;
    plant.until_drained().await?;

    let synced: i64 = plant.world.value(r#"select count(*) from pfa_modification where "syncState" = 'synced'"#).await?;
    assert_eq!((synced, plant.applied().len() as i64), (edits, edits));
    let shown: Vec<_> = plant.pems.log().into_iter().filter_map(|request| Some((request.operation, request.fault?))).collect();
    assert_eq!(shown, faults, "every fault was met");
    plant.check().await
}

/// A key is text, and an address is not.
#[tokio::test]
async fn a_key_of_any_characters_finds_its_record() -> Result<()> {
    let plant = Plant::with(&["Ä/7 50%25?#", "..", "007"]).await?;
    let _relay = plant.relay("run")?;
    for id in ["Ä/7 50%25?#", "007"] {
        plant.world.edit(id, json!({"model": "LTM 1300"})).await?;
        plant.until_drained().await?;
        assert_eq!(plant.pems.record("RIO", id).unwrap()["model"], "LTM 1300");
    }
    plant.check().await
}

/// A relay that dies in the middle of a batch loses and doubles nothing, whether PEMS had applied it or not.
#[tokio::test]
async fn a_relay_killed_in_mid_batch_loses_and_doubles_nothing() -> Result<()> {
    for fault in [Fault::Hold, Fault::Latency(60_000)] {
        let plant = Plant::new(8).await?;
        plant.pems.fault(Operation::Batch, fault.clone());
        for id in 1..=8 {
            plant.world.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
        }
        plant.world.application().commit(EDITOR, RIO).await?;
        let doomed = plant.relay("run")?;
        if fault == Fault::Hold {
            plant.until_pems(|log| !log.is_empty()).await?;
        } else {
            plant.until("select exists (select from pfa_sync.queue where sent_at is not null)").await?;
        }
        doomed.kill().await?;

        let relay = plant.relay("run")?;
        plant.until_drained().await?;
        assert_eq!(plant.applied().len(), 8, "{fault:?}");
        assert_eq!(plant.world.value::<i64>(r#"select count(*) from pfa_modification where "syncState" = 'synced'"#).await?, 8);
        relay.stop().await?;
        plant.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn refused_credentials_hold_the_organization() -> Result<()> {
    let plant = Plant::new(2).await?;
    plant.set_password("changed");
    let _relay = plant.relay("run")?;
    let id = plant.world.edit("1", json!({"model": "X"})).await?;
    plant.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    assert_eq!(plant.world.state(&id).await?, "committed/queued");

    plant.set_password("secret");
    plant.world.client.execute("select pfa_sync.resume('RIO')", &[]).await?;
    plant.until_drained().await?;
    assert_eq!(
        plant.world.value::<i32>("select retry_count from pfa_sync_private.pfa_write_queue_archive").await?,
        0,
        "no try is burnt"
    );
    plant.check().await
}

#[tokio::test]
async fn a_stopping_relay_finishes_what_is_under_way() -> Result<()> {
    let plant = Plant::new(2).await?;
    plant.pems.fault(Operation::Put, Fault::Latency(500));
    let relay = plant.relay_with_arguments("run", &["--request-timeout", "20 s"])?;
    let id = plant.world.edit("1", json!({"model": "X"})).await?;
    plant.until("select exists (select from pfa_sync.queue where sent_at is not null)").await?;
    assert!(relay.stop().await?.success());
    assert_eq!(plant.world.state(&id).await?, "synced/synced");
    plant.check().await
}

/// The relay's connections are cut while it waits: it comes back and catches up.
#[tokio::test]
async fn a_relay_cut_off_from_postgres_comes_back() -> Result<()> {
    let plant = Plant::new(2).await?;
    let _relay = plant.relay("run")?;
    plant.world.edit("1", json!({"model": "X"})).await?;
    plant.until_drained().await?;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'login_relay' and datname = current_database()";
    assert!(plant.world.value::<i64>(cut).await? > 0);
    plant.world.edit("2", json!({"model": "X"})).await?;
    plant.until_drained().await?;
    plant.check().await
}

#[tokio::test]
async fn a_pull_fills_the_mirror_and_changes_nothing_the_second_time() -> Result<()> {
    let plant = Plant::new(1_200).await?;
    plant.world.client.batch_execute("delete from pfa_mirror; delete from pfa_sync_private.pems_record").await?;
    assert!(plant.relay("pull")?.wait().await?.success());
    plant.check().await?;
    let versions = r#"select jsonb_agg(jsonb_build_array("pfaId", version, xmin::text) order by "pfaId") from pfa_mirror"#;
    let first: Value = plant.world.value(versions).await?;
    assert_eq!(first.as_array().unwrap().len(), 1_200);

    plant.foreign_edit("7", json!({"model": "moved"}));
    assert!(plant.relay("pull")?.wait().await?.success());
    let second: Value = plant.world.value(versions).await?;
    let moved: Vec<_> = first
        .as_array()
        .unwrap()
        .iter()
        .zip(second.as_array().unwrap())
        .filter(|(a, b)| a != b)
        .map(|(_, b)| b[0].clone())
        .collect();
    assert_eq!(moved, [json!("7")], "only what differs is written");
    plant.check().await
}

#[tokio::test]
async fn a_relay_with_nothing_attached_says_what_to_do() -> Result<()> {
    let plant = Plant::new(1).await?;
    assert!(plant.relay("doctor")?.wait().await?.success());
    plant.world.client.batch_execute("select pfa_sync.detach()").await?;
    let mut doctor = plant.relay("doctor")?;
    let mut lines = Vec::new();
    while let Ok(line) = doctor.line().await {
        lines.push(line);
    }
    assert!(lines.iter().any(|line| line.contains("FAILED") && line.contains("attach")), "{lines:#?}");
    Ok(())
}
