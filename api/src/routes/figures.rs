//! Key figures, the forecast of the queues, failures by their cause, and the meaning of codes.

use axum::{Json, extract::Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters},
        problem::Problem,
    },
    id::Id,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KpiPeriod {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
    /// One day before the end by default.
    #[param(format = DateTime)]
    start_date: Option<String>,
    /// Now by default.
    #[param(format = DateTime)]
    end_date: Option<String>,
    /// An interval, such as `1 hour`: a row for each; absent: one for the whole period.
    step: Option<String>,
}

/// A key figure of an organization in a period.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Kpi {
    organization_id: Option<String>,
    #[schema(format = DateTime)]
    period_start: String,
    #[schema(format = DateTime)]
    period_end: String,
    /// Such as `success_rate` or `latency_p95`; docs/reference/kpis.md defines each.
    name: String,
    /// Null: nothing was measured.
    #[schema(value_type = Option<f64>)]
    value: Option<Value>,
    unit: String,
    /// Null: it has no target.
    #[schema(value_type = Option<f64>)]
    target: Option<Value>,
    met: Option<bool>,
    samples: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct KpiList {
    kpis: Vec<Kpi>,
}

/// Key figures of the synchronisation
#[utoipa::path(get, operation_id = "listKpis", path = "/api/pems/kpis", tag = "figures", params(KpiPeriod), responses((status = OK, body = KpiList)))]
pub(super) async fn kpis(caller: Caller, Parameters(period): Parameters<KpiPeriod>) -> Result<Json<KpiList>, Problem> {
    let KpiPeriod { organization_id, start_date, end_date, step } = period;
    let query = "select * from pfa_sync.kpis($1, $2::text::timestamptz, $3::text::timestamptz, $4::text::interval)";
    Ok(Json(KpiList { kpis: caller.rows(query, &[&organization_id, &start_date, &end_date, &step]).await? }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scope {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
}

/// What becomes of the queue of an organization.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct DrainForecast {
    organization_id: String,
    /// `empty`, `draining`, `growing`, `stalled` or `stopped`.
    state: String,
    waiting: i64,
    /// Changes that are queued in a minute.
    #[schema(value_type = Option<f64>)]
    per_minute_in: Option<Value>,
    /// Changes that end in a minute.
    #[schema(value_type = Option<f64>)]
    per_minute_out: Option<Value>,
    /// When the queue will be empty; null: not known.
    #[schema(format = DateTime)]
    clears_at: Option<String>,
    sentence: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct DrainForecastList {
    organizations: Vec<DrainForecast>,
}

/// When the queues will be empty
#[utoipa::path(get, operation_id = "getDrainForecast", path = "/api/pems/drain-forecast", tag = "figures", params(Scope), responses((status = OK, body = DrainForecastList)))]
pub(super) async fn drain_forecast(
    caller: Caller,
    Parameters(scope): Parameters<Scope>,
) -> Result<Json<DrainForecastList>, Problem> {
    let query = "select * from pfa_sync.drain_forecast($1)";
    Ok(Json(DrainForecastList { organizations: caller.rows(query, &[&scope.organization_id]).await? }))
}

/// Changes of an organization that fail for one cause.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Failure {
    organization_id: String,
    code: String,
    meaning: String,
    /// What to do about it.
    action: String,
    open_dead_letters: i64,
    /// Changes whose last attempt failed, and that are tried again.
    failing_attempts: i64,
    #[schema(format = DateTime)]
    first_seen: Option<String>,
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    last_hour: i64,
    hour_before: i64,
    /// `up`, `down` or `steady`.
    trend: String,
    /// Queue ids of the latest.
    examples: Vec<Id>,
    note: Option<String>,
    owner: Option<String>,
    /// `open`, `looking`, `known` or `fixed`.
    state: String,
    changed_by: Option<String>,
    #[schema(format = DateTime)]
    changed_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct FailureList {
    failures: Vec<Failure>,
}

/// Failures by their cause
#[utoipa::path(get, operation_id = "listFailures", path = "/api/pems/failures", tag = "figures", params(Scope), responses((status = OK, body = FailureList)))]
pub(super) async fn failures(caller: Caller, Parameters(scope): Parameters<Scope>) -> Result<Json<FailureList>, Problem> {
    let query = "select * from pfa_sync.failures \
                  where $1::text is null or organization_id = (select pfa_sync.organization_of($1)) \
                  order by organization_id, code";
    Ok(Json(FailureList { failures: caller.rows(query, &[&scope.organization_id]).await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FailureNote {
    /// By id or code.
    organization_id: String,
    note: Option<String>,
    /// Id of the user who looks into it.
    owner: Option<String>,
    /// `open`, `looking`, `known` or `fixed`.
    state: Option<String>,
}

/// What is noted about a failure.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct NotedFailure {
    code: String,
    note: Option<String>,
    owner: Option<String>,
    state: String,
}

/// Note something about the failures of a cause
#[utoipa::path(
    put, operation_id = "noteFailure", path = "/api/pems/failures/{code}", tag = "figures", params(("code" = String, Path)),
    request_body = FailureNote, responses((status = OK, body = NotedFailure))
)]
pub(super) async fn note(
    caller: Caller,
    Path(code): Path<String>,
    Body(noted): Body<FailureNote>,
) -> Result<Json<NotedFailure>, Problem> {
    let query = "select n.* from pfa_sync.note_failure($1, $2, $3, $4, $5) j, \
                        jsonb_to_record(j) n (code text, note text, owner text, state text)";
    let FailureNote { organization_id, note, owner, state } = noted;
    Ok(Json(caller.row(query, &[&code, &organization_id, &note, &owner, &state]).await?))
}

/// What a code means.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Cause {
    code: String,
    /// `health`, `dead_letter`, `conflict`, `attempt` or `item`.
    kind: String,
    /// Of a code of health: `ok`, `warning` or `critical`.
    severity: Option<String>,
    meaning: String,
    /// What to do about it.
    action: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CauseList {
    causes: Vec<Cause>,
}

/// The meaning of every code
#[utoipa::path(get, operation_id = "listCauses", path = "/api/pems/causes", tag = "figures", responses((status = OK, body = CauseList)))]
pub(super) async fn causes(caller: Caller) -> Result<Json<CauseList>, Problem> {
    Ok(Json(CauseList { causes: caller.rows("select * from pfa_sync.causes", &[]).await? }))
}
