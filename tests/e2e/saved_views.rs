//! Views of pages that users save and share.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::cluster::Login;
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};

async fn names(session: &Client) -> Result<Vec<String>> {
    let rows = session.query("select format('%s %s', name, own) from pfa_sync.saved_views order by name", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_view_is_its_users_and_shared_within_organizations() -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.acting("usr_second").await?;
    let save = "select pfa_sync.save_view('records', $1, $2, $3)";
    session.execute(save, &[&"mine", &json!({"filter": {}}), &false]).await?;
    session.execute(save, &[&"ours", &json!({"filter": {"state": "draft"}}), &true]).await?;
    session.execute(save, &[&"ours", &json!({"filter": {"state": "queued"}}), &true]).await?;
    assert_eq!(names(&session).await?, ["mine t", "ours t"]);

    let other = scenario.acting("usr_viewer").await?;
    assert_eq!(names(&other).await?, ["ours f"]);
    let row = other.query_one("select * from pfa_sync.saved_views", &[]).await?;
    assert_eq!(row.get::<_, Value>("state"), json!({"filter": {"state": "queued"}}), "the later one replaced it");
    assert_eq!(row.get::<_, String>("user_name"), "Simon Okafor");
    assert!(!other.query_one("select pfa_sync.delete_view('records', 'ours')", &[]).await?.get::<_, bool>(0), "not theirs");

    // Of another organization, and of none.
    scenario
        .client
        .batch_execute(r#"delete from user_organizations where "userId" = 'usr_viewer' and "organizationId" = 'org_RIO_173'"#)
        .await?;
    assert!(names(&other).await?.is_empty());
    assert!(names(&scenario.acting("usr_former").await?).await?.is_empty());
    assert_eq!(names(&scenario.acting("usr_admin").await?).await?, ["ours f"]);
    assert!(names(&scenario.database.client_as(Login::Reader).await?).await?.is_empty(), "a reader without a user");

    let delete = "select pfa_sync.delete_view('records', 'ours')";
    assert!(session.query_one(delete, &[]).await?.get::<_, bool>(0));
    assert!(!session.query_one(delete, &[]).await?.get::<_, bool>(0));
    assert_eq!(names(&session).await?, ["mine t"]);
    Ok(())
}

#[tokio::test]
async fn a_user_has_a_hundred_views_at_most() -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.database.client_as(Login::Application).await?;
    let save = "select pfa_sync.save_view('records', 'view ' || $1::int, '{}', false, 'usr_editor')";
    for number in 1..=100 {
        session.execute(save, &[&number]).await?;
    }
    let error = session.execute(save, &[&101]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001");
    session.execute(save, &[&100]).await?;
    for user in ["usr_former", "nobody"] {
        let call = "select pfa_sync.save_view('records', 'x', '{}', false, $1)";
        let error = session.execute(call, &[&user]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF002", "{user}");
    }
    Ok(())
}
