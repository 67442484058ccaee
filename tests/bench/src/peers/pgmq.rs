//! pgmq, with the SQL that its crate installs. What is done goes to its archive, as with us.

use std::time::Instant;

use anyhow::{Result, ensure};
use pgmq::PGMQueueExt;
use serde_json::Value;
use tokio_postgres::Client;

use super::{BATCH, Queue, UPDATE, database_of_peer};
use testbed::cluster::{Database, Server};

pub(super) struct Pgmq {
    application: Client,
    consumer: Client,
    _database: Database,
}

impl Pgmq {
    pub async fn create(server: &Server) -> Result<Self> {
        let (database, application) = database_of_peer(server).await?;
        let installer = PGMQueueExt::new(database.url(), 1).await?;
        installer.install_sql_from_embedded().await?;
        application.batch_execute("select pgmq.create('edits')").await?;
        Ok(Self { application, consumer: database.client().await?, _database: database })
    }
}

impl Queue for Pgmq {
    fn application(&self) -> &Client {
        &self.application
    }

    async fn commit(&self) -> Result<()> {
        let enqueue = "select from pgmq.send_batch('edits', array(select jsonb_build_object('modification', id, 'changes', delta) from committed))";
        self.application.execute(&format!("{UPDATE} {enqueue}"), &[]).await?;
        Ok(())
    }

    async fn drain(&self) -> Result<f64> {
        let read = self.consumer.prepare("select msg_id, message from pgmq.read('edits', 60, $1)").await?;
        let archive = self.consumer.prepare("select pgmq.archive('edits', $1::bigint[])").await?;
        let started = Instant::now();
        loop {
            let rows = self.consumer.query(&read, &[&BATCH]).await?;
            if rows.is_empty() {
                return Ok(started.elapsed().as_secs_f64());
            }
            ensure!(rows.iter().all(|row| row.get::<_, Value>("message")["changes"].is_object()));
            let ids: Vec<i64> = rows.iter().map(|row| row.get("msg_id")).collect();
            self.consumer.query(&archive, &[&ids]).await?;
        }
    }

    async fn is_empty(&self) -> Result<bool> {
        Ok(self.application.query_one("select not exists (select from pgmq.q_edits)", &[]).await?.get(0))
    }
}
