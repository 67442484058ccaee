//! How long to wait after an answer that asks for patience.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use pfa_service::retry::jitter;
use tokio::time::Instant;

/// Longest wait that PEMS can ask for, so that a wrong header does not stop an organization for days.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// First and longest wait after a 429 that names none.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The wait that a Retry-After header asks for, in seconds or until a date by the clock of the answer's own Date header;
/// `None` = it asks for none that can be read.
pub(super) fn retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse::<f64>() {
        // Digits alone are certain to be finite and not negative; a fraction is rounded up.
        Ok(seconds) if seconds.is_finite() => Duration::try_from_secs_f64(seconds.min(1e9).ceil()).ok()?,
        Ok(_) => return None,
        Err(_) => {
            let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or_else(SystemTime::now);
            httpdate::parse_http_date(header).ok()?.duration_since(now).ok()?
        }
    };
    (wait > Duration::ZERO).then(|| wait.min(MAX_RETRY_AFTER))
}

/// The back-off after answers 429 that name no wait. Requests in flight at the same time count as one.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Option<Backoff>>);

#[derive(Clone, Copy, Debug)]
struct Backoff {
    wait: Duration,
    until: Instant,
}

impl Pace {
    /// Another 429: the wait that follows.
    pub fn throttled(&self) -> Duration {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let backoff = match *state {
            Some(backoff) if now < backoff.until => backoff,
            previous => {
                let wait = previous.map_or(BACKOFF.0, |previous| (previous.wait * 2).min(BACKOFF.1));
                Backoff { wait, until: now + jitter(wait) }
            }
        };
        *state = Some(backoff);
        backoff.until.saturating_duration_since(now)
    }

    /// PEMS served a request. One that was sent before the last 429 says nothing new.
    pub fn served(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_some_and(|backoff| Instant::now() >= backoff.until) {
            *state = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("3", Some(3))]
    #[case("5.5", Some(6))]
    #[case("86400", Some(3600))]
    #[case("99999999999999999999999999", Some(3600))]
    #[case("Wed, 21 Oct 2026 07:28:00 GMT", Some(30))]
    #[case("Wed, 21 Oct 2026 07:27:00 GMT", None)]
    #[case("Thu, 21 Oct 2027 07:28:00 GMT", Some(3600))]
    #[case("0", None)]
    #[case("-1", None)]
    #[case("inf", None)]
    #[case("NaN", None)]
    #[case("soon", None)]
    fn retry_after_is_read(#[case] header: &str, #[case] seconds: Option<u64>) {
        let date = Some("Wed, 21 Oct 2026 07:27:30 GMT");
        assert_eq!(retry_after(header, date), seconds.map(Duration::from_secs));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_a_bound_and_start_anew_when_served() {
        let pace = Pace::default();
        let mut requests = 0;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            requests += 1;
            let wait = pace.throttled();
            assert!(pace.throttled() <= wait, "a request in flight at the same time adds nothing");
            pace.served();
            tokio::time::advance(wait).await;
        }
        assert!((4..=8).contains(&requests), "{requests}");
        pace.served();
        assert!(pace.throttled() <= Duration::from_secs(2));
    }
}
