//! What a rollback costs: its preview, and its slices until everything is queued, beside the UPDATE that it undoes.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::commit::{draft, fill, milliseconds};
use super::{Report, Unit};
use testbed::application::{Application, EDITOR, RIO};
use testbed::cluster::{Database, Server, Template};

/// Records of the job.
const RECORDS: usize = 10_000;
/// Jobs that are committed and rolled back.
const ROUNDS: usize = 3;
const USER: &str = "usr_admin";

/// Commits 10,000 drafts, confirms them, previews the rollback and carries it out, several times.
pub async fn run(server: &Server, report: &mut Report) -> Result<()> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    fill(&client, RECORDS).await?;
    let (mut commits, mut previews, mut rollbacks, mut slices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        draft(&client, round, 0..RECORDS).await?;
        let started = Instant::now();
        Application::new(&client).commit(EDITOR, RIO).await?;
        let commit = milliseconds(started);
        confirm(&client).await?;
        client.batch_execute("vacuum analyze").await?;
        let job: i64 = client.query_one("select max(job_id) from pfa_sync.jobs where kind = 'commit'", &[]).await?.get(0);

        let started = Instant::now();
        let preview = client.query_one("select * from pfa_sync.rollback_preview($1, null, $2)", &[&job, &USER]).await?;
        let previewed = milliseconds(started);
        ensure!(preview.get::<_, i64>("restores") == RECORDS as i64, "not everything is restored: {preview:?}");
        let digest: String = preview.get("digest");
        let started = Instant::now();
        client.query("select * from pfa_sync.rollback($1, $2, 'measured by the bench', $3)", &[&job, &USER, &digest]).await?;
        let mut of_slices = Vec::new();
        loop {
            let slice = Instant::now();
            if client.query("select * from pfa_sync.run_jobs()", &[]).await?.is_empty() {
                break;
            }
            of_slices.push(milliseconds(slice));
        }
        let rolled_back = milliseconds(started);
        confirm(&client).await?;
        // The first round makes plans and is not counted.
        if round > 0 {
            commits.push(commit);
            previews.push(previewed);
            rollbacks.push(rolled_back);
            slices.extend(of_slices);
        }
    }
    report.median("UPDATE of 10,000 drafts to committed, which is rolled back", &commits, Unit::Milliseconds, None);
    report.median("preview of its rollback", &previews, Unit::Milliseconds, None);
    report.ratio("preview, to the UPDATE", &previews, &commits, Some("at most 1.5"));
    report.median("rollback until all is queued", &rollbacks, Unit::Milliseconds, None);
    report.ratio("rollback, to the UPDATE", &rollbacks, &commits, Some("at most 4"));
    report.percentile("a slice of the rollback", "max", 1.0, &slices, Unit::Milliseconds, Some("below 1 s"));
    Ok(())
}

/// Claims and completes all that waits, as a relay does.
async fn confirm(client: &Client) -> Result<()> {
    loop {
        let claimed = client.query("select * from pfa_sync.claim('bench')", &[]).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let item = |row: &tokio_postgres::Row| {
            json!({"queue_id": row.get::<_, i64>("queue_id"), "fencing_token": row.get::<_, i32>("fencing_token"),
                   "version": row.get::<_, i64>("version") + 1, "updated_at": "2026-03-01T00:00:00.000Z"})
        };
        let items: Value = claimed.iter().map(item).collect();
        client.query("select * from pfa_sync.mark_sent('bench', $1)", &[&items]).await?;
        client.query("select * from pfa_sync.complete('bench', $1)", &[&items]).await?;
    }
}
