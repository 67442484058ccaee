//! Names of users beside their ids.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::cluster::Login;

use crate::support::scenario::Scenario;
use crate::support::tenants::two_tenants;

const EDITH: &str = "Edith Araújo";

/// Every view and function that shows a user's id shows the name beside it, to each kind of reader.
#[tokio::test]
async fn each_view_names_its_users() -> Result<()> {
    let scenario = two_tenants().await?;
    let note = "select pfa_sync.note_failure('REJECTED', 'RIO', 'looks odd', 'usr_editor', 'looking', 'usr_admin')";
    scenario.client.batch_execute(note).await?;
    let session = scenario.acting("usr_editor").await?;
    for (names, ids, relation) in [
        ("user_name", "user_id", "jobs"),
        ("author_name", "author", "changes"),
        ("author_name", "author", "queue"),
        ("author_name", "author", "conflicts"),
        ("author_name", "author", "dead_letters"),
        ("owner_name", "owner", "failures"),
        ("user_name", "user_id", "audit"),
        ("user_name", "user_id", "audit_page('RIO')"),
        ("user_name", "user_id", "timeline('RIO', '1')"),
        ("author_name", "author", "find_conflicts('RIO')"),
        ("author_name", "author", "find_dead_letters('RIO')"),
    ] {
        let query = format!(
            "select coalesce(array_agg(distinct {names}) filter (where {ids} = 'usr_editor'), '{{}}') from pfa_sync.{relation}"
        );
        let found: Vec<String> = session.query_one(&query, &[]).await?.get(0);
        assert_eq!(found, [EDITH], "{relation}");
    }
    let changed_by = "select changed_by_name from pfa_sync.failures where code = 'REJECTED' and changed_by is not null";
    assert_eq!(session.query_one(changed_by, &[]).await?.get::<_, String>(0), "Ada Moreau");
    Ok(())
}

/// First and last name, else the username; a user whom the application does not have is shown by the id. The columns of
/// names may be missing, and come and go while the extension is attached.
#[rstest]
#[case::both("select 1", "Edith Araújo")]
#[case::no_first_name(r#"alter table users drop column "firstName""#, "Araújo")]
#[case::neither(r#"alter table users drop column "firstName", drop column "lastName""#, "edith")]
#[case::another_type(r#"alter table users drop column "firstName", alter column "lastName" type int using 1"#, "edith")]
#[case::empty(r#"update users set "firstName" = ' ', "lastName" = null"#, "edith")]
#[case::no_user("delete from users", "usr_editor")]
#[tokio::test]
async fn a_name_falls_back(#[case] change: &str, #[case] expected: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute("alter table pfa_modification drop constraint if exists \"pfa_modification_userId_fkey\"")
        .await?;
    scenario.client.batch_execute(change).await?;
    assert_eq!(scenario.value::<String>("select author_name from pfa_sync.queue").await?, expected);
    assert_eq!(scenario.value::<String>("select user_name from pfa_sync.timeline('RIO', '1')").await?, expected);
    Ok(())
}

/// A session that sees no organization learns no names, even where it can name the function behind the views.
#[tokio::test]
async fn names_are_not_given_to_who_sees_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("grant usage on schema pfa_sync_private to pfa_sync_reader, pfa_sync_api").await?;
    let reader = scenario.database.client_as(Login::Reader).await?;
    let names = "select pfa_sync_private.user_names()";
    assert_eq!(reader.query_one(names, &[]).await?.get::<_, Value>(0), json!({}));
    let session = scenario.acting("usr_former").await?;
    assert_eq!(session.query_one(names, &[]).await?.get::<_, Value>(0), json!({}));
    let session = scenario.acting("usr_second").await?;
    assert_eq!(session.query_one(names, &[]).await?.get::<_, Value>(0)["usr_editor"], json!(EDITH));
    Ok(())
}

/// What a front end shows of a change: tries, times, reason and the values before.
#[tokio::test]
async fn changes_tell_their_tries_reason_and_base() -> Result<()> {
    let scenario = Scenario::new().await?;
    let save = r#"select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{"model": "X"}', 'ordered 13000')"#;
    scenario.client.execute(save, &[]).await?;
    scenario.client.execute("select * from pfa_sync.commit_drafts('RIO', 'usr_editor')", &[]).await?;
    scenario.client.batch_execute("select pfa_sync.set('max_retries', '7', 'RIO')").await?;
    let row = scenario.client.query_one("select * from pfa_sync.queue", &[]).await?;
    assert_eq!(row.get::<_, i32>("max_retries"), 7);
    assert_eq!(row.get::<_, Option<String>>("reason").as_deref(), Some("ordered 13000"));
    let sent = "select last_attempt_at is not null, completed_at is null from pfa_sync.queue";
    let row = scenario.client.query_one(sent, &[]).await?;
    assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (false, true));
    scenario.send().await?;
    let row = scenario.client.query_one(sent, &[]).await?;
    assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (true, true));
    let row = scenario.client.query_one("select * from pfa_sync.changes", &[]).await?;
    assert_eq!(row.get::<_, Value>("base"), json!({"model": "LTM 1100"}));
    // Numbers of a reason may be prices.
    let session = scenario.acting("usr_viewer").await?;
    scenario.client.batch_execute(r#"update user_organizations set "perm_ViewFinancials" = false"#).await?;
    for view in ["queue", "changes", "timeline('RIO', '1')"] {
        let reason: String = session.query_one(&format!("select reason from pfa_sync.{view} limit 1"), &[]).await?.get(0);
        assert_eq!(reason, "ordered #", "{view}");
    }
    Ok(())
}
