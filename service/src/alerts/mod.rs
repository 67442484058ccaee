//! Evaluating alert rules, notifying users, and sending alerts to their channels. Every program of ours does it; the database
//! lets one at a time.

mod error;
mod mail;
mod settings;
mod webhook;

use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::{error::AlertSettingsError, settings::AlertArguments};
use self::{mail::Mailer, webhook::Webhooks};
use crate::database::{Database, DatabaseError};

/// How often rules are evaluated. Users are notified as often.
const INTERVAL: Duration = Duration::from_secs(5);

/// Longest time to hand over one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends what the database says about alerts.
pub struct Alerts {
    database: Database,
    webhooks: Option<Webhooks>,
    mailer: Option<Mailer>,
}

/// A message to a channel.
struct Delivery {
    /// The same at every repetition.
    id: i64,
    kind: String,
    address: String,
    message: Value,
}

impl Alerts {
    /// Alerts of this database, sent to the kinds of channels whose secrets the settings have.
    pub fn new(database: Database, arguments: &AlertArguments) -> Result<Self, AlertSettingsError> {
        Ok(Self { database, webhooks: arguments.webhooks()?, mailer: arguments.mailer()? })
    }

    /// Runs until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.turns()).await;
    }

    async fn turns(&self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match self.turn().await {
                Ok(()) => failing = false,
                // The rest of the program logs that the database does not answer.
                Err(error) if !failing => {
                    failing = true;
                    if !matches!(error, DatabaseError::Unreachable(_)) {
                        warn!(%error, "alert rules can't be evaluated now; retrying");
                    }
                }
                Err(_) => {}
            }
        }
    }

    async fn turn(&self) -> Result<(), DatabaseError> {
        let evaluated = self.database.call("select raised, resolved from pfa_sync.evaluate_alerts()", &[]).await?;
        if let Some(row) = evaluated.first() {
            let (raised, resolved): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
            if raised + resolved > 0 {
                info!(raised, resolved, "alerts");
            }
        }
        self.database.call("select pfa_sync.notify_users()", &[]).await?;
        self.deliver().await
    }

    async fn deliver(&self) -> Result<(), DatabaseError> {
        let mut kinds = Vec::new();
        kinds.extend(self.webhooks.as_ref().map(|_| "webhook"));
        kinds.extend(self.mailer.as_ref().map(|_| "mail"));
        if kinds.is_empty() {
            return Ok(());
        }
        let query = "select delivery_id, kind, address, message from pfa_sync.claim_deliveries($1)";
        for row in self.database.call(query, &[&kinds]).await? {
            let delivery = Delivery::try_from(&row)?;
            let sent = tokio::time::timeout(SEND_TIMEOUT, self.send(&delivery)).await;
            let error = match sent {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error),
                Err(_) => Some("no answer within 15 s".to_owned()),
            };
            match &error {
                None => info!(delivery_id = delivery.id, kind = delivery.kind, "an alert was sent"),
                Some(error) => warn!(delivery_id = delivery.id, kind = delivery.kind, error, "an alert was not sent; retrying"),
            }
            self.database.call("select pfa_sync.report_delivery($1, $2)", &[&delivery.id, &error]).await?;
        }
        Ok(())
    }

    async fn send(&self, delivery: &Delivery) -> Result<(), String> {
        match (delivery.kind.as_str(), &self.webhooks, &self.mailer) {
            ("webhook", Some(webhooks), _) => webhooks.send(delivery).await,
            ("mail", _, Some(mailer)) => mailer.send(delivery).await,
            (kind, ..) => Err(format!("this program sends no {kind}")),
        }
    }
}

impl TryFrom<&Row> for Delivery {
    type Error = tokio_postgres::Error;

    fn try_from(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { id: row.try_get(0)?, kind: row.try_get(1)?, address: row.try_get(2)?, message: row.try_get(3)? })
    }
}

/// A field of the data of a message, as text.
fn text<'a>(message: &'a Value, field: &str) -> Option<&'a str> {
    message["data"][field].as_str()
}
