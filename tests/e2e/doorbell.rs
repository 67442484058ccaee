//! The doorbell: which commits ring, and that its worker blocks no other session. On clusters that preload the
//! library, since the one that the tests share does not.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, stream};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testbed::application::{Application, EDITOR, pems_record};
use testbed::cluster::{Cluster, Database, Options, Server, Template};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, NoTls};

const PATIENCE: Duration = Duration::from_secs(30);

/// What must not come is watched for that long: many times the worker's pause between two notifications.
const WATCH: Duration = Duration::from_millis(300);

/// Rings without any change of data.
const RING: &str = "select pfa_sync_private.wake()";

async fn preloaded(options: Options) -> Result<Cluster> {
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&options.preloaded())).await??;
    cluster.server().build_templates().await?;
    Ok(cluster)
}

async fn attached(server: &Server) -> Result<(Database, Client)> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    Ok((database, client))
}

async fn in_force(client: &Client) -> Result<String> {
    Ok(client.query_one("select pfa_sync_private.wake_in_force()", &[]).await?.get(0))
}

/// The worker of a session's database.
async fn worker(client: &Client) -> Result<Option<i32>> {
    let select = "select pid from pg_stat_activity where backend_type = 'pfa_sync doorbell' and datname = current_database()";
    Ok(client.query_opt(select, &[]).await?.map(|row| row.get(0)))
}

/// Commits until a worker is alive; its process.
async fn bring_up(client: &Client) -> Result<i32> {
    let alive = async {
        loop {
            // Postgres may show the worker's type a little later than the worker is there.
            if in_force(client).await? == "doorbell"
                && let Some(worker) = worker(client).await?
            {
                return Ok(worker);
            }
            client.batch_execute(RING).await?;
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, alive).await.context("no worker comes")?
}

/// A session that listens as a relay does.
struct Ear {
    _client: Client,
    /// The process of each notification.
    heard: mpsc::UnboundedReceiver<i32>,
}

impl Ear {
    /// Listens, and forgets what was rung so far.
    async fn new(database: &Database) -> Result<Self> {
        let (client, mut connection) = tokio_postgres::connect(&database.url(), NoTls).await?;
        let (hears, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = hears.send(notification.process_id());
                }
            }
        });
        client.batch_execute("listen pfa_sync_wake").await?;
        let mut ear = Self { _client: client, heard };
        ear.until_silence().await?;
        Ok(ear)
    }

    /// The process that woke us next.
    async fn woken_by(&mut self) -> Result<i32> {
        timeout(PATIENCE, self.heard.recv()).await.context("no notification arrives")?.context("the connection ended")
    }

    async fn until_silence(&mut self) -> Result<()> {
        while let Ok(heard) = timeout(WATCH, self.heard.recv()).await {
            heard.context("the connection ended")?;
        }
        Ok(())
    }

    async fn hears_nothing(&mut self, of: &str) -> Result<()> {
        match timeout(WATCH, self.heard.recv()).await {
            Ok(_) => bail!("{of} rang"),
            Err(_) => Ok(()),
        }
    }
}

async fn backend(client: &Client) -> Result<i32> {
    Ok(client.query_one("select pg_backend_pid()", &[]).await?.get(0))
}

#[tokio::test]
async fn a_commit_rings_once_and_a_rollback_not_at_all() -> Result<()> {
    let cluster = preloaded(Options::default()).await?;
    let (database, client) = attached(cluster.server()).await?;
    let worker = bring_up(&client).await?;
    let mut ear = Ear::new(&database).await?;

    client.batch_execute(&format!("begin; {RING}; {RING}; savepoint s; {RING}; release s; commit")).await?;
    assert_eq!(ear.woken_by().await?, worker);
    ear.hears_nothing("a second time").await?;

    for silent in [
        format!("begin; {RING}; rollback; begin; commit"),
        format!("begin; savepoint s; {RING}; rollback to s; commit"),
        format!("begin; savepoint s; savepoint t; {RING}; release t; rollback to s; commit"),
    ] {
        client.batch_execute(&silent).await?;
        ear.hears_nothing(&silent).await?;
    }
    client.batch_execute(&format!("begin; {RING}; savepoint s; {RING}; rollback to s; commit")).await?;
    assert_eq!(ear.woken_by().await?, worker);

    client.batch_execute("set pfa_sync.wake = off").await?;
    assert_eq!(in_force(&client).await?, "off");
    client.batch_execute(RING).await?;
    ear.hears_nothing("wake = off").await?;
    client.batch_execute("set pfa_sync.wake = notify").await?;
    assert_eq!(in_force(&client).await?, "notify");
    client.batch_execute(RING).await?;
    assert_eq!(ear.woken_by().await?, backend(&client).await?);
    Ok(())
}

#[tokio::test]
async fn a_prepared_transaction_leaks_no_ring_and_its_work_is_found() -> Result<()> {
    let cluster = preloaded(Options::default()).await?;
    let (database, client) = attached(cluster.server()).await?;
    client.query("select * from pfa_sync.ingest('RIO', $1)", &[&json!([pems_record("RIO", "1")])]).await?;
    let worker = bring_up(&client).await?;
    let mut ear = Ear::new(&database).await?;

    client.batch_execute(&format!("begin; {RING}; prepare transaction 'p'; begin; commit")).await?;
    client.batch_execute("commit prepared 'p'").await?;
    ear.hears_nothing("a prepared transaction, or the commit after it").await?;

    client.batch_execute("begin").await?;
    Application::new(&client).edit(EDITOR, "1", json!({"model": "prepared"})).await?;
    client.batch_execute("prepare transaction 'q'").await?;
    client.batch_execute("commit prepared 'q'").await?;
    assert_eq!(ear.woken_by().await.context("the worker does not look at the queue")?, worker);
    Ok(())
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_a_crashed_server_has_its_doorbell_back() -> Result<()> {
    let cluster = preloaded(Options::default()).await?;
    let (database, client) = attached(cluster.server()).await?;
    let first = bring_up(&client).await?;
    let mut ear = Ear::new(&database).await?;
    client.query_one("select pg_terminate_backend($1, 10000)", &[&first]).await?;
    assert_eq!(in_force(&client).await?, "notify");
    client.batch_execute(RING).await?;
    ear.woken_by().await?;
    let second = bring_up(&client).await?;
    assert_ne!(second, first);

    // The server takes that for a crash: it ends all sessions and makes its shared memory anew.
    kill_process(Pid::from_raw(second).context("a process")?, Signal::KILL)?;
    let back = async {
        while !client.is_closed() {
            sleep(Duration::from_millis(5)).await;
        }
        loop {
            match database.client().await {
                Ok(client) => return client,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let client = timeout(PATIENCE, back).await.context("the server stays away")?;
    assert_eq!(in_force(&client).await?, "notify");
    bring_up(&client).await?;
    Ok(())
}

/// A session keeps a database from being dropped, renamed or copied, and Postgres gives it 5 s to end.
#[tokio::test]
async fn a_worker_blocks_no_other_session() -> Result<()> {
    let cluster = preloaded(Options::default()).await?;
    let admin = cluster.server().connect("postgres").await?;
    let (database, mut client) = attached(cluster.server()).await?;
    let name = database.name();
    for statements in [
        vec![format!("create database copy template {name}")],
        vec![format!("alter database {name} rename to renamed"), format!("alter database renamed rename to {name}")],
        vec![format!("drop database {name}")],
    ] {
        bring_up(&client).await?;
        drop(client);
        for statement in statements {
            admin.batch_execute(&statement).await.context(statement)?;
        }
        client = cluster.server().connect(if database_exists(&admin, name).await? { name } else { "postgres" }).await?;
    }

    let (forced, client) = attached(cluster.server()).await?;
    bring_up(&client).await?;
    admin.batch_execute(&format!("drop database {} with (force)", forced.name())).await?;

    let (_without, client) = attached(cluster.server()).await?;
    bring_up(&client).await?;
    client.batch_execute("select pfa_sync.detach(); drop extension pfa_sync").await?;
    let gone = async {
        while worker(&client).await?.is_some() {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    timeout(PATIENCE, gone).await.context("the worker stays where the extension is gone")?
}

async fn database_exists(admin: &Client, name: &str) -> Result<bool> {
    Ok(admin.query_one("select exists (select from pg_database where datname = $1)", &[&name]).await?.get(0))
}

#[tokio::test]
async fn a_template_gets_no_worker() -> Result<()> {
    let cluster = preloaded(Options::default()).await?;
    let (database, client) = attached(cluster.server()).await?;
    client.batch_execute(&format!("alter database {} is_template true", database.name())).await?;
    let watched = Instant::now();
    while watched.elapsed() < WATCH {
        client.batch_execute(RING).await?;
        ensure!(worker(&client).await?.is_none(), "a worker in a template");
        sleep(Duration::from_millis(10)).await;
    }
    client.batch_execute(&format!("alter database {} is_template false", database.name())).await?;
    bring_up(&client).await?;
    Ok(())
}

#[tokio::test]
async fn a_database_that_gets_no_worker_notifies() -> Result<()> {
    let options = Options::default().set("max_worker_processes", "1").set("max_logical_replication_workers", "0");
    let cluster = preloaded(options).await?;
    let (_first, client) = attached(cluster.server()).await?;
    bring_up(&client).await?;

    let (second, client) = attached(cluster.server()).await?;
    let mut ear = Ear::new(&second).await?;
    for _ in 0..3 {
        client.batch_execute(RING).await?;
        assert_eq!(ear.woken_by().await?, backend(&client).await?);
    }
    let status = client.query("select distinct wake from pfa_sync.status()", &[]).await?;
    assert_eq!(status.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["notify"]);
    Ok(())
}

/// An upgrade replaces the file; the server keeps what it has loaded until it starts again.
#[tokio::test]
async fn the_doorbell_outlives_a_replaced_library() -> Result<()> {
    let cluster = preloaded(Options::default()).await?;
    let (_database, client) = attached(cluster.server()).await?;
    let first = bring_up(&client).await?;
    let directory = cluster.server().program("pg_config").arg("--pkglibdir").output()?.stdout;
    replace(&Path::new(String::from_utf8(directory)?.trim()).join("pfa_sync.so"))?;

    assert_eq!(in_force(&client).await?, "doorbell");
    client.query_one("select pg_terminate_backend($1, 10000)", &[&first]).await?;
    assert_ne!(bring_up(&client).await?, first);
    Ok(())
}

/// Puts another file in the place of this one, as an installation does.
fn replace(library: &Path) -> Result<()> {
    let new = library.with_extension(format!("so.{}", std::process::id()));
    fs::copy(library, &new)?;
    fs::rename(&new, library)?;
    Ok(())
}
