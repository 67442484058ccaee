//! `pfa-relay compare`: reads all records of PEMS, and says which the mirror has otherwise. Changes nothing.

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use pfa_service::database::Database;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    calls::{Calls, Difference},
    inbound::request::request,
    pems::ListQuery,
    settings::Settings,
    systems::{Route, Systems},
};

/// How many differences are printed; a file takes all.
const MAX_SHOWN: usize = 20;

/// What the comparison of an organization found.
#[derive(Default)]
struct Found {
    read: usize,
    differences: Vec<Difference>,
}

/// Compares the organizations named by id or code, or all that this relay serves. `Ok(false)` = a record differs, and no
/// change of it waits.
pub async fn compare(settings: &Settings, only: &[String], csv: Option<&Path>) -> Result<bool> {
    let database = Database::new(settings.database()?, settings.database.database_ca.as_deref(), 2, "pfa-relay")?;
    let calls = Calls::new(database, settings.relay_name());
    let systems = Systems::new(calls.clone(), settings.pems()?)?;
    systems.follow().await?;
    let mut organizations = Vec::new();
    for name in only {
        let found = calls.inbound_organizations(Some(name)).await?;
        organizations.push(found.into_iter().next().with_context(|| format!("organization {name} is not active"))?);
    }
    if only.is_empty() {
        organizations = calls.inbound_organizations(None).await?;
    }
    let mut file = csv.map(csv_file).transpose()?;
    let mut all_same = true;
    for organization in organizations {
        let Some(route) = systems.served(&organization.id) else {
            bail!("this relay does not serve organization {}; pfa-relay doctor says why", organization.code);
        };
        let found = compare_one(&calls, &route, settings.page_size).await.context(organization.code.clone())?;
        let waiting = found.differences.iter().filter(|difference| difference.waits).count();
        let different = found.differences.len() - waiting;
        let same = found.read.saturating_sub(found.differences.iter().filter(|d| d.kind != "not in PEMS").count());
        calls.record_comparison(&organization.code, same as i64, different as i64).await?;
        println!(
            "{}: {} read, {same} as in the mirror, {different} otherwise, {waiting} with changes that wait",
            organization.code, found.read
        );
        for difference in found.differences.iter().filter(|difference| !difference.waits).take(MAX_SHOWN) {
            println!("  {} {}: {}", difference.pfa_id, difference.kind, names(&difference.fields));
        }
        if different > MAX_SHOWN {
            println!("  and {} more; --csv FILE takes all", different - MAX_SHOWN);
        }
        if let Some(file) = &mut file {
            for difference in &found.differences {
                write(file, &organization.code, difference)?;
            }
        }
        all_same &= different == 0;
    }
    if let Some(mut file) = file {
        file.flush().context("can't write the file")?;
    }
    Ok(all_same)
}

async fn compare_one(calls: &Calls, route: &Arc<Route>, page_size: u16) -> Result<Found> {
    let stop = CancellationToken::new();
    let mut found = Found::default();
    let mut listed = Vec::new();
    let mut query = ListQuery { updated_since: None, after: None, limit: page_size };
    loop {
        let page = request(route, &stop, || route.client.list(&route.organization, &query)).await?;
        let ids = page.records.as_array().into_iter().flatten().filter_map(|record| record["pfaId"].as_str());
        listed.extend(ids.map(ToOwned::to_owned));
        found.read += page.count;
        found.differences.extend(calls.compare_page(&route.organization, &page.records).await?);
        match page.next {
            Some(next) if Some(&next) != query.after.as_ref() => query.after = Some(next),
            Some(_) => bail!("PEMS returned the same page cursor twice"),
            None => break,
        }
    }
    // Pages may have shifted while they were read: each record is asked for by itself.
    for pfa_id in calls.compare_missing(&route.organization, &listed).await? {
        if request(route, &stop, || route.client.get(&route.organization, &pfa_id)).await?.is_none() {
            found.differences.push(Difference { pfa_id, kind: "not in PEMS".to_owned(), fields: Value::Null, waits: false });
        }
    }
    Ok(found)
}

/// The names of the fields that differ.
fn names(fields: &Value) -> String {
    match fields.as_object() {
        Some(fields) => fields.iter().map(|(name, value)| value.as_str().unwrap_or(name)).collect::<Vec<_>>().join(", "),
        None => String::new(),
    }
}

fn csv_file(path: &Path) -> Result<csv::Writer<File>> {
    let mut writer = csv::Writer::from_path(path).with_context(|| format!("can't write {}", path.display()))?;
    writer.write_record(["organization", "pfaId", "difference", "field", "mirror", "pems", "changeWaits"])?;
    Ok(writer)
}

/// A row for each field. A text that a spreadsheet would take for a formula begins with an apostrophe.
fn write(file: &mut csv::Writer<File>, organization: &str, difference: &Difference) -> Result<()> {
    let waits = difference.waits.to_string();
    let fields: BTreeMap<String, Value> = serde_json::from_value(difference.fields.clone()).unwrap_or_default();
    let sides = |value: &Value| [cell(&value["mirror"]), cell(&value["pems"])];
    if fields.is_empty() {
        file.write_record([organization, &difference.pfa_id, &difference.kind, "", "", "", &waits])?;
    }
    for (field, value) in &fields {
        let [mirror, pems] = sides(value);
        file.write_record([organization, &difference.pfa_id, &difference.kind, field, &mirror, &pems, &waits])?;
    }
    Ok(())
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => return other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}
