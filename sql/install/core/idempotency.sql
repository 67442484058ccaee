-- Idempotency: a request that is repeated under one key is carried out once, for programs that did not get the answer.

create table idempotent_request (
    user_id    text        not null,
    key        text        not null,
    digest     bytea       not null,
    answer     jsonb,
    rights     text[],
    created_at timestamptz not null default now(),
    constraint idempotent_request_pkey primary key (user_id, key)
);
comment on table idempotent_request is
    'Answers to requests with an idempotency key. maintain() deletes them after a day.';
comment on column idempotent_request.rights is
    'what the user was permitted when the answer was made: it is shown as long as the user is permitted all of that';
create index idempotent_request_age on idempotent_request (created_at);
select pg_catalog.pg_extension_config_dump('idempotent_request', '');

-- The answer that the acting user got to this request under this key; null = carry it out, then call
-- finish_idempotent() in the same transaction. The same request at the same moment waits for that transaction. Another
-- request under the key is refused.
create function pfa_sync.begin_idempotent(key text, request text) returns jsonb
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
declare
    actor  text := acting_user(null);
    digest bytea := sha256(convert_to(request, 'UTF8'));
    before idempotent_request;
begin
    perform require_given('key', key), require_given('request', request);
    perform require_text('key', key, 255);
    insert into idempotent_request as r (user_id, key, digest) values (actor, begin_idempotent.key, digest)
        on conflict on constraint idempotent_request_pkey do nothing;
    if found then
        return null;
    end if;
    select * into before from idempotent_request r where r.user_id = actor and r.key = begin_idempotent.key;
    if before.digest <> digest then
        raise exception 'this idempotency key was used for another request'
            using errcode = 'PF001', hint = 'Make a new key for each request.';
    end if;
    if not before.rights <@ rights_of(actor) then
        raise exception 'the request was carried out, but user % has lost permissions since: its answer is not shown',
                        actor using errcode = 'PF002', hint = 'Ask for the state of the records.';
    end if;
    return before.answer;
end
$$;
comment on function pfa_sync.begin_idempotent(text, text) is
    'API: begins a request under an idempotency key of the acting user. Returns the stored answer of the same '
    'request; null: it is new, and finish_idempotent() must follow in the same transaction. Waits for a '
    'transaction that is carrying out the same request. PF001: the key was used for another request; PF002: the '
    'user has lost permissions since the answer was made.';

create function pfa_sync.finish_idempotent(key text, answer jsonb) returns void
    language sql volatile security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
    set row_security = off
as $$
    update idempotent_request r
       set answer = $2, rights = rights_of(r.user_id)
     where r.user_id = acting_user(null) and r.key = $1
$$;
comment on function pfa_sync.finish_idempotent(text, jsonb) is
    'API: stores the answer of a request under its idempotency key. It is kept for a day.';

-- Everything that a user is permitted, each as the permission and the organization.
create function rights_of(user_id text) returns text[]
    language plpgsql stable security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
begin
    perform ensure_bound();
    return array(
        select p.permission || ' in ' || o.organization_id
          from organization o
         cross join lateral unnest(permissions_of(rights_of.user_id, o.organization_id)) p (permission));
end
$$;

-- Deletes what is older than a day; how many.
create function prune_idempotent_requests() returns bigint
    language plpgsql security definer set search_path = pg_catalog, pfa_sync_private, pfa_sync, pg_temp
as $$
declare
    pruned bigint;
begin
    delete from idempotent_request r where r.created_at < now() - interval '1 day';
    get diagnostics pruned = row_count;
    return pruned;
end
$$;
