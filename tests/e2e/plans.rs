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
