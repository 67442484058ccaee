-- Live events: the log as it grows.
--
-- A position is '<epoch>/<snapshot>': everything that the snapshot shows has been read. Within one look it is
-- '<epoch>/<from>/<to>/<event id>': of what `to` shows and `from` does not, everything up to that event. A sequence is
-- not the order of commits, and waiting for the oldest writer would let any open transaction delay the events; a
-- snapshot does neither. The epoch changes when a copy takes the place of its original, whose transaction ids mean
-- nothing there.

create function pfa_sync.event_position() returns text
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    perform ensure_sending();
    return (select i.log_epoch || '/' || pg_current_snapshot() from installation i);
end
$$;
comment on function pfa_sync.event_position() is 'The position of the log now: where a reader of events() begins.';

-- One entry of the log as an event: no values and no texts. position stands right after it, following after everything
-- that the same look can find. organizations are those that it concerns: of a breaker, all whose PEMS it guards; of
-- what belongs to the fleet, all.
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
comment on type pfa_sync.event is
    'A log entry as an event: identifiers, no values. Read on from position after this event, or from following '
    'after the last event of an answer.';
comment on column pfa_sync.event.position is 'position right after this event, for a reader that stops here';
comment on column pfa_sync.event.following is 'position after everything that this call could return';
comment on column pfa_sync.event.event_id is 'id of the log entry';
comment on column pfa_sync.event.at is 'when it was written';
comment on column pfa_sync.event.event is 'kind of event, such as queued, synced or conflict';
comment on column pfa_sync.event.event_type is 'kind of the log entry, such as COMMITTED';
comment on column pfa_sync.event.organizations is
    'ids of the organizations concerned; of a breaker, those whose PEMS it guards; of the fleet, all';
comment on column pfa_sync.event.organization_id is
    'id of the organization; null: a PEMS or the fleet, and so all organizations';
comment on column pfa_sync.event.pfa_id is 'PEMS'' id of the record; null: no single record';
comment on column pfa_sync.event.modification_id is 'id of the modification; null: none';
comment on column pfa_sync.event.queue_id is 'id of the change in the queue; null: none';
comment on column pfa_sync.event.job_id is 'id of the job; null: none';
comment on column pfa_sync.event.batch_id is 'id of the batch; null: none';
comment on column pfa_sync.event.user_id is 'the acting user, or the author of the change; null: no user';
comment on column pfa_sync.event.success is 'whether it succeeded; null: not known when the entry was written';

-- What happened after a position, up to another one (null = now), in the order in which it was written; visible null =
-- of all organizations.
create function events_among(since text, until text, max_rows int, visible text[]) returns setof pfa_sync.event
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    parts      text[] := string_to_array(since, '/');
    epoch      text := (select i.log_epoch from installation i);
    current    pg_snapshot := pg_current_snapshot();
    from_what  pg_snapshot;
    to_what    pg_snapshot;
    last_id    bigint;
    until_what pg_snapshot;
begin
    perform ensure_sending();
    begin
        from_what := parts[2];
        to_what := coalesce(parts[3], parts[2]);
        last_id := coalesce(parts[4], '0');
        until_what := coalesce(split_part(until, '/', 2)::pg_snapshot, current);
    exception when data_exception then
        from_what := null;
    end;
    if from_what is null then
        raise exception 'since and until are positions of events'
            using errcode = 'PF001', hint = 'event_position() returns the current one.';
    end if;
    -- Of before a restore, or of a server whose last transactions were lost.
    if parts[1] <> epoch or pg_snapshot_xmax(to_what) > pg_snapshot_xmax(current) then
        raise exception 'the event position has expired'
            using errcode = 'PF006', hint = 'Reload everything, and start from event_position().';
    end if;
    return query
    with look (step, after_what, before_what, after_id) as (
        select 1, from_what, to_what, last_id where cardinality(parts) > 2
        union all
        select 2, to_what, until_what, 0::bigint),
    happened as (
        select k.step, k.after_what, k.before_what, t.event, l.*
          from look k
         cross join lateral (
             select e.* from pfa_audit_log e
              where e.xid >= pg_snapshot_xmax(k.after_what) and e.xid < pg_snapshot_xmax(current)
             union all
             select e.* from pfa_audit_log e where e.xid = any (array(select pg_snapshot_xip(k.after_what)))) l
          join event_type t on t.event_type = l.event_type and t.event is not null
         where l.id > k.after_id and l.id > epoch::bigint and pg_visible_in_snapshot(l.xid, k.before_what)),
    concerning as (
        select h.*,
               case when h.organization_id is null
                    then array(select s.organization_id from sync_organization s
                                where coalesce(s.pems = h.changes->>'pems', true)
                                  and (visible is null or s.organization_id = any (visible)) order by 1)
                    when visible is null or h.organization_id = any (visible) then array[h.organization_id]
                    else '{}' end as organizations
          from happened h)
    select epoch || '/' || c.after_what || '/' || c.before_what || '/' || c.id, epoch || '/' || until_what, c.id, c.at,
           c.event, c.event_type, c.organizations, c.organization_id, c.pfa_id, c.modification_id, c.queue_id, c.job_id,
           c.batch_id, c.user_id, c.success
      from concerning c
     where c.organizations <> '{}'
       -- A user's notifications are that user's.
       and (visible is null or c.event <> 'notification' or can_see_all() or c.user_id = visibility_user())
     order by c.step, c.id
     limit least(greatest(max_rows, 0), 10000);
end
$$;

create function pfa_sync.events_of_all(since text, max_rows int default 1000) returns setof pfa_sync.event
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$ select * from events_among(since, null, max_rows, null) $$;
comment on function pfa_sync.events_of_all(text, int) is
    'API: events after a position, of all organizations; the API filters them for each listener. Errors as of '
    'events().';

create function pfa_sync.events(since text, until text default null, max_rows int default 1000)
    returns setof pfa_sync.event
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$ select * from events_among(since, until, max_rows, visible_organizations()) $$;
comment on function pfa_sync.events(text, text, int) is
    'Events after a position, in the order in which they were written, of the organizations that the session may '
    'see. until: another position; null: now. PF001: not a position; PF006: the position has expired: reload, and '
    'start from event_position().';
