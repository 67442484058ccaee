//! SQL functions on records: validate, merge, spell, judge. Declared and explained in `sql/install/core/field_rules.sql`.

use pfa_rules::{Map, Problem, Rights, Value};
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use crate::document::Document;
use crate::row::{Row, texts};
use crate::rules;

/// The permission that every commit needs, whatever its fields.
const COMMIT: &str = "perm_Sync";
/// The permission to see prices.
const SEE_PRICES: &str = "perm_ViewFinancials";

fn object(value: Option<Document>) -> Option<Map> {
    value.and_then(|value| value.fields(|_| true))
}

fn problem_json(problem: &Problem) -> Value {
    serde_json::json!({ "field": problem.field, "code": problem.code.as_str(), "message": problem.message })
}

#[pg_extern(sql = false)]
fn validate(
    record: Option<Document>,
    delta: Option<Document>,
    severity: Option<&str>,
) -> TableIterator<'static, (name!(field, Option<String>), name!(code, String), name!(message, String))> {
    let delta = delta.map_or(Value::Null, |delta| delta.read().0);
    let report = pfa_rules::validate(&rules::current(), &object(record).unwrap_or_default(), &delta);
    let problems = match severity {
        Some("warning") => report.warnings,
        _ => report.errors,
    };
    TableIterator::new(problems.into_iter().map(|p| (p.field, p.code.as_str().to_owned(), p.message)))
}

#[pg_extern(sql = false)]
fn canonical(delta: Document) -> Document {
    Document::of(&pfa_rules::canonical(&rules::current(), &delta.read().0))
}

#[pg_extern(sql = false)]
fn typed(record: Document, call: pg_sys::FunctionCallInfo) -> Row {
    let rules = rules::current();
    // Most records are in canonical form already.
    if record.all_fields(|name, value| pfa_rules::is_typed(&rules, name, value)) {
        return Row::new(call, [record.into_datum(), None]);
    }
    let typed = pfa_rules::typed(&rules, &object(Some(record)).unwrap_or_default());
    let data = Document::of(&typed.data);
    Row::new(call, [data.into_datum(), typed.problem.and_then(|problem| problem.message.into_datum())])
}

/// A record with PEMS' derived fields as the dates that they follow make them.
#[pg_extern(sql = false)]
fn with_derived(record: Document) -> Document {
    const DERIVED: [(&str, [&str; 2]); 2] =
        [("hasPlan", ["originalStart", "originalEnd"]), ("hasActuals", ["actualStart", "actualEnd"])];
    let of_interest = |name: &str| DERIVED.iter().any(|(derived, dates)| name == *derived || dates.contains(&name));
    let Some(fields) = record.fields(of_interest) else { return record };
    let is_set = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null());
    let derived = DERIVED.map(|(name, dates)| (name, Value::Bool(dates.iter().all(is_set))));
    if derived.iter().all(|(name, value)| fields.get(*name) == Some(value)) {
        return record;
    }
    let Some(mut whole) = record.fields(|_| true) else { return record };
    whole.extend(derived.map(|(name, value)| (name.to_owned(), value)));
    Document::of(&whole)
}

#[pg_extern(sql = false)]
fn cost(record: Option<Document>) -> Option<AnyNumeric> {
    let cost = pfa_rules::cost(&object(record)?)?;
    AnyNumeric::try_from(cost.to_string().as_str()).ok()
}

/// Whether a JSON text can be read: it is not nested too deeply, and its numbers are numbers.
#[pg_extern(sql = false)]
fn readable(json: &str) -> bool {
    serde_json::from_str::<Value>(json).is_ok()
}

/// Declared in `sql/install/access/masking.sql`.
#[pg_extern(sql = false)]
fn masked(data: Option<Document>, priced: Option<bool>) -> Option<Document> {
    if priced == Some(true) {
        return data;
    }
    let (value, _) = data?.read();
    Some(Document::new(&pfa_rules::without_prices(&rules::current(), value)))
}

#[pg_extern(sql = false)]
fn three_way(
    base: Option<Document>,
    ours: Option<Document>,
    theirs: Option<Document>,
    accepted: Option<Document>,
) -> TableIterator<'static, (name!(apply, Document), name!(same, Vec<String>), name!(conflicts, Vec<String>))> {
    let merge = pfa_rules::three_way(
        &rules::current(),
        object(base).as_ref(),
        object(accepted).as_ref(),
        &object(ours).unwrap_or_default(),
        &object(theirs).unwrap_or_default(),
        true,
    );
    TableIterator::once((Document::of(&merge.apply), merge.same, merge.conflicts))
}

#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "those of the SQL function, and the call that PostgreSQL makes")]
fn judge(
    record: Option<Document>,
    delta: Option<Document>,
    base: Option<Document>,
    accepted: Option<Document>,
    granted: Option<Array<'_, &str>>,
    unmoved: Option<bool>,
    may_revive: Option<bool>,
    call: pg_sys::FunctionCallInfo,
) -> Row {
    let rules = rules::current();
    let (asked, exact) = delta.map_or((Value::Null, false), Document::read);
    let named = |name: &str| asked.get(name).is_some();
    // Of a record, only what the judgement looks at.
    let record = record.and_then(|record| record.fields(|name| named(name) || pfa_rules::spans_fields(name)));
    let record = record.unwrap_or_default();
    let unmoved = unmoved == Some(true);
    let base = base.filter(|_| !unmoved).and_then(|base| base.fields(named));
    let base = if unmoved { Some(&record) } else { base.as_ref() };
    let accepted = accepted.and_then(|accepted| accepted.fields(named));

    let granted = granted.as_ref().map(|granted| granted.iter().flatten().collect::<Vec<_>>());
    let sees_prices = granted.as_ref().is_none_or(|granted| granted.contains(&SEE_PRICES));
    let errors = pfa_rules::errors(&rules, &record, &asked, Rights { sees_prices, may_revive: may_revive == Some(true) });
    let changes = pfa_rules::canonical(&rules, &asked);
    let merge = pfa_rules::three_way(&rules, base, accepted.as_ref(), &changes, &record, sees_prices);
    let missing = granted.map_or_else(Vec::new, |granted| {
        let mut needed = pfa_rules::required_permissions(&rules, &record, &changes);
        needed.insert(COMMIT.to_owned());
        needed.into_iter().filter(|permission| !granted.contains(&permission.as_str())).collect()
    });
    let of_changes =
        |from: &Map| changes.keys().map(|name| (name.clone(), from.get(name).cloned().unwrap_or(Value::Null))).collect::<Map>();
    // What is as it was given is not written again: most deltas are canonical, and most are sent as a whole.
    let written = delta.filter(|_| exact && asked.as_object() == Some(&changes)).unwrap_or_else(|| Document::of(&changes));
    let to_send = if merge.apply.len() == changes.len() { written } else { Document::of(&merge.apply) };
    let errors = Value::Array(errors.iter().map(problem_json).collect());
    // Left out where the caller knows that it is seen.
    let base = base.filter(|_| !unmoved).map(|base| Document::of(&of_changes(base)));
    Row::new(
        call,
        [
            Document::new(&errors).into_datum(),
            texts(missing),
            pfa_rules::operation(&changes).as_str().into_datum(),
            written.into_datum(),
            base.into_datum(),
            Document::of(&of_changes(&record)).into_datum(),
            to_send.into_datum(),
            texts(merge.conflicts),
        ],
    )
}
