//! A write queue of the application's own beside its tables: a second writer to PEMS.

use anyhow::Result;
use rstest::rstest;

use crate::real_tables::{PHASE_3, PHASE_4, installed};
use crate::support::scenario::{Scenario, refusal};

/// Edits that a phase 4 of the application's own left: waiting, being sent, in conflict, invalid, done, drafted.
const LEFT: &str = r#"
    insert into pfa_mirror (id, "organizationId", "pfaId", data, "updatedAt")
        select 'mir_' || i, 'org_RIO_173', i::text,
               jsonb_build_object('pfaId', i::text, 'organization', 'RIO', 'source', 'Rental', 'monthlyRate', 5, 'model', 'A'), now()
          from generate_series(1, 6) i;
    insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "updatedAt") values
        ('mod_waiting', 'mir_1', 'org_RIO_173', 'usr_editor', '{"model": "B"}', 'committed', 'queued', now()),
        ('mod_sending', 'mir_2', 'org_RIO_173', 'usr_editor', '{"model": "B"}', 'syncing', 'syncing', now()),
        ('mod_conflict', 'mir_3', 'org_RIO_173', 'usr_editor', '{"model": "B"}', 'conflict', 'conflict', now()),
        ('mod_bad', 'mir_4', 'org_RIO_173', 'usr_editor', '{"monthlyRate": -1}', 'committed', 'queued', now()),
        ('mod_done', 'mir_5', 'org_RIO_173', 'usr_editor', '{"model": "A"}', 'synced', 'synced', now()),
        ('mod_draft', 'mir_6', 'org_RIO_173', 'usr_editor', '{"model": "B"}', 'draft', 'draft', now());
    insert into pfa_write_queue (id, "modificationId", "pfaId", "organizationId", operation, payload, status, "scheduledAt")
        select 'row_' || id, id, '1', 'org_RIO_173', 'UPDATE', delta,
               case id when 'mod_sending' then 'processing' when 'mod_done' then 'completed' else 'pending' end, now()
          from pfa_modification"#;

const STATES: &str =
    r#"select string_agg(id || ' ' || "syncState" || '/' || "syncStatus", ', ' order by id) from pfa_modification"#;

async fn left() -> Result<Scenario> {
    let database = installed(&[PHASE_3, PHASE_4, LEFT]).await?;
    Scenario::of(database).await
}

#[rstest]
#[case::import(
    "import",
    "mod_bad sync_error/failed, mod_conflict committed/queued, mod_done synced/synced, mod_draft draft/draft, \
     mod_sending committed/queued, mod_waiting committed/queued",
    3
)]
#[case::retire(
    "retire",
    "mod_bad sync_error/failed, mod_conflict draft/draft, mod_done synced/synced, mod_draft draft/draft, \
     mod_sending draft/draft, mod_waiting draft/draft",
    0
)]
#[tokio::test]
async fn a_second_writer_is_named_and_retired(#[case] action: &str, #[case] states: &str, #[case] queued: i64) -> Result<()> {
    let scenario = left().await?;
    let found: String = scenario
        .value("select string_agg(detail, '; ') from pfa_sync.attach() where object = 'table public.pfa_write_queue' and action = 'found'")
        .await?;
    assert!(found.starts_with("5 rows wait there") && found.contains("retire_foreign_queue"), "{found}");
    let named = "select count(*) from pfa_sync.check() where invariant = 'only pfa_sync writes to PEMS' and object = 'table public.pfa_write_queue'";
    assert_eq!(scenario.value::<i64>(named).await?, 1);
    let started = "select pfa_sync.set('inbound', 'application'); select pfa_sync.resume('RIO'); select pfa_sync.sweep()";
    scenario.client.batch_execute(started).await?;

    let retired = scenario.client.query("select * from pfa_sync.retire_foreign_queue($1)", &[&action]).await?;
    assert_eq!(retired.len(), 5);
    assert_eq!(scenario.value::<String>(STATES).await?, states);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, queued);
    let statuses = "select string_agg(distinct status, ' ' order by status) from pfa_write_queue";
    assert_eq!(scenario.value::<String>(statuses).await?, "completed failed");
    assert!(scenario.client.query("select * from pfa_sync.retire_foreign_queue($1)", &[&action]).await?.is_empty());
    scenario.check().await
}

#[tokio::test]
async fn a_queue_that_comes_later_is_named() -> Result<()> {
    let scenario = Scenario::empty().await?;
    assert!(scenario.client.query("select * from pfa_sync.retire_foreign_queue('import')", &[]).await?.is_empty());
    let error = scenario.client.query("select * from pfa_sync.retire_foreign_queue('drop')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001");
    scenario.client.batch_execute(r#"create table pfa_write_queue (id text, "modificationId" text, status text)"#).await?;
    let named = "select detail from pfa_sync.check()";
    assert!(scenario.value::<String>(named).await?.contains("attach()"));
    let error = scenario.client.query("select * from pfa_sync.retire_foreign_queue('import')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF004");
    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    scenario.check().await
}
