-- Times as PEMS spells them: ISO 8601, with the time zone.

-- The moment that a text of PEMS' means; null when it is not a time.
create function pems_time(stamp text) returns timestamptz
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set timezone = 'UTC'
as $$
begin
    return case when stamp ~ '^[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]' then stamp::timestamptz end;
exception when data_exception then
    return null;
end
$$;

-- A moment as PEMS spells it.
create function pems_stamp(at timestamptz) returns text
    language sql stable security invoker
    return to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
