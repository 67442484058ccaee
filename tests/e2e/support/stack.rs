//! The whole path in a test: a scenario, the PEMS simulator over TLS, and relays as processes.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, Result};
use pems_simulator::{Config, Request};
use serde_json::{Value, json};
use testbed::process::Process;
use testbed::stack::{self, stored_record, wait_until, wait_until_drained};
use tokio::process::Command;

use crate::support::scenario::Scenario;

/// Longest wait for a condition. A test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stack {
    pub scenario: Scenario,
    base: stack::Stack,
}

impl Deref for Stack {
    type Target = stack::Stack;

    fn deref(&self) -> &stack::Stack {
        &self.base
    }
}

impl Stack {
    /// Records 1 to `records` of RIO, both in PEMS and in the mirror.
    pub async fn new(records: usize) -> Result<Self> {
        let ids: Vec<String> = (1..=records).map(|id| id.to_string()).collect();
        Self::with(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// These records of RIO, both in PEMS and in the mirror.
    pub async fn with(ids: &[&str]) -> Result<Self> {
        Self::around(Scenario::empty().await?, ids).await
    }

    /// These records of RIO, both in PEMS and in the mirror of this scenario.
    pub async fn around(scenario: Scenario, ids: &[&str]) -> Result<Self> {
        let base = stack::Stack::start(Config::default()).await?;
        base.pems.load(ids.iter().map(|id| stored_record("RIO", id)));
        scenario.ingest(&base.pems.records("RIO")).await?;
        // Short waits keep tests short. Only tests of pulls schedule pulls.
        scenario
            .client
            .batch_execute("select pfa_sync.set('retry_delay', '50 ms'), pfa_sync.set('retry_delay_max', '200 ms'), pfa_sync.set('lease', '2 s'), \
                 pfa_sync.set('breaker_delay', '50 ms'), pfa_sync.set('breaker_delay_max', '200 ms'), pfa_sync.set('inbound', 'off')")
            .await?;
        Ok(Self { scenario, base })
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

    /// Starts a relay with further arguments or variables.
    pub fn relay_with(&self, subcommand: &str, configure: impl FnOnce(&mut Command)) -> Result<Process> {
        self.base.relay(&self.scenario.database, subcommand, |command| {
            command.env("PFA_RELAY_REQUEST_TIMEOUT", "1 s").env("PFA_RELAY_CONNECT_TIMEOUT", "1 s");
            configure(command);
        })
    }

    /// Waits until a query of one boolean returns true.
    pub async fn until(&self, condition: &str) -> Result<()> {
        wait_until(&self.scenario.database, condition, PATIENCE).await
    }

    /// Sets the intervals of pulls and of full pulls of RIO, and schedules them.
    pub async fn pull_every(&self, interval: &str, full_interval: &str) -> Result<()> {
        let set = "select pfa_sync.set('pull_interval', $1), pfa_sync.set('full_pull_interval', $2), pfa_sync.set('inbound', 'relay', 'RIO')";
        self.scenario.client.query_one(set, &[&interval, &full_interval]).await?;
        Ok(())
    }

    /// Waits until nothing is queued.
    pub async fn until_drained(&self) -> Result<()> {
        wait_until_drained(&self.scenario.database, PATIENCE).await
    }

    /// Waits until the simulator's log fulfils a condition.
    pub async fn until_pems(&self, condition: impl FnMut(&Vec<Request>) -> bool) -> Result<Vec<Request>> {
        tokio::time::timeout(PATIENCE, self.pems.wait_for(condition)).await.context("PEMS has not received the requests")
    }

    /// Changes a record in PEMS, as its other users do.
    pub fn foreign_edit(&self, pfa_id: &str, changes: Value) {
        self.pems.edit("RIO", pfa_id, changes.as_object().expect("changes are an object")).expect("a known record");
    }

    /// Every write that PEMS applied: record and field values.
    pub fn applied(&self) -> Vec<(String, Value)> {
        let applied =
            |request: Request| request.writes.into_iter().filter(|write| write.status == 200).map(|w| (w.pfa_id, w.changes));
        self.pems.log().into_iter().flat_map(applied).collect()
    }

    /// Fails unless PEMS and mirror agree, the database's invariants hold, and every write was applied once.
    pub async fn check(&self) -> Result<()> {
        self.scenario.check().await?;
        let mut applied: Vec<String> = self.applied().iter().map(|(id, changes)| format!("{id} {changes}")).collect();
        applied.sort();
        let doubled: Vec<_> = applied.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(doubled.is_empty(), "written twice: {doubled:?}");
        for record in self.pems.records("RIO") {
            let mirror = self.scenario.mirror(record["pfaId"].as_str().unwrap()).await?;
            assert_eq!(compared(&mirror), compared(&record));
        }
        Ok(())
    }
}

fn compared(record: &Value) -> Value {
    let mut record = record.clone();
    let fields = record.as_object_mut().unwrap();
    fields
        .retain(|field, value| !value.is_null() && !["version", "updatedAt", "hasPlan", "hasActuals"].contains(&field.as_str()));
    json!(fields)
}
