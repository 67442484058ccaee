//! What happens, told as it happens (server-sent events).
//!
//! One look at the log serves all who listen. What somebody missed is read from the log again, so nothing is kept for
//! anybody: a listener that does not keep up is dropped, and comes back with the id of the last event it got.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{
        AppendHeaders, IntoResponse,
        sse::{self, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, watch},
    time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep, sleep_until},
};
use utoipa::ToSchema;

use crate::{
    problem::Problem,
    service::Service,
    session::{Caller, understood},
};

/// How soon after its transaction an event is seen, at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long to leave the database alone that did not answer.
const REST: Duration = Duration::from_secs(2);

/// Events that one look, or one return, tells one by one. Whoever missed more is better off to look at everything anew.
const MOST: i32 = 5000;

/// Looks that a listener may be behind.
const BEHIND: usize = 32;

/// How many streams a user may hold open.
const STREAMS: usize = 20;

/// Proxies take a silent connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Something that happened. It holds no values: what it speaks of is read where rights are checked.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveEvent {
    #[serde(skip_serializing)]
    position: String,
    #[serde(skip_serializing)]
    following: String,
    event_id: i64,
    #[schema(format = DateTime)]
    at: String,
    /// `queued`, `syncing`, `attempt_failed` (it is tried again, or one that says how it ended follows), `synced`,
    /// `conflict`, `resolved`, `failed`, `discarded`, `withdrawn`, `breaker` or `pause`.
    event: String,
    /// What the log calls it, such as `BREAKER_OPENED`.
    event_type: String,
    /// Whom it concerns: of a breaker, all whose PEMS it guards.
    #[serde(skip_serializing)]
    organizations: Vec<String>,
    /// Null = of a PEMS, and so of all organizations that it serves.
    organization_id: Option<String>,
    pfa_id: Option<String>,
    modification_id: Option<String>,
    queue_id: Option<i64>,
    job_id: Option<i64>,
    batch_id: Option<i64>,
    user_id: Option<String>,
    success: Option<bool>,
}

/// What one look found.
enum News {
    Events(Vec<LiveEvent>),
    /// It can't be told one by one; whoever listens goes on from this position.
    Reload(String),
}

/// A look that found something. They are numbered one by one, so that nobody misses one unknowingly.
struct Look {
    number: u64,
    news: News,
}

/// How far the looks are.
#[derive(Clone, Default)]
struct Standing {
    /// Of the last look that found something.
    number: u64,
    /// Looks so far, with those that found nothing.
    looks: u64,
    /// Where the next one begins; `None` while nobody listens.
    position: Option<String>,
}

/// The looks at the log, and who listens.
pub(crate) struct Events {
    looks: broadcast::Sender<Arc<Look>>,
    standing: watch::Sender<Standing>,
    streams: Arc<Mutex<HashMap<String, usize>>>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { looks: broadcast::Sender::new(BEHIND), standing: watch::Sender::default(), streams: Arc::default() }
    }

    /// Looks at the log for as long as the service runs, whenever somebody listens.
    pub(crate) async fn watch(service: Arc<Service>) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if service.events.look(&service).await.is_err() {
                sleep(REST).await;
            }
        }
    }

    async fn look(&self, service: &Service) -> Result<(), Problem> {
        let Standing { number, looks, position } = self.standing.borrow().clone();
        if self.looks.receiver_count() == 0 {
            self.standing.send_replace(Standing { number, looks, position: None });
            return Ok(());
        }
        let Some(since) = position else {
            // What happened meanwhile was told to nobody: a number is left out.
            let position = Some(position_of_now(service).await?);
            self.standing.send_replace(Standing { number: number + 1, looks: looks + 1, position });
            return Ok(());
        };
        let query = "select * from pfa_sync.events_of_all($1, $2)";
        let news = match service.rows("", query, &[&since, &MOST]).await {
            Ok(rows) => of_rows(rows, query)?,
            Err(problem) if problem.code() == "moved_on" => None,
            Err(problem) => Err(problem)?,
        };
        let (position, news) = match news {
            Some(events) if events.is_empty() => {
                self.standing.send_modify(|standing| standing.looks += 1);
                return Ok(());
            }
            Some(events) => (events[0].following.clone(), News::Events(events)),
            None => {
                let position = position_of_now(service).await?;
                (position.clone(), News::Reload(position))
            }
        };
        let number = number + 1;
        // In this order: whoever begins to listen between the two has heard of the look by its number.
        self.standing.send_replace(Standing { number, looks: looks + 1, position: Some(position) });
        let _ = self.looks.send(Arc::new(Look { number, news }));
        Ok(())
    }

    /// How far the looks are; after one that has begun since, if the caller needs that.
    async fn standing(&self, fresh: bool) -> Option<(u64, String)> {
        let mut standing = self.standing.subscribe();
        let least = standing.borrow().looks + if fresh { 2 } else { 0 };
        let now = standing.wait_for(|now| now.position.is_some() && now.looks >= least).await.ok()?;
        Some((now.number, now.position.clone()?))
    }

    fn seat(&self, user: &str) -> Result<Seat, Problem> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = streams.entry(user.to_owned()).or_default();
        if *taken == STREAMS {
            return Err(
                Problem::new("too_many_requests", format!("You hold {STREAMS} streams open; close one.")).after(KEEP_ALIVE)
            );
        }
        *taken += 1;
        gauge!("pfa_api_streams").increment(1.0);
        Ok(Seat { user: user.to_owned(), streams: self.streams.clone() })
    }
}

/// One of the streams that a user may hold open.
struct Seat {
    user: String,
    streams: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        gauge!("pfa_api_streams").decrement(1.0);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = streams.get_mut(&self.user) {
            *taken -= 1;
            if *taken == 0 {
                streams.remove(&self.user);
            }
        }
    }
}

async fn position_of_now(service: &Service) -> Result<String, Problem> {
    let rows = service.rows("", "select pfa_sync.event_position() as position", &[]).await?;
    let position = rows.first().and_then(|row| row["position"].as_str()).map(ToOwned::to_owned);
    position.ok_or_else(Problem::no_such_thing)
}

/// Events, oldest first; `None` = they are too many to be told one by one.
fn of_rows(rows: Vec<Value>, query: &str) -> Result<Option<Vec<LiveEvent>>, Problem> {
    if rows.len() >= MOST as usize {
        return Ok(None);
    }
    rows.into_iter().map(|row| understood(row, query)).collect::<Result<_, _>>().map(Some)
}

/// Somebody who listens.
struct Listener {
    caller: Caller,
    looks: broadcast::Receiver<Arc<Look>>,
    /// The look that is being told, and how many of its events have been.
    telling: Arc<Look>,
    told: usize,
    organizations: HashSet<String>,
    rights: Interval,
    /// How it begins, until it has: where the caller stopped listening, if it says so.
    begins: Option<Option<String>>,
    ready: Option<String>,
    _seat: Seat,
}

impl Listener {
    async fn new(caller: Caller, last: Option<String>) -> Result<Self, Problem> {
        let events = &caller.service.events;
        let seat = events.seat(&caller.user)?;
        let looks = events.looks.subscribe();
        let organizations = visible_organizations(&caller).await?;
        let every = caller.service.rights_interval;
        let telling = Arc::new(Look { number: 0, news: News::Events(Vec::new()) });
        Ok(Self {
            looks,
            telling,
            told: 0,
            organizations,
            rights: interval_at(Instant::now() + every, every),
            begins: Some(last),
            ready: None,
            _seat: seat,
            caller,
        })
    }

    /// The next event to send; `None` = the stream ends, and whoever wants to hear more comes back.
    async fn next(&mut self) -> Option<sse::Event> {
        let stop = self.caller.service.stop.clone();
        let expired = sleep_until(self.caller.until);
        let next = async {
            loop {
                if let Some(last) = self.begins.take() {
                    self.begin(last).await?;
                }
                if let Some(event) = self.tell() {
                    return Some(event);
                }
                if let Some(position) = self.ready.take() {
                    return Some(sse::Event::default().event("ready").id(position).data("{}").retry(REST));
                }
                tokio::select! {
                    _ = self.rights.tick() => {
                        // Without an answer there is no news either.
                        if let Ok(organizations) = visible_organizations(&self.caller).await {
                            self.organizations = organizations;
                        }
                    }
                    look = self.looks.recv() => match look {
                        Ok(look) if look.number <= self.telling.number => {}
                        Ok(look) if look.number == self.telling.number + 1 => (self.telling, self.told) = (look, 0),
                        // It did not keep up, or nobody looked for a while.
                        Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => {
                            counter!("pfa_api_streams_dropped_total").increment(1);
                            return None;
                        }
                    },
                }
            }
        };
        tokio::select! {
            event = next => event,
            () = stop.cancelled() => None,
            () = expired => None,
        }
    }

    /// Takes up the looks where they are; before that, tells what the caller missed since its last event.
    async fn begin(&mut self, last: Option<String>) -> Option<()> {
        // That event may have come from another instance, whose look was later than the last one here.
        let (number, position) = self.caller.service.events.standing(last.is_some()).await?;
        let news = match last {
            None => News::Events(Vec::new()),
            Some(last) => {
                let query = "select * from pfa_sync.events($1, $2, $3)";
                match self.caller.service.rows(&self.caller.user, query, &[&last, &position, &MOST]).await {
                    Ok(rows) => of_rows(rows, query).ok()?.map_or_else(|| News::Reload(position.clone()), News::Events),
                    Err(problem) if ["moved_on", "invalid"].contains(&problem.code()) => News::Reload(position.clone()),
                    Err(_) => return None,
                }
            }
        };
        self.telling = Arc::new(Look { number, news });
        self.ready = Some(position);
        Some(())
    }

    /// What is left to tell of a look.
    fn tell(&mut self) -> Option<sse::Event> {
        let events = match &self.telling.news {
            News::Reload(_) if self.told > 0 => return None,
            News::Reload(position) => {
                self.told = 1;
                return Some(sse::Event::default().event("reload").id(position).data("{}"));
            }
            News::Events(events) => events,
        };
        while let Some(event) = events.get(self.told) {
            self.told += 1;
            if event.organizations.iter().any(|organization| self.organizations.contains(organization)) {
                let id = if self.told == events.len() { &event.following } else { &event.position };
                return sse::Event::default().event(&event.event).id(id).json_data(event).ok();
            }
        }
        None
    }
}

async fn visible_organizations(caller: &Caller) -> Result<HashSet<String>, Problem> {
    let query = "select unnest(pfa_sync.visible_organizations()) as organization";
    let rows = caller.service.rows(&caller.user, query, &[]).await?;
    Ok(rows.iter().filter_map(|row| row["organization"].as_str()).map(ToOwned::to_owned).collect())
}

/// What happens, as it happens: a stream of events
///
/// Begins with `ready`, whose id stands for now. With Last-Event-ID all that happened since comes first, without gap and
/// without doublet; `reload` says that this can't be told, and that everything is better looked at anew. The stream ends
/// with its token, and when the listener does not keep up: come back with the id of the last event.
#[utoipa::path(
    get, operation_id = "listenToEvents", path = "/api/pems/events", tag = "events", params(("Last-Event-ID" = Option<String>, Header)),
    responses((status = OK, content_type = "text/event-stream", body = LiveEvent))
)]
pub(crate) async fn listen(caller: Caller, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    let last = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let listener = Listener::new(caller, last.filter(|id| !id.is_empty())).await?;
    // Proxies that gather answers before they pass them on are asked not to.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    let events = Sse::new(stream_of(listener)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok((AppendHeaders([unbuffered]), events))
}

fn stream_of(listener: Listener) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}
