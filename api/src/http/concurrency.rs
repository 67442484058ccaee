//! How many calls of the database each user has at once, so that the slow calls of one user leave room for others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::problem::Problem;

/// How long a call waits for the end of another one of its user.
const WAIT: Duration = Duration::from_secs(1);

/// Limits the calls at once of each user. Further ones wait for a short time.
pub(crate) struct CallLimit {
    calls: usize,
    users: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl CallLimit {
    pub(crate) fn new(calls: usize) -> Self {
        Self { calls, users: Mutex::default() }
    }

    /// Admits a call of a user, as long as the returned value lives.
    pub(crate) async fn admit(&self, user: &str) -> Result<OwnedSemaphorePermit, Problem> {
        let calls = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.entry(user.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.calls))).clone()
        };
        match timeout(WAIT, calls.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                let detail = "Requests of this user take the calls of the service's calls-per-user; wait for their answers.";
                Err(Problem::new("too_many_requests", detail).retry_after(Duration::ZERO))
            }
        }
    }

    /// Removes users without a call, so that their number stays bounded.
    pub(crate) fn remove_idle(&self) {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, calls| Arc::strong_count(calls) > 1);
    }
}
