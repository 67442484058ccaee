//! PEMS' own grid export: JSON as its `griddata` answers, one cell per alias.

pub mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use jiff::civil::DateTime;
use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};

/// A row of the export that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The code of its organization.
    pub organization: String,
    /// Its fields in canonical form, pfaId among them.
    pub fields: Map<String, Value>,
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Its number in the export, from 1.
    pub row: usize,
    /// The cell at fault.
    pub alias: String,
    /// What is wrong with it.
    pub reason: String,
}

/// An export, read.
#[derive(Debug, Default)]
pub struct Export {
    /// The rows that could be read, in the export's order.
    pub records: Vec<Record>,
    /// The rows that could not.
    pub refusals: Vec<Refusal>,
}

enum Kind {
    Text,
    Decimal,
    DateTime,
    Flag,
}

/// Grid alias, field and type: the mapping of PEMS' grid.
const CELLS: [(&str, &str, Kind); 22] = [
    ("pfs_id", "pfaId", Kind::Text),
    ("pfs_f_area", "areaSilo", Kind::Text),
    ("pfs_f_category", "category", Kind::Text),
    ("pfs_f_catdesc", "forecastCategory", Kind::Text),
    ("pfs_f_class", "class", Kind::Text),
    ("pfs_f_source", "source", Kind::Text),
    ("pfs_f_dor", "dor", Kind::Text),
    ("pfs_f_actualized", "isActualized", Kind::Flag),
    ("pfs_f_discontinued", "isDiscontinued", Kind::Flag),
    ("pfs_f_fundstrans", "isFundsTransferable", Kind::Flag),
    ("pfs_f_rental", "monthlyRate", Kind::Decimal),
    ("pfs_f_purchase", "purchasePrice", Kind::Decimal),
    ("pfs_f_manufacturer", "manufacturer", Kind::Text),
    ("pfs_f_model", "model", Kind::Text),
    ("pfs_p_projcode", "contract", Kind::Text),
    ("pfs_equipment_tag", "equipment", Kind::Text),
    ("pfs_p_startdate", "originalStart", Kind::DateTime),
    ("pfs_p_enddate", "originalEnd", Kind::DateTime),
    ("pfs_f_startdate", "forecastStart", Kind::DateTime),
    ("pfs_f_enddate", "forecastEnd", Kind::DateTime),
    ("pfs_a_startdate", "actualStart", Kind::DateTime),
    ("pfs_a_enddate", "actualEnd", Kind::DateTime),
];
/// Most that a gzipped export may unpack to, in bytes.
const MAX_EXPORT: u64 = 256 << 20;

const ORGANIZATION: &str = "pfs_a_org";

/// Reads an export, gzipped or not. Rows of other organizations than those named are refused, as are rows that can't be
/// read; a file that is no export is an error.
pub fn read(bytes: &[u8], organizations: &[String]) -> Result<Export> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut plain = Vec::new();
    let text = if bytes.starts_with(&GZIP) {
        GzDecoder::new(bytes).take(MAX_EXPORT + 1).read_to_end(&mut plain).context("the gzip is damaged")?;
        ensure!(plain.len() as u64 <= MAX_EXPORT, "the gzip unpacks to more than {MAX_EXPORT} bytes");
        &plain
    } else {
        bytes
    };
    let document: Value = serde_json::from_slice(text).context("this is no JSON, so no PEMS grid export")?;
    let rows = document
        .pointer("/Result/ResultData/GRID/DATA/ROW")
        .context("this is no PEMS grid export: it has no Result.ResultData.GRID.DATA.ROW")?;
    let mut export = Export::default();
    let mut seen = BTreeSet::new();
    for (index, row) in one_or_many(rows).iter().enumerate() {
        match record(row, organizations) {
            Ok(record) if !seen.insert((record.organization.clone(), record.fields["pfaId"].to_string())) => {
                export.refusals.push(Refusal {
                    row: index + 1,
                    alias: "pfs_id".to_owned(),
                    reason: format!("a second row of record {}", record.fields["pfaId"]),
                });
            }
            Ok(record) => export.records.push(record),
            Err((alias, reason)) => export.refusals.push(Refusal { row: index + 1, alias, reason }),
        }
    }
    if export.records.is_empty() {
        let codes: BTreeSet<_> = one_or_many(rows)
            .iter()
            .filter_map(|row| cells(row).ok()?.remove(ORGANIZATION))
            .filter_map(|code| Some(code.as_str()?.to_owned()))
            .collect();
        let codes: Vec<_> = codes.into_iter().take(10).collect();
        ensure!(
            codes.is_empty(),
            "the export has no readable record of {}; its organizations are {}; ORGANIZATIONS='{}' (or --organization) names them",
            organizations.join(", "),
            codes.join(", "),
            codes.join(" ")
        );
        ensure!(!export.refusals.is_empty(), "the export has no rows");
    }
    Ok(export)
}

/// XML-born JSON writes a list of one as the thing itself.
fn one_or_many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

type Fault = (String, String);

fn cells(row: &Value) -> Result<BTreeMap<String, Value>, Fault> {
    let cells = row.get("CELL").ok_or_else(|| ("CELL".to_owned(), "the row has no cells".to_owned()))?;
    let cell = |cell: &Value| {
        let alias = cell
            .get("ALIAS_NAME")
            .and_then(Value::as_str)
            .ok_or_else(|| ("ALIAS_NAME".to_owned(), "a cell has no alias".to_owned()))?;
        Ok((alias.to_lowercase(), cell.get("VALUE").cloned().unwrap_or(Value::Null)))
    };
    one_or_many(cells).iter().map(cell).collect()
}

fn record(row: &Value, organizations: &[String]) -> Result<Record, Fault> {
    let cells = cells(row)?;
    let mut fields = Map::new();
    for (alias, field, kind) in &CELLS {
        let cell = cells.get(*alias).unwrap_or(&Value::Null);
        let value = value(cell, kind).map_err(|reason| ((*alias).to_owned(), reason))?;
        if !value.is_null() {
            fields.insert((*field).to_owned(), value);
        }
    }
    if !fields.contains_key("pfaId") {
        return Err(("pfs_id".to_owned(), "the record has no id".to_owned()));
    }
    let organization = text(cells.get(ORGANIZATION).unwrap_or(&Value::Null)).unwrap_or_default();
    if !organizations.contains(&organization) {
        return Err((ORGANIZATION.to_owned(), format!("organization {organization:?} was not asked for")));
    }
    let has = |fields: &Map<String, Value>, start: &str, end: &str| fields.contains_key(start) && fields.contains_key(end);
    let (plan, actuals) = (has(&fields, "originalStart", "originalEnd"), has(&fields, "actualStart", "actualEnd"));
    fields.insert("hasPlan".to_owned(), Value::Bool(plan));
    fields.insert("hasActuals".to_owned(), Value::Bool(actuals));
    Ok(Record { organization, fields })
}

fn text(cell: &Value) -> Option<String> {
    match cell {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A cell as the canonical value of its field; empty cells are null.
fn value(cell: &Value, kind: &Kind) -> Result<Value, String> {
    if matches!(cell, Value::Array(_) | Value::Object(_)) {
        return Err("the cell is no single value".to_owned());
    }
    let text = text(cell);
    Ok(match (kind, text) {
        (Kind::Flag, text) => Value::Bool(matches!(text.as_deref(), Some("Y" | "y")) || *cell == Value::Bool(true)),
        (_, None) => Value::Null,
        (Kind::Text, Some(text)) if text.chars().any(char::is_control) => {
            return Err("the text has control characters".to_owned());
        }
        (Kind::Text, Some(text)) => Value::String(text),
        (Kind::Decimal, Some(text)) => {
            let number: Decimal = text.parse().map_err(|_| format!("{text:?} is no number"))?;
            let digits = number.normalize().to_string();
            Value::Number(serde_json::from_str::<Number>(&digits).map_err(|_| format!("{text:?} is no number"))?)
        }
        (Kind::DateTime, Some(text)) => Value::String(instant(&text).ok_or_else(|| format!("{text:?} is no date"))?),
    })
}

/// ISO 8601, or PEMS' own `DD-MON-YYYY[ HH:MM[:SS]]`, as canonical UTC with milliseconds. No zone means UTC.
fn instant(text: &str) -> Option<String> {
    let civil = match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => jiff::tz::Offset::UTC.to_datetime(timestamp),
        Err(_) => match text.parse::<DateTime>() {
            Ok(civil) => civil,
            Err(_) => ["%d-%b-%Y %H:%M:%S", "%d-%b-%Y %H:%M", "%d-%b-%Y"].iter().find_map(|format| {
                DateTime::strptime(format, text)
                    .or_else(|_| jiff::civil::Date::strptime(format, text).map(|date| date.at(0, 0, 0, 0)))
                    .ok()
            })?,
        },
    };
    (1900..=9999).contains(&civil.year()).then(|| {
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second(),
            civil.millisecond()
        )
    })
}
