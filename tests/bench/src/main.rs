//! `bench`: runs the benchmarks of `make bench` and writes their table and JSON. Every figure is measured in one run on one private cluster that forces commits to disk.
//!
//! What is compared is measured in turns, round by round, and reported as medians and as a ratio, so that a busy machine
//! disturbs both sides alike.

mod api;
mod commit;
mod depth;
mod drain;
mod inbound;
#[cfg(feature = "peers")]
mod peers;
mod report;
mod road;
mod rollback;
mod stack;
mod steady;
mod sweep;
mod writers;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use testbed::cluster::{Cluster, Options};

use report::{Report, Unit};

/// Rounds of every comparison.
const ROUNDS: usize = 7;

/// A group of benchmarks that can be run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// What the extension costs the application's UPDATE.
    Commit,
    /// What judging, and waking the relay, cost many sessions that commit single edits.
    Writers,
    /// What the way in costs, by the size of the mirror.
    Inbound,
    /// How long edits take to PEMS, through the relay.
    Road,
    /// What a batch costs when much waits.
    Depth,
    /// How long they take while many others are committed.
    Load,
    /// How a full queue empties at PEMS' limit, and what memory the relay takes for that.
    Drain,
    /// How a full queue empties without a limit, and where the time goes.
    Free,
    /// Whether a queue that is filled and emptied for long stays as fast as it was.
    Steady,
    /// What commits wait while what no trigger saw is queued.
    Sweep,
    /// What a rollback costs beside the UPDATE that it undoes.
    Rollback,
    /// What the API's answers cost by the history behind them, and what its listeners cost who commits.
    Api,
    /// Other queues in Postgres, with the same job.
    #[cfg(feature = "peers")]
    Peers,
}

/// Measures pfa-sync on a private PostgreSQL server that forces commits to disk, and prints a table.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to measure [default: all of it]
    sections: Vec<Section>,
    /// Where the figures go as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    json: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let sections = if arguments.sections.is_empty() { Section::value_variants() } else { &arguments.sections };
    let report = run(sections, |section| eprintln!("measuring: {section}")).await?;
    println!("{report}");
    fs::write(&arguments.json, serde_json::to_string_pretty(&report.json())?)
        .with_context(|| format!("writing {}", arguments.json.display()))?;
    eprintln!("the figures as JSON: {}", arguments.json.display());
    Ok(())
}

/// Runs sections in the order given and returns what they measured.
async fn run(sections: &[Section], progress: impl Fn(&str)) -> Result<Report> {
    // Starting and stopping a server blocks.
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(&Options::default().durable().preloaded())).await??;
    cluster.server().build_templates().await?;
    let mut report = Report::default();
    for section in sections {
        progress(&format!("{section:?}"));
        match section {
            Section::Commit => commit::run(cluster.server(), &mut report).await?,
            Section::Writers => writers::run(cluster.server(), &mut report, &progress).await?,
            Section::Inbound => inbound::run(cluster.server(), &mut report, &progress).await?,
            Section::Road => road::run(cluster.server(), &mut report).await?,
            Section::Depth => depth::run(cluster.server(), &mut report).await?,
            Section::Load => road::run_under_load(cluster.server(), &mut report).await?,
            Section::Drain => drain::run(cluster.server(), &mut report, &progress).await?,
            Section::Free => drain::run_without_limit(cluster.server(), &mut report, &progress).await?,
            Section::Steady => steady::run(cluster.server(), &mut report).await?,
            Section::Sweep => sweep::run(cluster.server(), &mut report).await?,
            Section::Rollback => rollback::run(cluster.server(), &mut report).await?,
            Section::Api => api::run(cluster.server(), &mut report, &progress).await?,
            #[cfg(feature = "peers")]
            Section::Peers => peers::run(cluster.server(), &mut report).await?,
        }
    }
    tokio::task::spawn_blocking(move || cluster.stop()).await??;
    Ok(report)
}
