//! Which PEMS serves which organization, and with which credentials: as the database says, followed without a restart.

mod routing;
pub mod slots;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use pfa_service::{database::DatabaseError, retry::Policy};
use tokio::{sync::Mutex, time::sleep};
use tracing::{error, info, warn};

use self::{routing::Routing, slots::Slots};
use crate::{
    calls::{Calls, OrganizationFault, PemsRevision},
    pems::{
        Pems,
        json::{Endpoint, JsonPems, SetupError},
    },
    settings::PemsSettings,
};

/// A client of one PEMS with one login.
pub struct Client {
    pems: Arc<JsonPems>,
    fingerprint: Box<dyn Fn() -> String + Send + Sync>,
}

/// Where the requests of an organization go.
pub struct Route {
    /// The PEMS, and the revision of its definition.
    pub pems: PemsRevision,
    /// The code of the organization.
    pub organization: String,
    /// The client, with the credentials of the organization.
    pub client: Arc<dyn Pems>,
    /// The limit of the PEMS, which every request passes.
    pub slots: Arc<Slots>,
    /// Longest duration of a request.
    pub request_timeout: Duration,
    shared: Arc<Client>,
}

/// Every PEMS that this relay serves.
pub struct Systems {
    calls: Calls,
    settings: PemsSettings,
    embedded: Option<Arc<Client>>,
    routing: RwLock<Arc<Routing>>,
    loading: Mutex<()>,
}

impl Client {
    fn new(endpoint: Endpoint) -> Result<Self, SetupError> {
        let fingerprint = Box::new(endpoint.fingerprints());
        Ok(Self { pems: Arc::new(JsonPems::new(endpoint)?), fingerprint })
    }
}

impl Route {
    /// The fingerprint of its credentials.
    pub fn fingerprint(&self) -> String {
        (self.shared.fingerprint)()
    }
}

impl Systems {
    /// Serves nothing until the first [`Self::follow`].
    pub fn new(calls: Calls, settings: PemsSettings) -> Result<Self, SetupError> {
        let embedded = settings.embedded().map(Client::new).transpose()?.map(Arc::new);
        Ok(Self { calls, settings, embedded, routing: RwLock::default(), loading: Mutex::default() })
    }

    /// Reads again what the database says, if that has changed; whether it has.
    pub async fn follow(&self) -> Result<bool, DatabaseError> {
        let _loading = self.loading.lock().await;
        if self.current().revision == Some(self.calls.config_revision().await?) {
            return Ok(false);
        }
        self.load().await.map(|()| true)
    }

    /// Reads what the database says for the first time; again until it answers.
    pub async fn ready(&self) {
        let mut backoff = Policy::DATABASE.backoff();
        while let Err(error) = self.follow().await {
            warn!(relay = self.calls.relay(), %error, "can't read the definitions of the PEMS; retrying");
            sleep(backoff.wait()).await;
        }
    }

    async fn load(&self) -> Result<(), DatabaseError> {
        let config = self.calls.relay_config().await?;
        let before = self.current();
        let after = Routing::new(&config, &self.settings, self.embedded.as_ref(), &self.calls, &before);
        for fault in after.faults.iter().filter(|fault| !before.faults.contains(fault)) {
            let OrganizationFault { organization_id, reason } = fault;
            error!(relay = self.calls.relay(), organization_id, reason, "this relay does not serve the organization");
        }
        for (pems, organizations) in after.served() {
            if before.served().get(&pems) != Some(&organizations) {
                info!(relay = self.calls.relay(), pems, organizations, "serving a PEMS");
            }
        }
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        Ok(())
    }

    /// The route of an organization whose work was taken under this revision of its PEMS; `None` = this relay does not serve
    /// it.
    pub async fn route(&self, organization_id: &str, pems: &PemsRevision) -> Option<Arc<Route>> {
        let fits = |route: &Arc<Route>| route.pems == *pems;
        if let Some(route) = self.current().routes.get(organization_id).filter(|route| fits(route)) {
            return Some(route.clone());
        }
        let _loading = self.loading.lock().await;
        if let Err(error) = self.load().await {
            warn!(organization_id, %error, "can't read the definitions of the PEMS");
            return None;
        }
        // A later revision than the work was taken under is as good; another PEMS is not.
        self.current().routes.get(organization_id).filter(|route| route.pems.name == pems.name).cloned()
    }

    /// The route of an organization; `None` = this relay does not serve it.
    pub fn served(&self, organization_id: &str) -> Option<Arc<Route>> {
        self.current().routes.get(organization_id).cloned()
    }

    /// Ids of the organizations that this relay serves; `None` = all.
    pub fn organizations(&self) -> Option<Vec<String>> {
        self.current().organizations()
    }

    /// Why it does not serve the others; `None` = it serves all.
    pub fn faults(&self) -> Option<Vec<OrganizationFault>> {
        Some(self.current().faults.clone()).filter(|faults| !faults.is_empty())
    }

    /// The longest request of any PEMS.
    pub fn request_timeout(&self) -> Duration {
        self.current().routes.values().map(|route| route.request_timeout).max().unwrap_or(self.settings.request_timeout)
    }

    /// One route for each login.
    pub fn logins(&self) -> Vec<Arc<Route>> {
        let mut routes: Vec<_> = self.current().routes.values().cloned().collect();
        routes.sort_by(|a, b| (&a.pems.name, &a.organization).cmp(&(&b.pems.name, &b.organization)));
        let mut seen: Vec<Arc<Client>> = Vec::new();
        routes.retain(|route| {
            let new = !seen.iter().any(|client| Arc::ptr_eq(client, &route.shared));
            if new {
                seen.push(route.shared.clone());
            }
            new
        });
        routes
    }

    /// Waits until the certificate of the PEMS of the settings is refused by the first connection, and says why.
    pub async fn certificate_fault(&self) -> String {
        match &self.embedded {
            Some(embedded) => embedded.pems.certificate_fault().await,
            None => std::future::pending().await,
        }
    }

    fn current(&self) -> Arc<Routing> {
        self.routing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
