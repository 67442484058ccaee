//! Webhooks, signed as <https://www.standardwebhooks.com> says: the receiver checks `webhook-signature` over id, time and
//! body, and takes a message whose `webhook-id` it has seen for a repetition.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Certificate, Client, Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};

use super::{Delivery, error::AlertSettingsError};
use crate::loopback::is_loopback_url;

/// Shortest secret, in bytes.
const MIN_SECRET: usize = 24;

/// Sends webhooks.
pub(super) struct Webhooks {
    client: Client,
    key: hmac::Key,
}

impl Webhooks {
    /// Webhooks signed with this secret: base64, with or without `whsec_`.
    pub(super) fn new(secret: &SecretString, authorities: Option<&[u8]>) -> Result<Self, AlertSettingsError> {
        let encoded = secret.expose_secret().trim();
        let bytes = STANDARD.decode(encoded.strip_prefix("whsec_").unwrap_or(encoded)).unwrap_or_default();
        if bytes.len() < MIN_SECRET {
            return Err(AlertSettingsError::WebhookSecret);
        }
        let mut builder =
            Client::builder().user_agent(concat!("pfa-sync/", env!("CARGO_PKG_VERSION"))).redirect(Policy::none()).no_proxy();
        if let Some(pem) = authorities {
            let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(AlertSettingsError::Ca(PathBuf::new()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| AlertSettingsError::Client(error.to_string()))?;
        Ok(Self { client, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// Sends a message; a status other than 2xx is an error, of which only the status is kept.
    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), String> {
        let url = Url::parse(&delivery.address).map_err(|error| error.to_string())?;
        if url.scheme() != "https" && !is_loopback_url(&url) {
            return Err("the address must be https; plain http is accepted only to this machine".to_owned());
        }
        let id = format!("pfa-sync-alert-{}", delivery.id);
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default();
        let body = delivery.message.to_string();
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", self.signature(&id, seconds, &body))
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the receiver answered {}", answer.status().as_u16())),
            Err(error) => Err(error.without_url().to_string()),
        }
    }

    fn signature(&self, id: &str, seconds: u64, body: &str) -> String {
        let tag = hmac::sign(&self.key, format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let webhooks = Webhooks::new(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), None).unwrap();
        let signature = webhooks.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[rstest]
    #[case("")]
    #[case("whsec_short")]
    #[case("not base64 at all, though long enough")]
    fn what_is_no_secret_is_refused(#[case] secret: &str) {
        assert!(matches!(Webhooks::new(&secret.into(), None), Err(AlertSettingsError::WebhookSecret)));
    }
}
