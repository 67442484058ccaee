//! The administrator: rolls jobs back, restores versions, resends and discards dead letters, undoes, stops and continues,
//! while everything else goes on.

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use tokio::time::sleep;
use tokio_postgres::{Client, Error};
use tokio_util::sync::CancellationToken;

use super::editors::{Trouble, session, trouble};

/// Between two actions.
const PAUSE: Duration = Duration::from_millis(150);
const USER: &str = "usr_admin";
const REASON: &str = "drawn by chaos";

/// How often each action was done.
#[derive(Debug, Default)]
pub struct Deeds {
    pub rollbacks: usize,
    pub restores: usize,
    pub resends: usize,
    pub discards: usize,
    pub undone: usize,
    pub stops: usize,
}

/// Acts until stopped; then lets every stopped job go on.
pub async fn administrate(url: String, seed: u64, stop: CancellationToken) -> Result<Deeds> {
    let mut rng = Rng::with_seed(seed);
    let mut deeds = Deeds::default();
    let mut client = None;
    while !stop.is_cancelled() {
        tokio::select! { () = stop.cancelled() => break, () = sleep(PAUSE) => {} }
        if let Err(error) = act(&url, &mut client, &mut rng, &mut deeds).await
            && let Trouble::Again = trouble(error)?
        {
            client = None;
        }
    }
    Ok(deeds)
}

async fn act(url: &str, client: &mut Option<Client>, rng: &mut Rng, deeds: &mut Deeds) -> Result<(), Error> {
    let open = match client.take() {
        Some(open) => open,
        None => session(url).await?,
    };
    let client = client.insert(open);
    match rng.u8(..10) {
        0..=3 => roll_back(client, rng, deeds).await,
        4 => restore(client, rng, deeds).await,
        5 | 6 => resend(client, rng, deeds).await,
        7 => {
            let done = client
                .query("select * from pfa_sync.discard_dead_letters('{\"code\": \"INVALID\"}', $1, null, $2)", &[&REASON, &USER]);
            deeds.discards += usize::from(done.await?[0].get::<_, i64>("discarded") > 0);
            Ok(())
        }
        8 => undo(client, rng, deeds).await,
        _ => stop_and_continue(client, deeds).await,
    }
}

/// A job among the latest that a rollback can undo, rollbacks included.
async fn roll_back(client: &Client, rng: &mut Rng, deeds: &mut Deeds) -> Result<(), Error> {
    let jobs = client
        .query(
            "select job_id from pfa_sync.jobs where 'rollback' = any (inverses) and job_id > (select max(job_id) from pfa_sync.jobs) - 60 order by 1",
            &[],
        )
        .await?;
    if jobs.is_empty() {
        return Ok(());
    }
    let job: i64 = jobs[rng.usize(..jobs.len())].get(0);
    let preview = client.query_one("select * from pfa_sync.rollback_preview($1, null, $2)", &[&job, &USER]).await?;
    if preview.get::<_, i64>("restores") + preview.get::<_, i64>("withdraws") == 0 {
        return Ok(());
    }
    let digest: String = preview.get("digest");
    client.query("select * from pfa_sync.rollback($1, $2, $3, $4)", &[&job, &USER, &REASON, &digest]).await?;
    deeds.rollbacks += 1;
    Ok(())
}

async fn restore(client: &Client, rng: &mut Rng, deeds: &mut Deeds) -> Result<(), Error> {
    let rows = client
        .query(
            r#"select o.code, m."pfaId" from pfa_mirror m join organizations o on o.id = m."organizationId"
                where m.version > 2 and o.code <> 'ARCHIVE' order by m.id limit 50"#,
            &[],
        )
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let row = &rows[rng.usize(..rows.len())];
    let (code, pfa_id): (String, String) = (row.get(0), row.get(1));
    let call = "select * from pfa_sync.restore_version($1, $2, 2, $3, $4)";
    client.query(call, &[&code, &pfa_id, &USER, &REASON]).await?;
    deeds.restores += 1;
    Ok(())
}

async fn resend(client: &Client, rng: &mut Rng, deeds: &mut Deeds) -> Result<(), Error> {
    let stages = rng.bool().then_some(vec![1, 3]);
    let call = "select * from pfa_sync.requeue_dead_letters('{}', user_id => $1, stages => $2)";
    let done = client.query_one(call, &[&USER, &stages]).await?;
    deeds.resends += usize::from(done.get::<_, i64>("requeued") > 0);
    Ok(())
}

async fn undo(client: &Client, rng: &mut Rng, deeds: &mut Deeds) -> Result<(), Error> {
    let jobs = client
        .query(
            "select job_id from pfa_sync.jobs where 'undo' = any (inverses) and job_id > (select max(job_id) from pfa_sync.jobs) - 60 order by 1",
            &[],
        )
        .await?;
    if jobs.is_empty() {
        return Ok(());
    }
    let job: i64 = jobs[rng.usize(..jobs.len())].get(0);
    let done = client.query_one("select * from pfa_sync.undo_job($1, $2, $3)", &[&job, &REASON, &USER]).await?;
    deeds.undone += usize::from(done.get::<_, i64>("undone") > 0);
    Ok(())
}

async fn stop_and_continue(client: &Client, deeds: &mut Deeds) -> Result<(), Error> {
    let call = "select job_id, pfa_sync.stop_job(job_id, $1, $2) from pfa_sync.bulk_jobs where state = 'running'";
    let stopped = client.query(call, &[&REASON, &USER]).await?.len();
    deeds.stops += stopped;
    sleep(PAUSE).await;
    let call = "select pfa_sync.continue_job(job_id, $1) from pfa_sync.bulk_jobs where state = 'stopped'";
    client.query(call, &[&USER]).await?;
    Ok(())
}
