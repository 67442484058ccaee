//! Sealed credentials: stored, tried, rotated under load, and refused by name when they do not open.

use anyhow::{Context, Result};
use pems_simulator::Credentials;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::HARBOUR;

use crate::support::scenario::{Scenario, refusal};
use crate::support::two_pems::{EAST_TOKEN, KEY, TwoPems, file};

/// What the view shows of the credentials in use of the second PEMS.
const ACTIVE: &str = "select version::text || ' ' || key_id from pfa_sync.credentials where pems = 'east' and status = 'active'";

#[tokio::test]
async fn a_secret_is_tried_before_it_is_taken_into_use() -> Result<()> {
    let systems = TwoPems::new(1, None).await?;
    let wrong = file("wrong-token-774411")?;
    let set = ["set", "--pems", "east", "--kind", "bearer", "--secret-file", wrong.path().to_str().context("a path")?];
    let (succeeded, written) = systems.credentials(&set).await?;
    assert!(!succeeded && written.contains("nothing is changed") && written.contains("401"), "{written}");
    assert_eq!(systems.east.log().len(), 1, "one login, which is not repeated");
    let count = "select count(*) from pfa_sync.credentials where status <> 'retired'";
    assert_eq!(systems.scenario.value::<i64>(count).await?, 0);
    systems.set_east_token(EAST_TOKEN).await?;
    assert_eq!(systems.scenario.value::<String>(ACTIVE).await?, "2 k1");
    let (succeeded, written) = systems.credentials(&["list"]).await?;
    assert!(succeeded && written.contains("east") && written.contains("bearer") && written.contains("active"), "{written}");
    let (succeeded, written) = systems.credentials(&["verify"]).await?;
    assert!(succeeded && written.contains("accepted"), "{written}");
    // No secret of them stands in any table.
    let stored: String =
        systems.scenario.value("select string_agg(c::text, ' ') from pfa_sync_private.organization_api_credentials c").await?;
    let hexadecimal: String = EAST_TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!stored.contains(EAST_TOKEN) && !stored.contains(&hexadecimal));
    Ok(())
}

/// PEMS accepts the old secret until the new one is in use, and then only the new one. Nothing is held or lost, and the relay
/// is not restarted.
#[tokio::test]
async fn a_rotation_under_load_holds_nothing() -> Result<()> {
    let systems = TwoPems::new(200, Some(40)).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    let relay = systems.relay(&["--batch-size", "5"])?;
    systems.edit_all("C-1").await?;
    tokio::time::timeout(std::time::Duration::from_secs(30), systems.east.wait_for(|log| log.len() > 5)).await?;
    // From here on PEMS knows the new secret alone: the relay meets 401 with the old one until it has read the new one.
    let (secret, config) = (file("rotated-774411")?, Credentials::Bearer("rotated-774411".to_owned()));
    systems.east.set_credentials(config);
    let path = secret.path().to_str().context("a path")?;
    let (succeeded, written) = systems.credentials(&["rotate", "--pems", "east", "--secret-file", path]).await?;
    assert!(succeeded, "{written}");
    systems.until_drained().await?;
    systems.assert_contract("C-1");
    assert_eq!(systems.scenario.value::<String>(ACTIVE).await?, "2 k1");
    let health = format!("select count(*) from pfa_sync.health() where organization_id = '{HARBOUR}' and code = 'held'");
    assert_eq!(systems.scenario.value::<i64>(&health).await?, 0);
    let logged: Value = systems
        .scenario
        .value("select jsonb_agg(event_type order by event_id) from pfa_sync.audit where event_type like 'CREDENTIALS_ROT%'")
        .await?;
    assert_eq!(logged, json!(["CREDENTIALS_ROTATED", "CREDENTIALS_ROTATED"]));
    assert!(relay.stop().await?.success());
    systems.check().await
}

/// A refused secret is tried once for all organizations that share it, and they go on with the next one.
#[tokio::test]
async fn a_refused_login_holds_every_organization_with_the_same_credentials() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    client.execute("select pfa_sync.heartbeat('relay-1', '1', 'aaaaaa')", &[]).await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let sent = scenario.send().await?;
    let held = async || {
        scenario
            .value::<Vec<String>>("select array_agg(organization_id order by 1) from pfa_sync.health() where code = 'held'")
            .await
    };
    // A refusal of the organization alone is none of the login.
    let refused = json!({"outcome": "unauthorized", "error": "403", "http_status": 403, "credentials": "aaaaaa"});
    scenario.report("fail", &sent, refused).await?;
    assert_eq!(held().await?.len(), 1);
    client.query("select * from pfa_sync.resume()", &[]).await?;
    let sent = scenario.send().await?;
    let refused = json!({"outcome": "unauthorized", "error": "401", "http_status": 401, "credentials": "aaaaaa"});
    scenario.report("fail", &sent, refused).await?;
    assert_eq!(held().await?.len(), 2);
    client.execute("select pfa_sync.heartbeat('relay-1', '1', 'bbbbbb')", &[]).await?;
    let none: i64 = scenario.value("select count(*) from pfa_sync.health() where code = 'held'").await?;
    assert_eq!(none, 0);
    Ok(())
}

/// An organization's own credentials go before those of its PEMS, and end with their removal.
#[tokio::test]
async fn an_organization_may_have_credentials_of_its_own() -> Result<()> {
    let systems = TwoPems::new(2, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    let relay = systems.relay(&[])?;
    systems.edit_all("C-1").await?;
    systems.until_drained().await?;
    systems.east.set_credentials(Credentials::ApiKey("own-774411".to_owned()));
    let own = file("own-774411")?;
    let path = own.path().to_str().context("a path")?;
    let owner = ["--pems", "east", "--organization", "HARBOUR"];
    let set = [&["set"][..], &owner, &["--kind", "api_key", "--secret-file", path]].concat();
    let (succeeded, written) = systems.credentials(&set).await?;
    assert!(succeeded, "{written}");
    systems.edit_all("C-2").await?;
    systems.until_drained().await?;
    systems.assert_contract("C-2");
    systems.east.set_credentials(Credentials::Bearer(EAST_TOKEN.to_owned()));
    let (succeeded, written) = systems.credentials(&[&["remove"][..], &owner].concat()).await?;
    assert!(succeeded, "{written}");
    systems.edit_all("C-3").await?;
    systems.until_drained().await?;
    systems.assert_contract("C-3");
    assert!(relay.stop().await?.success());
    systems.check().await
}

/// What does not open is named, and the relay serves the other organizations.
#[rstest]
#[case::truncated(
    "update pfa_sync_private.organization_api_credentials set ciphertext = substr(ciphertext, 2)",
    "does not open it"
)]
#[case::moved("update pfa_sync_private.organization_api_credentials set organization_id = 'org_HARBOUR_7'", "does not open it")]
#[case::key("update pfa_sync_private.organization_api_credentials set key_id = 'k9'", "the key k9, which is not among")]
#[case::address("select pfa_sync.define_pems('east', 'https://127.0.0.1:9', 'EAST')", "set the credentials again")]
#[tokio::test]
async fn what_does_not_open_is_named(#[case] damage: &str, #[case] expected: &str) -> Result<()> {
    let systems = TwoPems::new(2, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    systems.scenario.client.execute(damage, &[]).await?;
    let tried = systems.east.log().len();
    let relay = systems.relay(&[])?;
    systems.edit_all("C-1").await?;
    systems.until("select not exists (select from pfa_sync.queue where organization_id = 'org_RIO_173')").await?;
    systems.until("select exists (select from pfa_sync.health('HARBOUR') where code = 'unserved')").await?;
    let reason: String = systems.scenario.value("select reason from pfa_sync.health('HARBOUR')").await?;
    assert!(reason.contains(expected), "{reason}");
    let (succeeded, written) = systems.credentials(&["verify"]).await?;
    assert!(!succeeded && written.contains("FAILED"), "{written}");
    assert_eq!(systems.east.log().len(), tried, "nothing is sent that did not open");
    // Set again, they work at once.
    systems
        .scenario
        .client
        .execute(&format!("select pfa_sync.define_pems('east', '{}', 'EAST')", systems.east.url()), &[])
        .await?;
    systems
        .scenario
        .client
        .execute("select pfa_sync.remove_credentials(credential_id) from pfa_sync.credentials where status = 'active'", &[])
        .await?;
    systems.set_east_token(EAST_TOKEN).await?;
    systems.until_drained().await?;
    systems.assert_contract("C-1");
    assert!(relay.stop().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_new_key_seals_everything_anew() -> Result<()> {
    let systems = TwoPems::new(1, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    let (_, key) = systems.credentials(&["generate-key", "k2"]).await?;
    let both = file(&format!("{key}\n# the old one\n{KEY}\n"))?;
    let with = |file: &tempfile::NamedTempFile| {
        let path = file.path().to_owned();
        move |command: &mut tokio::process::Command| {
            command.env("PEMS_CREDENTIALS_KEY_FILE", path);
        }
    };
    let (succeeded, written) = systems.credentials_with(&["rekey"], with(&both)).await?;
    assert!(succeeded && written.contains("sealed with k2, before with k1"), "{written}");
    assert_eq!(systems.scenario.value::<String>(ACTIVE).await?, "1 k2");
    let (succeeded, written) = systems.credentials_with(&["verify"], with(&file(&key)?)).await?;
    assert!(succeeded, "{written}");
    let (succeeded, written) = systems.credentials(&["verify"]).await?;
    assert!(!succeeded && written.contains("the key k2, which is not among"), "{written}");
    Ok(())
}

/// The row is as the application's code seals it: iv, tag and ciphertext.
#[tokio::test]
async fn the_applications_own_credentials_are_taken_over() -> Result<()> {
    let systems = TwoPems::new(1, None).await?;
    systems.east.set_credentials(Credentials::Basic { user: "pems-user".to_owned(), password: "hush-774411".to_owned() });
    let encryption_key = file("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")?;
    let rows = file(include_str!("../fixtures/application_credentials.csv"))?;
    let import = async |key: &tempfile::NamedTempFile| {
        let (rows, key) = (rows.path().to_str().context("a path")?, key.path().to_str().context("a path")?);
        systems.credentials(&["import", "--pems", "east", "--encryption-key-file", key, "--file", rows]).await
    };
    let (succeeded, output) = import(&encryption_key).await?;
    assert!(succeeded && output.contains("accepted by PEMS"), "{output}");
    let owner: (String, String) = {
        let row = systems
            .scenario
            .client
            .query_one("select organization_id, user_name from pfa_sync.credentials where status = 'active'", &[])
            .await?;
        (row.get(0), row.get(1))
    };
    assert_eq!(owner, (HARBOUR.to_owned(), "pems-user".to_owned()));
    let other_key = file(&"ab".repeat(32))?;
    let (succeeded, output) = import(&other_key).await?;
    assert!(!succeeded && output.contains("HARBOUR: FAILED: the secret does not open"), "{output}");
    assert!(!output.contains("hush-774411"));
    Ok(())
}

/// Only the relay's role may read or write sealed secrets.
#[tokio::test]
async fn other_roles_reach_no_sealed_secret() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let session = scenario.acting("usr_admin").await?;
    for call in ["relay_config()", "remove_credentials(1)", "activate_credentials(1, true)", "next_credentials('default')"] {
        let error = session.query(&format!("select pfa_sync.{call}"), &[]).await.unwrap_err();
        assert_eq!(refusal(&error.into()).0, "42501", "{call}");
    }
    Ok(())
}

/// No log at any level, no metric, no table and no error shows a sealed secret, a key, or what came of either.
#[tokio::test]
async fn no_output_shows_a_sealed_secret_or_a_key() -> Result<()> {
    let systems = TwoPems::new(2, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    let (log, errors) = {
        let file = tempfile::NamedTempFile::new()?;
        let errors = file.reopen()?;
        (file, errors)
    };
    let mut relay = systems.relay_with(|command| {
        command.args(["--log-level", "trace", "--monitoring", "127.0.0.1:0"]).env("RUST_LOG", "trace").stderr(errors);
    })?;
    let address = relay.line().await?;
    let address = address.rsplit(' ').next().context("an address")?.to_owned();
    systems.edit_all("C-1").await?;
    systems.until_drained().await?;
    let metrics = reqwest::get(format!("{address}/metrics")).await?.text().await?;
    assert!(metrics.contains("pfa_sync_credentials_age_days"), "{metrics}");
    systems.east.set_credentials(Credentials::Bearer("another".to_owned()));
    systems.edit_all("C-2").await?;
    systems.until("select exists (select from pfa_sync.health('HARBOUR') where code = 'held')").await?;
    let (_, listed) = systems.credentials(&["list"]).await?;
    let (_, verified) = systems.credentials(&["verify"]).await?;
    assert!(relay.stop().await?.success());
    let tables: String = systems
        .scenario
        .value("select coalesce(string_agg(l::text, ' '), '') || (select string_agg(c::text, ' ') from pfa_sync.credentials c) from pfa_sync.audit l")
        .await?;
    let log = std::fs::read_to_string(log.path())?;
    assert!(log.lines().count() > 5, "{log}");
    let key = KEY.split_once(':').context("a key")?.1;
    let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, EAST_TOKEN);
    for (place, text) in [("log", &log), ("metrics", &metrics), ("tables", &tables), ("list", &listed), ("verify", &verified)] {
        for secret in [EAST_TOKEN, key, &encoded, "pfa-sync:secret"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{place} shows {secret}: {line:?}");
        }
    }
    Ok(())
}

/// What is no sealed secret is refused before it is stored.
#[rstest]
#[case::kind("null, null, null, 1, 'a', 'k', '\\x000102030405060708090a0b', '\\x00', 'f'")]
#[case::user("null, 'basic', null, 1, 'a', 'k', '\\x000102030405060708090a0b', '\\x00', 'f'")]
#[case::no_user("null, 'bearer', 'u', 1, 'a', 'k', '\\x000102030405060708090a0b', '\\x00', 'f'")]
#[case::version("null, 'bearer', null, null, 'a', 'k', '\\x000102030405060708090a0b', '\\x00', 'f'")]
#[case::address("null, 'bearer', null, 1, null, 'k', '\\x000102030405060708090a0b', '\\x00', 'f'")]
#[case::key("null, 'bearer', null, 1, 'a', null, '\\x000102030405060708090a0b', '\\x00', 'f'")]
#[case::nonce("null, 'bearer', null, 1, 'a', 'k', '\\x00', '\\x00', 'f'")]
#[case::no_nonce("null, 'bearer', null, 1, 'a', 'k', null, '\\x00', 'f'")]
#[case::ciphertext("null, 'bearer', null, 1, 'a', 'k', '\\x000102030405060708090a0b', '\\x', 'f'")]
#[case::fingerprint("null, 'bearer', null, 1, 'a', 'k', '\\x000102030405060708090a0b', '\\x00', null")]
#[tokio::test]
async fn what_is_no_sealed_secret_is_refused(#[case] arguments: &str) -> Result<()> {
    let scenario = Scenario::empty().await?;
    let store = format!("select pfa_sync.store_credentials('default', {arguments})");
    let error = scenario.client.execute(&store, &[]).await.unwrap_err();
    assert_eq!(refusal(&error.into()).0, "PF001");
    Ok(())
}
