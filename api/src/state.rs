//! The state that every route shares.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRef;
use pfa_service::cached::{Cached, Joined};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{auth::caller::Access, events::hub::Hub};

/// The state of the service. Clones share it.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) access: Arc<Access>,
    pub(crate) hub: Arc<Hub>,
    /// How often an open event stream re-checks permissions.
    pub(crate) rights_interval: Duration,
    /// Whether the database is ready.
    pub(crate) ready: Arc<Cached<bool>>,
    /// Where all organizations stand, of which each caller is shown a part; `None` = the database did not say.
    pub(crate) standing: Arc<Joined<Option<Arc<Value>>>>,
    /// Cancelled when the service stops: event streams end.
    pub(crate) stop: CancellationToken,
}

impl FromRef<AppState> for Arc<Access> {
    fn from_ref(state: &AppState) -> Self {
        state.access.clone()
    }
}
