-- Conflicts settled by a rule that an administrator set up beforehand: the setting auto_resolution. Off unless there is
-- a rule for every conflict field.

-- The rule for a field of an organization. The most specific value counts: of organization and field, of the
-- organization, of the field, of the fleet. No row = a person is asked.
create function auto_resolution(organization_id text, field text) returns table (rule text, resolution text)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select format('%s = %s', r.name, r.value), r.value
      from (select v.name, v.value from setting_value v
             where v.organization_id in ('', $1) and v.name in ('auto_resolution', 'auto_resolution.' || $2)
             order by v.organization_id = '', v.name = 'auto_resolution' limit 1) r
     where r.value <> 'ask'
$$;

-- Settles what rules settle: PEMS' fields leave the change, ours are no conflict any more. Recorded as resolved_auto with
-- the rules' names. Conflicts that come from a validation fault are always a person's.
create function resolve_by_rule(judgements judgement[], detected text) returns judgement[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    settled judgement[];
begin
    if not exists (select from unnest(judgements) j where j.verdict = 'conflict' and j.message is null) then
        return judgements;
    end if;
    settled := array(
        with ruled as (
            select j, f.field, r.rule,
                   r.resolution = 'use_pems'
                   or r.resolution = 'newest' and coalesce(instant(p.pems_updated_at) >= m.committed_at at time zone 'utc', true) as pems_wins
              from unnest(judgements) j
             cross join lateral unnest(j.conflicts) f (field)
              left join lateral auto_resolution(j.organization_id, f.field) r on true
              left join pems_record p on p.mirror_id = j.mirror_id
              left join modification m on m.modification_id = j.modification_id
             where j.verdict = 'conflict' and j.message is null),
        whole as (
            select (j).modification_id, array_agg(field) filter (where pems_wins) as given_up, string_agg(distinct rule, ', ') as rules
              from ruled group by 1 having count(rule) = count(*))
        select row(j.modification_id, j.mirror_id, j.organization_id, j.pfa_id, j.author, j.reason, j.base_version, j.mirror_version, j.theirs, j.base, j.seen,
                   j.errors, j.missing, j.operation, c.changes,
                   c.changes - array(select jsonb_object_keys(j.changes - j.conflicts) except select jsonb_object_keys(j.apply)),
                   j.conflicts, w.rules, 'pending')::judgement
          from whole w
          join unnest(judgements) j on j.modification_id = w.modification_id
         cross join lateral (select j.changes - coalesce(w.given_up, '{}')) c (changes));

    insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, author, detected, local_version, mirror_version, base_data,
                                   local_data, pems_data, conflict_fields, message, status, resolution, merged_data, resolved_by, resolved_at)
    select j.organization_id, j.pfa_id, j.mirror_id, j.modification_id, j.author, resolve_by_rule.detected, j.base_version, j.mirror_version, j.base,
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
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp set timezone = 'UTC'
as $$
begin
    return stamp::timestamptz;
exception when data_exception then
    return null;
end
$$;
