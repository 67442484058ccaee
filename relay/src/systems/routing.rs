//! The routes of all organizations at one revision.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{Client, Route, slots::Slots};
use crate::{
    calls::{Assignment, Calls, OrganizationFault, PemsRevision, RelayConfig, System},
    credentials::Login,
    settings::PemsSettings,
    vault::Sealed,
};

/// The name of the PEMS that the settings of a relay describe.
pub(super) const EMBEDDED: &str = "default";

/// The local limiter allows requests a little closer together than the database grants them, which is at its own clock.
const LIMITER_SHARE: f64 = 0.95;

/// Where the requests of each organization go.
#[derive(Default)]
pub(super) struct Routing {
    /// The revision that it was made from; `None` = nothing was read yet.
    pub revision: Option<i64>,
    /// By the organization's id.
    pub routes: HashMap<String, Arc<Route>>,
    /// Organizations without a route.
    pub faults: Vec<OrganizationFault>,
    clients: HashMap<ClientKey, Arc<Client>>,
    slots: HashMap<String, Arc<Slots>>,
}

/// What distinguishes clients: of one key, the connections are kept when the definitions are read again.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    /// The credentials' row; `None` = those of the settings.
    credential_id: Option<i64>,
    url: String,
    tenant: String,
    request_timeout: Duration,
}

impl Routing {
    /// The routes that a configuration allows a relay. What `before` has of them is kept.
    pub fn new(
        config: &RelayConfig,
        settings: &PemsSettings,
        embedded: Option<&Arc<Client>>,
        calls: &Calls,
        before: &Self,
    ) -> Self {
        let mut routing = Self { revision: Some(config.revision), ..Self::default() };
        for organization in &config.organizations {
            match routing.route(organization, config, settings, embedded, calls, before) {
                Ok(route) => {
                    routing.routes.insert(organization.organization_id.clone(), Arc::new(route));
                }
                Err(reason) => {
                    routing.faults.push(OrganizationFault { organization_id: organization.organization_id.clone(), reason })
                }
            }
        }
        routing
    }

    fn route(
        &mut self,
        organization: &Assignment,
        config: &RelayConfig,
        settings: &PemsSettings,
        embedded: Option<&Arc<Client>>,
        calls: &Calls,
        before: &Self,
    ) -> Result<Route, String> {
        let name = &organization.pems;
        let system = config.systems.iter().find(|system| system.pems == *name);
        let system = system.ok_or_else(|| format!("there is no PEMS {name}"))?;
        if system.dialect != "pems" {
            return Err(format!("PEMS {name} has the dialect {}, which this relay does not speak", system.dialect));
        }
        let request_timeout =
            system.request_timeout_ms.map_or(settings.request_timeout, |ms| Duration::from_secs_f64(ms / 1000.0));
        let shared = match sealed_for(organization, &config.credentials) {
            Some(sealed) => self.sealed_client(sealed, system, settings, request_timeout, before)?,
            None if name == EMBEDDED => {
                embedded.cloned().ok_or("its PEMS has no credentials, and the settings of this relay have none")?
            }
            None => return Err(format!("PEMS {name} has no credentials; pfa-relay credentials set stores them")),
        };
        let slots = self.slots(system, settings, embedded.is_some(), calls, before);
        let pems = PemsRevision { name: name.clone(), revision: system.revision };
        Ok(Route { pems, organization: organization.code.clone(), client: shared.pems.clone(), slots, request_timeout, shared })
    }

    fn sealed_client(
        &mut self,
        sealed: &Sealed,
        system: &System,
        settings: &PemsSettings,
        request_timeout: Duration,
        before: &Self,
    ) -> Result<Arc<Client>, String> {
        let (url, tenant) = settings.place(&system.pems, system.url.as_deref(), system.tenant.as_deref())?;
        let key =
            ClientKey { credential_id: Some(sealed.credential_id), url: url.clone(), tenant: tenant.clone(), request_timeout };
        if let Some(client) = self.clients.get(&key).or_else(|| before.clients.get(&key)) {
            let client = client.clone();
            self.clients.insert(key, client.clone());
            return Ok(client);
        }
        let describe =
            |reason: &dyn std::fmt::Display| format!("credentials {} of PEMS {}: {reason}", sealed.credential_id, system.pems);
        let credentials = settings.keys.open(sealed, &url).map_err(|error| describe(&error))?;
        let endpoint =
            settings.endpoint(&url, &tenant, request_timeout, Login::of(credentials)).map_err(|error| describe(&error))?;
        let mut client = Client::new(endpoint).map_err(|error| describe(&error))?;
        let fingerprint = sealed.fingerprint.clone();
        client.fingerprint = Box::new(move || fingerprint.clone());
        let client = Arc::new(client);
        self.clients.insert(key, client.clone());
        Ok(client)
    }

    /// The slots of a PEMS: the same for all of its organizations, and those of before unless its interval has changed.
    fn slots(&mut self, system: &System, settings: &PemsSettings, embedded: bool, calls: &Calls, before: &Self) -> Arc<Slots> {
        let interval = if system.pems == EMBEDDED && embedded {
            Duration::from_secs(1) / settings.requests_per_second.max(1)
        } else {
            Duration::from_secs_f64(system.slot_ms.max(1.0) / 1000.0 * LIMITER_SHARE)
        };
        let kept =
            self.slots.get(&system.pems).or_else(|| before.slots.get(&system.pems).filter(|slots| slots.interval() == interval));
        let slots = kept.cloned().unwrap_or_else(|| Arc::new(Slots::new(calls.clone(), &system.pems, interval)));
        self.slots.insert(system.pems.clone(), slots.clone());
        slots
    }

    /// Ids of the organizations with a route; `None` = all have one.
    pub fn organizations(&self) -> Option<Vec<String>> {
        (self.revision.is_none() || !self.faults.is_empty()).then(|| self.routes.keys().cloned().collect())
    }

    /// Number of organizations by PEMS.
    pub fn served(&self) -> BTreeMap<String, usize> {
        let mut served = BTreeMap::new();
        for route in self.routes.values() {
            *served.entry(route.pems.name.clone()).or_default() += 1;
        }
        served
    }
}

/// The credentials in use for an organization: its own, else those of its PEMS.
fn sealed_for<'a>(organization: &Assignment, credentials: &'a [Sealed]) -> Option<&'a Sealed> {
    let of = |owner: Option<&str>| {
        credentials.iter().find(|sealed| {
            sealed.status == "active" && sealed.pems == organization.pems && sealed.organization_id.as_deref() == owner
        })
    };
    of(Some(&organization.organization_id)).or_else(|| of(None))
}
