//! Conflicts that were resolved, and how.

use axum::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;

use super::listing::WantedRows;
use crate::{
    auth::caller::Caller,
    http::{body::Parameters, page::next, problem::Problem},
    id::Id,
};

/// A resolved conflict.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ResolvedConflict {
    conflict_id: Id,
    organization_id: String,
    pfa_id: String,
    modification_id: String,
    author: String,
    author_name: String,
    /// Names of the fields that conflicted; empty: the edit was merged into a record that had moved on in other fields.
    conflict_fields: Vec<String>,
    code: String,
    /// `resolved_manual` or `resolved_auto`.
    status: String,
    /// `use_local`, `use_pems` or `merge`; null: nothing was decided, the edit was withdrawn or committed again.
    resolution: Option<String>,
    resolved_by: Option<String>,
    resolved_by_name: Option<String>,
    #[schema(format = DateTime)]
    resolved_at: String,
    #[schema(format = DateTime)]
    created_at: String,
    local_version: i32,
    mirror_version: i32,
    pems_version: Option<i64>,
    /// For each changed field: field, conflict, base, ours, theirs (what PEMS had), merged (what the resolution left).
    #[schema(value_type = Option<Vec<Object>>)]
    fields: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ResolvedConflictPage {
    conflicts: Vec<ResolvedConflict>,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
}

/// Resolved conflicts, the latest first
#[utoipa::path(get, operation_id = "listResolvedConflicts", path = "/api/pems/resolved-conflicts", tag = "conflicts", params(WantedRows), responses((status = OK, body = ResolvedConflictPage)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(wanted): Parameters<WantedRows>,
) -> Result<Json<ResolvedConflictPage>, Problem> {
    let (conflicts, next) = page(&caller, &wanted).await?;
    Ok(Json(ResolvedConflictPage { conflicts, next }))
}

/// A page of resolved conflicts, and the cursor of the next one.
pub(super) async fn page(caller: &Caller, wanted: &WantedRows) -> Result<(Vec<ResolvedConflict>, Option<Id>), Problem> {
    let limit = wanted.limit()?;
    let query = "select * from pfa_sync.find_resolved_conflicts($1, $2, nullif($3::bigint, 0), $4::bigint::int)";
    let arguments: [&(dyn ToSql + Sync); 4] = [&wanted.organization_id, &wanted.filter(), &wanted.after, &limit];
    let conflicts: Vec<ResolvedConflict> = caller.rows(query, &arguments).await?;
    let next = next(&conflicts, limit, |conflict| conflict.conflict_id);
    Ok((conflicts, next))
}
