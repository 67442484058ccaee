//! The timeline of a record, in words.

use anyhow::Result;
use serde_json::{Value, json};
use tokio_postgres::Row;

use crate::support::scenario::Scenario;

const MASKED: &str = r#"update user_organizations set "perm_ViewFinancials" = false where "userId" = 'usr_viewer'"#;

async fn entries(scenario: &Scenario, user: &str) -> Result<Vec<Row>> {
    Ok(scenario.acting(user).await?.query("select * from pfa_sync.timeline('RIO', '1')", &[]).await?)
}

fn sentences(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.get("sentence")).collect()
}

/// An edit that conflicts, is resolved by another user, and is confirmed.
async fn resolved() -> Result<Scenario> {
    let scenario = Scenario::new().await?;
    let save = r#"select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', $1, 'cheaper')"#;
    let delta = json!({"monthlyRate": 13000, "model": "LTM 1300", "forecastStart": "2026-02-01", "isActualized": true});
    scenario.client.execute(save, &[&delta]).await?;
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;
    scenario.client.execute("select * from pfa_sync.commit_drafts('RIO', 'usr_editor')", &[]).await?;
    let conflict: i64 = scenario.value("select conflict_id from pfa_sync.conflicts").await?;
    let resolve = r#"select pfa_sync.resolve_conflict($1, 'merge', 'usr_admin', '{"monthlyRate": 12000.5}')"#;
    scenario.client.execute(resolve, &[&conflict]).await?;
    let sent = scenario.send().await?;
    let answer = json!({"version": 3, "updated_at": "2026-03-01T00:00:00.000Z", "response": {"version": 3}});
    scenario.report("complete", &sent, answer).await?;
    Ok(scenario)
}

#[tokio::test]
async fn a_timeline_says_what_happened() -> Result<()> {
    let scenario = resolved().await?;
    let rows = entries(&scenario, "usr_editor").await?;
    assert_eq!(
        sentences(&rows),
        [
            "Edith Araújo changed forecastStart from 2026-01-01 to 2026-02-01, isActualized from no to yes, \
             model from LTM 1100 to LTM 1300, monthlyRate from 12,500 to 13,000",
            "conflict: monthlyRate was changed in PEMS",
            "Ada Moreau resolved the conflict: merged values are sent",
            "Ada Moreau changed forecastStart from 2026-01-01 to 2026-02-01, isActualized from no to yes, \
             model from LTM 1100 to LTM 1300, monthlyRate from 11,000 to 12,000.5",
            "sent to PEMS: forecastStart, isActualized, model, monthlyRate",
            "PEMS confirmed version 3",
        ]
    );
    let first = &rows[0];
    assert_eq!(first.get::<_, Value>("from_to")["monthlyRate"], json!({"from": 12500, "to": 13000}));
    assert_eq!(first.get::<_, Option<String>>("reason").as_deref(), Some("cheaper"));
    assert!(first.get::<_, Option<i64>>("job_id").is_some() && first.get::<_, Option<i64>>("queue_id").is_some());
    assert!(rows[4].get::<_, Option<i64>>("batch_id").is_some());
    let ids: Vec<i64> = rows.iter().map(|row| row.get("event_id")).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    Ok(())
}

/// Prices are named, without their values, to those who may not see them.
#[tokio::test]
async fn a_timeline_without_prices() -> Result<()> {
    let scenario = resolved().await?;
    scenario.client.batch_execute(MASKED).await?;
    let rows = entries(&scenario, "usr_viewer").await?;
    assert_eq!(
        rows[0].get::<_, String>("sentence"),
        "Edith Araújo changed forecastStart from 2026-01-01 to 2026-02-01, isActualized from no to yes, \
         model from LTM 1100 to LTM 1300, monthlyRate"
    );
    let query = "select string_agg((to_jsonb(t) - 'at' - 'modification_id')::text, ' ') from pfa_sync.timeline('RIO', '1') t";
    let text: String = scenario.acting("usr_viewer").await?.query_one(query, &[]).await?.get(0);
    for price in ["12500", "12,500", "13000", "13,000", "11000", "11,000", "12,000", "12000"] {
        assert!(!text.contains(price), "{price}: {text}");
    }
    Ok(())
}

/// What fails, and what users do about it.
#[tokio::test]
async fn a_timeline_of_what_fails() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": null})).await?;
    let sent = scenario.send().await?;
    let answer = json!({"outcome": "rejected", "error": "rate 12500 is odd", "http_status": 422});
    scenario.report("fail", &sent, answer).await?;
    scenario.client.execute("select * from pfa_sync.requeue_dead_letters('{}', user_id => 'usr_admin')", &[]).await?;
    scenario.client.batch_execute(MASKED).await?;
    let rows = entries(&scenario, "usr_viewer").await?;
    assert_eq!(
        sentences(&rows),
        [
            "Edith Araújo changed model from LTM 1100 to nothing",
            "sent to PEMS: model",
            "PEMS did not confirm the request: rejected: rate # is odd",
            "failed for good: rate # is odd",
            "Ada Moreau queued it again",
            "Edith Araújo changed model from LTM 1100 to nothing",
        ]
    );
    Ok(())
}
