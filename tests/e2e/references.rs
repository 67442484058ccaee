//! The pages of docs/reference say what the code says.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Result;

use crate::support::scenario::Scenario;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn page(name: &str) -> Result<String> {
    Ok(fs::read_to_string(Path::new(REPOSITORY).join("docs/reference").join(name))?)
}

/// The rows of the table whose head is given, without the line that separates them from it.
fn table(page: &str, head: &str) -> BTreeSet<String> {
    let rows = page.lines().skip_while(|line| *line != head).skip(2);
    rows.take_while(|line| line.starts_with('|')).map(ToOwned::to_owned).collect()
}

/// The text of all files of a directory with an ending.
fn sources(directory: &Path, ending: &str) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            text += &sources(&path, ending)?;
        } else if path.extension().is_some_and(|extension| extension == ending) {
            text += &fs::read_to_string(path)?;
        }
    }
    Ok(text)
}

/// What stands in a text between a prefix and the next quote.
fn quoted(text: &str, prefix: &str, quote: char) -> BTreeSet<String> {
    text.split(prefix).skip(1).filter_map(|rest| rest.split(quote).next()).map(ToOwned::to_owned).collect()
}

/// The first column of a table's rows, without its backquotes.
fn names(rows: &BTreeSet<String>) -> BTreeSet<String> {
    rows.iter().filter_map(|row| row.split('|').nth(1)).map(|name| name.trim().trim_matches('`').to_owned()).collect()
}

#[tokio::test]
async fn the_settings_are_those_of_the_database() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let rows: Vec<String> = scenario
        .value(
            "select array_agg(format('| `%s` | %s | %s | %s | %s | %s |', name, type, default_value, \
                    coalesce(array_to_string(choices, ', '), minimum || ' to ' || maximum), \
                    case when per_organization then 'yes' else 'no' end, description)) from pfa_sync_private.setting_definition",
        )
        .await?;
    let head = "| name | type | default | bounds | per organization | meaning |";
    assert_eq!(table(&page("settings.md")?, head), rows.into_iter().collect());
    Ok(())
}

#[tokio::test]
async fn the_log_entries_and_events_are_those_of_the_database() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let rows: Vec<String> = scenario
        .value(
            "select array_agg(format('| `%s` | %s | %s |', event_type, coalesce('`' || event || '`', '–'), meaning)) \
               from pfa_sync_private.event_type",
        )
        .await?;
    let documented = table(&page("events.md")?, "| log entry | event | meaning |");
    assert_eq!(documented, rows.into_iter().collect());

    let sql = sources(&Path::new(REPOSITORY).join("sql/install"), "sql")?;
    let mut written = quoted(&sql, "log_event('", '\'');
    written.extend(quoted(&sql, "log_changes('", '\''));
    // Written by the statements that have the rows at hand.
    written.extend(["COMMITTED", "SYNCED", "WRITE_ATTEMPT"].map(str::to_owned));
    assert_eq!(written, names(&documented), "each entry that a function writes is documented, and no other");
    Ok(())
}

#[test]
fn the_errors_are_those_of_the_code() -> Result<()> {
    let page = page("errors.md")?;
    let sql = sources(&Path::new(REPOSITORY).join("sql/install"), "sql")?;
    let mut raised = quoted(&sql, "errcode = 'PF", '\'');
    raised.extend(quoted(&sql, "then 'PF", '\''));
    raised.extend(quoted(&sql, "else 'PF", '\''));
    // Raised and caught within attach().
    raised.remove("000");
    let raised = raised.into_iter().map(|number| format!("PF{number}")).collect();
    let documented = names(&table(&page, "| SQLSTATE | meaning | what to do |"));
    assert_eq!(documented, raised);

    let rules = fs::read_to_string(Path::new(REPOSITORY).join("pg_extension/rules/src/problem.rs"))?;
    let codes = names(&table(page.split("## Codes of validation").nth(1).unwrap_or_default(), "| code | meaning |"));
    let known =
        rules.lines().filter(|line| line.trim_start().starts_with("Code::") && line.contains("=> \"")).collect::<String>();
    assert_eq!(codes, quoted(&known, "=> \"", '"'));
    Ok(())
}
