//! Connections to Postgres: a pool for calls, single ones to listen on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime, Timeouts};
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

/// A peer that is gone without a word is noticed after about this long, on idle connections and on busy ones.
const DEAD_PEER: Duration = Duration::from_secs(10);

/// The longest that a call takes that a relay makes for a batch. A connection that stays silent so long is given up, and
/// the idle ones with it: whoever cuts one without a word cuts all.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that must be driven, for its notifications.
pub type RawConnection = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Where connections come from.
#[derive(Clone)]
pub struct Database {
    config: Config,
    tls: MakeRustlsConnect,
    pool: Pool,
}

/// Why no connections can be made at all.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The CA file can't be read.
    #[error("can't read certificates from database-ca {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// The CA file holds no certificates.
    #[error("database-ca {} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// Certificates that can't be used.
    #[error("can't use the certificates for the database")]
    Unusable(#[from] rustls::Error),
    /// A pool that can't be built.
    #[error("can't set up the connection pool")]
    Pool(#[from] deadpool_postgres::BuildError),
}

/// A call of the database that failed, by what the caller is to do.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// Two transactions were in each other's way: the same call may succeed at once.
    #[error("{}", told(.0))]
    Contended(#[source] tokio_postgres::Error),
    /// There is no connection, or there was one: try again after a while. Whether the call was done is unknown.
    #[error("no connection to the database: {}", told_by_pool(.0))]
    Unreachable(#[source] PoolError),
    /// No answer in time: the server or the way to it is gone without a word. Try again after a while, on another
    /// connection. Whether the call was done is unknown.
    #[error("the database does not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// Postgres says no, and will until somebody changes something: not attached, a copy, a missing right.
    #[error("{}", told(.0))]
    Refused(#[source] tokio_postgres::Error),
}

impl Database {
    /// For up to `connections` calls at once. Connects when first used.
    pub fn new(mut config: Config, ca: Option<&Path>, connections: usize) -> Result<Self, TlsError> {
        config
            .keepalives_idle(DEAD_PEER / 2)
            .keepalives_interval(DEAD_PEER / 4)
            .keepalives_retries(2)
            .tcp_user_timeout(DEAD_PEER);
        if config.get_application_name().is_none() {
            config.application_name("pfa-relay");
        }
        // A local server often has a certificate that nobody can verify; nobody listens on the way either.
        if config.get_ssl_mode() == SslMode::Prefer && config.get_hosts().iter().all(is_local) {
            config.ssl_mode(SslMode::Disable);
        }
        let tls = MakeRustlsConnect::new(tls_config(ca)?);
        let manager =
            Manager::from_config(config.clone(), tls.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(connections)
            // The connection used last has its statements prepared.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { create: Some(DEAD_PEER), ..Timeouts::default() })
            .build()?;
        Ok(Self { config, tls, pool })
    }

    /// A connection of the pool.
    pub async fn get(&self) -> Result<Object, DatabaseError> {
        self.pool.get().await.map_err(DatabaseError::from)
    }

    /// Calls a function that answers soon.
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
                Err(DatabaseError::Silent(CALL_TIMEOUT))
            }
        }
    }

    /// A connection outside the pool, with its other half, which the caller drives.
    pub async fn connect(&self) -> Result<(Client, RawConnection), DatabaseError> {
        Ok(self.config.connect(self.tls.clone()).await?)
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
        match error.code().map(|state| state.code()) {
            Some("40001" | "40P01") => Self::Contended(error),
            // Connection lost, server going down or starting, out of connections or memory, a standby.
            Some("25006" | "57P01" | "57P02" | "57P03" | "57P05") => Self::Unreachable(PoolError::Backend(error)),
            Some(state) if state.starts_with("08") || state.starts_with("53") => Self::Unreachable(PoolError::Backend(error)),
            Some(_) => Self::Refused(error),
            None => Self::Unreachable(PoolError::Backend(error)),
        }
    }
}

/// What Postgres said, with its hint; tokio-postgres' own Display keeps it back.
fn told(error: &tokio_postgres::Error) -> String {
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

fn told_by_pool(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => told(error),
        error => error.to_string(),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback()),
    }
}

fn tls_config(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let unreadable = |source| TlsError::Unreadable { file: file.to_owned(), source };
            for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
                roots.add(certificate.map_err(unreadable)?)?;
            }
            if roots.is_empty() {
                return Err(TlsError::NoCertificate(file.to_owned()));
            }
        }
        None => {
            // What the system has and rustls can't use is no loss.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
