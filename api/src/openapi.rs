//! The description of the service (OpenAPI 3.1), made of the code that does what it describes.

use std::iter;

use serde_json::{Map, Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{
    examples,
    problem::{self, Problem},
    service,
};

/// The parts that no single route has.
#[derive(OpenApi)]
#[openapi(
    info(title = "pfa-sync", description = "Edits of PFA Vanguard, on their way to PEMS: see docs/api.md."),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
pub(crate) struct Whole;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        bearer.description = Some("The application's token.".to_owned());
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The description, as JSON: that of each route, and what many of them have alike.
pub fn document() -> Value {
    let (_, described) = service::routes().split_for_parts();
    let mut document = serde_json::to_value(described).expect("a description is JSON");
    document["components"]["responses"] = problem::statuses().into_iter().map(described_problem).collect();
    document["components"]["headers"] = json!({
        "X-Request-Id": {
            "description": "Under it the service's log has more.", "required": true, "schema": {"type": "string", "format": "uuid"}
        },
        "Retry-After": {"description": "Seconds.", "required": true, "schema": {"type": "integer", "minimum": 1}},
        "WWW-Authenticate": {"required": true, "schema": {"type": "string", "const": "Bearer"}}
    });
    let examples = examples::all();
    let paths = document["paths"].as_object_mut().expect("a description has paths");
    for operation in paths.values_mut().flat_map(|path| path.as_object_mut().expect("a path has operations").values_mut()) {
        describe_headers(operation);
        examples::add(&examples, operation);
        let statuses = refusals(operation);
        let answers = operation["responses"].as_object_mut().expect("an operation has answers");
        for answer in answers.values_mut() {
            answer["headers"]["X-Request-Id"] = json!({"$ref": "#/components/headers/X-Request-Id"});
            answer["description"] = "As asked".into();
        }
        let refused =
            |status: u16| (status.to_string(), json!({"$ref": format!("#/components/responses/{}", component(status))}));
        answers.extend(statuses.into_iter().map(refused));
    }
    document
}

/// What a header takes, on every route that takes it.
fn describe_headers(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let (description, schema) = match parameter["name"].as_str() {
            Some("Idempotency-Key") => (
                "Of the caller's making: the same request under the same key is done once.",
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
            ),
            Some("If-Match") => {
                ("The ETag under which the conflict was seen.", json!({"type": "string", "pattern": "^\"[0-9]{1,9}\"$"}))
            }
            _ => continue,
        };
        parameter["description"] = description.into();
        parameter["schema"] = schema;
    }
}

/// The problems that an operation may answer with: those of the service, of the caller, and of what it takes.
fn refusals(operation: &Value) -> Vec<u16> {
    let open = operation["security"] == json!([{}]);
    let takes = |name: &str| operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name));
    let body = operation.get("requestBody").is_some();
    let groups: [(bool, &[u16]); 5] = [
        (true, &[500, 503, 504]),
        (!open, &[401, 403, 404, 422, 429]),
        (body || operation.get("parameters").is_some(), &[400]),
        (body, &[409, 413, 415]),
        (takes("If-Match"), &[412]),
    ];
    groups.iter().filter(|(applies, _)| *applies).flat_map(|(_, statuses)| *statuses).copied().collect()
}

fn component(status: u16) -> String {
    format!("Problem{status}")
}

fn described_problem((status, title): (u16, String)) -> (String, Value) {
    let header = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    let own = match status {
        401 => Some("WWW-Authenticate"),
        429 | 503 => Some("Retry-After"),
        _ => None,
    };
    let headers: Map<String, Value> = iter::once("X-Request-Id").chain(own).map(header).collect();
    let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    (component(status), json!({"description": title, "headers": headers, "content": content}))
}
