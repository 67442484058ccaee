//! What the extension costs the application's UPDATE.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{ROUNDS, Report, Unit};
use crate::application::{Application, EDITOR, RIO, pems_record};
use crate::cluster::{Database, Server, Template};

const RECORDS: usize = 8_000;
const EDITS: i64 = 1_000;

/// Measures 1,000 edits in one UPDATE with and without the extension, in turns, and where the difference goes.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let attached = Database::create(server, Template::Attached).await?;
    let with = attached.client().await?;
    fill(&with).await?;
    let plain = Database::create(server, Template::Attached).await?;
    let without = plain.client().await?;
    fill(&without).await?;
    // The same tables with the same rows and columns, but nobody listens.
    without.batch_execute("select pfa_sync.detach()").await?;

    let (mut judged, mut updated, mut judging) = (Vec::new(), Vec::new(), Vec::new());
    // The first round fills caches on both sides and is not counted.
    for round in 0..=ROUNDS {
        draft(&without, round).await?;
        let alone = commit(&without).await?;
        draft(&with, round).await?;
        let judge_started = Instant::now();
        let select = r#"select count(*) from pfa_sync.judge_modifications(array(select id from pfa_modification where "syncState" = 'draft'))"#;
        with.query_one(select, &[]).await?;
        let judge = milliseconds(judge_started);
        let whole = commit(&with).await?;
        if round > 0 {
            updated.push(alone);
            judged.push(whole);
            judging.push(judge);
        }
        clear(&with, &without).await?;
    }
    report.median("UPDATE of 1,000 drafts to committed, without the extension", &updated, Unit::Milliseconds, None);
    report.median("the same, judged and queued", &judged, Unit::Milliseconds, None);
    report.ratio("judged and queued, to without", &judged, &updated, Some("at most 6"));
    report.median("of that: judging (validation, permissions, merge)", &judging, Unit::Milliseconds, None);
    Ok(())
}

/// Fills the mirror of RIO through `ingest`.
pub(super) async fn fill(client: &Client) -> Result<()> {
    let records: Value = (0..RECORDS).map(|id| pems_record("RIO", &format!("{id:05}"))).collect();
    client.query("select * from pfa_sync.ingest('RIO', $1)", &[&records]).await?;
    client.batch_execute("vacuum analyze").await?;
    Ok(())
}

/// Drafts an edit of three fields on each of 1,000 records.
pub(super) async fn draft(client: &Client, round: usize) -> Result<()> {
    let delta = json!({"monthlyRate": 1000 + round, "forecastEnd": "2027-03-31T00:00:00.000Z", "model": format!("LTM {round}")});
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "baseVersion", "updatedAt")
        select 'mod_' || $1::text || '_' || "pfaId", id, "organizationId", $2, $3, 'session-1', version, now() at time zone 'utc'
          from pfa_mirror where "organizationId" = $4 order by "pfaId" limit $5"#;
    let drafts = client.execute(insert, &[&round.to_string(), &EDITOR, &delta, &RIO, &EDITS]).await?;
    ensure!(drafts == EDITS as u64, "only {drafts} drafts");
    Ok(())
}

async fn commit(client: &Client) -> Result<f64> {
    let started = Instant::now();
    Application::new(client).commit(EDITOR, RIO).await?;
    Ok(milliseconds(started))
}

async fn clear(with: &Client, without: &Client) -> Result<()> {
    let delete = "delete from pfa_modification; vacuum pfa_modification";
    for statement in delete.split("; ") {
        with.batch_execute(statement).await?;
        without.batch_execute(statement).await?;
    }
    with.batch_execute("vacuum pfa_sync.pfa_write_queue").await?;
    Ok(())
}

pub(super) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}
