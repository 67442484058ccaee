//! Live events: each is sent once to every stream that may see it, and missed ones after a reconnect.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Response;
use serde_json::{Value, json};
use testbed::application::{EDITOR, HARBOUR, RIO, pems_record};
use testbed::cluster::Login;
use tokio::time::timeout;

use crate::support::api::{Api, now, token};
use crate::support::scenario::Scenario;
use crate::support::tenants::two_tenants;

/// No signal takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Event {
    /// What happened to which record.
    fn described(&self) -> String {
        format!("{} {}", self.name, self.data["pfaId"].as_str().unwrap_or("-"))
    }
}

/// An open stream of events.
struct Stream {
    response: Response,
    text: String,
    received: VecDeque<Event>,
}

impl Stream {
    async fn open(api: &Api, user: &str, last: Option<&str>) -> Result<Self> {
        let request = api.request("GET", "/api/pems/events", Some(user));
        let request = match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await?.error_for_status()?;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Self { response, text: String::new(), received: VecDeque::new() })
    }

    /// Listens from now on; the id of now.
    async fn ready(api: &Api, user: &str) -> Result<(Self, String)> {
        let mut stream = Self::open(api, user, None).await?;
        let ready = stream.next().await?.context("the stream ended")?;
        assert_eq!(ready.name, "ready");
        Ok((stream, ready.id))
    }

    /// The next event; `None` = the stream has ended.
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.received.pop_front() {
                return Ok(Some(event));
            }
            let Some(chunk) = timeout(PATIENCE, self.response.chunk()).await?? else { return Ok(None) };
            self.text.push_str(std::str::from_utf8(&chunk)?);
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
                if let (Some(id), Some(name), Some(data)) = (field("id:"), field("event:"), field("data:")) {
                    self.received.push_back(Event {
                        id: id.to_owned(),
                        name: name.to_owned(),
                        data: serde_json::from_str(data)?,
                    });
                }
                self.text = rest.to_owned();
            }
        }
    }

    /// All up to an event, which is the last of them.
    async fn until(&mut self, described: &str) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let Some(event) = self.next().await? else { bail!("the stream ended before {described}: {events:?}") };
            let found = event.described() == described;
            events.push(event);
            if found {
                return Ok(events);
            }
        }
    }
}

fn described(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::described).collect()
}

#[tokio::test]
async fn everybody_hears_what_happens_in_their_organizations_and_nothing_else() -> Result<()> {
    let scenario = two_tenants().await?;
    let api = Api::start(&scenario, &[]).await?;
    let (mut rio, _) = Stream::ready(&api, "usr_second").await?;
    let (mut both, _) = Stream::ready(&api, "usr_viewer").await?;
    scenario.client.execute("select * from pfa_sync.ingest('HARBOUR', $1)", &[&json!([pems_record("HARBOUR", "9")])]).await?;
    scenario.ingest(&[pems_record("RIO", "8"), pems_record("RIO", "7")]).await?;
    scenario.application().draft(EDITOR, HARBOUR, "9", json!({"model": "Mine"})).await?;
    scenario.application().commit(EDITOR, HARBOUR).await?;
    let withdrawn = scenario.edit("8", json!({"model": "Mine"})).await?;
    scenario.client.execute("select pfa_sync.withdraw(array[$1], 'usr_editor')", &[&withdrawn]).await?;
    scenario.client.execute("select pfa_sync.discard_drafts('RIO', 'usr_editor')", &[]).await?;
    scenario.edit("7", json!({"model": "Mine", "monthlyRate": 4321.5})).await?;
    let sent = scenario.send().await?;
    let seven: Vec<_> = sent.into_iter().filter(|claimed| claimed.pfa_id == "7").collect();
    scenario.report("fail", &seven, json!({"outcome": "rejected", "error": "no", "http_status": 422})).await?;
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'works')").await?;

    let received = rio.until("pause -").await?;
    let of = |id: &str| -> Vec<String> {
        described(&received).into_iter().filter(|described| described.ends_with(&format!(" {id}"))).collect()
    };
    assert_eq!(of("8"), ["queued 8", "withdrawn 8"]);
    assert_eq!(of("7"), ["queued 7", "syncing 7", "attempt_failed 7", "failed 7"]);
    assert!(of("9").is_empty(), "another organization's: {received:?}");
    assert!(received.iter().all(|event| event.data["organizationId"] == RIO), "{received:?}");
    assert!(!received.iter().any(|event| event.data.to_string().contains("4321")), "an event holds no values");
    assert!(described(&both.until("pause -").await?).contains(&"queued 9".to_owned()));
    Ok(())
}

/// Writers whose transactions end in another order than they began, two instances of the API, and a listener that comes
/// back at every single event.
#[tokio::test]
async fn a_listener_that_comes_back_gets_every_event_once() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let first = Api::start(&scenario, &["--rate-limit", "100000"]).await?;
    let second = Api::start(&scenario, &["--rate-limit", "100000"]).await?;
    let (mut stream, mut last) = Stream::ready(&first, "usr_viewer").await?;
    let insert = "insert into pfa_sync_private.pfa_audit_log (event_type, organization_id, pfa_id) select 'COMMITTED', 'org_RIO_173', $1 || n from generate_series(1, 3) n";
    let mut writers = Vec::new();
    for _ in 0..4 {
        writers.push(scenario.database.client().await?);
    }
    for round in 0..2 {
        for (number, writer) in writers.iter().enumerate() {
            writer.batch_execute("begin").await?;
            writer.execute(insert, &[&format!("{round}-{number}-")]).await?;
        }
        // The last to begin is the first to end, and its event is sent while the others are still open.
        for (number, writer) in writers.iter().enumerate().rev() {
            writer.batch_execute("commit").await?;
            let api = if number % 2 == 0 { &first } else { &second };
            for row in 1..=3 {
                let event = stream.until(&format!("queued {round}-{number}-{row}")).await?;
                assert_eq!(event.iter().filter(|event| event.name != "ready").count(), 1, "no gap, no doublet: {event:?}");
                last = event.last().context("an event")?.id.clone();
                stream = Stream::open(api, "usr_viewer", Some(&last)).await?;
            }
        }
    }
    // After a long absence, everything since the beginning of the last round is sent.
    drop(stream);
    scenario.client.execute(insert, &[&"away-"]).await?;
    let mut stream = Stream::open(&first, "usr_viewer", Some(&last)).await?;
    assert_eq!(described(&stream.until("ready -").await?), ["queued away-1", "queued away-2", "queued away-3", "ready -"]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_told_one_by_one_is_said_to_be_so() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    let (mut stream, before) = Stream::ready(&api, "usr_viewer").await?;
    let flood = "insert into pfa_sync_private.pfa_audit_log (event_type, organization_id, pfa_id) select 'COMMITTED', 'org_RIO_173', n from generate_series(1, 6000) n";
    scenario.client.execute(flood, &[]).await?;
    assert_eq!(stream.until("reload -").await?.len(), 1);
    for (why, position) in
        [("too much has happened", before.as_str()), ("no position", "x"), ("of the future", "0/999999999:999999999:")]
    {
        let mut stream = Stream::open(&api, "usr_viewer", Some(position)).await?;
        assert_eq!(described(&stream.until("ready -").await?), ["reload -", "ready -"], "{why}");
    }
    scenario.client.batch_execute("select pfa_sync.adopt()").await?;
    let mut stream = Stream::open(&api, "usr_viewer", Some(&before)).await?;
    assert_eq!(described(&stream.until("ready -").await?), ["reload -", "ready -"], "of before a copy took the original's place");
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_its_token_its_service_and_its_patience() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &["--rights-interval", "50 ms"]).await?;
    let short = token(&json!({"userId": "usr_viewer", "exp": now() + 2}));
    let response = api.request("GET", "/api/pems/events", None).bearer_auth(short).send().await?.error_for_status()?;
    let mut stream = Stream { response, text: String::new(), received: VecDeque::new() };
    assert_eq!(stream.next().await?.context("ready")?.name, "ready");
    assert!(stream.next().await?.is_none(), "the token has ended");

    // It reads nothing while more is sent than the hub buffers.
    let (slow, _) = Stream::ready(&api, "usr_viewer").await?;
    let (mut quick, _) = Stream::ready(&api, "usr_viewer").await?;
    let padded = "insert into pfa_sync_private.pfa_audit_log (event_type, organization_id, pfa_id) \
                  select 'COMMITTED', 'org_RIO_173', repeat('x', 4000) || n from generate_series(1, 400) n";
    for _ in 0..40 {
        scenario.client.execute(padded, &[]).await?;
        quick.until(&format!("queued {}400", "x".repeat(4000))).await?;
    }
    let mut slow = slow;
    let mut received = 0;
    while slow.next().await?.is_some() {
        received += 1;
    }
    assert!(received < 16_000, "it is dropped: {received}");

    // A revoked permission ends the events.
    let mut denied = Stream::ready(&api, "usr_second").await?.0;
    let revoke = r#"update user_organizations set "perm_Read" = false where "userId" = 'usr_second'"#;
    scenario.client.batch_execute(revoke).await?;
    for _ in 0..5 {
        scenario.client.batch_execute("select pfa_sync.pause('RIO', 'works')").await?;
        quick.until("pause -").await?;
    }
    let session = scenario.database.client_as(Login::Api).await?;
    session.batch_execute("set pfa_sync.user_id = 'usr_second'").await?;
    let since: String = scenario.value("select log_epoch || '/3:3:' from pfa_sync_private.installation").await?;
    assert!(!scenario.client.query("select * from pfa_sync.events($1)", &[&since]).await?.is_empty());
    assert_eq!(session.query("select * from pfa_sync.events($1)", &[&since]).await?.len(), 0);

    assert!(api.process.stop().await?.success(), "it does not wait for streams to end");
    let mut unexpected = 0;
    while denied.next().await?.is_some() {
        unexpected += 1;
    }
    assert!(unexpected < 5, "no events after the permission is revoked");
    Ok(())
}

#[tokio::test]
async fn a_user_holds_so_many_streams_and_no_more() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    let mut ears = Vec::new();
    for _ in 0..20 {
        ears.push(Stream::ready(&api, "usr_viewer").await?);
    }
    let refused = api.request("GET", "/api/pems/events", Some("usr_viewer")).send().await?;
    assert_eq!(refused.status(), 429);
    Stream::ready(&api, "usr_editor").await?;
    Ok(())
}

/// A breaker guards a PEMS: its events go to all users whose organizations that PEMS serves.
#[tokio::test]
async fn a_breaker_is_told_to_all_whom_it_stops() -> Result<()> {
    let scenario = Scenario::new().await?;
    let api = Api::start(&scenario, &[]).await?;
    let (mut stream, _) = Stream::ready(&api, "usr_viewer").await?;
    scenario.client.batch_execute("select pfa_sync.set('breaker_threshold', '1')").await?;
    scenario.edit("1", json!({"model": "Mine"})).await?;
    let sent = scenario.send().await?;
    scenario.report("fail", &sent, json!({"outcome": "unavailable", "error": "no answer", "whole": true})).await?;
    let breaker = stream.until("breaker -").await?;
    assert_eq!(breaker.last().context("an event")?.data["eventType"], "BREAKER_OPENED");
    Ok(())
}
