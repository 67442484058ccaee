//! Where a server is, and how to log in.

use std::{env, process::Command};

use anyhow::{Context, Result, bail};
use tokio_postgres::{Client, Config, NoTls, config::Host};

use super::installation::Installation;

/// The environment variable by which tests find the server that runs for all of them.
pub(super) const DATABASE_VARIABLE: &str = "PFA_TEST_DATABASE_URL";

/// The server that `testbed with-cluster` runs for all tests, its templates built.
pub fn shared() -> Result<Server> {
    let Ok(url) = env::var(DATABASE_VARIABLE) else {
        bail!(
            "{DATABASE_VARIABLE} is not set: these tests share one PostgreSQL server. Run them through `make test`, or \
             `target/debug/testbed with-cluster -- cargo nextest run`"
        );
    };
    Server::parse(&url).with_context(|| format!("{DATABASE_VARIABLE} is not a URL that `testbed with-cluster` makes"))
}

/// A running server on 127.0.0.1: its port, its superuser `postgres`, its logins, its programs.
#[derive(Clone)]
pub struct Server {
    port: u16,
    password: String,
    installation: Installation,
}

/// The logins of the programs, each in its group role. All have the superuser's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The application: writes its own tables.
    Application,
    /// `pfa-relay`.
    Relay,
    /// The API.
    Api,
    /// Reports.
    Reader,
}

impl Login {
    pub(super) const ALL: [Self; 4] = [Self::Application, Self::Relay, Self::Api, Self::Reader];

    /// The name to log in with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Application => "login_application",
            Self::Relay => "login_relay",
            Self::Api => "login_api",
            Self::Reader => "login_reader",
        }
    }

    /// The group role of `sql/roles.sql` that it belongs to.
    pub fn group(self) -> &'static str {
        match self {
            Self::Application => "pfa_sync_application",
            Self::Relay => "pfa_sync_relay",
            Self::Api => "pfa_sync_api",
            Self::Reader => "pfa_sync_reader",
        }
    }
}

impl Server {
    pub(super) fn new(port: u16, password: String, installation: Installation) -> Self {
        Self { port, password, installation }
    }

    fn parse(url: &str) -> Result<Self> {
        let config: Config = url.parse()?;
        let (&[port], [Host::Tcp(_)], Some(password)) = (config.get_ports(), config.get_hosts(), config.get_password()) else {
            bail!("host, port and password are needed");
        };
        Ok(Self { port, password: String::from_utf8(password.to_vec())?, installation: Installation::inherited()? })
    }

    /// The port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The superuser's URL of a database. It holds the password.
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// A login's URL of a database. It holds the password.
    pub fn url_as(&self, login: Login, database: &str) -> String {
        self.url_of(login.name(), database)
    }

    /// A session of the superuser.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        connect(&self.url(database)).await
    }

    /// One of PostgreSQL's client programs, of the server's own version: `pg_dump`, `psql`, `pgbench`.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.installation.program(name))
    }

    /// One of them, with the superuser's login to a database in its environment, where other accounts can't read it.
    pub fn program_on(&self, name: &str, database: &str) -> Command {
        let mut command = self.program(name);
        let login = [("HOST", "127.0.0.1"), ("PORT", &self.port.to_string()), ("USER", "postgres"), ("DATABASE", database)];
        command.envs(login.map(|(name, value)| (format!("PG{name}"), value.to_owned())));
        command.env("PGPASSWORD", &self.password);
        command
    }

    fn url_of(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }
}

/// A session by URL, which lasts as long as the client.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // What ends the connection is reported to the client's next call.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
