-- The merged view: records as PEMS has them, with queued changes and the caller's own drafts laid over them.

-- A page of an organization's records.
--   filter      fields and the values they must have: {"category": "Crane", "isDiscontinued": false}
--   search      text that occurs in the id or a describing field
--   sort        a field; records without it come first. Of two with the same value the id decides
--   after       the cursor of the last row of the page before
-- Of a record with changes, state is the farthest (syncing, committed, draft) and changed_fields are what they change.
-- A user who may not see prices can't filter or sort by them either: the order would show them.
create function pfa_sync.records(organization text, filter jsonb default '{}', search text default null,
                        sort text default 'pfaId', descending boolean default false, after text default null,
                        max_rows int default 50, user_id text default null)
    returns table (pfa_id text, version int, data jsonb, state text, changed_fields text[], cursor text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    named   text[];
    hidden  text;
    place   jsonb;
    key     text;
begin
    perform require_permission(actor, scope, 'perm_Read');
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'a filter is a JSON object of fields' using errcode = 'PF001';
    end if;
    named := array(select jsonb_object_keys(filter)) || sort;
    select n into hidden from unnest(named) n where not exists (select from field_rules f where f.name = n) limit 1;
    if found then
        raise exception 'a record has no field %', hidden using errcode = 'PF001';
    end if;
    select f.name into hidden from field_rules f where f.price and f.name = any (named) limit 1;
    if found then
        perform require_permission(actor, scope, 'perm_ViewFinancials');
    end if;
    begin
        place := convert_from(decode(after, 'hex'), 'UTF8')::jsonb;
    exception when data_exception then
        raise exception 'after takes the cursor of a row' using errcode = 'PF001';
    end;
    -- By id, the application's own index has the order; any other has to be made.
    key := case when sort = 'pfaId' then 'r.pfa_id' else format('coalesce(d.merged->%L, ''null'')', sort) end;
    return query execute format($query$
        with change as materialized (
            select m.mirror_id,
                   jsonb_overlay(m.delta order by m.sync_state = 'draft', m.committed_at, m.created_at,
                                                  m.modification_id) as delta,
                   case when bool_or(m.sync_state = 'syncing') then 'syncing'
                        when bool_or(m.sync_state = 'committed') then 'committed'
                        else 'draft' end as state
              from modification m
             where m.organization_id = $1
               and (m.sync_state in ('committed', 'syncing') or m.sync_state = 'draft' and m.user_id = $2)
             group by m.mirror_id)
        select r.pfa_id, r.version, masked(d.merged, $1), c.state,
               array(select k from jsonb_object_keys(c.delta) k order by k),
               encode(convert_to(jsonb_build_array(%1$s, r.pfa_id)::text, 'UTF8'), 'hex')
          from mirror r
          left join change c on c.mirror_id = r.mirror_id
         cross join lateral (select case when c.delta is null then r.data else r.data || c.delta end) d (merged)
         where r.organization_id = $1 and r.pfa_id is not null
           and ($3 = '{}' or d.merged @> $3)
           and ($4 is null
                -- Without the columns' collations: one that is not deterministic has no substrings.
                or strpos(lower(concat_ws(' ', r.pfa_id, d.merged->>'category', d.merged->>'forecastCategory',
                                          d.merged->>'class', d.merged->>'areaSilo', d.merged->>'manufacturer',
                                          d.merged->>'model', d.merged->>'contract', d.merged->>'equipment')
                                collate "default") collate "C", $4) > 0)
           and ($5 is null or (%1$s, r.pfa_id) %2$s (%3$s, $5->>1))
         order by %1$s %4$s, r.pfa_id %4$s
         limit $6 $query$,
        key, case when descending then '<' else '>' end, case when sort = 'pfaId' then '$5->>0' else '$5->0' end,
        case when descending then 'desc' else 'asc' end)
        using scope, actor, filter, lower(search), place, least(greatest(max_rows, 0), 1000);
end
$$;
comment on function pfa_sync.records(text, jsonb, text, text, boolean, text, int, text) is
    'A page of an organization''s records with changes on their way and the user''s own drafts laid over them. '
    'filter: fields with the values they must have; search: text in the id or a describing field; sort: a field, '
    'records without it first; after: cursor of the last row of the page before; max_rows: 1000 at most. state is '
    'that of the farthest change (syncing, committed, draft; null: none). Needs perm_Read; to filter or sort by a '
    'price, perm_ViewFinancials. PF001: unknown field, or not a cursor.';
