//! The parts under chaos: a Postgres that may crash, PEMS, and relays that may be killed.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use tempfile::{NamedTempFile, TempDir};
use tokio_postgres::Client;

use super::plan::{ORGANIZATIONS, RECORDS, key};
use pems_simulator::export::Record;
use pems_simulator::{Config, Credentials, Simulator};
use testbed::application::pems_record;
use testbed::cluster::{Cluster, Database, Login, Options, Shutdown, Template};
use testbed::process::Process;
use testbed::proxy::Proxy;

/// PEMS admits ten times as much as the real one, and the slots are ten times as close, so that minutes do for hours.
const PER_SECOND: usize = 100;
/// Between two slots, in milliseconds.
pub const SLOT_INTERVAL: f64 = 10.5;
/// Longer than PEMS ever takes, as in production.
const REQUEST_TIMEOUT: &str = "6 s";
/// Shorter than PEMS may take: who stops a relay does not always wait for its last request.
const DRAIN_TIMEOUT: &str = "3 s";
const PASSWORD: &str = "secret";

/// What the database needs besides the sample: a third organization, its people, short waits, and a record of every slot.
const SET_UP: &str = r#"
    insert into organizations (id, code, name, "updatedAt") values ('org_DEPOT_1', 'DEPOT', 'Depot', now() at time zone 'utc');
    insert into user_organizations (id, "userId", "organizationId", role, "perm_EditForecast", "perm_EditActuals", "perm_Delete",
                                    "perm_SaveDraft", "perm_Sync", "modifiedAt")
    select 'mbr_' || u || '_' || o.id, u, o.id, 'editor', true, true, true, true, true, now()
      from organizations o, unnest(array['usr_editor', 'usr_second', 'usr_planner']) u
    on conflict ("userId", "organizationId") do update set "perm_EditActuals" = true, "perm_Delete" = true;
    select pfa_sync.resume();
    select pfa_sync.set('slot_interval', '10.5 ms'), pfa_sync.set('retry_delay', '100 ms'), pfa_sync.set('retry_delay_max', '1 s'),
           pfa_sync.set('lease', '2 s'), pfa_sync.set('poll', '1 s');
    create schema chaos;
    create table chaos.slot (at timestamptz not null);
    -- Only take_slots grants; a 429 moves the next slot out and grants none.
    create function chaos.granted() returns trigger language plpgsql as $$
    declare
        callers text;
    begin
        get diagnostics callers = pg_context;
        if callers like '%take_slots(%' then
            insert into chaos.slot values (new.next_slot - interval '10.5 ms');
        end if;
        return null;
    end $$;
    create trigger granted after update on pfa_sync_private.pems for each row
        when (old.next_slot is distinct from new.next_slot) execute function chaos.granted();
"#;

/// All parts of a run.
pub struct Plant {
    pub pems: Simulator,
    network: Proxy,
    database: Database,
    cluster: Cluster,
    ca: NamedTempFile,
    logs: TempDir,
}

impl Plant {
    /// Starts Postgres and PEMS, both with the same records, and the network between Postgres and the relays; no relay yet.
    pub async fn start() -> Result<Self> {
        let cluster = tokio::task::block_in_place(|| Cluster::start(&Options::default()))?;
        cluster.server().build_templates().await?;
        let database = Database::create(cluster.server(), Template::Attached).await?;
        let client = database.client().await?;
        client.batch_execute(SET_UP).await?;
        let organizations = ORGANIZATIONS.map(|(_, code)| code.to_owned()).to_vec();
        let pems = Simulator::start(Config { organizations, per_second: Some(PER_SECOND), ..Config::default() }).await?;
        pems.load((0..RECORDS).map(stored));
        for (_, code) in ORGANIZATIONS {
            client.query("select * from pfa_sync.ingest($1, $2)", &[&code, &json!(pems.records(code))]).await?;
        }
        let mut ca = NamedTempFile::new()?;
        ca.write_all(pems.ca_pem().as_bytes())?;
        let network = Proxy::start(cluster.server().port()).await?;
        Ok(Self { pems, network, database, cluster, ca, logs: TempDir::new()? })
    }

    /// Starts a relay; what it logs goes to a file of that name.
    pub fn relay(&self, name: &str, subcommand: &str) -> Result<Process> {
        let url = self.database.url_as(Login::Relay);
        let url = url.replace(&format!(":{}/", self.database.server().port()), &format!(":{}/", self.network.port()));
        let log = File::options().create(true).append(true).open(self.logs.path().join(format!("{name}.log")))?;
        Process::start("pfa-relay", |command| {
            command
                .arg(subcommand)
                .args([
                    "--name",
                    name,
                    "--request-timeout",
                    REQUEST_TIMEOUT,
                    "--connect-timeout",
                    "1 s",
                    "--drain-timeout",
                    DRAIN_TIMEOUT,
                ])
                .args(["--requests-per-second", &PER_SECOND.to_string()])
                .env("DATABASE_URL", url)
                .env("PEMS_URL", self.pems.url())
                .env("PEMS_CA", self.ca.path())
                .env("PEMS_USER", "pfa-sync")
                .env("PEMS_PASSWORD", PASSWORD)
                .env("PEMS_TENANT", "TEST")
                .stderr(log);
        })
    }

    /// Postgres crashes, and recovers.
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

    /// The relays' connections to Postgres die, and neither end is told.
    pub fn silence(&self) {
        self.network.silence();
    }

    /// PEMS lets the relays in or not; when it does again, who runs them resumes what was held.
    pub async fn let_in(&self, accepted: bool) -> Result<()> {
        let password = if accepted { PASSWORD } else { "changed" };
        self.pems.set_credentials(Credentials::Basic { user: "pfa-sync".to_owned(), password: password.to_owned() });
        if accepted {
            self.client().await?.batch_execute("select pfa_sync.resume()").await?;
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

    /// Waits until nothing is queued, and says what is when it takes too long.
    pub async fn drain(&self, patience: Duration) -> Result<()> {
        let client = self.client().await?;
        let drained = async {
            while client.query_one("select exists (select from pfa_sync.queue)", &[]).await?.get(0) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(patience, drained).await {
            Ok(drained) => drained,
            Err(_) => {
                let queue = "select count(*), (select string_agg(concat_ws(' ', q.queue_id, q.pfa_id, q.status, q.head, q.scheduled_at - now(), q.lease_until - now(), q.last_error), '; ')
                      from (select * from pfa_sync.queue order by queue_id limit 10) q) from pfa_sync.queue";
                let row = client.query_one(queue, &[]).await?;
                bail!(
                    "after {patience:?} still queued: {}, the first: {}",
                    row.get::<_, i64>(0),
                    row.get::<_, Option<&str>>(1).unwrap_or_default()
                )
            }
        }
    }

    /// Leaves the logs of Postgres and the relays, and says where.
    pub fn keep_logs(mut self) -> Result<PathBuf> {
        self.cluster.keep_log();
        let kept = self.logs.keep();
        std::fs::copy(self.cluster.log(), kept.join("postgres.log")).context("keeping the log of Postgres")?;
        Ok(kept)
    }
}

fn stored(record: usize) -> Record {
    let (code, pfa_id) = key(record);
    let mut fields: Map<String, Value> = pems_record(&code, &pfa_id).as_object().cloned().unwrap_or_default();
    fields.retain(|field, _| !["organization", "version", "updatedAt"].contains(&field.as_str()));
    Record { organization: code, fields }
}
