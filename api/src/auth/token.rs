//! The application's tokens. Only the user is taken from a token. The permissions of the user are read from the database
//! at each request, so that a revoked permission ends at once.

use std::{
    path::PathBuf,
    sync::RwLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet},
};
use reqwest::{Client, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;
use url::Url;

/// How long fetched keys are used before they are fetched again.
const KEYS_MAX_AGE: Duration = Duration::from_secs(600);

/// Shortest time between two fetches, whatever keys the tokens name.
const KEYS_MIN_AGE: Duration = Duration::from_secs(10);

/// Longest duration of a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest set of keys that is accepted, in bytes.
const MAX_KEY_SET: usize = 1 << 20;

/// What tokens are verified by.
pub(crate) struct Rules {
    /// The secret of HS256.
    pub(crate) secret: Option<SecretString>,
    /// Where the public keys of RS256 and ES256 are published.
    pub(crate) keys: Option<Source>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
}

/// Where a set of public keys (JWKS) is read.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Address(Url),
}

/// Verifies tokens.
pub(crate) struct Verifier {
    secret: Option<DecodingKey>,
    issuer: Option<String>,
    audience: Option<String>,
    source: Option<Source>,
    client: Client,
    keys: RwLock<Vec<Key>>,
    /// When the keys were fetched; locked during a fetch.
    fetched: Mutex<Option<Instant>>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "userId")]
    user_id: String,
    exp: u64,
}

/// What is taken from a token.
pub(crate) struct Holder {
    pub(crate) user: String,
    /// How long the token is still valid.
    pub(crate) remaining: Duration,
}

impl Verifier {
    pub(crate) fn new(rules: Rules) -> Result<Self> {
        let client = Client::builder().timeout(FETCH_TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self {
            secret: rules.secret.map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            issuer: rules.issuer,
            audience: rules.audience,
            source: rules.keys,
            client,
            keys: RwLock::default(),
            fetched: Mutex::default(),
        })
    }

    /// The holder of a token; `None` unless it is signed by a key of its algorithm, valid now, and names a user.
    pub(crate) async fn holder(&self, token: &str) -> Option<Holder> {
        let header = decode_header(token).ok()?;
        if header.alg == Algorithm::HS256 {
            return self.holder_by(token, Algorithm::HS256, self.secret.as_ref()?);
        }
        if ![Algorithm::RS256, Algorithm::ES256].contains(&header.alg) || self.source.is_none() {
            return None;
        }
        self.refresh(KEYS_MAX_AGE).await;
        if let Some(holder) = self.holder_by_published(token, &header) {
            return Some(holder);
        }
        // The key may be new, or may have replaced another one.
        self.refresh(KEYS_MIN_AGE).await;
        self.holder_by_published(token, &header)
    }

    fn holder_by_published(&self, token: &str, header: &Header) -> Option<Holder> {
        let keys = self.keys.read().ok()?;
        let fit = keys.iter().filter(|key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid));
        fit.into_iter().find_map(|key| self.holder_by(token, key.algorithm, &key.key))
    }

    fn holder_by(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> Option<Holder> {
        let mut rules = Validation::new(algorithm);
        rules.leeway = 0;
        rules.validate_nbf = true;
        rules.validate_aud = self.audience.is_some();
        if let Some(issuer) = &self.issuer {
            rules.set_issuer(&[issuer]);
            rules.required_spec_claims.insert("iss".to_owned());
        }
        if let Some(audience) = &self.audience {
            rules.set_audience(&[audience]);
            rules.required_spec_claims.insert("aud".to_owned());
        }
        let claims = decode::<Claims>(token, key, &rules).ok()?.claims;
        let user = Some(claims.user_id).filter(|user| !user.is_empty() && !user.contains('\0'))?;
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))?;
        Some(Holder { user, remaining: end.duration_since(SystemTime::now()).unwrap_or_default() })
    }

    /// Fetches the published keys unless they are younger than `age`. If that fails, the known keys stay in use.
    async fn refresh(&self, age: Duration) {
        let Some(source) = &self.source else { return };
        let mut fetched = self.fetched.lock().await;
        if fetched.is_some_and(|at| at.elapsed() < age) {
            return;
        }
        match self.fetch(source).await {
            Ok(keys) => {
                if let Ok(mut known) = self.keys.write() {
                    *known = keys;
                }
            }
            Err(error) => warn!(error = format!("{error:#}"), "can't fetch the keys that sign tokens"),
        }
        *fetched = Some(Instant::now());
    }

    async fn fetch(&self, source: &Source) -> Result<Vec<Key>> {
        let text = match source {
            Source::File(file) => tokio::fs::read(file).await.with_context(|| format!("can't read {}", file.display()))?,
            Source::Address(url) => {
                let mut answer = self.client.get(url.clone()).send().await?.error_for_status()?;
                let mut body = Vec::new();
                while let Some(chunk) = answer.chunk().await? {
                    ensure!(body.len() + chunk.len() <= MAX_KEY_SET, "the set of keys is too long");
                    body.extend_from_slice(&chunk);
                }
                body
            }
        };
        let set: JwkSet = serde_json::from_slice(&text).context("not a set of keys (JWKS)")?;
        let keys: Vec<_> = set.keys.iter().filter_map(usable).collect();
        ensure!(!keys.is_empty(), "the set has no key of RS256 or ES256");
        Ok(keys)
    }
}

/// A key with the one algorithm that its kind is accepted for; `None` for secrets and other kinds.
fn usable(jwk: &Jwk) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
}
