-- Conflicts that are resolved by a rule, which an administrator sets beforehand: the setting auto_resolution. A
-- conflict is resolved so only if there is a rule for each of its fields.

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

-- Resolves what rules resolve: fields that PEMS wins leave the change, fields that we win are no conflict any more.
-- Recorded as resolved_auto with the rules' names. Conflicts that come from a validation fault are left to a person.
create function resolve_by_rule(judgements judgement[], detected text) returns judgement[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    resolved judgement[];
begin
    if not exists (select from unnest(judgements) j where j.outcome = 'conflict' and j.message is null) then
        return judgements;
    end if;
    resolved := array(
        with ruled as (
            select j.modification_id, f.field, r.rule,
                   r.resolution = 'use_pems'
                   or r.resolution = 'newest'
                      and coalesce(pems_time(p.pems_updated_at) >= m.committed_at at time zone 'utc', true) as pems_wins
              from unnest(judgements) j
             cross join lateral unnest(j.conflicts) f (field)
              left join lateral auto_resolution(j.organization_id, f.field) r on true
              left join pems_record p on p.mirror_id = j.mirror_id
              left join modification m on m.modification_id = j.modification_id
             where j.outcome = 'conflict' and j.message is null),
        whole as (
            select r.modification_id, array_agg(r.field) filter (where r.pems_wins) as given_up,
                   string_agg(distinct r.rule, ', ') as rules
              from ruled r group by 1 having count(r.rule) = count(*))
        -- Of the fields without a conflict, those stay in to_send that the merge left there.
        select jsonb_populate_record(j, jsonb_build_object('delta', c.delta, 'message', w.rules, 'outcome', 'pending',
                   'to_send', c.delta - array(select jsonb_object_keys(j.delta - j.conflicts)
                                              except select jsonb_object_keys(j.to_send))))
          from whole w
          join unnest(judgements) j on j.modification_id = w.modification_id
         cross join lateral (select j.delta - coalesce(w.given_up, '{}')) c (delta));

    insert into pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, author, detected, local_version,
                                   mirror_version, base_data, local_data, pems_data, conflict_fields, message, status,
                                   resolution, merged_data, resolved_by, resolved_at)
    select r.organization_id, r.pfa_id, r.mirror_id, r.modification_id, r.author, resolve_by_rule.detected,
           r.base_version, r.mirror_version, r.base, j.delta, r.theirs, r.conflicts, 'resolved by rule: ' || r.message,
           'resolved_auto',
           case when r.delta = j.delta then 'use_local' when r.delta ?| r.conflicts then 'merge' else 'use_pems' end,
           r.delta, r.message, now()
      from unnest(resolved) r join unnest(judgements) j on j.modification_id = r.modification_id;
    perform log_event('CONFLICT_RESOLVED', r.organization_id, 'rule: ' || r.message, pfa_id => r.pfa_id,
                      modification_id => r.modification_id,
                      changes => jsonb_build_object('fields', to_jsonb(r.conflicts), 'sends', r.to_send))
       from unnest(resolved) r;
    update pfa_write_queue q set payload = r.delta, accepted = r.seen
      from unnest(resolved) r where q.modification_id = r.modification_id;

    return array(
        select case when r.modification_id is null then j
                    else jsonb_populate_record(r, jsonb_build_object('base_version', r.mirror_version, 'message', null,
                                                                     'conflicts', '[]'::jsonb)) end
          from unnest(judgements) j
          left join unnest(resolved) r on r.modification_id = j.modification_id);
end
$$;
