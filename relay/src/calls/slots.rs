//! Taking slots of PEMS' limit.

use pfa_service::database::DatabaseError;
use tokio::time::Instant;

use super::{Calls, milliseconds, optional_value};

impl Calls {
    /// Takes the next slot for one request to a PEMS. Returns when the request may start.
    pub async fn take_slot(&self, pems: &str) -> Result<Instant, DatabaseError> {
        let rows = self.call("select pfa_sync.take_slots($1, 1)", &[&pems]).await?;
        let answered = Instant::now();
        let wait_ms: Option<f64> = optional_value(&rows)?;
        Ok(answered + wait_ms.map(milliseconds).unwrap_or_default())
    }
}
