//! Whatever bytes a file holds that is loaded as a grid export of PEMS.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use pems_simulator::export::read;
use serde_json::{Value, json};

fn export() -> Value {
    let cell = |alias: &str, value: &str| json!({"ALIAS_NAME": alias, "VALUE": value});
    let row = |id: &str| {
        json!({"CELL": [
            cell("pfs_id", id), cell("pfs_a_org", "RIO"), cell("pfs_f_category", "Crane"), cell("pfs_f_rental", "12500.50"),
            cell("pfs_f_discontinued", "N"), cell("pfs_f_startdate", "01-MAR-2026 00:00"), cell("pfs_f_enddate", "2026-06-30T00:00:00Z")
        ]})
    };
    json!({"Result": {"ResultData": {"GRID": {"DATA": {"ROW": [row("1"), row("2")]}}}}})
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a buffer takes all");
    encoder.finish().expect("a buffer takes all")
}

#[test]
fn any_bytes_as_an_export_are_read_or_refused() {
    let plain = export().to_string().into_bytes();
    let packed = gzipped(&plain);
    let organizations = ["RIO".to_owned()];
    pfa_fuzz::run("export", &[&plain, &packed], |bytes| {
        if let Ok(export) = read(bytes, &organizations) {
            assert!(export.records.iter().all(|record| record.organization == "RIO" && record.fields.contains_key("pfaId")));
        }
        let _ = read(&gzipped(bytes), &organizations);
    });
}

/// A small file may unpack to any size.
#[test]
fn an_export_that_unpacks_to_too_much_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let part = vec![b' '; 1 << 20];
    for _ in 0..300 {
        encoder.write_all(&part).expect("a buffer takes all");
    }
    let error = read(&encoder.finish().expect("a buffer takes all"), &["RIO".to_owned()]).expect_err("too much");
    assert!(format!("{error:#}").contains("unpacks to more"), "{error:#}");
}
