//! The rate limit of each user.

use std::num::NonZeroU32;

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use super::problem::Problem;

/// Limits the requests a second of each user. After a second without requests the whole number may come at once.
pub(crate) struct RateLimit {
    limiter: DefaultKeyedRateLimiter<String>,
}

impl RateLimit {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { limiter: RateLimiter::keyed(Quota::per_second(per_second)) }
    }

    /// Counts a request of a user. A request beyond the limit is a problem that says when to retry.
    pub(crate) fn admit(&self, user: &str) -> Result<(), Problem> {
        self.limiter.check_key(&user.to_owned()).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            Problem::new("too_many_requests", "The requests of this user exceed the service's rate-limit.").retry_after(wait)
        })
    }

    /// Removes users without recent requests, so that their number stays bounded.
    pub(crate) fn remove_idle(&self) {
        self.limiter.retain_recent();
    }
}
