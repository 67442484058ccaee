//! The state of synchronisation, by organization and by record, and its priority.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Parameters, word},
        idempotency::Idempotent,
        problem::Problem,
    },
    id::Id,
    session::{NO_USER, Sessions},
    state::AppState,
};

/// Where all organizations stand; `None` = the database does not say, and the caller's own query will say why.
async fn read_standing(sessions: &Sessions) -> Option<Arc<Value>> {
    let rows = sessions.rows(NO_USER, None, "select pfa_sync.status_of_all() as standing", &[]).await.ok()?;
    Some(Arc::new(rows.into_iter().next()?["standing"].take()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct Period {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
    /// Only organizations with changes that are `pending`, `processing`, `completed` or `failed`.
    status: Option<String>,
    /// Only organizations with this code of health, such as `paused`.
    health_code: Option<String>,
    /// Start of the period for ended changes; one day ago by default.
    #[param(format = DateTime)]
    start_date: Option<String>,
    /// End of the period for ended changes.
    #[param(format = DateTime)]
    end_date: Option<String>,
}

/// Whether changes reach PEMS.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    Healthy,
    Degraded,
    Unhealthy,
}

/// How many changes stand where, and whether they go on.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct SyncFigures {
    /// Changes that wait. Of an organization with 1000 or more, their number when they were last counted, within a minute or so.
    total_queued: i64,
    processing: i64,
    completed: i64,
    failed: i64,
    /// Average time from commit to confirmation, in seconds.
    #[schema(value_type = Option<f64>)]
    avg_sync_time: Option<Value>,
    #[schema(format = DateTime)]
    last_sync_at: Option<String>,
    #[schema(format = DateTime)]
    next_sync_at: Option<String>,
    health: Health,
    /// The worst that holds now: `not_attached`, `no_relay`, `unserved`, `pems_down`, `held` (PEMS refused the credentials),
    /// `throttled`, `stalled`, `slow`, `drift`, `unreliable`, `failing` (open dead letters), `paused`,
    /// `waiting_for_resolution` (open conflicts) or `ok`. A long queue is `ok` while it drains at PEMS' rate.
    health_code: String,
    /// What is the matter, in words; null for `ok`.
    health_reason: Option<String>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct OrganizationStatus {
    organization_id: String,
    organization_code: Option<String>,
    /// Open conflicts.
    conflicts: i64,
    #[serde(flatten)]
    figures: SyncFigures,
}

/// The sum over the organizations, with the worst health among them, and each of them.
#[derive(Serialize, ToSchema)]
pub(super) struct SyncStatus {
    #[serde(flatten)]
    total: SyncFigures,
    organizations: Vec<OrganizationStatus>,
}

/// A row of the query: an organization, or without an id the sum.
#[derive(Deserialize)]
struct StatusRow {
    organization_id: Option<String>,
    organization_code: Option<String>,
    conflicts: i64,
    #[serde(flatten)]
    figures: SyncFigures,
}

/// The query of a status. STANDING = the call that returns where organizations stand.
const STATUS: &str = "\
    with figures as materialized ( \
        select s.organization_id, s.code as organization_code, s.conflicts, s.queued as total_queued, s.processing, s.completed, \
               s.failed, s.avg_sync_seconds as avg_sync_time, s.last_sync_at, s.next_sync_at, \
               case s.severity when 'critical' then 'unhealthy' when 'warning' then 'degraded' else 'healthy' end as health, \
               s.health as health_code, s.health_reason, c.rank \
          from STANDING s \
          join pfa_sync.causes c on c.kind = 'health' and c.code = s.health) \
    select f.* from figures f \
    union all \
    select null, null, coalesce(sum(conflicts), 0)::bigint, coalesce(sum(total_queued), 0)::bigint, \
           coalesce(sum(processing), 0)::bigint, coalesce(sum(completed), 0)::bigint, coalesce(sum(failed), 0)::bigint, \
           round(sum(avg_sync_time * completed) / nullif(sum(completed), 0), 3), max(last_sync_at), min(next_sync_at), \
           coalesce((array_agg(health order by rank))[1], 'healthy'), coalesce((array_agg(health_code order by rank))[1], 'ok'), \
           (array_agg(health_reason order by rank))[1], null \
      from figures \
     order by organization_code, organization_id";

/// The state of synchronisation
///
/// The figures of the organizations that the filters select: their sum, and each organization.
#[utoipa::path(get, operation_id = "getSyncStatus", path = "/api/pems/sync-status", tag = "sync", params(Period), responses((status = OK, body = SyncStatus)))]
pub(super) async fn status(
    caller: Caller,
    State(state): State<AppState>,
    Parameters(period): Parameters<Period>,
) -> Result<Json<SyncStatus>, Problem> {
    let Period { organization_id, status, health_code, start_date, end_date } = period;
    let standing = match (&start_date, &end_date) {
        (None, None) => state.standing.get(read_standing(&caller.access.sessions)).await,
        _ => None,
    };
    let rows: Vec<StatusRow> = match standing {
        Some(standing) => {
            let query = STATUS.replace("STANDING", "pfa_sync.status_from($1, $2, $3, $4)");
            caller.rows(&query, &[&*standing, &organization_id, &status, &health_code]).await?
        }
        None => {
            let call = "pfa_sync.status($1, $2, $3::text::timestamptz, $4::text::timestamptz, $5)";
            let query = STATUS.replace("STANDING", call);
            caller.rows(&query, &[&organization_id, &status, &start_date, &end_date, &health_code]).await?
        }
    };
    let (mut total, mut organizations) = (None, Vec::with_capacity(rows.len()));
    for StatusRow { organization_id, organization_code, conflicts, figures } in rows {
        match organization_id {
            Some(organization_id) => {
                organizations.push(OrganizationStatus { organization_id, organization_code, conflicts, figures });
            }
            None => total = Some(figures),
        }
    }
    let total = total.ok_or_else(|| Problem::new("internal", "the status has no sum"))?;
    Ok(Json(SyncStatus { total, organizations }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scope {
    /// By id or code.
    organization_id: String,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct TimelineEvent {
    event_id: Id,
    #[schema(format = DateTime)]
    at: String,
    event_type: String,
    user_id: Option<String>,
    user_name: Option<String>,
    modification_id: Option<String>,
    queue_id: Option<Id>,
    job_id: Option<Id>,
    batch_id: Option<Id>,
    /// What happened, in words.
    sentence: Option<String>,
    reason: Option<String>,
    /// For each changed field, its value before and after, where that is known.
    #[schema(value_type = Option<Object>)]
    from_to: Option<Value>,
    #[schema(value_type = Option<Object>)]
    changes: Option<Value>,
    success: Option<bool>,
    error_message: Option<String>,
    /// What PEMS answered, for users who may see prices.
    pems_response: Option<Value>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Timeline {
    events: Vec<TimelineEvent>,
}

/// All events of a record, oldest first
#[utoipa::path(
    get, operation_id = "getTimeline", path = "/api/pems/records/{pfaId}/timeline", tag = "sync", params(("pfaId" = String, Path), Scope),
    responses((status = OK, body = Timeline))
)]
pub(super) async fn timeline(
    caller: Caller,
    Path(pfa_id): Path<String>,
    Parameters(scope): Parameters<Scope>,
) -> Result<Json<Timeline>, Problem> {
    let query = "select * from pfa_sync.timeline($1, $2)";
    Ok(Json(Timeline { events: caller.rows(query, &[&scope.organization_id, &pfa_id]).await? }))
}

/// Priority of a change.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WriteSyncRequest {
    /// By id or code.
    organization_id: String,
    /// Absent: all committed changes of the organization.
    modification_ids: Option<Vec<String>>,
    #[serde(default, deserialize_with = "word")]
    priority: Priority,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct WriteSyncResult {
    success: bool,
    job_id: Id,
    queued_count: i64,
    /// Estimated time when PEMS has applied all of them, at its rate and with the queues of other organizations; null: nothing is
    /// sent now, see `health`.
    #[schema(format = DateTime)]
    estimated_completion_time: Option<String>,
    /// Why nothing is sent now, such as `paused` or `held`; null: changes are sent.
    health: Option<String>,
}

/// Send committed changes to PEMS with this priority
#[utoipa::path(
    post, operation_id = "writeSync", path = "/api/pems/write-sync", tag = "sync", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = WriteSyncRequest, responses((status = OK, body = WriteSyncResult))
)]
pub(super) async fn write_sync(caller: Caller, request: Idempotent<WriteSyncRequest>) -> Result<Json<WriteSyncResult>, Problem> {
    let query = "select true as success, job_id, queued as queued_count, clock_timestamp() + estimate as estimated_completion_time, health \
                   from pfa_sync.write_sync($1, $2, $3)";
    let WriteSyncRequest { organization_id, modification_ids, priority } = &request.body;
    let priority = match priority {
        Priority::High => 10,
        Priority::Normal => 0,
        Priority::Low => -10,
    };
    Ok(Json(caller.row_idempotent(&request, query, &[organization_id, modification_ids, &priority]).await?))
}
