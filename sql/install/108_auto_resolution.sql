-- Conflicts settled by a rule that an administrator set up beforehand. Off unless there is one for every conflict field.

create table auto_resolution (
    name            text        not null,
    organization_id text,
    field           text,
    resolution      text        not null,
    created_by      text        not null default session_user,
    created_at      timestamptz not null default now(),
    constraint auto_resolution_pkey primary key (name),
    constraint auto_resolution_resolution check (resolution in ('use_pems', 'use_local', 'newest'))
);
comment on table auto_resolution is 'Rules that settle conflicts without asking. The most specific one counts: organization and field, organization, field, neither.';
comment on column auto_resolution.resolution is 'newest: the later of the commit here and PEMS'' own change; PEMS'' where its time is not known';
create unique index auto_resolution_scope on auto_resolution (coalesce(organization_id, ''), coalesce(field, ''));
select pg_catalog.pg_extension_config_dump('auto_resolution', '');

-- Sets a rule for an organization (id or code; null = all) and a field (null = every); resolution null takes it away.
create function auto_resolve(name text, resolution text, organization text default null, field text default null, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
begin
    perform require_permission(actor, scope, 'perm_ManageSettings');
    if resolution is null then
        delete from auto_resolution a where a.name = auto_resolve.name;
        if not found then
            raise exception 'there is no rule %', name using errcode = 'PF008', hint = 'select * from pfa_sync.auto_resolution lists them.';
        end if;
    elsif resolution not in ('use_pems', 'use_local', 'newest') then
        raise exception 'a rule is use_pems, use_local or newest, not %', resolution using errcode = 'PF001';
    else
        insert into auto_resolution (name, organization_id, field, resolution, created_by) values (auto_resolve.name, scope, auto_resolve.field, auto_resolve.resolution, actor)
            on conflict on constraint auto_resolution_pkey
            do update set organization_id = excluded.organization_id, field = excluded.field, resolution = excluded.resolution, created_by = excluded.created_by;
    end if;
    insert into pfa_audit_log (event_type, organization_id, user_id, success, changes)
        values ('AUTO_RESOLUTION_CHANGED', scope, actor, true, jsonb_build_object('name', name, 'field', field, 'resolution', resolution));
end
$$;
comment on function auto_resolve(text, text, text, text, text) is
    'Settles future conflicts of an organization and field by rule (use_pems, use_local, newest); resolution null takes the rule away.';

-- Settles what rules settle: PEMS' fields leave the change, ours are no conflict any more. Recorded as resolved_auto with
-- the rules' names. Conflicts that come from a validation fault are always a person's.
create function settled_by_rule(judgements judgement[], detected text) returns judgement[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    settled judgement[];
begin
    if not exists (select from auto_resolution) or not exists (select from unnest(judgements) j where j.verdict = 'conflict' and j.message is null) then
        return judgements;
    end if;
    settled := array(
        with ruled as (
            select j, f.field, r.name,
                   r.resolution = 'use_pems'
                   or r.resolution = 'newest' and coalesce(instant(p.pems_updated_at) >= m.committed_at at time zone 'utc', true) as pems_wins
              from unnest(judgements) j
             cross join lateral unnest(j.conflicts) f (field)
              left join lateral (
                  select a.name, a.resolution from auto_resolution a
                   where coalesce(a.organization_id, j.organization_id) = j.organization_id and coalesce(a.field, f.field) = f.field
                   order by a.organization_id is null, a.field is null limit 1) r on true
              left join pems_record p on p.mirror_id = j.mirror_id
              left join modification m on m.modification_id = j.modification_id
             where j.verdict = 'conflict' and j.message is null),
        whole as (
            select (j).modification_id, array_agg(field) filter (where pems_wins) as given_up, string_agg(distinct name, ', ') as rules
              from ruled group by 1 having count(name) = count(*))
        select row(j.modification_id, j.mirror_id, j.organization_id, j.pfa_id, j.author, j.reason, j.base_version, j.mirror_version, j.theirs, j.base, j.seen,
                   j.errors, j.missing, j.operation, c.changes,
                   c.changes - array(select jsonb_object_keys(j.changes - j.conflicts) except select jsonb_object_keys(j.apply)),
                   j.conflicts, w.rules, 'pending')::judgement
          from whole w
          join unnest(judgements) j on j.modification_id = w.modification_id
         cross join lateral (select j.changes - coalesce(w.given_up, '{}')) c (changes));

    insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, author, detected, local_version, mirror_version, base_data,
                                   local_data, pems_data, conflict_fields, message, status, resolution, merged_data, resolved_by, resolved_at)
    select j.organization_id, j.pfa_id, j.mirror_id, j.modification_id, j.author, settled_by_rule.detected, j.base_version, j.mirror_version, j.base,
           o.changes, j.theirs, j.conflicts, 'settled by rule: ' || j.message, 'resolved_auto',
           case when j.changes = o.changes then 'use_local' when j.changes ?| j.conflicts then 'merge' else 'use_pems' end, j.changes, j.message, now()
      from unnest(settled) j join unnest(judgements) o on o.modification_id = j.modification_id;
    insert into pfa_audit_log (event_type, organization_id, user_id, pfa_id, modification_id, changes, success)
    select 'CONFLICT_RESOLVED', j.organization_id, 'rule: ' || j.message, j.pfa_id, j.modification_id,
           jsonb_build_object('fields', to_jsonb(j.conflicts), 'sends', j.apply), true
      from unnest(settled) j;
    update pfa_write_queue q set payload = j.changes, accepted = j.seen from unnest(settled) j where q.modification_id = j.modification_id;

    return array(
        select case when s.modification_id is null then j
                    else row(s.modification_id, s.mirror_id, s.organization_id, s.pfa_id, s.author, s.reason, s.mirror_version, s.mirror_version, s.theirs,
                             s.base, s.seen, s.errors, s.missing, s.operation, s.changes, s.apply, '{}'::text[], null::text, s.verdict)::judgement end
          from unnest(judgements) j
          left join unnest(settled) s on s.modification_id = j.modification_id);
end
$$;

-- A time as PEMS writes it; null when it can't be read.
create function instant(stamp text) returns timestamptz
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync, pg_temp set timezone = 'UTC'
as $$
begin
    return stamp::timestamptz;
exception when data_exception then
    return null;
end
$$;
