//! Grants: what each function and view is open to, and that row security covers every table with rows of organizations.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

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
    function reconcile - r - -           function masked_change a - i d        function masked_event a - i d
    function masked_dead_letter a - i d                                     function masked_pull a - i d
    function masked_sides a - i d      function state a - i -
    function status a - i d           function sweep - r - -               function take_slots - r - -
    function three_way a r i d        function timeline a - i d            function validate a r i d
    function visible_organizations a r i d                                 function withdraw a - i -
    function write_sync a - i -       function preview_dead_letters a - i - function requeue_dead_letters a - i -
    function discard_dead_letters a - i -                                  function attempts a - i d
    function lost_since - r - -       function accept_shape a - i -        function begin_pull - r - -
    function next_pull_ms - r - -     function ingest_page - r - -         function missing_records - r - -
    function report_missing - r - -   function end_pull - r - -
    function begin_idempotent - - i -       function finish_idempotent - - i -
    function metrics a r - -          function audit_page a - i d
    function event_position a - i d   function events a - i d              function events_of_all - - i -
    function progress a - i d         function records a - i -               relation changes a - i d
    relation audit a - i d            relation batches a - i d             relation conflicts a - i d
    relation dead_letters a - i d     relation field a r i d               relation field_override a r i d
    relation field_rules a r i d      relation jobs a - i d                relation queue a - i d
    relation setting_definition a r i d  relation setting_value a r i d
    relation settings a r i d         relation sync_batch a - i d          relation sync_job a - i d
    relation pulls a - i d";

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

#[tokio::test]
async fn every_table_with_an_organization_is_under_forced_row_security() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let open = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c join pg_attribute a on a.attrelid = c.oid \
                where c.relnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) and c.relkind in ('r', 'p') and a.attname = 'organization_id' \
                  and not (c.relrowsecurity and c.relforcerowsecurity)";
    assert_eq!(scenario.value::<String>(open).await?, "");
    let definers = "select coalesce(string_agg(c.relname, ', '), '') from pg_class c where c.relnamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace) \
                    and c.relkind = 'v' and not coalesce('security_invoker=true' = any (c.reloptions), false)";
    assert_eq!(scenario.value::<String>(definers).await?, "", "a view with its owner's rights is above row security");
    Ok(())
}
