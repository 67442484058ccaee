-- The settings of the entry points that one session calls again and again: the triggers of commits, and the functions
-- of relays. What they call inherits these.
--
-- Generic plans, since a session would else plan every statement of such a path anew, which costs more than executing
-- it. A session keeps its plans, whatever size the queue had when they were made, so plans that read a whole table or
-- index are switched off; the statements of these paths are written so that none needs one.
do $$
declare
    entry_point regprocedure;
begin
    foreach entry_point in array array[
        'pfa_sync_private.modifications_inserted()', 'pfa_sync_private.modifications_updated()',
        'pfa_sync_private.modifications_deleted()', 'pfa_sync_private.modifications_truncated()',
        'pfa_sync.claim(text, text, int, interval, interval, text[], interval)',
        'pfa_sync.next_due_ms(text[], interval)',
        'pfa_sync.mark_sent(text, jsonb, interval)', 'pfa_sync.complete(text, jsonb)', 'pfa_sync.fail(text, jsonb)',
        'pfa_sync.release(text, jsonb)', 'pfa_sync.extend_lease(text, jsonb, interval)',
        'pfa_sync.sweep(int)']::regprocedure[]
    loop
        execute format('alter function %s set plan_cache_mode = force_generic_plan', entry_point);
        execute format('alter function %s set jit = off', entry_point);
        execute format('alter function %s set enable_seqscan = off', entry_point);
        execute format('alter function %s set enable_hashjoin = off', entry_point);
        execute format('alter function %s set enable_mergejoin = off', entry_point);
        execute format('alter function %s set enable_bitmapscan = off', entry_point);
        execute format('alter function %s set enable_memoize = off', entry_point);
    end loop;
end
$$;

-- A function that reads the queue never reads it whole. Vacuum may find the queue empty, of which a scan costs nothing;
-- a session keeps such a plan while the queue fills, whichever entry point made it.
do $$
declare
    reader regprocedure;
begin
    for reader in
        select p.oid from pg_proc p
          join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
         where p.pronamespace in ('pfa_sync'::regnamespace, 'pfa_sync_private'::regnamespace)
           and p.prosrc ~ '[[:<:]]pfa_write_queue[[:>:]]'
    loop
        execute format('alter function %s set enable_seqscan = off', reader);
    end loop;
end
$$;

-- To compile a plan takes seconds where the planner expects much to be read, as of a long history; what the surface
-- reads is little.
do $$
declare
    surface regprocedure;
begin
    for surface in
        select p.oid from pg_proc p
          join pg_language l on l.oid = p.prolang
         where p.pronamespace = 'pfa_sync'::regnamespace
           and (l.lanname = 'plpgsql' or l.lanname = 'sql' and p.prosecdef)
    loop
        execute format('alter function %s set jit = off', surface);
    end loop;
end
$$;
