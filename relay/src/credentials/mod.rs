//! The credentials for PEMS. The secret comes from the environment or from a file, and is never shown.

mod login;

use std::{num::NonZeroU32, path::PathBuf};

use aws_lc_rs::pbkdf2;
use clap::{Args, ValueEnum};
use pfa_service::secret::{self, SecretError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;

pub use self::login::Login;

/// Settings of the credentials for PEMS.
#[derive(Args, Clone, Debug)]
pub struct CredentialSettings {
    /// The user that the password belongs to
    #[arg(long, value_name = "USER", help_heading = "PEMS")]
    pub pems_user: Option<String>,
    /// File with the password; or the password itself in PEMS_PASSWORD
    #[arg(long, value_name = "FILE", help_heading = "PEMS")]
    pub pems_password_file: Option<PathBuf>,
    /// File with a bearer token; or the token itself in PEMS_BEARER_TOKEN
    #[arg(long, value_name = "FILE", help_heading = "PEMS")]
    pub pems_bearer_token_file: Option<PathBuf>,
    /// File with an API key; or the key itself in PEMS_API_KEY
    #[arg(long, value_name = "FILE", help_heading = "PEMS")]
    pub pems_api_key_file: Option<PathBuf>,
}

/// Iterations of the fingerprint's derivation: some tens of milliseconds, once per start.
const FINGERPRINT_ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// The kinds of login.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// User and password, by HTTP Basic
    Basic,
    /// A bearer token
    Bearer,
    /// A key in the header X-Api-Key
    ApiKey,
}

impl Kind {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
            Self::ApiKey => "api_key",
        }
    }

    /// The kind in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Basic => "user and password",
            Self::Bearer => "bearer token",
            Self::ApiKey => "API key",
        }
    }
}

/// How the relay logs in to PEMS. The secret that is given decides the kind.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// HTTP Basic.
    Basic {
        /// The user.
        user: String,
        /// The user's password.
        password: SecretString,
    },
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `X-Api-Key`.
    ApiKey(SecretString),
}

/// Settings that give no usable credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// None, or more than one secret.
    #[error(
        "give exactly one secret for PEMS: PEMS_PASSWORD, PEMS_BEARER_TOKEN or PEMS_API_KEY, or the file of one; given: {given}"
    )]
    NotOne {
        /// The sources of the secrets given.
        given: String,
    },
    /// A password without a user.
    #[error("a password for PEMS is given, but no user: PEMS_USER or --pems-user")]
    NoUser,
    /// A file gives no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl Credentials {
    /// Credentials of a kind; the user is that of a password.
    pub fn new(kind: Kind, user: Option<&str>, secret: SecretString) -> Self {
        match kind {
            Kind::Basic => Self::Basic { user: user.unwrap_or_default().to_owned(), password: secret },
            Kind::Bearer => Self::Bearer(secret),
            Kind::ApiKey => Self::ApiKey(secret),
        }
    }

    /// Finds the one secret among the files named by settings and the environment variables. An empty variable counts as
    /// not set.
    pub fn find(settings: &CredentialSettings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
        let sources = [
            ("PEMS_PASSWORD", "pems-password-file", &settings.pems_password_file),
            ("PEMS_BEARER_TOKEN", "pems-bearer-token-file", &settings.pems_bearer_token_file),
            ("PEMS_API_KEY", "pems-api-key-file", &settings.pems_api_key_file),
        ];
        let mut found = Vec::new();
        for (name, setting, file) in sources {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                found.push((name, name, SecretString::from(value)));
            }
            if let Some(file) = file {
                found.push((name, setting, secret::read(file)?));
            }
        }
        let given = found.iter().map(|(_, source, _)| *source).collect::<Vec<_>>().join(", ");
        match <[_; 1]>::try_from(found) {
            Ok([("PEMS_PASSWORD", _, password)]) => {
                Ok(Self::Basic { user: settings.pems_user.clone().ok_or(CredentialsError::NoUser)?, password })
            }
            Ok([("PEMS_BEARER_TOKEN", _, token)]) => Ok(Self::Bearer(token)),
            Ok([(_, _, key)]) => Ok(Self::ApiKey(key)),
            Err(_) => Err(CredentialsError::NotOne { given: if given.is_empty() { "none".to_owned() } else { given } }),
        }
    }

    /// Six hexadecimal digits that distinguish these credentials from others for the same endpoint.
    ///
    /// Derived slowly, and so short that thousands of passwords share each value: it does not confirm a guess.
    pub fn fingerprint(&self, endpoint: &[&str]) -> String {
        let (user, secret) = match self {
            Self::Basic { user, password } => (user.as_str(), password),
            Self::Bearer(secret) | Self::ApiKey(secret) => ("", secret),
        };
        let salt = [&["pfa-sync", self.kind().name(), user], endpoint].concat().join("\0");
        let mut derived = [0; 3];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            FINGERPRINT_ITERATIONS,
            salt.as_bytes(),
            secret.expose_secret().as_bytes(),
            &mut derived,
        );
        derived.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn secret(&self) -> (&str, &str) {
        match self {
            Self::Basic { user, password } => (user, password.expose_secret()),
            Self::Bearer(secret) | Self::ApiKey(secret) => ("", secret.expose_secret()),
        }
    }

    /// The kind of login.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Basic { .. } => Kind::Basic,
            Self::Bearer(_) => Kind::Bearer,
            Self::ApiKey(_) => Kind::ApiKey,
        }
    }

    /// The user of a password.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Basic { user, .. } => Some(user),
            Self::Bearer(_) | Self::ApiKey(_) => None,
        }
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.secret() == other.secret()
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};
    use rstest::rstest;

    use super::*;

    fn find(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        let command = CredentialSettings::augment_args(Command::new("pfa-relay"));
        let matches = command.get_matches_from(["pfa-relay"].iter().chain(arguments));
        let settings = CredentialSettings::from_arg_matches(&matches).unwrap();
        Credentials::find(&settings, |wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        })
    }

    #[rstest]
    #[case(&[("PEMS_PASSWORD", "hush")], "user and password")]
    #[case(&[("PEMS_BEARER_TOKEN", "hush"), ("PEMS_API_KEY", "")], "bearer token")]
    #[case(&[("PEMS_API_KEY", "hush")], "API key")]
    fn the_secret_decides_the_kind(#[case] variables: &[(&str, &str)], #[case] kind: &str) {
        let credentials = find(&["--pems-user", "relay"], variables).unwrap();
        assert_eq!(credentials.kind().words(), kind);
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[rstest]
    #[case(&[], "none")]
    #[case(&[("PEMS_PASSWORD", "hush"), ("PEMS_API_KEY", "hush")], "PEMS_PASSWORD, PEMS_API_KEY")]
    fn there_must_be_exactly_one(#[case] variables: &[(&str, &str)], #[case] expected: &str) {
        let error = find(&["--pems-user", "relay"], variables).unwrap_err();
        assert!(matches!(&error, CredentialsError::NotOne { given } if given == expected), "{error}");
    }

    #[test]
    fn a_fingerprint_distinguishes_credentials_and_holds_no_secret() {
        let of = |user: &str, password: &str| {
            let credentials = Credentials::Basic { user: user.to_owned(), password: password.into() };
            credentials.fingerprint(&["https://pems.example", "TEST"])
        };
        assert_eq!(of("relay", "hush"), of("relay", "hush"));
        assert_ne!(of("relay", "hush"), of("relay", "hush2"));
        assert_ne!(of("relay", "hush"), of("relay2", "hush"));
        assert_eq!(of("relay", "hush").len(), 6);
    }

    #[test]
    fn a_password_needs_a_user() {
        assert!(matches!(find(&[], &[("PEMS_PASSWORD", "hush")]), Err(CredentialsError::NoUser)));
    }
}
