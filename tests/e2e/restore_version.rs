//! A record that is set back to a version of its history.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::scenario::{Scenario, refusal};

const ADMIN: &str = "usr_admin";
const REASON: &str = "the import was wrong";

#[tokio::test]
async fn a_record_is_set_back_to_a_version() -> Result<()> {
    let scenario = Scenario::new().await?;
    for model in ["A", "B", "C"] {
        scenario.edit("1", json!({"model": model})).await?;
        scenario.deliver().await?;
    }
    let digest: String = {
        let row = scenario.client.query_one("select * from pfa_sync.restore_preview('RIO', '1', 2, $1)", &[&ADMIN]).await?;
        assert_eq!(
            (row.get::<_, Value>("current"), row.get::<_, Value>("restored")),
            (json!({"model": "C"}), json!({"model": "A"}))
        );
        row.get("digest")
    };
    let call = "select * from pfa_sync.restore_version('RIO', '1', 2, $1, $2, $3)";
    scenario.client.execute(call, &[&ADMIN, &REASON, &Some(digest.clone())]).await?;
    let stale = scenario.client.execute(call, &[&ADMIN, &REASON, &Some(digest)]).await.unwrap_err();
    assert_eq!(refusal(&stale.into()).0, "PF006");
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.mirror("1").await?["model"], json!("A"));
    for (version, code) in [(77, "PF006"), (5, "PF006")] {
        let call = format!("select * from pfa_sync.restore_version('RIO', '1', {version}, $1, $2)");
        let error = scenario.client.execute(&call, &[&ADMIN, &REASON]).await.unwrap_err();
        assert_eq!(refusal(&error.into()).0, code, "version {version}");
    }
    scenario.check().await
}
