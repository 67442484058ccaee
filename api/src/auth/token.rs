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
    /// A NumericDate (RFC 7519): seconds, which may have a fraction.
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// What is taken from a token.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) user: String,
    /// How long the token is still valid.
    pub(crate) remaining: Duration,
}

/// How far the clock of the issuer of tokens may differ from ours.
const LEEWAY: Duration = Duration::from_secs(5);

/// Why a token has no holder, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not signed by this key; it may be by another one.
    OtherKey,
    /// No key makes it valid.
    Final(&'static str),
}

impl Refusal {
    /// The reason, for the log and for `WWW-Authenticate`. It repeats nothing of the token.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::OtherKey => "the token is signed by no key that this service knows",
            Self::Final(reason) => reason,
        }
    }
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

    /// The holder of a token, if it is signed by a key of its algorithm, valid now, and names a user.
    pub(crate) async fn holder(&self, token: &str) -> Result<Holder, Refusal> {
        const UNREADABLE: Refusal = Refusal::Final("the token is not a JWT, or asks for an extension that is not known");
        if !header::is_understood(token) {
            return Err(UNREADABLE);
        }
        let header = decode_header(token).map_err(|_| UNREADABLE)?;
        match (header.alg, &self.secret, &self.published) {
            (Algorithm::HS256, Some(secret), _) => self.holder_by(token, Algorithm::HS256, secret),
            (Algorithm::RS256 | Algorithm::ES256, _, Some(published)) => {
                match self.holder_by_any(token, &header, &published.known()) {
                    Err(Refusal::OtherKey) => {
                        self.holder_by_any(token, &header, &published.newer().await.ok_or(Refusal::OtherKey)?)
                    }
                    verdict => verdict,
                }
            }
            _ => Err(Refusal::Final("the token is signed by an algorithm that this service has no key for")),
        }
    }

    fn holder_by_any(&self, token: &str, header: &Header, keys: &[Key]) -> Result<Holder, Refusal> {
        let fit = keys.iter().filter(|key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid));
        let mut verdicts = fit.map(|key| self.holder_by(token, key.algorithm, &key.key));
        verdicts.find(|verdict| !matches!(verdict, Err(Refusal::OtherKey))).unwrap_or(Err(Refusal::OtherKey))
    }

    fn holder_by(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Holder, Refusal> {
        let mut rules = Validation::new(algorithm);
        // The times are checked below: jsonwebtoken reads no fraction where serde_json keeps numbers exactly.
        rules.validate_exp = false;
        rules.required_spec_claims.clear();
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
            ErrorKind::InvalidIssuer => Refusal::Final("the token is of another issuer (iss)"),
            ErrorKind::InvalidAudience => Refusal::Final("the token is for another audience (aud)"),
            ErrorKind::MissingRequiredClaim(_) => Refusal::Final("the token lacks exp, iss or aud"),
            _ => Refusal::Final("the claims of the token can't be read: userId is a text, exp a number"),
        })?;
        let Claims { user_id: user, exp, nbf } = claims.claims;
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
        let exp = exp.ok_or(Refusal::Final("the token lacks exp, iss or aud"))?;
        let end = time(exp).and_then(|end| end.checked_add(LEEWAY));
        let end = end.ok_or(Refusal::Final("the token ends at no time (exp)"))?;
        if end <= SystemTime::now() {
            return Err(Refusal::Final("the token has expired"));
        }
        if let Some(nbf) = nbf {
            let begin = time(nbf).ok_or(Refusal::Final("the token begins at no time (nbf)"))?;
            if begin > SystemTime::now() + LEEWAY {
                return Err(Refusal::Final("the token is not valid yet (nbf)"));
            }
        }
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err(Refusal::Final("the token names no user (userId)"));
        }
        Ok(Holder { user, remaining: end.duration_since(SystemTime::now()).unwrap_or_default() })
    }
}
