//! Reads jsonb from its binary form (`utils/jsonb.h`): a container has a header with its kind and its number of children,
//! an entry for each child with its type and length or end, and the children. The keys of an object stand before its
//! values.

use std::ffi::CStr;

use pfa_rules::{Map, Value};
use pgrx::{direct_function_call, prelude::*};

use super::writing::{
    ARRAY, COUNT, END_NOT_LENGTH, LENGTH, OBJECT, SCALAR, TYPE, TYPE_CONTAINER, TYPE_FALSE, TYPE_NULL, TYPE_NUMERIC, TYPE_STRING,
    TYPE_TRUE,
};

/// Deepest nesting that is read here; deeper values are left to [`pfa_rules::read`].
const DEEPEST: usize = 100;
/// The key by which serde_json marks numbers: an object with it is left to [`pfa_rules::read`], too.
const RESERVED: &str = "$serde_json::private::Number";

/// The value; none if it is to be read by its text.
pub(super) fn value(jsonb: &[u8]) -> Option<Value> {
    let root = Container::of(jsonb)?;
    if root.header & SCALAR != 0 {
        return root.children().next()?.value(DEEPEST);
    }
    root.value(DEEPEST)
}

/// The fields of an object whose names are wanted; none if it is no object, or is to be read by its text.
pub(super) fn fields(jsonb: &[u8], wanted: &impl Fn(&str) -> bool) -> Option<Map> {
    let root = Container::of(jsonb)?;
    if root.header & OBJECT == 0 { None } else { root.object(DEEPEST, wanted) }
}

/// What the first value yields that yields anything, by its depth and, of a number, its text.
pub(super) fn find_map<T>(jsonb: &[u8], yielded: &impl Fn(usize, Option<&str>) -> Option<T>) -> Option<T> {
    let root = Container::of(jsonb)?;
    if root.header & SCALAR != 0 {
        return root.children().next()?.find_map(0, yielded);
    }
    yielded(0, None).or_else(|| root.find_map(0, yielded))
}

/// Whether it is an object whose fields all pass; false, too, where one is to be read by its text.
pub(super) fn all_fields(jsonb: &[u8], pass: impl Fn(&str, &Value) -> bool) -> bool {
    let passes = |(name, value): (Child, Child)| {
        let value = value.value(DEEPEST);
        value.is_some_and(|value| pass(&String::from_utf8_lossy(name.bytes), &value))
    };
    Container::of(jsonb).is_some_and(|root| root.header & OBJECT != 0 && root.fields().all(passes))
}

struct Container<'a> {
    header: u32,
    entries: &'a [u8],
    children: &'a [u8],
}

impl<'a> Container<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<4>()?;
        let header = u32::from_ne_bytes(*header);
        let count = (header & COUNT) as usize * if header & OBJECT == 0 { 1 } else { 2 };
        let (entries, children) = rest.split_at_checked(count * 4)?;
        Some(Self { header, entries, children })
    }

    fn children(&self) -> Children<'a> {
        Children { entries: self.entries, children: self.children, at: 0 }
    }

    /// The keys of an object with their values.
    fn fields(&self) -> impl Iterator<Item = (Child<'a>, Child<'a>)> {
        let mut values = self.children();
        let count = (self.header & COUNT) as usize;
        if count > 0 {
            values.nth(count - 1);
        }
        self.children().take(count).zip(values)
    }

    fn find_map<T>(&self, depth: usize, yielded: &impl Fn(usize, Option<&str>) -> Option<T>) -> Option<T> {
        let names = if self.header & OBJECT == 0 { 0 } else { (self.header & COUNT) as usize };
        self.children().skip(names).find_map(|child| child.find_map(depth + 1, yielded))
    }

    fn value(&self, depth: usize) -> Option<Value> {
        match self.header & (ARRAY | OBJECT) {
            ARRAY => self.children().map(|child| child.value(depth)).collect::<Option<_>>().map(Value::Array),
            OBJECT => self.object(depth, &|_| true).map(Value::Object),
            _ => None,
        }
    }

    fn object(&self, depth: usize, wanted: &impl Fn(&str) -> bool) -> Option<Map> {
        let mut fields = Map::new();
        for (name, value) in self.fields() {
            let name = String::from_utf8_lossy(name.bytes);
            if wanted(&name) {
                if name == RESERVED && depth < DEEPEST {
                    return None;
                }
                fields.insert(name.into_owned(), value.value(depth)?);
            }
        }
        Some(fields)
    }
}

/// The children of a container, in their order.
struct Children<'a> {
    entries: &'a [u8],
    children: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Child<'a>;

    fn next(&mut self) -> Option<Child<'a>> {
        let (entry, entries) = self.entries.split_first_chunk::<4>()?;
        let entry = u32::from_ne_bytes(*entry);
        let length = (entry & LENGTH) as usize;
        let end = if entry & END_NOT_LENGTH == 0 { self.at + length } else { length };
        let kind = entry & TYPE;
        // Numbers and containers begin at a multiple of four.
        let start = if matches!(kind, TYPE_NUMERIC | TYPE_CONTAINER) { self.at.next_multiple_of(4) } else { self.at };
        let bytes = self.children.get(start..end)?;
        self.entries = entries;
        self.at = end;
        Some(Child { kind, bytes })
    }
}

struct Child<'a> {
    kind: u32,
    bytes: &'a [u8],
}

impl Child<'_> {
    fn find_map<T>(&self, depth: usize, yielded: &impl Fn(usize, Option<&str>) -> Option<T>) -> Option<T> {
        let number = if self.kind == TYPE_NUMERIC { number_text(self.bytes) } else { None };
        let container = if self.kind == TYPE_CONTAINER { Container::of(self.bytes) } else { None };
        yielded(depth, number).or_else(|| container?.find_map(depth, yielded))
    }

    fn value(&self, depth: usize) -> Option<Value> {
        match self.kind {
            TYPE_NULL => Some(Value::Null),
            TYPE_FALSE => Some(Value::Bool(false)),
            TYPE_TRUE => Some(Value::Bool(true)),
            TYPE_STRING => Some(Value::String(String::from_utf8_lossy(self.bytes).into_owned())),
            TYPE_NUMERIC => number(self.bytes),
            TYPE_CONTAINER => Container::of(self.bytes)?.value(depth.checked_sub(1)?),
            _ => None,
        }
    }
}

fn number(numeric: &[u8]) -> Option<Value> {
    // Parsing checks what numeric_out guarantees, but it is the only way to a number of any length.
    number_text(numeric)?.parse().ok().map(Value::Number)
}

/// As text, in the memory context of the call.
fn number_text(numeric: &[u8]) -> Option<&str> {
    // SAFETY: the bytes are a whole numeric, aligned as in the jsonb; numeric_out returns a text in the memory context of
    // the call.
    let text = unsafe { direct_function_call::<&CStr>(pg_sys::numeric_out, &[Some(numeric.as_ptr().into())]) };
    text?.to_str().ok()
}
