//! The dialect of PEMS that speaks JSON over HTTPS.

pub mod address;
mod answer;
mod body;
mod bytes;
mod exchange;
#[cfg(test)]
mod fuzz;
mod pace;
mod parts;
#[cfg(test)]
mod samples;
mod trust;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use pfa_service::loopback::is_loopback_url;
use reqwest::{Certificate, Client, Method, Proxy, RequestBuilder, redirect::Policy};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use thiserror::Error;
use tracing::warn;
use url::Url;

use self::{
    answer::Answer,
    body::{BatchRecord, single_body},
    bytes::whole_number,
    exchange::reading,
    pace::Pace,
    trust::Trust,
};
use crate::{
    credentials::{Credentials, Login},
    pems::{Failure, FailureKind, ListQuery, Operation, Page, Pems, UNREADABLE, Write, WriteResult},
};

/// An idle connection is closed before servers and firewalls usually do it: a request on a dying one is ambiguous.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

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
    pub login: Login,
    /// The proxy that connections to PEMS go through. Variables of the environment do not set one, and loopback has none.
    pub proxy: Option<Url>,
    /// From the start of a request to the end of its answer.
    pub request_timeout: Duration,
    /// Longest time to connect, TLS included.
    pub connect_timeout: Duration,
}

impl Endpoint {
    /// Distinguishes its credentials, as they stand in their file at each call, from others for the same PEMS and tenant;
    /// see [`Credentials::fingerprint`].
    pub fn fingerprints(&self) -> impl Fn() -> String + Send + Sync + use<> {
        let Self { login, url, tenant, .. } = self.clone();
        move || login.fingerprint(&[url.as_str(), &tenant])
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
    pace: Arc<Pace>,
    trust: Arc<Trust>,
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
            .tcp_nodelay(true)
            .no_proxy();
        // https goes through it by CONNECT, so that it sees no header.
        if let Some(proxy) = endpoint.proxy.clone().filter(|_| !is_loopback_url(&endpoint.url)) {
            builder = builder.proxy(Proxy::https(proxy)?);
        }
        if let Some(file) = &endpoint.ca {
            let pem = fs::read(file).map_err(|source| SetupError::Unreadable { file: file.clone(), source })?;
            let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(SetupError::NoCertificate(file.clone()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let pems = Self { client: builder.build()?, endpoint, pace: Arc::default(), trust: Arc::default() };
        // A tenant or secret that is not valid in a header fails here, and not at the first record.
        pems.request(Method::GET, &["health"], "", &pems.endpoint.login.current()).build()?;
        Ok(pems)
    }

    /// Waits until PEMS' certificate is refused by the first connection, and says why.
    pub async fn certificate_fault(&self) -> String {
        let fault = self.trust.refused().await;
        format!("PEMS' certificate at {} is not accepted: {fault}", self.endpoint.url)
    }

    fn request(&self, method: Method, path: &[&str], organization: &str, credentials: &Credentials) -> RequestBuilder {
        let mut url = self.endpoint.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "pems"]).extend(path);
        }
        let request =
            self.client.request(method, url).header("tenant", &self.endpoint.tenant).header("organization", organization);
        match credentials {
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
            Credentials::Bearer(token) => request.bearer_auth(token.expose_secret()),
            Credentials::ApiKey(key) => request.header("X-Api-Key", key.expose_secret()),
        }
    }

    /// Sends a request and reads its answer. `complete` adds what the request carries.
    async fn exchange(
        &self,
        method: Method,
        path: &[&str],
        organization: &str,
        complete: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Answer, Failure> {
        let used = self.endpoint.login.current();
        let answer = exchange::exchange(complete(self.request(method, path, organization, &used)), &self.pace).await;
        self.trust.record(answer.as_ref().map(drop));
        let answer = answer?;
        // A secret that was replaced is no reason to hold the organization: the next try uses the new one.
        if answer.status == 401 && self.endpoint.login.reread() != used {
            return Err(exchange::renewed());
        }
        Ok(answer)
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
            let complete = |request: RequestBuilder| {
                request.header("Idempotency-Key", &record.idempotency_key).json(&single_body(organization, record))
            };
            let result = match self.exchange(method, &["pfa", &record.pfa_id], organization, complete).await {
                Ok(answer) => answer::single(answer, record),
                Err(failure) => Err(failure),
            };
            return Ok(vec![result]);
        }
        let bodies: Vec<_> = records.iter().map(|record| BatchRecord::new(organization, record)).collect();
        let complete = |request: RequestBuilder| request.json(&json!({ "records": bodies }));
        answer::batch(self.exchange(Method::POST, &["pfa", "batch"], organization, complete).await?, records)
    }

    async fn get(&self, organization: &str, pfa_id: &str) -> Result<Option<Value>, Failure> {
        let complete = |request: RequestBuilder| request.query(&[("organizationCode", organization)]);
        let mut answer = self.exchange(Method::GET, &["pfa", pfa_id], organization, complete).await.map_err(reading)?;
        if let Some(record) = answer.body.as_mut().filter(|_| answer.status == 200)
            && record.get("pfaId").and_then(Value::as_str) == Some(pfa_id)
        {
            if let Some(reason) = record.get(UNREADABLE).and_then(Value::as_str) {
                return Err(unreadable(reason));
            }
            if !settle_version(record) {
                return Err(unreadable("it has no version that is a whole number"));
            }
            if answer.replaced {
                warn_of_replacement(organization, record);
            }
            return Ok(Some(record.take()));
        }
        let failure = answer::failure(answer);
        // PEMS' own 404 is NOT_FOUND: no such record.
        if failure.kind == FailureKind::Rejected && failure.status == Some(404) { Ok(None) } else { Err(reading(failure)) }
    }

    async fn list(&self, organization: &str, query: &ListQuery) -> Result<Page, Failure> {
        let limit = query.limit.to_string();
        let mut parameters = vec![("organizationCode", organization), ("limit", &limit)];
        parameters.extend(query.updated_since.iter().map(|since| ("updatedSince", since.as_str())));
        parameters.extend(query.after.iter().map(|after| ("after", after.as_str())));
        let complete = |request: RequestBuilder| request.query(&parameters);
        let mut answer = self.exchange(Method::GET, &["pfa"], organization, complete).await.map_err(reading)?;
        let fields = answer.body.as_mut().filter(|_| answer.status == 200).and_then(Value::as_object_mut);
        let page = fields.map(|page| (page.remove("records"), page.remove("next")));
        let (mut records, next) = match page {
            Some((Some(Value::Array(records)), None | Some(Value::Null))) => (records, None),
            // An empty cursor can't be requested: it ends the list.
            Some((Some(Value::Array(records)), Some(Value::String(next)))) => {
                (records, Some(next).filter(|next| !next.is_empty()))
            }
            _ => return Err(reading(answer::failure(answer))),
        };
        for record in &mut records {
            settle_version(record);
            if answer.replaced {
                warn_of_replacement(organization, record);
                refuse_replaced_id(record);
            }
        }
        Ok(Page { count: records.len(), records: Value::Array(records), next, date: answer.date })
    }

    async fn health(&self, organization: &str) -> Result<(), Failure> {
        let answer = self.exchange(Method::GET, &["health"], organization, |request| request).await.map_err(reading)?;
        match &answer {
            Answer { status: 200, body: Some(Value::Object(body)), .. } if body.get("success") != Some(&Value::Bool(false)) => {
                Ok(())
            }
            _ => Err(reading(answer::failure(answer))),
        }
    }
}

/// Spells the version of a record as a whole number; `false` = it has none.
fn settle_version(record: &mut Value) -> bool {
    match record.get_mut("version") {
        Some(version) => whole_number(version).map(|number| *version = number.into()).is_some(),
        None => false,
    }
}

/// The database refuses the record and no other.
fn refuse_replaced_id(record: &mut Value) {
    if record.as_object().is_some_and(|record| bytes::replaced_fields(record).contains(&"pfaId")) {
        *record = json!({ UNREADABLE: "pfaId: holds U+0000 or is not valid UTF-8" });
    }
}

/// PEMS shows the record, and asking again would show the same.
fn unreadable(reason: &str) -> Failure {
    let message = format!("PEMS' record can't be read: {reason}");
    Failure { kind: FailureKind::Rejected, status: Some(200), message, retry_after: None, response: None, source: None }
}

/// Says where a record was changed so that it can be stored.
fn warn_of_replacement(organization: &str, record: &Value) {
    let Some(record) = record.as_object() else { return };
    let fields = bytes::replaced_fields(record);
    if !fields.is_empty() {
        let pfa_id = record.get("pfaId").and_then(Value::as_str);
        warn!(organization, pfa_id, ?fields, "PEMS' text holds U+0000, half a surrogate pair or no UTF-8; replaced by U+FFFD");
    }
}
