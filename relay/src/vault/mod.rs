//! Seals secrets for the database and opens them in memory: AES-256-GCM, with keys that the database does not have.
//!
//! Associated data bind a sealed secret to its PEMS, organization, kind, user, version and address: a row that was moved to
//! another organization, an older row, or a PEMS that was given another address opens nothing.

mod sealed;

use std::path::Path;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use pfa_service::secret::{self, SecretError};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use thiserror::Error;

pub use self::sealed::Sealed;
use self::sealed::decode;
use crate::credentials::Credentials;

/// Longest id of a key, in characters.
const MAX_KEY_ID: usize = 40;

/// Keys that can't be used, or a secret that they don't open. No message repeats a key or a secret.
#[derive(Debug, Error)]
pub enum VaultError {
    /// The text is not a list of keys.
    #[error(
        "line {line} of the credentials keys is not a key: a line is an id of letters, digits and -, a colon, and 64 \
         hexadecimal digits; pfa-relay credentials generate-key prints one"
    )]
    NotAKey {
        /// The line, from 1.
        line: usize,
    },
    /// Two keys have one id.
    #[error("two of the credentials keys have the id {0}")]
    Twice(String),
    /// There are no keys.
    #[error("no credentials key is given: pems-credentials-key-file, or the key itself in PEMS_CREDENTIALS_KEY")]
    NoKeys,
    /// The file can't be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key that a secret is sealed with is not among those given.
    #[error("it is sealed with the key {0}, which is not among the credentials keys given")]
    UnknownKey(String),
    /// The secret does not open.
    #[error(
        "the key {0} does not open it: it was sealed with another key of this id, or the row was changed or belongs to \
         another PEMS or organization; set the credentials again"
    )]
    Sealed(String),
    /// The PEMS has another address than the secret was sealed for.
    #[error("it is sealed for {sealed}, and the PEMS is at {address} now; set the credentials again")]
    OtherAddress {
        /// The address that it was sealed for.
        sealed: String,
        /// The address now.
        address: String,
    },
    /// The library failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// Keys that seal and open; the first one seals.
#[derive(Default)]
pub struct Keys(Vec<(String, Zeroizing<Vec<u8>>)>);

impl Keys {
    /// The keys in a file or, without one, in the text of a variable; none when neither is given.
    pub fn find(file: Option<&Path>, variable: Option<String>) -> Result<Self, VaultError> {
        match (file, variable.filter(|text| !text.is_empty())) {
            (Some(file), _) => Self::parse(secret::read(file)?.expose_secret()),
            (None, Some(text)) => Self::parse(&text),
            (None, None) => Ok(Self::default()),
        }
    }

    /// Keys of the form `id:hexadecimal digits`, a line each. Empty lines and those that begin with # are skipped.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let mut keys: Vec<(String, Zeroizing<Vec<u8>>)> = Vec::new();
        for (number, line) in
            text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        {
            let key = line.split_once(':').and_then(|(id, digits)| Some((id, decode(digits)?)));
            let valid =
                |id: &str| !id.is_empty() && id.len() <= MAX_KEY_ID && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            match key {
                Some((id, bytes)) if valid(id) && bytes.len() == 32 => {
                    if keys.iter().any(|(other, _)| other == id) {
                        return Err(VaultError::Twice(id.to_owned()));
                    }
                    keys.push((id.to_owned(), Zeroizing::new(bytes)));
                }
                _ => return Err(VaultError::NotAKey { line: number + 1 }),
            }
        }
        Ok(Self(keys))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of the key that seals.
    pub fn sealing(&self) -> Option<&str> {
        self.0.first().map(|(id, _)| id.as_str())
    }

    /// Seals a secret under what `sealed` is bound to: fills in the key's id, nonce and ciphertext.
    pub fn seal(&self, sealed: Sealed, secret: &SecretString) -> Result<Sealed, VaultError> {
        let (id, key) = self.0.first().ok_or(VaultError::NoKeys)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| VaultError::Library)?;
        let mut bytes = Zeroizing::new(secret.expose_secret().as_bytes().to_vec());
        let nonce = key.seal_in_place_append_tag(Aad::from(sealed.bound_to()), &mut *bytes).map_err(|_| VaultError::Library)?;
        Ok(Sealed { key_id: id.clone(), nonce: nonce.as_ref().to_vec(), ciphertext: bytes.to_vec(), ..sealed })
    }

    /// Opens a secret for the PEMS at `address`.
    pub fn open(&self, sealed: &Sealed, address: &str) -> Result<Credentials, VaultError> {
        if sealed.address != address {
            return Err(VaultError::OtherAddress { sealed: sealed.address.clone(), address: address.to_owned() });
        }
        Ok(Credentials::new(sealed.kind, sealed.user_name.as_deref(), self.secret(sealed)?))
    }

    /// The secret itself, whatever the address.
    pub fn secret(&self, sealed: &Sealed) -> Result<SecretString, VaultError> {
        let unknown = || VaultError::UnknownKey(sealed.key_id.clone());
        let refused = || VaultError::Sealed(sealed.key_id.clone());
        let (_, key) = self.0.iter().find(|(id, _)| *id == sealed.key_id).ok_or_else(unknown)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| VaultError::Library)?;
        let nonce = <[u8; NONCE_LEN]>::try_from(sealed.nonce.as_slice()).map_err(|_| refused())?;
        let mut bytes = Zeroizing::new(sealed.ciphertext.clone());
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(sealed.bound_to()), &mut bytes)
            .map_err(|_| refused())?;
        std::str::from_utf8(opened).map(SecretString::from).map_err(|_| refused())
    }
}

/// A new key with this id, as a line of a key file.
pub fn generate_key(id: &str) -> Result<Zeroizing<String>, VaultError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| VaultError::Library)?;
    let digits = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let line = Zeroizing::new(format!("{id}:{}", *digits));
    Keys::parse(&line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::credentials::Kind;

    fn keys(ids: &[&str]) -> Keys {
        let line = |(n, id): (usize, &&str)| format!("{id}:{}", format!("{n}f").repeat(32));
        Keys::parse(&ids.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")).unwrap()
    }

    fn sealed(keys: &Keys) -> Sealed {
        let credentials = Credentials::new(Kind::Basic, Some("relay"), "hush".into());
        let bound = Sealed::unsealed("east", Some("org_1".to_owned()), &credentials, 3, "https://pems.example", "aabbcc".into());
        keys.seal(bound, &"hush".into()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_wherever_that_stands() {
        let sealed = sealed(&keys(&["new"]));
        assert_eq!(sealed.key_id, "new");
        assert!(!sealed.ciphertext.windows(4).any(|bytes| bytes == b"hush"));
        let opened = keys(&["new", "old"]).open(&sealed, "https://pems.example").unwrap();
        assert_eq!(opened, Credentials::new(Kind::Basic, Some("relay"), "hush".into()));
        let other = self::sealed(&keys(&["new"]));
        assert_ne!(other.nonce, sealed.nonce, "no nonce is used twice");
    }

    #[rstest]
    #[case::pems(|s: &mut Sealed| s.pems = "west".into())]
    #[case::organization(|s: &mut Sealed| s.organization_id = Some("org_2".into()))]
    #[case::no_organization(|s: &mut Sealed| s.organization_id = None)]
    #[case::kind(|s: &mut Sealed| s.kind = Kind::Bearer)]
    #[case::user(|s: &mut Sealed| s.user_name = Some("other".into()))]
    #[case::version(|s: &mut Sealed| s.version = 2)]
    #[case::truncated(|s: &mut Sealed| { s.ciphertext.pop(); })]
    #[case::empty(|s: &mut Sealed| s.ciphertext.clear())]
    #[case::changed(|s: &mut Sealed| s.ciphertext[0] ^= 1)]
    #[case::nonce(|s: &mut Sealed| s.nonce[0] ^= 1)]
    #[case::short_nonce(|s: &mut Sealed| { s.nonce.pop(); })]
    fn a_row_that_was_changed_or_moved_does_not_open(#[case] change: fn(&mut Sealed)) {
        let keys = keys(&["k"]);
        let mut moved = sealed(&keys);
        change(&mut moved);
        assert!(matches!(keys.secret(&moved), Err(VaultError::Sealed(_))));
    }

    #[test]
    fn a_secret_is_not_opened_for_another_address_even_if_the_row_says_so() {
        let keys = keys(&["k"]);
        let mut moved = sealed(&keys);
        assert!(matches!(keys.open(&moved, "https://evil.example"), Err(VaultError::OtherAddress { .. })));
        moved.address = "https://evil.example".to_owned();
        assert!(matches!(keys.open(&moved, "https://evil.example"), Err(VaultError::Sealed(_))));
    }

    #[test]
    fn a_wrong_or_unknown_key_is_named() {
        let sealed = sealed(&keys(&["k"]));
        assert!(matches!(keys(&["other", "k"]).secret(&sealed), Err(VaultError::Sealed(id)) if id == "k"));
        assert!(matches!(keys(&["other"]).secret(&sealed), Err(VaultError::UnknownKey(id)) if id == "k"));
    }

    #[rstest]
    #[case("k:00", 1)]
    #[case("# a comment\n\nnot a key", 3)]
    #[case("k k:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", 1)]
    fn what_is_not_a_key_is_refused_by_its_line(#[case] text: &str, #[case] expected: usize) {
        assert!(matches!(Keys::parse(text), Err(VaultError::NotAKey { line }) if line == expected));
    }

    #[test]
    fn a_generated_key_is_a_key() {
        let (one, two) = (generate_key("k1").unwrap(), generate_key("k1").unwrap());
        assert_ne!(one, two);
        assert_eq!(Keys::parse(&format!("{}\n{}", *one, generate_key("k2").unwrap().as_str())).unwrap().sealing(), Some("k1"));
        assert!(generate_key("k 1").is_err());
    }
}
