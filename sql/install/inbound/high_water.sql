-- The high water of pulls: the latest time of change that is known, from which the next pull reads on. It is a time of
-- PEMS' clock and never beyond it: a record that is stamped hours ahead would hide all changes until then.

-- What PEMS' clock shows now, as its last answer with a date said; ours where none did.
create function pems_now(organization_id text) returns timestamptz
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select clock_timestamp() + coalesce((
        select p.clock_skew from sync_pull p
         where p.organization_id = $1 and p.clock_skew is not null order by p.pull_id desc limit 1), '0')
$$;

-- How far ahead the clock of each PEMS is, in seconds, as the last answer with a date said.
create function clock_skews() returns table (pems text, seconds numeric)
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select y.pems, extract(epoch from k.clock_skew)
      from pems_system y
     cross join lateral (
         select p.clock_skew
           from sync_organization s
           join sync_pull p on p.organization_id = s.organization_id and p.clock_skew is not null
          where s.pems = y.pems
          order by p.pull_id desc limit 1) k
     where y.retired_at is null
$$;

-- The latest time of change in a page up to a time; null = none. Stamps may have any offset; one without is UTC.
create function latest_change(page jsonb, until timestamptz) returns timestamptz
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select max(c.at)
              from (select distinct r->>'updatedAt' as stamp from jsonb_array_elements(page) r
                     where jsonb_typeof(r->'updatedAt') = 'string') s
             cross join lateral pems_time(s.stamp) c (at)
             where c.at <= until);
end
$$;
