//! Two PEMS with limits and credentials of their own: RIO is in the one of the relay's settings, HARBOUR in another.

use std::io::Write;
use std::ops::Deref;

use anyhow::{Context, Result};
use pems_simulator::{Config, Credentials, Simulator};
use serde_json::json;
use tempfile::NamedTempFile;
use testbed::application::{EDITOR, HARBOUR, RIO};
use testbed::process::Process;
use testbed::stack::stored_record;
use tokio::process::Command;

use crate::support::stack::Stack;

/// The key that the tests seal with.
pub const KEY: &str = "k1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The first secret of the second PEMS.
pub const EAST_TOKEN: &str = "east-token-774411";

pub struct TwoPems {
    stack: Stack,
    /// The second PEMS.
    pub east: Simulator,
    pub key: NamedTempFile,
    authorities: NamedTempFile,
}

impl Deref for TwoPems {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

/// A file that holds this text.
pub fn file(text: &str) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

impl TwoPems {
    /// Records of both organizations, each in its PEMS and in the mirror. The second PEMS is defined and assigned, and has no
    /// credentials yet.
    pub async fn new(records: usize, east_per_second: Option<usize>) -> Result<Self> {
        let stack = Stack::new(records).await?;
        let config = Config {
            credentials: Credentials::Bearer(EAST_TOKEN.to_owned()),
            tenant: "EAST".to_owned(),
            per_second: east_per_second,
            ..Config::default()
        };
        let east = Simulator::start(config).await?;
        east.load((1..=records).map(|id| stored_record("HARBOUR", &id.to_string())));
        stack.scenario.client.query("select * from pfa_sync.ingest('HARBOUR', $1)", &[&json!(east.records("HARBOUR"))]).await?;
        let slot = east_per_second.map(|requests| format!("{} ms", 1_050 / requests)).unwrap_or_else(|| "1 ms".to_owned());
        let define = "select pfa_sync.define_pems('east', $1, 'EAST', slot_interval => $2::text::interval), \
                      pfa_sync.assign_pems('HARBOUR', 'east')";
        stack.scenario.client.execute(define, &[&east.url(), &slot]).await?;
        let authorities = file(&format!("{}\n{}", stack.pems.ca_pem(), east.ca_pem()))?;
        Ok(Self { stack, east, key: file(KEY)?, authorities })
    }

    /// Starts a relay that has the key.
    pub fn relay(&self, arguments: &[&str]) -> Result<Process> {
        self.relay_with(|command| {
            command.args(arguments);
        })
    }

    /// Starts a relay that knows both authorities, with the key, and further arguments and variables.
    pub fn relay_with(&self, configure: impl FnOnce(&mut Command)) -> Result<Process> {
        self.stack.relay_with("run", |command| {
            command.env("PEMS_CA", self.authorities.path()).env("PEMS_CREDENTIALS_KEY_FILE", self.key.path());
            configure(command);
        })
    }

    /// Runs `pfa-relay credentials`; whether it succeeded, and what it wrote.
    pub async fn credentials(&self, arguments: &[&str]) -> Result<(bool, String)> {
        self.credentials_with(arguments, |_| {}).await
    }

    /// The same with further variables.
    pub async fn credentials_with(&self, arguments: &[&str], configure: impl FnOnce(&mut Command)) -> Result<(bool, String)> {
        let output = file("")?;
        let errors = output.reopen()?;
        let mut process = self.stack.relay_with("credentials", |command| {
            command
                .args(arguments)
                .env("PEMS_CA", self.authorities.path())
                .env("PEMS_CREDENTIALS_KEY_FILE", self.key.path())
                .stderr(errors);
            configure(command);
        })?;
        let mut written = String::new();
        while let Ok(line) = process.line().await {
            written.push_str(&line);
            written.push('\n');
        }
        let succeeded = process.wait().await?.success();
        Ok((succeeded, written + &std::fs::read_to_string(output.path())?))
    }

    /// Stores a bearer token for the second PEMS and takes it into use.
    pub async fn set_east_token(&self, token: &str) -> Result<()> {
        let secret = file(token)?;
        let path = secret.path().to_str().context("a path")?;
        let (succeeded, written) =
            self.credentials(&["set", "--pems", "east", "--kind", "bearer", "--secret-file", path]).await?;
        anyhow::ensure!(succeeded, "{written}");
        Ok(())
    }

    /// Commits an edit of every record of both organizations, in one statement.
    pub async fn edit_all(&self, contract: &str) -> Result<u64> {
        let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "baseVersion", "createdAt", "updatedAt")
            select 'mod_' || $2 || '_' || id, id, "organizationId", $1, jsonb_build_object('contract', $2::text), 'committed', version, now(), now()
              from pfa_mirror where "organizationId" in ($3, $4)"#;
        Ok(self.scenario.client.execute(insert, &[&EDITOR, &contract, &RIO, &HARBOUR]).await?)
    }

    /// Fails unless every record of each organization has this contract, in its PEMS and in no other.
    pub fn assert_contract(&self, contract: &str) {
        for (pems, code, other) in [(&self.pems, "RIO", "HARBOUR"), (&self.east, "HARBOUR", "RIO")] {
            let records = pems.records(code);
            assert!(!records.is_empty() && records.iter().all(|record| record["contract"] == contract), "{code}: {records:?}");
            assert!(pems.records(other).is_empty());
        }
    }
}
