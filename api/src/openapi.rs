//! The description of the service (OpenAPI 3.1), generated from the code.

use std::{collections::BTreeSet, iter};

use serde_json::{Map, Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    examples,
    http::{
        problem::{self, Problem},
        text::longest,
    },
    permissions, routes,
};

/// The parts that belong to no single route.
#[derive(OpenApi)]
#[openapi(
    info(title = "pfa-sync", description = "Synchronises edits of PFA Vanguard to PEMS: see docs/api.md."),
    components(schemas(Problem)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Service;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        bearer.description = Some("The application's token.".to_owned());
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The description as JSON: that of each route, and what the routes have in common.
pub fn document() -> Value {
    let (_, described) = OpenApiRouter::with_openapi(Service::openapi()).merge(routes::all()).split_for_parts();
    let mut document = serde_json::to_value(described).expect("a description is JSON");
    document["components"]["responses"] = problem::statuses().into_iter().map(described_problem).collect();
    document["components"]["headers"] = json!({
        "X-Request-Id": {
            "description": "Identifies the request in the log of the service.", "required": true, "schema": {"type": "string", "format": "uuid"}
        },
        "Retry-After": {"description": "Seconds.", "required": true, "schema": {"type": "integer", "minimum": 1}},
        "WWW-Authenticate": {"required": true, "schema": {"type": "string", "pattern": "^Bearer"}}
    });
    describe_bodies(&mut document);
    let examples = examples::all();
    let paths = document["paths"].as_object_mut().expect("a description has paths");
    for operation in paths.values_mut().flat_map(|path| path.as_object_mut().expect("a path has operations").values_mut()) {
        describe_parameters(operation);
        examples::add(&examples, operation);
        if let Some(permission) = operation["operationId"].as_str().and_then(permissions::of) {
            operation["x-permission"] = permission.into();
        }
        let statuses = refusals(operation);
        let answers = operation["responses"].as_object_mut().expect("an operation has answers");
        for answer in answers.values_mut() {
            answer["headers"]["X-Request-Id"] = json!({"$ref": "#/components/headers/X-Request-Id"});
            answer["description"] = "Success".into();
        }
        let refused =
            |status: u16| (status.to_string(), json!({"$ref": format!("#/components/responses/{}", component(status))}));
        answers.extend(statuses.into_iter().map(refused));
    }
    document
}

/// Describes the length that a text may have, on each parameter and on each field of the bodies. The values of a record have
/// rules of their own.
fn describe_texts(name: &str, schema: &mut Value) {
    let is_text = match &schema["type"] {
        Value::Array(kinds) => kinds.contains(&json!("string")),
        kind => kind == "string",
    };
    if is_text && schema.get("format").is_none() && schema.get("enum").is_none() && schema.get("maxLength").is_none() {
        schema["maxLength"] = longest(name).into();
    }
    if let Some(items) = schema.get_mut("items") {
        describe_texts(name, items);
    }
}

/// Describes the texts of the bodies that requests send.
fn describe_bodies(document: &mut Value) {
    let operations = document["paths"].as_object().into_iter().flat_map(|paths| paths.values().filter_map(Value::as_object));
    let bodies = operations.flat_map(|operations| operations.values()).filter_map(|operation| operation.get("requestBody"));
    let mut open: Vec<_> = bodies.flat_map(schemas_in).collect();
    let mut done = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(schema) = document["components"]["schemas"].get_mut(&name) else { continue };
        if done.insert(name) {
            open.extend(schemas_in(schema));
            for (name, field) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
                describe_texts(name, field);
            }
        }
    }
}

/// The names of the schemas that a value refers to.
fn schemas_in(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/components/schemas/"));
            own.map(ToOwned::to_owned).into_iter().chain(fields.values().flat_map(schemas_in)).collect()
        }
        Value::Array(values) => values.iter().flat_map(schemas_in).collect(),
        _ => Vec::new(),
    }
}

/// Describes the parameters of a request, and the headers on every route that reads them.
fn describe_parameters(operation: &mut Value) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if let (Some(name), "query" | "path") =
            (parameter["name"].as_str().map(ToOwned::to_owned), parameter["in"].as_str().unwrap_or_default())
        {
            describe_texts(&name, &mut parameter["schema"]);
        }
        let (description, schema) = match parameter["name"].as_str() {
            Some("Idempotency-Key") => (
                "Chosen by the caller. A request that is repeated under the same key is executed once.",
                json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}),
            ),
            Some("If-Match") => {
                ("The ETag with which the conflict was read.", json!({"type": "string", "pattern": "^\"[0-9]{1,9}\"$"}))
            }
            _ => continue,
        };
        parameter["description"] = description.into();
        parameter["schema"] = schema;
    }
}

/// The statuses of the problems that an operation can answer with: those of the service, of the caller, and of its input.
fn refusals(operation: &Value) -> Vec<u16> {
    let open = operation["security"] == json!([{}]);
    let reads = |name: &str| operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name));
    let body = operation.get("requestBody").is_some();
    let groups: [(bool, &[u16]); 5] = [
        (true, &[500, 503, 504]),
        (!open, &[401, 403, 404, 422, 429]),
        (body || operation.get("parameters").is_some(), &[400]),
        (body, &[409, 413, 415]),
        (reads("If-Match"), &[412]),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::document;
    use crate::permissions;

    #[test]
    fn every_operation_says_what_permission_it_needs() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.values().flat_map(|path| path.as_object().expect("operations").values());
        let described: BTreeSet<&str> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
        assert_eq!(described, permissions::operations().collect());
    }
}
