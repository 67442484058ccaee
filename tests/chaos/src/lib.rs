//! Chaos: real processes, edits and faults drawn from a seed, and a checker that compares what PEMS saw with what the
//! database says. `make chaos SEED=… SECONDS=…` runs it.

mod administrator;
pub mod checker;
mod editors;
mod events;
pub mod facts;
mod history;
mod pace;
pub mod plan;
mod sessions;
mod stack;
mod survey;

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Map;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::administrator::administrate;
use self::checker::{Violation, violations};
use self::editors::{Editor, resolve, session};
use self::facts::{EditOutcome, Facts, Foreign};
pub use self::plan::Options;
use self::plan::{EDITORS, Event, ORGANIZATIONS, Plan, RECORDS, RELAYS, RESTORED, key};
use self::sessions::Sessions;
use self::stack::Stack;
use testbed::process::Process;

/// How long all work may take to end after the last fault.
const DRAIN: Duration = Duration::from_secs(120);
/// How long a pull or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a run.
pub struct Outcome {
    /// Counts of what happened.
    pub summary: String,
    /// Every broken promise.
    pub violations: Vec<Violation>,
    /// Where the logs are, if there is something to look up in them.
    pub logs: Option<PathBuf>,
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} edits of {RECORDS} records in {} organizations by {} editors, {RELAYS} relays, faults for {} s; again: make chaos SEED={} SECONDS={} EDITS={}",
            self.edits,
            ORGANIZATIONS.len(),
            EDITORS.len(),
            self.seconds,
            self.seed,
            self.seconds,
            self.edits
        )
    }
}

/// Runs chaos with these options; `progress` receives a line now and then.
pub async fn run(options: &Options, progress: impl Fn(&str)) -> Result<Outcome> {
    let plan = Plan::draw(options);
    let mut stack = Stack::start().await?;
    let happened = happen(options, plan, &mut stack, progress).await;
    match happened {
        Ok(facts) => {
            let violations = violations(&facts);
            let logs = if violations.is_empty() { None } else { Some(stack.keep_logs()?) };
            Ok(Outcome { summary: summary(&facts), violations, logs })
        }
        Err(error) => {
            let logs = stack.keep_logs()?;
            Err(error).with_context(|| format!("the logs are in {}", logs.display()))
        }
    }
}

async fn happen(options: &Options, plan: Plan, stack: &mut Stack, progress: impl Fn(&str)) -> Result<Facts> {
    let mut facts = Facts { beginning: survey::records(stack.pems()), ..Facts::default() };
    let mut faults = Faults { relays: Vec::new(), ending: JoinSet::new(), foreign: Vec::new() };
    for relay in 0..RELAYS {
        faults.relays.push(Some(stack.relay(&name(relay), "run")?));
    }
    let (superuser, application) = stack.urls();
    let start = Instant::now();
    let mut editing = JoinSet::new();
    for (number, steps) in plan.steps.into_iter().enumerate() {
        editing.spawn(Editor::new(application.clone(), number).work(steps, start));
    }
    let stop = CancellationToken::new();
    let resolving = tokio::spawn(resolve(superuser.clone(), options.seed, stop.clone()));
    let administrating = tokio::spawn(administrate(superuser, options.seed, stop.clone()));
    let sessions = Sessions::watch(stack.client_url(), stack.silenced());

    let mut last_line = Instant::now();
    for (at, event) in plan.events {
        sleep_until((start + at).into()).await;
        faults.bring(event, stack).await?;
        if last_line.elapsed() >= Duration::from_secs(5) {
            last_line = Instant::now();
            progress(&format!("{:>3} s: PEMS has seen {} requests", start.elapsed().as_secs(), stack.pems().log().len()));
        }
    }
    while let Some(outcomes) = editing.join_next().await {
        facts.edits.extend(outcomes??);
    }
    stop.cancel();
    let resolved = resolving.await??;
    let deeds = administrating.await??;
    progress(&format!(
        "{:>3} s: the faults end, {resolved} conflicts were resolved, {deeds:?} by the administrator; draining",
        start.elapsed().as_secs()
    ));

    faults.clear(stack).await?;
    stack.drain(DRAIN).await?;
    for relay in faults.relays.into_iter().flatten() {
        let status = timeout(PATIENCE, relay.stop()).await.context("a relay does not stop")??;
        ensure!(status.success(), "a relay ended with {status}");
    }
    facts.sessions = sessions.most();
    let client = stack.client().await?;
    facts.mirror = survey::mirror(&client).await?;
    client.execute("select pfa_sync.accept_versions($1)", &[&RESTORED.1]).await?;
    let pulled = timeout(PATIENCE, stack.relay("pull", "pull")?.wait()).await.context("a pull does not end")??;
    ensure!(pulled.success(), "the last pull ended with {pulled}");
    facts.foreign = faults.foreign;
    survey::complete(&mut facts, &client, stack.pems()).await?;
    progress(&format!("{:>3} s: all has ended; checking", start.elapsed().as_secs()));
    Ok(facts)
}

fn name(relay: usize) -> String {
    format!("relay-{}", relay + 1)
}

/// The faults, and what they leave behind.
struct Faults {
    relays: Vec<Option<Process>>,
    /// What ends by itself: pulls, and relays that were asked to.
    ending: JoinSet<Result<()>>,
    foreign: Vec<Foreign>,
}

impl Faults {
    async fn bring(&mut self, event: Event, stack: &mut Stack) -> Result<()> {
        match event {
            Event::Fault(operation, fault) => stack.pems().fault(operation, fault),
            Event::Kill(relay) => {
                if let Some(process) = self.relays[relay].take() {
                    process.kill().await?;
                }
            }
            Event::Stop(relay) => {
                if let Some(process) = self.relays[relay].take() {
                    self.ending.spawn(async move {
                        let status = process.stop().await?;
                        // One that has only just been started may not have come to listen for it.
                        let ended = status.success() || status.signal() == Some(Signal::TERM.as_raw());
                        ensure!(ended, "a relay that was asked to stop ended with {status}");
                        Ok(())
                    });
                }
            }
            Event::Start(relay) => self.start(relay, stack)?,
            Event::Crash => stack.crash()?,
            Event::Cut => stack.cut().await?,
            Event::Silence => stack.silence().await?,
            Event::Credentials(accepted) => stack.let_in(accepted).await?,
            Event::Foreign(record, field, value) => {
                let key = key(record);
                let changes = Map::from_iter([(field.to_owned(), value)]);
                let version = stack.pems().edit(&key.0, &key.1, &changes).context("PEMS lacks a record")?;
                self.foreign.push(Foreign { key, version, changes });
            }
            Event::Lock(record, locked) => {
                let (code, pfa_id) = key(record);
                stack.pems().lock_record(&code, &pfa_id, locked);
            }
            Event::Hold(statement, time) => {
                // A connection that is cut holds nothing any more.
                let Ok(holder) = stack.client().await else { return Ok(()) };
                self.ending.spawn(async move {
                    if holder.batch_execute(&format!("begin; {statement}")).await.is_ok() {
                        sleep(time).await;
                    }
                    Ok(())
                });
            }
            Event::Unwatched(time) => {
                self.ending.spawn(unwatched(stack.urls().0, time));
            }
            Event::Gateway(page) => stack.pems().set_gateway(page),
            Event::Clock(ahead) => stack.pems().set_clock(ahead),
            Event::Archive(record, text) => {
                let changes = Map::from_iter([("model".to_owned(), text.into())]);
                stack.pems().edit(RESTORED.1, &stack::restored_id(record), &changes).context("PEMS lacks a record")?;
            }
            Event::Restore => ensure!(stack.pems().restore(RESTORED.1), "PEMS has no backup"),
            Event::Pull => {
                let mut pull = stack.relay("pull", "pull")?;
                // It may well fail, in this faults.
                self.ending.spawn(async move { pull.wait().await.map(drop) });
            }
        }
        Ok(())
    }

    fn start(&mut self, relay: usize, stack: &Stack) -> Result<()> {
        if self.relays[relay].is_none() {
            self.relays[relay] = Some(stack.relay(&name(relay), "run")?);
        }
        Ok(())
    }

    /// Ends the faults: every relay runs, PEMS is well, no record is open.
    async fn clear(&mut self, stack: &Stack) -> Result<()> {
        stack.pems().clear_faults();
        stack.pems().set_gateway(None);
        for record in 0..RECORDS {
            let (code, pfa_id) = key(record);
            stack.pems().lock_record(&code, &pfa_id, false);
        }
        for relay in 0..RELAYS {
            self.start(relay, stack)?;
        }
        while let Some(ended) = timeout(PATIENCE, self.ending.join_next()).await.context("a pull or a relay does not end")? {
            ended??;
        }
        stack.let_in(true).await?;
        for relay in self.relays.iter_mut().flatten() {
            if let Some(status) = relay.ended()? {
                bail!("a relay ended by itself with {status}");
            }
        }
        Ok(())
    }
}

/// Disables the triggers for so long. Faults of the database may end a session at any point: attach() is called until it is
/// done.
async fn unwatched(url: String, time: Duration) -> Result<()> {
    if let Ok(administrator) = session(&url).await {
        let disable = "set lock_timeout = '2s'; alter table pfa_modification disable trigger user";
        let _ = administrator.batch_execute(disable).await;
    }
    sleep(time).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let attached = match session(&url).await {
            Ok(administrator) => administrator.batch_execute("select pfa_sync.attach()").await,
            Err(error) => Err(error),
        };
        match attached {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error).context("attach() does not succeed"),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
}

fn summary(facts: &Facts) -> String {
    let states = |state: &str| facts.states.values().filter(|is| *is == state).count();
    let outcomes = |outcome: EditOutcome| facts.edits.values().filter(|is| **is == outcome).count();
    let ordered = facts.log.iter().filter(|request| request.fault.is_some()).count();
    format!(
        "{} committed, {} refused, {} rolled back; {} synced, {} in conflict, {} dead letters, {} withdrawn; \
         {} requests, {ordered} of them shown a fault; {} foreign edits; {} conflicts resolved; at most {} sessions of a relay",
        outcomes(EditOutcome::Committed),
        outcomes(EditOutcome::Refused),
        outcomes(EditOutcome::RolledBack),
        states("synced"),
        states("conflict"),
        states("sync_error"),
        states("draft") - outcomes(EditOutcome::Refused),
        facts.log.len(),
        facts.foreign.len(),
        facts.resolved.len(),
        facts.sessions.values().max().copied().unwrap_or_default()
    )
}
