-- The timeline of a record: its log entries, in words.

-- A value of a field, as a person writes it.
create function value_in_words(value jsonb) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case jsonb_typeof(value)
        when 'number' then case when length(t.text) < 15
                                then rtrim(to_char(t.text::numeric, 'FM999,999,999,999,990.99999999'), '.')
                                else t.text end
        when 'boolean' then case when value = 'true' then 'yes' else 'no' end
        when 'string' then case when t.text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00([.]0+)?Z$' then left(t.text, 10)
                                when length(t.text) > 60 then left(t.text, 60) || '…'
                                else t.text end
        else 'nothing' end
      from (select value #>> '{}') t (text)
$$;

-- Changed fields in words: of some fields {field: {from, to}} is known. The first five are named.
create function changes_in_words(fields text[], from_to jsonb) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select string_agg(concat_ws(' ', f.field,
                                case when from_to->f.field ? 'from'
                                     then 'from ' || value_in_words(from_to->f.field->'from') end,
                                case when from_to ? f.field
                                     then 'to ' || value_in_words(from_to->f.field->'to') end), ', ' order by f.place)
               filter (where f.place <= 5)
           || case when count(*) > 5 then format(' and %s more', count(*) - 5) else '' end
      from unnest(fields) with ordinality f (field, place)
$$;

-- What a log entry says, in a sentence. fields: that it is about; from_to, error: as the reader may see them.
create function sentence_of(event_type text, who text, fields text[], from_to jsonb, changes jsonb, error text,
                            pems_version text) returns text
    language sql immutable security invoker set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
    select case event_type
        when 'COMMITTED' then format('%s changed %s', who, coalesce(changes_in_words(fields, from_to), 'nothing'))
        when 'WRITE_ATTEMPT' then format('sent to PEMS: %s', array_to_string(fields, ', '))
        when 'WRITE_FAILED' then format('PEMS did not confirm the request: %s', coalesce(error, 'no answer'))
        when 'SYNCED' then case when fields = '{}' then 'PEMS had these values already'
                                when pems_version is null then 'PEMS confirmed the change'
                                else format('PEMS confirmed version %s', pems_version) end
        when 'STORED_DIFFERENTLY' then format('PEMS stored other values than were written: %s',
                                              changes_in_words(fields, from_to))
        when 'CONFLICT_DETECTED' then
            'conflict: ' || coalesce(error, format('%s %s changed in PEMS', array_to_string(fields, ', '),
                                                   case when cardinality(fields) = 1 then 'was' else 'were' end))
        when 'CONFLICT_RESOLVED' then
            case when who like 'rule: %' then 'a rule resolved the conflict: ' || substr(who, 7)
                 else format('%s resolved the conflict%s', who, case changes->>'resolution'
                     when 'use_local' then ': our values are sent' when 'use_pems' then ': PEMS'' values stay'
                     when 'merge' then ': merged values are sent' else '' end) end
        when 'DEAD_LETTER' then 'failed for good' || coalesce(': ' || error, '')
        when 'REQUEUED' then format('%s queued it again%s', who,
                                    case when jsonb_typeof(changes->'fix') = 'object' then ', with a fix' else '' end)
        when 'DISCARDED' then format('%s gave it up%s', who, coalesce(': ' || error, ''))
        when 'WITHDRAWN' then format('%s took it back', who)
        when 'RESOLUTION_UNDONE' then format('%s undid the resolution: the conflict is open again', who)
        when 'DISCARD_UNDONE' then format('%s opened it again', who)
        when 'ROLLBACK' then format('%s set the record back%s', who,
                                    coalesce(' to version ' || (changes->>'version'), ''))
        when 'DISCONTINUED' then 'PEMS no longer has the record'
        when 'RECORD_REFUSED' then 'the application refuses what is to be stored' || coalesce(': ' || error, '')
        end
$$;

-- Everything that happened to a record, oldest first. What PEMS answered may quote prices anywhere: without
-- perm_ViewFinancials it is left out as a whole, and a sentence names a price without its values.
create function pfa_sync.timeline(organization text, pfa_id text)
    returns table (at timestamptz, event_type text, user_id text, modification_id text, changes jsonb, success boolean,
                   error_message text, pems_response jsonb, event_id bigint, queue_id bigint, job_id bigint,
                   batch_id bigint, user_name text, reason text, from_to jsonb, sentence text)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
declare
    scope  text := organization_of(organization);
    priced boolean := can_see(scope, 'perm_ViewFinancials');
begin
    return query
        select l.at, l.event_type, l.user_id, l.modification_id, masked(l.changes, priced), l.success, e.error,
               case when priced then l.pems_response end, l.id, l.queue_id, l.job_id, l.batch_id, n.name,
               coalesce(masked(q.reason, priced),
                        case when l.event_type in ('DISCARDED', 'RESOLUTION_UNDONE', 'DISCARD_UNDONE', 'ROLLBACK')
                             then e.error end), s.from_to,
               coalesce(sentence_of(l.event_type, n.name, s.fields, s.from_to, l.changes, e.error,
                                    coalesce(l.pems_response->>'version', m.pems_version::text)), t.meaning)
          from pfa_audit_log l
          left join event_type t on t.event_type = l.event_type
          left join users u on u.user_id = l.user_id
          left join modification m on m.modification_id = l.modification_id
          left join lateral (
              select w.base, w.reason from pfa_write_queue w where w.id = l.queue_id
              union all
              select a.base, a.reason from pfa_write_queue_archive a where a.id = l.queue_id
              limit 1) q on true
         cross join lateral (select coalesce(u.name, l.user_id)) n (name)
         cross join lateral (select masked(l.error_message, priced)) e (error)
         cross join lateral (select * from changed_fields(l.event_type, l.changes, q.base)) c
         cross join lateral (select c.fields, masked(c.from_to, priced)) s (fields, from_to)
         where l.organization_id = scope and l.pfa_id = timeline.pfa_id
         order by l.at, l.id;
end
$$;
comment on function pfa_sync.timeline(text, text) is
    'The log entries of one record, oldest first, each with the name of its user, the reason that was given, what '
    'changed (from_to: {field: {from, to}}; from is missing where the value before is not known) and a sentence. '
    'Prices are left out for a session that may not see them. organization: id or code.';

-- The fields that a log entry is about, and their values before and after; base: the fields as the author saw them.
create function changed_fields(event_type text, changes jsonb, base jsonb, out fields text[], out from_to jsonb)
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    fields := '{}';
    if event_type in ('COMMITTED', 'WRITE_ATTEMPT', 'SYNCED', 'DISCONTINUED') and jsonb_typeof(changes) = 'object' then
        select coalesce(array_agg(c.key order by c.key), '{}'),
               jsonb_object_agg(c.key, case when base is null then '{}' else jsonb_build_object('from', base->c.key) end
                                       || jsonb_build_object('to', c.value))
          into fields, from_to
          from jsonb_each(changes) c;
    elsif event_type = 'STORED_DIFFERENTLY' then
        select coalesce(array_agg(c.key order by c.key), '{}'),
               jsonb_object_agg(c.key, jsonb_build_object('from', changes->'ours'->c.key, 'to', c.value))
          into fields, from_to
          from jsonb_each(changes->'theirs') c;
    elsif event_type = 'CONFLICT_DETECTED' and jsonb_typeof(changes->'fields') = 'array' then
        fields := array(select jsonb_array_elements_text(changes->'fields') order by 1);
    end if;
end
$$;
