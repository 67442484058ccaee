-- Conflicts that were resolved, and how.

create view pfa_sync.resolved_conflicts with (security_barrier) as
    select c.id as conflict_id, c.organization_id, c.pfa_id, c.modification_id, c.author,
           coalesce((select user_names())->>c.author, c.author) as author_name, c.detected, c.conflict_fields, c.code,
           masked(c.message, p.priced) as message, c.status, c.resolution, c.resolved_by,
           coalesce((select user_names())->>c.resolved_by, c.resolved_by) as resolved_by_name, c.resolved_at,
           c.created_at, c.local_version, c.mirror_version, c.pems_version,
           masked((select jsonb_agg(jsonb_build_object('field', k, 'conflict', k = any (c.conflict_fields),
                              'base', c.base_data->k, 'ours', c.local_data->k, 'theirs', c.pems_data->k)
                              -- masked() knows the three sides alone.
                              || case when p.priced
                                           or k <> all (array(select f.name from field_rules f where f.price))
                                      then jsonb_build_object('merged',
                                          case when c.resolution = 'use_pems' then c.pems_data->k
                                               when c.merged_data is not null
                                               then coalesce(c.merged_data->k, c.pems_data->k)
                                               when c.resolution is not null then c.local_data->k end)
                                      else '{}' end order by k)
                     from jsonb_object_keys(c.local_data) k), p.priced) as fields
      from pfa_sync_conflict c
     cross join lateral (
         select c.organization_id = any ((select priced_organizations())::text[])) p (priced)
     where c.status <> 'unresolved' and c.organization_id = any ((select visible_organizations())::text[]);
comment on view pfa_sync.resolved_conflicts is
    'Conflicts that were resolved by users and by rules, and edits that were merged into a record that had moved on in '
    'other fields; those have no conflict_fields. find_resolved_conflicts() lists the latest first.';
comment on column pfa_sync.resolved_conflicts.conflict_id is 'id of the conflict';
comment on column pfa_sync.resolved_conflicts.organization_id is 'id of the organization';
comment on column pfa_sync.resolved_conflicts.pfa_id is 'PEMS'' id of the record';
comment on column pfa_sync.resolved_conflicts.modification_id is 'id of the modification';
comment on column pfa_sync.resolved_conflicts.author is 'id of the user whose edit it was';
comment on column pfa_sync.resolved_conflicts.author_name is 'name of that user';
comment on column pfa_sync.resolved_conflicts.detected is
    'where the conflict was found: commit, claim, or pems (in PEMS'' answer or by a pull)';
comment on column pfa_sync.resolved_conflicts.conflict_fields is 'names of the fields that conflicted; empty: none did';
comment on column pfa_sync.resolved_conflicts.code is 'why it was a conflict: a code of the view causes';
comment on column pfa_sync.resolved_conflicts.message is
    'what conflicted, in words; numbers are shown as # to a session that may not see prices';
comment on column pfa_sync.resolved_conflicts.status is
    'resolved_manual: by a user; resolved_auto: by a rule or by the merge';
comment on column pfa_sync.resolved_conflicts.resolution is
    'use_local, use_pems or merge; null: nothing was decided, the edit was withdrawn or committed again';
comment on column pfa_sync.resolved_conflicts.resolved_by is 'id of the user who resolved it, or the rule';
comment on column pfa_sync.resolved_conflicts.resolved_by_name is 'name of that user, or the rule';
comment on column pfa_sync.resolved_conflicts.resolved_at is 'when it was resolved';
comment on column pfa_sync.resolved_conflicts.created_at is 'when it was found';
comment on column pfa_sync.resolved_conflicts.local_version is 'version of the record that the author saw';
comment on column pfa_sync.resolved_conflicts.mirror_version is 'version of the record when the conflict was found';
comment on column pfa_sync.resolved_conflicts.pems_version is 'PEMS'' own version of the record then; null: not known';
comment on column pfa_sync.resolved_conflicts.fields is
    'the changed fields: field, conflict (whether it conflicted), base (as the author saw it), ours (as the author '
    'wants it), theirs (as it was in PEMS, or as earlier queued changes set it), merged (as the resolution leaves it; '
    'null: nothing was decided); a price has none of the values for a session that may not see prices';
