//! What holds for all records and edits, however strange.

use jiff::Timestamp;
use pfa_rules::{
    Map, Rights, Value, canonical, errors, is_typed, required_permissions, spans_fields, three_way, typed, validate,
};
use proptest::prelude::*;
use proptest::sample::select;
use rust_decimal::Decimal;
use serde_json::json;

use crate::fixture::{object, parse, rules};

/// Fields of every type, editable and locked, and one that no rule knows.
const FIELDS: [&str; 12] = [
    "category",
    "source",
    "remark",
    "monthlyRate",
    "priority",
    "forecastStart",
    "forecastEnd",
    "actualStart",
    "isDiscontinued",
    "isActualized",
    "pfaId",
    "colour",
];

/// A date-time as people and systems write it, not always one there is.
fn date() -> impl Strategy<Value = String> {
    let zones = select(vec!["", "Z", "+02:00", "-0330", "+00"]);
    let near = (2025..2027, 1..=13, 0..=31, select(vec!["T", " "]), 0..25, 0..=60, prop::option::of(0..2000), zones);
    near.prop_map(|(year, month, day, separator, hour, minute, fraction, zone)| {
        let fraction = fraction.map_or(String::new(), |digits| format!(":59.{digits:04}"));
        format!("{year}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}{fraction}{zone}")
    })
}

fn number() -> impl Strategy<Value = Value> {
    let small = (-300_i32..30_000, select(vec!["", ".0", ".5", ".50", ".25", ".125", "e0", "e-1", "e2"]));
    prop_oneof![
        4 => small.prop_map(|(whole, rest)| parse(&format!("{whole}{rest}"))),
        1 => ("[1-9][0-9]{0,40}", "[0-9]{1,40}", -50..50).prop_map(|(whole, fraction, e)| parse(&format!("{whole}.{fraction}e{e}"))),
    ]
}

/// Few different values, so that sides meet, in many spellings.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        4 => number(),
        4 => date().prop_map(Value::from),
        3 => select(vec!["Rental", "Purchase", "LEASE", "BEO", "", " ", "A", "a\tb", "0000-00-00", "2026-01-31"]).prop_map(Value::from),
        1 => ".{0,12}".prop_map(Value::from),
    ]
}

fn record() -> impl Strategy<Value = Map> {
    let field = (select(&FIELDS[..]).prop_map(str::to_owned), value());
    prop::collection::vec(field, 0..10).prop_map(|fields| fields.into_iter().collect())
}

/// An edit as a careful client sends it: mostly valid, in any spelling.
fn plausible() -> impl Strategy<Value = Map> {
    let field = prop_oneof![
        (Just("category"), select(vec!["Crane", " Crane", "", "  "]).prop_map(Value::from)),
        (Just("source"), select(vec!["Rental", "Purchase"]).prop_map(Value::from)),
        (
            select(vec!["monthlyRate", "purchasePrice"]),
            (0_u32..3_000_000, select(vec!["e-2", "", ".00", ".250"]))
                .prop_map(|(number, rest)| parse(&format!("{number}{rest}")))
        ),
        (select(vec!["forecastStart", "actualStart"]), date().prop_map(Value::from)),
        (Just("isFundsTransferable"), any::<bool>().prop_map(Value::from)),
    ];
    prop::collection::vec(field, 1..5)
        .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![select(&FIELDS[..]).prop_map(str::to_owned), ".{0,6}"];
    value().prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn fields_of(value: Value) -> Map {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn laid_over(mut record: Map, changes: Map) -> Map {
    record.extend(changes);
    record
}

fn field<'a>(record: &'a Map, name: &str) -> &'a Value {
    record.get(name).unwrap_or(&Value::Null)
}

fn same_meaning(a: &Map, b: &Map) -> bool {
    a.keys().chain(b.keys()).all(|name| rules().equal(name, field(a, name), field(b, name)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn nothing_panics_and_the_report_is_stable(record in any_json().prop_map(fields_of), delta in any_json()) {
        let report = validate(rules(), &record, &delta);
        prop_assert_eq!(&report, &validate(rules(), &record, &delta));
        prop_assert_eq!(&report.errors, &errors(rules(), &record, &delta, Rights::default()));
        prop_assert!(report.errors.iter().all(|problem| !problem.message.chars().any(char::is_control)));
        let delta = fields_of(delta);
        required_permissions(rules(), &record, &delta);
        three_way(rules(), Some(&delta), None, &record, &delta, true);
    }

    /// The judgement of an edit looks at no other fields of the record than the edited ones and those that rules span.
    #[test]
    fn the_other_fields_of_a_record_do_not_matter(record in record(), delta in prop_oneof![plausible(), record()]) {
        let mut part = record.clone();
        part.retain(|name, _| delta.contains_key(name) || spans_fields(name));
        let edit = Value::Object(delta.clone());
        for sees_prices in [true, false] {
            for may_revive in [true, false] {
                let rights = Rights { sees_prices, may_revive };
                prop_assert_eq!(errors(rules(), &part, &edit, rights), errors(rules(), &record, &edit, rights));
            }
            let merge = |record: &Map| three_way(rules(), Some(record), None, &delta, record, sees_prices);
            prop_assert_eq!(merge(&part), merge(&record));
        }
        prop_assert_eq!(required_permissions(rules(), &part, &delta), required_permissions(rules(), &record, &delta));
    }

    #[test]
    fn an_edit_that_changes_nothing_is_valid(record in record()) {
        let record = laid_over(record, object(json!({ "pfaId": "1", "model": "A" })));
        let mut delta = record.clone();
        delta.retain(|name, _| name != "pfaId" && name != "colour");
        prop_assert_eq!(validate(rules(), &record, &Value::Object(delta)).errors, vec![]);
    }

    #[test]
    fn the_canonical_form_is_a_fixed_point_of_the_same_meaning(delta in any_json().prop_map(fields_of)) {
        let spelled = canonical(rules(), &Value::Object(delta.clone()));
        prop_assert!(spelled.keys().eq(delta.keys()));
        prop_assert!(same_meaning(&delta, &spelled));
        prop_assert_eq!(canonical(rules(), &Value::Object(spelled.clone())), spelled);
    }

    #[test]
    fn a_valid_edit_is_valid_in_canonical_form(record in record(), delta in prop_oneof![plausible(), record()]) {
        // An edit must not even spell an empty text by a tab alone; its canonical form, null, is valid.
        let has_control_characters = |value: &Value| value.as_str().is_some_and(|text| text.contains(char::is_control));
        let delta: Map = delta.into_iter().filter(|(_, value)| !has_control_characters(value)).collect();
        let record = laid_over(record, object(json!({ "pfaId": "1" })));
        let delta = Value::Object(delta);
        let before = validate(rules(), &record, &delta);
        let spelled = Value::Object(canonical(rules(), &delta));
        let after = validate(rules(), &record, &spelled);
        prop_assert_eq!(before.errors.is_empty(), after.errors.is_empty(), "{:?} {:?}", before.errors, after.errors);
    }

    #[test]
    fn a_typed_record_is_canonical_and_readable(record in any_json().prop_map(fields_of)) {
        let once = typed(rules(), &record);
        let twice = typed(rules(), &once.data);
        prop_assert_eq!(&once.data, &twice.data);
        prop_assert_eq!(twice.problem, None);
        prop_assert_eq!(once.problem.is_some(), once.data.len() < record.len());
        for (name, value) in &record {
            prop_assert_eq!(is_typed(rules(), name, value), once.data.get(name) == Some(value), "{} {}", name, value);
        }
    }

    #[test]
    fn each_field_of_an_edit_has_one_fate(
        base in prop::option::of(record()), accepted in prop::option::of(record()), ours in record(), theirs in record()
    ) {
        let merge = three_way(rules(), base.as_ref(), accepted.as_ref(), &ours, &theirs, true);
        let mut fates: Vec<_> = merge.apply.keys().chain(&merge.same).chain(&merge.conflicts).collect();
        fates.sort();
        prop_assert!(fates.into_iter().eq(ours.keys()));
        prop_assert!(merge.apply.iter().all(|(name, value)| ours[name] == *value));
    }

    #[test]
    fn what_they_changed_is_never_overwritten(
        base in prop::option::of(record()), accepted in prop::option::of(record()), ours in record(), theirs in record()
    ) {
        let merge = three_way(rules(), base.as_ref(), accepted.as_ref(), &ours, &theirs, true);
        for name in merge.apply.keys() {
            let theirs_is = |value| rules().equal(name, value, field(&theirs, name));
            let unchanged = base.as_ref().is_some_and(|base| theirs_is(field(base, name)));
            let accepted = accepted.as_ref().and_then(|accepted| accepted.get(name)).is_some_and(theirs_is);
            prop_assert!(unchanged || accepted, "{} was changed by them", name);
        }
    }

    #[test]
    fn merging_again_applies_nothing(base in prop::option::of(record()), ours in record(), theirs in record()) {
        let first = three_way(rules(), base.as_ref(), None, &ours, &theirs, true);
        let merged = laid_over(theirs, first.apply);
        let second = three_way(rules(), base.as_ref(), None, &ours, &merged, true);
        prop_assert_eq!(second.apply, Map::new());
        prop_assert_eq!(second.conflicts, first.conflicts);
    }

    #[test]
    fn disjoint_edits_commute(base in record(), edits in record(), mask in any::<u16>(), theirs in record()) {
        let (one, other): (Vec<_>, Vec<_>) = edits.into_iter().enumerate().partition(|(place, _)| mask >> place & 1 == 1);
        let [one, other] = [one, other].map(|edit| edit.into_iter().map(|(_, field)| field).collect::<Map>());
        let applied = |edit: &Map, theirs: Map| {
            let merge = three_way(rules(), Some(&base), None, edit, &theirs, true);
            (laid_over(theirs, merge.apply), merge.conflicts)
        };
        let (record, one_first) = applied(&one, theirs.clone());
        let (record, other_second) = applied(&other, record);
        let (mirrored, other_first) = applied(&other, theirs);
        let (mirrored, one_second) = applied(&one, mirrored);
        prop_assert_eq!(record, mirrored);
        prop_assert_eq!((one_first, other_second), (one_second, other_first));
    }

    #[test]
    fn dates_are_the_instants_jiff_reads(text in date()) {
        let spelled = canonical(rules(), &json!({ "forecastStart": text }));
        let in_utc = text.len() <= "2026-01-31 08:00:59.0000".len() && !text.contains(['Z', '+']) && !text[11..].contains('-');
        let instant = format!("{text}{}", if in_utc { "Z" } else { "" }).parse::<Timestamp>();
        let expected = instant.map(|instant| {
            let to_the_millisecond = Timestamp::from_millisecond(instant.as_millisecond()).unwrap();
            format!("{to_the_millisecond:.3}")
        });
        prop_assert_eq!(spelled["forecastStart"].as_str().unwrap(), expected.unwrap_or(text));
    }

    #[test]
    fn decimals_are_exact_in_every_spelling(mantissa in any::<i64>(), scale in 0_u32..20, zeros in 0_usize..40, exponent in -5_i32..5) {
        let exact = Decimal::from_i128_with_scale(mantissa.into(), scale);
        let point = if scale == 0 { "." } else { "" };
        let padded = parse(&format!("{{\"monthlyRate\": {exact}{point}0{}}}", "0".repeat(zeros)));
        prop_assert_eq!(&canonical(rules(), &padded)["monthlyRate"].to_string(), &exact.normalize().to_string());

        let shifted = i64::from(exponent) - i64::from(scale);
        let scientific = parse(&format!("{{\"monthlyRate\": {mantissa}e{shifted}}}"));
        let expected = exact * if exponent < 0 { Decimal::new(1, exponent.unsigned_abs()) } else { Decimal::from(10_i64.pow(exponent as u32)) };
        prop_assert_eq!(&canonical(rules(), &scientific)["monthlyRate"].to_string(), &expected.normalize().to_string());
    }
}
