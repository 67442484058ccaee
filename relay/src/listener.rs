//! Listens for notifications on a connection of its own, and checks that they arrive.
//!
//! A pooled connection would drop notifications. A notification only wakes the dispatcher; the table decides.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::gauge;
use pfa_service::{
    database::{Database, DatabaseError, RawConnection},
    retry::{Backoff, Policy},
};
use thiserror::Error;
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};
use uuid::Uuid;

/// The channel on which the extension wakes relays.
const WAKE_CHANNEL: &str = "pfa_sync_wake";

/// How often the connection is checked.
const PING_INTERVAL: Duration = Duration::from_secs(3);

/// How long an echo may take. With the ping interval, a connection that died silently is noticed within 8 s.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);

/// Why listening ended.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The connection is lost, or could not be made.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Postgres closed it.
    #[error("the connection was closed")]
    Closed,
    /// The ping did not come back in time: a dead connection, or a pooler that is not in session mode.
    #[error("notifications do not arrive; connect to Postgres directly, or through a pooler in session mode")]
    NoEcho,
}

/// Whether notifications arrive, as the rest of the relay sees it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Listening(Arc<Mutex<Option<bool>>>);

impl Listening {
    /// `None` = not known yet.
    pub fn get(&self) -> Option<bool> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, listening: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
        gauge!("pfa_relay_listening").set(f64::from(u8::from(listening)));
    }
}

/// Wakes the dispatcher when there is work.
pub struct Listener {
    database: Database,
    wake: Arc<Notify>,
    listening: Listening,
}

/// A connection that receives notifications.
struct ListenConnection {
    client: Client,
    channel: String,
    echoes: mpsc::Receiver<String>,
    _driver: AbortOnDropHandle<()>,
}

impl Listener {
    /// A listener that notifies `wake`.
    pub fn new(database: Database, wake: Arc<Notify>) -> Self {
        Self { database, wake, listening: Listening::default() }
    }

    /// Whether notifications arrive.
    pub fn listening(&self) -> Listening {
        self.listening.clone()
    }

    /// Listens until `stop` is cancelled, and connects again when a connection is lost.
    pub async fn run(self, stop: CancellationToken) {
        let listening = async {
            let mut backoff = Policy::DATABASE.backoff();
            loop {
                let Err(error) = self.listen(&mut backoff).await;
                self.listening.set(false);
                let wait = backoff.wait();
                warn!(%error, wait_ms = wait.as_millis() as u64, "not listening; the queue is still polled");
                sleep(wait).await;
            }
        };
        stop.run_until_cancelled(listening).await;
    }

    /// Checks once that notifications arrive.
    pub async fn probe(&self) -> Result<(), ListenError> {
        self.connect().await?.ping(0).await
    }

    async fn listen(&self, backoff: &mut Backoff) -> Result<Infallible, ListenError> {
        let mut connection = self.connect().await?;
        info!(channel = WAKE_CHANNEL, "listening");
        // Notifications may have been missed while no connection listened.
        self.wake.notify_one();
        let mut pings = 0;
        loop {
            connection.ping(pings).await?;
            self.listening.set(true);
            backoff.reset();
            pings += 1;
            connection.idle(PING_INTERVAL).await?;
        }
    }

    async fn connect(&self) -> Result<ListenConnection, ListenError> {
        let (client, connection) = self.database.connect().await?;
        let (sender, echoes) = mpsc::channel(1);
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(connection, self.wake.clone(), sender)));
        let channel = format!("pfa_relay_{}", Uuid::now_v7().simple());
        client.batch_execute(&format!("listen {WAKE_CHANNEL}; listen {channel}")).await.map_err(DatabaseError::from)?;
        Ok(ListenConnection { client, channel, echoes, _driver: driver })
    }
}

impl ListenConnection {
    /// Notifies its own channel, and waits for the notification.
    async fn ping(&mut self, number: u64) -> Result<(), ListenError> {
        let payload = number.to_string();
        let echoed = async {
            self.client.execute("select pg_notify($1, $2)", &[&self.channel, &payload]).await.map_err(DatabaseError::from)?;
            loop {
                match self.echoes.recv().await {
                    Some(echo) if echo == payload => return Ok(()),
                    Some(_) => {}
                    None => return Err(ListenError::Closed),
                }
            }
        };
        timeout(ECHO_TIMEOUT, echoed).await.unwrap_or(Err(ListenError::NoEcho))
    }

    /// Waits, unless the connection ends.
    async fn idle(&mut self, pause: Duration) -> Result<(), ListenError> {
        let ended = async { while self.echoes.recv().await.is_some() {} };
        match timeout(pause, ended).await {
            Ok(()) => Err(ListenError::Closed),
            Err(_) => Ok(()),
        }
    }
}

/// Polls the connection until it ends, and passes on its notifications.
async fn drive(mut connection: RawConnection, wake: Arc<Notify>, echoes: mpsc::Sender<String>) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            AsyncMessage::Notification(notification) if notification.channel() == WAKE_CHANNEL => wake.notify_one(),
            // An echo that finds the channel full belongs to a ping that is no longer awaited.
            AsyncMessage::Notification(echo) => drop(echoes.try_send(echo.payload().to_owned())),
            _ => {}
        }
    }
}
