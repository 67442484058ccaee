//! JSON bodies and parameters of requests. An invalid one is refused with a problem that says where it is wrong.

use std::{fmt, marker::PhantomData};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{header, request::Parts},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Number, Value};

use super::{malformed::fault, problem::Problem, text::check_body};

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        json(&bytes(request, state).await?)
    }
}

/// The bytes of a body whose content type is JSON.
pub(crate) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new("unsupported_media_type", "Send Content-Type: application/json."));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| Problem::of_status(rejection.status()))
}

/// Longest number that is accepted, in characters, and largest exponent. PostgreSQL writes a number out in full, so that a
/// short text such as 1e131071 would become a large value.
const MAX_NUMBER: usize = 40;

/// Parses the bytes of a body.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        if !has_short_numbers(&value) {
            return Err(Problem::new("invalid", "A number has too many digits or too large an exponent."));
        }
        check_body(&value)?;
    }
    match Json::<Object<T>>::from_bytes(bytes) {
        Ok(Json(Object(body))) => Ok(Body(body)),
        Err(rejection) => Err(Problem::of_body(fault(&reason(&rejection)))),
    }
}

fn has_short_numbers(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let text = number.as_str();
            let exponent = text.split_once(['e', 'E']).map_or(Ok(0), |(_, exponent)| exponent.parse::<i32>());
            text.len() <= MAX_NUMBER && exponent.is_ok_and(|exponent| exponent.unsigned_abs() as usize <= MAX_NUMBER)
        }
        Value::Array(values) => values.iter().all(has_short_numbers),
        Value::Object(fields) => fields.values().all(has_short_numbers),
        _ => true,
    }
}

/// Accepts a JSON object only. Serde reads a struct from an array too, which is not part of the contract.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// For fields that are objects.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Keys<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(keys))
        }
    }

    deserializer.deserialize_map(Keys(PhantomData))
}

/// For fields that are one word of an enum. Serde reads an enum from an object too, which is not part of the contract.
pub(crate) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(deserializer)?.into_deserializer())
}

/// For lists of integers: 7.0 is the integer 7, as in JSON Schema.
pub(crate) fn integers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<i64>>, D::Error> {
    let whole = |number: Number| {
        let text = number.to_string();
        let digits =
            text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0')).map_or(&*text, |(whole, _)| whole);
        digits.parse().map_err(|_| D::Error::custom(format!("{number} is not an integer of 64 bits")))
    };
    let numbers = Option::<Vec<Number>>::deserialize(deserializer)?;
    numbers.map(|numbers| numbers.into_iter().map(whole).collect()).transpose()
}

/// Where a body is wrong. The text of axum itself begins with what the title says already.
fn reason(rejection: &JsonRejection) -> String {
    let cause = std::error::Error::source(rejection).map(ToString::to_string);
    cause.unwrap_or_else(|| rejection.body_text())
}

/// The query parameters of the address.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(Problem::new("malformed", rejection.body_text())),
        }
    }
}

/// A filter as the functions of the database expect it: without the keys that are not given.
pub(crate) fn given(mut filter: Value) -> Value {
    if let Value::Object(keys) = &mut filter {
        keys.retain(|_, value| !value.is_null());
    }
    filter
}

/// Writes an object, or a list of objects, of the database with keys as the API spells them: `user_id` as `userId`. Keys
/// within their values are left, since they may be fields of a record.
pub(crate) fn camel_keys<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    let object = |fields: &Map<String, Value>| {
        Value::Object(fields.iter().map(|(key, value)| (camel(key), value.clone())).collect::<Map<_, _>>())
    };
    let spelled = match value {
        Value::Object(fields) => object(fields),
        Value::Array(values) => values.iter().map(|value| value.as_object().map_or_else(|| value.clone(), object)).collect(),
        other => other.clone(),
    };
    spelled.serialize(serializer)
}

/// The same where there may be none.
pub(crate) fn camel_keys_if_any<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    camel_keys(value.as_ref().unwrap_or(&Value::Null), serializer)
}

fn camel(key: &str) -> String {
    let mut words = key.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |spelled, word| {
        let mut letters = word.chars();
        let capital = letters.next().into_iter().flat_map(char::to_uppercase);
        spelled.chars().chain(capital).chain(letters).collect()
    })
}
