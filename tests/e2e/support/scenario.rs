//! What a test starts from: a database of its own, attached and resumed, with some records in its mirror.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, RIO, pems_record};
use testbed::cluster::{Database, Login, Server, Template, shared};
use tokio_postgres::{Client, Row};

pub struct Scenario {
    /// The superuser: DBA and, in these tests, the relay's functions.
    pub client: Client,
    /// The application's own login.
    session: Client,
    pub database: Database,
}

impl Scenario {
    /// A database with records "1", "2" and "3" of RIO.
    pub async fn new() -> Result<Self> {
        let scenario = Self::empty().await?;
        scenario.ingest(&["1", "2", "3"].map(|id| pems_record("RIO", id))).await?;
        Ok(scenario)
    }

    /// A database without records.
    pub async fn empty() -> Result<Self> {
        Self::on(&shared()?).await
    }

    /// A database without records in a server of the test's own, which has built its templates.
    pub async fn on(server: &Server) -> Result<Self> {
        Self::of(Database::create(server, Template::Attached).await?).await
    }

    /// A database in which the extension is attached already.
    pub async fn of(database: Database) -> Result<Self> {
        let client = database.client().await?;
        let session = database.client_as(Login::Application).await?;
        Ok(Self { client, session, database })
    }

    /// New sessions, after the server has been away.
    pub async fn reconnect(&mut self) -> Result<()> {
        self.client = self.database.client().await?;
        self.session = self.database.client_as(Login::Application).await?;
        Ok(())
    }

    pub fn application(&self) -> Application<'_> {
        Application::new(&self.session)
    }

    /// Takes records of RIO into the mirror, as a pull does.
    pub async fn ingest(&self, records: &[Value]) -> Result<Row> {
        Ok(self.client.query_one("select * from pfa_sync.ingest('RIO', $1)", &[&json!(records)]).await?)
    }

    /// Changes a record of RIO in PEMS, and ingests it into the mirror.
    pub async fn foreign_edit(&self, pfa_id: &str, version: i64, changes: Value) -> Result<()> {
        let mut record = pems_record("RIO", pfa_id);
        for (field, value) in changes.as_object().expect("changes are an object") {
            record[field] = value.clone();
        }
        record["version"] = json!(version);
        record["updatedAt"] = json!(format!("2026-02-{version:02}T00:00:00.000Z"));
        self.ingest(&[record]).await?;
        Ok(())
    }

    pub async fn edit(&self, pfa_id: &str, delta: Value) -> Result<String> {
        Ok(self.application().edit(EDITOR, pfa_id, delta).await?)
    }

    pub async fn state(&self, modification: &str) -> Result<String> {
        Ok(self.application().state(modification).await?)
    }

    /// The single value of a query.
    pub async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, query: &str) -> Result<T> {
        Ok(self.client.query_one(query, &[]).await?.get(0))
    }

    pub async fn claim(&self) -> Result<Vec<Claimed>> {
        self.claim_as("relay-1").await
    }

    pub async fn claim_as(&self, relay: &str) -> Result<Vec<Claimed>> {
        let rows = self.client.query("select * from pfa_sync.claim($1)", &[&relay]).await?;
        Ok(rows.iter().map(Claimed::from).collect())
    }

    /// Claims and marks as sent.
    pub async fn send(&self) -> Result<Vec<Claimed>> {
        let claimed = self.claim().await?;
        self.client.execute("select pfa_sync.mark_sent('relay-1', $1)", &[&items(&claimed)]).await?;
        Ok(claimed)
    }

    /// Reports on claimed records through `complete`, `fail`, `conflict`, `settle` or `release`; `besides` is laid over every item.
    pub async fn report(&self, function: &str, claimed: &[Claimed], besides: Value) -> Result<Vec<Row>> {
        let mut items = items(claimed);
        for item in items.as_array_mut().expect("items are an array") {
            item.as_object_mut().expect("an item is an object").extend(besides.as_object().cloned().unwrap_or_default());
        }
        Ok(self.client.query(&format!("select * from pfa_sync.{function}('relay-1', $1)"), &[&items]).await?)
    }

    /// Claims, sends and completes all there is, one version further each.
    pub async fn deliver(&self) -> Result<usize> {
        let mut delivered = 0;
        loop {
            let claimed = self.send().await?;
            if claimed.is_empty() {
                return Ok(delivered);
            }
            delivered += claimed.len();
            for record in claimed {
                let version = record.version.expect("only known versions are sent") + 1;
                self.report("complete", &[record], json!({"version": version, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
            }
        }
    }

    pub async fn mirror(&self, pfa_id: &str) -> Result<Value> {
        let select = r#"select data from pfa_mirror where "organizationId" = $1 and "pfaId" = $2"#;
        Ok(self.client.query_one(select, &[&RIO, &pfa_id]).await?.get(0))
    }

    /// A session of the API that acts for a user.
    pub async fn acting(&self, user: &str) -> Result<Client> {
        let session = self.database.client_as(Login::Api).await?;
        session.execute("select set_config('pfa_sync.user_id', $1, false)", &[&user]).await?;
        Ok(session)
    }

    /// Fails the test when an invariant of the database is broken.
    pub async fn check(&self) -> Result<()> {
        let broken = self.client.query("select invariant, object, detail from pfa_sync.check()", &[]).await?;
        let broken: Vec<[String; 3]> = broken.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect();
        assert!(broken.is_empty(), "{broken:?}");
        Ok(())
    }
}

/// A claimed record.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub queue_id: i64,
    pub attempt: i32,
    pub step: String,
    pub operation: String,
    pub pfa_id: String,
    pub version: Option<i64>,
    pub changes: Value,
    pub modified_by: String,
    pub idempotency_key: String,
    pub ambiguous: bool,
}

impl From<&Row> for Claimed {
    fn from(row: &Row) -> Self {
        Self {
            queue_id: row.get("queue_id"),
            attempt: row.get("fencing_token"),
            step: row.get("step"),
            operation: row.get("operation"),
            pfa_id: row.get("pfa_id"),
            version: row.get("version"),
            changes: row.get("request"),
            modified_by: row.get("modified_by"),
            idempotency_key: row.get("idempotency_key"),
            ambiguous: row.get("ambiguous"),
        }
    }
}

fn items(claimed: &[Claimed]) -> Value {
    claimed.iter().map(|c| json!({"queue_id": c.queue_id, "fencing_token": c.attempt})).collect()
}

/// SQLSTATE, message and DETAIL of a failed statement.
pub fn refusal(error: &anyhow::Error) -> (String, String, Value) {
    let error = error.downcast_ref::<tokio_postgres::Error>().and_then(|e| e.as_db_error()).expect("an error of the database");
    let detail = error.detail().and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or(Value::Null);
    (error.code().code().to_owned(), error.message().to_owned(), detail)
}
