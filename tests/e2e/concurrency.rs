//! Real sessions at once: editors, relays and PEMS' own changes on the same few records.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use testbed::application::{Application, EDITOR, RIO, SECOND, pems_record};
use testbed::cluster::Login;
use tokio::sync::Notify;
use tokio_postgres::{Client, IsolationLevel};

use crate::support::scenario::Scenario;

const RECORDS: [&str; 3] = ["1", "2", "3"];
const FIELDS: [&str; 3] = ["model", "areaSilo", "contract"];

/// PEMS in a few lines: versions, records, and what was written in which order.
struct Pems {
    records: Mutex<HashMap<String, Value>>,
    written: Mutex<Vec<(String, String, String)>>,
}

impl Pems {
    fn new() -> Self {
        let records = RECORDS.map(|id| (id.to_owned(), pems_record("RIO", id))).into();
        Self { records: Mutex::new(records), written: Mutex::default() }
    }

    /// The new record, or the current one when the version is not its own.
    fn write(&self, pfa_id: &str, version: Option<i64>, changes: &Value) -> Result<Value, Value> {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(pfa_id).expect("a known record");
        let current = record["version"].as_i64().unwrap();
        if version.is_some_and(|version| version != current) {
            return Err(record.clone());
        }
        for (field, value) in changes.as_object().unwrap() {
            record[field] = value.clone();
            self.written.lock().unwrap().push((pfa_id.to_owned(), field.clone(), value.as_str().unwrap().to_owned()));
        }
        record["version"] = json!(current + 1);
        Ok(record.clone())
    }
}

async fn edit(session: Client, user: &str, seed: usize) -> Result<Vec<(String, String)>> {
    let mut edits = Vec::new();
    for n in 0..40 {
        let value = format!("{user} {n}");
        let (record, field) = (RECORDS[(seed + n * 7) % 3], FIELDS[(seed + n * 5 + n / 3) % 3]);
        let id = Application::new(&session).edit(user, record, json!({ field: value })).await.context("an edit")?;
        edits.push((id, value));
    }
    Ok(edits)
}

async fn relay(session: Client, name: &str, pems: &Pems, editors: &AtomicUsize, woken: &Notify) -> Result<()> {
    loop {
        let editing = editors.load(Ordering::SeqCst) > 0;
        let claimed = session
            .query("select queue_id, fencing_token, pfa_id, version, request, step from pfa_sync.claim($1)", &[&name])
            .await
            .context("claim")?;
        if claimed.is_empty() {
            let waiting: i64 = session.query_one("select count(*) from pfa_sync.queue", &[]).await?.get(0);
            if !editing && waiting == 0 {
                return Ok(());
            }
            // Whoever commits or ends work wakes us.
            tokio::select! { _ = woken.notified() => {}, _ = tokio::task::yield_now() => {} }
            continue;
        }
        let mut written = Vec::new();
        let mut moved = Vec::new();
        let items: Value =
            claimed.iter().map(|row| json!({"queue_id": row.get::<_, i64>(0), "fencing_token": row.get::<_, i32>(1)})).collect();
        ensure!(claimed.iter().all(|row| row.get::<_, &str>("step") == "send"), "every version is known");
        session.execute("select pfa_sync.mark_sent($1, $2)", &[&name, &items]).await.context("sent")?;
        for (row, item) in claimed.iter().zip(items.as_array().unwrap()) {
            let mut item = item.clone();
            match pems.write(row.get("pfa_id"), row.get("version"), &row.get("request")) {
                Ok(record) => {
                    item["version"] = record["version"].clone();
                    written.push(item);
                }
                Err(record) => {
                    item["record"] = record;
                    item["response"] = json!({"status": 409});
                    moved.push(item);
                }
            }
        }
        report(&session, "complete", name, written).await?;
        report(&session, "report_conflict", name, moved).await?;
        woken.notify_waiters();
    }
}

/// Reports items, and again those that another session holds.
async fn report(session: &Client, function: &str, name: &str, mut items: Vec<Value>) -> Result<()> {
    let call = format!("select queue_id from pfa_sync.{function}($1, $2) where status = 'busy'");
    while !items.is_empty() {
        let busy = session.query(&call, &[&name, &json!(items)]).await.context(function.to_owned())?;
        let busy: Vec<i64> = busy.iter().map(|row| row.get(0)).collect();
        items.retain(|item| item["queue_id"].as_i64().is_some_and(|id| busy.contains(&id)));
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn foreign(session: Client, pems: &Pems) -> Result<()> {
    for n in 0..30 {
        let (record, field) = (RECORDS[n % 3], FIELDS[(n / 3) % 3]);
        let record = pems.write(record, None, &json!({ field: format!("PEMS {n}") })).expect("no version asked for");
        let ingest = "select records_busy from pfa_sync.ingest('RIO', $1)";
        while session.query_one(ingest, &[&json!([record])]).await.context("ingest")?.get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Nothing is lost, doubled or out of order, and no single statement deadlocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_out_of_order() -> Result<()> {
    let scenario = Scenario::new().await?;
    let pems = Pems::new();
    let (editors, woken) = (AtomicUsize::new(3), Notify::new());
    let users = [EDITOR, SECOND, "usr_planner"];
    let editing = users.iter().enumerate().map(|(seed, user)| {
        let (scenario, editors, woken) = (&scenario, &editors, &woken);
        async move {
            let edits = edit(scenario.database.client_as(Login::Application).await?, user, seed).await;
            editors.fetch_sub(1, Ordering::SeqCst);
            woken.notify_waiters();
            edits
        }
    });
    let relays = ["relay-1", "relay-2"].map(|name| {
        let (scenario, pems, editors, woken) = (&scenario, &pems, &editors, &woken);
        async move { relay(scenario.database.client().await?, name, pems, editors, woken).await }
    });
    let outside = async { foreign(scenario.database.client().await?, &pems).await };
    let (edits, _, ()) = tokio::try_join!(try_join_all(editing), try_join_all(relays), outside)?;

    scenario.check().await?;
    let written = pems.written.lock().unwrap().clone();
    for (user, edits) in users.iter().zip(&edits) {
        for (id, value) in edits {
            let times = written.iter().filter(|(.., v)| v == value).count();
            match scenario.state(id).await?.as_str() {
                "synced/synced" => assert_eq!(times, 1, "{value} was written {times} times"),
                "conflict/conflict" => assert_eq!(times, 0, "{value} is in conflict and was written"),
                other => panic!("{value} ended as {other}"),
            }
        }
        let own: Vec<usize> = written
            .iter()
            .filter_map(|(record, _, v)| Some((record, v.strip_prefix(user)?.trim().parse().ok()?)))
            .filter(|(record, _)| record.as_str() == "1")
            .map(|(_, n)| n)
            .collect();
        assert!(own.is_sorted(), "{user}'s edits of record 1 arrived as {own:?}");
    }
    for record in RECORDS {
        let mut expected = pems.records.lock().unwrap()[record].clone();
        let mut mirror = scenario.mirror(record).await?;
        for derived in ["version", "updatedAt", "hasPlan", "hasActuals"] {
            for side in [&mut expected, &mut mirror] {
                side.as_object_mut().unwrap().remove(derived);
            }
        }
        assert_eq!(mirror, expected, "the mirror is what PEMS has");
    }
    assert_eq!(
        scenario.value::<i64>(&format!("select count(*) from pfa_modification where \"organizationId\" = '{RIO}'")).await?,
        120
    );
    Ok(())
}

/// An edit and a bulk commit in a transaction that stays open delay neither the commits of other users nor the relay.
#[tokio::test]
async fn an_open_transaction_blocks_only_its_own_records() -> Result<()> {
    let mut scenario = Scenario::new().await?;
    let open = scenario.client.transaction().await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
        select 'mod_open', id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', now() from pfa_mirror where "pfaId" = '1'"#;
    open.execute(insert, &[]).await?;

    let other = scenario.database.client_as(Login::Application).await?;
    Application::new(&other).edit(SECOND, "2", json!({"model": "Y"})).await?;
    let relay = scenario.database.client().await?;
    let claimed = relay.query("select pfa_id from pfa_sync.claim('r')", &[]).await?;
    assert_eq!((claimed.len(), claimed[0].get::<_, &str>(0)), (1, "2"));
    open.commit().await?;
    assert_eq!(relay.query("select pfa_id from pfa_sync.claim('r')", &[]).await?.len(), 1);
    Ok(())
}

/// A transaction on an older snapshot fails as retryable, instead of breaking the order of a record.
#[tokio::test]
async fn repeatable_read_is_safe() -> Result<()> {
    let scenario = Scenario::new().await?;
    let mut session = scenario.database.client_as(Login::Application).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
        select 'mod_' || $1, id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', now() from pfa_mirror where "pfaId" = $2"#;
    let late = session.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    late.query("select 1 from pfa_modification", &[]).await?;
    scenario.edit("1", json!({"areaSilo": "S"})).await?;
    let refused = late.execute(insert, &[&"late", &"1"]).await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("40001"), "{refused}");
    late.rollback().await?;

    // Queued behind a row that ended unseen, it gets its turn from the sweep.
    scenario.edit("2", json!({"areaSilo": "S"})).await?;
    let late = session.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    late.query("select 1 from pfa_modification", &[]).await?;
    scenario.client.execute(r#"update pfa_modification set "syncState" = 'draft'"#, &[]).await?;
    late.execute(insert, &[&"behind", &"2"]).await?;
    late.commit().await?;
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    assert_eq!(scenario.deliver().await?, 1);
    scenario.check().await
}
