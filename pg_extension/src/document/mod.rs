//! jsonb arguments and results.

mod reading;
mod writing;

use std::ffi::CStr;

use pfa_rules::{Map, Value};
use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{direct_function_call, prelude::*};

/// An argument or a result of type jsonb. Unlike [`pgrx::JsonB`], it reads every value that Postgres stores: see
/// [`pfa_rules::read`]. What is read is read from the binary form, and what is returned is written in it.
#[derive(Clone, Copy)]
pub struct Document(*mut pg_sys::varlena);

impl Document {
    /// A new value, in the memory context of the call.
    pub fn new(value: &Value) -> Self {
        Self(writing::varlena(value))
    }

    /// A new object, in the memory context of the call.
    pub fn of(map: &Map) -> Self {
        Self(writing::object_varlena(map))
    }

    /// The whole value, and whether it is exact: what can't be read is replaced, see [`pfa_rules::read`].
    pub fn read(self) -> (Value, bool) {
        reading::value(self.bytes()).map_or_else(|| (self.read_text(), false), |value| (value, true))
    }

    /// The fields of an object whose names are wanted; none where it is no object.
    pub fn fields(self, wanted: impl Fn(&str) -> bool) -> Option<Map> {
        if let Some(fields) = reading::fields(self.bytes(), &wanted) {
            return Some(fields);
        }
        match self.read_text() {
            Value::Object(mut fields) => {
                fields.retain(|name, _| wanted(name));
                Some(fields)
            }
            _ => None,
        }
    }

    /// Whether it is an object whose fields all pass.
    pub fn all_fields(self, pass: impl Fn(&str, &Value) -> bool) -> bool {
        reading::all_fields(self.bytes(), pass)
    }

    /// The size of its binary form in bytes.
    pub fn size(&self) -> usize {
        self.bytes().len() + pg_sys::VARHDRSZ
    }

    /// What the first value yields that yields anything, by its depth (that of the whole is 0) and, of a number, its text.
    pub fn find_map<T>(&self, yielded: impl Fn(usize, Option<&str>) -> Option<T>) -> Option<T> {
        reading::find_map(self.bytes(), &yielded)
    }

    /// By its text: it is nested deeper than serde_json reads, or has a key that serde_json reserves.
    fn read_text(self) -> Value {
        // SAFETY: it is a jsonb; jsonb_out returns a text in the memory context of the call.
        let text = unsafe { direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(self.0.into())]) };
        pfa_rules::read(&text.unwrap_or_default().to_string_lossy())
    }

    /// Its binary form without the length.
    fn bytes(&self) -> &[u8] {
        // SAFETY: it points to a jsonb that is not compressed and has a header of four bytes: detoasted, or written here.
        // It lives as long as the call.
        unsafe {
            let length = pgrx::varsize_4b(self.0) - pg_sys::VARHDRSZ;
            std::slice::from_raw_parts(self.0.cast::<u8>().add(pg_sys::VARHDRSZ), length)
        }
    }
}

impl FromDatum for Document {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the caller says that the datum is a jsonb.
        (!is_null).then(|| Self(unsafe { pg_sys::pg_detoast_datum(datum.cast_mut_ptr()) }))
    }
}

impl IntoDatum for Document {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0.into())
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the functions that take a Document are declared with jsonb at its place.
unsafe impl<'fcx> ArgAbi<'fcx> for Document {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as the caller promises.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| Self::new(&Value::Null))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: as the caller promises.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: its datum is a jsonb.
unsafe impl pgrx::callconv::BoxRet for Document {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut pgrx::callconv::FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: the datum is one of the declared type.
        unsafe { fcinfo.return_raw_datum(self.0.into()) }
    }
}

// SAFETY: names the SQL type that `from_polymorphic_datum` reads.
unsafe impl SqlTranslatable for Document {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Document);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
