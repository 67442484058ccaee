//! The stack around a database under test: the PEMS simulator over TLS, and relays as processes between the two.

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pems_simulator::export::Record;
use pems_simulator::{Config, Credentials, Simulator};
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::application::pems_record;
use crate::cluster::{Database, Login};
use crate::process::Process;

/// How often a condition is checked that is waited for.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// A running simulator, and what relays need to reach it.
pub struct Stack {
    /// The simulator.
    pub pems: Simulator,
    ca: NamedTempFile,
}

impl Stack {
    /// Starts a simulator. It holds no records, and no relay is running.
    pub async fn start(config: Config) -> Result<Self> {
        let pems = Simulator::start(config).await?;
        let mut ca = NamedTempFile::new()?;
        ca.write_all(pems.ca_pem().as_bytes())?;
        Ok(Self { pems, ca })
    }

    /// Starts `pfa-relay` with this subcommand, between a database and the simulator. `configure` adds arguments and
    /// variables.
    pub fn relay(&self, database: &Database, subcommand: &str, configure: impl FnOnce(&mut Command)) -> Result<Process> {
        Process::start("pfa-relay", |command| {
            command.arg(subcommand).env("DATABASE_URL", database.url_as(Login::Relay)).envs(self.variables());
            configure(command);
        })
    }

    /// The variables by which a relay reaches the simulator.
    pub fn variables(&self) -> [(&'static str, OsString); 5] {
        [
            ("PEMS_URL", self.pems.url().into()),
            ("PEMS_CA", self.ca.path().into()),
            ("PEMS_USER", "pfa-sync".into()),
            ("PEMS_PASSWORD", "secret".into()),
            ("PEMS_TENANT", "TEST".into()),
        ]
    }

    /// Sets the password that the simulator accepts; relays send `secret`.
    pub fn set_password(&self, password: &str) {
        self.pems.set_credentials(Credentials::Basic { user: "pfa-sync".to_owned(), password: password.to_owned() });
    }
}

/// The record of [`pems_record`] as the simulator loads it.
pub fn stored_record(code: &str, pfa_id: &str) -> Record {
    let mut fields = pems_record(code, pfa_id).as_object().cloned().unwrap_or_default();
    fields.retain(|field, _| !["organization", "version", "updatedAt"].contains(&field.as_str()));
    Record { organization: code.to_owned(), fields }
}

/// Waits until a query of one boolean returns true. After `patience`, the error lists what is queued.
pub async fn wait_until(database: &Database, condition: &str, patience: Duration) -> Result<()> {
    let client = database.client().await?;
    let waiting = async {
        while !client.query_one(condition, &[]).await?.get::<_, bool>(0) {
            sleep(CHECK_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    if let Ok(fulfilled) = timeout(patience, waiting).await {
        return fulfilled;
    }
    let queue = "select count(*), (select string_agg(concat_ws(' ', q.queue_id, q.pfa_id, q.status, q.head, q.scheduled_at - now(), q.lease_until - now(), q.last_error), '; ')
                  from (select * from pfa_sync.queue order by queue_id limit 10) q) from pfa_sync.queue";
    let row = client.query_one(queue, &[]).await.context("reading the queue")?;
    let first = row.get::<_, Option<&str>>(1).unwrap_or("none");
    bail!("not true after {patience:?}: {condition}; {} changes are queued, the first: {first}", row.get::<_, i64>(0))
}

/// Waits until nothing is queued.
pub async fn wait_until_drained(database: &Database, patience: Duration) -> Result<()> {
    wait_until(
        database,
        "select not exists (select from pfa_sync.queue) and not exists (select from pfa_sync.bulk_jobs where state = 'running')",
        patience,
    )
    .await
}
