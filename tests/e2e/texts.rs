//! Every text of every route, too long, empty and with characters that can't be stored: it is refused or not found, and it
//! never makes the service fail.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::examples::prepared;
use crate::support::api::{Api, problem};

/// Where a text stands in a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Path(String),
    Query(String),
    Header(String),
    /// The names that lead to it; a number is an element of a list.
    Body(Vec<String>),
}

/// A text, as it is written in an address and in JSON.
struct Hostile {
    what: &'static str,
    address: String,
    json: String,
    /// Whether each place refuses it, rather than finding nothing.
    refused: bool,
}

fn hostile() -> Vec<Hostile> {
    let of =
        |what, address: &str, json: &str, refused| Hostile { what, address: address.to_owned(), json: json.to_owned(), refused };
    vec![
        // Not of one character, which an index would compress.
        of("9 KB", &varied(9000), &varied(9000), true),
        of("NUL", "a%00b", "a\\u0000b", true),
        of("a control character", "a%01b", "a\\u0001b", true),
        of("a control character of one byte more", "a%C2%85b", "a\\u0085b", true),
        of("half a surrogate pair", "a%ED%A0%80b", "a\\ud800b", false),
        of("bytes that are not UTF-8", "a%FFb", "a\\udfffb", false),
        of("nothing", "", "", false),
        of("quotes", "%27%22%5C%3B--", "'\\\"\\\\;--", false),
    ]
}

fn varied(length: usize) -> String {
    let mut state = 1_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 16) as u8 % 26)
    };
    (0..length).map(letter).collect()
}

/// A value that fits a schema, as a request begins with.
fn sample(document: &Value, schema: &Value) -> Value {
    if let Some(target) = schema["$ref"].as_str() {
        return sample(document, document.pointer(target.trim_start_matches('#')).expect("a schema"));
    }
    if let Some(choice) = schema["enum"].get(0) {
        return choice.clone();
    }
    if let Some(first) = ["oneOf", "allOf", "anyOf"].iter().find_map(|key| schema[key].as_array()?.last()) {
        return sample(document, first);
    }
    let kind = schema["type"].as_str().or(schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "string" => schema["const"].as_str().unwrap_or("x").into(),
        "integer" | "number" => 1.into(),
        "boolean" => true.into(),
        "array" => json!([sample(document, &schema["items"])]),
        _ => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), sample(document, schema))).collect::<Map<_, _>>().into()
        }
    }
}

/// Where a value holds texts. The values of a record are not among them.
fn texts_in(value: &Value, path: &[String], found: &mut BTreeSet<Place>) {
    let below = |name: String| [path, &[name]].concat();
    match value {
        Value::String(_) => {
            found.insert(Place::Body(path.to_vec()));
        }
        Value::Array(values) => values.iter().enumerate().for_each(|(i, value)| texts_in(value, &below(i.to_string()), found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| texts_in(value, &below(name.clone()), found)),
        _ => {}
    }
}

/// A body as text, with a text of its own form at one place.
fn body_with(body: &Value, path: &[String], text: &str) -> String {
    let mut body = body.clone();
    let pointer = path.iter().map(|name| format!("/{name}")).collect::<String>();
    *body.pointer_mut(&pointer).expect("the place of a text") = json!("PLACE");
    body.to_string().replace("\"PLACE\"", &format!("\"{text}\""))
}

#[tokio::test]
async fn no_text_of_a_request_makes_the_service_fail() -> Result<()> {
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &["--rate-limit", "100000", "--log-level", "error"]).await?;
    let document = pfa_api::document();
    let mut requests = 0;
    for (route, operations) in document["paths"].as_object().context("paths")? {
        for (method, operation) in operations.as_object().context("operations")? {
            if route == "/api/pems/events" && method == "get" {
                continue;
            }
            let body = match operation.pointer("/requestBody/content/application~1json/schema") {
                Some(schema) => sample(&document, schema),
                None => Value::Null,
            };
            let takes_organization = operation["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "organizationId"));
            let mut places = BTreeSet::new();
            texts_in(&body, &[], &mut places);
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().context("a name")?.to_owned();
                places.insert(match parameter["in"].as_str().context("a place")? {
                    "path" => Place::Path(name),
                    "query" => Place::Query(name),
                    _ => Place::Header(name),
                });
            }
            for place in places {
                for text in hostile() {
                    let mut uri = route.clone();
                    let (mut query, mut header, mut sent) = (String::new(), None, body.to_string());
                    match &place {
                        Place::Path(name) => uri = uri.replace(&format!("{{{name}}}"), &text.address),
                        Place::Query(name) => query = format!("&{name}={}", text.address),
                        Place::Header(name) => header = Some(name.clone()),
                        Place::Body(path) => sent = body_with(&body, path, &text.json),
                    }
                    // The other parameters of the path are ids that don't exist.
                    let uri =
                        uri.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/");
                    let scope = if takes_organization { "organizationId=RIO" } else { "" };
                    let mut request = api.request(&method.to_uppercase(), &format!("{uri}?{scope}{query}"), Some("usr_admin"));
                    if let Some(name) = &header {
                        let Ok(value) = reqwest::header::HeaderValue::from_bytes(text.json.as_bytes()) else { continue };
                        request = request.header(name, value);
                    }
                    if !body.is_null() {
                        request = request.header("content-type", "application/json").body(sent);
                    }
                    let answer = request.send().await?;
                    requests += 1;
                    let status = answer.status().as_u16();
                    let case = format!("{method} {route}, {place:?}: {}", text.what);
                    assert!(status < 500, "{status} to {case}");
                    let is_value =
                        matches!(&place, Place::Body(path) if path.iter().any(|name| name == "delta" || name == "mergedData"));
                    // HTTP itself keeps control characters out of headers.
                    let sent_as_is = !matches!(place, Place::Header(_)) || text.what == "9 KB";
                    if text.refused && sent_as_is && !is_value {
                        assert!([400, 422].contains(&status), "{status} to {case}");
                        let (_, _, said) = problem(answer).await?;
                        let name = match &place {
                            Place::Path(name) | Place::Query(name) | Place::Header(name) => name.clone(),
                            Place::Body(path) => {
                                path.iter().rfind(|name| name.parse::<u32>().is_err()).context("a name")?.clone()
                            }
                        };
                        let detail = said["detail"].as_str().context("a detail")?;
                        let is_word = matches!(&*name, "resolution" | "priority");
                        assert!(detail.contains(&name) || is_word, "{case} is refused without its name: {detail}");
                    }
                }
            }
        }
    }
    assert!(requests > 500, "{requests} requests");
    println!("{requests} requests");
    scenario.check().await
}
