//! The commands of docs/admin-guide.md, as psql and a shell run them.

use std::env;
use std::fs;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use testbed::cluster::{Database, Login, Template, shared};
use testbed::process::program;
use tokio::process::Command;

use crate::support::stack::Stack;

const GUIDE: &str = include_str!("../../docs/admin-guide.md");

/// Logins that the guide creates. They belong to the cluster, which other tests use.
const LOGINS: &str = "drop role if exists pfa_relay, pfa_api, pfa_report";

/// What is in the application's tables before the extension is attached: a modification in each state.
const MODIFICATIONS: &str = r#"
    insert into pfa_mirror (id, "organizationId", data, "pfaId", version, "updatedAt")
        select 'm' || n, 'org_RIO_173', jsonb_build_object('pfaId', n::text, 'model', 'LTM 1100'), n::text, 1, now()
          from generate_series(1, 5) n;
    insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "committedAt", "updatedAt")
        select 'x' || n, 'm' || n, 'org_RIO_173', 'usr_editor', '{"model": "LTM 1300"}', s, now(), now()
          from unnest(array['draft', 'committed', 'syncing', 'synced', 'sync_error']) with ordinality u (s, n)"#;

/// The blocks in a language whose first line begins with `mark`, one after the other. Blocks in lists are indented.
fn blocks(language: &str, mark: &str) -> Result<String> {
    let mut script = String::new();
    for block in GUIDE.split("```").skip(1).step_by(2) {
        let Some(body) = block.strip_prefix(language).and_then(|rest| rest.strip_prefix('\n')) else { continue };
        let indent = body.len() - body.trim_start_matches(' ').len();
        if body.trim_start().starts_with(mark) {
            body.lines().for_each(|line| script.extend([line.get(indent..).unwrap_or_default(), "\n"]));
        }
    }
    ensure!(!script.is_empty(), "no block is marked with {mark}");
    Ok(script)
}

fn ensure_success(script: &str, output: &Output) -> Result<()> {
    let [said, complaint] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    ensure!(output.status.success(), "{script}\n{said}\n{complaint}");
    Ok(())
}

#[tokio::test]
async fn a_database_is_adopted_administered_and_left_as_the_guide_says() -> Result<()> {
    let server = shared()?;
    let database = Database::create(&server, Template::Installed).await?;
    let client = database.client().await?;
    client.batch_execute(LOGINS).await?;
    client.batch_execute(MODIFICATIONS).await?;

    let script = blocks("sql", "-- on a test database")?;
    let mut file = tempfile::tempfile()?;
    file.write_all(script.as_bytes())?;
    file.rewind()?;
    let output = server.program_on("psql", database.name()).args(["-X", "-v", "ON_ERROR_STOP=1"]).stdin(file).output()?;
    ensure_success(&script, &output)?;

    // What was half done counts as committed, and everything is left behind.
    let states = r#"select string_agg("syncStatus", ' ' order by id) from pfa_modification"#;
    assert_eq!(client.query_one(states, &[]).await?.get::<_, String>(0), "draft committed committed synced failed");
    client.batch_execute(LOGINS).await?;
    Ok(())
}

#[tokio::test]
async fn what_the_guide_says_to_try_in_the_demo_works() -> Result<()> {
    let stack = Stack::new(3).await?;
    let relay = stack.relay("run")?;
    let database = &stack.scenario.database;
    let directory = tempfile::tempdir()?;
    fs::create_dir_all(directory.path().join("target/demo"))?;
    let urls = [("DATABASE_URL", database.url()), ("RELAY_DATABASE_URL", database.url_as(Login::Relay))];
    let environment: String = urls.iter().map(|(name, url)| format!("export {name}='{url}'\n")).collect();
    fs::write(directory.path().join("target/demo/env"), environment)?;

    let psql = database.server().program("psql");
    let programs = [Path::new(psql.get_program()).to_owned(), program("pfa-relay")?];
    let mut path: Vec<_> = programs.iter().filter_map(|program| program.parent().map(Path::to_owned)).collect();
    path.extend(env::split_paths(&env::var_os("PATH").context("PATH is not set")?));

    let script = blocks("sh", "# in the demo")?;
    let output = Command::new("sh")
        .args(["-euc", &script])
        .envs(stack.variables())
        .env("PATH", env::join_paths(path)?)
        .current_dir(&directory)
        .kill_on_drop(true)
        .output()
        .await?;
    ensure_success(&script, &output)?;
    assert!(relay.stop().await?.success());
    stack.scenario.check().await
}
