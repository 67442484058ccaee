//! Many writers that commit one edit each: what judging costs them, and what waking the relay does.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use deadpool_postgres::{Pool, PoolConfig};
use futures_util::future::try_join_all;
use tokio_postgres::{Client, NoTls, Statement};

use super::commit::{draft, fill, milliseconds};
use super::{ROUNDS, Report, Unit};
use testbed::cluster::{Database, Server, Template};

/// Edits of a round.
const EDITS: usize = 1_000;

/// Edits that each session commits before a round, which are not counted: the vacuum between rounds makes PostgreSQL plan
/// the statements of every session anew.
const WARM_UP: usize = 2;

/// Records, more than any round edits.
const RECORDS: usize = 2_000;

/// Callers that share a pool, each with one edit.
const CALLERS: usize = 1_000;

/// Sessions that are opened for two edits.
const NEW_SESSIONS: usize = 20;

const CLIENTS: [usize; 3] = [1, 16, 64];

/// Connections of that pool.
const POOL: usize = 16;

/// How a commit wakes the relays, as `pfa_sync.wake` says it.
const WAKES: [&str; 3] = ["auto", "notify", "off"];

const UPDATE: &str =
    r#"update pfa_modification set "syncState" = 'committed', "updatedAt" = now() at time zone 'utc' where id = $1"#;

/// Measures 1,000 edits, each a transaction of its own, over 1, 16 and 64 sessions: without the extension and with each way of
/// waking, in turns; then the first commits of new sessions, and 1,000 callers at once.
pub async fn run(server: &Server, report: &mut Report, progress: &impl Fn(&str)) -> Result<()> {
    let attached = Database::create(server, Template::Attached).await?;
    let plain = Database::create(server, Template::Attached).await?;
    let (with, without) = (attached.client().await?, plain.client().await?);
    fill(&with, RECORDS).await?;
    fill(&without, RECORDS).await?;
    without.batch_execute("select pfa_sync.detach()").await?;
    // A session listens, as a relay does.
    let listener = attached.client().await?;
    listener.batch_execute("listen pfa_sync_wake").await?;

    for clients in CLIENTS {
        progress(&format!("{clients} sessions"));
        let alone = sessions(&plain, clients).await?;
        let judged = sessions(&attached, clients).await?;
        let (mut bare, mut woken, mut counted) = (Vec::new(), WAKES.map(|_| Vec::new()), Vec::new());
        // The first round fills caches, starts the doorbell's worker, and is not counted.
        for round in 0..=ROUNDS {
            let rate = commits_per_second(&without, &alone, round).await?;
            if round > 0 {
                bare.push(rate);
            }
            // Each way has each place in the order about equally often.
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
            for session in &judged {
                session.batch_execute("set pfa_sync.wake = 'auto'").await?;
            }
            let counting = tokio::spawn(count_each_second(attached.client().await?));
            let rate = commits_per_second(&with, &judged, round).await?;
            counting.abort();
            if round > 0 {
                counted.push(rate);
            }
        }
        let [doorbell, notify, silent] = woken;
        let of = format!("single edits by {clients} sessions");
        report.median(&format!("{of}, without the extension"), &bare, Unit::PerSecond, None);
        report.median(&format!("{of}, judged and queued, doorbell"), &doorbell, Unit::PerSecond, None);
        report.median(&format!("{of}, judged and queued, NOTIFY"), &notify, Unit::PerSecond, None);
        report.median(&format!("{of}, judged and queued, no wake-up"), &silent, Unit::PerSecond, None);
        report.ratio(&format!("{of}, without the extension to doorbell"), &bare, &doorbell, Some("at most 5"));
        report.ratio(&format!("{of}, doorbell to no wake-up"), &doorbell, &silent, Some("at least 0.95"));
        report.ratio(&format!("{of}, NOTIFY to no wake-up"), &notify, &silent, None);
        report.ratio(
            &format!("{of}, while the log is counted each second, to doorbell"),
            &counted,
            &doorbell,
            Some("at least 0.97"),
        );
    }
    progress("new sessions");
    new_sessions(&attached, &with, report).await?;
    progress("1,000 callers of a pool");
    callers_of_a_pool(&attached, &with, report).await
}

/// What an application pays that opens a connection for each edit: PostgreSQL reads and plans every statement again.
async fn new_sessions(database: &Database, owner: &Client, report: &mut Report) -> Result<()> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let drafts = drafts(owner, 0, 2 * NEW_SESSIONS).await?;
    for pair in drafts.chunks(2) {
        let session = database.client().await?;
        let update = session.prepare(UPDATE).await?;
        for (id, times) in pair.iter().zip([&mut first, &mut second]) {
            let started = Instant::now();
            session.execute(&update, &[id]).await?;
            times.push(milliseconds(started));
        }
    }
    clear(owner).await?;
    report.median("first edit of a new session", &first, Unit::Milliseconds, None);
    report.median("its second edit", &second, Unit::Milliseconds, None);
    Ok(())
}

/// As an application's requests do, 1,000 callers share a pool: all but 16 wait for a connection, and all commit.
async fn callers_of_a_pool(database: &Database, owner: &Client, report: &mut Report) -> Result<()> {
    let mut config = deadpool_postgres::Config::new();
    config.url = Some(database.url());
    config.pool = Some(PoolConfig::new(POOL));
    let pool = config.create_pool(None, NoTls)?;
    let mut seconds = Vec::new();
    for round in 0..=ROUNDS {
        let drafts = drafts(owner, round, CALLERS).await?;
        let started = Instant::now();
        try_join_all(drafts.iter().map(|id| commit_by(&pool, id))).await?;
        if round > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
        let queued: i64 = owner.query_one("select count(*) from pfa_sync.queue", &[]).await?.get(0);
        ensure!(queued == CALLERS as i64, "{queued} of {CALLERS} edits are queued");
        clear(owner).await?;
    }
    report.median("1,000 callers at once over a pool of 16 connections, until all have committed", &seconds, Unit::Seconds, None);
    Ok(())
}

/// What relays do beside claiming, as often as no relay does it: figures and notifications are made from the log.
async fn count_each_second(session: Client) -> Result<(), tokio_postgres::Error> {
    loop {
        session
            .batch_execute("select pfa_sync.maintain(); select pfa_sync.notify_users(); select pfa_sync.evaluate_alerts()")
            .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn commit_by(pool: &Pool, id: &str) -> Result<()> {
    let session = pool.get().await?;
    let update = session.prepare_cached(UPDATE).await?;
    ensure!(session.execute(&update, &[&id]).await? == 1, "draft {id} is not there");
    Ok(())
}

async fn sessions(database: &Database, clients: usize) -> Result<Vec<Client>> {
    try_join_all((0..clients).map(|_| database.client())).await
}

/// Commits 1,000 drafts one by one over all sessions at once, and clears them away.
async fn commits_per_second(owner: &Client, sessions: &[Client], round: usize) -> Result<f64> {
    let drafts = drafts(owner, round, EDITS + WARM_UP * sessions.len()).await?;
    let (warm_up, drafts) = drafts.split_at(WARM_UP * sessions.len());
    let statements = try_join_all(sessions.iter().map(|session| session.prepare(UPDATE))).await?;
    commit(sessions, &statements, warm_up).await?;
    let started = Instant::now();
    commit(sessions, &statements, drafts).await?;
    let rate = EDITS as f64 / started.elapsed().as_secs_f64();
    clear(owner).await?;
    Ok(rate)
}

/// Commits drafts one by one, each session every so many-th of them.
async fn commit(sessions: &[Client], statements: &[Statement], drafts: &[String]) -> Result<()> {
    try_join_all(sessions.iter().zip(statements).enumerate().map(|(number, (session, statement))| {
        let own = drafts.iter().skip(number).step_by(sessions.len());
        async move {
            for id in own {
                session.execute(statement, &[id]).await?;
            }
            Ok::<_, tokio_postgres::Error>(())
        }
    }))
    .await?;
    Ok(())
}

/// Saves drafts; their ids.
async fn drafts(owner: &Client, round: usize, edits: usize) -> Result<Vec<String>> {
    draft(owner, round, 0..edits).await?;
    let rows = owner.query(r#"select id from pfa_modification where "syncState" = 'draft' order by id"#, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn clear(owner: &Client) -> Result<()> {
    owner.batch_execute("delete from pfa_modification").await?;
    owner.batch_execute("vacuum pfa_modification").await?;
    owner.batch_execute("vacuum pfa_sync_private.pfa_write_queue").await?;
    Ok(())
}
