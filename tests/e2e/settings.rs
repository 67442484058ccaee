//! Settings and the DBA's own field rules.

use anyhow::Result;
use serde_json::json;
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};

#[tokio::test]
async fn settings_are_checked_scoped_and_logged() -> Result<()> {
    let scenario = Scenario::new().await?;
    for (call, code) in [
        ("pfa_sync.set('colour', 'red')", "PF008"),
        ("pfa_sync.set('max_retries', 'many')", "PF001"),
        ("pfa_sync.set('max_retries', '-1')", "PF001"),
        ("pfa_sync.set('slot_interval', '0 s')", "PF001"),
        ("pfa_sync.set('slot_interval', '200 ms', 'RIO')", "PF001"),
        ("pfa_sync.set('max_retries', '1', 'ATLANTIS')", "PF008"),
        ("pfa_sync.set('max_retries.model', '1')", "PF008"),
        ("pfa_sync.set('auto_resolution.colour', 'newest')", "PF008"),
        ("pfa_sync.set('auto_resolution.pfaId', 'newest')", "PF008"),
        ("pfa_sync.set('auto_resolution.model', 'mine')", "PF001"),
        ("pfa_sync.set('inbound', 'maybe', 'RIO')", "PF001"),
        ("pfa_sync.set('lease', '1 min', 'RIO')", "PF001"),
    ] {
        let error = scenario.client.execute(&format!("select {call}"), &[]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, code, "{call}");
    }
    scenario.client.batch_execute("select pfa_sync.set('max_retries', '5'), pfa_sync.set('max_retries', '7', 'RIO')").await?;
    let values = "select string_agg(coalesce(organization_id, 'fleet') || ' ' || value, ', ') from pfa_sync.settings where name = 'max_retries'";
    assert_eq!(scenario.value::<String>(values).await?, "fleet 5, org_RIO_173 7");
    assert_eq!(scenario.value::<String>("select pfa_sync.set('max_retries', null, 'RIO')").await?, "5", "back to the fleet's");
    assert_eq!(
        scenario.value::<i64>("select count(*) from pfa_sync_private.pfa_audit_log where event_type = 'SETTING_CHANGED'").await?,
        3
    );
    Ok(())
}

/// Only an administrator pauses and resumes organizations.
#[tokio::test]
async fn settings_and_pauses_need_their_permission() -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.database.client_as(Login::Application).await?;
    for call in [
        "select pfa_sync.set('max_retries', '1', 'RIO', $1)",
        "select pfa_sync.set('max_retries', '1', null, $1)",
        "select pfa_sync.pause('RIO', 'because', null, $1)",
        "select pfa_sync.resume('RIO', $1)",
        "select pfa_sync.resume(null, $1)",
        "select pfa_sync.set('auto_resolution.monthlyRate', 'use_pems', 'RIO', $1)",
    ] {
        for (user, code) in [(Some("usr_editor"), Some("PF002")), (None, Some("PF002")), (Some("usr_admin"), None)] {
            let answer = session.query(call, &[&user]).await;
            assert_eq!(
                answer.err().and_then(|e| e.code().cloned()).map(|c| c.code().to_owned()).as_deref(),
                code,
                "{call} as {user:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_dba_adds_and_replaces_field_rules_without_a_release() -> Result<()> {
    let scenario = Scenario::new().await?;
    let error = scenario.edit("1", json!({"towerHeight": 80})).await.unwrap_err();
    assert_eq!(refusal(&error).2[0]["errors"][0]["code"], "UNKNOWN_FIELD");
    scenario.client.batch_execute("delete from pfa_modification").await?;

    scenario.client.batch_execute(
        "insert into pfa_sync_private.field_override (name, type, scale, minimum, maximum, permission) values ('towerHeight', 'decimal', 0, 10, 200, 'perm_EditForecast'); \
         insert into pfa_sync_private.field_override (name, type, max_length, permission) values ('model', 'text', 4, 'perm_EditForecast')").await?;

    scenario.edit("1", json!({"towerHeight": 80, "model": "LTM9"})).await?;
    for (delta, code) in [(json!({"towerHeight": 300}), "INVALID_RANGE"), (json!({"model": "LTM 9"}), "TOO_LONG")] {
        let error = scenario.edit("2", delta).await.unwrap_err();
        assert_eq!(refusal(&error).2[0]["errors"][0]["code"], code);
        scenario.client.batch_execute("delete from pfa_modification where \"syncState\" = 'draft'").await?;
    }
    scenario.client.batch_execute("select pfa_sync.set('text_limit', '5')").await?;
    let error = scenario.edit("3", json!({"areaSilo": "Silo 10"})).await.unwrap_err();
    assert_eq!(refusal(&error).2[0]["errors"][0]["code"], "TOO_LONG", "a setting is a rule too");
    Ok(())
}
