//! A standby of the database: the API reads from it, and says that nothing can be edited; a relay waits for its promotion.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::cluster::{Cluster, Login, Options};

use crate::support::api::{Api, problem};
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_only_until_it_is_promoted() -> Result<()> {
    let options = Options::default();
    let primary = tokio::task::block_in_place(|| Cluster::start(&options))?;
    primary.server().build_templates().await?;
    let mut stack = Stack::around(Scenario::on(primary.server()).await?, &["1", "2"]).await?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    let standby = tokio::task::block_in_place(|| primary.standby(&options))?;
    stack.until("select coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) from pg_stat_replication").await?;
    stack.scenario.database.move_to(standby.server());

    let api = Api::start(&stack.scenario, &[]).await?;
    let me = api.get("usr_editor", "/api/pems/me").await?;
    assert_eq!(me["readOnly"], true, "{me}");
    assert!(me["readOnlyReason"].as_str().is_some_and(|reason| reason.contains("standby")), "{me}");
    let records = api.get("usr_editor", "/api/pfa-data?organizationId=RIO").await?;
    assert_eq!(records["records"].as_array().map(Vec::len), Some(2));
    let draft = json!({"organizationId": "RIO", "pfaId": "2", "delta": {"model": "Y"}});
    let refused = api.post("usr_editor", "/api/pfa-data/save-draft", draft.clone()).await?;
    let (status, code, body) = problem(refused).await?;
    assert_eq!((status, code.as_str()), (503, "unavailable"), "{body}");

    let mut doctor = stack.relay("doctor")?;
    let mut printed = String::new();
    while let Ok(line) = doctor.line().await {
        printed.push_str(&line);
    }
    assert!(printed.contains("the database is a standby and takes no writes"), "{printed}");
    let relay = stack.relay("run")?;
    drop(primary);
    standby.server().connect("postgres").await?.execute("select pg_promote()", &[]).await?;
    stack.scenario.reconnect().await?;
    stack.until_drained().await?;
    assert_eq!(stack.applied().len(), 1);
    api.post("usr_editor", "/api/pfa-data/save-draft", draft).await?.error_for_status()?;
    let me: Value = api.get("usr_editor", "/api/pems/me").await?;
    assert_eq!(me["readOnly"], false, "{me}");
    assert!(relay.stop().await?.success());
    assert!(stack.scenario.database.url_as(Login::Relay).contains(&standby.server().port().to_string()));
    Ok(())
}
