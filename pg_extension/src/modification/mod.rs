//! The trigger before each row of pfa_modification is written. Every row pays for it, so it runs no query and switches
//! neither user nor search path, as a function in SQL would have to.

mod row;

use pgrx::direct_function_call_as_datum;
use pgrx::pg_sys::panic::pgrx_extern_c_guard;
use pgrx::prelude::*;

use self::row::{Column, rows};
use crate::bounds::bound_fault;

/// syncStatus as it follows from syncState. Declared in `sql/install/application/columns.sql`.
#[pg_extern(sql = false)]
fn sync_status_of(sync_state: &str) -> &str {
    match sync_state {
        "committed" => "queued",
        "sync_error" => "failed",
        other => other,
    }
}

unsafe extern "C-unwind" {
    /// Without the guard that pgrx puts around what it declares: through that, an error would lose its SQLSTATE.
    #[link_name = "OidFunctionCall4Coll"]
    fn call_unguarded(
        function: pg_sys::Oid,
        collation: pg_sys::Oid,
        first: pg_sys::Datum,
        second: pg_sys::Datum,
        third: pg_sys::Datum,
        fourth: pg_sys::Datum,
    ) -> pg_sys::Datum;
}

/// Postgres asks for the convention by which the function is called.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_modification_stamped_wrapper() -> &'static pg_sys::Pg_finfo_record {
    &pg_sys::Pg_finfo_record { api_version: 1 }
}

/// Declared and explained in `sql/install/application/triggers.sql`.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn modification_stamped_wrapper(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: Postgres calls this function.
    let refusal = unsafe { pgrx_extern_c_guard(|| refusal(call)) };
    if let Some(Refusal { function, texts: [first, second, third, fourth] }) = refusal {
        // SAFETY: the function takes four texts. Its error leaves this frame, which holds nothing that needs dropping.
        unsafe { call_unguarded(function, pg_sys::DEFAULT_COLLATION_OID, first, second, third, fourth) };
    }
    // SAFETY: as above.
    unsafe { pgrx_extern_c_guard(|| stamped(call)) }
}

/// The function in SQL that says why a row is not written, and its arguments.
#[derive(Clone, Copy)]
struct Refusal {
    function: pg_sys::Oid,
    texts: [pg_sys::Datum; 4],
}

impl Refusal {
    fn new(call: pg_sys::FunctionCallInfo, texts: [Option<&str>; 4]) -> Self {
        let types = [pg_sys::TEXTOID; 4];
        // SAFETY: Postgres calls with the function that runs, and the other one stands in the same schema; the cache takes
        // a name, the types and the schema.
        let function = unsafe {
            let schema = pg_sys::get_func_namespace((*(*call).flinfo).fn_oid);
            let types = pg_sys::buildoidvector(types.as_ptr(), types.len() as i32);
            pg_sys::GetSysCacheOid(
                pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as _,
                pg_sys::Anum_pg_proc_oid as _,
                c"refuse_modification".as_ptr().into(),
                types.into(),
                schema.into(),
                pg_sys::Datum::null(),
            )
        };
        Self { function, texts: texts.map(|text| text.unwrap_or_default().into_datum().unwrap_or(pg_sys::Datum::null())) }
    }
}

/// What is wrong with the row that is to be written.
fn refusal(call: pg_sys::FunctionCallInfo) -> Option<Refusal> {
    let (old, new) = rows(call);
    if old.is_none_or(|old| !new.has_delta_of(&old))
        && let Some(fault) = new.delta().and_then(bound_fault)
    {
        return Some(Refusal::new(call, [new.text(Column::Id), Some(fault), None, None]));
    }
    let old = old?;
    let committed = matches!(old.text(Column::SyncState), Some("committed" | "syncing" | "conflict"));
    if !committed || new.text(Column::SyncState).is_none_or(|state| state == "draft") {
        return None;
    }
    // What is queued is what was judged: the content of a committed modification stays.
    let same_content = [Column::Id, Column::MirrorId, Column::UserId].into_iter().all(|column| new.has_text_of(&old, column))
        && new.has_delta_of(&old);
    if same_content && new.has_text_of(&old, Column::OrganizationId) {
        return None;
    }
    let left = old.text(Column::OrganizationId).filter(|_| same_content);
    Some(Refusal::new(call, [old.text(Column::Id), None, old.text(Column::MirrorId), left]))
}

/// The row to be written.
fn stamped(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let (old, new) = rows(call);
    let state = new.text(Column::SyncState);
    let stays = match old {
        Some(old) => new.has_text_of(&old, Column::SyncState) && new.has_text_of(&old, Column::SyncStatus),
        None => state == Some("draft"),
    };
    if stays {
        return new.tuple.into();
    }
    let status = state.map(sync_status_of).and_then(|status| text_datum(status, new.modifier(Column::SyncStatus)));
    let row = match state {
        Some("committed") => {
            let at = new.datum(Column::CommittedAt).or_else(|| now(new.modifier(Column::CommittedAt)));
            new.with([Column::SyncStatus, Column::CommittedAt], [status, at])
        }
        Some("draft") => new.with([Column::SyncStatus, Column::CommittedAt, Column::SyncError], [status, None, None]),
        _ => new.with([Column::SyncStatus], [status]),
    };
    row.into()
}

/// A text as a value of a column of this length.
fn text_datum(text: &str, modifier: i32) -> Option<pg_sys::Datum> {
    let datum = text.into_datum();
    if modifier < 0 {
        return datum;
    }
    // SAFETY: varchar takes a text, a modifier and whether to cut, and raises where the text is too long.
    unsafe { direct_function_call_as_datum(pg_sys::varchar, &[datum, modifier.into_datum(), false.into_datum()]) }
}

/// The start of the transaction, in UTC, as a value of a timestamp column of this precision.
fn now(modifier: i32) -> Option<pg_sys::Datum> {
    // SAFETY: reads a variable of this backend. Both types count microseconds, and UTC is what they count from.
    let now = unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }.into_datum();
    // SAFETY: timestamp_scale takes a timestamp and a modifier; a negative one changes nothing.
    unsafe { direct_function_call_as_datum(pg_sys::timestamp_scale, &[now, modifier.into_datum()]) }
}
