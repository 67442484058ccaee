//! Refusals that help: what is wrong, of which record, in messages of a bounded length.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};
use testbed::application::{EDITOR, RIO, pems_record};

use crate::support::scenario::{Scenario, refusal};

/// Several bad changes of one record are found in one go, and what is sound is not counted among them.
#[tokio::test]
async fn every_bad_change_is_named_at_once() -> Result<()> {
    let scenario = Scenario::new().await?;
    let application = scenario.application();
    for (record, delta) in [
        ("1", json!({"model": 7, "category": true})),
        ("1", json!({"colour": "red"})),
        ("2", json!({"source": "LEASE"})),
        ("2", json!({"areaSilo": "Silo 3"})),
        ("3", json!({"model": "fine"})),
    ] {
        application.draft(EDITOR, RIO, record, delta).await?;
    }
    let (code, message, detail) = refusal(&application.commit(EDITOR, RIO).await.unwrap_err().into());
    assert_eq!(code, "PF001");
    assert!(message.starts_with("3 of 5 changes can't be committed; record 1: "), "{message}");
    for part in ["model", "category", "colour", "record 2: source"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(detail.as_array().map(Vec::len), Some(3));
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.queue").await?, 0);
    Ok(())
}

/// A client that shows the message alone gets one that a person can read.
#[tokio::test]
async fn a_thousand_bad_changes_make_a_short_message() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.ingest(&(1000..2000).map(|id| pems_record("RIO", &id.to_string())).collect::<Vec<_>>()).await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "updatedAt")
        select 'mod_' || "pfaId", id, "organizationId", $1, '{"monthlyRate": -1, "source": "LEASE", "colour": 1}', now() from pfa_mirror where length("pfaId") = 4"#;
    scenario.client.execute(insert, &[&EDITOR]).await?;
    let error = scenario.application().commit(EDITOR, RIO).await.unwrap_err();
    let error = error.as_db_error().expect("an error of the database");
    assert!(error.message().starts_with("1000 of 1000 changes can't be committed; record 1000: "), "{}", error.message());
    assert!(error.message().ends_with("; and 997 more") && error.message().len() < 2500, "{}", error.message());
    assert!(error.detail().is_some_and(|detail| detail.len() < 60_000));
    let detail: Value = serde_json::from_str(error.detail().unwrap_or_default())?;
    assert_eq!(detail.as_array().map(Vec::len), Some(100));
    assert!(error.hint().is_some_and(|hint| hint.contains("100 of the changes")));
    Ok(())
}

/// A person knows records, not modifications.
#[tokio::test]
async fn what_is_committed_or_in_flight_is_named_by_its_record() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("2", json!({"model": "X"})).await?;
    let edit = r#"update pfa_modification set delta = '{"model": "Y"}'"#;
    let back = r#"update pfa_modification set "syncState" = 'draft'"#;
    let (code, message, _) = refusal(&scenario.client.execute(edit, &[]).await.unwrap_err().into());
    assert_eq!((code.as_str(), message.contains("record 2")), ("PF003", true), "{message}");
    scenario.claim().await?;
    let (code, message, _) = refusal(&scenario.client.execute(back, &[]).await.unwrap_err().into());
    assert_eq!((code.as_str(), message.contains("record 2")), ("PF003", true), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_base_of_the_future_is_refused_in_words() -> Result<()> {
    let scenario = Scenario::new().await?;
    let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "syncState", "baseVersion", "updatedAt")
        select 'future', id, "organizationId", 'usr_editor', '{"model": "X"}', 'committed', 7, now() from pfa_mirror where "pfaId" = '1'"#;
    let (code, message, _) = refusal(&scenario.client.execute(insert, &[]).await.unwrap_err().into());
    assert_eq!(code, "PF001");
    assert!(message.contains("based on version 7 of the record, which is at version 1"), "{message}");
    Ok(())
}

/// The two columns tell the same story, whichever of them was written.
#[rstest]
#[case("synced")]
#[case("nonsense")]
#[tokio::test]
async fn a_status_that_was_set_alone_is_corrected(#[case] status: &str) -> Result<()> {
    let scenario = Scenario::new().await?;
    let draft = scenario.application().draft(EDITOR, RIO, "1", json!({"model": "X"})).await?;
    let edit = scenario.edit("2", json!({"model": "X"})).await?;
    scenario.client.execute(r#"update pfa_modification set "syncStatus" = $1"#, &[&status]).await?;
    assert_eq!(scenario.state(&draft).await?, "committed/queued", "the edit committed all drafts of its author");
    assert_eq!(scenario.state(&edit).await?, "committed/queued");
    scenario.check().await
}

/// Two drafts of one record in one transaction have one time, and ids tell no order.
#[rstest]
#[case::other_values(json!({"model": "A", "areaSilo": "Silo 1"}), json!({"model": "B"}), 1)]
#[case::one_value(json!({"model": "A"}), json!({"model": "A"}), 0)]
#[case::one_value_in_two_spellings(json!({"monthlyRate": 7}), json!({"monthlyRate": 7.00}), 0)]
#[case::other_fields(json!({"model": "A"}), json!({"areaSilo": "Silo 9"}), 0)]
#[tokio::test]
async fn edits_of_one_moment_are_ordered_by_a_person(
    #[case] one: Value,
    #[case] other: Value,
    #[case] conflicts: i64,
) -> Result<()> {
    let mut scenario = Scenario::new().await?;
    let transaction = scenario.client.transaction().await?;
    for (id, delta) in [("m_b", &one), ("m_a", &other)] {
        let insert = r#"insert into pfa_modification (id, "mirrorId", "organizationId", "userId", delta, "updatedAt")
            select $1, id, "organizationId", $2, $3, now() from pfa_mirror where "pfaId" = '1'"#;
        transaction.execute(insert, &[&id, &EDITOR, delta]).await?;
    }
    transaction.commit().await?;
    scenario.application().commit(EDITOR, RIO).await?;
    assert_eq!(scenario.value::<i64>("select count(*) from pfa_sync.conflicts").await?, conflicts);
    if conflicts > 0 {
        let conflict: String =
            scenario.value("select array_to_string(conflict_fields, ',') || ': ' || message from pfa_sync.conflicts").await?;
        assert_eq!(conflict, "model: model set by two edits of one moment: nothing tells which is the later one");
        // The record is shown with the other one, which is queued.
        assert_eq!(scenario.value::<String>("select theirs->>'model' from pfa_sync.conflicts").await?, "B");
    }
    scenario.deliver().await?;
    let written = "select string_agg(\"syncState\", ' ' order by \"syncState\") from pfa_modification";
    assert_eq!(scenario.value::<String>(written).await?, if conflicts > 0 { "conflict synced" } else { "synced synced" });
    scenario.check().await
}

/// Edits that have an order keep it.
#[tokio::test]
async fn the_later_of_two_drafts_wins() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"model": "A"})).await?;
    scenario.application().draft(EDITOR, RIO, "1", json!({"model": "B"})).await?;
    scenario
        .client
        .execute(r#"update pfa_modification set "createdAt" = "createdAt" - interval '1 s' where delta->>'model' = 'A'"#, &[])
        .await?;
    scenario.application().commit(EDITOR, RIO).await?;
    scenario.deliver().await?;
    assert_eq!(scenario.mirror("1").await?["model"], "B");
    assert_eq!(scenario.state(&scenario.edit("2", json!({"model": "X"})).await?).await?, "committed/queued");
    scenario.check().await
}

/// Whatever is handed to a function of the surface, it works or is refused with a code of ours and words: no raw error of
/// PostgreSQL reaches a user.
#[tokio::test]
async fn no_argument_ends_in_a_raw_error() -> Result<()> {
    let scenario = Scenario::new().await?;
    scenario.edit("1", json!({"model": "X"})).await?;
    let functions = "select p.proname::text, array(select format_type(t, null) from unnest(p.proargtypes) with ordinality u (t, n) order by n) \
                       from pg_proc p where p.pronamespace = 'pfa_sync'::regnamespace and p.proname not in ('attach', 'detach', 'adopt') order by 1";
    let hostile = |kind: &str| -> Vec<&'static str> {
        match kind {
            "jsonb" => vec![
                "null",
                "'{}'",
                "'[]'",
                "'null'",
                "'\"x\"'",
                "'[null]'",
                "'[1]'",
                "'[{}]'",
                "'{\"organization\": {}}'",
                "'{\"conflicts\": \"x\"}'",
                "'{\"older_than\": 5}'",
                "'{\"dead_letters\": [null, \"x\"]}'",
                "'[{\"queue_id\": \"x\", \"fencing_token\": 1}]'",
                "'[{\"queue_id\": 1e99, \"fencing_token\": null}]'",
                "'[{\"queue_id\": 1, \"fencing_token\": 1, \"version\": \"new\", \"record\": 7, \"http_status\": 1e9}]'",
            ],
            "text[]" => vec!["null", "'{}'", "'{NULL}'", "array[repeat('x', 9000)]"],
            "text" | "name" => vec!["null", "''", "'RIO'", "'usr_editor'", "'x'", "repeat('x', 9000)", "'1/2/3'", "'0/0:0:0'"],
            "integer" | "bigint" => vec!["null", "-1", "0", "2147483647"],
            "integer[]" | "bigint[]" => vec!["null", "'{}'", "'{NULL}'", "'{-1,0}'", "'{2147483647}'"],
            "boolean" => vec!["null", "true"],
            "interval" => vec!["null", "'-1 s'", "'1 s'", "'100 years'"],
            _ => vec!["null", "'infinity'", "'-infinity'"],
        }
    };
    let mut raw = Vec::new();
    for row in scenario.client.query(functions, &[]).await? {
        let (name, types): (String, Vec<String>) = (row.get(0), row.get(1));
        let sane = |kind: &str| match kind {
            "jsonb" => "'{}'",
            "text" => "'RIO'",
            "name" => "'postgres'",
            "integer" | "bigint" => "1",
            "text[]" => "'{}'",
            "boolean" => "false",
            _ => "null",
        };
        // Each argument in turn, the others sane; then all of them null.
        let mut calls = vec![vec!["null"; types.len()]];
        for (place, kind) in types.iter().enumerate() {
            for value in hostile(kind) {
                let mut arguments: Vec<&str> = types.iter().map(|kind| sane(kind)).collect();
                arguments[place] = value;
                calls.push(arguments);
            }
        }
        for arguments in calls {
            let typed: Vec<String> = arguments.iter().zip(&types).map(|(value, kind)| format!("({value})::{kind}")).collect();
            let call = format!("select * from pfa_sync.{name}({})", typed.join(", "));
            let outcome = scenario.client.batch_execute(&format!("begin; {call}; rollback")).await;
            scenario.client.batch_execute("rollback").await?;
            if let Err(error) = outcome {
                let code = error.code().map_or("", |code| code.code()).to_owned();
                if !code.starts_with("PF") {
                    raw.push(format!("{code} {}: {call}", error.as_db_error().map_or("", |e| e.message())));
                }
            }
        }
    }
    assert!(raw.is_empty(), "{} raw errors:\n{}", raw.len(), raw.join("\n"));
    Ok(())
}
