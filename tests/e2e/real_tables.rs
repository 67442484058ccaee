//! The application's tables as they really are: the schemas of its phase 3 and of a phase 4 of its own, and what other
//! types their columns may have.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, pems_record};
use testbed::cluster::{Database, SAMPLE, Template, shared};

use crate::support::scenario::{Scenario, refusal};

pub const PHASE_3: &str = include_str!("../fixtures/application/phase3.sql");
pub const PHASE_4: &str = include_str!("../fixtures/application/phase4.sql");

/// Types that fit besides those of the schemas.
const OTHER_TYPES: &str = r#"
    alter table pfa_modification alter "syncState" type varchar(40), alter id type varchar(100), alter "createdAt" type timestamp(6),
        alter "committedAt" type timestamp(0), alter "baseVersion" type bigint, alter "mirrorId" type varchar;
    alter table pfa_mirror alter "monthlyRate" type numeric(14, 2), alter "purchasePrice" type real, alter model type varchar(200),
        alter "forecastStart" type timestamp, alter version type bigint, alter "pfaId" type varchar(20);
    alter table pfa_mirror_history alter "monthlyRate" type numeric, alter version type bigint;
    alter table organizations alter id type varchar, alter code type varchar(20);
    alter table users alter role type varchar(20)"#;

/// Columns of the real tables that the extension has no use for.
const UNUSED_COLUMNS: &str = r#"
    alter table organizations drop column name;
    alter table user_organizations drop column role;
    alter table pfa_modification drop column "currentVersion", drop column "modifiedFields""#;

/// A database with these tables, the sample organizations and the extension, not attached.
pub async fn installed(schemas: &[&str]) -> Result<Database> {
    let database = Database::create(&shared()?, Template::Empty).await?;
    let client = database.client().await?;
    client.batch_execute(schemas[0]).await?;
    client.batch_execute(SAMPLE).await?;
    for schema in &schemas[1..] {
        client.batch_execute(schema).await?;
    }
    client
        .batch_execute(
            "grant select, insert, update, delete on all tables in schema public to pfa_sync_application; create extension pfa_sync",
        )
        .await?;
    Ok(database)
}

/// The same, attached and resumed.
pub async fn attached(schemas: &[&str]) -> Result<Scenario> {
    let database = installed(schemas).await?;
    database
        .client()
        .await?
        .batch_execute("select pfa_sync.attach(); select pfa_sync.set('inbound', 'relay'); select pfa_sync.resume()")
        .await?;
    Scenario::of(database).await
}

/// An edit, a pull, a conflict and its resolution, and the history that they leave.
#[rstest]
#[case::phase_3(&[PHASE_3])]
#[case::phase_4(&[PHASE_3, PHASE_4])]
#[case::other_types(&[PHASE_3, OTHER_TYPES])]
#[case::unused_columns(&[PHASE_3, UNUSED_COLUMNS])]
#[tokio::test]
async fn edits_conflicts_and_pulls_work_on_the_real_tables(#[case] schemas: &[&str]) -> Result<()> {
    let scenario = attached(schemas).await?;
    scenario.ingest(&[pems_record("RIO", "1")]).await?;
    let first = scenario.edit("1", json!({"model": "X", "monthlyRate": 13000.55})).await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&first).await?, "synced/synced");
    assert_eq!(scenario.mirror("1").await?["monthlyRate"], json!(13000.55));
    let copies: String = scenario
        .value(r#"select concat_ws(' ', model, "monthlyRate"::float8, "forecastStart"::timestamp(3), version) from pfa_mirror"#)
        .await?;
    assert_eq!(copies, "X 13000.55 2026-01-01 00:00:00 2");

    let second = scenario.application().draft(EDITOR, "org_RIO_173", "1", json!({"monthlyRate": 14000})).await?;
    scenario.foreign_edit("1", 3, json!({"monthlyRate": 11000, "model": "X"})).await?;
    scenario.application().commit(EDITOR, "org_RIO_173").await?;
    assert_eq!(scenario.state(&second).await?, "conflict/conflict");
    let resolved: Value = scenario
        .value("select pfa_sync.resolve_conflict(conflict_id, 'use_local', 'usr_editor')->'changes' from pfa_sync.conflicts")
        .await?;
    assert_eq!(resolved, json!({"monthlyRate": 14000}));
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&second).await?, "synced/synced");

    let history: Vec<String> = scenario
        .value(
            r#"select array_agg(concat_ws(' ', version, "monthlyRate"::float8, "changedBy") order by version) from pfa_mirror_history"#,
        )
        .await?;
    assert_eq!(history, ["1 12500 usr_editor", "2 13000.55 PEMS_SYNC", "3 11000 usr_editor"]);
    let skewed = r#"select count(*) from pfa_mirror_history where "archivedAt" not between (now() at time zone 'utc') - interval '5 min' and (now() at time zone 'utc')"#;
    assert_eq!(scenario.value::<i64>(skewed).await?, 0, "times are in UTC");
    scenario.check().await
}

/// The sample's tables have the columns, indexes and keys of the real ones.
#[tokio::test]
async fn the_sample_is_like_the_real_tables() -> Result<()> {
    const SHAPE: &str = r"
        select array_agg(line order by line) from (
            select concat_ws(' ', table_name, column_name, data_type, datetime_precision, is_nullable, column_default)
              from information_schema.columns where table_schema = 'public' and table_name = any ($1::text[])
             union all
            select indexdef from pg_indexes where schemaname = 'public' and tablename = any ($1::text[])
             union all
            select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
             where conrelid::regclass::text = any ($1::text[])) s (line)";
    let tables = ["organizations", "users", "user_organizations", "pfa_mirror", "pfa_mirror_history", "pfa_modification"];
    let mut shapes: Vec<Vec<String>> = Vec::new();
    for database in [Database::create(&shared()?, Template::Installed).await?, installed(&[PHASE_3]).await?] {
        shapes.push(database.client().await?.query_one(SHAPE, &[&tables.as_slice()]).await?.get(0));
    }
    assert_eq!(shapes[0], shapes[1]);
    Ok(())
}

/// A type that only looks alike is refused, and the column is named.
#[rstest]
#[case::shifted_times(
    "pfa_modification",
    r#""committedAt""#,
    "timestamptz",
    "timestamp with time zone, not timestamp without time zone"
)]
#[case::shifted_dates(
    "pfa_mirror",
    r#""forecastStart""#,
    "timestamptz",
    "timestamp with time zone, not timestamp without time zone"
)]
#[case::days("pfa_mirror", r#""forecastEnd""#, "date", "date, not timestamp without time zone")]
#[case::padded_text("pfa_mirror", "model", "char(20)", "character, not text or character varying")]
#[case::json_as_text("pfa_mirror", "data", "json", "json, not jsonb")]
#[case::small_numbers("pfa_modification", r#""baseVersion""#, "smallint", "smallint, not integer or bigint")]
#[case::a_column_of_phase_4(
    "pfa_modification",
    r#""syncedAt""#,
    "timestamptz",
    "timestamp with time zone, not timestamp without time zone"
)]
#[tokio::test]
async fn a_type_that_only_looks_alike_is_refused(
    #[case] table: &str,
    #[case] column: &str,
    #[case] kind: &str,
    #[case] fault: &str,
) -> Result<()> {
    let change = format!("alter table {table} alter {column} type {kind}");
    let database = installed(&[PHASE_3, PHASE_4, &change]).await?;
    let error = database.client().await?.query("select * from pfa_sync.attach()", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF007");
    assert!(message.contains(&format!("column public.{table}.{column} is {fault}")), "{message}");
    Ok(())
}

/// A column that every insert has to fill, and that the extension doesn't know, would make each of its inserts fail.
#[rstest]
#[case::required("alter table pfa_mirror add tenant text not null", "pfa_mirror.tenant is not null and has no default")]
#[case::never_empty(
    "alter table pfa_mirror alter category set not null",
    "pfa_mirror.category is not null, and a record may have no value"
)]
#[case::short_states(
    r#"alter table pfa_modification alter "syncState" type varchar(8)"#,
    r#"pfa_modification."syncState" is too short"#
)]
#[case::short_ids("alter table pfa_mirror_history alter id type varchar(20)", "pfa_mirror_history.id is too short")]
#[case::generated(
    r#"alter table pfa_mirror drop "hasPlan", add "hasPlan" boolean generated always as ("originalStart" is not null) stored"#,
    r#"pfa_mirror."hasPlan" is generated"#
)]
#[tokio::test]
async fn a_column_that_cannot_be_written_is_refused(#[case] change: &str, #[case] fault: &str) -> Result<()> {
    let database = installed(&[PHASE_3, change]).await?;
    let error = database.client().await?.query("select * from pfa_sync.attach()", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF007");
    assert!(message.contains(fault), "{message}");
    Ok(())
}
