//! What can be wrong with the settings of alerts.

use std::path::PathBuf;

use thiserror::Error;

use crate::secret::SecretError;

/// Settings of alerts that can't be used. No message repeats a secret.
#[derive(Debug, Error)]
pub enum AlertSettingsError {
    /// A file gives no secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The webhook secret is not one.
    #[error("the secret of webhooks is not whsec_ and at least 24 bytes in base64: openssl rand -base64 32 makes one")]
    WebhookSecret,
    /// The address of the mail server is not one.
    #[error("alert-smtp-url is not smtps://user@host or smtp://user@host?tls=required: {0}")]
    SmtpUrl(String),
    /// The address of the mail server holds a password.
    #[error("alert-smtp-url holds a password: give it in ALERT_SMTP_PASSWORD or alert-smtp-password-file")]
    ExposedPassword,
    /// The sender is missing, or is not an address.
    #[error("alert-mail-from must be a mail address, since alert-smtp-url is set")]
    Sender,
    /// The file of authorities can't be used.
    #[error("alert-ca {} holds no certificate in PEM form", .0.display())]
    Ca(PathBuf),
    /// No client can be built.
    #[error("no client for webhooks can be built: {0}")]
    Client(String),
}
