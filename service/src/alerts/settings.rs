//! The settings of the channels of alerts.

use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;

use super::{error::AlertSettingsError, mail::Mailer, webhook::Webhooks};
use crate::secret::{self, SecretError};

/// How alerts are sent. Where they are sent is in the database.
#[derive(Args, Clone, Debug)]
pub struct AlertArguments {
    /// File with the secret that signs webhooks; or the secret itself in ALERT_WEBHOOK_SECRET
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    pub alert_webhook_secret_file: Option<PathBuf>,
    /// Mail server: smtps://user@host or smtp://user@host?tls=required
    #[arg(long, value_name = "URL", hide_env_values = true, help_heading = "Alerts")]
    pub alert_smtp_url: Option<String>,
    /// File with the password of alert-smtp-url; or the password itself in ALERT_SMTP_PASSWORD
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    pub alert_smtp_password_file: Option<PathBuf>,
    /// Sender of mails
    #[arg(long, value_name = "ADDRESS", help_heading = "Alerts")]
    pub alert_mail_from: Option<String>,
    /// PEM file of further authorities for webhooks and the mail server
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    pub alert_ca: Option<PathBuf>,
}

impl AlertArguments {
    /// A client for webhooks; `None` = there is no secret to sign them with.
    pub(super) fn webhooks(&self) -> Result<Option<Webhooks>, AlertSettingsError> {
        let secret = given(self.alert_webhook_secret_file.as_deref(), "ALERT_WEBHOOK_SECRET")?;
        secret.map(|secret| Webhooks::new(&secret, self.authorities()?.as_deref())).transpose()
    }

    /// A client for mails; `None` = there is no mail server.
    pub(super) fn mailer(&self) -> Result<Option<Mailer>, AlertSettingsError> {
        let Some(url) = &self.alert_smtp_url else { return Ok(None) };
        let password = given(self.alert_smtp_password_file.as_deref(), "ALERT_SMTP_PASSWORD")?;
        let sender = self.alert_mail_from.as_deref().ok_or(AlertSettingsError::Sender)?;
        Mailer::new(url, password.as_ref(), sender, self.authorities()?.as_deref()).map(Some)
    }

    fn authorities(&self) -> Result<Option<Vec<u8>>, AlertSettingsError> {
        let read = |file: &PathBuf| std::fs::read(file).map_err(|_| AlertSettingsError::Ca(file.clone()));
        self.alert_ca.as_ref().map(read).transpose()
    }
}

/// The secret in a file, else in a variable.
fn given(file: Option<&Path>, variable: &str) -> Result<Option<SecretString>, SecretError> {
    match file {
        Some(file) => secret::read(file).map(Some),
        None => Ok(std::env::var(variable).ok().filter(|text| !text.is_empty()).map(SecretString::from)),
    }
}
