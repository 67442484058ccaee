//! Endpoints for a monitor, on an address of their own: `/livez`, `/readyz`, and `/metrics` in Prometheus' text format.
//! They need no token and show figures of all organizations, so only operators should reach them.

use std::{collections::BTreeMap, fmt::Write, future::pending, io, io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::{Map, Value};
use tokio::{net::TcpListener, time::interval};
use tracing::{info, warn};

use crate::{cached::Cached, database::Database, server::serve};

/// Upper bounds of the buckets of duration histograms, in seconds.
const DURATION_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same for the time from a commit until PEMS has it: a change may wait for hours.
const DELIVERY_BUCKETS: [f64; 14] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0, 86400.0];

/// How often measured durations are folded into their histograms.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Where a process is monitored, and what it shows beside its own figures.
pub struct Monitoring {
    /// Where to listen; port 0 = any.
    pub address: SocketAddr,
    /// The process is ready when this database answers and the extension is attached.
    pub database: Database,
    /// Whether `/metrics` has the database's own figures too (`pfa_sync.metrics()`).
    pub figures_of_database: bool,
}

/// How long an answer of the database is used for further requests, which need no token.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Longest time in which a monitor sends the head of a request, and longest pause between two of its requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

struct Monitored {
    monitoring: Monitoring,
    figures: PrometheusHandle,
    ready: Cached<StatusCode>,
    figures_of_database: Cached<String>,
}

impl Monitoring {
    /// Records metrics from now on, and listens as long as the process runs. Prints the address.
    pub async fn start(self) -> Result<()> {
        let figures = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS)?
            .set_buckets_for_metric(Matcher::Suffix("_delivery_seconds".to_owned()), &DELIVERY_BUCKETS)?
            .install_recorder()?;
        let listener =
            TcpListener::bind(self.address).await.with_context(|| format!("can't listen on {} for monitoring", self.address))?;
        let address = listener.local_addr()?;
        info!(%address, "monitoring endpoints listen");
        println!("monitored on http://{address}");
        let _ = io::stdout().flush();
        tokio::spawn(run_upkeep(figures.clone()));
        let routes = Router::new()
            .route("/livez", get(async || StatusCode::NO_CONTENT))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(Monitored {
                monitoring: self,
                figures,
                ready: Cached::new(MAX_AGE),
                figures_of_database: Cached::new(MAX_AGE),
            }));
        tokio::spawn(serve(listener, routes, HEAD_TIMEOUT, pending()));
        Ok(())
    }
}

/// Folds measured durations into their histograms, whether or not `/metrics` is read.
async fn run_upkeep(figures: PrometheusHandle) {
    let mut ticks = interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        figures.run_upkeep();
    }
}

async fn ready(State(monitored): State<Arc<Monitored>>) -> StatusCode {
    let ask = async {
        match monitored.monitoring.database.call("select pfa_sync.visible_organizations()", &[]).await {
            Ok(_) => StatusCode::NO_CONTENT,
            Err(error) => {
                warn!(%error, "not ready");
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    };
    monitored.ready.get(ask).await
}

/// Shows the process' own figures even when the database does not answer.
async fn metrics(State(monitored): State<Arc<Monitored>>) -> impl IntoResponse {
    let mut text = monitored.figures.render();
    if monitored.monitoring.figures_of_database {
        text += &monitored.figures_of_database.get(figures_of_database(&monitored.monitoring.database)).await;
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn figures_of_database(database: &Database) -> String {
    let rows = database.call("select name, labels, value, help from pfa_sync.metrics()", &[]).await;
    let gauges = match &rows {
        Ok(rows) => {
            rows.iter().map(|row| Gauge { name: row.get(0), labels: row.get(1), value: row.get(2), help: row.get(3) }).collect()
        }
        Err(error) => {
            warn!(%error, "can't read the metrics of the database");
            Vec::new()
        }
    };
    let up = u8::from(rows.is_ok());
    format!("{}# TYPE pfa_sync_database_up gauge\npfa_sync_database_up {up}\n", exposition(&gauges))
}

struct Gauge<'a> {
    name: &'a str,
    labels: Value,
    value: f64,
    help: &'a str,
}

/// Gauges in the text format, those of one name together.
fn exposition(gauges: &[Gauge]) -> String {
    let mut by_name: BTreeMap<&str, Vec<&Gauge>> = BTreeMap::new();
    for gauge in gauges {
        by_name.entry(gauge.name).or_default().push(gauge);
    }
    let mut text = String::new();
    for (name, gauges) in by_name {
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} gauge", gauges[0].help);
        for gauge in gauges {
            let _ = writeln!(text, "{name}{{{}}} {}", gauge.labels.as_object().map(labels).unwrap_or_default(), gauge.value);
        }
    }
    text
}

fn labels(labels: &Map<String, Value>) -> String {
    let escaped = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    };
    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn gauges_of_one_name_stand_together_and_labels_are_escaped() {
        let gauge = |name, organization: &str, value| Gauge {
            name,
            labels: json!({"organization": organization}),
            value,
            help: "so many",
        };
        let text = exposition(&[gauge("b", "RIO", 1.0), gauge("a", "x\"\\\ny", 0.5), gauge("b", "HARBOUR", 2.0)]);
        assert_eq!(
            text,
            "# HELP a so many\n# TYPE a gauge\na{organization=\"x\\\"\\\\\\ny\"} 0.5\n\
             # HELP b so many\n# TYPE b gauge\nb{organization=\"RIO\"} 1\nb{organization=\"HARBOUR\"} 2\n"
        );
    }
}
