-- Bounds on arguments: a call with a value beyond them is refused before it does any work.

-- Raises PF001 unless a number or an interval is between two others; null is accepted where the caller has a default.
create function require_between(name text, value anyelement, low anyelement, high anyelement) returns void
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

-- Raises PF001 unless a word is one of some; null is accepted.
create function require_word(name text, value text, words text[]) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if value <> all (words) then
        raise exception '% is one of %, not %', name, array_to_string(words, ', '), left(value, 40)
            using errcode = 'PF001';
    end if;
end
$$;

-- Raises PF001 unless a reason for an action is given, of at least so many characters.
create function require_reason(action text, reason text, min_length int) returns void
    language plpgsql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    if length(coalesce(btrim(reason), '')) < min_length then
        raise exception '% needs a reason%', action,
                        case when min_length > 1 then format(' of at least %s characters', min_length) else '' end
            using errcode = 'PF001', hint = 'Pass reason.';
    end if;
    perform require_text('reason', reason, 2000);
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
    if jsonb_typeof(value) is distinct from 'array' or value @? 'strict $[*] ? (@.type() != "object")' then
        raise exception '% is a JSON array of objects, not %', name, left(coalesce(value::text, 'null'), 40)
            using errcode = 'PF001';
    end if;
end
$$;

-- Why a delta, or one value of it, is too large to be stored and listed: 64 kB, 16 levels, numbers of 30 digits before
-- the point and 30 zeros behind it. Null = it is not. PostgreSQL writes the number 1e131071 out in 131,072 characters.
create function bound_fault(delta jsonb) returns text
    language c immutable strict security invoker parallel safe as 'MODULE_PATHNAME', 'bound_fault_wrapper';
