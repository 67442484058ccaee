//! Conflicts, open and resolved, as lists show them.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO};
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};

/// Conflicts of records 1, 2 and 3: ours is 13000 and a model, theirs 11000.
async fn three_conflicts() -> Result<(Scenario, Vec<i64>)> {
    let scenario = Scenario::new().await?;
    for id in ["1", "2", "3"] {
        scenario.application().draft(EDITOR, RIO, id, json!({"monthlyRate": 13000, "model": "LTM 1300"})).await?;
        scenario.foreign_edit(id, 2, json!({"monthlyRate": 11000})).await?;
    }
    scenario.application().commit(EDITOR, RIO).await?;
    let ids = "select array_agg(conflict_id order by pfa_id) from pfa_sync.conflicts";
    let ids = scenario.value(ids).await?;
    Ok((scenario, ids))
}

async fn listed(session: &Client, call: &str) -> Result<Vec<i64>> {
    let rows = session.query(&format!("select conflict_id from pfa_sync.find_resolved_conflicts({call})"), &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn an_open_conflict_tells_its_versions_and_their_values_of_the_changed_fields() -> Result<()> {
    let (scenario, ids) = three_conflicts().await?;
    let row = scenario.client.query_one("select * from pfa_sync.conflicts where conflict_id = $1", &[&ids[0]]).await?;
    assert_eq!((row.get::<_, i32>("local_version"), row.get::<_, i32>("mirror_version")), (1, 2));
    assert_eq!(row.get::<_, Option<i64>>("pems_version"), Some(2));
    assert_eq!(row.get::<_, String>("status"), "unresolved");
    assert_eq!(row.get::<_, Value>("theirs_fields"), json!({"monthlyRate": 11000, "model": "LTM 1100"}));
    assert_eq!(row.get::<_, Value>("theirs")["category"], json!("Crane"), "theirs stays the whole record");
    Ok(())
}

#[tokio::test]
async fn a_resolved_conflict_keeps_all_sides_and_what_was_made_of_them() -> Result<()> {
    let (scenario, ids) = three_conflicts().await?;
    for (id, resolution, merged) in
        [(ids[0], "merge", Some(json!({"monthlyRate": 12000}))), (ids[1], "use_pems", None), (ids[2], "use_local", None)]
    {
        let resolve = "select pfa_sync.resolve_conflict($1, $2, 'usr_admin', $3)";
        scenario.client.execute(resolve, &[&id, &resolution, &merged]).await?;
    }
    let session = scenario.acting(EDITOR).await?;
    let rows = session.query("select * from pfa_sync.resolved_conflicts order by conflict_id", &[]).await?;
    let rows: Vec<_> = ids.iter().map(|id| rows.iter().find(|row| row.get::<_, i64>("conflict_id") == *id).unwrap()).collect();
    let model = |merged: &str| json!({"field": "model", "conflict": false, "base": "LTM 1100", "ours": "LTM 1300", "theirs": "LTM 1100", "merged": merged});
    let rate = |merged: i64| json!({"field": "monthlyRate", "conflict": true, "base": 12500, "ours": 13000, "theirs": 11000, "merged": merged});
    let fields: Vec<Value> = rows.iter().map(|row| row.get("fields")).collect();
    assert_eq!(fields[0], json!([model("LTM 1300"), rate(12000)]), "merge");
    assert_eq!(fields[1], json!([model("LTM 1100"), rate(11000)]), "use_pems");
    assert_eq!(fields[2], json!([model("LTM 1300"), rate(13000)]), "use_local");
    let first = rows[0];
    assert_eq!(first.get::<_, String>("author_name"), "Edith Araújo");
    assert_eq!(first.get::<_, String>("resolved_by_name"), "Ada Moreau");
    assert_eq!((first.get::<_, &str>("status"), first.get::<_, &str>("resolution")), ("resolved_manual", "merge"));

    scenario.client.batch_execute(r#"update user_organizations set "perm_ViewFinancials" = false"#).await?;
    let fields: Value = session.query_one("select fields from pfa_sync.resolved_conflicts limit 1", &[]).await?.get(0);
    assert_eq!(fields[1], json!({"field": "monthlyRate", "conflict": true, "hidden": true}));
    let outside = scenario.acting("usr_former").await?;
    assert!(outside.query("select * from pfa_sync.resolved_conflicts", &[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn resolved_conflicts_are_listed_the_latest_first() -> Result<()> {
    let (scenario, ids) = three_conflicts().await?;
    for id in [ids[1], ids[0], ids[2]] {
        scenario.client.execute("select pfa_sync.resolve_conflict($1, 'use_pems', 'usr_admin')", &[&id]).await?;
    }
    let session = scenario.acting(EDITOR).await?;
    let latest = [ids[2], ids[0], ids[1]];
    assert_eq!(listed(&session, "'RIO'").await?, latest);
    assert_eq!(listed(&session, "").await?, latest);
    assert_eq!(listed(&session, "'RIO', max_rows => 2").await?, latest[..2].to_vec());
    assert_eq!(listed(&session, &format!("'RIO', before => {}", ids[0])).await?, latest[2..].to_vec());
    assert_eq!(
        listed(&session, r#"'RIO', '{"pfa_ids": ["2"], "authors": ["usr_editor"], "fields": ["monthlyRate"]}'"#).await?,
        [ids[1]]
    );
    assert_eq!(listed(&session, r#"'RIO', '{"since": "2999-01-01"}'"#).await?, [0_i64; 0]);
    assert_eq!(listed(&session, "'HARBOUR'").await?, [0_i64; 0]);
    let error =
        session.query("select * from pfa_sync.find_resolved_conflicts('RIO', before => 999)", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF008");
    Ok(())
}
