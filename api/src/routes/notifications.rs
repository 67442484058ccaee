//! Notifications of the caller.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters},
        page::{next, page_limit},
        problem::Problem,
    },
    id::{Id, texts},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedNotifications {
    /// Only those that are unread.
    #[serde(default)]
    unread: bool,
    /// The `next` of the previous page.
    after: Option<Id>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// A message to a user. Unread messages of the same kind, cause and organization are one notification with a count.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Notification {
    notification_id: Id,
    /// Null: the fleet.
    organization_id: Option<String>,
    /// Of the user's own changes: `synced`, `recovered`, `stored_differently`, `conflict`, `failed`, `resolved`, `withdrawn`;
    /// for administrators: `dead_letters`, `alert`, `alert_resolved`, `credentials`.
    kind: String,
    /// Cause or alert rule.
    code: Option<String>,
    /// How many changes or alerts it stands for.
    number: i32,
    /// Records concerned, the first 20.
    pfa_ids: Vec<String>,
    alert_id: Option<Id>,
    job_id: Option<Id>,
    #[schema(format = DateTime)]
    first_at: String,
    #[schema(format = DateTime)]
    last_at: String,
    /// Null: unread.
    #[schema(format = DateTime)]
    read_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct NotificationPage {
    notifications: Vec<Notification>,
    /// How many are unread in all.
    unread: i64,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
}

#[derive(Deserialize)]
struct Unread {
    unread: i64,
}

/// The user's notifications, the latest first
#[utoipa::path(get, operation_id = "listNotifications", path = "/api/pems/notifications", tag = "notifications", params(WantedNotifications), responses((status = OK, body = NotificationPage)))]
pub(super) async fn list(
    caller: Caller,
    Parameters(wanted): Parameters<WantedNotifications>,
) -> Result<Json<NotificationPage>, Problem> {
    let limit = page_limit(wanted.limit)?;
    let query = "select * from pfa_sync.find_notifications($1, $2, $3::bigint::int)";
    let notifications: Vec<Notification> = caller.rows(query, &[&wanted.unread, &wanted.after, &limit]).await?;
    let Unread { unread } =
        caller.row("select count(*) as unread from pfa_sync.notifications where read_at is null", &[]).await?;
    Ok(Json(NotificationPage {
        next: next(&notifications, limit, |notification| notification.notification_id),
        notifications,
        unread,
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReadNotifications {
    /// Absent: all of them.
    #[serde(default, deserialize_with = "texts")]
    notification_ids: Option<Vec<Id>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct MarkedNotifications {
    /// How many were unread.
    marked: i64,
}

/// Mark notifications as read
#[utoipa::path(
    post, operation_id = "markRead", path = "/api/pems/notifications/read", tag = "notifications", request_body = ReadNotifications,
    responses((status = OK, body = MarkedNotifications))
)]
pub(super) async fn mark_read(caller: Caller, Body(read): Body<ReadNotifications>) -> Result<Json<MarkedNotifications>, Problem> {
    let ids: Option<Vec<i64>> = read.notification_ids.map(|ids| ids.into_iter().map(|id| id.0).collect());
    Ok(Json(caller.row("select pfa_sync.mark_read($1) as marked", &[&ids]).await?))
}
