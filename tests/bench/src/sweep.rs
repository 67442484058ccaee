//! What the application's commits wait while `sweep()` queues what no trigger saw, as after a long pause of the extension.

use std::time::Instant;

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use super::commit::{draft, fill, milliseconds};
use super::{Report, Unit};
use testbed::cluster::{Database, Login, Server, Template};

/// Committed edits that no trigger saw.
const UNSEEN: usize = 20_000;
/// Single edits that are committed meanwhile: every other one of a record that is being swept.
const SINGLES: usize = 400;
/// Records that are swept, and further ones.
const RECORDS: usize = UNSEEN + SINGLES;

/// Measures single edits alone, then beside a relay that sweeps.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    fill(&client, RECORDS).await?;
    let drafts = singles(&client, 0).await?;
    let mut alone = Vec::new();
    for id in &drafts {
        alone.push(commit(&client, id).await?);
    }
    client.batch_execute("delete from pfa_modification").await?;
    client.batch_execute("vacuum analyze").await?;

    draft(&client, 1, 0..UNSEEN).await?;
    client
        .batch_execute(
            "set session_replication_role = replica; update pfa_modification set \"syncState\" = 'committed'; \
             reset session_replication_role",
        )
        .await?;
    client.batch_execute("vacuum analyze pfa_modification").await?;
    let drafts = singles(&client, 2).await?;
    let relay = database.client_as(Login::Relay).await?;
    let sweeping = tokio::spawn(async move {
        let started = Instant::now();
        let mut queued = 0;
        loop {
            let rows = relay.query("select queued from pfa_sync.sweep()", &[]).await?;
            if rows.is_empty() {
                return anyhow::Ok((queued, started.elapsed().as_secs_f64()));
            }
            queued += rows.iter().map(|row| row.get::<_, i64>(0)).sum::<i64>();
        }
    });
    let mut beside = Vec::new();
    for id in drafts.iter().cycle().take_while(|_| !sweeping.is_finished()).take(SINGLES) {
        beside.push(commit(&client, id).await?);
    }
    let (queued, seconds) = sweeping.await??;
    ensure!(queued == UNSEEN as i64, "{queued} of {UNSEEN} edits were swept");
    report.single("sweep of 20,000 edits", seconds, Unit::Seconds, None);
    report.percentile("commit of one edit, nothing swept", "max", 1.0, &alone, Unit::Milliseconds, None);
    report.percentile("commit of one edit beside the sweep", "p50", 0.5, &beside, Unit::Milliseconds, None);
    report.percentile("commit of one edit beside the sweep", "max", 1.0, &beside, Unit::Milliseconds, Some("below 100 ms"));
    Ok(())
}

/// Drafts of edits, every other one of a record that is swept.
async fn singles(client: &Client, round: usize) -> Result<Vec<String>> {
    let step = UNSEEN / (SINGLES / 2);
    for number in 0..SINGLES / 2 {
        let (swept, other) = (number * step, UNSEEN + number);
        draft(client, round, swept..swept + 1).await?;
        draft(client, round, other..other + 1).await?;
    }
    let drafts = r#"select id from pfa_modification where "syncState" = 'draft' order by md5(id)"#;
    Ok(client.query(drafts, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn commit(client: &Client, id: &str) -> Result<f64> {
    let update = r#"update pfa_modification set "syncState" = 'committed', "updatedAt" = now() at time zone 'utc' where id = $1"#;
    let update = client.prepare(update).await?;
    let started = Instant::now();
    client.execute(&update, &[&id]).await?;
    Ok(milliseconds(started))
}
