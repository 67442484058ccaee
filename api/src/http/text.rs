//! The texts of a request: path, query, headers and body. Their length is limited, and they hold no control characters, so
//! that what reaches the database can be stored, indexed and logged there. A refusal names the parameter or field.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State},
    middleware::Next,
    response::Response,
};
use serde_json::Value;
use url::form_urlencoded;
use utoipa::openapi::{OpenApi, PathItem, RefOr, path::ParameterIn};

use super::problem::Problem;

/// Longest text of most parameters and fields: ids, codes, names, filters, search texts. In characters.
pub(crate) const MAX_TEXT: usize = 255;

/// Longest reason that a user gives.
const MAX_REASON: usize = 1000;

/// Longest cursor of a page, which holds the value by which the page is sorted.
const MAX_CURSOR: usize = 8000;

/// Fields that the database checks: values of a record, by the rules of each field, and the set-up of a page, by its size.
const CHECKED_LATER: [&str; 3] = ["delta", "mergedData", "setup"];

/// The longest text of a parameter or field.
pub(crate) fn longest(name: &str) -> usize {
    match name {
        "reason" => MAX_REASON,
        "after" => MAX_CURSOR,
        _ => MAX_TEXT,
    }
}

/// The query parameters of each described route, by its path.
pub(crate) type KnownParameters = Arc<HashMap<String, BTreeSet<String>>>;

/// The query parameters that the description of the service has.
pub(crate) fn known_parameters(document: &OpenApi) -> KnownParameters {
    let names = |item: &PathItem| {
        let operations = [&item.get, &item.post, &item.put, &item.delete].into_iter().flatten();
        let parameters = operations.flat_map(|operation| operation.parameters.iter().flatten());
        let in_query = parameters.filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
            _ => None,
        });
        in_query.collect()
    };
    Arc::new(document.paths.paths.iter().map(|(path, item)| (path.clone(), names(item))).collect())
}

/// Checks path and query of a request before its route. A parameter that the route does not have is refused: a filter with
/// a typing error would select everything.
pub(crate) async fn check_address(
    State(known): State<KnownParameters>,
    route: MatchedPath,
    path: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    for (name, value) in &path {
        check(name, value)?;
    }
    for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        check(&name, &value)?;
        if known.get(route.as_str()).is_some_and(|names| !names.contains(name.as_ref())) {
            let shown: String = name.chars().take(80).collect();
            return Err(Problem::new("malformed", format!("This route has no query parameter {shown}.")));
        }
    }
    Ok(next.run(request).await)
}

/// Checks every text of a body but the values of a record.
pub(super) fn check_body(body: &Value) -> Result<(), Problem> {
    match body {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| check_field(name, value)),
        _ => Ok(()),
    }
}

fn check_field(name: &str, value: &Value) -> Result<(), Problem> {
    match value {
        _ if CHECKED_LATER.contains(&name) => Ok(()),
        Value::String(text) => check(name, text),
        Value::Array(values) => values.iter().try_for_each(|value| check_field(name, value)),
        Value::Object(_) => check_body(value),
        _ => Ok(()),
    }
}

fn check(name: &str, text: &str) -> Result<(), Problem> {
    let longest = longest(name);
    // The name may come from the caller as well.
    let shown = || name.chars().filter(|character| !character.is_control()).take(80).collect::<String>();
    if text.chars().nth(longest).is_some() {
        return Err(Problem::new("invalid", format!("{} has more than {longest} characters.", shown())));
    }
    let lines = name == "reason";
    if text.chars().any(|character| character.is_control() && !(lines && matches!(character, '\n' | '\r' | '\t'))) {
        return Err(Problem::new("invalid", format!("{} holds a control character.", shown())));
    }
    Ok(())
}
