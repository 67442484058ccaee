-- Drafts: saved, one or many at once, and reduced again.

create table draft_writer (
    user_id text not null,
    constraint draft_writer_pkey primary key (user_id)
);
comment on table draft_writer is
    'Users that have saved drafts. Their row is locked while they save one: two saves at once would each find no draft '
    'and make one. An advisory lock could be taken by any session.';

-- One draft as it is to be saved. draft_id, before and reason_before: of the draft that exists; null = none. saved_id:
-- the modification that it is saved as, null = there is nothing to save; after: its delta then.
create type draft_edit as (
    place         int,
    pfa_id        text,
    delta         jsonb,
    reason        text,
    remove        text[],
    mirror_id     text,
    version       int,
    draft_id      text,
    before        jsonb,
    reason_before text,
    saved_id      text,
    after         jsonb,
    state         text
);

-- How many drafts one call saves at most.
create function draft_bound() returns int language sql immutable security invoker return 1000;

-- Reads drafts: [{pfaId, delta, reason, remove}], of different records. Raises PF001 for what can't be read, or is
-- beyond its bounds.
create function read_drafts(drafts jsonb) returns draft_edit[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    names text[] := array(select r.name from field_rules r);
    edits draft_edit[];
    fault text;
begin
    perform require_objects('drafts', drafts);
    perform require_between('the number of drafts', jsonb_array_length(drafts), 0, draft_bound());
    select f.fault into fault
      from jsonb_array_elements(drafts) with ordinality e (d, place)
      left join lateral (
          select k from jsonb_object_keys(d) k where k not in ('pfaId', 'delta', 'reason', 'remove') limit 1)
          u (key) on true
     cross join lateral (
         select case when u.key is not null then format('a draft has no key %s', left(u.key, 40))
                     when jsonb_typeof(d->'pfaId') is distinct from 'string' then 'pfaId of a draft is a text'
                     when jsonb_typeof(d->'reason') not in ('string', 'null') then 'reason of a draft is a text'
                     when jsonb_typeof(d->'remove') not in ('array', 'null')
                          or d->'remove' @? 'strict $[*] ? (@.type() != "string")' then 'remove is an array of fields'
                     end) f (fault)
     where f.fault is not null
     order by e.place limit 1;
    if found then
        raise exception '%', fault
            using errcode = 'PF001', hint = '[{"pfaId": …, "delta": {…}, "reason": …, "remove": [field, …]}].';
    end if;
    edits := array(
        select row(d.place, d.draft->>'pfaId',
                   case when r.remove is not null and coalesce(d.draft->'delta', 'null') = 'null' then '{}'
                        else d.draft->'delta' end,
                   d.draft->>'reason', r.remove, null, null, null, null, null, null, null, null)::draft_edit
          from jsonb_array_elements(drafts) with ordinality d (draft, place)
         cross join lateral (
             select case when jsonb_typeof(d.draft->'remove') = 'array'
                         then array(select jsonb_array_elements_text(d.draft->'remove') limit 1000) end) r (remove)
         order by d.place);
    select e.pfa_id into fault from unnest(edits) e group by e.pfa_id having count(*) > 1 limit 1;
    if found then
        raise exception 'record % has two drafts', left(fault, 100) using errcode = 'PF001';
    end if;
    select f into fault from unnest(edits) e cross join lateral unnest(e.remove) f where f <> all (names) limit 1;
    if found then
        raise exception '% is not a field of a PFA record', left(fault, 40)
            using errcode = 'PF001', hint = 'pfa_sync.field_rules lists the fields.';
    end if;
    perform require_text('reason', e.reason, 2000) from unnest(edits) e where e.reason is not null;
    perform require_deltas(array(select case when cardinality(edits) > 1 then e.pfa_id end from unnest(edits) e),
                           array(select e.delta from unnest(edits) e));
    return edits;
end
$$;

-- The drafts that edits are to be saved into: of each record the author's latest one, or the latest of the session.
-- They are looked up by their record: by the author, all drafts of that user would be read for each.
create function with_drafts(edits draft_edit[], actor text, session_id text) returns draft_edit[]
    language plpgsql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select row(e.place, e.pfa_id, e.delta, e.reason, e.remove, e.mirror_id, e.version, d.modification_id, d.delta,
                   d.change_reason, null, null, null)::draft_edit
          from unnest(edits) e
          left join lateral (
              select m.modification_id, m.delta, m.change_reason from modification m
               where m.mirror_id = e.mirror_id and m.user_id || '' = actor and m.sync_state = 'draft'
                 and (with_drafts.session_id is null or m.session_id is not distinct from with_drafts.session_id)
               order by m.created_at desc, m.modification_id limit 1) d on true
         order by e.place);
end
$$;

-- Reads drafts and saves them, as save_edits() does.
create function store_drafts(organization text, user_id text, drafts jsonb, session_id text)
    returns table (place int, pfa_id text, modification_id text, conflicts jsonb, errors jsonb, state text, draft jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    scope   text := organization_of(organization);
    actor   text := acting_user(user_id);
    edits   draft_edit[];
    unknown text;
begin
    perform require_permission(actor, scope, 'perm_SaveDraft');
    perform require_text('session_id', session_id, 200);
    edits := read_drafts(drafts);
    edits := array(
        select row(e.place, e.pfa_id, e.delta, e.reason, e.remove, r.mirror_id, r.version, null, null, null, null, null,
                   null)::draft_edit
          from unnest(edits) e
          left join lateral (
              select * from mirror r where r.organization_id = scope and r.pfa_id = e.pfa_id offset 0) r on true
         order by e.place);
    select e.pfa_id into unknown from unnest(edits) e where e.mirror_id is null order by e.place limit 1;
    if found then
        raise exception 'organization % has no record %', organization, left(unknown, 100) using errcode = 'PF008';
    end if;
    return query
        select * from save_edits(scope, actor, edits, session_id, can_see(scope, 'perm_ViewFinancials'));
end
$$;

-- Saves edits as the author's drafts: each into the draft of its record that exists, else into a new one. The fields of
-- remove leave the draft before delta is laid over it; a draft that this empties is discarded. Returns, in the order of
-- the edits, what a commit would find now; nothing of that is stored. Each step is one statement for all records.
create function save_edits(scope text, actor text, edits draft_edit[], session_id text, priced boolean)
    returns table (place int, pfa_id text, modification_id text, conflicts jsonb, errors jsonb, state text, draft jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
#variable_conflict use_column
declare
    held text[] := '{}';
    ids  text[];
begin
    insert into draft_writer (user_id) values (actor) on conflict do nothing;
    perform from draft_writer w where w.user_id = actor for no key update;
    loop
        edits := with_drafts(edits, actor, session_id);
        ids := array(select e.draft_id from unnest(edits) e where e.draft_id is not null);
        exit when ids <@ held;
        -- The application may have changed or committed one of them meanwhile: they are looked at again.
        if cardinality(ids) = 1 then
            perform lock_modifications(ids);
        else
            perform lock_together(ids, '{}');
        end if;
        held := held || ids;
    end loop;
    edits := array(
        select row(e.place, e.pfa_id, e.delta, e.reason, e.remove, e.mirror_id, e.version, e.draft_id, e.before,
                   e.reason_before, coalesce(e.draft_id, case when s.state = 'draft' then gen_random_uuid()::text end),
                   a.after, case when coalesce(e.draft_id, s.state) is not null then coalesce(s.state, 'discarded')
                            end)::draft_edit
          from unnest(edits) e
         cross join lateral (select (coalesce(e.before, '{}') - coalesce(e.remove, '{}')) || e.delta) a (after)
         cross join lateral (select case when e.remove is null or a.after <> '{}' then 'draft' end) s (state)
         order by e.place);
    if exists (select from unnest(edits) e where e.draft_id is null and e.saved_id is not null) then
        perform write_drafts((
            select jsonb_agg(jsonb_build_object('id', e.saved_id, 'mirrorId', e.mirror_id, 'organizationId', scope,
                       'userId', actor, 'delta', e.after, 'sessionId', save_edits.session_id,
                       'baseVersion', e.version, 'changeReason', e.reason) order by e.place)
              from unnest(edits) e where e.draft_id is null and e.saved_id is not null));
    end if;
    perform change_modifications((
        select jsonb_agg(jsonb_build_object('id', e.draft_id, 'delta', e.after,
                                            'changeReason', coalesce(e.reason, e.reason_before)))
          from unnest(edits) e where e.draft_id is not null and e.state = 'draft'));
    ids := array(select e.draft_id from unnest(edits) e where e.state = 'discarded');
    if cardinality(ids) > 0 then
        perform set_sync_state(ids, 'discarded');
    end if;
    return query
        select e.place, e.pfa_id, e.saved_id,
               case when coalesce(j.conflicts, '{}') = '{}' then '[]'
                    else masked(conflict_values(j.conflicts, j.base, j.delta, j.seen), priced) end,
               coalesce(j.errors, '[]'), e.state, masked(e.after, priced)
          from unnest(edits) e
          left join unnest(judge_modifications(array(
              select d.saved_id from unnest(edits) d where d.state = 'draft'))) j on j.modification_id = e.saved_id
         order by e.place;
end
$$;

-- Saves an edit as the author's draft of the record.
create function pfa_sync.save_draft(organization text, user_id text, pfa_id text, delta jsonb,
                                    reason text default null, session_id text default null, remove text[] default null)
    returns table (modification_id text, conflicts jsonb, errors jsonb, state text, draft jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return query
        select s.modification_id, s.conflicts, s.errors, s.state, s.draft
          from store_drafts(organization, user_id,
                            jsonb_build_array(jsonb_build_object('pfaId', pfa_id, 'delta', delta, 'reason', reason,
                                                                 'remove', remove)), session_id) s;
end
$$;
comment on function pfa_sync.save_draft(text, text, text, jsonb, text, text, text[]) is
    'Saves an edit as the user''s draft of a record: into an existing draft, else as a new one based on the '
    'record as it is. organization: id or code; remove: fields that leave the draft, before the delta is laid over it. '
    'Returns the modification''s id, the conflicts and errors that a commit would have now, state (draft; discarded: '
    'remove left nothing of it; null: there was no draft to remove from), and the fields of the draft now. Needs '
    'perm_SaveDraft. PF001: the delta is not a JSON object; PF002: permission missing; PF008: no such organization or '
    'record.';

-- Saves edits of many records at once.
create function pfa_sync.save_drafts(organization text, user_id text, drafts jsonb, session_id text default null)
    returns table (pfa_id text, modification_id text, conflicts jsonb, errors jsonb, state text, draft jsonb)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
begin
    return query
        select s.pfa_id, s.modification_id, s.conflicts, s.errors, s.state, s.draft
          from store_drafts(organization, user_id, drafts, session_id) s order by s.place;
end
$$;
comment on function pfa_sync.save_drafts(text, text, jsonb, text) is
    'Saves up to 1000 edits of different records as the user''s drafts, all or none. drafts: [{pfaId, delta, reason, '
    'remove}], each as for save_draft(); delta may be missing where remove is given. Returns a row for each, in their '
    'order: modification_id, conflicts, errors, state and draft as save_draft() does. Needs perm_SaveDraft. PF001: '
    'other keys or values, a record twice, or too many; PF002: permission missing; PF008: no such organization or '
    'record.';

-- Raises PF001 unless each delta is an object of known fields with short scalar values. What a user hands in is read
-- again with each list of records, so it is bounded before it is stored; whether it is valid is judged later. pfa_ids:
-- named in the message; null = the record is not named.
create function require_deltas(pfa_ids text[], deltas jsonb[]) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    names text[] := array(select r.name from field_rules r);
    prefix text;
    fault text;
begin
    select format('record %s: ', left(d.pfa_id, 40)),
           format('a delta is a JSON object of changed fields, not %s', coalesce(jsonb_typeof(d.delta), 'null'))
      into prefix, fault
      from unnest(pfa_ids, deltas) with ordinality d (pfa_id, delta, place)
     where jsonb_typeof(d.delta) is distinct from 'object'
     order by d.place limit 1;
    if found then
        raise exception '%', case when pfa_ids[1] is null then '' else prefix end || fault using errcode = 'PF001';
    end if;
    select format('record %s: ', left(d.pfa_id, 40)),
           format('%s %s', case when length(e.key) <= 40 then e.key else left(e.key, 40) || '…' end, f.fault)
      into prefix, fault
      from unnest(pfa_ids, deltas) with ordinality d (pfa_id, delta, place)
     cross join lateral jsonb_each(d.delta) e
     cross join lateral (
         select case when e.key <> all (names) then 'is not a field of a PFA record'
                     when jsonb_typeof(e.value) in ('array', 'object') then 'must be a single value'
                     else bound_fault(e.value) end) f (fault)
     where f.fault is not null
     order by d.place, e.key limit 1;
    if found then
        raise exception '%', case when pfa_ids[1] is null then '' else prefix end || fault
            using errcode = 'PF001', hint = 'pfa_sync.field_rules lists the fields.';
    end if;
end
$$;

-- The same of one delta.
create function require_delta(delta jsonb) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform require_deltas(array[null::text], array[delta]);
end
$$;
