//! Whether PEMS' certificate is accepted. The first connection decides: a certificate that is not is a fault of the settings
//! or of the server, which ends the program; one that expires later is an outage.

use std::future::pending;

use pfa_service::certificate;
use tokio::sync::watch;

use crate::pems::Failure;

#[derive(Debug, Default)]
pub(super) struct Trust(watch::Sender<State>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unknown,
    Accepted,
    Refused(String),
}

impl Trust {
    /// Takes note of a request: answered, or failed.
    pub fn record(&self, request: Result<(), &Failure>) {
        let state = match request {
            Ok(()) => State::Accepted,
            Err(failure) => match failure.source.as_deref().and_then(|source| certificate::fault(source, "pems-ca")) {
                Some(fault) => State::Refused(fault),
                None => return,
            },
        };
        self.0.send_if_modified(|known| {
            let first = matches!(known, State::Unknown);
            if first {
                *known = state;
            }
            first
        });
    }

    /// Waits until the certificate is refused, and says why.
    pub async fn refused(&self) -> String {
        let mut known = self.0.subscribe();
        // The sender lives as long as self. The guard must not be kept over the wait that follows: it locks the sender out.
        let fault = match known.wait_for(|known| !matches!(known, State::Unknown)).await.as_deref() {
            Ok(State::Refused(fault)) => Some(fault.clone()),
            _ => None,
        };
        match fault {
            Some(fault) => fault,
            None => pending().await,
        }
    }
}
