-- Who may call what. Nothing is PUBLIC's; tables are nobody's. Triggers run as their definer.

revoke execute on all functions in schema pfa_sync from public;

grant execute on function validate(jsonb, jsonb, text), three_way(jsonb, jsonb, jsonb, jsonb), canonical(jsonb)
    to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;

grant execute on function
    explain(text), save_draft(text, text, text, jsonb, text, text), commit_drafts(text, text, text[], text, boolean),
    discard_drafts(text, text, text[], text), withdraw(text[], text), state(text[]),
    resolve_conflict(bigint, text, text, jsonb, int), preview_resolution(jsonb, text, text), resolve_conflicts(jsonb, text, text, text),
    set(text, text, text, text), accept_shape(text, text), pause(text, text, timestamptz, text), resume(text, text), status(text, text, timestamptz, timestamptz), timeline(text, text),
    write_sync(text, text[], int, text), preview_dead_letters(jsonb, text), requeue_dead_letters(jsonb, jsonb, text, text),
    discard_dead_letters(jsonb, text, text, text), attempts(bigint)
    to pfa_sync_application;

grant execute on function
    claim(text, text, int, interval), next_due_ms(), sent(text, jsonb, interval), complete(text, jsonb), fail(text, jsonb),
    conflict(text, jsonb), settle(text, jsonb), lost_since(jsonb), release(text, jsonb), extend_lease(text, jsonb, interval),
    take_slots(text, int), heartbeat(text, text, text), sweep(), maintain(), ingest(text, jsonb, text, bigint), inbound_organizations(text),
    begin_pull(text, text), next_pull_ms(), ingest_page(bigint, int, jsonb, text), missing_records(bigint, int),
    settle_missing(bigint, int, jsonb), end_pull(bigint, int, text, boolean, boolean)
    to pfa_sync_relay;

-- What validate and three_way read on behalf of their caller.
grant select on field, field_override, field_rules, rules_version, setting_definition, setting_value, settings
    to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;
grant execute on function setting(text, text) to pfa_sync_application, pfa_sync_relay, pfa_sync_api, pfa_sync_reader;
grant execute on function metrics() to pfa_sync_application, pfa_sync_relay, pfa_sync_api;
