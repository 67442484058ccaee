//! What the database knows of every PEMS, and the sealed credentials.

use pfa_service::database::DatabaseError;
use serde::Deserialize;
use serde_json::Value;
use tokio_postgres::{Row, types::Json};

use super::Calls;
use crate::vault::Sealed;

/// Every PEMS, its organizations and its credentials, as of one moment.
#[derive(Deserialize)]
pub struct RelayConfig {
    /// Differs after any change.
    pub revision: i64,
    /// The PEMS in use.
    pub systems: Vec<System>,
    /// The organizations of each.
    pub organizations: Vec<Assignment>,
    /// Credentials that are in use or stored, sealed.
    pub credentials: Vec<Sealed>,
}

/// A PEMS as it is defined in the database.
#[derive(Clone, Debug, Deserialize)]
pub struct System {
    /// Its name.
    pub pems: String,
    /// How it is spoken to.
    pub dialect: String,
    /// Its base address; `None` = that of the relay's settings.
    pub url: Option<String>,
    /// Its tenant; `None` = that of the relay's settings.
    pub tenant: Option<String>,
    /// The revision of this definition.
    pub revision: i64,
    /// Milliseconds between two requests.
    pub slot_ms: f64,
    /// Longest request in milliseconds; `None` = that of the relay's settings.
    pub request_timeout_ms: Option<f64>,
    /// Options of the dialect.
    pub options: Value,
}

/// An organization and its PEMS.
#[derive(Clone, Debug, Deserialize)]
pub struct Assignment {
    /// Its id.
    pub organization_id: String,
    /// Its code in PEMS.
    pub code: String,
    /// The name of its PEMS.
    pub pems: String,
}

/// Credentials, without their secret.
#[derive(Debug)]
pub struct ListedCredentials {
    /// Their row.
    pub credential_id: i64,
    /// Their PEMS.
    pub pems: String,
    /// The id of the organization that they are for; `None` = all of the PEMS.
    pub organization_id: Option<String>,
    /// basic, bearer or api_key.
    pub kind: String,
    /// The user of a password.
    pub user_name: Option<String>,
    /// Their version.
    pub version: i32,
    /// next, active or retired.
    pub status: String,
    /// The key that they are sealed with; `None` = erased.
    pub key_id: Option<String>,
    /// Age of those in use, in days.
    pub age_days: Option<i32>,
}

/// What the next secret of a PEMS, or of an organization of it, is sealed with.
#[derive(Debug)]
pub struct NextCredentials {
    /// The organization's id; `None` = the whole PEMS.
    pub organization_id: Option<String>,
    /// The version.
    pub version: i32,
    /// The address of the PEMS; `None` = that of the relay's settings.
    pub url: Option<String>,
}

impl Calls {
    /// Every PEMS, its organizations and its credentials.
    pub async fn relay_config(&self) -> Result<RelayConfig, DatabaseError> {
        let rows = self.call("select pfa_sync.relay_config()", &[]).await?;
        let Json(config) = rows[0].try_get(0)?;
        Ok(config)
    }

    /// A number that differs after any change of [`Calls::relay_config`].
    pub async fn config_revision(&self) -> Result<i64, DatabaseError> {
        Ok(self.call("select pfa_sync.config_revision()", &[]).await?[0].try_get(0)?)
    }

    /// All credentials, also those that were erased.
    pub async fn credentials(&self) -> Result<Vec<ListedCredentials>, DatabaseError> {
        let sql = "select credential_id, pems, organization_id, kind, user_name, version, status, key_id, age_days \
                   from pfa_sync.credentials order by pems, organization_id nulls first, version";
        let listed = |row: &Row| {
            Ok(ListedCredentials {
                credential_id: row.try_get(0)?,
                pems: row.try_get(1)?,
                organization_id: row.try_get(2)?,
                kind: row.try_get(3)?,
                user_name: row.try_get(4)?,
                version: row.try_get(5)?,
                status: row.try_get(6)?,
                key_id: row.try_get(7)?,
                age_days: row.try_get(8)?,
            })
        };
        self.call(sql, &[]).await?.iter().map(listed).collect()
    }

    /// What the next secret of a PEMS, or of an organization of it by id or code, is sealed with.
    pub async fn next_credentials(&self, pems: &str, organization: Option<&str>) -> Result<NextCredentials, DatabaseError> {
        let sql = "select organization_id, version, url from pfa_sync.next_credentials($1, $2)";
        let rows = self.call(sql, &[&pems, &organization]).await?;
        let row = &rows[0];
        Ok(NextCredentials { organization_id: row.try_get(0)?, version: row.try_get(1)?, url: row.try_get(2)? })
    }

    /// Stores a sealed secret that is not in use yet; its id.
    pub async fn store_credentials(&self, sealed: &Sealed) -> Result<i64, DatabaseError> {
        let Sealed { pems, organization_id, kind, user_name, version, address, key_id, fingerprint, .. } = sealed;
        let sql = "select pfa_sync.store_credentials($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let rows = self
            .call(
                sql,
                &[
                    pems,
                    organization_id,
                    &kind.name(),
                    user_name,
                    version,
                    address,
                    key_id,
                    &sealed.nonce(),
                    &sealed.ciphertext(),
                    fingerprint,
                ],
            )
            .await?;
        Ok(rows[0].try_get(0)?)
    }

    /// Takes stored credentials into use, and erases those in use before.
    pub async fn activate_credentials(&self, credential_id: i64, verified: bool) -> Result<(), DatabaseError> {
        self.call("select pfa_sync.activate_credentials($1, $2)", &[&credential_id, &verified]).await.map(drop)
    }

    /// Records that PEMS accepted credentials.
    pub async fn record_verification(&self, credential_id: i64) -> Result<(), DatabaseError> {
        self.call("select pfa_sync.record_verification($1)", &[&credential_id]).await.map(drop)
    }

    /// Erases credentials.
    pub async fn remove_credentials(&self, credential_id: i64) -> Result<(), DatabaseError> {
        self.call("select pfa_sync.remove_credentials($1)", &[&credential_id]).await.map(drop)
    }

    /// Replaces the seal of a secret.
    pub async fn reseal_credentials(&self, sealed: &Sealed) -> Result<(), DatabaseError> {
        let sql = "select pfa_sync.reseal_credentials($1, $2, $3, $4)";
        self.call(sql, &[&sealed.credential_id, &sealed.key_id, &sealed.nonce(), &sealed.ciphertext()]).await.map(drop)
    }
}
