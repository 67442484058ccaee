//! pfa-sync, by the functions that the relay calls.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{BATCH, Queue, database};
use testbed::application::{Application, EDITOR, RIO};
use testbed::cluster::{Database, Login, Server};

pub(super) struct Ours {
    application: Client,
    relay: Client,
    _database: Database,
}

impl Ours {
    pub async fn create(server: &Server) -> Result<Self> {
        let (database, application) = database(server).await?;
        application.batch_execute("select pfa_sync.set('slot_interval', '1 ms')").await?;
        Ok(Self { application, relay: database.client_as(Login::Relay).await?, _database: database })
    }
}

impl Queue for Ours {
    fn application(&self) -> &Client {
        &self.application
    }

    async fn commit(&self) -> Result<()> {
        Application::new(&self.application).commit(EDITOR, RIO).await?;
        Ok(())
    }

    async fn drain(&self) -> Result<f64> {
        let relay = &self.relay;
        let claim = "select queue_id, fencing_token, step, version, request, sent \
                       from pfa_sync.claim('bench', max_records => $1, request_timeout => '30 s')";
        let claim = relay.prepare(claim).await?;
        let sent = relay.prepare("select pfa_sync.mark_sent('bench', $1)").await?;
        let complete = relay.prepare("select pfa_sync.complete('bench', $1)").await?;
        let started = Instant::now();
        loop {
            let rows = relay.query(&claim, &[&BATCH]).await?;
            if rows.is_empty() {
                return Ok(started.elapsed().as_secs_f64());
            }
            let confirmed = rows.iter().map(|row| {
                ensure!(row.get::<_, &str>("step") == "send" && row.get::<_, Value>("request").is_object());
                Ok(json!({
                    "queue_id": row.get::<_, i64>("queue_id"), "fencing_token": row.get::<_, i32>("fencing_token"),
                    "version": row.get::<_, i64>("version") + 1, "updated_at": "2026-01-01T00:00:00.000Z", "response": {}
                }))
            });
            let confirmed = confirmed.collect::<Result<Value>>()?;
            if !rows[0].get::<_, bool>("sent") {
                relay.query(&sent, &[&confirmed]).await?;
            }
            relay.query(&complete, &[&confirmed]).await?;
        }
    }

    async fn is_empty(&self) -> Result<bool> {
        Ok(self.application.query_one("select not exists (select from pfa_sync.queue)", &[]).await?.get(0))
    }
}
