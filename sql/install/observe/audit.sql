-- The log, as auditors read it.

-- Raises PF002 unless the session may take rows of an organization along (null: of all), as a file.
create function pfa_sync.require_export(organization text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    if not can_see(organization_of(organization), 'perm_Export') then
        raise exception 'an export needs perm_Export' using errcode = 'PF002';
    end if;
end
$$;
comment on function pfa_sync.require_export(text) is
    'Raises PF002 unless the session may take rows of an organization (id or code; null: of all) along as a file: '
    'perm_Export. PF008: no such organization.';

-- A page of an organization's log, newest first; organization null = what belongs to the whole fleet, for
-- administrators. Keys of the filter, all optional: event_type, user_id, pfa_id, since, until. after is the cursor of
-- the last row of the page before. export: the rows are to be saved as a file, which needs perm_Export.
create function pfa_sync.audit_page(organization text, filter jsonb default '{}', after text default null,
                                    max_rows int default 50, export boolean default false)
    returns table (event_id bigint, at timestamptz, event_type text, organization_id text, user_id text, pfa_id text,
                   modification_id text, queue_id bigint, job_id bigint, batch_id bigint, changes jsonb,
                   pems_response jsonb, success boolean, error_message text, cursor text, user_name text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    since   timestamptz;
    until   timestamptz;
    last_at timestamptz;
    last_id bigint;
    priced  boolean := can_see(scope, 'perm_ViewFinancials');
begin
    perform require_keys(filter, array['event_type', 'user_id', 'pfa_id', 'since', 'until']);
    if not can_see(scope) then
        raise exception 'entries of the whole fleet are shown to administrators only'
            using errcode = 'PF002', hint = 'Name an organization.';
    end if;
    if export then
        perform require_export(scope);
    end if;
    select p.since, p.until into since, until from read_period(filter) p;
    begin
        last_at := split_part(after, '/', 1)::timestamptz;
        last_id := split_part(after, '/', 2)::bigint;
    exception when data_exception then
        raise exception 'after is the cursor of a row: %', sqlerrm using errcode = 'PF001';
    end;
    return query
        select l.id, l.at, l.event_type, l.organization_id, l.user_id, l.pfa_id, l.modification_id, l.queue_id,
               l.job_id, l.batch_id, masked(l.changes, priced), case when priced then l.pems_response end, l.success,
               masked(l.error_message, priced),
               to_char(l.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '/' || l.id,
               coalesce((select u.name from users u where u.user_id = l.user_id), l.user_id)
          from pfa_audit_log l
         where (l.organization_id = scope or scope is null and l.organization_id is null)
           and (filter->>'event_type' is null or l.event_type = filter->>'event_type')
           and (filter->>'user_id' is null or l.user_id = filter->>'user_id')
           and (filter->>'pfa_id' is null or l.pfa_id = filter->>'pfa_id')
           and (since is null or l.at >= since)
           and (until is null or l.at <= until)
           and (last_at is null or l.at < last_at or l.at = last_at and l.id < last_id)
         order by l.at desc, l.id desc
         limit least(greatest(max_rows, 0), 1000);
end
$$;
comment on function pfa_sync.audit_page(text, jsonb, text, int, boolean) is
    'A page of an organization''s log, newest first; organization null: entries of the fleet, for administrators. '
    'Keys of the filter, all optional: event_type, user_id, pfa_id, since, until. after: cursor of the last row '
    'of the page before; max_rows: 1000 at most. export: needs perm_Export. PF001: other keys or values; PF002: '
    'permission missing.';

create view pfa_sync.audit with (security_barrier) as
    select l.id as event_id, l.at, l.event_type, l.organization_id, l.user_id, l.pfa_id, l.modification_id, l.queue_id,
           l.job_id, l.batch_id, masked(l.changes, p.priced) as changes,
           case when p.priced then l.pems_response end as pems_response, l.success,
           masked(l.error_message, p.priced) as error_message,
           coalesce((select user_names())->>l.user_id, l.user_id) as user_name
      from pfa_audit_log l
     cross join lateral (
         select coalesce(l.organization_id, '') = any ((select priced_organizations())::text[])) p (priced)
     where l.organization_id = any ((select visible_organizations())::text[])
        or l.organization_id is null and (select can_see(null));
comment on view pfa_sync.audit is
    'The log: every entry of the organizations that the session may see, and of the fleet for a session that sees '
    'all.';
comment on column pfa_sync.audit.event_id is 'id of the entry';
comment on column pfa_sync.audit.at is 'when it was written';
comment on column pfa_sync.audit.event_type is 'kind of the entry, such as COMMITTED or SYNCED';
comment on column pfa_sync.audit.organization_id is 'id of the organization; null: the fleet';
comment on column pfa_sync.audit.user_id is
    'the acting user, or the author of the change; "rule: …" for a resolution by rule; null: no user';
comment on column pfa_sync.audit.pfa_id is 'PEMS'' id of the record; null: no single record';
comment on column pfa_sync.audit.modification_id is 'id of the modification; null: none';
comment on column pfa_sync.audit.queue_id is 'id of the change in the queue; null: none';
comment on column pfa_sync.audit.job_id is 'id of the job; null: none';
comment on column pfa_sync.audit.batch_id is 'id of the batch; null: none';
comment on column pfa_sync.audit.changes is
    'details by kind of entry, such as the changed fields, without prices for a session that may not see them; '
    'null: none';
comment on column pfa_sync.audit.pems_response is 'PEMS'' answer; null: none, or the session may not see prices';
comment on column pfa_sync.audit.success is 'whether it succeeded; null: not known when the entry was written';
comment on column pfa_sync.audit.error_message is
    'the error or the reason given; null: none. Numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.audit.user_name is 'name of that user; the id where the application has no such user';
