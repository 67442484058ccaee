//! PEMS for tests and the demo: its write contract over TLS, enforced to the letter, with its limit, versions, credentials
//! and organizations, and with faults on demand. It is test equipment, and forgets everything when it stops.

mod contract;
mod control;
pub mod export;
mod fault;
mod knobs;
mod limit;
mod list;
mod log;
mod response;
mod service;
mod spelling;
mod state;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use fault::Faults;
pub use fault::{Fault, Operation, Spelling};
use limit::Limit;
pub use log::{Request, WriteLog};
use state::Records;
pub use tls::NAME;

/// How a simulator is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 = any free one.
    pub listen: SocketAddr,
    /// What it lets in.
    pub credentials: Credentials,
    /// The tenant that every request must name.
    pub tenant: String,
    /// The codes of its organizations.
    pub organizations: Vec<String>,
    /// Requests admitted in any second; `None` = no limit.
    pub per_second: Option<usize>,
    /// How long every answer takes.
    pub latency: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            credentials: Credentials::Basic { user: "pfa-sync".to_owned(), password: "secret".to_owned() },
            tenant: "TEST".to_owned(),
            organizations: vec!["RIO".to_owned(), "HARBOUR".to_owned()],
            per_second: Some(10),
            latency: Duration::ZERO,
        }
    }
}

/// What PEMS lets in.
#[derive(Clone)]
pub enum Credentials {
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A bearer token.
    Bearer(String),
    /// An API key.
    ApiKey(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// The header that brings them, and its value.
    fn header(&self) -> (&'static str, String) {
        match self {
            Self::Basic { user, password } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                ("authorization", format!("Basic {pair}"))
            }
            Self::Bearer(token) => ("authorization", format!("Bearer {token}")),
            Self::ApiKey(key) => ("x-api-key", key.clone()),
        }
    }
}

/// A running simulator. Dropping it stops it.
pub struct Simulator {
    address: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
    stopped: CancellationToken,
    connections: TaskTracker,
}

/// What the connections share.
struct Shared {
    config: Config,
    started: Instant,
    records: Mutex<Records>,
    limit: Mutex<Limit>,
    faults: Mutex<Faults>,
    log: watch::Sender<Vec<Request>>,
    released: Notify,
    credentials: Mutex<Credentials>,
    gateway: Mutex<Option<(u16, String)>>,
    failing: Mutex<BTreeSet<String>>,
    firewall: Mutex<Option<String>>,
}

impl Simulator {
    /// Starts listening.
    pub async fn start(config: Config) -> Result<Self> {
        let identity = tls::identity()?;
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let mut records = Records::default();
        config.organizations.iter().for_each(|code| records.enrol(code));
        let shared = Arc::new(Shared {
            started: Instant::now(),
            records: Mutex::new(records),
            limit: Mutex::new(Limit::new(config.per_second)),
            faults: Mutex::default(),
            log: watch::Sender::new(Vec::new()),
            released: Notify::new(),
            credentials: Mutex::new(config.credentials.clone()),
            gateway: Mutex::default(),
            failing: Mutex::default(),
            firewall: Mutex::default(),
            config,
        });
        let (stopped, connections) = (CancellationToken::new(), TaskTracker::new());
        let acceptor = TlsAcceptor::from(identity.server);
        connections.spawn(accept(listener, acceptor, Arc::clone(&shared), stopped.clone(), connections.clone()));
        Ok(Self { address, ca_pem: identity.ca_pem, shared, stopped, connections })
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.address.port())
    }

    /// The certificate of its authority.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// How long it has been running: the clock of its log.
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Lets go the requests that [`Fault::Hold`] holds.
    pub fn release(&self) {
        self.shared.released.notify_waiters();
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<Request> {
        self.shared.log.borrow().clone()
    }

    /// Waits until the log fulfils a condition, and returns it.
    pub async fn wait_for(&self, condition: impl FnMut(&Vec<Request>) -> bool) -> Vec<Request> {
        let mut log = self.shared.log.subscribe();
        // The sender lives as long as self, so the wait can't fail.
        log.wait_for(condition).await.map(|log| log.clone()).unwrap_or_default()
    }

    /// Stops listening and ends all connections.
    pub async fn stop(self) {
        self.stopped.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    stopped: CancellationToken,
    connections: TaskTracker,
) {
    loop {
        let stream = tokio::select! {
            () = stopped.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (acceptor, shared, stopped) = (acceptor.clone(), Arc::clone(&shared), stopped.clone());
        connections.spawn(async move {
            let serve = async {
                let _ = stream.set_nodelay(true);
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = hyper::service::service_fn(|request| service::answer(Arc::clone(&shared), request));
                // An error is a client that went away, or a connection that a fault ended.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            };
            tokio::select! { () = stopped.cancelled() => {}, () = serve => {} }
        });
    }
}

/// A panic elsewhere does not make the simulator's data wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
