//! Who the user of a session is, what that user may do, and which instance this is.

use anyhow::Result;
use serde_json::{Value, json};
use testbed::cluster::Login;
use tokio_postgres::Client;

use crate::support::scenario::{Scenario, refusal};

async fn me(session: &Client) -> Result<Value> {
    Ok(session.query_one("select pfa_sync.me()", &[]).await?.get(0))
}

#[tokio::test]
async fn a_user_learns_who_they_are_and_what_they_may() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.client.batch_execute("select pfa_sync.pause('RIO', 'stocktaking')").await?;
    let editor = me(&scenario.acting("usr_editor").await?).await?;
    assert_eq!(editor["user_name"], json!("Edith Araújo"));
    assert_eq!((&editor["email"], &editor["role"]), (&json!("edith@example.com"), &json!("user")));
    assert_eq!((&editor["read_only"], &editor["read_only_reason"]), (&json!(false), &Value::Null));
    let organizations = editor["organizations"].as_array().expect("an array");
    let codes: Vec<&Value> = organizations.iter().map(|organization| &organization["code"]).collect();
    assert_eq!(codes, ["HARBOUR", "RIO"]);
    let rio = &organizations[1];
    assert_eq!((&rio["paused"], &rio["may_send"]), (&json!(true), &json!(false)));
    assert_eq!(rio["pause_reason"], json!("stocktaking"));
    assert!(rio["permissions"].as_array().is_some_and(|granted| granted.contains(&json!("perm_Sync"))), "{rio}");

    let viewer = me(&scenario.acting("usr_viewer").await?).await?;
    assert_eq!(viewer["read_only"], json!(true));
    assert_eq!(viewer["read_only_reason"], json!("the user may edit in no organization"));
    let second = me(&scenario.acting("usr_second").await?).await?;
    assert_eq!(second["organizations"].as_array().map(Vec::len), Some(1));
    let former = me(&scenario.acting("usr_former").await?).await?;
    assert_eq!(former["organizations"], json!([]));
    let admin = me(&scenario.acting("usr_admin").await?).await?;
    assert_eq!((&admin["role"], admin["organizations"].as_array().map(Vec::len)), (&json!("admin"), Some(2)));
    Ok(())
}

#[tokio::test]
async fn each_login_has_its_user() -> Result<()> {
    let scenario = Scenario::new().await?;
    let reader = scenario.database.client_as(Login::Reader).await?;
    let error = me(&reader).await.unwrap_err();
    assert_eq!(refusal(&error).0, "PF002", "no user yet");
    let login: String = reader.query_one("select session_user::text", &[]).await?.get(0);
    scenario.client.execute("select pfa_sync.set_reader($1::text::name, 'usr_viewer')", &[&login]).await?;
    reader.batch_execute("set pfa_sync.user_id = 'usr_admin'").await?;
    assert_eq!(me(&reader).await?["user_id"], json!("usr_viewer"));

    let application = scenario.database.client_as(Login::Application).await?;
    assert_eq!(refusal(&me(&application).await.unwrap_err()).0, "PF002", "the application names its user");
    let row = application.query_one("select pfa_sync.me('usr_planner')", &[]).await?;
    assert_eq!(row.get::<_, Value>(0)["user_name"], json!("Paula Lindqvist"));

    let session = scenario.acting("usr_editor").await?;
    for other in [&session, &reader] {
        let error = other.query("select pfa_sync.me('usr_planner')", &[]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF002");
    }
    let dba = me(&scenario.client).await?;
    assert_eq!((&dba["role"], &dba["read_only"]), (&json!("dba"), &json!(false)));
    assert_eq!(dba["organizations"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn an_instance_has_a_name_a_colour_and_a_purpose() -> Result<()> {
    let scenario = Scenario::new().await?;
    let session = scenario.acting("usr_viewer").await?;
    assert_eq!(me(&session).await?["instance"], json!({"name": "", "colour": "grey", "production": false, "links": []}));
    let set = "select pfa_sync.set('instance_name', 'Rio, live'), pfa_sync.set('instance_colour', 'red'), pfa_sync.set('production', 'on'), \
                      pfa_sync.set('instance_links', 'Rio, test https://test.example:8443/a?b=c , Training  http://[::1]/')";
    let refused = scenario.client.batch_execute(set).await.unwrap_err().into();
    assert_eq!(refusal(&refused).0, "PF001", "a comma separates links");
    scenario.client.batch_execute(&set.replace("Rio, test", "Rio (test)")).await?;
    let links = json!([
        {"name": "Rio (test)", "address": "https://test.example:8443/a?b=c"}, {"name": "Training", "address": "http://[::1]/"}
    ]);
    assert_eq!(
        me(&session).await?["instance"],
        json!({"name": "Rio, live", "colour": "red", "production": true, "links": links})
    );
    for call in [
        "pfa_sync.set('instance_colour', 'pink')",
        "pfa_sync.set('production', 'maybe')",
        "pfa_sync.set('instance_name', 'x', 'RIO')",
        "pfa_sync.set('instance_links', 'https://no-name.example')",
        "pfa_sync.set('instance_links', 'No address')",
        "pfa_sync.set('instance_links', 'Script javascript:alert(1)')",
        "pfa_sync.set('instance_links', 'One https://one.example,')",
    ] {
        let error = scenario.client.query(&format!("select {call}"), &[]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF001", "{call}");
    }
    Ok(())
}
