//! Whether simulator, mirror and queue agree.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Map, Value};

use super::Stack;

/// What PEMS answers besides the record itself, and what is derived from it.
const NOT_COMPARED: [&str; 4] = ["version", "updatedAt", "hasPlan", "hasActuals"];

/// Every record in which they differ, and every broken invariant, in words.
pub async fn disagreements(stack: &Stack) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for code in stack.organizations() {
        let select = r#"
            select r."pfaId", r.data, p.pems_version from pfa_mirror r
              join organizations o on o.id = r."organizationId"
              left join pfa_sync_private.pems_record p on p.mirror_id = r.id and p.mirror_version = r.version
             where o.code = $1"#;
        let mirror: HashMap<String, (Value, Option<i64>)> =
            stack.client.query(select, &[code]).await?.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        let pems = stack.pems_records(code).await?;
        if pems.len() != mirror.len() {
            found.push(format!("{code}: PEMS has {} records, the mirror {}", pems.len(), mirror.len()));
        }
        for record in pems {
            let pfa_id = record["pfaId"].as_str().unwrap_or_default();
            match mirror.get(pfa_id) {
                None => found.push(format!("{code} {pfa_id}: missing in the mirror")),
                Some((data, version)) if *version != record["version"].as_i64() => {
                    found.push(format!(
                        "{code} {pfa_id}: PEMS has version {}, the mirror knows {version:?}: {data}",
                        record["version"]
                    ));
                }
                Some((data, _)) if comparable(data) != comparable(&record) => {
                    found.push(format!("{code} {pfa_id}: PEMS has {record}, the mirror {data}"));
                }
                Some(_) => {}
            }
        }
    }
    for row in stack.client.query("select pfa_id, status from pfa_sync.queue", &[]).await? {
        found.push(format!("record {} is still {} in the queue", row.get::<_, &str>(0), row.get::<_, &str>(1)));
    }
    for row in stack.client.query("select invariant, object, detail from pfa_sync.check()", &[]).await? {
        found.push(format!("broken: {} ({}: {})", row.get::<_, &str>(0), row.get::<_, &str>(1), row.get::<_, &str>(2)));
    }
    Ok(found)
}

/// The fields that have a value: null and absent are the same.
fn comparable(record: &Value) -> Map<String, Value> {
    let fields = record.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| !value.is_null() && !NOT_COMPARED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
