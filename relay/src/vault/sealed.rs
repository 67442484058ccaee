//! A secret as the database stores it.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::json;

use crate::credentials::{Credentials, Kind};

/// A secret as the database stores it, with what it is bound to.
#[derive(Clone, Deserialize)]
pub struct Sealed {
    /// Its row; 0 = not stored yet.
    pub credential_id: i64,
    /// Its PEMS.
    pub pems: String,
    /// The organization that it is for; `None` = every organization of the PEMS that has none of its own.
    pub organization_id: Option<String>,
    /// The kind of login.
    pub kind: Kind,
    /// The user of a password.
    pub user_name: Option<String>,
    /// Grows with each secret of the same PEMS and organization.
    pub version: i32,
    /// The address that it is sent to.
    pub address: String,
    /// The key that it is sealed with.
    pub key_id: String,
    #[serde(deserialize_with = "hexadecimal")]
    pub(super) nonce: Vec<u8>,
    #[serde(deserialize_with = "hexadecimal")]
    pub(super) ciphertext: Vec<u8>,
    /// `active` or `next`.
    pub status: String,
    /// Differs for other credentials.
    pub fingerprint: String,
}

impl Sealed {
    /// What a secret of these is bound to, before it is sealed.
    pub fn unsealed(
        pems: &str,
        organization_id: Option<String>,
        credentials: &Credentials,
        version: i32,
        address: &str,
        fingerprint: String,
    ) -> Self {
        Self {
            credential_id: 0,
            pems: pems.to_owned(),
            organization_id,
            kind: credentials.kind(),
            user_name: credentials.user().map(str::to_owned),
            version,
            address: address.to_owned(),
            key_id: String::new(),
            nonce: Vec::new(),
            ciphertext: Vec::new(),
            status: "next".to_owned(),
            fingerprint,
        }
    }

    /// The nonce.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The sealed secret, with its tag.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// A JSON array, in which no two different lists of values are the same text.
    pub(super) fn bound_to(&self) -> Vec<u8> {
        json!(["pfa-sync", self.pems, self.organization_id, self.kind.name(), self.user_name, self.version, self.address])
            .to_string()
            .into_bytes()
    }
}

/// Bytes of hexadecimal digits.
pub(super) fn decode(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

fn hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    decode(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not hexadecimal digits"))
}
