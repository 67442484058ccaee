//! Growing waits between tries at something that does not work, with jitter, so that relays do not come back in step.

use std::time::Duration;

/// The waits: doubling from `first` to `longest`.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// For a database that is being restarted: soon there again, and not to be hammered.
    pub fn new() -> Self {
        let first = Duration::from_millis(100);
        Self { first, longest: Duration::from_secs(5), next: first }
    }

    /// The next wait: between half of its nominal length and all of it.
    pub fn wait(&mut self) -> Duration {
        let nominal = self.next;
        self.next = (nominal * 2).min(self.longest);
        nominal.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It worked: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_again() {
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..10).map(|_| backoff.wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(50));
        assert!(waits[3] > waits[0] && waits[9] >= Duration::from_millis(2500) && waits[9] <= Duration::from_secs(5));
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_millis(100));
    }
}
