//! Half a minute of chaos on a cluster of its own, drained and checked. `make chaos` runs more of it.

use anyhow::Result;
use chaos::{Order, run};

/// A fixed seed, so that a failure is not a matter of luck; `make chaos` without one draws others.
#[tokio::test(flavor = "multi_thread")]
async fn chaos_breaks_no_promise() -> Result<()> {
    let order = Order { seed: 5, seconds: 30, edits: 5_000 };
    println!("{order}");
    let outcome = run(&order, |line| println!("{line}")).await?;
    println!("{}", outcome.summary);
    let broken: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{order}\n{}\nthe logs are in {:?}", broken.join("\n"), outcome.logs);
    Ok(())
}
