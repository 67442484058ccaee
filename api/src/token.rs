//! The application's tokens: who asks, and nothing else of what they claim. What that user may do is looked up in the
//! database at each request, so that a revoked right ends at once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// Checks tokens signed by HS256.
pub(crate) struct Verifier {
    key: DecodingKey,
    rules: Validation,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "userId")]
    user_id: String,
    exp: u64,
}

/// What of a token counts.
pub(crate) struct Holder {
    pub(crate) user: String,
    /// How long the token is still in force.
    pub(crate) remaining: Duration,
}

impl Verifier {
    pub(crate) fn new(secret: &SecretString) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        rules.validate_nbf = true;
        rules.validate_aud = false;
        Self { key: DecodingKey::from_secret(secret.expose_secret().as_bytes()), rules }
    }

    /// Who holds a token; `None` unless it is signed, of the one algorithm, in force, and names somebody.
    pub(crate) fn holder(&self, token: &str) -> Option<Holder> {
        let claims = decode::<Claims>(token, &self.key, &self.rules).ok()?.claims;
        let user = Some(claims.user_id).filter(|user| !user.is_empty() && !user.contains('\0'))?;
        let remaining = (UNIX_EPOCH + Duration::from_secs(claims.exp)).duration_since(SystemTime::now()).unwrap_or_default();
        Some(Holder { user, remaining })
    }
}
