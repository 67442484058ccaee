//! Requests that read from PEMS, each in a slot, and again when PEMS does not answer.

use std::{future::Future, time::Duration};

use pfa_service::{database::DatabaseError, retry::Policy};
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    pems::{Failure, FailureKind},
    systems::Route,
};

/// How often a page or a record is requested in all.
const MAX_TRIES: usize = 6;

/// Longest wait before a request is repeated. The lease of a pull is not renewed meanwhile, so that after a longer one
/// another run would make the request too early: the pull ends, and continues after its interval.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// A request that brought nothing.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The relay stops.
    #[error("the relay stops")]
    Stopped,
    /// PEMS did not return what was asked for.
    #[error(transparent)]
    Pems(#[from] Failure),
    /// The database granted no slot.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Makes a request that reads. Each try takes a slot of its own.
pub async fn request<T, F>(route: &Route, stop: &CancellationToken, call: impl Fn() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut backoff = Policy::PEMS.backoff();
    let mut tries = 1;
    loop {
        stop.run_until_cancelled(route.slots.next()).await.ok_or(ReadError::Stopped)??;
        let failure = match call().await {
            Ok(answer) => return Ok(answer),
            Err(failure) if tries == MAX_TRIES => return Err(failure.into()),
            Err(failure) => failure,
        };
        tries += 1;
        let wait = match failure.kind {
            FailureKind::Throttled
            | FailureKind::Unavailable
            | FailureKind::Outage
            | FailureKind::Ambiguous
            | FailureKind::Locked => failure.retry_after.unwrap_or_else(|| backoff.wait()),
            FailureKind::Unauthorized | FailureKind::Rejected | FailureKind::Conflict => return Err(failure.into()),
        };
        if wait > MAX_WAIT {
            return Err(failure.into());
        }
        // The text of PEMS may quote prices; the cause of a request without an answer does not.
        let cause = failure.source.as_ref().map(|_| failure.message.as_str());
        warn!(
            pems = route.pems.name,
            organization = route.organization,
            http_status = failure.status,
            cause,
            "a request to read failed; trying again"
        );
        stop.run_until_cancelled(sleep(wait)).await.ok_or(ReadError::Stopped)?;
    }
}
