//! Writes jsonb in its binary form (`utils/jsonb.h`), as Postgres itself does: see `reading`.

use std::ffi::CString;

use pfa_rules::{Map, Value};
use pgrx::prelude::*;

/// Of a container's header: the number of its children or pairs, and its kind.
pub(super) const COUNT: u32 = 0x0FFF_FFFF;
pub(super) const SCALAR: u32 = 0x1000_0000;
pub(super) const OBJECT: u32 = 0x2000_0000;
pub(super) const ARRAY: u32 = 0x4000_0000;
/// Of a child's entry: its length, or where it ends; its type.
pub(super) const LENGTH: u32 = 0x0FFF_FFFF;
pub(super) const TYPE: u32 = 0x7000_0000;
pub(super) const TYPE_STRING: u32 = 0;
pub(super) const TYPE_NUMERIC: u32 = 0x1000_0000;
pub(super) const TYPE_FALSE: u32 = 0x2000_0000;
pub(super) const TYPE_TRUE: u32 = 0x3000_0000;
pub(super) const TYPE_NULL: u32 = 0x4000_0000;
pub(super) const TYPE_CONTAINER: u32 = 0x5000_0000;
/// The entry says where the child ends, not how long it is. So does each 32nd.
pub(super) const END_NOT_LENGTH: u32 = 0x8000_0000;
const STRIDE: usize = 32;

/// The value as a new varlena in the memory context of the call.
pub(super) fn varlena(value: &Value) -> *mut pg_sys::varlena {
    let mut bytes = Vec::with_capacity(256);
    match value {
        Value::Object(map) => object(&mut bytes, map),
        Value::Array(values) => array(&mut bytes, values, ARRAY),
        scalar => array(&mut bytes, std::slice::from_ref(scalar), ARRAY | SCALAR),
    }
    allocated(&bytes)
}

/// The object as a new varlena in the memory context of the call.
pub(super) fn object_varlena(map: &Map) -> *mut pg_sys::varlena {
    let mut bytes = Vec::with_capacity(256);
    object(&mut bytes, map);
    allocated(&bytes)
}

fn allocated(bytes: &[u8]) -> *mut pg_sys::varlena {
    let length = bytes.len() + pg_sys::VARHDRSZ;
    if length > LENGTH as usize {
        error!("a value of {length} bytes is too long for jsonb");
    }
    // SAFETY: palloc returns so many bytes, or raises; the length is set before anything reads it.
    unsafe {
        let varlena = pg_sys::palloc(length).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(varlena, length as i32);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), varlena.cast::<u8>().add(pg_sys::VARHDRSZ), bytes.len());
        varlena
    }
}

fn object(bytes: &mut Vec<u8>, map: &Map) {
    let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
    // The order of keys by which Postgres finds them.
    pairs.sort_unstable_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes())));
    let mut children = Children::new(bytes, OBJECT | pairs.len() as u32, 2 * pairs.len());
    for (name, _) in &pairs {
        children.text(name);
    }
    for (_, value) in pairs {
        children.value(value);
    }
}

fn array(bytes: &mut Vec<u8>, values: &[Value], kind: u32) {
    let mut children = Children::new(bytes, kind | values.len() as u32, values.len());
    for value in values {
        children.value(value);
    }
}

/// Writes the children of a container, and their entries.
struct Children<'a> {
    bytes: &'a mut Vec<u8>,
    entries: usize,
    first: usize,
    written: usize,
}

impl<'a> Children<'a> {
    fn new(bytes: &'a mut Vec<u8>, header: u32, count: usize) -> Self {
        bytes.extend(header.to_ne_bytes());
        let entries = bytes.len();
        bytes.resize(entries + 4 * count, 0);
        let first = bytes.len();
        Self { bytes, entries, first, written: 0 }
    }

    fn text(&mut self, text: &str) {
        let start = self.bytes.len();
        self.bytes.extend(text.as_bytes());
        self.end(TYPE_STRING, start);
    }

    fn value(&mut self, value: &Value) {
        let start = self.bytes.len();
        let kind = match value {
            Value::Null => TYPE_NULL,
            Value::Bool(false) => TYPE_FALSE,
            Value::Bool(true) => TYPE_TRUE,
            Value::String(text) => return self.text(text),
            Value::Number(number) => {
                self.align();
                numeric(self.bytes, number.as_str());
                TYPE_NUMERIC
            }
            Value::Array(values) => {
                self.align();
                array(self.bytes, values, ARRAY);
                TYPE_CONTAINER
            }
            Value::Object(map) => {
                self.align();
                object(self.bytes, map);
                TYPE_CONTAINER
            }
        };
        self.end(kind, start);
    }

    /// The root begins right after a length of four bytes, so the alignment is that of the whole.
    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(&mut self, kind: u32, start: usize) {
        let end = self.bytes.len();
        let entry = if self.written.is_multiple_of(STRIDE) {
            kind | END_NOT_LENGTH | (end - self.first) as u32
        } else {
            kind | (end - start) as u32
        };
        let at = self.entries + 4 * self.written;
        self.bytes[at..at + 4].copy_from_slice(&entry.to_ne_bytes());
        self.written += 1;
    }
}

fn numeric(bytes: &mut Vec<u8>, number: &str) {
    let text = CString::new(number).unwrap_or_default();
    // SAFETY: numeric_in takes a text, the oid of no type and no modifier, and returns a numeric with a header of four
    // bytes in the memory context of the call, or raises.
    unsafe {
        let arguments = [Some(text.as_ptr().into()), Some(pg_sys::InvalidOid.into()), Some((-1_i32).into())];
        let numeric: Option<pg_sys::Datum> = pgrx::direct_function_call_as_datum(pg_sys::numeric_in, &arguments);
        let numeric = numeric.unwrap_or_else(|| error!("{number} is not a number")).cast_mut_ptr::<pg_sys::varlena>();
        bytes.extend(std::slice::from_raw_parts(numeric.cast::<u8>(), pgrx::varsize_4b(numeric)));
    }
}
