-- Bounds on arguments: a call with a value beyond them is refused before it does any work.

-- Raises PF001 unless a number is between two others; null is accepted where the caller has a default.
create function require_between(name text, value bigint, low bigint, high bigint) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if value not between low and high then
        raise exception '% must be from % to %, not %', name, low, high, value using errcode = 'PF001';
    end if;
end
$$;

-- The same of an interval.
create function require_between(name text, value interval, low interval, high interval) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if value not between low and high then
        raise exception '% must be from % to %, not %', name, low, high, value using errcode = 'PF001';
    end if;
end
$$;

-- Raises PF001 unless a text is short enough and has no control characters, except line breaks and tabs; null is
-- accepted.
create function require_text(name text, value text, max_length int) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if length(value) > max_length then
        raise exception '% must have at most % characters, not %', name, max_length, length(value)
            using errcode = 'PF001';
    end if;
    if translate(value, chr(9) || chr(10) || chr(13), '') ~ '[[:cntrl:]]' then
        raise exception '% must not contain control characters', name using errcode = 'PF001';
    end if;
end
$$;

-- Raises PF001 when an argument is missing.
create function require_given(name text, value text) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if value is null then
        raise exception '% is missing', name using errcode = 'PF001';
    end if;
end
$$;

-- Raises PF001 unless a value is an array of objects.
create function require_objects(name text, value jsonb) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if jsonb_typeof(value) is distinct from 'array' or value @? '$[*] ? (@.type() != "object")' then
        raise exception '% is a JSON array of objects, not %', name, left(coalesce(value::text, 'null'), 40)
            using errcode = 'PF001';
    end if;
end
$$;

-- Whether a delta is small enough to be stored and listed: 64 kB, nested at most 16 deep, numbers of at most 30 digits
-- before and after the point. Postgres writes the number 1e131071 out in 131,072 characters.
create function is_bounded(delta jsonb) returns boolean
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select pg_column_size(delta) <= 65536
       and not delta @? 'strict $.**{17}'
       and not delta @? 'strict $.** ? (@.type() == "number"
                                        && (@ > 1e30 || @ < -1e30 || @ != 0 && @ > -1e-30 && @ < 1e-30))'
$$;
