//! Mails over SMTP.

use std::{path::PathBuf, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Delivery, error::AlertSettingsError, text};
use crate::loopback::is_loopback_url;

/// Longest wait for an answer of the mail server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends mails.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
}

impl Mailer {
    /// Mails through the server of a URL: smtps, or smtp with STARTTLS. Without TLS to this machine alone.
    pub(super) fn new(
        url: &str,
        password: Option<&SecretString>,
        sender: &str,
        authorities: Option<&[u8]>,
    ) -> Result<Self, AlertSettingsError> {
        let invalid = |error: &dyn std::fmt::Display| AlertSettingsError::SmtpUrl(error.to_string());
        let url = Url::parse(url).map_err(|error| invalid(&error))?;
        if url.password().is_some() {
            return Err(AlertSettingsError::ExposedPassword);
        }
        let host = url.host_str().ok_or_else(|| invalid(&"it names no host"))?;
        let mut parameters = TlsParameters::builder(host.to_owned());
        for certificate in authorities.map(certificates).transpose()?.unwrap_or_default() {
            parameters = parameters.add_root_certificate(certificate);
        }
        let parameters = parameters.build().map_err(|error| invalid(&error))?;
        let tls_required = url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(parameters), 465),
            "smtp" if tls_required => (Tls::Required(parameters), 587),
            "smtp" if is_loopback_url(&url) => (Tls::None, 25),
            "smtp" => return Err(invalid(&"without tls=required, mails could be read on the network")),
            _ => return Err(invalid(&"the scheme is neither smtps nor smtp")),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(TIMEOUT));
        if let Some(password) = password {
            let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy().into_owned();
            builder = builder.credentials(Credentials::new(user, password.expose_secret().to_owned()));
        }
        let sender = sender.parse().map_err(|_| AlertSettingsError::Sender)?;
        Ok(Self { transport: builder.build(), sender })
    }

    /// Hands a message over to the mail server.
    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), String> {
        let recipient: Mailbox = delivery.address.parse().map_err(|_| "the address is not a mail address".to_owned())?;
        let message = &delivery.message;
        let mail = Message::builder()
            .from(self.sender.clone())
            .to(recipient)
            .message_id(Some(format!("<pfa-sync-alert-{}@{}>", delivery.id, self.sender.email.domain())))
            .subject(subject(message))
            .header(ContentType::TEXT_PLAIN)
            .body(body(message))
            .map_err(|error| error.to_string())?;
        self.transport.send(mail).await.map(drop).map_err(|error| error.to_string())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, AlertSettingsError> {
    let unusable = || AlertSettingsError::Ca(PathBuf::new());
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .map(|der| der.ok().and_then(|der| Certificate::from_der(der.to_vec()).ok()))
        .collect::<Option<_>>()
        .ok_or_else(unusable)?;
    if certificates.is_empty() { Err(unusable()) } else { Ok(certificates) }
}

fn subject(message: &serde_json::Value) -> String {
    let state = match message["type"].as_str() {
        Some("alert.resolved") => "recovered",
        _ => text(message, "severity").unwrap_or("alert"),
    };
    let place = [text(message, "instance"), text(message, "organization")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let rule = text(message, "rule").unwrap_or_default();
    let place = if place.is_empty() { String::new() } else { format!(" {place}") };
    format!("[pfa-sync{place}] {state}: {rule}")
}

fn body(message: &serde_json::Value) -> String {
    let line = |label: &str, field: &str| text(message, field).map(|value| format!("{label}: {value}\n")).unwrap_or_default();
    [
        line("What", "meaning"),
        line("Now", "reason"),
        line("What to do", "action"),
        line("Organization", "organization"),
        line("Raised at", "raised_at"),
        line("Recovered at", "resolved_at"),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mail_says_what_and_what_to_do() {
        let message = json!({"type": "alert.raised", "data": {"rule": "no_relay", "severity": "critical", "instance": "Rio",
            "meaning": "no relay runs", "reason": "the last heartbeat was at noon", "action": "start one", "raised_at": "noon"}});
        assert_eq!(subject(&message), "[pfa-sync Rio] critical: no_relay");
        assert_eq!(
            body(&message),
            "What: no relay runs\nNow: the last heartbeat was at noon\nWhat to do: start one\nRaised at: noon\n"
        );
    }

    #[rstest]
    #[case::plain("smtp://mail.example", "tls=required")]
    #[case::scheme("http://mail.example", "scheme")]
    #[case::password("smtps://u:hush@mail.example", "ALERT_SMTP_PASSWORD")]
    #[case::no_url("mail.example", "alert-smtp-url")]
    fn a_server_that_is_not_safe_is_refused(#[case] url: &str, #[case] expected: &str) {
        let error = Mailer::new(url, None, "a@b.example", None).err().unwrap().to_string();
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }

    #[test]
    fn the_sender_must_be_an_address() {
        assert!(matches!(Mailer::new("smtps://mail.example", None, "nobody", None), Err(AlertSettingsError::Sender)));
    }
}
