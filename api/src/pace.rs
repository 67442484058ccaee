//! How many requests a user may make.

use std::num::NonZeroU32;

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::problem::Problem;

/// So many requests a second for each user, and as many in one go after a second of rest.
pub(crate) struct Pace {
    limiter: DefaultKeyedRateLimiter<String>,
}

impl Pace {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { limiter: RateLimiter::keyed(Quota::per_second(per_second)) }
    }

    /// Counts a request of a user; a problem that says when to come again if it is one too many.
    pub(crate) fn admit(&self, user: &str) -> Result<(), Problem> {
        self.limiter.check_key(&user.to_owned()).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            Problem::new("too_many_requests", "You ask faster than the service's rate-limit allows.").after(wait)
        })
    }

    /// Forgets users who have rested.
    pub(crate) fn forget(&self) {
        self.limiter.retain_recent();
    }
}
