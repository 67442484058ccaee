//! What a request carries: a JSON body or parameters, refused with a problem that says where they are wrong.

use std::{fmt, marker::PhantomData};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, rejection::JsonRejection},
    http::{header, request::Parts},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Number, Value};
use utoipa::IntoParams;

use crate::{problem::Problem, session::Caller};

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        json(&bytes(request, state).await?)
    }
}

/// The bytes of a body that says it is JSON.
pub(crate) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new("unsupported_media_type", "Send Content-Type: application/json."));
    }
    Bytes::from_request(request, state).await.map_err(|rejection| Problem::of_status(rejection.status()))
}

/// A body that was read.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    match Json::<Object<T>>::from_bytes(bytes) {
        Ok(Json(Object(body))) => Ok(Body(body)),
        Err(rejection) => Err(Problem::new("malformed", reason(&rejection))),
    }
}

/// What is read from a JSON object alone. A struct of serde's own can be read from an array too, which nobody means.
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

/// For fields that are one word of several. An enum of serde's own can be read from an object too.
pub(crate) fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(deserializer)?.into_deserializer())
}

/// For lists of ids: 7.0 is the integer 7, as in JSON Schema.
pub(crate) fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<i64>>, D::Error> {
    let whole = |number: Number| {
        let text = number.to_string();
        let digits =
            text.split_once('.').filter(|(_, rest)| rest.bytes().all(|digit| digit == b'0')).map_or(&*text, |(whole, _)| whole);
        digits.parse().map_err(|_| D::Error::custom(format!("{number} is no id")))
    };
    let numbers = Option::<Vec<Number>>::deserialize(deserializer)?;
    numbers.map(|numbers| numbers.into_iter().map(whole).collect()).transpose()
}

/// Where a body is wrong; axum's own text begins with what the title says already.
fn reason(rejection: &JsonRejection) -> String {
    let cause = std::error::Error::source(rejection).map(ToString::to_string);
    cause.unwrap_or_else(|| rejection.body_text())
}

/// The parameters of the address.
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

/// Which part of a list is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// Only this organization, by id or code.
    pub(crate) organization_id: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    pub(crate) after: i64,
    /// Rows in a page, 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// The order of a list.
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Page {
    pub(crate) fn limit(&self) -> Result<i64, Problem> {
        page_limit(self.limit)
    }

    /// A page of a view of organizations' rows in the order of their ids, and the cursor of the next one.
    pub(crate) async fn of<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        view: &str,
        id: &str,
        order: Order,
        id_of: impl Fn(&T) -> i64,
    ) -> Result<(Vec<T>, Option<i64>), Problem> {
        let (after, direction) = match order {
            Order::OldestFirst => (format!("{id} > $2"), "asc"),
            Order::NewestFirst => (format!("($2::bigint = 0 or {id} < $2)"), "desc"),
        };
        let query = format!(
            "select * from {view} rows where ($1::text is null or organization_id = (select pfa_sync.organization_of($1))) \
             and {after} order by {id} {direction} limit $3"
        );
        let rows: Vec<T> = caller.rows(&query, &[&self.organization_id, &self.after, &self.limit()?]).await?;
        let next = self.next(&rows, id_of);
        Ok((rows, next))
    }

    /// The cursor of the page after this one, if this one is full.
    pub(crate) fn next<T>(&self, rows: &[T], id: impl Fn(&T) -> i64) -> Option<i64> {
        let full = rows.len() as i64 >= self.limit.unwrap_or(ROWS);
        rows.last().map(id).filter(|_| full)
    }
}

const ROWS: i64 = 50;

/// Rows in a page: 50 unless another number up to 200 is asked for.
pub(crate) fn page_limit(asked: Option<i64>) -> Result<i64, Problem> {
    match asked.unwrap_or(ROWS) {
        limit @ 1..=200 => Ok(limit),
        _ => Err(Problem::new("invalid", "limit is from 1 to 200.")),
    }
}

/// A filter as the database's functions take it: without the keys that were not given.
pub(crate) fn given(mut filter: Value) -> Value {
    if let Value::Object(keys) = &mut filter {
        keys.retain(|_, value| !value.is_null());
    }
    filter
}
