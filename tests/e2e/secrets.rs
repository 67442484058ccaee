//! What no reader of the log sees at any level: values of records, tokens, passwords; and the mask of numbers.

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::support::api::{Api, SECRET, now, token};
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

/// A price that occurs nowhere else.
const PRICE: u64 = 774_411;

/// A text that stands in an edit, and nowhere else.
const MODEL: &str = "Q-774411-X";

#[tokio::test]
async fn no_log_level_shows_values_or_secrets() -> Result<()> {
    let stack = Stack::new(2).await?;
    let password = stack.scenario.database.url();
    let password = password.split([':', '@']).nth(2).context("a password")?.to_owned();
    let (api_log, relay_log) = (NamedTempFile::new()?, NamedTempFile::new()?);
    let errors = relay_log.reopen()?;
    let relay = stack.relay_with("run", |command| {
        command.args(["--log-level", "trace"]).env("RUST_LOG", "trace").stderr(errors);
    })?;
    let api = Api::start_logging(&stack.scenario, &["--log-level", "trace"], api_log.reopen()?).await?;
    let authorization = token(&json!({"userId": "usr_editor", "exp": now() + 60}));
    let draft = json!({"organizationId": "RIO", "pfaId": "1", "delta": {"monthlyRate": PRICE, "model": MODEL}});
    let saved = api.request("POST", "/api/pfa-data/save-draft", None).bearer_auth(&authorization).json(&draft).send().await?;
    saved.error_for_status()?;
    api.post("usr_editor", "/api/pfa-data/commit-drafts", json!({"organizationId": "RIO"})).await?.error_for_status()?;
    stack.until_drained().await?;
    api.get("usr_editor", &format!("/api/pfa-data?organizationId=RIO&search={MODEL}")).await?;
    // A request that the database refuses, and one that is no request.
    api.post("usr_editor", "/api/pfa-data/save-draft", json!({"organizationId": "RIO", "pfaId": "1", "delta": {"x": PRICE}}))
        .await?;
    api.post("usr_editor", "/api/pfa-data/save-draft", json!({"price": PRICE})).await?;
    stack.set_password("another");
    stack.scenario.edit("2", json!({"monthlyRate": PRICE, "model": MODEL})).await?;
    stack.until("select exists (select from pfa_sync.status() where health = 'held')").await?;
    assert!(api.process.stop().await?.success());
    assert!(relay.stop().await?.success());
    for (log, program) in [(api_log, "pfa-api"), (relay_log, "pfa-relay")] {
        let text = std::fs::read_to_string(log.path())?;
        assert!(text.lines().count() > 5, "{program} logged: {text}");
        let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "pfa-sync:secret");
        for secret in [&PRICE.to_string(), MODEL, &password, &authorization, SECRET, &basic] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{program} logged {secret}: {line:?}");
        }
    }
    Ok(())
}

/// Prices may be written in the digits of any script.
#[tokio::test]
async fn the_mask_covers_the_numerals_of_all_scripts() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let masked = async |text: &str| -> Result<String> {
        Ok(scenario.client.query_one("select pfa_sync_private.masked($1::text, false)", &[&text]).await?.get(0))
    };
    for (text, expected) in [
        ("12,500.00 EUR for 3 weeks", "# EUR for # weeks"),
        ("١٢٥٠٠ EUR", "# EUR"),
        ("१२५०० EUR", "# EUR"),
        ("１２，５００ EUR", "#，# EUR"),
        ("1𝟐𝟓00 EUR", "# EUR"),
        ("m² and ½", "m# and #"),
        ("no number", "no number"),
    ] {
        assert_eq!(masked(text).await?, expected, "{text}");
    }
    let numerals: String = ('\0'..=char::MAX).filter(|character| character.is_numeric()).collect();
    let left = masked(&numerals).await?;
    assert_eq!(left, "#");
    let others: String = ('\u{1}'..=char::MAX).filter(|character| !character.is_numeric()).collect();
    assert_eq!(masked(&others).await?, others, "what is no number stays");
    Ok(())
}
