//! What DBAs do to a database: publications, settings of a session, rules of their own, sequences that stood still.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::EDITOR;
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};

/// A table without a key refuses UPDATE and DELETE as soon as a publication has it.
#[tokio::test]
async fn a_publication_of_all_tables_stops_nothing() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("create publication everything for all tables").await?;
    scenario
        .client
        .batch_execute(
            "select pfa_sync.set('max_retries', '5'); \
             insert into pfa_sync_private.field_override (name, type, permission) values ('towerHeight', 'decimal', 'perm_EditForecast'); \
             update pfa_sync_private.field_override set maximum = 200; delete from pfa_sync_private.field_override; \
             select pfa_sync_private.create_log_partitions(4); select * from pfa_sync.maintain()",
        )
        .await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    let keyless = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c \
                    where c.relnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and c.relkind = 'r' \
                      and c.relreplident <> 'f' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)";
    assert_eq!(scenario.value::<String>(keyless).await?, "", "each table has a key or a replica identity");
    // The log's month is emptied by a DBA.
    scenario.client.batch_execute("delete from pfa_sync_private.pfa_audit_log").await?;
    scenario.check().await
}

/// A session that spells strings in the old way gets the same answers.
#[tokio::test]
async fn standard_strings_are_no_condition() -> Result<()> {
    let scenario = Scenario::new().await?;
    let body = "select coalesce(string_agg(p.proname, ', '), '') from pg_proc p \
                 where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and strpos(p.prosrc, chr(92)) > 0";
    assert_eq!(scenario.value::<String>(body).await?, "", "no body has a backslash, which such a session reads otherwise");
    let session = scenario.database.client_as(Login::Application).await?;
    session.batch_execute("set standard_conforming_strings = off; set escape_string_warning = off").await?;
    for (search, found) in [("%", 0), ("_", 0), (r"\", 0), ("ltm 11", 3)] {
        let rows =
            session.query("select * from pfa_sync.records('RIO', search => $1, user_id => $2)", &[&search, &EDITOR]).await?;
        assert_eq!(rows.len(), found, "{search}");
    }
    Ok(())
}

/// A column whose collation is not deterministic has no substrings.
#[tokio::test]
async fn records_are_searched_under_any_collation() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario
        .client
        .batch_execute(
            r#"create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
               alter table pfa_mirror alter column "pfaId" type text collate loose"#,
        )
        .await?;
    let rows = scenario.client.query("select * from pfa_sync.records('RIO', search => 'LIEB')", &[]).await?;
    assert_eq!(rows.len(), 3);
    Ok(())
}

/// A rule that would fail every commit is refused when it is written.
#[rstest]
#[case::length("('model', 'text', null, null, null, -5, null)")]
#[case::no_length("('model', 'text', null, null, null, 0, null)")]
#[case::scale("('monthlyRate', 'decimal', -1, null, null, null, null)")]
#[case::far_scale("('monthlyRate', 'decimal', 99, null, null, null, null)")]
#[case::range("('monthlyRate', 'decimal', 2, 10, 1, null, null)")]
#[case::no_number("('monthlyRate', 'decimal', 2, 'NaN', null, null, null)")]
#[case::no_bound("('monthlyRate', 'decimal', 2, 1e40, null, null, null)")]
#[case::infinite("('monthlyRate', 'decimal', 2, null, 'Infinity', null, null)")]
#[case::no_choice("('source', 'text', null, null, null, null, '{}')")]
#[case::null_choice("('source', 'text', null, null, null, null, '{Rental,NULL}')")]
#[case::name("('', 'text', null, null, null, null, null)")]
#[case::odd_name("('a.b', 'text', null, null, null, null, null)")]
#[tokio::test]
async fn an_impossible_rule_is_refused(#[case] row: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let insert = format!(
        "insert into pfa_sync_private.field_override (name, type, scale, minimum, maximum, max_length, choices) values {row}"
    );
    let error = scenario.client.batch_execute(&insert).await.unwrap_err().into();
    assert!(["PF001", "23514"].contains(&refusal(&error).0.as_str()), "{error:?}");
    scenario.edit("1", json!({"model": "X"})).await?;
    Ok(())
}

/// Rules that were changed and rolled back are not judged by, whatever the session compiled between.
#[tokio::test]
async fn rules_that_were_rolled_back_are_forgotten() -> Result<()> {
    let scenario = Scenario::new().await?;
    let judged = |text: &'static str| {
        let client = &scenario.client;
        async move { client.query("select * from pfa_sync.validate('{\"pfaId\": \"1\"}', $1)", &[&json!({"model": text})]).await }
    };
    let limit = |length: i32| {
        format!(
            "insert into pfa_sync_private.field_override (name, type, max_length, permission) values ('model', 'text', {length}, 'perm_EditForecast')"
        )
    };
    assert_eq!(judged("LTM 1300").await?.len(), 0);
    scenario.client.batch_execute("begin").await?;
    scenario.client.batch_execute(&limit(3)).await?;
    assert_eq!(judged("LTM 1300").await?.len(), 1, "the transaction's own rules");
    scenario.client.batch_execute("rollback").await?;
    // The next change must not get the number of the one that was rolled back.
    scenario.client.batch_execute(&limit(20)).await?;
    assert_eq!(judged("LTM 1300").await?.len(), 0);
    Ok(())
}
