-- What is asked for twice under one key is done once: for programs that repeat a request whose answer they did not get.

create table request_once (
    user_id    text        not null,
    key        text        not null,
    digest     bytea       not null,
    answer     jsonb,
    created_at timestamptz not null default now(),
    constraint request_once_pkey primary key (user_id, key)
);
comment on table request_once is 'Answers to requests with an idempotency key. maintain() takes them away after a day.';
create index request_once_age on request_once (created_at);
select pg_catalog.pg_extension_config_dump('request_once', '');

-- The answer that the acting user got to this request under this key; null = do it, then call answered_once() in the same
-- transaction. Whoever asks at the same moment waits for that transaction. Another request under the key is refused.
create function asked_once(key text, request text) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    actor text := acting_user(null);
    before request_once;
begin
    insert into request_once (user_id, key, digest) values (actor, asked_once.key, sha256(convert_to(request, 'UTF8')))
        on conflict on constraint request_once_pkey do nothing;
    if found then
        return null;
    end if;
    select * into before from request_once r where r.user_id = actor and r.key = asked_once.key;
    if before.digest <> sha256(convert_to(request, 'UTF8')) then
        raise exception 'this idempotency key was used for another request' using errcode = 'PF001', hint = 'Make a new key for each request.';
    end if;
    return before.answer;
end
$$;
comment on function asked_once(text, text) is 'The answer to a request that was made before under this key; null = it is the first time.';

create function answered_once(key text, answer jsonb) returns void
    language sql volatile security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
    update request_once r set answer = $2 where r.user_id = acting_user(null) and r.key = $1
$$;
comment on function answered_once(text, jsonb) is 'Keeps the answer to a request for whoever makes it again.';

-- Takes away what is older than a day.
create function prune_requests() returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync, pg_temp
as $$
declare
    pruned bigint;
begin
    delete from request_once r where r.created_at < now() - interval '1 day';
    get diagnostics pruned = row_count;
    return pruned;
end
$$;
