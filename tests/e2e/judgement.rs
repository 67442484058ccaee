//! The judgement of a commit in SQL: every error code, every permission, and records that are invalid themselves.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::scenario::{Scenario, refusal};

/// The record "1" of PEMS, with the values of the case.
async fn world_with(changes: Value) -> Result<Scenario> {
    let scenario = Scenario::empty().await?;
    let mut record = pems_record("RIO", "1");
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    scenario.ingest(&[record]).await?;
    Ok(scenario)
}

#[rstest]
#[case::unknown_field(json!({}), json!({"colour": "red"}), &["colour UNKNOWN_FIELD"])]
#[case::locked(json!({}), json!({"originalStart": "2026-01-01"}), &["originalStart FIELD_LOCKED"])]
#[case::key(json!({}), json!({"pfaId": "1"}), &["pfaId FIELD_LOCKED"])]
#[case::derived(json!({}), json!({"hasPlan": true}), &["hasPlan FIELD_LOCKED"])]
#[case::type_(json!({}), json!({"monthlyRate": "5000"}), &["monthlyRate INVALID_TYPE"])]
#[case::no_object(json!({}), json!([1]), &[" INVALID_TYPE"])]
#[case::empty(json!({}), json!({}), &[" MISSING_REQUIRED_FIELD"])]
#[case::no_such_day(json!({}), json!({"forecastEnd": "2026-02-30"}), &["forecastEnd INVALID_VALUE"])]
#[case::money(json!({}), json!({"monthlyRate": 1.005}), &["monthlyRate INVALID_VALUE"])]
#[case::control(json!({}), json!({"model": "a\tb"}), &["model INVALID_VALUE"])]
#[case::negative(json!({}), json!({"purchasePrice": -1}), &["purchasePrice INVALID_RANGE"])]
#[case::choice(json!({}), json!({"dor": "CORP"}), &["dor INVALID_ENUM_VALUE"])]
#[case::long(json!({}), json!({"model": "x".repeat(81)}), &["model TOO_LONG"])]
#[case::forecast(json!({}), json!({"forecastStart": "2027-01-01"}), &["forecastStart INVALID_DATE_ORDER"])]
#[case::actual(json!({"actualStart": "2026-03-01T00:00:00.000Z"}), json!({"actualEnd": "2026-02-01"}), &["actualEnd INVALID_DATE_ORDER"])]
#[case::rental(json!({}), json!({"monthlyRate": null}), &["monthlyRate MISSING_REQUIRED_FIELD"])]
#[case::purchase(json!({}), json!({"source": "Purchase"}), &["purchasePrice MISSING_REQUIRED_FIELD"])]
#[case::source_of_an_actualized(json!({"isActualized": true}), json!({"source": "Purchase", "purchasePrice": 1}), &["source BUSINESS_RULE_VIOLATION"])]
#[case::later_start_of_an_actualized(
    json!({"isActualized": true, "actualStart": "2026-03-01T00:00:00.000Z"}), json!({"actualStart": "2026-03-02"}),
    &["actualStart BUSINESS_RULE_VIOLATION"]
)]
#[case::delete_of_an_actualized(json!({"isActualized": true}), json!({"isDiscontinued": true}), &["isDiscontinued BUSINESS_RULE_VIOLATION"])]
#[case::revival(json!({"isDiscontinued": true}), json!({"isDiscontinued": false}), &["isDiscontinued BUSINESS_RULE_VIOLATION"])]
#[case::zero_is_a_value(json!({}), json!({"monthlyRate": 0}), &[])]
#[case::equal_dates(json!({}), json!({"forecastEnd": "2026-01-01T01:00:00+01:00"}), &[])]
#[case::old_fault_elsewhere(json!({"source": "LEASE", "originalEnd": "2020-01-01T00:00:00.000Z"}), json!({"model": "X"}), &[])]
#[tokio::test]
async fn a_commit_is_judged_by_the_record_as_it_would_be(
    #[case] record: Value,
    #[case] delta: Value,
    #[case] expected: &[&str],
) -> Result<()> {
    let scenario = world_with(record).await?;
    let refused = match scenario.edit("1", delta).await {
        Ok(_) => Vec::new(),
        Err(error) => {
            let (code, _, detail) = refusal(&error);
            assert_eq!(code, "PF001");
            assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
            let errors = detail[0]["errors"].as_array().unwrap().clone();
            let listed = |e: &Value| format!("{} {}", e["field"].as_str().unwrap_or_default(), e["code"].as_str().unwrap());
            errors.iter().map(listed).collect()
        }
    };
    assert_eq!(refused, expected);
    Ok(())
}

/// Each permission alone, on each field: what may be edited under what.
#[tokio::test]
async fn every_field_asks_for_its_own_permission() -> Result<()> {
    let values = json!({
        "areaSilo": "S", "category": "S", "forecastCategory": "S", "class": "S", "manufacturer": "S", "model": "S", "contract": "S",
        "equipment": "S", "source": "Rental", "dor": "PROJECT", "monthlyRate": 1, "purchasePrice": 1,
        "forecastStart": "2026-02-01T00:00:00.000Z", "forecastEnd": "2026-11-01T00:00:00.000Z", "isFundsTransferable": true,
        "actualStart": "2026-02-01T00:00:00.000Z", "actualEnd": "2026-02-02T00:00:00.000Z", "isActualized": true,
    });
    let of_actuals = ["actualStart", "actualEnd", "isActualized"];
    let scenario = world_with(json!({"source": null})).await?;
    for (permission, forecast, actuals) in [("perm_EditForecast", true, false), ("perm_EditActuals", false, true)] {
        let grant = format!(
            r#"update user_organizations set "perm_Sync" = true, "perm_Delete" = false, "perm_EditForecast" = {forecast}, "perm_EditActuals" = {actuals}"#
        );
        scenario.client.execute(&grant, &[]).await?;
        for (field, value) in values.as_object().unwrap() {
            let draft = scenario.application().draft(EDITOR, RIO, "1", json!({ field: value })).await?;
            let explained: Value = scenario.client.query_one("select pfa_sync.explain($1)", &[&draft]).await?.get(0);
            let needed = if of_actuals.contains(&field.as_str()) { "perm_EditActuals" } else { "perm_EditForecast" };
            let missing = if needed == permission { json!([]) } else { json!([needed]) };
            assert_eq!(explained["missing_permissions"], missing, "{field} with {permission}");
        }
        let delete = scenario.application().draft(EDITOR, RIO, "1", json!({"isDiscontinued": true})).await?;
        let explained: Value = scenario.client.query_one("select pfa_sync.explain($1)", &[&delete]).await?.get(0);
        let missing = if forecast { json!(["perm_Delete"]) } else { json!(["perm_Delete", "perm_EditForecast"]) };
        assert_eq!(explained["missing_permissions"], missing);
    }
    let editable = "select array_agg(name order by name) from pfa_sync.field_rules where permission is not null";
    let mut listed: Vec<&str> = values.as_object().unwrap().keys().map(String::as_str).chain(["isDiscontinued"]).collect();
    listed.sort_unstable();
    assert_eq!(scenario.value::<Vec<String>>(editable).await?, listed, "a new field needs a value here");
    Ok(())
}

#[rstest]
#[case::inactive(r#"update users set "isActive" = false"#)]
#[case::suspended(r#"update users set "serviceStatus" = 'suspended'"#)]
#[case::inactive_administrator(r#"update users set role = 'admin', "isActive" = false"#)]
#[case::no_member(r#"delete from user_organizations"#)]
#[tokio::test]
async fn a_user_without_access_may_do_nothing(#[case] change: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.execute(change, &[]).await?;
    let error = scenario.edit("1", json!({"model": "X"})).await.unwrap_err();
    let (code, _, detail) = refusal(&error);
    assert_eq!((code.as_str(), &detail[0]["missingPermissions"]), ("PF002", &json!(["perm_EditForecast", "perm_Sync"])));
    Ok(())
}

/// A record without a key can't be sent to PEMS; the key in the mirror's column alone is enough.
#[tokio::test]
async fn a_record_without_a_key_is_refused_and_one_beside_its_data_is_enough() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.execute(r#"update pfa_mirror set data = data - 'pfaId' where "pfaId" = '1'"#, &[]).await?;
    scenario.client.execute(r#"update pfa_mirror set data = data - 'pfaId', "pfaId" = null where "pfaId" = '2'"#, &[]).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "updatedAt")
        select 'mod_keyless', id, "organizationId", $1, '{"model": "X"}', 'committed', now() from pfa_mirror where "pfaId" is null"#;
    let error = scenario.client.execute(insert, &[&EDITOR]).await.unwrap_err().into();
    let (code, _, detail) = refusal(&error);
    assert_eq!((code.as_str(), &detail[0]["errors"][0]["code"]), ("PF001", &json!("BUSINESS_RULE_VIOLATION")));

    scenario.edit("1", json!({"model": "X"})).await?;
    assert_eq!(scenario.claim().await?[0].pfa_id, "1");
    Ok(())
}
