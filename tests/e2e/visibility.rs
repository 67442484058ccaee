//! Visibility and grants in SQL: roles, tenants, prices, and sessions that claim to be another user.

use anyhow::Result;
use testbed::application::{HARBOUR, RIO};
use testbed::cluster::Login;
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};
use crate::support::tenants::two_tenants;

/// The views with rows of organizations.
const VIEWS: [&str; 12] = [
    "queue",
    "conflicts",
    "dead_letters",
    "failures",
    "jobs",
    "batches",
    "changes",
    "audit",
    "pulls",
    "alerts",
    "alert_rules",
    "credentials",
];

/// Alerts, rules and credentials of both organizations.
const ADMINISTRATION: &str = "
    select pfa_sync.evaluate_alerts();
    select pfa_sync.set_alert_rule('dead_letters', o, threshold => 5) from unnest(array['RIO', 'HARBOUR']) o;
    select pfa_sync.store_credentials('default', o, 'bearer', null, 1, 'https://pems.example/', 'k1',
                                      '\\x000102030405060708090a0b', '\\x00', 'aabbcc')
      from unnest(array['org_RIO_173', 'org_HARBOUR_7']) o;";

/// A session of the API, acting for a user.
async fn acting(scenario: &Scenario, user: &str) -> Result<Client> {
    let session = scenario.database.client_as(Login::Api).await?;
    session.execute("select set_config('pfa_sync.user_id', $1, false)", &[&user]).await?;
    Ok(session)
}

/// A session of the reader's login, which sees what a user may see.
async fn reading(scenario: &Scenario, user: Option<&str>) -> Result<Client> {
    let session = scenario.database.client_as(Login::Reader).await?;
    let login: String = session.query_one("select session_user::text", &[]).await?.get(0);
    scenario.client.execute("select pfa_sync.set_reader($1::text::name, $2)", &[&login, &user]).await?;
    Ok(session)
}

async fn organizations(session: &Client, view: &str) -> Result<Vec<String>> {
    let query = format!(
        "select coalesce(array_agg(distinct organization_id order by organization_id) filter (where organization_id is not null), '{{}}') from pfa_sync.{view}"
    );
    Ok(session.query_one(&query, &[]).await?.get(0))
}

#[tokio::test]
async fn each_view_shows_each_user_the_rows_of_their_organizations_alone() -> Result<()> {
    let scenario = two_tenants().await?;
    scenario.client.batch_execute(ADMINISTRATION).await?;
    let both = vec![HARBOUR.to_owned(), RIO.to_owned()];
    for view in VIEWS {
        for (user, seen) in [
            ("usr_admin", both.clone()),
            ("usr_editor", both.clone()),
            ("usr_viewer", both.clone()),
            ("usr_second", vec![RIO.to_owned()]),
            ("usr_former", vec![]),
            ("usr_nobody", vec![]),
            ("", vec![]),
        ] {
            let session = acting(&scenario, user).await?;
            assert_eq!(organizations(&session, view).await?, seen, "{view} as {user:?}");
            if !["usr_nobody", ""].contains(&user) {
                let session = reading(&scenario, Some(user)).await?;
                session.batch_execute("set pfa_sync.user_id = 'usr_admin'").await?;
                assert_eq!(organizations(&session, view).await?, seen, "{view}: a reader with the rights of {user:?}");
            }
        }
        let session = reading(&scenario, None).await?;
        session.batch_execute("set pfa_sync.user_id = 'usr_admin'").await?;
        assert!(organizations(&session, view).await?.is_empty(), "{view}: a reader without a user");
        let session = scenario.database.client_as(Login::Application).await?;
        session.batch_execute("set pfa_sync.user_id = 'usr_nobody'").await?;
        assert_eq!(organizations(&session, view).await?, both, "{view}: the user of a session counts for the API alone");
    }
    let fleet = "select count(*) from pfa_sync.audit where organization_id is null";
    for (user, sees) in [("usr_admin", true), ("usr_editor", false)] {
        assert_eq!(acting(&scenario, user).await?.query_one(fleet, &[]).await?.get::<_, i64>(0) > 0, sees, "{user}");
    }
    Ok(())
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_at_once() -> Result<()> {
    let scenario = two_tenants().await?;
    let session = acting(&scenario, "usr_second").await?;
    assert_eq!(organizations(&session, "queue").await?, [RIO]);
    scenario.client.batch_execute(r#"update user_organizations set "perm_Read" = false where "userId" = 'usr_second'"#).await?;
    assert!(organizations(&session, "queue").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn prices_are_shown_to_those_alone_who_may_see_them() -> Result<()> {
    let scenario = two_tenants().await?;
    let conflict: i64 =
        scenario.value("select min(conflict_id) from pfa_sync.conflicts where organization_id = 'org_RIO_173'").await?;
    let dead: String =
        scenario.value("select min(modification_id) from pfa_sync.dead_letters where organization_id = 'org_RIO_173'").await?;
    let reads = [
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.queue q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.conflicts q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.dead_letters q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.audit q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.changes q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.audit_page('RIO') q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.pulls q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.timeline('RIO', '2') q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.dead_letters d, pfa_sync.attempts(d.queue_id) q".to_owned(),
        format!("select pfa_sync.conflict_state({conflict})::text"),
        format!("select pfa_sync.explain('{dead}')::text"),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.records('RIO') q".to_owned(),
        format!("select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.state(array['{dead}']) q"),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.record('RIO', '3') q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.find_conflicts('RIO') q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.find_dead_letters('RIO') q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.health('RIO') q".to_owned(),
        "select string_agg(to_jsonb(q)::text, ' ') from pfa_sync.alerts q".to_owned(),
    ];
    let held = "select pfa_sync.heartbeat('r', '1'); \
                update pfa_sync_private.sync_organization set held_since = now(), hold_reason = 'PEMS said: 7771.25 is too much'; \
                select pfa_sync.evaluate_alerts()";
    scenario.client.batch_execute(held).await?;
    let priced = |text: &str| text.contains("7771.25") || text.contains("8882.25");
    for read in &reads {
        for (user, shown) in [("usr_editor", true), ("usr_admin", true), ("usr_viewer", false)] {
            let text: String = acting(&scenario, user).await?.query_one(read.as_str(), &[]).await?.get(0);
            assert_eq!(priced(&text), shown, "{read} as {user}: {text}");
        }
    }
    for read in &reads[..9] {
        for (user, shown) in [("usr_editor", true), ("usr_viewer", false)] {
            let text: String = reading(&scenario, Some(user)).await?.query_one(read.as_str(), &[]).await?.get(0);
            assert_eq!(priced(&text), shown, "{read} read with the rights of {user}: {text}");
        }
    }
    for column in [
        "payload from pfa_sync_private.pfa_write_queue",
        "pems_data from pfa_sync_private.pfa_sync_conflict",
        "last_error from pfa_sync_private.pfa_write_queue_archive",
        "message from pfa_sync_private.pfa_sync_conflict",
        "error from pfa_sync_private.pfa_write_queue_dlq",
        "pems_response from pfa_sync_private.pfa_write_queue_dlq",
        "changes from pfa_sync_private.pfa_audit_log",
        "error_message from pfa_sync_private.pfa_audit_log",
        "last_error from pfa_sync_private.sync_pull",
    ] {
        for login in [Login::Reader, Login::Api, Login::Application] {
            let session = scenario.database.client_as(login).await?;
            let refused = session.query(&format!("select {column}"), &[]).await.unwrap_err();
            assert_eq!(refused.code().unwrap().code(), "42501", "{login:?} {column}: {refused}");
        }
    }
    Ok(())
}

/// Another organization's things do not exist: in the very words, for every function that names one.
#[tokio::test]
async fn what_belongs_to_another_organization_does_not_exist() -> Result<()> {
    let scenario = two_tenants().await?;
    let conflict: i64 =
        scenario.value("select min(conflict_id) from pfa_sync.conflicts where organization_id = 'org_HARBOUR_7'").await?;
    let modification: String =
        scenario.value("select min(modification_id) from pfa_sync.queue where organization_id = 'org_HARBOUR_7'").await?;
    let session = acting(&scenario, "usr_second").await?;
    for organization in ["HARBOUR", HARBOUR] {
        for call in [
            format!("pfa_sync.save_draft('{organization}', null, '1', '{{}}')"),
            format!("pfa_sync.commit_drafts('{organization}', null)"),
            format!("pfa_sync.discard_drafts('{organization}', null)"),
            format!("pfa_sync.status('{organization}')"),
            format!("pfa_sync.timeline('{organization}', '1')"),
            format!("pfa_sync.records('{organization}')"),
            format!("pfa_sync.audit_page('{organization}')"),
            format!("pfa_sync.save_drafts('{organization}', null, '[]')"),
            format!("pfa_sync.record('{organization}', '1')"),
            format!("pfa_sync.record_facets('{organization}')"),
            format!("pfa_sync.find_conflicts('{organization}')"),
            format!("pfa_sync.find_resolved_conflicts('{organization}')"),
            format!("pfa_sync.find_dead_letters('{organization}')"),
            format!("pfa_sync.find_batches('{organization}')"),
            format!("pfa_sync.pause('{organization}', 'x')"),
            format!("pfa_sync.resume('{organization}')"),
            format!("pfa_sync.set('max_retries', '1', '{organization}')"),
            format!("pfa_sync.preview_resolution('{{\"organization\": \"{organization}\"}}', 'use_pems')"),
            format!("pfa_sync.write_sync('{organization}')"),
            format!("pfa_sync.kpis('{organization}')"),
            format!("pfa_sync.drain_forecast('{organization}')"),
            format!("pfa_sync.note_failure('REJECTED', '{organization}')"),
            format!("pfa_sync.preview_dead_letters('{{\"organization\": \"{organization}\"}}')"),
            format!("pfa_sync.requeue_dead_letters('{{\"organization\": \"{organization}\"}}')"),
            format!("pfa_sync.resolve_conflicts('{{\"organization\": \"{organization}\"}}', 'use_pems', null, '')"),
        ] {
            let error = session.query(&format!("select * from {call}"), &[]).await.unwrap_err().into();
            assert_eq!(refusal(&error).0, "PF008", "{call}");
            assert_eq!(refusal(&error).1, format!("there is no organization with id or code {organization}"));
        }
    }
    for (call, message) in [
        (format!("pfa_sync.explain('{modification}')"), format!("there is no modification {modification}")),
        (format!("pfa_sync.resolve_conflict({conflict}, 'use_pems', null)"), format!("there is no conflict {conflict}")),
    ] {
        let error = session.query(&format!("select {call}"), &[]).await.unwrap_err().into();
        assert_eq!((refusal(&error).0.as_str(), refusal(&error).1), ("PF008", message));
    }
    let withdrawn = session.query_one("select verdict from pfa_sync.withdraw($1, null)", &[&vec![&modification]]).await?;
    assert_eq!(withdrawn.get::<_, String>(0), "unknown");
    // The functions behind the views hide as much, even from a session that can name them.
    scenario.client.batch_execute("grant usage on schema pfa_sync_private to pfa_sync_api, pfa_sync_reader").await?;
    for nothing in [
        format!("select count(*) from pfa_sync.state('{{{modification}}}')"),
        format!("select count(pfa_sync.conflict_state({conflict}))"),
        "select count(*) from pfa_sync.status() where organization_id <> 'org_RIO_173'".to_owned(),
        "select count(a) from generate_series(1, 100) n, pfa_sync.attempts(n) a where n not in (select queue_id from pfa_sync.audit where queue_id is not null)".to_owned(),
        "select count(*) from unnest(pfa_sync_private.priced_organizations()) o where o <> 'org_RIO_173'".to_owned(),
    ] {
        assert_eq!(session.query_one(nothing.as_str(), &[]).await?.get::<_, i64>(0), 0, "{nothing}");
    }
    let counted = session.query_one("select conflicts from pfa_sync.preview_resolution('{}', 'use_pems')", &[]).await?;
    assert_eq!(counted.get::<_, i64>(0), 1, "without an organization, those of the user's organizations");
    Ok(())
}

/// Giving changes up is settling too: it takes perm_Sync, in bulk as for a single conflict.
#[tokio::test]
async fn conflicts_are_not_given_up_in_bulk_without_the_right_to_sync() -> Result<()> {
    let scenario = two_tenants().await?;
    let session = acting(&scenario, "usr_viewer").await?;
    let preview = session.query_one("select digest from pfa_sync.preview_resolution('{}', 'use_pems')", &[]).await?;
    let digest: String = preview.get(0);
    let resolve = "select * from pfa_sync.resolve_conflicts('{}', 'use_pems', null, $1)";
    let error = session.query(resolve, &[&digest]).await.unwrap_err().into();
    assert_eq!(refusal(&error).0, "PF002");
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.conflicts").await?, 2);
    Ok(())
}

/// The settings of an organization are visible to its users only, and no function reveals them to others.
#[tokio::test]
async fn settings_of_an_organization_are_its_own() -> Result<()> {
    let scenario = Scenario::empty().await?;
    scenario.client.batch_execute("select pfa_sync.set('max_retries', '77', 'HARBOUR'), pfa_sync.set('lease', '77 s')").await?;
    for (user, seen) in [("usr_second", 0), ("usr_viewer", 1), ("usr_admin", 1)] {
        let own = "select count(*) from pfa_sync.settings where organization_id is not null";
        let session = acting(&scenario, user).await?;
        assert_eq!(session.query_one(own, &[]).await?.get::<_, i64>(0), seen, "{user}");
        let fleet = session.query_one("select value from pfa_sync.settings where name = 'lease'", &[]).await?;
        assert_eq!(fleet.get::<_, &str>(0), "77 s", "{user}");
        let refused = session.query("select pfa_sync_private.setting('max_retries', 'org_HARBOUR_7')", &[]).await.unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
    }
    Ok(())
}

/// A session that names another user than the one it acts for, or none, is refused.
#[tokio::test]
async fn the_api_acts_for_the_user_of_its_session_alone() -> Result<()> {
    let scenario = Scenario::new().await?;
    for (acts, names) in [("usr_viewer", "'usr_admin'"), ("", "'usr_admin'"), ("usr_viewer", "null")] {
        let session = acting(&scenario, acts).await?;
        let error = session.query(&format!("select pfa_sync.pause('RIO', 'x', null, {names})"), &[]).await.unwrap_err().into();
        assert!(["PF002", "PF008"].contains(&refusal(&error).0.as_str()), "{acts:?} naming {names}");
    }
    assert!(!scenario.value::<bool>("select bool_or(paused) from pfa_sync_private.sync_organization").await?);
    Ok(())
}
