//! The API as a process, and the tokens that it accepts.

use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testbed::cluster::Login;
use testbed::process::Process;

use crate::support::scenario::Scenario;

pub const SECRET: &str = "a secret of the tests, thirty-two bytes long";

pub struct Api {
    pub process: Process,
    pub address: String,
    client: reqwest::Client,
}

impl Api {
    pub async fn start(scenario: &Scenario, arguments: &[&str]) -> Result<Self> {
        Self::start_logging(scenario, arguments, Stdio::inherit()).await
    }

    /// Starts the service, whose log goes into a file.
    pub async fn start_logging(scenario: &Scenario, arguments: &[&str], log: impl Into<Stdio>) -> Result<Self> {
        let mut process = Process::start("pfa-api", |command| {
            command
                .arg("serve")
                .args(["--listen", "127.0.0.1:0", "--body-limit", "40000", "--allowed-origins", "https://pfa.example.com"])
                .args(arguments)
                .env("DATABASE_URL", scenario.database.url_as(Login::Api))
                .env("PFA_API_JWT_SECRET", SECRET)
                .stderr(log);
        })?;
        let line = process.line().await?;
        let address = line.strip_prefix("listening on ").context("the address")?.to_owned();
        Ok(Self { process, address, client: reqwest::Client::new() })
    }

    pub fn request(&self, method: &str, uri: &str, user: Option<&str>) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{uri}", self.address));
        match user {
            Some(user) => request.bearer_auth(token(&json!({"userId": user, "exp": now() + 60}))),
            None => request,
        }
    }

    pub async fn get(&self, user: &str, uri: &str) -> Result<Value> {
        Ok(self.request("GET", uri, Some(user)).send().await?.error_for_status()?.json().await?)
    }

    pub async fn post(&self, user: &str, uri: &str, body: Value) -> Result<Response> {
        Ok(self.request("POST", uri, Some(user)).json(&body).send().await?)
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

pub fn token(claims: &Value) -> String {
    signed(Algorithm::HS256, SECRET, claims)
}

pub fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
}

/// The code of a problem, whose form is checked with it.
pub async fn problem(response: Response) -> Result<(u16, String, Value)> {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await?;
    let code = body["code"].as_str().context("a problem has a code")?.to_owned();
    assert_eq!(
        (body["status"].as_u64(), body["type"].as_str()),
        (Some(status.into()), Some(format!("urn:pfa-sync:problem:{code}").as_str()))
    );
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    Ok((status, code, body))
}
