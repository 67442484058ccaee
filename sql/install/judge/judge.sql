-- The judgement of changes: whether they are valid and permitted, and what is left to send after the merge.

-- What a modification asks for: its columns in the application's table.
create type edit as (
    modification_id text,
    mirror_id       text,
    organization_id text,
    user_id         text,
    change_reason   text,
    base_version    int,
    delta           jsonb,
    created_at      timestamp
);

-- One change with everything that its judgement needs and holds.
create type judgement as (
    modification_id text,
    mirror_id       text,
    organization_id text,
    pfa_id          text,
    author          text,
    reason          text,
    base_version    int,
    mirror_version  int,
    theirs          jsonb,
    base            jsonb,
    seen            jsonb,
    errors          jsonb,
    missing         text[],
    operation       text,
    delta           jsonb,
    to_send         jsonb,
    conflicts       text[],
    message         text,
    outcome         text,
    cause           text,
    content         bigint
);
comment on type judgement is
    'The judgement of one change. theirs is the record that it was judged against; null: the change is pending, and '
    'the record is at the version that its author saw. base and seen hold the changed fields as the author saw them '
    'and as they are now; delta is what the user changed, in canonical form; to_send is what is left of it after the '
    'merge; missing are the permissions that the author lacks; outcome is failed, conflict or pending; cause is the '
    'code of a conflict, null: CHANGED_IN_PEMS; content is the digest of the modification as it was judged, see '
    'content_of(), null: it is taken when the change is queued.';

-- The outcome of a judged change. Its body is bound when it is created, and inlined where it is called.
create function judgement_outcome(errors jsonb, missing text[], conflicts text[]) returns text
    language sql immutable security invoker
    return case when errors <> '[]' or missing <> '{}' then 'failed'
                when conflicts <> '{}' then 'conflict'
                else 'pending' end;

-- What judged changes have among them.
create type judged_kinds as (
    waiting boolean,
    rebased boolean,
    empty   boolean,
    ending  boolean
);
comment on type judged_kinds is
    'Of judged changes: whether any is pending; of those, whether any was merged into a later version of its record, '
    'and whether any has nothing left to change; whether any is a conflict or has failed.';

-- The kinds of judged changes.
create function kinds_of(judgements judgement[]) returns judged_kinds
    language plpgsql immutable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select row(coalesce(bool_or(j.outcome = 'pending'), false),
                       coalesce(bool_or(j.outcome = 'pending' and j.base_version <> j.mirror_version), false),
                       coalesce(bool_or(j.outcome = 'pending' and j.delta = '{}'), false),
                       coalesce(bool_or(j.outcome <> 'pending'), false))::judged_kinds
              from unnest(judgements) j);
end
$$;

-- A record with the key that PEMS knows it by: that of the mirror's column, where it has one. Stable, as
-- jsonb_build_object is: an immutable function that calls a stable one is not inlined.
create function with_pfa_id(data jsonb, pfa_id text) returns jsonb
    language sql stable security invoker
    return case when pfa_id is null or data->>'pfaId' = pfa_id then data
                else data || jsonb_build_object('pfaId', pfa_id) end;

-- What tells whether a modification is still the one that was judged.
create function content_of(mirror_id text, organization_id text, user_id text, delta jsonb) returns bigint
    language sql immutable security invoker
    return hash_record_extended(row(mirror_id, organization_id, user_id, delta), 0);

-- The content of a modification as it stands; null = there is none.
create function content_now(modification_id text) returns bigint
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select content_of(m.mirror_id, m.organization_id, m.user_id, m.delta) from modification m
             where m.modification_id = content_now.modification_id);
end
$$;

-- The fields that a record's queued changes write, as the last of them leaves them. without: a modification whose
-- change is left out; author: only changes of this author.
create function queued_fields(mirror_id text, without text default null, author text default null) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select jsonb_overlay(q.payload order by q.id) from pfa_write_queue q
             where q.mirror_id = queued_fields.mirror_id and q.modification_id is distinct from without
               and (queued_fields.author is null or q.author = queued_fields.author));
end
$$;

-- The fields that an author's changes of a record wrote which were completed after a version of it.
create function completed_fields(mirror_id text, author text, after_version int) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select jsonb_overlay(a.request order by a.id) from pfa_write_queue_archive a
             where a.mirror_id = completed_fields.mirror_id and a.author = completed_fields.author
               and a.status = 'completed' and a.mirror_version > after_version);
end
$$;

-- A record as it was at an earlier version; null = its history does not have it.
create function data_of_version(mirror_id text, version int) returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return (select h.data from mirror_history h
             where h.mirror_id = data_of_version.mirror_id and h.version = data_of_version.version
             order by h.archived_at desc limit 1);
end
$$;

-- The error of an edit that names another organization than its record, or a version that the record has not reached.
create function reference_error(organization_id text, mirror_organization text, base_version int, version int)
    returns jsonb
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return jsonb_build_object(
        'field', null, 'code', 'BUSINESS_RULE_VIOLATION', 'message',
        case when organization_id <> mirror_organization
             then 'the modification names another organization than its record'
             else format('the edit is based on version %s of the record, which is at version %s', base_version,
                         version) end);
end
$$;

-- Modifications as edits.
create function edits_of(modification_ids text[]) returns edit[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select row(m.modification_id, m.mirror_id, m.organization_id, m.user_id, m.change_reason, m.base_version,
                   m.delta, m.created_at)::edit
          from unnest(modification_ids) i (id)
         cross join lateral (select * from modification m where m.modification_id = i.id offset 0) m);
end
$$;

-- Judges edits of one author in one organization, who has these permissions, against the mirror with the
-- record's queued changes laid over it. Stores nothing.
--
-- base is the record at the version that the author saw: the mirror itself, its history, or unknown. accepted are the
-- author's own writes since: queued ones, and completed ones of later versions.
--
-- Each row is looked up by an index, whatever the planner estimates: subqueries with offset 0 are not joined to others.
-- What few edits need is read by functions: a subquery costs every statement its start, also where it is never run.
create function judge_edits(edits edit[], permissions text[]) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return array(
        select row(c.modification_id, c.mirror_id, c.organization_id, c.pfa_id, c.user_id, c.change_reason,
                   c.base_version, c.version,
                   case when c.base_version <> c.version or o.outcome <> 'pending' then t.theirs end,
                   case when c.base_version = c.version and q.ahead is null then j.seen else j.base end, j.seen,
                   f.errors, j.missing, j.operation, j.delta, j.to_send, j.conflicts, null, o.outcome, null,
                   content_of(c.mirror_id, c.organization_id, c.user_id, c.delta))::judgement
          from unnest(edits) e
         cross join lateral (
             select e.*, r.organization_id as mirror_organization, r.version,
                    with_pfa_id(r.data, r.pfa_id) as data, coalesce(r.pfa_id, r.data->>'pfaId') as pfa_id
               from mirror r
              where r.mirror_id = e.mirror_id
             offset 0) c
         -- Most records have nothing queued, and an aggregate costs much more than this look.
         cross join lateral (
             select case when (select true from pfa_write_queue q
                                where q.mirror_id = c.mirror_id and q.modification_id <> c.modification_id limit 1)
                         then queued_fields(c.mirror_id, c.modification_id) end as ahead
             offset 0) q
         cross join lateral (
             select case when q.ahead is not null
                         then queued_fields(c.mirror_id, c.modification_id, c.user_id) end) w (own)
         cross join lateral (
             select case when q.ahead is null then c.data else c.data || q.ahead end) t (theirs)
         cross join lateral judge(
             t.theirs,
             c.delta,
             case when c.base_version <> c.version then data_of_version(c.mirror_id, c.base_version)
                  when q.ahead is not null then c.data end,
             case when c.base_version <> c.version
                  then completed_fields(c.mirror_id, c.user_id, c.base_version) || coalesce(w.own, '{}')
                  else w.own end,
             permissions,
             c.base_version = c.version and q.ahead is null,
             may_revive(c.modification_id, c.delta)) j
         cross join lateral (
             select case when c.organization_id = c.mirror_organization and c.base_version <= c.version then j.errors
                         else j.errors || reference_error(c.organization_id, c.mirror_organization, c.base_version,
                                                          c.version) end) f (errors)
         cross join lateral (select judgement_outcome(f.errors, j.missing, j.conflicts)) o (outcome));
end
$$;

-- Judges edits of any authors.
create function judge_edits_of_authors(edits edit[]) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    judgements judgement[] := '{}';
    author     record;
begin
    for author in
        select e.user_id, e.organization_id, array_agg(e) as edits from unnest(edits) e
         group by e.user_id, e.organization_id
    loop
        judgements := judgements
                      || judge_edits(author.edits, permissions_of(author.user_id, author.organization_id));
    end loop;
    return judgements;
end
$$;

-- Judges modifications of any authors.
create function judge_modifications(modification_ids text[]) returns judgement[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    return judge_edits_of_authors(edits_of(modification_ids));
end
$$;
