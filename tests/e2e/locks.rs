//! A lock that is taken through one of our views would lock nothing: each call that locks rows of the application's tables is
//! watched from a second session.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::scenario::Scenario;

#[rstest]
#[case::of_modifications("select pfa_sync_private.lock_modifications('{mod_unseen}')", "pfa_modification", "mod_unseen")]
#[case::of_records("select pfa_sync_private.lock_records('{mir_1}')", "pfa_mirror", "mir_1")]
#[case::a_draft_that_is_saved(
    "select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{\"class\": \"K\"}')",
    "pfa_modification",
    "mod_draft"
)]
#[case::drafts_that_are_committed("select * from pfa_sync.commit_drafts('RIO', 'usr_editor')", "pfa_modification", "mod_draft")]
#[case::drafts_that_are_discarded("select * from pfa_sync.discard_drafts('RIO', 'usr_editor')", "pfa_modification", "mod_draft")]
#[case::work_that_is_swept("select * from pfa_sync.sweep()", "pfa_modification", "mod_unseen")]
#[case::work_that_is_hastened(
    "select * from pfa_sync.write_sync('RIO', user_id => 'usr_editor')",
    "pfa_modification",
    "mod_unseen"
)]
#[case::what_is_claimed("select * from pfa_sync.claim('r')", "pfa_mirror", "mir_2")]
#[case::what_is_withdrawn("select * from pfa_sync.withdraw('{mod_waiting}', 'usr_editor')", "pfa_modification", "mod_waiting")]
#[case::a_record_that_is_pulled(
    "select pfa_sync.ingest('RIO', (select jsonb_build_array(data || '{\"version\": 1}') from pfa_mirror where id = 'mir_3'))",
    "pfa_mirror",
    "mir_3"
)]
#[tokio::test]
async fn a_lock_holds_against_a_second_session(#[case] call: &str, #[case] table: &str, #[case] id: &str) -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.ingest(&["1", "2", "3"].map(|id| pems_record("RIO", id))).await?;
    scenario
        .client
        .batch_execute(
            r#"update pfa_mirror set id = 'mir_' || "pfaId"; update pfa_sync_private.pems_record set mirror_version = -1"#,
        )
        .await?;
    scenario
        .client
        .batch_execute(
            r#"
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
            values ('mod_waiting', 'mir_2', 'org_RIO_173', 'usr_editor', '{"model": "W"}', 'committed', now());
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "updatedAt")
            values ('mod_draft', 'mir_1', 'org_RIO_173', 'usr_editor', '{"model": "D"}', now());
        set session_replication_role = replica;
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "updatedAt")
            values ('mod_unseen', 'mir_1', 'org_RIO_173', 'usr_editor', '{"areaSilo": "U"}', 'committed', 'queued', now());
        reset session_replication_role"#,
        )
        .await?;
    let lock = format!("select id from {table} where id = $1 for no key update nowait");
    let second = scenario.database.client().await?;
    assert_eq!(second.query(&lock, &[&id]).await?.len(), 1, "free before");
    scenario.client.batch_execute("begin").await?;
    scenario.client.query(call, &[]).await?;
    let error = second.query(&lock, &[&id]).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("55P03"), "{error}");
    scenario.client.batch_execute("rollback").await?;
    assert_eq!(second.query(&lock, &[&id]).await?.len(), 1, "free after");
    Ok(())
}

/// No function locks rows through a view of the application's tables.
#[tokio::test]
async fn no_function_locks_through_a_view() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let suspects = r"
        select coalesce(string_agg(p.oid::regprocedure::text, ', '), '') from pg_proc p
         where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace)
           and regexp_replace(p.prosrc, '--[^\n]*', '', 'g')
               ~ '(from|join) (modification|mirror|mirror_history|member|users|organization)\M[^;]*\mfor (no key update|update|share|key share)\M(?! of q)'";
    assert_eq!(scenario.value::<String>(suspects).await?, "");
    Ok(())
}

/// A draft that the application commits while it is saved is not written over: the save begins another one.
#[tokio::test]
async fn a_draft_that_is_committed_meanwhile_stays_as_it_was_judged() -> Result<()> {
    let scenario = Scenario::new().await?;
    let draft = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    let application = scenario.database.client().await?;
    application.batch_execute("begin").await?;
    application.execute(r#"update pfa_modification set "syncState" = 'committed' where id = $1"#, &[&draft]).await?;
    let save = scenario.client.query("select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{\"class\": \"K\"}')", &[]);
    let commit = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        application.batch_execute("commit").await
    };
    let (saved, committed) = tokio::join!(save, commit);
    committed?;
    assert_ne!(saved?[0].get::<_, String>(0), draft);
    assert_eq!(scenario.value::<String>("select payload->>'model' from pfa_sync_private.pfa_write_queue").await?, "X");
    assert_eq!(scenario.state(&draft).await?, "committed/queued");
    scenario.check().await
}
