//! The description of the service (OpenAPI 3.1), made of the code that does what it describes.

use serde_json::{Value, json};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use crate::{problem::Problem, service};

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

/// The description, as JSON. Any answer that is no success is a problem, on every route.
pub fn document() -> Value {
    let (_, described) = service::routes().split_for_parts();
    let mut document = serde_json::to_value(described).expect("a description is JSON");
    let problem = json!({
        "description": "A problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    });
    let paths = document["paths"].as_object_mut().expect("a description has paths");
    for operation in paths.values_mut().flat_map(|path| path.as_object_mut().expect("a path has operations").values_mut()) {
        operation["responses"]["default"] = problem.clone();
    }
    document
}
