//! PEMS, their credentials without secrets, and relays.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::caller::Caller,
    http::{body::Body, problem::Problem},
    id::Id,
};

/// A PEMS.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct PemsSystem {
    pems: String,
    dialect: String,
    /// Null: the relays' settings name it.
    url: Option<String>,
    tenant: Option<String>,
    /// Time between two requests, such as `00:00:00.105`.
    slot_interval: String,
    /// Most records in a request.
    batch_size: i32,
    /// Longest time of a request; null: the relay's setting.
    request_timeout: Option<String>,
    /// Options of the dialect.
    #[schema(value_type = Object)]
    options: Value,
    /// Ids of the organizations that have it.
    organizations: Vec<String>,
    /// `closed`, `open` or `half-open`; null: retired.
    breaker: Option<String>,
    #[schema(format = DateTime)]
    defined_at: String,
    defined_by: String,
    #[schema(format = DateTime)]
    retired_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PemsSystemList {
    systems: Vec<PemsSystem>,
}

/// Every PEMS, with its limits and organizations
#[utoipa::path(get, operation_id = "listPemsSystems", path = "/api/pems/systems", tag = "systems", responses((status = OK, body = PemsSystemList)))]
pub(super) async fn list(caller: Caller) -> Result<Json<PemsSystemList>, Problem> {
    Ok(Json(PemsSystemList { systems: caller.rows("select * from pfa_sync.pems_systems order by pems", &[]).await? }))
}

/// How a PEMS is defined. What is absent has its default.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PemsDefinition {
    /// Base address, without /api/pems; only the PEMS called `default` may have none.
    url: Option<String>,
    tenant: Option<String>,
    /// `pems`.
    dialect: Option<String>,
    /// An interval, such as `105 ms`.
    slot_interval: Option<String>,
    #[schema(minimum = 1, maximum = 100)]
    batch_size: Option<i32>,
    /// An interval, such as `30 s`.
    request_timeout: Option<String>,
    #[schema(value_type = Option<Object>)]
    options: Option<Value>,
}

/// Define a PEMS, or replace its definition
#[utoipa::path(
    put, operation_id = "definePems", path = "/api/pems/systems/{pems}", tag = "systems", params(("pems" = String, Path)),
    request_body = PemsDefinition, responses((status = NO_CONTENT))
)]
pub(super) async fn define(
    caller: Caller,
    Path(name): Path<String>,
    Body(definition): Body<PemsDefinition>,
) -> Result<StatusCode, Problem> {
    let query = "select pfa_sync.define_pems($1, $2, $3, coalesce($4, 'pems'), $5::text::interval, $6, $7::text::interval, \
                        coalesce($8, '{}'::jsonb))";
    let PemsDefinition { url, tenant, dialect, slot_interval, batch_size, request_timeout, options } = definition;
    caller
        .row::<IgnoredAny>(query, &[&name, &url, &tenant, &dialect, &slot_interval, &batch_size, &request_timeout, &options])
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Retire a PEMS that no organization has, and erase its secrets
#[utoipa::path(
    delete, operation_id = "retirePems", path = "/api/pems/systems/{pems}", tag = "systems", params(("pems" = String, Path)),
    responses((status = NO_CONTENT))
)]
pub(super) async fn retire(caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    caller.row::<IgnoredAny>("select pfa_sync.retire_pems($1)", &[&name]).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PemsAssignment {
    /// By id or code.
    organization_id: String,
}

/// Give an organization this PEMS
#[utoipa::path(
    post, operation_id = "assignPems", path = "/api/pems/systems/{pems}/assign", tag = "systems", params(("pems" = String, Path)),
    request_body = PemsAssignment, responses((status = NO_CONTENT))
)]
pub(super) async fn assign(
    caller: Caller,
    Path(name): Path<String>,
    Body(assignment): Body<PemsAssignment>,
) -> Result<StatusCode, Problem> {
    caller.row::<IgnoredAny>("select pfa_sync.assign_pems($1, $2)", &[&assignment.organization_id, &name]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Credentials for a PEMS, without their secret.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct PemsCredentials {
    credential_id: Id,
    pems: String,
    /// Null: every organization of the PEMS that has none of its own.
    organization_id: Option<String>,
    /// `basic`, `bearer` or `api_key`.
    kind: String,
    user_name: Option<String>,
    version: i32,
    /// `next`, `active` or `retired`.
    status: String,
    fingerprint: String,
    /// The only address that they are sent to.
    address: String,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: String,
    #[schema(format = DateTime)]
    verified_at: Option<String>,
    #[schema(format = DateTime)]
    activated_at: Option<String>,
    #[schema(format = DateTime)]
    retired_at: Option<String>,
    /// Of those in use; 90 is the limit.
    age_days: Option<i32>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PemsCredentialsList {
    credentials: Vec<PemsCredentials>,
}

/// Credentials for PEMS, without secrets; `pfa-relay credentials` stores and rotates them
#[utoipa::path(get, operation_id = "listCredentials", path = "/api/pems/credentials", tag = "systems", responses((status = OK, body = PemsCredentialsList)))]
pub(super) async fn credentials(caller: Caller) -> Result<Json<PemsCredentialsList>, Problem> {
    let query = "select * from pfa_sync.credentials order by pems, organization_id nulls first, version desc";
    Ok(Json(PemsCredentialsList { credentials: caller.rows(query, &[]).await? }))
}

/// A relay.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Relay {
    relay: String,
    version: String,
    #[schema(format = DateTime)]
    started_at: String,
    /// When it sent its last heartbeat.
    #[schema(format = DateTime)]
    seen_at: String,
    alive: bool,
    /// Whether notifications reach it; null: not known.
    listening: Option<bool>,
    /// Ids of the organizations that it serves.
    organizations: Vec<String>,
    /// Why it does not serve others: `organization_id` and `reason` of each; null: it serves all.
    #[schema(value_type = Option<Vec<Object>>)]
    faults: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RelayList {
    relays: Vec<Relay>,
}

/// Relays that were seen within a day
#[utoipa::path(get, operation_id = "listRelays", path = "/api/pems/relays", tag = "systems", responses((status = OK, body = RelayList)))]
pub(super) async fn relays(caller: Caller) -> Result<Json<RelayList>, Problem> {
    Ok(Json(RelayList { relays: caller.rows("select * from pfa_sync.relays order by relay", &[]).await? }))
}
