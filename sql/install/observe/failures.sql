-- Failures as cases: what fails, by organization and cause, and what users have noted about it.

create table failure_case (
    organization_id text        not null default '',
    code            text        not null,
    note            text,
    owner           text,
    state           text        not null default 'open',
    changed_by      text        not null,
    changed_at      timestamptz not null default now(),
    constraint failure_case_pkey primary key (organization_id, code),
    constraint failure_case_state check (state in ('open', 'looking', 'known', 'fixed'))
);
comment on table failure_case is 'What users have noted about failures of a cause.';
comment on column failure_case.organization_id is 'empty = every organization that has no row of its own';
select pg_catalog.pg_extension_config_dump('failure_case', '');

-- Few live changes have failed: without it, all that wait would be read.
create index pfa_write_queue_attempted on pfa_write_queue (organization_id) where last_error is not null;

create view pfa_sync.failures with (security_barrier) as
    select f.organization_id, f.code, c.kind, c.meaning, c.action, f.open_dead_letters, f.failing_attempts,
           least(f.first_at, s.first_at) as first_seen, greatest(f.last_at, s.last_at) as last_seen, t.last_hour,
           t.hour_before,
           case when t.last_hour > 1.2 * t.hour_before then 'up' when t.last_hour < 0.8 * t.hour_before then 'down'
                else 'steady' end as trend,
           f.examples, k.note, k.owner,
           case when k.state = 'fixed' and greatest(f.last_at, s.last_at) > k.changed_at then 'open'
                else coalesce(k.state, 'open') end as state, k.changed_by, k.changed_at,
           coalesce((select user_names())->>k.owner, k.owner) as owner_name,
           coalesce((select user_names())->>k.changed_by, k.changed_by) as changed_by_name
      from (select x.organization_id, x.code, count(*) filter (where x.dead) as open_dead_letters,
                   count(*) filter (where not x.dead) as failing_attempts, min(x.at) as first_at, max(x.at) as last_at,
                   (array_agg(x.queue_id order by x.at desc nulls last, x.queue_id))[1:5] as examples
              from (select d.organization_id, d.code, d.queue_id, d.failed_at as at, true as dead
                      from pfa_write_queue_dlq d
                     where d.status = 'open' and d.organization_id = any ((select visible_organizations())::text[])
                    union all
                    -- A change in flight is being tried again: when it failed is not known from its row.
                    select q.organization_id, o.code, q.id, case when q.status = 'pending' then b.claimed_at end, false
                      from pfa_write_queue q
                      join cause o on o.outcome = split_part(q.last_error, ': ', 1)
                      left join sync_batch b on b.batch_id = q.batch_id
                     where q.last_error is not null
                       and q.organization_id = any ((select visible_organizations())::text[])) x
             group by x.organization_id, x.code) f
      join cause c on c.code = f.code
      left join failure_seen s on s.organization_id = f.organization_id and s.code = f.code
     cross join lateral (
         select coalesce(sum(r.samples) filter (where r.period > now() - interval '1 hour'), 0)::bigint as last_hour,
                coalesce(sum(r.samples) filter (where r.period <= now() - interval '1 hour'), 0)::bigint as hour_before
           from kpi_rollup r
          where r.organization_id = f.organization_id and r.measure = f.code
            and r.period > now() - interval '2 hours') t
      left join lateral (
         select n.* from failure_case n
          where n.code = f.code and n.organization_id in (f.organization_id, '')
          order by n.organization_id = '' limit 1) k on true;
comment on view pfa_sync.failures is
    'What fails: open dead letters, and live changes whose last attempt failed, by organization and cause, with what '
    'users have noted about it by note_failure().';
comment on column pfa_sync.failures.organization_id is 'id of the organization';
comment on column pfa_sync.failures.code is 'the cause: a code of the view causes';
comment on column pfa_sync.failures.kind is 'kind of the cause: dead_letter, conflict or attempt';
comment on column pfa_sync.failures.meaning is 'what the code means';
comment on column pfa_sync.failures.action is 'what to do about it';
comment on column pfa_sync.failures.open_dead_letters is 'number of open dead letters';
comment on column pfa_sync.failures.failing_attempts is
    'number of changes that wait or are in flight and whose last attempt failed so';
comment on column pfa_sync.failures.first_seen is
    'when a failure of this cause was first seen, within kpi_retention; null: not counted yet';
comment on column pfa_sync.failures.last_seen is
    'when a failure of this cause was last seen; null: not counted yet';
comment on column pfa_sync.failures.last_hour is
    'number of failures in the last hour, in full five minutes, as maintain() counted them';
comment on column pfa_sync.failures.hour_before is 'number of failures in the hour before';
comment on column pfa_sync.failures.trend is
    'up or down: at least a fifth more or fewer failures in the last hour than in the hour before; else steady';
comment on column pfa_sync.failures.examples is 'queue ids of up to five of the changes, the latest first';
comment on column pfa_sync.failures.note is 'what users have noted; null: nothing';
comment on column pfa_sync.failures.owner is 'who looks after it, in the words of the note; null: not said';
comment on column pfa_sync.failures.state is
    'open, looking, known or fixed; fixed becomes open by itself with the next failure of the cause';
comment on column pfa_sync.failures.changed_by is 'the user who changed note, owner or state last; null: none has';
comment on column pfa_sync.failures.changed_at is 'when that was; null: none has';
comment on column pfa_sync.failures.owner_name is 'the owner; where the note names a user by id, that user''s name';
comment on column pfa_sync.failures.changed_by_name is 'name of that user';

-- Notes something about a failure. An argument that is null leaves what there is, an empty one removes it.
create function pfa_sync.note_failure(code text, organization text, note text default null, owner text default null,
                                      state text default null, user_id text default null)
    returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
    noted jsonb;
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    perform require_given('code', note_failure.code);
    perform require_text('note', note_failure.note, 2000), require_text('owner', note_failure.owner, 200);
    perform require_word('state', note_failure.state, array['open', 'looking', 'known', 'fixed']);
    if not exists (select from cause c where c.code = note_failure.code and (c.kind = 'dead_letter' or c.outcome <> ''))
    then
        raise exception 'there is no cause of failures %', left(note_failure.code, 40)
            using errcode = 'PF008', hint = 'select code, meaning from pfa_sync.causes lists them.';
    end if;
    insert into failure_case as k (organization_id, code, note, owner, state, changed_by)
        values (coalesce(scope, ''), note_failure.code, nullif(note_failure.note, ''), nullif(note_failure.owner, ''),
                coalesce(note_failure.state, 'open'), actor)
        on conflict on constraint failure_case_pkey
        do update set note = case when note_failure.note is null then k.note else excluded.note end,
                      owner = case when note_failure.owner is null then k.owner else excluded.owner end,
                      state = coalesce(note_failure.state, k.state), changed_by = actor, changed_at = clock_timestamp()
        returning jsonb_build_object('code', k.code, 'note', k.note, 'owner', k.owner, 'state', k.state) into noted;
    perform log_event('FAILURE_NOTED', scope, actor, noted);
    return noted;
end
$$;
comment on function pfa_sync.note_failure(text, text, text, text, text, text) is
    'Notes something about the failures of a cause in an organization (id or code; null: in every organization that '
    'has no note of its own): note, owner, state (open, looking, known, fixed). Null leaves what there is, an empty '
    'text removes it. A failure that is fixed becomes open by itself when it is seen again. Returns what is noted now, '
    'as JSON: code, note, owner, state. '
    'Needs perm_ManageSettings; for organization null, of an administrator. PF001: another state, or a text too long; '
    'PF002: permission missing; PF008: no such cause or organization.';
