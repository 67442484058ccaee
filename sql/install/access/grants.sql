-- Who may call what. Nothing is granted to PUBLIC; only functions write. Triggers run as their definer.

revoke execute on all functions in schema pfa_sync, pfa_sync_private from public;

grant execute on function validate(jsonb, jsonb, text), three_way(jsonb, jsonb, jsonb, jsonb), canonical(jsonb)
    to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

grant execute on function
    explain(text), save_draft(text, text, text, jsonb, text, text), commit_drafts(text, text, text[], text, boolean),
    discard_drafts(text, text, text[], text), withdraw(text[], text), state(text[]),
    resolve_conflict(bigint, text, text, jsonb, int), preview_resolution(jsonb, text, text),
    resolve_conflicts(jsonb, text, text, text), set(text, text, text, text), accept_shape(text, text),
    pause(text, text, timestamptz, text), resume(text, text), conflict_state(bigint),
    write_sync(text, text[], int, text), preview_dead_letters(jsonb, text),
    requeue_dead_letters(jsonb, jsonb, text, text), discard_dead_letters(jsonb, text, text, text),
    records(text, jsonb, text, text, boolean, text, int, text)
    to pfa_sync_application, pfa_sync_api;
grant execute on function begin_idempotent(text, text), finish_idempotent(text, jsonb), events_of_all(text, int)
    to pfa_sync_api;
grant execute on function
    status(text, text, timestamptz, timestamptz), timeline(text, text), attempts(bigint), progress(bigint),
    audit_page(text, jsonb, text, int, boolean), event_position(), events(text, text, int)
    to pfa_sync_application, pfa_sync_api, pfa_sync_reader;

grant execute on function
    claim(text, text, int, interval), next_due_ms(), mark_sent(text, jsonb, interval), complete(text, jsonb),
    fail(text, jsonb), report_conflict(text, jsonb), reconcile(text, jsonb), lost_since(jsonb), release(text, jsonb),
    extend_lease(text, jsonb, interval), take_slots(text, int), heartbeat(text, text, text), sweep(), maintain(),
    ingest(text, jsonb, text, bigint), inbound_organizations(text), begin_pull(text, text), next_pull_ms(),
    ingest_page(bigint, int, jsonb, text), missing_records(bigint, int), report_missing(bigint, int, jsonb),
    end_pull(bigint, int, text, boolean, boolean, text)
    to pfa_sync_relay;
grant execute on function metrics() to pfa_sync_application, pfa_sync_relay;

-- The settings and field rules, which views show with the rights of their reader.
grant select on field, field_override, field_rules, setting_definition, setting_value, settings
    to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;
grant execute on function fleet_setting(text)
    to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

-- The views, the columns beneath them except those that may hold prices, and the functions that their policies and
-- columns call.
grant select on queue, conflicts, dead_letters, jobs, batches, changes, pulls, audit
    to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant select (id, organization_id, job_id, batch_id, mirror_id, pfa_id, modification_id, author, operation, status,
              priority, retry_count, head, scheduled_at, created_at, completed_at, relay, lease_until, sent_at)
    on pfa_write_queue, pfa_write_queue_archive to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant select (id, organization_id, pfa_id, modification_id, author, detected, conflict_fields, status, created_at)
    on pfa_sync_conflict to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant select (queue_id, organization_id, pfa_id, modification_id, code, http_status, failed_at, status)
    on pfa_write_queue_dlq to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant select on sync_job, sync_batch to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant select (pull_id, organization_id, kind, status, relay, records_read, records_changed, records_unchanged,
              records_rejected, discontinued, pages, updated_since, started_at, ended_at)
    on sync_pull to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant select (id, at, event_type, organization_id, user_id, pfa_id, modification_id, queue_id, job_id, batch_id,
              success)
    on pfa_audit_log to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
grant execute on function
    organization_of(text), can_see(text, text), visible_organizations(), masked_change(bigint),
    masked_dead_letter(bigint), masked_sides(bigint), masked_event(bigint, timestamptz, text), masked_pull(bigint)
    to pfa_sync_application, pfa_sync_api, pfa_sync_reader;
-- The policy on setting_value calls them for every reader of settings.
grant execute on function can_see(text, text), visible_organizations() to pfa_sync_relay;
