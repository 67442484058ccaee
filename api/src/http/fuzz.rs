//! Whatever bytes come as a body or as a header.

use axum::http::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    body::{Body, json, object, word},
    idempotency::parse_key,
};
use crate::id::{Id, texts};

/// A body with every kind of field that the routes have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    organization_id: String,
    reason: Option<String>,
    delta: Option<Value>,
    merged_data: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "object")]
    filter: Filter,
    #[serde(default, deserialize_with = "word")]
    priority: Priority,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    pfa_ids: Option<Vec<String>>,
    #[serde(deserialize_with = "texts")]
    queue_ids: Option<Vec<Id>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Priority {
    High,
    #[default]
    Normal,
}

#[test]
fn any_bytes_as_a_body_are_read_or_refused() {
    let body =
        br#"{"organizationId":"RIO","reason":"why\nnot","delta":{"monthlyRate":12500.50,"model":"LTM"},"mergedData":{"a":null},
        "filter":{"pfaIds":["1","2"],"queueIds":["1","2"]},"priority":"high"}"#;
    pfa_fuzz::run("body", &[body], |bytes| match json::<Fields>(bytes) {
        Ok(Body(fields)) => {
            let texts = fields.filter.pfa_ids.iter().flatten().chain([&fields.organization_id]);
            assert!(texts.into_iter().all(|text| text.chars().count() <= 255 && !text.chars().any(char::is_control)));
            assert!(fields.reason.is_none_or(|reason| reason.chars().count() <= 1000));
            assert!(fields.filter.queue_ids.iter().flatten().all(|id| id.0 >= 0));
            let _ = (fields.delta, fields.merged_data, matches!(fields.priority, Priority::High));
        }
        Err(problem) => assert!(["invalid", "malformed"].contains(&problem.code()), "{}", problem.code()),
    });
}

#[test]
fn any_bytes_as_a_key_are_a_key_or_refused() {
    pfa_fuzz::run("idempotency-key", &[b"0193e5b0-commit-1", b"a b"], |bytes| {
        let Ok(header) = HeaderValue::from_bytes(bytes) else { return };
        if let Ok(key) = parse_key(&header) {
            assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    });
}
