//! The trigger before each row of pfa_modification is written. Every row pays for it, so it runs no query and switches
//! neither user nor search path, as a function in SQL would have to.

use std::ffi::CStr;

use pgrx::pg_sys::panic::{ErrorReport, pgrx_extern_c_guard};
use pgrx::prelude::*;
use pgrx::{PgTupleDesc, direct_function_call, direct_function_call_as_datum};

use crate::bounds::bound_fault;
use crate::document::Document;

/// The columns that the trigger reads or sets, in the order of [`NAMES`].
#[derive(Clone, Copy)]
enum Column {
    Id,
    MirrorId,
    OrganizationId,
    UserId,
    Delta,
    SyncState,
    SyncStatus,
    SyncError,
    CommittedAt,
}

const NAMES: [&CStr; 9] =
    [c"id", c"mirrorId", c"organizationId", c"userId", c"delta", c"syncState", c"syncStatus", c"syncError", c"committedAt"];

/// Where the columns stand in the table.
type Places = [i32; NAMES.len()];

/// A row of the table.
#[derive(Clone, Copy)]
struct Modification<'a> {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    places: &'a Places,
}

impl<'a> Modification<'a> {
    fn datum(&self, column: Column) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: the tuple is one of the table that the descriptor describes, and the column is one of its own.
        let datum = unsafe { pg_sys::heap_getattr(self.tuple, self.places[column as usize], self.descriptor, &mut is_null) };
        (!is_null).then_some(datum)
    }

    fn text(&self, column: Column) -> Option<&'a str> {
        // SAFETY: the column is of type text or varchar, see place(); its value lives as long as the call.
        self.datum(column).and_then(|datum| unsafe { <&str>::from_datum(datum, false) })
    }

    fn delta(&self) -> Option<Document> {
        // SAFETY: the column is of type jsonb, see place().
        self.datum(Column::Delta).and_then(|datum| unsafe { Document::from_datum(datum, false) })
    }

    /// Whether the other row has the very same bytes in a column of variable length.
    fn stores_as(&self, other: &Self, column: Column) -> bool {
        // SAFETY: the column is of a type of variable length, see place(), and its value lives as long as the call.
        let bytes = |row: &Self| row.datum(column).map(|datum| unsafe { stored_bytes(datum.cast_mut_ptr()) });
        bytes(self) == bytes(other)
    }

    fn has_text_of(&self, other: &Self, column: Column) -> bool {
        self.stores_as(other, column) || self.text(column) == other.text(column)
    }

    fn has_delta_of(&self, other: &Self) -> bool {
        let equals = |ours: Document, theirs: Document| {
            // SAFETY: both are jsonb.
            unsafe { direct_function_call::<bool>(pg_sys::jsonb_eq, &[ours.into_datum(), theirs.into_datum()]) }
        };
        self.stores_as(other, Column::Delta)
            || matches!((self.delta(), other.delta()), (Some(ours), Some(theirs)) if equals(ours, theirs) == Some(true))
    }

    /// The row with other values in some columns, in the memory context of the call.
    fn with<const COUNT: usize>(&self, columns: [Column; COUNT], values: [Option<pg_sys::Datum>; COUNT]) -> pg_sys::HeapTuple {
        let mut places = columns.map(|column| self.places[column as usize]);
        let mut nulls = values.map(|value| value.is_none());
        let mut values = values.map(|value| value.unwrap_or(pg_sys::Datum::null()));
        // SAFETY: the values are of the columns' types, and there are as many as columns.
        unsafe {
            pg_sys::heap_modify_tuple_by_cols(
                self.tuple,
                self.descriptor,
                COUNT as i32,
                places.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            )
        }
    }

    /// A column's length or precision; negative = it has none.
    fn modifier(&self, column: Column) -> i32 {
        attribute(self.descriptor, self.places[column as usize]).1
    }
}

/// A value as it is stored, which may be compressed or a pointer to where it is.
///
/// # Safety
///
/// It points to a value of a type of variable length.
unsafe fn stored_bytes<'a>(value: *const pg_sys::varlena) -> &'a [u8] {
    // SAFETY: its header says how long it is.
    unsafe { std::slice::from_raw_parts(value.cast::<u8>(), pgrx::varsize_any(value)) }
}

/// Type and modifier of a column.
fn attribute(descriptor: pg_sys::TupleDesc, place: i32) -> (pg_sys::Oid, i32) {
    // SAFETY: the descriptor is that of a table which is open during the call.
    let columns = unsafe { PgTupleDesc::from_pg_unchecked(descriptor) };
    let column = columns.get(place as usize - 1);
    column.map_or((pg_sys::InvalidOid, -1), |column| (column.atttypid, column.atttypmod))
}

/// Where the columns stand, looked up once in each statement.
fn places<'a>(call: pg_sys::FunctionCallInfo, descriptor: pg_sys::TupleDesc) -> &'a Places {
    // SAFETY: Postgres calls with the function's place in the statement, whose memory outlives the call; nothing else of
    // this library uses its fn_extra.
    unsafe {
        let function = (*call).flinfo;
        if (*function).fn_extra.is_null() {
            let found: Places = std::array::from_fn(|column| place(descriptor, column));
            let kept = pg_sys::MemoryContextAlloc((*function).fn_mcxt, size_of::<Places>()).cast::<Places>();
            kept.write(found);
            (*function).fn_extra = kept.cast();
        }
        &*(*function).fn_extra.cast::<Places>()
    }
}

fn place(descriptor: pg_sys::TupleDesc, column: usize) -> i32 {
    // SAFETY: the descriptor is that of the table, and the name ends with a zero byte.
    let place = unsafe { pg_sys::SPI_fnumber(descriptor, NAMES[column].as_ptr()) };
    let found = if place > 0 { attribute(descriptor, place).0 } else { pg_sys::InvalidOid };
    let fits = match column {
        _ if column == Column::Delta as usize => found == pg_sys::JSONBOID,
        _ if column == Column::CommittedAt as usize => found == pg_sys::TIMESTAMPOID,
        _ => found == pg_sys::TEXTOID || found == pg_sys::VARCHAROID,
    };
    if !fits {
        let message = format!("pfa_sync can't work with column {} of pfa_modification", NAMES[column].to_string_lossy());
        ErrorReport::new(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message, "modification_stamped")
            .set_hint("select * from pfa_sync.attach() says what does not fit.")
            .report(PgLogLevel::ERROR);
    }
    place
}

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
    if old.is_none_or(|old| !new.stores_as(&old, Column::Delta))
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

/// The row that is replaced, of an UPDATE, and the one that is to be written.
fn rows<'a>(call: pg_sys::FunctionCallInfo) -> (Option<Modification<'a>>, Modification<'a>) {
    // SAFETY: Postgres calls with the data of a trigger, or with none.
    let trigger = unsafe {
        if !pgrx::trigger_support::called_as_trigger(call) {
            error!("modification_stamped() is called by a trigger only");
        }
        &*(*call).context.cast::<pg_sys::TriggerData>()
    };
    // SAFETY: the relation of a running trigger is open.
    let descriptor = unsafe { (*trigger.tg_relation).rd_att };
    let places = places(call, descriptor);
    let row = |tuple| Modification { tuple, descriptor, places };
    if pgrx::trigger_support::trigger_fired_by_update(trigger.tg_event) {
        (Some(row(trigger.tg_trigtuple)), row(trigger.tg_newtuple))
    } else {
        (None, row(trigger.tg_trigtuple))
    }
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
