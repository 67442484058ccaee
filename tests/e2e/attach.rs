//! Binding to the application's tables, and to one database.

use std::{
    fs::File,
    io::{Seek, Write},
    process::Stdio,
};

use anyhow::{Result, ensure};
use rstest::rstest;
use serde_json::json;
use testbed::application::{Application, EDITOR, RIO, pems_record};
use testbed::cluster::{Cluster, Database, Options, Template, shared};

use crate::support::scenario::{Scenario, refusal};

const PHASE_3: &str = r#"
    insert into pfa_mirror (id, "organizationId", "pfaId", data, "updatedAt")
        values ('mir_1', 'org_RIO_173', '1', '{"pfaId": "1", "organization": "RIO", "source": "Rental", "monthlyRate": 5, "model": "A"}', now());
    insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt") values
        ('mod_waiting', 'mir_1', 'org_RIO_173', 'usr_editor', '{"model": "B"}', 'committed', now()),
        ('mod_left', 'mir_1', 'org_RIO_173', 'usr_editor', '{"areaSilo": "S"}', 'syncing', now()),
        ('mod_bad', 'mir_1', 'org_RIO_173', 'usr_editor', '{"monthlyRate": -1}', 'committed', now()),
        ('mod_done', 'mir_1', 'org_RIO_173', 'usr_editor', '{"model": "A"}', 'synced', now()),
        ('mod_error', 'mir_1', 'org_RIO_173', 'usr_editor', '{"model": "A"}', 'sync_error', now());"#;

#[tokio::test]
async fn phase_3_work_is_reported_and_waits_for_resume() -> Result<()> {
    let database = Database::create(&shared()?, Template::Installed).await?;
    let client = database.client().await?;
    client.batch_execute(PHASE_3).await?;

    let report = client.query("select object || ' ' || action || ' ' || detail from pfa_sync.attach()", &[]).await?;
    let report: Vec<String> = report.iter().map(|row| row.get(0)).collect();
    assert!(
        report
            .iter()
            .any(|line| line
                == "organization org_RIO_173 found 3 committed changes were never sent; they are queued after resume()"),
        "{report:#?}"
    );
    assert!(report.iter().any(|line| line.starts_with("organization org_HARBOUR_7 paused")), "{report:#?}");
    let statuses =
        r#"select string_agg(id || ' ' || "syncState" || '/' || "syncStatus", ', ' order by id) from pfa_modification"#;
    assert_eq!(
        client.query_one(statuses, &[]).await?.get::<_, &str>(0),
        "mod_bad committed/committed, mod_done synced/synced, mod_error sync_error/failed, mod_left committed/committed, mod_waiting committed/committed"
    );
    client.batch_execute("select pfa_sync.sweep()").await?;
    assert!(client.query("select pfa_sync.claim('r')", &[]).await?.is_empty(), "paused");
    assert_eq!(client.query_one("select count(*) from pfa_sync.queue", &[]).await?.get::<_, i64>(0), 0);

    assert_eq!(client.query_one("select waiting from pfa_sync.resume('RIO')", &[]).await?.get::<_, i64>(0), 3);
    let swept = client.query_one("select queued, failed from pfa_sync.sweep()", &[]).await?;
    assert_eq!((swept.get::<_, i64>(0), swept.get::<_, i64>(1)), (2, 1));
    assert_eq!(
        client.query_one(statuses, &[]).await?.get::<_, &str>(0),
        "mod_bad sync_error/failed, mod_done synced/synced, mod_error sync_error/failed, mod_left committed/queued, mod_waiting committed/queued"
    );
    Ok(())
}

#[tokio::test]
async fn attaching_twice_is_harmless_and_a_dry_run_changes_nothing() -> Result<()> {
    let database = Database::create(&shared()?, Template::Installed).await?;
    let client = database.client().await?;
    let dry = client.query("select action from pfa_sync.attach(dry_run => true)", &[]).await?;
    assert!(dry.iter().all(|row| row.get::<_, &str>(0).starts_with("would be ")));
    let left = "select (select count(*) from pg_trigger where tgname like 'pfa_sync%') + (select count(*) from pg_views where schemaname = 'pfa_sync_private' and viewname = 'mirror')";
    assert_eq!(client.query_one(left, &[]).await?.get::<_, i64>(0), 0);

    let first = client.query("select * from pfa_sync.attach()", &[]).await?;
    assert_eq!(first.len(), dry.len());
    let second = client.query("select distinct action from pfa_sync.attach()", &[]).await?;
    assert_eq!((second.len(), second[0].get::<_, &str>(0)), (1, "in place"));
    Ok(())
}

#[tokio::test]
async fn unfit_tables_are_named() -> Result<()> {
    let database = Database::create(&shared()?, Template::Installed).await?;
    let client = database.client().await?;
    client.batch_execute(r#"alter table pfa_mirror drop column "pfaId"; alter table users rename to people; alter table pfa_modification alter delta type text"#).await?;

    let error = client.query("select * from pfa_sync.attach()", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF007");
    for fault in [
        "column public.pfa_mirror.\"pfaId\" is missing",
        "table public.users is missing",
        "public.pfa_modification.delta is text, not jsonb",
    ] {
        assert!(message.contains(fault), "{message}");
    }
    let error = client.query("select * from pfa_sync.claim('r')", &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF004");
    Ok(())
}

#[tokio::test]
async fn detach_leaves_the_data_and_attach_takes_it_up_again() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.client.batch_execute("select pfa_sync.detach()").await?;
    let error = scenario.claim().await.unwrap_err();
    assert_eq!(refusal(&error).0, "PF004");
    scenario.client.execute(r#"update pfa_modification set "updatedAt" = now()"#, &[]).await?;

    scenario.client.batch_execute("select pfa_sync.attach()").await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&id).await?, "synced/synced");
    scenario.check().await
}

#[tokio::test]
async fn work_that_no_trigger_saw_is_swept_up() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    scenario.client.batch_execute(r#"set session_replication_role = replica; update pfa_modification set "syncState" = 'committed'; reset session_replication_role"#).await?;
    let swept = scenario.client.query_one("select organization_id, queued from pfa_sync.sweep()", &[]).await?;
    assert_eq!((swept.get::<_, &str>(0), swept.get::<_, i64>(1)), (RIO, 1));
    assert!(scenario.client.query("select * from pfa_sync.sweep()", &[]).await?.is_empty());
    assert_eq!(scenario.deliver().await?, 1);
    scenario.check().await
}

/// Queued work survives a dump and its restore in another cluster, and waits there for `adopt()`.
#[rstest]
#[case::by_a_superuser(&[])]
#[case::by_a_backup_role(&["--role", "pg_read_all_data"])]
#[tokio::test]
async fn a_restored_copy_sends_nothing_until_adopted(#[case] role: &[&str]) -> Result<()> {
    let scenario = Scenario::new().await?;
    let waiting = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.edit("2", json!({"model": "Y"})).await?;
    scenario.deliver().await?;
    let waiting = (waiting, scenario.edit("1", json!({"monthlyRate": 1})).await?).1;
    scenario
        .client
        .batch_execute(
            "select pfa_sync.set('max_retries', '9'); \
         insert into pfa_sync_private.field_override (name, type, permission) values ('towerHeight', 'decimal', 'perm_EditForecast')",
        )
        .await?;

    // A cluster is started and stopped in this process, so off the test's own thread.
    let other = tokio::task::spawn_blocking(|| Cluster::start(&Options::default())).await??;
    other.server().build_templates().await?;
    let copy = scenario.database.restored_in(other.server(), role).await?;

    let client = copy.client().await?;
    let error = client.query("select * from pfa_sync.claim('r')", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF005", "{message}");

    client.batch_execute("select pfa_sync.adopt()").await?;
    let claimed = client.query("select queue_id, fencing_token, pfa_id, version from pfa_sync.claim('r')", &[]).await?;
    assert_eq!((claimed.len(), claimed[0].get::<_, &str>(2), claimed[0].get::<_, Option<i64>>(3)), (1, "1", Some(2)));
    let items = json!([{"queue_id": claimed[0].get::<_, i64>(0), "fencing_token": claimed[0].get::<_, i32>(1), "version": 3, "updated_at": "2026-03-02T00:00:00.000Z"}]);
    client.execute("select pfa_sync.mark_sent('r', $1)", &[&items]).await?;
    client.execute("select pfa_sync.complete('r', $1)", &[&items]).await?;
    // The identity sequences go on where they were.
    client.query("select pfa_sync.ingest('RIO', $1)", &[&json!([pems_record("RIO", "9")])]).await?;
    Application::new(&client).edit(EDITOR, "9", json!({"towerHeight": 3})).await?;
    let state = client.query_one(r#"select "syncState" from pfa_modification where id = $1"#, &[&waiting]).await?;
    assert_eq!(state.get::<_, &str>(0), "synced");
    assert_eq!(client.query_one("select pfa_sync_private.setting('max_retries')", &[]).await?.get::<_, &str>(0), "9");
    assert!(client.query("select * from pfa_sync.check()", &[]).await?.is_empty());
    drop((client, copy));
    tokio::task::spawn_blocking(move || other.stop()).await??;
    Ok(())
}

/// A dump that is restored over its own database replaces the tables: nothing is sent until they are attached again, since what
/// was restored may be older than PEMS.
#[tokio::test]
async fn a_restore_over_itself_is_attached_again() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let (server, url) = (scenario.database.server(), scenario.database.url());
    let dump = server.program("pg_dump").args(["--format", "custom", "--dbname", &url]).stdout(Stdio::piped()).spawn()?;
    let restored = server
        .program("pg_restore")
        .args(["--clean", "--if-exists", "--exit-on-error", "--dbname", &url])
        .stdin(Stdio::from(temporary(dump.wait_with_output()?.stdout)?))
        .output()?;
    ensure!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));

    let client = scenario.database.client().await?;
    let error = client.query("select * from pfa_sync.claim('r')", &[]).await.unwrap_err().into();
    let (code, message, _) = refusal(&error);
    assert_eq!(code, "PF004", "{message}");
    client.batch_execute("select pfa_sync.attach()").await?;
    assert_eq!(client.query("select * from pfa_sync.claim('r')", &[]).await?.len(), 1);
    Ok(())
}

/// The data of an original that is loaded into an attached copy is the original's: nothing of it is sent from there.
#[tokio::test]
async fn data_that_is_loaded_into_an_attached_copy_is_not_sent() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let server = scenario.database.server();
    let dump = |arguments: &[&str], database: &Database| {
        let mut command = server.program_on("pg_dump", database.name());
        command.args(arguments).stdout(Stdio::piped()).spawn()
    };
    // The copy: the same schema without data, attached, and let send.
    let copy = Database::create(server, Template::Empty).await?;
    let load = |arguments: &[&str], content: Vec<u8>| -> Result<std::process::Output> {
        Ok(server
            .program("pg_restore")
            .args(arguments)
            .args(["--dbname", &copy.url()])
            .stdin(Stdio::from(temporary(content)?))
            .output()?)
    };
    let schema = dump(&["--format", "custom", "--schema-only"], &scenario.database)?.wait_with_output()?;
    ensure!(schema.status.success());
    let loaded = load(&["--exit-on-error"], schema.stdout)?;
    ensure!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    let client = copy.client().await?;
    client.batch_execute("select pfa_sync.attach(); select pfa_sync.resume()").await?;

    let data = dump(&["--format", "custom", "--data-only"], &scenario.database)?.wait_with_output()?;
    load(&["--data-only", "--disable-triggers"], data.stdout)?;
    client.batch_execute("select pfa_sync.resume()").await?;
    assert_eq!(client.query_one("select count(*) from pfa_sync_private.pfa_write_queue", &[]).await?.get::<_, i64>(0), 1);
    for call in ["select * from pfa_sync.claim('r')", "select * from pfa_sync.sweep()"] {
        let error = client.query(call, &[]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF005", "{call}");
    }
    let code: String = client.query_one("select code from pfa_sync.health()", &[]).await?.get(0);
    assert_eq!(code, "not_attached");

    client.batch_execute("select pfa_sync.adopt()").await?;
    assert_eq!(client.query("select * from pfa_sync.claim('r')", &[]).await?.len(), 1);
    Ok(())
}

/// A file with this content, open at its beginning.
fn temporary(content: Vec<u8>) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&content)?;
    file.rewind()?;
    Ok(file)
}
