//! Asking before committing: explain, drafts, verdicts, withdrawal.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, SECOND};
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};

async fn save(scenario: &Scenario, user: &str, pfa_id: &str, delta: Value) -> Result<(String, Value, Value)> {
    let session = scenario.database.client_as(Login::Application).await?;
    let row = session.query_one("select * from pfa_sync.save_draft('RIO', $1, $2, $3)", &[&user, &pfa_id, &delta]).await?;
    Ok((row.get("modification_id"), row.get("conflicts"), row.get("errors")))
}

#[tokio::test]
async fn a_draft_is_merged_into_and_warns_of_conflicts() -> Result<()> {
    let scenario = Scenario::new().await?;
    let (draft, conflicts, errors) = save(&scenario, EDITOR, "1", json!({"monthlyRate": 13000})).await?;
    assert_eq!((conflicts, errors), (json!([]), json!([])));
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;

    let (same, conflicts, errors) = save(&scenario, EDITOR, "1", json!({"forecastStart": "2027-06-01"})).await?;

    assert_eq!(same, draft);
    assert_eq!(conflicts, json!([{"field": "monthlyRate", "base": 12500, "ours": 13000, "theirs": 11000}]));
    assert_eq!(errors[0]["code"], "INVALID_DATE_ORDER");
    assert_eq!(scenario.state(&draft).await?, "draft/draft");
    let (other, ..) = save(&scenario, SECOND, "1", json!({"model": "X"})).await?;
    assert_ne!(other, draft, "a draft is its author's");
    Ok(())
}

#[tokio::test]
async fn explain_tells_all_before_the_commit() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.foreign_edit("1", 2, json!({"originalEnd": "2020-01-01T00:00:00.000Z"})).await?;
    let draft = scenario
        .application()
        .draft("usr_planner", RIO, "1", json!({"monthlyRate": 13000.10, "actualStart": "2026-03-01"}))
        .await?;
    let other = scenario.application().edit(SECOND, "1", json!({"monthlyRate": 99})).await?;

    let explained: Value = scenario.client.query_one("select pfa_sync.explain($1)", &[&draft]).await?.get(0);

    assert_eq!((&explained["valid"], &explained["errors"]), (&json!(true), &json!([])));
    assert_eq!(explained["warnings"][0]["code"], "INVALID_DATE_ORDER", "PEMS' own fault does not block");
    assert_eq!((&explained["permitted"], &explained["missing_permissions"]), (&json!(false), &json!(["perm_EditActuals"])));
    assert_eq!(explained["conflicts"], json!([{"field": "monthlyRate", "base": 12500, "ours": 13000.1, "theirs": 99}]));
    assert_eq!(explained["request"], json!({"operation": "UPDATE", "changes": {"actualStart": "2026-03-01T00:00:00.000Z"}}));
    let others = json!([{"modification_id": other, "user_id": SECOND, "user_name": "Simon Okafor", "state": "committed", "fields": ["monthlyRate"]}]);
    assert_eq!(explained["others"], others);
    Ok(())
}

#[tokio::test]
async fn committing_drafts_gives_a_verdict_for_each() -> Result<()> {
    let scenario = Scenario::new().await?;
    save(&scenario, EDITOR, "1", json!({"model": "X"})).await?;
    save(&scenario, EDITOR, "2", json!({"monthlyRate": -5})).await?;
    save(&scenario, EDITOR, "3", json!({"monthlyRate": 7})).await?;
    scenario.foreign_edit("3", 2, json!({"monthlyRate": 8})).await?;
    let session = scenario.database.client_as(Login::Application).await?;

    let error = session.query("select * from pfa_sync.commit_drafts('RIO', $1)", &[&EDITOR]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001", "all or nothing unless asked otherwise");

    let verdicts = session
        .query(
            "select pfa_id, verdict, errors, conflicts from pfa_sync.commit_drafts('RIO', $1, skip_invalid => true)",
            &[&EDITOR],
        )
        .await?;
    let listed: Vec<(&str, &str)> = verdicts.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(listed, [("1", "queued"), ("2", "invalid"), ("3", "conflict")]);
    assert_eq!(verdicts[1].get::<_, Value>(2)[0]["code"], "INVALID_RANGE");
    assert_eq!(verdicts[2].get::<_, Value>(3)[0]["theirs"], 8);

    let discarded = session.query("select pfa_id, verdict from pfa_sync.discard_drafts('RIO', $1)", &[&EDITOR]).await?;
    assert_eq!((discarded.len(), discarded[0].get::<_, &str>(0), discarded[0].get::<_, &str>(1)), (1, "2", "discarded"));
    scenario.check().await
}

#[tokio::test]
async fn withdrawing_is_the_authors_right_until_the_claim() -> Result<()> {
    let scenario = Scenario::new().await?;
    let under_way = scenario.edit("2", json!({"model": "X"})).await?;
    scenario.claim().await?;
    let waiting = scenario.edit("1", json!({"model": "X"})).await?;
    let draft = scenario.application().draft(EDITOR, RIO, "3", json!({"model": "X"})).await?;
    let session = scenario.database.client_as(Login::Application).await?;
    let ids = vec![waiting.clone(), under_way.clone(), draft, "nobody".to_owned()];
    let withdraw = async |user: &str| -> Result<Vec<String>> {
        let rows = session.query("select verdict from pfa_sync.withdraw($1, $2) w join unnest($1) with ordinality i (id, n) on i.id = w.modification_id order by n", &[&ids, &user]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };

    assert_eq!(withdraw(SECOND).await?, ["forbidden", "forbidden", "forbidden", "unknown"]);
    assert_eq!(withdraw(EDITOR).await?, ["withdrawn", "in_flight", "not_queued", "unknown"]);
    assert_eq!(scenario.state(&waiting).await?, "draft/draft");
    let states =
        session.query("select sync_state, queue_status from pfa_sync.state($1) order by 1", &[&vec![waiting, under_way]]).await?;
    let listed: Vec<(&str, Option<&str>)> = states.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(listed, [("draft", None), ("syncing", Some("processing"))]);
    scenario.check().await
}

#[tokio::test]
async fn an_unknown_record_user_or_delta_is_refused_clearly() -> Result<()> {
    let scenario = Scenario::new().await?;
    for (user, record, delta, code) in [
        (EDITOR, "404", json!({"model": "X"}), "PF008"),
        ("usr_viewer", "1", json!({"model": "X"}), "PF002"),
        ("nobody", "1", json!({"model": "X"}), "PF002"),
        (EDITOR, "1", json!(["model"]), "PF001"),
    ] {
        let error = save(&scenario, user, record, delta.clone()).await.unwrap_err();
        assert_eq!(refusal(&error).0, code, "{user} {record} {delta}");
    }
    Ok(())
}

/// A delta is bounded before it is stored: PostgreSQL writes numbers out in full, and lists of records read drafts again.
#[rstest]
#[case::exponent("'{\"monthlyRate\": 1e131071}'", "monthlyRate has too many digits")]
#[case::fraction("'{\"monthlyRate\": 1e-16000}'", "monthlyRate has too many digits")]
#[case::nested("'{\"model\": {\"a\": 1}}'", "model must be a single value")]
#[case::list("'{\"model\": [1]}'", "model must be a single value")]
#[case::long("jsonb_build_object('model', repeat('x', 100000))", "model is too long")]
#[case::unknown("'{\"colour\": \"red\"}'", "colour is not a field of a PFA record")]
#[case::long_name("jsonb_build_object(repeat('x', 100000), 1)", "is not a field of a PFA record")]
#[tokio::test]
async fn a_delta_that_is_no_short_edit_is_not_stored(#[case] delta: &str, #[case] expected: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let call = format!("select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', {delta})");
    let error = scenario.client.query(&call, &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF001");
    assert!(message.ends_with(expected) && message.len() < 100, "{message}");
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_modification").await?, 0);
    Ok(())
}
