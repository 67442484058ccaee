//! The audit log: pages of it, and its export as CSV.

use std::collections::VecDeque;

use axum::{
    Json,
    body::Body as Stream,
    http::header,
    response::{AppendHeaders, IntoResponse},
};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Parameters, given},
        page::{next, page_limit},
        problem::Problem,
    },
    id::Id,
};

/// Rows that an export reads in one transaction, so that no transaction waits for a slow client.
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

/// The rest of an export.
struct Export {
    caller: Caller,
    wanted: AllEntries,
    filter: Value,
    ready: VecDeque<Vec<u8>>,
    after: Option<String>,
    ended: bool,
}

impl Export {
    async fn read(&mut self) -> Result<(), Problem> {
        let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.wanted.organization_id, &self.filter, &self.after, &EXPORT_PAGE, &true];
        let entries: Vec<AuditEntry> = self.caller.rows(PAGE, &arguments).await?;
        self.ended = (entries.len() as i64) < EXPORT_PAGE;
        self.after = entries.last().map(|entry| entry.cursor.clone());
        if !entries.is_empty() {
            self.ready.push_back(csv_lines(&entries)?);
        }
        Ok(())
    }
}

impl AuditEntry {
    fn cells(&self) -> [String; 13] {
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        let number = |value: Option<Id>| value.map(|value| value.to_string());
        [
            Some(self.at.clone()),
            Some(self.event_type.clone()),
            self.organization_id.clone(),
            self.user_id.clone(),
            self.pfa_id.clone(),
            self.modification_id.clone(),
            number(self.queue_id),
            number(self.job_id),
            number(self.batch_id),
            self.success.map(|success| success.to_string()),
            self.error_message.clone(),
            text(&self.changes),
            text(&self.pems_response),
        ]
        .map(|cell| without_formula(cell.unwrap_or_default()))
    }
}

const HEAD: &str =
    "at,eventType,organizationId,userId,pfaId,modificationId,queueId,jobId,batchId,success,errorMessage,changes,pemsResponse\r\n";

/// A cell that a spreadsheet would evaluate as a formula gets a quote before it, which makes it a text.
fn without_formula(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

fn csv_lines(entries: &[AuditEntry]) -> Result<Vec<u8>, Problem> {
    let mut writer = WriterBuilder::new().quote_style(QuoteStyle::Always).terminator(Terminator::CRLF).from_writer(Vec::new());
    let written = entries.iter().try_for_each(|entry| writer.write_record(entry.cells()));
    let lines = written.ok().and_then(|()| writer.into_inner().ok());
    lines.ok_or_else(|| Problem::new("internal", "The log can't be written as CSV."))
}

/// The audit log as CSV, newest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportAudit", path = "/api/pems/audit.csv", tag = "audit", params(AllEntries),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(super) async fn export(caller: Caller, Parameters(wanted): Parameters<AllEntries>) -> Result<impl IntoResponse, Problem> {
    let filter = wanted.filter();
    let mut export = Export { caller, after: None, wanted, filter, ready: [HEAD.into()].into(), ended: false };
    // The first rows are read before the answer begins, so that a refusal is answered as a problem.
    export.read().await?;
    let lines = stream::try_unfold(export, async |mut export| {
        if export.ready.is_empty() && !export.ended {
            export
                .read()
                .await
                .map_err(|_| std::io::Error::other("the export was interrupted; the log of the service has the reason"))?;
        }
        Ok::<_, std::io::Error>(export.ready.pop_front().map(|lines| (lines, export)))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\"")];
    Ok((AppendHeaders(headers), Stream::from_stream(lines)))
}
