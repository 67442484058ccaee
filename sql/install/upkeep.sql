-- What the relays call from time to time to keep the whole in order.

-- Makes the log's next partitions; prunes pages of records and answers to repeated requests; forgets relays that are
-- gone, and times that a clock left behind that was ahead; counts what waits in long queues, and for kpis() what the
-- log has got. A partition that can't be made because a session reads the log is made by a later call: partitions are
-- made months ahead. Counting that fails stops nothing else: what was not counted is counted by the next call.
create function pfa_sync.maintain() returns table (object text, action text)
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
#variable_conflict use_column
begin
    begin
        return query select part, 'created' from create_log_partitions() part;
    exception when lock_not_available then
        object := 'pfa_audit_log';
        action := 'partitions not made now: another session holds the log';
        return next;
    end;
    return query select format('%s pages of records', pruned), 'pruned' from prune_bronze() pruned where pruned > 0;
    return query
        select format('%s answers kept for repeated requests', pruned), 'pruned'
          from prune_idempotent_requests() pruned where pruned > 0;
    return query select format('%s alerts', pruned), 'pruned' from prune_alerts() pruned where pruned > 0;
    return query
        select format('%s notifications', pruned), 'pruned' from prune_notifications() pruned where pruned > 0;
    return query select 'relay ' || gone, 'forgotten' from forget_relays() gone;
    return query
        select format('%s times too far ahead', reset), 'reset' from reset_future_times() reset where reset > 0;
    perform count_waiting();
    begin
        perform roll_up();
    exception when others then
        raise warning 'kpis() could not be brought up to date: %', sqlerrm;
        object := 'kpi_rollup';
        action := 'not counted now: ' || sqlerrm;
        return next;
    end;
end
$$;
comment on function pfa_sync.maintain() is
    'Relay: creates the log''s next partitions, and deletes pages of pulls past bronze_retention, answers of '
    'idempotent requests after a day, alerts past alert_retention, notifications past notification_retention, and '
    'relays that were not seen for a day; it resets times that lie too far ahead, after the server''s clock was '
    'corrected, counts for status() what waits in queues that are too long to be counted at each call, and for kpis() '
    'what the log has got since. Returns a row for each action.';
