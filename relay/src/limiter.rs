//! PEMS' limit. The database grants slots to all relays on one clock; a guard in this process holds the same pace, whatever
//! was granted.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{database::DatabaseError, queue::Queue};

/// What every request to PEMS passes.
pub struct Limiter {
    queue: Queue,
    guard: DefaultDirectRateLimiter,
    turn: Mutex<()>,
}

impl Limiter {
    /// At most this many requests a second leave this process, with no burst.
    pub fn new(queue: Queue, requests_per_second: u32) -> Self {
        let rate = NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(NonZeroU32::MIN);
        Self { queue, guard: RateLimiter::direct(quota), turn: Mutex::new(()) }
    }

    /// Waits for a slot that is already ours.
    pub async fn wait_for(&self, slot: Instant) {
        sleep_until(slot).await;
        self.guard.until_ready().await;
    }

    /// Takes the next slot and waits for it.
    ///
    /// One caller at a time: however many reads there are to do, they hold one slot ahead, and a write that comes up
    /// gets the next.
    pub async fn next(&self) -> Result<(), DatabaseError> {
        let _turn = self.turn.lock().await;
        let slot = self.queue.take_slot().await?;
        self.wait_for(slot).await;
        Ok(())
    }
}
