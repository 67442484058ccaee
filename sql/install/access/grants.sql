-- Who may call what. Nothing is granted to PUBLIC; only functions write. Triggers run as their definer.

-- The grants of the surface, given by this script and again by attach(): DROP OWNED BY a role of ours takes them away.
create function grant_surface() returns void
    language plpgsql security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    grant usage on schema pfa_sync to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

    grant execute on function validate(jsonb, jsonb, text), three_way(jsonb, jsonb, jsonb, jsonb), canonical(jsonb),
        cost(jsonb)
        to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

    grant execute on function
        explain(text), save_draft(text, text, text, jsonb, text, text, text[]), save_drafts(text, text, jsonb, text),
        commit_drafts(text, text, text[], text, boolean),
        discard_drafts(text, text, text[], text), withdraw(text[], text, text), state(text[]),
        resolve_conflict(bigint, text, text, jsonb, text), preview_resolution(jsonb, text, text),
        resolve_conflicts(jsonb, text, text, text), set(text, text, text, text), accept_shape(text, text),
        accept_versions(text, text),
        pause(text, text, timestamptz, text), resume(text, text), conflict_state(bigint),
        write_sync(text, text[], int, text), preview_dead_letters(jsonb, text),
        requeue_dead_letters(jsonb, jsonb, text, text, int[], numeric), discard_dead_letters(jsonb, text, text, text),
        note_failure(text, text, text, text, text, text),
        records(text, jsonb, text, text, boolean, text, int, text, int), record_ids(text, jsonb, text, text),
        preview_edit(text, jsonb, jsonb, text, text),
        edit_records(text, jsonb, jsonb, text, text, text, text), withdraw_records(text, text[], text, text),
        check_resolution(bigint, text, jsonb, text), draft_summary(text, jsonb, text, text),
        record(text, text, text), record_facets(text, jsonb, text, text[], text),
        save_view(text, text, jsonb, boolean, text), delete_view(text, text, text),
        rollback_preview(bigint, bigint, text), rollback_records(bigint, bigint, text, int, text),
        rollback(bigint, text, text, text, bigint), restore_preview(text, text, int, text),
        restore_version(text, text, int, text, text, text), undo_job(bigint, text, text), stop_job(bigint, text, text),
        continue_job(bigint, text),
        define_pems(text, text, text, text, interval, int, interval, jsonb, text), assign_pems(text, text, text),
        retire_pems(text, text), drain(text, text, text), acknowledge_alert(bigint, text, text),
        set_alert_rule(text, text, boolean, text, numeric, interval, text),
        set_alert_channel(text, text, text, text, boolean, text), remove_alert_channel(bigint, text),
        mark_read(bigint[], text)
        to pfa_sync_application, pfa_sync_api;
    grant execute on function begin_idempotent(text, text), finish_idempotent(text, jsonb), events_of_all(text, int),
        status_of_all(), status_from(jsonb, text, text, text)
        to pfa_sync_api;
    grant execute on function
        status(text, text, timestamptz, timestamptz, text), health(text), timeline(text, text), attempts(bigint),
        progress(bigint), find_jobs(text, jsonb, bigint, int), find_batches(text, jsonb, bigint, int),
        find_conflicts(text, jsonb, bigint, int), find_resolved_conflicts(text, jsonb, bigint, int),
        find_dead_letters(text, jsonb, bigint, int), find_notifications(boolean, bigint, int, text), me(text),
        kpis(text, timestamptz, timestamptz, interval), drain_forecast(text),
        require_export(text), audit_page(text, jsonb, text, int, boolean), event_position(), events(text, text, int)
        to pfa_sync_application, pfa_sync_api, pfa_sync_reader;

    grant execute on function
        claim(text, text, int, interval, interval, text[], interval), next_due_ms(text[], interval),
        mark_sent(text, jsonb, interval),
        complete(text, jsonb), fail(text, jsonb), report_conflict(text, jsonb), reconcile(text, jsonb),
        lost_since(jsonb), release(text, jsonb), extend_lease(text, jsonb, interval), take_slots(text, int),
        heartbeat(text, text, text, text[], jsonb, boolean), sweep(int), run_jobs(), maintain(),
        ingest(text, jsonb, text, bigint), inbound_organizations(text), begin_pull(text, text, text[]),
        next_pull_ms(text[]), relay_config(), config_revision(), next_credentials(text, text),
        store_credentials(text, text, text, text, int, text, text, bytea, bytea, text),
        activate_credentials(bigint, boolean), record_verification(bigint), remove_credentials(bigint),
        reseal_credentials(bigint, text, bytea, bytea),
        ingest_page(bigint, int, jsonb, text, timestamptz), missing_records(bigint, int),
        report_missing(bigint, int, jsonb), end_pull(bigint, int, text, boolean, boolean, text, boolean)
        to pfa_sync_relay;
    grant execute on function health(text) to pfa_sync_relay;
    grant execute on function evaluate_alerts(), notify_users(), claim_deliveries(text[], int),
        report_delivery(bigint, text)
        to pfa_sync_relay, pfa_sync_api;
    grant execute on function compare_page(text, jsonb), compare_missing(text, text[]),
        record_comparison(text, bigint, bigint), support_bundle(), next_requests(int)
        to pfa_sync_relay;
    grant execute on function doctor() to pfa_sync_relay, pfa_sync_api;
    grant execute on function is_drained(text) to pfa_sync_application, pfa_sync_relay, pfa_sync_api;
    -- What doctor prints.
    grant execute on function pfa_sync.check() to pfa_sync_relay, pfa_sync_api;
    grant execute on function metrics() to pfa_sync_application, pfa_sync_relay;

    -- Stays the installer's, so that its owner cannot put another function in its place.
    grant execute on function become_table_owner(regclass) to pfa_sync_owner;
    grant execute on function
        revoke_grants(regclass), revoke_grants(regprocedure), other_grantees(aclitem[], oid),
        application_columns(), all_permissions(), typed_field_columns(), fitting_types(text),
        application_faults(name, boolean), owner_faults(name), foreign_code(name), foreign_queue(name),
        system_identifier(),
        is_copy(), installed_version(), database_oid(),
        -- What the guard calls.
        is_guarded(), follow_application_change(), refuse_foreign_code(oid[]), refresh_application_functions(name),
        application_triggers(),
        translated_columns(name, name), create_row_function(name, text, text, text), create_row_functions(name),
        create_lock_function(text, text), create_lock_functions(name), create_write_function(text, text, text, text),
        create_write_functions(name), create_foreign_queue_function(name), triggers_in_place()
        to pfa_sync_owner;
    grant execute on function fleet_setting(text)
        to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

    -- The views filter by organization and mask prices. Nothing is granted on tables.
    grant select on field_rules, settings, causes
        to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;
    grant select on credentials, pems_systems, relays
        to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;
    grant select on queue, conflicts, dead_letters, failures, jobs, bulk_jobs, bulk_items, batches, changes, pulls,
        audit, resolved_conflicts, saved_views, alerts, alert_rules, alert_channels, notifications
        to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
    -- The functions that the views call are called with the rights of the view's reader.
    grant execute on function
        organization_of(text), priced_organizations(), masked(jsonb, boolean), masked(text, boolean),
        numerals(), inverses_of(text, text), user_names(), saved_view_users(boolean), can_see_all(),
        visibility_user(), alert_limit_of(text, text)
        to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
    grant execute on function can_see(text, text), visible_organizations(), slot_interval_of(text),
        breaker_state(pems), relay_silence()
        to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;
end
$$;

-- Default privileges of the site may have granted privileges on the objects of this script to any role.
do $$
declare
    ours  oid[] := array['pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace];
    given record;
begin
    perform revoke_grants(c.oid::regclass)
       from pg_class c where c.relnamespace = any (ours) and c.relkind in ('r', 'p', 'v', 'S');
    perform revoke_grants(p.oid::regprocedure) from pg_proc p where p.pronamespace = any (ours);
    for given in
        select 'schema' as kind, n.oid::regnamespace::text as object, g.grantee
          from pg_namespace n cross join lateral other_grantees(n.nspacl, n.nspowner) g (grantee)
         where n.oid = any (ours)
        union all
        select 'type', t.oid::regtype::text, g.grantee
          from pg_type t cross join lateral other_grantees(t.typacl, t.typowner) g (grantee)
         where t.typnamespace = any (ours)
    loop
        execute format('revoke all on %s %s from %I', given.kind, given.object, given.grantee);
    end loop;
    revoke all on schema pfa_sync, pfa_sync_private from public;
end
$$;
select grant_surface();
