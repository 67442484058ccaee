//! Every route of the API, requested with every role: tenants, permissions, and without a token.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::sight::two_tenants;
use crate::support::api::{Api, problem};

/// Every route as requested without a token, by a user of another organization, by a reader, by an editor and by an administrator.
#[tokio::test]
async fn each_route_answers_each_user_as_their_organization_and_role_allow() -> Result<()> {
    let scenario = two_tenants().await?;
    let api = Api::start(&scenario, &[]).await?;
    let conflict: i64 =
        scenario.value("select min(conflict_id) from pfa_sync.conflicts where organization_id = 'org_HARBOUR_7'").await?;
    let queued: String =
        scenario.value("select min(modification_id) from pfa_sync.queue where organization_id = 'org_HARBOUR_7'").await?;
    let dead: i64 =
        scenario.value("select min(queue_id) from pfa_sync.dead_letters where organization_id = 'org_HARBOUR_7'").await?;
    let job: i64 = scenario.value("select min(job_id) from pfa_sync.jobs where organization_id = 'org_HARBOUR_7'").await?;
    let harbour = json!({"organizationId": "HARBOUR"});
    let none = Value::Null;
    let table = [
        ("GET", "/livez", "/livez".to_owned(), none.clone(), [204, 204, 204, 204, 204]),
        ("GET", "/readyz", "/readyz".to_owned(), none.clone(), [204, 204, 204, 204, 204]),
        (
            "POST",
            "/api/pfa-data/save-draft",
            String::new(),
            json!({"organizationId": "HARBOUR", "pfaId": "1", "delta": {"model": "X"}}),
            [401, 404, 403, 200, 200],
        ),
        ("POST", "/api/pfa-data/commit-drafts", String::new(), harbour.clone(), [401, 404, 200, 200, 200]),
        ("POST", "/api/pfa-data/discard-drafts", String::new(), harbour.clone(), [401, 404, 200, 200, 200]),
        ("POST", "/api/pfa-data/withdraw", String::new(), json!({"modificationIds": [queued]}), [401, 200, 200, 200, 200]),
        ("GET", "/api/pems/audit", "/api/pems/audit?organizationId=HARBOUR".to_owned(), none.clone(), [401, 404, 200, 200, 200]),
        (
            "GET",
            "/api/pems/audit.csv",
            "/api/pems/audit.csv?organizationId=HARBOUR".to_owned(),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        ("GET", "/api/pfa-data", "/api/pfa-data?organizationId=HARBOUR".to_owned(), none.clone(), [401, 404, 200, 200, 200]),
        ("GET", "/api/pems/jobs", "/api/pems/jobs?organizationId=HARBOUR".to_owned(), none.clone(), [401, 404, 200, 200, 200]),
        ("GET", "/api/pems/jobs/{jobId}", format!("/api/pems/jobs/{job}"), none.clone(), [401, 404, 200, 200, 200]),
        (
            "GET",
            "/api/pems/jobs/{jobId}/changes",
            format!("/api/pems/jobs/{job}/changes"),
            none.clone(),
            [401, 200, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pems/changes/{queueId}/attempts",
            format!("/api/pems/changes/{dead}/attempts"),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pems/batches",
            "/api/pems/batches?organizationId=HARBOUR".to_owned(),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pfa-data/modifications/{modificationId}/explain",
            format!("/api/pfa-data/modifications/{queued}/explain"),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pems/sync-status",
            "/api/pems/sync-status?organizationId=HARBOUR".to_owned(),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pems/records/{pfaId}/timeline",
            "/api/pems/records/2/timeline?organizationId=HARBOUR".to_owned(),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pems/dead-letters",
            "/api/pems/dead-letters?organizationId=HARBOUR".to_owned(),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "GET",
            "/api/pfa-data/modifications/{modificationId}",
            format!("/api/pfa-data/modifications/{queued}"),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        ("POST", "/api/pems/write-sync", String::new(), harbour.clone(), [401, 404, 403, 200, 200]),
        ("POST", "/api/pems/dead-letters/preview", String::new(), json!({"filter": harbour}), [401, 404, 403, 403, 200]),
        (
            "POST",
            "/api/pems/dead-letters/requeue",
            String::new(),
            json!({"filter": {"organizationId": "HARBOUR", "pfaId": "2"}}),
            [401, 404, 403, 403, 200],
        ),
        (
            "POST",
            "/api/pems/dead-letters/discard",
            String::new(),
            json!({"filter": harbour, "reason": "of no use"}),
            [401, 404, 403, 403, 200],
        ),
        (
            "GET",
            "/api/pems/conflicts",
            "/api/pems/conflicts?organizationId=HARBOUR".to_owned(),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/api/pems/conflicts/preview",
            String::new(),
            json!({"filter": harbour, "resolution": "use_pems"}),
            [401, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/api/pems/conflicts/resolve",
            String::new(),
            json!({"filter": harbour, "resolution": "use_pems", "digest": "stale"}),
            [401, 404, 403, 409, 409],
        ),
        (
            "GET",
            "/api/pems/conflicts/{conflictId}",
            format!("/api/pems/conflicts/{conflict}"),
            none.clone(),
            [401, 404, 200, 200, 200],
        ),
        (
            "POST",
            "/api/pems/conflicts/{conflictId}/resolve",
            format!("/api/pems/conflicts/{conflict}/resolve"),
            json!({"resolution": "use_pems"}),
            [401, 404, 403, 200, 409],
        ),
        (
            "POST",
            "/api/pems/pause",
            String::new(),
            json!({"organizationId": "HARBOUR", "reason": "works"}),
            [401, 404, 403, 403, 204],
        ),
        ("POST", "/api/pems/resume", String::new(), harbour.clone(), [401, 404, 403, 403, 200]),
        ("GET", "/api/pems/events", String::new(), none.clone(), [401, 200, 200, 200, 200]),
        ("GET", "/api/pems/settings", "/api/pems/settings".to_owned(), none.clone(), [401, 200, 200, 200, 200]),
        (
            "PUT",
            "/api/pems/settings/{name}",
            "/api/pems/settings/max_retries".to_owned(),
            json!({"organizationId": "HARBOUR", "value": "5"}),
            [401, 404, 403, 403, 200],
        ),
    ];
    let listed: BTreeSet<_> = table.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    let document = pfa_api::document();
    let paths = document["paths"].as_object().context("paths")?;
    let routes: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().into_iter().flatten().map(|(method, _)| (method.to_uppercase(), path.clone()))
        })
        .collect();
    assert_eq!(listed, routes, "each route needs a row");
    for (method, path, uri, body, expected) in &table {
        let uri = if uri.is_empty() { path } else { uri.as_str() };
        let users = [None, Some("usr_second"), Some("usr_viewer"), Some("usr_editor"), Some("usr_admin")];
        for (user, expected) in users.into_iter().zip(expected) {
            let request = api.request(method, uri, user);
            let request = if body.is_null() { request } else { request.json(body) };
            let answer = request.send().await?;
            assert_eq!(answer.status(), *expected, "{method} {uri} as {user:?}: {}", answer.text().await?);
            if *expected >= 400 {
                problem(answer).await?;
            }
        }
    }
    Ok(())
}
