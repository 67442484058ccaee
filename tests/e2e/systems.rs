//! Several PEMS: each organization is sent for and read where it belongs, in the limit and with the credentials of its PEMS.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{HARBOUR, RIO};
use testbed::stack::stored_record;

use crate::support::scenario::{Scenario, refusal};
use crate::support::two_pems::{EAST_TOKEN, TwoPems};

/// One relay serves both; of two relays, one has no key and serves the PEMS of its settings alone.
#[rstest]
#[case::one_relay(false)]
#[case::two_relays(true)]
#[tokio::test]
async fn each_organization_is_sent_for_where_it_belongs(#[case] another: bool) -> Result<()> {
    let systems = TwoPems::new(300, Some(40)).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    let mut relays = vec![systems.relay(&["--batch-size", "20"])?];
    if another {
        relays.push(systems.relay_with(|command| {
            command.args(["--batch-size", "20"]).env("PEMS_CREDENTIALS_KEY_FILE", "");
        })?);
    }
    assert_eq!(systems.edit_all("C-1").await?, 600);
    systems.until_drained().await?;
    systems.assert_contract("C-1");
    let refused = |log: Vec<pems_simulator::Request>| log.iter().filter(|request| request.status == Some(401)).count();
    assert_eq!(refused(systems.pems.log()) + refused(systems.east.log()), 0, "no relay tried the credentials of another PEMS");
    for relay in relays {
        assert!(relay.stop().await?.success());
    }
    systems.check().await
}

/// A PEMS that is down, or slow by its limit, delays no other.
#[tokio::test]
async fn an_outage_of_one_pems_delays_no_other() -> Result<()> {
    let systems = TwoPems::new(20, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    systems.east.set_gateway(Some((503, "down")));
    let relay = systems.relay(&[])?;
    systems.edit_all("C-2").await?;
    let drained = format!("select not exists (select from pfa_sync.queue where organization_id = '{RIO}')");
    systems.until(&drained).await?;
    systems.until("select state <> 'closed' from pfa_sync.breakers where pems = 'east'").await?;
    assert_eq!(systems.scenario.value::<String>("select state from pfa_sync.breakers where pems = 'default'").await?, "closed");
    systems.east.set_gateway(None);
    systems.until_drained().await?;
    systems.assert_contract("C-2");
    assert!(relay.stop().await?.success());
    systems.check().await
}

/// What an organization's PEMS has is pulled from there.
#[tokio::test]
async fn each_organization_is_pulled_from_its_pems() -> Result<()> {
    let systems = TwoPems::new(3, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    systems.scenario.client.execute("select pfa_sync.set('pull_interval', '1 s'), pfa_sync.set('inbound', 'relay')", &[]).await?;
    let relay = systems.relay(&[])?;
    systems.east.edit("HARBOUR", "2", json!({"model": "EAST"}).as_object().unwrap()).unwrap();
    systems.foreign_edit("2", json!({"model": "WEST"}));
    for (organization, model) in [(HARBOUR, "EAST"), (RIO, "WEST")] {
        let arrived = format!(
            r#"select exists (select from pfa_mirror where "organizationId" = '{organization}' and "pfaId" = '2' and model = '{model}')"#
        );
        systems.until(&arrived).await?;
    }
    assert!(relay.stop().await?.success());
    Ok(())
}

/// An organization moves to another PEMS while a relay runs: paused, it is read there in full, and then sent for there. Nothing
/// goes to the old one.
#[tokio::test]
async fn an_organization_moves_to_another_pems() -> Result<()> {
    let systems = TwoPems::new(5, None).await?;
    systems.set_east_token(EAST_TOKEN).await?;
    let relay = systems.relay(&[])?;
    systems.edit_all("C-3").await?;
    systems.until_drained().await?;
    let client = &systems.scenario.client;
    client.execute("select pfa_sync.pause('HARBOUR', 'it moves')", &[]).await?;
    systems.pems.load((1..=5).map(|id| stored_record("HARBOUR", &id.to_string())));
    let before = systems.east.log().len();
    client.execute("select pfa_sync.assign_pems('HARBOUR', 'default')", &[]).await?;
    client.execute("select pfa_sync.set('inbound', 'relay', 'HARBOUR')", &[]).await?;
    systems.until("select exists (select from pfa_sync.pulls where kind = 'full' and status = 'completed')").await?;
    client.query("select * from pfa_sync.resume('HARBOUR')", &[]).await?;
    systems.edit_all("C-4").await?;
    systems.until_drained().await?;
    assert!(systems.pems.records("HARBOUR").iter().all(|record| record["contract"] == "C-4"));
    assert!(systems.east.records("HARBOUR").iter().all(|record| record["contract"] == "C-3"));
    assert_eq!(systems.east.log().len(), before, "nothing more was asked of the old PEMS");
    assert!(relay.stop().await?.success());
    Ok(())
}

/// While changes or a pull are in flight, an organization stays where it is.
#[tokio::test]
async fn an_organization_in_flight_is_not_moved() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    client.execute("select pfa_sync.define_pems('east', 'https://east.example', 'T')", &[]).await?;
    let assign = async || {
        client.execute("select pfa_sync.assign_pems('RIO', 'east')", &[]).await.map_err(|error| refusal(&error.into()).0)
    };
    scenario.edit("1", json!({"model": "X"})).await?;
    let claimed = scenario.send().await?;
    assert_eq!(assign().await.unwrap_err(), "PF006");
    scenario.report("complete", &claimed, json!({"version": 2, "updated_at": "2026-03-01T00:00:00.000Z"})).await?;
    client.query("select * from pfa_sync.begin_pull('r', 'RIO')", &[]).await?;
    assert_eq!(assign().await.unwrap_err(), "PF006");
    client.execute("select pfa_sync.end_pull(pull_id, 1) from pfa_sync.pulls", &[]).await?;
    assert!(assign().await.is_ok());
    scenario.edit("2", json!({"model": "X"})).await?;
    let pems: String = scenario.value("select pems from pfa_sync.claim('r')").await?;
    assert_eq!(pems, "east");
    let kind: String = scenario.value("select kind from pfa_sync.pulls order by pull_id desc limit 1").await?;
    assert_eq!(kind, "full");
    Ok(())
}

/// A relay is given no work of an organization that it does not serve, and is not woken for it.
#[tokio::test]
async fn a_relay_claims_for_the_organizations_that_it_serves() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let claim = "select count(*) from pfa_sync.claim('r', organizations => $1)";
    let due = "select pfa_sync.next_due_ms($1)";
    let pull = "select count(*) from pfa_sync.begin_pull('r', organizations => $1)";
    scenario.client.execute("select pfa_sync.set('inbound', 'relay')", &[]).await?;
    scenario.client.query("select * from pfa_sync.sweep()", &[]).await?;
    for (organizations, expected) in [(vec![], 0), (vec![HARBOUR], 0), (vec![RIO, HARBOUR], 1)] {
        let next: Option<f64> = scenario.client.query_one(due, &[&organizations]).await?.get(0);
        assert_eq!(next.is_some() as i64, expected, "{organizations:?}");
        let claimed: i64 = scenario.client.query_one(claim, &[&organizations]).await?.get(0);
        assert_eq!(claimed, expected, "{organizations:?}");
        let pulled: i64 = scenario.client.query_one(pull, &[&organizations]).await?.get(0);
        assert_eq!(pulled, organizations.len().min(1) as i64, "{organizations:?}");
    }
    Ok(())
}

#[rstest]
#[case::name("define_pems('East', 'https://east.example', 'T')", "PF001")]
#[case::no_address("define_pems('east', null, null)", "PF001")]
#[case::no_tenant("define_pems('east', 'https://east.example', null)", "PF001")]
#[case::user_in_the_address("define_pems('east', 'https://u:hush@east.example', 'T')", "PF001")]
#[case::query("define_pems('east', 'https://east.example/?a=b', 'T')", "PF001")]
#[case::scheme("define_pems('east', 'ftp://east.example', 'T')", "PF001")]
#[case::dialect("define_pems('east', 'https://east.example', 'T', 'soap')", "PF001")]
#[case::batch("define_pems('east', 'https://east.example', 'T', batch_size => 101)", "PF001")]
#[case::slot("define_pems('east', 'https://east.example', 'T', slot_interval => '0 s')", "PF001")]
#[case::options("define_pems('east', 'https://east.example', 'T', options => '[]')", "PF001")]
#[case::unknown("assign_pems('RIO', 'east')", "PF008")]
#[case::unknown_organization("assign_pems('NOWHERE', 'default')", "PF008")]
#[case::retire_unknown("retire_pems('east')", "PF008")]
#[case::retire_default("retire_pems('default')", "PF001")]
#[tokio::test]
async fn what_makes_no_pems_is_refused(#[case] call: &str, #[case] sqlstate: &str) -> Result<()> {
    let scenario = Scenario::empty().await?;
    let error = scenario.client.execute(&format!("select pfa_sync.{call}"), &[]).await.unwrap_err();
    let (state, message, _) = refusal(&error.into());
    assert_eq!(state, sqlstate, "{message}");
    assert!(!message.contains("hush"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_pems_is_retired_once_no_organization_has_it() -> Result<()> {
    let scenario = Scenario::new().await?;
    let client = &scenario.client;
    let define = "select pfa_sync.define_pems('east', 'https://east.example', 'T', batch_size => 1)";
    client.execute(define, &[]).await?;
    client.execute("select pfa_sync.assign_pems('RIO', 'east')", &[]).await?;
    for id in ["1", "2"] {
        scenario.edit(id, json!({"model": "X"})).await?;
    }
    assert_eq!(scenario.claim().await?.len(), 1, "the largest batch of the PEMS is one record");
    client.execute("update pfa_sync_private.pfa_write_queue set status = 'pending', lease_until = null", &[]).await?;
    let error = client.execute("select pfa_sync.retire_pems('east')", &[]).await.unwrap_err();
    assert_eq!(refusal(&error.into()).0, "PF006");
    client.execute("select pfa_sync.assign_pems('RIO', 'default')", &[]).await?;
    client.execute("select pfa_sync.retire_pems('east')", &[]).await?;
    let error = client.execute("select pfa_sync.assign_pems('RIO', 'east')", &[]).await.unwrap_err();
    assert_eq!(refusal(&error.into()).0, "PF008");
    client.execute(define, &[]).await?;
    client.execute("select pfa_sync.assign_pems('RIO', 'east')", &[]).await?;
    let logged: Value = scenario
        .value("select jsonb_agg(a.event_type order by a.event_id) from pfa_sync.audit a where a.event_type like 'PEMS%'")
        .await?;
    assert_eq!(
        logged,
        json!(["PEMS_DEFINED", "PEMS_ASSIGNED", "PEMS_ASSIGNED", "PEMS_RETIRED", "PEMS_DEFINED", "PEMS_ASSIGNED"])
    );
    Ok(())
}
