//! The application's tokens. Only the user is taken from a token. The permissions of the user are read from the database
//! at each request, so that a revoked permission ends at once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, errors::ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub(crate) use super::keys::Source;
use super::{
    header,
    keys::{Key, PublishedKeys},
};

/// What tokens are verified by.
pub(crate) struct Rules {
    /// The secret of HS256.
    pub(crate) secret: Option<SecretString>,
    /// Where the public keys of RS256 and ES256 are published.
    pub(crate) keys: Option<Source>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
}

/// Verifies tokens.
pub(crate) struct Verifier {
    secret: Option<DecodingKey>,
    issuer: Option<String>,
    audience: Option<String>,
    published: Option<PublishedKeys>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "userId")]
    user_id: String,
    exp: u64,
}

/// What is taken from a token.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) user: String,
    /// How long the token is still valid.
    pub(crate) remaining: Duration,
}

/// Why a token has no holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It is not signed by this key; it may be by another one.
    OtherKey,
    /// No key makes it valid.
    Final,
}

impl Verifier {
    pub(crate) fn new(rules: Rules) -> Result<Self> {
        Ok(Self {
            secret: rules.secret.map(|secret| DecodingKey::from_secret(secret.expose_secret().as_bytes())),
            issuer: rules.issuer,
            audience: rules.audience,
            published: rules.keys.map(PublishedKeys::new).transpose()?,
        })
    }

    /// The holder of a token; `None` unless it is signed by a key of its algorithm, valid now, and names a user.
    pub(crate) async fn holder(&self, token: &str) -> Option<Holder> {
        if !header::is_understood(token) {
            return None;
        }
        let header = decode_header(token).ok()?;
        match header.alg {
            Algorithm::HS256 => self.holder_by(token, Algorithm::HS256, self.secret.as_ref()?).ok(),
            Algorithm::RS256 | Algorithm::ES256 => {
                let published = self.published.as_ref()?;
                match self.holder_by_any(token, &header, &published.known()) {
                    Err(Refusal::OtherKey) => self.holder_by_any(token, &header, &published.newer().await?).ok(),
                    verdict => verdict.ok(),
                }
            }
            _ => None,
        }
    }

    fn holder_by_any(&self, token: &str, header: &Header, keys: &[Key]) -> Result<Holder, Refusal> {
        let fit = keys.iter().filter(|key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid));
        let mut verdicts = fit.map(|key| self.holder_by(token, key.algorithm, &key.key));
        verdicts.find(|verdict| !matches!(verdict, Err(Refusal::OtherKey))).unwrap_or(Err(Refusal::OtherKey))
    }

    fn holder_by(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Holder, Refusal> {
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
        let claims = decode::<Claims>(token, key, &rules).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Refusal::OtherKey,
            _ => Refusal::Final,
        })?;
        let Claims { user_id: user, exp } = claims.claims;
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(exp)).ok_or(Refusal::Final)?;
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err(Refusal::Final);
        }
        Ok(Holder { user, remaining: end.duration_since(SystemTime::now()).unwrap_or_default() })
    }
}
