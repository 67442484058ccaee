//! A database for one test.

use std::{
    process::{self, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use tokio_postgres::Client;

use super::{
    server::{self, Login, Server},
    template::Template,
};

static CREATED: AtomicU32 = AtomicU32::new(0);

/// A database that is copied from a [`Template`], and dropped with this value, together with its sessions.
pub struct Database {
    name: String,
    server: Server,
}

impl Database {
    /// Creates a database with a name of its own. A copy of [`Template::Attached`] is adopted: it may write to PEMS.
    pub async fn create(server: &Server, template: Template) -> Result<Self> {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", process::id());
        let admin = server.connect("postgres").await?;
        // Files are copied ten times as fast as blocks, each of which extends a file and is logged.
        let create = format!("create database {name} template {} strategy file_copy", template.database());
        admin.batch_execute(&create).await?;
        let database = Self { name, server: server.clone() };
        if template == Template::Attached {
            database.client().await?.batch_execute("select pfa_sync.adopt()").await?;
        }
        Ok(database)
    }

    /// A copy of it in a server, by pg_dump with these arguments and psql.
    pub async fn restored_in(&self, server: &Server, arguments: &[&str]) -> Result<Self> {
        let copy = Self::create(server, Template::Empty).await?;
        let dump = self.server.program_on("pg_dump", &self.name).args(arguments).stdout(Stdio::piped()).spawn()?;
        let restored = server
            .program_on("psql", &copy.name)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
            .stdin(dump.stdout.context("the dump has no pipe")?)
            .stdout(Stdio::null())
            .output()?;
        ensure!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
        Ok(copy)
    }

    /// The same database from now on in another server, which was its standby.
    pub fn move_to(&mut self, server: &Server) {
        self.server = server.clone();
    }

    /// Its name in the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it is in.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The superuser's URL. It holds the password.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The URL of one of the programs' logins. It holds the password.
    pub fn url_as(&self, login: Login) -> String {
        self.server.url_as(login, &self.name)
    }

    /// A new session of the superuser.
    pub async fn client(&self) -> Result<Client> {
        server::connect(&self.url()).await
    }

    /// A new session of one of the programs' logins.
    pub async fn client_as(&self, login: Login) -> Result<Client> {
        server::connect(&self.url_as(login)).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A thread of its own, because this one may be running a runtime that can't be blocked on.
        let dropped = thread::scope(|scope| scope.spawn(|| drop_database(&self.server, &self.name)).join());
        if let Ok(Err(error)) = dropped {
            eprintln!("dropping database {}: {error:#}", self.name);
        }
    }
}

fn drop_database(server: &Server, name: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let admin = server.connect("postgres").await?;
        let statement = format!("drop database if exists {name} with (force)");
        admin.batch_execute(&statement).await.context("the server refused")
    })
}
