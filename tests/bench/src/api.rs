//! What the API's answers cost, by the history behind them, and what listeners cost those who commit.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, Response};
use serde_json::json;
use tokio::time::sleep;

use super::commit::{fill, milliseconds};
use super::{ROUNDS, Report, Unit};
use testbed::application::{Application, EDITOR, RIO};
use testbed::cluster::{Database, Login, Server, Template};
use testbed::process::Process;

const SECRET: &str = "a secret of the benchmarks, of forty bytes";

/// Rows of each history, over a year.
const HISTORIES: [(i64, &str); 2] = [(10_000, "10,000"), (1_000_000, "1,000,000")];

/// Requests of a round, one after the other.
const REQUESTS: usize = 50;

/// Requests under way at once where throughput is measured, and for how long.
const AT_ONCE: usize = 8;
const MEASURED: Duration = Duration::from_secs(3);

const ROUTES: [(&str, &str); 8] = [
    ("/readyz", "a call of one function (/readyz)"),
    ("/api/pems/sync-status?organizationId=RIO", "sync-status"),
    ("/api/pems/conflicts?organizationId=RIO", "50 conflicts"),
    ("/api/pems/records/00001/timeline?organizationId=RIO", "timeline of 50 events"),
    ("/api/pems/jobs?organizationId=RIO", "50 jobs"),
    ("/api/pems/jobs?organizationId=RIO&kind=rollback", "50 jobs of one kind"),
    ("/api/pems/kpis?organizationId=RIO", "key figures of a day"),
    ("/api/pems/failures?organizationId=RIO", "failures"),
];

/// Calls of maintain() that count the longest history.
const COUNTING: usize = 10;

/// Streams that are open while others commit: of users who hold as many as they may.
const USERS: usize = 50;
const STREAMS: usize = 20;

/// Commits of a round.
const COMMITS: usize = 20;

struct Api {
    _process: Process,
    database: Database,
    address: String,
    client: Client,
}

impl Api {
    async fn start(server: &Server) -> Result<Self> {
        let database = Database::create(server, Template::Attached).await?;
        let mut process = Process::start("pfa-api", |command| {
            command.args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "1000000", "--log-level", "error"]);
            command.env("DATABASE_URL", database.url_as(Login::Api)).env("PFA_API_JWT_SECRET", SECRET);
        })?;
        let line = process.line().await?;
        let address = line.strip_prefix("listening on ").context("the API does not say where it listens")?.to_owned();
        Ok(Self { _process: process, database, address, client: Client::new() })
    }

    async fn get(&self, path: &str, user: &str) -> Result<Response> {
        let until = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 86_400;
        let claims = json!({"userId": user, "exp": until});
        let token = encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes()))?;
        Ok(self.client.get(format!("{}{path}", self.address)).bearer_auth(token).send().await?.error_for_status()?)
    }

    /// Milliseconds that a request takes, on average.
    async fn round(&self, path: &str) -> Result<f64> {
        let started = Instant::now();
        for _ in 0..REQUESTS {
            self.get(path, EDITOR).await?.bytes().await?;
        }
        Ok(milliseconds(started) / REQUESTS as f64)
    }

    async fn per_second(&self, path: &str) -> Result<f64> {
        let started = Instant::now();
        let asking = async || {
            let mut answered = 0;
            while started.elapsed() < MEASURED {
                self.get(path, EDITOR).await?.bytes().await?;
                answered += 1;
            }
            anyhow::Ok(answered)
        };
        let answered: Vec<i32> = try_join_all((0..AT_ONCE).map(|_| asking())).await?;
        Ok(f64::from(answered.iter().sum::<i32>()) / started.elapsed().as_secs_f64())
    }
}

/// Measures each route with a short and a long history behind it, in turns, then how many requests it answers, then
/// commits beside a thousand listeners.
pub async fn run(server: &Server, report: &mut Report, progress: &impl Fn(&str)) -> Result<()> {
    let mut apis = Vec::new();
    for (rows, name) in HISTORIES {
        progress(&format!("a history of {name} rows"));
        let api = Api::start(server).await?;
        write_history(&api.database, rows).await?;
        apis.push(api);
    }
    for (path, name) in ROUTES {
        let mut rounds = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            for (api, times) in apis.iter().zip(&mut rounds) {
                let time = api.round(path).await?;
                // The first round fills caches and is not counted.
                if round > 0 {
                    times.push(time);
                }
            }
        }
        let [short, long] = rounds;
        report.median(&format!("{name}, {} rows of history", HISTORIES[1].1), &long, Unit::Milliseconds, None);
        report.ratio(
            &format!("{name}, {} rows of history to {}", HISTORIES[1].1, HISTORIES[0].1),
            &long,
            &short,
            Some("at most 1.5"),
        );
    }
    for (path, name) in ROUTES {
        report.single(&format!("{name}, {AT_ONCE} at once"), apis[1].per_second(path).await?, Unit::PerSecond, None);
    }
    drop(apis);
    progress("listeners");
    listen(server, report).await
}

/// What a year leaves behind: everywhere the same last day, the same open conflicts, and the same 50 events of one record.
async fn write_history(database: &Database, rows: i64) -> Result<()> {
    let client = database.client().await?;
    fill(&client, 1_000).await?;
    let past = "select n, now() - interval '1 year' * (n::float8 / $1) - interval '25 hours' * (n > 1000)::int as at, (n % 999 + 2)::text as id from generate_series(1, $1::bigint) n";
    for insert in [
        "insert into pfa_sync_private.pfa_audit_log (at, event_type, organization_id, user_id, pfa_id, changes, success) \
         select at, 'SYNCED', 'org_RIO_173', 'usr_editor', lpad(id, 5, '0'), '{\"model\": \"LTM 1100\"}', true from past",
        "insert into pfa_sync_private.pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, author, detected, local_version, mirror_version, \
             local_data, pems_data, conflict_fields, message, status, resolution, resolved_by, resolved_at, created_at) \
         select 'org_RIO_173', lpad(id, 5, '0'), id, 'past_' || n, 'usr_editor', 'commit', 1, 2, '{\"model\": \"LTM 1100\"}', '{\"model\": \"LTM 1200\"}', \
             array['model'], 'model changed', 'resolved_manual', 'use_pems', 'usr_editor', at, at from past",
        "insert into pfa_sync_private.pfa_write_queue_archive (id, job_id, organization_id, mirror_id, modification_id, pfa_id, operation, author, payload, status, \
             created_at, completed_at, head, scheduled_at, priority, retry_count, rejudgements, fencing_token, idempotency_seed, base_version) \
         select -n, 1, 'org_RIO_173', id, 'past_' || n, lpad(id, 5, '0'), 'UPDATE', 'usr_editor', '{\"model\": \"LTM 1100\"}', 'completed', \
             at - interval '1 second', at, false, at, 0, 0, 0, 1, gen_random_uuid(), 1 from past",
        "insert into pfa_sync_private.sync_job (kind, organization_id, user_id, records, created_at) \
         select case when n % 100 = 0 then 'rollback' else 'commit' end, 'org_RIO_173', 'usr_editor', 1, at from past",
    ] {
        client.execute(&format!("with past as ({past}) {insert}"), &[&rows]).await.context(insert)?;
    }
    let of_record = "insert into pfa_sync_private.pfa_audit_log (at, event_type, organization_id, user_id, pfa_id, changes, success) \
                     select now() - n * interval '1 hour', 'SYNCED', 'org_RIO_173', 'usr_editor', '00001', '{\"model\": \"LTM 1100\"}', true from generate_series(1, 50) n";
    client.execute(of_record, &[]).await?;
    let open = "insert into pfa_sync_private.pfa_sync_conflict (organization_id, pfa_id, mirror_id, modification_id, author, detected, local_version, mirror_version, \
                    local_data, pems_data, conflict_fields, message) \
                select 'org_RIO_173', '00002', '2', 'open_' || n, 'usr_editor', 'commit', 1, 2, '{\"model\": \"LTM 1100\"}', '{\"model\": \"LTM 1200\"}', array['model'], \
                    'model changed' from generate_series(1, 50) n";
    client.execute(open, &[]).await?;
    client.batch_execute("vacuum analyze").await?;
    // The key figures of the history are counted as by a relay, in portions.
    for _ in 0..COUNTING {
        client.batch_execute("select count(*) from pfa_sync.maintain()").await?;
    }
    Ok(())
}

/// Commits of single edits while a thousand streams of their events are open, and while none is, in turns.
async fn listen(server: &Server, report: &mut Report) -> Result<()> {
    let (heard, alone) = (Api::start(server).await?, Api::start(server).await?);
    let writers = [heard.database.client().await?, alone.database.client().await?];
    for writer in &writers {
        fill(writer, COMMITS).await?;
    }
    let users = "insert into users select (jsonb_populate_record(u, jsonb_build_object('id', 'listener_' || n, 'username', 'listener_' || n, \
                 'email', n || '@example.com'))).* from users u, generate_series(1, $1::int) n where u.id = 'usr_admin'";
    writers[0].execute(users, &[&(USERS as i32)]).await?;
    let mut streams = Vec::new();
    for user in 1..=USERS {
        for _ in 0..STREAMS {
            streams.push(heard.get("/api/pems/events", &format!("listener_{user}")).await?);
        }
    }
    // Each is read, or its service would drop it.
    let listening: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            tokio::spawn(async move {
                let mut heard = 0;
                while let Ok(Some(chunk)) = stream.chunk().await {
                    heard += String::from_utf8_lossy(&chunk).matches("event: queued").count();
                    if heard == COMMITS * (ROUNDS + 1) {
                        break;
                    }
                }
                heard
            })
        })
        .collect();
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (writer, times) in writers.iter().zip(&mut rounds) {
            let application = Application::new(writer);
            for n in 0..COMMITS {
                application.draft(EDITOR, RIO, &format!("{n:05}"), json!({"model": format!("LTM {round}")})).await?;
                let started = Instant::now();
                application.commit(EDITOR, RIO).await?;
                if round > 0 {
                    times.push(milliseconds(started));
                }
            }
            // The streams have received the events of this round before the next one is measured.
            sleep(Duration::from_millis(700)).await;
        }
    }
    let events: Vec<usize> = tokio::time::timeout(Duration::from_secs(60), try_join_all(listening)).await??;
    ensure!(events.iter().all(|heard| *heard == COMMITS * (ROUNDS + 1)), "some listeners missed events");
    let [beside, without] = rounds;
    report.median("commit of one edit, no listener", &without, Unit::Milliseconds, None);
    report.median("commit of one edit, 1,000 listeners", &beside, Unit::Milliseconds, None);
    report.ratio("commit of one edit, 1,000 listeners to none", &beside, &without, Some("about 1"));
    Ok(())
}
