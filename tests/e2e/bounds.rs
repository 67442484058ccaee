//! What a call or a row may cost: arguments, deltas and keys beyond their bounds are refused before any work is done.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, pems_record};
use testbed::cluster::Login;

use crate::support::scenario::{Scenario, refusal};

/// Each argument that bounds work or storage, at and beyond its bounds.
#[rstest]
#[case::no_slot("take_slots('default', 0)")]
#[case::slots("take_slots('default', 1001)")]
#[case::slots_for_days("take_slots('default', 3000000)")]
#[case::slots_to_fill_a_disk("take_slots('default', 2000000000)")]
#[case::claimed("claim('relay-1', null, 1001)")]
#[case::claimed_below_zero("claim('relay-1', null, -1)")]
#[case::lease("claim('relay-1', null, 1, '2 hours')")]
#[case::no_lease("claim('relay-1', null, 1, '0 s')")]
#[case::extended("extend_lease('relay-1', '[]', '1 year')")]
#[case::claim_with_a_request("claim('relay-1', null, 1, null, '2 hours')")]
#[case::request("mark_sent('relay-1', '[]', '1 year')")]
#[case::relay("heartbeat(repeat('x', 201), '1')")]
#[case::version("heartbeat('relay-1', repeat('x', 201))")]
#[case::credentials("heartbeat('relay-1', '1', repeat('x', 201))")]
#[case::pause("pause('RIO', repeat('x', 2001))")]
#[case::control("pause('RIO', E'a\\u001bb')")]
#[case::value("set('lease', repeat('1', 3000))")]
#[case::discard("discard_dead_letters('{}', repeat('x', 2001))")]
#[case::reason("save_draft('RIO', 'usr_editor', '1', '{\"model\": \"X\"}', repeat('x', 2001))")]
#[case::session("save_draft('RIO', 'usr_editor', '1', '{\"model\": \"X\"}', null, repeat('x', 201))")]
#[case::drafts("save_drafts('RIO', 'usr_editor', (select jsonb_agg('{}'::jsonb) from generate_series(1, 1001)))")]
#[case::no_drafts("save_drafts('RIO', 'usr_editor', null)")]
#[case::draft_reason(
    "save_drafts('RIO', 'usr_editor', jsonb_build_array(jsonb_build_object('pfaId', '1', 'delta', '{}'::jsonb, 'reason', repeat('x', 2001))))"
)]
#[case::records_filter("records('RIO', jsonb_build_object('model', repeat('x', 70000)))")]
#[case::records_digits("records('RIO', '{\"monthlyRate\": 1e131071}')")]
#[case::records_values("records('RIO', jsonb_build_object('model', (select jsonb_agg(n::text) from generate_series(1, 101) n)))")]
#[case::records_ids("records('RIO', jsonb_build_object('pfa_ids', (select jsonb_agg(n::text) from generate_series(1, 501) n)))")]
#[case::records_search("records('RIO', '{}', repeat('x', 1001))")]
#[case::facets("record_facets('RIO', '{}', null, array_fill('model'::text, array[21]))")]
#[case::no_facet("record_facets('RIO', '{}', null, '{}')")]
#[case::conflict_rows("find_conflicts('RIO', '{}', null, 1001)")]
#[case::resolved_rows("find_resolved_conflicts('RIO', '{}', null, 0)")]
#[case::dead_letter_rows("find_dead_letters('RIO', '{}', null, 1001)")]
#[case::batch_rows("find_batches('RIO', '{}', null, 1001)")]
#[case::view_state("save_view('records', 'mine', jsonb_build_object('a', repeat('x', 17000)))")]
#[case::view_no_object("save_view('records', 'mine', '[]')")]
#[case::view_name("save_view('records', repeat('x', 101), '{}')")]
#[case::view_no_name("save_view('records', ' ', '{}')")]
#[case::view_page("save_view(repeat('x', 41), 'mine', '{}')")]
#[case::instance_name("set('instance_name', repeat('x', 81))")]
#[case::since("kpis('RIO', 'infinity')")]
#[case::since_long_ago("kpis('RIO', '1999-01-01')")]
#[case::since_tomorrow("kpis('RIO', now() + interval '1 day')")]
#[case::until("kpis('RIO', null, 'infinity')")]
#[case::until_before_since("kpis('RIO', now(), now() - interval '1 hour')")]
#[case::short_step("kpis('RIO', null, null, '1 s')")]
#[case::odd_step("kpis('RIO', null, null, '7 minutes')")]
#[case::long_step("kpis('RIO', null, null, '1000000 years')")]
#[case::fine_step_long_ago("kpis('RIO', now() - interval '3 days', null, '5 minutes')")]
#[case::steps("kpis('RIO', '2000-01-01', null, '1 day')")]
#[case::note("note_failure('REJECTED', 'RIO', repeat('x', 2001))")]
#[case::owner("note_failure('REJECTED', 'RIO', null, repeat('x', 201))")]
#[case::state("note_failure('REJECTED', 'RIO', null, null, 'done')")]
#[case::no_code("note_failure(null, 'RIO')")]
#[case::key("begin_idempotent(repeat('x', 256), 'request')")]
#[tokio::test]
async fn an_argument_beyond_its_bounds_is_refused(#[case] call: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let error = scenario.client.query(&format!("select pfa_sync.{call}"), &[]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001", "{call}: {error:?}");
    assert!(refusal(&error).1.len() < 200);
    Ok(())
}

#[tokio::test]
async fn slots_are_not_taken_by_a_refused_call() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.query("select pfa_sync.take_slots('default', 3000000)", &[]).await.unwrap_err();
    assert!(scenario.value::<f64>("select pfa_sync.take_slots('default', 1)").await? < 1000.0);
    Ok(())
}

/// Deltas that cost far more to read than to write, by whoever writes the application's table.
#[rstest]
#[case::exponent(r#"{"monthlyRate": 1e131071}"#)]
#[case::negative(r#"{"monthlyRate": -1e131071}"#)]
#[case::decimals(r#"{"monthlyRate": 1e-16000}"#)]
#[case::inside(r#"{"colour": [{"red": 1e999}]}"#)]
#[case::text(&format!(r#"{{"model": "{}"}}"#, "x".repeat(70_000)))]
#[case::fields(&format!("{{{}\"z\": 1}}", (0..9000).map(|n| format!("\"f{n}\": 1,")).collect::<String>()))]
#[case::depth(&format!(r#"{{"model": {}{}}}"#, "[".repeat(20), "]".repeat(20)))]
#[tokio::test]
async fn a_delta_beyond_its_bounds_is_not_stored(#[case] delta: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let insert = format!(
        r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "updatedAt")
           select 'bomb', id, "organizationId", 'usr_editor', '{delta}', now() from pfa_mirror where "pfaId" = '1'"#
    );
    let error = scenario.client.batch_execute(&insert).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001");
    let draft = scenario.application().draft(EDITOR, RIO, "1", json!({"monthlyRate": 12.5, "model": "X"})).await?;
    let update = format!("update pfa_modification set delta = '{delta}' where id = '{draft}'");
    let error = scenario.client.batch_execute(&update).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001");
    let save = format!("select pfa_sync.save_draft('RIO', 'usr_editor', '1', '{delta}')");
    let error = scenario.client.batch_execute(&save).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF001");
    Ok(())
}

/// The application writes its mirror itself: a record nested thousands deep is listed, for those who may not see prices
/// too, and an edit of it is sent.
#[tokio::test]
async fn a_deep_record_is_listed_and_edited() -> Result<()> {
    let scenario = Scenario::new().await?;
    let spoil = r#"update pfa_mirror set data = data || jsonb_build_object('remark', (repeat('[', 3000) || repeat(']', 3000))::jsonb) where "pfaId" = '1'"#;
    scenario.client.batch_execute(spoil).await?;
    let session = scenario.database.client_as(Login::Application).await?;
    for user in [EDITOR, "usr_viewer"] {
        let listed = session.query("select pfa_id from pfa_sync.records('RIO', user_id => $1)", &[&user]).await?;
        assert_eq!(listed.len(), 3, "{user}");
    }
    let reader = scenario.database.client_as(Login::Api).await?;
    reader.batch_execute("set pfa_sync.user_id = 'usr_viewer'").await?;
    assert_eq!(reader.query("select data->'model' from pfa_sync.records('RIO')", &[]).await?.len(), 3);
    let edit = scenario.edit("1", json!({"model": "X"})).await?;
    assert_eq!(scenario.deliver().await?, 1);
    assert_eq!(scenario.state(&edit).await?, "synced/synced");
    scenario.check().await
}

/// A key that would lead a request to another route of PEMS is refused when the record arrives, and when it is edited.
#[rstest]
#[case("..")]
#[case(".")]
#[case("batch")]
#[case("1/../batch")]
#[case("x\\..\\batch")]
#[tokio::test]
async fn a_key_that_is_no_path_segment_is_refused(#[case] key: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let row = scenario.ingest(&[pems_record("RIO", key), pems_record("RIO", "good")]).await?;
    assert_eq!((row.get::<_, i64>("records_changed"), row.get::<_, i64>("records_rejected")), (1, 1));
    let rejects: Value = row.get("rejects");
    assert!(
        rejects[0]["reason"].as_str().is_some_and(|reason| reason.contains("pfaId can't be part of an address")),
        "{rejects}"
    );

    // The application may write such a record; whether data or the column has the key.
    for keyed in [
        r#"update pfa_mirror set "pfaId" = $1 where "pfaId" = '1'"#,
        r#"update pfa_mirror set "pfaId" = null, data = data || jsonb_build_object('pfaId', $1::text) where "pfaId" = $1"#,
    ] {
        scenario.client.execute(keyed, &[&key]).await?;
        let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
            select 'edit', id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', now() from pfa_mirror
             where coalesce("pfaId", data->>'pfaId') = $1"#;
        let error = scenario.client.execute(insert, &[&key]).await.unwrap_err().into();
        assert_eq!((refusal(&error).0.as_str(), &refusal(&error).2[0]["errors"][0]["field"]), ("PF001", &json!("pfaId")));
    }
    Ok(())
}

/// The lock that makes saves of one user follow each other can't be taken by another session.
#[tokio::test]
async fn advisory_locks_do_not_hold_up_a_save() -> Result<()> {
    let scenario = Scenario::new().await?;
    let reader = scenario.database.client_as(Login::Reader).await?;
    let mirror: String = scenario.value(r#"select id from pfa_mirror where "pfaId" = '1'"#).await?;
    let lock = "select pg_advisory_lock(hashtextextended('pfa_sync draft usr_editor ' || $1, 0))";
    reader.execute(lock, &[&mirror]).await?;
    let application = scenario.database.client_as(Login::Application).await?;
    application.batch_execute("set lock_timeout = '5 s'").await?;
    application.query("select * from pfa_sync.save_draft('RIO', 'usr_editor', '1', '{\"model\": \"X\"}')", &[]).await?;
    Ok(())
}
