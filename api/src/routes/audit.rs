//! The audit log: pages of it, and its export as CSV.

use axum::{Json, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Parameters, given},
        csv,
        page::{next, page_limit},
        problem::Problem,
    },
    id::Id,
};

/// Rows that an export reads in one transaction.
const EXPORT_PAGE: i64 = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entries {
    /// By id or code; absent: entries of the whole fleet, for administrators.
    organization_id: Option<String>,
    event_type: Option<String>,
    user_id: Option<String>,
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// The filter of an export, which has no pages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AllEntries {
    /// By id or code; absent: entries of the whole fleet, for administrators.
    organization_id: Option<String>,
    event_type: Option<String>,
    user_id: Option<String>,
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
}

impl AllEntries {
    /// The filter as the function of the database expects it.
    fn filter(&self) -> Value {
        given(json!({
            "event_type": self.event_type, "user_id": self.user_id, "pfa_id": self.pfa_id, "since": self.start_date,
            "until": self.end_date
        }))
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct AuditEntry {
    event_id: Id,
    #[schema(format = DateTime)]
    at: String,
    event_type: String,
    organization_id: Option<String>,
    user_id: Option<String>,
    user_name: Option<String>,
    pfa_id: Option<String>,
    modification_id: Option<String>,
    queue_id: Option<Id>,
    job_id: Option<Id>,
    batch_id: Option<Id>,
    success: Option<bool>,
    error_message: Option<String>,
    changes: Option<Value>,
    /// What PEMS answered, for users who may see prices.
    pems_response: Option<Value>,
    #[serde(skip_serializing)]
    cursor: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    entries: Vec<AuditEntry>,
    /// `after` of the next page; null: this is the last page.
    next: Option<String>,
}

const PAGE: &str = "select * from pfa_sync.audit_page($1, $2, $3, $4::bigint::int, $5)";

/// The audit log, newest first
#[utoipa::path(get, operation_id = "listAudit", path = "/api/pems/audit", tag = "audit", params(Entries), responses((status = OK, body = AuditPage)))]
pub(super) async fn list(caller: Caller, Parameters(wanted): Parameters<Entries>) -> Result<Json<AuditPage>, Problem> {
    let Entries { organization_id, event_type, user_id, pfa_id, start_date, end_date, after, limit } = wanted;
    let wanted = AllEntries { organization_id, event_type, user_id, pfa_id, start_date, end_date };
    let limit = page_limit(limit)?;
    let entries: Vec<AuditEntry> =
        caller.rows(PAGE, &[&wanted.organization_id, &wanted.filter(), &after, &limit, &false]).await?;
    Ok(Json(AuditPage { next: next(&entries, limit, |entry| entry.cursor.clone()), entries }))
}

/// The columns of the export.
const COLUMNS: &[&str] = &[
    "at",
    "eventType",
    "organizationId",
    "userId",
    "pfaId",
    "modificationId",
    "queueId",
    "jobId",
    "batchId",
    "success",
    "errorMessage",
    "changes",
    "pemsResponse",
];

/// An export, as far as it has come.
struct Export {
    caller: Caller,
    wanted: AllEntries,
    after: Option<String>,
}

impl Export {
    async fn page(mut self) -> Result<(Vec<AuditEntry>, Option<Self>), Problem> {
        let filter = self.wanted.filter();
        let entries: Vec<AuditEntry> =
            self.caller.rows(PAGE, &[&self.wanted.organization_id, &filter, &self.after, &EXPORT_PAGE, &true]).await?;
        self.after = next(&entries, EXPORT_PAGE, |entry| entry.cursor.clone());
        let rest = self.after.is_some().then_some(self);
        Ok((entries, rest))
    }
}

/// The audit log as CSV, newest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportAudit", path = "/api/pems/audit.csv", tag = "audit", params(AllEntries),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(super) async fn export(caller: Caller, Parameters(wanted): Parameters<AllEntries>) -> Result<Response, Problem> {
    csv::export("audit", COLUMNS, Export { caller, wanted, after: None }, Export::page).await
}
