-- What bulk operations on conflicts and dead letters have in common: a filter that chooses rows, and a digest by which
-- the operation notices that what it would touch has changed since its preview.

-- Raises PF001 unless a filter is an object with no other keys than these.
create function require_keys(filter jsonb, keys text[]) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    unknown text;
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'a filter is a JSON object, not %', coalesce(jsonb_typeof(filter), 'null')
            using errcode = 'PF001';
    end if;
    select k into unknown from jsonb_object_keys(filter) k where k <> all (keys) order by k limit 1;
    if found then
        raise exception 'this filter has no key %', unknown
            using errcode = 'PF001', hint = format('Keys are %s.', array_to_string(keys, ', '));
    end if;
end
$$;

-- Reads the keys since and until of a filter. Raises PF001 for what is no time.
create function read_period(filter jsonb, out since timestamptz, out until timestamptz)
    language plpgsql stable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    since := (filter->>'since')::timestamptz;
    until := (filter->>'until')::timestamptz;
exception when data_exception then
    raise exception 'since and until are times: %', sqlerrm using errcode = 'PF001';
end
$$;

-- A filter, read. A null key chooses all; older_than is the time before which a row was made.
create type bulk_filter as (
    organization_id text,
    author          text,
    pfa_id          text,
    field           text,
    code            text,
    older_than      timestamptz,
    ids             bigint[]
);

-- Reads a filter with keys organization (id or code), author, older_than (interval), id_key (array of ids) and the
-- others named. Raises PF001 for one that can't be read.
create function read_filter(filter jsonb, id_key text, others text[]) returns bulk_filter
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    chosen bulk_filter;
begin
    perform require_keys(filter, array['organization', 'author', 'older_than', id_key] || others);
    chosen.organization_id := organization_of(filter->>'organization');
    chosen.author := filter->>'author';
    chosen.pfa_id := filter->>'pfa_id';
    chosen.field := filter->>'field';
    chosen.code := filter->>'code';
    begin
        chosen.older_than := now() - (filter->>'older_than')::interval;
        if filter->id_key is not null then
            chosen.ids := array(select i::bigint from jsonb_array_elements_text(filter->id_key) i);
        end if;
    exception when data_exception then
        raise exception 'older_than is an interval, % an array of ids: %', id_key, sqlerrm using errcode = 'PF001';
    end;
    return chosen;
end
$$;

-- The state of a record that a person looks at: its version, and the newest change of it that is queued. Null = there
-- is no such record.
create function record_state(mirror_id text) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select format('%s.%s', r.version,
                          coalesce((select q.id from pfa_write_queue q where q.mirror_id = r.mirror_id
                                     order by place_in_record(q.head, q.id) desc limit 1), 0))
              from mirror r where r.mirror_id = record_state.mirror_id);
end
$$;

-- Whether a record has another version than in a state, or a change that was queued later.
create function has_moved(mirror_id text, state text) returns boolean
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    parts text[] := string_to_array(state, '.');
begin
    if state !~ '^[0-9]{1,9}[.][0-9]{1,18}$' then
        raise exception 'a state is what conflict_state() returns as state, not %', left(state, 40)
            using errcode = 'PF001';
    end if;
    return not exists (select from mirror r where r.mirror_id = has_moved.mirror_id and r.version = parts[1]::int)
        or exists (select from pfa_write_queue q where q.mirror_id = has_moved.mirror_id and q.id > parts[2]::bigint);
end
$$;

-- One value for an action on rows and the states of their records; it differs when a row or a record has changed, or
-- another change of a record was queued.
create function bulk_digest(action text, ids bigint[], mirror_ids text[]) returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select md5(action || coalesce(string_agg(format('%s:%s', b.id, record_state(b.mirror_id)), ','
                                                     order by b.id), ''))
              from unnest(ids, mirror_ids) b (id, mirror_id));
end
$$;

-- Of rows of several records, the first of each record: several rows of one record are dealt with one after the other.
create function first_of_each_record(ids bigint[], mirror_ids text[]) returns bigint[]
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select array(select distinct on (b.mirror_id) b.id from unnest(ids, mirror_ids) b (id, mirror_id)
                    order by b.mirror_id, b.id) $$;
