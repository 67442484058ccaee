//! The edits that the demo commits, and what becomes of them.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio_postgres::Client;

use super::{Stack, say};
use testbed::application::EDITOR;

const EDITS: i64 = 1_000;
const SAMPLES: i64 = 3;
/// Longest time for the edits; PEMS' limit alone takes about a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The drafts of the demo.
pub struct Edits {
    count: i64,
    samples: Vec<Sample>,
}

struct Sample {
    code: String,
    pfa_id: String,
    delta: Value,
}

impl Edits {
    /// Drafts edits as the application does: a new price and a later end, on up to 1,000 records that may be edited so.
    pub async fn draft(stack: &Stack) -> Result<Self> {
        let insert = r#"
            with edit as (
                select m.id, m."organizationId", m.version,
                       jsonb_strip_nulls(jsonb_build_object(
                           'monthlyRate', round((m.data->>'monthlyRate')::numeric * 1.03, 2),
                           'purchasePrice', round((m.data->>'purchasePrice')::numeric * 1.03, 2),
                           'forecastEnd', to_char((m.data->>'forecastEnd')::timestamp + interval '30 days', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))) as delta,
                       m.data
                  from pfa_mirror m)
            insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "baseVersion", "changeReason", "updatedAt")
            select 'mod_demo_' || gen_random_uuid(), e.id, e."organizationId", $1, e.delta, 'demo', e.version, 'rates of the new season',
                   now() at time zone 'utc'
              from edit e
             where e.delta <> '{}' and not exists (select from pfa_sync.validate(e.data, e.delta))
             order by e.id limit $2"#;
        let count = stack.client.execute(insert, &[&EDITOR, &EDITS]).await? as i64;
        ensure!(count > 0, "no record of the export can be edited by its rules");
        let select = r#"
            select o.code, r."pfaId", m.delta from pfa_modification m
              join pfa_mirror r on r.id = m."mirrorId" join organizations o on o.id = r."organizationId"
             order by m.id limit $1"#;
        let rows = stack.client.query(select, &[&SAMPLES]).await?;
        let samples = rows.iter().map(|row| Sample { code: row.get(0), pfa_id: row.get(1), delta: row.get(2) }).collect();
        Ok(Self { count, samples })
    }

    /// The samples as PEMS has them now.
    pub async fn samples_in_pems(&self, stack: &Stack) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        for sample in &self.samples {
            records.push(stack.pems_record(&sample.code, &sample.pfa_id).await?);
        }
        Ok(records)
    }

    /// Commits all drafts in one UPDATE, and shows a live line until every one is in PEMS.
    pub async fn commit_and_watch(&self, stack: &Stack) -> Result<()> {
        let update = r#"
            update pfa_modification
               set "syncState" = 'committed', "committedAt" = now() at time zone 'utc', "updatedAt" = now() at time zone 'utc'
             where "userId" = $1 and "syncState" = 'draft'"#;
        let started = Instant::now();
        let committed = stack.client.execute(update, &[&EDITOR]).await?;
        let took = started.elapsed();
        say(&format!("{committed} edits committed in one UPDATE: {} ms, judged and queued", took.as_millis()));

        let committed_at = Instant::now();
        let synced = loop {
            let (synced, ended) = ended(&stack.client).await?;
            let seconds = committed_at.elapsed().as_secs_f64();
            if stdout().is_terminal() {
                print!("\r{synced} of {} in PEMS after {seconds:.1} s ", self.count);
                stdout().flush()?;
            }
            if ended == self.count {
                break synced;
            }
            ensure!(
                committed_at.elapsed() < PATIENCE,
                "only {ended} of {} edits have ended after {seconds:.0} s; see relay.log",
                self.count
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let seconds = committed_at.elapsed().as_secs_f64();
        say(&format!(
            "\r{synced} of {} edits are in PEMS {seconds:.2} s after the commit (its limit alone takes {:.2} s)",
            self.count,
            (self.count as f64 / 100.0).ceil() * 0.105 - 0.105
        ));
        ensure!(
            synced == self.count,
            "{} edits ended otherwise: select * from pfa_sync.conflicts, pfa_sync.dead_letters",
            self.count - synced
        );
        Ok(())
    }

    /// Shows the samples before and after, as PEMS has them.
    pub async fn print_samples(&self, stack: &Stack, before: &[Value]) -> Result<()> {
        let after = self.samples_in_pems(stack).await?;
        say("three records, read back from PEMS:");
        for ((sample, before), after) in self.samples.iter().zip(before).zip(&after) {
            let changes: Vec<String> = sample
                .delta
                .as_object()
                .into_iter()
                .flatten()
                .map(|(field, _)| format!("{field} {} → {}", before[field], after[field]))
                .collect();
            say(&format!(
                "  {} {}: version {} → {}, {}",
                sample.code,
                sample.pfa_id,
                before["version"],
                after["version"],
                changes.join(", ")
            ));
        }
        Ok(())
    }
}

/// Commits one edit on the idle queue and prints how long it takes until PEMS has confirmed it.
pub async fn single_edit(stack: &Stack) -> Result<()> {
    // An idle queue has a slot free: wait until the last request's has passed.
    stack.slot().await?;
    tokio::time::sleep(Duration::from_millis(250)).await;
    let insert = r#"
        insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "sessionId", "baseVersion", "updatedAt")
        select 'mod_demo_single', m.id, m."organizationId", $1, '{"contract": "DEMO"}', 'committed', 'demo', m.version, now() at time zone 'utc'
          from pfa_mirror m where not exists (select from pfa_sync.validate(m.data, '{"contract": "DEMO"}')) order by m.id desc limit 1"#;
    stack.client.execute(insert, &[&EDITOR]).await?;
    let committed_at = Instant::now();
    let state = loop {
        let state: String =
            stack.client.query_one(r#"select "syncState" from pfa_modification where id = 'mod_demo_single'"#, &[]).await?.get(0);
        if !matches!(state.as_str(), "committed" | "syncing") {
            break state;
        }
        ensure!(committed_at.elapsed() < PATIENCE, "the single edit is still {state}; see relay.log");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let took = committed_at.elapsed();
    ensure!(state == "synced", "the single edit ended as {state}");
    say(&format!("one single edit: confirmed by PEMS {:.1} ms after its commit", took.as_secs_f64() * 1_000.0));
    Ok(())
}

/// How many of the demo's edits PEMS has, and how many have ended in whatever way.
async fn ended(client: &Client) -> Result<(i64, i64)> {
    let select = r#"select count(*) filter (where "syncState" = 'synced'), count(*) filter (where "syncState" not in ('committed', 'syncing')) from pfa_modification"#;
    let row = client.query_one(select, &[]).await?;
    Ok((row.get(0), row.get(1)))
}
