//! The private cluster keeps what it promises to every other test.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpStream},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use rustix::process::{Pid, Signal, kill_process};
use testbed::cluster::{Cluster, Database, Login, Options, Shutdown, Template, shared};
use tokio_postgres::{Config, NoTls, error::SqlState};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn each_test_has_a_database_of_its_own() -> Result<()> {
    let server = shared()?;
    let databases = try_join_all((0..4).map(|_| Database::create(&server, Template::Attached))).await?;
    let [first, second, ..] = &databases[..] else { unreachable!("four were made") };
    first.client().await?.execute(r#"delete from "organizations""#, &[]).await?;
    let there: i64 = second.client().await?.query_one(r#"select count(*) from "organizations""#, &[]).await?.get(0);
    ensure!(there == 2, "the sample has two organizations, not {there}");

    let names: Vec<String> = databases.iter().map(|database| database.name().to_owned()).collect();
    let _session_is_no_obstacle = first.client().await?;
    drop(databases);
    let admin = server.connect("postgres").await?;
    let left: i64 = admin.query_one("select count(*) from pg_database where datname = any ($1)", &[&names]).await?.get(0);
    ensure!(left == 0, "{left} of the databases remain");
    Ok(())
}

#[tokio::test]
async fn an_attached_database_may_send() -> Result<()> {
    let database = Database::create(&shared()?, Template::Attached).await?;
    let relay = database.client_as(Login::Relay).await?;
    let claimed = relay.query("select * from pfa_sync.claim('test')", &[]).await?;
    ensure!(claimed.is_empty(), "nothing was committed");
    Ok(())
}

#[tokio::test]
async fn logins_have_the_rights_of_their_group_only() -> Result<()> {
    let database = Database::create(&shared()?, Template::Installed).await?;
    let application = database.client_as(Login::Application).await?;
    application.query(r#"select from "organizations""#, &[]).await?;
    let relay = database.client_as(Login::Relay).await?;
    let refused = relay.query(r#"select from "organizations""#, &[]).await.expect_err("the relay reads no table");
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));

    let mut stranger: Config = database.url().parse()?;
    stranger.password("guessed");
    let refused = stranger.connect(NoTls).await.err().context("a wrong password does")?;
    assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD));
    Ok(())
}

/// No account of the machine gets in without the password: not over TCP, and there is no Unix socket.
#[tokio::test]
async fn a_private_cluster_is_closed_to_the_accounts_of_the_machine() -> Result<()> {
    let cluster = Cluster::start(&Options::default())?;
    let client = cluster.server().connect("postgres").await?;
    let open: i64 =
        client.query_one("select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'", &[]).await?.get(0);
    assert_eq!(open, 0, "each line of pg_hba.conf asks for a password");
    let sockets: String = client.query_one("show unix_socket_directories", &[]).await?.get(0);
    assert_eq!(sockets, "");
    let log = fs::read_to_string(cluster.log())?;
    ensure!(!log.contains("listening on Unix socket"), "{log}");

    let accounts = if rustix::process::geteuid().is_root() { &["root", "nobody"][..] } else { &[""] };
    let port = cluster.server().port().to_string();
    for account in accounts {
        for host in ["127.0.0.1", "/tmp", "/var/run/postgresql", &cluster.directory().display().to_string()] {
            let psql = cluster.server().program("psql").get_program().to_owned();
            let mut command = match *account {
                "nobody" => Command::new("setpriv"),
                _ => Command::new(&psql),
            };
            if *account == "nobody" {
                command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]).arg(&psql);
            }
            command.args(["-w", "-h", host, "-p", &port, "-U", "postgres", "-d", "postgres", "-c", "select"]);
            let output = command.env_remove("PGPASSWORD").env("PGPASSFILE", "/dev/null").current_dir("/").output()?;
            ensure!(!output.status.success(), "{account} got in by {host}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_committed_survives_a_crash() -> Result<()> {
    let mut cluster = Cluster::start(&Options::default().durable())?;
    let client = cluster.server().connect("postgres").await?;
    client.batch_execute("create table kept (n int); insert into kept values (1)").await?;
    client.batch_execute("begin; insert into kept values (2)").await?;

    cluster.halt(Shutdown::Immediate)?;
    ensure!(client.query("select", &[]).await.is_err(), "sessions don't outlive a crash");
    cluster.launch()?;

    let client = cluster.server().connect("postgres").await?;
    let rows = client.query("select n from kept", &[]).await?;
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1]);
    Ok(())
}

#[tokio::test]
async fn the_extension_can_be_preloaded() -> Result<()> {
    let cluster = Cluster::start(&Options::default().preloaded())?;
    let client = cluster.server().connect("postgres").await?;
    let libraries: String = client.query_one("show shared_preload_libraries", &[]).await?.get(0);
    assert_eq!(libraries, "pfa_sync");
    Ok(())
}

#[test]
fn a_server_that_does_not_start_says_why() -> Result<()> {
    let error = Cluster::start(&Options::default().set("shared_buffers", "plenty")).err().context("it started")?;
    ensure!(format!("{error:#}").contains(r#"invalid value for parameter "shared_buffers""#), "{error:#}");
    Ok(())
}

#[test]
fn nothing_is_left_of_a_stopped_cluster() -> Result<()> {
    let cluster = Cluster::start(&Options::default())?;
    let (port, directory) = (cluster.server().port(), cluster.directory().to_path_buf());
    ensure!(listens(port), "it runs");
    cluster.stop()?;
    ensure!(!listens(port), "it still runs");
    ensure!(!directory.exists(), "{} remains", directory.display());
    Ok(())
}

#[test]
fn with_cluster_passes_the_exit_code_on() -> Result<()> {
    let status = with_cluster("exit 7").status()?;
    assert_eq!(status.code(), Some(7));
    Ok(())
}

#[test]
fn with_cluster_ends_with_everything_when_terminated() -> Result<()> {
    let (mut testbed, _input, port) = running_testbed()?;
    kill_process(Pid::from_child(&testbed), Signal::TERM)?;
    assert_eq!(testbed.wait()?.code(), Some(128 + Signal::TERM.as_raw()));
    ensure!(!listens(port), "the server outlived testbed");
    Ok(())
}

#[test]
fn a_server_does_not_outlive_its_killed_owner() -> Result<()> {
    let (mut testbed, _input, port) = running_testbed()?;
    testbed.kill()?;
    testbed.wait()?;
    let deadline = Instant::now() + PATIENCE;
    while listens(port) {
        ensure!(Instant::now() < deadline, "the server still runs");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn with_cluster(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
    command.args(["with-cluster", "--", "sh", "-c", script]).stdin(Stdio::null());
    command
}

/// `testbed with-cluster`, its command, which ends with its input, and the port of its server.
fn running_testbed() -> Result<(Child, ChildStdin, u16)> {
    let mut testbed =
        with_cluster(r#"echo "$PFA_TEST_DATABASE_URL"; exec cat"#).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut url = String::new();
    BufReader::new(testbed.stdout.take().context("stdout is piped")?).read_line(&mut url)?;
    let config: Config = url.trim().parse()?;
    let input = testbed.stdin.take().context("stdin is piped")?;
    Ok((testbed, input, config.get_ports()[0]))
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
