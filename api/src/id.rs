//! Ids of the database in JSON.

use std::fmt;

use bytes::BytesMut;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer, Visitor},
};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use utoipa::ToSchema;

/// A number by which the service knows something, such as a job. It is a text in JSON, since it has up to 64 bits, of which
/// JavaScript's numbers hold 53.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9]{1,19}$", max_length = 19)]
pub(crate) struct Id(pub(crate) i64);

/// Longest id that a request may name, in digits.
const MAX_DIGITS: usize = 19;

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From the text of a request, or the number that the database answers with.
impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl Visitor<'_> for Digits {
            type Value = Id;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                write!(formatter, "an id, which is a text of 1 to {MAX_DIGITS} digits")
            }

            fn visit_i64<E: de::Error>(self, id: i64) -> Result<Id, E> {
                Ok(Id(id))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Id, E> {
                i64::try_from(id).map(Id).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                let is_id = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                // Nothing has the greatest id, so what is beyond it is not found either.
                let id = is_id.then(|| text.parse().unwrap_or(i64::MAX));
                id.map(Id).ok_or_else(|| E::custom(format!("not an id: a text of 1 to {MAX_DIGITS} digits is expected")))
            }
        }

        deserializer.deserialize_any(Digits)
    }
}

impl ToSql for Id {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <i64 as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

/// For an id in a body: a text alone.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(read).transpose()
}

/// For ids in a body: texts alone.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Id>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    texts.map(|texts| texts.into_iter().map(read).collect()).transpose()
}

fn read<E: de::Error>(text: String) -> Result<Id, E> {
    Id::deserialize(text.into_deserializer())
}
