//! Every route of the API, requested with every role: tenants, permissions, and without a token.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::support::api::{Api, problem};
use crate::support::scenario::Scenario;
use crate::support::tenants::two_tenants;

/// The users of the table's columns: no token, a user of another organization, a reader, an editor, an administrator.
const USERS: [Option<&str>; 5] = [None, Some("usr_second"), Some("usr_viewer"), Some("usr_editor"), Some("usr_admin")];

/// Method, route, the status for each user, and the query or the body of the request. A new route needs a line here.
const ROUTES: &str = r#"
    GET  /livez                                                 204 204 204 204 204
    GET  /readyz                                                204 204 204 204 204
    POST /api/pfa-data/save-draft                               401 404 403 200 200 {"organizationId": "HARBOUR", "pfaId": "2", "delta": {"model": "X"}}
    POST /api/pfa-data/commit-drafts                            401 404 200 200 200 {"organizationId": "HARBOUR"}
    POST /api/pfa-data/discard-drafts                           401 404 200 200 200 {"organizationId": "HARBOUR"}
    POST /api/pfa-data/withdraw                                 401 200 200 200 200 {"modificationIds": ["{modificationId}"]}
    POST /api/pfa-data/drafts/summary                           401 404 200 200 200 {"organizationId": "HARBOUR"}
    POST /api/pfa-data/edits/preview                            401 404 403 200 200 {"organizationId": "HARBOUR", "edit": {"kind": "percent", "percent": 5}}
    POST /api/pfa-data/edits                                    401 404 403 409 409 {"organizationId": "HARBOUR", "edit": {"kind": "set", "field": "model", "value": "X"}, "digest": "stale"}
    POST /api/pfa-data/save-drafts                              401 404 403 200 200 {"organizationId": "HARBOUR", "drafts": [{"pfaId": "2", "delta": {"model": "X"}}]}
    POST /api/pfa-data/states                                   401 200 200 200 200 {"modificationIds": ["{modificationId}"]}
    POST /api/pfa-data/search                                   401 404 200 200 200 {"organizationId": "HARBOUR", "filter": {"category": ["Crane", "Dozer"]}}
    POST /api/pfa-data/facets                                   401 404 200 200 200 {"organizationId": "HARBOUR"}
    GET  /api/pfa-data/records/{pfaId}                          401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/me                                           401 200 200 200 200
    GET  /api/pems/views                                        401 200 200 200 200
    PUT  /api/pems/views/{page}/{name}                          401 200 200 200 200 {"setup": {"sort": "pfaId"}}
    DELETE /api/pems/views/{page}/{name}                        401 204 204 204 204
    GET  /api/pems/resolved-conflicts                           401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/audit                                        401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/audit.csv                                    401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/conflicts.csv                                401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/resolved-conflicts.csv                       401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/dead-letters.csv                             401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/jobs.csv                                     401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pfa-data                                          401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/jobs                                         401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/jobs/{jobId}                                 401 404 200 200 200
    GET  /api/pems/jobs/{jobId}/changes                         401 200 200 200 200
    GET  /api/pems/jobs/{jobId}/items                           401 200 200 200 200
    POST /api/pems/jobs/{jobId}/stop                            401 404 404 404 404 {"reason": "wait"}
    POST /api/pems/jobs/{jobId}/continue                        401 404 404 404 404
    POST /api/pems/jobs/{jobId}/undo                            401 404 404 404 404 {"reason": "a mistake"}
    GET  /api/pems/jobs/{jobId}/rollback                        401 404 403 403 200
    GET  /api/pems/jobs/{jobId}/rollback/records                401 404 403 403 200
    POST /api/pems/jobs/{jobId}/rollback                        401 404 403 403 409 {"reason": "the rates were wrong", "digest": "stale"}
    GET  /api/pems/records/{pfaId}/versions/{version}/restore   401 404 403 403 200 ?organizationId=HARBOUR
    POST /api/pems/records/{pfaId}/versions/{version}/restore   401 404 403 403 409 {"organizationId": "HARBOUR", "reason": "the rates were wrong", "digest": "stale"}
    GET  /api/pems/changes/{queueId}/attempts                   401 404 200 200 200
    GET  /api/pems/batches                                      401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pfa-data/modifications/{modificationId}/explain   401 404 200 200 200
    GET  /api/pems/sync-status                                  401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/records/{pfaId}/timeline                     401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/dead-letters                                 401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pfa-data/modifications/{modificationId}           401 404 200 200 200
    POST /api/pems/write-sync                                   401 404 403 200 200 {"organizationId": "HARBOUR"}
    POST /api/pems/dead-letters/preview                         401 404 403 200 200 {"filter": {"organizationId": "HARBOUR"}}
    POST /api/pems/dead-letters/requeue                         401 404 403 200 200 {"filter": {"organizationId": "HARBOUR", "pfaId": "2"}}
    POST /api/pems/dead-letters/discard                         401 404 403 200 200 {"filter": {"organizationId": "HARBOUR"}, "reason": "of no use"}
    GET  /api/pems/conflicts                                    401 404 200 200 200 ?organizationId=HARBOUR
    POST /api/pems/conflicts/preview                            401 404 200 200 200 {"filter": {"organizationId": "HARBOUR"}, "resolution": "use_pems"}
    POST /api/pems/conflicts/resolve                            401 404 403 409 409 {"filter": {"organizationId": "HARBOUR"}, "resolution": "use_pems", "digest": "stale"}
    GET  /api/pems/conflicts/{conflictId}                       401 404 200 200 200
    POST /api/pems/conflicts/{conflictId}/check                 401 404 200 200 200 {"resolution": "use_local"}
    POST /api/pems/conflicts/{conflictId}/resolve               401 404 403 200 409 {"resolution": "use_pems"}
    POST /api/pems/pause                                        401 404 403 403 204 {"organizationId": "HARBOUR", "reason": "works"}
    POST /api/pems/resume                                       401 404 403 403 200 {"organizationId": "HARBOUR"}
    GET  /api/pems/alerts                                       401 404 200 200 200 ?organizationId=HARBOUR
    POST /api/pems/alerts/{alertId}/acknowledge                 401 404 403 403 204 {"note": "on it"}
    GET  /api/pems/alert-rules                                  401 200 200 200 200
    PUT  /api/pems/alert-rules/{rule}                           401 404 403 403 204 {"organizationId": "HARBOUR", "threshold": 3}
    GET  /api/pems/alert-channels                               401 200 200 200 200
    PUT  /api/pems/alert-channels                               401 403 403 403 200 {"kind": "mail", "address": "a@b.example"}
    DELETE /api/pems/alert-channels/{channelId}                 401 403 403 403 204
    GET  /api/pems/notifications                                401 200 200 200 200
    POST /api/pems/notifications/read                           401 200 200 200 200 {}
    GET  /api/pems/systems                                      401 200 200 200 200
    PUT  /api/pems/systems/{pems}                               401 403 403 403 204 {"url": "https://east.example", "tenant": "T"}
    POST /api/pems/systems/{pems}/assign                        401 404 403 403 204 {"organizationId": "HARBOUR"}
    DELETE /api/pems/systems/{pems}                             401 403 403 403 409
    GET  /api/pems/credentials                                  401 200 200 200 200
    GET  /api/pems/relays                                       401 200 200 200 200
    POST /api/pems/drain                                        401 404 403 403 204 {"organizationId": "HARBOUR", "reason": "works"}
    GET  /api/pems/drained                                      401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/kpis                                         401 404 200 200 200 ?organizationId=HARBOUR&step=1%20hour
    GET  /api/pems/drain-forecast                               401 404 200 200 200 ?organizationId=HARBOUR
    GET  /api/pems/failures                                     401 404 200 200 200 ?organizationId=HARBOUR
    PUT  /api/pems/failures/{code}                              401 404 403 403 200 {"organizationId": "HARBOUR", "note": "seen before", "state": "known"}
    GET  /api/pems/causes                                       401 200 200 200 200
    GET  /api/pems/events                                       401 200 200 200 200
    GET  /api/pems/settings                                     401 200 200 200 200
    PUT  /api/pems/settings/{name}                              401 404 403 403 200 {"organizationId": "HARBOUR", "value": "5"}
"#;

/// A line of the table.
struct Row {
    method: &'static str,
    route: &'static str,
    statuses: Vec<u16>,
    /// A query that begins with `?`, a JSON body, or nothing.
    rest: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    ROUTES.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let (method, line) = line.split_once(' ').expect("a method");
        let (route, line) = line.trim_start().split_once(' ').expect("a route");
        let mut rest = line.trim_start();
        let statuses = USERS.map(|_| {
            let (status, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after;
            status.parse().expect("a status")
        });
        Row { method, route, statuses: statuses.into(), rest }
    })
}

/// The values of the parameters of routes and bodies: things of HARBOUR.
async fn parameters(scenario: &Scenario) -> Result<[(&'static str, String); 13]> {
    let least = async |id: &str, view: &str| -> Result<String> {
        let query = format!("select min({id})::text from pfa_sync.{view} where organization_id = 'org_HARBOUR_7'");
        scenario.value(&query).await
    };
    Ok([
        ("{conflictId}", least("conflict_id", "conflicts").await?),
        ("{modificationId}", least("modification_id", "queue").await?),
        ("{queueId}", least("queue_id", "dead_letters").await?),
        ("{jobId}", least("job_id", "jobs").await?),
        ("{pfaId}", "2".to_owned()),
        ("{page}", "records".to_owned()),
        ("{code}", "REJECTED".to_owned()),
        ("{version}", "1".to_owned()),
        ("{alertId}", least("alert_id", "alerts").await?),
        ("{rule}", "dead_letters".to_owned()),
        ("{channelId}", "1".to_owned()),
        ("{pems}", "east".to_owned()),
        ("{name}", "max_retries".to_owned()),
    ])
}

#[tokio::test]
async fn each_route_answers_each_user_as_their_organization_and_role_allow() -> Result<()> {
    let scenario = two_tenants().await?;
    scenario.client.query("select * from pfa_sync.evaluate_alerts()", &[]).await?;
    let api = Api::start(&scenario, &[]).await?;
    let parameters = parameters(&scenario).await?;
    let filled = |text: &str| parameters.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let listed: BTreeSet<_> = rows().map(|row| (row.method.to_owned(), row.route.to_owned())).collect();
    let document = pfa_api::document();
    let paths = document["paths"].as_object().context("paths")?;
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().into_iter().flatten().map(|(method, _)| (method.to_uppercase(), path.clone()))
        })
        .collect();
    assert_eq!(listed, described, "each route needs a line");
    for Row { method, route, statuses, rest } in rows() {
        let (query, body) = if rest.starts_with('?') { (rest, "") } else { ("", rest) };
        let uri = filled(route) + query;
        for (user, expected) in USERS.into_iter().zip(statuses) {
            let mut request = api.request(method, &uri, user);
            if !body.is_empty() {
                request = request.header("content-type", "application/json").body(filled(body));
            }
            let answer = request.send().await?;
            assert_eq!(answer.status(), expected, "{method} {uri} as {user:?}: {}", answer.text().await?);
            if expected >= 400 {
                problem(answer).await?;
            }
        }
    }
    Ok(())
}
