-- The key by which PEMS knows a request that is sent again. Equal keys mean equal requests, also where a database was
-- restored, so that ids and counters begin anew: the seed is random for each commit, and the digest covers everything
-- that the request says.
create function idempotency_key(q pfa_write_queue, modified_by text) returns text
    language sql stable security invoker
    return (q).id || '-' || left(encode(sha256(convert_to(jsonb_build_array(
               (q).idempotency_seed, (q).operation, (q).organization_id, (q).pfa_id, (q).expected_version, (q).request,
               modified_by, (q).reason)::text, 'UTF8')), 'hex'), 32);
