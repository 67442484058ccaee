//! One table says what each code means and what to do; the functions write no other, and the documents say the same.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Result;
use serde_json::json;

use crate::support::scenario::Scenario;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The folders whose functions end changes.
const FOLDERS: [&str; 7] = ["judge", "commit", "queue", "conflicts", "jobs", "inbound", "."];

/// Words in capitals in their sources that are no causes: operations, the author of the mirror's history, a code of validation.
const OTHERS: [&str; 6] = ["UPDATE", "DELETE", "PEMS", "PEMS_SYNC", "BUSINESS_RULE_VIOLATION", "MODULE_PATHNAME"];

fn set(words: Vec<String>) -> BTreeSet<String> {
    words.into_iter().collect()
}

#[tokio::test]
async fn every_code_that_a_function_writes_is_a_cause() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let causes =
        set(scenario.value("select array_agg(code) from pfa_sync.causes where kind not in ('health', 'attempt')").await?);
    let entries = set(scenario.value("select array_agg(event_type) from pfa_sync_private.event_type").await?);
    let mut written = BTreeSet::new();
    for folder in FOLDERS {
        for file in fs::read_dir(Path::new(REPOSITORY).join("sql/install").join(folder))? {
            let path = file?.path();
            if path.is_file() {
                let text = fs::read_to_string(path)?;
                let capitals = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
                written.extend(text.split('\'').filter(capitals).map(ToOwned::to_owned));
            }
        }
    }
    let codes: BTreeSet<String> = written
        .into_iter()
        .filter(|word| causes.contains(word) || !entries.contains(word) && !OTHERS.contains(&word.as_str()))
        .collect();
    assert_eq!(codes, causes);

    let health = fs::read_to_string(Path::new(REPOSITORY).join("sql/install/observe/health.sql"))?;
    for code in scenario.value::<Vec<String>>("select array_agg(code) from pfa_sync.causes where kind = 'health'").await? {
        assert!(health.contains(&format!("'{code}'")), "{code}");
    }
    Ok(())
}

/// Each outcome of a failed attempt is a cause: those that a relay reports, and `blocked`, which the retry decision makes of
/// an outage.
#[tokio::test]
async fn every_outcome_of_an_attempt_has_a_cause() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let outcomes = set(scenario.value("select array_agg(outcome) from pfa_sync_private.cause where outcome is not null").await?);
    let report = fs::read_to_string(Path::new(REPOSITORY).join("sql/install/queue/report.sql"))?;
    let words = report.split("not in").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
    let mut reported: BTreeSet<String> = words.split('\'').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    assert!(reported.contains("throttled"), "{reported:?}");
    reported.insert("blocked".to_owned());
    assert_eq!(outcomes, reported);
    Ok(())
}

#[tokio::test]
async fn the_documents_have_every_cause() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let rows: Vec<String> = scenario
        .value(
            "select array_agg(format('| `%s` | %s | %s | %s | %s |', code, kind, coalesce(severity, '–'), meaning, action)) \
               from pfa_sync.causes",
        )
        .await?;
    let page = fs::read_to_string(Path::new(REPOSITORY).join("docs/reference/causes.md"))?;
    let documented = page.lines().filter(|line| line.starts_with("| `")).map(ToOwned::to_owned).collect();
    assert_eq!(set(rows), set(documented));

    let runbooks = fs::read_to_string(Path::new(REPOSITORY).join("docs/runbooks.md"))?;
    for section in runbooks.split("\n### `").skip(1) {
        for part in ["**What happened.**", "**What you see.**", "**What to do.**"] {
            assert!(section.contains(part), "{part} is missing: {section}");
        }
    }
    // Alerts have sections of their own, which scripts/check-alerts compares with the rules.
    let (of_causes, _) = runbooks.split_once("\n## Alerts").expect("alerts are at the end");
    let sections = of_causes.split("\n### `").skip(1);
    let headings: BTreeSet<_> = sections.filter_map(|section| section.split('`').next().map(ToOwned::to_owned)).collect();
    assert_eq!(headings, set(scenario.value("select array_agg(code) from pfa_sync.causes").await?));
    Ok(())
}

/// The application and the API show what a code means without a list of their own.
#[tokio::test]
async fn dead_letters_and_conflicts_say_what_to_do() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "Mine"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "Theirs"})).await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    scenario.report("fail", &claimed, json!({"outcome": "rejected", "error": "no"})).await?;
    let letter: String = scenario.value("select code || ': ' || meaning || '; ' || action from pfa_sync.dead_letters").await?;
    assert_eq!(letter, "REJECTED: PEMS refused the change for good; requeue it with a fix, or discard it");
    assert_eq!(scenario.value::<String>("select code from pfa_sync.conflicts where action <> ''").await?, "CHANGED_IN_PEMS");

    // What became invalid, since PEMS moved another field.
    scenario.edit("3", json!({"forecastStart": "2026-06-01T00:00:00.000Z"})).await?;
    scenario.foreign_edit("3", 2, json!({"forecastEnd": "2026-03-01T00:00:00.000Z"})).await?;
    let codes: Vec<String> = scenario.value("select array_agg(code order by conflict_id) from pfa_sync.conflicts").await?;
    assert_eq!(codes, ["CHANGED_IN_PEMS", "NOT_VALID_NOW"]);
    let state: String =
        scenario.value("select pfa_sync.conflict_state(max(conflict_id))->>'code' from pfa_sync.conflicts").await?;
    assert_eq!(state, "NOT_VALID_NOW");
    scenario.check().await
}
