//! The statements in docs/runbooks.md run, and the functions and views that it names exist.

use anyhow::{Context, Result, ensure};

use crate::support::scenario::Scenario;

const RUNBOOKS: &str = include_str!("../../docs/runbooks.md");

/// The texts in code spans, each in one line, with an organization of the test.
fn spans() -> impl Iterator<Item = String> {
    let texts = RUNBOOKS.split('`').skip(1).step_by(2);
    texts.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ").replace("'CODE'", "'RIO'"))
}

#[tokio::test]
async fn each_statement_of_the_runbooks_runs() -> Result<()> {
    let scenario = Scenario::new().await?;
    let statements: Vec<_> = spans()
        .filter(|text| text.starts_with("select ") || text.starts_with("pfa_sync.") && text.contains("('"))
        .map(|text| if text.starts_with("select ") { text } else { format!("select {text}") })
        .collect();
    ensure!(statements.len() > 8, "the page has too few statements: {statements:?}");
    for statement in statements {
        scenario.client.batch_execute(&format!("begin; {statement}; rollback")).await.with_context(|| statement.clone())?;
    }
    scenario.check().await
}

/// `name()` is a function of the surface, `pfa_sync.name` a view or a function; a third part is a column.
#[tokio::test]
async fn what_the_runbooks_name_exists() -> Result<()> {
    let scenario = Scenario::new().await?;
    let is_name = |text: &String| {
        (text.ends_with("()") || text.starts_with("pfa_sync."))
            && text.chars().all(|letter| letter.is_ascii_lowercase() || "_.()".contains(letter))
    };
    let bare = |text: String| text.trim_start_matches("pfa_sync.").split(['.', '(']).next().unwrap_or_default().to_owned();
    let names: Vec<String> = spans().filter(is_name).map(bare).collect();
    ensure!(names.len() > 20, "the page has too few names: {names:?}");
    let missing = "select coalesce(string_agg(n, ', '), '') from unnest($1::text[]) n \
                    where to_regclass('pfa_sync.' || n) is null \
                      and not exists (select from pg_proc p where p.proname = n and p.pronamespace = 'pfa_sync'::regnamespace)";
    assert_eq!(scenario.client.query_one(missing, &[&names]).await?.get::<_, String>(0), "");
    Ok(())
}
