//! Secrets: values that no message, log line or `Debug` output shows.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use thiserror::Error;

/// A file that gives no secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("can't read the secret in {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is empty.
    #[error("{} holds no secret", .0.display())]
    Empty(PathBuf),
}

/// Parses a setting whose value is a secret.
pub fn parse(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

/// Reads the secret in a file, without the line break at its end.
pub fn read(file: &Path) -> Result<SecretString, SecretError> {
    let text = fs::read_to_string(file).map_err(|source| SecretError::Unreadable { file: file.to_owned(), source })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(SecretError::Empty(file.to_owned())),
        secret => Ok(secret.into()),
    }
}
