//! What the extension costs the application's UPDATE.

use std::{ops::Range, time::Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{ROUNDS, Report, Unit};
use testbed::application::{Application, EDITOR, RIO, pems_record};
use testbed::cluster::{Database, Server, Template};

const RECORDS: usize = 10_000;
/// Edits of the rounds that are broken down.
const EDITS: Range<usize> = 0..1_000;
/// Records of one page of `ingest`.
const PAGE: usize = 10_000;

/// Measures 1,000 and 10,000 edits in one UPDATE with and without the extension, in turns, and where the difference goes.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let attached = Database::create(server, Template::Attached).await?;
    let with = attached.client().await?;
    fill(&with, RECORDS).await?;
    let plain = Database::create(server, Template::Attached).await?;
    let without = plain.client().await?;
    fill(&without, RECORDS).await?;
    // The same tables with the same rows and columns, but without the extension's triggers.
    without.batch_execute("select pfa_sync.detach()").await?;

    for (edits, name) in [(1_000, "1,000"), (10_000, "10,000")] {
        let (mut judged, mut updated) = (Vec::new(), Vec::new());
        // The first round fills caches on both sides and is not counted.
        for round in 0..=ROUNDS {
            draft(&without, round, 0..edits).await?;
            let alone = commit(&without).await?;
            draft(&with, round, 0..edits).await?;
            let whole = commit(&with).await?;
            if round > 0 {
                updated.push(alone);
                judged.push(whole);
            }
            clear(&with, &without).await?;
        }
        let of = format!("UPDATE of {name} drafts to committed");
        report.median(&format!("{of}, without the extension"), &updated, Unit::Milliseconds, None);
        report.median(&format!("{of}, judged and queued"), &judged, Unit::Milliseconds, None);
        report.ratio(&format!("{of}, judged and queued to without"), &judged, &updated, Some("at most 4"));
    }
    break_down(&with, &without, report).await
}

/// Where the time of a commit goes, by the functions it calls, in rounds of their own since counting costs time too.
async fn break_down(with: &Client, without: &Client, report: &mut Report) -> Result<()> {
    let parts = [
        ("judge_edits", "judging: validation, permissions, merge"),
        ("enqueue_judged", "rows of queue, job and log"),
        ("modification_stamped", "checking and stamping each row"),
        ("enqueue", "all that follows the UPDATE, with the first two"),
    ];
    let mut rounds: [Vec<f64>; 4] = Default::default();
    with.batch_execute("set track_functions = 'all'").await?;
    for round in 0..ROUNDS {
        draft(with, ROUNDS + 1 + round, EDITS).await?;
        with.batch_execute("begin").await?;
        commit(with).await?;
        for (times, (function, _)) in rounds.iter_mut().zip(parts) {
            let select = "select max(total_time) from pg_stat_xact_user_functions where schemaname in ('pfa_sync', 'pfa_sync_private') and funcname = $1";
            times.push(with.query_one(select, &[&function]).await?.get(0));
        }
        with.batch_execute("commit").await?;
        clear(with, without).await?;
    }
    with.batch_execute("reset track_functions").await?;
    for ((_, part), times) in parts.iter().zip(&rounds) {
        report.median(&format!("of 1,000 drafts: {part}"), times, Unit::Milliseconds, None);
    }
    Ok(())
}

/// Fills the mirror of RIO through `ingest`, with records numbered from 0.
pub(super) async fn fill(client: &Client, records: usize) -> Result<()> {
    for first in (0..records).step_by(PAGE) {
        let page: Value = (first..records.min(first + PAGE)).map(|id| pems_record("RIO", &format!("{id:05}"))).collect();
        client.query("select * from pfa_sync.ingest('RIO', $1)", &[&page]).await?;
    }
    client.batch_execute("vacuum analyze").await?;
    Ok(())
}

/// Drafts an edit of three fields on each of a range of records.
pub(super) async fn draft(client: &Client, round: usize, records: Range<usize>) -> Result<()> {
    let delta = json!({"monthlyRate": 1000 + round, "forecastEnd": "2027-03-31T00:00:00.000Z", "model": format!("LTM {round}")});
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "baseVersion", "updatedAt")
        select 'mod_' || $1::text || '_' || "pfaId", id, "organizationId", $2, $3, 'session-1', version, now() at time zone 'utc'
          from pfa_mirror where "organizationId" = $4 and "pfaId"::int >= $5 and "pfaId"::int < $6"#;
    let (first, end) = (i32::try_from(records.start)?, i32::try_from(records.end)?);
    let drafts = client.execute(insert, &[&round.to_string(), &EDITOR, &delta, &RIO, &first, &end]).await?;
    ensure!(drafts == records.len() as u64, "only {drafts} drafts");
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
    with.batch_execute("vacuum pfa_sync_private.pfa_write_queue").await?;
    Ok(())
}

pub(super) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}
