//! When a failed call is made again: waits that grow, with jitter so that processes do not retry in step, and the two loops
//! that every caller of the database uses.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

use crate::database::DatabaseError;

/// How the waits between tries grow: they double from `first` to `longest`.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    first: Duration,
    longest: Duration,
}

/// How often a call that met another transaction is made in all. Each further try would meet the same load.
pub const RETRYABLE_TRIES: u32 = 3;

impl Policy {
    /// For the database: a restart takes seconds, and all its clients come back at the same time.
    pub const DATABASE: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

    /// For rows that another session holds: soon at first, since most transactions are short.
    pub const BUSY: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(2) };

    /// For PEMS: it admits a few requests a second, and an outage takes longer than a restart.
    pub const PEMS: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

    /// Waits by this policy, beginning with the first.
    pub fn backoff(self) -> Backoff {
        Backoff { policy: self, next: self.first }
    }
}

/// The waits of one series of tries.
#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    next: Duration,
}

impl Backoff {
    /// The next wait: between half of its nominal length and all of it.
    pub fn wait(&mut self) -> Duration {
        let nominal = self.next;
        self.next = (nominal * 2).min(self.policy.longest);
        jitter(nominal)
    }

    /// Starts again with the first wait, after a success.
    pub fn reset(&mut self) {
        self.next = self.policy.first;
    }
}

/// A wait between half of its nominal length and all of it.
pub fn jitter(nominal: Duration) -> Duration {
    nominal.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Makes a call up to [`RETRYABLE_TRIES`] times, without waits, as long as its error is retryable.
pub async fn at_once<T, E, F>(is_retryable: impl Fn(&E) -> bool, mut call: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut tries = 1;
    loop {
        match call().await {
            Err(error) if is_retryable(&error) && tries < RETRYABLE_TRIES => tries += 1,
            answer => return answer,
        }
    }
}

/// Makes a call of the database until it succeeds or the deadline has passed: at once after a retryable error, after growing
/// waits ([`Policy::DATABASE`]) after any other. `failed` receives each error that is followed by another try; the last
/// error is returned.
///
/// For reports: what they report has happened, and must be recorded as soon as the database accepts it.
pub async fn until<T, F>(
    deadline: Instant,
    mut call: impl FnMut() -> F,
    mut failed: impl FnMut(&DatabaseError),
) -> Result<T, DatabaseError>
where
    F: Future<Output = Result<T, DatabaseError>>,
{
    let mut backoff = Policy::DATABASE.backoff();
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = if error.is_retryable() { Duration::ZERO } else { backoff.wait() };
        if Instant::now() + wait > deadline {
            return Err(error);
        }
        failed(&error);
        sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_again() {
        let mut backoff = Policy::DATABASE.backoff();
        let waits: Vec<_> = (0..10).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(50));
        assert!(waits[3] > waits[0] && waits[9] >= Duration::from_millis(2500) && waits[9] <= Duration::from_secs(5));
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn a_retryable_error_is_returned_after_the_last_try() {
        let tries = Cell::new(0);
        let call = || {
            tries.set(tries.get() + 1);
            async { Err::<(), _>("deadlock") }
        };
        assert_eq!(at_once(|error| *error == "deadlock", call).await, Err("deadlock"));
        assert_eq!(tries.get(), RETRYABLE_TRIES);
    }

    #[tokio::test]
    async fn reports_are_repeated_until_their_deadline() {
        let tries = Cell::new(0);
        let call = || {
            tries.set(tries.get() + 1);
            let answer = if tries.get() < 3 { Err(DatabaseError::TimedOut(Duration::ZERO)) } else { Ok(tries.get()) };
            async { answer }
        };
        assert_eq!(until(Instant::now() + Duration::from_secs(60), call, |_| {}).await.unwrap(), 3);
        tries.set(0);
        assert!(until(Instant::now(), call, |_| {}).await.is_err());
        assert_eq!(tries.get(), 1);
    }
}
