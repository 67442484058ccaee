//! The examples of the description, asked one after the other: they are answered with what they say.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::api::Api;
use crate::support::scenario::Scenario;

/// In this order each finds what it speaks of. A new route needs a place here.
const ORDER: [&str; 74] = [
    "listRecords",
    "saveDraft",
    "explain",
    "getModification",
    "commitDrafts",
    "writeSync",
    "getSyncStatus",
    "listJobs",
    "getJob",
    "listJobChanges",
    "getTimeline",
    "withdraw",
    "discardDrafts",
    "listConflicts",
    "getConflict",
    "checkResolution",
    "resolveConflict",
    "previewResolution",
    "resolveConflicts",
    "listDeadLetters",
    "listAttempts",
    "listBatches",
    "previewDeadLetters",
    "requeueDeadLetters",
    "discardDeadLetters",
    "listAudit",
    "undoJob",
    "listJobItems",
    "stopJob",
    "continueJob",
    "previewRollback",
    "listRollbackRecords",
    "rollBack",
    "previewRestore",
    "restoreVersion",
    "listKpis",
    "getDrainForecast",
    "listFailures",
    "noteFailure",
    "listCauses",
    "saveDrafts",
    "getStates",
    "searchRecords",
    "countRecords",
    "getRecord",
    "getMe",
    "saveView",
    "listViews",
    "deleteView",
    "listResolvedConflicts",
    "changeSetting",
    "listSettings",
    "listAlertRules",
    "changeAlertRule",
    "listAlerts",
    "acknowledgeAlert",
    "setAlertChannel",
    "listAlertChannels",
    "removeAlertChannel",
    "listNotifications",
    "markRead",
    "definePems",
    "listPemsSystems",
    "assignPems",
    "retirePems",
    "previewEdit",
    "editRecords",
    "summarizeDrafts",
    "listCredentials",
    "listRelays",
    "drain",
    "isDrained",
    "pause",
    "resume",
];

/// What the examples refer to: in RIO, two conflicts, two dead letters with an alert, and a record without edits.
pub async fn prepared() -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    scenario
        .client
        .execute("select pfa_sync.notify_users(), pfa_sync.heartbeat('relay-1', '0.1.0', listening => true)", &[])
        .await?;
    scenario.ingest(&["4711", "4712", "4713", "4714", "4715"].map(|id| pems_record("RIO", id))).await?;
    let application = scenario.application();
    for id in ["4713", "4714"] {
        application.draft(EDITOR, RIO, id, json!({"monthlyRate": 950_000})).await?;
    }
    application.commit(EDITOR, RIO).await?;
    let sent = scenario.send().await?;
    let refused = json!({
        "outcome": "rejected", "http_status": 422, "error": "monthlyRate is above what the category allows",
        "response": {"error": "monthlyRate is above what the category allows"}
    });
    scenario.report("fail", &sent, refused).await?;
    for id in ["4711", "4712"] {
        application.draft(EDITOR, RIO, id, json!({"monthlyRate": 12900})).await?;
        scenario.foreign_edit(id, 2, json!({"monthlyRate": 13250})).await?;
    }
    application.commit(EDITOR, RIO).await?;
    let sealed = "select pfa_sync.activate_credentials(pfa_sync.store_credentials('default', null, 'basic', 'PFA_RELAY', 1, \
                  'https://pems.example/', 'k1', '\\x000102030405060708090a0b', '\\x00', '8c1f0a'), true)";
    scenario.client.execute(sealed, &[]).await?;
    scenario.client.execute("select pfa_sync.notify_users()", &[]).await?;
    scenario.client.query("select * from pfa_sync.evaluate_alerts()", &[]).await?;
    scenario.client.execute("select pfa_sync.notify_users()", &[]).await?;
    Ok(scenario)
}

#[tokio::test]
async fn each_example_is_answered_with_what_it_says() -> Result<()> {
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &["--rate-limit", "100000"]).await?;
    let document = pfa_api::document();
    let operations = operations(&document);
    let mut stand_ins = StandIns::default();
    for id in ORDER {
        let operation = operations.get(id).with_context(|| format!("no route has the id {id}"))?;
        let answer = operation.ask(&api, &stand_ins).await.context(id)?;
        let documented = operation.answer().and_then(|answer| answer.get("example")).unwrap_or(&Value::Null);
        compare(documented, &answer, id);
        stand_ins.learn("", documented, &answer);
    }
    scenario.check().await
}

#[test]
fn each_route_has_examples() {
    let document = pfa_api::document();
    let mut asked = BTreeSet::new();
    for (id, operation) in operations(&document) {
        let contents: Vec<_> = operation.body().into_iter().chain(operation.answer()).collect();
        let required: Vec<_> = operation.parameters().filter(|parameter| parameter["required"] == true).collect();
        if !contents.is_empty() || !required.is_empty() {
            asked.insert(id);
        }
        for described in contents.into_iter().chain(required) {
            assert!(described.get("example").is_some(), "{id} needs an example in api/examples.json for {described}");
        }
    }
    assert_eq!(asked, BTreeSet::from(ORDER));
    let written: BTreeMap<String, Value> = serde_json::from_str(include_str!("../../api/examples.json")).expect("JSON");
    assert!(written.keys().map(String::as_str).eq(asked), "examples of no route");
}

/// A route as the document describes it.
struct Operation<'a> {
    method: String,
    path: &'a str,
    described: &'a Value,
}

fn operations(document: &Value) -> BTreeMap<&str, Operation<'_>> {
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, operations)| {
        operations.as_object().expect("operations").iter().map(move |(method, described)| {
            let id = described["operationId"].as_str().expect("an id");
            (id, Operation { method: method.to_uppercase(), path, described })
        })
    });
    operations.collect()
}

impl<'a> Operation<'a> {
    fn body(&self) -> Option<&'a Value> {
        self.described.pointer("/requestBody/content/application~1json")
    }

    fn answer(&self) -> Option<&'a Value> {
        self.described.pointer("/responses/200/content/application~1json")
    }

    fn parameters(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.described["parameters"].as_array().into_iter().flatten()
    }

    /// The example, asked as an administrator.
    async fn ask(&self, api: &Api, stand_ins: &StandIns) -> Result<Value> {
        let mut path = self.path.to_owned();
        let mut query = Vec::new();
        let mut headers = Vec::new();
        for parameter in self.parameters() {
            let (Some(name), Some(example)) = (parameter["name"].as_str(), parameter.get("example")) else { continue };
            let value = match stand_ins.put_into(name, example) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &value),
                Some("query") => query.push((name, value)),
                _ => headers.push((name, value)),
            }
        }
        let mut request = api.request(&self.method, &path, Some("usr_admin")).query(&query);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = self.body() {
            request = request.json(&stand_ins.put_into("", &body["example"]));
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

/// The ids and digests of this run that replace those of the examples, taken from earlier answers; by field name.
#[derive(Default)]
struct StandIns(BTreeMap<(String, String), Value>);

impl StandIns {
    fn learn(&mut self, name: &str, documented: &Value, answered: &Value) {
        match (documented, answered) {
            (Value::Object(documented), Value::Object(answered)) => {
                documented
                    .iter()
                    .zip(answered.values())
                    .for_each(|((name, documented), answered)| self.learn(name, documented, answered));
            }
            (Value::Array(documented), Value::Array(answered)) => {
                documented.iter().zip(answered).for_each(|(documented, answered)| self.learn(name, documented, answered));
            }
            // `jobIds` has values of `jobId`.
            _ if name.trim_end_matches('s').ends_with("Id") || name == "digest" => {
                self.0.insert((name.trim_end_matches('s').to_owned(), documented.to_string()), answered.clone());
            }
            _ => {}
        }
    }

    fn put_into(&self, name: &str, example: &Value) -> Value {
        match example {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), self.put_into(name, value))).collect(),
            // `queueIds` has values of `queueId`.
            Value::Array(values) => values.iter().map(|value| self.put_into(name.trim_end_matches('s'), value)).collect(),
            value => self.0.get(&(name.to_owned(), value.to_string())).unwrap_or(value).clone(),
        }
    }
}

/// The same keys and kinds of values; of a list, the first speaks for all.
fn compare(documented: &Value, answered: &Value, place: &str) {
    match (documented, answered) {
        (Value::Object(documented), Value::Object(answered)) => {
            assert!(documented.keys().eq(answered.keys()), "{place}: {documented:?}\nis answered with\n{answered:?}");
            for (name, documented) in documented {
                compare(documented, &answered[name], &format!("{place}.{name}"));
            }
        }
        (Value::Array(documented), Value::Array(answered)) => {
            assert_eq!(documented.is_empty(), answered.is_empty(), "{place}");
            documented.iter().zip(answered).take(1).for_each(|(documented, answered)| compare(documented, answered, place));
        }
        _ => {
            let kinds = [documented, answered].map(std::mem::discriminant);
            assert_eq!(kinds[0], kinds[1], "{place}: {documented} is answered with {answered}");
        }
    }
}
