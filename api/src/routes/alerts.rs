//! Alerts, their rules, and the channels that they are sent to.

use axum::{Json, extract::Path, http::StatusCode};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::listing::several;
use crate::{
    auth::caller::Caller,
    http::{
        body::{Body, Parameters},
        page::{next, page_limit},
        problem::Problem,
    },
    id::Id,
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedAlerts {
    /// Only those of this organization (by id or code) and of the fleet.
    organization_id: Option<String>,
    /// Only these states, separated by commas: `raised`, `acknowledged`, `resolved`.
    state: Option<String>,
    /// The `next` of the previous page.
    after: Option<Id>,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// An alert.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct Alert {
    alert_id: Id,
    rule: String,
    /// Null: the fleet.
    organization_id: Option<String>,
    /// The PEMS, relay or credentials that it is about.
    subject: Option<String>,
    /// `warning` or `critical`.
    severity: String,
    /// `raised`, `acknowledged` or `resolved`.
    state: String,
    /// In the unit of the rule.
    #[schema(value_type = Option<f64>)]
    value: Option<Value>,
    /// What is the matter, in words.
    reason: String,
    meaning: Option<String>,
    /// What to do about it.
    action: Option<String>,
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    raised_at: String,
    #[schema(format = DateTime)]
    resolved_at: Option<String>,
    #[schema(format = DateTime)]
    acknowledged_at: Option<String>,
    acknowledged_by: Option<String>,
    acknowledged_by_name: Option<String>,
    note: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AlertPage {
    alerts: Vec<Alert>,
    /// `after` of the next page; null: this is the last page.
    next: Option<Id>,
}

/// Alerts, the latest first
#[utoipa::path(get, operation_id = "listAlerts", path = "/api/pems/alerts", tag = "alerts", params(WantedAlerts), responses((status = OK, body = AlertPage)))]
pub(super) async fn list(caller: Caller, Parameters(wanted): Parameters<WantedAlerts>) -> Result<Json<AlertPage>, Problem> {
    let limit = page_limit(wanted.limit)?;
    let query = "select * from pfa_sync.alerts \
                  where ($1::text is null or organization_id is null \
                         or organization_id = (select pfa_sync.organization_of($1))) \
                    and ($2::text[] is null or state = any ($2)) and ($3::bigint is null or alert_id < $3) \
                  order by alert_id desc limit $4";
    let states = several(wanted.state.as_deref());
    let alerts: Vec<Alert> = caller.rows(query, &[&wanted.organization_id, &states, &wanted.after, &limit]).await?;
    Ok(Json(AlertPage { next: next(&alerts, limit, |alert| alert.alert_id), alerts }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Acknowledgement {
    /// What is done about it.
    note: Option<String>,
}

/// Acknowledge an alert
#[utoipa::path(
    post, operation_id = "acknowledgeAlert", path = "/api/pems/alerts/{alertId}/acknowledge", tag = "alerts",
    params(("alertId" = Id, Path)), request_body = Acknowledgement, responses((status = NO_CONTENT))
)]
pub(super) async fn acknowledge(
    caller: Caller,
    Path(alert): Path<Id>,
    Body(acknowledgement): Body<Acknowledgement>,
) -> Result<StatusCode, Problem> {
    caller.row::<IgnoredAny>("select pfa_sync.acknowledge_alert($1, $2)", &[&alert, &acknowledgement.note]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An alert rule as it is in force.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct AlertRule {
    rule: String,
    /// `organization`: one alert for each; `fleet`: one for the installation, a PEMS or a relay.
    scope: String,
    /// The organization that has its own; null: the fleet.
    organization_id: Option<String>,
    enabled: bool,
    /// `warning` or `critical`.
    severity: String,
    #[schema(value_type = f64)]
    threshold: Value,
    unit: String,
    /// For how long the value must be beyond the threshold, such as `00:05:00`.
    hold_for: String,
    meaning: String,
    action: String,
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    changed_by: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AlertRuleList {
    rules: Vec<AlertRule>,
}

/// Alert rules, as they are in force
#[utoipa::path(get, operation_id = "listAlertRules", path = "/api/pems/alert-rules", tag = "alerts", responses((status = OK, body = AlertRuleList)))]
pub(super) async fn rules(caller: Caller) -> Result<Json<AlertRuleList>, Problem> {
    let query = "select * from pfa_sync.alert_rules order by rule, organization_id nulls first";
    Ok(Json(AlertRuleList { rules: caller.rows(query, &[]).await? }))
}

/// A change of an alert rule. What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AlertRuleChange {
    /// By id or code; absent: the fleet.
    organization_id: Option<String>,
    enabled: Option<bool>,
    /// `warning` or `critical`.
    severity: Option<String>,
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    threshold: Option<f64>,
    /// An interval, such as `5 minutes`.
    hold_for: Option<String>,
}

/// Change an alert rule
#[utoipa::path(
    put, operation_id = "changeAlertRule", path = "/api/pems/alert-rules/{rule}", tag = "alerts", params(("rule" = String, Path)),
    request_body = AlertRuleChange, responses((status = NO_CONTENT))
)]
pub(super) async fn change_rule(
    caller: Caller,
    Path(rule): Path<String>,
    Body(change): Body<AlertRuleChange>,
) -> Result<StatusCode, Problem> {
    let query = "select pfa_sync.set_alert_rule($1, $2, $3, $4, $5::float8::numeric, $6::text::interval)";
    let AlertRuleChange { organization_id, enabled, severity, threshold, hold_for } = change;
    caller.row::<IgnoredAny>(query, &[&rule, &organization_id, &enabled, &severity, &threshold, &hold_for]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A channel that alerts are sent to.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct AlertChannel {
    channel_id: Id,
    /// `webhook` or `mail`.
    kind: String,
    address: String,
    /// Only alerts of this organization; null: all.
    organization_id: Option<String>,
    /// `critical`: only critical alerts.
    severity: String,
    enabled: bool,
    #[schema(format = DateTime)]
    changed_at: String,
    changed_by: String,
    /// Messages that are to be sent.
    waiting: i64,
    #[schema(format = DateTime)]
    last_delivered_at: Option<String>,
    last_error: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct AlertChannelList {
    channels: Vec<AlertChannel>,
}

/// Channels that alerts are sent to, for administrators of the whole fleet
#[utoipa::path(get, operation_id = "listAlertChannels", path = "/api/pems/alert-channels", tag = "alerts", responses((status = OK, body = AlertChannelList)))]
pub(super) async fn channels(caller: Caller) -> Result<Json<AlertChannelList>, Problem> {
    Ok(Json(AlertChannelList { channels: caller.rows("select * from pfa_sync.alert_channels order by channel_id", &[]).await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AlertChannelChange {
    /// `webhook` or `mail`.
    kind: String,
    address: String,
    /// Only alerts of this organization, by id or code; absent: all.
    organization_id: Option<String>,
    /// `critical`: only critical alerts; `warning` by default: all.
    severity: Option<String>,
    enabled: Option<bool>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[schema(rename_all = "camelCase")]
pub(super) struct ChangedAlertChannel {
    channel_id: Id,
}

/// Add a channel, or change the one with this kind, address and organization
#[utoipa::path(
    put, operation_id = "setAlertChannel", path = "/api/pems/alert-channels", tag = "alerts", request_body = AlertChannelChange,
    responses((status = OK, body = ChangedAlertChannel))
)]
pub(super) async fn set_channel(
    caller: Caller,
    Body(change): Body<AlertChannelChange>,
) -> Result<Json<ChangedAlertChannel>, Problem> {
    let query = "select pfa_sync.set_alert_channel($1, $2, $3, coalesce($4, 'warning'), coalesce($5, true)) as channel_id";
    let AlertChannelChange { kind, address, organization_id, severity, enabled } = change;
    Ok(Json(caller.row(query, &[&kind, &address, &organization_id, &severity, &enabled]).await?))
}

/// Remove a channel, and what waits to be sent to it
#[utoipa::path(
    delete, operation_id = "removeAlertChannel", path = "/api/pems/alert-channels/{channelId}", tag = "alerts",
    params(("channelId" = Id, Path)), responses((status = NO_CONTENT))
)]
pub(super) async fn remove_channel(caller: Caller, Path(channel): Path<Id>) -> Result<StatusCode, Problem> {
    caller.row::<IgnoredAny>("select pfa_sync.remove_alert_channel($1)", &[&channel]).await?;
    Ok(StatusCode::NO_CONTENT)
}
