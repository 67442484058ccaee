-- A comparison of the mirror with PEMS that changes nothing: what a full pull would find.

-- The records of a page, as PEMS lists them, that the mirror has otherwise. waits: a change of the record waits or is
-- in flight, so that they are to differ.
create function pfa_sync.compare_page(organization text, page jsonb)
    returns table (pfa_id text, difference text, fields jsonb, waits boolean)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope text := organization_of(organization);
begin
    perform require_given('organization', scope);
    perform require_objects('page', page);
    perform ensure_sending();
    return query
        select r.pfa_id, d.difference,
               case when d.difference = 'differs'
                    then (select jsonb_object_agg(k, jsonb_build_object('mirror', t.data->k, 'pems', r.data->k))
                            from (select jsonb_object_keys(t.data || r.data)) f (k)
                           where t.data->k is distinct from r.data->k)
                    when d.difference = 'unreadable' then jsonb_build_object('reason', r.problem) end,
               exists (select from pfa_write_queue q where q.mirror_id = m.mirror_id)
          from unnest(parse_page(scope, page)) r
          left join mirror m on m.organization_id = scope and m.pfa_id = r.pfa_id
          left join lateral (select with_derived(y.data) as data from typed(m.data) y) t on m.mirror_id is not null
         cross join lateral (
             select case when r.problem is not null then 'unreadable'
                         when m.mirror_id is null then 'not in the mirror'
                         when t.data is distinct from r.data then 'differs' end as difference) d
         where d.difference is not null
         order by r.pfa_id;
end
$$;
comment on function pfa_sync.compare_page(text, jsonb) is
    'Relay: the records of a page of PEMS'' list that the mirror has otherwise: unreadable, not in the mirror, or '
    'differs, with the values of both in fields that differ. waits: a change of the record is queued, so that they are '
    'to differ. Changes nothing.';

-- The records of the mirror, not discontinued, that are not among those that PEMS listed.
create function pfa_sync.compare_missing(organization text, listed text[]) returns setof text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
begin
    perform require_given('organization', scope);
    perform ensure_sending();
    return query
        select m.pfa_id from mirror m
         where m.organization_id = scope and m.data->'isDiscontinued' is distinct from 'true'
           and m.pfa_id not in (select l from unnest(listed) l)
         order by 1;
end
$$;
comment on function pfa_sync.compare_missing(text, text[]) is
    'Relay: the records of the mirror, not discontinued, that are not among those that PEMS listed.';

-- Counts a comparison for the key figure consistency.
create function pfa_sync.record_comparison(organization text, same bigint, different bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
begin
    perform require_given('organization', scope);
    perform ensure_sending();
    perform require_between('same', same, 0::bigint, 1000000000::bigint),
            require_between('different', different, 0::bigint, 1000000000::bigint);
    perform add_figure(scope, now(), 'read_same', coalesce(same, 0)),
            add_figure(scope, now(), 'read_different', coalesce(different, 0));
end
$$;
comment on function pfa_sync.record_comparison(text, bigint, bigint) is
    'Relay: counts how many records a comparison found as the mirror has them, and how many otherwise without a change '
    'that waits, for the key figure consistency.';
