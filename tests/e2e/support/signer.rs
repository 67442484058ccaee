//! Key pairs that sign tokens.

use anyhow::{Context, Result};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::Value;

/// A key pair and its name.
pub struct Signer {
    pub algorithm: Algorithm,
    id: &'static str,
    key: EncodingKey,
}

impl Signer {
    pub fn es256(id: &'static str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self { algorithm: Algorithm::ES256, id, key: EncodingKey::from_ec_der(&pair.serialize_der()) })
    }

    pub fn rs256(id: &'static str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256)?.serialize_der();
        // Inside of PKCS #8, behind a head of 26 bytes.
        let inner = pair.get(26..).filter(|inner| inner[0] == 0x30).context("PKCS #1 within PKCS #8")?;
        Ok(Self { algorithm: Algorithm::RS256, id, key: EncodingKey::from_rsa_der(inner) })
    }

    pub fn public(&self) -> Result<Value> {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm)?;
        jwk.common.key_id = Some(self.id.to_owned());
        Ok(serde_json::to_value(jwk)?)
    }

    pub fn token(&self, claims: &Value) -> Result<String> {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        Ok(encode(&header, claims, &self.key)?)
    }
}
