//! Code of the application's tables does not run with the rights of the extension.
//!
//! The tables belong to a role of the application, as they do where Prisma migrates with the application's login. That role
//! puts code of its own into every place where a write or a read executes it, and each of the extension's paths is taken.

use anyhow::Result;
use rstest::rstest;
use serde_json::json;
use testbed::application::{EDITOR, RIO, pems_record};

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

/// The first attach() takes rows over that another program left half done: what that executes is the owner's, too.
#[tokio::test]
async fn what_attach_changes_runs_as_the_tables_owner() -> Result<()> {
    let (scenario, role) = owned_by_another().await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute(&format!(
            "select pfa_sync.detach(); {CODE_OF_WRITES}; truncate loot.seen; set session_replication_role = replica; \
             update pfa_modification set \"syncState\" = 'syncing', \"syncStatus\" = null; reset session_replication_role"
        ))
        .await?;
    scenario.client.query("select pfa_sync.attach()", &[]).await?;
    let executed_by: Vec<String> =
        scenario.value("select array_agg(distinct executed_by || ' ' || altered) from loot.seen").await?;
    assert_eq!(executed_by, [format!("{role} 42501")]);
    assert_eq!(
        scenario.value::<String>(r#"select "syncState" || '/' || "syncStatus" from pfa_modification"#).await?,
        "committed/committed"
    );
    Ok(())
}

/// Functions of the tables' owner that a query evaluates while it is planned, and where they are called. `loot.read` writes down
/// who executes it, in its own way round the rule that an immutable function writes nothing.
const CODE_OF_READS: &str = r#"
    create sequence loot.reads;
    create function loot.read(text) returns boolean immutable language plpgsql as $$
    begin
        if current_user <> 'table_owner' then
            perform nextval('loot.reads');
        end if;
        return true;
    end $$;
    create function loot.inlined(text) returns boolean language sql as 'select loot.read(''x'')';
    create operator loot.=== (function = loot.same, leftarg = text, rightarg = text);
"#;

/// Reading a table executes code of its owner in several places. None of them comes into a table that is attached, whatever the
/// session's settings say.
#[rstest]
#[case::index("create index loot on pfa_modification (id) where loot.read('x')")]
#[case::index_of_the_mirror("create index loot on pfa_mirror (id) where loot.read('x')")]
#[case::index_of_users("create index loot on users (id) where loot.read('x')")]
#[case::index_expression("create index loot on pfa_mirror (loot.read(id))")]
#[case::check("alter table pfa_modification add constraint loot check (loot.read('x'))")]
#[case::check_that_is_inlined("alter table pfa_modification add constraint loot check (loot.inlined(id))")]
#[case::statistics("create statistics loot on (loot.read(id)), id from pfa_mirror")]
#[case::child("create table loot.child (check (loot.read('x'))) inherits (pfa_mirror)")]
#[case::child_later(
    "create table loot.child (like pfa_mirror, check (loot.read('x'))); alter table loot.child inherit pfa_mirror"
)]
#[case::index_of_a_child(
    "create table loot.child () inherits (pfa_mirror); create index on loot.child (id) where loot.read('x')"
)]
#[case::operator("create index loot on pfa_mirror (id) where 'x' operator(loot.===) 'x'")]
#[case::schema("create schema loot2 create table child (check (loot.read('x'))) inherits (public.pfa_mirror)")]
#[case::deferred_trigger(
    "create constraint trigger loot after update on pfa_modification deferrable initially deferred \
     for each row execute function loot.grab_by_trigger()"
)]
#[case::function_made_immutable(
    "create function loot.later(text) returns boolean language plpgsql as 'begin return loot.read($1); end'; \
     alter table pfa_mirror add constraint loot check (loot.later('x')); alter function loot.later(text) immutable"
)]
#[case::function_replaced(
    "create function loot.later(text) returns boolean language plpgsql as 'begin return true; end'; \
     alter table pfa_mirror add constraint loot check (loot.later('x')); \
     create or replace function loot.later(text) returns boolean language sql as 'select loot.read(''x'')'"
)]
#[tokio::test]
async fn code_of_others_that_reading_executes_is_refused(#[case] statements: &str) -> Result<()> {
    let (scenario, role) = owned_by_another().await?;
    scenario
        .client
        .batch_execute(&format!(
            "alter table users owner to {role}; grant {role} to current_user; grant create on schema public to {role}; \
             grant usage on schema loot to public; \
             create function loot.same(text, text) returns boolean immutable language plpgsql as 'begin return loot.read($1); end'; \
             alter function loot.same(text, text) owner to {role}"
        ))
        .await?;
    let database: String = scenario.value("select current_database()::text").await?;
    scenario.client.batch_execute(&format!("grant create on database {database} to {role}; set role {role}")).await?;
    scenario.client.batch_execute(&CODE_OF_READS.replace("table_owner", &role)).await?;
    scenario.client.batch_execute("grant usage on sequence loot.reads to public; set pfa_sync.ddl_guard = off").await?;
    let refused = scenario.client.batch_execute(&format!("begin; {statements}; commit")).await;
    scenario.client.batch_execute("rollback; set constraint_exclusion = on; reset role").await?;
    let error = refused.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert!(code == "PF007" && message.contains("loot."), "{code}: {message}");

    scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.query("select pfa_sync.attach()", &[]).await?;
    assert!(!scenario.value::<bool>("select is_called from loot.reads").await?, "only the owner has executed it");
    assert!(scenario.client.query("select * from pfa_sync.check()", &[]).await?.is_empty());
    Ok(())
}

/// What is there before is refused by attach(), before it reads the tables.
#[rstest]
#[case::index("create index loot on pfa_modification (id) where loot.read('x')")]
#[case::check("alter table pfa_mirror add constraint loot check (loot.inlined(id))")]
#[tokio::test]
async fn attach_refuses_tables_whose_reading_executes_code_of_others(#[case] statements: &str) -> Result<()> {
    let (scenario, role) = owned_by_another().await?;
    scenario.client.batch_execute(&format!("select pfa_sync.detach(); grant {role} to current_user; grant usage on schema loot to public; grant create on schema public to {role}; \
        create function loot.same(text, text) returns boolean immutable language plpgsql as 'begin return true; end'; set role {role}")).await?;
    scenario.client.batch_execute(&CODE_OF_READS.replace("table_owner", &role)).await?;
    scenario
        .client
        .batch_execute(&format!(
            "grant usage on sequence loot.reads to public; {statements}; reset role; set constraint_exclusion = on"
        ))
        .await?;
    let error = scenario.client.query("select pfa_sync.attach()", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert!(code == "PF007" && message.contains("when the table is read"), "{code}: {message}");
    assert!(!scenario.value::<bool>("select is_called from loot.reads").await?);
    // A function of a superuser is trusted.
    scenario
        .client
        .batch_execute("alter function loot.read(text) owner to postgres; alter function loot.inlined(text) owner to postgres")
        .await?;
    scenario.client.query("select pfa_sync.attach()", &[]).await?;
    Ok(())
}
