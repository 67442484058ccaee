-- The log as it grows: what happens, told to whoever listens.
--
-- A position is '<epoch>/<snapshot>': all that the snapshot shows has been told. Within one look it is
-- '<epoch>/<from>/<to>/<event id>': of what `to` shows and `from` does not, all up to that event. A sequence is not the
-- order of commits, and waiting for the oldest writer would let any open transaction hold up the news; a snapshot does
-- neither. The epoch changes when a copy takes the place of its original, whose transaction ids mean nothing there.

-- What an entry of the log is to a listener; null = nothing.
create function event_kind(event_type text) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case event_type
        when 'COMMITTED' then 'queued'
        when 'WRITE_ATTEMPT' then 'syncing'
        when 'WRITE_FAILED' then 'attempt_failed'
        when 'SYNCED' then 'synced'
        when 'CONFLICT_DETECTED' then 'conflict'
        when 'CONFLICT_RESOLVED' then 'resolved'
        when 'DEAD_LETTER' then 'failed'
        when 'DISCARDED' then 'discarded'
        when 'WITHDRAWN' then 'withdrawn'
        when 'BREAKER_OPENED' then 'breaker'
        when 'BREAKER_CLOSED' then 'breaker'
        when 'PAUSED' then 'pause'
        when 'RESUMED' then 'pause'
        when 'CREDENTIALS_REFUSED' then 'pause'
        when 'CREDENTIALS_CHANGED' then 'pause'
    end
$$;

-- Where the log stands now: whoever begins to listen begins here.
create function pfa_sync.event_position() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform ensure_sending();
    return (select i.log_epoch || '/' || pg_current_snapshot() from installation i);
end
$$;
comment on function pfa_sync.event_position() is 'Where the log stands now: whoever begins to listen to events begins here.';

-- One entry of the log as listeners hear it: no values and no texts. position stands right after it, following after all
-- that the same look can tell. organizations are those that it concerns: of a breaker, all whose PEMS it guards.
create type pfa_sync.event as (
    "position"      text,
    following       text,
    event_id        bigint,
    at              timestamptz,
    event           text,
    event_type      text,
    organizations   text[],
    organization_id text,
    pfa_id          text,
    modification_id text,
    queue_id        bigint,
    job_id          bigint,
    batch_id        bigint,
    user_id         text,
    success         boolean
);

-- What happened after a position, up to another one (null = now), in the order in which it was written; visible null = of
-- all organizations.
create function events_among(since text, until text, max_rows int, visible text[]) returns setof event
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    parts   text[] := string_to_array(since, '/');
    epoch   text := (select i.log_epoch from installation i);
    current pg_snapshot := pg_current_snapshot();
    seen    pg_snapshot;
    heard   pg_snapshot;
    last_id bigint;
    upto    pg_snapshot;
begin
    perform ensure_sending();
    begin
        seen := parts[2];
        heard := coalesce(parts[3], parts[2]);
        last_id := coalesce(parts[4], '0');
        upto := coalesce(split_part(until, '/', 2)::pg_snapshot, current);
    exception when data_exception then
        seen := null;
    end;
    if seen is null then
        raise exception 'since and until are positions of events' using errcode = 'PF001', hint = 'event_position() tells the one of now.';
    end if;
    -- Of before a restore, or of a server whose last transactions were lost.
    if parts[1] <> epoch or pg_snapshot_xmax(heard) > pg_snapshot_xmax(current) then
        raise exception 'what happened since then can''t be told'
            using errcode = 'PF006', hint = 'Look at everything anew, and listen from event_position() on.';
    end if;
    return query
    with look (step, after_what, before_what, after_id) as (
        select 1, seen, heard, last_id where cardinality(parts) > 2
        union all
        select 2, heard, upto, 0::bigint),
    happened as (
        select k.step, k.after_what, k.before_what, l.*
          from look k
         cross join lateral (
             select e.* from pfa_audit_log e
              where e.xid >= pg_snapshot_xmax(k.after_what) and e.xid < pg_snapshot_xmax(current)
             union all
             select e.* from pfa_audit_log e where e.xid = any (array(select pg_snapshot_xip(k.after_what)))) l
         where l.id > k.after_id and l.id > epoch::bigint
           and pg_visible_in_snapshot(l.xid, k.before_what)
           and event_kind(l.event_type) is not null),
    told as (
        select h.*,
               case when h.organization_id is null
                    then array(select s.organization_id from sync_organization s
                                where s.pems = h.changes->>'pems' and (visible is null or s.organization_id = any (visible)) order by 1)
                    when visible is null or h.organization_id = any (visible) then array[h.organization_id]
                    else '{}' end as organizations
          from happened h)
    select epoch || '/' || t.after_what || '/' || t.before_what || '/' || t.id, epoch || '/' || upto, t.id, t.at, event_kind(t.event_type), t.event_type,
           t.organizations, t.organization_id, t.pfa_id, t.modification_id, t.queue_id, t.job_id, t.batch_id, t.user_id, t.success
      from told t
     where t.organizations <> '{}'
     order by t.step, t.id
     limit max_rows;
end
$$;

-- For the API, whose one look serves all who listen.
create function pfa_sync.events_of_all(since text, max_rows int default 1000) returns setof event
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select * from events_among(since, null, max_rows, null) $$;
comment on function pfa_sync.events_of_all(text, int) is 'What happened after a position, of all organizations; for the API, which looks once for all who listen.';

create function pfa_sync.events(since text, until text default null, max_rows int default 1000) returns setof event
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$ select * from events_among(since, until, max_rows, visible_organizations()) $$;
comment on function pfa_sync.events(text, text, int) is
    'What happened after a position, of the organizations that the session may see; event_position() is where to begin.';
