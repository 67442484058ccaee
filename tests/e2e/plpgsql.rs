//! What plpgsql_check finds in the extension's functions.

use anyhow::Result;

use crate::support::scenario::Scenario;

#[tokio::test]
async fn plpgsql_check_finds_nothing() -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.client.batch_execute("create extension plpgsql_check schema public").await?;
    let findings = scenario.client.query(include_str!("../contract/plpgsql_check.sql"), &[]).await?;
    let lines: Vec<String> = findings
        .iter()
        .map(|row| {
            format!("{}:{} {}", row.get::<_, &str>(0), row.get::<_, Option<i32>>(1).unwrap_or_default(), row.get::<_, &str>(4))
        })
        .collect();
    assert_eq!(lines, Vec::<String>::new());
    let checked: i64 = scenario
        .value("select count(*) from pg_proc p join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql' where p.pronamespace::regnamespace::text like 'pfa_sync%'")
        .await?;
    assert!(checked > 100, "only {checked} functions were checked");
    Ok(())
}
