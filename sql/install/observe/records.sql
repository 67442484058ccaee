-- The merged view: records as PEMS has them, with queued changes and the caller's own drafts laid over them.

-- A page of an organization's records.
--   filter      fields and the values they must have, see read_record_filter(): {"category": ["Crane", "Truck"],
--               "isDiscontinued": false, "forecastStart": {"from": "2026-01-01"}, "state": "draft"}
--   search      text that occurs in the id or a describing field
--   sort        a field; records without it come first. Of two with the same value the id decides
--   after       the cursor of the last row of the page before
--   skip        how many rows are left out before the page
-- Of a record with changes, state is the farthest (syncing, committed, draft) and changed_fields are what they change.
-- A user who may not see prices can't filter or sort by them either: the order would show them.
create function pfa_sync.records(organization text, filter jsonb default '{}', search text default null,
                        sort text default 'pfaId', descending boolean default false, after text default null,
                        max_rows int default 50, user_id text default null, skip int default 0)
    returns table (pfa_id text, version int, data jsonb, state text, changed_fields text[], cursor text,
                   modification_id text, base jsonb, errors jsonb, conflicts jsonb, reason text, states text[],
                   authors jsonb, conflict_id bigint, dead_letter_id bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    chosen record_filter;
    priced boolean;
    place  jsonb;
    key    text;
begin
    perform require_permission(actor, scope, 'perm_Read');
    chosen := read_record_filter(filter, scope, actor);
    perform require_fields(array[sort], scope, actor);
    begin
        place := convert_from(decode(after, 'hex'), 'UTF8')::jsonb;
    exception when data_exception then
        raise exception 'after takes the cursor of a row' using errcode = 'PF001';
    end;
    perform require_text('search', search, 1000);
    perform require_between('skip', skip, 0, 1000000);
    priced := can_see(scope, 'perm_ViewFinancials');
    -- By id, the application's own index has the order; any other has to be made.
    key := case when sort = 'pfaId' then 'r.pfa_id' else format('coalesce(d.merged->%L, ''null'')', sort) end;
    return query execute format($query$
        with page as materialized (
            select r.pfa_id, r.version, d.merged, c.state, c.delta, c.states, c.authors, c.draft_id, c.in_conflict,
                   c.failed, encode(convert_to(jsonb_build_array(%1$s, r.pfa_id)::text, 'UTF8'), 'hex') as cursor,
                   %1$s as place
              %5$s
               and ($8 is null or (%1$s, r.pfa_id) %2$s (%3$s, $8->>1))
             order by %1$s %4$s, r.pfa_id %4$s
             limit $9 offset $11)
        select p.pfa_id, p.version, masked(p.merged, $10), p.state,
               array(select k from jsonb_object_keys(p.delta) k order by k), p.cursor, p.draft_id,
               masked(j.base, $10), j.errors,
               masked(conflict_values(j.conflicts, j.base, j.delta, j.seen), $10), j.reason,
               coalesce(p.states, '{synced}'),
               (select coalesce(jsonb_agg(user_in_json(a, u.name) order by u.name, a), '[]')
                  from unnest(p.authors) a left join users u on u.user_id = a),
               (select max(s.id) from pfa_sync_conflict s
                 where s.modification_id = any (p.in_conflict) and s.status = 'unresolved'),
               (select max(l.queue_id) from pfa_write_queue_dlq l
                 where l.modification_id = any (p.failed) and l.status = 'open')
          from page p
          left join unnest(judged_drafts(array(select p.draft_id from page p where p.draft_id is not null))) j
            on j.modification_id = p.draft_id
         order by p.place %4$s, p.pfa_id %4$s $query$,
        key, case when descending then '<' else '>' end, case when sort = 'pfaId' then '$8->>0' else '$8->0' end,
        case when descending then 'desc' else 'asc' end, matching_records(chooses_changed(chosen)))
        using scope, actor, chosen.condition, chosen.states, chosen.authors, chosen.pfa_ids, lower(search), place,
              least(greatest(max_rows, 0), 1000), priced, skip;
end
$$;
comment on function pfa_sync.records(text, jsonb, text, text, boolean, text, int, text, int) is
    'A page of an organization''s records with changes on their way and the user''s own drafts laid over them. '
    'filter: fields with the value they must have, an array of values, or for dates and amounts a range {from, to}; '
    'also state (draft, queued, syncing, conflict, failed, synced), author (ids of users) and pfa_ids (up to 500). '
    'search: text in the id or a describing field; sort: a field, records without it first; after: cursor of the last '
    'row of the page before; max_rows: 1000 at most; skip: rows left out before the page. state is that of the '
    'farthest change (syncing, committed, draft; null: none), states all that the record is. Beside a draft of the '
    'user''s: its modification_id, reason, the changed fields as they were (base), and the conflicts and errors that '
    'a commit would have now (UNREADABLE: it cannot be judged). authors: users with a change of the record; '
    'conflict_id, dead_letter_id: its latest open ones. Needs perm_Read; to filter or sort by a price, '
    'perm_ViewFinancials. PF001: unknown field, or not a cursor; PF002: permission missing.';

-- The ids of all records that a filter and a search choose, as of records(): what a bulk operation is to be done with.
create function pfa_sync.record_ids(organization text, filter jsonb default '{}', search text default null,
                                    user_id text default null) returns setof text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    chosen record_filter;
begin
    perform require_permission(actor, scope, 'perm_Read');
    perform require_text('search', search, 1000);
    chosen := read_record_filter(filter, scope, actor);
    return query execute format('select r.pfa_id %s order by 1', matching_records(chooses_changed(chosen)))
        using scope, actor, chosen.condition, chosen.states, chosen.authors, chosen.pfa_ids, lower(search);
end
$$;
comment on function pfa_sync.record_ids(text, jsonb, text, text) is
    'The ids of all records that a filter and a search choose, as of records(), for commit_drafts(), discard_drafts() '
    'and withdraw_records(). Needs what records() needs, and fails as it does.';
