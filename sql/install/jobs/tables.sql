-- Jobs with a list of items, and what became of each: bulk operations, withdrawals, discards and rollbacks.
--
-- A bulk job's items are those of its preview. It is carried out in slices, each one transaction that also records what
-- became of its items: a relay that is killed leaves no item half done, and another relay goes on.

create table bulk_job (
    job_id     bigint      not null,
    operation  jsonb       not null default '{}',
    by_dba     boolean     not null,
    stages     int[]       not null default '{}',
    stop_at    numeric     not null default 0,
    accepted   int         not null default 0,
    slices     int         not null default 0,
    state      text        not null default 'running',
    changed_by text,
    note       text,
    changed_at timestamptz not null default now(),
    served_at  timestamptz not null default now(),
    constraint bulk_job_pkey primary key (job_id),
    constraint bulk_job_state check (state in ('running', 'stopped', 'finished'))
);
comment on table bulk_job is 'How far a job with items has come. The job itself stands in sync_job.';
comment on column bulk_job.operation is 'what is done to each item, beyond the kind of the job';
comment on column bulk_job.by_dba is 'a DBA who is no user of the application started it, and may do everything';
comment on column bulk_job.stages is
    'sizes of the first slices; each but the first waits until PEMS has answered to those before; empty: no slice '
    'waits';
comment on column bulk_job.stop_at is 'percent of failed changes from which a job with stages stops; 0: at the first';
comment on column bulk_job.accepted is 'failures that were there when it was continued, which do not stop it again';
comment on column bulk_job.changed_by is 'who stopped or continued it last; null: no user did, or it stopped itself';
comment on column bulk_job.note is 'why it was stopped';
create index bulk_job_running on bulk_job (served_at) where state = 'running';
select pg_catalog.pg_extension_config_dump('bulk_job', '');

create table bulk_item (
    job_id          bigint not null,
    item            int    not null,
    target          bigint,
    mirror_id       text   not null,
    pfa_id          text   not null,
    modification_id text,
    state           text,
    plan            text,
    outcome         text   not null default 'waiting',
    cause           text,
    detail          text,
    slice           int,
    ended_at        timestamptz,
    constraint bulk_item_pkey primary key (job_id, item),
    constraint bulk_item_outcome check (outcome in ('waiting', 'done', 'skipped', 'failed')),
    constraint bulk_item_ended check ((outcome = 'waiting') = (ended_at is null))
);
comment on table bulk_item is 'The items of jobs, in the order in which they are done: those of one record together.';
comment on column bulk_item.target is 'the conflict, or the dead letter''s queue id; null: the record or modification';
comment on column bulk_item.modification_id is 'the modification that is withdrawn, or that a rollback made';
comment on column bulk_item.state is 'record_state() when the job was started: an item whose record moved is skipped';
comment on column bulk_item.plan is 'of a rollback: digest of what was previewed for the record';
create index bulk_item_waiting on bulk_item (job_id, item) where outcome = 'waiting';
create index bulk_item_record on bulk_item (mirror_id);
create index bulk_item_modification on bulk_item (modification_id) where modification_id is not null;
select pg_catalog.pg_extension_config_dump('bulk_item', '');

-- What became of an item.
create type item_outcome as (
    item            int,
    outcome         text,
    cause           text,
    detail          text,
    modification_id text
);

-- Makes a job; its id.
create function start_job(kind text, organization_id text, actor text, records int, reason text default null,
                          origin_job_id bigint default null, origin_batch_id bigint default null) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    job bigint;
begin
    insert into sync_job (kind, organization_id, user_id, records, reason, origin_job_id, origin_batch_id)
        values (start_job.kind, start_job.organization_id, start_job.actor, start_job.records, start_job.reason,
                start_job.origin_job_id, start_job.origin_batch_id)
        returning job_id into job;
    return job;
end
$$;

-- Whether a modification was made by a rollback.
create function is_of_rollback(modification_id text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return exists (select from bulk_item i
                     join sync_job j on j.job_id = i.job_id and j.kind = 'rollback'
                    where i.modification_id = is_of_rollback.modification_id);
end
$$;

-- Whether a modification may revive a discontinued record: one that a rollback made may, with perm_Delete. Its body is
-- bound when it is created, and inlined: each judged change is asked.
create function may_revive(modification_id text, delta jsonb) returns boolean
    language sql stable security invoker
    return case when delta->'isDiscontinued' in ('false', 'null') then is_of_rollback(modification_id) else false end;

-- What may reverse a job of a kind. Its body is bound when it is created: the view calls it with its reader's rights.
create function inverses_of(kind text, state text) returns text[]
    language sql immutable security invoker
    return case when state = 'running' and kind in ('resolution', 'discard') then '{}'
                when kind = 'resolution' then '{undo,rollback}'
                when kind = 'discard' then '{undo}'
                when kind in ('commit', 'sweep', 'requeue', 'rollback') then '{rollback}'
                else '{}' end::text[];
