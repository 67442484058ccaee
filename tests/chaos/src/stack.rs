//! The parts of a chaos run: a Postgres that may crash, PEMS, and relays that may be killed.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::plan::{ORGANIZATIONS, RECORDS, RESTORED, RESTORED_RECORDS, key};
use pems_simulator::export::Record;
use pems_simulator::{Config, Simulator};
use testbed::cluster::{Cluster, Database, Login, Options, Shutdown, Template};
use testbed::process::Process;
use testbed::proxy::Proxy;
use testbed::stack::{self, stored_record, wait_until_drained};

/// PEMS admits ten times as much as the real one, and the slots are ten times as close, so that minutes do for hours.
const PER_SECOND: usize = 100;
/// Between two slots, in milliseconds.
pub const SLOT_INTERVAL: f64 = 10.5;
/// Longer than PEMS ever takes, as in production.
const REQUEST_TIMEOUT: &str = "6 s";
/// Shorter than PEMS may take: who stops a relay does not always wait for its last request.
const DRAIN_TIMEOUT: &str = "3 s";

/// Set-up beside the sample: a third organization with its users, short waits, and a table of all granted slots.
const SET_UP: &str = r#"
    insert into organizations (id, code, name, "updatedAt") values ('org_DEPOT_1', 'DEPOT', 'Depot', now() at time zone 'utc'),
        ('org_ARCHIVE_1', 'ARCHIVE', 'Archive', now() at time zone 'utc');
    insert into user_organizations (id, "userId", "organizationId", role, "perm_EditForecast", "perm_EditActuals", "perm_Delete",
                                    "perm_SaveDraft", "perm_Sync", "modifiedAt")
    select 'mbr_' || u || '_' || o.id, u, o.id, 'editor', true, true, true, true, true, now()
      from organizations o, unnest(array['usr_editor', 'usr_second', 'usr_planner']) u
    on conflict ("userId", "organizationId") do update set "perm_EditActuals" = true, "perm_Delete" = true;
    select pfa_sync.resume();
    select pfa_sync.set('slot_interval', '10.5 ms'), pfa_sync.set('retry_delay', '100 ms'), pfa_sync.set('retry_delay_max', '1 s'),
           pfa_sync.set('lease', '2 s'), pfa_sync.set('poll', '1 s'), pfa_sync.set('pull_interval', '2 s'),
           pfa_sync.set('breaker_delay', '100 ms'), pfa_sync.set('breaker_delay_max', '1 s');
    create schema chaos;
    create table chaos.slot (at timestamptz not null);
    -- Only grant_slots grants; a 429 moves the next slot out and grants none.
    create function chaos.granted() returns trigger language plpgsql security definer as $$
    declare
        callers text;
    begin
        get diagnostics callers = pg_context;
        if callers like '%grant_slots(%' then
            insert into chaos.slot values (new.next_slot - interval '10.5 ms');
        end if;
        return null;
    end $$;
    create trigger granted after update on pfa_sync_private.pems for each row
        when (old.next_slot is distinct from new.next_slot) execute function chaos.granted();
"#;

/// All parts of a run.
pub struct Stack {
    base: stack::Stack,
    network: Proxy,
    database: Database,
    cluster: Cluster,
    logs: TempDir,
    /// When connections went silent last, by Postgres' clock: it can't know, and keeps their sessions.
    silenced: Arc<Mutex<Option<SystemTime>>>,
    /// Relays that were started.
    started: AtomicUsize,
}

impl Stack {
    /// Starts Postgres and PEMS, both with the same records, and the network between Postgres and the relays; no relay yet.
    pub async fn start() -> Result<Self> {
        let cluster = tokio::task::block_in_place(|| Cluster::start(&Options::default()))?;
        cluster.server().build_templates().await?;
        let database = Database::create(cluster.server(), Template::Attached).await?;
        let client = database.client().await?;
        client.batch_execute(SET_UP).await?;
        let organizations = ORGANIZATIONS.iter().chain([&RESTORED]).map(|(_, code)| (*code).to_owned()).collect();
        let base = stack::Stack::start(Config { organizations, per_second: Some(PER_SECOND), ..Config::default() }).await?;
        base.pems.load((0..RECORDS).map(stored));
        base.pems.load((0..RESTORED_RECORDS).map(|record| stored_record(RESTORED.1, &restored_id(record))));
        base.pems.back_up(RESTORED.1);
        for (_, code) in ORGANIZATIONS.into_iter().chain([RESTORED]) {
            client.query("select * from pfa_sync.ingest($1, $2)", &[&code, &json!(base.pems.records(code))]).await?;
        }
        let network = Proxy::start(cluster.server().port()).await?;
        let silenced = Arc::default();
        Ok(Self { base, network, database, cluster, logs: TempDir::new()?, silenced, started: AtomicUsize::new(0) })
    }

    /// Starts a relay that logs to a file of this name.
    pub fn relay(&self, name: &str, subcommand: &str) -> Result<Process> {
        let url = self.database.url_as(Login::Relay);
        let url = url.replace(&format!(":{}/", self.database.server().port()), &format!(":{}/", self.network.port()));
        // Sessions are counted for each process.
        let process = format!("{name}-{}", self.started.fetch_add(1, Ordering::Relaxed));
        let url = format!("{url}{}application_name={process}", if url.contains('?') { '&' } else { '?' });
        let log = File::options().create(true).append(true).open(self.logs.path().join(format!("{name}.log")))?;
        self.base.relay(&self.database, subcommand, |command| {
            command
                .args(["--name", name, "--connect-timeout", "1 s", "--drain-timeout", DRAIN_TIMEOUT])
                .args(["--request-timeout", REQUEST_TIMEOUT, "--requests-per-second", &PER_SECOND.to_string()])
                .env("DATABASE_URL", url)
                .stderr(log);
        })
    }

    /// The simulator.
    pub fn pems(&self) -> &Simulator {
        &self.base.pems
    }

    /// Crashes Postgres and starts it again.
    pub fn crash(&mut self) -> Result<()> {
        tokio::task::block_in_place(|| {
            self.cluster.halt(Shutdown::Immediate)?;
            self.cluster.launch()
        })
    }

    /// Ends every connection of the relays.
    pub async fn cut(&self) -> Result<()> {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'login_relay'";
        self.client().await?.batch_execute(cut).await?;
        Ok(())
    }

    /// The relays' connections to Postgres go silent: neither end is notified.
    pub async fn silence(&self) -> Result<()> {
        self.network.silence();
        let now = self.client().await?.query_one("select clock_timestamp()", &[]).await?.get(0);
        *self.silenced.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    /// When that was last.
    pub fn silenced(&self) -> Arc<Mutex<Option<SystemTime>>> {
        Arc::clone(&self.silenced)
    }

    /// The URL of a session that watches the others.
    pub fn client_url(&self) -> String {
        self.database.url()
    }

    /// PEMS lets the relays in or not; when it does again, who runs them resumes what was held.
    pub async fn let_in(&self, accepted: bool) -> Result<()> {
        self.base.set_password(if accepted { "secret" } else { "changed" });
        if accepted {
            while let Err(error) = self.client().await?.batch_execute("select pfa_sync.resume()").await {
                match error.code().map(SqlState::code) {
                    // While the triggers are disabled, nothing can be resumed.
                    Some("PF004") => break,
                    // It met attach().
                    Some("40P01") => {}
                    _ => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// A session of the superuser.
    pub async fn client(&self) -> Result<Client> {
        self.database.client().await
    }

    /// The URL of the superuser, and that of the application.
    pub fn urls(&self) -> (String, String) {
        (self.database.url(), self.database.url_as(Login::Application))
    }

    /// Waits until nothing is queued.
    pub async fn drain(&self, patience: Duration) -> Result<()> {
        wait_until_drained(&self.database, patience).await
    }

    /// Leaves the logs of Postgres and the relays, and says where.
    pub fn keep_logs(mut self) -> Result<PathBuf> {
        self.cluster.keep_log();
        let kept = self.logs.keep();
        std::fs::copy(self.cluster.log(), kept.join("postgres.log")).context("keeping the log of Postgres")?;
        Ok(kept)
    }
}

/// The id of a record of the organization that is restored.
pub fn restored_id(record: usize) -> String {
    format!("archive-{record}")
}

fn stored(record: usize) -> Record {
    let (code, pfa_id) = key(record);
    stored_record(&code, &pfa_id)
}
