//! Grants: what each function and view is open to, who owns what, and that tables are closed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use testbed::cluster::{Database, Template, shared};

use crate::support::scenario::Scenario;

/// What each function and view of the surface is open to. A new one needs a line here: application, relay, api, reader.
const SURFACE: &str = "
    function canonical a r i d        function claim - r - -               function commit_drafts a - i -
    function complete - r - -         function report_conflict - r - -            function conflict_state a - i -
    function discard_drafts a - i -   function explain a - i -             function extend_lease - r - -
    function fail - r - -             function heartbeat - r - -           function inbound_organizations - r - -
    function ingest - r - -           function maintain - r - -            function next_due_ms - r - -
    function organization_of a - i d  function pause a - i -               function preview_resolution a - i -
    function release - r - -          function resolve_conflict a - i -    function resolve_conflicts a - i -
    function resume a - i -           function save_draft a - i -          function can_see a r i d
    function mark_sent - r - -             function set a - i -                 function fleet_setting a r i d
    function reconcile - r - -           function masked a - i d                function numerals a - i d
    function priced_organizations a - i d                                   function state a - i -
    function status a - i d           function sweep - r - -               function take_slots - r - -
    function three_way a r i d        function timeline a - i d            function validate a r i d
    function visible_organizations a r i d                                 function withdraw a - i -
    function write_sync a - i -       function preview_dead_letters a - i - function requeue_dead_letters a - i -
    function discard_dead_letters a - i -                                  function attempts a - i d
    function lost_since - r - -       function accept_shape a - i -        function begin_pull - r - -
    function next_pull_ms - r - -     function ingest_page - r - -         function missing_records - r - -
    function report_missing - r - -   function end_pull - r - -
    function begin_idempotent - - i -       function finish_idempotent - - i -
    function health a r i d           function accept_versions a - i -
    function check - r i -
    function metrics a r - -          function audit_page a - i d
    function event_position a - i d   function events a - i d              function events_of_all - - i -
    function progress a - i d         function records a - i -               relation changes a - i d
    relation audit a - i d            relation batches a - i d             relation conflicts a - i d
    relation dead_letters a - i d     
    relation field_rules a r i d      relation jobs a - i d                relation queue a - i d
      
    relation settings a r i d         relation causes a r i d
    relation pulls a - i d            relation failures a - i d            function note_failure a - i -
    function kpis a - i d             function drain_forecast a - i d
    relation bulk_jobs a - i d           relation bulk_items a - i d
    function run_jobs - r - -         function stop_job a - i -            function continue_job a - i -
    function undo_job a - i -         function inverses_of a - i d         function rollback a - i -
    function rollback_preview a - i - function rollback_records a - i -    function restore_preview a - i -
    function restore_version a - i -  function find_jobs a - i d
    function save_drafts a - i -         function record a - i -              function record_facets a - i -
    function save_view a - i -           function delete_view a - i -         function me a - i d
    function find_batches a - i d        function find_conflicts a - i d      function find_dead_letters a - i d
    function find_resolved_conflicts a - i d                                  function user_names a - i d
    function saved_view_users a - i d    relation resolved_conflicts a - i d  relation saved_views a - i d
    function cost a r i d                function status_of_all - - i -       function status_from - - i -
    function record_ids a - i -          function preview_edit a - i -        function edit_records a - i -
    function withdraw_records a - i -    function check_resolution a - i -    function draft_summary a - i -
    function define_pems a - i -         function assign_pems a - i -         function retire_pems a - i -
    function relay_config - r - -        function config_revision - r - -     function next_credentials - r - -
    function store_credentials - r - -   function activate_credentials - r - -
    function record_verification - r - - function remove_credentials - r - -  function reseal_credentials - r - -
    relation credentials a r i d         relation pems_systems a r i d
    function slot_interval_of a r i d    function breaker_state a r i d
    function drain a - i -               function is_drained a r i -          function acknowledge_alert a - i -
    function set_alert_rule a - i -      function set_alert_channel a - i -   function remove_alert_channel a - i -
    function mark_read a - i -           function evaluate_alerts - r i -     function notify_users - r i -
    function claim_deliveries - r i -    function report_delivery - r i -     relation relays a r i d
    relation alerts a - i d              relation alert_rules a - i d         relation alert_channels a - i d
    relation notifications a - i d       function can_see_all a - i d         function visibility_user a - i d
    function alert_limit_of a - i d      function relay_silence a r i d
    function compare_page - r - -        function compare_missing - r - -     function record_comparison - r - -
    function support_bundle - r - -      function require_export a - i d   function find_notifications a - i d       function next_requests - r - -       function doctor - r i -";

const ROLES: [(&str, &str); 4] =
    [("pfa_sync_application", "a"), ("pfa_sync_relay", "r"), ("pfa_sync_api", "i"), ("pfa_sync_reader", "d")];

#[tokio::test]
async fn every_function_and_view_is_open_to_just_the_roles_that_need_it() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let words: Vec<&str> = SURFACE.split_whitespace().collect();
    let expected: BTreeMap<String, String> =
        words.chunks(6).map(|line| (format!("{} {}", line[0], line[1]), line[2..].join(" "))).collect();
    let query = "select 'function ' || p.proname, array(select has_function_privilege(r, p.oid, 'execute') from unnest($1::text[]) with ordinality u (r, n) order by n) \
                   from pg_proc p where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and p.prokind = 'f' \
                 union all \
                 select 'relation ' || c.relname, array(select has_table_privilege(r, c.oid, 'select') from unnest($1::text[]) with ordinality u (r, n) order by n) \
                   from pg_class c where c.relnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and c.relkind in ('r', 'p', 'v')";
    let roles: Vec<&str> = ROLES.iter().map(|(role, _)| *role).collect();
    let mut found = BTreeMap::new();
    for row in scenario.client.query(query, &[&roles]).await? {
        let open: Vec<bool> = row.get(1);
        if open.contains(&true) {
            let letters = ROLES.iter().zip(open).map(|((_, letter), open)| if open { letter } else { "-" });
            found.insert(row.get::<_, String>(0), letters.collect::<Vec<_>>().join(" "));
        }
    }
    let lines = |of: &BTreeMap<String, String>| of.iter().map(|(name, open)| format!("{name} {open}")).collect::<BTreeSet<_>>();
    let (found, expected) = (lines(&found), lines(&expected));
    assert_eq!(found.symmetric_difference(&expected).collect::<Vec<_>>(), Vec::<&String>::new());
    Ok(())
}

/// Tables are open to their owner alone, and have no row security, under which no other role could dump them. A view with
/// rows of organizations lets no condition of its reader run before its own.
#[tokio::test]
async fn tables_are_closed_and_views_are_barriers() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let ours = "n.nspname in ('pfa_sync', 'pfa_sync_private')";
    let open = format!(
        "select coalesce(string_agg(distinct c.relname || ' to ' || g.grantee::regrole, ', '), '') from pg_class c \
           join pg_namespace n on n.oid = c.relnamespace cross join lateral aclexplode(c.relacl) g \
          where {ours} and c.relkind in ('r', 'p', 'S') and g.grantee <> c.relowner"
    );
    assert_eq!(scenario.value::<String>(&open).await?, "");
    let columns = format!(
        "select count(*) from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace \
          where {ours} and a.attacl is not null"
    );
    assert_eq!(scenario.value::<i64>(&columns).await?, 0);
    let secured = format!(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace where {ours} and c.relrowsecurity"
    );
    assert_eq!(scenario.value::<i64>(&secured).await?, 0);
    let unguarded = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c where c.relnamespace = 'pfa_sync'::regnamespace \
                     and c.relkind = 'v' and c.reloptions is distinct from array['security_barrier=true']";
    assert_eq!(scenario.value::<String>(unguarded).await?, "");
    Ok(())
}

/// Default privileges of a site, under which every new table and function is open to somebody, open nothing of ours:
/// neither what the script creates, nor what attach() and maintain() create later.
#[tokio::test]
async fn default_privileges_of_the_site_open_nothing() -> Result<()> {
    let database = Database::create(&shared()?, Template::Empty).await?;
    let client = database.client().await?;
    let setup = [
        "alter default privileges grant select on tables to pfa_sync_reader, public",
        "alter default privileges grant all on sequences to pfa_sync_reader",
        "alter default privileges grant execute on functions to pfa_sync_reader",
        "alter default privileges grant usage on schemas to pfa_sync_reader, public",
        "alter default privileges grant usage on types to pfa_sync_reader",
        "alter default privileges for role pfa_sync_owner grant select on tables to pfa_sync_reader",
    ];
    client.batch_execute(&setup.join(";")).await?;
    client.batch_execute(include_str!("../../sql/sample/schema.sql")).await?;
    client
        .batch_execute("create extension pfa_sync; select pfa_sync.attach(); select pfa_sync_private.create_log_partitions(5)")
        .await?;
    let open = "select coalesce(string_agg(object, ', '), '') from ( \
                    select c.oid::regclass::text as object from pg_class c cross join lateral aclexplode(c.relacl) g \
                     where c.relnamespace = 'pfa_sync_private'::regnamespace and c.relkind in ('r', 'p', 'v', 'S') and g.grantee <> c.relowner \
                    union all \
                    select c.oid::regclass::text from pg_class c cross join lateral aclexplode(c.relacl) g \
                     where c.relnamespace = 'pfa_sync'::regnamespace and g.grantee <> c.relowner \
                       and (g.grantee = 0 or g.privilege_type <> 'SELECT') \
                    union all \
                    select p.oid::regprocedure::text from pg_proc p cross join lateral aclexplode(p.proacl) g \
                     where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and g.grantee = 0 \
                    union all \
                    select t.typname from pg_type t cross join lateral aclexplode(t.typacl) g \
                     where t.typnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and g.grantee not in (0, t.typowner) \
                    union all \
                    select 'schema ' || n.nspname from pg_namespace n cross join lateral aclexplode(n.nspacl) g \
                     where n.nspname = 'pfa_sync_private' and g.grantee <> n.nspowner or n.nspname = 'pfa_sync' and g.grantee = 0) o";
    assert_eq!(client.query_one(open, &[]).await?.get::<_, String>(0), "");
    // Functions: exactly those that the surface grants, which the same query finds where the site has no such privileges.
    let granted = "select coalesce(string_agg(p.oid::regprocedure::text, ', ' order by p.oid::regprocedure::text), '') from pg_proc p \
                    where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and has_function_privilege('pfa_sync_reader', p.oid, 'execute')";
    let elsewhere = Scenario::empty().await?.value::<String>(granted).await?;
    assert_eq!(client.query_one(granted, &[]).await?.get::<_, String>(0), elsewhere);
    Ok(())
}

/// Everything is owned by a role without rights of its own, except what a superuser calls as invoker.
#[tokio::test]
async fn the_owner_is_no_superuser() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let installers = "select array_agg(distinct p.proname::text order by p.proname::text) from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
                      where n.nspname in ('pfa_sync', 'pfa_sync_private') and p.proowner <> 'pfa_sync_owner'::regrole";
    let expected = [
        "add_application_columns",
        "added_column_comment",
        "all_permissions",
        "application_changed",
        "application_columns",
        "application_faults",
        "application_triggers",
        "application_views",
        "attach",
        "become_table_owner",
        "create_application_triggers",
        "create_application_views",
        "create_foreign_queue_function",
        "create_lock_function",
        "create_lock_functions",
        "create_row_function",
        "create_row_functions",
        "create_write_function",
        "create_write_functions",
        "database_oid",
        "detach",
        "drop_added_columns",
        "drop_application_triggers",
        "drop_application_views",
        "extension_dropped",
        "fitting_types",
        "follow_application_change",
        "foreign_code",
        "foreign_queue",
        "grant_application",
        "grant_surface",
        "installed_version",
        "is_copy",
        "is_guarded",
        "lock_application_views",
        "other_grantees",
        "owner_faults",
        "refresh_application_functions",
        "refuse_foreign_code",
        "revoke_grants",
        "system_identifier",
        "translated_columns",
        "trigger_owners",
        "triggers_in_place",
        "typed_field_columns",
    ];
    assert_eq!(scenario.value::<Vec<String>>(installers).await?, expected);
    let definers = "select coalesce(string_agg(p.proname, ', ' order by p.proname), '') from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
                    where n.nspname in ('pfa_sync', 'pfa_sync_private') and p.prosecdef and p.proowner <> 'pfa_sync_owner'::regrole";
    // The guard over migrations: the first statement of each gives up its rights for those of the owner.
    assert_eq!(scenario.value::<String>(definers).await?, "application_changed, extension_dropped");
    let others = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                  where n.nspname in ('pfa_sync', 'pfa_sync_private') and c.relkind <> 'i' and c.relowner <> 'pfa_sync_owner'::regrole";
    assert_eq!(scenario.value::<String>(others).await?, "");
    let role = "select rolsuper or rolbypassrls or rolcanlogin or rolcreaterole or rolcreatedb from pg_roles where rolname = 'pfa_sync_owner'";
    assert!(!scenario.value::<bool>(role).await?);
    Ok(())
}

/// A function that is called from outside reads the application's tables without their policies, or not at all.
#[tokio::test]
async fn entry_points_turn_row_security_off() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let open = "select coalesce(string_agg(p.proname, ', '), '') from pg_proc p join pg_language l on l.oid = p.prolang \
                 where p.prosecdef and l.lanname <> 'c' and not 'row_security=off' = any (p.proconfig) \
                   and p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) \
                   and (p.prorettype = 'trigger'::regtype and p.proname like 'modification%' \
                        or exists (select from unnest(array['application', 'relay', 'api', 'reader']) r \
                                    where has_function_privilege('pfa_sync_' || r, p.oid, 'execute')))";
    assert_eq!(scenario.value::<String>(open).await?, "");
    Ok(())
}
