//! `pfa-relay run --dry-run`: shows what would be sent, and claims nothing.

use anyhow::Result;
use pfa_service::database::Database;

use crate::{calls::Calls, settings::Settings, systems::Systems};

/// Prints the changes that are due, in the order in which they would be sent.
pub async fn show(settings: &Settings) -> Result<()> {
    let database = Database::new(settings.database()?, settings.database.database_ca.as_deref(), 2, "pfa-relay")?;
    let calls = Calls::new(database, settings.relay_name());
    let systems = Systems::new(calls.clone(), settings.pems()?)?;
    systems.follow().await?;
    for fault in systems.faults().unwrap_or_default() {
        println!("organization {} is not served: {}", fault.organization_id, fault.reason);
    }
    let requests = calls.next_requests().await?;
    if requests.is_empty() {
        println!("nothing is due");
    }
    for request in requests {
        let stopped = request.stopped.map(|code| format!(" (not now: {code})")).unwrap_or_default();
        println!(
            "{} {} {} to PEMS {}: {}: {}{stopped}",
            request.organization,
            request.operation,
            request.pfa_id,
            request.pems,
            request.outcome,
            request.fields.join(", ")
        );
    }
    Ok(())
}
