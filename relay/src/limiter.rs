//! PEMS' limit. The database grants slots to all relays on one clock; a guard in this process holds the same pace, whatever
//! was granted.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{database::DatabaseError, queue::Queue};

/// How late a request may be for its slot. Later ones would come close upon those of other relays.
const GRACE: Duration = Duration::from_millis(50);

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

    /// Waits for a slot that is already ours, or for the next one if that is long past.
    pub async fn wait_for(&self, slot: Instant) -> Result<(), DatabaseError> {
        if slot.elapsed() > GRACE {
            return self.next().await;
        }
        self.leave_at(slot).await;
        Ok(())
    }

    /// Takes the next slot and waits for it.
    ///
    /// One caller at a time: however many reads there are to do, they hold one slot ahead, and a write that comes up
    /// gets the next.
    pub async fn next(&self) -> Result<(), DatabaseError> {
        let _turn = self.turn.lock().await;
        let slot = self.queue.take_slot().await?;
        self.leave_at(slot).await;
        Ok(())
    }

    async fn leave_at(&self, slot: Instant) {
        sleep_until(slot).await;
        self.guard.until_ready().await;
    }
}
