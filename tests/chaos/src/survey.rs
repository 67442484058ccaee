//! Collects the facts of a run from the database and from PEMS.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio_postgres::{Client, Row};

use super::facts::{EditOutcome, Ended, Facts, Fields, Key};
use super::plan::{ORGANIZATIONS, RESTORED};
use super::stack::SLOT_INTERVAL;
use pems_simulator::Simulator;

/// How often the two clocks are compared; the quickest comparison counts.
const COMPARISONS: usize = 50;

/// Fields of rollbacks whose base, the value that they replace, is not one that the job they undo has written. A change
/// whose request was not answered while others wrote loses its base: it ends only if PEMS has its values already.
const OVERRULED: &str = "
    select format('queue %s, record %s, a rollback of job %s, replaced %s = %s', u.id, u.pfa_id, j.origin_job_id, f.key, u.base->f.key)
      from pfa_sync_private.pfa_write_queue_archive u
      join pfa_sync_private.sync_job j on j.job_id = u.job_id and j.kind = 'rollback' and j.origin_job_id is not null
     cross join lateral jsonb_each(u.payload) f
     where u.status = 'completed' and u.base is not null
       and not exists (select from pfa_sync_private.pfa_write_queue_archive o
                        where o.job_id = j.origin_job_id and o.mirror_id = u.mirror_id and o.status = 'completed'
                          and o.request->f.key = u.base->f.key)";

/// Fills in the facts of the database and of PEMS. Edits, and the mirror before the last pull, are filled in already.
pub async fn complete(facts: &mut Facts, client: &Client, pems: &Simulator) -> Result<()> {
    let text = |row: &Row, column: usize| row.get::<_, String>(column);
    let states = client.query(r#"select id, "syncState" from pfa_modification"#, &[]).await?;
    facts.states = states.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    let live = client.query("select modification_id from pfa_sync_private.pfa_write_queue", &[]).await?;
    facts.live = live.iter().map(|row| text(row, 0)).collect();
    let archive = r#"select a.id, a.modification_id, o.code, a.pfa_id, a.status, a.payload,
                            coalesce(case when m.version = a.base_version then m.data end,
                                     (select h.data from pfa_mirror_history h
                                       where h."mirrorId" = a.mirror_id and h.version = a.base_version order by h."archivedAt" desc limit 1)),
                            a.accepted
                       from pfa_sync_private.pfa_write_queue_archive a
                       join organizations o on o.id = a.organization_id
                       left join pfa_mirror m on m.id = a.mirror_id"#;
    facts.ended = client.query(archive, &[]).await?.iter().map(|row| (row.get(0), ended(row))).collect();
    let dead = client.query("select queue_id from pfa_sync_private.pfa_write_queue_dlq", &[]).await?;
    facts.dead_letters = dead.iter().map(|row| row.get(0)).collect();
    let conflicts = "select modification_id, status = 'unresolved' from pfa_sync_private.pfa_sync_conflict where status = 'unresolved' or resolution is not null";
    for row in client.query(conflicts, &[]).await? {
        if row.get(1) {
            facts.open_conflicts.push(row.get(0));
        } else {
            facts.resolved.insert(row.get(0));
        }
    }
    let attempts = "select queue_id, count(*) from pfa_sync_private.pfa_audit_log where event_type = 'WRITE_ATTEMPT' group by 1";
    facts.attempts = client.query(attempts, &[]).await?.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as usize)).collect();
    let withdrawn = "select distinct modification_id from pfa_sync_private.pfa_audit_log where event_type = 'WITHDRAWN'";
    facts.withdrawn = client.query(withdrawn, &[]).await?.iter().map(|row| text(row, 0)).collect();
    let synced = "select queue_id from pfa_sync_private.pfa_audit_log where event_type = 'SYNCED' and queue_id is not null";
    facts.synced = client.query(synced, &[]).await?.iter().map(|row| row.get(0)).collect();
    let broken = client.query("select concat_ws(', ', invariant, object, detail) from pfa_sync.check()", &[]).await?;
    facts.broken = broken.iter().map(|row| text(row, 0)).collect();
    facts.pulled = mirror(client).await?;
    facts.pems = records(pems);
    facts.restored = records_of(pems, RESTORED.1).collect();
    // What a rollback made is a committed change like any other.
    let made = "select i.modification_id from pfa_sync_private.bulk_item i join pfa_sync.jobs j using (job_id) \
                 where j.kind = 'rollback' and i.modification_id is not null";
    for row in client.query(made, &[]).await? {
        facts.edits.entry(text(&row, 0)).or_insert(EditOutcome::Committed);
    }
    facts.overruled = client.query(OVERRULED, &[]).await?.iter().map(|row| text(row, 0)).collect();
    let verdicts = "select format('queue %s, %s: %s', queue_id, code, error) from pfa_sync_private.pfa_write_queue_dlq \
                     where code not in ('INVALID', 'FORBIDDEN') order by queue_id";
    facts.verdicts = client.query(verdicts, &[]).await?.iter().map(|row| text(row, 0)).collect();
    facts.log = pems.log();
    let began = began(client, pems).await?;
    let slots = client.query("select 1000 * extract(epoch from at)::double precision from chaos.slot order by 1", &[]).await?;
    facts.slots = slots.iter().map(|row| row.get::<_, f64>(0) - began).collect();
    facts.slot_interval = SLOT_INTERVAL;
    Ok(())
}

/// The mirror as it is now.
pub async fn mirror(client: &Client) -> Result<BTreeMap<Key, Fields>> {
    let select = r#"select o.code, m."pfaId", m.data from pfa_mirror m join organizations o on o.id = m."organizationId""#;
    Ok(client
        .query(select, &[])
        .await?
        .iter()
        .map(|row| ((row.get(0), row.get(1)), fields(row.get(2)).unwrap_or_default()))
        .collect())
}

/// PEMS' records as they are now.
pub fn records(pems: &Simulator) -> BTreeMap<Key, Fields> {
    ORGANIZATIONS.iter().flat_map(|(_, code)| records_of(pems, code)).collect()
}

fn records_of(pems: &Simulator, code: &str) -> impl Iterator<Item = (Key, Fields)> {
    pems.records(code).into_iter().map(move |record| {
        let pfa_id = record["pfaId"].as_str().unwrap_or_default().to_owned();
        ((code.to_owned(), pfa_id), fields(Some(record)).unwrap_or_default())
    })
}

fn ended(row: &Row) -> Ended {
    Ended {
        modification: row.get(1),
        key: (row.get(2), row.get(3)),
        status: row.get(4),
        payload: fields(row.get(5)).unwrap_or_default(),
        saw: fields(row.get(6)),
        accepted: fields(row.get(7)),
    }
}

fn fields(value: Option<Value>) -> Option<Fields> {
    match value {
        Some(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

/// When PEMS' log began, in milliseconds of the database's clock.
async fn began(client: &Client, pems: &Simulator) -> Result<f64> {
    let mut best = (Duration::MAX, 0.0);
    for _ in 0..COMPARISONS {
        let before = pems.elapsed();
        let now: f64 =
            client.query_one("select 1000 * extract(epoch from clock_timestamp())::double precision", &[]).await?.get(0);
        let took = pems.elapsed() - before;
        if took < best.0 {
            best = (took, now - (before + took / 2).as_secs_f64() * 1_000.0);
        }
    }
    Ok(best.1)
}
