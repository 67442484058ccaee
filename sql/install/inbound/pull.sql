-- Pulls: which relay reads one, how far it is, and how it ends.

-- Gives a relay the pull to work on now, under a lease (setting lease): one that another relay left unfinished
-- continues where it stopped; else a new one of the organization that is due longest. Nothing to do = no row. With an
-- organization named, it is due whatever the settings say, and read in full.
create function pfa_sync.begin_pull(relay text, organization text default null, organizations text[] default null)
    returns table (pull_id bigint, fencing_token int, organization_id text, organization_code text, kind text,
                   updated_since timestamptz, next_page text, whole boolean, pems text, pems_revision bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    only_organization text := organization_of(organization);
    lease_end         timestamptz := clock_timestamp() + setting('lease')::interval;
    chosen            text;
    taken             bigint;
    since             timestamptz;
begin
    perform require_given('relay', relay);
    perform ensure_sending();
    for chosen in
        select d.organization_id from due_pulls() d
         where case when only_organization is null then d.scheduled and d.due_at <= now()
                    else d.organization_id = only_organization end
           and (organizations is null or d.organization_id = any (organizations))
         order by d.due_at, d.organization_id
    loop
        update sync_pull p
           set status = 'failed', ended_at = now(),
               last_error = concat_ws('; ', p.last_error,
                                      'given up: it is too old to continue, or all is to be read again')
         where p.organization_id = chosen and p.status = 'running' and p.lease_until <= clock_timestamp()
           and (p.started_at < now() - setting('full_pull_interval', chosen)::interval
                or only_organization is not null and p.kind <> 'full');
        update sync_pull p
           set relay = begin_pull.relay, fencing_token = p.fencing_token + 1, lease_until = lease_end
         where p.organization_id = chosen and p.status = 'running' and p.lease_until <= clock_timestamp()
        returning p.pull_id into taken;
        if taken is null then
            -- Changes since are enough while the last full pull is young enough, and unless PEMS' clock was set back:
            -- what it stamps until it shows the high water again would be hidden.
            select case when l.high_water <= pems_now(chosen) + setting('pull_overlap', chosen)::interval
                        then l.high_water - setting('pull_overlap', chosen)::interval end
              into since
              from sync_pull l
             where l.organization_id = chosen and l.status = 'completed' and only_organization is null
               and exists (select from sync_pull f
                            where f.organization_id = chosen and f.status = 'completed' and f.kind = 'full'
                              and not accepts_versions(chosen)
                              and f.ended_at > now() - setting('full_pull_interval', chosen)::interval)
             order by l.ended_at desc, l.pull_id desc limit 1;
            insert into sync_pull (organization_id, kind, relay, lease_until, updated_since, high_water)
            values (chosen, case when since is null then 'full' else 'incremental' end, begin_pull.relay, lease_end,
                    since, since + setting('pull_overlap', chosen)::interval)
            on conflict do nothing
            returning sync_pull.pull_id into taken;
        end if;
        exit when taken is not null;
    end loop;
    return query
        select p.pull_id, p.fencing_token, p.organization_id, o.code, p.kind, p.updated_since, p.next_page, p.whole,
               y.pems, y.revision
          from sync_pull p
          join organization o on o.organization_id = p.organization_id
          left join pems_system y on y.pems = pems_of(p.organization_id)
         where p.pull_id = taken;
end
$$;
comment on function pfa_sync.begin_pull(text, text, text[]) is
    'Relay: begins or continues a pull of the organization that is due longest, under a lease. With an '
    'organization named, it is due whatever the settings say, and read in full. organizations: only these (ids). '
    'Returns the pull, with PEMS'' cursor of the page to read, the PEMS to read, and the revision of its definition; '
    'no row: none is due, or it is being pulled.';

-- Takes a page of a pull into the mirror, and records where the next one begins; null = that was the last. No row = the
-- pull belongs to another relay now, and nothing was done. date: PEMS' clock when it answered; null = not known.
create function pfa_sync.ingest_page(pull_id bigint, fencing_token int, page jsonb, next_page text,
                                     date timestamptz default null)
    returns table (records_read bigint, records_changed bigint, records_unchanged bigint, records_rejected bigint,
                   rejects jsonb, stopped text, records_busy bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    pull   sync_pull := lock_pull(pull_id, fencing_token);
    result record;
begin
    if pull.pull_id is null then
        return;
    end if;
    select * into result from ingest(pull.organization_id, page, pull.kind || ' pull', pull.pull_id);
    if result.stopped is not null then
        update sync_pull p
           set status = 'failed', ended_at = now(), last_error = result.stopped, has_drifted = true,
               pages = p.pages + 1,
               records_read = p.records_read + result.records_read
         where p.pull_id = pull.pull_id;
    elsif result.records_busy > 0 then
        update sync_pull p
           set lease_until = clock_timestamp() + setting('lease')::interval,
               records_changed = p.records_changed + result.records_changed
         where p.pull_id = pull.pull_id;
    else
        update sync_pull p
           set pages = p.pages + 1, next_page = ingest_page.next_page, whole = ingest_page.next_page is null,
               lease_until = clock_timestamp() + setting('lease')::interval, last_error = null,
               records_read = p.records_read + result.records_read,
               records_changed = p.records_changed + result.records_changed,
               records_unchanged = p.records_unchanged + result.records_unchanged,
               records_rejected = p.records_rejected + result.records_rejected,
               clock_skew = coalesce(ingest_page.date - clock_timestamp(), p.clock_skew),
               -- A Date header has whole seconds.
               high_water = greatest(p.high_water, latest_change(page, coalesce(ingest_page.date + interval '1 s',
                                                                                pems_now(p.organization_id))))
         where p.pull_id = pull.pull_id;
    end if;
    return query
        select result.records_read, result.records_changed, result.records_unchanged, result.records_rejected,
               result.rejects, result.stopped, result.records_busy;
end
$$;
comment on function pfa_sync.ingest_page(bigint, int, jsonb, text, timestamptz) is
    'Relay: takes a page of a pull into the mirror and stores the cursor of the next page; null: it was the last. '
    'date: the time of PEMS'' clock in its answer; null: not known. '
    'Returns what ingest() returns; records_busy over 0: hand the page in again; no row: another relay has taken over '
    'the pull.';

-- A running pull, locked, if the fencing token is still its own; else null.
create function lock_pull(pull_id bigint, fencing_token int) returns sync_pull
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    pull sync_pull;
begin
    select * into pull from sync_pull p
     where p.pull_id = lock_pull.pull_id and p.fencing_token = lock_pull.fencing_token and p.status = 'running'
       for no key update;
    return pull;
end
$$;

-- Ends a pull: completed when all of it is read; failed for good with an error; with resume, it continues from where it
-- is, at once, or after an error at the next time. unauthorized: PEMS refused the credentials, and the organization is
-- held; login_refused: with all that have the same credentials. credentials: their fingerprint, from a relay that sends
-- no heartbeat.
create function pfa_sync.end_pull(pull_id bigint, fencing_token int, error text default null,
                                  resume boolean default false, unauthorized boolean default false,
                                  credentials text default null, login_refused boolean default false)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    pull sync_pull := lock_pull(pull_id, fencing_token);
begin
    if pull.pull_id is null then
        return;
    end if;
    update sync_pull p
       set status = case when resume then 'running' when error is null and p.whole then 'completed' else 'failed' end,
           ended_at = case when not resume then now() end,
           last_error = coalesce(error, p.last_error),
           lease_until = now(),
           due_at = case when resume and error is not null
                         then now() + setting('pull_interval', p.organization_id)::interval end
     where p.pull_id = pull.pull_id;
    if pull.kind = 'full' and pull.whole and error is null and not resume then
        perform end_acceptance(pull.organization_id, pull.started_at);
    end if;
    if unauthorized then
        perform hold_organization(pull.organization_id, pull.relay, error, credentials, login_refused);
    end if;
end
$$;
comment on function pfa_sync.end_pull(bigint, int, text, boolean, boolean, text, boolean) is
    'Relay: ends work on a pull. Without error: completed if all pages were read; with error: failed; resume: it '
    'is continued later from where it is. unauthorized: PEMS refused the credentials, and the organization is '
    'held; login_refused: with all that have the same credentials.';

create view pfa_sync.pulls with (security_barrier) as
    select p.pull_id, p.organization_id, p.kind, p.status, p.relay, p.records_read, p.records_changed,
           p.records_unchanged, p.records_rejected, p.discontinued, p.pages, p.updated_since, p.started_at, p.ended_at,
           extract(epoch from coalesce(p.ended_at, clock_timestamp()) - p.started_at)::double precision as seconds,
           masked(p.last_error, o.priced) as last_error, p.records_back
      from sync_pull p
     cross join lateral (select p.organization_id = any ((select priced_organizations())::text[])) o (priced)
     where p.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.pulls is
    'Every pull of PEMS'' records that is running or has ended within bronze_retention, with its progress and '
    'result.';
comment on column pfa_sync.pulls.pull_id is 'id of the pull';
comment on column pfa_sync.pulls.organization_id is 'id of the organization';
comment on column pfa_sync.pulls.kind is 'full: all records; incremental: records changed since updated_since';
comment on column pfa_sync.pulls.status is 'running, completed or failed';
comment on column pfa_sync.pulls.relay is 'name of the relay that worked on it last';
comment on column pfa_sync.pulls.records_read is 'number of records read so far';
comment on column pfa_sync.pulls.records_changed is 'number of mirror rows created or changed';
comment on column pfa_sync.pulls.records_unchanged is 'number of records that the mirror had already';
comment on column pfa_sync.pulls.records_rejected is 'number of records that were refused';
comment on column pfa_sync.pulls.discontinued is
    'number of records that PEMS no longer has and that were marked discontinued';
comment on column pfa_sync.pulls.pages is 'number of pages read so far';
comment on column pfa_sync.pulls.updated_since is
    'time of change from which an incremental pull reads; null: a full pull';
comment on column pfa_sync.pulls.started_at is 'when the pull began';
comment on column pfa_sync.pulls.ended_at is 'when it ended; null: it is running';
comment on column pfa_sync.pulls.seconds is 'duration so far or in total, in seconds';
comment on column pfa_sync.pulls.last_error is
    'the last error; null: none. Numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.pulls.records_back is
    'number of records whose version in PEMS is lower than the one known, as after a restore of PEMS from a backup';

-- Deletes pages and results of pulls that are older than setting bronze_retention; what the next pull begins from
-- stays.
create function prune_bronze() returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    before timestamptz := now() - setting('bronze_retention')::interval;
    pruned bigint;
begin
    -- A portion each time, so that no transaction is long.
    delete from sync_pull_page g
     where g.page_id in (select o.page_id from sync_pull_page o
                          where o.received_at < before
                            and not exists (select from sync_pull p
                                             where p.pull_id = o.pull_id and p.status = 'running')
                          order by o.received_at limit 1000);
    get diagnostics pruned = row_count;
    delete from sync_pull p
     where p.ended_at < before
       and exists (select from sync_pull n
                    where n.organization_id = p.organization_id and n.kind = p.kind and n.status = 'completed'
                      and n.ended_at > p.ended_at);
    return pruned;
end
$$;
