//! Conflicts settled by a person, one by one and in bulk.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, SECOND};
use testbed::cluster::Login;
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};

/// A scenario where the editor's change of rate and model of a record stands against PEMS' own rate.
async fn disputed(records: &[&str]) -> Result<(Scenario, Vec<String>)> {
    let scenario = Scenario::new().await?;
    let mut modifications = Vec::new();
    for record in records {
        modifications.push(scenario.application().draft(EDITOR, RIO, record, json!({"monthlyRate": 13000, "model": "X"})).await?);
        scenario.foreign_edit(record, 2, json!({"monthlyRate": 11000})).await?;
    }
    scenario.application().commit(EDITOR, RIO).await?;
    Ok((scenario, modifications))
}

async fn resolve(
    session: &Client,
    conflict: i64,
    resolution: &str,
    user: &str,
    merged: Option<Value>,
    state: Option<&str>,
) -> Result<Value> {
    let call = "select pfa_sync.resolve_conflict($1, $2, $3, $4, $5)";
    Ok(session.query_one(call, &[&conflict, &resolution, &user, &merged, &state]).await?.get(0))
}

/// What a check says beforehand is what the resolution sends, or why it is refused.
#[tokio::test]
async fn a_check_says_what_the_resolution_does() -> Result<()> {
    let (scenario, _) = disputed(&["1"]).await?;
    let session = scenario.acting("usr_admin").await?;
    let check = async |resolution: &str, merged: Option<Value>| {
        let call = "select pfa_sync.check_resolution($1, $2, $3)";
        Ok::<_, anyhow::Error>(session.query_one(call, &[&1_i64, &resolution, &merged]).await?.get::<_, Value>(0))
    };
    let cost = async |rate: i32| {
        let cost = format!(
            "select to_jsonb(pfa_sync.cost(data || '{{\"monthlyRate\": {rate}}}')) from pfa_sync.records('RIO') where pfa_id = '1'"
        );
        Ok::<_, anyhow::Error>(session.query_one(&cost, &[]).await?.get::<_, Value>(0))
    };
    for (resolution, merged, sends, rate) in [
        ("use_local", None, json!({"monthlyRate": 13000, "model": "X"}), 13000),
        ("use_pems", None, json!({}), 11000),
        ("merge", Some(json!({"monthlyRate": 12000})), json!({"monthlyRate": 12000, "model": "X"}), 12000),
    ] {
        let said = check(resolution, merged).await?;
        assert_eq!((&said["sends"], &said["errors"], &said["missing_permissions"]), (&sends, &json!([]), &json!([])));
        assert_eq!((&said["cost"], &said["cost_after"]), (&cost(11000).await?, &cost(rate).await?), "{resolution}");
    }
    let said = check("merge", Some(json!({"monthlyRate": -1}))).await?;
    assert_eq!(said["errors"][0]["code"], "INVALID_RANGE");
    let refused = resolve(&session, 1, "merge", "usr_admin", Some(json!({"monthlyRate": -1})), None).await.unwrap_err();
    assert_eq!(refusal(&refused).0, "PF001");
    for (resolution, merged) in
        [("newest", None), ("merge", None), ("merge", Some(json!({"model": "Y"}))), ("use_pems", Some(json!({})))]
    {
        let refused = check(resolution, merged.clone()).await.unwrap_err();
        assert_eq!(refusal(&refused).0, "PF001", "{resolution} {merged:?}");
    }
    // The check names the permission that a reader lacks, and shows no price.
    let prices = r#"update user_organizations set "perm_ViewFinancials" = false where "userId" = 'usr_viewer'"#;
    scenario.client.batch_execute(prices).await?;
    let viewer = scenario.acting("usr_viewer").await?;
    let said: Value = viewer.query_one("select pfa_sync.check_resolution(1, 'use_local')", &[]).await?.get(0);
    assert!(said["missing_permissions"].as_array().is_some_and(|missing| missing.contains(&json!("perm_Sync"))), "{said}");
    assert_eq!((said.get("cost"), said["sends"].get("monthlyRate"), &said["sends_hidden"]), (None, None, &json!(true)));
    // A price that is not seen is not chosen either: a form would send null for it.
    for call in [
        "select pfa_sync.check_resolution(1, 'merge', '{\"monthlyRate\": null}')",
        "select pfa_sync.resolve_conflict(1, 'merge', null, '{\"monthlyRate\": null}')",
    ] {
        let sync = "update user_organizations set \"perm_Sync\" = true where \"userId\" = 'usr_viewer'";
        scenario.client.batch_execute(sync).await?;
        let refused = viewer.query(call, &[]).await.unwrap_err().into();
        assert_eq!(refusal(&refused).0, "PF002", "{call}");
    }
    let stranger = scenario.acting("usr_second").await?;
    let hidden = "update user_organizations set \"perm_Read\" = false where \"userId\" = 'usr_second'";
    scenario.client.batch_execute(hidden).await?;
    let refused = stranger.query("select pfa_sync.check_resolution(1, 'use_local')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&refused).0, "PF008");
    resolve(&session, 1, "use_local", "usr_admin", None, None).await?;
    assert_eq!(refusal(&check("use_local", None).await.unwrap_err()).0, "PF006");
    scenario.check().await
}

#[tokio::test]
async fn each_resolution_does_what_it_says() -> Result<()> {
    for (resolution, merged, sends, rate) in [
        ("use_local", None, json!({"monthlyRate": 13000, "model": "X"}), 13000),
        ("merge", Some(json!({"monthlyRate": 12000})), json!({"monthlyRate": 12000, "model": "X"}), 12000),
        ("use_pems", None, json!({}), 11000),
    ] {
        let (scenario, modifications) = disputed(&["1"]).await?;
        let session = scenario.database.client_as(Login::Application).await?;

        let answer = resolve(&session, 1, resolution, SECOND, merged, None).await?;

        assert_eq!(answer["changes"], sends, "{resolution}");
        let expected = if resolution == "use_pems" { "synced/synced" } else { "committed/queued" };
        assert_eq!(scenario.state(&modifications[0]).await?, expected);
        if let [claimed] = &scenario.claim().await?[..] {
            assert_eq!((&claimed.changes, claimed.version, claimed.modified_by.as_str()), (&sends, Some(2), "simon@example.com"));
            scenario
                .client
                .execute(
                    "select pfa_sync.mark_sent('relay-1', $1)",
                    &[&json!([{"queue_id": claimed.queue_id, "fencing_token": 1}])],
                )
                .await?;
            scenario
                .report(
                    "complete",
                    std::slice::from_ref(claimed),
                    json!({"version": 3, "updated_at": "2026-03-01T00:00:00.000Z"}),
                )
                .await?;
        }
        assert_eq!(scenario.mirror("1").await?["monthlyRate"], rate);
        let kept: String = scenario
            .value("select status || ' ' || resolution || ' ' || resolved_by from pfa_sync_private.pfa_sync_conflict")
            .await?;
        assert_eq!(kept, format!("resolved_manual {resolution} {SECOND}"));
        assert_eq!(scenario.state(&modifications[0]).await?, "synced/synced");
        scenario.check().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_moved_or_is_not_allowed_is_refused_with_the_fresh_state() -> Result<()> {
    let (scenario, _) = disputed(&["1"]).await?;
    let session = scenario.database.client_as(Login::Application).await?;
    let refused = async |resolution: &str, user: &str, merged: Option<Value>, state: Option<&str>| {
        refusal(&resolve(&session, 1, resolution, user, merged, state).await.unwrap_err())
    };

    assert_eq!(refused("guess", EDITOR, None, None).await.0, "PF001");
    assert_eq!(refused("merge", EDITOR, None, None).await.0, "PF001");
    assert_eq!(refused("merge", EDITOR, Some(json!({"model": "Z"})), None).await.0, "PF001");
    assert_eq!(refused("merge", EDITOR, Some(json!({"monthlyRate": "much"})), None).await.0, "PF001");
    assert_eq!(refused("use_local", "usr_viewer", None, None).await.0, "PF002");
    let unknown = resolve(&session, 99, "use_pems", EDITOR, None, None).await.unwrap_err();
    assert_eq!(refusal(&unknown).0, "PF008");

    scenario.foreign_edit("1", 3, json!({"monthlyRate": 10000})).await?;
    let (code, _, fresh) = refused("use_local", EDITOR, None, None).await;
    assert_eq!((code.as_str(), &fresh["version"]), ("PF006", &json!(3)));
    let rate = fresh["fields"].as_array().unwrap().iter().find(|f| f["field"] == "monthlyRate").unwrap();
    assert_eq!((&rate["ours"], &rate["theirs"], &rate["conflict"]), (&json!(13000), &json!(10000), &json!(true)));

    for state in ["3", "3.x", "", "3.1.1", "-3.1", "99999999999.1"] {
        assert_eq!(refused("use_local", EDITOR, None, Some(state)).await.0, "PF001", "{state}");
    }
    resolve(&session, 1, "use_local", EDITOR, None, fresh["state"].as_str()).await?;
    let (code, message, fresh) = refused("use_pems", SECOND, None, None).await;
    assert_eq!((code.as_str(), &fresh["status"]), ("PF006", &json!("resolved_manual")), "{message}");
    scenario.check().await
}

/// Another user's edit of the record that was queued behind the conflict is part of what a resolution answers: it is never
/// overwritten unseen, by one resolution or by many.
#[tokio::test]
async fn a_resolution_covers_the_edits_queued_behind_the_conflict() -> Result<()> {
    let (scenario, _) = disputed(&["1"]).await?;
    let session = scenario.database.client_as(Login::Application).await?;
    let preview = "select digest from pfa_sync.preview_resolution('{}', 'use_local')";
    let digest: String = scenario.value(preview).await?;
    let seen: Value = scenario.value("select pfa_sync.conflict_state(1)").await?;
    let later = scenario.application().edit(SECOND, "1", json!({"monthlyRate": 9000})).await?;

    for state in [None, seen["state"].as_str()] {
        let (code, message, fresh) = refusal(&resolve(&session, 1, "use_local", EDITOR, None, state).await.unwrap_err());
        assert_eq!(code, "PF006", "{message}");
        let rate = fresh["fields"].as_array().unwrap().iter().find(|f| f["field"] == "monthlyRate").unwrap();
        assert_eq!(rate["theirs"], 9000, "the queued edit is shown");
    }
    let bulk = "select * from pfa_sync.resolve_conflicts('{}', 'use_local', 'usr_editor', $1)";
    assert_eq!(refusal(&scenario.client.query(bulk, &[&digest]).await.unwrap_err().into()).0, "PF006");

    // Whoever has seen it decides; what is withdrawn or already written needs no second look.
    scenario.client.query("select * from pfa_sync.withdraw(array[$1], $2)", &[&later, &SECOND]).await?;
    resolve(&session, 1, "use_local", EDITOR, None, seen["state"].as_str()).await?;
    scenario.check().await
}

#[tokio::test]
async fn of_two_people_resolving_at_once_one_is_told() -> Result<()> {
    let (scenario, _) = disputed(&["1"]).await?;
    let one = scenario.database.client_as(Login::Application).await?;
    let other = scenario.database.client_as(Login::Application).await?;
    let (one, other) =
        tokio::join!(resolve(&one, 1, "use_local", EDITOR, None, None), resolve(&other, 1, "use_pems", SECOND, None, None));
    let refused = match (one, other) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("exactly one must win: {both:?}"),
    };
    assert_eq!(refusal(&refused).0, "PF006");
    scenario.check().await
}

#[tokio::test]
async fn a_conflict_committed_again_is_judged_anew() -> Result<()> {
    let (scenario, modifications) = disputed(&["1"]).await?;
    scenario.client.execute(r#"update pfa_modification set "syncState" = 'committed'"#, &[]).await?;
    assert_eq!(scenario.state(&modifications[0]).await?, "conflict/conflict");
    scenario.client.execute(r#"update pfa_modification set "syncState" = 'draft'"#, &[]).await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.conflicts").await?, 0, "withdrawn");
    scenario.check().await
}

#[tokio::test]
async fn bulk_resolution_does_what_was_previewed_or_nothing() -> Result<()> {
    let (scenario, modifications) = disputed(&["1", "2", "3"]).await?;
    scenario
        .client
        .execute(r#"update user_organizations set "perm_EditForecast" = false where "userId" = 'usr_second'"#, &[])
        .await?;
    let preview = async |filter: Value| -> Result<(i64, i64, i64, String)> {
        let row = scenario
            .client
            .query_one("select conflicts, sends, refused, digest from pfa_sync.preview_resolution($1, 'use_local')", &[&filter])
            .await?;
        Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
    };
    let session = scenario.database.client_as(Login::Application).await?;
    let run = async |filter: Value, user: &str, digest: &str| -> Result<(i64, i64, i64)> {
        let call = "select resolved, queued, refused from pfa_sync.resolve_conflicts($1, 'use_local', $2, $3)";
        let row = session.query_one(call, &[&filter, &user, &digest]).await?;
        Ok((row.get(0), row.get(1), row.get(2)))
    };
    let all = json!({"organization": "RIO", "field": "monthlyRate", "author": EDITOR});
    let (conflicts, sends, refused, stale) = preview(all.clone()).await?;
    assert_eq!((conflicts, sends, refused), (3, 3, 0));
    assert_eq!(preview(json!({"field": "model"})).await?.0, 0);
    assert_eq!(preview(json!({"older_than": "1 day"})).await?.0, 0);
    let unknown = scenario
        .client
        .query("select * from pfa_sync.preview_resolution('{\"colour\": 1}', 'use_pems')", &[])
        .await
        .unwrap_err()
        .into();
    assert_eq!(refusal(&unknown).0, "PF001");

    scenario.foreign_edit("3", 3, json!({"monthlyRate": 1})).await?;
    assert_eq!(refusal(&run(all.clone(), EDITOR, &stale).await.unwrap_err()).0, "PF006");
    let (.., digest) = preview(all.clone()).await?;
    assert_eq!(run(all.clone(), SECOND, &digest).await?, (0, 0, 3), "without the right, they stay open");
    assert_eq!(run(all, EDITOR, &digest).await?, (3, 3, 0));
    for modification in &modifications {
        assert_eq!(scenario.state(modification).await?, "committed/queued");
    }
    scenario.check().await
}

/// Discarding the edits of other users needs the permission to resolve, in bulk as one by one.
#[tokio::test]
async fn edits_of_others_are_given_up_in_bulk_with_the_right_to_resolve_alone() -> Result<()> {
    let (scenario, modifications) = disputed(&["1"]).await?;
    let digest: String =
        scenario.value("select digest from pfa_sync.preview_resolution('{\"organization\": \"RIO\"}', 'use_pems')").await?;
    let session = scenario.database.client_as(Login::Application).await?;
    let call = "select * from pfa_sync.resolve_conflicts('{\"organization\": \"RIO\"}', 'use_pems', 'usr_viewer', $1)";
    let error = session.query(call, &[&digest]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF002");
    assert_eq!(scenario.state(&modifications[0]).await?, "conflict/conflict");
    Ok(())
}
