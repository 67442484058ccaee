//! The limit of one PEMS. The database grants slots to all relays on one clock. A limiter in this process enforces the same
//! rate, whatever was granted.

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

/// The slots of one PEMS in this process; every request to it waits for one.
pub struct Slots {
    calls: Calls,
    pems: String,
    interval: Duration,
    limiter: DefaultDirectRateLimiter,
    turn: Mutex<()>,
}

impl Slots {
    /// Slots of a PEMS that are at least this far apart.
    pub fn new(calls: Calls, pems: &str, interval: Duration) -> Self {
        let quota = Quota::with_period(interval.max(Duration::from_nanos(1))).expect("the interval is not zero");
        let quota = quota.allow_burst(NonZeroU32::MIN);
        Self { calls, pems: pems.to_owned(), interval, limiter: RateLimiter::direct(quota), turn: Mutex::new(()) }
    }

    /// How far apart they are at least.
    pub fn interval(&self) -> Duration {
        self.interval
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
        let slot = self.calls.take_slot(&self.pems).await?;
        self.wait_until(slot).await;
        Ok(())
    }

    async fn wait_until(&self, slot: Instant) {
        sleep_until(slot).await;
        self.limiter.until_ready().await;
    }
}
