-- Counts of records by the values of fields, for the lists from which a user chooses a filter.

-- How many records are counted at most.
create function facet_bound() returns bigint language sql immutable security invoker return 100000;

-- A value of a field as JSON, from its text.
create function facet_value(type text, value text) returns jsonb
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case when value is null then 'null'
                when type = 'boolean' and value in ('true', 'false')
                     or type = 'decimal' and value ~ '^-?(0|[1-9][0-9]{0,30})([.][0-9]{1,30})?$' then value::jsonb
                else to_jsonb(value) end
$$;

-- The statement that counts: $1 to $7 as of matching_records(), $8 is the bound, $9 the fields. One pass, and as texts,
-- which are counted faster than JSON. state and author are counted like fields; what a record has several of is taken
-- apart afterwards.
create function facet_statement(fields text[], changed boolean) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select format($query$
        with counted as materialized (
            select case %4$s else 0 end as place, case %5$s end as value, count(*) as records
              from (select %2$s %1$s limit $8) x
             group by grouping sets (%3$s, ())),
        split as (
            select k.place, k.value, k.records from counted k
             where k.place > 0 and $9[k.place] not in ('state', 'author')
            union all
            select k.place, w, sum(k.records)::bigint
              from counted k cross join lateral string_to_table(k.value, chr(31)) w
             where k.place > 0 and $9[k.place] in ('state', 'author')
             group by 1, 2),
        ranked as (
            select l.*, row_number() over (partition by l.place order by l.records desc, l.value) as rank from split l)
        select t.total, t.total >= $8,
               (select jsonb_agg(jsonb_build_object('field', f.field, 'distinct', n.distinct_values,
                                                    'values', coalesce(n.listed, '[]')) order by f.place)
                  from unnest($9) with ordinality f (field, place)
                  left join field_rules r on r.name = f.field
                 cross join lateral (
                     select count(*) as distinct_values,
                            jsonb_agg(jsonb_build_object('value', facet_value(r.type, k.value), 'count', k.records)
                                      || case when f.field = 'author'
                                              then jsonb_build_object('user_name', coalesce(u.name, k.value))
                                              else '{}' end order by k.rank)
                                filter (where k.rank <= 50) as listed
                       from ranked k
                       left join users u on f.field = 'author' and k.rank <= 50 and u.user_id = k.value
                      where k.place = f.place) n)
          from (select coalesce((select k.records from counted k where k.place = 0), 0) as total) t $query$,
        matching_records(changed),
        string_agg(format('%s as v%s', case f.field
            when 'state' then 'array_to_string(coalesce(c.states, ''{synced}''), chr(31))'
            when 'author' then 'array_to_string(c.authors, chr(31))'
            else format('(d.merged->>%L) collate "C"', f.field) end, f.place), ', '),
        string_agg(format('(v%s)', f.place), ', '),
        string_agg(format('when grouping(v%1$s) = 0 then %1$s', f.place), ' '),
        string_agg(format('when grouping(v%1$s) = 0 then v%1$s', f.place), ' '))
      from unnest(fields) with ordinality f (field, place)
$$;

-- Counts the records that a filter and a search choose, by each value of some fields.
create function pfa_sync.record_facets(organization text, filter jsonb default '{}', search text default null,
                                       fields text[] default '{category,class,source,state}',
                                       user_id text default null)
    returns table (total bigint, at_least boolean, facets jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off set enable_sort = off set jit = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    chosen record_filter;
begin
    perform require_permission(actor, scope, 'perm_Read');
    perform require_between('the number of fields', coalesce(cardinality(fields), 0), 1, 20);
    perform require_text('search', search, 1000);
    chosen := read_record_filter(filter, scope, actor);
    perform require_fields(array(select f from unnest(fields) f where f is null or f not in ('state', 'author')),
                           scope, actor);
    return query execute facet_statement(fields, chooses_changed(chosen))
        using scope, actor, chosen.condition, chosen.states, chosen.authors, chosen.pfa_ids, lower(search),
              facet_bound(), fields;
end
$$;
comment on function pfa_sync.record_facets(text, jsonb, text, text[], text) is
    'Counts an organization''s records, as records() would list them with this filter and search, by each value of up '
    'to 20 fields; state and author count as fields. Returns one row: total, the number of records; at_least: there '
    'are more than the 100000 that were counted; facets, a JSON array with field, distinct (number of values) and '
    'values, the 50 most frequent, each with value and count. A record can have several states and authors. Needs '
    'perm_Read; for a price, perm_ViewFinancials. PF001: unknown field; PF002: permission missing.';
