//! Filters of bulk operations.

use anyhow::Result;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::scenario::{Scenario, refusal};

/// A filter that can't be read is refused with PF001, whatever it chooses from.
#[rstest]
#[case::not_an_object(json!([]))]
#[case::null(Value::Null)]
#[case::unknown_key(json!({"colour": "red"}))]
#[case::no_interval(json!({"older_than": "soon"}))]
#[case::interval_out_of_range(json!({"older_than": "999999999 years"}))]
#[case::no_number(json!({"ids": ["x"]}))]
#[case::number_out_of_range(json!({"ids": ["99999999999999999999"]}))]
#[case::no_array(json!({"ids": 5}))]
#[tokio::test]
async fn a_filter_that_can_not_be_read_is_refused(#[case] filter: Value) -> Result<()> {
    let scenario = Scenario::new().await?;
    for (ids, preview) in
        [("conflicts", "pfa_sync.preview_resolution($1, 'use_pems')"), ("dead_letters", "pfa_sync.preview_dead_letters($1)")]
    {
        let mut filter = filter.clone();
        if let Some(values) = filter.get_mut("ids").map(Value::take) {
            filter = json!({ ids: values });
        }
        let error = scenario.client.query(&format!("select * from {preview}"), &[&filter]).await.unwrap_err().into();
        assert_eq!(refusal(&error).0, "PF001", "{preview}: {error:?}");
    }
    Ok(())
}
