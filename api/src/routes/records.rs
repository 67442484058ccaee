//! The records of an organization, merged with pending changes.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Parameters, given},
        page::page_limit,
        problem::Problem,
    },
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    /// By id or code.
    organization_id: String,
    area_silo: Option<String>,
    category: Option<String>,
    class: Option<String>,
    source: Option<String>,
    dor: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    is_actualized: Option<bool>,
    is_discontinued: Option<bool>,
    /// Text that occurs in the id or in a descriptive field.
    search: Option<String>,
    /// The field to sort by; records without it come first.
    sort: Option<String>,
    #[serde(default)]
    descending: bool,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Record {
    pfa_id: String,
    /// Version of the record in PEMS.
    version: i32,
    /// The record, merged with pending changes and the caller's own drafts.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// State of its changes: `draft`, `committed` or `syncing`; null: it has none.
    state: Option<String>,
    /// The fields that these changes set.
    changed_fields: Vec<String>,
    #[serde(skip_serializing)]
    cursor: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RecordPage {
    records: Vec<Record>,
    /// `after` of the next page; null: this is the last page.
    next: Option<String>,
}

/// Records, merged with pending changes and the caller's drafts
#[utoipa::path(get, operation_id = "listRecords", path = "/api/pfa-data", tag = "edits", params(Wanted), responses((status = OK, body = RecordPage)))]
pub(super) async fn list(caller: Caller, Parameters(wanted): Parameters<Wanted>) -> Result<Json<RecordPage>, Problem> {
    let limit = page_limit(wanted.limit)?;
    let filter = given(json!({
        "areaSilo": wanted.area_silo, "category": wanted.category, "class": wanted.class, "source": wanted.source,
        "dor": wanted.dor, "manufacturer": wanted.manufacturer, "model": wanted.model,
        "isActualized": wanted.is_actualized, "isDiscontinued": wanted.is_discontinued
    }));
    let sort = wanted.sort.as_deref().unwrap_or("pfaId");
    let query = "select * from pfa_sync.records($1, $2, $3, $4, $5, $6, $7::bigint::int)";
    let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
        [&wanted.organization_id, &filter, &wanted.search, &sort, &wanted.descending, &wanted.after, &limit];
    let records: Vec<Record> = caller.rows(query, &arguments).await?;
    let full = records.len() as i64 >= limit;
    Ok(Json(RecordPage { next: records.last().map(|record| record.cursor.clone()).filter(|_| full), records }))
}
