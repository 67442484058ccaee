//! The doorbell: what commits ring, and that the worker behind it stands in nobody's way. On clusters that preload the
//! library, since the one that the tests share does not.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};
use testbed::cluster::{Cluster, Database, Options, Server, Shutdown, Template};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, NoTls};

const PATIENCE: Duration = Duration::from_secs(30);

/// Rings by itself, without any change of data.
const RING: &str = "select pfa_sync.wake()";

struct Preloaded {
    cluster: Cluster,
}

impl Preloaded {
    async fn start(options: Options) -> Result<Self> {
        let cluster = tokio::task::spawn_blocking(move || Cluster::start(&options.preloaded())).await??;
        cluster.server().build_templates().await?;
        Ok(Self { cluster })
    }

    fn server(&self) -> &Server {
        self.cluster.server()
    }

    async fn database(&self) -> Result<Database> {
        Database::create(self.server(), Template::Attached).await
    }

    async fn workers(&self) -> Result<i64> {
        let admin = self.server().connect("postgres").await?;
        count(&admin, "select count(*) from pg_stat_activity where backend_type = 'pfa_sync doorbell'").await
    }
}

async fn count(client: &Client, query: &str) -> Result<i64> {
    Ok(client.query_one(query, &[]).await?.get(0))
}

async fn in_force(client: &Client) -> Result<String> {
    Ok(client.query_one("select pfa_sync.wake_in_force()", &[]).await?.get(0))
}

/// Commits until a worker is alive.
async fn bring_up(client: &Client) -> Result<()> {
    let alive = async {
        while in_force(client).await? != "doorbell" {
            client.batch_execute(RING).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, alive).await.context("no worker comes")?
}

/// Hears what relays hear: the process that notified, for each notification.
struct Ear {
    client: Client,
    heard: mpsc::UnboundedReceiver<(String, i32)>,
}

impl Ear {
    async fn listen(database: &Database) -> Result<Self> {
        let (client, mut connection) = tokio_postgres::connect(&database.url(), NoTls).await?;
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(heard) = message {
                    let _ = hears.send((heard.channel().to_owned(), heard.process_id()));
                }
            }
        });
        client.batch_execute("listen pfa_sync_wake; listen marker").await?;
        Ok(Self { client, heard })
    }

    /// The process that woke us next.
    async fn woken_by(&mut self) -> Result<i32> {
        let (channel, process) = tokio::time::timeout(PATIENCE, self.heard.recv()).await?.context("the connection ended")?;
        ensure!(channel == "pfa_sync_wake", "heard {channel}");
        Ok(process)
    }

    /// Notifications are delivered in order: what was rung before a marker is heard before it. The worker's pause
    /// between two of them is waited for, so that a ring which should not be there would be heard.
    async fn nothing_more(&mut self) -> Result<()> {
        self.client.batch_execute("select pg_sleep(0.1); notify marker").await?;
        let (channel, _) = tokio::time::timeout(PATIENCE, self.heard.recv()).await?.context("the connection ended")?;
        ensure!(channel == "marker", "somebody rang");
        Ok(())
    }

    /// Forgets what was rung so far.
    async fn clear(&mut self) -> Result<()> {
        self.client.batch_execute("select pg_sleep(0.1); notify marker").await?;
        while tokio::time::timeout(PATIENCE, self.heard.recv()).await?.context("the connection ended")?.0 != "marker" {}
        Ok(())
    }
}

async fn backend(client: &Client) -> Result<i32> {
    Ok(client.query_one("select pg_backend_pid()", &[]).await?.get(0))
}

#[tokio::test]
async fn a_commit_rings_once_and_a_rollback_not_at_all() -> Result<()> {
    let preloaded = Preloaded::start(Options::default()).await?;
    let database = preloaded.database().await?;
    let client = database.client().await?;
    let mut ear = Ear::listen(&database).await?;

    client.batch_execute(RING).await?;
    ensure!(ear.woken_by().await? == backend(&client).await?, "without a worker, the transaction notifies by itself");
    bring_up(&client).await?;
    ear.clear().await?;

    client.batch_execute(&format!("begin; {RING}; {RING}; savepoint s; {RING}; release s; commit")).await?;
    ensure!(ear.woken_by().await? != backend(&client).await?, "the worker notifies");
    ear.nothing_more().await?;

    client.batch_execute(&format!("begin; {RING}; rollback")).await?;
    client.batch_execute(&format!("begin; savepoint s; {RING}; rollback to s; commit")).await?;
    client.batch_execute(&format!("begin; savepoint s; savepoint t; {RING}; release t; rollback to s; commit; begin; commit")).await?;
    ear.nothing_more().await?;

    client.batch_execute(&format!("begin; {RING}; savepoint s; {RING}; rollback to s; commit")).await?;
    ear.woken_by().await?;

    client.batch_execute("set pfa_sync.wake = off").await?;
    assert_eq!(in_force(&client).await?, "off");
    client.batch_execute(RING).await?;
    ear.nothing_more().await?;
    client.batch_execute("set pfa_sync.wake = notify").await?;
    assert_eq!(in_force(&client).await?, "notify");
    client.batch_execute(RING).await?;
    ensure!(ear.woken_by().await? == backend(&client).await?, "the transaction notifies by itself");
    Ok(())
}

#[tokio::test]
async fn a_prepared_transaction_leaks_no_ring_and_its_work_is_found() -> Result<()> {
    let preloaded = Preloaded::start(Options::default()).await?;
    let database = preloaded.database().await?;
    let client = database.client().await?;
    bring_up(&client).await?;
    let mut ear = Ear::listen(&database).await?;
    ear.clear().await?;

    client.batch_execute(&format!("begin; {RING}; prepare transaction 'p'; begin; commit")).await?;
    ear.nothing_more().await?;
    client.batch_execute("commit prepared 'p'").await?;

    let record = testbed::application::pems_record("RIO", "1");
    client.query("select * from pfa_sync.ingest('RIO', $1)", &[&serde_json::json!([record])]).await?;
    ear.clear().await?;
    client.batch_execute("begin").await?;
    let application = testbed::application::Application::new(&client);
    application.edit(testbed::application::EDITOR, "1", serde_json::json!({"model": "prepared"})).await?;
    client.batch_execute("prepare transaction 'q'; commit prepared 'q'").await?;
    ear.woken_by().await.context("the worker looks at the queue by itself")?;
    Ok(())
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_a_crashed_server_has_its_doorbell_back() -> Result<()> {
    let mut preloaded = Preloaded::start(Options::default()).await?;
    let database = preloaded.database().await?;
    let client = database.client().await?;
    bring_up(&client).await?;
    let admin = preloaded.server().connect("postgres").await?;
    let killed = "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity where backend_type = 'pfa_sync doorbell'";
    ensure!(count(&admin, killed).await? >= 1, "there was a worker");
    assert_eq!(in_force(&client).await?, "notify");
    let mut ear = Ear::listen(&database).await?;
    client.batch_execute(RING).await?;
    ear.woken_by().await?;
    bring_up(&client).await?;

    preloaded.cluster.halt(Shutdown::Immediate)?;
    preloaded.cluster.launch()?;
    let client = database.client().await?;
    assert_eq!(in_force(&client).await?, "notify");
    bring_up(&client).await?;
    Ok(())
}

/// A session keeps a database from being dropped, renamed or copied, and Postgres gives it 5 s to end.
#[tokio::test]
async fn a_worker_is_in_nobodys_way() -> Result<()> {
    let preloaded = Preloaded::start(Options::default()).await?;
    let admin = preloaded.server().connect("postgres").await?;
    let database = preloaded.database().await?;
    let name = database.name();

    for statement in [
        format!("create database {name}_copy template {name}"),
        format!("alter database {name} rename to {name}_renamed; alter database {name}_renamed rename to {name}"),
        format!("drop database {name}"),
    ] {
        let client = database.client().await?;
        bring_up(&client).await?;
        drop(client);
        for statement in statement.split("; ") {
            admin.batch_execute(statement).await.with_context(|| statement.to_owned())?;
        }
    }

    let forced = preloaded.database().await?;
    bring_up(&forced.client().await?).await?;
    admin.batch_execute(&format!("drop database {} with (force)", forced.name())).await?;

    let without = preloaded.database().await?;
    let client = without.client().await?;
    bring_up(&client).await?;
    client.batch_execute("select pfa_sync.detach(); drop extension pfa_sync").await?;
    tokio::time::timeout(PATIENCE, async {
        while preloaded.workers().await? > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
    .context("the workers stay")??;
    Ok(())
}

#[tokio::test]
async fn a_template_has_no_worker_and_without_a_free_worker_slot_commits_notify() -> Result<()> {
    let preloaded = Preloaded::start(Options::default().set("max_worker_processes", "1")).await?;
    let database = preloaded.database().await?;
    let client = database.client().await?;
    let admin = preloaded.server().connect("postgres").await?;
    let name = database.name();
    admin.batch_execute(&format!("alter database {name} is_template true")).await?;
    client.batch_execute(RING).await?;
    ensure!(preloaded.workers().await? == 0, "a worker in a template");
    admin.batch_execute(&format!("alter database {name} is_template false")).await?;

    let first = preloaded.database().await?;
    bring_up(&first.client().await?).await?;
    let mut ear = Ear::listen(&database).await?;
    client.batch_execute(RING).await?;
    ensure!(ear.woken_by().await? == backend(&client).await?, "the transaction notifies by itself");
    let status = client.query("select distinct wake from pfa_sync.status()", &[]).await?;
    assert_eq!(status.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["notify"]);
    Ok(())
}

/// An upgrade replaces the file; the server keeps what it has loaded until it starts again.
#[tokio::test]
async fn the_doorbell_outlives_a_replaced_library() -> Result<()> {
    let preloaded = Preloaded::start(Options::default()).await?;
    let database = preloaded.database().await?;
    let client = database.client().await?;
    bring_up(&client).await?;
    let directory = preloaded.server().program("pg_config").arg("--pkglibdir").output()?.stdout;
    let directory = std::path::PathBuf::from(String::from_utf8(directory)?.trim());
    let (library, new) = (directory.join("pfa_sync.so"), directory.join(format!("pfa_sync.so.{}", std::process::id())));
    fs::copy(&library, &new)?;
    fs::rename(&new, &library)?;

    let client = database.client().await?;
    assert_eq!(in_force(&client).await?, "doorbell");
    let killed = "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity where backend_type = 'pfa_sync doorbell'";
    ensure!(count(&client, killed).await? >= 1, "there was a worker");
    bring_up(&client).await?;
    Ok(())
}
