//! How long a batch takes from its claim until it may be sent: so long before its slot it is claimed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What is added to what the last batches took.
const MARGIN: Duration = Duration::from_millis(10);

/// Expected before any batch was claimed.
const FIRST: Duration = Duration::from_millis(40);

/// Longest time that is allowed for: a database that takes longer can't use every slot anyway.
const LONGEST: Duration = Duration::from_secs(1);

/// Follows a batch that took longer at once, and shorter ones slowly: a slot that is missed is lost.
pub struct Preparation(Mutex<Duration>);

impl Default for Preparation {
    fn default() -> Self {
        Self(Mutex::new(FIRST))
    }
}

impl Preparation {
    /// A batch took so long.
    pub fn took(&self, time: Duration) {
        let mut expected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *expected = time.max(expected.mul_f64(0.9)).min(LONGEST);
    }

    /// How long before its slot a batch is to be claimed.
    pub fn allowance(&self) -> Duration {
        let expected = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        expected.mul_f64(1.25) + MARGIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_slow_batch_counts_at_once_and_fades_slowly() {
        let preparation = Preparation::default();
        assert_eq!(preparation.allowance(), ms(60));
        preparation.took(ms(200));
        assert_eq!(preparation.allowance(), ms(260));
        preparation.took(ms(4));
        assert_eq!(preparation.allowance(), ms(235));
        for _ in 0..60 {
            preparation.took(ms(4));
        }
        assert_eq!(preparation.allowance(), ms(15));
        preparation.took(Duration::from_secs(3600));
        assert_eq!(preparation.allowance(), ms(1260));
    }
}
