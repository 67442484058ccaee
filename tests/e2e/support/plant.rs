//! The whole road in a test: a database, the simulator over TLS, and relays as processes.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use pems_simulator::export::Record;
use pems_simulator::{Config, Credentials, Request, Simulator};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use testbed::application::pems_record;
use testbed::cluster::Login;
use testbed::process::Process;
use tokio::process::Command;

use crate::support::world::World;

/// How long anything may take that a test waits for. A test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Plant {
    pub world: World,
    pub pems: Simulator,
    ca: NamedTempFile,
}

impl Plant {
    /// Records 1 to `records` of RIO, in PEMS and in the mirror alike.
    pub async fn new(records: usize) -> Result<Self> {
        let ids: Vec<String> = (1..=records).map(|id| id.to_string()).collect();
        Self::with(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// These records of RIO, in PEMS and in the mirror alike.
    pub async fn with(ids: &[&str]) -> Result<Self> {
        Self::around(World::empty().await?, ids).await
    }

    /// These records of RIO, in PEMS and in the mirror of this world alike.
    pub async fn around(world: World, ids: &[&str]) -> Result<Self> {
        let pems = Simulator::start(Config::default()).await?;
        pems.load(ids.iter().map(|id| stored(id)));
        world.ingest(&pems.records("RIO")).await?;
        let mut ca = NamedTempFile::new()?;
        ca.write_all(pems.ca_pem().as_bytes())?;
        // Waits are short, so that tests are. Pulls are scheduled by the tests that are about them.
        world
            .client
            .batch_execute("select pfa_sync.set('retry_delay', '50 ms'), pfa_sync.set('retry_delay_max', '200 ms'), pfa_sync.set('lease', '2 s'), \
                 pfa_sync.set('breaker_delay', '50 ms'), pfa_sync.set('breaker_delay_max', '200 ms'), pfa_sync.set('inbound', 'off')")
            .await?;
        Ok(Self { world, pems, ca })
    }

    /// Starts a relay with short timeouts.
    pub fn relay(&self, subcommand: &str) -> Result<Process> {
        self.relay_with(subcommand, |_| {})
    }

    /// Starts a relay with further arguments, which may replace the short timeouts.
    pub fn relay_with_arguments(&self, subcommand: &str, arguments: &[&str]) -> Result<Process> {
        self.relay_with(subcommand, |command| {
            command.args(arguments);
        })
    }

    /// Starts a relay that differs from the others.
    pub fn relay_with(&self, subcommand: &str, configure: impl FnOnce(&mut Command)) -> Result<Process> {
        Process::start("pfa-relay", |command| {
            command
                .arg(subcommand)
                .env("PFA_RELAY_REQUEST_TIMEOUT", "1 s")
                .env("PFA_RELAY_CONNECT_TIMEOUT", "1 s")
                .env("DATABASE_URL", self.world.database.url_as(Login::Relay))
                .env("PEMS_URL", self.pems.url())
                .env("PEMS_CA", self.ca.path())
                .env("PEMS_USER", "pfa-sync")
                .env("PEMS_PASSWORD", "secret")
                .env("PEMS_TENANT", "TEST");
            configure(command);
        })
    }

    /// Waits until a query of one boolean is true.
    pub async fn until(&self, query: &str) -> Result<()> {
        let waiting = async {
            while !self.world.value::<bool>(query).await? {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(fulfilled) => fulfilled,
            Err(_) => {
                let queue = "select coalesce(string_agg(concat_ws(' ', pfa_id, status, scheduled_at - now(), lease_until - now(), last_error), '; '), 'nothing') from pfa_sync.queue";
                anyhow::bail!("still not so: {query}; queued: {}", self.world.value::<String>(queue).await?)
            }
        }
    }

    /// Has relays pull RIO as often as that, and in full as often as the other.
    pub async fn pull_every(&self, interval: &str, full_interval: &str) -> Result<()> {
        let set = "select pfa_sync.set('pull_interval', $1), pfa_sync.set('full_pull_interval', $2), pfa_sync.set('inbound', 'relay', 'RIO')";
        self.world.client.query_one(set, &[&interval, &full_interval]).await?;
        Ok(())
    }

    /// Waits until nothing is queued any more.
    pub async fn until_drained(&self) -> Result<()> {
        self.until("select not exists (select from pfa_sync.queue)").await
    }

    /// Waits until the simulator's log fulfils a condition.
    pub async fn until_pems(&self, condition: impl FnMut(&Vec<Request>) -> bool) -> Result<Vec<Request>> {
        tokio::time::timeout(PATIENCE, self.pems.wait_for(condition)).await.context("PEMS has not seen it")
    }

    /// PEMS' other users change a record.
    pub fn foreign_edit(&self, pfa_id: &str, changes: Value) {
        self.pems.edit("RIO", pfa_id, changes.as_object().expect("changes are an object")).expect("a known record");
    }

    /// From now on PEMS lets in this password.
    pub fn set_password(&self, password: &str) {
        self.pems.set_credentials(Credentials::Basic { user: "pfa-sync".to_owned(), password: password.to_owned() });
    }

    /// How often each record was written, by record and field values.
    pub fn applied(&self) -> Vec<(String, Value)> {
        let applied =
            |request: Request| request.writes.into_iter().filter(|write| write.status == 200).map(|w| (w.pfa_id, w.changes));
        self.pems.log().into_iter().flat_map(applied).collect()
    }

    /// PEMS, mirror and database tell the same story, and every write was applied once.
    pub async fn check(&self) -> Result<()> {
        self.world.check().await?;
        let mut applied: Vec<String> = self.applied().iter().map(|(id, changes)| format!("{id} {changes}")).collect();
        applied.sort();
        let doubled: Vec<_> = applied.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(doubled.is_empty(), "written twice: {doubled:?}");
        for record in self.pems.records("RIO") {
            let mirror = self.world.mirror(record["pfaId"].as_str().unwrap()).await?;
            assert_eq!(compared(&mirror), compared(&record));
        }
        Ok(())
    }
}

fn stored(id: &str) -> Record {
    let mut fields: Map<String, Value> = pems_record("RIO", id).as_object().cloned().unwrap();
    fields.retain(|field, _| !["organization", "version", "updatedAt"].contains(&field.as_str()));
    Record { organization: "RIO".to_owned(), fields }
}

fn compared(record: &Value) -> Value {
    let mut record = record.clone();
    let fields = record.as_object_mut().unwrap();
    fields
        .retain(|field, value| !value.is_null() && !["version", "updatedAt", "hasPlan", "hasActuals"].contains(&field.as_str()));
    json!(fields)
}
