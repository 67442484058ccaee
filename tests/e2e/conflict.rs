//! Edits that PEMS' own changes stand against: found at commit, at claim, and by PEMS.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::scenario::Scenario;

/// The open conflicts: record, where it was found, its fields, and what stands there.
async fn conflicts(scenario: &Scenario) -> Result<Vec<Value>> {
    let select = "select jsonb_build_object('pfa', pfa_id, 'detected', detected, 'fields', conflict_fields, 'base', base, 'ours', ours) \
                  from pfa_sync.conflicts order by conflict_id";
    Ok(scenario.client.query(select, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_stale_edit_becomes_a_conflict_and_no_write() -> Result<()> {
    let scenario = Scenario::new().await?;
    let stale = scenario.application().draft(EDITOR, RIO, "1", json!({"monthlyRate": 13000, "model": "X"})).await?;
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;

    scenario.application().commit(EDITOR, RIO).await?;

    assert_eq!(scenario.state(&stale).await?, "conflict/conflict");
    let expected = json!({"pfa": "1", "detected": "commit", "fields": ["monthlyRate"],
        "base": {"monthlyRate": 12500, "model": "LTM 1100"}, "ours": {"monthlyRate": 13000, "model": "X"}});
    assert_eq!(conflicts(&scenario).await?, [expected]);
    assert!(scenario.claim().await?.is_empty(), "nothing is written");
    scenario.check().await
}

#[tokio::test]
async fn a_stale_edit_of_other_fields_is_rebased() -> Result<()> {
    let scenario = Scenario::new().await?;
    let stale = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;

    scenario.application().commit(EDITOR, RIO).await?;

    assert_eq!(scenario.value::<String>("select status from pfa_sync_private.pfa_sync_conflict").await?, "resolved_auto");
    let claimed = scenario.claim().await?;
    assert_eq!((claimed[0].version, &claimed[0].changes), (Some(2), &json!({"model": "X"})));
    assert_eq!(scenario.state(&stale).await?, "syncing/syncing");
    Ok(())
}

#[tokio::test]
async fn the_same_value_on_both_sides_needs_no_write() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"monthlyRate": 11000.00, "forecastEnd": "2026-12-31"})).await?;
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;

    assert!(scenario.claim().await?.is_empty());
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    scenario.check().await
}

#[tokio::test]
async fn an_unknown_base_makes_every_differing_field_a_conflict() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"monthlyRate": 12500, "model": "X"})).await?;
    scenario.foreign_edit("1", 2, json!({"areaSilo": "Silo 2"})).await?;
    scenario.client.execute("delete from pfa_mirror_history", &[]).await?;

    scenario.application().commit(EDITOR, RIO).await?;

    let open = conflicts(&scenario).await?;
    assert_eq!((&open[0]["fields"], &open[0]["base"]), (&json!(["model"]), &Value::Null));
    Ok(())
}

#[tokio::test]
async fn a_field_changed_there_and_back_is_no_conflict() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"monthlyRate": 13000})).await?;
    scenario.foreign_edit("1", 2, json!({"monthlyRate": 11000})).await?;
    scenario.foreign_edit("1", 3, json!({"monthlyRate": 12500.00, "forecastEnd": "2026-12-31T01:00:00+01:00"})).await?;

    scenario.application().commit(EDITOR, RIO).await?;

    assert_eq!(scenario.claim().await?[0].version, Some(3));
    Ok(())
}

/// The application's own reader moves the mirror without a word to the extension.
#[tokio::test]
async fn a_move_of_the_mirror_is_found_at_the_claim() -> Result<()> {
    let scenario = Scenario::new().await?;
    let clashing = scenario.edit("1", json!({"monthlyRate": 13000})).await?;
    let disjoint = scenario.edit("2", json!({"model": "X"})).await?;
    scenario
        .client
        .batch_execute(
            r#"update pfa_mirror set data = data || '{"monthlyRate": 11000}', version = version + 1 where "pfaId" in ('1', '2')"#,
        )
        .await?;

    let claimed = scenario.claim().await?;

    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].pfa_id.as_str(), claimed[0].version, claimed[0].step.as_str()), ("2", None, "read"));
    assert_eq!([scenario.state(&clashing).await?, scenario.state(&disjoint).await?], ["conflict/conflict", "syncing/syncing"]);
    assert_eq!(conflicts(&scenario).await?[0]["detected"], "claim");
    scenario.check().await
}

#[tokio::test]
async fn an_edit_that_became_invalid_is_a_question() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"forecastStart": "2026-06-01"})).await?;
    scenario.foreign_edit("1", 2, json!({"forecastEnd": "2026-05-01T00:00:00.000Z"})).await?;

    assert!(scenario.claim().await?.is_empty());
    let message: String =
        scenario.value("select message from pfa_sync.conflicts where conflict_fields = '{forecastStart}'").await?;
    assert!(message.contains("forecastEnd"), "{message}");
    Ok(())
}

#[tokio::test]
async fn what_pems_refuses_as_stale_is_judged_against_its_record() -> Result<()> {
    let scenario = Scenario::new().await?;
    let clashing = scenario.edit("1", json!({"monthlyRate": 13000})).await?;
    let disjoint = scenario.edit("2", json!({"model": "X"})).await?;
    let gone = scenario.edit("3", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    let first_key = claimed[1].idempotency_key.clone();
    for record in &claimed {
        let mut read = pems_record("RIO", &record.pfa_id);
        read["monthlyRate"] = json!(11000);
        read["version"] = json!(5);
        let read = if record.pfa_id == "3" { Value::Null } else { read };
        scenario
            .report("report_conflict", std::slice::from_ref(record), json!({"record": read, "response": {"status": 409}}))
            .await?;
    }

    let states = [scenario.state(&clashing).await?, scenario.state(&disjoint).await?, scenario.state(&gone).await?];
    assert_eq!(states, ["conflict/conflict", "committed/queued", "sync_error/failed"]);
    assert_eq!(conflicts(&scenario).await?[0]["detected"], "pems");
    assert_eq!(scenario.value::<String>("select code from pfa_sync.dead_letters").await?, "NOT_FOUND");
    let again = scenario.claim().await?;
    assert_eq!((again[0].version, again.len()), (Some(5), 1));
    assert_ne!(again[0].idempotency_key, first_key, "a rebased request is a new one");
    scenario.check().await
}

#[tokio::test]
async fn rules_settle_conflicts_without_asking() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.execute("select pfa_sync.set('auto_resolution.monthlyRate', 'use_pems', 'RIO')", &[]).await?;
    scenario.client.execute("select pfa_sync.set('auto_resolution.model', 'use_local')", &[]).await?;
    let application = scenario.application();
    let given_up = application.draft(EDITOR, RIO, "1", json!({"monthlyRate": 13000})).await?;
    let mixed = application.draft(EDITOR, RIO, "2", json!({"monthlyRate": 13000, "model": "X", "areaSilo": "Silo 9"})).await?;
    let open = application.draft(EDITOR, RIO, "3", json!({"monthlyRate": 13000, "class": "Y"})).await?;
    for record in ["1", "2", "3"] {
        scenario.foreign_edit(record, 2, json!({"monthlyRate": 11000, "model": "Z", "class": "Z"})).await?;
    }

    application.commit(EDITOR, RIO).await?;

    let states = [scenario.state(&given_up).await?, scenario.state(&mixed).await?, scenario.state(&open).await?];
    assert_eq!(states, ["synced/synced", "committed/queued", "conflict/conflict"]);
    assert_eq!(scenario.claim().await?[0].changes, json!({"model": "X", "areaSilo": "Silo 9"}));
    let rules = "select string_agg(pfa_id || ' ' || resolution || ' by ' || resolved_by, '; ' order by pfa_id) from pfa_sync_private.pfa_sync_conflict \
                 where status = 'resolved_auto' and conflict_fields <> '{}'";
    assert_eq!(
        scenario.value::<String>(rules).await?,
        "1 use_pems by auto_resolution.monthlyRate = use_pems; 2 merge by auto_resolution.model = use_local, auto_resolution.monthlyRate = use_pems"
    );
    scenario.check().await
}
