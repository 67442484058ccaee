//! A client of the simulator, as PEMS expects it.

use anyhow::Result;
use pems_simulator::export::Record;
use pems_simulator::{Config, Simulator};
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::{Map, Value, json};

pub struct Pems {
    pub simulator: Simulator,
    pub client: Client,
}

impl Pems {
    /// A simulator without a limit, with records 1 to `records` of RIO.
    pub async fn new(records: usize) -> Result<Self> {
        Self::with(records, Config { per_second: None, ..Config::default() }).await
    }

    pub async fn with(records: usize, config: Config) -> Result<Self> {
        let simulator = Simulator::start(config).await?;
        simulator.load((1..=records).map(|id| Record {
            organization: "RIO".to_owned(),
            fields: Map::from_iter([("pfaId".to_owned(), json!(id.to_string())), ("model".to_owned(), json!("D6"))]),
        }));
        let ca = Certificate::from_pem(simulator.ca_pem().as_bytes())?;
        Ok(Self { simulator, client: Client::builder().tls_certs_only([ca]).build()? })
    }

    /// A request as PEMS wants it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/pems/{path}", self.simulator.url());
        self.client
            .request(method, url)
            .basic_auth("pfa-sync", Some("secret"))
            .header("tenant", "TEST")
            .header("organization", "RIO")
    }

    pub async fn get(&self, path: &str) -> Result<(u16, Value)> {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn put(&self, id: &str, body: Value) -> Result<(u16, Value)> {
        answer(self.request(Method::PUT, &format!("pfa/{id}")).json(&body)).await
    }

    pub async fn batch(&self, records: Value) -> Result<(u16, Value)> {
        answer(self.request(Method::POST, "pfa/batch").json(&json!({"records": records}))).await
    }
}

pub async fn answer(request: RequestBuilder) -> Result<(u16, Value)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

/// The body of a write of record `id`, with `besides` laid over it; null takes a key away.
pub fn body(id: &str, besides: Value) -> Value {
    let mut body = json!({"pfaId": id, "organizationCode": "RIO", "changes": {"model": "D7"}, "version": 1, "modifiedBy": "edith@example.com"});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(besides.as_object().cloned().expect("an object"));
    fields.retain(|_, value| !value.is_null());
    body
}
