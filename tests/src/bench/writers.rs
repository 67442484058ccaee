//! Many writers that commit one edit each: what judging costs them, and what waking does.

use std::time::Instant;

use anyhow::Result;
use futures_util::future::try_join_all;
use tokio_postgres::Client;

use super::commit::{draft, fill};
use super::{ROUNDS, Report, Unit};
use crate::cluster::{Database, Server, Template};

const CLIENTS: [usize; 3] = [1, 16, 64];

/// How a commit wakes the relays, as `pfa_sync.wake` says it.
const WAKES: [&str; 3] = ["auto", "notify", "off"];

/// Measures 1,000 edits, each a transaction of its own, over 1, 16 and 64 sessions: without the extension, and with each
/// way of waking, in turns.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let attached = Database::create(server, Template::Attached).await?;
    let plain = Database::create(server, Template::Attached).await?;
    let (with, without) = (attached.client().await?, plain.client().await?);
    // As with a relay: somebody listens.
    let listener = attached.client().await?;
    listener.batch_execute("listen pfa_sync_wake").await?;
    fill(&with).await?;
    fill(&without).await?;
    without.batch_execute("select pfa_sync.detach()").await?;

    for clients in CLIENTS {
        let alone = sessions(&plain, clients).await?;
        let judged = sessions(&attached, clients).await?;
        let (mut bare, mut woken) = (Vec::new(), WAKES.map(|_| Vec::new()));
        // The first round fills caches, starts the doorbell's worker, and is not counted.
        for round in 0..=ROUNDS {
            let rate = commits_per_second(&without, &alone, round).await?;
            if round > 0 {
                bare.push(rate);
            }
            // Each way has each place in the order equally often.
            for turn in 0..WAKES.len() {
                let way = (round + turn) % WAKES.len();
                for session in &judged {
                    session.batch_execute(&format!("set pfa_sync.wake = '{}'", WAKES[way])).await?;
                }
                let rate = commits_per_second(&with, &judged, round).await?;
                if round > 0 {
                    woken[way].push(rate);
                }
            }
        }
        let [doorbell, notify, silent] = woken;
        let of = format!("{clients} writers of single edits");
        report.median(&format!("{of}, without the extension"), &bare, Unit::PerSecond, None);
        report.median(&format!("{of}, judged and queued, doorbell"), &doorbell, Unit::PerSecond, None);
        report.median(&format!("{of}, judged and queued, NOTIFY"), &notify, Unit::PerSecond, None);
        report.median(&format!("{of}, judged and queued, nobody woken"), &silent, Unit::PerSecond, None);
        report.ratio(&format!("{of}, doorbell to nobody woken"), &doorbell, &silent, Some("at least 0.95"));
        report.ratio(&format!("{of}, NOTIFY to nobody woken"), &notify, &silent, None);
    }
    Ok(())
}

async fn sessions(database: &Database, clients: usize) -> Result<Vec<Client>> {
    try_join_all((0..clients).map(|_| database.client())).await
}

/// Drafts 1,000 edits, commits them one by one over all sessions at once, and clears them away.
async fn commits_per_second(owner: &Client, sessions: &[Client], round: usize) -> Result<f64> {
    draft(owner, round).await?;
    let drafts = owner.query(r#"select id from pfa_modification where "syncState" = 'draft' order by id"#, &[]).await?;
    let drafts: Vec<String> = drafts.iter().map(|row| row.get(0)).collect();
    let update = r#"update pfa_modification set "syncState" = 'committed', "updatedAt" = now() at time zone 'utc' where id = $1"#;
    let statements = try_join_all(sessions.iter().map(|session| session.prepare(update))).await?;
    let started = Instant::now();
    try_join_all(sessions.iter().zip(&statements).enumerate().map(|(number, (session, statement))| {
        let own = drafts.iter().skip(number).step_by(sessions.len());
        async move {
            for id in own {
                session.execute(statement, &[id]).await?;
            }
            Ok::<_, tokio_postgres::Error>(())
        }
    }))
    .await?;
    let rate = drafts.len() as f64 / started.elapsed().as_secs_f64();
    owner.batch_execute("delete from pfa_modification").await?;
    owner.batch_execute("vacuum pfa_modification").await?;
    owner.batch_execute("vacuum pfa_sync.pfa_write_queue").await?;
    Ok(rate)
}
