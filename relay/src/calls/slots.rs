//! Taking slots of PEMS' limit.

use pfa_service::database::DatabaseError;
use tokio::time::Instant;

use super::{Calls, milliseconds, optional_value};

/// The name of the PEMS whose slots are taken.
const PEMS: &str = "default";

impl Calls {
    /// Takes the next slot for one request to PEMS. Returns when the request may start.
    pub async fn take_slot(&self) -> Result<Instant, DatabaseError> {
        let rows = self.call("select pfa_sync.take_slots($1, 1)", &[&PEMS]).await?;
        let answered = Instant::now();
        let wait_ms: Option<f64> = optional_value(&rows)?;
        Ok(answered + wait_ms.map(milliseconds).unwrap_or_default())
    }
}
