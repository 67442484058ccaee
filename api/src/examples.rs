//! Examples of requests and answers, in `api/examples.json` by the id of the operation. A test makes these requests in
//! order and compares the answers.

use serde_json::Value;

const EXAMPLES: &str = include_str!("../examples.json");

/// All of them.
pub(crate) fn all() -> Value {
    serde_json::from_str(EXAMPLES).expect("the examples are JSON")
}

/// Adds the examples of an operation to its description.
pub(crate) fn add(examples: &Value, operation: &mut Value) {
    let example = &examples[operation["operationId"].as_str().unwrap_or_default()];
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let value = parameter["name"].as_str().and_then(|name| example["parameters"].get(name));
        set(Some(parameter), value);
    }
    set(operation.pointer_mut("/requestBody/content/application~1json"), example.get("request"));
    set(operation.pointer_mut("/responses/200/content/application~1json"), example.get("answer"));
}

fn set(described: Option<&mut Value>, example: Option<&Value>) {
    if let (Some(described), Some(example)) = (described, example) {
        described["example"] = example.clone();
    }
}
