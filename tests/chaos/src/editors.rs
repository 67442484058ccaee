//! The people: editors who commit, roll back and withdraw, and somebody who resolves the conflicts that come up. A lost
//! connection is theirs to live with: they come back and finish what they were doing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};
use tokio_postgres::{Client, Error, NoTls};
use tokio_util::sync::CancellationToken;

use super::facts::EditOutcome;
use super::plan::{EDITORS, Edit, ORGANIZATIONS, Step, Timed};

/// Between two tries to do something.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest time that a session retries one statement.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the open conflicts.
const LOOK: Duration = Duration::from_millis(200);

const DRAFT: &str = r#"
    insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "sessionId", "baseVersion", "updatedAt")
    select e->>'id', m.id, m."organizationId", $1, e->'delta', $2, m.version, now() at time zone 'utc'
      from jsonb_array_elements($3::jsonb) e
      join pfa_mirror m on m."organizationId" = $4 and m."pfaId" = e->>'pfaId'
    on conflict (id) do nothing"#;
const COMMIT: &str = r#"
    update pfa_modification set "syncState" = 'committed', "updatedAt" = now() at time zone 'utc'
     where id = any ($1) and "syncState" = 'draft'"#;
const COMMIT_VALID: &str = "select modification_id, verdict from pfa_sync.commit_drafts($1, $2, null, $3, true)";

/// What an error means to a session.
pub(super) enum Trouble {
    /// The connection is gone, or two were in each other's way: again.
    Again,
    /// The database says no, in a way that was foreseen.
    Refused,
}

pub(super) fn trouble(error: Error) -> Result<Trouble> {
    match error.code().map(|state| state.code().to_owned()).as_deref() {
        None | Some("40001" | "40P01" | "57P01" | "57P02" | "57P03") => Ok(Trouble::Again),
        Some(state) if state.starts_with("08") => Ok(Trouble::Again),
        Some(state) if state.starts_with("PF") => Ok(Trouble::Refused),
        Some(_) => Err(error).context("the database failed in an unexpected way"),
    }
}

pub(super) async fn session(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// One editor at work.
pub struct Editor {
    url: String,
    number: usize,
    client: Option<Client>,
    outcomes: BTreeMap<String, EditOutcome>,
    committed: Vec<String>,
}

impl Editor {
    /// One of [`EDITORS`], who logs in as the application does.
    pub fn new(url: String, number: usize) -> Self {
        Self { url, number, client: None, outcomes: BTreeMap::new(), committed: Vec::new() }
    }

    /// Does its steps, each at its time or as soon after it as it comes to it. What became of each edit.
    pub async fn work(mut self, steps: Vec<Timed>, start: Instant) -> Result<BTreeMap<String, EditOutcome>> {
        for (turn, timed) in steps.into_iter().enumerate() {
            sleep_until((start + timed.at).into()).await;
            let session = format!("{}-{turn}", self.number);
            let deadline = Instant::now() + PATIENCE;
            while let Err(error) = self.try_step(&timed, &session).await {
                trouble(error)?;
                self.client = None;
                if Instant::now() > deadline {
                    bail!("editor {} can't finish step {turn}", self.number);
                }
                sleep(PAUSE).await;
            }
        }
        Ok(self.outcomes)
    }

    async fn try_step(&mut self, timed: &Timed, session_id: &str) -> Result<(), Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => session(&self.url).await?,
        };
        let client = self.client.insert(client);
        let (organization, user) = (ORGANIZATIONS[timed.organization].0, EDITORS[self.number].0);
        match &timed.step {
            Step::Commit(edits, linger) => {
                client.execute(DRAFT, &[&user, &session_id, &drafts(edits), &organization]).await?;
                sleep(*linger).await;
                let ids = ids(edits);
                let mut refused = Vec::new();
                if let Err(error) = client.execute(COMMIT, &[&ids]).await {
                    if !error.code().is_some_and(|state| state.code().starts_with("PF")) {
                        return Err(error);
                    }
                    let verdicts = client.query(COMMIT_VALID, &[&organization, &user, &session_id]).await?;
                    let bad = verdicts.iter().filter(|row| matches!(row.get(1), "invalid" | "forbidden"));
                    refused.extend(bad.map(|row| row.get::<_, String>(0)));
                }
                for id in ids {
                    let outcome = if refused.contains(&id) { EditOutcome::Refused } else { EditOutcome::Committed };
                    self.outcomes.insert(id.clone(), outcome);
                    if outcome == EditOutcome::Committed {
                        self.committed.push(id);
                    }
                }
            }
            Step::RollBack(edits) => {
                let transaction = client.transaction().await?;
                transaction.execute(DRAFT, &[&user, &session_id, &drafts(edits), &organization]).await?;
                if let Err(error) = transaction.execute(COMMIT, &[&ids(edits)]).await
                    && !error.code().is_some_and(|state| state.code().starts_with("PF"))
                {
                    return Err(error);
                }
                transaction.rollback().await?;
                self.outcomes.extend(ids(edits).into_iter().map(|id| (id, EditOutcome::RolledBack)));
            }
            Step::Withdraw(count) => {
                let latest = &self.committed[self.committed.len().saturating_sub(*count)..];
                client.query("select verdict from pfa_sync.withdraw($1, $2)", &[&latest, &user]).await?;
            }
        }
        Ok(())
    }
}

fn drafts(edits: &[Edit]) -> Value {
    edits.iter().map(|edit| json!({"id": edit.modification, "pfaId": edit.pfa_id, "delta": edit.delta})).collect()
}

fn ids(edits: &[Edit]) -> Vec<String> {
    edits.iter().map(|edit| edit.modification.clone()).collect()
}

/// Resolves most conflicts, in every way there is, until it is stopped. Returns how many it resolved.
pub async fn resolve(url: String, seed: u64, stop: CancellationToken) -> Result<usize> {
    let mut rng = Rng::with_seed(seed);
    let mut resolved = 0;
    let mut client = None;
    while !stop.is_cancelled() {
        tokio::select! { () = stop.cancelled() => break, () = sleep(LOOK) => {} }
        match resolve_some(&url, &mut client, &mut rng).await {
            Ok(done) => resolved += done,
            Err(error) => {
                trouble(error)?;
                client = None;
            }
        }
    }
    Ok(resolved)
}

async fn resolve_some(url: &str, client: &mut Option<Client>, rng: &mut Rng) -> Result<usize, Error> {
    let open = match client.take() {
        Some(open) => open,
        None => session(url).await?,
    };
    let client = client.insert(open);
    // Every fourth is left open: an unresolved conflict is a valid end, too.
    let rows = client
        .query(
            "select conflict_id, conflict_fields, ours from pfa_sync.conflicts where conflict_id % 4 <> 0 order by 1 limit 20",
            &[],
        )
        .await?;
    let mut resolved = 0;
    for row in rows {
        let (id, fields, ours): (i64, Vec<String>, Value) = (row.get(0), row.get(1), row.get(2));
        let resolution = ["use_local", "use_pems", "merge"][rng.usize(..3)];
        let merged =
            (resolution == "merge").then(|| fields.iter().map(|field| (field.clone(), ours[field].clone())).collect::<Value>());
        let state = client.query_one("select pfa_sync.conflict_state($1)->>'state'", &[&id]).await?;
        let state: Option<String> = state.get(0);
        let call = "select pfa_sync.resolve_conflict($1, $2, 'usr_admin', $3, $4)";
        match client.query(call, &[&id, &resolution, &merged, &state]).await {
            Ok(_) => resolved += 1,
            // Somebody was faster, the record moved on, or the change is not valid any more.
            Err(error) if error.code().is_some_and(|state| state.code().starts_with("PF")) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(resolved)
}
