//! Results of functions that return one row.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

/// The row that a function returns. For functions that are called for thousands of records in a statement: a set of one
/// row costs as much as a judgement.
pub struct Row(pg_sys::Datum);

impl Row {
    /// A row of the columns that the function is declared with.
    pub fn new<const COLUMNS: usize>(call: pg_sys::FunctionCallInfo, columns: [Option<pg_sys::Datum>; COLUMNS]) -> Self {
        let mut values = columns.map(|column| column.unwrap_or(pg_sys::Datum::null()));
        let mut nulls = columns.map(|column| column.is_none());
        let descriptor = descriptor(call);
        // SAFETY: the descriptor is that of the declared columns, whose number is compared.
        unsafe {
            if (*descriptor).natts as usize != COLUMNS {
                error!("the function is declared with other columns than it has");
            }
            let tuple = pg_sys::heap_form_tuple(descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            Self(pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data))
        }
    }
}

/// The descriptor of the declared columns. Kept with the function's place in the running statement, since finding it
/// costs as much as making a row.
fn descriptor(call: pg_sys::FunctionCallInfo) -> pg_sys::TupleDesc {
    // SAFETY: Postgres calls with the function's place in the statement, whose memory outlives the call; nothing else of
    // this library uses its fn_extra.
    unsafe {
        let place = (*call).flinfo;
        if (*place).fn_extra.is_null() {
            let mut declared = std::ptr::null_mut();
            let kind = pg_sys::get_call_result_type(call, std::ptr::null_mut(), &mut declared);
            if kind != pg_sys::TypeFuncClass::TYPEFUNC_COMPOSITE {
                error!("the function is declared without columns");
            }
            let context = pg_sys::MemoryContextSwitchTo((*place).fn_mcxt);
            (*place).fn_extra = pg_sys::BlessTupleDesc(pg_sys::CreateTupleDescCopy(declared)).cast();
            pg_sys::MemoryContextSwitchTo(context);
        }
        (*place).fn_extra.cast()
    }
}

/// An array of texts.
pub fn texts(texts: Vec<String>) -> Option<pg_sys::Datum> {
    if texts.is_empty() {
        // SAFETY: makes an array without elements, in the memory context of the call.
        return Some(unsafe { pg_sys::construct_empty_array(pg_sys::TEXTOID) }.into());
    }
    texts.into_datum()
}

// SAFETY: its datum is a row of the declared columns.
unsafe impl BoxRet for Row {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: as above.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

// SAFETY: the functions that return a Row are declared with columns.
unsafe impl SqlTranslatable for Row {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Row);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("record"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("record")));
}
