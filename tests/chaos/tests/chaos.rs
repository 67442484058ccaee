//! Half a minute of chaos on a cluster of its own, drained and checked. `make chaos` runs more of it.

use anyhow::Result;
use chaos::{Options, run};

/// A fixed seed, so that a failure is not a matter of luck; `make chaos` without one draws others.
#[tokio::test(flavor = "multi_thread")]
async fn chaos_breaks_no_promise() -> Result<()> {
    let options = Options { seed: 5, seconds: 30, edits: 5_000 };
    println!("{options}");
    let outcome = run(&options, |line| println!("{line}")).await?;
    println!("{}", outcome.summary);
    let broken: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{options}\n{}\nthe logs are in {:?}", broken.join("\n"), outcome.logs);
    Ok(())
}
