//! Odd spellings of an answer.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::fault::Spelling;

/// Names of whole numbers in answers.
const NUMBERS: [&str; 4] = ["version", "newVersion", "currentVersion", "status"];

/// The bytes of an answer in an odd spelling, and its content encoding.
pub(super) fn spell(mut body: Value, spelling: Spelling) -> (Vec<u8>, Option<&'static str>) {
    match spelling {
        Spelling::Bom => ([b"\xef\xbb\xbf", body.to_string().as_bytes()].concat(), None),
        Spelling::Nul => (with(&body, &[r#""model":""#, r#""message":""#], br"\u0000"), None),
        Spelling::Surrogate => (with(&body, &[r#""model":""#, r#""message":""#], br"\ud83d"), None),
        Spelling::NotUtf8 => (with(&body, &[r#""model":""#, r#""message":""#], b"\xff"), None),
        Spelling::NulInId => (with(&body, &[r#""pfaId":""#], br"\u0000"), None),
        Spelling::Deep => remark(&body, &format!("{}{}", "[".repeat(200), "]".repeat(200))),
        Spelling::Huge => remark(&body, "1e200000"),
        Spelling::PrivateKey => remark(&body, r#"{"$serde_json::private::Number":"no number"}"#),
        Spelling::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let packed = encoder.write_all(body.to_string().as_bytes()).and_then(|()| encoder.finish());
            (packed.unwrap_or_default(), Some("gzip"))
        }
        Spelling::Reversed => {
            for name in ["records", "results"] {
                if let Some(items) = body.get_mut(name).and_then(Value::as_array_mut) {
                    items.reverse();
                }
            }
            (body.to_string().into_bytes(), None)
        }
        Spelling::Fraction | Spelling::Quoted => {
            respell(&mut body, spelling);
            (body.to_string().into_bytes(), None)
        }
        Spelling::WithoutNulls => {
            prune(&mut body);
            (body.to_string().into_bytes(), None)
        }
    }
}

/// The body with a field `remark` of its first record.
fn remark(body: &Value, value: &str) -> (Vec<u8>, Option<&'static str>) {
    let text = body.to_string().replacen(r#""pfaId":"#, &format!(r#""remark":{value},"pfaId":"#), 1);
    (text.into_bytes(), None)
}

/// The body with bytes after the first of these texts that it has.
fn with(body: &Value, after: &[&str], bytes: &[u8]) -> Vec<u8> {
    let text = body.to_string();
    let at = after.iter().find_map(|after| text.find(after).map(|at| at + after.len())).unwrap_or(text.len());
    [&text.as_bytes()[..at], bytes, &text.as_bytes()[at..]].concat()
}

fn respell(value: &mut Value, spelling: Spelling) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| respell(item, spelling)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Number(number) if NUMBERS.contains(&name.as_str()) => {
                        *value = match spelling {
                            Spelling::Fraction => serde_json::from_str(&format!("{number}.0")).unwrap_or_default(),
                            _ => number.to_string().into(),
                        };
                    }
                    value => respell(value, spelling),
                }
            }
        }
        _ => {}
    }
}

fn prune(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(prune),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(prune);
        }
        _ => {}
    }
}
