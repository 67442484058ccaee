//! Pages of a view with rows of organizations.

use serde::de::DeserializeOwned;

use crate::{
    auth::caller::Caller,
    http::{id::Id, page::Page, problem::Problem},
};

/// The order of a list.
pub(super) enum SortOrder {
    OldestFirst,
    NewestFirst,
}

/// A page of a view, by the ids of its rows, and the cursor of the next page.
pub(super) async fn list<T: DeserializeOwned>(
    caller: &Caller,
    page: &Page,
    view: &str,
    id: &str,
    order: SortOrder,
    id_of: impl Fn(&T) -> Id,
) -> Result<(Vec<T>, Option<Id>), Problem> {
    let (after, direction) = match order {
        SortOrder::OldestFirst => (format!("{id} > $2"), "asc"),
        SortOrder::NewestFirst => (format!("($2::bigint = 0 or {id} < $2)"), "desc"),
    };
    let query = format!(
        "select * from {view} rows where ($1::text is null or organization_id = (select pfa_sync.organization_of($1))) \
         and {after} order by {id} {direction} limit $3"
    );
    let rows: Vec<T> = caller.rows(&query, &[&page.organization_id, &page.after, &page.limit()?]).await?;
    let next = page.next(&rows, id_of);
    Ok((rows, next))
}
