-- The locks that a claim and the reports about claimed changes take.

-- Locks modifications and mirror rows of queue rows in the lock order, then the rows; those whose locks were free.
create function lock_for_claim(queue_ids bigint[]) returns bigint[]
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    wanted               record;
    modifications        text[];
    mirrors              text[];
    missed_modifications text[] := '{}';
    missed_mirrors       text[] := '{}';
begin
    select array_agg(q.modification_id) as modifications, array_agg(q.mirror_id) as mirrors into wanted
      from pfa_write_queue q where q.id = any (queue_ids);
    modifications := lock_modifications(wanted.modifications, skip_locked => true);
    mirrors := lock_records(wanted.mirrors, skip_locked => true);
    -- What does not exist any more can't be locked, and its row is taken all the same.
    if cardinality(modifications) < cardinality(wanted.modifications) then
        missed_modifications := array(
            select m.modification_id from modification m
             where m.modification_id = any (wanted.modifications) and m.modification_id <> all (modifications));
    end if;
    if cardinality(mirrors) < cardinality(wanted.mirrors) then
        missed_mirrors := array(
            select r.mirror_id from mirror r
             where r.mirror_id = any (wanted.mirrors) and r.mirror_id <> all (mirrors));
    end if;
    return array(select q.id from pfa_write_queue q
                  where q.id = any (queue_ids) and q.modification_id <> all (missed_modifications)
                    and q.mirror_id <> all (missed_mirrors)
                  order by q.priority desc, q.id for update skip locked);
end
$$;
