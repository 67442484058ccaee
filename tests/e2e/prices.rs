//! A user who may not see prices learns none by guessing, and none from an answer that was made when they could.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::EDITOR;
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};

const BLIND: &str = r#"update user_organizations set "perm_ViewFinancials" = false where "userId" = 'usr_editor'"#;

/// What saving, explaining and committing a guess of record 1's rate answer.
async fn answers(scenario: &Scenario, guess: i64) -> Result<Value> {
    let session = scenario.database.client_as(Login::Api).await?;
    session.batch_execute("set pfa_sync.user_id = 'usr_editor'").await?;
    let save = "select modification_id, conflicts, errors from pfa_sync.save_draft('RIO', null, '1', $1)";
    let saved = session.query_one(save, &[&json!({"monthlyRate": guess})]).await?;
    let modification: String = saved.get(0);
    let explained: Value = session.query_one("select pfa_sync.explain($1)", &[&modification]).await?.get(0);
    let commit = "select verdict, conflicts, errors from pfa_sync.commit_drafts('RIO', null)";
    let committed = session.query_one(commit, &[]).await?;
    let sent = scenario.claim().await?.len();
    let state = session
        .query_one("select sync_state, sync_status, queue_status, error from pfa_sync.state(array[$1])", &[&modification])
        .await?;
    let state: Vec<Option<String>> = (0..4).map(|column| state.get(column)).collect();
    Ok(json!([
        saved.get::<_, Value>(1),
        saved.get::<_, Value>(2),
        explained,
        committed.get::<_, String>(0),
        committed.get::<_, Value>(1),
        committed.get::<_, Value>(2),
        state,
        sent
    ]))
}

/// The record has the rate 12500 where it did not move, and 11000 where it did.
#[rstest]
#[case::unmoved(false, 12500)]
#[case::moved(true, 11000)]
#[tokio::test]
async fn a_right_guess_is_answered_like_a_wrong_one(#[case] moved: bool, #[case] right: i64) -> Result<()> {
    let mut seen = Vec::new();
    for guess in [right, right + 1] {
        let scenario = Scenario::new().await?;
        scenario.client.batch_execute(BLIND).await?;
        if moved {
            scenario.application().draft(EDITOR, testbed::application::RIO, "1", json!({"monthlyRate": 1})).await?;
            scenario.foreign_edit("1", 2, json!({"monthlyRate": right})).await?;
        }
        seen.push(answers(&scenario, guess).await?);
        assert!(!seen[0].to_string().contains(&right.to_string()), "{}", seen[0]);
    }
    assert_eq!(seen[0], seen[1]);
    Ok(())
}

/// To an author who may see prices, a draft with PEMS' own price changes nothing, and nothing is sent.
#[tokio::test]
async fn who_sees_prices_is_told_that_pems_holds_the_value() -> Result<()> {
    let scenario = Scenario::new().await?;
    let answers = answers(&scenario, 12500).await?;
    assert_eq!((&answers[6][0], &answers[7]), (&json!("synced"), &json!(0)));
    Ok(())
}

/// The answer under an idempotency key is shown again as long as the user may do all that they might when it was made.
#[rstest]
#[case::unchanged("select 1", true)]
#[case::another_right("update user_organizations set \"perm_ManageUsers\" = true", true)]
#[case::prices(BLIND, false)]
#[case::switched_off("update users set \"isActive\" = false", false)]
#[case::suspended("update users set \"serviceStatus\" = 'suspended'", false)]
#[case::left("delete from user_organizations", false)]
#[case::deleted("delete from users", false)]
#[tokio::test]
async fn a_repeated_request_is_answered_by_the_rights_of_now(#[case] change: &str, #[case] shown: bool) -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.database.client_as(Login::Api).await?;
    session.batch_execute("set pfa_sync.user_id = 'usr_editor'").await?;
    let begin = "select pfa_sync.begin_idempotent('key', 'request')";
    assert_eq!(session.query_one(begin, &[]).await?.get::<_, Option<Value>>(0), None);
    session.execute("select pfa_sync.finish_idempotent('key', '{\"monthlyRate\": 7771}')", &[]).await?;
    scenario.client.batch_execute(change).await?;
    match session.query_one(begin, &[]).await {
        Ok(row) => {
            assert!(shown);
            assert_eq!(row.get::<_, Value>(0), json!({"monthlyRate": 7771}));
        }
        Err(error) => {
            assert!(!shown, "{error:?}");
            let (code, message, _) = refusal(&error.into());
            assert_eq!(code, "PF002");
            assert!(message.contains("carried out") && !message.contains("7771"), "{message}");
        }
    }
    Ok(())
}
