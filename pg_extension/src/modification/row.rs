//! Rows of pfa_modification, as its trigger gets them.

use std::ffi::CStr;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{PgTupleDesc, direct_function_call};

use crate::document::Document;

/// The columns that the trigger reads or sets, in the order of [`COLUMNS`].
#[derive(Clone, Copy)]
pub enum Column {
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

const TEXT: &[pg_sys::Oid] = &[pg_sys::TEXTOID, pg_sys::VARCHAROID];

/// Names of the columns, and the types that each may have.
const COLUMNS: [(&CStr, &[pg_sys::Oid]); 9] = [
    (c"id", TEXT),
    (c"mirrorId", TEXT),
    (c"organizationId", TEXT),
    (c"userId", TEXT),
    (c"delta", &[pg_sys::JSONBOID]),
    (c"syncState", TEXT),
    (c"syncStatus", TEXT),
    (c"syncError", TEXT),
    (c"committedAt", &[pg_sys::TIMESTAMPOID]),
];

/// Where the columns stand in the table.
type Places = [i32; COLUMNS.len()];

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Modification<'a> {
    pub tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    places: &'a Places,
}

impl<'a> Modification<'a> {
    pub fn datum(&self, column: Column) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: the tuple is one of the table that the descriptor describes, and the column is one of its own.
        let datum = unsafe { pg_sys::heap_getattr(self.tuple, self.places[column as usize], self.descriptor, &mut is_null) };
        (!is_null).then_some(datum)
    }

    pub fn text(&self, column: Column) -> Option<&'a str> {
        // SAFETY: the column is of type text or varchar, see place(); its value lives as long as the call.
        self.datum(column).and_then(|datum| unsafe { <&str>::from_datum(datum, false) })
    }

    pub fn delta(&self) -> Option<Document> {
        // SAFETY: the column is of type jsonb, see place().
        self.datum(Column::Delta).and_then(|datum| unsafe { Document::from_datum(datum, false) })
    }

    /// Whether the other row has the very same bytes in a column of variable length.
    fn stores_as(&self, other: &Self, column: Column) -> bool {
        // SAFETY: the column is of a type of variable length, see place(), and its value lives as long as the call.
        let bytes = |row: &Self| row.datum(column).map(|datum| unsafe { stored_bytes(datum.cast_mut_ptr()) });
        bytes(self) == bytes(other)
    }

    pub fn has_text_of(&self, other: &Self, column: Column) -> bool {
        self.stores_as(other, column) || self.text(column) == other.text(column)
    }

    pub fn has_delta_of(&self, other: &Self) -> bool {
        let equals = |ours: Document, theirs: Document| {
            // SAFETY: both are jsonb.
            unsafe { direct_function_call::<bool>(pg_sys::jsonb_eq, &[ours.into_datum(), theirs.into_datum()]) }
        };
        self.stores_as(other, Column::Delta)
            || matches!((self.delta(), other.delta()), (Some(ours), Some(theirs)) if equals(ours, theirs) == Some(true))
    }

    /// The row with other values in some columns, in the memory context of the call.
    pub fn with<const COUNT: usize>(
        &self,
        columns: [Column; COUNT],
        values: [Option<pg_sys::Datum>; COUNT],
    ) -> pg_sys::HeapTuple {
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
    pub fn modifier(&self, column: Column) -> i32 {
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
            let found: Places = COLUMNS.map(|column| place(descriptor, column));
            let kept = pg_sys::MemoryContextAlloc((*function).fn_mcxt, size_of::<Places>()).cast::<Places>();
            kept.write(found);
            (*function).fn_extra = kept.cast();
        }
        &*(*function).fn_extra.cast::<Places>()
    }
}

fn place(descriptor: pg_sys::TupleDesc, (name, types): (&CStr, &[pg_sys::Oid])) -> i32 {
    // SAFETY: the descriptor is that of the table, and the name ends with a zero byte.
    let place = unsafe { pg_sys::SPI_fnumber(descriptor, name.as_ptr()) };
    if place <= 0 || !types.contains(&attribute(descriptor, place).0) {
        let message = format!("pfa_sync can't work with column {} of pfa_modification", name.to_string_lossy());
        ErrorReport::new(PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH, message, "modification_stamped")
            .set_hint("select * from pfa_sync.attach() says what does not fit.")
            .report(PgLogLevel::ERROR);
    }
    place
}

/// The row that is replaced, of an UPDATE, and the one that is to be written.
pub fn rows<'a>(call: pg_sys::FunctionCallInfo) -> (Option<Modification<'a>>, Modification<'a>) {
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
