//! What the relay does when PEMS, Postgres or the way to them fails.

use anyhow::Result;
use pems_simulator::{Fault, Operation};
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO};
use testbed::cluster::{Cluster, Login, Options, Shutdown};
use testbed::proxy::Proxy;

use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

/// Commits an edit of records 1 to `edits`, in one statement.
async fn commit(stack: &Stack, edits: usize) -> Result<()> {
    for id in 1..=edits {
        stack.scenario.application().draft(EDITOR, RIO, &id.to_string(), json!({"model": "LTM 1300"})).await?;
    }
    stack.scenario.application().commit(EDITOR, RIO).await?;
    Ok(())
}

fn operations(stack: &Stack) -> Vec<Operation> {
    stack.pems.log().iter().map(|request| request.operation).collect()
}

#[rstest]
#[case::applied(Fault::ResetAfter, &[Operation::Batch, Operation::List])]
#[case::not_applied(Fault::ResetBefore, &[Operation::Batch, Operation::List, Operation::Batch])]
#[case::applied_in_part(Fault::Partial(7), &[Operation::Batch, Operation::List, Operation::Batch])]
#[tokio::test]
async fn a_lost_batch_is_settled_by_one_list(#[case] fault: Fault, #[case] expected: &[Operation]) -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.pems.fault(Operation::Batch, fault);
    commit(&stack, 20).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    assert_eq!(operations(&stack), expected);
    assert_eq!(stack.applied().len(), 20);
    stack.check().await
}

#[tokio::test]
async fn a_batch_that_is_refused_is_halved_until_the_guilty_record_stands_alone() -> Result<()> {
    let stack = Stack::new(8).await?;
    for _ in 0..3 {
        stack.pems.fault(Operation::Batch, Fault::Status(400, None));
    }
    stack.pems.fault(Operation::Put, Fault::Status(400, None));
    commit(&stack, 8).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    let expected = [Operation::Batch; 3].into_iter().chain([Operation::Put; 2]).chain([Operation::Batch; 2]);
    assert_eq!(operations(&stack), expected.collect::<Vec<_>>());
    assert_eq!((stack.applied().len(), stack.scenario.value::<i64>("select count(*) from pfa_sync.dead_letters").await?), (7, 1));
    stack.check().await
}

/// PEMS is away for longer than any change's tries would last.
#[tokio::test]
async fn an_outage_opens_the_breaker_and_burns_no_tries() -> Result<()> {
    let stack = Stack::new(1).await?;
    stack
        .scenario
        .client
        .batch_execute("select pfa_sync.set('max_retries', '1'), pfa_sync.set('breaker_threshold', '1'), pfa_sync.set('breaker_delay', '20 ms'), pfa_sync.set('breaker_delay_max', '100 ms')")
        .await?;
    for _ in 0..6 {
        stack.pems.fault(Operation::Put, Fault::Status(503, None));
    }
    commit(&stack, 1).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 1);
    assert!(stack.scenario.value::<i32>("select retry_count from pfa_sync_private.pfa_write_queue_archive").await? <= 1);
    let listed = "select array_agg(event_type order by id) from pfa_sync_private.pfa_audit_log where event_type like 'BREAKER%'";
    assert_eq!(stack.scenario.value::<Vec<String>>(listed).await?, ["BREAKER_OPENED", "BREAKER_CLOSED"]);
    assert_eq!(stack.scenario.value::<String>("select state from pfa_sync.breakers").await?, "closed");
    stack.check().await
}

#[tokio::test]
async fn new_credentials_end_the_hold_by_themselves() -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.set_password("changed");
    let relay = stack.relay("run")?;
    commit(&stack, 1).await?;
    stack.until("select health = 'held' from pfa_sync.status('RIO')").await?;
    relay.stop().await?;
    let same = stack.relay("run")?;
    stack.until("select count(*) = 2 from pfa_sync_private.relay").await?;
    assert_eq!(stack.scenario.value::<String>("select health from pfa_sync.status('RIO')").await?, "held");
    same.stop().await?;

    let _relay = stack.relay_with("run", |command| {
        command.env("PEMS_PASSWORD", "changed");
    })?;
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 1);
    stack.check().await
}

/// Reading 30 records takes longer than the lease of 2 s, and another relay is there to take them up.
#[tokio::test]
async fn leases_are_renewed_as_long_as_a_batch_is_worked_on() -> Result<()> {
    let stack = Stack::new(30).await?;
    stack.scenario.client.batch_execute("update pfa_sync_private.pems_record set mirror_version = -1").await?;
    commit(&stack, 30).await?;
    let _relays = [stack.relay("run")?, stack.relay("run")?];
    stack.until_drained().await?;
    assert_eq!(operations(&stack).iter().filter(|operation| **operation == Operation::Get).count(), 30, "each was read once");
    stack.check().await
}

/// The network between relay and Postgres is cut, and neither end is notified.
#[tokio::test]
async fn connections_that_die_in_silence_are_noticed_and_replaced() -> Result<()> {
    let stack = Stack::new(2).await?;
    let server = stack.scenario.database.server();
    let proxy = Proxy::start(server.port()).await?;
    let url =
        stack.scenario.database.url_as(Login::Relay).replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let _relay = stack.relay_with("run", |command| {
        command.env("DATABASE_URL", url);
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    proxy.silence();
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    stack.check().await
}

/// The first host of the connection string goes away for good.
#[tokio::test]
async fn the_next_host_is_taken_when_the_first_one_is_gone() -> Result<()> {
    let stack = Stack::new(2).await?;
    let server = stack.scenario.database.server();
    let (first, second) = (Proxy::start(server.port()).await?, Proxy::start(server.port()).await?);
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port(), second.port());
    let url = stack.scenario.database.url_as(Login::Relay).replace(&format!("127.0.0.1:{}", server.port()), &hosts);
    let _relay = stack.relay_with("run", |command| {
        command.env("DATABASE_URL", format!("{url}?target_session_attrs=read-write"));
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    drop(first);
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    stack.check().await
}

/// The primary is lost, and its standby, which comes first in the connection string, is promoted.
#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_is_found_and_the_work_goes_on() -> Result<()> {
    let options = Options::default();
    let mut primary = tokio::task::block_in_place(|| Cluster::start(&options))?;
    primary.server().build_templates().await?;
    let mut stack = Stack::around(Scenario::on(primary.server()).await?, &["1", "2"]).await?;
    let standby = tokio::task::block_in_place(|| primary.standby(&options))?;
    let (first, second) = (format!("127.0.0.1:{}", standby.server().port()), format!("127.0.0.1:{}", primary.server().port()));
    let url = stack.scenario.database.url_as(Login::Relay).replace(&second, &format!("{first},{second}"));
    let _relay = stack.relay_with("run", |command| {
        command.env("DATABASE_URL", format!("{url}?target_session_attrs=read-write"));
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    stack.until("select bool_and(replay_lsn >= pg_current_wal_lsn()) from pg_stat_replication").await?;

    tokio::task::block_in_place(|| primary.halt(Shutdown::Immediate))?;
    standby.server().connect("postgres").await?.execute("select pg_promote()", &[]).await?;
    stack.scenario.database.move_to(standby.server());
    stack.scenario.reconnect().await?;
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 2);
    stack.check().await
}

/// PEMS keeps the last request waiting for longer than who stops the relay does.
#[tokio::test]
async fn a_relay_is_stopped_in_time_and_its_stuck_request_is_settled_by_the_next() -> Result<()> {
    let stack = Stack::new(20).await?;
    stack.pems.fault(Operation::Batch, Fault::Hold);
    let relay = stack.relay_with_arguments("run", &["--request-timeout", "25 s", "--drain-timeout", "200 ms"])?;
    commit(&stack, 20).await?;
    stack.until_pems(|log| !log.is_empty()).await?;
    assert!(relay.stop().await?.success());
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.queue where sent_at is not null").await?, 20);
    stack.pems.release();

    // It is not reconciled before the lease has ended, which outlasts the request.
    stack.scenario.client.execute("update pfa_sync_private.pfa_write_queue set lease_until = now()", &[]).await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    assert_eq!(operations(&stack), [Operation::Batch, Operation::List]);
    stack.check().await
}

/// Postgres goes down in the middle of the work, and comes back.
#[rstest]
#[case::fast(Shutdown::Fast)]
#[case::immediate(Shutdown::Immediate)]
#[tokio::test]
async fn a_restart_of_postgres_loses_and_doubles_nothing(#[case] how: Shutdown) -> Result<()> {
    let mut cluster = tokio::task::spawn_blocking(|| Cluster::start(&Options::default().durable())).await??;
    cluster.server().build_templates().await?;
    let ids: Vec<String> = (1..=30).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut stack = Stack::around(Scenario::on(cluster.server()).await?, &ids).await?;
    commit(&stack, 30).await?;
    stack.pems.fault(Operation::Batch, Fault::Hold);
    let _relay = stack.relay("run")?;
    stack.until_pems(|log| !log.is_empty()).await?;
    cluster.halt(how)?;
    stack.pems.release();
    cluster.launch()?;
    stack.scenario.reconnect().await?;
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 30);
    stack.check().await
}
