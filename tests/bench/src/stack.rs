//! What the benchmarks of the whole path run on: a database with a full mirror, PEMS with the same records, and real relays.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio_postgres::Client;

use super::commit::fill;
use pems_simulator::{Config, Simulator};
use testbed::cluster::{Database, Login, Server, Template};
use testbed::process::Process;
use testbed::stack::{self, stored_record, wait_until, wait_until_drained};

/// Longest that anything may take between two signs of progress.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How fast PEMS takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// 10 a second, as PEMS does.
    Limited,
    /// Without a limit of PEMS, and with the loosest limits of the relay.
    Free,
}

/// The parts, started and stopped together.
pub(super) struct Stack {
    /// A session of the superuser.
    pub client: Client,
    base: stack::Stack,
    relays: Vec<Process>,
    pace: Pace,
    pub database: Database,
}

impl Stack {
    /// Starts everything, with so many records of RIO in the mirror and in PEMS, and waits until the relay is ready.
    pub async fn start(server: &Server, pace: Pace, records: usize) -> Result<Self> {
        let database = Database::create(server, Template::Attached).await?;
        let client = database.client().await?;
        fill(&client, records).await?;
        // A pull would take slots of its own.
        client.batch_execute("select pfa_sync.set('inbound', 'off')").await?;
        let per_second = (pace == Pace::Limited).then_some(10);
        let base = stack::Stack::start(Config { per_second, ..Config::default() }).await?;
        base.pems.load((0..records).map(|id| stored_record("RIO", &format!("{id:05}"))));
        if pace == Pace::Free {
            client.batch_execute("select pfa_sync.set('slot_interval', '1 ms')").await?;
        }
        // The relay's sessions account for the functions they call.
        let account = format!("alter role {} in database {} set track_functions = 'pl'", Login::Relay.name(), database.name());
        client.batch_execute(&account).await?;
        let mut stack = Self { client, base, relays: Vec::new(), pace, database };
        stack.join().await?;
        Ok(stack)
    }

    /// One more relay, and waits until it is ready. How many there are now.
    pub async fn join(&mut self) -> Result<usize> {
        let relay = self.base.relay(&self.database, "run", |command| {
            command
                .args(["--log-level", "warn"])
                .args((self.pace == Pace::Free).then_some(["--requests-per-second", "1000"]).into_iter().flatten());
        })?;
        self.relays.push(relay);
        let relays = self.relays.len();
        let running = format!("select count(*) = {relays} from pfa_sync_private.relay");
        wait_until(&self.database, &running, PATIENCE).await.context("the relay does not start")?;
        Ok(relays)
    }

    /// The simulator.
    pub fn pems(&self) -> &Simulator {
        &self.base.pems
    }

    /// Writes that PEMS has applied so far.
    pub fn written(&self) -> usize {
        self.base.pems.log().iter().map(|request| request.writes.len()).sum()
    }

    /// Waits until PEMS has applied so many writes.
    pub async fn until(&self, written: usize) -> Result<()> {
        let arrived = self.base.pems.wait_for(|log| log.iter().map(|request| request.writes.len()).sum::<usize>() >= written);
        tokio::time::timeout(PATIENCE, arrived).await.context("the edits don't arrive in PEMS")?;
        Ok(())
    }

    /// Waits until the outcomes are recorded too.
    pub async fn drained(&self) -> Result<()> {
        wait_until_drained(&self.database, PATIENCE).await
    }

    /// A figure of the first relay's memory in MiB, by its name in `/proc/<pid>/status`: `VmRSS` now, `VmHWM` at its highest.
    pub fn relay_memory(&self, figure: &str) -> Result<f64> {
        let pid = self.relays[0].id().context("the relay has ended")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("no {figure}"))?;
        Ok(kibibytes.parse::<f64>()? / 1_024.0)
    }

    /// Stops everything; an error unless PEMS granted every request. Seconds that the relay's sessions spent in each of
    /// the functions asked for.
    pub async fn stop<const N: usize>(self, functions: [&str; N]) -> Result<[f64; N]> {
        for relay in self.relays {
            ensure!(relay.stop().await?.success(), "a relay failed");
        }
        ensure!(self.base.pems.log().iter().all(|request| request.status == Some(200)), "PEMS refused a request");
        self.base.pems.stop().await;
        // A session's figures are complete when it has ended.
        let select = "select coalesce(sum(total_time), 0) / 1000 from pg_stat_user_functions where schemaname in ('pfa_sync', 'pfa_sync_private') and funcname = $1";
        let mut seconds = [0.0; N];
        for (seconds, function) in seconds.iter_mut().zip(functions) {
            *seconds = self.client.query_one(select, &[&function]).await?.get(0);
        }
        Ok(seconds)
    }
}
