//! Pages of the list.

use std::collections::BTreeMap;

use serde_json::json;

use super::response::{Answer, refuse};
use super::state::Records;

/// Longest page.
const PAGE: usize = 1_000;

/// Answers a request for a page.
pub(super) fn list(records: &Records, code: &str, query: &BTreeMap<String, String>) -> Answer {
    let limit: usize = match query.get("limit").map_or(Ok(500), |limit| limit.parse()) {
        Ok(limit) if (1..=PAGE).contains(&limit) => limit,
        _ => return refuse(400, "BAD_REQUEST", "limit is 1 to 1000"),
    };
    let Ok(since) = query.get("updatedSince").map(|since| since.parse()).transpose() else {
        return refuse(400, "BAD_REQUEST", "updatedSince is no time");
    };
    let after =
        query.get("after").map(|cursor| cursor.split_once('~').and_then(|(time, id)| Some((time.parse().ok()?, id.to_owned()))));
    if after == Some(None) {
        return refuse(400, "BAD_REQUEST", "after is no cursor of this list");
    }
    let (records, next) = records.page(code, since, after.flatten(), limit);
    (200, json!({"records": records, "next": next}))
}
