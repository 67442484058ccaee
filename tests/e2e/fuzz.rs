//! What the database parses of others' bytes: cursors, event positions, filters, edits and pages of PEMS. Each is answered or
//! refused with an SQLSTATE that means so.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testbed::application::pems_record;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;

use crate::support::scenario::Scenario;

/// Invalid, not found, out of date, or not representable in PostgreSQL.
const REFUSALS: [&str; 4] = ["PF001", "PF006", "PF008", "22"];

/// A runtime of the test's own, since [`pfa_fuzz::run`] calls back from outside of one.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn prepared(runtime: &Runtime) -> Scenario {
    runtime
        .block_on(async {
            let scenario = Scenario::new().await?;
            scenario.client.batch_execute("set pfa_sync.user_id = 'usr_admin'; set statement_timeout = '20 s'").await?;
            anyhow::Ok(scenario)
        })
        .expect("a scenario")
}

/// Fails unless the database answers or refuses; what it changes is rolled back.
fn answered(runtime: &Runtime, scenario: &Scenario, query: &str, parameters: &[&(dyn ToSql + Sync)]) {
    let outcome = runtime.block_on(async {
        scenario.client.batch_execute("begin").await?;
        let answer = scenario.client.query(query, parameters).await;
        scenario.client.batch_execute("rollback").await?;
        answer
    });
    if let Err(error) = outcome {
        let state = error.code().map(|code| code.code().to_owned());
        let refused = state.as_ref().is_some_and(|state| REFUSALS.iter().any(|refusal| state.starts_with(refusal)));
        assert!(refused, "{state:?} {error:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn any_text_as_a_cursor_is_a_page_or_refused() {
    let runtime = runtime();
    let scenario = prepared(&runtime);
    let seeds: BTreeSet<String> = ["pfaId", "model", "monthlyRate", "isDiscontinued"]
        .iter()
        .map(|sort| {
            let query = "select cursor from pfa_sync.records('RIO', sort => $1, max_rows => 1)";
            runtime.block_on(scenario.client.query_one(query, &[sort])).expect("a row").get(0)
        })
        .collect();
    let seeds: Vec<_> = seeds.iter().map(String::as_bytes).collect();
    pfa_fuzz::run("records-cursor", &seeds, |bytes| {
        // Both as hexadecimal text, and as what that text stands for.
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for cursor in [text(bytes), hex] {
            for sort in ["pfaId", "model"] {
                answered(
                    &runtime,
                    &scenario,
                    "select * from pfa_sync.records('RIO', sort => $1, after => $2)",
                    &[&sort, &cursor],
                );
            }
        }
    });
    let audit =
        runtime.block_on(scenario.client.query("select cursor from pfa_sync.audit_page('RIO', '{}', null, 5, false)", &[]));
    let seeds: Vec<String> =
        audit.expect("a page").iter().map(|row| row.get(0)).chain(["2026-01-01T00:00:00Z/1".to_owned()]).collect();
    pfa_fuzz::run("audit-cursor", &seeds.iter().map(String::as_bytes).collect::<Vec<_>>(), |bytes| {
        answered(&runtime, &scenario, "select * from pfa_sync.audit_page('RIO', '{}', $1, 5, false)", &[&text(bytes)]);
    });
}

#[test]
fn any_text_as_an_event_position_is_read_or_refused() {
    let runtime = runtime();
    let scenario = prepared(&runtime);
    let position: String = runtime.block_on(scenario.value("select pfa_sync.event_position()")).expect("a position");
    let (epoch, snapshot) = position.split_once('/').expect("two parts");
    let inside = format!("{epoch}/{snapshot}/{snapshot}/7");
    pfa_fuzz::run("event-position", &[position.as_bytes(), inside.as_bytes(), b"1/10:20:10,14,15"], |bytes| {
        answered(&runtime, &scenario, "select * from pfa_sync.events($1, null, 100)", &[&text(bytes)]);
        answered(&runtime, &scenario, "select * from pfa_sync.events($1, $2, 100)", &[&position, &text(bytes)]);
    });
}

#[test]
fn any_json_as_an_edit_or_a_page_is_taken_or_refused() {
    let runtime = runtime();
    let scenario = prepared(&runtime);
    let delta =
        json!({"monthlyRate": 12500.5, "model": "LTM 1100", "forecastStart": "2026-03-01", "isDiscontinued": false}).to_string();
    pfa_fuzz::run("draft", &[delta.as_bytes()], |bytes| {
        let Ok(delta) = serde_json::from_slice::<Value>(bytes) else { return };
        let query = "select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', $1)";
        answered(&runtime, &scenario, query, &[&delta]);
    });
    let page = json!([pems_record("RIO", "1"), pems_record("RIO", "9")]).to_string();
    let other =
        json!([{"pfaId": "2", "version": 2, "updatedAt": "2026-02-01T00:00:00.000Z", "monthlyRate": "12,5", "x": {"y": [1]}}])
            .to_string();
    pfa_fuzz::run("page", &[page.as_bytes(), other.as_bytes()], |bytes| {
        let Ok(page) = serde_json::from_slice::<Value>(bytes) else { return };
        answered(&runtime, &scenario, "select * from pfa_sync.ingest('RIO', $1)", &[&page]);
    });
    let filter = json!({"category": "Crane", "isDiscontinued": false}).to_string();
    pfa_fuzz::run("filter", &[filter.as_bytes()], |bytes| {
        let Ok(filter) = serde_json::from_slice::<Value>(bytes) else { return };
        answered(&runtime, &scenario, "select * from pfa_sync.records('RIO', $1)", &[&filter]);
    });
}
