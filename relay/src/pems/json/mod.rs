//! The dialect of PEMS that speaks JSON over HTTPS.

pub mod address;
mod answer;
mod body;
#[cfg(test)]
mod fuzz;

use std::{
    fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrics::{counter, histogram};
use reqwest::{Certificate, Client, Method, RequestBuilder, redirect::Policy};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use thiserror::Error;
use url::Url;

use self::{
    answer::Answer,
    body::{BatchRecord, single_body},
};
use crate::{
    credentials::Credentials,
    pems::{Failure, FailureKind, ListQuery, Operation, Page, Pems, Write, WriteResult},
};

/// An idle connection is closed before servers and firewalls usually do it: a request on a dying one is ambiguous.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest answer that is read, in bytes; a page of 1,000 records is about one MB.
const MAX_ANSWER: usize = 64 << 20;

/// Where PEMS is and how to log in.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base address, without `/api/pems`.
    pub url: Url,
    /// PEM file of further certificate authorities.
    pub ca: Option<PathBuf>,
    /// The tenant header.
    pub tenant: String,
    /// The login.
    pub credentials: Credentials,
    /// From the start of a request to the end of its answer.
    pub request_timeout: Duration,
    /// Longest time to connect, TLS included.
    pub connect_timeout: Duration,
}

impl Endpoint {
    /// Distinguishes its credentials from others for the same PEMS and tenant; see [`Credentials::fingerprint`].
    pub fn fingerprint(&self) -> String {
        self.credentials.fingerprint(&[self.url.as_str(), &self.tenant])
    }
}

/// Settings with which no client can be built.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The CA file can't be read.
    #[error("can't read pems-ca {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The CA file holds no certificates.
    #[error("pems-ca {} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The client can't be built, or tenant or secret are not valid in a header.
    #[error("can't build requests to PEMS from these settings")]
    Client(#[from] reqwest::Error),
}

/// A client of PEMS. Clones share their connections.
#[derive(Clone, Debug)]
pub struct JsonPems {
    client: Client,
    endpoint: Endpoint,
}

impl JsonPems {
    /// A client that connects when first used.
    pub fn new(endpoint: Endpoint) -> Result<Self, SetupError> {
        let mut builder = Client::builder()
            .user_agent(concat!("pfa-relay/", env!("CARGO_PKG_VERSION")))
            .https_only(endpoint.url.scheme() == "https")
            .redirect(Policy::none())
            .timeout(endpoint.request_timeout)
            .connect_timeout(endpoint.connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true);
        if let Some(file) = &endpoint.ca {
            let pem = fs::read(file).map_err(|source| SetupError::Unreadable { file: file.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(SetupError::NoCertificate(file.clone()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let pems = Self { client: builder.build()?, endpoint };
        // A tenant or secret that is not valid in a header fails here, and not at the first record.
        pems.request(Method::GET, &["health"], "").build()?;
        Ok(pems)
    }

    fn request(&self, method: Method, path: &[&str], organization: &str) -> RequestBuilder {
        let mut url = self.endpoint.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "pems"]).extend(path);
        }
        let request =
            self.client.request(method, url).header("tenant", &self.endpoint.tenant).header("organization", organization);
        match &self.endpoint.credentials {
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
            Credentials::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Credentials::ApiKey(key) => request.header("X-Api-Key", key.expose_secret()),
        }
    }
}

#[async_trait]
impl Pems for JsonPems {
    async fn write(&self, organization: &str, records: &[Write]) -> Result<Vec<WriteResult>, Failure> {
        if let [record] = records {
            let method = match record.operation {
                Operation::Update => Method::PUT,
                Operation::Delete => Method::DELETE,
            };
            let request = self
                .request(method, &["pfa", &record.pfa_id], organization)
                .header("Idempotency-Key", &record.idempotency_key)
                .json(&single_body(organization, record));
            let result = match exchange(request).await {
                Ok(answer) => answer::single(answer, record),
                Err(failure) => Err(failure),
            };
            return Ok(vec![result]);
        }
        let bodies: Vec<_> = records.iter().map(|record| BatchRecord::new(organization, record)).collect();
        let request = self.request(Method::POST, &["pfa", "batch"], organization).json(&json!({ "records": bodies }));
        answer::batch(exchange(request).await?, records)
    }

    async fn get(&self, organization: &str, pfa_id: &str) -> Result<Option<Value>, Failure> {
        let request = self.request(Method::GET, &["pfa", pfa_id], organization).query(&[("organizationCode", organization)]);
        let answer = exchange(request).await.map_err(reading)?;
        match (answer.status, answer.body) {
            (200, Some(record)) if record.get("version").is_some_and(Value::is_i64) => Ok(Some(record)),
            (200, body) => Err(reading(answer::ambiguous(200, "PEMS answered 200 without a record", body))),
            (404, _) => Ok(None),
            (_, body) => Err(reading(answer::failure(Answer { body, ..answer }))),
        }
    }

    async fn list(&self, organization: &str, query: &ListQuery) -> Result<Page, Failure> {
        let mut request = self
            .request(Method::GET, &["pfa"], organization)
            .query(&[("organizationCode", organization), ("limit", &query.limit.to_string())]);
        if let Some(updated_since) = &query.updated_since {
            request = request.query(&[("updatedSince", updated_since)]);
        }
        if let Some(after) = &query.after {
            request = request.query(&[("after", after)]);
        }
        let answer = exchange(request).await.map_err(reading)?;
        match answer.body {
            Some(Value::Object(mut page)) if answer.status == 200 => match (page.remove("records"), page.remove("next")) {
                (Some(Value::Array(records)), Some(next @ (Value::String(_) | Value::Null))) => {
                    Ok(Page { count: records.len(), records: Value::Array(records), next: next.as_str().map(str::to_owned) })
                }
                _ => Err(reading(answer::ambiguous(200, "PEMS answered 200 without records and next", None))),
            },
            body => Err(reading(answer::failure(Answer { body, ..answer }))),
        }
    }

    async fn health(&self, organization: &str) -> Result<(), Failure> {
        let answer = exchange(self.request(Method::GET, &["health"], organization)).await.map_err(reading)?;
        match answer.status {
            200 => Ok(()),
            _ => Err(reading(answer::failure(answer))),
        }
    }
}

/// A read is never ambiguous: it can be repeated.
fn reading(mut failure: Failure) -> Failure {
    if failure.kind == FailureKind::Ambiguous {
        failure.kind = FailureKind::Unavailable;
    }
    failure
}

/// Sends a request and reads its answer; records status and duration as metrics.
async fn exchange(request: RequestBuilder) -> Result<Answer, Failure> {
    let started = Instant::now();
    let answer = answer_to(request).await;
    let status = match &answer {
        Ok(answer) => answer.status.to_string(),
        Err(_) => "none".to_owned(),
    };
    counter!("pfa_relay_requests_total", "status" => status).increment(1);
    histogram!("pfa_relay_request_seconds").record(started.elapsed());
    answer
}

async fn answer_to(request: RequestBuilder) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(no_answer)?;
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(answer::retry_after);
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // The status is known, and is enough unless it is a success.
            _ if status >= 400 => return Ok(Answer { status, retry_after, body: None }),
            Ok(Some(_)) => return Err(answer::ambiguous(status, "PEMS' answer is too long", None)),
            Err(error) => return Err(no_answer(error)),
        }
    }
    Ok(Answer { status, retry_after, body: serde_json::from_slice(&body).ok() })
}

/// A request without an answer: without a connection PEMS has not received it, otherwise that is unknown.
fn no_answer(error: reqwest::Error) -> Failure {
    let (kind, message) = match &error {
        error if error.is_connect() => (FailureKind::Unavailable, "no connection to PEMS"),
        error if error.is_builder() => (FailureKind::Unavailable, "the request can't be built"),
        error if error.is_timeout() => (FailureKind::Ambiguous, "PEMS did not answer in time"),
        _ => (FailureKind::Ambiguous, "the connection to PEMS broke before its answer"),
    };
    // The log line has the identifiers; the address would repeat them.
    let source = error.without_url();
    let cause = root_cause(&source);
    Failure { kind, status: None, message: format!("{message} ({cause})"), response: None, source: Some(Box::new(source)) }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
