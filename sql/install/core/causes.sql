-- Causes: every reason for which a change waits or has ended without PEMS' confirmation, with its meaning and what to
-- do. The functions write codes; the texts stand here alone.

create table cause (
    code     text not null,
    kind     text not null,
    rank     int,
    severity text,
    stops    boolean not null default false,
    outcome  text,
    meaning  text not null,
    action   text not null,
    constraint cause_pkey primary key (code),
    constraint cause_rank unique (rank),
    constraint cause_outcome unique (outcome),
    constraint cause_kind check (kind in ('health', 'dead_letter', 'conflict', 'attempt', 'item')),
    constraint cause_health check ((kind = 'health') = (rank is not null)
        and (kind = 'health') = (severity is not null)),
    constraint cause_severity check (severity in ('ok', 'warning', 'critical'))
);
comment on table cause is 'Every reason for which a change waits or has ended. Replaced by upgrades.';
comment on column cause.rank is 'of a state of health: the lowest that holds is the health of an organization';
comment on column cause.stops is 'of a state of health: no change of the organization is sent while it holds';
comment on column cause.outcome is
    'the outcome of an attempt, see decide_failures(), that has this cause; null: no attempt ends so';

insert into cause (code, kind, rank, severity, stops, meaning, action) values
    ('not_attached', 'health', 1, 'critical', true,
     'nothing is sent from this database: the extension is not attached, or not as attach() left it, or this is a copy',
     'call pfa_sync.attach(); for a copy that takes the place of its original, pfa_sync.adopt()'),
    ('no_relay', 'health', 2, 'critical', true,
     'no relay has sent a heartbeat for health_relay_silence: nothing is sent or read',
     'start pfa-relay; pfa-relay doctor names what keeps it from working'),
    ('unserved', 'health', 3, 'critical', true,
     'no relay that runs can log in to the PEMS of the organization: it has no credentials for it, or can''t open them',
     'store credentials with pfa-relay credentials set, or give a relay the key that they are sealed with'),
    ('pems_down', 'health', 4, 'critical', true,
     'PEMS gave no answer several times in a row; a probe asks again from time to time, and edits wait',
     'find out with the operators of PEMS why it does not answer; sending goes on by itself'),
    ('held', 'health', 5, 'critical', true,
     'PEMS refused the credentials; nothing is sent or read for the organization',
     'give the relay new credentials, or call pfa_sync.resume() once PEMS accepts the present ones'),
    ('throttled', 'health', 6, 'warning', true,
     'changes wait longer than health_throttle, because PEMS asked for a pause or a retry lies ahead',
     'wait, or call pfa_sync.resume() to send at once'),
    ('stalled', 'health', 7, 'critical', true,
     'changes are due, PEMS answers and a relay runs, but none has ended for health_stall',
     'look at the relay''s log, and in pg_stat_activity for a transaction that holds locks'),
    ('slow', 'health', 8, 'warning', false,
     'changes have been due for longer than health_queue_age, and their number does not go down',
     'look at pfa_sync.drain_forecast(); raise what PEMS takes at a time, or find out what edits so much'),
    ('drift', 'health', 9, 'warning', false,
     'PEMS'' records are not as before: another shape, or lower versions; they are not taken into the mirror',
     'find out what changed in PEMS; then pfa_sync.accept_shape() or pfa_sync.accept_versions()'),
    ('unreliable', 'health', 10, 'warning', false,
     'of the changes that ended within an hour, fewer reached PEMS than health_success percent',
     'look at pfa_sync.failures for the cause that most of them share'),
    ('failing', 'health', 11, 'warning', false,
     'changes have failed for good, and no user has decided about them yet',
     'look at pfa_sync.dead_letters; requeue or discard each'),
    ('paused', 'health', 12, 'warning', true,
     'sending was stopped by a user, or the application has switched the organization off',
     'call pfa_sync.resume(), or switch the organization on in the application'),
    ('waiting_for_resolution', 'health', 13, 'warning', false,
     'edits conflict with changes in PEMS; other edits go on',
     'resolve the rows of pfa_sync.conflicts'),
    ('ok', 'health', 14, 'ok', false, 'changes go on to PEMS', 'nothing');
insert into cause (code, kind, meaning, action) values
    ('REJECTED', 'dead_letter', 'PEMS refused the change for good',
     'requeue it with a fix, or discard it'),
    ('UNAVAILABLE', 'dead_letter', 'PEMS does not confirm the change; it is a dead letter once its retries are used up',
     'requeue it when PEMS works'),
    ('BLOCKED', 'dead_letter',
     'something between the relay and PEMS, such as a firewall that inspects content, answers to this change in PEMS'' '
     'place again and again, while other changes reach PEMS',
     'ask its operators to let the change through, then requeue it; or requeue it with a fix, or discard it'),
    ('NOT_FOUND', 'dead_letter', 'PEMS has no such record',
     'discard it; the next full pull marks the record discontinued'),
    ('INVALID', 'dead_letter', 'the change does not satisfy the field rules',
     'requeue it with a fix, or discard it'),
    ('FORBIDDEN', 'dead_letter', 'its author lacks a permission',
     'grant the permission and requeue it, or discard it'),
    ('NOT_RECORDED', 'dead_letter',
     'this database refuses to record it, such as by a CHECK constraint of the application''s table; PEMS may have '
     'applied the change',
     'mend what error names; the next pull shows what PEMS has, then requeue or discard the change'),
    ('UNREADABLE', 'dead_letter',
     'the change cannot be judged: the field rules or a function raise an error on it',
     'correct what error names, in PEMS or in the application, then requeue the change'),
    ('CHANGED_IN_PEMS', 'conflict', 'a field of the edit has another value in PEMS than its author saw',
     'compare base, ours and theirs, and resolve the conflict'),
    ('VERSIONS_BACK', 'conflict',
     'PEMS has a lower version of the record than was known, as after a restore of PEMS from a backup',
     'call pfa_sync.accept_versions(), let the next pull take PEMS as it is, then resolve the conflict'),
    ('NOT_VALID_NOW', 'conflict', 'PEMS changed other fields of the record, with which the edit is no longer valid',
     'resolve it with values that fit the record as it is now'),
    ('LOCKED', 'conflict',
     'another user keeps the record locked in PEMS; it is a conflict once the retries are used up',
     'ask for the record to be unlocked, then resolve by use_local'),
    ('NO_ORDER', 'conflict', 'two edits of one moment set a field of the record to different values',
     'ask the authors which value is meant, and resolve the conflict'),
    ('OVERTAKEN', 'conflict', 'a later edit of the record wrote the field before the dead letter was requeued',
     'resolve by use_pems to keep the later value, by use_local to send the requeued one'),
    ('THROTTLED', 'attempt', 'PEMS asked for fewer requests; the change is sent again after the pause that it named',
     'wait; if it lasts, raise slot_interval'),
    ('OUTAGE', 'attempt', 'something other than PEMS answered, such as a gateway; the change is sent again',
     'find out with the operators of PEMS and of what stands before it why it does not answer'),
    ('UNAUTHORIZED', 'attempt', 'PEMS refused the credentials; the change is sent again with accepted ones',
     'give the relay new credentials, or call pfa_sync.resume() once PEMS accepts the present ones'),
    ('AMBIGUOUS', 'attempt', 'no answer came to the request; the record is read before anything is sent again',
     'wait; if it lasts, compare the relay''s request timeout with the time that PEMS takes'),
    ('CHANGED_SINCE', 'item', 'the record or the change is not as it was when the job was previewed or started',
     'look at what changed and who did it, then start again for this record'),
    ('NOT_OPEN', 'item', 'another user has decided about it meanwhile', 'nothing'),
    ('IN_FLIGHT', 'item', 'a change of the record is being sent to PEMS', 'wait for its outcome, then start again'),
    ('NOT_QUEUED', 'item', 'the change is not queued: it has ended, or was never committed',
     'nothing; what PEMS has confirmed is set back by a rollback'),
    ('NOT_SENT', 'item', 'no change of the job has reached PEMS for this record', 'nothing'),
    ('NOTHING_TO_UNDO', 'item', 'the record has the values already that it would be set back to', 'nothing'),
    ('VERSION_UNKNOWN', 'item',
     'the history does not have the version any more, or another user wrote the field between two changes of the job',
     'commit an edit with the values that are meant'),
    ('RECORD_GONE', 'item', 'the mirror has no such record any more', 'nothing'),
    ('ALREADY_SENT', 'item', 'the change was sent to PEMS, or has ended', 'roll the job back');
-- The outcomes of attempts, by which a failed attempt of a live change has the same codes.
update cause set outcome = lower(code)
 where kind = 'attempt' or code in ('REJECTED', 'UNAVAILABLE', 'BLOCKED', 'LOCKED');

create view pfa_sync.causes with (security_barrier) as
    select c.code, c.kind, c.severity, c.meaning, c.action, c.rank from cause c order by c.kind, c.rank, c.code;
comment on view pfa_sync.causes is
    'Every reason for which a change waits or has ended without PEMS'' confirmation, or an item of a job was left: the '
    'codes of health(), dead_letters, conflicts, failures and bulk_items. docs/runbooks.md has a section on each.';
comment on column pfa_sync.causes.code is 'the code';
comment on column pfa_sync.causes.kind is
    'health: a code of health(); dead_letter: of dead_letters; conflict: of conflicts; attempt: of an attempt that '
    'failed and is repeated, see failures; item: of bulk_items and rollback_records(), beside INVALID, FORBIDDEN and '
    'NOT_RECORDED';
comment on column pfa_sync.causes.severity is 'of a code of health(): ok, warning or critical; null: another kind';
comment on column pfa_sync.causes.meaning is 'what has happened';
comment on column pfa_sync.causes.action is 'what to do about it';
comment on column pfa_sync.causes.rank is 'of a code of health(): 1 = the worst; null: another kind';
