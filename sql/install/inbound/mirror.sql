-- The mirror: every write of ours to it stands here.

create type mirror_change as (
    mirror_id   text,
    data        jsonb,
    pems_stamp  text,
    changed_by  text,
    reason      text,
    new_version boolean
);
comment on type mirror_change is
    'The new whole record of a mirror row. new_version false = replaced in place: PEMS spelled the same version '
    'otherwise.';

-- Inserts the records that the mirror does not have; how many.
create function insert_mirrors(organization_id text, records inbound_record[]) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set plan_cache_mode = force_custom_plan
as $$
declare
    made     jsonb;
    inserted bigint;
begin
    made := (
        select jsonb_agg(jsonb_build_object('id', gen_random_uuid(), 'organization', insert_mirrors.organization_id,
                   'pfaId', r.pfa_id, 'data', r.data, 'typed', t.data, 'stamp', r.pems_stamp))
          from unnest(records) r
         cross join lateral typed(r.data) t
         where not exists (select from mirror m
                            where m.organization_id = insert_mirrors.organization_id and m.pfa_id = r.pfa_id));
    if made is null then
        return 0;
    end if;
    inserted := write_new_mirrors(made);
    insert into pems_record (mirror_id, pems_version, mirror_version, pems_updated_at, record_hash)
    select m.mirror_id, r.pems_version, 1, r.pems_stamp, r.record_hash
      from jsonb_to_recordset(made) i (id text, "pfaId" text)
      join mirror m on m.mirror_id = i.id
      join unnest(records) r on r.pfa_id = i."pfaId";
    return inserted;
end
$$;

-- Applies changes: the current row goes into history, the new one gets the next version, typed columns follow data.
-- The caller holds the mirror locks.
create function change_mirrors(changes mirror_change[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    archived record;
begin
    select array_agg(c.mirror_id) as ids, array_agg(c.changed_by) as authors, array_agg(c.reason) as reasons
      into archived
      from unnest(changes) c where c.new_version;
    if archived.ids is not null then
        perform write_history(archived.ids, archived.authors, archived.reasons);
    end if;
    if cardinality(changes) > 0 then
        perform write_mirrors(array_agg(c.mirror_id), array_agg(c.data), array_agg(t.data), array_agg(c.pems_stamp),
                              array_agg(c.new_version::int))
           from unnest(changes) c
          cross join lateral typed(c.data) t;
    end if;
end
$$;

-- A record with PEMS' derived fields, hasPlan and hasActuals, as the dates that they follow make them.
create function with_derived(record jsonb) returns jsonb
    language c stable strict security invoker parallel safe as 'MODULE_PATHNAME', 'with_derived_wrapper';
comment on function with_derived(jsonb) is
    'A record with hasPlan and hasActuals as its dates make them: whether it has both of a plan, or of actuals.';
