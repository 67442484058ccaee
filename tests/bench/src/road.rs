//! How long edits take from the application's UPDATE to PEMS, through the real relay, within the limit.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;

use super::commit::{draft, milliseconds};
use super::stack::{Pace, Stack};
use super::{ROUNDS, Report, Unit};
use testbed::application::{Application, EDITOR, RIO};
use testbed::cluster::Server;

const EDITS: usize = 1_000;
const SINGLES: usize = 200;
/// Between single edits: a request slot is free again.
const APART: Duration = Duration::from_millis(250);

/// Commits that come in a second, whether the ones before have ended or not.
const PER_SECOND: usize = 500;
const SECONDS: usize = 20;
/// Sessions that commit, in turns.
const SESSIONS: usize = 16;

/// Measures 1,000 edits of one UPDATE, and single edits on an idle queue, from the UPDATE's start until PEMS has them all.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let stack = Stack::start(server, Pace::Limited, 8_000).await?;
    let application = Application::new(&stack.client);

    let mut bulk = Vec::new();
    // The first round fills caches and is not counted.
    for round in 0..=ROUNDS {
        draft(&stack.client, round, 0..EDITS).await?;
        let written = stack.written();
        let started = Instant::now();
        application.commit(EDITOR, RIO).await?;
        stack.until(written + EDITS).await?;
        if round > 0 {
            bulk.push(started.elapsed().as_secs_f64());
        }
        stack.drained().await?;
    }
    report.median("UPDATE of 1,000 edits until all are in PEMS (10 requests/s)", &bulk, Unit::Seconds, Some("at most 3 s"));

    let mut singles = Vec::new();
    for edit in 0..SINGLES {
        let next = tokio::time::Instant::now() + APART;
        application.draft(EDITOR, RIO, &format!("{edit:05}"), json!({"model": format!("single {edit}")})).await?;
        let written = stack.written();
        let started = Instant::now();
        application.commit(EDITOR, RIO).await?;
        stack.until(written + 1).await?;
        singles.push(milliseconds(started));
        stack.drained().await?;
        tokio::time::sleep_until(next).await;
    }
    let name = "single edit on an idle queue, UPDATE until it is in PEMS";
    report.percentile(name, "p50", 0.5, &singles, Unit::Milliseconds, Some("at most 50 ms"));
    report.percentile(name, "p99", 0.99, &singles, Unit::Milliseconds, None);
    stack.stop([]).await?;
    Ok(())
}

/// Measures single edits while 500 of them are committed every second: from each UPDATE's start until its request has
/// arrived at PEMS.
pub async fn run_under_load(server: &Server, report: &mut Report) -> Result<()> {
    const COMMITS: usize = PER_SECOND * SECONDS;
    let stack = Stack::start(server, Pace::Limited, COMMITS).await?;
    draft(&stack.client, 0, 0..COMMITS).await?;
    stack.client.batch_execute("vacuum analyze pfa_modification").await?;

    let start = tokio::time::Instant::now() + Duration::from_millis(200);
    let start_ms = (stack.pems().elapsed() + Duration::from_millis(200)).as_secs_f64() * 1_000.0;
    let mut sessions = JoinSet::new();
    for session in 0..SESSIONS {
        let client = stack.database.client().await?;
        sessions.spawn(async move {
            let update = client.prepare(r#"update pfa_modification set "syncState" = 'committed' where id = $1"#).await?;
            let mut begun = Vec::new();
            for commit in (session..COMMITS).step_by(SESSIONS) {
                tokio::time::sleep_until(start + Duration::from_secs(1) * commit as u32 / PER_SECOND as u32).await;
                begun.push((commit, start_ms + start.elapsed().as_secs_f64() * 1_000.0));
                let updated = client.execute(&update, &[&format!("mod_0_{commit:05}")]).await?;
                ensure!(updated == 1, "draft {commit} is not there");
            }
            Ok::<_, anyhow::Error>((begun, start.elapsed().as_secs_f64()))
        });
    }
    let (mut begun, mut lasted) = (vec![0.0; COMMITS], 0.0_f64);
    for outcome in sessions.join_all().await {
        let (commits, until) = outcome?;
        lasted = lasted.max(until);
        for (commit, at) in commits {
            begun[commit] = at;
        }
    }
    stack.until(COMMITS).await?;
    let mut latencies = Vec::with_capacity(COMMITS);
    for request in stack.pems().log() {
        for write in &request.writes {
            let commit: usize = write.pfa_id.parse().context("a record that we did not make")?;
            latencies.push(request.arrived_ms - begun[commit]);
        }
    }
    stack.drained().await?;

    let name = "single edit while 500 a second are committed, UPDATE until its request reaches PEMS";
    report.percentile(name, "p50", 0.5, &latencies, Unit::Milliseconds, None);
    report.percentile(name, "p99", 0.99, &latencies, Unit::Milliseconds, None);
    report.single("commits meanwhile, by 16 sessions", COMMITS as f64 / lasted, Unit::PerSecond, Some("500 /s: the load was on"));
    stack.stop([]).await?;
    Ok(())
}
