//! The one secret that PEMS knows the relay by. It comes from the environment or a file, and is never shown.

use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use aws_lc_rs::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::settings::Settings;

/// Rounds of the fingerprint's derivation: some tens of milliseconds, once per start.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

/// How the relay logs in to PEMS: derived from which secret was given.
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

/// Why there are no credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// Not exactly one secret.
    #[error(
        "give exactly one secret for PEMS: PEMS_PASSWORD, PEMS_BEARER_TOKEN or PEMS_API_KEY, or the file of one; given: {given}"
    )]
    NotOne {
        /// Those that were given.
        given: String,
    },
    /// A password without a user.
    #[error("a password for PEMS is given, but no user: PEMS_USER or --pems-user")]
    NoUser,
    /// A file that can't be read.
    #[error("can't read the secret in {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with nothing in it.
    #[error("there is no secret in {}", .0.display())]
    Empty(PathBuf),
}

impl Credentials {
    /// Finds the one secret among files named by settings, and variables. An empty variable counts as not set.
    pub fn find(settings: &Settings, variable: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
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
                found.push((name, setting, read_secret(file)?));
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

    /// Six hexadecimal digits that tell these credentials apart from others for the same place.
    ///
    /// Derived slowly, and so short that thousands of passwords share each value: nobody can test a guess by it.
    pub fn fingerprint(&self, place: &[&str]) -> String {
        let (user, secret) = match self {
            Self::Basic { user, password } => (user.as_str(), password),
            Self::Bearer(secret) | Self::ApiKey(secret) => ("", secret),
        };
        let salt = [&["pfa-sync", self.kind(), user], place].concat().join("\0");
        let mut derived = [0; 3];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt.as_bytes(), secret.expose_secret().as_bytes(), &mut derived);
        derived.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What kind of login this is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "user and password",
            Self::Bearer(_) => "bearer token",
            Self::ApiKey(_) => "API key",
        }
    }
}

/// The secret in a file, without the line's end.
pub fn read_secret(file: &Path) -> Result<SecretString, CredentialsError> {
    let text = fs::read_to_string(file).map_err(|source| CredentialsError::Unreadable { file: file.to_owned(), source })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(CredentialsError::Empty(file.to_owned())),
        secret => Ok(secret.into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};
    use rstest::rstest;

    use super::*;

    fn find(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        let command = Settings::augment_args(Command::new("pfa-relay"));
        let arguments = ["pfa-relay"].iter().chain(arguments).map(Into::into);
        let settings =
            Settings::from_arg_matches(&crate::settings::read(command, crate::settings::SHIPPED, arguments).unwrap()).unwrap();
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
        assert_eq!(credentials.kind(), kind);
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
    fn a_fingerprint_tells_other_credentials_apart_and_holds_no_secret() {
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
