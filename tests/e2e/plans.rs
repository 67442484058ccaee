//! How often PostgreSQL plans statements of ours: a session keeps its plans, so that a further commit of a single edit
//! costs its execution alone.

use anyhow::Result;
use futures_util::{StreamExt, stream};
use testbed::application::{EDITOR, RIO, pems_record};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::support::scenario::Scenario;

/// Commits after which a session has met every statement of the path, and those after which plans are counted.
const WARM: usize = 3;
const COUNTED: usize = 10;

/// Of each commit: the application's UPDATE.
const PLANS: usize = 1;

/// `debug_print_plan` sends the session a message with each plan that is made.
#[tokio::test]
async fn a_session_that_commits_single_edits_keeps_its_plans() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let ids: Vec<String> = (0..WARM + COUNTED).map(|id| id.to_string()).collect();
    scenario.ingest(&ids.iter().map(|id| pems_record("RIO", id)).collect::<Vec<_>>()).await?;
    for id in &ids {
        scenario.application().draft(EDITOR, RIO, id, serde_json::json!({"model": "X"})).await?;
    }

    let (client, mut connection) = tokio_postgres::connect(&scenario.database.url(), NoTls).await?;
    let (sender, mut plans) = mpsc::unbounded_channel();
    let session = tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notice(notice) = message
                && notice.message() == "plan:"
            {
                let _ = sender.send(());
            }
        }
    });
    for (number, id) in ids.iter().enumerate() {
        if number == WARM {
            client.batch_execute("set debug_print_plan = on; set client_min_messages = log").await?;
        }
        let commit = format!(
            r#"update pfa_modification set "syncState" = 'committed' where "mirrorId" = (select id from pfa_mirror where "pfaId" = '{id}')"#
        );
        client.batch_execute(&commit).await?;
    }
    drop(client);
    session.await?;
    let mut made = 0;
    while plans.recv().await.is_some() {
        made += 1;
    }
    assert!(made > 0, "no plan was counted");
    assert!(made <= PLANS * COUNTED, "{made} plans for {COUNTED} commits");
    let queued: i64 = scenario.value("select count(*) from pfa_sync.queue").await?;
    assert_eq!(queued, (WARM + COUNTED) as i64);
    Ok(())
}

/// Compiling a plan takes seconds where the planner expects a long history to be read: no function of the surface does.
#[tokio::test]
async fn no_function_of_the_surface_compiles_its_plans() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let compiling = "select coalesce(string_agg(p.proname, ', '), '') from pg_proc p join pg_language l on l.oid = p.prolang \
                      where p.pronamespace = 'pfa_sync'::regnamespace and (l.lanname = 'plpgsql' or l.lanname = 'sql' and p.prosecdef) \
                        and not coalesce(p.proconfig @> '{jit=off}', false)";
    assert_eq!(scenario.value::<String>(compiling).await?, "");
    Ok(())
}

/// A page of a list reads a page, however long the history is.
#[tokio::test]
async fn pages_of_long_lists_read_a_page() -> Result<()> {
    let scenario = Scenario::new().await?;
    let history = "insert into pfa_sync_private.sync_job (kind, organization_id, user_id, records) \
                   select 'commit', 'org_RIO_173', 'usr_editor', 1 from generate_series(1, 20000); \
                   insert into pfa_sync_private.sync_batch (organization_id, relay, step, records) \
                   select 'org_RIO_173', 'r', 'send', 1 from generate_series(1, 20000); \
                   insert into pfa_sync_private.notification (user_id, organization_id, kind, number, first_at, last_at, read_at) \
                   select 'usr_editor', 'org_RIO_173', 'synced', 1, now(), now(), now() from generate_series(1, 20000); \
                   analyze pfa_sync_private.sync_job, pfa_sync_private.sync_batch, pfa_sync_private.notification";
    scenario.client.batch_execute(history).await?;
    let read = "select coalesce(sum(pg_stat_get_xact_tuples_fetched(c.oid) + pg_stat_get_xact_tuples_returned(c.oid)), 0)::bigint \
                  from pg_class c where c.relname in ('sync_job', 'sync_job_pkey', 'sync_batch', 'sync_batch_pkey', 'notification', 'notification_of_user')";
    for (call, user) in [
        ("find_jobs('RIO')", "usr_editor"),
        ("find_jobs('RIO', '{\"state\": \"finished\"}')", "usr_editor"),
        ("find_batches('RIO')", "usr_editor"),
        ("find_notifications()", "usr_editor"),
    ] {
        let mut session = scenario.acting(user).await?;
        let transaction = session.transaction().await?;
        let before: i64 = transaction.query_one(read, &[]).await?.get(0);
        let rows = transaction.query(&format!("select * from pfa_sync.{call}"), &[]).await?.len();
        let after: i64 = transaction.query_one(read, &[]).await?.get(0);
        assert_eq!(rows, 50, "{call}");
        assert!(after - before < 2_000, "{call} reads {} rows", after - before);
    }
    Ok(())
}
