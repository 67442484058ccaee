//! Code of the application's tables does not run with the rights of the extension.
//!
//! The tables belong to a role of the application, as they do where Prisma migrates with the application's login. That role
//! puts code of its own into every place where a write or a read executes it, and each of the extension's paths is taken.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, pems_record};

use crate::support::scenario::{Scenario, refusal};

/// The role that owns the application's tables, and writes down who executes its code, and whether that may change what a
/// superuser calls.
const OWNER: &str = r#"
    create role table_owner nologin;
    create schema loot authorization table_owner;
    create table loot.seen (place text, executed_by text, altered text);
    alter table loot.seen owner to table_owner;
    create function loot.grab(place text) returns boolean language plpgsql volatile set search_path = pg_catalog as $$
    declare
        altered text := 'yes';
    begin
        begin
            execute 'create or replace function pfa_sync_private.is_dba() returns boolean language sql as ''select true''';
        exception when others then
            altered := sqlstate;
        end;
        insert into loot.seen values (place, current_user, altered);
        return true;
    end $$;
    create function loot.grab_by_trigger() returns trigger language plpgsql set search_path = pg_catalog as $$
    begin
        perform loot.grab(tg_table_name || ' ' || tg_op);
        return coalesce(new, old);
    end $$;
    create function loot.grab_default() returns text language plpgsql volatile set search_path = pg_catalog as $$
    begin
        perform loot.grab('default');
        return 'x';
    end $$;
    alter function loot.grab(text) owner to table_owner;
    alter function loot.grab_by_trigger() owner to table_owner;
    alter function loot.grab_default() owner to table_owner;
    alter table pfa_modification owner to table_owner;
    alter table pfa_mirror owner to table_owner;
    alter table pfa_mirror_history owner to table_owner;
"#;

/// Every place where a table's owner may put code that a write executes; nothing of it is executed for the rows at hand.
const CODE_OF_WRITES: &str = r#"
    create trigger a_grab before insert or update or delete on pfa_modification for each row execute function loot.grab_by_trigger();
    create trigger z_grab after insert or update on pfa_modification for each statement execute function loot.grab_by_trigger();
    create trigger a_grab before insert or update on pfa_mirror for each row execute function loot.grab_by_trigger();
    create trigger z_grab after insert or update on pfa_mirror for each row execute function loot.grab_by_trigger();
    create trigger a_grab before insert on pfa_mirror_history for each row execute function loot.grab_by_trigger();
    alter table pfa_modification add column loot text;
    alter table pfa_modification alter column loot set default loot.grab_default();
    alter table pfa_mirror add constraint loot check (loot.grab('check')) not valid;
    alter table pfa_mirror_history add column loot text;
    alter table pfa_mirror_history alter column loot set default loot.grab_default();
"#;

/// A database whose tables a role of its own owns (roles are the cluster's, which other tests share), and that role.
async fn owned_by_another() -> Result<(Scenario, String)> {
    let scenario = Scenario::new().await?;
    let role: String = scenario.value("select 'table_owner_' || oid from pg_database where datname = current_database()").await?;
    scenario.client.batch_execute(&OWNER.replace("table_owner", &role)).await?;
    scenario.client.query("select pfa_sync.attach()", &[]).await?;
    Ok((scenario, role))
}

#[tokio::test]
async fn what_a_write_executes_runs_as_the_tables_owner() -> Result<()> {
    let (scenario, role) = owned_by_another().await?;
    scenario.client.batch_execute(CODE_OF_WRITES).await?;
    // Drafts, a commit, a claim, a completion; a page with a new and a changed record.
    let draft = "select * from pfa_sync.save_draft('RIO', $1, '1', $2)";
    scenario.client.query(draft, &[&EDITOR, &json!({"model": "X"})]).await?;
    scenario.client.query(draft, &[&EDITOR, &json!({"model": "Y"})]).await?;
    scenario.client.query("select * from pfa_sync.commit_drafts('RIO', $1)", &[&EDITOR]).await?;
    assert_eq!(scenario.deliver().await?, 1);
    let mut changed = pems_record("RIO", "2");
    changed["version"] = json!(2);
    changed["model"] = json!("theirs");
    changed["updatedAt"] = json!("2026-03-01T00:00:00.000Z");
    scenario.ingest(&[changed, pems_record("RIO", "new")]).await?;

    let places: Vec<String> = scenario.value("select array_agg(distinct place order by place) from loot.seen").await?;
    for place in [
        "check",
        "default",
        "pfa_mirror INSERT",
        "pfa_mirror UPDATE",
        "pfa_mirror_history INSERT",
        "pfa_modification INSERT",
        "pfa_modification UPDATE",
    ] {
        assert!(places.iter().any(|seen| seen == place), "{place} was not reached: {places:?}");
    }
    let executed_by: Vec<String> =
        scenario.value("select array_agg(distinct executed_by || ' ' || altered) from loot.seen").await?;
    assert_eq!(executed_by, [format!("{role} 42501")]);
    scenario.check().await
}

/// A policy on the application's tables is code that reading executes: the extension refuses to read under one.
#[rstest]
#[case::of_modifications("pfa_modification")]
#[case::of_the_mirror("pfa_mirror")]
#[case::of_members("user_organizations")]
#[tokio::test]
async fn a_policy_is_an_error_and_not_code(#[case] table: &str) -> Result<()> {
    let (scenario, _) = owned_by_another().await?;
    scenario
        .client
        .batch_execute(&format!(
            "alter table {table} enable row level security; create policy grab on {table} using (loot.grab('policy')); \
             grant usage on schema loot to public; grant insert on loot.seen to public"
        ))
        .await?;
    let draft = "select * from pfa_sync.save_draft('RIO', $1, '1', $2)";
    let error = scenario.client.query(draft, &[&EDITOR, &json!({"model": "X"})]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "42501");
    assert_eq!(scenario.value::<i64>("select count(*) from loot.seen").await?, 0);
    Ok(())
}

/// What remains is named: who may put code on the tables, and with whose rights it runs.
#[tokio::test]
async fn attach_names_who_may_put_code_on_the_tables() -> Result<()> {
    let (scenario, role) = owned_by_another().await?;
    scenario.client.batch_execute("grant trigger on pfa_mirror to pfa_sync_reader").await?;
    let found: String = scenario.value("select string_agg(detail, '; ') from pfa_sync.attach() where action = 'found'").await?;
    assert!(found.contains("role pfa_sync_reader may create triggers on public.pfa_mirror") && found.contains(&role), "{found}");
    Ok(())
}
