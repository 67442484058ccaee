//! The grid export as the demo reads it: the shipped one, and other files.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::Result;
use flate2::read::GzDecoder;
use pems_simulator::export::{Export, read, sample};
use serde_json::{Value, json};

const SHIPPED: &[u8] = include_bytes!("../../fixtures/pems-export.json.gz");

fn organizations() -> Vec<String> {
    vec!["RIO".to_owned(), "HARBOUR".to_owned()]
}

/// An export of rows given as alias and value.
fn export(rows: Value) -> Vec<u8> {
    json!({"Result": {"ResultData": {"GRID": {"TOTAL-COUNT": null, "DATA": {"ROW": rows}}}}}).to_string().into_bytes()
}

fn row(cells: &[(&str, Value)]) -> Value {
    json!({"CELL": cells.iter().map(|(alias, value)| json!({"ALIAS_NAME": alias, "VALUE": value})).collect::<Vec<_>>()})
}

fn error(bytes: &[u8]) -> String {
    format!("{:#}", read(bytes, &organizations()).expect_err("it is no export"))
}

#[test]
fn the_shipped_export_is_what_its_generator_makes() -> Result<()> {
    let mut plain = String::new();
    GzDecoder::new(SHIPPED).read_to_string(&mut plain)?;
    let generated = sample::document().to_string();
    assert!(plain == generated, "run: cargo run --bin pems-export");
    Ok(())
}

#[test]
fn the_shipped_export_has_the_awkward_values_of_real_data() -> Result<()> {
    let Export { records, refusals } = read(SHIPPED, &organizations())?;
    assert_eq!((records.len(), refusals.len()), (sample::RECORDS, sample::FOREIGN + sample::UNREADABLE));
    let any =
        |predicate: &dyn Fn(&serde_json::Map<String, Value>) -> bool| records.iter().any(|record| predicate(&record.fields));
    assert!(any(&|fields| fields["pfaId"].as_str().unwrap().starts_with("00")), "leading zeros");
    assert!(any(&|fields| fields.get("monthlyRate") == Some(&json!(0))), "a rate of zero is a value");
    assert!(any(&|fields| fields.get("equipment").is_some_and(|text| text.as_str().unwrap().starts_with("Grúa"))), "accents");
    assert!(any(&|fields| !fields.contains_key("forecastStart")), "missing dates");
    assert!(any(&|fields| fields.get("source") == Some(&json!("LEASE"))), "values outside the lists");

    let mut counted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for refusal in &refusals {
        *counted.entry((&refusal.alias, &refusal.reason)).or_default() += 1;
    }
    let expected = BTreeMap::from([
        (("pfs_a_org", r#"organization "RIOX" was not asked for"#), sample::FOREIGN),
        (("pfs_f_rental", r#""12,500" is no number"#), 1),
        (("pfs_f_startdate", r#""31/31/2026" is no date"#), 1),
        (("pfs_f_enddate", r#""2026-02-30" is no date"#), 1),
        (("pfs_f_purchase", r#""n/a" is no number"#), 1),
        (("pfs_id", "the record has no id"), 1),
    ]);
    assert_eq!(counted, expected);
    Ok(())
}

#[test]
fn a_row_becomes_a_record_in_canonical_form() -> Result<()> {
    let bytes = export(json!([row(&[
        ("pfs_id", json!("0083772")),
        ("PFS_A_ORG", json!("RIO")),
        ("PFS_F_CATDESC", json!("  Élévation ")),
        ("PFS_F_SOURCE", json!("Rental")),
        ("PFS_F_RENTAL", json!("12500.50")),
        ("PFS_F_PURCHASE", json!(0)),
        ("PFS_F_ACTUALIZED", json!("Y")),
        ("PFS_F_DISCONTINUED", json!("")),
        ("PFS_F_STARTDATE", json!("01-JAN-2026 00:00")),
        ("PFS_F_ENDDATE", json!("2026-12-31T10:00:00+02:00")),
        ("PFS_P_STARTDATE", json!("2026-01-01")),
        ("PFS_P_ENDDATE", json!("31-Dec-2026")),
        ("PFS_A_STARTDATE", Value::Null),
        ("PFS_SOMETHING_NEW", json!("ignored")),
    ])]));
    let export = read(&bytes, &organizations())?;
    assert_eq!(export.refusals, []);
    assert_eq!(
        Value::Object(export.records[0].fields.clone()),
        json!({
            "pfaId": "0083772", "forecastCategory": "Élévation", "source": "Rental", "monthlyRate": 12500.5, "purchasePrice": 0,
            "isActualized": true, "isDiscontinued": false, "isFundsTransferable": false,
            "forecastStart": "2026-01-01T00:00:00.000Z", "forecastEnd": "2026-12-31T08:00:00.000Z",
            "originalStart": "2026-01-01T00:00:00.000Z", "originalEnd": "2026-12-31T00:00:00.000Z",
            "hasPlan": true, "hasActuals": false
        })
    );
    Ok(())
}

#[test]
fn a_row_that_can_not_be_read_stops_no_other() -> Result<()> {
    let good = |id: &str| row(&[("pfs_id", json!(id)), ("pfs_a_org", json!("RIO"))]);
    let bytes = export(json!([
        good("1"),
        {},
        {"CELL": [{"VALUE": 3}]},
        row(&[("pfs_id", json!("2")), ("pfs_a_org", json!("RIOX"))]),
        row(&[("pfs_id", json!({"nested": true})), ("pfs_a_org", json!("RIO"))]),
        row(&[("pfs_id", json!("3")), ("pfs_a_org", json!("RIO")), ("pfs_f_model", json!("a\u{0}b"))]),
        good("1"),
        good("4"),
    ]));
    let Export { records, refusals } = read(&bytes, &organizations())?;
    assert_eq!(records.iter().map(|record| &record.fields["pfaId"]).collect::<Vec<_>>(), ["1", "4"]);
    let message: Vec<_> = refusals.iter().map(|refusal| (refusal.row, refusal.alias.as_str(), refusal.reason.as_str())).collect();
    assert_eq!(
        message,
        [
            (2, "CELL", "the row has no cells"),
            (3, "ALIAS_NAME", "a cell has no alias"),
            (4, "pfs_a_org", r#"organization "RIOX" was not asked for"#),
            (5, "pfs_id", "the cell is no single value"),
            (6, "pfs_f_model", "the text has control characters"),
            (7, "pfs_id", r#"a second row of record "1""#),
        ]
    );
    Ok(())
}

#[test]
fn one_row_may_stand_without_its_list() -> Result<()> {
    let bytes = export(row(&[("pfs_id", json!("1")), ("pfs_a_org", json!("RIO"))]));
    assert_eq!(read(&bytes, &organizations())?.records.len(), 1);
    Ok(())
}

#[test]
fn a_file_that_is_no_export_says_why() {
    assert!(error(b"id;name\n1;crane").contains("no JSON"));
    assert!(error(br#"{"Result": {"ResultData": {}}}"#).contains("it has no Result.ResultData.GRID.DATA.ROW"));
    assert!(error(&SHIPPED[..SHIPPED.len() / 2]).contains("gzip is damaged"));
    assert!(error(&export(json!([]))).contains("no rows"));
    let elsewhere = export(json!([row(&[("pfs_id", json!("1")), ("pfs_a_org", json!("LIMA"))])]));
    let message = error(&elsewhere);
    assert!(
        message.contains("of RIO, HARBOUR") && message.contains("its organizations are LIMA; ORGANIZATIONS='LIMA'"),
        "{message}"
    );
}
