//! One request and its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request as HttpRequest, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::contract::{self, Write};
use super::fault::{Fault, Operation};
use super::list::list;
use super::log::{Request, WriteLog};
use super::response::{Answer, Body, Ended, gateway, odd, refuse, respond, unauthorized, whole};
use super::{Shared, control, lock};

/// A request, read.
pub(super) struct Call {
    pub method: Method,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
}

/// Answers a request, or ends its connection. What has arrived whole is carried out, whether or not its sender is still
/// there to hear of it.
pub(super) async fn answer(shared: Arc<Shared>, request: HttpRequest<Incoming>) -> Result<Response<Body>, Ended> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Ended)?.to_bytes();
    let work = async move {
        let mut response = carry_out(&shared, arrived, parts, body).await?;
        let date = lock(&shared.records).now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let (false, Ok(date)) = (response.headers().contains_key("date"), date.parse()) {
            response.headers_mut().insert("date", date);
        }
        Ok(response)
    };
    tokio::spawn(work).await.map_err(|_| Ended)?
}

/// What a firewall says to a request whose content it does not like.
fn blocked(shared: &Shared, call: &Call) -> Option<Fault> {
    let text = lock(&shared.firewall).clone()?;
    let found = call.body.windows(text.len().max(1)).any(|window| window == text.as_bytes());
    found.then(|| Fault::Page(403, "<html>Request blocked. Incident 4711.</html>".to_owned()))
}

async fn carry_out(shared: &Shared, arrived: Instant, parts: Parts, body: Bytes) -> Result<Response<Body>, Ended> {
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let headers =
        parts.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect();
    let mut call = Call { method: parts.method, path: parts.uri.path().to_owned(), query, headers, body };
    if let Some(command) = call.path.strip_prefix("/simulator/") {
        let (status, body) = if authorized(shared, &call) { control::answer(shared, command, &call) } else { unauthorized() };
        return Ok(respond(status, &body, None));
    }
    let Some(operation) = operation(&call) else {
        return Ok(respond(
            404,
            &json!({"success": false, "error": "NO_SUCH_ROUTE", "message": format!("{} {}", call.method, call.path)}),
            None,
        ));
    };
    let admitted = lock(&shared.limit).admit(arrived);
    let standing =
        lock(&shared.gateway).clone().map(|(status, body)| Fault::Page(status, body)).or_else(|| blocked(shared, &call));
    let fault = if admitted { standing.or_else(|| lock(&shared.faults).pop(operation)) } else { None };
    let mut entry = Request {
        sequence: 0,
        arrived_ms: arrived.duration_since(shared.started).as_secs_f64() * 1_000.0,
        operation,
        organization: call.headers.get("organization").cloned(),
        writes: Vec::new(),
        status: None,
        fault: fault.clone(),
    };
    let mut latency = shared.config.latency;
    match &fault {
        _ if !admitted => {
            return Ok(logged(
                shared,
                entry,
                429,
                json!({"success": false, "error": "RATE_LIMIT", "message": "10 requests a second"}),
                Some(1),
            ));
        }
        Some(Fault::Status(status, retry_after)) => {
            let body = json!({"success": false, "error": "FAULT", "message": "as ordered"});
            return Ok(logged(shared, entry, *status, body, *retry_after));
        }
        Some(Fault::ResetBefore) => {
            record(shared, entry);
            return Err(Ended);
        }
        Some(Fault::ErrorBody) => {
            let body = json!({"success": false, "error": "FAULT", "message": "as ordered"});
            return Ok(logged(shared, entry, 200, body, None));
        }
        Some(Fault::Page(status, page)) => {
            let response = gateway(*status, page);
            entry.status = Some(*status);
            record(shared, entry);
            return Ok(response);
        }
        Some(Fault::Refuse(status, error, message)) => {
            let (status, body) = refuse(*status, error, message);
            return Ok(logged(shared, entry, status, body, None));
        }
        Some(Fault::Wait { status, retry_after, date }) => {
            let (status, body) = refuse(*status, "FAULT", "as ordered");
            let mut response = logged(shared, entry, status, body, None);
            for (name, text) in [("retry-after", retry_after), ("date", date)] {
                if let Some(value) = text.as_ref().and_then(|text| text.parse().ok()) {
                    response.headers_mut().insert(name, value);
                }
            }
            return Ok(response);
        }
        Some(Fault::Next(_)) => drop(call.query.remove("after")),
        Some(Fault::Latency(milliseconds)) => latency = Duration::from_millis(*milliseconds),
        _ => {}
    }
    if latency > Duration::ZERO {
        tokio::time::sleep(latency).await;
    }
    let most = match &fault {
        Some(Fault::Partial(most)) => *most,
        _ => usize::MAX,
    };
    let (status, mut body) = perform(shared, operation, &call, most, &mut entry.writes);
    if let (Some(Fault::Skip(last)), Some(records)) = (&fault, body["records"].as_array_mut()) {
        records.truncate(records.len().saturating_sub(*last));
    }
    if let (Some(Fault::Next(cursor)), Some(fields)) = (&fault, body.as_object_mut()) {
        fields.insert("next".to_owned(), cursor.as_str().into());
    }
    match fault {
        Some(Fault::Odd(spelling)) => {
            entry.status = Some(status);
            record(shared, entry);
            Ok(odd(status, body, spelling))
        }
        Some(Fault::ResetAfter | Fault::Partial(_)) => {
            record(shared, entry);
            Err(Ended)
        }
        Some(Fault::Hold) => {
            // Armed before the log shows the request, so that no release is missed.
            let released = shared.released.notified();
            record(shared, entry);
            released.await;
            Ok(respond(status, &body, None))
        }
        Some(Fault::Malformed) => {
            entry.status = Some(status);
            record(shared, entry);
            Ok(Response::new(whole("<html>what PEMS' proxy says on a bad day".to_owned())))
        }
        Some(Fault::Truncated) => {
            entry.status = Some(status);
            record(shared, entry);
            let mut text = body.to_string();
            text.truncate(text.floor_char_boundary(text.len() / 2));
            Ok(Response::new(whole(text)))
        }
        Some(Fault::Cut) => {
            record(shared, entry);
            let text = body.to_string().into_bytes();
            let half = Bytes::copy_from_slice(&text[..text.len() / 2]);
            Ok(Response::new(BodyExt::boxed(StreamBody::new(stream::iter([Ok(Frame::data(half)), Err(Ended)])))))
        }
        _ => Ok(logged(shared, entry, status, body, None)),
    }
}

fn operation(call: &Call) -> Option<Operation> {
    let path = call.path.strip_prefix("/api/pems/")?;
    Some(match (call.method.as_str(), path) {
        ("GET", "health") => Operation::Health,
        ("GET", "pfa") => Operation::List,
        ("POST", "pfa/batch") => Operation::Batch,
        (method, path) if path.strip_prefix("pfa/").is_some_and(|id| !id.is_empty() && !id.contains('/')) => match method {
            "GET" => Operation::Get,
            "PUT" => Operation::Put,
            "DELETE" => Operation::Delete,
            _ => return None,
        },
        _ => return None,
    })
}

/// What PEMS does, as far as `most` records.
fn perform(shared: &Shared, operation: Operation, call: &Call, most: usize, log: &mut Vec<WriteLog>) -> Answer {
    if !authorized(shared, call) {
        return unauthorized();
    }
    let header = |name: &str| call.headers.get(name).map_or("", String::as_str);
    if header("tenant") != shared.config.tenant {
        return refuse(403, "WRONG_TENANT", "the tenant is another");
    }
    let code = header("organization");
    if operation == Operation::Health {
        return (200, json!({"status": "ok"}));
    }
    let mut records = lock(&shared.records);
    if !records.knows(code) {
        return refuse(403, "UNKNOWN_ORGANIZATION", "the organization of the header is not known");
    }
    let pfa_id = &percent_decode_str(call.path.rsplit('/').next().unwrap_or_default()).decode_utf8_lossy();
    let key = call.headers.get("idempotency-key").cloned();
    let writes = match operation {
        Operation::Get | Operation::List if call.query.get("organizationCode").map(String::as_str) != Some(code) => {
            return refuse(400, "BAD_REQUEST", "organizationCode and the header organization differ");
        }
        Operation::Get => {
            return records
                .get(code, pfa_id)
                .map_or_else(|| refuse(404, "NOT_FOUND", "there is no such record"), |record| (200, record));
        }
        Operation::List => return list(&records, code, &call.query),
        Operation::Put => contract::put(pfa_id, &call.body, key).map(|write| vec![write]),
        Operation::Delete => contract::delete(pfa_id, &call.body, key).map(|write| vec![write]),
        Operation::Batch => contract::batch(&call.body),
        Operation::Health => return (200, json!({"status": "ok"})),
    };
    let writes = match writes {
        Ok(writes) => writes,
        Err(message) => return refuse(400, "BAD_REQUEST", &message),
    };
    let mut answers: Vec<Answer> = Vec::with_capacity(writes.len());
    for write in writes.iter().take(most) {
        let answer = if lock(&shared.failing).contains(&write.pfa_id) {
            refuse(500, "INTERNAL_ERROR", "an internal error")
        } else if write.organization_code == code {
            records.write(code, write)
        } else {
            refuse(403, "WRONG_ORGANIZATION", "the organization of the header is another")
        };
        log.push(entry(write, answer.0));
        answers.push(answer);
    }
    if operation != Operation::Batch {
        return answers.pop().unwrap_or_else(|| refuse(500, "EMPTY", "nothing was asked for"));
    }
    let results: Vec<Value> = answers
        .into_iter()
        .map(|(status, mut body)| {
            body["status"] = status.into();
            body
        })
        .collect();
    (200, json!({"results": results}))
}

fn entry(write: &Write, status: u16) -> WriteLog {
    WriteLog {
        pfa_id: write.pfa_id.clone(),
        idempotency_key: write.idempotency_key.clone(),
        version: write.version,
        changes: Value::Object(write.changes.clone()),
        modified_by: write.modified_by.clone(),
        status,
    }
}

fn authorized(shared: &Shared, call: &Call) -> bool {
    let (name, value) = lock(&shared.credentials).header();
    call.headers.get(name) == Some(&value)
}

fn record(shared: &Shared, mut entry: Request) {
    shared.log.send_modify(|log| {
        entry.sequence = log.len();
        log.push(entry);
    });
}

fn logged(shared: &Shared, mut entry: Request, status: u16, body: Value, retry_after: Option<u64>) -> Response<Body> {
    entry.status = Some(status);
    record(shared, entry);
    respond(status, &body, retry_after)
}
