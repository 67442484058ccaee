-- Edits of all records that a search finds, made in one way: previewed, then saved as drafts by a job.

-- The fields that an edit may change, by its kind; of percent, by the record.
create function edited_fields(edit jsonb) returns text[]
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case edit->>'kind'
               when 'shift' then array(select jsonb_array_elements_text(edit->'fields'))
               when 'percent' then '{monthlyRate,purchasePrice}'
               else array[edit->>'field'] end
$$;

-- Raises PF001 unless an edit can be read, and PF002 for a price where the user may not see prices: the preview shows
-- values.
create function require_edit(edit jsonb, organization_id text, actor text) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    unit  text := edit->>'unit';
    keys  text[];
    fixed text;
begin
    if jsonb_typeof(edit) is distinct from 'object' then
        raise exception 'an edit is a JSON object' using errcode = 'PF001';
    end if;
    if bound_fault(edit) is not null then
        raise exception 'the edit %', bound_fault(edit) using errcode = 'PF001';
    end if;
    perform require_word('kind of an edit', coalesce(edit->>'kind', 'null'), '{shift,percent,set}');
    keys := case edit->>'kind' when 'shift' then '{kind,fields,amount,unit}'
                               when 'percent' then '{kind,percent}' else '{kind,field,value}' end;
    if array(select jsonb_object_keys(edit) order by 1) <> array(select unnest(keys) order by 1) then
        raise exception 'an edit of kind % has the keys %', edit->>'kind', array_to_string(keys, ', ')
            using errcode = 'PF001';
    end if;
    case edit->>'kind'
        when 'shift' then
            perform require_word('unit', coalesce(unit, 'null'), '{days,weeks,months}');
            if jsonb_typeof(edit->'amount') <> 'number' or (edit->>'amount')::numeric % 1 <> 0 then
                raise exception 'amount is a whole number' using errcode = 'PF001';
            end if;
            perform require_between('amount', (edit->>'amount')::numeric, -36500::numeric, 36500::numeric);
            if jsonb_typeof(edit->'fields') <> 'array' or edit->'fields' = '[]' then
                raise exception 'fields is an array of dates' using errcode = 'PF001';
            end if;
            perform words_of('fields', edit->'fields', 10);
            perform require_word('a field to shift', f,
                array(select r.name from field_rules r where r.type = 'datetime' and r.permission is not null
                       order by r.name))
               from jsonb_array_elements_text(edit->'fields') f;
        when 'percent' then
            if jsonb_typeof(edit->'percent') <> 'number' then
                raise exception 'percent is a number' using errcode = 'PF001';
            end if;
            perform require_between('percent', (edit->>'percent')::numeric, -100::numeric, 1000::numeric);
        else
            if jsonb_typeof(edit->'field') <> 'string' then
                raise exception 'field is the name of a field' using errcode = 'PF001';
            end if;
            perform require_delta(jsonb_build_object(edit->>'field', edit->'value'));
    end case;
    fixed := (select r.name from field_rules r where r.name = any (edited_fields(edit)) and r.permission is null);
    if fixed is not null then
        raise exception '% can''t be edited', fixed using errcode = 'PF001';
    end if;
    perform require_fields(edited_fields(edit), organization_id, actor);
end
$$;

-- What an edit makes of a record: the changed fields and their new values, in canonical form. A date keeps its time of
-- day; a month that has no such day ends with its last one. An amount is rounded to cents.
create function edit_delta(edit jsonb, record jsonb) returns jsonb
    language sql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select coalesce(jsonb_object_agg(n.key, n.value), '{}')
      from (select jsonb_object_agg(c.field, c.value) as delta, jsonb_object_agg(c.field, record->c.field) as present
              from (select f as field,
                           to_jsonb(to_char(replace(record->>f, 'Z', '')::timestamp
                                            + (edit->>'amount')::int
                                              * ('1 ' || (edit->>'unit'))::interval,
                                            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) as value
                      from jsonb_array_elements_text(case edit->>'kind' when 'shift' then edit->'fields'
                                                                        else '[]' end) f
                     where record->>f ~ '^[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2}T[0-9:.]{8,12}Z$'
                    union all
                    select p.field, to_jsonb(round((record->>p.field)::numeric
                                                   * (1 + (edit->>'percent')::numeric / 100), 2))
                      from (select case record->>'source' when 'Purchase' then 'purchasePrice'
                                                          else 'monthlyRate' end) p (field)
                     where edit->>'kind' = 'percent' and jsonb_typeof(record->p.field) = 'number'
                    union all
                    select edit->>'field', edit->'value' where edit->>'kind' = 'set') c) e
     cross join lateral jsonb_each(canonical(e.delta)) n
     where n.value is distinct from coalesce(canonical(e.present)->n.key, 'null')
$$;

-- What an edit makes of the records that a filter and a search choose. A record that it leaves as it is has an empty
-- delta.
create function planned_edits(organization_id text, actor text, chosen record_filter, search text, edit jsonb)
    returns table (mirror_id text, pfa_id text, merged jsonb, delta jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return query execute format($query$
        select x.mirror_id, x.pfa_id, x.merged, edit_delta($8, x.merged)
          from (select r.mirror_id, r.pfa_id, d.merged %s offset 0) x $query$,
        matching_records(chooses_changed(chosen)))
        using planned_edits.organization_id, actor, chosen.condition, chosen.states, chosen.authors, chosen.pfa_ids,
              lower(search), edit;
end
$$;

-- One value for what an edit makes of records.
create function edits_digest(edit jsonb, pfa_ids text[], deltas jsonb[]) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select md5(edit::text || coalesce(string_agg(md5(p.pfa_id || p.delta::text), '' order by p.pfa_id), ''))
      from unnest(pfa_ids, deltas) p (pfa_id, delta)
$$;

-- What an edit would make of the records that a search finds, and a digest that edit_records() takes.
create function pfa_sync.preview_edit(organization text, edit jsonb, filter jsonb default '{}',
                                      search text default null, user_id text default null)
    returns table (records bigint, changing bigint, invalid bigint, cost_before numeric, cost_after numeric,
                   digest text, sample jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    chosen record_filter;
    priced boolean;
begin
    perform require_permission(actor, scope, 'perm_SaveDraft');
    perform require_permission(actor, scope, 'perm_Read');
    perform require_edit(edit, scope, actor);
    perform require_text('search', search, 1000);
    chosen := read_record_filter(filter, scope, actor);
    priced := can_see(scope, 'perm_ViewFinancials');
    return query
        with planned as materialized (
            select p.pfa_id, p.merged, p.delta, f.faults
              from planned_edits(scope, actor, chosen, search, edit) p
             cross join lateral (
                 select case when p.delta <> '{}'
                             then (select jsonb_agg(jsonb_build_object('field', v.field, 'code', v.code,
                                                                       'message', v.message))
                                     from validate(p.merged, p.delta) v) end) f (faults)),
        listed as (
            select p.pfa_id,
                   jsonb_build_object('pfa_id', p.pfa_id, 'after', p.delta, 'errors', coalesce(p.faults, '[]'),
                       'before', (select jsonb_object_agg(k, p.merged->k) from jsonb_object_keys(p.delta) k)) as line
              from planned p where p.delta <> '{}' order by p.pfa_id limit 100)
        select count(*), count(*) filter (where p.delta <> '{}'), count(p.faults),
               case when priced then sum(cost(p.merged)) filter (where p.delta <> '{}') end,
               case when priced then sum(cost(p.merged || p.delta)) filter (where p.delta <> '{}') end,
               edits_digest(edit, array_agg(p.pfa_id) filter (where p.delta <> '{}'),
                            array_agg(p.delta) filter (where p.delta <> '{}')),
               coalesce((select jsonb_agg(l.line order by l.pfa_id) from listed l), '[]')
          from planned p;
end
$$;
comment on function pfa_sync.preview_edit(text, jsonb, jsonb, text, text) is
    'What edit_records() would make of the records that a filter and a search choose (see records()). edit: '
    '{"kind": "shift", "fields": ["forecastStart"], "amount": 30, "unit": "days"} (days, weeks or months), '
    '{"kind": "percent", "percent": 5} (of monthly rates of rentals, and of purchase prices), or {"kind": "set", '
    '"field": "areaSilo", "value": "A"}. Returns how many records are found, would change, and would not be valid '
    'then; their forecast cost before and after, for users who may see prices; a digest to pass to edit_records(); and '
    'the first 100 that change: pfa_id, before, after, errors. Stores nothing. Needs perm_Read and perm_SaveDraft; for '
    'prices, perm_ViewFinancials. PF001: an edit or filter that can''t be read; PF002: permission missing.';

-- What the user's drafts of the records that a search finds would do: for a decision about all of them.
create function pfa_sync.draft_summary(organization text, filter jsonb default '{}', search text default null,
                                       user_id text default null)
    returns table (drafts bigint, invalid bigint, conflicting bigint, cost_before numeric, cost_after numeric)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    actor  text := acting_user(user_id);
    chosen record_filter;
    priced boolean;
begin
    perform require_permission(actor, scope, 'perm_Read');
    perform require_text('search', search, 1000);
    chosen := read_record_filter(filter, scope, actor);
    priced := can_see(scope, 'perm_ViewFinancials');
    return query execute format($query$
        with found as materialized (
            select c.draft_id, d.merged %s and c.draft_id is not null)
        select count(*), count(*) filter (where j.errors <> '[]'), count(*) filter (where j.conflicts <> '{}'),
               case when $8 then sum(cost(f.merged || j.seen)) end, case when $8 then sum(cost(f.merged)) end
          from found f
          join unnest(judged_drafts(array(select f.draft_id from found f))) j on j.modification_id = f.draft_id
        $query$, matching_records(true))
        using scope, actor, chosen.condition, chosen.states, chosen.authors, chosen.pfa_ids, lower(search), priced;
end
$$;
comment on function pfa_sync.draft_summary(text, jsonb, text, text) is
    'The user''s drafts of the records that a filter and a search choose (see records()): how many, how many of them '
    'a commit would refuse, how many it would make conflicts, and for users who may see prices the forecast cost of '
    'their records without and with them. Needs perm_Read. PF001: a filter that can''t be read; PF002: permission '
    'missing.';

-- Starts the job that saves what preview_edit() showed as the user's drafts.
create function pfa_sync.edit_records(organization text, edit jsonb, filter jsonb, search text, digest text,
                                      user_id text, reason text default null)
    returns table (job_id bigint, done bigint, skipped bigint, failed bigint, waiting bigint)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    chosen  record_filter;
    targets bulk_target[];
    present text;
begin
    perform require_permission(actor, scope, 'perm_SaveDraft');
    perform require_permission(actor, scope, 'perm_Read');
    perform require_edit(edit, scope, actor);
    perform require_text('search', search, 1000);
    perform require_text('reason', reason, 2000);
    chosen := read_record_filter(filter, scope, actor);
    select array_agg(row(null, p.mirror_id, p.pfa_id, null, md5(p.delta::text))::bulk_target),
           edits_digest(edit, array_agg(p.pfa_id), array_agg(p.delta))
      into targets, present
      from planned_edits(scope, actor, chosen, search, edit) p where p.delta <> '{}';
    if present is distinct from digest then
        raise exception 'the records have changed since the preview'
            using errcode = 'PF006', hint = 'Call pfa_sync.preview_edit() again and pass its digest.';
    end if;
    if targets is null then
        raise exception 'the edit changes none of the records'
            using errcode = 'PF001', hint = 'pfa_sync.preview_edit() counts the records that change.';
    end if;
    job_id := start_bulk_job('edit', scope, actor, targets, jsonb_build_object('edit', edit), reason);
    perform run_first_slices(array[job_id]);
    select count(*) filter (where i.outcome = 'done'), count(*) filter (where i.outcome = 'skipped'),
           count(*) filter (where i.outcome = 'failed'), count(*) filter (where i.outcome = 'waiting')
      into done, skipped, failed, waiting
      from bulk_item i where i.job_id = edit_records.job_id;
    return next;
end
$$;
comment on function pfa_sync.edit_records(text, jsonb, jsonb, text, text, text, text) is
    'Saves an edit of all records that a filter and a search choose as the user''s drafts, if the digest of '
    'preview_edit() still holds: a job of kind edit. Each draft is as save_draft() makes it; nothing is committed. Up '
    'to 200 are saved when it returns; the others wait, and a relay saves them. A record of which the edit would make '
    'something else by then is skipped. Returns the job, and how many are saved, skipped, failed and waiting. Needs '
    'what preview_edit() needs. PF001: an edit or filter that can''t be read, or that changes nothing; PF002: '
    'permission missing; PF006: the records have changed since the preview.';

-- Saves drafts of a job. wait: as of run_slice().
create function edit_items(job sync_job, bulk bulk_job, items bulk_item[], wait boolean) returns item_outcome[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    edit     jsonb := bulk.operation->'edit';
    records  text[] := array(select i.mirror_id from unnest(items) i);
    outcomes item_outcome[];
    edits    draft_edit[];
    locked   text[];
begin
    if not 'perm_SaveDraft' = any (permissions_in(job, bulk)) then
        return array(select row(i.item, 'failed', 'FORBIDDEN', job.user_id || ' lacks perm_SaveDraft',
                                null)::item_outcome from unnest(items) i);
    end if;
    edits := array(
        select row(i.item, r.pfa_id, d.delta, job.reason, null, r.mirror_id, r.version, null, null, null, null, null,
                   null)::draft_edit
          from unnest(items) i
          join mirror r on r.mirror_id = i.mirror_id
          left join open_changes(job.organization_id, job.user_id, records) c on c.mirror_id = r.mirror_id
         cross join lateral (select edit_delta(edit, r.data || coalesce(c.delta, '{}'))) d (delta)
         where md5(d.delta::text) = i.plan);
    outcomes := array(select row(i.item, 'skipped', 'CHANGED_SINCE', null, null)::item_outcome
                        from unnest(items) i where i.item not in (select e.place from unnest(edits) e));
    if not wait then
        -- Drafts that another session holds, and a user who saves one, are left for a later slice.
        insert into draft_writer (user_id) values (job.user_id) on conflict do nothing;
        perform from draft_writer w where w.user_id = job.user_id for no key update skip locked;
        if not found then
            return outcomes;
        end if;
        edits := with_drafts(edits, job.user_id, null);
        locked := lock_modifications(array(select e.draft_id from unnest(edits) e where e.draft_id is not null),
                                     skip_locked => true);
        edits := array(select e from unnest(edits) e where e.draft_id is null or e.draft_id = any (locked));
    end if;
    return outcomes || array(
        select row(s.place, 'done', null,
                   (select string_agg(f->>'message', '; ') from jsonb_array_elements(s.errors) f),
                   s.modification_id)::item_outcome
          from save_edits(job.organization_id, job.user_id, edits, null, false) s);
end
$$;
