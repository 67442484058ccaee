//! Alerts on their way out: signed webhooks that are repeated until they arrive, and mails.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::stack::Stack;

/// The secret that webhooks are signed with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A webhook as it arrived.
#[derive(Clone, Debug)]
struct Received {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

/// A receiver of webhooks that answers the first ones with an error.
struct Receiver {
    url: String,
    received: watch::Receiver<Vec<Received>>,
}

impl Receiver {
    /// `failures`: the statuses of the first answers; 0 = the connection is closed without one.
    async fn start(failures: Vec<u16>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let (sender, received) = watch::channel(Vec::new());
        let sender = Arc::new(sender);
        tokio::spawn(async move {
            let mut statuses = failures.into_iter();
            while let Ok((connection, _)) = listener.accept().await {
                let status = statuses.next().unwrap_or(200);
                let _ = receive(connection, status, &sender).await;
            }
        });
        Ok(Self { url, received })
    }

    async fn until(&mut self, number: usize) -> Result<Vec<Received>> {
        let arrived = tokio::time::timeout(PATIENCE, self.received.wait_for(|received| received.len() >= number)).await;
        Ok(arrived.context("the webhook did not arrive")??.clone())
    }
}

async fn receive(connection: TcpStream, status: u16, sender: &watch::Sender<Vec<Received>>) -> Result<()> {
    let mut stream = BufReader::new(connection);
    let (mut length, mut headers) = (0, std::collections::BTreeMap::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse()?;
        }
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let received = Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: String::from_utf8(body)?,
    };
    sender.send_modify(|all| all.push(received));
    if status != 0 {
        let answer =
            format!("HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// A stack in which an alert is about to be raised, and a relay that sends it.
async fn with_channel(kind: &str, address: &str) -> Result<Stack> {
    let stack = Stack::new(1).await?;
    let client = &stack.scenario.client;
    client.execute("select pfa_sync.set('poll', '1 s'), pfa_sync.set('instance_name', 'Rio')", &[]).await?;
    client.execute("select pfa_sync.set_alert_channel($1, $2)", &[&kind, &address]).await?;
    client
        .execute("update pfa_sync_private.sync_organization set held_since = now() where organization_id = 'org_HARBOUR_7'", &[])
        .await?;
    client.execute("select pfa_sync.set_alert_rule('credentials_refused', severity => 'warning')", &[]).await?;
    Ok(stack)
}

/// Makes what waits to be repeated due now.
const DUE: &str = "update pfa_sync_private.alert_delivery set next_try_at = now()";

#[tokio::test]
async fn a_webhook_is_signed_and_repeated_until_it_arrives() -> Result<()> {
    let mut receiver = Receiver::start(vec![500, 302, 0]).await?;
    let stack = with_channel("webhook", &receiver.url).await?;
    let secret = crate::support::two_pems::file(SECRET)?;
    let relay = stack.relay_with("run", |command| {
        command.env("ALERT_WEBHOOK_SECRET_FILE", secret.path());
    })?;
    for arrived in 1..=4 {
        receiver.until(arrived).await?;
        stack.scenario.client.execute(DUE, &[]).await?;
    }
    let received = receiver.until(4).await?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(SECRET.trim_start_matches("whsec_"))?);
    for Received { id, timestamp, signature, body } in &received {
        assert_eq!(id, &received[0].id, "a repetition has the id of the first");
        let tag = BASE64_STANDARD.decode(signature.strip_prefix("v1,").context("a signature")?)?;
        hmac::verify(&key, format!("{id}.{timestamp}.{body}").as_bytes(), &tag).context("the signature is wrong")?;
    }
    let message: Value = serde_json::from_str(&received[3].body)?;
    assert_eq!(message["type"], "alert.raised");
    let data = &message["data"];
    assert_eq!((data["rule"].as_str(), data["organization"].as_str()), (Some("credentials_refused"), Some("HARBOUR")));
    assert!(data["action"].as_str().is_some_and(|action| action.contains("resume")));
    stack.until("select count(*) = 1 from pfa_sync_private.alert_delivery where delivered_at is not null").await?;
    // The end of the alert is a message of its own.
    stack.scenario.client.query("select * from pfa_sync.resume()", &[]).await?;
    let received = receiver.until(5).await?;
    assert_eq!(serde_json::from_str::<Value>(&received[4].body)?["type"], "alert.resolved");
    assert_ne!(received[4].id, received[0].id);
    let waiting: i64 = stack.scenario.value("select waiting from pfa_sync.alert_channels").await?;
    assert!(relay.stop().await?.success());
    assert!(waiting <= 1, "{waiting}");
    Ok(())
}

/// Nothing is sent in clear text to another machine.
#[tokio::test]
async fn a_webhook_without_tls_goes_to_this_machine_alone() -> Result<()> {
    let stack = with_channel("webhook", "http://192.0.2.1/hook").await?;
    let relay = stack.relay_with("run", |command| {
        command.env("ALERT_WEBHOOK_SECRET", SECRET);
    })?;
    stack.until("select exists (select from pfa_sync.alert_channels where last_error like '%must be https%')").await?;
    assert!(relay.stop().await?.success());
    Ok(())
}

/// A message that never arrives is given up after a day.
#[tokio::test]
async fn a_message_is_given_up_after_a_day() -> Result<()> {
    let stack = with_channel("webhook", "https://a.example/").await?;
    let client = &stack.scenario.client;
    client.query("select * from pfa_sync.evaluate_alerts()", &[]).await?;
    let claim = "select count(*) from pfa_sync.claim_deliveries('{webhook}')";
    assert_eq!(stack.scenario.value::<i64>(claim).await?, 1);
    assert_eq!(stack.scenario.value::<i64>(claim).await?, 0, "it is another program's for a minute");
    client.execute("select pfa_sync.report_delivery(1, 'the receiver answered 500')", &[]).await?;
    let wait = "select (next_try_at - now() between '8 s' and '11 s') from pfa_sync_private.alert_delivery";
    assert!(stack.scenario.value::<bool>(wait).await?);
    client.execute("update pfa_sync_private.alert_delivery set created_at = now() - interval '25 hours'", &[]).await?;
    client.execute("select pfa_sync.report_delivery(1, 'the receiver answered 500')", &[]).await?;
    client.execute(DUE, &[]).await?;
    assert_eq!(stack.scenario.value::<i64>(claim).await?, 0);
    Ok(())
}

/// A mail server that takes one message and remembers what it was told.
async fn mail_server() -> Result<(String, tokio::task::JoinHandle<Result<String>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("smtp://{}", listener.local_addr()?);
    let session = tokio::spawn(async move {
        let (connection, _) = listener.accept().await?;
        let mut stream = BufReader::new(connection);
        stream.get_mut().write_all(b"220 test\r\n").await?;
        let (mut said, mut in_data) = (String::new(), false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(said);
            }
            said.push_str(&line);
            let answer: &[u8] = match line.trim_end() {
                "." if in_data => {
                    in_data = false;
                    b"250 taken\r\n"
                }
                _ if in_data => continue,
                "DATA" => {
                    in_data = true;
                    b"354 go on\r\n"
                }
                "QUIT" => {
                    stream.get_mut().write_all(b"221 bye\r\n").await?;
                    return Ok(said);
                }
                _ => b"250 test\r\n",
            };
            stream.get_mut().write_all(answer).await?;
        }
    });
    Ok((url, session))
}

#[tokio::test]
async fn a_mail_says_what_and_what_to_do() -> Result<()> {
    let (url, session) = mail_server().await?;
    let stack = with_channel("mail", "operator@example.com").await?;
    let relay = stack.relay_with("run", |command| {
        command.env("ALERT_SMTP_URL", url).env("ALERT_MAIL_FROM", "pfa-sync@example.com");
    })?;
    stack.until("select exists (select from pfa_sync_private.alert_delivery where delivered_at is not null)").await?;
    assert!(relay.stop().await?.success());
    let said = tokio::time::timeout(PATIENCE, session).await???;
    for expected in
        ["RCPT TO:<operator@example.com>", "Subject: [pfa-sync Rio HARBOUR] warning: credentials_refused", "What to do:"]
    {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    Ok(())
}
