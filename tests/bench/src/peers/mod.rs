//! Other queues in Postgres beside that of pfa-sync, with the same job: take in the edits of the application's UPDATE in its
//! transaction, hand them over in batches of 100, and mark them done.
//!
//! Nothing is sent anywhere: what is measured is the queues. Each works over one session, the worker of graphile_worker
//! over one more that listens. `docs/PERFORMANCE.md` says what each guarantees.

mod graphile;
mod ours;
mod pgmq;
mod plain;

use std::time::Instant;

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use self::{graphile::Graphile, ours::Ours, pgmq::Pgmq, plain::Plain};
use super::commit::{draft, fill, milliseconds};
use super::{Report, Unit};
use testbed::cluster::{Database, Server, Template};

const ROUNDS: usize = 5;
const RECORDS: usize = 8_000;
/// Drafts of one UPDATE.
const EDITS: usize = 1_000;
/// UPDATEs of a round.
const UPDATES: usize = 5;
/// Edits handed over at once.
const BATCH: i32 = 100;
/// What every statement that enqueues begins with: the application's UPDATE, and what it committed.
const UPDATE: &str = r#"with committed as (
    update pfa_modification set "syncState" = 'committed', "committedAt" = now() at time zone 'utc', "updatedAt" = now() at time zone 'utc'
     where "organizationId" = 'org_RIO_173' and "userId" = 'usr_editor' and "syncState" = 'draft'
    returning id, delta)"#;

/// A queue with a database of its own.
trait Queue {
    /// The application's session.
    fn application(&self) -> &Client;
    /// Commits all drafts in one UPDATE, which puts them into the queue.
    async fn commit(&self) -> Result<()>;
    /// Hands over and marks done all there is; the seconds it took.
    async fn drain(&self) -> Result<f64>;
    /// Whether edits are left that are not done.
    async fn is_empty(&self) -> Result<bool>;
}

/// What was measured of a queue, round by round.
#[derive(Default)]
struct Figures {
    /// One UPDATE of 1,000 drafts, in milliseconds; the median of each round.
    commits: Vec<f64>,
    /// Edits done in a second.
    rates: Vec<f64>,
    /// Write-ahead log of an edit, from its UPDATE until it is done, in kB.
    wal: Vec<f64>,
    /// Row versions that an edit leaves behind, those of the application's UPDATE included.
    dead: Vec<f64>,
}

/// The counters of a database.
struct Counters {
    wal: f64,
    dead: f64,
}

impl Counters {
    /// As they are once the sessions of this database have reported.
    async fn read(client: &Client) -> Result<Self> {
        client.batch_execute("select pg_stat_force_next_flush()").await?;
        let query = "select (pg_current_wal_insert_lsn() - '0/0')::float8, \
                            (select sum(n_tup_upd + n_tup_del)::float8 from pg_stat_user_tables)";
        let row = client.query_one(query, &[]).await?;
        Ok(Self { wal: row.get(0), dead: row.get(1) })
    }
}

/// Measures all queues in turns.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let ours = Ours::create(server).await?;
    let (pgmq, graphile, plain) = (Pgmq::create(server).await?, Graphile::create(server).await?, Plain::create(server).await?);
    let mut figures: [Figures; 4] = Default::default();
    // The first round fills caches and is not counted.
    for number in 0..=ROUNDS {
        let [ours_figures, pgmq_figures, graphile_figures, plain_figures] = &mut figures;
        round(&ours, number, ours_figures).await?;
        round(&pgmq, number, pgmq_figures).await?;
        round(&graphile, number, graphile_figures).await?;
        round(&plain, number, plain_figures).await?;
    }
    let names = ["pfa-sync", "pgmq", "graphile_worker", "a plain SKIP LOCKED table"];
    for (name, figures) in names.iter().zip(&figures) {
        report.median(&format!("UPDATE of 1,000 drafts, taken in by {name}"), &figures.commits, Unit::Milliseconds, None);
        report.median(&format!("edits handed over by 100 and done: {name}"), &figures.rates, Unit::PerSecond, None);
        report.median(&format!("write-ahead log of an edit: {name}"), &figures.wal, Unit::Kilobytes, None);
        report.median(&format!("dead row versions of an edit: {name}"), &figures.dead, Unit::Count, None);
    }
    let [ours, peers @ ..] = &figures;
    for (name, peer) in names[1..].iter().zip(peers) {
        report.ratio(&format!("time of the UPDATE, pfa-sync to {name}"), &ours.commits, &peer.commits, None);
        report.ratio(&format!("edits done in a second, pfa-sync to {name}"), &ours.rates, &peer.rates, None);
    }
    Ok(())
}

async fn round(queue: &impl Queue, number: usize, figures: &mut Figures) -> Result<()> {
    let client = queue.application();
    client.batch_execute("vacuum analyze").await?;
    client.batch_execute("checkpoint").await?;
    let (mut commits, mut wal) = (Vec::new(), 0.0);
    let before = Counters::read(client).await?;
    for first in (0..UPDATES * EDITS).step_by(EDITS) {
        draft(client, number, first..first + EDITS).await?;
        let drafted = Counters::read(client).await?;
        let started = Instant::now();
        queue.commit().await?;
        commits.push(milliseconds(started));
        wal += Counters::read(client).await?.wal - drafted.wal;
    }
    let committed = Counters::read(client).await?;
    let seconds = queue.drain().await?;
    ensure!(queue.is_empty().await?, "edits are left in the queue");
    let done = Counters::read(client).await?;
    wal += done.wal - committed.wal;
    if number > 0 {
        let edits = (UPDATES * EDITS) as f64;
        figures.wal.push(wal / edits / 1_000.0);
        figures.dead.push((done.dead - before.dead) / edits);
        commits.sort_by(f64::total_cmp);
        figures.commits.push(commits[UPDATES / 2]);
        figures.rates.push((UPDATES * EDITS) as f64 / seconds);
    }
    Ok(())
}

/// A database with the application's tables and a full mirror, and a session of the application.
async fn database(server: &Server) -> Result<(Database, Client)> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    fill(&client, RECORDS).await?;
    Ok((database, client))
}

/// The same, without pfa-sync.
async fn database_of_peer(server: &Server) -> Result<(Database, Client)> {
    let (database, client) = database(server).await?;
    client.batch_execute("select pfa_sync.detach()").await?;
    Ok((database, client))
}
