//! The commands of docs/api.md, as a shell runs them.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testbed::application::EDITOR;
use tokio::process::Command;

use crate::examples::prepared;
use crate::support::api::{Api, now, token};

/// A block is run if its first line says that it is for the demo.
const MARK: &str = "```sh\n# in the demo";

#[tokio::test]
async fn what_the_document_says_to_try_works() -> Result<()> {
    let scenario = prepared().await?;
    let api = Api::start(&scenario, &[]).await?;
    let directory = tempfile::tempdir()?;
    fs::create_dir_all(directory.path().join("target/demo"))?;
    let token = token(&json!({"userId": EDITOR, "exp": now() + 60}));
    let environment = format!("export API_URL='{}'\nexport API_TOKEN='{token}'\n", api.address);
    fs::write(directory.path().join("target/demo/env"), environment)?;

    let document = include_str!("../../docs/api.md");
    let blocks: Vec<_> = document.split(MARK).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    ensure!(!blocks.is_empty(), "no block is marked");
    let script: String = blocks.iter().map(|block| format!("#{block}")).collect();
    let output = Command::new("sh")
        .args(["-euc", &script])
        .env("no_proxy", "*")
        .current_dir(&directory)
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{script}{said}{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let committed = answers.iter().find(|answer| answer["verdicts"][0]["verdict"] == "queued");
    ensure!(committed.is_some(), "nothing is queued: {said}");
    scenario.check().await
}
