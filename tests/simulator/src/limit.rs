//! PEMS' limit: ten requests in any second, from all clients together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far the requests' arrival may stray from their slots: what lies between a relay's clock and ours, threads and
/// loopback included. The window is that much shorter than a second; this is the one tolerance of the simulator.
const JITTER: Duration = Duration::from_millis(50);

/// A sliding window over the last second.
#[derive(Debug)]
pub struct Limit {
    per_second: Option<usize>,
    granted: VecDeque<Instant>,
}

impl Limit {
    /// So many requests in any second; `None` = no limit.
    pub fn new(per_second: Option<usize>) -> Self {
        Self { per_second, granted: VecDeque::new() }
    }

    /// Whether a request that arrives now is within the limit.
    pub fn admit(&mut self, now: Instant) -> bool {
        let Some(most) = self.per_second else { return true };
        while self.granted.front().is_some_and(|&earlier| now.duration_since(earlier) >= Duration::from_secs(1) - JITTER) {
            self.granted.pop_front();
        }
        let within = self.granted.len() < most;
        if within {
            self.granted.push_back(now);
        }
        within
    }
}
