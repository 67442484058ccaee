//! The parts of the demo, started and stopped together.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Certificate;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_postgres::Client;
use uuid::Uuid;

use super::say;
use testbed::application::{ADMIN, EDITOR};
use testbed::cluster::{Cluster, Database, Login, Options, Template};
use testbed::process::{Process, program};

const USER: &str = "pfa-sync";
const PASSWORD: &str = "demo-password";
const TENANT: &str = "DEMO";
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// Everything that the demo started.
pub struct Stack {
    /// A session of the superuser.
    pub client: Client,
    directory: PathBuf,
    organizations: Vec<String>,
    pems_url: String,
    http: reqwest::Client,
    simulator: Process,
    relay: Option<Process>,
    api: Option<Process>,
    sign_in_links: Vec<String>,
    // Dropped in this order: the database before its server.
    database: Database,
    cluster: Cluster,
}

impl Stack {
    /// Starts the simulator with the export loaded, and a server with the application's tables and the extension.
    pub async fn start(input: &Path, organizations: &[String]) -> Result<Self> {
        let directory = program("demo")?.ancestors().nth(2).context("the demo runs outside of target/")?.join("demo");
        fs::create_dir_all(&directory)?;
        let ca = directory.join("pems-ca.pem");
        let (simulator, pems_url) = start_simulator(input, organizations, &ca).await?;
        let http = reqwest::Client::builder().tls_certs_only([Certificate::from_pem(&fs::read(&ca)?)?]).build()?;

        let cluster = tokio::task::spawn_blocking(|| Cluster::start(&Options::default().set("timezone", "UTC"))).await??;
        cluster.server().build_templates().await?;
        let database = Database::create(cluster.server(), Template::Attached).await?;
        let client = database.client().await?;
        enrol(&client, organizations).await?;
        say(&format!(
            "PostgreSQL is up on port {}, with the application's tables and the extension attached",
            cluster.server().port()
        ));
        let organizations = organizations.to_vec();
        let stack = Self {
            client,
            directory,
            organizations,
            pems_url,
            http,
            simulator,
            relay: None,
            api: None,
            sign_in_links: Vec::new(),
            database,
            cluster,
        };
        stack.write_environment(&[])?;
        Ok(stack)
    }

    /// Fills the mirror from the simulator's list, as a new installation does.
    pub async fn fill_mirror(&self) -> Result<()> {
        let status = self.relay_command("pull")?.status().await?;
        ensure!(status.success(), "pfa-relay pull ended with {status}");
        let records: i64 = self.client.query_one("select count(*) from pfa_mirror", &[]).await?.get(0);
        ensure!(records > 0, "the export has no record of {}", self.organizations.join(", "));
        say(&format!("the mirror holds {records} records"));
        self.client.batch_execute("analyze").await?;
        Ok(())
    }

    /// Starts the relay and waits until it listens.
    pub async fn start_relay(&mut self) -> Result<()> {
        let log = fs::File::create(self.directory.join("relay.log"))?;
        let relay = Process::start("pfa-relay", |command| {
            *command = self.relay_command("run").expect("it ran before");
            command.stderr(log);
        })?;
        self.relay = Some(relay);
        Ok(())
    }

    /// Starts the API, and prints its address. A token of the demo's editor for one day is written to the environment file;
    /// links that sign in to the dashboard are kept.
    pub async fn start_api(&mut self) -> Result<()> {
        let log = fs::File::create(self.directory.join("api.log"))?;
        let secret = format!("{}{}", Uuid::now_v7(), Uuid::now_v7());
        let mut api = Process::start("pfa-api", |command| {
            command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(log);
            command.env("DATABASE_URL", self.database.url_as(Login::Api)).env("PFA_API_JWT_SECRET", &secret);
        })?;
        let line = api.line().await?;
        let address = line.strip_prefix("listening on ").context("the API does not say where it listens")?;
        let token = sign(&secret, EDITOR, DAY)?;
        self.write_environment(&[("API_URL", address.to_owned()), ("API_TOKEN", token)])?;
        say(&format!("the API is at {address} (its routes: {address}/docs); $API_TOKEN in target/demo/env opens it"));
        self.sign_in_links = [("a cost engineer", EDITOR), ("an administrator", ADMIN)]
            .into_iter()
            .map(|(whom, user)| Ok(format!("as {whom}:\n    {address}/#token={}", sign(&secret, user, HOUR)?)))
            .collect::<Result<_>>()?;
        self.api = Some(api);
        Ok(())
    }

    /// A record as PEMS itself answers for it; the request takes a slot like every other.
    pub async fn pems_record(&self, code: &str, pfa_id: &str) -> Result<Value> {
        self.slot().await?;
        let url = format!("{}/api/pems/pfa/{pfa_id}?organizationCode={code}", self.pems_url);
        let request = self.http.get(url).basic_auth(USER, Some(PASSWORD)).header("tenant", TENANT).header("organization", code);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// Waits for a request slot of PEMS.
    pub async fn slot(&self) -> Result<()> {
        let wait: f64 = self.client.query_one("select pfa_sync.take_slots('default', 1)", &[]).await?.get(0);
        tokio::time::sleep(Duration::from_secs_f64(wait / 1_000.0)).await;
        Ok(())
    }

    /// All records of an organization in the simulator, outside of its limit.
    pub async fn pems_records(&self, code: &str) -> Result<Vec<Value>> {
        let url = format!("{}/simulator/records?organization={code}", self.pems_url);
        let request = self.http.get(url).basic_auth(USER, Some(PASSWORD)).header("tenant", TENANT);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// The codes of the organizations in the demo.
    pub fn organizations(&self) -> &[String] {
        &self.organizations
    }

    /// What to try while the demo stays up.
    pub fn print_how_to_connect(&self) -> Result<()> {
        let environment = self.directory.join("env");
        say(&format!(
            "\nIt stays up. The dashboard, with links that sign in for an hour,\n\n  {links}\n\nIn another terminal:\n\n    . {}\n    psql \"$DATABASE_URL\"\n\n\
             and there, for instance:\n\n\
             \x20   select * from pfa_sync.status();\n\
             \x20   select * from pfa_sync.timeline('{code}', (select \"pfaId\" from pfa_modification m join pfa_mirror r on r.id = m.\"mirrorId\" limit 1));\n\
             \x20   select * from pfa_sync.save_draft('{code}', 'usr_editor', (select min(\"pfaId\") from pfa_mirror), '{{\"model\": \"LTM 1300\"}}');\n\
             \x20   select * from pfa_sync.commit_drafts('{code}', 'usr_editor');\n\n\
             or over HTTP:\n\n\
             \x20   curl -H \"Authorization: Bearer $API_TOKEN\" \"$API_URL/api/pems/sync-status\"\n\n\
             The relay's log: {}\nCtrl-C ends all of it.",
            environment.display(),
            self.directory.join("relay.log").display(),
            links = self.sign_in_links.join("\n  "),
            code = self.organizations[0],
        ));
        Ok(())
    }

    /// Stops everything, the relay first.
    pub async fn stop(self) -> Result<()> {
        let Self { client, directory, relay, api, simulator, database, cluster, .. } = self;
        if let Some(relay) = relay {
            relay.stop().await?;
        }
        if let Some(api) = api {
            api.stop().await?;
        }
        simulator.stop().await?;
        drop((client, database));
        let _ = fs::remove_file(directory.join("env"));
        tokio::task::spawn_blocking(move || cluster.stop()).await?
    }

    fn relay_command(&self, subcommand: &str) -> Result<Command> {
        let mut command = Command::new(program("pfa-relay")?);
        command
            .arg(subcommand)
            .env("DATABASE_URL", self.database.url_as(Login::Relay))
            .env("PEMS_URL", &self.pems_url)
            .env("PEMS_CA", self.directory.join("pems-ca.pem"))
            .env("PEMS_USER", USER)
            .env("PEMS_PASSWORD", PASSWORD)
            .env("PEMS_TENANT", TENANT)
            .kill_on_drop(true);
        Ok(command)
    }

    /// Writes the variables to connect with. The file holds passwords, so only its owner may read it.
    fn write_environment(&self, besides: &[(&str, String)]) -> Result<()> {
        use std::io::Write;
        let path = self.directory.join("env");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let ca = self.directory.join("pems-ca.pem");
        let own = [
            ("DATABASE_URL", self.database.url()),
            ("RELAY_DATABASE_URL", self.database.url_as(Login::Relay)),
            ("PEMS_URL", self.pems_url.clone()),
            ("PEMS_CA", ca.display().to_string()),
            ("PEMS_USER", USER.to_owned()),
            ("PEMS_PASSWORD", PASSWORD.to_owned()),
            ("PEMS_TENANT", TENANT.to_owned()),
        ];
        for (name, value) in own.iter().chain(besides) {
            writeln!(file, "export {name}='{value}'")?;
        }
        Ok(())
    }
}

/// A token of a user, valid for so many seconds.
fn sign(secret: &str, user: &str, seconds: u64) -> Result<String> {
    let until = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + seconds;
    let claims = json!({"userId": user, "exp": until});
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}

async fn start_simulator(input: &Path, organizations: &[String], ca: &Path) -> Result<(Process, String)> {
    let mut simulator = Process::start("pems-simulator", |command| {
        command.args(["--listen", "127.0.0.1:0", "--user", USER, "--password", PASSWORD, "--tenant", TENANT]);
        command.arg("--ca-file").arg(ca).arg("--load").arg(input);
        for code in organizations {
            command.args(["--organization", code]);
        }
        command.stderr(Stdio::inherit());
    })?;
    loop {
        let line = simulator.line().await?;
        say(&line);
        if let Some((_, url)) = line.split_once("https://") {
            let url = format!("https://{}", url.split_whitespace().next().unwrap_or_default());
            return Ok((simulator, url));
        }
    }
}

/// Makes sure that the application knows the export's organizations, and that the demo's editor may edit there.
async fn enrol(client: &Client, organizations: &[String]) -> Result<()> {
    client
        .execute(
            r#"insert into organizations (id, code, name, "updatedAt")
               select 'org_' || code, code, code, now() from unnest($1::text[]) code
               on conflict (code) do nothing"#,
            &[&organizations],
        )
        .await?;
    client
        .execute(
            r#"insert into user_organizations (id, "userId", "organizationId", "perm_EditForecast", "perm_EditActuals", "perm_Delete",
                   "perm_SaveDraft", "perm_Sync", "modifiedAt")
               select 'mbr_demo_' || id, 'usr_editor', id, true, true, true, true, true, now() from organizations where code = any ($1)
               on conflict do nothing"#,
            &[&organizations],
        )
        .await?;
    Ok(())
}
