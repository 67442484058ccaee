//! Connections to Postgres: a pool for calls, and connections outside of it for notifications.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::{
    Client, Config, Connection, Row, Socket,
    config::{Host, SslMode},
    tls::MakeTlsConnect,
    types::ToSql,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    loopback::is_loopback_host,
    sqlstate::{Meaning, meaning},
};

/// A peer that vanished without closing the connection is noticed after about this long, on idle and on busy connections.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest duration of a call that answers soon. A connection that stays silent for longer is closed, and the idle ones
/// with it, since what cut one of them off has cut off all of them.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The server ends a call within about a second after its connection was closed: a call that was given up holds no session
/// and no lock. The timeouts of statements are the caller's, whatever the role's settings say. A server whose platform can't
/// watch connections refuses the first of these settings, and does without.
const SESSION_SETTINGS: &str = "do $$ begin set client_connection_check_interval = '1s'; exception when others then null; end $$; \
                                set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = '1min'; \
                                set jit = off";

/// The half of a connection that the caller must poll, and that receives notifications.
pub type RawConnection = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// A database, with a pool of connections.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
    pool: Pool,
}

/// Settings that allow no connection at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The CA file can't be read.
    #[error("can't read certificates from database-ca {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: rustls::pki_types::pem::Error,
    },
    /// The CA file holds no certificates.
    #[error("database-ca {} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The certificates can't be used.
    #[error("can't use the certificates for the database")]
    Unusable(#[from] rustls::Error),
    /// The pool can't be built.
    #[error("can't set up the connection pool")]
    Pool(#[from] deadpool_postgres::BuildError),
}

/// A failed call of the database, by what the caller can do.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// Another transaction held the same rows: the same call can succeed at once.
    #[error("{}", describe(.0))]
    Retryable(#[source] tokio_postgres::Error),
    /// There is no connection, or it was lost: try again after a while. It is unknown whether the call was executed.
    #[error("no connection to the database: {}", describe_pool_error(.0))]
    Unreachable(#[source] PoolError),
    /// Every connection of the pool was in use for this long.
    #[error("no connection to the database became free within {} s", .0.as_secs())]
    Busy(Duration),
    /// No answer in time: try again after a while, on another connection. It is unknown whether the call was executed.
    #[error("the database does not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Postgres refused the call, and will until the database is changed: not attached, a copy, a missing permission.
    #[error("{}", describe(.0))]
    Refused(#[source] tokio_postgres::Error),
}

impl Database {
    /// A database for up to `connections` calls at the same time. Connects when first used. `program` is the application
    /// name of the sessions, unless the configuration gives one.
    pub fn new(mut config: Config, ca: Option<&Path>, connections: usize, program: &str) -> Result<Self, SetupError> {
        config
            .keepalives_idle(PEER_TIMEOUT / 2)
            .keepalives_interval(PEER_TIMEOUT / 4)
            .keepalives_retries(2)
            .tcp_user_timeout(PEER_TIMEOUT);
        if config.get_application_name().is_none() {
            config.application_name(program);
        }
        // A local server often has a certificate that can't be verified, and no traffic leaves the machine.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(if remote_host(&config).is_none() { SslMode::Disable } else { SslMode::Require });
        }
        let tls = MakeRustlsConnect::new(tls_config(ca)?);
        let manager =
            Manager::from_config(config.clone(), tls.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(connections)
            // The connection used last has its statements prepared.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { create: Some(PEER_TIMEOUT), ..Timeouts::default() })
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { client.batch_execute(SESSION_SETTINGS).await.map_err(HookError::Backend) })
            }))
            .build()?;
        Ok(Self { config, tls, pool })
    }

    /// A connection of the pool.
    pub async fn get(&self) -> Result<Object, DatabaseError> {
        self.pool.get().await.map_err(DatabaseError::from)
    }

    /// A connection of the pool, unless all of them are in use for longer than `wait`.
    pub async fn get_within(&self, wait: Duration) -> Result<Object, DatabaseError> {
        let timeouts = Timeouts { wait: Some(wait), ..self.pool.timeouts() };
        match self.pool.timeout_get(&timeouts).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(DatabaseError::Busy(wait)),
            connection => Ok(connection?),
        }
    }

    /// Executes a statement that answers soon, and returns its rows.
    pub async fn call(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DatabaseError> {
        let client = self.get().await?;
        let answer = timeout(CALL_TIMEOUT, async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, parameters).await
        });
        match answer.await {
            Ok(rows) => Ok(rows?),
            Err(_) => {
                drop(Object::take(client));
                self.pool.retain(|_, _| false);
                Err(DatabaseError::TimedOut(CALL_TIMEOUT))
            }
        }
    }

    /// A connection outside the pool, with the half that the caller must poll.
    pub async fn connect(&self) -> Result<(Client, RawConnection), DatabaseError> {
        Ok(self.config.connect(self.tls.clone()).await?)
    }
}

impl DatabaseError {
    /// Whether the same call can succeed at once.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable(_))
    }
}

impl From<PoolError> for DatabaseError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            error => Self::Unreachable(error),
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code().map(|state| meaning(state.code())) {
            Some(Meaning::Retryable) => Self::Retryable(error),
            Some(Meaning::Unreachable) | None => Self::Unreachable(PoolError::Backend(error)),
            Some(_) => Self::Refused(error),
        }
    }
}

/// The message of Postgres with its hint and code, which the `Display` of tokio-postgres leaves out.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => {
            let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}{hint} [{}]", said.message(), said.code().code())
        }
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

fn describe_pool_error(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => describe(error),
        error => error.to_string(),
    }
}

/// The first server of a configuration that is not this machine. An address (`hostaddr`) precedes the name beside it, which
/// is then used for TLS only.
pub(crate) fn remote_host(config: &Config) -> Option<String> {
    let remote_name = config.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) if !is_loopback_host(name) => Some(name.clone()),
        _ => None,
    });
    remote_name.or_else(|| config.get_hostaddrs().iter().find(|address| !address.is_loopback()).map(ToString::to_string))
}

fn tls_config(ca: Option<&Path>) -> Result<ClientConfig, SetupError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let unreadable = |source| SetupError::Unreadable { file: file.to_owned(), source };
            for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
                roots.add(certificate.map_err(unreadable)?)?;
            }
            if roots.is_empty() {
                return Err(SetupError::NoCertificate(file.to_owned()));
            }
        }
        None => {
            // Certificates of the system that rustls can't parse are skipped.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
