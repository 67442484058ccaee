//! The records of an organization, merged with pending changes.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters, camel_keys, camel_keys_if_any, given},
        page::{next, page_limit},
        problem::Problem,
    },
    id::Id,
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

/// A record in a list.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Record {
    pfa_id: String,
    /// Version of the record in the mirror.
    version: i32,
    /// The record, merged with pending changes and the caller's own drafts.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// State of its farthest change: `draft`, `committed` or `syncing`; null: it has none.
    state: Option<String>,
    /// All that it is: `draft`, `queued`, `syncing`, `conflict`, `failed` or `synced`.
    states: Vec<String>,
    /// The fields that these changes set.
    changed_fields: Vec<String>,
    /// The caller's draft.
    modification_id: Option<String>,
    /// The fields of the draft as they were.
    #[schema(value_type = Option<Object>)]
    base: Option<Value>,
    /// The errors for which a commit of the draft would be refused.
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Option<Value>,
    /// The conflicts that a commit of the draft would raise.
    #[schema(value_type = Option<Vec<Object>>)]
    conflicts: Option<Value>,
    reason: Option<String>,
    /// The users with a change of the record.
    #[serde(serialize_with = "camel_keys")]
    #[schema(value_type = Vec<Object>)]
    authors: Value,
    conflict_id: Option<Id>,
    dead_letter_id: Option<Id>,
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
    let filter = given(json!({
        "areaSilo": wanted.area_silo, "category": wanted.category, "class": wanted.class, "source": wanted.source,
        "dor": wanted.dor, "manufacturer": wanted.manufacturer, "model": wanted.model,
        "isActualized": wanted.is_actualized, "isDiscontinued": wanted.is_discontinued
    }));
    let search = RecordSearch {
        organization_id: wanted.organization_id,
        filter,
        search: wanted.search,
        sort: wanted.sort,
        descending: wanted.descending,
        after: wanted.after,
        skip: 0,
        limit: wanted.limit,
    };
    page(&caller, &search).await.map(Json)
}

/// What records are searched for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RecordSearch {
    /// By id or code.
    organization_id: String,
    /// Fields with the value they must have, an array of values, or for dates and amounts a range `{from, to}`; also `state`
    /// (`draft`, `queued`, `syncing`, `conflict`, `failed`, `synced`), `author` (ids of users) and `pfa_ids` (up to 500).
    #[serde(default = "no_filter")]
    #[schema(value_type = Object)]
    filter: Value,
    /// Text that occurs in the id or in a descriptive field.
    search: Option<String>,
    /// The field to sort by; records without it come first.
    sort: Option<String>,
    #[serde(default)]
    descending: bool,
    /// The `next` of the previous page.
    after: Option<String>,
    /// Rows that are left out before the page.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000)]
    skip: i64,
    /// Rows in a page, 50 by default.
    #[schema(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// The filter of a search that has none: it finds all records.
pub(super) fn no_filter() -> Value {
    json!({})
}

/// Search records by several values, states, authors, ids and ranges
#[utoipa::path(post, operation_id = "searchRecords", path = "/api/pfa-data/search", tag = "edits", request_body = RecordSearch, responses((status = OK, body = RecordPage)))]
pub(super) async fn search(caller: Caller, Body(search): Body<RecordSearch>) -> Result<Json<RecordPage>, Problem> {
    page(&caller, &search).await.map(Json)
}

async fn page(caller: &Caller, wanted: &RecordSearch) -> Result<RecordPage, Problem> {
    let limit = page_limit(wanted.limit)?;
    let sort = wanted.sort.as_deref().unwrap_or("pfaId");
    let query = "select * from pfa_sync.records($1, $2, $3, $4, $5, $6, $7::bigint::int, null, $8::bigint::int)";
    let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
        [&wanted.organization_id, &wanted.filter, &wanted.search, &sort, &wanted.descending, &wanted.after, &limit, &wanted.skip];
    let records: Vec<Record> = caller.rows(query, &arguments).await?;
    Ok(RecordPage { next: next(&records, limit, |record| record.cursor.clone()), records })
}

/// Which values are counted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FacetRequest {
    /// By id or code.
    organization_id: String,
    /// As of a search.
    #[serde(default = "no_filter")]
    #[schema(value_type = Object)]
    filter: Value,
    search: Option<String>,
    /// The fields whose values are counted, and `state`; category, class, source and state by default.
    fields: Option<Vec<String>>,
}

/// How many records a search finds, in all and by value.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Facets {
    total: i64,
    /// There may be more than were counted.
    at_least: bool,
    /// For each field its 50 commonest values, with their number, and how many there are.
    #[schema(value_type = Vec<Object>)]
    facets: Value,
}

/// Count the records of a search, in all and by value
#[utoipa::path(post, operation_id = "countRecords", path = "/api/pfa-data/facets", tag = "edits", request_body = FacetRequest, responses((status = OK, body = Facets)))]
pub(super) async fn facets(caller: Caller, Body(wanted): Body<FacetRequest>) -> Result<Json<Facets>, Problem> {
    let query = "select * from pfa_sync.record_facets($1, $2, $3, coalesce($4::text[], '{category,class,source,state}'))";
    let FacetRequest { organization_id, filter, search, fields } = wanted;
    Ok(Json(caller.row(query, &[&organization_id, &filter, &search, &fields]).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scope {
    /// By id or code.
    organization_id: String,
}

/// One record with all that is known of it.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct WholeRecord {
    organization_id: String,
    version: i32,
    /// As PEMS has it.
    #[schema(value_type = Object)]
    data: Value,
    /// With pending changes and the caller's own drafts laid over it; null: there are none.
    #[schema(value_type = Option<Object>)]
    merged: Option<Value>,
    /// The forecast cost of `data`, for users who may see prices.
    #[schema(value_type = Option<f64>)]
    cost: Option<Value>,
    /// The forecast cost of `merged`.
    #[schema(value_type = Option<f64>)]
    merged_cost: Option<Value>,
    state: Option<String>,
    states: Vec<String>,
    changed_fields: Vec<String>,
    /// The caller's draft, with base, errors and conflicts.
    #[serde(serialize_with = "camel_keys_if_any")]
    #[schema(value_type = Option<Object>)]
    draft: Option<Value>,
    /// Pending edits of other users, without values.
    #[serde(serialize_with = "camel_keys")]
    #[schema(value_type = Vec<Object>)]
    others: Value,
    /// Its changes in the queue, in order.
    #[serde(serialize_with = "camel_keys")]
    #[schema(value_type = Vec<Object>)]
    queue: Value,
    conflict_id: Option<Id>,
    dead_letter_id: Option<Id>,
    pems_version: Option<String>,
    #[schema(format = DateTime)]
    synced_at: Option<String>,
}

/// One record
#[utoipa::path(
    get, operation_id = "getRecord", path = "/api/pfa-data/records/{pfaId}", tag = "edits", params(("pfaId" = String, Path), Scope),
    responses((status = OK, body = WholeRecord))
)]
pub(super) async fn get(
    caller: Caller,
    Path(pfa_id): Path<String>,
    Parameters(scope): Parameters<Scope>,
) -> Result<Json<WholeRecord>, Problem> {
    // A price that is masked has no cost either.
    let query =
        "select r.*, pfa_sync.cost(r.data) as cost, pfa_sync.cost(r.merged) as merged_cost from pfa_sync.record($1, $2) r";
    Ok(Json(caller.row(query, &[&scope.organization_id, &pfa_id]).await?))
}
