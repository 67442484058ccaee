//! The log, as auditors read it and take it along.

use std::collections::VecDeque;

use axum::{
    Json,
    body::Body as Stream,
    http::header,
    response::{AppendHeaders, IntoResponse},
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    problem::Problem,
    request::{Parameters, given, page_limit},
    session::Caller,
};

/// Rows that an export reads at a time; each time is a transaction of its own, so that none waits for a slow reader.
const PORTION: i64 = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Entries {
    /// By id or code; absent = what is the whole fleet's, for administrators.
    organization_id: Option<String>,
    event_type: Option<String>,
    user_id: Option<String>,
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// What an export is of: it has no pages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AllEntries {
    /// By id or code; absent = what is the whole fleet's, for administrators.
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
    /// As the function takes it.
    fn filter(&self) -> Value {
        given(json!({
            "event_type": self.event_type, "user_id": self.user_id, "pfa_id": self.pfa_id, "since": self.start_date,
            "until": self.end_date
        }))
    }
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    event_id: i64,
    #[schema(format = DateTime)]
    at: String,
    event_type: String,
    organization_id: Option<String>,
    user_id: Option<String>,
    pfa_id: Option<String>,
    modification_id: Option<String>,
    queue_id: Option<i64>,
    job_id: Option<i64>,
    batch_id: Option<i64>,
    success: Option<bool>,
    error_message: Option<String>,
    changes: Option<Value>,
    /// What PEMS answered, for whoever may see prices.
    pems_response: Option<Value>,
    #[serde(skip_serializing)]
    cursor: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Log {
    entries: Vec<Entry>,
    /// `after` of the next page; null = this was the last.
    next: Option<String>,
}

const PAGE: &str = "select * from pfa_sync.audit_page($1, $2, $3, $4::bigint::int, $5)";

/// The log, newest first
#[utoipa::path(get, operation_id = "listAudit", path = "/api/pems/audit", tag = "audit", params(Entries), responses((status = OK, body = Log)))]
pub(crate) async fn list(caller: Caller, Parameters(wanted): Parameters<Entries>) -> Result<Json<Log>, Problem> {
    let Entries { organization_id, event_type, user_id, pfa_id, start_date, end_date, after, limit } = wanted;
    let wanted = AllEntries { organization_id, event_type, user_id, pfa_id, start_date, end_date };
    let limit = page_limit(limit)?;
    let entries: Vec<Entry> = caller.rows(PAGE, &[&wanted.organization_id, &wanted.filter(), &after, &limit, &false]).await?;
    let full = entries.len() as i64 >= limit;
    Ok(Json(Log { next: entries.last().map(|entry| entry.cursor.clone()).filter(|_| full), entries }))
}

/// What is left to send of an export.
struct Export {
    caller: Caller,
    wanted: AllEntries,
    filter: Value,
    ready: VecDeque<String>,
    after: Option<String>,
    ended: bool,
}

impl Export {
    async fn read(&mut self) -> Result<(), Problem> {
        let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.wanted.organization_id, &self.filter, &self.after, &PORTION, &true];
        let entries: Vec<Entry> = self.caller.rows(PAGE, &arguments).await?;
        self.ended = (entries.len() as i64) < PORTION;
        self.after = entries.last().map(|entry| entry.cursor.clone());
        if !entries.is_empty() {
            self.ready.push_back(entries.iter().map(Entry::line).collect());
        }
        Ok(())
    }
}

impl Entry {
    fn line(&self) -> String {
        let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let cells = [
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
        ];
        cells.map(|cell| quoted(&cell.unwrap_or_default())).join(",") + "\r\n"
    }
}

const HEAD: &str =
    "at,eventType,organizationId,userId,pfaId,modificationId,queueId,jobId,batchId,success,errorMessage,changes,pemsResponse\r\n";

/// A cell of CSV. What a spreadsheet would take for a formula becomes a text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, cell.replace('"', "\"\""))
}

/// The log as CSV, newest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportAudit", path = "/api/pems/audit.csv", tag = "audit", params(AllEntries),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(crate) async fn export(caller: Caller, Parameters(wanted): Parameters<AllEntries>) -> Result<impl IntoResponse, Problem> {
    let filter = wanted.filter();
    let mut export = Export { caller, after: None, wanted, filter, ready: [HEAD.to_owned()].into(), ended: false };
    // The first portion is read before the answer begins, so that a refusal is one.
    export.read().await?;
    let lines = stream::try_unfold(export, async |mut export| {
        if export.ready.is_empty() && !export.ended {
            export.read().await.map_err(|_| std::io::Error::other("the export broke off; the log of the service says why"))?;
        }
        Ok::<_, std::io::Error>(export.ready.pop_front().map(|lines| (lines, export)))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.csv\"")];
    Ok((AppendHeaders(headers), Stream::from_stream(lines)))
}
