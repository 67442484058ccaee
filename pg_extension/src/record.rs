//! SQL functions on records: validate, merge, spell, judge. Declared and explained in `sql/install/core/field_rules.sql`.

use pfa_rules::{Map, Problem, Rights, Value};
use pgrx::prelude::*;
use pgrx::{JsonB, iter::TableIterator};

use crate::{document::Document, rules};

/// The permission that every commit needs, whatever its fields.
const COMMIT: &str = "perm_Sync";
/// The permission to see prices.
const SEE_PRICES: &str = "perm_ViewFinancials";

fn object(value: Option<Document>) -> Option<Map> {
    match value {
        Some(Document(Value::Object(map))) => Some(map),
        _ => None,
    }
}

fn json(map: Map) -> JsonB {
    JsonB(Value::Object(map))
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
    let delta = delta.map_or(Value::Null, |d| d.0);
    let report = pfa_rules::validate(&rules::current(), &object(record).unwrap_or_default(), &delta);
    let problems = match severity {
        Some("warning") => report.warnings,
        _ => report.errors,
    };
    TableIterator::new(problems.into_iter().map(|p| (p.field, p.code.as_str().to_owned(), p.message)))
}

#[pg_extern(sql = false)]
fn canonical(delta: Document) -> JsonB {
    json(pfa_rules::canonical(&rules::current(), &delta.0))
}

#[pg_extern(sql = false)]
fn typed(record: Document) -> TableIterator<'static, (name!(data, JsonB), name!(problem, Option<String>))> {
    let typed = pfa_rules::typed(&rules::current(), &object(Some(record)).unwrap_or_default());
    TableIterator::once((json(typed.data), typed.problem.map(|p| p.message)))
}

/// Whether a JSON text can be read: it is not nested too deeply, and its numbers are numbers.
#[pg_extern(sql = false)]
fn readable(json: &str) -> bool {
    serde_json::from_str::<Value>(json).is_ok()
}

#[pg_extern(sql = false)]
fn three_way(
    base: Option<Document>,
    ours: Option<Document>,
    theirs: Option<Document>,
    accepted: Option<Document>,
) -> TableIterator<'static, (name!(apply, JsonB), name!(same, Vec<String>), name!(conflicts, Vec<String>))> {
    let merge = pfa_rules::three_way(
        &rules::current(),
        object(base).as_ref(),
        object(accepted).as_ref(),
        &object(ours).unwrap_or_default(),
        &object(theirs).unwrap_or_default(),
        true,
    );
    TableIterator::once((json(merge.apply), merge.same, merge.conflicts))
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn judge(
    record: Option<Document>,
    delta: Option<Document>,
    base: Option<Document>,
    accepted: Option<Document>,
    granted: Option<Vec<String>>,
    unmoved: Option<bool>,
    may_revive: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(errors, JsonB),
        name!(missing, Vec<String>),
        name!(operation, &'static str),
        name!(delta, JsonB),
        name!(base, Option<JsonB>),
        name!(seen, JsonB),
        name!(to_send, JsonB),
        name!(conflicts, Vec<String>),
    ),
> {
    let rules = rules::current();
    let record = object(record).unwrap_or_default();
    let delta = delta.map_or(Value::Null, |d| d.0);
    let unmoved = unmoved == Some(true);
    let base = object(base);
    let base = if unmoved { Some(&record) } else { base.as_ref() };

    let sees_prices = granted.as_ref().is_none_or(|granted| granted.iter().any(|permission| permission == SEE_PRICES));
    let errors = pfa_rules::errors(&rules, &record, &delta, Rights { sees_prices, may_revive: may_revive == Some(true) });
    let changes = pfa_rules::canonical(&rules, &delta);
    let merge = pfa_rules::three_way(&rules, base, object(accepted).as_ref(), &changes, &record, sees_prices);
    let missing = granted.map_or_else(Vec::new, |granted| {
        let mut needed = pfa_rules::required_permissions(&rules, &record, &changes);
        needed.insert(COMMIT.to_owned());
        needed.into_iter().filter(|permission| !granted.contains(permission)).collect()
    });
    let of_changes =
        |from: &Map| changes.keys().map(|name| (name.clone(), from.get(name).cloned().unwrap_or(Value::Null))).collect::<Map>();
    TableIterator::once((
        JsonB(errors.iter().map(problem_json).collect()),
        missing,
        pfa_rules::operation(&changes).as_str(),
        json(changes.clone()),
        // Written once: the caller knows that they are the same.
        base.filter(|_| !unmoved).map(of_changes).map(json),
        json(of_changes(&record)),
        json(merge.apply),
        merge.conflicts,
    ))
}
