//! Who the caller is, and the set-ups of pages that users save.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters},
        problem::Problem,
    },
};

/// The caller: who it is, what it may do where, and which installation it looks at.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Me {
    user_id: String,
    user_name: String,
    email: Option<String>,
    role: String,
    organizations: Vec<MyOrganization>,
    instance: Instance,
    /// The user may edit nothing, or the database takes no edits.
    read_only: bool,
    read_only_reason: Option<String>,
}

/// An organization that the caller may read.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct MyOrganization {
    organization_id: String,
    code: Option<String>,
    /// Such as `perm_Sync`.
    permissions: Vec<String>,
    /// Whether its changes are sent now.
    may_send: bool,
    paused: bool,
    pause_reason: Option<String>,
    #[schema(format = DateTime)]
    paused_until: Option<String>,
    /// Whether PEMS refused the credentials.
    held: bool,
}

/// The installation, as the settings name it.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Instance {
    name: String,
    colour: String,
    production: bool,
    /// Other installations.
    links: Vec<InstanceLink>,
}

/// Another installation.
#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct InstanceLink {
    name: String,
    /// Begins with `http://` or `https://`.
    address: String,
}

/// Who I am, and what I may do where
#[utoipa::path(get, operation_id = "getMe", path = "/api/pems/me", tag = "me", responses((status = OK, body = Me)))]
pub(super) async fn me(caller: Caller) -> Result<Json<Me>, Problem> {
    let query = "select m.* from pfa_sync.me() j, jsonb_to_record(j) m (user_id text, user_name text, email text, role text, \
                        organizations jsonb, instance jsonb, read_only boolean, read_only_reason text)";
    Ok(Json(caller.row(query, &[]).await?))
}

/// The set-up of a page under a name.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct SavedView {
    user_id: String,
    user_name: String,
    page: String,
    name: String,
    /// As it was saved.
    #[schema(value_type = Object)]
    setup: Value,
    /// Whether users of the same organizations are shown it.
    shared: bool,
    own: bool,
    #[schema(format = DateTime)]
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SavedViewList {
    views: Vec<SavedView>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedViews {
    /// Only those of this page.
    page: Option<String>,
}

/// Saved views: the caller's own, and those that users of the same organizations share
#[utoipa::path(get, operation_id = "listViews", path = "/api/pems/views", tag = "me", params(WantedViews), responses((status = OK, body = SavedViewList)))]
pub(super) async fn views(caller: Caller, Parameters(wanted): Parameters<WantedViews>) -> Result<Json<SavedViewList>, Problem> {
    let query = "select user_id, user_name, page, name, state as setup, shared, own, updated_at from pfa_sync.saved_views \
                  where $1::text is null or page = $1 order by page, name, user_id";
    Ok(Json(SavedViewList { views: caller.rows(query, &[&wanted.page]).await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ViewRequest {
    /// Up to 16 kB.
    #[schema(value_type = Object)]
    setup: Value,
    #[serde(default)]
    shared: bool,
}

/// When a view was saved.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ViewResult {
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Save a view; one of that name is replaced
#[utoipa::path(
    put, operation_id = "saveView", path = "/api/pems/views/{page}/{name}", tag = "me", params(("page" = String, Path), ("name" = String, Path)),
    request_body = ViewRequest, responses((status = OK, body = ViewResult))
)]
pub(super) async fn save_view(
    caller: Caller,
    Path((page, name)): Path<(String, String)>,
    Body(view): Body<ViewRequest>,
) -> Result<Json<ViewResult>, Problem> {
    let query = "select pfa_sync.save_view($1, $2, $3, $4) as updated_at";
    Ok(Json(caller.row(query, &[&page, &name, &view.setup, &view.shared]).await?))
}

/// Delete a view of the caller
#[utoipa::path(
    delete, operation_id = "deleteView", path = "/api/pems/views/{page}/{name}", tag = "me", params(("page" = String, Path), ("name" = String, Path)),
    responses((status = NO_CONTENT))
)]
pub(super) async fn delete_view(caller: Caller, Path((page, name)): Path<(String, String)>) -> Result<StatusCode, Problem> {
    let query = "select from pfa_sync.delete_view($1, $2) deleted where deleted";
    caller.row::<IgnoredAny>(query, &[&page, &name]).await?;
    Ok(StatusCode::NO_CONTENT)
}
