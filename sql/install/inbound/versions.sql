-- Versions that go back: PEMS was restored from a backup, and its records have lower versions than it had reported.
-- Such a record is left alone, since an answer from an old cache looks the same, until a user accepts PEMS as it is.

-- Whether the next full pull takes lower versions.
create function accepts_versions(organization_id text) returns boolean
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select exists (select from sync_organization s
                    where s.organization_id = $1 and s.versions_accepted_at is not null)
$$;

-- Makes the next pull a full one that takes lower versions.
create function pfa_sync.accept_versions(organization text, user_id text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    scope text := organization_of(organization);
    actor text := acting_user(user_id);
begin
    perform require_given('organization', scope);
    perform require_permission(actor, scope, 'perm_ManageSettings');
    perform know_organizations();
    update sync_organization s set versions_accepted_at = clock_timestamp() where s.organization_id = scope;
    perform log_event('VERSIONS_ACCEPTED', scope, actor);
end
$$;
comment on function pfa_sync.accept_versions(text, text) is
    'Accepts that PEMS'' versions of an organization''s records have gone back, after PEMS was restored from a backup: '
    'the next pull reads all records and takes those with a lower version into the mirror as they are; edits that wait '
    'are judged against them. Needs perm_ManageSettings. PF001: no organization; PF008: no such organization.';

-- A full pull that began at a time is in the mirror: what was accepted before is done.
create function end_acceptance(organization_id text, begun timestamptz) returns void
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    update sync_organization s set versions_accepted_at = null
     where s.organization_id = $1 and s.versions_accepted_at <= begun
$$;

-- Records that a page has lower versions than were known when its pull began. The first ones of a pull are logged; the
-- pull counts all.
create function record_versions_back(organization_id text, records inbound_record[], begun timestamptz, pull_id bigint)
    returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set plan_cache_mode = force_custom_plan
as $$
declare
    back  jsonb;
    first boolean := true;
begin
    back := (
        select jsonb_agg(jsonb_build_object('pfaId', r.pfa_id, 'known', p.pems_version, 'now', r.pems_version)
                         order by r.pfa_id)
          from unnest(records) r
          join mirror m on m.organization_id = record_versions_back.organization_id and m.pfa_id = r.pfa_id
          join pems_record p on p.mirror_id = m.mirror_id
         where p.pems_version > r.pems_version and p.known_at < begun);
    if back is null then
        return;
    end if;
    if pull_id is not null then
        update sync_pull p set records_back = p.records_back + jsonb_array_length(back)
         where p.pull_id = record_versions_back.pull_id
        returning p.records_back = jsonb_array_length(back) into first;
    end if;
    if first then
        perform log_event('VERSIONS_BACK', organization_id, success => false,
            changes => jsonb_build_object('records', jsonb_path_query_array(back, '$[0 to 99]')),
            error => 'PEMS has lower versions of records than were known, as after a restore from a backup');
    end if;
end
$$;
