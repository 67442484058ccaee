//! graphile_worker, by its own worker: it fetches 100 jobs at a time and reports those that are done together.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use graphile_worker::{IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, Worker, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_postgres::Client;

use super::{BATCH, Queue, UPDATE, database_of_peer};
use testbed::cluster::{Database, Server};

pub(super) struct Graphile {
    application: Client,
    database: Database,
}

/// A job: one edit.
#[derive(Serialize, Deserialize)]
struct Edit {
    modification: String,
    changes: Map<String, Value>,
}

impl TaskHandler for Edit {
    const IDENTIFIER: &'static str = "edit";

    async fn run(self, _context: WorkerContext) -> impl IntoTaskHandlerResult {}
}

impl Graphile {
    pub async fn create(server: &Server) -> Result<Self> {
        let (database, application) = database_of_peer(server).await?;
        let graphile = Self { application, database };
        // The first worker makes the tables.
        graphile.worker().await?;
        Ok(graphile)
    }

    async fn worker(&self) -> Result<Worker> {
        let batch = usize::try_from(BATCH)?;
        let options = WorkerOptions::default()
            .database_url(&self.database.url())
            .max_pg_conn(2)
            .concurrency(batch)
            .local_queue(LocalQueueConfig::default().with_size(batch))
            .complete_job_batch_delay(Duration::from_millis(1))
            .listen_os_shutdown_signals(false)
            .define_job::<Edit>();
        options.init().await.map_err(|error| anyhow!("graphile_worker does not start: {error}"))
    }
}

impl Queue for Graphile {
    fn application(&self) -> &Client {
        &self.application
    }

    async fn commit(&self) -> Result<()> {
        let enqueue = "select from graphile_worker.add_jobs(array(
            select row('edit', json_build_object('modification', id, 'changes', delta), null, null, null, null, null, null)::graphile_worker.job_spec
              from committed))";
        self.application.execute(&format!("{UPDATE} {enqueue}"), &[]).await?;
        Ok(())
    }

    async fn drain(&self) -> Result<f64> {
        let worker = self.worker().await?;
        let started = Instant::now();
        let mut running = pin!(worker.run());
        let emptied = async {
            while !self.is_empty().await? {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok::<_, anyhow::Error>(started.elapsed().as_secs_f64())
        };
        let seconds = tokio::select! {
            ended = &mut running => bail!("graphile_worker ended: {ended:?}"),
            seconds = emptied => seconds?,
        };
        worker.request_shutdown();
        running.await.map_err(|error| anyhow!("graphile_worker failed: {error}"))?;
        Ok(seconds)
    }

    async fn is_empty(&self) -> Result<bool> {
        let empty = "select not exists (select from graphile_worker._private_jobs)";
        Ok(self.application.query_one(empty, &[]).await?.get(0))
    }
}
