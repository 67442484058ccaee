-- The manual of schema pfa_sync: \dv+ pfa_sync.* and \df+ pfa_sync.* show these comments.
--
-- A function that only the relay calls begins with "Relay:", one that only the API calls with "API:".

-- Views

comment on view pfa_sync.settings is
    'Every setting with its fleet value, and one more row for each value of an organization or of a field. Change '
    'them with set().';
comment on column pfa_sync.settings.name is 'name of the setting; name.field for the value of a single field';
comment on column pfa_sync.settings.organization_id is 'id of the organization that the value is for; null: the fleet';
comment on column pfa_sync.settings.value is 'the value; for the fleet, the default where none is set';
comment on column pfa_sync.settings.default_value is 'the value that applies where none is set';
comment on column pfa_sync.settings.description is 'what the setting does';
comment on column pfa_sync.settings.changed_at is 'when the value was set; null: the default applies';
comment on column pfa_sync.settings.changed_by is 'the user who set it; null: the default applies';

comment on view pfa_sync.field_rules is
    'The rules of the fields of a record that are in force: shipped rules, replaced or extended by rows of '
    'field_override.';
comment on column pfa_sync.field_rules.name is 'name of the field in a record';
comment on column pfa_sync.field_rules.type is 'text, decimal, datetime or boolean';
comment on column pfa_sync.field_rules.scale is
    'digits allowed after the decimal point; null: no limit, or not a decimal';
comment on column pfa_sync.field_rules.minimum is 'smallest value allowed; null: no limit';
comment on column pfa_sync.field_rules.maximum is 'largest value allowed; null: no limit';
comment on column pfa_sync.field_rules.max_length is
    'longest text allowed, in characters: the rule''s own, or the setting text_limit; null: not a text';
comment on column pfa_sync.field_rules.choices is 'the values allowed; null: any value of the type';
comment on column pfa_sync.field_rules.nullable is 'whether the field may be empty';
comment on column pfa_sync.field_rules.permission is
    'the permission that an edit of the field needs; null: the field is locked and cannot be edited';
comment on column pfa_sync.field_rules.price is
    'whether the field is a price, which only holders of perm_ViewFinancials see';

comment on view pfa_sync.conflicts is
    'Open conflicts: edits that conflict with a change in PEMS. resolve_conflict() decides one, '
    'resolve_conflicts() many.';
comment on column pfa_sync.conflicts.conflict_id is 'id of the conflict';
comment on column pfa_sync.conflicts.organization_id is 'id of the organization';
comment on column pfa_sync.conflicts.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.conflicts.modification_id is 'id of the modification';
comment on column pfa_sync.conflicts.author is 'id of the user whose edit it is';
comment on column pfa_sync.conflicts.detected is
    'where the conflict was found: commit, claim, or pems (in PEMS'' answer or by a pull)';
comment on column pfa_sync.conflicts.conflict_fields is 'names of the fields that conflict';
comment on column pfa_sync.conflicts.base is
    'the changed fields as the author saw them, without prices for a session that may not see them; null: not '
    'known';
comment on column pfa_sync.conflicts.ours is
    'the changed fields with the author''s values, without prices for a session that may not see them';
comment on column pfa_sync.conflicts.theirs is
    'the record when the conflict was found, with earlier queued changes laid over it, without prices for a '
    'session that may not see them';
comment on column pfa_sync.conflicts.message is
    'what conflicts, in words; numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.conflicts.created_at is 'when the conflict was found';

comment on view pfa_sync.breakers is 'The circuit breaker of each PEMS.';
comment on column pfa_sync.breakers.pems is 'name of the PEMS';
comment on column pfa_sync.breakers.state is
    'closed: requests are sent; open: nothing is claimed before open_until; half-open: one record at a time is '
    'claimed as a probe';
comment on column pfa_sync.breakers.failures is
    'failed requests in a row: without an answer, or with a status of 500 or above';
comment on column pfa_sync.breakers.opened_at is 'when it opened; null: it is closed';
comment on column pfa_sync.breakers.open_until is 'when the next probe may be claimed; null: it is closed';

comment on view pfa_sync.dead_letters is 'Changes that failed for good and are neither requeued nor discarded yet.';
comment on column pfa_sync.dead_letters.queue_id is 'id of the change in the queue';
comment on column pfa_sync.dead_letters.organization_id is 'id of the organization';
comment on column pfa_sync.dead_letters.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.dead_letters.modification_id is 'id of the modification';
comment on column pfa_sync.dead_letters.author is 'id of the user whose edit it is';
comment on column pfa_sync.dead_letters.changes is
    'the changed fields with their values, without prices for a session that may not see them';
comment on column pfa_sync.dead_letters.code is
    'why it failed: REJECTED (by PEMS), UNAVAILABLE (retries used up), NOT_FOUND (no such record in PEMS), '
    'INVALID (by the field rules) or FORBIDDEN (the author lacks a permission)';
comment on column pfa_sync.dead_letters.error is
    'why it failed, in words; numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.dead_letters.http_status is
    'HTTP status of PEMS'' last answer; null: no answer, or no request was sent';
comment on column pfa_sync.dead_letters.pems_response is
    'PEMS'' last answer; null: none, or the session may not see prices';
comment on column pfa_sync.dead_letters.retry_count is 'retries that were made';
comment on column pfa_sync.dead_letters.failed_at is 'when it failed for good';
comment on column pfa_sync.dead_letters.later_queued is 'number of later changes of the record that are queued';
comment on column pfa_sync.dead_letters.later_written is 'number of later changes of the record that PEMS confirmed';

comment on view pfa_sync.pulls is
    'Every pull of PEMS'' records that is running or has ended within bronze_retention, with its progress and '
    'result.';
comment on column pfa_sync.pulls.pull_id is 'id of the pull';
comment on column pfa_sync.pulls.organization_id is 'id of the organization';
comment on column pfa_sync.pulls.kind is 'full: all records; incremental: records changed since updated_since';
comment on column pfa_sync.pulls.status is 'running, completed or failed';
comment on column pfa_sync.pulls.relay is 'name of the relay that worked on it last';
comment on column pfa_sync.pulls.records_read is 'number of records read so far';
comment on column pfa_sync.pulls.records_changed is 'number of mirror rows created or changed';
comment on column pfa_sync.pulls.records_unchanged is 'number of records that the mirror had already';
comment on column pfa_sync.pulls.records_rejected is 'number of records that were refused';
comment on column pfa_sync.pulls.discontinued is
    'number of records that PEMS no longer has and that were marked discontinued';
comment on column pfa_sync.pulls.pages is 'number of pages read so far';
comment on column pfa_sync.pulls.updated_since is
    'time of change from which an incremental pull reads; null: a full pull';
comment on column pfa_sync.pulls.started_at is 'when the pull began';
comment on column pfa_sync.pulls.ended_at is 'when it ended; null: it is running';
comment on column pfa_sync.pulls.seconds is 'duration so far or in total, in seconds';
comment on column pfa_sync.pulls.last_error is
    'the last error; null: none. Numbers are shown as # to a session that may not see prices';

comment on view pfa_sync.queue is 'Live changes: those that wait and those in flight, one row each.';
comment on column pfa_sync.queue.queue_id is 'id of the change in the queue';
comment on column pfa_sync.queue.organization_id is 'id of the organization';
comment on column pfa_sync.queue.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.queue.modification_id is 'id of the modification';
comment on column pfa_sync.queue.author is 'id of the user whose edit it is';
comment on column pfa_sync.queue.operation is 'UPDATE, or DELETE for a change that only discontinues the record';
comment on column pfa_sync.queue.changes is
    'the changed fields with their values, without prices for a session that may not see them';
comment on column pfa_sync.queue.status is 'pending: waits; processing: claimed by a relay';
comment on column pfa_sync.queue.priority is '10 (high), 0 (normal) or -10 (low)';
comment on column pfa_sync.queue.retry_count is 'retries that were used up so far';
comment on column pfa_sync.queue.head is 'whether it is the first live change of its record; only heads are claimed';
comment on column pfa_sync.queue.scheduled_at is 'when it is due';
comment on column pfa_sync.queue.created_at is 'when it was queued';
comment on column pfa_sync.queue.relay is 'name of the relay that claimed it last; null: it was not claimed yet';
comment on column pfa_sync.queue.lease_until is 'end of the claim''s lease; null: it is not claimed';
comment on column pfa_sync.queue.sent_at is
    'when the request was marked as sent whose outcome is not known yet; null: there is none';
comment on column pfa_sync.queue.last_error is
    'error of the last failed attempt; null: none failed. Numbers are shown as # to a session that may not see '
    'prices';

comment on view pfa_sync.jobs is
    'What users started: commits, write-syncs, resolutions and requeues; and sweeps. progress() counts a job''s '
    'changes.';
comment on column pfa_sync.jobs.job_id is 'id of the job';
comment on column pfa_sync.jobs.kind is 'commit, sweep, write_sync, resolution, requeue or rollback';
comment on column pfa_sync.jobs.organization_id is 'id of the organization';
comment on column pfa_sync.jobs.user_id is
    'id of the user who started it; of a sweep or a requeue, the author of the changes';
comment on column pfa_sync.jobs.records is
    'number of changes it began with; of a write-sync, the number of queued changes it asked for';
comment on column pfa_sync.jobs.created_at is 'when it was started';

comment on view pfa_sync.batches is 'What relays claimed together: one write request, or one round of reads.';
comment on column pfa_sync.batches.batch_id is 'id of the batch';
comment on column pfa_sync.batches.organization_id is 'id of the organization';
comment on column pfa_sync.batches.relay is 'name of the relay';
comment on column pfa_sync.batches.step is 'send: write the records in one request; read: read each record first';
comment on column pfa_sync.batches.records is 'number of records';
comment on column pfa_sync.batches.claimed_at is 'when it was claimed';
comment on column pfa_sync.batches.sent_at is 'when it was marked as sent; null: nothing was sent';

comment on view pfa_sync.changes is 'Every change that was ever queued: waiting, in flight or ended.';
comment on column pfa_sync.changes.queue_id is 'id of the change in the queue';
comment on column pfa_sync.changes.organization_id is 'id of the organization';
comment on column pfa_sync.changes.job_id is 'id of the job that queued it';
comment on column pfa_sync.changes.batch_id is 'id of the batch that claimed it last; null: it was not claimed';
comment on column pfa_sync.changes.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.changes.modification_id is 'id of the modification';
comment on column pfa_sync.changes.author is 'id of the user whose edit it is';
comment on column pfa_sync.changes.operation is 'UPDATE, or DELETE for a change that only discontinues the record';
comment on column pfa_sync.changes.changes is
    'the changed fields with their values, without prices for a session that may not see them';
comment on column pfa_sync.changes.status is
    'pending, processing, or how it ended: completed, conflict, failed or withdrawn';
comment on column pfa_sync.changes.retry_count is 'retries that were used up';
comment on column pfa_sync.changes.created_at is 'when it was queued';
comment on column pfa_sync.changes.completed_at is 'when it ended; null: it is live';
comment on column pfa_sync.changes.last_error is
    'error of the last failed attempt; null: none failed. Numbers are shown as # to a session that may not see '
    'prices';

comment on view pfa_sync.audit is
    'The log: every entry of the organizations that the session may see, and of the fleet for a session that sees '
    'all.';
comment on column pfa_sync.audit.event_id is 'id of the entry';
comment on column pfa_sync.audit.at is 'when it was written';
comment on column pfa_sync.audit.event_type is 'kind of the entry, such as COMMITTED or SYNCED';
comment on column pfa_sync.audit.organization_id is 'id of the organization; null: the fleet';
comment on column pfa_sync.audit.user_id is
    'the acting user, or the author of the change; "rule: …" for a resolution by rule; null: no user';
comment on column pfa_sync.audit.pfa_id is 'PEMS'' id of the record; null: no single record';
comment on column pfa_sync.audit.modification_id is 'id of the modification; null: none';
comment on column pfa_sync.audit.queue_id is 'id of the change in the queue; null: none';
comment on column pfa_sync.audit.job_id is 'id of the job; null: none';
comment on column pfa_sync.audit.batch_id is 'id of the batch; null: none';
comment on column pfa_sync.audit.changes is
    'details by kind of entry, such as the changed fields, without prices for a session that may not see them; '
    'null: none';
comment on column pfa_sync.audit.pems_response is 'PEMS'' answer; null: none, or the session may not see prices';
comment on column pfa_sync.audit.success is 'whether it succeeded; null: not known when the entry was written';
comment on column pfa_sync.audit.error_message is
    'the error or the reason given; null: none. Numbers are shown as # to a session that may not see prices';

-- Events
comment on type pfa_sync.event is
    'A log entry as an event: identifiers, no values. Read on from position after this event, or from following '
    'after the last event of an answer.';
comment on column pfa_sync.event.position is 'position right after this event, for a reader that stops here';
comment on column pfa_sync.event.following is 'position after everything that this call could return';
comment on column pfa_sync.event.event_id is 'id of the log entry';
comment on column pfa_sync.event.at is 'when it was written';
comment on column pfa_sync.event.event is 'kind of event, such as queued, synced or conflict';
comment on column pfa_sync.event.event_type is 'kind of the log entry, such as COMMITTED';
comment on column pfa_sync.event.organizations is
    'ids of the organizations concerned; of a breaker, those whose PEMS it guards';
comment on column pfa_sync.event.organization_id is
    'id of the organization; null: a PEMS, and so all organizations that it serves';
comment on column pfa_sync.event.pfa_id is 'PEMS'' id of the record; null: no single record';
comment on column pfa_sync.event.modification_id is 'id of the modification; null: none';
comment on column pfa_sync.event.queue_id is 'id of the change in the queue; null: none';
comment on column pfa_sync.event.job_id is 'id of the job; null: none';
comment on column pfa_sync.event.batch_id is 'id of the batch; null: none';
comment on column pfa_sync.event.user_id is 'the acting user, or the author of the change; null: no user';
comment on column pfa_sync.event.success is 'whether it succeeded; null: not known when the entry was written';

-- Set-up, for a superuser
comment on function pfa_sync.attach(name, boolean) is
    'Binds the extension to the application''s tables in schema app_schema: adds four columns to pfa_modification '
    'where they are missing, creates views in pfa_sync_private and triggers on pfa_modification, and pauses every '
    'organization that it sees for the first time. Returns a row for each object created, changed or found. '
    'Repeatable; required again after an upgrade. dry_run: reports and changes nothing. Nothing is sent before '
    'resume(). PF007: a table or column is missing or has another type.';
comment on function pfa_sync.detach() is
    'Drops the triggers and views that attach() created; the added columns and all data stay. Queued changes stay '
    'queued, and attach() continues with them. Returns a row for each object dropped.';
comment on function pfa_sync.adopt() is
    'Makes a copied database the one that sends to PEMS, after a restore that takes the place of the original. '
    'Returns a row with the number of queued changes. Event positions from before have expired. PF004: not '
    'attached.';
comment on function pfa_sync."check"() is
    'Checks invariants that hold between any two transactions. Returns a row for each that is broken: the '
    'invariant, the object, details. No row: all hold.';
comment on function pfa_sync.set_reader(name, text) is
    'Gives a login of the role pfa_sync_reader the visibility of a user of the application, by the permissions '
    'that the user has at each moment. user_id null: the login sees nothing. PF008: no such login in the role, or '
    'no such user.';

-- Rules
comment on function pfa_sync.validate(jsonb, jsonb, text) is
    'Validates a record with a delta laid over it by the field rules. Returns a row for each error: field (null: '
    'the delta as a whole), code, message. No row: valid. severity ''warning'': returns instead the faults that '
    'the record has already in fields that the delta leaves alone.';
comment on function pfa_sync.three_way(jsonb, jsonb, jsonb, jsonb) is
    'Merges a delta (ours) into a record (theirs) field by field. Returns one row: apply, the fields to send; '
    'same, fields that theirs holds already; conflicts, fields that changed to something else. base: the record '
    'as the author saw it; null: unknown, then every differing field conflicts. accepted: values that theirs may '
    'hold without a conflict.';
comment on function pfa_sync.canonical(jsonb) is
    'The delta in the form in which it is sent: dates in UTC with milliseconds, plain decimals, empty text as '
    'null. Values that cannot be read as their field''s type are left as they are.';
comment on function pfa_sync.explain(text) is
    'Explains a modification, draft or committed: valid, errors, warnings, permitted, missing_permissions, '
    'conflicts with base, ours and theirs of each field, the request that would be sent, and other edits of the '
    'record. Stores nothing. PF008: no such modification, or not visible to this session.';

-- Edits
comment on function pfa_sync.save_draft(text, text, text, jsonb, text, text) is
    'Saves an edit as the user''s draft of a record: into an existing draft, else as a new one based on the '
    'record as it is. organization: id or code. Returns the modification''s id, and the conflicts and errors that '
    'a commit would have now. Needs perm_SaveDraft. PF001: the delta is not a JSON object; PF002: permission '
    'missing; PF008: no such organization or record.';
comment on function pfa_sync.commit_drafts(text, text, text[], text, boolean) is
    'Commits the user''s drafts in an organization: those of some records (pfa_ids), of one session, or all. '
    'Returns a row for each: verdict queued, synced (PEMS holds the values already) or conflict, with the '
    'conflicts. Without skip_invalid, one invalid or forbidden draft fails the call and nothing is committed '
    '(PF001, PF002, with all of them as JSON in DETAIL). With skip_invalid these are returned as invalid or '
    'forbidden and stay drafts. Needs perm_Sync and the permission of each field.';
comment on function pfa_sync.discard_drafts(text, text, text[], text) is
    'Discards the user''s drafts in an organization: those of some records (pfa_ids), of one session, or all. '
    'Returns a row for each, with verdict discarded.';
comment on function pfa_sync.withdraw(text[], text) is
    'Takes committed changes and open conflicts back to draft, as long as they are not claimed. Returns a verdict '
    'for each: withdrawn, in_flight, not_queued, forbidden (another user''s change, without perm_ManageSettings) '
    'or unknown.';
comment on function pfa_sync.state(text[]) is
    'Where modifications stand: state and status, status and due time of the queue row, retries used, last error, '
    'and id of an open conflict. Modifications that the session may not see are left out.';
comment on function pfa_sync.write_sync(text, text[], integer, text) is
    'Raises the priority of queued changes to priority (10 high, 0 normal, -10 low) and queues committed ones '
    'that no trigger saw. modification_ids null: all of the organization. Earlier changes of the same records are '
    'raised with them. Returns the job, the number of changes that wait, and an estimate of the time until they '
    'are sent. Needs perm_Sync. PF001: no organization, or another priority.';
comment on function pfa_sync.records(text, jsonb, text, text, boolean, text, integer, text) is
    'A page of an organization''s records with changes on their way and the user''s own drafts laid over them. '
    'filter: fields with the values they must have; search: text in the id or a describing field; sort: a field, '
    'records without it first; after: cursor of the last row of the page before; max_rows: 1000 at most. state is '
    'that of the farthest change (syncing, committed, draft; null: none). Needs perm_Read; to filter or sort by a '
    'price, perm_ViewFinancials. PF001: unknown field, or not a cursor.';

-- Conflicts and dead letters
comment on function pfa_sync.conflict_state(bigint) is
    'A conflict as it stands now, open or resolved, as JSON: status, versions, and base, ours and theirs of each '
    'changed field. Null: no such conflict, or not visible to this session.';
comment on function pfa_sync.resolve_conflict(bigint, text, text, jsonb, integer) is
    'Resolves a conflict. use_local: our values are sent; use_pems: the whole change is given up; merge: merged '
    'has a value for each conflict field, the other changed fields are sent as they are. expected_version: mirror '
    'version that was looked at, by default the one at which the conflict was found. Returns what will be sent, '
    'as JSON. Needs perm_Sync, and the permissions of the fields that are sent. PF001: other resolution or other '
    'fields; PF002: permission missing; PF006: resolved already, or the record has moved on, with the current '
    'state as JSON in DETAIL; PF008: no such conflict.';
comment on function pfa_sync.preview_resolution(jsonb, text, text) is
    'Counts what resolve_conflicts() would do: conflicts, records, changes that would be sent, conflicts that '
    'cannot be resolved so, conflicts by field; and the digest to pass to it. Stores nothing. Keys of the filter, '
    'all optional: organization, field, author, older_than (interval), conflicts (array of ids). PF001: other '
    'keys or values.';
comment on function pfa_sync.resolve_conflicts(jsonb, text, text, text) is
    'Resolves the open conflicts that a filter selects by use_local or use_pems, if the digest of '
    'preview_resolution() still holds. Returns the number of resolved conflicts, of changes queued by them, and '
    'of conflicts that could not be resolved so and stay open. Needs perm_Sync in each organization. PF006: the '
    'conflicts or their records have changed since the preview.';
comment on function pfa_sync.preview_dead_letters(jsonb, text) is
    'Counts the open dead letters that a filter selects, their records, those whose record has later changes, and '
    'dead letters by code; and the digest for requeue_dead_letters() and discard_dead_letters(). Stores nothing. '
    'Keys of the filter, all optional: organization, code, author, pfa_id, older_than (interval), dead_letters '
    '(array of queue ids). Needs perm_ManageSettings. PF001: other keys or values.';
comment on function pfa_sync.requeue_dead_letters(jsonb, jsonb, text, text) is
    'Queues the dead letters that a filter selects again, judged like a commit, behind later changes of their '
    'records. changes: a fix for a single dead letter, laid over its change; it needs the permissions of its '
    'fields, too. digest: of preview_dead_letters(); null: not checked. Returns the number of requeued ones, of '
    'those that became conflicts, and of refused ones, which stay dead letters. Needs perm_ManageSettings. PF001, '
    'PF002: the fix is invalid or not permitted; PF006: something has changed since the preview.';
comment on function pfa_sync.discard_dead_letters(jsonb, text, text, text) is
    'Gives up the dead letters that a filter selects; their changes stay in the archive. reason is required. '
    'Returns how many. Needs perm_ManageSettings. PF001: no reason; PF006: something has changed since the '
    'preview.';

-- Control
comment on function pfa_sync.pause(text, text, timestamp with time zone, text) is
    'Stops sending for an organization (id or code), until a time or until resume(). Commits are still judged and '
    'queued, and pulls go on. Needs perm_ManageSettings.';
comment on function pfa_sync.resume(text, text) is
    'Lets an organization (id or code; null: all) send again, ends a hold after refused credentials, and queues '
    'committed changes that no trigger saw. Returns for each organization how many of those were queued, and how '
    'many became dead letters. Needs perm_ManageSettings.';
comment on function pfa_sync.set(text, text, text, text) is
    'Sets a setting for the fleet, or for an organization (id or code) where the setting allows it; value null: '
    'back to the default. Returns the value that applies now. Needs perm_ManageSettings. PF001: value outside of '
    'its bounds, or a fleet setting with an organization; PF008: no such setting.';
comment on function pfa_sync.accept_shape(text, text) is
    'Accepts the fields and types of an organization''s records as PEMS sends them next, after a drift that '
    'stopped promotion. Needs perm_ManageSettings.';

-- Monitoring
comment on function pfa_sync.status(text, text, timestamp with time zone, timestamp with time zone) is
    'Where each visible organization stands: changes queued, processing, completed and failed, open conflicts, '
    'average seconds from commit to confirmation, time of the last confirmation and of the next due change, how '
    'relays are woken (doorbell, notify, off), and health. Ended changes are those between since and until, by '
    'default of the last day. status filters by health: held, paused, pems_down, failing, waiting_for_resolution '
    'or ok.';
comment on function pfa_sync.metrics() is
    'Gauges for a monitor: name, labels, value, help text. They cover all organizations that the session sees.';
comment on function pfa_sync.progress(bigint) is
    'Number of a job''s changes by status. A write-sync owns no changes: it raises the priority of those of other '
    'jobs.';
comment on function pfa_sync.attempts(bigint) is
    'Every attempt of a change, oldest first: when the request was sent and with what fields, when it was '
    'answered, PEMS'' answer, success and error. The last attempt of a change in flight has no answer yet.';
comment on function pfa_sync.timeline(text, text) is
    'The log entries of one record, oldest first. organization: id or code.';
comment on function pfa_sync.audit_page(text, jsonb, text, integer, boolean) is
    'A page of an organization''s log, newest first; organization null: entries of the fleet, for administrators. '
    'Keys of the filter, all optional: event_type, user_id, pfa_id, since, until. after: cursor of the last row '
    'of the page before; max_rows: 1000 at most. export: needs perm_Export. PF001: other keys or values; PF002: '
    'permission missing.';
comment on function pfa_sync.event_position() is 'The position of the log now: where a reader of events() begins.';
comment on function pfa_sync.events(text, text, integer) is
    'Events after a position, in the order in which they were written, of the organizations that the session may '
    'see. until: another position; null: now. PF001: not a position; PF006: the position has expired: reload, and '
    'start from event_position().';
comment on function pfa_sync.organization_of(text) is
    'The id of the organization with that id or code; null for null. PF008: there is none, or it is not visible '
    'to this session.';
comment on function pfa_sync.visible_organizations() is 'The ids of the organizations that this session may see.';

-- Called by the API alone
comment on function pfa_sync.begin_idempotent(text, text) is
    'API: begins a request under an idempotency key of the acting user. Returns the stored answer of the same '
    'request; null: it is new, and finish_idempotent() must follow in the same transaction. Waits for a '
    'transaction that is carrying out the same request. PF001: the key was used for another request.';
comment on function pfa_sync.finish_idempotent(text, jsonb) is
    'API: stores the answer of a request under its idempotency key. It is kept for a day.';
comment on function pfa_sync.events_of_all(text, integer) is
    'API: events after a position, of all organizations; the API filters them for each listener. Errors as of '
    'events().';

-- Called by the relay alone
comment on function pfa_sync.heartbeat(text, text, text) is
    'Relay: records that a relay is alive, with its version and the fingerprint of its credentials, and releases '
    'organizations that are held because of other credentials. Returns JSON: paused (ids of organizations that '
    'may not send), down (PEMS whose breaker is not closed), lease_ms, poll_ms.';
comment on function pfa_sync.claim(text, text, integer, interval) is
    'Relay: claims up to max_records heads of the organization that was served longest ago, judged against the '
    'mirror as it is now, under a lease, and takes the slot of the request. lease null: the setting. Returns a '
    'row for each record; no row: nothing to do now. step send: write them in one request after wait_ms '
    'milliseconds; step read: read each record, then call reconcile(). ambiguous: an earlier request may have '
    'been applied. PF004, PF005, PF009: not attached, a copy, or upgraded.';
comment on function pfa_sync.next_due_ms() is
    'Relay: milliseconds until a retry, the end of a lease or a probe is due; null: nothing is scheduled.';
comment on function pfa_sync.mark_sent(text, jsonb, interval) is
    'Relay: marks claimed records as sent, right before the request, and extends their leases over '
    'request_timeout. From here on a missing answer makes the outcome ambiguous. Returns the queue ids that are '
    'still claimed by the caller: only these may be sent.';
comment on function pfa_sync.complete(text, jsonb) is
    'Relay: records what PEMS confirmed: mirror, history, modification, archive and log in one transaction. '
    'Items: queue_id, fencing_token, version, updated_at, response. Returns the new status of each. Items with an '
    'older fencing token change nothing and are left out.';
comment on function pfa_sync.fail(text, jsonb) is
    'Relay: records failed attempts and decides what follows. Items: queue_id, fencing_token, outcome (throttled, '
    'unavailable, unauthorized, rejected, locked, ambiguous), http_status, error, retry_after_ms, response, whole '
    '(the request failed as a whole). Returns the new status of each, and the milliseconds until a retry. PF001: '
    'another outcome.';
comment on function pfa_sync.report_conflict(text, jsonb) is
    'Relay: after a version conflict, takes the record that was read back into the mirror and judges the change '
    'again. Items: queue_id, fencing_token, record (null: PEMS has none), response. Returns the new status of '
    'each.';
comment on function pfa_sync.reconcile(text, jsonb) is
    'Relay: with records that were read before a write, decides whether ambiguous requests were applied, or makes '
    'PEMS'' version known. Items: queue_id, fencing_token, record (null: PEMS has none), unchanged (PEMS'' list '
    'since lost_since() does not show the record). Returns the new status of each.';
comment on function pfa_sync.lost_since(jsonb) is
    'Relay: the time, by PEMS'' clock, from which PEMS'' list of changes shows what it applied of ambiguous '
    'requests. Items: queue_id, fencing_token. Null: not known; read record by record.';
comment on function pfa_sync.release(text, jsonb) is
    'Relay: gives back claimed records that were not sent; no retry is used up. Returns their queue ids.';
comment on function pfa_sync.extend_lease(text, jsonb, interval) is
    'Relay: extends leases to lease from now. Returns the queue ids that are still claimed by the caller.';
comment on function pfa_sync.take_slots(text, integer) is
    'Relay: takes the next n request slots of a PEMS. Returns the milliseconds to wait for each, ascending. '
    'PF008: no such PEMS.';
comment on function pfa_sync.sweep() is
    'Relay: queues committed changes that no trigger saw, of organizations that may send; invalid and forbidden '
    'ones become dead letters. Returns a row for each organization that had any.';
comment on function pfa_sync.maintain() is
    'Relay: creates the log''s next partitions, and deletes pages of pulls past bronze_retention and answers of '
    'idempotent requests after a day. Returns a row for each action.';
comment on function pfa_sync.inbound_organizations(text) is
    'Relay: the active organizations, whose records may be pulled; with an id or code, only that one.';
comment on function pfa_sync.begin_pull(text, text) is
    'Relay: begins or continues a pull of the organization that is due longest, under a lease. With an '
    'organization named, it is due whatever the settings say, and read in full. Returns the pull, with PEMS'' '
    'cursor of the page to read; no row: none is due, or it is being pulled.';
comment on function pfa_sync.next_pull_ms() is 'Relay: milliseconds until a pull is due; null: none will be.';
comment on function pfa_sync.ingest(text, jsonb, text, bigint) is
    'Relay: takes a page of PEMS'' records of an organization into the mirror. Returns counts of read, changed, '
    'unchanged and rejected records, each rejected record with its reason, and stopped: why nothing was promoted; '
    'null: it was. PF001: not an array, or no organization.';
comment on function pfa_sync.ingest_page(bigint, integer, jsonb, text) is
    'Relay: takes a page of a pull into the mirror and stores the cursor of the next page; null: it was the last. '
    'Returns what ingest() returns; no row: another relay has taken over the pull.';
comment on function pfa_sync.missing_records(bigint, integer) is
    'Relay: records that a complete full pull did not contain, at most 100, with their mirror versions: PEMS is '
    'to be asked for each. No row when there are more than discontinue_limit allows.';
comment on function pfa_sync.report_missing(bigint, integer, jsonb) is
    'Relay: takes PEMS'' answers about missing records. Items: pfa_id, version, record. A record that PEMS no '
    'longer has (record null) is marked discontinued if the mirror is still at version. Returns how many were '
    'marked.';
comment on function pfa_sync.end_pull(bigint, integer, text, boolean, boolean) is
    'Relay: ends work on a pull. Without error: completed if all pages were read; with error: failed; resume: it '
    'is continued later from where it is. unauthorized: PEMS refused the credentials, and the organization is '
    'held.';
