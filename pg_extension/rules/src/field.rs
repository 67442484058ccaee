//! The field rules: what each field may hold, and which permission allows an edit.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::{Number, Value};

use crate::decimal;
use crate::kind::{Kind, same_json};

/// The field rules in force, by field name.
#[derive(Debug)]
pub struct Rules {
    fields: BTreeMap<String, Field>,
}

/// Rules that can't be compiled; the message says which field's row is to be corrected.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The text is not a list of rules.
    #[error("the rules are not a JSON array of objects: {0}")]
    Shape(#[source] serde_json::Error),
    /// One row is not a rule.
    #[error("the rule of field {field}: {source}")]
    Field {
        /// Name of the field, or `(no name)`.
        field: String,
        /// What is wrong with its row.
        source: serde_json::Error,
    },
}

impl Rules {
    /// Compiles the rows of the view `field_rules`: a JSON array with one object per field. Other columns
    /// are ignored.
    pub fn from_json(rows: &str) -> Result<Self, RulesError> {
        let rows: Vec<crate::Map> = serde_json::from_str(rows).map_err(RulesError::Shape)?;
        let compiled = rows.into_iter().map(|row| {
            let name = row.get("name").and_then(Value::as_str).unwrap_or("(no name)").to_owned();
            match serde_json::from_value(Value::Object(row)) {
                Ok(field) => Ok((name, field)),
                Err(source) => Err(RulesError::Field { field: name, source }),
            }
        });
        Ok(Self { fields: compiled.collect::<Result<_, _>>()? })
    }

    /// Whether two values of a field mean the same. Values that can't be read as the field's type, and values of
    /// unknown fields, are compared as JSON, their numbers numerically.
    pub fn equal(&self, field: &str, a: &Value, b: &Value) -> bool {
        match self.field(field) {
            Some(field) => field.kind.equal(a, b),
            None => same_json(a, b),
        }
    }

    /// Whether a field is a price.
    pub(crate) fn is_price(&self, field: &str) -> bool {
        self.field(field).is_some_and(|field| field.price)
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// All fields, sorted by name.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.values()
    }
}

/// What one field may hold. Limits that do not apply to the field's type are ignored.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Decimals allowed after the point; trailing zeros do not count.
    pub scale: Option<u32>,
    #[serde(default, deserialize_with = "exact")]
    pub minimum: Option<Decimal>,
    #[serde(default, deserialize_with = "exact")]
    pub maximum: Option<Decimal>,
    /// In characters.
    pub max_length: Option<usize>,
    pub choices: Option<Vec<String>>,
    pub nullable: bool,
    /// Permission that allows an edit; none = locked, never editable.
    pub permission: Option<String>,
    /// Only users with a permission may see the value, so no message quotes it.
    #[serde(default)]
    pub price: bool,
}

fn exact<'de, D: Deserializer<'de>>(bound: D) -> Result<Option<Decimal>, D::Error> {
    let bound = Option::<Number>::deserialize(bound)?;
    bound
        .map(|number| {
            decimal::read(&number).map_err(|_| D::Error::custom(format_args!("bound {number} is not an exact decimal")))
        })
        .transpose()
}
