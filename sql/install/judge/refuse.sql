-- What fails a statement: changes that are invalid or not permitted.

-- Fails the statement when a change is invalid or forbidden. The message has the first three with all their errors,
-- since some clients show nothing else; DETAIL has the first hundred as JSON. of = how many changes there were.
create function refuse(judgements judgement[], of int default null) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    bad     judgement[];
    message text;
    detail  jsonb;
begin
    bad := array(select j from unnest(judgements) j where j.outcome = 'failed'
                  order by j.errors = '[]', j.pfa_id, j.modification_id);
    if cardinality(bad) = 0 then
        return;
    end if;
    message := (
        select string_agg(format('record %s: %s', coalesce(b.pfa_id, '(no pfaId)'), w.what), '; '
                          order by b.errors = '[]', b.pfa_id, b.modification_id)
          from unnest(bad[:3]) b
         cross join lateral (
             select case when b.errors = '[]'
                         then format('user %s lacks %s', b.author, array_to_string(b.missing, ', '))
                         else (select string_agg(e->>'message', ', ') from jsonb_array_elements(b.errors) e) end)
             w (what));
    detail := (
        select jsonb_agg(jsonb_build_object('modificationId', b.modification_id, 'pfaId', b.pfa_id, 'errors', b.errors,
                                            'missingPermissions', to_jsonb(b.missing)) order by b.modification_id)
          from unnest(bad[:100]) b);
    raise exception '% of % changes can''t be committed; %', cardinality(bad), coalesce(of, cardinality(judgements)),
                    left(message, 2000)
                    || case when cardinality(bad) > 3 then format('; and %s more', cardinality(bad) - 3) else '' end
        using errcode = case when bad[1].errors <> '[]' then 'PF001' else 'PF002' end,
              detail = detail::text,
              hint = case when cardinality(bad) > 100
                          then 'DETAIL lists 100 of the changes that are invalid or not permitted'
                          else 'DETAIL lists every change that is invalid or not permitted' end
                     || '; nothing of this statement was committed.';
end
$$;
