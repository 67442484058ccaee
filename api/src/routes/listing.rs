//! Lists that are chosen by filters: conflicts and dead letters.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::{
    auth::caller::Caller,
    http::{
        body::given,
        page::{MAX_LIMIT, next, page_limit},
        problem::Problem,
    },
    id::Id,
};

/// Which rows of a list are requested. Every key that is given has to match; several values of one are separated by commas.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WantedRows {
    /// Only this organization, by id or code.
    pub(super) organization_id: Option<String>,
    /// Only changes of these users.
    author: Option<String>,
    /// Only changes of these fields.
    field: Option<String>,
    /// Only these codes of `causes`.
    code: Option<String>,
    /// Only these records.
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
    /// The `next` of the previous page.
    #[serde(default)]
    pub(super) after: Id,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// The filter of an export, which has no pages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AllRows {
    /// Only this organization, by id or code.
    organization_id: Option<String>,
    /// Only changes of these users.
    author: Option<String>,
    /// Only changes of these fields.
    field: Option<String>,
    /// Only these codes of `causes`.
    code: Option<String>,
    /// Only these records.
    pfa_id: Option<String>,
    #[param(format = DateTime)]
    start_date: Option<String>,
    #[param(format = DateTime)]
    end_date: Option<String>,
}

impl From<AllRows> for WantedRows {
    fn from(wanted: AllRows) -> Self {
        let AllRows { organization_id, author, field, code, pfa_id, start_date, end_date } = wanted;
        let (after, limit) = (Id::default(), Some(MAX_LIMIT));
        Self { organization_id, author, field, code, pfa_id, start_date, end_date, after, limit }
    }
}

/// A row of a list, with the number of all that its filter selects.
#[derive(Deserialize)]
struct Counted<T> {
    total: i64,
    #[serde(flatten)]
    row: T,
}

/// The values of a parameter, which are separated by commas.
pub(super) fn several(values: Option<&str>) -> Option<Vec<&str>> {
    values.map(|values| values.split(',').map(str::trim).collect())
}

/// A page of a list, oldest first, the cursor of the next page, and how many rows the filter selects: 10,000 stands for
/// more. The function takes organization, filter, after and max_rows.
pub(super) async fn list<T: DeserializeOwned>(
    caller: &Caller,
    wanted: &WantedRows,
    function: &str,
    id_of: impl Fn(&T) -> Id,
) -> Result<(Vec<T>, Option<Id>, i64), Problem> {
    let limit = wanted.limit()?;
    let query = format!("select * from {function}($1, $2, $3, $4::bigint::int)");
    let rows: Vec<Counted<T>> = caller.rows(&query, &[&wanted.organization_id, &wanted.filter(), &wanted.after, &limit]).await?;
    let total = rows.first().map_or(0, |counted| counted.total);
    let rows: Vec<T> = rows.into_iter().map(|counted| counted.row).collect();
    let next = next(&rows, limit, id_of);
    Ok((rows, next, total))
}

impl WantedRows {
    /// Rows in the page.
    pub(super) fn limit(&self) -> Result<i64, Problem> {
        page_limit(self.limit)
    }

    /// The filter as the functions of the database expect it.
    pub(super) fn filter(&self) -> Value {
        given(json!({
            "authors": several(self.author.as_deref()), "fields": several(self.field.as_deref()),
            "codes": several(self.code.as_deref()), "pfa_ids": several(self.pfa_id.as_deref()), "since": self.start_date,
            "until": self.end_date
        }))
    }
}
