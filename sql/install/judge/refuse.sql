-- What fails a statement: changes that are invalid or not permitted.

-- Fails the statement when a change is invalid or forbidden, with all of them in DETAIL as JSON.
create function refuse(judgements judgement[]) returns void
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    refused bigint;
    invalid bigint;
    first   text;
    detail  jsonb;
begin
    select count(*), count(*) filter (where j.errors <> '[]'),
           (array_agg(format('record %s: %s', coalesce(j.pfa_id, '(no pfaId)'),
                case when j.errors <> '[]' then j.errors->0->>'message'
                     else format('user %s lacks %s', j.author, array_to_string(j.missing, ', ')) end)
                order by j.errors = '[]', j.modification_id))[1],
           jsonb_agg(jsonb_build_object('modification', j.modification_id, 'pfaId', j.pfa_id, 'errors', j.errors,
                                        'missing', to_jsonb(j.missing)) order by j.modification_id)
      into refused, invalid, first, detail
      from unnest(judgements) j
     where j.outcome = 'failed';
    if refused = 0 then
        return;
    end if;
    raise exception '% of % changes can''t be committed; %', refused, cardinality(judgements), first
        using errcode = case when invalid > 0 then 'PF001' else 'PF002' end,
              detail = detail::text,
              hint = 'DETAIL lists every change that is invalid or not permitted; nothing of this statement was '
                     'committed.';
end
$$;
