//! One stream of events to one client.

use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use axum::response::{
    IntoResponse,
    sse::{Event, KeepAlive, Sse},
};
use futures_util::stream;
use metrics::counter;
use tokio::{
    sync::{broadcast, broadcast::error::RecvError},
    time::{Instant, Interval, interval_at, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub(crate) use super::log::LiveEvent;
use super::{
    hub::{Content, Hub, KEEP_ALIVE_INTERVAL, OpenStream, Update},
    log::events_between,
};
use crate::{auth::caller::Caller, http::problem::Problem};

/// How long a client waits before it reconnects.
const RECONNECT_WAIT: Duration = Duration::from_secs(2);

/// The server's end of a stream.
pub(crate) struct Listener {
    caller: Caller,
    /// The only organization whose events are requested.
    only: Option<String>,
    hub: Arc<Hub>,
    stop: CancellationToken,
    updates: broadcast::Receiver<Arc<Update>>,
    /// The update that is being sent, and how many of its events are sent or skipped.
    update: Arc<Update>,
    sent: usize,
    /// The organizations whose events the caller can see, and when they are read again.
    organizations: HashSet<String>,
    rights: Interval,
    /// Until the stream has started: the id of the client's last event, if it names one.
    start: Option<Option<String>>,
    /// Until the event `ready` is sent: its id.
    ready: Option<String>,
    _open: OpenStream,
}

impl Listener {
    /// A stream to a caller of the events of an organization, or of all that the caller can see, after the last event that
    /// the client names.
    pub(crate) async fn new(
        caller: Caller,
        only: Option<String>,
        last: Option<String>,
        hub: Arc<Hub>,
        rights_interval: Duration,
        stop: CancellationToken,
    ) -> Result<Self, Problem> {
        let open = hub.open_stream(&caller.user)?;
        let updates = hub.updates.subscribe();
        let organizations = visible_organizations(&caller, only.as_deref()).await?;
        Ok(Self {
            updates,
            update: Arc::new(Update { number: 0, content: Content::Events(Vec::new()) }),
            sent: 0,
            organizations,
            rights: interval_at(Instant::now() + rights_interval, rights_interval),
            start: Some(last),
            ready: None,
            _open: open,
            only,
            caller,
            hub,
            stop,
        })
    }

    /// The next event to send; `None` = the stream ends.
    async fn next(&mut self) -> Option<Event> {
        let stop = self.stop.clone();
        let expired = sleep_until(self.caller.until);
        tokio::select! {
            event = self.next_event() => event,
            () = stop.cancelled() => None,
            () = expired => None,
        }
    }

    async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(last) = self.start.take() {
                self.start(last).await?;
            }
            if let Some(event) = self.next_of_update() {
                return Some(event);
            }
            if let Some(position) = self.ready.take() {
                return Some(Event::default().event("ready").id(position).data("{}").retry(RECONNECT_WAIT));
            }
            tokio::select! {
                _ = self.rights.tick() => {
                    // Without an answer of the database there are no new events either.
                    if let Ok(organizations) = visible_organizations(&self.caller, self.only.as_deref()).await {
                        self.organizations = organizations;
                    }
                }
                update = self.updates.recv() => match update {
                    Ok(update) if update.number <= self.update.number => {}
                    Ok(update) if update.number == self.update.number + 1 => (self.update, self.sent) = (update, 0),
                    // The stream did not keep up, or the poller paused.
                    Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => {
                        counter!("pfa_api_streams_dropped_total").increment(1);
                        return None;
                    }
                },
            }
        }
    }

    /// Joins the updates at their current position, with the events that the client missed before it.
    async fn start(&mut self, last: Option<String>) -> Option<()> {
        // The last event may have come from another instance, which had polled further than this one.
        let (number, position) = self.hub.position(last.is_some()).await?;
        let content = match last {
            None => Content::Events(Vec::new()),
            Some(last) => match events_between(&self.caller.access.sessions, &self.caller.user, &last, &position).await {
                Ok(events) => events.map_or_else(|| Content::Reload(position.clone()), Content::Events),
                Err(problem) if ["moved_on", "invalid"].contains(&problem.code()) => Content::Reload(position.clone()),
                Err(_) => return None,
            },
        };
        self.update = Arc::new(Update { number, content });
        self.ready = Some(position);
        Some(())
    }

    /// The next event of the current update that the caller can see.
    fn next_of_update(&mut self) -> Option<Event> {
        let events = match &self.update.content {
            Content::Reload(_) if self.sent > 0 => return None,
            Content::Reload(position) => {
                self.sent = 1;
                return Some(Event::default().event("reload").id(position).data("{}"));
            }
            Content::Events(events) => events,
        };
        while let Some(event) = events.get(self.sent) {
            self.sent += 1;
            let for_user = event.event != "notification" || event.user_id.as_deref() == Some(self.caller.user.as_str());
            if for_user && event.organizations.iter().any(|organization| self.organizations.contains(organization)) {
                let id = if self.sent == events.len() { &event.following } else { &event.position };
                return Event::default().event(&event.event).id(id).json_data(event).ok();
            }
        }
        None
    }
}

async fn visible_organizations(caller: &Caller, only: Option<&str>) -> Result<HashSet<String>, Problem> {
    let query = "select organization from unnest(pfa_sync.visible_organizations()) organization \
                  where $1::text is null or organization = (select pfa_sync.organization_of($1))";
    let rows = caller.access.sessions.rows(&caller.user, None, query, &[&only]).await?;
    Ok(rows.iter().filter_map(|row| row["organization"].as_str()).map(ToOwned::to_owned).collect())
}

/// The answer that sends the events of a listener.
pub(crate) fn response(listener: Listener) -> impl IntoResponse {
    let events = stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL))
}
