//! The merged view of an organization's records.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    problem::Problem,
    request::{Parameters, given, page_limit},
    session::Caller,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wanted {
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
    /// Text that occurs in the id or a describing field.
    search: Option<String>,
    /// A field; records without it come first.
    sort: Option<String>,
    #[serde(default)]
    descending: bool,
    /// The `next` of the page before.
    after: Option<String>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pfa_id: String,
    /// Of the record as PEMS has it.
    version: i32,
    /// The record, with what is on its way to PEMS and the caller's own drafts laid over it.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// How far its changes are: `draft`, `committed` or `syncing`; null = it has none.
    state: Option<String>,
    /// The fields that they change.
    changed_fields: Vec<String>,
    #[serde(skip_serializing)]
    cursor: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Records {
    records: Vec<Record>,
    /// `after` of the next page; null = this was the last.
    next: Option<String>,
}

/// Records, with changes on their way and the caller's drafts laid over them
#[utoipa::path(get, operation_id = "listRecords", path = "/api/pfa-data", tag = "edits", params(Wanted), responses((status = OK, body = Records)))]
pub(crate) async fn list(caller: Caller, Parameters(wanted): Parameters<Wanted>) -> Result<Json<Records>, Problem> {
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
    Ok(Json(Records { next: records.last().map(|record| record.cursor.clone()).filter(|_| full), records }))
}
