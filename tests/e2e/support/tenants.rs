//! Two organizations with every kind of row.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, HARBOUR, RIO, pems_record};

use super::scenario::Scenario;

/// Every kind of row in both organizations: prices changed, one change queued, one in conflict, two dead.
pub async fn two_tenants() -> Result<Scenario> {
    let scenario = Scenario::new().await?;
    for (organization, code) in [(RIO, "RIO"), (HARBOUR, "HARBOUR")] {
        let records = |version: i64, rate: f64| -> Value {
            (1..=4)
                .map(|id| {
                    let mut record = pems_record(code, &id.to_string());
                    record["monthlyRate"] = json!(rate);
                    record["version"] = json!(version);
                    record["updatedAt"] = json!(format!("2026-02-{version:02}T00:00:00.000Z"));
                    record
                })
                .collect()
        };
        let ingest = "select * from pfa_sync.ingest($1, $2)";
        scenario.client.execute(ingest, &[&code, &records(2, 12500.0)]).await?;
        let application = scenario.application();
        application.draft(EDITOR, organization, "1", json!({"monthlyRate": 7771.25, "model": "Ours"})).await?;
        scenario.client.execute(ingest, &[&code, &records(3, 8882.25)]).await?;
        application.draft(EDITOR, organization, "2", json!({"monthlyRate": 7771.25})).await?;
        application.draft(EDITOR, organization, "4", json!({"monthlyRate": 7771.25})).await?;
        application.commit(EDITOR, organization).await?;
        let sent = scenario.send().await?;
        let dead = json!({"outcome": "rejected", "error": "a rate of 7771.25 is too much", "http_status": 422, "response": {"monthlyRate": 7771.25}});
        scenario.report("fail", &sent, dead).await?;
        let pull = "insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, lease_until, ended_at, last_error) \
                    values ($1, 'full', 'failed', 'relay-1', now(), now(), 'PEMS said: 7771.25 is too much')";
        scenario.client.execute(pull, &[&organization]).await?;
        application.draft(EDITOR, organization, "3", json!({"monthlyRate": 7771.25})).await?;
        application.commit(EDITOR, organization).await?;
    }
    Ok(scenario)
}
