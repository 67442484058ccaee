//! The API is what its description says: schemathesis makes requests of the description, fit and unfit ones, and checks
//! every answer against it.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testbed::process::program;
use tokio::process::Command;

use crate::examples::prepared;
use crate::support::api::{Api, now, token};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contract/schemathesis.toml");
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contract/hooks.py");

#[tokio::test]
async fn the_api_answers_as_it_is_described() -> Result<()> {
    // The examples of the description are asked too.
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &["--rate-limit", "100000", "--log-level", "error"]).await?;
    let directory = tempfile::tempdir()?;
    let output = Command::new(schemathesis()?)
        .args(["--config-file", CONFIG, "run", "--no-color"])
        .arg(format!("{}/openapi.json", api.address))
        .env("API_TOKEN", token(&json!({"userId": "usr_admin", "exp": now() + 600})))
        .env("SCHEMATHESIS_HOOKS", HOOKS)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .current_dir(&directory)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    scenario.check().await
}

/// Where `make setup` installs it.
fn schemathesis() -> Result<PathBuf> {
    let target = program("pfa-api")?.ancestors().nth(2).context("the tests run outside of target/")?.to_owned();
    let program = target.join("tools/bin/schemathesis");
    ensure!(program.is_file(), "{} is not installed: make setup", program.display());
    Ok(program)
}
