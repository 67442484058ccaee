//! The application, as far as pfa-sync meets it: its own statements, on its own tables.

use anyhow::Result;
use serde_json::{Value, json};
use tokio_postgres::Client;

/// The organizations of the sample data.
pub const RIO: &str = "org_RIO_173";
/// The second organization of the sample data.
pub const HARBOUR: &str = "org_HARBOUR_7";
/// A user of the sample data who may edit and sync everything.
pub const EDITOR: &str = "usr_editor";
/// A user with every permission.
pub const ADMIN: &str = "usr_admin";
/// Another one, in RIO.
pub const SECOND: &str = "usr_second";

/// Runs the application's statements over one session.
pub struct Application<'a> {
    client: &'a Client,
}

impl<'a> Application<'a> {
    /// The application on an open session.
    pub fn new(client: &'a Client) -> Self {
        Self { client }
    }

    /// Saves a draft on the record as it stands in the mirror; returns the modification's id.
    pub async fn draft(
        &self,
        user: &str,
        organization: &str,
        pfa_id: &str,
        delta: Value,
    ) -> Result<String, tokio_postgres::Error> {
        let insert = r#"
            insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "baseVersion", "updatedAt")
            select 'mod_' || gen_random_uuid(), m.id, m."organizationId", $1, $4::jsonb, 'session-1', m.version, now() at time zone 'utc'
              from pfa_mirror m where m."organizationId" = $2 and m."pfaId" = $3
            returning id"#;
        Ok(self.client.query_one(insert, &[&user, &organization, &pfa_id, &delta]).await?.get(0))
    }

    /// Commits all drafts of a user in an organization, in one UPDATE as the application does; how many there were.
    pub async fn commit(&self, user: &str, organization: &str) -> Result<u64, tokio_postgres::Error> {
        let update = r#"
            update pfa_modification
               set "syncState" = 'committed', "committedAt" = now() at time zone 'utc', "updatedAt" = now() at time zone 'utc'
             where "organizationId" = $2 and "userId" = $1 and "syncState" = 'draft'"#;
        self.client.execute(update, &[&user, &organization]).await
    }

    /// Drafts and commits one edit of RIO; returns the modification's id.
    pub async fn edit(&self, user: &str, pfa_id: &str, delta: Value) -> Result<String, tokio_postgres::Error> {
        let modification = self.draft(user, RIO, pfa_id, delta).await?;
        self.commit(user, RIO).await?;
        Ok(modification)
    }

    /// `syncState` and `syncStatus` of a modification, as `state/status`.
    pub async fn state(&self, modification: &str) -> Result<String, tokio_postgres::Error> {
        let select = r#"select "syncState" || '/' || "syncStatus" from pfa_modification where id = $1"#;
        Ok(self.client.query_one(select, &[&modification]).await?.get(0))
    }
}

/// A record as PEMS lists it: an editable rental of the given organization code, at version 1.
pub fn pems_record(code: &str, pfa_id: &str) -> Value {
    json!({
        "pfaId": pfa_id, "organization": code, "areaSilo": "Silo 1", "category": "Crane", "class": "Mobile Crane",
        "source": "Rental", "dor": "BEO", "monthlyRate": 12500, "manufacturer": "Liebherr", "model": "LTM 1100",
        "forecastStart": "2026-01-01T00:00:00.000Z", "forecastEnd": "2026-12-31T00:00:00.000Z",
        "originalStart": "2026-01-01T00:00:00.000Z", "originalEnd": "2026-12-31T00:00:00.000Z",
        "isActualized": false, "isDiscontinued": false, "isFundsTransferable": false,
        "version": 1, "updatedAt": "2026-01-01T00:00:00.000Z"
    })
}
