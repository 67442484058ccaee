//! The hub between the poller of the log and the open streams.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::gauge;
use tokio::sync::{broadcast, watch};

use super::log::LiveEvent;
use crate::http::problem::Problem;

/// How often an idle stream sends a comment, since proxies close silent connections. A closed stream is noticed within it.
pub(super) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Updates that a stream may be behind.
const MAX_UPDATES_BEHIND: usize = 32;

/// Streams that a user may hold open.
const MAX_STREAMS_PER_USER: usize = 20;

/// What one poll of the log found.
pub(super) enum Content {
    Events(Vec<LiveEvent>),
    /// The events can't be listed; streams continue from this position.
    Reload(String),
}

/// A poll that found something. Updates are numbered without gaps, so that a stream notices when it missed one.
pub(super) struct Update {
    pub number: u64,
    pub content: Content,
}

/// How far the poller is.
#[derive(Clone, Default)]
pub(super) struct Progress {
    /// Number of the last update.
    pub number: u64,
    /// Polls so far, including those that found nothing.
    pub polls: u64,
    /// Where the next poll begins; `None` while no stream is open.
    pub position: Option<String>,
}

/// Passes updates on to the open streams.
pub(crate) struct Hub {
    pub(super) updates: broadcast::Sender<Arc<Update>>,
    pub(super) progress: watch::Sender<Progress>,
    streams: Arc<Mutex<HashMap<String, usize>>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { updates: broadcast::Sender::new(MAX_UPDATES_BEHIND), progress: watch::Sender::default(), streams: Arc::default() }
    }

    /// Number of the last update, and the position after it. With `fresh`, those after a poll that begins after this call.
    pub(super) async fn position(&self, fresh: bool) -> Option<(u64, String)> {
        let mut progress = self.progress.subscribe();
        let polls = progress.borrow().polls + if fresh { 2 } else { 0 };
        let now = progress.wait_for(|now| now.position.is_some() && now.polls >= polls).await.ok()?;
        Some((now.number, now.position.clone()?))
    }

    /// Counts a stream of a user, as long as the returned value lives.
    pub(super) fn open_stream(&self, user: &str) -> Result<OpenStream, Problem> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(user.to_owned()).or_default();
        if *open == MAX_STREAMS_PER_USER {
            let detail = format!("{MAX_STREAMS_PER_USER} streams of this user are open; close one.");
            return Err(Problem::new("too_many_requests", detail).retry_after(KEEP_ALIVE_INTERVAL));
        }
        *open += 1;
        gauge!("pfa_api_streams").increment(1.0);
        Ok(OpenStream { user: user.to_owned(), streams: self.streams.clone() })
    }
}

/// One of the streams that a user holds open.
pub(super) struct OpenStream {
    user: String,
    streams: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        gauge!("pfa_api_streams").decrement(1.0);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.user) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.user);
            }
        }
    }
}
