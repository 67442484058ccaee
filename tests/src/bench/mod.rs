//! The benchmarks of `make bench`: every figure is measured in one run on one private cluster that forces commits to disk.
//!
//! What is compared is measured in turns, round by round, and told as medians and as a ratio, so that a busy machine
//! disturbs both sides alike.

mod commit;
mod report;
mod road;

use anyhow::Result;

use crate::cluster::{Cluster, Options};
pub use report::{Report, Unit};

/// Rounds of every comparison.
pub const ROUNDS: usize = 7;

/// Runs all benchmarks and returns what they measured.
pub async fn run(progress: impl Fn(&str)) -> Result<Report> {
    // Starting and stopping a server blocks.
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&Options::default().durable())).await??;
    cluster.server().build_templates().await?;
    let mut report = Report::default();
    progress("judging and queueing 1,000 edits");
    commit::run(cluster.server(), &mut report).await?;
    progress("1,000 edits to PEMS, and single ones");
    road::run(cluster.server(), &mut report).await?;
    tokio::task::spawn_blocking(move || cluster.stop()).await??;
    Ok(report)
}
