//! What DBAs do to a database: publications, settings of a session, rules of their own, sequences that stood still.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::EDITOR;
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};
use crate::support::stack::Stack;

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

/// Sequences stay where they were under logical replication, while the rows arrive.
#[tokio::test]
async fn sequences_that_stood_still_are_set() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    let reset = "select setval(s.oid, 1, false) from pg_class s where s.relkind = 'S' and s.relnamespace = 'pfa_sync_private'::regnamespace \
                  and s.relname <> 'rules_version_seq'";
    for call in ["select * from pfa_sync.adopt()", "select * from pfa_sync.attach()"] {
        scenario.client.query(reset, &[]).await?;
        scenario.client.query(call, &[]).await?;
        scenario.edit("3", json!({"model": call})).await?;
        assert_eq!(scenario.deliver().await?, 1, "{call}");
        let twice =
            "select count(*) from (select id from pfa_sync_private.pfa_write_queue_archive group by id having count(*) > 1) d";
        assert_eq!(scenario.value::<i64>(twice).await?, 0);
    }
    scenario.check().await
}

/// `DROP OWNED BY` takes the grants of a role away; attaching gives them back.
#[tokio::test]
async fn grants_that_were_dropped_come_back_with_attach() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("drop owned by pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader").await?;
    let may = "select has_function_privilege('pfa_sync_relay', 'pfa_sync.claim(text, text, int, interval, interval, text[], interval)', 'execute')";
    assert!(!scenario.value::<bool>(may).await?);
    scenario.client.query("select * from pfa_sync.attach()", &[]).await?;
    assert!(scenario.value::<bool>(may).await?);
    Ok(())
}

/// A site may forbid DDL by an event trigger; what no trigger saw is queued all the same.
#[tokio::test]
async fn a_site_that_forbids_ddl_is_swept() -> Result<()> {
    let stack = Stack::new(1).await?;
    stack
        .scenario
        .client
        .batch_execute(
            r#"do $$ declare part text; begin
                   select max(c.relname) into part from pg_class c where c.relname ~ '^pfa_audit_log_[0-9]{6}$';
                   execute format('drop table pfa_sync_private.%I', part);
               end $$;
               create function forbid() returns event_trigger language plpgsql as $$ begin raise exception 'no DDL here'; end $$;
               create event trigger forbid on ddl_command_start execute function forbid();
               set session_replication_role = replica;
               insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "syncStatus", "committedAt", "updatedAt")
               select 'unseen', id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', 'committed', now(), now() from pfa_mirror;
               reset session_replication_role"#,
        )
        .await?;
    let _relay = stack.relay("run")?;
    stack.until(r#"select "syncState" = 'synced' from pfa_modification"#).await?;
    stack.scenario.client.batch_execute("drop event trigger forbid").await?;
    stack.check().await
}
