//! Pages of lists.

use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::id::Id;

/// Rows in a page unless the request asks for another number.
const DEFAULT_LIMIT: i64 = 50;

/// Most rows in a page.
pub(crate) const MAX_LIMIT: i64 = 200;

/// Which page of a list is requested.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// The `next` of the previous page.
    #[serde(default)]
    pub(crate) after: Id,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

impl Page {
    /// Rows in the page.
    pub(crate) fn limit(&self) -> Result<i64, Problem> {
        page_limit(self.limit)
    }

    /// The cursor of the next page, if this one is full.
    pub(crate) fn next<T>(&self, rows: &[T], id: impl Fn(&T) -> Id) -> Option<Id> {
        next(rows, self.limit.unwrap_or(DEFAULT_LIMIT), id)
    }
}

/// The cursor of the next page, if this one, of so many rows at most, is full.
pub(crate) fn next<T, C>(rows: &[T], limit: i64, cursor: impl Fn(&T) -> C) -> Option<C> {
    rows.last().filter(|_| rows.len() as i64 >= limit).map(cursor)
}

/// Rows in a page, as requested or by default.
pub(crate) fn page_limit(requested: Option<i64>) -> Result<i64, Problem> {
    match requested.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(Problem::new("invalid", format!("limit is from 1 to {MAX_LIMIT}."))),
    }
}
