//! Bulk jobs: frozen at their preview, carried out in slices, stopped and continued, staged and undone.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, SECOND, pems_record};

use crate::support::scenario::{Scenario, refusal};

const ADMIN: &str = "usr_admin";

/// Edits of so many records, all refused by PEMS.
async fn dead_letters(records: usize) -> Result<Scenario> {
    let scenario = edited(records).await?;
    loop {
        let claimed = scenario.send().await?;
        if claimed.is_empty() {
            return Ok(scenario);
        }
        scenario.report("fail", &claimed, json!({"outcome": "rejected", "error": "422", "http_status": 422})).await?;
    }
}

/// One commit of edits of so many records.
async fn edited(records: usize) -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    let ids: Vec<String> = (1..=records).map(|id| format!("{id:04}")).collect();
    scenario.ingest(&ids.iter().map(|id| pems_record("RIO", id)).collect::<Vec<_>>()).await?;
    for id in &ids {
        scenario.application().draft(EDITOR, RIO, id, json!({"model": "X"})).await?;
    }
    scenario.application().commit(EDITOR, RIO).await?;
    Ok(scenario)
}

/// Outcomes of a job's items, as the view counts them: waiting, done, skipped, failed; and its state.
async fn progress(scenario: &Scenario, job: i64) -> Result<([i64; 4], String)> {
    let row = scenario.client.query_one("select * from pfa_sync.bulk_jobs where job_id = $1", &[&job]).await?;
    Ok((["waiting", "done", "skipped", "failed"].map(|c| row.get(c)), row.get("state")))
}

async fn run(scenario: &Scenario) -> Result<usize> {
    Ok(scenario.client.query("select * from pfa_sync.run_jobs()", &[]).await?.len())
}

fn only(ids: Vec<i64>) -> i64 {
    assert_eq!(ids.len(), 1);
    ids[0]
}

#[tokio::test]
async fn a_large_requeue_is_done_in_slices_and_can_be_stopped() -> Result<()> {
    let scenario = dead_letters(450).await?;
    let row = scenario.client.query_one("select * from pfa_sync.requeue_dead_letters('{}', user_id => $1)", &[&ADMIN]).await?;
    let job = only(row.get("job_ids"));
    assert_eq!((row.get::<_, i64>("requeued"), row.get::<_, i64>("waiting")), (200, 250));
    let stopped: String =
        scenario.client.query_one("select pfa_sync.stop_job($1, 'look first', $2)", &[&job, &ADMIN]).await?.get(0);
    assert_eq!(stopped, "stopped");
    assert_eq!(run(&scenario).await?, 0, "a stopped job is left alone");
    assert_eq!(progress(&scenario, job).await?, ([250, 200, 0, 0], "stopped".into()));
    // A record of the rest moves meanwhile: its item is skipped, not overwritten.
    let waiting: String =
        scenario.value("select pfa_id from pfa_sync.bulk_items where outcome = 'waiting' order by item limit 1").await?;
    scenario.foreign_edit(&waiting, 9, json!({"contract": "C"})).await?;
    scenario.client.execute("select pfa_sync.continue_job($1, $2)", &[&job, &ADMIN]).await?;
    while run(&scenario).await? > 0 {}
    assert_eq!(progress(&scenario, job).await?, ([0, 449, 1, 0], "finished".into()));
    let events: Vec<String> = scenario
        .client
        .query("select event_type from pfa_sync.audit where job_id = $1 and event_type like 'JOB%' order by event_id", &[&job])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(events, ["JOB_STARTED", "JOB_STOPPED", "JOB_CONTINUED", "JOB_SLICE", "JOB_FINISHED"]);
    assert_eq!(scenario.deliver().await?, 449);
    scenario.check().await
}

/// Records of the jobs whose reads are counted: two slices after the first.
const COUNTED: usize = 450;

/// Rows of the queue that a slice may read for each item, and how often it may count those of the job.
const LOOKUPS: i64 = 5;
const COUNTS: i64 = 2;

/// Confirmed edits of many records.
async fn confirmed() -> Result<Scenario> {
    let scenario = edited(COUNTED).await?;
    scenario.deliver().await?;
    Ok(scenario)
}

/// Open conflicts of many records.
async fn in_conflict() -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    let records: Vec<Value> = (1..=COUNTED).map(|id| pems_record("RIO", &format!("{id:04}"))).collect();
    scenario.ingest(&records).await?;
    for record in &records {
        let id = record["pfaId"].as_str().expect("an id");
        scenario.application().draft(EDITOR, RIO, id, json!({"model": "Ours"})).await?;
    }
    let theirs = |record: &Value| {
        let mut record = record.clone();
        record["model"] = json!("Theirs");
        record["version"] = json!(2);
        record
    };
    scenario.ingest(&records.iter().map(theirs).collect::<Vec<_>>()).await?;
    scenario.application().commit(EDITOR, RIO).await?;
    Ok(scenario)
}

/// The first slice makes its plans while the queue is empty, and the session keeps them while slices fill it.
#[rstest]
#[case::rollback(
    confirmed().await?,
    "select r.* from pfa_sync.rollback_preview((select max(job_id) from pfa_sync.jobs), null, 'usr_admin') p \
      cross join pfa_sync.rollback((select max(job_id) from pfa_sync.jobs), 'usr_admin', 'it was not meant', p.digest) r"
)]
#[case::requeue(dead_letters(COUNTED).await?, "select * from pfa_sync.requeue_dead_letters('{}', user_id => 'usr_admin')")]
#[case::resolution(
    in_conflict().await?,
    "select r.* from pfa_sync.preview_resolution('{}', 'use_local', 'usr_admin') p \
      cross join pfa_sync.resolve_conflicts('{}', 'use_local', 'usr_admin', p.digest) r"
)]
#[tokio::test]
async fn slices_look_up_their_records_alone(#[case] scenario: Scenario, #[case] start: &str) -> Result<()> {
    let client = &scenario.client;
    // As in a session that has executed each statement more than five times.
    client.batch_execute("vacuum analyze").await?;
    client.batch_execute("set plan_cache_mode = force_generic_plan").await?;
    client.execute(start, &[]).await?;
    let read = "select coalesce(sum(seq_tup_read) + sum(idx_tup_fetch), 0)::bigint
                  from pg_stat_xact_user_tables where relid = 'pfa_sync_private.pfa_write_queue'::regclass";
    for items in [200, 50] {
        client.batch_execute("begin").await?;
        let before: i64 = scenario.value(read).await?;
        assert_eq!(run(&scenario).await?, 1);
        let rows = scenario.value::<i64>(read).await? - before;
        assert!(rows <= LOOKUPS * items + COUNTS * COUNTED as i64, "{rows} rows of the queue were read for {items} items");
        client.batch_execute("commit").await?;
    }
    assert_eq!(run(&scenario).await?, 0);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, COUNTED as i64);
    scenario.check().await
}

/// A staged resend sends one, waits for PEMS' answer, then ten, then the rest; it stops at the first failure.
#[tokio::test]
async fn a_staged_resend_stops_at_the_first_failure() -> Result<()> {
    let scenario = dead_letters(30).await?;
    let call = "select * from pfa_sync.requeue_dead_letters('{}', user_id => $1, stages => '{1,10}')";
    let job = only(scenario.client.query_one(call, &[&ADMIN]).await?.get("job_ids"));
    assert_eq!(progress(&scenario, job).await?, ([29, 1, 0, 0], "running".into()));
    run(&scenario).await?;
    assert_eq!(progress(&scenario, job).await?.0, [29, 1, 0, 0], "it waits for PEMS' answer");
    assert_eq!(scenario.deliver().await?, 1);
    run(&scenario).await?;
    assert_eq!(progress(&scenario, job).await?.0, [19, 11, 0, 0]);
    let claimed = scenario.send().await?;
    assert_eq!(claimed.len(), 10);
    scenario.report("fail", &claimed[..1], json!({"outcome": "rejected", "error": "422", "http_status": 422})).await?;
    scenario.report("complete", &claimed[1..], json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    run(&scenario).await?;
    assert_eq!(progress(&scenario, job).await?, ([19, 11, 0, 0], "stopped".into()));
    let note: String = scenario.client.query_one("select note from pfa_sync.bulk_jobs where job_id = $1", &[&job]).await?.get(0);
    assert_eq!(note, "1 of 11 have failed");
    // Continued by a user, that failure does not stop it again.
    scenario.client.execute("select pfa_sync.continue_job($1, $2)", &[&job, &ADMIN]).await?;
    run(&scenario).await?;
    assert_eq!(progress(&scenario, job).await?, ([0, 30, 0, 0], "finished".into()));
    Ok(())
}

#[tokio::test]
async fn a_discard_and_an_unsent_resolution_are_undone() -> Result<()> {
    let scenario = dead_letters(3).await?;
    let row =
        scenario.client.query_one("select * from pfa_sync.discard_dead_letters('{}', 'wrong', null, $1)", &[&ADMIN]).await?;
    let job = only(row.get("job_ids"));
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.dead_letters").await?, 0);
    let undo = "select undone from pfa_sync.undo_job($1, 'not so wrong', $2)";
    assert_eq!(scenario.client.query_one(undo, &[&job, &ADMIN]).await?.get::<_, i64>(0), 3);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.dead_letters").await?, 3);
    scenario.check().await?;

    let scenario = Scenario::new().await?;
    let draft = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "Ours"})).await?;
    scenario.foreign_edit("1", 2, json!({"model": "Theirs"})).await?;
    scenario.application().commit(EDITOR, RIO).await?;
    let conflict: i64 = scenario.value("select conflict_id from pfa_sync.conflicts").await?;
    for (resolution, merged) in [("use_pems", None), ("merge", Some(json!({"model": "Both"}))), ("use_local", None)] {
        let call = "select pfa_sync.resolve_conflict($1, $2, $3, $4)";
        let answer: Value = scenario.client.query_one(call, &[&conflict, &resolution, &EDITOR, &merged]).await?.get(0);
        let job = answer["job"].as_i64().expect("a job");
        assert_eq!(scenario.client.query_one(undo, &[&job, &EDITOR]).await?.get::<_, i64>(0), 1, "{resolution}");
        assert_eq!(scenario.state(&draft).await?, "conflict/conflict");
        let ours: Value = scenario.value("select ours from pfa_sync.conflicts").await?;
        assert_eq!(ours, json!({"model": "Ours"}));
        scenario.check().await?;
    }
    // Once sent, it is not undone.
    let call = "select pfa_sync.resolve_conflict($1, 'use_local', $2)";
    let answer: Value = scenario.client.query_one(call, &[&conflict, &EDITOR]).await?.get(0);
    scenario.deliver().await?;
    let job = answer["job"].as_i64().expect("a job");
    assert_eq!(scenario.client.query_one(undo, &[&job, &EDITOR]).await?.get::<_, i64>(0), 0);
    assert_eq!(scenario.mirror("1").await?["model"], json!("Ours"));
    scenario.check().await
}

/// A record whose table refuses it ends as failed, and the others are done.
#[tokio::test]
async fn one_record_that_is_refused_does_not_stop_a_job() -> Result<()> {
    let scenario = dead_letters(20).await?;
    scenario
        .client
        .batch_execute(
            r#"
            create function refuse() returns trigger language plpgsql as $$ begin
                if new."mirrorId" = (select id from public.pfa_mirror where "pfaId" = '0007') and new."syncState" = 'draft' then
                    raise exception 'the table says no';
                end if;
                return new;
            end $$;
            alter function refuse() owner to current_user;
            create trigger refuse before update on pfa_modification for each row execute function refuse()"#,
        )
        .await?;
    let row = scenario.client.query_one("select * from pfa_sync.requeue_dead_letters('{}', user_id => $1)", &[&ADMIN]).await?;
    assert_eq!((row.get::<_, i64>("requeued"), row.get::<_, i64>("refused")), (19, 1));
    let failed =
        scenario.client.query_one("select pfa_id, cause, detail from pfa_sync.bulk_items where outcome = 'failed'", &[]).await?;
    assert_eq!((failed.get(0), failed.get(1), failed.get(2)), ("0007", "NOT_RECORDED", "the table says no"));
    Ok(())
}

/// A dead letter of one's own takes perm_Sync; of two fixes, one is sent.
#[tokio::test]
async fn an_author_fixes_a_dead_letter_and_of_two_fixes_one_is_sent() -> Result<()> {
    let scenario = dead_letters(1).await?;
    let letter: i64 = scenario.value("select queue_id from pfa_sync.dead_letters").await?;
    let fix = "select * from pfa_sync.requeue_dead_letters($1, '{\"model\": \"Y\"}', null, $2)";
    let filter = json!({"dead_letters": [letter]});
    let other = scenario.client.execute(fix, &[&filter, &SECOND]).await.unwrap_err();
    assert_eq!(refusal(&other.into()).0, "PF002", "another user's takes perm_ManageSettings");
    scenario.client.execute(fix, &[&filter, &EDITOR]).await?;
    let late = scenario.client.execute(fix, &[&filter, &ADMIN]).await.unwrap_err();
    let (code, message, _) = refusal(&late.into());
    assert_eq!((code.as_str(), message), ("PF006", format!("dead letter {letter} was requeued by {EDITOR} already")));
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.mirror("0001").await?["model"], json!("Y"));
    Ok(())
}

/// Many withdrawals are one job, too, and the rest of it is a relay's.
#[tokio::test]
async fn a_large_withdrawal_goes_on_without_its_caller() -> Result<()> {
    let scenario = edited(300).await?;
    let ids: Vec<String> =
        scenario.client.query("select modification_id from pfa_sync.queue", &[]).await?.iter().map(|r| r.get(0)).collect();
    let verdicts = scenario
        .client
        .query("select verdict, count(*) from pfa_sync.withdraw($1, $2) group by 1 order by 1", &[&ids, &EDITOR])
        .await?;
    let verdicts: Vec<(String, i64)> = verdicts.iter().map(|r| (r.get(0), r.get(1))).collect();
    assert_eq!(verdicts, [("waiting".to_owned(), 100), ("withdrawn".to_owned(), 200)]);
    // Who takes back the own changes needs no permission for it, nor to stop that.
    let sync = format!(r#"update user_organizations set "perm_Sync" = false where "userId" = '{EDITOR}'"#);
    scenario.client.batch_execute(&sync).await?;
    let session = scenario.acting(EDITOR).await?;
    let own = "select pfa_sync.stop_job(max(job_id), 'wait'), pfa_sync.continue_job(max(job_id)) from pfa_sync.bulk_jobs";
    session.execute(own, &[]).await?;
    assert_eq!(run(&scenario).await?, 1);
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
    scenario.check().await
}
