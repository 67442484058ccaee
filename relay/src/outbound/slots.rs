//! PEMS' limit. The database grants slots to all relays on one clock. A limiter in this process enforces the same rate,
//! whatever was granted.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use pfa_service::database::DatabaseError;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::calls::Calls;

/// How late a request may start in its slot. A later one would come too close to the requests of other relays.
const MAX_LATENESS: Duration = Duration::from_millis(50);

/// The slots of this process; every request to PEMS waits for one.
pub struct Slots {
    calls: Calls,
    limiter: DefaultDirectRateLimiter,
    turn: Mutex<()>,
}

impl Slots {
    /// Slots for at most this many requests a second, with no burst.
    pub fn new(calls: Calls, requests_per_second: u32) -> Self {
        let rate = NonZeroU32::new(requests_per_second).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(rate).allow_burst(NonZeroU32::MIN);
        Self { calls, limiter: RateLimiter::direct(quota), turn: Mutex::new(()) }
    }

    /// Waits for a slot that was granted with a batch, or for the next one if that slot has passed.
    pub async fn wait_for(&self, slot: Instant) -> Result<(), DatabaseError> {
        if slot.elapsed() > MAX_LATENESS {
            return self.next().await;
        }
        self.wait_until(slot).await;
        Ok(())
    }

    /// Takes the next slot and waits for it.
    ///
    /// One caller at a time: many waiting reads hold only one slot ahead, so that a write gets the next one.
    pub async fn next(&self) -> Result<(), DatabaseError> {
        let _turn = self.turn.lock().await;
        let slot = self.calls.take_slot().await?;
        self.wait_until(slot).await;
        Ok(())
    }

    async fn wait_until(&self, slot: Instant) {
        sleep_until(slot).await;
        self.limiter.until_ready().await;
    }
}
