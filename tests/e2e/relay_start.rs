//! What a relay stands on when it starts: PEMS' certificate, the extension's version, a proxy, a choice.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rstest::rstest;
use serde_json::json;
use tempfile::NamedTempFile;
use testbed::process::Process;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::support::connect_proxy::ConnectProxy;
use crate::support::stack::Stack;

/// Longest wait for a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program writes to its standard error.
struct Log {
    lines: Lines<BufReader<pipe::Receiver>>,
    text: String,
}

impl Log {
    /// A log, and the end that a program writes to.
    fn new() -> Result<(Self, OwnedFd)> {
        let (sender, receiver) = pipe::pipe()?;
        Ok((Self { lines: BufReader::new(receiver).lines(), text: String::new() }, sender.into_blocking_fd()?))
    }

    /// Reads until a line holds this text.
    async fn until(&mut self, expected: &str) -> Result<()> {
        let reading = async {
            while !self.text.contains(expected) {
                let line = self.lines.next_line().await?.with_context(|| format!("no {expected:?} in: {}", self.text))?;
                self.text = format!("{}{line}\n", self.text);
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, reading).await.with_context(|| format!("no line with {expected:?}"))?
    }

    /// Everything that was written by a program that has ended.
    async fn whole(mut self) -> Result<String> {
        while let Some(line) = self.lines.next_line().await? {
            self.text = format!("{}{line}\n", self.text);
        }
        Ok(self.text)
    }
}

/// A certificate of an authority that did not sign PEMS'.
fn other_authority() -> Result<NamedTempFile> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut file = NamedTempFile::new()?;
    file.write_all(authority.self_signed(&KeyPair::generate()?)?.pem().as_bytes())?;
    Ok(file)
}

async fn ended(mut process: Process) -> Result<bool> {
    let status = timeout(PATIENCE, process.wait()).await.context("it did not end")??;
    Ok(status.success())
}

/// A certificate that is not accepted stays so until a person does something.
#[rstest]
#[case::run("run")]
#[case::pull("pull")]
#[tokio::test]
async fn a_wrong_authority_ends_the_relay_with_one_sentence(#[case] subcommand: &str) -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    let (authority, (log, end)) = (other_authority()?, Log::new()?);
    let relay = stack.relay_with(subcommand, |command| {
        command.env("PEMS_CA", authority.path()).stderr(end);
    })?;
    assert!(!ended(relay).await?);
    let text = log.whole().await?;
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("not accepted") && last.contains("name the authority's certificate with pems-ca"), "{text}");
    // The edit waits for a relay that can send it.
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    stack.check().await
}

#[tokio::test]
async fn doctor_says_what_is_wrong_with_the_certificate() -> Result<()> {
    let stack = Stack::new(1).await?;
    let authority = other_authority()?;
    let mut doctor = stack.relay_with("doctor", |command| {
        command.env("PEMS_CA", authority.path());
    })?;
    let lines = lines(&mut doctor).await;
    assert!(lines.iter().any(|line| line.contains("FAILED  PEMS") && line.contains("pems-ca")), "{lines:#?}");
    Ok(())
}

async fn lines(process: &mut Process) -> Vec<String> {
    let mut lines = Vec::new();
    while let Ok(line) = process.line().await {
        lines.push(line);
    }
    lines
}

/// Each of these is mended in the database, and the relay goes on by itself.
#[rstest]
#[case::version(
    "update pfa_sync_private.installation set attached_version = '0.0.1'",
    "but 0.0.1 is attached",
    "select pfa_sync.attach(); select pfa_sync.resume()"
)]
#[case::detached("select pfa_sync.detach()", "not attached", "select pfa_sync.attach(); select pfa_sync.resume()")]
#[tokio::test]
async fn a_database_that_does_not_fit_yet_is_waited_for_with_one_line(
    #[case] spoil: &str,
    #[case] expected: &str,
    #[case] mend: &str,
) -> Result<()> {
    let stack = Stack::new(1).await?;
    stack.scenario.client.batch_execute(spoil).await?;
    let (mut log, end) = Log::new()?;
    let relay = stack.relay_with("run", |command| {
        command.stderr(end);
    })?;
    log.until(expected).await?;
    stack.scenario.client.batch_execute(mend).await?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    relay.stop().await?;
    let text = log.whole().await?;
    let complaints = text.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
    assert_eq!(complaints, 1, "{text}");
    stack.check().await
}

/// The relay reads PEMS into the mirror when that was chosen, and not before.
#[tokio::test]
async fn nothing_is_pulled_before_it_is_chosen() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.scenario.client.batch_execute("delete from pfa_sync_private.setting_value where name = 'inbound'").await?;
    stack.foreign_edit("1", json!({"model": "moved"}));
    let found = "select count(*) from pfa_sync.check() where detail like '%pfa_sync.set(''inbound''%'";
    assert_eq!(stack.scenario.value::<i64>(found).await?, 2, "of both organizations");
    let mut doctor = stack.relay("doctor")?;
    let lines = lines(&mut doctor).await;
    assert!(lines.iter().any(|line| line.starts_with("FAILED  check()") && line.contains("inbound")), "{lines:#?}");

    let _relay = stack.relay("run")?;
    stack.scenario.edit("2", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.pulls").await?, 0);
    assert_ne!(stack.scenario.mirror("1").await?["model"], "moved");

    // A pause stops sending, and no pull.
    stack.scenario.client.batch_execute("select pfa_sync.pause('RIO', 'a test'), pfa_sync.set('inbound', 'relay')").await?;
    stack.until("select data->>'model' = 'moved' from pfa_mirror where \"pfaId\" = '1'").await?;
    stack.check().await
}

/// A proxy sees the name of PEMS and bytes that are encrypted.
#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_sees_no_secret() -> Result<()> {
    let stack = Stack::new(2).await?;
    let (_, port) = stack.pems.url().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).context("a port")?;
    let proxy = ConnectProxy::start(port.parse()?).await?;
    let _relay = stack.relay_with("run", |command| {
        command.env("PEMS_PROXY", proxy.url()).env("PEMS_URL", format!("https://{}:{port}", pems_simulator::NAME));
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until_drained().await?;
    let tunnels = proxy.tunnels();
    assert!(!tunnels.is_empty());
    for tunnel in &tunnels {
        assert!(tunnel.head.starts_with(&format!("CONNECT {}:{port} HTTP/1.1\r\n", pems_simulator::NAME)), "{}", tunnel.head);
        assert!(!tunnel.head.to_lowercase().contains("authorization"), "{}", tunnel.head);
        // The first byte of a TLS handshake.
        assert_eq!(tunnel.first_byte, Some(0x16));
    }
    stack.check().await
}

/// The proxy refuses: an outage with the reason, and no way around it.
#[tokio::test]
async fn a_proxy_that_refuses_is_an_outage() -> Result<()> {
    let stack = Stack::new(1).await?;
    let proxy = ConnectProxy::refusing().await?;
    let relay = stack.relay_with("run", |command| {
        command.env("PEMS_PROXY", proxy.url()).env("PEMS_URL", format!("https://{}:1", pems_simulator::NAME));
    })?;
    stack.scenario.edit("1", json!({"model": "X"})).await?;
    stack.until("select health = 'pems_down' from pfa_sync.status('RIO')").await?;
    assert!(stack.pems.log().is_empty());
    relay.stop().await?;
    let _relay = stack.relay("run")?;
    stack.until_drained().await?;
    stack.check().await
}
