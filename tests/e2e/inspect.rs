//! Commands that look and change nothing: compare, run --dry-run, support-bundle, and what doctor says of the database.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::process::Process;
use tokio::process::Command;

use crate::support::stack::Stack;

/// Runs a command of the relay; whether it succeeded, and what it printed.
async fn run(stack: &Stack, arguments: &[&str]) -> Result<(bool, String)> {
    let mut process: Process = stack.relay_with(arguments[0], |command: &mut Command| {
        command.args(&arguments[1..]);
    })?;
    let mut printed = String::new();
    while let Ok(line) = process.line().await {
        printed.push_str(&line);
        printed.push('\n');
    }
    Ok((process.wait().await?.success(), printed))
}

/// Of each kind of difference one record; a record with a change that waits is told apart. Nothing is changed by it.
#[tokio::test]
async fn compare_names_each_record_that_the_mirror_has_otherwise() -> Result<()> {
    let stack = Stack::new(6).await?;
    let (succeeded, printed) = run(&stack, &["compare", "--organization", "RIO"]).await?;
    assert!(succeeded && printed.contains("RIO: 6 read, 6 as in the mirror, 0 otherwise, 0 with changes"), "{printed}");
    stack.foreign_edit("1", json!({"model": "=X", "monthlyRate": 12345.5}));
    stack.pems.remove("RIO", "2");
    stack.pems.load([testbed::stack::stored_record("RIO", "77")]);
    stack.foreign_edit("3", json!({"model": "Y"}));
    stack.scenario.client.execute("select pfa_sync.pause('RIO', 'a look')", &[]).await?;
    stack.scenario.edit("3", json!({"contract": "C"})).await?;
    let before: String = stack.scenario.value("select md5(string_agg(m::text, '' order by id)) from pfa_mirror m").await?;
    let directory = tempfile::tempdir()?;
    let csv = directory.path().join("differences.csv");
    let (succeeded, printed) = run(&stack, &["compare", "--organization", "RIO", "--csv", csv.to_str().unwrap()]).await?;
    assert!(!succeeded && printed.contains("RIO: 6 read, 3 as in the mirror, 3 otherwise, 1 with changes"), "{printed}");
    for expected in ["1 differs: model, monthlyRate", "2 not in PEMS", "77 not in the mirror"] {
        assert!(printed.contains(expected), "no {expected:?} in {printed}");
    }
    assert!(!printed.contains("3 differs"), "{printed}");
    let rows = std::fs::read_to_string(&csv)?;
    for expected in [
        "RIO,1,differs,model,LTM 1100,'=X,false",
        "RIO,1,differs,monthlyRate,12500,12345.5,false",
        "RIO,3,differs,model,LTM 1100,Y,true",
    ] {
        assert!(rows.contains(expected), "no {expected:?} in {rows}");
    }
    let after: String = stack.scenario.value("select md5(string_agg(m::text, '' order by id)) from pfa_mirror m").await?;
    assert_eq!(before, after);
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.pulls").await?, 0);
    let consistency: f64 =
        stack.scenario.value("select value::float8 from pfa_sync.kpis('RIO') where name = 'consistency'").await?;
    assert!((consistency - 9.0 / 12.0).abs() < 0.001, "{consistency}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_sent_and_claims_nothing() -> Result<()> {
    let stack = Stack::new(3).await?;
    let (_, printed) = run(&stack, &["run", "--dry-run"]).await?;
    assert_eq!(printed, "nothing is due\n");
    stack.scenario.edit("1", json!({"model": "X", "monthlyRate": 777123})).await?;
    stack.scenario.edit("2", json!({"isDiscontinued": true})).await?;
    let (succeeded, printed) = run(&stack, &["run", "--dry-run"]).await?;
    assert!(succeeded, "{printed}");
    assert!(printed.contains("RIO UPDATE 1 to PEMS default: send: model, monthlyRate\n"), "{printed}");
    assert!(printed.contains("RIO DELETE 2 to PEMS default: send: isDiscontinued\n"), "{printed}");
    assert!(!printed.contains("777123"), "no values: {printed}");
    stack.scenario.client.execute("select pfa_sync.pause('RIO', 'a look')", &[]).await?;
    let (_, printed) = run(&stack, &["run", "--dry-run"]).await?;
    assert!(printed.contains("(not now: paused)"), "{printed}");
    assert!(stack.pems.log().is_empty());
    assert_eq!(stack.scenario.value::<i64>("select count(*) from pfa_sync.queue where status = 'pending'").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_support_bundle_has_no_secret_and_no_value_of_a_record() -> Result<()> {
    let stack = Stack::new(2).await?;
    stack.scenario.edit("1", json!({"model": "Q-774411-X", "monthlyRate": 774_411})).await?;
    let sent = stack.scenario.send().await?;
    let refused =
        json!({"outcome": "rejected", "error": "774411 is too much", "http_status": 422, "response": {"rate": 774_411}});
    stack.scenario.report("fail", &sent, refused).await?;
    let sealed = "select pfa_sync.store_credentials('default', null, 'basic', 'ACCOUNT-774411', 1, 'https://pems.example/', 'k1', \
                  '\\x000102030405060708090a0b', '\\xdeadbeef', '8c1f0a')";
    stack.scenario.client.execute(sealed, &[]).await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("bundle.json");
    let (succeeded, printed) = run(&stack, &["support-bundle", "--output", file.to_str().unwrap()]).await?;
    assert!(succeeded, "{printed}");
    let text = std::fs::read_to_string(&file)?;
    let bundle: Value = serde_json::from_str(&text)?;
    assert_eq!(bundle["database"]["dead_letters"][0]["code"], "REJECTED");
    assert_eq!(bundle["relay"]["batch_size"], 100);
    let password = stack.scenario.database.url();
    let password = password.split([':', '@']).nth(2).unwrap().to_owned();
    for secret in ["774411", "Q-774411", "deadbeef", "pfa-sync:secret", &password] {
        assert!(!text.contains(secret), "the bundle has {secret}");
    }
    Ok(())
}

/// Doctor says that nothing is sent while every organization is paused, and what the database finds.
#[tokio::test]
async fn doctor_says_what_an_operator_would_look_at() -> Result<()> {
    let stack = Stack::new(1).await?;
    let (succeeded, printed) = run(&stack, &["doctor"]).await?;
    assert!(succeeded, "{printed}");
    for expected in [
        "ok      sessions",
        "ok      wake-up",
        "ok      log: partitions for",
        "ok      disk: queue",
        "ok      publications",
        "ok      PEMS default",
    ] {
        assert!(printed.contains(expected), "no {expected:?} in {printed}");
    }
    let client = &stack.scenario.client;
    client.execute("select pfa_sync.pause(null, 'works')", &[]).await?;
    client.execute("create publication everything for all tables", &[]).await?;
    let (succeeded, printed) = run(&stack, &["doctor"]).await?;
    assert!(succeeded, "{printed}");
    assert!(printed.contains("note    sending: 2 of 2 active organizations are paused"), "{printed}");
    assert!(printed.contains("note    publications: everything"), "{printed}");
    let clock = "insert into pfa_sync_private.sync_pull (organization_id, kind, status, relay, lease_until, ended_at, clock_skew) \
                 values ('org_RIO_173', 'full', 'completed', 'r', now(), now(), '-95 s')";
    client.execute(clock, &[]).await?;
    let (succeeded, printed) = run(&stack, &["doctor"]).await?;
    assert!(!succeeded && printed.contains("FAILED  clock of PEMS default: 95.0 s behind"), "{printed}");
    Ok(())
}
