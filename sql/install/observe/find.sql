-- Lists that are chosen by filters: conflicts, dead letters and batches.

-- How many rows of a list are counted at most.
create function list_bound() returns bigint language sql immutable security invoker return 10000;

-- The filter of a list, read; null in a part = it chooses nothing.
create type list_filter as (
    organizations text[],
    authors       text[],
    fields        text[],
    codes         text[],
    pfa_ids       text[],
    since         timestamptz,
    until         timestamptz
);

-- Reads the filter of a list of an organization (id or code; null = all that are visible).
create function read_list_filter(organization text, filter jsonb) returns list_filter
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    scope  text := organization_of(organization);
    chosen list_filter;
begin
    perform require_keys(filter, array['authors', 'fields', 'codes', 'pfa_ids', 'since', 'until']);
    chosen.organizations := case when scope is null then visible_organizations() else array[scope] end;
    chosen.authors := words_of('authors', filter->'authors', 100);
    chosen.fields := words_of('fields', filter->'fields', 100);
    chosen.codes := words_of('codes', filter->'codes', 100);
    chosen.pfa_ids := words_of('pfa_ids', filter->'pfa_ids', 500);
    select p.since, p.until into chosen.since, chosen.until from read_period(filter) p;
    return chosen;
end
$$;

-- Open conflicts, in the order of their ids.
create function pfa_sync.find_conflicts(organization text default null, filter jsonb default '{}',
                                        after bigint default null, max_rows int default 50)
    returns table (conflict_id bigint, organization_id text, pfa_id text, modification_id text, author text,
                   detected text, conflict_fields text[], base jsonb, ours jsonb, theirs jsonb, message text,
                   created_at timestamptz, code text, meaning text, action text, author_name text,
                   local_version int, mirror_version int, pems_version bigint, status text, theirs_fields jsonb,
                   total bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    chosen list_filter := read_list_filter(organization, filter);
    ids    bigint[];
    number bigint;
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    with found as (
        select c.id from pfa_sync_conflict c
         where c.status = 'unresolved' and c.organization_id = any (chosen.organizations)
           and (chosen.authors is null or c.author = any (chosen.authors))
           and (chosen.fields is null or c.conflict_fields && chosen.fields)
           and (chosen.codes is null or c.code = any (chosen.codes))
           and (chosen.pfa_ids is null or c.pfa_id = any (chosen.pfa_ids))
           and (chosen.since is null or c.created_at >= chosen.since)
           and (chosen.until is null or c.created_at <= chosen.until))
    select (select count(*) from (select from found f limit list_bound()) b),
           array(select f.id from found f where find_conflicts.after is null or f.id > find_conflicts.after
                  order by f.id limit max_rows)
      into number, ids;
    return query select v.*, number from pfa_sync.conflicts v where v.conflict_id = any (ids) order by v.conflict_id;
end
$$;
comment on function pfa_sync.find_conflicts(text, jsonb, bigint, int) is
    'Open conflicts of an organization (id or code; null: all that are visible), by their ids, after one. Columns of '
    'the view conflicts, and total: how many the filter selects, 10000 means at least so many. Keys of the filter, all '
    'optional: authors, fields (that conflict), codes, pfa_ids (arrays), since, until. max_rows: 1000 at most. PF001: '
    'other keys or values; PF008: no such organization.';

-- Resolved conflicts, the latest first. Of each organization the latest are read by the index, then the latest of all.
create function pfa_sync.find_resolved_conflicts(organization text default null, filter jsonb default '{}',
                                                 before bigint default null, max_rows int default 50)
    returns setof pfa_sync.resolved_conflicts
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    chosen  list_filter := read_list_filter(organization, filter);
    last_at timestamptz;
    ids     bigint[];
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    last_at := (select c.resolved_at from pfa_sync_conflict c
                 where c.id = find_resolved_conflicts.before and c.organization_id = any (chosen.organizations));
    if last_at is null and find_resolved_conflicts.before is not null then
        raise exception 'there is no resolved conflict %', find_resolved_conflicts.before using errcode = 'PF008';
    end if;
    ids := array(
        select f.id from unnest(chosen.organizations) o (id)
         cross join lateral (
             select c.id, c.resolved_at from pfa_sync_conflict c
              where c.status <> 'unresolved' and c.organization_id = o.id
                and (last_at is null or (c.resolved_at, c.id) < (last_at, find_resolved_conflicts.before))
                and (chosen.authors is null or c.author = any (chosen.authors))
                and (chosen.fields is null or c.conflict_fields && chosen.fields)
                and (chosen.codes is null or c.code = any (chosen.codes))
                and (chosen.pfa_ids is null or c.pfa_id = any (chosen.pfa_ids))
                and (chosen.since is null or c.resolved_at >= chosen.since)
                and (chosen.until is null or c.resolved_at <= chosen.until)
              order by c.resolved_at desc, c.id desc limit max_rows) f
         order by f.resolved_at desc, f.id desc limit max_rows);
    return query
        select v.* from pfa_sync.resolved_conflicts v where v.conflict_id = any (ids)
         order by v.resolved_at desc, v.conflict_id desc;
end
$$;
comment on function pfa_sync.find_resolved_conflicts(text, jsonb, bigint, int) is
    'Resolved conflicts of an organization (id or code; null: all that are visible), the latest first. Keys of the '
    'filter, all optional: authors, fields (that conflicted), codes, pfa_ids (arrays), since, until (of the '
    'resolution). before: only conflicts that were resolved before that one; max_rows: 1000 at most. PF001: other keys '
    'or values; PF008: no such organization or conflict.';

-- Open dead letters, in the order of their ids.
create function pfa_sync.find_dead_letters(organization text default null, filter jsonb default '{}',
                                           after bigint default null, max_rows int default 50)
    returns table (queue_id bigint, organization_id text, pfa_id text, modification_id text, author text,
                   changes jsonb, code text, error text, http_status int, pems_response jsonb, retry_count int,
                   failed_at timestamptz, later_queued bigint, later_written bigint, meaning text, action text,
                   author_name text, total bigint)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    chosen list_filter := read_list_filter(organization, filter);
    ids    bigint[];
    number bigint;
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    with found as (
        select d.queue_id from pfa_write_queue_dlq d
          join pfa_write_queue_archive a on a.id = d.queue_id
         where d.status = 'open' and d.organization_id = any (chosen.organizations)
           and (chosen.authors is null or a.author = any (chosen.authors))
           and (chosen.fields is null or a.payload ?| chosen.fields)
           and (chosen.codes is null or d.code = any (chosen.codes))
           and (chosen.pfa_ids is null or d.pfa_id = any (chosen.pfa_ids))
           and (chosen.since is null or d.failed_at >= chosen.since)
           and (chosen.until is null or d.failed_at <= chosen.until))
    select (select count(*) from (select from found f limit list_bound()) b),
           array(select f.queue_id from found f
                  where find_dead_letters.after is null or f.queue_id > find_dead_letters.after
                  order by f.queue_id limit max_rows)
      into number, ids;
    return query select v.*, number from pfa_sync.dead_letters v where v.queue_id = any (ids) order by v.queue_id;
end
$$;
comment on function pfa_sync.find_dead_letters(text, jsonb, bigint, int) is
    'Open dead letters of an organization (id or code; null: all that are visible), by their queue ids, after one. '
    'Columns of the view dead_letters, and total: how many the filter selects, 10000 means at least so many. Keys of '
    'the filter, all optional: authors, fields (that are changed), codes, pfa_ids (arrays), since, until. max_rows: '
    '1000 at most. PF001: other keys or values; PF008: no such organization.';

-- Batches, newest first, before an id.
create function pfa_sync.find_batches(organization text default null, filter jsonb default '{}',
                                      before bigint default null, max_rows int default 50)
    returns setof pfa_sync.batches
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope   text := organization_of(organization);
    visible text[] := visible_organizations();
    chosen  bigint[];
    job     bigint;
    since   timestamptz;
    until   timestamptz;
begin
    perform require_between('max_rows', max_rows, 1, 1000);
    perform require_keys(filter, array['relay', 'step', 'since', 'until', 'job_id', 'pfa_id']);
    perform require_word('step', filter->>'step', array['send', 'read']);
    select p.since, p.until into since, until from read_period(filter) p;
    begin
        job := (filter->>'job_id')::bigint;
    exception when data_exception then
        raise exception 'job_id is a number: %', sqlerrm using errcode = 'PF001';
    end;
    if filter->>'pfa_id' is not null then
        -- The log names every batch that tried a change of the record, a queue row the one that has it now.
        chosen := array(
            select l.batch_id from pfa_audit_log l
             where l.organization_id = any (case when scope is null then visible else array[scope] end)
               and l.pfa_id = filter->>'pfa_id' and l.batch_id is not null
            union
            select q.batch_id from mirror r join pfa_write_queue q on q.mirror_id = r.mirror_id
             where r.pfa_id = filter->>'pfa_id'
               and r.organization_id = any (case when scope is null then visible else array[scope] end));
    end if;
    if job is not null then
        chosen := array(
            select b from (select q.batch_id from pfa_write_queue q where q.job_id = job
                           union
                           select a.batch_id from pfa_write_queue_archive a where a.job_id = job) c (b)
             where chosen is null or b = any (chosen));
    end if;
    return query
        select b.batch_id, b.organization_id, b.relay, b.step, b.records, b.claimed_at, b.sent_at from sync_batch b
         where b.organization_id = any (visible)
           and (scope is null or b.organization_id = scope)
           and (chosen is null or b.batch_id = any (chosen))
           and (find_batches.before is null or b.batch_id < find_batches.before)
           and (filter->>'relay' is null or b.relay = filter->>'relay')
           and (filter->>'step' is null or b.step = filter->>'step')
           and (since is null or b.claimed_at >= since)
           and (until is null or b.claimed_at <= until)
         order by b.batch_id desc limit max_rows;
end
$$;
comment on function pfa_sync.find_batches(text, jsonb, bigint, int) is
    'Batches of an organization (id or code; null: all that are visible), newest first. Keys of the filter, all '
    'optional: relay, step (send, read), since, until, job_id (batches that claimed a change of the job last), pfa_id '
    '(batches that tried a change of the record). before: only batches with a lower id; max_rows: 1000 at most. PF001: '
    'other keys or values; PF008: no such organization.';
