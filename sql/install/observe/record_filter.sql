-- Filters of records: what a user asks for, read once and checked, and the statement part that chooses records by it.

-- A filter, read; null in a part = it chooses nothing. condition: on the fields of the merged record.
create type record_filter as (
    condition jsonpath,
    states    text[],
    authors   text[],
    pfa_ids   text[]
);

-- What a record can be for the user who looks at it. A record can be several at once; synced: none of the others.
create function record_states() returns text[]
    language sql immutable security invoker
    return '{draft,queued,syncing,conflict,failed,synced}'::text[];

-- Reads a filter: an object of fields, and of state, author and pfa_ids. The value of a field is a value, an array of
-- values, or a range {from, to} of dates or amounts. Null chooses records that have no value. Raises PF001 for what
-- can't be read, PF002 for a price where the user may not see prices: what is found would tell the price.
create function read_record_filter(filter jsonb, organization_id text, actor text) returns record_filter
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    chosen record_filter;
    item   record;
    parts  text[] := '{}';
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'a filter is a JSON object of fields' using errcode = 'PF001';
    end if;
    if bound_fault(filter) is not null then
        raise exception 'the filter %', bound_fault(filter) using errcode = 'PF001';
    end if;
    perform require_fields(array(select k from jsonb_object_keys(filter) k
                                  where k not in ('state', 'author', 'pfa_ids')), organization_id, actor);
    chosen.states := words_of('state', filter->'state', 6);
    perform require_word('state', s, record_states()) from unnest(chosen.states) s;
    chosen.authors := words_of('author', filter->'author', 100);
    chosen.pfa_ids := words_of('pfa_ids', filter->'pfa_ids', 500);
    for item in
        select e.key, e.value, f.type from jsonb_each(filter) e join field_rules f on f.name = e.key
         where e.key not in ('state', 'author', 'pfa_ids')
         order by e.key
    loop
        parts := parts || case jsonb_typeof(item.value)
            when 'object' then range_condition(item.key, item.type, item.value)
            when 'array' then values_condition(item.key, item.value)
            else values_condition(item.key, jsonb_build_array(item.value)) end;
    end loop;
    if cardinality(parts) > 0 then
        chosen.condition := array_to_string(parts, ' && ')::jsonpath;
    end if;
    return chosen;
end
$$;

-- Raises PF001 unless all are fields of a record, and PF002 for a price where the user may not see prices.
create function require_fields(names text[], organization_id text, actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    unknown text;
begin
    select n into unknown from unnest(names) n where not exists (select from field_rules f where f.name = n) limit 1;
    if found then
        raise exception 'a record has no field %', left(unknown, 40)
            using errcode = 'PF001', hint = 'pfa_sync.field_rules lists the fields.';
    end if;
    if exists (select from field_rules f where f.price and f.name = any (names)) then
        perform require_permission(actor, organization_id, 'perm_ViewFinancials');
    end if;
end
$$;

-- A text, or an array of texts, as an array; null for a missing one.
create function words_of(name text, value jsonb, max_words int) returns text[]
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if value is null or value = 'null' then
        return null;
    end if;
    if jsonb_typeof(value) not in ('string', 'array') or value @? 'strict $[*] ? (@.type() != "string")' then
        raise exception '% is a text or an array of texts', name using errcode = 'PF001';
    end if;
    if jsonb_typeof(value) = 'array' then
        perform require_between('the number of texts in ' || name, jsonb_array_length(value), 0, max_words);
        return array(select jsonb_array_elements_text(value));
    end if;
    return array[value #>> '{}'];
end
$$;

-- The condition that a field has one of some values.
create function values_condition(field text, listed jsonb) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform require_between('the number of values of ' || field, jsonb_array_length(listed), 0, 100);
    if listed @? 'strict $[*] ? (@.type() == "object" || @.type() == "array")' then
        raise exception 'values of % are texts, numbers, booleans or null', field using errcode = 'PF001';
    end if;
    return coalesce((
        select '(' || string_agg(distinct case when v.value = 'null'
                   then format('!exists($.%1$I) || $.%1$I == null', field)
                   else format('$.%I == %s', field, v.value) end, ' || ') || ')'
          from jsonb_array_elements(listed) l (value)
         cross join lateral (select coalesce(canonical(jsonb_build_object(field, l.value))->field, 'null')) v (value)),
        '(1 == 2)');
end
$$;

-- The condition that a date or an amount is within a range. A day without a time, as the end, is included as a whole.
create function range_condition(field text, type text, range jsonb) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    fault  text;
    limits text;
begin
    if type not in ('datetime', 'decimal') or range - array['from', 'to'] <> '{}' then
        raise exception '% has no range: a range is {"from": …, "to": …} of a date or an amount', field
            using errcode = 'PF001';
    end if;
    select string_agg(format('$.%I %s %s', field, case r.key when 'from' then '>=' else '<=' end,
                             case when r.key = 'to' and r.value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
                                  then replace(v.value::text, 'T00:00:00.000Z', 'T23:59:59.999Z')
                                  else v.value::text end), ' && ' order by r.key),
           min(r.key) filter (where case range_condition.type when 'decimal' then jsonb_typeof(v.value) <> 'number'
                                    else v.value #>> '{}' !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}Z$' end)
      into limits, fault
      from jsonb_each(range) r
     cross join lateral (select coalesce(canonical(jsonb_build_object(field, r.value))->field, 'null')) v (value)
     where r.value <> 'null';
    if fault is not null then
        raise exception '% of % is not %', fault, field, case type when 'decimal' then 'an amount' else 'a date' end
            using errcode = 'PF001';
    end if;
    return coalesce('(' || limits || ')', format('(exists($.%I))', field));
end
$$;

-- The changes on their way and the drafts of a user, by record. delta: what is laid over the record, null = nothing;
-- state: the farthest of its changes, see records(); draft_id: the user's latest draft. mirror_ids: of these records
-- alone; null = of all.
create function open_changes(organization_id text, actor text, mirror_ids text[] default null)
    returns table (mirror_id text, delta jsonb, state text, states text[], authors text[], draft_id text,
                   in_conflict text[], failed text[])
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
begin
    return query
        select m.mirror_id,
               case when bool_or(l.laid)
                    then jsonb_overlay(m.delta order by m.sync_state = 'draft', m.committed_at, m.created_at,
                                                        m.modification_id) filter (where l.laid) end,
               case when bool_or(m.sync_state = 'syncing') then 'syncing'
                    when bool_or(m.sync_state = 'committed') then 'committed'
                    when bool_or(m.sync_state = 'draft') then 'draft' end,
               array_agg(distinct sync_status_of(m.sync_state)), array_agg(distinct m.user_id),
               (array_agg(m.modification_id order by m.created_at desc, m.modification_id)
                    filter (where m.sync_state = 'draft'))[1],
               array_agg(m.modification_id) filter (where m.sync_state = 'conflict'),
               array_agg(m.modification_id) filter (where m.sync_state = 'sync_error')
          from modification m
         -- The application writes what it will: what is no object is not laid over a record.
         cross join lateral (
             select m.sync_state in ('committed', 'syncing', 'draft') and jsonb_typeof(m.delta) = 'object') l (laid)
         where m.organization_id = open_changes.organization_id
           and (open_changes.mirror_ids is null or m.mirror_id = any (open_changes.mirror_ids))
           and (m.sync_state in ('committed', 'syncing', 'conflict', 'sync_error')
                or m.sync_state = 'draft' and m.user_id = actor)
         group by m.mirror_id;
end
$$;

-- Judges drafts that are shown. One that raises an error gets it as its own, and does not keep the others from being
-- shown.
create function judged_drafts(modification_ids text[]) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    unreadable judgement;
begin
    return judge_modifications(modification_ids);
exception when others then
    if is_transient(sqlstate) then
        raise;
    end if;
    if cardinality(modification_ids) > 1 then
        return array(select j from unnest(modification_ids) i (id)
                      cross join lateral unnest(judged_drafts(array[i.id])) j);
    end if;
    unreadable := jsonb_populate_record(null::judgement, jsonb_build_object('modification_id', modification_ids[1],
        'conflicts', '[]'::jsonb, 'errors', jsonb_build_array(jsonb_build_object(
            'field', null, 'code', 'UNREADABLE', 'message', 'the draft cannot be judged'))));
    return array[unreadable];
end
$$;

-- The end of a statement that reads the records of $1 as $2 sees them and that a filter and a search choose: $3 is the
-- condition, $4 the states, $5 the authors, $6 the ids, $7 the text. r is the mirror, c what open_changes() knows, d
-- the record merged. changed: a record without a change can't be chosen.
create function matching_records(changed boolean) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select format($query$
          from mirror r
          %s join open_changes($1, $2) c on c.mirror_id = r.mirror_id
         cross join lateral (select case when c.delta is null then r.data else r.data || c.delta end) d (merged)
         where r.organization_id = $1 and r.pfa_id is not null
           and ($3 is null or d.merged @@ $3)
           and ($4 is null or coalesce(c.states, '{synced}') && $4)
           and ($5 is null or c.authors && $5)
           and ($6 is null or r.pfa_id = any ($6))
           and ($7 is null
                -- Without the columns' collations: one that is not deterministic has no substrings.
                or strpos(lower(concat_ws(' ', r.pfa_id, d.merged->>'category', d.merged->>'forecastCategory',
                                          d.merged->>'class', d.merged->>'areaSilo', d.merged->>'manufacturer',
                                          d.merged->>'model', d.merged->>'contract', d.merged->>'equipment')
                                collate "default") collate "C", $7) > 0)
        $query$, case when changed then '' else 'left' end)
$$;

-- Whether a filter chooses records with changes alone.
create function chooses_changed(chosen record_filter) returns boolean
    language sql immutable security invoker
    return coalesce('synced' <> all (chosen.states), false) or chosen.authors is not null;
