//! The library reads and writes jsonb in its binary form: what it returns is what Postgres itself would have stored.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::support::scenario::Scenario;

const DOCUMENTS: usize = 3_000;
/// Numbers in spellings that are kept as they are.
const NUMBERS: [&str; 9] =
    ["0", "-1", "1.50", "12345678901234567890123456789.5", "0.0000000001", "1e300", "1E-7", "-0.0", "10000"];
const TEXTS: [&str; 7] =
    ["", "a", "model", "ä€😀", "a \"quoted\" \\ text", "line\nbreak", "longer than most of the keys of a record are"];

/// A generator of its own, so that each run has the same documents.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 | 3 => Value::String(TEXTS[self.below(TEXTS.len())].repeat(1 + self.below(3))),
            4 => serde_json::from_str(NUMBERS[self.below(NUMBERS.len())]).unwrap(),
            5 => (0..self.children()).map(|_| self.value(depth - 1)).collect(),
            _ => self.object(depth),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let key = |random: &mut Self| format!("{}{}", TEXTS[random.below(TEXTS.len())], random.below(90));
        let fields: Map<String, Value> = (0..self.children()).map(|_| (key(self), self.value(depth - 1))).collect();
        Value::Object(fields)
    }

    /// Sometimes more than 32, since each 32nd entry is another one.
    fn children(&mut self) -> usize {
        if self.below(8) == 0 { 30 + self.below(50) } else { self.below(5) }
    }
}

#[tokio::test]
async fn what_is_read_and_written_again_is_the_same_to_the_byte() -> Result<()> {
    let scenario = Scenario::new().await?;
    let mut random = Random(1);
    let mut documents: Vec<Value> = (0..DOCUMENTS).map(|_| random.value(3)).collect();
    documents.extend([json!([]), json!({}), json!([[]]), json!([{}]), json!({"a": [], "b": {}}), json!("x".repeat(5_000))]);
    // No field of these is a price, so that nothing is masked.
    let differs = "select d::text, w::text
           from unnest($1::jsonb[]) d
          cross join lateral (select pfa_sync_private.masked(d, false) offset 0) m (w)
          where d <> w or d::text <> w::text or pg_column_size(d::text::jsonb) <> pg_column_size(w)
             or exists (select from jsonb_object_keys(case jsonb_typeof(d) when 'object' then d else '{}' end) k
                         where (d->k) is distinct from (w->k) or not w ? k)";
    let differs = scenario.client.query(differs, &[&documents]).await?;
    let differs: Vec<(String, String)> = differs.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(differs.is_empty(), "{} of {}: {:?}", differs.len(), documents.len(), &differs[..differs.len().min(3)]);
    Ok(())
}

/// Values that Postgres nests deeper than the library reads, or that serde_json would misread, stay out of its answer,
/// and the fields beside them are the same.
#[tokio::test]
async fn fields_beside_what_can_not_be_read_are_the_same() -> Result<()> {
    let scenario = Scenario::new().await?;
    for value in [r#"{"$serde_json::private::Number": "no number"}"#, &format!("{}{}", "[".repeat(200), "]".repeat(200))] {
        let select =
            "select pfa_sync_private.masked(jsonb_build_object('remark', $1::text::jsonb, 'model', 'X', 'n', 1.50), false)
                             - 'remark' = '{\"model\": \"X\", \"n\": 1.50}'";
        let same: bool = scenario.client.query_one(select, &[&value]).await?.get(0);
        assert!(same, "{value}");
    }
    Ok(())
}
