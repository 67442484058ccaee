//! Listens for work on a connection of its own, and makes sure that it would hear.
//!
//! A pooled connection would drop notifications. A notification only wakes: the table decides.

use std::{convert::Infallible, future::poll_fn, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    backoff::Backoff,
    database::{Database, DatabaseError, RawConnection},
};

/// The channel on which the extension wakes relays.
const WAKE_CHANNEL: &str = "pfa_sync_wake";

/// How often the connection is asked to prove that it hears.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How long it may take to prove it. With the heartbeat, a connection that died in silence is noticed within 8 s.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);

/// Why listening ended.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The connection is lost, or never came.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Postgres closed it.
    #[error("the connection was closed")]
    Closed,
    /// Our own notification did not come back in time: a dead connection, or a pooler that is not in session mode.
    #[error("notifications do not arrive; listen directly, or through a pooler in session mode")]
    Deaf,
}

/// Wakes the dispatcher when there is work.
pub struct Listener {
    database: Database,
    wake: Arc<Notify>,
}

/// A connection that listens.
struct Ear {
    client: Client,
    channel: String,
    echoes: mpsc::Receiver<String>,
    _driver: AbortOnDropHandle<()>,
}

impl Listener {
    /// Will notify `wake`.
    pub fn new(database: Database, wake: Arc<Notify>) -> Self {
        Self { database, wake }
    }

    /// Listens until told to stop, on as many connections one after the other as it takes.
    pub async fn run(self, stop: CancellationToken) {
        let listening = async {
            let mut backoff = Backoff::new();
            loop {
                let Err(error) = self.listen(&mut backoff).await;
                let wait = backoff.wait();
                warn!(%error, wait_ms = wait.as_millis() as u64, "not listening; the queue is still polled");
                sleep(wait).await;
            }
        };
        stop.run_until_cancelled(listening).await;
    }

    /// Proves that notifications arrive, once.
    pub async fn probe(&self) -> Result<(), ListenError> {
        self.connect().await?.prove(0).await
    }

    async fn listen(&self, backoff: &mut Backoff) -> Result<Infallible, ListenError> {
        let mut ear = self.connect().await?;
        info!(channel = WAKE_CHANNEL, "listening");
        // What was notified while nobody listened.
        self.wake.notify_one();
        let mut beat = 0;
        loop {
            ear.prove(beat).await?;
            backoff.reset();
            beat += 1;
            ear.rest(HEARTBEAT).await?;
        }
    }

    async fn connect(&self) -> Result<Ear, ListenError> {
        let (client, connection) = self.database.connect().await?;
        let (hears, echoes) = mpsc::channel(1);
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(connection, self.wake.clone(), hears)));
        let channel = format!("pfa_relay_{}", Uuid::now_v7().simple());
        client.batch_execute(&format!("listen {WAKE_CHANNEL}; listen {channel}")).await.map_err(DatabaseError::from)?;
        Ok(Ear { client, channel, echoes, _driver: driver })
    }
}

impl Ear {
    /// Notifies itself, and waits to hear it.
    async fn prove(&mut self, beat: u64) -> Result<(), ListenError> {
        let beat = beat.to_string();
        let echoed = async {
            self.client.execute("select pg_notify($1, $2)", &[&self.channel, &beat]).await.map_err(DatabaseError::from)?;
            loop {
                match self.echoes.recv().await {
                    Some(heard) if heard == beat => return Ok(()),
                    Some(_) => {}
                    None => return Err(ListenError::Closed),
                }
            }
        };
        timeout(ECHO_TIMEOUT, echoed).await.unwrap_or(Err(ListenError::Deaf))
    }

    /// Waits, unless the connection ends.
    async fn rest(&mut self, pause: Duration) -> Result<(), ListenError> {
        let ended = async { while self.echoes.recv().await.is_some() {} };
        match timeout(pause, ended).await {
            Ok(()) => Err(ListenError::Closed),
            Err(_) => Ok(()),
        }
    }
}

/// Drives the connection until it ends; passes on what it hears.
async fn drive(mut connection: RawConnection, wake: Arc<Notify>, echoes: mpsc::Sender<String>) {
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            AsyncMessage::Notification(heard) if heard.channel() == WAKE_CHANNEL => wake.notify_one(),
            // Nobody waits for an echo that finds no room.
            AsyncMessage::Notification(echo) => drop(echoes.try_send(echo.payload().to_owned())),
            _ => {}
        }
    }
}
