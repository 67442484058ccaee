//! The grid export that the repository ships: made by a generator, with the awkward values of real data in it.

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

/// Records that can be read, in RIO and HARBOUR together.
pub const RECORDS: usize = 8_807;
/// Rows of RIOX, whose code only starts like RIO's.
pub const FOREIGN: usize = 12;
/// Rows with a value that can't be read.
pub const UNREADABLE: usize = 5;

const SEED: u64 = 8_807;

/// The export as JSON in the shape of PEMS' own answer.
pub fn document() -> Value {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut rows: Vec<Value> = (0..RECORDS).map(|n| row(&mut random, n, if n % 4 == 3 { "HARBOUR" } else { "RIO" })).collect();
    rows.extend((0..FOREIGN).map(|n| row(&mut random, RECORDS + n, "RIOX")));
    let faults = [
        ("PFS_F_RENTAL", "12,500"),
        ("PFS_F_STARTDATE", "31/31/2026"),
        ("PFS_ID", ""),
        ("PFS_F_ENDDATE", "2026-02-30"),
        ("PFS_F_PURCHASE", "n/a"),
    ];
    for (n, (alias, value)) in faults.into_iter().enumerate() {
        let mut bad = row(&mut random, RECORDS + FOREIGN + n, "RIO");
        for cell in bad["CELL"].as_array_mut().into_iter().flatten().filter(|cell| cell["ALIAS_NAME"] == alias) {
            cell["VALUE"] = json!(value);
        }
        rows.insert(random.usize(..rows.len()), bad);
    }
    json!({"Result": {"ResultData": {"GRID": {"TOTAL-COUNT": null, "DATA": {"ROW": rows}}}}})
}

/// The export, gzipped; the same bytes for the same export.
pub fn gzipped() -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(document().to_string().as_bytes())?;
    Ok(gzip.finish()?)
}

fn row(random: &mut fastrand::Rng, n: usize, organization: &str) -> Value {
    const CATEGORIES: [(&str, &str, &str); 6] = [
        ("Excavators", "Terrassement", "20-30 Ton"),
        ("Crane", "Levage", "Mobile Crane"),
        ("Earthmoving", "Erdbewegung", "Dozer D6"),
        ("Lifting", "Elevação", "Boom Lift 45'"),
        ("04150", "Générateurs électriques", "100-200 kVA"),
        ("Compaction", "", "Roller"),
    ];
    const MAKERS: [(&str, &str); 5] =
        [("Caterpillar", "336"), ("Liebherr", "LTM 1100"), ("Komatsu", "PC210"), ("Grove", "GMK 5250L"), ("Doosan", "DX-300")];
    let (category, description, class) = CATEGORIES[random.usize(..CATEGORIES.len())];
    let (maker, model) = MAKERS[random.usize(..MAKERS.len())];
    let source = match random.u32(..100) {
        0..70 => "Rental",
        70..96 => "Purchase",
        96..98 => "LEASE",
        _ => "",
    };
    // Real exports write rates as text, often with two zeros behind the point.
    let rate = if random.u32(..40) == 0 {
        "0.00".to_owned()
    } else {
        format!("{}.{:02}", random.u32(5_000..45_000), random.u32(..4) * 25)
    };
    let price = format!("{}.00", random.u32(50_000..350_000));
    let start = day(random.i64(0..700));
    let end = random.i64(700..1_400);
    let actual = random.u32(..5) == 0;
    let empty = |random: &mut fastrand::Rng, value: &str| if random.u32(..12) == 0 { String::new() } else { value.to_owned() };
    let flag = |yes: bool| if yes { "Y" } else { "" };
    let id = if n.is_multiple_of(97) { format!("{n:07}") } else { (80_000 + n).to_string() };
    let area = format!("Silo {}", random.u32(1..9));
    let cells = [
        ("PFS_ID", id),
        ("PFS_A_ORG", organization.to_owned()),
        ("PFS_F_AREA", empty(random, &area)),
        ("PFS_F_CATEGORY", category.to_owned()),
        ("PFS_F_CATDESC", description.to_owned()),
        ("PFS_F_CLASS", empty(random, class)),
        ("PFS_F_SOURCE", source.to_owned()),
        ("PFS_F_DOR", if random.u32(..50) == 0 { "CORP" } else { ["BEO", "PROJECT"][random.usize(..2)] }.to_owned()),
        ("PFS_F_ACTUALIZED", flag(actual).to_owned()),
        ("PFS_F_DISCONTINUED", flag(random.u32(..60) == 0).to_owned()),
        ("PFS_F_FUNDSTRANS", flag(random.u32(..3) == 0).to_owned()),
        ("PFS_F_RENTAL", if source == "Purchase" { String::new() } else { rate }),
        ("PFS_F_PURCHASE", if source == "Purchase" { price } else { String::new() }),
        ("PFS_F_MANUFACTURER", empty(random, maker)),
        ("PFS_F_MODEL", empty(random, model)),
        ("PFS_P_PROJCODE", format!("C-{:04}", random.u32(..400))),
        ("PFS_EQUIPMENT_TAG", if random.bool() { format!("Grúa Nº {}", random.u32(1..90)) } else { String::new() }),
        ("PFS_P_STARTDATE", start.clone()),
        ("PFS_P_ENDDATE", day(end)),
        ("PFS_F_STARTDATE", empty(random, &start)),
        ("PFS_F_ENDDATE", day(end + random.i64(0..60))),
        ("PFS_A_STARTDATE", if actual { start } else { String::new() }),
        ("PFS_A_ENDDATE", if actual { day(end) } else { String::new() }),
        ("PFS_LASTMODIFIED", day(1_400)),
    ];
    json!({"CELL": cells.map(|(alias, value)| json!({"ALIAS_NAME": alias, "VALUE": value}))})
}

/// So many days after the beginning of 2025, as PEMS spells a day.
fn day(days: i64) -> String {
    let day = jiff::civil::date(2025, 1, 1).saturating_add(jiff::Span::new().days(days));
    day.strftime("%d-%b-%Y 00:00").to_string().to_uppercase()
}
