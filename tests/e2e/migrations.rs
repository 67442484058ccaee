//! The application's own migrations while the extension is attached: what fits goes through, and the next commit too, in open
//! sessions as well; what does not fit is refused in the migration, with the reason.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, pems_record};
use tokio_postgres::Client;

use crate::real_tables::{PHASE_3, attached};
use crate::support::scenario::{Scenario, refusal};

/// A role that owns the application's tables and migrates them, as Prisma does, and a session of it.
async fn migrator(scenario: &Scenario) -> Result<Client> {
    let role: String = scenario.value("select 'migrator_' || oid from pg_database where datname = current_database()").await?;
    scenario
        .client
        .batch_execute(&format!(
            "create role {role} login; grant create, usage on schema public to {role};
             do $$ declare t text; begin
                 for t in select tablename from pg_tables where schemaname = 'public' loop
                     execute format('alter table %I owner to {role}', t);
                 end loop;
             end $$"
        ))
        .await?;
    let client = scenario.database.client().await?;
    client.batch_execute(&format!("set session authorization {role}")).await?;
    Ok(client)
}

/// Drafts, an edit, its way to PEMS and a pull.
async fn work(scenario: &Scenario, round: i64) -> Result<()> {
    let draft = "select * from pfa_sync.save_draft('RIO', $1, '2', $2)";
    scenario.client.query(draft, &[&EDITOR, &json!({"model": format!("round {round}")})]).await?;
    scenario.client.query("select * from pfa_sync.discard_drafts('RIO', $1)", &[&EDITOR]).await?;
    let id = scenario.edit("1", json!({"areaSilo": format!("round {round}")})).await?;
    assert_eq!(scenario.state(&id).await?, "committed/queued", "round {round}");
    assert_eq!(scenario.deliver().await?, 1, "round {round}");
    assert_eq!(scenario.state(&id).await?, "synced/synced", "round {round}");
    let editable = r#"update pfa_modification set delta = '{}' where id = $1 and "syncState" = 'committed'"#;
    assert_eq!(scenario.client.execute(editable, &[&id]).await?, 0);
    scenario.foreign_edit("3", 1 + round, json!({"monthlyRate": 100 + round})).await?;
    scenario.check().await
}

#[tokio::test]
async fn what_fits_goes_through_and_open_sessions_go_on() -> Result<()> {
    let scenario = attached(&[PHASE_3]).await?;
    scenario.ingest(&["1", "2", "3"].map(|id| pems_record("RIO", id))).await?;
    let migrator = migrator(&scenario).await?;
    work(&scenario, 1).await?;
    for (round, migration) in [
        r#"alter table pfa_modification alter "syncState" type varchar(60)"#,
        r#"alter table pfa_modification alter id type varchar(100), alter "mirrorId" type varchar, alter "userId" type varchar(99)"#,
        r#"alter table pfa_modification alter "createdAt" type timestamp(6), alter "committedAt" type timestamp(0)"#,
        r#"alter table pfa_modification alter "baseVersion" type bigint, alter "syncStatus" type varchar(30)"#,
        r#"alter table pfa_mirror alter "monthlyRate" type numeric(14, 2), alter "purchasePrice" type numeric"#,
        r#"alter table pfa_mirror alter id type varchar(80), alter "pfaId" type varchar, alter version type bigint"#,
        r#"alter table pfa_mirror_history alter "mirrorId" type varchar(80), alter version type bigint, alter model type varchar"#,
        r"alter table organizations alter code type varchar(10), drop column name",
        r"alter table users alter id type varchar(50), alter role type varchar(10)",
        r#"alter table user_organizations alter "organizationId" type varchar(50), drop column role"#,
        r#"alter table pfa_modification drop column "modifiedFields", add column note text, add tenant text not null default 'x'"#,
        r#"begin; alter table pfa_mirror alter model type varchar(90); alter table pfa_modification alter "syncState" type text; commit"#,
        "create domain short as text; alter table pfa_modification add column x short; drop domain short cascade",
        "drop table bronze_records",
        "set standard_conforming_strings = off; alter table pfa_mirror alter model type varchar(95)",
    ]
    .iter()
    .enumerate()
    {
        migrator.batch_execute(migration).await.map_err(|error| anyhow::anyhow!("{migration}: {error:?}"))?;
        work(&scenario, 2 + i64::try_from(round)?).await?;
    }
    Ok(())
}

#[rstest]
#[case::a_column_dropped("alter table pfa_modification drop column delta", "column public.pfa_modification.delta is missing")]
#[case::a_column_that_attach_added(
    r#"alter table pfa_modification drop column "syncStatus""#,
    r#"public.pfa_modification."syncStatus" is missing"#
)]
#[case::a_column_renamed(
    r#"alter table pfa_modification rename "syncState" to state"#,
    r#"public.pfa_modification."syncState" is missing"#
)]
#[case::shifted_times(r#"alter table pfa_modification alter "createdAt" type timestamptz"#, "is timestamp with time zone")]
#[case::json("alter table pfa_mirror alter data type json", "column public.pfa_mirror.data is json, not jsonb")]
#[case::a_permission_dropped(
    r#"alter table user_organizations drop column "perm_Sync""#,
    r#"public.user_organizations."perm_Sync" is missing"#
)]
#[case::a_required_column(
    "alter table pfa_mirror_history add tenant text not null",
    "public.pfa_mirror_history.tenant is not null and has no default"
)]
#[case::one_of_several(
    "begin; alter table pfa_mirror alter model type varchar; alter table users drop column email",
    "public.users.email is missing"
)]
#[tokio::test]
async fn what_does_not_fit_is_refused_in_the_migration(#[case] migration: &str, #[case] reason: &str) -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.ingest(&["1", "2", "3"].map(|id| pems_record("RIO", id))).await?;
    let migrator = migrator(&scenario).await?;
    let error = migrator.batch_execute(migration).await.unwrap_err();
    let refused = error.as_db_error().expect("an error of the database");
    assert_eq!(refused.code().code(), "PF007", "{refused:?}");
    assert!(refused.message().contains(reason), "{}", refused.message());
    assert!(refused.hint().is_some_and(|hint| hint.contains("pfa_sync.detach()")), "{refused:?}");
    migrator.batch_execute("rollback").await?;
    work(&scenario, 1).await
}

/// The switch, and what finds it out: `check()` names what does not fit, `attach()` makes the functions again.
#[tokio::test]
async fn the_guard_can_be_switched_off() -> Result<()> {
    let scenario = Scenario::new().await?;
    let migrator = migrator(&scenario).await?;
    migrator
        .batch_execute(r#"set pfa_sync.ddl_guard = off; alter table pfa_mirror add tenant text not null default ''; alter table pfa_mirror alter tenant drop default"#)
        .await?;
    let fault: String = scenario.value("select detail from pfa_sync.check()").await?;
    assert!(fault.contains("tenant is not null"), "{fault}");
    let error = scenario.client.query("select pfa_sync.attach()", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF007");
    migrator.batch_execute("alter table pfa_mirror drop column tenant; reset pfa_sync.ddl_guard").await?;
    work(&scenario, 1).await
}

/// With the switch off, a column that the row trigger needs is renamed: every write says so, and what to call.
#[tokio::test]
async fn a_column_that_is_missed_is_named() -> Result<()> {
    let scenario = Scenario::new().await?;
    let migrator = migrator(&scenario).await?;
    migrator.batch_execute("set pfa_sync.ddl_guard = off; alter table pfa_modification rename column delta to change").await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", "updatedAt", change)
        select 'one', id, "organizationId", 'usr_editor', now(), '{}' from pfa_mirror where "pfaId" = '1'"#;
    let error = migrator.batch_execute(insert).await.unwrap_err();
    let refused = error.as_db_error().expect("an answer of PostgreSQL");
    assert_eq!(refused.code().code(), "42804", "{refused:?}");
    assert!(refused.message().contains("column delta of pfa_modification"), "{refused:?}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("pfa_sync.attach()")), "{refused:?}");
    migrator.batch_execute("alter table pfa_modification rename column change to delta; reset pfa_sync.ddl_guard").await?;
    work(&scenario, 1).await
}

/// Without a binding, and in a copy, the guard has nothing to say.
#[tokio::test]
async fn the_guard_is_silent_where_nothing_is_attached() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("update pfa_sync_private.origin set database_oid = 1").await?;
    scenario.client.batch_execute("begin; alter table pfa_modification drop column delta; rollback").await?;
    scenario.client.batch_execute("select pfa_sync.adopt()").await?;
    scenario
        .client
        .batch_execute("begin; create table other (id text); alter table other add n int; drop table other; commit")
        .await?;
    assert!(scenario.client.batch_execute("alter table pfa_modification drop column delta").await.is_err());
    scenario.client.batch_execute("select pfa_sync.detach(); alter table pfa_modification drop column delta").await?;
    Ok(())
}

/// The guard's own rights are those of `pfa_sync_owner`, whoever alters a table.
#[tokio::test]
async fn the_guard_runs_as_the_owner() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute(
            "create table seen (name text); grant insert on seen to public; grant usage on schema public to public; \
             create or replace function pfa_sync_private.is_copy() returns boolean \
                 language plpgsql volatile set search_path = pg_catalog as \
                 'begin insert into public.seen values (current_user); return false; end'; \
             alter table pfa_modification add column note text",
        )
        .await?;
    assert_eq!(scenario.value::<String>("select string_agg(distinct name, ' ') from seen").await?, "pfa_sync_owner");
    Ok(())
}
