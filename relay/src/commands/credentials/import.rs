//! Taking over the application's own credentials.

use std::path::PathBuf;

use aes_gcm::{
    AesGcm, KeyInit, Nonce,
    aead::{Aead, consts::U16},
    aes::Aes256,
};
use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use pfa_service::secret;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::Deserialize;

use super::{Owner, Session};
use crate::credentials::{Credentials, Kind};

pub(super) const HELP: &str = "\
The rows are CSV with the columns organization, user and secret, both as the application stores them:
base64(iv):base64(tag):base64(ciphertext). The key is the application's ENCRYPTION_KEY, 64 hexadecimal digits.

Example, as a role that may read the application's table:
  psql -d DATABASE --csv -c 'select o.code as organization, c.\"authKeyEncrypted\" as user,
      c.\"authValueEncrypted\" as secret from organization_api_credentials c
      join organizations o on o.id = c.\"organizationId\"' |
  pfa-relay credentials import --encryption-key-file /run/secrets/encryption-key";

/// What is imported.
#[derive(Args, Debug)]
pub struct Import {
    /// The PEMS that they are for
    #[arg(long, value_name = "NAME", default_value = "default")]
    pems: String,
    /// The kind of login; the user of another kind than basic is ignored
    #[arg(long, value_name = "KIND", value_enum, default_value = "basic")]
    kind: Kind,
    /// File with the application's ENCRYPTION_KEY
    #[arg(long, value_name = "FILE")]
    encryption_key_file: PathBuf,
    /// CSV file [default: standard input]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take them into use without trying them
    #[arg(long)]
    unverified: bool,
}

/// A row of the application.
#[derive(Deserialize)]
struct Row {
    organization: String,
    user: Option<String>,
    secret: String,
}

impl Import {
    /// `Ok(false)` = some rows were not taken over; each says why.
    pub(super) async fn run(&self, session: &Session) -> Result<bool> {
        let key = Cipher::new(secret::read(&self.encryption_key_file)?.expose_secret())
            .context("the encryption key is 64 hexadecimal digits")?;
        let input: Box<dyn std::io::Read> = match &self.file {
            Some(file) => Box::new(std::fs::File::open(file).with_context(|| format!("can't read {}", file.display()))?),
            None => Box::new(std::io::stdin()),
        };
        let rows: Vec<Row> = csv::Reader::from_reader(input)
            .deserialize()
            .collect::<Result<_, _>>()
            .context("the rows are not CSV with the columns organization, user and secret")?;
        if rows.is_empty() {
            bail!("there are no rows to import");
        }
        let mut all = true;
        for row in rows {
            if let Err(error) = self.take(session, &key, &row).await {
                println!("organization {}: FAILED: {error:#}", row.organization);
                all = false;
            }
        }
        Ok(all)
    }

    async fn take(&self, session: &Session, key: &Cipher, row: &Row) -> Result<()> {
        let secret = key.open(&row.secret).context("the secret does not open with this encryption key")?;
        let user = match (self.kind, row.user.as_deref().filter(|user| !user.is_empty())) {
            (Kind::Basic, Some(user)) => {
                let user = key.open(user).context("the user does not open with this encryption key")?;
                Some(user.expose_secret().to_owned())
            }
            (Kind::Basic, None) => bail!("it has no user"),
            _ => None,
        };
        let owner = Owner { pems: self.pems.clone(), organization: Some(row.organization.clone()) };
        let credentials = Credentials::new(self.kind, user.as_deref(), secret.clone());
        session.replace(&owner, credentials, &secret, self.unverified).await
    }
}

/// AES-256-GCM as the application uses it: initialization vectors of 16 bytes, no associated data.
struct Cipher(AesGcm<Aes256, U16>);

impl Cipher {
    fn new(digits: &str) -> Option<Self> {
        let digits = digits.trim();
        if digits.len() != 64 || !digits.is_ascii() {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
        let key = Zeroizing::new((0..64).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?);
        AesGcm::new_from_slice(&key).ok().map(Self)
    }

    fn open(&self, text: &str) -> Option<SecretString> {
        let parts: Vec<_> = text.trim().split(':').map(|part| STANDARD.decode(part).ok()).collect::<Option<_>>()?;
        let [iv, tag, ciphertext] = <[Vec<u8>; 3]>::try_from(parts).ok()?;
        let iv = Nonce::<U16>::try_from(iv.as_slice()).ok().filter(|_| tag.len() == 16)?;
        let sealed = [ciphertext, tag].concat();
        let opened = Zeroizing::new(self.0.decrypt(&iv, sealed.as_slice()).ok()?);
        std::str::from_utf8(&opened).ok().map(SecretString::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Node's crypto with the application's functions: key 00…1f, iv 00…0f, text "hush".
    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn what_the_application_sealed_opens() {
        let sealed = include_str!("import_sample.txt");
        let opened = Cipher::new(KEY).unwrap().open(sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hush");
    }

    #[test]
    fn what_was_changed_or_is_no_such_text_does_not_open() {
        let sealed = include_str!("import_sample.txt").trim();
        let key = Cipher::new(KEY).unwrap();
        let other = Cipher::new(&KEY.replace("1f", "20")).unwrap();
        assert!(other.open(sealed).is_none());
        let [iv, tag, ciphertext] = <[&str; 3]>::try_from(sealed.split(':').collect::<Vec<_>>()).unwrap();
        for text in [
            format!("{iv}:{tag}"),
            format!("{iv}:{tag}:"),
            format!("{tag}:{iv}:{ciphertext}"),
            format!("{iv}:AAAA:{ciphertext}"),
            "no:base:64!".to_owned(),
            String::new(),
        ] {
            assert!(key.open(&text).is_none(), "{text}");
        }
        assert!(Cipher::new("00").is_none() && Cipher::new(&"zz".repeat(32)).is_none());
    }
}
