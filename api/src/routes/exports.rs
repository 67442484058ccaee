//! Lists as CSV, for those who may export.

use axum::response::Response;
use serde::{Deserialize, de::IgnoredAny};
use utoipa::IntoParams;

use super::{
    conflicts::ConflictSummary,
    dead_letters::DeadLetter,
    jobs::{self, Job, WantedJobs},
    listing::{AllRows, WantedRows, list as list_rows},
    resolved_conflicts::{self, ResolvedConflict},
};
use crate::{
    auth::caller::Caller,
    http::{body::Parameters, csv::export, problem::Problem},
    id::Id,
};

/// Checks that the caller may take rows along: of an organization, or of all, as an administrator.
async fn require_export(caller: &Caller, organization: Option<&str>) -> Result<(), Problem> {
    caller.row::<IgnoredAny>("select pfa_sync.require_export($1)", &[&organization]).await.map(drop)
}

/// Where the page after this one is read.
fn rest(caller: Caller, mut wanted: WantedRows, next: Option<Id>) -> Option<(Caller, WantedRows)> {
    wanted.after = next?;
    Some((caller, wanted))
}

/// Open conflicts as CSV, oldest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportConflicts", path = "/api/pems/conflicts.csv", tag = "conflicts", params(AllRows),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(super) async fn conflicts(caller: Caller, Parameters(wanted): Parameters<AllRows>) -> Result<Response, Problem> {
    let wanted = WantedRows::from(wanted);
    require_export(&caller, wanted.organization_id.as_deref()).await?;
    const COLUMNS: &[&str] = &[
        "conflictId",
        "organizationId",
        "pfaId",
        "modificationId",
        "author",
        "authorName",
        "createdAt",
        "code",
        "message",
        "conflictFields",
        "base",
        "ours",
        "theirs",
        "localVersion",
        "mirrorVersion",
        "pemsVersion",
    ];
    export("conflicts", COLUMNS, (caller, wanted), |(caller, wanted): (Caller, WantedRows)| async move {
        let id_of = |conflict: &ConflictSummary| conflict.conflict_id;
        let (rows, next, _) = list_rows(&caller, &wanted, "pfa_sync.find_conflicts", id_of).await?;
        Ok((rows, rest(caller, wanted, next)))
    })
    .await
}

/// Dead letters as CSV, oldest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportDeadLetters", path = "/api/pems/dead-letters.csv", tag = "dead letters", params(AllRows),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(super) async fn dead_letters(caller: Caller, Parameters(wanted): Parameters<AllRows>) -> Result<Response, Problem> {
    let wanted = WantedRows::from(wanted);
    require_export(&caller, wanted.organization_id.as_deref()).await?;
    const COLUMNS: &[&str] = &[
        "queueId",
        "organizationId",
        "pfaId",
        "modificationId",
        "author",
        "authorName",
        "failedAt",
        "code",
        "meaning",
        "action",
        "error",
        "httpStatus",
        "retryCount",
        "changes",
        "pemsResponse",
        "laterQueued",
        "laterWritten",
    ];
    export("dead-letters", COLUMNS, (caller, wanted), |(caller, wanted): (Caller, WantedRows)| async move {
        let id_of = |letter: &DeadLetter| letter.queue_id;
        let (rows, next, _) = list_rows(&caller, &wanted, "pfa_sync.find_dead_letters", id_of).await?;
        Ok((rows, rest(caller, wanted, next)))
    })
    .await
}

/// Resolved conflicts as CSV, the latest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportResolvedConflicts", path = "/api/pems/resolved-conflicts.csv", tag = "conflicts", params(AllRows),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(super) async fn resolved(caller: Caller, Parameters(wanted): Parameters<AllRows>) -> Result<Response, Problem> {
    let wanted = WantedRows::from(wanted);
    require_export(&caller, wanted.organization_id.as_deref()).await?;
    const COLUMNS: &[&str] = &[
        "conflictId",
        "organizationId",
        "pfaId",
        "modificationId",
        "author",
        "authorName",
        "createdAt",
        "code",
        "conflictFields",
        "status",
        "resolution",
        "resolvedBy",
        "resolvedByName",
        "resolvedAt",
        "fields",
    ];
    export("resolved-conflicts", COLUMNS, (caller, wanted), |(caller, wanted): (Caller, WantedRows)| async move {
        let (rows, next): (Vec<ResolvedConflict>, _) = resolved_conflicts::page(&caller, &wanted).await?;
        Ok((rows, rest(caller, wanted, next)))
    })
    .await
}

/// The filter of an export of jobs, which has no pages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AllJobs {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
    /// Only these kinds, separated by commas.
    kind: Option<String>,
    /// Only those that this user started.
    user_id: Option<String>,
    /// `running`, `stopped` or `finished`.
    state: Option<String>,
    /// Only jobs with a change of this record.
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
}

/// Jobs as CSV, newest first; needs perm_Export
#[utoipa::path(
    get, operation_id = "exportJobs", path = "/api/pems/jobs.csv", tag = "jobs", params(AllJobs),
    responses((status = OK, content_type = "text/csv", body = String))
)]
pub(super) async fn jobs(caller: Caller, Parameters(wanted): Parameters<AllJobs>) -> Result<Response, Problem> {
    let AllJobs { organization_id, kind, user_id, state, pfa_id, start_date, end_date } = wanted;
    require_export(&caller, organization_id.as_deref()).await?;
    let wanted = WantedJobs {
        organization_id,
        kind,
        user_id,
        state,
        pfa_id,
        start_date,
        end_date,
        after: None,
        limit: Some(jobs::EXPORT_PAGE),
    };
    const COLUMNS: &[&str] = &[
        "jobId",
        "kind",
        "organizationId",
        "userId",
        "userName",
        "createdAt",
        "records",
        "state",
        "reason",
        "originJobId",
        "originBatchId",
    ];
    export("jobs", COLUMNS, (caller, wanted), |(caller, mut wanted): (Caller, WantedJobs)| async move {
        let (rows, next): (Vec<Job>, _) = jobs::page(&caller, &wanted).await?;
        let rest = next.map(|after| {
            wanted.after = Some(after);
            (caller, wanted)
        });
        Ok((rows, rest))
    })
    .await
}
