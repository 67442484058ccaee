//! What one writes first: a table, SKIP LOCKED, and a trigger that notifies. What is done is deleted.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio_postgres::Client;

use super::{BATCH, Queue, UPDATE, database_of_peer};
use testbed::cluster::{Database, Server};

pub(super) struct Plain {
    application: Client,
    consumer: Client,
    _database: Database,
}

const SCHEMA: &str = "
    create table plain_queue (id bigint generated always as identity primary key, payload jsonb not null, status text not null default 'pending');
    create index plain_queue_pending on plain_queue (id) where status = 'pending';
    create function plain_queue_wake() returns trigger language plpgsql as $$
        begin
            perform pg_notify('plain_queue', '');
            return null;
        end $$;
    create trigger plain_queue_filled after insert on plain_queue for each statement execute function plain_queue_wake()";

impl Plain {
    pub async fn create(server: &Server) -> Result<Self> {
        let (database, application) = database_of_peer(server).await?;
        application.batch_execute(SCHEMA).await?;
        Ok(Self { application, consumer: database.client().await?, _database: database })
    }
}

impl Queue for Plain {
    fn application(&self) -> &Client {
        &self.application
    }

    async fn commit(&self) -> Result<()> {
        let enqueue =
            "insert into plain_queue (payload) select jsonb_build_object('modification', id, 'changes', delta) from committed";
        self.application.execute(&format!("{UPDATE} {enqueue}"), &[]).await?;
        Ok(())
    }

    async fn drain(&self) -> Result<f64> {
        let claim = "update plain_queue set status = 'processing'
            where id = any (array(select id from plain_queue where status = 'pending' order by id limit $1::int for update skip locked))
            returning id, payload";
        let claim = self.consumer.prepare(claim).await?;
        let done = self.consumer.prepare("delete from plain_queue where id = any ($1)").await?;
        let started = Instant::now();
        loop {
            let rows = self.consumer.query(&claim, &[&BATCH]).await?;
            if rows.is_empty() {
                return Ok(started.elapsed().as_secs_f64());
            }
            ensure!(rows.iter().all(|row| row.get::<_, Value>("payload")["changes"].is_object()));
            let ids: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
            self.consumer.execute(&done, &[&ids]).await?;
        }
    }

    async fn is_empty(&self) -> Result<bool> {
        Ok(self.application.query_one("select not exists (select from plain_queue)", &[]).await?.get(0))
    }
}
