//! Rollback of jobs, and records set back to a version: what is previewed is done, and nothing written since is overwritten.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, SECOND, pems_record};
use tokio_postgres::Row;

use crate::support::scenario::{Scenario, refusal};

const ADMIN: &str = "usr_admin";
const REASON: &str = "the import was wrong";

async fn scenario_of(records: usize) -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    let records: Vec<Value> = (1..=records).map(|id| pems_record("RIO", &format!("{id:04}"))).collect();
    scenario.ingest(&records).await?;
    Ok(scenario)
}

/// The job that an edit of a modification belongs to.
async fn job_of(scenario: &Scenario, modification: &str) -> Result<i64> {
    let query = "select job_id from pfa_sync.changes where modification_id = $1 order by queue_id desc limit 1";
    Ok(scenario.client.query_one(query, &[&modification]).await?.get(0))
}

async fn preview(scenario: &Scenario, job: i64) -> Result<Row> {
    Ok(scenario.client.query_one("select * from pfa_sync.rollback_preview($1, null, $2)", &[&job, &ADMIN]).await?)
}

/// Previews and rolls back; the id of the new job.
async fn roll_back(scenario: &Scenario, job: i64) -> Result<Row> {
    let digest: String = preview(scenario, job).await?.get("digest");
    let call = "select * from pfa_sync.rollback($1, $2, $3, $4)";
    Ok(scenario.client.query_one(call, &[&job, &ADMIN, &REASON, &digest]).await?)
}

fn counts(row: &Row) -> [i64; 4] {
    ["records", "restores", "withdraws", "blocked"].map(|name| row.get(name))
}

#[tokio::test]
async fn a_rollback_sets_confirmed_values_back_and_can_itself_be_rolled_back() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X", "monthlyRate": 13000, "contract": "C-1"})).await?;
    scenario.deliver().await?;
    let job = job_of(&scenario, &id).await?;
    let before = preview(&scenario, job).await?;
    assert_eq!(counts(&before), [1, 1, 0, 0]);
    // 364 days are 11.958 months; the rate goes back from 13,000 to 12,500.
    let cost = "select p.cost_change::text || ' ' || r.current_cost || ' ' || r.restored_cost \
                  from pfa_sync.rollback_preview($1, null, $2) p, pfa_sync.rollback_records($1, user_id => $2) r";
    let cost: String = scenario.client.query_one(cost, &[&job, &ADMIN]).await?.get(0);
    assert_eq!(cost, "-5978.97 155453.35 149474.38");
    let record = scenario
        .client
        .query_one("select current, restored, action from pfa_sync.rollback_records($1, user_id => $2)", &[&job, &ADMIN])
        .await?;
    assert_eq!(record.get::<_, Value>("current"), json!({"model": "X", "monthlyRate": 13000, "contract": "C-1"}));
    assert_eq!(record.get::<_, Value>("restored"), json!({"model": "LTM 1100", "monthlyRate": 12500, "contract": null}));

    let done = roll_back(&scenario, job).await?;
    let undo: i64 = done.get("rollback_job_id");
    assert_eq!(["queued", "withdrawn", "blocked", "waiting"].map(|c| done.get::<_, i64>(c)), [1, 0, 0, 0]);
    let claimed = scenario.send().await?;
    assert_eq!(claimed[0].changes, json!({"model": "LTM 1100", "monthlyRate": 12500, "contract": null}));
    assert_eq!(claimed[0].modified_by, "ada@example.com");
    scenario.report("complete", &claimed, json!({"version": 3, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    assert_eq!(scenario.mirror("1").await?["model"], json!("LTM 1100"));
    let kind: (String, Option<i64>, Option<String>) = {
        let row = scenario
            .client
            .query_one("select kind, origin_job_id, reason from pfa_sync.jobs where job_id = $1", &[&undo])
            .await?;
        (row.get(0), row.get(1), row.get(2))
    };
    assert_eq!(kind, ("rollback".into(), Some(job), Some(REASON.into())));

    roll_back(&scenario, undo).await?;
    assert_eq!(scenario.deliver().await?, 1);
    let mirror = scenario.mirror("1").await?;
    assert_eq!([&mirror["model"], &mirror["monthlyRate"], &mirror["contract"]], [&json!("X"), &json!(13000), &json!("C-1")]);
    scenario.check().await
}

/// What was written since by a user, by PEMS, or is in flight blocks its record by name; another field of it does not.
#[tokio::test]
async fn what_was_written_since_is_not_overwritten() -> Result<()> {
    let scenario = scenario_of(6).await?;
    let mut ids = Vec::new();
    for id in 1..=6 {
        ids.push(scenario.application().draft(EDITOR, RIO, &format!("{id:04}"), json!({"model": "Wrong"})).await?);
    }
    scenario.application().commit(EDITOR, RIO).await?;
    scenario.deliver().await?;
    let job = job_of(&scenario, &ids[0]).await?;
    // 1: changed here and confirmed; 2: changed in PEMS; 3: changed here and queued; 4: in flight; 5: another field.
    scenario.application().edit(SECOND, "0001", json!({"model": "Mine"})).await?;
    scenario.deliver().await?;
    scenario.foreign_edit("0002", 5, json!({"model": "Theirs"})).await?;
    scenario.application().edit(SECOND, "0005", json!({"contract": "C-9"})).await?;
    scenario.deliver().await?;
    scenario.application().edit(SECOND, "0004", json!({"model": "Flying"})).await?;
    assert_eq!(scenario.send().await?.len(), 1);
    scenario.application().edit(SECOND, "0003", json!({"model": "Queued"})).await?;

    let row = preview(&scenario, job).await?;
    assert_eq!(counts(&row), [6, 2, 0, 4]);
    assert_eq!(row.get::<_, Value>("by_reason"), json!({"CHANGED_SINCE": 4}));
    let records = scenario
        .client
        .query("select pfa_id, action, cause, changed_by, detail, since is not null from pfa_sync.rollback_records($1, user_id => $2)", &[&job, &ADMIN])
        .await?;
    let blocked: Vec<(String, String)> =
        records.iter().filter(|r| r.get::<_, String>("action") == "blocked").map(|r| (r.get(0), r.get(3))).collect();
    let by = |id: &str, user: &str| (id.to_owned(), user.to_owned());
    assert_eq!(blocked, [by("0001", SECOND), by("0002", "PEMS_SYNC"), by("0003", SECOND), by("0004", SECOND)]);
    assert!(records.iter().all(|r| r.get::<_, String>("action") != "blocked" || r.get::<_, bool>(5)));

    let done = roll_back(&scenario, job).await?;
    assert_eq!(["queued", "blocked"].map(|c| done.get::<_, i64>(c)), [2, 4]);
    scenario.client.execute("select pfa_sync.set('retry_delay', '0 s')", &[]).await?;
    let models = r#"select string_agg(data->>'model', ',' order by "pfaId") from pfa_mirror"#;
    scenario.deliver().await?;
    assert_eq!(scenario.value::<String>(models).await?, "Mine,Theirs,Queued,Wrong,LTM 1100,LTM 1100", "0004 is in flight");
    assert_eq!(scenario.mirror("0005").await?["contract"], json!("C-9"));
    Ok(())
}

/// Changes that wait go back to the drafts of their author, and nothing is sent.
#[tokio::test]
async fn what_is_still_queued_is_withdrawn() -> Result<()> {
    let scenario = Scenario::new().await?;
    let first = scenario.edit("1", json!({"model": "X"})).await?;
    let job = job_of(&scenario, &first).await?;
    assert_eq!(counts(&preview(&scenario, job).await?), [1, 0, 1, 0]);
    roll_back(&scenario, job).await?;
    assert_eq!(scenario.state(&first).await?, "draft/draft");
    assert_eq!(scenario.deliver().await?, 0);
    scenario.check().await
}

#[tokio::test]
async fn the_digest_covers_what_was_previewed() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    let job = job_of(&scenario, &id).await?;
    let digest: String = preview(&scenario, job).await?.get("digest");
    scenario.application().edit(SECOND, "1", json!({"model": "Y"})).await?;
    let call = "select * from pfa_sync.rollback($1, $2, $3, $4)";
    let error = scenario.client.execute(call, &[&job, &ADMIN, &REASON, &digest]).await.unwrap_err();
    assert_eq!(refusal(&error.into()).0, "PF006");
    let short = scenario.client.execute(call, &[&job, &ADMIN, &"short", &digest]).await.unwrap_err();
    assert_eq!(refusal(&short.into()).0, "PF001");
    let editor = scenario.client.execute(call, &[&job, &EDITOR, &REASON, &digest]).await.unwrap_err();
    assert_eq!(refusal(&editor.into()).0, "PF002", "needs perm_ManageSettings");
    Ok(())
}

/// Two users roll the same job back at once: one of them does.
#[tokio::test]
async fn of_two_rollbacks_one_is_done() -> Result<()> {
    let scenario = scenario_of(20).await?;
    let mut last = String::new();
    for id in 1..=20 {
        last = scenario.application().draft(EDITOR, RIO, &format!("{id:04}"), json!({"model": "Wrong"})).await?;
    }
    scenario.application().commit(EDITOR, RIO).await?;
    scenario.deliver().await?;
    let job = job_of(&scenario, &last).await?;
    let digest: String = preview(&scenario, job).await?.get("digest");
    let call = "select * from pfa_sync.rollback($1, $2, $3, $4)";
    let (one, two) = (scenario.database.client().await?, scenario.database.client().await?);
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&job, &ADMIN, &REASON, &digest];
    let (first, second) = tokio::join!(one.query_one(call, &parameters), two.query_one(call, &parameters));
    // Both may have read before either wrote; the records' locks and plans decide then.
    let queued = |outcome: &Result<Row, tokio_postgres::Error>| outcome.is_ok();
    assert!(queued(&first) || queued(&second));
    let changes = "select count(*) from pfa_sync.changes c join pfa_sync.jobs j using (job_id) where j.kind = 'rollback'";
    assert_eq!(scenario.value::<i64>(changes).await?, 20);
    assert_eq!(scenario.deliver().await?, 20);
    scenario.check().await
}

/// A soft delete is undone with perm_Delete, through the judgement at the claim, and no other edit revives a record.
#[tokio::test]
async fn a_soft_delete_is_undone() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"isDiscontinued": true})).await?;
    scenario.deliver().await?;
    assert_eq!(scenario.mirror("1").await?["isDiscontinued"], json!(true));
    let edit = scenario.edit("1", json!({"isDiscontinued": false})).await.unwrap_err();
    assert_eq!(refusal(&edit).0, "PF001");
    roll_back(&scenario, job_of(&scenario, &id).await?).await?;
    let claimed = scenario.send().await?;
    assert_eq!(claimed[0].changes, json!({"isDiscontinued": false}));
    scenario.report("complete", &claimed, json!({"version": 3, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    assert_eq!(scenario.mirror("1").await?["isDiscontinued"], json!(false));
    scenario.check().await
}

/// What the history cannot know is said: here the version before was pruned.
#[tokio::test]
async fn a_version_that_was_pruned_blocks_the_record() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    scenario.client.batch_execute("delete from pfa_mirror_history").await?;
    let row = preview(&scenario, job_of(&scenario, &id).await?).await?;
    assert_eq!((counts(&row), row.get::<_, Value>("by_reason")), ([1, 0, 0, 1], json!({"VERSION_UNKNOWN": 1})));
    Ok(())
}

/// A job with several changes of a record is undone as a whole, unless someone else wrote between them.
#[tokio::test]
async fn several_changes_of_a_record_are_undone_together() -> Result<()> {
    let scenario = Scenario::new().await?;
    let first = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "A"})).await?;
    scenario
        .client
        .execute(r#"update pfa_modification set "createdAt" = "createdAt" - interval '1 s' where id = $1"#, &[&first])
        .await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"model": "B", "contract": "C"})).await?;
    scenario.application().commit(EDITOR, RIO).await?;
    assert_eq!(scenario.deliver().await?, 2);
    roll_back(&scenario, job_of(&scenario, &first).await?).await?;
    scenario.deliver().await?;
    let mirror = scenario.mirror("1").await?;
    assert_eq!([&mirror["model"], &mirror["contract"]], [&json!("LTM 1100"), &Value::Null]);
    scenario.check().await
}

/// A rollback that meets a change of PEMS on its way is a conflict like any other edit.
#[tokio::test]
async fn a_rollback_that_pems_overtakes_is_a_conflict() -> Result<()> {
    let scenario = Scenario::new().await?;
    let id = scenario.edit("1", json!({"model": "X"})).await?;
    scenario.deliver().await?;
    roll_back(&scenario, job_of(&scenario, &id).await?).await?;
    scenario.foreign_edit("1", 5, json!({"model": "Theirs"})).await?;
    assert_eq!(scenario.deliver().await?, 0);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.conflicts").await?, 1);
    assert_eq!(scenario.mirror("1").await?["model"], json!("Theirs"));
    scenario.check().await
}

/// A database that was restored from a dump knows what its jobs did, and a job that is under way there is carried on.
#[tokio::test]
async fn a_restored_database_rolls_back_what_its_original_did() -> Result<()> {
    let scenario = scenario_of(250).await?;
    let mut id = String::new();
    for record in 1..=250 {
        id = scenario.application().draft(EDITOR, RIO, &format!("{record:04}"), json!({"model": "Wrong"})).await?;
    }
    scenario.application().commit(EDITOR, RIO).await?;
    scenario.deliver().await?;
    roll_back(&scenario, job_of(&scenario, &id).await?).await?;
    let copy = scenario.database.restored_in(scenario.database.server(), &[]).await?;
    let scenario = Scenario::of(copy).await?;
    let copied = scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await.unwrap_err();
    assert_eq!(refusal(&copied.into()).0, "PF005", "a copy carries out no job");
    scenario.client.batch_execute("select pfa_sync.adopt()").await?;
    while !scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?.is_empty() {}
    assert_eq!(scenario.deliver().await?, 250);
    let undo: i64 = scenario.value("select max(job_id) from pfa_sync.jobs where kind = 'rollback'").await?;
    roll_back(&scenario, undo).await?;
    while !scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?.is_empty() {}
    assert_eq!(scenario.deliver().await?, 250);
    assert_eq!(scenario.mirror("0250").await?["model"], json!("Wrong"));
    scenario.check().await
}
