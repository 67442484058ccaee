//! Counts the sessions of each relay in Postgres while a run lasts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::editors::session;

/// How often they are counted.
const INTERVAL: Duration = Duration::from_millis(100);

/// The sessions of each process. Those that went silent are left out: Postgres can't know.
const COUNT: &str = "select application_name, count(*) from pg_stat_activity
    where usename = 'login_relay' and ($1::timestamptz is null or backend_start > $1) group by 1";

/// The most sessions at a time so far, by process.
pub struct Sessions {
    most: Arc<Mutex<BTreeMap<String, usize>>>,
    _watching: AbortOnDropHandle<()>,
}

impl Sessions {
    /// Counts from now on. `silenced` = when connections went silent last.
    pub fn watch(url: String, silenced: Arc<Mutex<Option<SystemTime>>>) -> Self {
        let most = Arc::<Mutex<BTreeMap<String, usize>>>::default();
        let counted = Arc::clone(&most);
        let watching = async move {
            loop {
                // Postgres crashes now and then.
                let _ = count(&url, &silenced, &counted).await;
                sleep(INTERVAL).await;
            }
        };
        Self { most, _watching: AbortOnDropHandle::new(tokio::spawn(watching)) }
    }

    /// The most so far.
    pub fn most(&self) -> BTreeMap<String, usize> {
        self.most.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts as long as a session lasts.
async fn count(url: &str, silenced: &Mutex<Option<SystemTime>>, most: &Mutex<BTreeMap<String, usize>>) -> Result<()> {
    let client = session(url).await?;
    loop {
        let since = *silenced.lock().unwrap_or_else(PoisonError::into_inner);
        for row in client.query(COUNT, &[&since]).await? {
            let (process, sessions): (String, i64) = (row.get(0), row.get(1));
            let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
            let known = most.entry(process).or_default();
            *known = (*known).max(sessions as usize);
        }
        sleep(INTERVAL).await;
    }
}
